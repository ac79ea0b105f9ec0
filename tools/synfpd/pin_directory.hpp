// SPDX-License-Identifier: MIT
// The directory in which synfpd keeps a probe: DIRECTORY/vN, N the ABI's version. Its files outlive the
// process. Unlike capture::pinned, which removes what it made.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include <synfp/capture/detail/pins.hpp>

#include "../support/fd.hpp"
#include "../support/pin_owner.hpp"

namespace synfp::tools {

class pin_directory {
 public:
  /// Makes what is missing, and takes the lock. Throws what is in the way: another daemon, by its number.
  pin_directory(const std::string& path, std::optional<gid_t> group)
      : path_(capture::detail::versioned(path)), group_(group) {
    make(path);
    fd above(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    must(static_cast<bool>(above), "open " + path);
    if (!capture::detail::on_bpffs(above))
      throw failure(
          path + " is not on a bpffs; mount one (mount -t bpf bpf /sys/fs/bpf) and name a directory in it");
    make(path_);
    lock_ = fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    must(static_cast<bool>(lock_), "open " + path_);
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
      const pin_owner owner = owner_of(path_);
      throw failure(owner.is == pin_owner::state::present
                        ? fmt::format("{} is held by process {} ({}); stop it first, or name another --pin",
                                      path_, owner.process, owner.name)
                        : path_ + " is held by another process; stop it first, or name another --pin");
    }
  }

  const std::string& path() const { return path_; }
  std::string path_of(const std::string& name) const { return path_ + '/' + name; }

  /// What is pinned as `name`; no descriptor if there is nothing.
  fd open(const std::string& name) const { return fd(capture::detail::bpf_path(BPF_OBJ_GET, path_of(name))); }

  /// Pins, or puts into the place of what is there. `mode`: what the group may is only given if there is one.
  void put(const std::string& name, int what, mode_t mode) const {
    const bool for_group = group_ && (mode & 0060) != 0;
    const std::string next = path_of(name + "~new");
    ::unlink(next.c_str());
    must(capture::detail::bpf_path(BPF_OBJ_PIN, next, what) == 0, "pin " + next);
    if (for_group)
      must(::chown(next.c_str(), static_cast<uid_t>(-1), *group_) == 0, "change the group of " + next);
    must(::chmod(next.c_str(), for_group ? mode : 0600) == 0, "change the mode of " + next);
    must(::rename(next.c_str(), path_of(name).c_str()) == 0, "put " + next + " into its place");
  }
  void remove(const std::string& name) const { ::unlink(path_of(name).c_str()); }

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    DIR* const directory = ::opendir(path_.c_str());
    if (directory == nullptr) return found;
    while (const dirent* entry = ::readdir(directory)) {
      if (entry->d_name[0] != '.') found.emplace_back(entry->d_name);
    }
    ::closedir(directory);
    return found;
  }
  /// Also detaches what only a pin keeps attached.
  void clear() const {
    for (const std::string& name : names()) remove(name);
  }
  /// Removes all of it.
  void remove_all() const {
    clear();
    ::rmdir(path_.c_str());
    ::rmdir(path_.substr(0, path_.rfind('/')).c_str());  // unless it holds another version's
  }

 private:
  void make(const std::string& path) const {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      fail("make " + path + ", which has to be on a bpffs (mount -t bpf bpf /sys/fs/bpf)", errno);
    }
    if (group_)
      must(::chown(path.c_str(), static_cast<uid_t>(-1), *group_) == 0, "change the group of " + path);
    must(::chmod(path.c_str(), group_ ? 0750 : 0700) == 0, "change the mode of " + path);
  }

  std::string path_;
  std::optional<gid_t> group_;
  fd lock_;
};

}  // namespace synfp::tools
