// SPDX-License-Identifier: MIT
// The clock of the BPF program as this process sees it.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>  // strtoll
#include <cstring>
#include <optional>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

/// What this process's time namespace adds to CLOCK_MONOTONIC of the initial one, ns (time_namespaces(7)):
/// the kernel's times are those of the initial one. Empty, with errno set, if no file descriptor is left to
/// read it: a wrong offset would make every age wrong.
inline std::optional<std::int64_t> time_namespace_offset() noexcept {
  // The file below describes the time namespace that future children will enter. After unshare() and before
  // fork() this process is not in it, and its own is taken for the initial one.
  struct stat own {};
  struct stat children {};
  if (::stat("/proc/self/ns/time", &own) == 0 && ::stat("/proc/self/ns/time_for_children", &children) == 0 &&
      own.st_ino != children.st_ino)
    return 0;
  const int fd = ::open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE) return std::nullopt;
    return 0;  // the kernel has no time namespaces
  }
  char text[256];
  const ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (n <= 0) return 0;
  text[n] = '\0';
  const char* line = std::strstr(text, "monotonic");
  if (line == nullptr) return 0;
  char* end = nullptr;
  const long long seconds = std::strtoll(line + std::strlen("monotonic"), &end, 10);
  const long long nanoseconds = std::strtoll(end, nullptr, 10);
  return seconds * 1'000'000'000 + nanoseconds;
}

}  // namespace capture::detail
SYNFP_END_NAMESPACE
