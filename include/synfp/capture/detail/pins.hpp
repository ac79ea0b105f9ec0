// SPDX-License-Identifier: MIT
// BPF objects by path, with bpf(2) alone.
#pragma once

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include <synfp/abi.h>
#include <synfp/capture/detail/handover.hpp>
#include <synfp/detail/owned_fd.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

using synfp::detail::owned_fd;

/// The files of a pinned probe; the last one only of a listener's.
inline constexpr const char* pin_names[] = {"table", "meta", "counts", "program"};

/// Below the directory that a daemon was told, so that another version's pins do not stand in its way.
inline std::string versioned(const std::string& directory) {
  return directory + "/v" + std::to_string(SYNFP_ABI_VERSION);
}
/// Of the daemon, beside pin_names.
inline constexpr const char* pulse_pin = "pulse";

/// BPF_OBJ_PIN or BPF_OBJ_GET. -1 and errno if the kernel refuses.
inline int bpf_path(bpf_cmd command, const std::string& path, int fd = 0, __u32 flags = 0) noexcept {
  bpf_attr attributes{};
  attributes.pathname = reinterpret_cast<std::uintptr_t>(path.c_str());
  attributes.bpf_fd = static_cast<__u32>(fd);
  attributes.file_flags = flags;
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

/// A name in an open directory, as a path. bpf(2) takes no directory before Linux 6.5.
inline std::string path_in(const owned_fd& directory, const char* name) {
  return "/proc/self/fd/" + std::to_string(directory.get()) + '/' + name;
}

inline bool on_bpffs(const owned_fd& directory) noexcept {
  struct statfs status {};
  return ::fstatfs(directory.get(), &status) == 0 &&
         static_cast<std::uint32_t>(status.f_type) == BPF_FS_MAGIC;
}

inline bool same_file(const struct stat& a, const struct stat& b) noexcept {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

inline setup_error no_pins(const std::string& directory, int number) {
  std::string text = "cannot open the probe pinned in " + directory + " (" + std::strerror(number) + "); ";
  if (number == ENOENT || number == ENOTDIR) {
    text += "no probe is pinned there: start one that pins there, for instance echo_server --pin";
  } else if (number == EACCES) {
    text +=
        "it belongs to others: run as its owner, or let the probe pin for a group (pin_options::group) that "
        "this user is in, and that may enter every directory above it";
  } else if (number == EPERM) {
    text += "a seccomp filter (container) or lockdown forbids it: allow the bpf system call";
  } else if (number == EMFILE || number == ENFILE) {
    text += "raise the limit of open files: ulimit -n";
  } else {
    text += "see bpf(2), BPF_OBJ_GET";
  }
  return {errc::system, number, std::move(text)};
}

/// Opens what is pinned in a directory; all of it from one probe, also while the pins are replaced. A socket:
/// what the daemon there hands over.
inline setup_result<opened_pins> open_pins(const std::string& where, bool with_program) {
  struct stat kind {};
  if (::stat(where.c_str(), &kind) == 0 && S_ISSOCK(kind.st_mode)) return receive_pins(where, with_program);
  const std::string own = versioned(where);
  const std::string& directory = ::stat(own.c_str(), &kind) == 0 ? own : where;
  for (int attempt = 0; attempt < 3; ++attempt) {
    // Held open, so that its number is not given to another meanwhile.
    const owned_fd held(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat before {};
    if (held.get() < 0 || ::fstat(held.get(), &before) != 0) return no_pins(directory, errno);
    // A daemon replaces what is in the directory, the table first and the metadata last.
    const std::string first = directory + '/' + pin_names[0];
    struct stat table_before {
    }, table_after{};
    const bool had_table = ::stat(first.c_str(), &table_before) == 0;
    if (!on_bpffs(held))
      return setup_error{errc::invalid, 0,
                         directory + " is not on a bpffs, so no probe is pinned there; see 'mount -t bpf'"};
    opened_pins pins;
    int number = 0;
    owned_fd* const wanted[] = {&pins.table, &pins.meta, &pins.counts, &pins.program};
    for (std::size_t i = 0; i < (with_program ? 4U : 3U) && number == 0; ++i) {
      *wanted[i] = owned_fd(bpf_path(BPF_OBJ_GET, directory + '/' + pin_names[i]));
      if (wanted[i]->get() < 0) number = errno;
    }
    if (number == 0) pins.pulse = owned_fd(bpf_path(BPF_OBJ_GET, directory + '/' + pulse_pin));
    struct stat after {};
    if (::stat(directory.c_str(), &after) != 0) return no_pins(directory, errno);
    const bool has_table = ::stat(first.c_str(), &table_after) == 0;
    if (!same_file(before, after) || had_table != has_table || !same_file(table_before, table_after))
      continue;
    if (number != 0) return no_pins(directory, number);
    return pins;
  }
  return no_pins(directory, EBUSY);
}

}  // namespace capture::detail
SYNFP_END_NAMESPACE
