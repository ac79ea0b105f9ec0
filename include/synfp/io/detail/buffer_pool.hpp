// SPDX-License-Identifier: MIT
// The receive buffers of a ring, which the kernel fills, and copies of what was in them.
#pragma once

#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include <synfp/io/detail/list.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io::detail {

/// Received bytes: in a buffer of the ring, or in a block of their own.
struct chunk {
  chunk* next = nullptr;  // links the chunks of a connection, so that queueing them needs no memory
  char* data = nullptr;
  std::uint32_t length = 0;
  std::uint32_t id = 0;    // of the buffer, or no_buffer
  std::uint32_t size = 0;  // of a block of its own: the bytes allocated after this struct

  static constexpr std::uint32_t no_buffer = ~std::uint32_t{0};

  /// A block of its own, of bytes_for(size) bytes of memory from frame_pool.
  static chunk* make(void* memory, std::uint32_t size) noexcept {
    return ::new (memory) chunk{nullptr, static_cast<char*>(memory) + sizeof(chunk), size, no_buffer, size};
  }
  static std::size_t bytes_for(std::uint32_t size) noexcept { return sizeof(chunk) + size; }
  static void deallocate(chunk* c) noexcept { frame_pool::deallocate(c, bytes_for(c->size)); }
};

/// A reader whose receive found no buffer. `retry` is called once when there may be one.
class parked_reader : public list_link {
 public:
  parked_reader(void (*retry_function)(void*), void* retry_context) noexcept
      : retry(retry_function), context(retry_context) {}
  void (*retry)(void*);
  void* context;
  bool retried = false;
};

/// The provided buffers, in two groups. A multishot receive costs least, but the kernel gives it as many
/// buffers as the peer fills, whether anybody reads or not. So it takes from one group, `multishot`, and only
/// while half of that is there. Whoever waits for bytes beyond that asks for one buffer of the other,
/// `reserve`. No buffer stays in the reserve's way: when half of them are out, what arrives is copied at
/// once. So a connection that is never read cannot keep a reader from its bytes, and what all of them hold is
/// bounded by the pool and by the limit for copies.
///
/// It outlives its ring while leases are out.
class buffer_pool {
 public:
  static constexpr std::uint16_t multishot = 0;
  static constexpr std::uint16_t reserve = 1;

