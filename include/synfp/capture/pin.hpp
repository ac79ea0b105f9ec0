// SPDX-License-Identifier: MIT
// Pins a probe in a directory of the BPF file system, where other processes find it. No libbpf.
#pragma once

#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>   // renameat2
#include <cstdlib>  // realpath
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
  /// Who may read the table besides its owner (and root), the hash secret included; not write it. The
  /// directory becomes 0710 and the maps' pins 0660 of this group, else 0700 and 0600. Every directory above
  /// needs search permission (x) for it too.
  std::optional<gid_t> group;
  /// The group may also attach the program to listeners of its own. Whoever can do that can put any SYN into
  /// the table, for any connection and even as verified: a listener in a network namespace of one's own owns
  /// every address there. Trust the group as you trust the server.
  bool attach = false;
};

/// A probe's pins: DIRECTORY/table, about, counts and, for hook::reuseport, program. They are there as long
/// as this object; its owner keeps the directory locked (flock). A process that is killed leaves them behind,
/// with records that nobody refreshes: readers refuse those by their age, and the next probe that pins there
/// replaces them.
class [[nodiscard]] pinned {
 public:
  /// Publishes the pins all at once, or nothing. `directory`: below a bpffs; its parent exists, its name has
  /// no dot. One that exists is replaced if it is empty or holds the pins of a probe that is gone, and
  /// refused if a running process keeps it or it holds anything else. `program`: -1 for none.
  static setup_result<pinned> make(const std::string& directory, const table_fds& maps, int program,
                                   const pin_options& options = {}) {
    auto place = absolute(directory);
    if (!place) return std::move(place).error();
    const std::string unpublished = *place + "~new";
    pinned p;
    if (auto made = p.make_directory(unpublished, *place); !made) return std::move(made).error();
    const int fds[] = {maps.table, maps.about, maps.counts, program};
    for (std::size_t i = 0; i < std::size(fds); ++i) {
      if (i == 3 && program < 0) continue;
      const std::string path = p.path_ + '/' + detail::pin_names[i];
      if (detail::bpf_path(BPF_OBJ_PIN, path, fds[i]) != 0) return failure("pin to", *place, errno);
      if (auto given = give(path, options, 0600, i != 3 || options.attach ? 0660 : 0600); !given)
        return std::move(given).error();
    }
    if (auto given = give(p.path_, options, 0700, 0710); !given) return std::move(given).error();
    if (auto published = p.publish(*place); !published) return std::move(published).error();
    return p;
  }

  pinned(pinned&&) = default;
  pinned& operator=(pinned&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(lock_, other.lock_);
    std::swap(replaced_, other.replaced_);
    return *this;
  }
  /// Removes the pins, unless someone else has put others into their place.
  ~pinned() {
    if (lock_.get() >= 0 && is_at(lock_, path_)) remove_pins(path_);
  }

  /// The pins of a process that is gone were in this place.
  bool replaced() const noexcept { return replaced_; }

 private:
  pinned() = default;

  static setup_error failure(const char* what, const std::string& directory, int number) {
    std::string text = std::string("cannot ") + what + ' ' + directory + " (" + std::strerror(number) + "); ";
    switch (number) {
      case EACCES:
      case EPERM: text += "choose a directory whose parent this user may write to, or run as root"; break;
      case EINVAL:  // what the kernel says of an fd that is not open
      case EBADF: text += "the probe's owner pins it, not a process that shares it"; break;
      case ENOSPC:
      case ENOMEM: text += "out of memory"; break;
      default: text += "see bpf(2), BPF_OBJ_PIN"; break;
    }
    return {errc::system, number, std::move(text)};
  }
  static setup_error in_the_way(const std::string& directory, const char* why) {
    return {errc::system, EEXIST, "cannot pin to " + directory + ": " + why};
  }
  static constexpr const char* another_is_pinning = "another process is doing so right now; try again";

