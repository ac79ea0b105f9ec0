// SPDX-License-Identifier: MIT
// The listening sockets of one port, one per thread, with a source of SYN records attached in the right
// order.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <thread>  // sleep_for
#include <utility>
#include <vector>

#include <synfp/capture/source.hpp>
#include <synfp/endpoint.hpp>
#include <synfp/net/detail/port_owner.hpp>
#include <synfp/net/detail/socket_name.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

/// Takes a sentence for the operator about something that is not an error; may be empty. What it throws is
/// not caught.
using notice = std::function<void(std::string_view)>;

/// Sockets of one SO_REUSEPORT group. The kernel spreads connections over them. Made on one thread, then each
/// socket is taken by the thread that serves it.
///
/// The order matters. The first socket is bound, the source is attached to it, and then it listens: no SYN
/// comes in before the probe sees it. The others only bind and listen: attaching while another socket of the
/// port exists makes listen() fail with EADDRINUSE.
class listen_group {
 public:
  /// Half-open connections before the kernel answers with SYN cookies.
  static constexpr int default_backlog = 4096;

  /// `at`: with port 0 the kernel chooses one, see local(). [::] also accepts IPv4. A port that another
  /// program listens on is refused, even if that program would share it, and the error names the program. If
  /// the port is taken and no live process has it, open() blocks for up to 2 s until it is free, and calls
  /// `tell` when that takes long: the sockets of a killed server live on until the kernel has torn down its
  /// rings.
  template <capture::source Source>
  static setup_result<listen_group> open(const endpoint& at, unsigned sockets, Source& source,
                                         int backlog = default_backlog, const notice& tell = {}) {
    listen_group group;
    group.local_ = at;
    if (auto free = group.wait_until_free(tell); !free) return std::move(free).error();
    for (unsigned i = 0; i < sockets; ++i) {
      if (auto bound = group.bind_one(true); !bound) return std::move(bound).error();
      if (auto prepared = source.prepare(group.fds_.back(), i == 0); !prepared)
        return std::move(prepared).error();
      if (::listen(group.fds_.back(), backlog) != 0) return group.failure("listen on", errno);
    }
    return group;
  }

  /// `taken`: sockets that listen on `at` already, see listening_sockets; closed if it fails. Each of the
  /// `threads` that will serve gets one: if there are fewer, several share one; if there are more, some serve
  /// several. None is bound anew beside them: its connections would be lost with this process.
  template <capture::source Source>
  static setup_result<listen_group> adopt(const endpoint& at, std::vector<int> taken, unsigned threads,
                                          Source& source) {
    listen_group group;
    group.local_ = at;
    group.fds_ = std::move(taken);
    const std::size_t given = group.fds_.size();
    for (std::size_t i = 0; i != given; ++i) {
      if (auto prepared = source.prepare(group.fds_[i], i == 0); !prepared) {
        setup_error why = std::move(prepared).error();
        int shared = 0;
        socklen_t size = sizeof shared;
        if (::getsockopt(group.fds_[i], SOL_SOCKET, SO_REUSEPORT, &shared, &size) == 0 && shared == 0)
          why.message += "; in a socket unit: ReusePort=yes";
        return why;
      }
    }
    if (given < threads) group.fds_.reserve(threads);  // before there is a descriptor to lose
    while (group.fds_.size() < threads) {
      const int shared = ::fcntl(group.fds_[group.fds_.size() % given], F_DUPFD_CLOEXEC, 0);
      if (shared < 0) return group.failure("share the socket of", errno);
      group.fds_.push_back(shared);
    }
    return group;
  }

  listen_group(listen_group&& other) noexcept : fds_(std::exchange(other.fds_, {})), local_(other.local_) {}
  listen_group& operator=(listen_group&& other) noexcept {
    std::swap(fds_, other.fds_);
    std::swap(local_, other.local_);
    return *this;
  }
  /// Closes what was not taken.
  ~listen_group() {
    for (const int fd : fds_) {
      if (fd >= 0) ::close(fd);
    }
  }

