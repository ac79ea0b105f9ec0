// SPDX-License-Identifier: MIT
// The Unix socket at which clients get the descriptors of the probe.
#pragma once

#include <fmt/format.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <synfp/capture/detail/handover.hpp>
#include <synfp/detail/unix_socket.hpp>

#include "../support/fd.hpp"

namespace synfp::tools {

class client_socket {
 public:
  /// For root, and the group if there is one. Throws what is in the way: also another daemon, by its number.
  client_socket(const std::string& path, std::optional<gid_t> group) {
    const auto found = synfp::detail::unix_address(path);
    if (!found) throw failure("the path of --socket is too long: " + path);
    const sockaddr_un& address = *found;
    socket_ = fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    must(static_cast<bool>(socket_), "open a Unix socket");
    struct stat before {};
    if (::lstat(path.c_str(), &before) == 0) {
      if (!S_ISSOCK(before.st_mode)) throw failure(path + " is in the way of --socket; it is no socket");
      refuse_if_served(path, address);
      ::unlink(path.c_str());
    }
    const mode_t mask = ::umask(0177);
    const int bound = ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int number = errno;
    ::umask(mask);
    if (bound != 0) fail("listen at " + path, number);
    if (group) {
      must(::chown(path.c_str(), static_cast<uid_t>(-1), *group) == 0, "change the group of " + path);
      must(::chmod(path.c_str(), 0660) == 0, "change the mode of " + path);
    }
    must(::listen(socket_.get(), 64) == 0, "listen at " + path);
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0)
      most_ = std::min<rlim_t>(192, files.rlim_cur / (2 * capture::detail::handover_most));
  }

  int get() const noexcept { return socket_.get(); }

  /// Hands `descriptors` to those who wait, without waiting. What a client does not read stays in flight, and
  /// the kernel bounds what a user has in flight (RLIMIT_NOFILE): so a client counts until it has read, and a
  /// user who has too many that have not gets no more, lest the others get none.
  void serve(const std::vector<int>& descriptors) {
    unread_.erase(
        std::remove_if(unread_.begin(), unread_.end(), [](const client& c) { return c.has_read(); }),
        unread_.end());
    for (int i = 0; i < 64; ++i) {
      client one{fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK))};
      if (!one.connection) return;
      ucred who{};
      socklen_t length = sizeof who;
      if (::getsockopt(one.connection.get(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) continue;
      one.user = who.uid;
      const auto same = std::count_if(unread_.begin(), unread_.end(),
                                      [&](const client& other) { return other.user == one.user; });
      if (static_cast<rlim_t>(same) >= most_ / 3 || unread_.size() >= most_) continue;
      if (capture::detail::hand_over(one.connection.get(), descriptors.data(), descriptors.size()))
        unread_.push_back(std::move(one));
    }
  }

 private:
  struct client {
    fd connection;
    uid_t user = 0;
    /// Or has gone.
    bool has_read() const {
      int bytes = 0;
      return ::ioctl(connection.get(), SIOCOUTQ, &bytes) != 0 || bytes == 0;
    }
  };

  static void refuse_if_served(const std::string& path, const sockaddr_un& address) {
    const fd probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno != EAGAIN)
      return;  // left by a process that is gone
    ucred who{};
    socklen_t length = sizeof who;
    (void)::getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &who, &length);
    throw failure(
        fmt::format("process {} listens at {}; stop it first, or name another --socket", who.pid, path));
  }

  fd socket_;
  rlim_t most_ = 96;
  std::vector<client> unread_;
};

}  // namespace synfp::tools
