// SPDX-License-Identifier: MIT
// Listening sockets that somebody else has bound: a service manager, or the process before this one.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <synfp/detail/owned_fd.hpp>
#include <synfp/endpoint.hpp>
#include <synfp/net/detail/socket_name.hpp>
#include <synfp/service/inherited.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

/// Listening TCP sockets on their way to a server. The kernel goes on to complete handshakes on them while
/// nobody accepts, so that connections wait for a process that is being replaced. Move-only; closes what was
/// not taken.
class listening_sockets {
 public:
  listening_sockets() noexcept = default;
  listening_sockets(listening_sockets&& other) noexcept : all_(std::exchange(other.all_, {})) {}
  listening_sockets& operator=(listening_sockets&& other) noexcept {
    std::swap(all_, other.all_);
    return *this;
  }
  ~listening_sockets() {
    for (const one& each : all_) ::close(each.fd);
  }

  /// Those of service::take_inherited(). Refuses them all if one is no listening TCP socket.
  static setup_result<listening_sockets> from_manager() {
    auto handed_in = service::take_inherited();
    if (!handed_in) return std::move(handed_in).error();
    listening_sockets sockets;
    setup_result<void> outcome;
    for (const service::inherited& each : *handed_in) {
      auto added = sockets.add(each.fd, each.name);
      if (!added && outcome) outcome = std::move(added);
    }
    if (!outcome) return std::move(outcome).error();
    return sockets;
  }

  /// Takes over `fd`, also if it refuses it, with a sentence that calls it `name`. It becomes non-blocking:
  /// it may be shared with threads and processes that accept at the same time.
  setup_result<void> add(int fd, const std::string& name) {
    synfp::detail::owned_fd owned(fd);
    one next{fd, {}};
    const char* wrong = nullptr;
    int number = 0;
    if (!option(fd, SO_TYPE, number)) {
      wrong = "is not a socket: hand in listening TCP sockets only";
    } else if (number != SOCK_STREAM) {
      wrong = "is a datagram socket: write ListenStream=, not ListenDatagram=";
    } else if (!option(fd, SO_DOMAIN, number) || (number != AF_INET && number != AF_INET6)) {
      wrong = "is not an IP socket: write ListenStream= with an address and a port, or with a port";
    } else if (!option(fd, SO_PROTOCOL, number) || number != IPPROTO_TCP) {
      wrong = "is not a TCP socket: leave SocketProtocol= out, MPTCP has no SYN to show";
    } else if (!option(fd, SO_ACCEPTCONN, number) || number == 0) {
      wrong = "does not listen: write Accept=no, a server accepts by itself";
    } else if (!detail::socket_name(::getsockname, fd, next.local)) {
      wrong = "has no address";
    }
    if (wrong != nullptr) {
      return setup_error{errc::invalid, 0,
                         "the socket that was handed in as descriptor " + std::to_string(fd) +
                             (name.empty() ? "" : " (" + name + ")") + ' ' + wrong};
    }
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    all_.push_back(next);
    (void)owned.release();
    return {};
  }

  bool empty() const noexcept { return all_.empty(); }
  std::size_t size() const noexcept { return all_.size(); }

  /// What they listen on, each address once, in order.
  std::vector<endpoint> addresses() const {
    std::vector<endpoint> each_once;
    for (const one& each : all_) {
      bool known = false;
      for (const endpoint& before : each_once) known = known || before == each.local;
      if (!known) each_once.push_back(each.local);
    }
    return each_once;
  }

  /// Those that listen on `at`, which are the caller's from now on.
  std::vector<int> take(const endpoint& at) {
    std::vector<int> taken;
    std::vector<one> left;
    for (const one& each : all_) {
      if (each.local == at) {
        taken.push_back(each.fd);
      } else {
        left.push_back(each);
      }
    }
    all_ = std::move(left);
    return taken;
  }

 private:
  struct one {
    int fd;
    endpoint local;
  };

  static bool option(int fd, int which, int& value) noexcept {
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, which, &value, &size) == 0;
  }

  std::vector<one> all_;
};

}  // namespace net
SYNFP_END_NAMESPACE
