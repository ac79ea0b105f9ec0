// SPDX-License-Identifier: MIT
// The directory in which synfpd keeps a probe: DIRECTORY/vN, N the ABI's version. Its files outlive the
// process. Unlike capture::pinned, which removes what it made.
#pragma once

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/capture/detail/clsact.hpp>
#include <synfp/capture/detail/pins.hpp>

#include "../support/fd.hpp"
#include "../support/pin_owner.hpp"

namespace synfp::tools {

/// What the kernel calls a BPF object: "bpf-map", "bpf-prog", "bpf_link" or "bpf-link"; empty if it is none.
inline std::string kind_of_object(const fd& object) {
  char kind[32]{};
  (void)!::readlink(("/proc/self/fd/" + std::to_string(object.get())).c_str(), kind, sizeof kind - 1);
  constexpr std::string_view prefix = "anon_inode:";
  return std::string_view(kind).substr(0, prefix.size()) == prefix ? kind + prefix.size() : "";
}
inline std::uint32_t id_of_program(int program) {
  bpf_prog_info info{};
  __u32 length = sizeof info;
  must(bpf_obj_get_info_by_fd(program, &info, &length) == 0, "ask about a program");
  return info.id;
}
/// 0 if it is no program.
inline std::uint32_t id_of_program(const fd& object) {
  return object && kind_of_object(object) == "bpf-prog" ? id_of_program(object.get()) : 0;
}

/// Names of filters that outlive their process; see kept_filter. Not those of the library, which removes what
/// a killed process left.
inline constexpr const char* filter_name = "synfpd";
inline constexpr const char* filter_in_own_clsact = "synfpd+clsact";

/// The filter with this program.
inline bool find_filter(capture::detail::clsact& at, std::uint32_t program, capture::detail::tc_filter& found,
                        bool& made_clsact) {
  bool there = false;
  const auto look = [&](const capture::detail::tc_filter& f, std::string_view name) {
    if (program == 0 || f.program != program) return;
    there = true;
    found = f;
    made_clsact = name == filter_in_own_clsact;
  };
  // EAGAIN: the list changed meanwhile.
  for (int attempt = 0; at.each(look) == EAGAIN && attempt < 3; ++attempt) {
  }
  return there;
}

class pin_directory {
 public:
  /// Makes what is missing, and takes the lock. Throws what is in the way: no bpffs, another daemon, by its
  /// number, or a file that is not ours. Nothing outside of a bpffs is made or changed, nor the bpffs itself.
  pin_directory(const std::string& path, std::optional<gid_t> group)
      : path_(capture::detail::versioned(path)), group_(group) {
    const bool there = ::access(path.c_str(), F_OK) == 0;
    const std::string above = path + "/..", before = there ? path : parent_of(path);
    const fd at(::open(before.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    must(static_cast<bool>(at), "open " + before);
    if (!capture::detail::on_bpffs(at))
      throw failure(
          path + " is not on a bpffs; mount one (mount -t bpf bpf /sys/fs/bpf) and name a directory in it");
    struct stat own {
    }, parent{};
    if (there && ::stat(path.c_str(), &own) == 0 && ::stat(above.c_str(), &parent) == 0 &&
        own.st_dev != parent.st_dev)
      throw failure(path + " is the whole bpffs, where others pin, too; name a directory in it: " + path +
                    "/synfp");
    make(path);
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
    for (const std::string& name : names()) {
      if (!is_ours(name))
        throw failure(path_of(name) + " is not of synfpd; move it away, or name another --pin");
    }
  }

  /// Under which something is pinned before it gets its name.
  static std::string next_of(const std::string& name) { return name + std::string(next_suffix); }

  const std::string& path() const { return path_; }
  std::string path_of(const std::string& name) const { return path_ + '/' + name; }

  /// What is pinned as `name`; no descriptor if there is nothing.
  fd open(const std::string& name) const { return fd(capture::detail::bpf_path(BPF_OBJ_GET, path_of(name))); }

  /// Pins, or puts into the place of what is there. `mode`: what the group may is only given if there is one.
  void put(const std::string& name, int what, mode_t mode) const {
    put_next(name, what, mode);
    settle(name);
  }
  /// The first half of put(): as next_of(name).
  void put_next(const std::string& name, int what, mode_t mode) const {
    const std::string next = path_of(next_of(name));
    ::unlink(next.c_str());
    pin(next, what, mode);
  }
  void settle(const std::string& name) const {
    const std::string next = path_of(next_of(name));
    must(::rename(next.c_str(), path_of(name).c_str()) == 0, "put " + next + " into its place");
  }
  /// Pins a link where nothing is. In one step: no process that is killed leaves it attached under a name
  /// that nobody looks for.
  void put_new(const std::string& name, int link) const { pin(path_of(name), link, 0600); }
  /// Also detaches it. Throws if a filter of tc stays; then its pin does, too.
  void remove(const std::string& name) const {
    if (const unsigned interface = interface_of_filter(name); interface != 0) {
      capture::detail::clsact at;
      capture::detail::tc_filter f;
      bool made_clsact = false;
      int error = at.open(interface);
      if (error == 0 && find_filter(at, id_of_program(open(name)), f, made_clsact)) {
        error = at.remove(f);
      } else {
        made_clsact = name.ends_with(next_suffix);  // by one who was killed before it had a filter
      }
      if (error == 0 && made_clsact) at.remove_if_empty();
      if (error != 0) fail("remove the filter of " + path_of(name), error);
    }
    ::unlink(path_of(name).c_str());
  }

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
  /// Removes all of it.
  void remove_all() const {
    for (const std::string& name : names()) remove(name);
    ::rmdir(path_.c_str());
    ::rmdir(path_.substr(0, path_.rfind('/')).c_str());  // unless it holds another version's
  }

 private:
  static constexpr std::string_view next_suffix = "~new";

  /// Its index, of "tcx-interface-7" and next_of() that. 0: of another name.
  static unsigned interface_of_filter(const std::string& name) {
    unsigned index = 0;
    char rest[8]{};
    const int read = std::sscanf(name.c_str(), "tcx-interface-%u%7s", &index, rest);
    return read == 1 || (read == 2 && rest == next_suffix) ? index : 0;
  }

  static std::string parent_of(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  }

  /// By its name and its kind, and a map by the name that the kernel knows.
  bool is_ours(std::string name) const {
    const fd object = open(name);
    if (!object) return false;
    if (name.ends_with(next_suffix)) name.resize(name.size() - next_suffix.size());
    const std::string is = kind_of_object(object);
    constexpr std::array maps{"table", "meta", "counts", "sockets", "flags", "pulse"};
    if (std::find(maps.begin(), maps.end(), name) != maps.end()) {
      bpf_map_info info{};
      __u32 length = sizeof info;
      if (is != "bpf-map" || bpf_obj_get_info_by_fd(object.get(), &info, &length) != 0) return false;
      return name == "flags" ? std::string_view(info.name).find(".bss") != std::string_view::npos
                             : "synfp_" + name == info.name;
    }
    if (name == "program" || (interface_of_filter(name) != 0 && is == "bpf-prog")) return is == "bpf-prog";
    return (is == "bpf_link" || is == "bpf-link") &&
           (name == "kprobe" || name.find("-cgroup-") != std::string::npos ||
            name.find("-interface-") != std::string::npos);
  }

  void pin(const std::string& where, int what, mode_t mode) const {
    const bool for_group = group_ && (mode & 0060) != 0;
    must(capture::detail::bpf_path(BPF_OBJ_PIN, where, what) == 0, "pin " + where);
    if (for_group)
      must(::chown(where.c_str(), static_cast<uid_t>(-1), *group_) == 0, "change the group of " + where);
    must(::chmod(where.c_str(), for_group ? mode : 0600) == 0, "change the mode of " + where);
  }

  /// The group may open what it knows by name. It may not open the directory, on which it could take the
  /// lock.
  void make(const std::string& path) const {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail("make " + path, errno);
    if (group_)
      must(::chown(path.c_str(), static_cast<uid_t>(-1), *group_) == 0, "change the group of " + path);
    must(::chmod(path.c_str(), group_ ? 0710 : 0700) == 0, "change the mode of " + path);
  }

  std::string path_;
  std::optional<gid_t> group_;
  fd lock_;
};

}  // namespace synfp::tools
