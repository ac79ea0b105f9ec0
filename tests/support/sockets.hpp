// SPDX-License-Identifier: MIT
// Blocking TCP sockets for system tests, in the network namespace of the calling thread. They throw what
// fails.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <synfp/endpoint.hpp>

#include "../../tools/support/fd.hpp"

namespace synfp::test {

using tools::fd;
using tools::must;

/// bind() with SO_REUSEPORT on `at` (port 0: any), without listen(). Dual-stack for an IPv6 endpoint.
inline fd bound(const synfp::endpoint& at) {
  sockaddr_storage address;
  const socklen_t length = at.to_sockaddr(address);
  fd s(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  must(static_cast<bool>(s), "open a socket");
  const int on = 1, off = 0;
  must(::setsockopt(s.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0, "set SO_REUSEPORT");
  if (address.ss_family == AF_INET6)
    must(::setsockopt(s.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0, "set IPV6_V6ONLY");
  must(::bind(s.get(), reinterpret_cast<sockaddr*>(&address), length) == 0, "bind");
  return s;
}

inline synfp::endpoint local_of(int s) {
  sockaddr_storage a{};
  socklen_t n = sizeof a;
  must(::getsockname(s, reinterpret_cast<sockaddr*>(&a), &n) == 0, "ask for the own name");
  return synfp::endpoint::from_sockaddr(a, n).value();
}
inline synfp::endpoint peer_of(int s) {
  sockaddr_storage a{};
  socklen_t n = sizeof a;
  must(::getpeername(s, reinterpret_cast<sockaddr*>(&a), &n) == 0, "ask for the name of the peer");
  return synfp::endpoint::from_sockaddr(a, n).value();
}

/// Waits for `s` to become readable.
inline bool readable(int s, int milliseconds = 5000) {
  pollfd p{s, POLLIN, 0};
  return ::poll(&p, 1, milliseconds) == 1;
}
inline fd accepted(const fd& listener, int milliseconds = 5000) {
  if (!readable(listener.get(), milliseconds)) return fd();
  return fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

/// A client socket that is connected to `to`, from `from` if its port is not 0; its packets carry `mark`.
inline fd connected(const synfp::endpoint& to, const synfp::endpoint& from = {}, int mark = 0) {
  sockaddr_storage address;
  fd s;
  if (from.port() != 0) {
    const socklen_t length = from.to_sockaddr(address);
    s = fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    must(::setsockopt(s.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "set SO_REUSEADDR");
    must(::bind(s.get(), reinterpret_cast<sockaddr*>(&address), length) == 0, "bind");
  }
  const socklen_t length = to.to_sockaddr(address);
  if (!s) s = fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (mark != 0) must(::setsockopt(s.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0, "set SO_MARK");
  must(::connect(s.get(), reinterpret_cast<sockaddr*>(&address), length) == 0, "connect");
  return s;
}
/// Closes with RST, so that nothing of the connection stays.
inline void reset(fd s) {
  const linger now{1, 0};
  must(::setsockopt(s.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0, "set SO_LINGER");
}

}  // namespace synfp::test
