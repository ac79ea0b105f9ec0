// SPDX-License-Identifier: MIT
// sd_notify(3) without libsystemd: what a service tells the manager that started it.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>  // what from_chars says

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace service {

/// Sends `state`, lines as sd_notify(3) lists them ("READY=1", "STATUS=..."), to the socket that
/// NOTIFY_SOCKET names. False if there is none or it does not take it; nobody needs to look. Never waits,
/// needs no memory. From any thread, while none changes the environment.
inline bool notify(std::string_view state) noexcept {
  const char* const where = std::getenv("NOTIFY_SOCKET");
  if (where == nullptr || (where[0] != '/' && where[0] != '@')) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(where);
  if (length >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, where, length);
  if (where[0] == '@') address.sun_path[0] = '\0';  // an abstract name
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const ssize_t sent = ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&address),
                                static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  ::close(fd);
  return sent >= 0;
}

/// Says that the configuration is being read again; "READY=1" ends it. With the time that Type=notify-reload
/// wants.
inline bool notify_reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return notify("RELOADING=1\nMONOTONIC_USEC=" +
                std::to_string(static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000));
}

namespace detail {

/// A decimal number of the environment, whole; 0 if it is none.
inline unsigned long long number_in_environment(const char* name) noexcept {
  const char* const text = std::getenv(name);
  if (text == nullptr) return 0;
  const char* const end = text + std::strlen(text);
  unsigned long long number = 0;
  const auto read = std::from_chars(text, end, number);
  return read.ec == std::errc() && read.ptr == end ? number : 0;
}

}  // namespace detail

/// Within what time the manager wants "WATCHDOG=1" (WatchdogSec= of a unit); zero if it does not, or asks
/// another process. Send it at half the time.
inline std::chrono::microseconds watchdog_interval() noexcept {
  const auto wanted = detail::number_in_environment("WATCHDOG_USEC");
  if (wanted == 0 ||
      wanted > static_cast<unsigned long long>(std::numeric_limits<std::int64_t>::max() / 1000))
    return {};
  if (std::getenv("WATCHDOG_PID") != nullptr &&
      detail::number_in_environment("WATCHDOG_PID") != static_cast<unsigned long long>(::getpid()))
    return {};
  return std::chrono::microseconds(static_cast<std::int64_t>(wanted));
}

}  // namespace service
SYNFP_END_NAMESPACE
