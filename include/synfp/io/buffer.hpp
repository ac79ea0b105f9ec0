// SPDX-License-Identifier: MIT
// Received bytes: buffers that the kernel picks from a ring's shared pool.
#pragma once

#include <liburing.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include <synfp/io/detail/list.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

namespace detail {

/// An operation that got ENOBUFS. `retry` is called once when a buffer may be free again.
class parked_operation : public list_link {
 public:
  parked_operation(void (*retry_function)(void*), void* retry_context) noexcept
      : retry(retry_function), context(retry_context) {}
  void (*retry)(void*);
  void* context;
};

/// The provided buffer ring. It outlives its ring while leases are out.
class buffer_pool {
 public:
  static constexpr std::uint16_t group = 0;
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  /// Null and errno if there is no memory. `count`: a power of two up to 32768.
  static buffer_pool* create(std::uint32_t count, std::uint32_t size) noexcept {
    const std::size_t total = count * (sizeof(io_uring_buf) + std::size_t{size});
    void* memory = ::mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* chunks = new (std::nothrow) chunk[count];
    auto* pool =
        chunks == nullptr ? nullptr : new (std::nothrow) buffer_pool(memory, total, chunks, count, size);
    if (pool == nullptr) {
      delete[] chunks;
      ::munmap(memory, total);
      errno = ENOMEM;
    }
    return pool;
  }
  buffer_pool(const buffer_pool&) = delete;
  buffer_pool& operator=(const buffer_pool&) = delete;

  /// 0 or a negative errno.
  int attach(::io_uring& ring) noexcept {
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(ring_);
    registration.ring_entries = count_;
    registration.bgid = group;
    const int r = io_uring_register_buf_ring(&ring, &registration, 0);
    if (r < 0) return r;
    io_uring_buf_ring_init(ring_);
    for (std::uint32_t i = 0; i != count_; ++i) give(i, i);
    io_uring_buf_ring_advance(ring_, static_cast<int>(count_));
    return 0;
  }

  /// The ring's part is over; the memory goes with the last lease.
  void abandon() noexcept {
    abandoned_ = true;
    while (parked_.pop_front() != nullptr) {
    }
    delete_if_unused();
  }

  /// Copies included.
  std::uint32_t leased() const noexcept { return leased_ + copies_; }
  std::uint32_t count() const noexcept { return count_; }
  /// More than half of the buffers are out: connections should hold fewer.
  bool scarce() const noexcept { return leased_ > count_ / 2; }

  /// The kernel has filled `id`. From here on it counts as leased.
  void taken(std::uint32_t id, std::uint32_t length) noexcept {
    ++leased_;
    chunks_[id] = {none, length, nullptr};
  }
  /// Gives `id` back to the kernel and lets one parked operation try again.
  void recycle(std::uint32_t id) noexcept {
    if (id >= count_) {
      ::operator delete(chunks_[id].copy);
      chunks_[id] = {spare_, 0, nullptr};
      spare_ = id;
      --copies_;
      if (abandoned_) delete_if_unused();
      return;
    }
    --leased_;
    if (abandoned_) {
      delete_if_unused();
      return;
    }
    give(id, 0);
    io_uring_buf_ring_advance(ring_, 1);
    retry_one();
  }

  /// Gives `id` back to the kernel and returns the number of a copy of its bytes in its place, for one who
  /// may not read them soon; `id` itself if there is no memory.
  std::uint32_t copy_out(std::uint32_t id) noexcept {
    if (spare_ == none && !add_spares()) return id;
    auto* memory = static_cast<char*>(::operator new(length(id), std::nothrow));
    if (memory == nullptr) return id;
    std::memcpy(memory, data(id), length(id));
    const std::uint32_t copy = spare_;
    spare_ = chunks_[copy].next;
    chunks_[copy] = {none, length(id), memory};
    ++copies_;
    recycle(id);
    return copy;
  }

  void park(parked_operation& op) noexcept {
    if (!op.linked()) parked_.push_back(op);
  }
  /// Once per turn. Buffers may have come back between the kernel's ENOBUFS and the moment it was read, and
  /// then no later recycle() would wake the one who parked.
  void retry_parked() noexcept {
    for (std::uint32_t free = count_ - leased_; free != 0 && !parked_.empty(); --free) retry_one();
  }

