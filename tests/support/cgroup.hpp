// SPDX-License-Identifier: MIT
// A cgroup of version 2 for system tests.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "../../tools/support/cgroup_root.hpp"
#include "../../tools/support/fd.hpp"

namespace synfp::test {

/// A new cgroup, removed at the end. Sockets that this process makes while it is `inside` belong to it.
class cgroup {
 public:
  cgroup()
      : root_(root()),
        path_(root_ + "/synfp-test-" + std::to_string(::getpid()) + '-' + std::to_string(++count())) {
    tools::must(::mkdir(path_.c_str(), 0755) == 0, "make the cgroup " + path_);
  }
  ~cgroup() { ::rmdir(path_.c_str()); }
  cgroup(const cgroup&) = delete;
  cgroup& operator=(const cgroup&) = delete;

  const std::string& path() const { return path_; }

  /// Moves this process into the cgroup, and back at the end.
  class membership {
   public:
    explicit membership(const cgroup& c) : before_(c.root_ + own()) { enter(c.path_); }
    ~membership() { enter(before_); }
    membership(const membership&) = delete;
    membership& operator=(const membership&) = delete;

   private:
    static void enter(const std::string& path) {
      std::ofstream(path + "/cgroup.procs") << ::getpid() << std::flush;
    }
    std::string before_;
  };

  /// Where version 2 is mounted.
  static std::string root() {
    const std::string where = tools::cgroup_root();
    if (where.empty()) throw tools::failure("no cgroup of version 2 is mounted");
    return where;
  }

 private:
  /// Of this process, below the root.
  static std::string own() {
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("0::")) return line.substr(3);
    }
    return "/";
  }
  static int& count() {
    static int n = 0;
    return n;
  }

  std::string root_, path_;
};

}  // namespace synfp::test
