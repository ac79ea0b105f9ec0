// SPDX-License-Identifier: MIT
// A network namespace of a program's own. Needs root and iproute2.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "fd.hpp"

namespace synfp::tools {

/// Runs commands of ip(8), one a line, in the namespace of the calling thread.
inline void ip(const std::string& batch) {
  FILE* pipe = ::popen("ip -batch -", "we");
  must(pipe != nullptr, "run ip");
  std::fputs(batch.c_str(), pipe);
  if (::pclose(pipe) != 0)
    throw failure("ip could not set up a network; it needs iproute2 and a kernel with veth. It was to do:\n" +
                  batch);
}

/// It has no name: it ends with this object and with whoever is in it.
class network_namespace {
 public:
  /// With lo up. The calling thread stays where it is.
  network_namespace() {
    const return_home home;
    const ino_t before = current();
    must(::unshare(CLONE_NEWNET) == 0, "make a network namespace");
    own_ = open_current();
    number_ = current();
    if (number_ == before) throw failure("the new network namespace is the old one");
    if (has_v6()) {
      write_sysctl("net/ipv6/conf/default/accept_dad", "0");
      write_sysctl("net/ipv6/conf/default/accept_ra", "0");
    }
    ip("link set lo up\n");
  }

  /// Takes the calling thread into the namespace, for good.
  void enter() const { must(::setns(own_.get(), CLONE_NEWNET) == 0, "enter a network namespace"); }
  /// Runs `what` with the calling thread in the namespace.
  template <class F>
  auto inside(F&& what) const {
    const return_home home;
    enter();
    return what();
  }
  /// Whether the calling thread is in it. By the kernel's number: names prove nothing.
  bool is_current() const { return current() == number_; }

  /// Writes `value` to /proc/sys/`name` in the namespace.
  void sysctl(const std::string& name, const std::string& value) const {
    inside([&] { write_sysctl(name, value); });
  }
  /// A pair of virtual Ethernet devices: `here` in this namespace, `there` in `other`. `options` are those of
  /// `here` in ip-link(8), such as "address 02:00:00:00:00:01".
  void connect(const network_namespace& other, const std::string& here, const std::string& there,
               const std::string& options = "") const {
    const std::string path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(other.fd());
    inside([&] {
      ip("link add " + here + " " + options + " type veth peer name " + there + "\n" +  //
         "link set " + there + " netns " + path + "\n");
    });
  }

  /// The number of the calling thread's namespace.
  static ino_t current() {
    struct stat status {};
    must(::stat("/proc/thread-self/ns/net", &status) == 0, "read /proc/thread-self/ns/net");
    return status.st_ino;
  }
  /// The descriptor of the namespace, for setns().
  int fd() const { return own_.get(); }
  static bool has_v6() { return ::access("/proc/sys/net/ipv6", F_OK) == 0; }

 private:
  static tools::fd open_current() {
    tools::fd own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    must(own.get() >= 0, "open /proc/thread-self/ns/net");
    return own;
  }
  static void write_sysctl(const std::string& name, const std::string& value) {
    const tools::fd file(::open(("/proc/sys/" + name).c_str(), O_WRONLY | O_CLOEXEC));
    must(file.get() >= 0 &&
             ::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size()),
         "set " + name);
  }
  struct return_home {
    return_home() : home(open_current()) {}
    ~return_home() { (void)!::setns(home.get(), CLONE_NEWNET); }
    return_home(const return_home&) = delete;
    return_home& operator=(const return_home&) = delete;
    tools::fd home;
  };

  tools::fd own_;
  ino_t number_ = 0;
};

}  // namespace synfp::tools
