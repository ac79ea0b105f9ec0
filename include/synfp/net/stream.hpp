// SPDX-License-Identifier: MIT
// A connected TCP socket on a ring.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>
#include <utility>

#include <synfp/endpoint.hpp>
#include <synfp/io/operations.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

namespace detail {

using io::detail::run_node;
using io::detail::run_queue;

enum class wait_end : std::uint8_t { none, canceled, timed_out };

/// What an awaiter leaves in the state while it is suspended.
struct waiter {
  run_node node;
  wait_end end = wait_end::none;
};

/// The part of a connection that outlives its handle: until no reference and no operation is left. It owns
/// the descriptor, the received chunks and the output, so nothing that the kernel still uses is freed early.
///
/// A receive begins only for a reader that waits and has nothing. Once begun as a multishot it may bring
/// chunks before they are asked for; with too many of them it is cancelled. So nobody but a reader ever waits
/// for a buffer.
class stream_state {
 public:
  static stream_state* create(void* memory, io::ring& owner, int fd) noexcept {
    return ::new (memory) stream_state(owner, fd);
  }
  stream_state(const stream_state&) = delete;
  stream_state& operator=(const stream_state&) = delete;

  void acquire() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ != 0) return;
    this->~stream_state();
    io::frame_pool::deallocate(this, sizeof(stream_state));
  }

  io::ring& ring() const noexcept { return *ring_; }
  int fd() const noexcept { return fd_; }
  bool closed() const noexcept { return closed_; }

  void close() noexcept {
    if (closed_) return;
    closed_ = true;
    drop_chunks();
    parked_.unlink();
    wake(reader_, wait_end::canceled);
    wake(writer_, wait_end::canceled);
    if (receiving_) ring_->cancel(receive_);
    if (sending_) ring_->cancel(send_);
    close_when_idle();
  }
  void cancel() noexcept {
    wake(reader_, wait_end::canceled);
    wake(writer_, wait_end::canceled);
  }
  int shutdown_write() noexcept { return closed_ ? EBADF : ::shutdown(fd_, SHUT_WR) == 0 ? 0 : errno; }

  // ---- receiving ----

  /// A read would not wait.
  bool readable() const noexcept { return closed_ || chunks_ != 0 || receive_end_ != going_on; }
  bool has_reader() const noexcept { return reader_ != nullptr; }
  void set_reader(waiter* w) noexcept { reader_ = w; }
  io::timeout& read_timeout() noexcept { return read_timeout_; }

  /// Precondition: readable().
  result<io::buffer> pop() {
    if (closed_) return error{errc::canceled, 0};
    if (chunks_ != 0) {
      io::detail::chunk* c = first_chunk_;
      first_chunk_ = c->next;
      --chunks_;
      return io::buffer(ring_->buffers(), c);
    }
    if (receive_end_ == end_of_stream) return error{errc::closed, 0};
    if (receive_end_ == ECANCELED) return error{errc::canceled, 0};
    return error::from_errno(receive_end_);
  }

  /// The reader that waits has nothing yet. Starts to receive unless that goes on already or has ended.
  void reader_waits() {
    if (!parked_.linked()) start_receive(false);
  }
  /// Only readers wait for a buffer.
  void reader_left() noexcept {
    reader_ = nullptr;
    parked_.unlink();
    parked_.retried = false;
  }

  // ---- sending ----

  io::pool_string& out() noexcept { return out_; }
  bool flushed() const noexcept { return closed_ || send_error_ != 0 || (!sending_ && out_.empty()); }
  bool has_writer() const noexcept { return writer_ != nullptr; }
  void set_writer(waiter* w) noexcept { writer_ = w; }
  io::timeout& write_timeout() noexcept { return write_timeout_; }

  result<void> flush_result() const noexcept {
    if (closed_ || send_error_ == ECANCELED) return error{errc::canceled, 0};
    if (send_error_ != 0) return error::from_errno(send_error_);
    return {};
  }

  /// One send at a time: what the kernel reads from is never appended to.
  void start_send() {
    if (sending_ || flushed()) return;
    in_kernel_.swap(out_);
    sent_ = 0;
    if (ring_->output_begins(output_, in_kernel_.capacity())) {
      send_rest();
    } else {
      fail_send(ENOBUFS);
    }
  }

  /// Ready completions in a row; every so many, the coroutine has to let others run.
  bool must_yield() noexcept {
    if (++ready_in_a_row_ < 32) return false;
    ready_in_a_row_ = 0;
    return true;
  }
  void waited() noexcept { ready_in_a_row_ = 0; }

 private:
  static constexpr int going_on = 0;
  static constexpr int end_of_stream = -1;
  // What a connection keeps of each of its two strings while it sends nothing. More comes from the pool
  // again, which costs little; kept by many idle connections it would be much.
  static constexpr std::size_t most_kept_output = 1024;

  stream_state(io::ring& owner, int fd) noexcept
      : ring_(&owner),
        fd_(fd),
        receive_{&received, this},
        pause_{&paused, this},
        send_{&sent, this},
        parked_(&buffer_may_be_free, this),
        output_(&shed, this),
        read_timeout_(&read_expired, this),
        write_timeout_(&write_expired, this) {}
  ~stream_state() = default;

  // Who has moved a page or more since its last turn waits behind those who have not.
  void wake(waiter* w, wait_end end) noexcept {
    if (w == nullptr || w->node.linked()) return;
    w->end = end;
    w->node.bulk = std::exchange(moved_, 0) >= 4096;
    run_queue::current().push(w->node);
  }
  static void read_expired(void* self) {
    auto& s = *static_cast<stream_state*>(self);
    s.wake(s.reader_, wait_end::timed_out);
  }
  static void write_expired(void* self) {
    auto& s = *static_cast<stream_state*>(self);
    s.wake(s.writer_, wait_end::timed_out);
  }

  // Closing earlier would let the kernel complete on a socket of the same number that is not ours.
  void close_when_idle() noexcept {
    if (closed_ && !receiving_ && !sending_ && fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  static void received(void* self, int result, unsigned flags) {
    auto& s = *static_cast<stream_state*>(self);
    s.on_receive(result, flags);
    if (!io::detail::is_last(flags)) return;
    s.close_when_idle();
    s.release();
  }

  void on_receive(int result, unsigned flags) {
    auto& pool = ring_->buffers();
    const bool last = io::detail::is_last(flags);
    if (last) receiving_ = false;
    if ((flags & IORING_CQE_F_BUFFER) != 0) {  // also a failed or cancelled receive may carry one
      const std::uint32_t id = flags >> IORING_CQE_BUFFER_SHIFT;
      if (result > 0 && !closed_) {
        append_chunk(pool.received(id, static_cast<std::uint32_t>(result)));
      } else {
        pool.unused(id);
      }
    }
    if (closed_) return;
    if (ring_->closing()) {
      drop_chunks();
      end_receive(ECANCELED);
      return;
    }
    if (result > 0) {
      wake(reader_, wait_end::none);
      if (!last && chunks_ >= ring_->limits().unread) pause();
      return;
    }
    if (result == 0) {
      end_receive(end_of_stream);
    } else if (result != -ENOBUFS && result != -ECANCELED && result != -EINTR && result != -EAGAIN) {
      end_receive(-result);
    }
    // It ended before its time. A reader goes on, others when they want to read.
    if (!last || reader_ == nullptr || chunks_ != 0) return;
    if (result == -ENOBUFS && !multishot_) {
      ++ring_->count().parked;
      pool.park(parked_);
    } else {
      start_receive(result == -ENOBUFS);
    }
  }

  /// `ready`: there are bytes, or were when the last receive found no buffer for them.
  void start_receive(bool ready) {
    if (receiving_ || closed_ || receive_end_ != going_on) return;
    auto& pool = ring_->buffers();
    multishot_ = pool.plenty();
    receiving_ = ring_->start(receive_, [&](::io_uring_sqe* sqe) {
      if (multishot_) {
        io_uring_prep_recv_multishot(sqe, fd_, nullptr, 0, 0);
        sqe->buf_group = io::detail::buffer_pool::multishot;
      } else {
        io_uring_prep_recv(sqe, fd_, nullptr, pool.buffer_size(), 0);
        sqe->buf_group = io::detail::buffer_pool::reserve;
        // Without it who has nothing to receive could fail for want of a buffer, and queue up for one.
        if (!ready) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
      }
      sqe->flags |= IOSQE_BUFFER_SELECT;
    });
    if (receiving_) {
      acquire();
    } else {
      end_receive(ECANCELED);
    }
  }
  static void buffer_may_be_free(void* self) { static_cast<stream_state*>(self)->start_receive(true); }

  /// The kernel may not find the receive: between two states, or just ended. If it goes on, the next chunk
  /// asks again.
  void pause() {
    if (pausing_) return;
    pausing_ = ring_->start(pause_, [this](::io_uring_sqe* sqe) {
      io_uring_prep_cancel64(sqe, reinterpret_cast<std::uintptr_t>(&receive_), 0);
    });
    if (!pausing_) return;
    ++ring_->count().paused;
    acquire();
  }
  static void paused(void* self, int, unsigned) {
    auto& s = *static_cast<stream_state*>(self);
    s.pausing_ = false;
    s.release();
  }

  void append_chunk(io::detail::chunk* c) noexcept {
    if (c->id == io::detail::buffer_pool::no_buffer) ++ring_->count().copied;
    (chunks_ == 0 ? first_chunk_ : last_chunk_->next) = c;
    last_chunk_ = c;
    ++chunks_;
    moved_ += c->length;
  }

  void end_receive(int why) noexcept {
    if (receive_end_ == going_on) receive_end_ = why;
    wake(reader_, wait_end::none);
  }

  void drop_chunks() noexcept {
    auto& pool = ring_->buffers();
    for (; chunks_ != 0; --chunks_) {
      io::detail::chunk* c = first_chunk_;
      first_chunk_ = c->next;
      pool.recycle(c);
    }
  }

  void send_rest() {
    sending_ = ring_->start(send_, [this](::io_uring_sqe* sqe) {
      io_uring_prep_send(sqe, fd_, in_kernel_.data() + sent_, in_kernel_.size() - sent_,
                         MSG_NOSIGNAL | MSG_WAITALL);
    });
    if (sending_) {
      acquire();
    } else {
      fail_send(ECANCELED);
    }
  }
  void fail_send(int number) noexcept {
    if (send_error_ == 0) send_error_ = number;
    drop_sent();
    wake(writer_, wait_end::none);
  }

  static void sent(void* self, int result, unsigned flags) {
    auto& s = *static_cast<stream_state*>(self);
    if (!io::detail::is_last(flags)) return;
    s.sending_ = false;
    s.on_sent(result);
    s.close_when_idle();
    s.release();
  }

  void on_sent(int result) {
    if (result >= 0) {
      sent_ += static_cast<std::size_t>(result);
      moved_ += static_cast<std::size_t>(result);
    } else if (result != -EINTR && result != -EAGAIN && send_error_ == 0) {
      send_error_ = -result;
    }
    if (!closed_ && send_error_ == 0 && sent_ < in_kernel_.size()) {
      send_rest();
      if (sending_) return;
    }
    drop_sent();
    if (closed_) return;
    if (writer_ != nullptr) start_send();  // what was appended meanwhile
    if (flushed()) wake(writer_, wait_end::none);
  }
  void drop_sent() noexcept {
    ring_->output_ends(output_);
    if (in_kernel_.capacity() > most_kept_output) {
      io::release(in_kernel_);
    } else {
      in_kernel_.clear();
    }
  }

  /// Others need the memory.
  static void shed(void* self) {
    auto& s = *static_cast<stream_state*>(self);
    if (s.send_error_ == 0) s.send_error_ = ENOBUFS;
    io::release(s.out_);
    s.wake(s.writer_, wait_end::none);
    if (s.sending_) s.ring_->cancel(s.send_);
  }

  io::ring* ring_;
  int fd_;
  unsigned references_ = 1;

  io::detail::operation receive_;
  io::detail::operation pause_;
  io::detail::operation send_;
  io::detail::parked_reader parked_;
  io::detail::sending_output output_;
  io::timeout read_timeout_;
  io::timeout write_timeout_;
  waiter* reader_ = nullptr;
  waiter* writer_ = nullptr;

  std::uint32_t chunks_ = 0;
  io::detail::chunk* first_chunk_ = nullptr;
  io::detail::chunk* last_chunk_ = nullptr;
  std::size_t moved_ = 0;       // bytes in and out since a reader or writer was woken
  int receive_end_ = going_on;  // or end_of_stream, or an errno
  int send_error_ = 0;
  unsigned ready_in_a_row_ = 0;
  bool receiving_ = false;
  bool multishot_ = false;  // how the last receive was begun
  bool pausing_ = false;    // the receive is being cancelled because too much is unread
  bool sending_ = false;
  bool closed_ = false;

  io::pool_string out_;
  io::pool_string in_kernel_;
  std::size_t sent_ = 0;
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

constexpr std::chrono::nanoseconds for_ever = std::chrono::nanoseconds::max();

/// Common to read and flush; `busy`: another awaiter is waiting for the same.
class stream_awaiter {
 public:
  stream_awaiter(stream_state& state, std::chrono::nanoseconds limit) noexcept
      : state_(&state), limit_(limit) {
    state_->acquire();
  }
  stream_awaiter(const stream_awaiter&) = delete;
  stream_awaiter& operator=(const stream_awaiter&) = delete;
  ~stream_awaiter() { state_->release(); }

 protected:
  // To the end of the run queue: the operation is complete, but others shall have their turn.
  void yield() noexcept {
    waiter_.node.bulk = true;
    run_queue::current().push(waiter_.node);
  }
  /// errc::canceled or errc::timed_out, whichever ended the wait.
  error ended() const noexcept {
    return {waiter_.end == wait_end::timed_out ? errc::timed_out : errc::canceled, 0};
  }

  stream_state* state_;
  std::chrono::nanoseconds limit_;
  waiter waiter_;
  bool waiting_ = false;
  bool busy_ = false;
};

class [[nodiscard]] read_awaiter : stream_awaiter {
 public:
  using stream_awaiter::stream_awaiter;
  ~read_awaiter() { leave(); }

  bool await_ready() noexcept {
    busy_ = state_->has_reader();
    return busy_ || (state_->readable() && !state_->must_yield());
  }
  bool await_suspend(std::coroutine_handle<> self) {
    waiter_.node.handle = self;
    state_->set_reader(&waiter_);
    waiting_ = true;
    if (state_->readable()) {
      yield();
      return true;
    }
    state_->waited();
    state_->reader_waits();  // may fail, and then wakes
    if (limit_ != for_ever && !waiter_.node.linked()) state_->ring().arm(state_->read_timeout(), limit_);
    return true;
  }
  result<io::buffer> await_resume() {
    leave();
    if (busy_) return error{errc::invalid, 0};
    if (!state_->readable()) return ended();
    return state_->pop();
  }

 private:
  void leave() noexcept {
    if (!waiting_) return;
    waiting_ = false;
    state_->reader_left();
    if (limit_ != for_ever) state_->ring().disarm(state_->read_timeout());
  }
};

class [[nodiscard]] flush_awaiter : stream_awaiter {
 public:
  using stream_awaiter::stream_awaiter;
  ~flush_awaiter() { leave(); }

  bool await_ready() noexcept {
    busy_ = state_->has_writer();
    return busy_ || (state_->flushed() && !state_->must_yield());
  }
  bool await_suspend(std::coroutine_handle<> self) {
    waiter_.node.handle = self;
    state_->set_writer(&waiter_);
    waiting_ = true;
    if (state_->flushed()) {
      yield();
      return true;
    }
    state_->waited();
    state_->start_send();  // may fail, and then wakes
    if (limit_ != for_ever && !waiter_.node.linked()) state_->ring().arm(state_->write_timeout(), limit_);
    return true;
  }
  result<void> await_resume() noexcept {
    leave();
    if (busy_) return error{errc::invalid, 0};
    if (!state_->flushed()) return ended();
    return state_->flush_result();
  }

 private:
  void leave() noexcept {
    if (!waiting_) return;
    waiting_ = false;
    state_->set_writer(nullptr);
    if (limit_ != for_ever) state_->ring().disarm(state_->write_timeout());
  }
};

}  // namespace detail

/// A connected TCP socket. The handle is move-only and used on its ring's thread; the ring must outlive it.
/// One read and one flush may wait at a time (a second one gets errc::invalid). After a move only assignment
/// and destruction are allowed.
class stream {
 public:
  /// Takes over `fd`; closes it if it throws std::bad_alloc. Nothing is received before the first read().
  stream(io::ring& owner, int fd) {
    detail::stream_memory memory;
    if (!memory.reserve()) {
      ::close(fd);
      io::detail::throw_bad_alloc();
    }
    state_ = detail::stream_state::create(memory.release(), owner, fd);
  }
  /// The same in `memory`, which is reserved.
  stream(io::ring& owner, int fd, detail::stream_memory& memory) noexcept
      : state_(detail::stream_state::create(memory.release(), owner, fd)) {}
  stream(stream&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  stream& operator=(stream&& other) noexcept {
    if (this != &other) {
      reset();
      state_ = std::exchange(other.state_, nullptr);
    }
    return *this;
  }
  /// Closes.
  ~stream() { reset(); }

  io::ring& ring() const noexcept { return state_->ring(); }
  /// -1 once it is closed.
  int fd() const noexcept { return state_->fd(); }

  /// Awaits the next bytes: result<io::buffer>. errc::closed after the peer's last byte, errc::timed_out
  /// after `limit` without any (the stream stays usable), errc::canceled after cancel(), close() or the
  /// ring's end. A dropped read loses nothing: the next one gets the bytes.
  detail::read_awaiter read(std::chrono::nanoseconds limit = detail::for_ever) noexcept {
    return {*state_, limit};
  }

  /// What the next flush sends. It belongs to the connection; append freely, also while a flush waits.
  io::pool_string& out() noexcept { return state_->out(); }
  void write(std::string_view text) { state_->out().append(text); }

  /// Awaits that everything in out() is handed to TCP: result<void>. The kernel's error if the peer is gone;
  /// ENOBUFS if others needed the memory of what the peer did not take (io::limits::output).
  /// errc::timed_out after `limit`: the sending goes on, a later flush waits for the rest, close() ends it.
  detail::flush_awaiter flush(std::chrono::nanoseconds limit = detail::for_ever) noexcept {
    return {*state_, limit};
  }

  /// Ends the waiting read and flush with errc::canceled. Received bytes stay, a send goes on.
  void cancel() noexcept { state_->cancel(); }

  /// Sends FIN after what is flushed; reading stays possible.
  result<void> shutdown_write() noexcept {
    if (const int e = state_->shutdown_write(); e != 0) return error::from_errno(e);
    return {};
  }

  /// Ends everything: waiting calls get errc::canceled, unsent output is dropped, the descriptor is closed as
  /// soon as the kernel has let go of it. With unread bytes the kernel sends RST; see lingering_close().
  void close() noexcept { state_->close(); }

 private:
  void reset() noexcept {
    if (state_ == nullptr) return;
    state_->close();
    std::exchange(state_, nullptr)->release();
  }

  detail::stream_state* state_;
};

/// Flushes, sends FIN, reads and discards until the peer closes, then closes: the peer gets the last response
/// although it was still sending. At most `bytes` and `limit` are spent on it.
inline io::task<> lingering_close(stream connection, std::size_t bytes, std::chrono::nanoseconds limit) {
  using clock = io::ring::clock;
  const auto deadline = io::ring::after(clock::now(), limit);
  const auto flushed = co_await connection.flush(limit);
  if (!flushed || !connection.shutdown_write()) co_return;
  while (true) {
    const auto left = deadline - clock::now();
    if (left <= left.zero()) co_return;
    const auto chunk = co_await connection.read(left);
    if (!chunk || chunk->size() >= bytes) co_return;
    bytes -= chunk->size();
  }
}

namespace detail {

class [[nodiscard]] connect_awaiter : public io::detail::single_awaiter {
 public:
  connect_awaiter(io::ring& owner, int fd, const endpoint& remote) noexcept
      : single_awaiter(owner), fd_(fd), remote_(remote) {}
  bool await_suspend(std::coroutine_handle<> self) {
    io::detail::single_operation o;
    o.address_length = remote_.to_sockaddr(o.address);
    return begin(self, o, [this](::io_uring_sqe* sqe, io::detail::single_operation& mine) {
      io_uring_prep_connect(sqe, fd_, reinterpret_cast<const sockaddr*>(&mine.address), mine.address_length);
    });
  }
  result<void> await_resume() const noexcept {
    if (result_ < 0) return failure();
    return {};
  }

 private:
  int fd_;
  endpoint remote_;
};

}  // namespace detail

/// Awaits a TCP connection to `remote`: result<stream>. Destroying the task cancels the attempt.
inline io::task<result<stream>> connect(io::ring& owner, endpoint remote) {
  const int fd = ::socket(remote.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return error::from_errno(errno);
  stream connection(owner, fd);
  const auto connected = co_await detail::connect_awaiter(owner, fd, remote);
  if (!connected) co_return connected.error();
  co_return std::move(connection);
}

}  // namespace net
SYNFP_END_NAMESPACE
