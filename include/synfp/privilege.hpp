// SPDX-License-Identifier: MIT
// Gives up what a server needs only while it starts. No libcap.
#pragma once

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE

/// Gives up every capability and sets no_new_privs, for ever: neither this process nor a program that it
/// executes gets one back. Call it when everything is open that needs one: the probe, its pins, the sockets.
///
/// It acts on the calling thread, and threads inherit from the one that makes them; so it must come before
/// the first other thread, and refuses (errc::invalid) if there is one. server::run() makes its threads and
/// rings, so call it before. From then on:
/// - What is open works as before. Closing it takes off a program of an interface, but for a filter of tc
///   (capture::attach_mode::filter), which is left to the next start; pins are removed by the rights of their
///   owner.
/// - What opens later has the user's own rights and no more. Root still owns its files: run as another user
///   (AmbientCapabilities= of systemd, or setcap) to be without those too.
/// - Rings count against RLIMIT_MEMLOCK, about 110 KiB each, which CAP_IPC_LOCK had spared them. This raises
///   the limit as far as it may.
/// - Where kernel.io_uring_disabled is 1, rings need the group in kernel.io_uring_group.
///
/// The bounding set is emptied if CAP_SETPCAP is there; without, no_new_privs makes it useless.
inline setup_result<void> drop_privileges() {
  const auto failure = [](const char* what) {
    const int number = errno;
    return setup_error{errc::system, number,
                       std::string("cannot ") + what + " (" + std::strerror(number) +
                           "); a seccomp filter may forbid it: allow capset and prctl"};
  };
  struct stat tasks {};
  if (::stat("/proc/self/task", &tasks) != 0)
    return setup_error{errc::system, errno, "cannot count the threads of this process; mount /proc"};
  if (tasks.st_nlink != 3)  // ".", ".." and a directory per thread
    return setup_error{errc::invalid, 0,
                       "capabilities are dropped before the first other thread is started, which would keep "
                       "its own; call drop_privileges() earlier"};
  rlimit locked{RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_MEMLOCK, &locked) != 0 && ::getrlimit(RLIMIT_MEMLOCK, &locked) == 0) {
    locked.rlim_cur = locked.rlim_max;
    ::setrlimit(RLIMIT_MEMLOCK, &locked);
  }
  for (unsigned long cap = 0; ::prctl(PR_CAPBSET_READ, cap, 0UL, 0UL, 0UL) >= 0; ++cap) {
    if (::prctl(PR_CAPBSET_DROP, cap, 0UL, 0UL, 0UL) == 0) continue;
    if (errno != EPERM) return failure("empty the bounding set of capabilities");
    break;
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0) return failure("set no_new_privs");
  // The ambient ones go with the permitted ones.
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capset, &header, none) != 0) return failure("drop the capabilities");
  return {};
}

SYNFP_END_NAMESPACE
