// SPDX-License-Identifier: MIT
// Received bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include <synfp/io/detail/buffer_pool.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

/// Bytes that belong to its holder until it is destroyed: received ones, in a buffer that the ring gets back
/// then, or a block of their own (allocate(), copy_of()). Use and destroy it on one thread, that of the ring
/// if it received them; it may outlive the ring. Move-only.
class buffer {
 public:
  buffer() noexcept = default;
  buffer(buffer&& other) noexcept : pool_(other.pool_), chunk_(std::exchange(other.chunk_, nullptr)) {}
  buffer& operator=(buffer&& other) noexcept {
    if (this != &other) {
      reset();
      pool_ = other.pool_;
      chunk_ = std::exchange(other.chunk_, nullptr);
    }
    return *this;
  }
  ~buffer() { reset(); }

  /// A block of `size` bytes, not initialised, from the thread's frame_pool. Throws std::bad_alloc.
  static buffer allocate(std::uint32_t size) {
    buffer b;
    b.chunk_ = detail::chunk::make(frame_pool::allocate(detail::chunk::bytes_for(size)), size);
    return b;
  }
  /// A block of its own with these bytes.
  static buffer copy_of(std::string_view bytes) {
    buffer b = allocate(static_cast<std::uint32_t>(bytes.size()));
    std::memcpy(b.data(), bytes.data(), bytes.size());
    return b;
  }

  /// The bytes may be changed in place.
  char* data() noexcept { return chunk_ != nullptr ? chunk_->data : nullptr; }
  const char* data() const noexcept { return chunk_ != nullptr ? chunk_->data : nullptr; }
  std::size_t size() const noexcept { return chunk_ != nullptr ? chunk_->length : 0; }
  bool empty() const noexcept { return size() == 0; }
  std::string_view view() const noexcept { return {data(), size()}; }
  std::span<const char> span() const noexcept { return {data(), size()}; }

  /// Keeps the first `size` bytes, at most as many as there are.
  void shrink(std::uint32_t size) noexcept {
    if (chunk_ != nullptr && size < chunk_->length) chunk_->length = size;
  }

  /// Drops the first `size` bytes, at most as many as there are. Those that stay are moved to the front.
  void remove_prefix(std::size_t size) noexcept {
    if (chunk_ == nullptr || size == 0) return;
    if (size > chunk_->length) size = chunk_->length;
    chunk_->length -= static_cast<std::uint32_t>(size);
    std::memmove(chunk_->data, chunk_->data + size, chunk_->length);
  }

  /// Gives the bytes back early.
  void reset() noexcept {
    if (chunk_ == nullptr) return;
    detail::chunk* const c = std::exchange(chunk_, nullptr);
    if (pool_ != nullptr) {
      pool_->recycle(c);
    } else {
      detail::chunk::deallocate(c);
    }
  }

 private:
  friend class receiver;
  buffer(detail::buffer_pool& pool, detail::chunk* c) noexcept : pool_(&pool), chunk_(c) {}

  detail::buffer_pool* pool_ = nullptr;  // null: a block of its own
  detail::chunk* chunk_ = nullptr;
};

}  // namespace io
SYNFP_END_NAMESPACE
