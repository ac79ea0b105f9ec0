// SPDX-License-Identifier: MIT
// A check in a process of its own: neither its crash nor its hang nor what it changes (namespaces, limits)
// reaches this one. Where system calls are filtered, files are not what they seem or drivers hang, a check
// may not come back.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/detail/owned_fd.hpp>

#include "finding.hpp"

namespace synfp::doctor {

/// What a check calls with each thing that it finds out.
using report = std::function<void(finding)>;
using check = std::function<void(const report&)>;

namespace detail {

inline std::string packed(const finding& f) {
  std::string text(1, static_cast<char>('0' + static_cast<int>(f.status)));
  for (const std::string* part : {&f.name, &f.what, &f.todo, &f.values}) {
    for (const char c : *part) {
      if (c != '\0') text += c;
    }
    text += '\0';
  }
  return text;
}

/// Takes the whole findings off the beginning of `text`.
inline void unpack(std::string& text, std::vector<finding>& to) {
  while (!text.empty()) {
    finding f;
    std::size_t at = 1;
    for (std::string* part : {&f.name, &f.what, &f.todo, &f.values}) {
      const std::size_t end = text.find('\0', at);
      if (end == std::string::npos) return;
      part->assign(text, at, end - at);
      at = end + 1;
    }
    f.status = static_cast<status>(text[0] - '0');
    text.erase(0, at);
    to.push_back(std::move(f));
  }
}

inline void run(const std::string& name, const check& one, const report& say) {
  try {
    one(say);
  } catch (const std::exception& e) {
    say({status::unknown, name, std::string("the check failed: ") + e.what()});
  }
}

}  // namespace detail

/// What `one` found. If it did not end by itself within `limit`, or was killed, what it had found until then
/// and a finding `name` that says so. Where no process can be made it runs here.
inline std::vector<finding> isolated(const std::string& name, std::chrono::milliseconds limit,
                                     const check& one) {
  std::vector<finding> found;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    detail::run(name, one, [&](finding f) { found.push_back(std::move(f)); });
    return found;
  }
  const synfp::detail::owned_fd from(ends[0]);
  synfp::detail::owned_fd to(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    detail::run(name, one, [&](finding f) { found.push_back(std::move(f)); });
    return found;
  }
  if (child == 0) {
    // If this program is killed meanwhile, nobody else ends a child that hangs.
    ::alarm(static_cast<unsigned>(limit.count() / 1000) + 1);
    detail::run(name, one, [&](const finding& f) {
      const std::string text = detail::packed(f);
      for (std::size_t at = 0; at < text.size();) {
        const ssize_t n = ::write(to.get(), text.data() + at, text.size() - at);
        if (n < 0 && errno != EINTR) ::_exit(1);
        if (n > 0) at += static_cast<std::size_t>(n);
      }
    });
    ::_exit(0);
  }
  to = {};
  const auto end = std::chrono::steady_clock::now() + limit;
  const auto left = [&end] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now())
        .count();
  };
  std::string text;
  bool finished = false;
  while (!finished && left() > 0) {
    pollfd readable{from.get(), POLLIN, 0};
    if (::poll(&readable, 1, static_cast<int>(left())) <= 0) continue;
    char some[4096];
    const ssize_t n = ::read(from.get(), some, sizeof some);
    if (n > 0) text.append(some, static_cast<std::size_t>(n));
    finished = n == 0 || (n < 0 && errno != EINTR);
    detail::unpack(text, found);
  }
  if (!finished) ::kill(child, SIGKILL);
  // One that is stuck in the kernel does not die of a signal; it is left to the system.
  int how = 0;
  bool ended = false;
  for (int i = 0; i < 100 && !ended; ++i) {
    ended = ::waitpid(child, &how, WNOHANG) == child;
    if (!ended) ::usleep(10'000);
  }
  if (!finished) {
    found.push_back(
        {status::unknown, name, "no answer in " + std::to_string(limit.count() / 1000) + " s; given up"});
  } else if (ended && WIFSIGNALED(how) && WTERMSIG(how) == SIGSYS) {
    found.push_back(
        {status::no, name, "a seccomp filter kills whoever tries",
         "let the profile of the container or service allow the system call, or return an error"});
  } else if (!ended || WIFSIGNALED(how) || WEXITSTATUS(how) != 0) {
    found.push_back({status::unknown, name,
                     "the check was ended" +
                         (ended && WIFSIGNALED(how) ? " by signal " + std::to_string(WTERMSIG(how)) : "")});
  }
  return found;
}

}  // namespace synfp::doctor
