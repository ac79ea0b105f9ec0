// SPDX-License-Identifier: MIT
// Whether programs on a cgroup would see this process's sockets.
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "bpf.hpp"
#include "finding.hpp"
#include "read_text.hpp"

namespace synfp::doctor {

/// Where this process is in the hierarchy of version 2, which alone carries programs. A socket belongs to the
/// cgroup in which it was made.
struct cgroup_place {
  std::optional<std::string> mount;  ///< of version 2; empty: none that is to be seen
  bool version1 = false;             ///< one of those is mounted too
  std::optional<std::string> path;   ///< of this process, from the root of its cgroup namespace
  bool outside = false;              ///< it is above that root: its directory is not below the mount
  std::string directory() const { return *mount + (*path == "/" ? "" : *path); }
};

inline cgroup_place find_cgroup() {
  cgroup_place found;
  std::istringstream mounts(read_text("/proc/self/mountinfo", 4 << 20).value_or(""));
  for (std::string line; std::getline(mounts, line);) {
    // 36 35 98:0 ROOT POINT OPTIONS ... - TYPE SOURCE OPTIONS, see proc_pid_mountinfo(5)
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream words(line);
    std::string skipped, point;
    for (int i = 0; i < 4; ++i) words >> skipped;
    words >> point;
    const std::string type = line.substr(dash + 3, line.find(' ', dash + 3) - dash - 3);
    if (type == "cgroup") found.version1 = true;
    if (type == "cgroup2" && !found.mount) found.mount = point;
  }
  std::istringstream own(read_text("/proc/self/cgroup", 64 << 10).value_or(""));
  for (std::string line; std::getline(own, line);) {
    if (line.compare(0, 3, "0::") == 0) found.path = line.substr(3);
  }
  found.outside = found.path && found.path->compare(0, 3, "/..") == 0;
  return found;
}

/// Attaches a sock_ops program that does nothing to the cgroup, and takes it off again. 0 or an errno.
inline int try_cgroup_program(int directory) {
  const synfp::detail::owned_fd program = load_trivial(BPF_PROG_TYPE_SOCK_OPS, attach_sock_ops);
  if (program.get() < 0) return errno;
  bpf_attr link{};
  link.link_create.prog_fd = static_cast<__u32>(program.get());
  link.link_create.target_fd = static_cast<__u32>(directory);
  link.link_create.attach_type = static_cast<__u32>(attach_sock_ops);
  const synfp::detail::owned_fd made(
      static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof link)));
  return made.get() < 0 ? errno : 0;
}

inline finding check_cgroup() {
  const cgroup_place at = find_cgroup();
  std::optional<bool> attach;
  std::optional<std::vector<std::string>> programs;
  const auto finish = [&](status s, std::string what, std::string todo = "") {
    return finding{s, "cgroup", std::move(what), std::move(todo),
                   facts()
                       .add("version2", at.mount.has_value())
                       .add("version1", at.version1)
                       .add("mount", at.mount)
                       .add("path", at.path)
                       .add("attach", attach)
                       .add("programs", programs)
                       .json()};
  };
  if (!read_text("/proc/self/mountinfo"))
    return finish(status::unknown, "there is no /proc here", "mount /proc");
  if (!at.mount)
    return finish(status::no,
                  at.version1 ? "only version 1 is mounted, which carries no programs" : "none is mounted",
                  "mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1");
  if (!at.path) return finish(status::unknown, "/proc/self/cgroup names no cgroup of version 2");
  if (at.outside)
    return finish(status::no, "this process is above the root of its cgroup namespace, at " + *at.path,
                  "a program on a cgroup outside may cover its sockets; ask there");
  const synfp::detail::owned_fd directory(::open(at.directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0)
    return finish(status::unknown, "cannot open " + at.directory() + " (" + std::strerror(errno) + ")",
                  "mount the hierarchy that this process is in");
  const auto effective =
      attached_programs(static_cast<std::uint32_t>(directory.get()), attach_sock_ops, true);
  std::string others;
  if (effective) {
    programs.emplace();
    for (const std::uint32_t id : *effective) {
      const std::string name = program_name(id);
      programs->push_back(name.empty() ? "id " + std::to_string(id) : name);
    }
    if (!effective->empty()) others = "; sock_ops programs there: " + program_list(*effective);
  }
  const int number = try_cgroup_program(directory.get());
  attach = number == 0;
  const std::string where = "sockets of this process belong to " + at.directory();
  if (number == 0) return finish(status::ok, where + ", and programs can be attached there" + others);
  const std::string why =
      ", but no program can be attached there (" + std::string(std::strerror(number)) + ")";
  if (number == EPERM || number == EACCES)
    return finish(status::no, where + why + others,
                  "it needs CAP_BPF and CAP_NET_ADMIN outside of user namespaces, and no program above that "
                  "forbids others");
  return finish(status::no, where + why + others, "it needs a kernel with CONFIG_CGROUP_BPF");
}

}  // namespace synfp::doctor
