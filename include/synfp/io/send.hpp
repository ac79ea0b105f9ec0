// SPDX-License-Identifier: MIT
// The sending half of a connection: output is collected, then handed to TCP in one piece, within limits.
#pragma once

#include <liburing.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <new>
#include <string_view>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/operation.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/wait.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

/// Sends to one socket. A member of an operation_owner, which it keeps alive while the kernel may use it; on
/// the ring's thread. One send at a time: what the kernel reads from is never appended to.
class sender {
 public:
  sender(ring& owner, int fd, operation_owner& part_of) noexcept
      : ring_(&owner), fd_(fd), part_of_(&part_of), slot_(owner), send_{&sent, this}, output_(&shed, this) {}
  sender(const sender&) = delete;
  sender& operator=(const sender&) = delete;
  ~sender() {
    if (body_ != nullptr) drop_body();
  }

  /// What is sent next. Append freely, also during a send.
  pool_string& out() {
    if (body_ != nullptr && !body_->sending) append_body();
    return out_;
  }
  /// Sends `bytes`, a pool_string or a buffer, after what is in out(). Long ones are taken over, not copied.
  template <class Bytes>
  void write(Bytes bytes) {
    if (bytes.size() < least_taken || body_ != nullptr || sending_) {
      out().append(bytes.data(), bytes.size());
      return;
    }
    body_ = ::new (frame_pool::allocate(sizeof(body))) body(std::move(bytes));
  }

  /// Where a coroutine waits until ready(): see wait_awaiter.
  wait_slot& slot() noexcept { return slot_; }
  /// All of out() was handed to TCP, or never will be.
  bool ready() const noexcept {
    return closed_ || error_ != 0 || (!sending_ && out_.empty() && body_ == nullptr);
  }
  /// Starts to send out() unless a send goes on; that one is followed by the rest as long as a coroutine
  /// waits. May wake.
  void begin() {
    if (sending_ || ready()) return;
    in_kernel_.swap(out_);
    sent_ = 0;
    size_ = in_kernel_.size();
    std::size_t memory = in_kernel_.capacity();
    if (body_ != nullptr) {
      body_->sending = true;
      size_ += body_->bytes.size();
      memory += body_->memory();
    }
    if (ring_->output_begins(output_, memory)) {
      send_rest();
    } else {
      fail(ENOBUFS);
    }
  }
  /// Success, errc::canceled after close() and at the ring's end, or the kernel's error; ENOBUFS if others
  /// needed the memory (limits::output). Precondition: ready(), or it was when the waiting coroutine was
  /// woken.
  result<void> outcome() const noexcept {
    if (closed_ || error_ == ECANCELED) return error{errc::canceled, 0};
    if (error_ != 0) return error::from_errno(error_);
    return {};
  }

  /// Ends the send; what is not sent is dropped, and the waiting coroutine gets errc::canceled.
  void close() noexcept {
    closed_ = true;
    slot_.cancel();
    if (sending_) ring_->cancel(send_);
  }
  /// The kernel does not use the socket for it: after close() the descriptor may be closed.
  bool idle() const noexcept { return !sending_; }

 private:
  // What a connection keeps of each of its two strings while it sends nothing. More comes from the pool
  // again, which costs little; kept by many idle connections it would be much.
  static constexpr std::size_t kept_output = 1024;

  // A text shorter than this is copied behind the others.
  static constexpr std::size_t least_taken = 16 * 1024;

  /// What is sent after the string, and what sendmsg() needs for the two. Few connections have one.
  struct body {
    explicit body(pool_string t) noexcept : text(std::move(t)), bytes(text) {}
    explicit body(buffer b) noexcept : block(std::move(b)), bytes(block.view()) {}
    body(const body&) = delete;
    body& operator=(const body&) = delete;
    ~body() = default;
    std::size_t memory() const noexcept { return block.empty() ? text.capacity() : block.size(); }