  const char* data(std::uint32_t id) const noexcept {
    return id < count_ ? storage_ + std::size_t{id} * size_ : chunks_[id].copy;
  }
  std::uint32_t length(std::uint32_t id) const noexcept { return chunks_[id].length; }
  /// Links the received chunks of a connection, so that queueing them needs no memory.
  std::uint32_t& next(std::uint32_t id) noexcept { return chunks_[id].next; }

 private:
  struct chunk {
    std::uint32_t next = none;
    std::uint32_t length = 0;
    char* copy = nullptr;  // from count_ on, where the bytes are
  };

  buffer_pool(void* memory, std::size_t total, chunk* chunks, std::uint32_t count,
              std::uint32_t size) noexcept
      : ring_(static_cast<io_uring_buf_ring*>(memory)),
        storage_(static_cast<char*>(memory) + count * sizeof(io_uring_buf)),
        total_(total),
        chunks_(chunks),
        count_(count),
        size_(size),
        slots_(count) {}
  ~buffer_pool() {
    delete[] chunks_;
    ::munmap(ring_, total_);
  }

  void delete_if_unused() noexcept {
    if (leased_ == 0 && copies_ == 0) delete this;
  }
  bool add_spares() noexcept {
    auto* more = new (std::nothrow) chunk[std::size_t{slots_} * 2];
    if (more == nullptr) return false;
    std::memcpy(more, chunks_, slots_ * sizeof(chunk));
    delete[] std::exchange(chunks_, more);
    for (const std::uint32_t end = slots_ * 2; slots_ != end; ++slots_) {
      chunks_[slots_].next = spare_;
      spare_ = slots_;
    }
    return true;
  }
  void give(std::uint32_t id, std::uint32_t offset) noexcept {
    io_uring_buf_ring_add(ring_, storage_ + std::size_t{id} * size_, size_, static_cast<unsigned short>(id),
                          static_cast<int>(count_ - 1), static_cast<int>(offset));
  }
  void retry_one() noexcept {
    if (list_link* l = parked_.pop_front()) {
      auto& op = *static_cast<parked_operation*>(l);
      op.retry(op.context);
    }
  }

  io_uring_buf_ring* ring_;
  char* storage_;
  std::size_t total_;
  chunk* chunks_;
  std::uint32_t count_;
  std::uint32_t size_;
  std::uint32_t slots_;         // of chunks_: the buffers, then the copies
  std::uint32_t spare_ = none;  // the first unused slot of a copy
  std::uint32_t leased_ = 0;
  std::uint32_t copies_ = 0;
  bool abandoned_ = false;
  list parked_;
};

}  // namespace detail

/// A lease of received bytes. Destroying it gives the buffer back to its ring, exactly once, so hold it
/// briefly: while all buffers of a ring are out, none of its connections receives. Use and destroy it on the
/// ring's thread; it may outlive the ring.
class buffer {
 public:
  buffer() noexcept = default;
  buffer(buffer&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), id_(other.id_) {}
  buffer& operator=(buffer&& other) noexcept {
    if (this != &other) {
      reset();
      pool_ = std::exchange(other.pool_, nullptr);
      id_ = other.id_;
    }
    return *this;
  }
  ~buffer() { reset(); }

  const char* data() const noexcept { return pool_ != nullptr ? pool_->data(id_) : nullptr; }
  std::size_t size() const noexcept { return pool_ != nullptr ? pool_->length(id_) : 0; }
  bool empty() const noexcept { return size() == 0; }
  std::string_view view() const noexcept { return {data(), size()}; }
  std::span<const char> span() const noexcept { return {data(), size()}; }

  /// Gives the bytes back early.
  void reset() noexcept {
    if (pool_ != nullptr) std::exchange(pool_, nullptr)->recycle(id_);
  }

  /// Takes over one taken() buffer.
  buffer(detail::buffer_pool& pool, std::uint32_t id) noexcept : pool_(&pool), id_(id) {}

 private:
  detail::buffer_pool* pool_ = nullptr;
  std::uint32_t id_ = 0;
};

}  // namespace io
SYNFP_END_NAMESPACE