  /// The directory behind the links of its parent, for it must be found again after a chdir().
  static setup_result<std::string> absolute(std::string directory) {
    while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
    const std::size_t slash = directory.rfind('/');
    const std::string name = slash == std::string::npos ? directory : directory.substr(slash + 1);
    const std::string above = slash == std::string::npos ? "." : directory.substr(0, slash + 1);
    if (name.empty() || name.find('.') != std::string::npos)
      return setup_error{
          errc::invalid, 0,
          "cannot pin to '" + directory + "': the name must not have a dot, bpffs reserves them"};
    char* const real = ::realpath(above.c_str(), nullptr);
    if (real == nullptr)
      return setup_error{errc::system, errno,
                         "cannot pin to " + directory + ": no way to " + above + " (" + std::strerror(errno) +
                             "); make it first, on a bpffs: mount -t bpf bpf /sys/fs/bpf"};
    std::string place(real);
    std::free(real);
    if (!detail::on_bpffs(place))
      return setup_error{errc::invalid, 0,
                         "cannot pin to " + directory + ": " + place +
                             " is not on a bpffs; mount one (mount -t bpf bpf /sys/fs/bpf) and name a "
                             "directory in it, for instance /sys/fs/bpf/synfp"};
    return place + '/' + name;
  }

  static bool is_at(const detail::owned_fd& opened, const std::string& path) noexcept {
    struct stat one {};
    struct stat other {};
    return ::fstat(opened.get(), &one) == 0 && ::stat(path.c_str(), &other) == 0 &&
           detail::same_file(one, other);
  }

  /// The lock of whoever pins there; no fd if it is taken, or the directory is no longer there.
  static detail::owned_fd lock(const std::string& path) noexcept {
    detail::owned_fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (directory.get() < 0 || ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0 || !is_at(directory, path))
      return {};
    return directory;
  }

  static void remove_pins(const std::string& path) noexcept {
    for (const char* name : detail::pin_names) ::unlink((path + '/' + name).c_str());
    ::rmdir(path.c_str());
  }

  setup_result<void> make_directory(const std::string& path, const std::string& place) {
    if (::mkdir(path.c_str(), 0700) != 0) {
      if (errno != EEXIST) return failure("pin to", place, errno);
      // Left by a process that was killed on its way, unless it is still at it.
      const detail::owned_fd abandoned = lock(path);
      if (abandoned.get() < 0) return in_the_way(place, another_is_pinning);
      remove_pins(path);
      if (::mkdir(path.c_str(), 0700) != 0) return failure("pin to", place, errno);
    }
    lock_ = lock(path);
    if (lock_.get() < 0) return in_the_way(place, another_is_pinning);
    path_ = path;
    return {};
  }

  static setup_result<void> give(const std::string& path, const pin_options& options, mode_t alone,
                                 mode_t shared) {
    if (options.group && ::chown(path.c_str(), static_cast<uid_t>(-1), *options.group) != 0)
      return setup_error{errc::system, errno,
                         "cannot give the pins to group " + std::to_string(*options.group) + " (" +
                             std::strerror(errno) + "); run as root, or name a group this user is in"};
    if (::chmod(path.c_str(), options.group ? shared : alone) != 0)
      return failure("set the mode of", path, errno);
    return {};
  }

  /// Only an empty directory, or what a probe pinned.
  static bool replaceable(const std::string& path) {
    DIR* const directory = ::opendir(path.c_str());
    if (directory == nullptr) return false;
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
    const detail::owned_fd about(detail::bpf_path(BPF_OBJ_GET, path + "/about"));
    if (about.get() < 0) return false;
    const auto meta = detail::mapping::open(about.get(), sizeof(synfp_meta), "description");
    return meta && static_cast<const synfp_meta*>(meta->data())->magic == SYNFP_ABI_MAGIC;
  }

  setup_result<void> publish(const std::string& place) {
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, place.c_str(), RENAME_NOREPLACE) == 0) {
      path_ = place;
      return {};
    }
    if (errno != EEXIST) return failure("pin to", place, errno);
    const detail::owned_fd before = lock(place);
    if (before.get() < 0)
      return in_the_way(place, errno == EWOULDBLOCK
                                   ? "a running probe is pinned there; stop it, or choose another directory"
                                   : "it is in the way and cannot be opened; choose another directory");
    if (!replaceable(place))
      return in_the_way(place,
                        "it holds something else than the pins of a probe that is gone; choose another "
                        "directory, or remove it (rm -r)");
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, place.c_str(), RENAME_EXCHANGE) != 0)
      return failure("pin to", place, errno);
    remove_pins(std::exchange(path_, place));
    replaced_ = true;
    return {};
  }

  std::string path_;
  detail::owned_fd lock_;
  bool replaced_ = false;
};

}  // namespace capture
SYNFP_END_NAMESPACE
