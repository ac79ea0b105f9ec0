// SPDX-License-Identifier: MIT
// Which network namespace this thread is in.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include <synfp/detail/owned_fd.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

using synfp::detail::owned_fd;

/// The cookie of the calling thread's network namespace: a number that no other has had since the machine
/// started.
inline setup_result<std::uint64_t> network_namespace_cookie() {
  constexpr int so_netns_cookie = 71;  // Linux 5.14, include/uapi/asm-generic/socket.h
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  const owned_fd any(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (any.get() >= 0 && ::getsockopt(any.get(), SOL_SOCKET, so_netns_cookie, &cookie, &length) == 0)
    return cookie;
  const int number = errno;
  return setup_error{errc::system, number,
                     std::string("cannot ask for the cookie of this network namespace (") +
                         std::strerror(number) + "); it needs Linux 5.14 and a free file descriptor"};
}

}  // namespace capture::detail
SYNFP_END_NAMESPACE
