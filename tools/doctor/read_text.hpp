// SPDX-License-Identifier: MIT
// Small files of /proc and /sys, which may not be there, or not be what they seem.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

#include <synfp/detail/owned_fd.hpp>

namespace synfp::doctor {

/// The beginning of a regular file, without the last line's end. Empty, with errno, if it cannot be read.
inline std::optional<std::string> read_text(const std::string& path, std::size_t most = 4096) {
  const synfp::detail::owned_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat is {};
  if (file.get() < 0 || ::fstat(file.get(), &is) != 0) return std::nullopt;
  if (!S_ISREG(is.st_mode)) {
    errno = EINVAL;
    return std::nullopt;
  }
  std::string text(most, '\0');
  std::size_t size = 0;
  while (size < most) {
    const ssize_t n = ::read(file.get(), text.data() + size, most - size);
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  text.resize(size);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

/// The first number in such a file.
inline std::optional<std::int64_t> read_number(const std::string& path) {
  const auto text = read_text(path);
  if (!text) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

/// A sysctl by its name: "net.core.somaxconn".
inline std::optional<std::int64_t> read_sysctl(std::string name) {
  for (char& c : name) {
    if (c == '.') c = '/';
  }
  return read_number("/proc/sys/" + name);
}

}  // namespace synfp::doctor
