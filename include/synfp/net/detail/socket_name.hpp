// SPDX-License-Identifier: MIT
// The endpoints of a socket.
#pragma once

#include <sys/socket.h>

#include <cerrno>

#include <synfp/endpoint.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net::detail {

/// `which`: ::getsockname or ::getpeername. False and errno if the kernel refuses, or (EAFNOSUPPORT) if it is
/// not IP.
inline bool socket_name(int (&which)(int, sockaddr*, socklen_t*), int fd, endpoint& out) noexcept {
  sockaddr_storage storage;
  socklen_t length = sizeof storage;
  // The sockets API takes every kind of address as sockaddr.
  if (which(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return false;
  const auto name = endpoint::from_sockaddr(storage, length);
  if (name) {
    out = *name;
  } else {
    errno = EAFNOSUPPORT;
  }
  return name.has_value();
}

}  // namespace net::detail
SYNFP_END_NAMESPACE