  /// The address with the port that was bound.
  const endpoint& local() const noexcept { return local_; }
  std::size_t size() const noexcept { return fds_.size(); }
  /// Its sockets, those that were released included, as -1.
  const std::vector<int>& sockets() const noexcept { return fds_; }
  /// Hands socket `i` over to the caller. -1 if it was taken before. Thread-safe for different `i`.
  int release(std::size_t i) noexcept { return std::exchange(fds_[i], -1); }

 private:
  listen_group() = default;

  setup_error failure(const char* what, int number, std::string_view in_use = {}) const {
    std::string text = std::string("cannot ") + what + ' ' + std::string(local_.text().view()) + " (" +
                       std::strerror(number) + "); ";
    switch (number) {
      case EADDRINUSE:
        text += in_use.empty() ? "another program uses the port: stop it or choose another port" : in_use;
        break;
      case EADDRNOTAVAIL: text += "this machine does not have the address: see 'ip addr'"; break;
      case EACCES: text += "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one"; break;
      case EAFNOSUPPORT: text += "IPv6 is switched off: use an IPv4 address, for instance 0.0.0.0"; break;
      case EINVAL:
        text += "a link-local address needs its zone, for instance [fe80::1%2]: see 'ip link' for the number";
        break;
      case EMFILE: text += "raise the limit of open files: ulimit -n"; break;
      default: text += "see bind(2) and listen(2)"; break;
    }
    return {errc::system, number, std::move(text)};
  }

  static constexpr std::chrono::milliseconds longest_wait{2000};
  static constexpr std::chrono::milliseconds quiet_wait{200};
  static constexpr std::chrono::milliseconds between_looks{100};
  static constexpr std::chrono::milliseconds between_tries{5};

  static std::string who_uses_it(const detail::port_owner& owner) {
    if (owner.pid == ::getpid()) return "this process itself listens there already: name each address once";
    if (owner.pid != 0)
      return "process " + std::to_string(owner.pid) + " (" + owner.name +
             ") listens there: stop it or choose another port";
    if (!owner.listens)
      return "a socket that does not listen uses the port: see 'ss -tanp' as root, or choose another port";
    return "a process of user " + std::to_string(owner.user) +
           " that is not to be seen from here listens there, being killed, of another user or of another "
           "container: see 'ss -ltnp' as root, or choose another port";
  }

  // SO_REUSEPORT would join another server's group of the same user in silence and take half of its
  // connections.
  setup_result<void> wait_until_free(const notice& tell) {
    if (local_.port() == 0) return {};
    using clock = std::chrono::steady_clock;
    const auto start = clock::now();
    auto next_look = start;
    bool told = false;
    detail::port_owner owner;
    while (true) {
      listen_group lone;
      lone.local_ = local_;
      auto bound = lone.bind_one(false);
      if (bound || bound.error().os != EADDRINUSE) return bound;
      const auto now = clock::now();
      if (now >= next_look) {
        owner = detail::find_port_owner(local_);
        next_look = now + between_looks;
      }
      if (owner.pid != 0 || now - start >= longest_wait)
        return failure("bind to", EADDRINUSE, who_uses_it(owner));
      if (tell && !told && now - start >= quiet_wait) {
        told = true;
        tell("waiting for " + std::string(local_.text().view()) +
             ": its sockets are still open, and nobody alive is to be seen who holds them");
      }
      std::this_thread::sleep_for(between_tries);
    }
  }

  setup_result<void> bind_one(bool shared) {
    fds_.reserve(fds_.size() + 1);  // before there is a descriptor to lose
    const int fd = ::socket(local_.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0) return failure("make a socket for", errno);
    fds_.push_back(fd);
    const int on = 1;
    const int off = 0;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!local_.is_v4()) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (shared && ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
      return failure("share", errno);
    sockaddr_storage storage;
    const socklen_t length = local_.to_sockaddr(storage);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&storage), length) != 0)
      return failure("bind to", errno);
    if (local_.port() == 0) {
      endpoint bound;
      if (!detail::socket_name(::getsockname, fd, bound)) return failure("bind to", errno);
      local_.set_port(bound.port());
    }
    return {};
  }

  std::vector<int> fds_;
  endpoint local_;
};

}  // namespace net
SYNFP_END_NAMESPACE
