// SPDX-License-Identifier: MIT
// What each thread has for itself, and one can read of all.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// What a thread has found before. Without a destructor, and initialised by zeros: a thread's first use takes
/// no memory and cannot fail.
struct per_thread_cache {
  struct entry {
    std::uint64_t owner;  // never the same again
    void* value;
  };
  std::array<entry, 8> entries;
  std::size_t next;
};
inline constinit thread_local per_thread_cache found_before{};
inline constinit std::atomic<std::uint64_t> per_thread_owners{0};

/// A T for each thread that calls local(). A thread that ends leaves its T behind; a later one, if it gets
/// the memory of that thread's own variables, goes on with it. So there are about as many as threads at one
/// time. They live as long as this object, which every thread must have done with.
template <class T>
class per_thread {
 public:
  per_thread() noexcept : id_(per_thread_owners.fetch_add(1, std::memory_order_relaxed) + 1) {}
  per_thread(const per_thread&) = delete;
  per_thread& operator=(const per_thread&) = delete;
  ~per_thread() {
    for (slot* s = first_.load(std::memory_order_acquire); s != nullptr;) delete std::exchange(s, s->next);
  }

  /// The calling thread's. Made of `arguments` at its first call; null if there is no memory for it. After
  /// that neither a lock nor an allocation.
  template <class... Arguments>
  T* local(const Arguments&... arguments) noexcept {
    for (const per_thread_cache::entry& e : found_before.entries) {
      if (e.owner == id_) return static_cast<T*>(e.value);
    }
    return first_call(arguments...);
  }

  /// Calls f(T&) for all, while their threads go on using them.
  template <class F>
  void for_each(F f) const {
    for (slot* s = first_.load(std::memory_order_acquire); s != nullptr; s = s->next) f(s->value);
  }

 private:
  struct slot {
    template <class... Arguments>
    explicit slot(const Arguments&... arguments) noexcept : value(arguments...) {}
    T value;
    const void* thread = nullptr;
    slot* next = nullptr;
  };

  template <class... Arguments>
  T* first_call(const Arguments&... arguments) noexcept {
    const void* const self = &found_before;
    const std::lock_guard lock(mutex_);
    slot* s = first_.load(std::memory_order_relaxed);
    while (s != nullptr && s->thread != self) s = s->next;
    if (s == nullptr) {
      s = new (std::nothrow) slot(arguments...);
      if (s == nullptr) return nullptr;
      s->thread = self;
      s->next = first_.load(std::memory_order_relaxed);
      first_.store(s, std::memory_order_release);
    }
    per_thread_cache& cache = found_before;
    cache.entries[cache.next++ % cache.entries.size()] = {id_, &s->value};
    return &s->value;
  }

  const std::uint64_t id_;
  std::mutex mutex_;  // of changes
  std::atomic<slot*> first_{nullptr};
};

}  // namespace http::detail
SYNFP_END_NAMESPACE
