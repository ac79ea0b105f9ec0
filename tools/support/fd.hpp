// SPDX-License-Identifier: MIT
// What the project's own programs and tests use for system calls: a descriptor that closes itself, and an
// error that says what failed.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <synfp/detail/owned_fd.hpp>

namespace synfp::tools {

/// Closes its descriptor.
using fd = synfp::detail::owned_fd;

/// What went wrong and what to do.
struct failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] inline void fail(std::string_view what, int number) {
  std::string text = "cannot " + std::string(what) + " (" + std::strerror(number) + ")";
  if (number == EPERM || number == EACCES) text += "; run as root";
  throw failure(text);
}
/// Throws "cannot `what`" and the text of errno.
inline void must(bool held, std::string_view what) {
  if (!held) fail(what, errno);
}

}  // namespace synfp::tools
