// SPDX-License-Identifier: MIT
// Pins a probe in a directory of the BPF file system, where other processes find it. No libbpf.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>  // renameat2
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <synfp/capture/detail/pins.hpp>
#include <synfp/capture/table.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

struct pin_options {
  /// The group that may read the table, the hash secret included, besides its owner and root; nobody may
  /// write it. With a group the directory gets mode 0710 and the maps' pins 0660, else 0700 and 0600. The
  /// group also needs search permission (x) for every directory above.
  std::optional<gid_t> group;
  /// Whether the group may also attach the program to listeners of its own. Grant this only to a group that
  /// you trust like the server: anyone who can attach can insert any SYN into the table, for any connection
  /// and even as verified, from a network namespace of their own, where a listener can have every address.
  bool attach = false;
};

/// A probe's pins: DIRECTORY/table, meta, counts and, for hook::reuseport, program. This object owns them: it
/// removes them when it is destroyed, and keeps the directory locked (flock) until then. A process that is
/// killed leaves them there with its last records, which readers refuse once they are too old; the next probe
/// that pins there replaces them.
///
/// If the directory above belongs to another user, that user decides what readers find there. But nothing
/// that they rename or link meanwhile makes this process touch other files: it works with descriptors.
class [[nodiscard]] pinned {
 public:
  /// Publishes the pins all at once, or nothing. `directory`: below a bpffs; its parent exists, its name has
  /// no dot. One that exists is replaced if it is empty or holds the pins of a probe that is gone, and
  /// refused if a running process keeps it or it holds anything else. `program`: -1 for none.
  static setup_result<pinned> make(const std::string& directory, const table_fds& maps, int program,
                                   const pin_options& options = {}) {
    pinned p;
    p.directory_ = directory;
    if (auto found = p.open_parent(); !found) return std::move(found).error();
    const std::string name = std::exchange(p.name_, p.name_ + "~new");
    if (auto made = p.make_directory(); !made) return std::move(made).error();
    const int fds[] = {maps.table, maps.meta, maps.counts, program};
    for (std::size_t i = 0; i < std::size(fds); ++i) {
      if (i == 3 && program < 0) continue;
      const char* const pin = detail::pin_names[i];
      if (detail::bpf_path(BPF_OBJ_PIN, detail::path_in(p.pins_, pin), fds[i]) != 0)
        return p.failure("pin to", errno);
      const mode_t mode = options.group && (i != 3 || options.attach) ? 0660 : 0600;
      if (options.group &&
          ::fchownat(p.pins_.get(), pin, unchanged, *options.group, AT_SYMLINK_NOFOLLOW) != 0)
        return group_failure(*options.group, errno);
      if (::fchmodat(p.pins_.get(), pin, mode, AT_SYMLINK_NOFOLLOW) != 0)
        return p.failure("set the modes in", errno);
    }
    if (options.group && ::fchown(p.pins_.get(), unchanged, *options.group) != 0)
      return group_failure(*options.group, errno);
    if (::fchmod(p.pins_.get(), options.group ? 0710 : 0700) != 0) return p.failure("set the mode of", errno);
    if (auto published = p.publish(name); !published) return std::move(published).error();
    return p;
  }

  pinned(pinned&&) = default;
  pinned& operator=(pinned&& other) noexcept {
    std::swap(directory_, other.directory_);
    std::swap(name_, other.name_);
    std::swap(parent_, other.parent_);
    std::swap(pins_, other.pins_);
    std::swap(replaced_, other.replaced_);
    return *this;
  }
  /// Removes the pins, unless another process has replaced them. The rights of their owner are enough. If
  /// these do not allow to remove the directory from the one above, it stays, empty, and the next probe takes
  /// it.
  ~pinned() {
    if (pins_.get() >= 0) remove(pins_, name_);
  }

  /// The pins of a process that is gone were in this place.
  bool replaced() const noexcept { return replaced_; }

 private:
  pinned() = default;

  static constexpr uid_t unchanged = static_cast<uid_t>(-1);

  setup_error failure(const char* what, int number) const {
    std::string text =
        std::string("cannot ") + what + ' ' + directory_ + " (" + std::strerror(number) + "); ";
    switch (number) {
      case EACCES:
      case EPERM: text += "choose a directory whose parent this user may write to, or run as root"; break;
      case EINVAL:  // what the kernel says of an fd that is not open
      case EBADF: text += "the probe's owner pins it, not a process that shares it"; break;
      case ENOENT: text += "mount /proc, and let nobody else change the directory above meanwhile"; break;
      case ENOSPC:
      case ENOMEM: text += "out of memory"; break;
      default: text += "see bpf(2), BPF_OBJ_PIN"; break;
    }
    return {errc::system, number, std::move(text)};
  }
  static setup_error group_failure(gid_t group, int number) {
    return {errc::system, number,
            "cannot give the pins to group " + std::to_string(group) + " (" + std::strerror(number) +
                "); run as root, or name a group this user is in"};
  }
  setup_error in_the_way(const char* why) const {
    return {errc::system, EEXIST, "cannot pin to " + directory_ + ": " + why};
  }

