// SPDX-License-Identifier: MIT
// Who keeps a probe's pins: capture::pinned holds a lock on their directory as long as it lives.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

namespace synfp::tools {

struct pin_owner {
  enum class state {
    present,  ///< a process holds the lock
    gone,     ///< nobody does
    unseen    ///< /proc does not show all of the machine's processes: it may be there or not
  };
  state is = state::unseen;
  int process = 0;   ///< its number, if it is present
  std::string name;  ///< and what /proc says that it is called; may be empty
};

/// Looks, and takes no lock of its own: a probe that pins there at this moment would find it taken.
inline pin_owner owner_of(const std::string& directory) {
  pin_owner found;
  struct stat at {};
  if (::stat(directory.c_str(), &at) != 0) return found;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> locks(std::fopen("/proc/locks", "re"), &std::fclose);
  if (locks == nullptr) return found;
  char line[256];
  while (std::fgets(line, sizeof line, locks.get()) != nullptr) {
    int process = 0;
    unsigned major_number = 0, minor_number = 0;
    unsigned long inode = 0;
    if (std::sscanf(line, "%*d: FLOCK %*s WRITE %d %x:%x:%lu", &process, &major_number, &minor_number,
                    &inode) != 4 ||
        inode != at.st_ino || major_number != major(at.st_dev) || minor_number != minor(at.st_dev))
      continue;
    found.is = pin_owner::state::present;
    found.process = process;
    const std::string path = "/proc/" + std::to_string(process) + "/comm";
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
    char name[32];
    if (file != nullptr && std::fgets(name, sizeof name, file.get()) != nullptr) {
      found.name = name;
      if (!found.name.empty() && found.name.back() == '\n') found.name.pop_back();
    }
    return found;
  }
  // /proc/locks leaves out the processes of other process namespaces, unless this is the first of all.
  constexpr ino_t initial = 0xeffffffc;  // on every Linux, see PROC_PID_INIT_INO in linux/proc_ns.h
  struct stat own {};
  if (::stat("/proc/self/ns/pid", &own) == 0 && own.st_ino == initial) found.is = pin_owner::state::gone;
  return found;
}

}  // namespace synfp::tools
