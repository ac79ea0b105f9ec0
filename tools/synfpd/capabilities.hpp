// SPDX-License-Identifier: MIT
// What a daemon keeps of its rights while it serves.
#pragma once

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "../support/fd.hpp"

namespace synfp::tools {

/// What loading, attaching and giving pins to a group again takes, at SIGHUP.
inline constexpr std::array reload_capabilities{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_CHOWN};

/// Gives up every capability but reload_capabilities, and puts those away: permitted, not in effect. Sets
/// no_new_privs.
inline void put_capabilities_away() {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> own{};
  must(::syscall(SYS_capget, &header, own.data()) == 0, "read the capabilities");
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> left{};
  const auto kept = [](unsigned long cap) {
    for (const int one : reload_capabilities)
      if (static_cast<unsigned long>(one) == cap) return true;
    return false;
  };
  for (const int cap : reload_capabilities)
    left[static_cast<std::size_t>(cap) / 32].permitted |=
        own[static_cast<std::size_t>(cap) / 32].permitted & 1U << (cap % 32);
  for (unsigned long cap = 0; ::prctl(PR_CAPBSET_READ, cap, 0UL, 0UL, 0UL) >= 0; ++cap) {
    if (!kept(cap) && ::prctl(PR_CAPBSET_DROP, cap, 0UL, 0UL, 0UL) != 0 && errno != EPERM)
      fail("empty the bounding set of capabilities", errno);
  }
  must(::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0, "set no_new_privs");
  must(::syscall(SYS_capset, &header, left.data()) == 0, "drop the capabilities");
}

/// Before execve() of the same program: what was put away gets into effect there, whoever the user is.
inline void hand_on_capabilities() noexcept {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> own{};
  if (::syscall(SYS_capget, &header, own.data()) != 0) return;
  for (auto& one : own) one.inheritable = one.permitted;
  (void)::syscall(SYS_capset, &header, own.data());
  for (const int cap : reload_capabilities)
    (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, static_cast<unsigned long>(cap), 0UL, 0UL);
}

}  // namespace synfp::tools
