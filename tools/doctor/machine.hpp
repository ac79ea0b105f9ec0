// SPDX-License-Identifier: MIT
// What the kernel is and how it is set.
#pragma once

#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

#include "finding.hpp"
#include "read_text.hpp"

namespace synfp::doctor {

/// Whether this kernel is that version or a newer one.
inline bool kernel_is(int major_number, int minor_number) {
  utsname name{};
  int first = 0, second = 0;
  return ::uname(&name) == 0 && std::sscanf(name.release, "%d.%d", &first, &second) == 2 &&
         (first > major_number || (first == major_number && second >= minor_number));
}

inline finding check_kernel() {
  utsname name{};
  if (::uname(&name) != 0) return {status::unknown, "kernel", "uname() is refused"};
  const bool good = kernel_is(6, 1);
  return {good ? status::ok : status::no, "kernel",
          std::string("Linux ") + name.release + ", " + name.machine, good ? "" : "run Linux 6.1 or newer",
          facts().add("release", name.release).add("machine", name.machine).json()};
}

inline finding check_btf() {
  if (::access("/sys/kernel/btf/vmlinux", R_OK) == 0)
    return {status::ok, "btf", "the kernel describes its types", "", facts().add("present", true).json()};
  if (::access("/sys/kernel", F_OK) != 0)
    return {status::unknown, "btf", "there is no /sys here", "",
            facts().add("present", std::optional<bool>()).json()};
  return {status::warn, "btf", "the kernel does not describe its types: hooks on its functions cannot load",
          "run a kernel with CONFIG_DEBUG_INFO_BTF, or use another hook",
          facts().add("present", false).json()};
}

inline finding check_jit() {
  const auto enable = read_sysctl("net.core.bpf_jit_enable");
  const auto harden = read_sysctl("net.core.bpf_jit_harden");
  const std::string values = facts().add("enable", enable).add("harden", harden).json();
  if (!enable)
    return {status::unknown, "jit", "net.core.bpf_jit_enable is not to be seen from this network namespace",
            "", values};
  if (*enable == 0)
    return {status::warn, "jit", "BPF programs are interpreted, which is slow",
            "sysctl net.core.bpf_jit_enable=1", values};
  if (*enable > 1)
    return {status::warn, "jit", "the JIT writes every program to the kernel's log",
            "sysctl net.core.bpf_jit_enable=1", values};
  if (harden.value_or(0) > 1)
    return {status::warn, "jit", "programs are compiled with constants blinded for root too, which is slower",
            "sysctl net.core.bpf_jit_harden=1, if nothing else asks for 2", values};
  return {status::ok, "jit", "BPF programs are compiled", "", values};
}

inline finding check_lockdown() {
  constexpr std::uint32_t securityfs = 0x73636673;
  struct statfs security {};
  const auto modes = read_text("/sys/kernel/security/lockdown");
  if (modes) {
    const std::size_t open = modes->find('['), close = modes->find(']');
    if (open == std::string::npos || close == std::string::npos || close < open)
      return {status::unknown, "lockdown", "/sys/kernel/security/lockdown says nothing that is known"};
    const std::string mode = modes->substr(open + 1, close - open - 1);
    const std::string values = facts().add("mode", mode).json();
    if (mode == "confidentiality")
      return {status::warn, "lockdown", "confidentiality: BPF programs may not read the kernel's memory",
              "hooks on kernel functions need another mode; others work", values};
    return {status::ok, "lockdown", mode + ": BPF programs are not restricted", "", values};
  }
  const std::string values = facts().add("mode", std::optional<std::string>()).json();
  if (::statfs("/sys/kernel/security", &security) == 0 &&
      static_cast<std::uint32_t>(security.f_type) == securityfs)
    return {status::ok, "lockdown", "this kernel has none", "", values};
  return {status::unknown, "lockdown", "securityfs is not mounted here, so its mode cannot be read",
          "mount -t securityfs securityfs /sys/kernel/security, if it matters", values};
}

inline finding check_unprivileged_bpf() {
  const auto value = read_sysctl("kernel.unprivileged_bpf_disabled");
  const std::string values = facts().add("disabled", value).json();
  if (!value) return {status::unknown, "unprivileged_bpf", "the sysctl cannot be read", "", values};
  if (*value == 0)
    return {status::warn, "unprivileged_bpf", "every user may load BPF programs; synfp does not need that",
            "sysctl kernel.unprivileged_bpf_disabled=2", values};
  return {status::ok, "unprivileged_bpf", "only who has CAP_BPF loads programs", "", values};
}

inline finding check_syn_cookies() {
  const auto value = read_sysctl("net.ipv4.tcp_syncookies");
  const std::string values = facts().add("tcp_syncookies", value).json();
  if (!value) return {status::unknown, "syn_cookies", "net.ipv4.tcp_syncookies cannot be read", "", values};
  if (*value == 0)
    return {status::warn, "syn_cookies", "off: in a flood of SYNs new connections are dropped",
            "sysctl net.ipv4.tcp_syncookies=1", values};
  if (*value == 2)
    return {status::warn, "syn_cookies",
            "for every connection, which is for tests: no connection has a saved SYN",
            "sysctl net.ipv4.tcp_syncookies=1", values};
  return {status::ok, "syn_cookies", "when a listener's queue is full", "", values};
}

inline finding check_backlog() {
  const auto somaxconn = read_sysctl("net.core.somaxconn");
  const auto syn_backlog = read_sysctl("net.ipv4.tcp_max_syn_backlog");
  const std::string values =
      facts().add("somaxconn", somaxconn).add("tcp_max_syn_backlog", syn_backlog).json();
  if (!somaxconn) return {status::unknown, "backlog", "net.core.somaxconn cannot be read", "", values};
  const std::string text = "a listener queues at most " + std::to_string(*somaxconn) + " connections";
  if (*somaxconn < 1024)
    return {status::warn, "backlog", text + ": a burst of clients brings SYN cookies or drops",
            "sysctl net.core.somaxconn=4096", values};
  return {status::ok, "backlog", text, "", values};
}

}  // namespace synfp::doctor
