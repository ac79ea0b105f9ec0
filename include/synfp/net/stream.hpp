// SPDX-License-Identifier: MIT
// A connected TCP socket on a ring.
#pragma once

#include <unistd.h>

#include <chrono>
#include <string_view>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/io/wait.hpp>
#include <synfp/net/detail/stream_state.hpp>
#include <synfp/net/transport.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

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
  ///
  /// Give it a limit. Before 7.0 the kernel may lose a reset that comes together with data: its multishot
  /// receive reports the data, and then nothing, for ever (liburing issue 1549, Linux commit a68ed2df7213).
  /// http::serve() always has one.
  io::wait_awaiter<detail::received_bytes> read(std::chrono::nanoseconds limit = io::for_ever) noexcept {
    return io::wait_awaiter(detail::received_bytes(*state_), limit);
  }

  /// Gives back what the last read() brought, or the end of it: the next read() brings it again.
  void unread(io::buffer rest) noexcept { state_->input().unread(std::move(rest)); }

  /// What the next flush sends. It belongs to the connection; append freely, also while a flush waits.
  io::pool_string& out() { return state_->output().out(); }
  void write(std::string_view text) { out().append(text); }
  void write(const char* text) { out().append(text); }
  /// The same, and a long text is taken over and sent from where it is, unless out() is asked for before the
  /// flush.
  void write(io::pool_string&& text) { state_->output().write(std::move(text)); }
  void write(io::buffer&& bytes) { state_->output().write(std::move(bytes)); }

  /// Awaits that everything in out() is handed to TCP: result<void>. The kernel's error if the peer is gone;
  /// ENOBUFS if others needed the memory of what the peer did not take (io::limits::output).
  /// errc::timed_out after `limit`: the sending goes on, a later flush waits for the rest, close() ends it.
  io::wait_awaiter<detail::sent_output> flush(std::chrono::nanoseconds limit = io::for_ever) noexcept {
    return io::wait_awaiter(detail::sent_output(*state_), limit);
  }

  /// The kernel is sending what was in out().
  bool sending() const noexcept { return !state_->output().idle(); }

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
  /// The same, and the peer gets RST instead of FIN: what it has received is not all.
  void abort() noexcept {
    state_->reset_at_close();
    state_->close();
  }

 private:
  void reset() noexcept {
    if (state_ == nullptr) return;
    state_->close();
    std::exchange(state_, nullptr)->release();
  }

  detail::stream_state* state_;
};
static_assert(transport<stream>);

}  // namespace net
SYNFP_END_NAMESPACE
