// SPDX-License-Identifier: MIT
// Memory for coroutine frames and per-connection state: a thread-local pool of size classes.
#pragma once

#include <pthread.h>

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#if defined(__GLIBC__)
#include <malloc.h>  // malloc_trim
#endif

#include <synfp/version.hpp>

// Under AddressSanitizer every block comes from malloc, so that it sees use after free.
#if defined(__SANITIZE_ADDRESS__)
#define SYNFP_POOL_BYPASS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SYNFP_POOL_BYPASS 1
#endif
#endif
#ifndef SYNFP_POOL_BYPASS
#define SYNFP_POOL_BYPASS 0
#endif

SYNFP_BEGIN_NAMESPACE
namespace io {

/// Blocks of powers of two from 64 bytes to 2 MiB, kept in one free list per class and thread; larger ones go
/// straight to operator new. A block may be freed on another thread than the one that allocated it: it then
/// joins the freeing thread's list. A list keeps at most 4 MiB or 16 blocks, so that a thread which only
/// frees does not collect memory for ever. Blocks are aligned as by operator new.
///
/// When a load has gone, what it used is in these lists and, between blocks that are still in use, with
/// malloc, which by itself gives back only the end of its heap. trim() gives both back to the system.
class frame_pool {
 public:
  static constexpr std::size_t smallest = 64;
  static constexpr std::size_t largest = 2 * 1024 * 1024;  // 1 MiB and what goes with it
  static constexpr std::size_t kept_per_class = 4 * 1024 * 1024;
  static constexpr std::size_t blocks_per_class = 16;  // if these are more

  static void* allocate(std::size_t size) {
    const unsigned c = class_of(size);
    void* memory = take(c);
    if (memory == nullptr) memory = ::operator new(heap_size(c, size));
    count(size);
    return memory;
  }
  /// Null instead of std::bad_alloc.
  static void* try_allocate(std::size_t size) noexcept {
    const unsigned c = class_of(size);
    void* memory = take(c);
    if (memory == nullptr) memory = ::operator new(heap_size(c, size), std::nothrow);
    if (memory != nullptr) count(size);
    return memory;
  }

  /// `size` must be the one given to allocate().
  static void deallocate(void* memory, std::size_t size) noexcept {
    in_use_ -= static_cast<std::ptrdiff_t>(size);
    const unsigned c = class_of(size);
    if (SYNFP_POOL_BYPASS || c == classes || !keep(lists_[c], smallest << c)) {
      ::operator delete(memory);
      return;
    }
    lists_[c].head = ::new (memory) block{lists_[c].head};
    lists_[c].bytes += smallest << c;
  }

  /// Bytes that this thread has allocated and not freed. Not exact where blocks are freed on other threads.
  static std::ptrdiff_t in_use() noexcept { return in_use_; }

  /// This thread uses 8 MiB less than it did, and less than half, since the last trim() or restart_peak().
  static bool worth_trimming() noexcept { return peak_ - in_use_ >= 8 * 1024 * 1024 && in_use_ <= peak_ / 2; }
  /// The most that this thread has used since the last trim() or restart_peak().
  static std::ptrdiff_t peak() noexcept { return peak_; }
  /// Gives peak(), and begins it anew.
  static std::ptrdiff_t restart_peak() noexcept { return std::exchange(peak_, in_use_); }
  /// Takes milliseconds if there is much; the other threads' malloc waits meanwhile.
  static void trim() noexcept {
    empty_lists();
    peak_ = in_use_;
#if defined(__GLIBC__)
    ::malloc_trim(0);
#endif
  }

 private:
  struct block {
    block* next;
  };
  struct list {
    block* head = nullptr;
    std::size_t bytes = 0;
  };
  static constexpr unsigned classes = 16;
  static_assert(smallest << (classes - 1) == largest);
  static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= alignof(std::max_align_t));

  enum class state : std::uint8_t { fresh, live, exiting };

  // Returns the lists to the heap when the thread ends. By a key, not by a thread-local object: glibc ends
  // the process if it has no memory to note the destructor of such an object. The lists themselves are
  // trivially destructible: others may free frames after this has run.
  class exit_key {
   public:
    exit_key() noexcept : made_(::pthread_key_create(&key_, &exit_key::thread_ends) == 0) {}
    ~exit_key() {  // the code may go too, with a library that is unloaded
      if (made_) ::pthread_key_delete(key_);
    }
    exit_key(const exit_key&) = delete;
    exit_key& operator=(const exit_key&) = delete;