  /// Splits directory_ into parent_ and name_.
  setup_result<void> open_parent() {
    std::string path = directory_;
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    const std::size_t slash = path.rfind('/');
    name_ = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string above = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    if (name_.empty() || name_.find('.') != std::string::npos)
      return setup_error{
          errc::invalid, 0,
          "cannot pin to '" + directory_ + "': the name must not have a dot, bpffs reserves them"};
    parent_ = detail::owned_fd(::open(above.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (parent_.get() < 0)
      return setup_error{errc::system, errno,
                         "cannot pin to " + directory_ + ": no way to " + above + " (" +
                             std::strerror(errno) +
                             "); make it first, on a bpffs: mount -t bpf bpf /sys/fs/bpf"};
    if (!detail::on_bpffs(parent_))
      return setup_error{errc::invalid, 0,
                         "cannot pin to " + directory_ + ": " + above +
                             " is not on a bpffs; mount one (mount -t bpf bpf /sys/fs/bpf) and name a "
                             "directory in it, for instance /sys/fs/bpf/synfp"};
    return {};
  }

  /// The directory `name`, locked by whoever pins there; no fd if another has the lock (EWOULDBLOCK), or it
  /// is not there, or no longer.
  detail::owned_fd lock(const std::string& name) const noexcept {
    detail::owned_fd opened(
        ::openat(parent_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (opened.get() < 0 || ::flock(opened.get(), LOCK_EX | LOCK_NB) != 0 || !is_at(opened, name)) return {};
    return opened;
  }
  bool is_at(const detail::owned_fd& opened, const std::string& name) const noexcept {
    struct stat one {};
    struct stat other {};
    return ::fstat(opened.get(), &one) == 0 &&
           ::fstatat(parent_.get(), name.c_str(), &other, AT_SYMLINK_NOFOLLOW) == 0 &&
           detail::same_file(one, other);
  }

  /// The pins in `opened`, and that directory if it is still called `name`.
  void remove(const detail::owned_fd& opened, const std::string& name) const noexcept {
    for (const char* pin : detail::pin_names) ::unlinkat(opened.get(), pin, 0);
    if (is_at(opened, name)) ::unlinkat(parent_.get(), name.c_str(), AT_REMOVEDIR);
  }

  /// name_, empty, this user's alone, and locked.
  setup_result<void> make_directory() {
    static constexpr const char* another = "another process is pinning there right now; try again";
    if (::mkdirat(parent_.get(), name_.c_str(), 0700) != 0) {
      if (errno != EEXIST) return failure("pin to", errno);
      // Left by a process that was killed on its way, unless it is still at it.
      const detail::owned_fd abandoned = lock(name_);
      if (abandoned.get() < 0) return in_the_way(another);
      remove(abandoned, name_);
      if (::mkdirat(parent_.get(), name_.c_str(), 0700) != 0) return failure("pin to", errno);
    }
    detail::owned_fd made = lock(name_);
    struct stat status {};
    if (made.get() < 0 || ::fstat(made.get(), &status) != 0) return in_the_way(another);
    if (status.st_uid != ::geteuid() || (status.st_mode & 077) != 0)
      return in_the_way("the owner of the directory above put another into its place");
    pins_ = std::move(made);
    return {};
  }

  /// Only an empty directory, or what a probe pinned.
  static bool replaceable(const detail::owned_fd& opened) {
    const int again = ::openat(opened.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0) return false;
    DIR* const directory = ::fdopendir(again);
    if (directory == nullptr) {
      ::close(again);
      return false;
    }
    bool only_pins = true;
    bool empty = true;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string_view name(entry->d_name);
      if (name == "." || name == "..") continue;
      empty = false;
      bool known = false;
      for (const char* one : detail::pin_names) known = known || name == one;
      only_pins = only_pins && known;
    }
    ::closedir(directory);
    if (empty) return true;
    if (!only_pins) return false;
    const detail::owned_fd file(detail::bpf_path(BPF_OBJ_GET, detail::path_in(opened, "meta")));
    if (file.get() < 0) return false;
    const auto meta = detail::mapping::open(file.get(), sizeof(synfp_meta), "metadata");
    return meta && static_cast<const synfp_meta*>(meta->data())->magic == SYNFP_ABI_MAGIC;
  }

  setup_result<void> publish(const std::string& name) {
    const auto rename = [&](unsigned flags) {
      return ::renameat2(parent_.get(), name_.c_str(), parent_.get(), name.c_str(), flags) == 0;
    };
    if (rename(RENAME_NOREPLACE)) {
      name_ = name;
      return {};
    }
    if (errno != EEXIST) return failure("pin to", errno);
    const detail::owned_fd before = lock(name);
    if (before.get() < 0)
      return in_the_way(errno == EWOULDBLOCK
                            ? "a running probe is pinned there; stop it, or choose another directory"
                            : "it is in the way and cannot be opened; choose another directory");
    if (!replaceable(before))
      return in_the_way(
          "it holds something else than the pins of a probe that is gone; choose another directory, or "
          "remove "
          "it (rm -r)");
    if (!rename(RENAME_EXCHANGE)) return failure("pin to", errno);
    remove(before, std::exchange(name_, name));
    replaced_ = true;
    return {};
  }

  std::string directory_;  // as it was given, for messages
  std::string name_;       // of the pins' directory, in parent_
  detail::owned_fd parent_;
  detail::owned_fd pins_;  // holds the lock
  bool replaced_ = false;
};

}  // namespace capture
SYNFP_END_NAMESPACE
