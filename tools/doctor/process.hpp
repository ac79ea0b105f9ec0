// SPDX-License-Identifier: MIT
// What this process may do.
#pragma once

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <synfp/capture/detail/hook_traits.hpp>
#include <synfp/capture/detail/load_failure.hpp>

#include "finding.hpp"
#include "read_text.hpp"

namespace synfp::doctor {

/// The effective capabilities of this thread, bit by number. Empty if the kernel refuses to say.
inline std::optional<std::uint64_t> effective_capabilities() {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, data) != 0) return std::nullopt;
  return data[0].effective | std::uint64_t{data[1].effective} << 32;
}
inline bool has_capability(int number) { return (effective_capabilities().value_or(0) >> number & 1) != 0; }

/// By number, as capabilities(7) and capsh name them.
inline std::string capability_name(unsigned number) {
  static constexpr const char* names[] = {"chown",
                                          "dac_override",
                                          "dac_read_search",
                                          "fowner",
                                          "fsetid",
                                          "kill",
                                          "setgid",
                                          "setuid",
                                          "setpcap",
                                          "linux_immutable",
                                          "net_bind_service",
                                          "net_broadcast",
                                          "net_admin",
                                          "net_raw",
                                          "ipc_lock",
                                          "ipc_owner",
                                          "sys_module",
                                          "sys_rawio",
                                          "sys_chroot",
                                          "sys_ptrace",
                                          "sys_pacct",
                                          "sys_admin",
                                          "sys_boot",
                                          "sys_nice",
                                          "sys_resource",
                                          "sys_time",
                                          "sys_tty_config",
                                          "mknod",
                                          "lease",
                                          "audit_write",
                                          "audit_control",
                                          "setfcap",
                                          "mac_override",
                                          "mac_admin",
                                          "syslog",
                                          "wake_alarm",
                                          "block_suspend",
                                          "audit_read",
                                          "perfmon",
                                          "bpf",
                                          "checkpoint_restore"};
  return "cap_" + (number < std::size(names) ? std::string(names[number]) : std::to_string(number));
}

/// The hooks of this build, by number; each has a line in hook_table.
inline std::vector<synfp_u8> all_hooks() {
  std::vector<synfp_u8> hooks;
  for (synfp_u8 i = 1; i < SYNFP_HOOKS; ++i) {
    if (capture::detail::traits_of(i).source != capture_source::none) hooks.push_back(i);
  }
  return hooks;
}
inline std::string hook_name(synfp_u8 which) {
  return std::string(to_string(capture::detail::traits_of(which).source));
}

inline finding check_user_namespace() {
  struct stat own {};
  if (::stat("/proc/self/ns/user", &own) != 0)
    return {status::unknown, "user_namespace", "there is no /proc here, so it cannot be told", "mount /proc",
            facts().add("initial", std::optional<bool>()).json()};
  const bool other = capture::detail::in_user_namespace();
  return {other ? status::no : status::ok, "user_namespace",
          other ? "this process is in one of its own: its capabilities do not count for bpf()"
                : "this is the initial one",
          other ? "run it outside, or share a probe that another process opened; saved_syn works" : "",
          facts().add("initial", !other).json()};
}

/// Which hook lacks which.
inline finding check_capabilities() {
  const auto effective = effective_capabilities();
  if (!effective) return {status::unknown, "capabilities", "capget() is refused"};
  std::vector<std::string> names;
  for (unsigned i = 0; i < 64; ++i) {
    if ((*effective >> i & 1) != 0) names.push_back(capability_name(i));
  }
  facts missing;
  std::string lacks;
  std::string useful;
  std::size_t without = 0;
  for (const synfp_u8 which : all_hooks()) {
    const auto& traits = capture::detail::traits_of(which);
    std::vector<std::string> here;
    for (const auto& one : traits.capabilities) {
      if (!one.needed || (*effective >> one.number & 1) != 0) continue;
      here.emplace_back(one.name);
    }
    missing.add(hook_name(which), here);
    if (here.empty()) continue;
    ++without;
    useful = capture::detail::useful_capabilities(traits);
    lacks += (lacks.empty() ? "" : "; ") + hook_name(which) + " lacks ";
    for (const std::string& one : here) lacks += (&one == &here.front() ? "" : ",") + one;
  }
  const std::string values = facts().add("effective", names).add("missing", missing).json();
  if (without == 0 && capture::detail::in_user_namespace())
    return {status::no, "capabilities",
            std::to_string(names.size()) +
                " effective, but only in this user namespace, which bpf() does not ask",
            "", values};
  if (without == 0)
    return {status::ok, "capabilities", std::to_string(names.size()) + " effective, enough for every hook",
            "", values};
  return {without == all_hooks().size() ? status::no : status::warn, "capabilities", lacks,
          ::geteuid() == 0 ? "give them back: docker run --cap-add, systemd: CapabilityBoundingSet="
                           : "run as root, or setcap " + useful + "+ep PROGRAM",
          values};
}

