// SPDX-License-Identifier: MIT
// Passing listening sockets from a process to the one that replaces it, through a Unix socket.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>  // rename
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/detail/owned_fd.hpp>
#include <synfp/detail/unix_socket.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/net/listening_sockets.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net::detail {

using synfp::detail::owned_fd;
using synfp::detail::receive_descriptors;
using synfp::detail::send_descriptors;
using synfp::detail::unix_address;

/// What both ends say. The version is part of the greeting: another one is refused.
inline constexpr std::string_view handover_greeting = "synfp hand-over 1\n";
inline constexpr std::string_view handover_ready = "ready\n";

inline setup_error handover_error(const std::string& path, std::string_view what, int number) {
  std::string text = "cannot ";
  text.append(what).append(" ").append(path);
  if (number != 0) text.append(" (").append(std::strerror(number)).append(")");
  return {errc::system, number, std::move(text)};
}

/// The other end runs as this user, or as root.
inline bool is_trusted(int fd) noexcept {
  ucred other{};
  socklen_t size = sizeof other;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &size) != 0) return false;
  return other.uid == 0 || other.uid == ::geteuid();
}

/// Both are the same open socket.
inline bool same_socket(int a, int b) noexcept {
  struct stat one {};
  struct stat other {};
  return ::fstat(a, &one) == 0 && ::fstat(b, &other) == 0 && one.st_ino == other.st_ino &&
         one.st_dev == other.st_dev;
}

/// Ends a wait for `fd` when the ring begins to stop.
class cancel_at_stop {
 public:
  cancel_at_stop(io::ring& ring, int fd) noexcept : ring_(&ring), fd_(fd), callback_(&cancel, this) {
    ring.on_stop(callback_);
  }
  cancel_at_stop(const cancel_at_stop&) = delete;
  cancel_at_stop& operator=(const cancel_at_stop&) = delete;

 private:
  static void cancel(void* self) {
    auto& c = *static_cast<cancel_at_stop*>(self);
    c.ring_->cancel_fd(c.fd_);
  }
  io::ring* ring_;
  int fd_;
  io::stop_callback callback_;
};

/// Sends the greeting with `sockets`. Does not wait: a fresh Unix socket has room.
inline bool send_sockets(int to, const std::vector<int>& sockets) noexcept {
  return send_descriptors(to, std::as_bytes(std::span(handover_greeting)), sockets);
}

/// The process that is to be replaced, and what it gave us. Destroying it without ready() leaves that one as
/// it was.
struct predecessor {
  owned_fd connection;
  listening_sockets sockets;

  /// We serve: it stops.
  void ready() noexcept {
    (void)!::send(connection.get(), handover_ready.data(), handover_ready.size(),
                  MSG_NOSIGNAL | MSG_DONTWAIT);
    connection = owned_fd();
  }
};

/// Asks who listens at `path` for its sockets, for at most 5 s. Nothing if nobody does.
inline setup_result<std::optional<predecessor>> ask_predecessor(const std::string& path) {
  const auto address = unix_address(path);
  if (!address)
    return setup_error{errc::invalid, 0,
                       "'" + path + "' is no path of a Unix socket; it must be shorter than 108 bytes"};
  predecessor before;
  before.connection = owned_fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int fd = before.connection.get();
  if (fd < 0) return handover_error(path, "make a socket to ask for the sockets of", errno);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::optional<predecessor>();
    return handover_error(path, "ask for the sockets of", errno);
  }
  if (!is_trusted(fd))
    return setup_error{errc::invalid, 0,
                       path + " belongs to a process of another user; give each service a path of its own"};
  pollfd readable{fd, POLLIN, 0};
  if (::poll(&readable, 1, 5000) != 1)
    return handover_error(path, "take over sockets: nobody answers at", ETIMEDOUT);
  std::array<char, handover_greeting.size() + 1> text{};
  auto received = receive_descriptors(fd, std::as_writable_bytes(std::span(text)), MSG_DONTWAIT);
  const ssize_t n = received.bytes;
  const int number = n < 0 ? errno : 0;
  setup_result<void> outcome;
  for (owned_fd& each : received.fds) {
    auto added = before.sockets.add(each.release(), path);
    if (!added && outcome) outcome = std::move(added);
  }
  if (received.truncated)
    return setup_error{errc::system, EMFILE,
                       "cannot take over all sockets that " + path +
                           " hands over; raise the limit of open files (LimitNOFILE= of systemd, ulimit -n)"};
  if (!outcome) return std::move(outcome).error();
  if (n == 0) return std::optional<predecessor>();  // it is stopping by itself
  if (n < 0 || std::string_view(text.data(), static_cast<std::size_t>(n)) != handover_greeting)
    return setup_error{errc::incompatible, number,
                       "who listens at " + path +
                           " does not hand over sockets as this version does; stop it before the start"};
  return std::optional<predecessor>(std::move(before));
}

/// Where the next process asks. Made under another name, so that the process before can be asked until
/// publish().
class successor_socket {
 public:
  successor_socket() noexcept = default;

  static setup_result<successor_socket> open(const std::string& path) {
    successor_socket made;
    made.path_ = path;
    made.temporary_ = path + '.' + std::to_string(::getpid());
    const auto address = unix_address(made.temporary_);
    if (!address)
      return setup_error{errc::invalid, 0,
                         "'" + path + "' is no path of a Unix socket; it must be shorter than 100 bytes"};
    struct stat before {};
    if (::lstat(path.c_str(), &before) == 0 && !S_ISSOCK(before.st_mode))
      return setup_error{errc::invalid, 0, path + " is no Unix socket; choose another path"};
    made.fd_ = owned_fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::unlink(made.temporary_.c_str());
    if (!made.fd_ ||
        ::bind(made.fd_.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
        ::chmod(made.temporary_.c_str(), 0600) != 0 || ::listen(made.fd_.get(), 4) != 0) {
      const int number = errno;
      made.temporary_.clear();
      return handover_error(path, "listen for the next process at", number);
    }
    return made;
  }

  successor_socket(successor_socket&& other) noexcept
      : fd_(std::move(other.fd_)),
        path_(std::exchange(other.path_, {})),
        temporary_(std::exchange(other.temporary_, {})),
        file_(std::exchange(other.file_, {})) {}
  successor_socket& operator=(successor_socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(path_, other.path_);
    std::swap(temporary_, other.temporary_);
    std::swap(file_, other.file_);
    return *this;
  }
  /// Removes the file, if it is not the next process's by now.
  ~successor_socket() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    struct stat now {};
    if (file_ && ::lstat(path_.c_str(), &now) == 0 && now.st_ino == file_->st_ino &&
        now.st_dev == file_->st_dev)
      ::unlink(path_.c_str());
  }

  /// From now on the next process finds this one. False and errno if the file cannot be renamed.
  bool publish() noexcept {
    struct stat made {};
    if (::lstat(temporary_.c_str(), &made) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0)
      return false;
    temporary_.clear();
    file_ = made;
    return true;
  }

  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

 private:
  owned_fd fd_;
  std::string path_;
  std::string temporary_;
  std::optional<struct stat> file_;
};

}  // namespace net::detail
SYNFP_END_NAMESPACE
