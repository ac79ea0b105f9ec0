// SPDX-License-Identifier: MIT
// The receiving half of a connection: bytes come into the buffers of the ring, within limits.
#pragma once

#include <liburing.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/detail/buffer_pool.hpp>
#include <synfp/io/operation.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/wait.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

/// Receives from one socket. A member of an operation_owner, which it keeps alive while the kernel may use
/// it; on the ring's thread.
///
/// A receive begins only for a coroutine that waits and has nothing. The first brings one chunk: many
/// connections are over with it, and have nothing to cancel then. The others are multishots, which may bring
/// chunks before they are asked for; with limits::unread of them one is cancelled. So only coroutines that
/// wait for bytes ever wait for a buffer.
class receiver {
 public:
  receiver(ring& owner, int fd, operation_owner& part_of) noexcept
      : ring_(&owner),
        fd_(fd),
        part_of_(&part_of),
        slot_(owner),
        receive_{&received, this},
        pause_{&paused, this},
        parked_(&buffer_may_be_free, this) {}
  receiver(const receiver&) = delete;
  receiver& operator=(const receiver&) = delete;

  /// Where a coroutine waits until ready(): see wait_awaiter.
  wait_slot& slot() noexcept { return slot_; }
  /// pop() has an answer: bytes, or why none will come.
  bool ready() const noexcept { return closed_ || chunks_ != 0 || end_ != going_on; }
  /// A coroutine waits and has nothing. Starts to receive, unless that goes on already. May wake.
  void begin() {
    if (!parked_.linked()) start(false);
  }
  /// It does not wait any more.
  void left() noexcept {
    parked_.unlink();
    parked_.retried = false;
  }
  /// The next bytes. errc::closed after the last ones, errc::canceled after close() and at the ring's end, or
  /// the kernel's error. Precondition: ready().
  result<buffer> pop() {
    if (closed_) return error{errc::canceled, 0};
    if (chunks_ != 0) {
      detail::chunk* c = first_;
      first_ = c->next;
      --chunks_;
      return buffer(*ring_->buffers_, c);
    }
    if (end_ == end_of_stream) return error{errc::closed, 0};
    if (end_ == ECANCELED) return error{errc::canceled, 0};
    return error::from_errno(end_);
  }

  /// `rest` was popped here and is what the next pop() gives. Not while a coroutine waits.
  void unread(buffer rest) noexcept {
    if (closed_ || rest.empty()) return;
    detail::chunk* const c = std::exchange(rest.chunk_, nullptr);
    c->next = chunks_ == 0 ? nullptr : first_;
    if (chunks_ == 0) last_ = c;
    first_ = c;
    ++chunks_;
  }

  /// Drops what is unread and ends the receive; the waiting coroutine gets errc::canceled.
  void close() noexcept {
    closed_ = true;
    drop_chunks();
    parked_.unlink();
    slot_.cancel();
    if (receiving_) ring_->cancel(receive_);
  }
  /// The kernel does not use the socket for it: after close() the descriptor may be closed.
  bool idle() const noexcept { return !receiving_; }

 private:
  static constexpr int going_on = 0;
  static constexpr int end_of_stream = -1;

  static void received(void* self, int result, unsigned flags) {
    auto& r = *static_cast<receiver*>(self);
    r.on_receive(result, flags);
    if (is_last(flags)) r.part_of_->end_operation();
  }

  void on_receive(int result, unsigned flags) {
    auto& pool = *ring_->buffers_;
    const bool last = is_last(flags);
    if (last) receiving_ = false;
    if ((flags & IORING_CQE_F_BUFFER) != 0) {  // also a failed or cancelled receive may carry one
      const std::uint32_t id = flags >> IORING_CQE_BUFFER_SHIFT;
      if (result > 0 && !closed_) {
        append(pool.received(id, static_cast<std::uint32_t>(result)));
      } else {
        pool.unused(id);
      }
    }
    if (closed_) {
      if (!last) ring_->cancel(receive_);  // it was not found: see pause()
      return;
    }
    if (ring_->closing()) {
      drop_chunks();
      end(ECANCELED);
      return;
    }
    if (result > 0) {
      wake();
      if (!last && chunks_ >= ring_->limits_.unread) pause();
      return;
    }
    if (result == 0) {
      end(end_of_stream);
    } else if (result != -ENOBUFS && result != -ECANCELED && result != -EINTR && result != -EAGAIN) {
      end(-result);
    }
    // It ended before its time. A coroutine that waits goes on, others when they want to read.
    if (!last || !slot_.taken() || chunks_ != 0) return;
    if (result == -ENOBUFS && from_reserve_) {
      ++ring_->counters_.parked;
      pool.park(parked_);
    } else {
      start(result == -ENOBUFS);
    }
  }

