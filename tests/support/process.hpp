// SPDX-License-Identifier: MIT
// Commands, children and the privileges of a thread.
#pragma once

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "../../tools/support/fd.hpp"

namespace synfp::test {

using tools::fd;
using tools::must;

inline void command(const std::string& line) {
  if (std::system(line.c_str()) != 0) throw std::runtime_error("failed: " + line);
}

/// Leaves this thread exactly these capabilities.
inline void keep_capabilities(std::initializer_list<int> wanted) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  for (const int cap : wanted) {
    data[cap / 32].permitted |= 1U << (cap % 32);
    data[cap / 32].effective |= 1U << (cap % 32);
  }
  must(::syscall(SYS_capset, &header, data) == 0, "set the capabilities");
}

/// What `run` returns in a child process; "died" if it did not return.
template <class F>
std::string in_child(F&& run) {
  int ends[2];
  must(::pipe2(ends, O_CLOEXEC) == 0, "make a pipe");
  const fd from(ends[0]);
  fd to(ends[1]);
  const pid_t child = ::fork();
  must(child >= 0, "fork");
  if (child == 0) {
    std::string text;
    try {
      text = run();
    } catch (const std::exception& e) {
      text = std::string("exception: ") + e.what();
    }
    (void)!::write(to.get(), text.data(), text.size());
    ::_exit(0);
  }
  to = fd();
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = ::read(from.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? text : "died";
}

}  // namespace synfp::test
