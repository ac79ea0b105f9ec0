// SPDX-License-Identifier: MIT
// What ends a command that goes on until it is told to stop.
#pragma once

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "command.hpp"

namespace cli {

/// SIGINT and SIGTERM as something to wait for, and the reader of stdout who leaves.
class waiter {
 public:
  waiter() {
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &stop, nullptr);
    signals_ = ::signalfd(-1, &stop, SFD_CLOEXEC);
    if (signals_ < 0) throw failure(fmt::format("cannot wait for signals: {}", std::strerror(errno)));
  }
  ~waiter() { ::close(signals_); }
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// True if a signal came.
  bool wait(int milliseconds) const {
    pollfd both[] = {{signals_, POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
    if (::poll(both, 2, milliseconds) <= 0) return false;
    if (both[0].revents != 0) return true;
    if ((both[1].revents & (POLLERR | POLLNVAL)) != 0) throw reader_left();
    ::poll(both, 1, milliseconds);  // a hang-up of a terminal, which stays: the next write says it
    return both[0].revents != 0;
  }

  /// Until stdout takes PIPE_BUF bytes. Throws failure if a signal came and there is no room for 3 s more:
  /// nobody reads.
  void wait_for_room() const {
    pollfd both[] = {{signals_, POLLIN, 0}, {STDOUT_FILENO, POLLOUT, 0}};
    while (::poll(both, 2, -1) < 0 && errno == EINTR) {
    }
    if (both[1].revents == 0 && both[0].revents != 0 && ::poll(&both[1], 1, 3000) == 0)
      throw failure("ended while nobody read the output: lines were lost", 1);
  }

 private:
  int signals_;
};

}  // namespace cli