  /// `bytes_wait`: there are some, or were when the last receive found no buffer for them.
  void start(bool bytes_wait) {
    if (receiving_ || closed_ || end_ != going_on) return;
    auto& pool = *ring_->buffers_;
    from_reserve_ = !pool.plenty();
    const bool once = from_reserve_ || !std::exchange(begun_, true);
    receiving_ = ring_->start(receive_, [&](::io_uring_sqe* sqe) {
      if (once) {
        io_uring_prep_recv(sqe, fd_, nullptr, pool.buffer_size(), 0);
      } else {
        io_uring_prep_recv_multishot(sqe, fd_, nullptr, 0, 0);
      }
      // The reserve may be empty. Without the flag a connection that has nothing to receive could fail for
      // want of a buffer, and queue for one.
      if (from_reserve_ && !bytes_wait) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
      sqe->buf_group = from_reserve_ ? detail::buffer_pool::reserve : detail::buffer_pool::multishot;
      sqe->flags |= IOSQE_BUFFER_SELECT;
    });
    if (receiving_) {
      part_of_->acquire();
    } else {
      end(ECANCELED);
    }
  }
  static void buffer_may_be_free(void* self) { static_cast<receiver*>(self)->start(true); }

  /// The kernel may not find the receive: it is between two states, or has just ended. If it goes on, the
  /// next chunk asks again.
  void pause() {
    if (pausing_) return;
    pausing_ = ring_->start(pause_, [this](::io_uring_sqe* sqe) {
      io_uring_prep_cancel64(sqe, reinterpret_cast<std::uintptr_t>(&receive_), 0);
    });
    if (!pausing_) return;
    ++ring_->counters_.paused;
    part_of_->acquire();
  }
  static void paused(void* self, int, unsigned) {
    auto& r = *static_cast<receiver*>(self);
    r.pausing_ = false;
    r.part_of_->release();
  }

  void append(detail::chunk* c) noexcept {
    if (c->id == detail::chunk::no_buffer) ++ring_->counters_.copied;
    (chunks_ == 0 ? first_ : last_->next) = c;
    last_ = c;
    ++chunks_;
    moved_ += c->length;
  }
  void drop_chunks() noexcept {
    auto& pool = *ring_->buffers_;
    for (; chunks_ != 0; --chunks_) {
      detail::chunk* c = first_;
      first_ = c->next;
      pool.recycle(c);
    }
  }

  void end(int why) noexcept {
    if (end_ == going_on) end_ = why;
    wake();
  }
  // A connection that has received a page or more since its last turn resumes after those that have not.
  void wake() noexcept { slot_.wake(std::exchange(moved_, 0) >= 4096); }

  ring* ring_;
  int fd_;
  operation_owner* part_of_;
  wait_slot slot_;
  operation receive_;
  operation pause_;
  detail::parked_reader parked_;
  std::uint32_t chunks_ = 0;
  detail::chunk* first_ = nullptr;
  detail::chunk* last_ = nullptr;
  std::size_t moved_ = 0;  // bytes since the coroutine was woken
  int end_ = going_on;     // or end_of_stream, or an errno
  bool receiving_ = false;
  bool begun_ = false;         // a receive was
  bool from_reserve_ = false;  // where the last one takes its buffer
  bool pausing_ = false;       // the receive is being cancelled because too much is unread
  bool closed_ = false;
};

}  // namespace io
SYNFP_END_NAMESPACE