    pool_string text;  // either this holds the bytes
    buffer block;      // or this
    std::string_view bytes;
    bool sending = false;
    ::iovec pieces[2]{};
    ::msghdr message{};
  };

  void send_rest() {
    sending_ = ring_->start(send_, [this](::io_uring_sqe* sqe) {
      constexpr int flags = MSG_NOSIGNAL | MSG_WAITALL;
      const std::size_t head = in_kernel_.size();
      if (body_ == nullptr) {
        io_uring_prep_send(sqe, fd_, in_kernel_.data() + sent_, head - sent_, flags);
      } else if (sent_ >= head) {
        io_uring_prep_send(sqe, fd_, body_->bytes.data() + (sent_ - head), size_ - sent_, flags);
      } else {
        body_->pieces[0] = {in_kernel_.data() + sent_, head - sent_};
        body_->pieces[1] = {const_cast<char*>(body_->bytes.data()), body_->bytes.size()};
        body_->message.msg_iov = body_->pieces;
        body_->message.msg_iovlen = 2;
        io_uring_prep_sendmsg(sqe, fd_, &body_->message, flags);
      }
    });
    if (sending_) {
      part_of_->acquire();
    } else {
      fail(ECANCELED);
    }
  }
  void fail(int number) noexcept {
    if (error_ == 0) error_ = number;
    drop_sent();
    wake();
  }

  static void sent(void* self, int result, unsigned flags) {
    auto& s = *static_cast<sender*>(self);
    if (!is_last(flags)) return;
    s.sending_ = false;
    s.on_sent(result);
    s.part_of_->end_operation();
  }
  void on_sent(int result) {
    if (result >= 0) {
      sent_ += static_cast<std::size_t>(result);
      moved_ += static_cast<std::size_t>(result);
    } else if (result != -EINTR && result != -EAGAIN && error_ == 0) {
      error_ = -result;
    }
    if (!closed_ && error_ == 0 && sent_ < size_) {
      send_rest();
      if (sending_) return;
    }
    drop_sent();
    if (closed_) return;
    if (slot_.taken()) begin();  // what was appended meanwhile
    if (ready()) wake();
  }
  void drop_sent() noexcept {
    ring_->output_ends(output_);
    if (body_ != nullptr && body_->sending) drop_body();
    if (in_kernel_.capacity() > kept_output) {
      io::release(in_kernel_);
    } else {
      in_kernel_.clear();
    }
  }
  void drop_body() noexcept {
    body* const b = std::exchange(body_, nullptr);
    b->~body();
    frame_pool::deallocate(b, sizeof(body));
  }
  void append_body() {
    out_.append(body_->bytes);
    drop_body();
  }
  /// Others need the memory.
  static void shed(void* self) {
    auto& s = *static_cast<sender*>(self);
    if (s.error_ == 0) s.error_ = ENOBUFS;
    io::release(s.out_);
    if (s.body_ != nullptr && !s.sending_) s.drop_body();
    s.wake();
    if (s.sending_) s.ring_->cancel(s.send_);
  }
  // A connection that has sent a page or more since its last turn resumes after those that have not. More may
  // have been appended by then: that is for another flush.
  void wake() noexcept { slot_.finish(std::exchange(moved_, 0) >= 4096); }

  ring* ring_;
  int fd_;
  operation_owner* part_of_;
  wait_slot slot_;
  operation send_;
  detail::sending_output output_;
  pool_string out_;
  pool_string in_kernel_;
  body* body_ = nullptr;  // its text goes after out_, or after in_kernel_ while it is sent
  std::size_t sent_ = 0;
  std::size_t size_ = 0;   // of what is in the kernel
  std::size_t moved_ = 0;  // bytes since the coroutine was woken
  int error_ = 0;
  bool sending_ = false;
  bool closed_ = false;
};

}  // namespace io
SYNFP_END_NAMESPACE
