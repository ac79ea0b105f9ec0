// SPDX-License-Identifier: MIT
// The part of a connection that outlives its handle.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/operation.hpp>
#include <synfp/io/receive.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/send.hpp>
#include <synfp/io/wait.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net::detail {

/// Lives until neither a handle nor an operation is left. It owns the descriptor, the received chunks and the
/// output, so nothing that the kernel still uses is freed early.
class stream_state final : public io::operation_owner {
 public:
  static stream_state* create(void* memory, io::ring& owner, int fd) noexcept {
    return ::new (memory) stream_state(owner, fd);
  }

  io::ring& ring() const noexcept { return *ring_; }
  int fd() const noexcept { return fd_; }
  io::receiver& input() noexcept { return input_; }
  io::sender& output() noexcept { return output_; }

  void close() noexcept {
    if (closed_) return;
    closed_ = true;
    input_.close();
    output_.close();
    close_when_idle();
  }
  void reset_at_close() noexcept {
    constexpr ::linger at_once{.l_onoff = 1, .l_linger = 0};
    if (!closed_) (void)::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  void cancel() noexcept {
    input_.slot().cancel();
    output_.slot().cancel();
  }
  int shutdown_write() noexcept { return closed_ ? EBADF : ::shutdown(fd_, SHUT_WR) == 0 ? 0 : errno; }

 private:
  stream_state(io::ring& owner, int fd) noexcept
      : operation_owner(&operation_ended, &destroy),
        ring_(&owner),
        fd_(fd),
        input_(owner, fd, *this),
        output_(owner, fd, *this) {}
  ~stream_state() = default;

  static void operation_ended(io::operation_owner& self) noexcept {
    static_cast<stream_state&>(self).close_when_idle();
  }
  static void destroy(io::operation_owner& self) noexcept {
    auto& state = static_cast<stream_state&>(self);
    state.~stream_state();
    io::frame_pool::deallocate(&state, sizeof(stream_state));
  }
  // Closing earlier would let the kernel complete on a socket of the same number that is not ours.
  void close_when_idle() noexcept {
    if (!closed_ || fd_ < 0 || !input_.idle() || !output_.idle()) return;
    ring_->close_fd(std::exchange(fd_, -1));
    ++closed_descriptors;
  }

  io::ring* ring_;
  int fd_;
  bool closed_ = false;
  io::receiver input_;
  io::sender output_;
};

/// A reference to a stream_state.
class stream_ref {
 public:
  explicit stream_ref(stream_state& state) noexcept : state_(&state) { state.acquire(); }
  stream_ref(stream_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  stream_ref& operator=(stream_ref&&) = delete;
  ~stream_ref() {
    if (state_ != nullptr) state_->release();
  }
  stream_state* operator->() const noexcept { return state_; }

 private:
  stream_state* state_;
};

/// What stream::read() waits for.
class received_bytes {
 public:
  explicit received_bytes(stream_state& state) noexcept : state_(state) {}
  io::wait_slot& slot() noexcept { return state_->input().slot(); }
  bool ready() const noexcept { return state_->input().ready(); }
  void begin() { state_->input().begin(); }
  void left() noexcept { state_->input().left(); }
  result<io::buffer> get() { return state_->input().pop(); }

 private:
  stream_ref state_;
};

/// What stream::flush() waits for.
class sent_output {
 public:
  explicit sent_output(stream_state& state) noexcept : state_(state) {}
  io::wait_slot& slot() noexcept { return state_->output().slot(); }
  bool ready() const noexcept { return state_->output().ready(); }
  void begin() { state_->output().begin(); }
  void left() noexcept {}
  result<void> get() noexcept { return state_->output().outcome(); }

 private:
  stream_ref state_;
};

/// Memory for one connection, so that taking it over cannot fail.
class stream_memory {
 public:
  stream_memory() noexcept = default;
  stream_memory(const stream_memory&) = delete;
  stream_memory& operator=(const stream_memory&) = delete;
  ~stream_memory() {
    if (memory_ != nullptr) io::frame_pool::deallocate(memory_, sizeof(stream_state));
  }

  bool reserved() const noexcept { return memory_ != nullptr; }
  bool reserve() noexcept {
    if (memory_ == nullptr) memory_ = io::frame_pool::try_allocate(sizeof(stream_state));
    return reserved();
  }
  void* release() noexcept { return std::exchange(memory_, nullptr); }

 private:
  void* memory_ = nullptr;
};

}  // namespace net::detail
SYNFP_END_NAMESPACE
