// SPDX-License-Identifier: MIT
// http_floor_epoll PORT BODY_BYTES keep|close: the least that a server with epoll does for a request. For
// bench/http-servers.py.
#include <sys/epoll.h>

#include <array>

#include "http_floor.hpp"

using namespace floor_of;

namespace {

struct connection {
  header_ends ends;
  std::size_t owed = 0;  // bytes
  bool closes = false;
  bool waits = false;  // for room to send
};

class loop {
 public:
  explicit loop(const settings& s)
      : settings_(s),
        keep_(s.body, false),
        close_(s.body, true),
        listening_(listen_on(s.port, SOCK_NONBLOCK)) {
    watch(EPOLL_CTL_ADD, listening_, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 512> ready;
    for (;;) {
      const int n = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), -1);
      for (int i = 0; i < n; ++i) {
        const epoll_event& e = ready[static_cast<std::size_t>(i)];
        if (e.data.fd == listening_) {
          accept_all();
        } else if ((e.events & EPOLLOUT) != 0) {
          send(e.data.fd);
        } else {
          receive(e.data.fd);
        }
      }
    }
  }

 private:
  void watch(int what, int fd, std::uint32_t events) const {
    epoll_event wanted{};
    wanted.events = events;
    wanted.data.fd = fd;
    if (::epoll_ctl(epoll_, what, fd, &wanted) != 0) fail("epoll_ctl");
  }

  void accept_all() {
    for (int fd = 0; (fd = ::accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      if (connections_.size() <= static_cast<std::size_t>(fd))
        connections_.resize(static_cast<std::size_t>(fd) + 64);
      connections_[static_cast<std::size_t>(fd)] = {};
      watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
  }

  void receive(int fd) {
    connection& c = connections_[static_cast<std::size_t>(fd)];
    const ssize_t n = ::recv(fd, buffer_.data(), buffer_.size(), 0);
    if (n <= 0) {
      ::close(fd);
      return;
    }
    const std::string_view piece(buffer_.data(), static_cast<std::size_t>(n));
    if (settings_.closes && asks_for_close(piece)) c.closes = true;
    c.owed += c.ends.count(piece) * (c.closes ? close_ : keep_).size();
    if (c.owed != 0) send(fd);
  }

  void send(int fd) {
    connection& c = connections_[static_cast<std::size_t>(fd)];
    while (c.owed != 0) {
      const std::string_view next = (c.closes ? close_ : keep_).next(c.owed);
      const ssize_t n = ::send(fd, next.data(), next.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) {
        if (!c.waits) watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
        c.waits = true;
        return;
      }
      if (n < 0) {
        ::close(fd);
        return;
      }
      c.owed -= static_cast<std::size_t>(n);
    }
    if (c.closes) {
      ::close(fd);
    } else if (c.waits) {
      watch(EPOLL_CTL_MOD, fd, EPOLLIN);
      c.waits = false;
    }
  }

  settings settings_;
  responses keep_, close_;
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  int listening_;
  std::vector<connection> connections_;
  std::array<char, 16'384> buffer_;
};

}  // namespace

int main(int argc, char** argv) { loop(read_settings(argc, argv)).run(); }