  /// Null and errno if there is no memory. `count`: a power of two up to 32768. `most_copied`: bytes.
  static buffer_pool* create(std::uint32_t count, std::uint32_t size, std::size_t most_copied) noexcept {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    // Both rings begin at a page, as the kernel wants it.
    const std::size_t ring = (count * sizeof(io_uring_buf) + page - 1) / page * page;
    const std::size_t total = 2 * ring + std::size_t{count} * size;
    void* memory = ::mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* chunks = new (std::nothrow) chunk[count];
    auto* pool = chunks == nullptr ? nullptr
                                   : new (std::nothrow)
                                         buffer_pool(memory, total, ring, chunks, count, size, most_copied);
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
    for (std::uint16_t i = 0; i != 2; ++i) {
      io_uring_buf_reg registration{};
      registration.ring_addr = reinterpret_cast<std::uintptr_t>(groups_[i].ring);
      registration.ring_entries = groups_[i].entries;
      registration.bgid = i;
      const int r = io_uring_register_buf_ring(&ring, &registration, 0);
      if (r < 0) return r;
      io_uring_buf_ring_init(groups_[i].ring);
    }
    for (std::uint32_t id = 0; id != count_; ++id) give(id);
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
  std::size_t leased() const noexcept {
    return groups_[multishot].leased + groups_[reserve].leased + copies_;
  }
  std::uint32_t buffer_size() const noexcept { return size_; }
  /// A multishot receive may begin.
  bool plenty() const noexcept { return groups_[multishot].leased < (groups_[multishot].count + 1) / 2; }

  /// The kernel has filled buffer `id` of `group`. The chunk is a lease of it, or a copy.
  chunk* received(std::uint32_t id, std::uint32_t length) noexcept {
    chunk& c = chunks_[id];
    c.next = nullptr;
    c.length = length;
    group& g = group_of(id);
    ++g.leased;
    if (&g == &groups_[reserve] && g.leased > g.count / 2) {
      if (chunk* copy = copy_of(c)) {
        recycle(&c);
        return copy;
      }
    }
    return &c;
  }
  /// The kernel gives buffer `id` back unused.
  void unused(std::uint32_t id) noexcept {
    ++group_of(id).leased;
    recycle(&chunks_[id]);
  }

  /// Takes a chunk back, and lets one parked reader try again if that helps it.
  void recycle(chunk* c) noexcept {
    if (c->id == chunk::no_buffer) {
      --copies_;
      copied_ -= c->size;
      chunk::deallocate(c);
    } else {
      --group_of(c->id).leased;
      if (!abandoned_) {
        give(c->id);
        if (c->id >= groups_[multishot].count || plenty()) retry_one();
      }
    }
    if (abandoned_) delete_if_unused();
  }

  /// Readers that have been retried before go ahead of those that have not.
  void park(parked_reader& reader) noexcept {
    if (reader.linked()) return;
    if (reader.retried) {
      parked_.push_front(reader);
    } else {
      parked_.push_back(reader);
    }
  }
  /// Once per turn. Buffers may have come back between the kernel's ENOBUFS and the moment it was read, and
  /// then no later recycle() would wake the reader that parked.
  void retry_parked() noexcept {
    const auto free_of = [](const group& g) { return g.count - g.leased; };
    std::uint32_t free = free_of(groups_[reserve]) + (plenty() ? free_of(groups_[multishot]) : 0);
    for (; free != 0 && !parked_.empty(); --free) retry_one();
  }

 private:
  struct group {
    io_uring_buf_ring* ring;
    std::uint32_t entries;  // of the ring, a power of two
    std::uint32_t count;    // of the buffers
    std::uint32_t leased = 0;
  };

  buffer_pool(void* memory, std::size_t total, std::size_t ring, chunk* chunks, std::uint32_t count,
              std::uint32_t size, std::size_t most_copied) noexcept
      : memory_(static_cast<char*>(memory)),
        total_(total),
        chunks_(chunks),
        count_(count),
        size_(size),
        most_copied_(most_copied) {
    const std::uint32_t reserved = count < 4 ? 1 : count / 4;
    groups_[multishot] = {reinterpret_cast<io_uring_buf_ring*>(memory_), count, count - reserved};
    groups_[reserve] = {reinterpret_cast<io_uring_buf_ring*>(memory_ + ring), reserved, reserved};
    for (std::uint32_t id = 0; id != count; ++id) {
      chunks_[id].id = id;
      chunks_[id].data = memory_ + 2 * ring + std::size_t{id} * size;
    }
  }
  ~buffer_pool() {
    delete[] chunks_;
    ::munmap(memory_, total_);
  }

  void delete_if_unused() noexcept {
    if (leased() == 0) delete this;
  }
  group& group_of(std::uint32_t id) noexcept {
    return groups_[id < groups_[multishot].count ? multishot : reserve];
  }
  void give(std::uint32_t id) noexcept {
    const group& g = group_of(id);
    io_uring_buf_ring_add(g.ring, chunks_[id].data, size_, static_cast<unsigned short>(id),
                          static_cast<int>(g.entries - 1), 0);
    io_uring_buf_ring_advance(g.ring, 1);
  }
  /// Null if the limit is reached or there is no memory.
  chunk* copy_of(const chunk& c) noexcept {
    if (copied_ + c.length > most_copied_) return nullptr;
    void* const memory = frame_pool::try_allocate(chunk::bytes_for(c.length));
    if (memory == nullptr) return nullptr;
    chunk* const copy = chunk::make(memory, c.length);
    std::memcpy(copy->data, c.data, c.length);
    ++copies_;
    copied_ += c.length;
    return copy;
  }
  void retry_one() noexcept {
    if (list_link* l = parked_.pop_front()) {
      auto& reader = *static_cast<parked_reader*>(l);
      reader.retried = true;
      reader.retry(reader.context);
    }
  }

  char* memory_;
  std::size_t total_;
  chunk* chunks_;
  std::uint32_t count_;
  std::uint32_t size_;
  group groups_[2]{};
  std::size_t most_copied_;  // bytes, as the next
  std::size_t copied_ = 0;
  std::size_t copies_ = 0;
  bool abandoned_ = false;
  list parked_;
};

}  // namespace io::detail
SYNFP_END_NAMESPACE
