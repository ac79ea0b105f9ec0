// SPDX-License-Identifier: MIT
// A listening TCP socket on a ring: co_await listener.accept().
#pragma once

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <utility>

#include <synfp/endpoint.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/wait.hpp>
#include <synfp/net/accepted.hpp>
#include <synfp/net/batch.hpp>
#include <synfp/net/detail/listener_state.hpp>
#include <synfp/net/detail/socket_name.hpp>
#include <synfp/net/listener_options.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

/// Move-only; used on its ring's thread. It must outlive an accept() that waits on it, and the ring must
/// outlive it. It stops with its ring.
class listener {
 public:
  /// Takes over `fd`, a TCP socket on which listen() was called, unless it fails. `handler`, if any, must
  /// outlive the listener.
  static setup_result<listener> create(io::ring& owner, int fd, batch_handler* handler = nullptr,
                                       const listener_options& options = {}) {
    endpoint local;
    if (!detail::socket_name(::getsockname, fd, local))
      return setup_error{errno == EAFNOSUPPORT ? errc::invalid : errc::system, errno,
                         "the listener needs a listening TCP socket"};
    int listening = 0;
    socklen_t size = sizeof listening;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0)
      return setup_error{errc::invalid, 0, "the listener needs a listening TCP socket: call listen() first"};
    // Connections inherit it. Responses leave in one send each, so waiting for more to send only delays them.
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.defer_accept > options.defer_accept.zero()) {
      const int seconds =
          static_cast<int>(std::min<std::chrono::seconds::rep>(options.defer_accept.count(), 3600));
      ::setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
    }
    return listener(new detail::listener_state(owner, fd, local, handler, options));
  }

  listener(listener&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  listener& operator=(listener&& other) noexcept {
    if (this != &other) {
      reset();
      state_ = std::exchange(other.state_, nullptr);
    }
    return *this;
  }
  /// Closes at once, which resets connections that were not accepted yet; stop() does not.
  ~listener() { reset(); }

  /// Awaits the next connection: result<accepted>. Fails only when nothing more will come: errc::stopped,
  /// with the kernel's errno in `os` if the socket itself failed. What goes wrong with one connection, and a
  /// shortage of descriptors or memory, is handled inside and counted. Near the limit of descriptors the
  /// connections that have waited longest in http::serve() for a request make room for new ones. One accept()
  /// may wait at a time.
  io::wait_awaiter<detail::next_accepted> accept() noexcept {
    return io::wait_awaiter(detail::next_accepted(*state_));
  }

  /// Takes every connection that the kernel has accepted, closes the socket; accept() gives those, then
  /// errc::stopped.
  void stop() { state_->stop(); }

  io::ring& ring() const noexcept { return state_->ring(); }
  /// What the socket is bound to.
  const endpoint& local() const noexcept { return state_->local(); }
  const listener_counters& counters() const noexcept { return state_->counters(); }
  /// Connections waiting for accept().
  std::size_t ready() const noexcept { return state_->ready(); }
  /// Nothing is left for accept() and nothing will come.
  bool stopped() const noexcept { return state_->stopped(); }
  /// The errno with which the socket failed by itself, or 0.
  int failure() const noexcept { return state_->failure(); }

 private:
  explicit listener(detail::listener_state* state) noexcept : state_(state) {}
  void reset() noexcept {
    if (state_ != nullptr) std::exchange(state_, nullptr)->abandon();
  }

  detail::listener_state* state_;
};

}  // namespace net
SYNFP_END_NAMESPACE