/// Against what the rings of a server count.
inline finding check_memlock() {
  constexpr std::uint64_t per_ring = 110 * 1024;
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return {status::unknown, "memlock", "getrlimit() is refused"};
  const unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  const bool unlimited = limit.rlim_cur == RLIM_INFINITY;
  const bool exempt = has_capability(CAP_IPC_LOCK);
  const std::string values =
      facts()
          .add("soft", unlimited ? std::optional<std::uint64_t>() : limit.rlim_cur)
          .add("hard", limit.rlim_max == RLIM_INFINITY ? std::optional<std::uint64_t>() : limit.rlim_max)
          .add("cap_ipc_lock", exempt)
          .json();
  if (unlimited) return {status::ok, "memlock", "no limit", "", values};
  const std::string text = std::to_string(limit.rlim_cur / 1024) + " KiB, room for " +
                           std::to_string(limit.rlim_cur / per_ring) + " rings of about 110 KiB";
  if (limit.rlim_cur < per_ring * threads)
    return {exempt ? status::ok : status::warn, "memlock",
            text + (exempt ? "; CAP_IPC_LOCK is exempt from it, until it is dropped"
                           : ", and a server makes one for each of " + std::to_string(threads) + " threads"),
            exempt ? "" : "raise it: ulimit -l, LimitMEMLOCK=", values};
  return {status::ok, "memlock", text, "", values};
}

inline finding check_open_files() {
  constexpr std::uint64_t few = 4096;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return {status::unknown, "open_files", "getrlimit() is refused"};
  const std::string values =
      facts()
          .add("soft", limit.rlim_cur == RLIM_INFINITY ? std::optional<std::uint64_t>() : limit.rlim_cur)
          .add("hard", limit.rlim_max == RLIM_INFINITY ? std::optional<std::uint64_t>() : limit.rlim_max)
          .json();
  const std::string text =
      std::to_string(limit.rlim_cur) + ", a server raises that to " + std::to_string(limit.rlim_max);
  if (limit.rlim_max < few)
    return {status::warn, "open_files", text + ": each connection takes one",
            "raise the hard limit: ulimit -Hn, LimitNOFILE=", values};
  return {status::ok, "open_files", text, "", values};
}

/// Whether a filter looks at this process's system calls. Empty if prctl() does not say.
inline std::optional<bool> seccomp_filtered() {
  const int mode = ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
  if (mode < 0) return std::nullopt;
  return mode == SECCOMP_MODE_FILTER;
}

inline finding check_seccomp() {
  const auto filtered = seccomp_filtered();
  const int locked = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
  const std::string values =
      facts()
          .add("filtered", filtered)
          .add("no_new_privs", locked < 0 ? std::optional<bool>() : std::optional<bool>(locked == 1))
          .json();
  if (!filtered)
    return {status::unknown, "seccomp", "prctl() does not say whether there is a filter", "", values};
  if (*filtered)
    return {status::warn, "seccomp", "a filter may refuse system calls, see the lines that say no",
            "it must allow bpf, io_uring_setup, io_uring_enter and io_uring_register", values};
  return {status::ok, "seccomp", "no filter", "", values};
}

}  // namespace synfp::doctor
