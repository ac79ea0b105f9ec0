// SPDX-License-Identifier: MIT
// Loopback sockets for the tests of io/ and net/: blocking, on the test's side only.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include <synfp/endpoint.hpp>
#include <synfp/io/ring.hpp>

#include "../../tools/support/fd.hpp"

namespace synfp::test {

using tools::fd;

inline synfp::endpoint name_of(int number, bool peer) {
  sockaddr_storage s{};
  socklen_t n = sizeof s;
  const int r = peer ? ::getpeername(number, reinterpret_cast<sockaddr*>(&s), &n)
                     : ::getsockname(number, reinterpret_cast<sockaddr*>(&s), &n);
  EXPECT_EQ(r, 0) << std::strerror(errno);
  return synfp::endpoint::from_sockaddr(s, n).value_or(synfp::endpoint());
}

inline fd listen_on(const synfp::endpoint& where, int backlog = 1024) {
  sockaddr_storage s{};
  const socklen_t n = where.to_sockaddr(s);
  fd d(::socket(s.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::bind(d.get(), reinterpret_cast<sockaddr*>(&s), n), 0) << std::strerror(errno);
  EXPECT_EQ(::listen(d.get(), backlog), 0);
  return d;
}
inline fd listen_on_loopback(int backlog = 1024) {
  return listen_on(synfp::endpoint::v4(127, 0, 0, 1, 0), backlog);
}

/// Blocks until the kernel has completed the handshake. Reads give up after 20 s, so that no test hangs.
inline fd connect_to(const synfp::endpoint& where) {
  sockaddr_storage s{};
  const socklen_t n = where.to_sockaddr(s);
  fd d(::socket(s.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{20, 0};
  ::setsockopt(d.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  EXPECT_EQ(::connect(d.get(), reinterpret_cast<sockaddr*>(&s), n), 0) << std::strerror(errno);
  return d;
}

inline void send_all(int number, const std::string& text) {
  std::size_t sent = 0;
  while (sent != text.size()) {
    const auto n = ::send(number, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    ASSERT_GT(n, 0) << std::strerror(errno);
    sent += static_cast<std::size_t>(n);
  }
}

/// Up to `size` bytes, fewer at the end of the stream; "ERRNO:" and its text after an error.
inline std::string receive(int number, std::size_t size) {
  std::string out(size, '\0');
  std::size_t got = 0;
  while (got != size) {
    const auto n = ::recv(number, out.data() + got, size - got, 0);
    if (n < 0 && errno == EINTR) continue;  // the end of an earlier test's ring
    if (n < 0) return std::string("ERRNO:") + std::strerror(errno);
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  out.resize(got);
  return out;
}

/// All of a pipe.
inline std::string receive_file(int number) {
  std::string out;
  char part[512];
  ssize_t n = 0;
  while ((n = ::read(number, part, sizeof part)) > 0) out.append(part, static_cast<std::size_t>(n));
  return out;
}

/// Makes close() send RST.
inline void reset_on_close(int number) {
  const linger l{1, 0};
  ::setsockopt(number, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

inline void raise_descriptor_limit(rlim_t wanted) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

inline std::unique_ptr<synfp::io::ring> make_ring(const synfp::io::ring_options& options = {}) {
  auto r = synfp::io::ring::create(options);
  EXPECT_TRUE(r) << r.error().message;
  return r ? std::move(*r) : nullptr;
}

/// run() and what must hold afterwards.
inline void run_to_end(synfp::io::ring& ring) {
  const auto r = ring.run();
  EXPECT_TRUE(r) << r.error().os;
  EXPECT_EQ(ring.in_flight(), 0u);
  EXPECT_EQ(ring.leased(), 0u);
  EXPECT_EQ(synfp::io::spawned(), 0u);
}

}  // namespace synfp::test
