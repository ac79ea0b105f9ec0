// SPDX-License-Identifier: MIT
// Why the kernel refuses a BPF program, in words that say what to do.
#pragma once

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/capture/detail/hook_traits.hpp>
#include <synfp/detail/owned_fd.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

using synfp::detail::owned_fd;

/// The capabilities that `where` needs and this thread does not have, comma separated; empty if none is
/// missing.
inline std::string missing_capabilities(const hook_traits& where) {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  std::string missing;
  if (::syscall(SYS_capget, &header, data) != 0) return missing;
  for (const capability& one : where.capabilities) {
    if (!one.needed || (data[one.number / 32].effective >> (one.number % 32) & 1U) != 0) continue;
    if (!missing.empty()) missing += ',';
    missing += one.name;
  }
  return missing;
}

/// All that `where` can use, as setcap wants them.
inline std::string useful_capabilities(const hook_traits& where) {
  std::string all;
  for (const capability& one : where.capabilities) {
    if (one.name.empty()) continue;
    if (!all.empty()) all += ',';
    all += one.name;
  }
  return all;
}

/// Whether this process is in a user namespace of its own. Its capabilities count there, but not for bpf().
inline bool in_user_namespace() noexcept {
  constexpr ino_t initial = 0xeffffffd;  // on every Linux, see USER_NS_INIT_INO in linux/nsfs.h
  struct stat own {};
  return ::stat("/proc/self/ns/user", &own) == 0 && own.st_ino != initial;
}

/// Whether fewer file descriptors are left than opening a probe takes. libbpf needs some to ask the kernel
/// what it can do, and takes it for a kernel that cannot if there are none; so this is asked afterwards, with
/// the object closed.
inline bool few_descriptors_left() noexcept {
  owned_fd taken[16];
  for (owned_fd& one : taken) {
    one = owned_fd(::open("/", O_PATH | O_CLOEXEC));
    if (one.get() < 0) return errno == EMFILE || errno == ENFILE;
  }
  return false;
}

/// Why a call failed with `number`, in brackets, and what to do: `otherwise`, unless descriptors ran out.
inline std::string why(int number, const std::string& otherwise) {
  std::string text = std::string(" (") + std::strerror(number) + "); ";
  if (number == EMFILE) return text + "no file descriptor left; raise the limit (ulimit -n, LimitNOFILE=)";
  if (number == ENFILE) return text + "no file descriptor left on this machine; raise the sysctl fs.file-max";
  return text + otherwise;
}

/// The last line of a verifier log that says something.
inline std::string log_reason(const std::vector<char>& log) {
  std::string_view text(log.data());
  std::string_view reason;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (!line.empty() && !line.starts_with("processed ")) reason = line;
  }
  return std::string(reason.substr(0, 200));
}

/// Why the kernel does not let this process load a program, and what to do; empty if it was not for want of
/// permission.
inline std::string not_permitted(const hook_traits& where, int number) {
  if (number != EPERM && number != EACCES) return {};
  if (in_user_namespace())
    return "this process is in a user namespace (unshare -U, a rootless container), where no capability lets "
           "it load BPF programs; run it outside, share a probe that another process opened, or use "
           "saved_syn";
  const std::string missing = missing_capabilities(where);
  if (!missing.empty() && ::geteuid() == 0)
    return "missing " + missing +
           "; a container or service took it from root: give it back (docker run "
           "--cap-add, systemd: CapabilityBoundingSet=)";
  if (!missing.empty())
    return "missing " + missing + "; run as root, or give the program the capability: setcap " +
           useful_capabilities(where) + "+ep PROGRAM";
  if (number == EACCES) return {};  // the verifier refuses the program
  if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER)
    return "the capabilities are there, but a seccomp filter (of a container or service) refuses bpf(); "
           "allow "
           "this system call";
  return "the capabilities are there, but a security module or lockdown refuses bpf(); see the kernel's log";
}

inline setup_error load_failure(const hook_traits& where, int number, const std::vector<char>& log) {
  if (number != EPERM && number != EACCES && number != ENFILE && few_descriptors_left()) number = EMFILE;
  // The verifier refused it, and says so at greater length than we read.
  if (number == ENOSPC) number = EACCES;
  std::string text = "cannot load the BPF probe";
  if (const std::string refused = not_permitted(where, number); !refused.empty()) {
    text += ": " + refused;
  } else if (number == ENOMEM) {
    text += ": out of memory; use fewer buckets, or raise the memory limit of this cgroup";
  } else if (where.attached_to == attachment::function && ::access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
    text +=
        ": hook::kprobe needs the kernel's BTF (CONFIG_DEBUG_INFO_BTF, /sys mounted); use hook::reuseport";
  } else if (number == ENOSYS) {
    text += ": this kernel has no bpf(); it needs Linux 6.1 or newer with CONFIG_BPF_SYSCALL";
  } else {
    const std::string reason = log_reason(log);
    text +=
        why(number, "it needs Linux 6.1 or newer" + (reason.empty() ? "" : "; the verifier says: " + reason));
  }
  return {number == ENOSYS ? errc::unsupported : errc::system, number, std::move(text)};
}

}  // namespace capture::detail
SYNFP_END_NAMESPACE
