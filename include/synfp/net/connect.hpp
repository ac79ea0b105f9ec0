// SPDX-License-Identifier: MIT
// Opening a TCP connection.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <synfp/endpoint.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/submit.hpp>
#include <synfp/io/task.hpp>
#include <synfp/net/stream.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

/// Awaits a TCP connection to `remote`: result<stream>, or the kernel's error. Destroying the task cancels
/// the attempt.
inline io::task<result<stream>> connect(io::ring& owner, endpoint remote) {
  struct target {
    int fd;
    socklen_t length;
    sockaddr_storage address;
  };
  constexpr auto prepare = [](::io_uring_sqe* sqe, target& t) {
    io_uring_prep_connect(sqe, t.fd, reinterpret_cast<const sockaddr*>(&t.address), t.length);
  };
  target to{::socket(remote.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), 0, {}};
  if (to.fd < 0) co_return error::from_errno(errno);
  stream connection(owner, to.fd);
  to.length = remote.to_sockaddr(to.address);
  const auto connected = co_await io::submit(owner, to, prepare);
  if (!connected) co_return connected.error();
  co_return std::move(connection);
}

}  // namespace net
SYNFP_END_NAMESPACE