    bool note_thread() const noexcept { return made_ && ::pthread_setspecific(key_, lists_) == 0; }

   private:
    static void thread_ends(void*) noexcept {
      state_ = state::exiting;
      empty_lists();
    }

    pthread_key_t key_{};
    bool made_;
  };

  static void empty_lists() noexcept {
    for (list& l : lists_) {
      while (l.head != nullptr) {
        block* b = l.head;
        l.head = b->next;
        ::operator delete(b);
      }
      l.bytes = 0;
    }
  }
  static void count(std::size_t size) noexcept {
    in_use_ += static_cast<std::ptrdiff_t>(size);
    if (in_use_ > peak_) peak_ = in_use_;
  }

  // Null if the heap has to give the block.
  static void* take(unsigned c) noexcept {
    if (SYNFP_POOL_BYPASS || c == classes) return nullptr;
    list& l = lists_[c];
    if (l.head == nullptr) {
      clean_at_exit();
      return nullptr;
    }
    block* b = l.head;
    l.head = b->next;
    l.bytes -= smallest << c;
    return b;
  }
  static std::size_t heap_size(unsigned c, std::size_t size) noexcept {
    return SYNFP_POOL_BYPASS || c == classes ? size : smallest << c;
  }
  static bool keep(const list& l, std::size_t size) noexcept {
    clean_at_exit();
    const std::size_t most =
        kept_per_class > blocks_per_class * size ? kept_per_class : blocks_per_class * size;
    return state_ == state::live && l.bytes + size <= most;
  }
  // Without that, for want of memory or of keys, nothing is kept, and the next block tries again.
  static void clean_at_exit() noexcept {
    if (state_ != state::fresh) return;
    static const exit_key key;
    if (key.note_thread()) state_ = state::live;
  }

  static constexpr unsigned class_of(std::size_t size) noexcept {
    if (size <= smallest) return 0;
    if (size > largest) return classes;
    const auto c = static_cast<unsigned>(std::bit_width((size - 1) / smallest));
    return c;
  }

  static thread_local list lists_[classes];
  static thread_local state state_;
  static thread_local std::ptrdiff_t in_use_;
  static thread_local std::ptrdiff_t peak_;  // of in_use_
};

inline constinit thread_local frame_pool::list frame_pool::lists_[classes] = {};
inline constinit thread_local frame_pool::state frame_pool::state_ = state::fresh;
inline constinit thread_local std::ptrdiff_t frame_pool::in_use_ = 0;
inline constinit thread_local std::ptrdiff_t frame_pool::peak_ = 0;

/// A standard allocator on frame_pool; all instances are equal.
template <class T>
class pool_allocator {
 public:
  using value_type = T;
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

  constexpr pool_allocator() noexcept = default;
  template <class U>
  constexpr pool_allocator(const pool_allocator<U>&) noexcept {}

  T* allocate(std::size_t n) {
    // An impossible size reaches operator new, which reports it.
    const std::size_t size = n > SIZE_MAX / sizeof(T) ? SIZE_MAX / 2 : n * sizeof(T);
    return static_cast<T*>(frame_pool::allocate(size));
  }
  void deallocate(T* memory, std::size_t n) noexcept { frame_pool::deallocate(memory, n * sizeof(T)); }

  friend constexpr bool operator==(pool_allocator, pool_allocator) noexcept { return true; }
};

/// A string whose memory comes from the pool. Free it on any thread. Next to std::string: each is made from
/// the other explicitly, `std::string(pool)`, and assigned and appended as it is; they compare.
using pool_string = std::basic_string<char, std::char_traits<char>, pool_allocator<char>>;

inline bool operator==(const pool_string& a, const std::string& b) noexcept {
  return std::string_view(a) == std::string_view(b);
}
inline std::strong_ordering operator<=>(const pool_string& a, const std::string& b) noexcept {
  return std::string_view(a) <=> std::string_view(b);
}

/// Empties `text` and gives its memory back, which assigning an empty string does not.
inline void release(pool_string& text) noexcept { pool_string().swap(text); }

}  // namespace io
SYNFP_END_NAMESPACE
