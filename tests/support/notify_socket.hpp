// SPDX-License-Identifier: MIT
// The service manager's end of sd_notify(3).
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "../../tools/support/fd.hpp"

namespace synfp::test {

/// NOTIFY_SOCKET of this process while it lives, an abstract one. Set before the process has threads.
class notify_socket {
 public:
  notify_socket() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = "synfp-notify-" + std::to_string(::getpid());
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                     static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())),
              0);
    ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  }
  notify_socket(const notify_socket&) = delete;
  notify_socket& operator=(const notify_socket&) = delete;
  ~notify_socket() { ::unsetenv("NOTIFY_SOCKET"); }

  /// The next message; "" after `milliseconds` without one.
  std::string next(int milliseconds = 10'000) {
    pollfd ready{socket_.get(), POLLIN, 0};
    if (::poll(&ready, 1, milliseconds) != 1) return "";
    char text[512];
    const auto n = ::recv(socket_.get(), text, sizeof text, 0);
    return n > 0 ? std::string(text, static_cast<std::size_t>(n)) : "";
  }

 private:
  tools::fd socket_;
};

}  // namespace synfp::test
