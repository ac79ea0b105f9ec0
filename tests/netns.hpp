// SPDX-License-Identifier: MIT
// Network namespaces for system tests.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <synfp/endpoint.hpp>
#include <utility>

namespace synfp_test {

inline void must(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what + ": " + std::strerror(errno));
}

/// Closes its fd.
class fd {
 public:
  fd() = default;
  explicit fd(int number) : number_(number) {}
  fd(fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  fd& operator=(fd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~fd() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

inline void command(const std::string& line) {
  if (std::system(line.c_str()) != 0) throw std::runtime_error("failed: " + line);
}

/// A network namespace that lives while the object does (and what is open in it).
class net_namespace {
 public:
  net_namespace() : home_(open_own()) {
    must(::unshare(CLONE_NEWNET) == 0, "unshare(CLONE_NEWNET)");
    own_ = fd(open_own());
    set_sysctl("net/ipv6/conf/default/accept_dad", "0");
    command("ip link set lo up");
    must(::setns(home_.get(), CLONE_NEWNET) == 0, "setns");
  }
  /// Runs `what` with the calling thread in the namespace.
  template <class F>
  auto inside(F&& what) const {
    const visit there(*this);
    return what();
  }
  void sysctl(const std::string& name, const std::string& value) const {
    inside([&] { set_sysctl(name, value); });
  }
  /// A pair of virtual Ethernet devices, `here` in this namespace, `there_name` in `other`.
  void connect(const net_namespace& other, const std::string& here, const std::string& there_name) const {
    inside([&] {
      command("ip link add " + here + " type veth peer name " + there_name);
      command("ip link set " + there_name + " netns /proc/" + std::to_string(::getpid()) + "/fd/" +
              std::to_string(other.own_.get()));
    });
  }

 private:
  struct visit {
    explicit visit(const net_namespace& to) : back(open_own()) {
      must(::setns(to.own_.get(), CLONE_NEWNET) == 0, "setns");
    }
    ~visit() { (void)!::setns(back.get(), CLONE_NEWNET); }
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;
    fd back;
  };
  static int open_own() {
    const int n = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    must(n >= 0, "open ns/net");
    return n;
  }
  static void set_sysctl(const std::string& name, const std::string& value) {
    const fd file(::open(("/proc/sys/" + name).c_str(), O_WRONLY | O_CLOEXEC));
    must(file && ::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size()), name);
  }
  fd home_, own_;
};

/// A server and a client, joined by veth: s0 (10.77.0.1, fd77::1, fe80::1) and c0 (10.77.0.2, fd77::2,
/// fe80::2).
struct two_hosts {
  two_hosts() {
    server.connect(client, "s0", "c0");
    set_up(server, "s0", "1");
    set_up(client, "c0", "2");
  }
  static void set_up(const net_namespace& ns, const std::string& name, const std::string& host) {
    ns.inside([&] {
      command("ip link set " + name + " addrgenmode none address 02:00:00:00:00:0" + host +
              " && ip link set " + name + " up && ip addr add 10.77.0." + host + "/24 dev " + name +
              " && ip addr add fd77::" + host + "/64 dev " + name + " nodad && ip addr add fe80::" + host +
              "/64 dev " + name + " nodad");
    });
  }
  net_namespace server, client;
};

/// bind() with SO_REUSEPORT on `at` (port 0: any), without listen(). Dual-stack for an IPv6 endpoint.
inline fd bound(const synfp::endpoint& at) {
  sockaddr_storage address;
  const socklen_t length = at.to_sockaddr(address);
  fd s(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  must(static_cast<bool>(s), "socket");
  const int on = 1, off = 0;
  must(::setsockopt(s.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0, "SO_REUSEPORT");
  if (address.ss_family == AF_INET6)
    must(::setsockopt(s.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0, "IPV6_V6ONLY");
  must(::bind(s.get(), reinterpret_cast<sockaddr*>(&address), length) == 0, "bind");
  return s;
}

inline synfp::endpoint local_of(int s) {
  sockaddr_storage a{};
  socklen_t n = sizeof a;
  must(::getsockname(s, reinterpret_cast<sockaddr*>(&a), &n) == 0, "getsockname");
  return synfp::endpoint::from_sockaddr(a, n).value();
}
inline synfp::endpoint peer_of(int s) {
  sockaddr_storage a{};
  socklen_t n = sizeof a;
  must(::getpeername(s, reinterpret_cast<sockaddr*>(&a), &n) == 0, "getpeername");
  return synfp::endpoint::from_sockaddr(a, n).value();
}

/// Waits for `s` to become readable.
inline bool readable(int s, int milliseconds = 5000) {
  pollfd p{s, POLLIN, 0};
  return ::poll(&p, 1, milliseconds) == 1;
}
inline fd accepted(const fd& listener, int milliseconds = 5000) {
  if (!readable(listener.get(), milliseconds)) return fd();
  return fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

/// A client socket that is connected to `to`, from `from` if its port is not 0; its packets carry `mark`.
inline fd connected(const synfp::endpoint& to, const synfp::endpoint& from = {}, int mark = 0) {
  sockaddr_storage address;
  fd s;
  if (from.port() != 0) {
    const socklen_t length = from.to_sockaddr(address);
    s = fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    must(::setsockopt(s.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "SO_REUSEADDR");
    must(::bind(s.get(), reinterpret_cast<sockaddr*>(&address), length) == 0, "bind");
  }
  const socklen_t length = to.to_sockaddr(address);
  if (!s) s = fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (mark != 0) must(::setsockopt(s.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0, "SO_MARK");
  must(::connect(s.get(), reinterpret_cast<sockaddr*>(&address), length) == 0, "connect");
  return s;
}
/// Closes with RST, so that nothing of the connection stays.
inline void reset(fd s) {
  const linger now{1, 0};
  must(::setsockopt(s.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0, "SO_LINGER");
}

/// Leaves this thread exactly these capabilities.
inline void keep_capabilities(std::initializer_list<int> wanted) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  for (const int cap : wanted) {
    data[cap / 32].permitted |= 1U << (cap % 32);
    data[cap / 32].effective |= 1U << (cap % 32);
  }
  must(::syscall(SYS_capset, &header, data) == 0, "capset");
}

/// What `run` returns in a child process; "died" if it did not return.
template <class F>
std::string in_child(F&& run) {
  int ends[2];
  must(::pipe2(ends, O_CLOEXEC) == 0, "pipe");
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

}  // namespace synfp_test
