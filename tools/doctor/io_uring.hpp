// SPDX-License-Identifier: MIT
// Whether a server gets its io_uring, and why not.
#pragma once

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <synfp/detail/owned_fd.hpp>
#include <synfp/io/detail/refusal.hpp>

#include "finding.hpp"
#include "machine.hpp"
#include "process.hpp"

namespace synfp::doctor {

/// What the three system calls answered: 0 or an errno; empty: not tried.
struct io_uring_answer {
  int setup = 0;
  std::optional<int> enter, registration;
  const char* mode = "";  ///< as io::task_run names it
};

/// Tries what io::ring does, and leaves nothing behind.
inline io_uring_answer try_io_uring() {
  constexpr unsigned entries = 512, completions = 8 * entries;  // ring_options
  // By number: headers may be older than the kernel.
  constexpr std::uint32_t cq_size = 1U << 3, clamp = 1U << 4, submit_all = 1U << 7, coop = 1U << 8,
                          single_issuer = 1U << 12, defer = 1U << 13;
  struct way {
    std::uint32_t flags;
    const char* mode;
  };
  io_uring_answer answer;
  synfp::detail::owned_fd ring;
  for (const way& one : {way{single_issuer | defer, "deferred"}, way{coop, "cooperative"}, way{0, "plain"}}) {
    io_uring_params p{};
    p.flags = one.flags | cq_size | clamp | submit_all;
    p.cq_entries = completions;
    ring = synfp::detail::owned_fd(static_cast<int>(::syscall(SYS_io_uring_setup, entries, &p)));
    answer.setup = ring.get() < 0 ? errno : 0;
    answer.mode = one.mode;
    if (answer.setup != EINVAL) break;
  }
  if (answer.setup != 0) return answer;
  answer.enter = ::syscall(SYS_io_uring_enter, ring.get(), 0, 0, 0, nullptr, 0) < 0 ? errno : 0;
  std::vector<unsigned char> probe(sizeof(io_uring_probe) + 256 * sizeof(io_uring_probe_op));
  constexpr unsigned register_probe = 8;
  answer.registration =
      ::syscall(SYS_io_uring_register, ring.get(), register_probe, probe.data(), 256) < 0 ? errno : 0;
  return answer;
}

inline finding check_io_uring() {
  const io_uring_answer answer = try_io_uring();
  const auto disabled = read_sysctl("kernel.io_uring_disabled");
  const auto group = read_sysctl("kernel.io_uring_group");
  const auto filtered = seccomp_filtered();
  const auto finish = [&](status s, const char* reason, std::string what, std::string todo) {
    return finding{s, "io_uring", std::move(what), std::move(todo),
                   facts()
                       .add("setup_errno", answer.setup)
                       .add("enter_errno", answer.enter)
                       .add("register_errno", answer.registration)
                       .add("reason", reason == nullptr ? std::optional<std::string>() : std::string(reason))
                       .add("disabled", disabled)
                       .add("group", group)
                       .json()};
  };
  const std::string allow = "allow io_uring_setup, io_uring_enter and io_uring_register in its profile";
  switch (answer.setup) {
    case 0: break;
    case EPERM:
    case EACCES:
      if (disabled.value_or(0) == 1)
        return finish(
            status::no, "group",
            "kernel.io_uring_disabled=1, and this process is not in the group of kernel.io_uring_group=" +
                (group ? std::to_string(*group) : "?") + " and has no CAP_SYS_ADMIN",
            "run it in that group, or sysctl kernel.io_uring_disabled=0");
      if (disabled.value_or(0) != 0)
        return finish(status::no, "sysctl",
                      "switched off by kernel.io_uring_disabled=" + std::to_string(*disabled),
                      "sysctl kernel.io_uring_disabled=0, or 1 with this process in kernel.io_uring_group");
      if (filtered.value_or(false))
        return finish(status::no, "seccomp",
                      "a seccomp filter refuses it (the default of Docker and containerd)", allow);
      return finish(status::no, "permission", "refused, and no sysctl or seccomp filter is to be seen",
                    "a security module may forbid it: see the kernel's log");
    case ENOSYS:
      // The sysctl is there since 6.6 if io_uring is.
      if (disabled || (filtered.value_or(false) && kernel_is(5, 1)))
        return finish(status::no, "seccomp", "a seccomp filter hides it", allow);
      return finish(status::no, "kernel", "this kernel was built without it",
                    "run Linux 6.1 or newer with it");
    case EINVAL:
      return finish(status::no, "kernel", "this kernel's io_uring is too old", "run Linux 6.1 or newer");
    case ENOMEM: return finish(status::no, "memlock", io::detail::explain_refusal(ENOMEM).message, "");
    default:
      return finish(status::no, "other", std::string("io_uring_setup: ") + std::strerror(answer.setup), "");
  }
  if (answer.enter.value_or(0) != 0 || answer.registration.value_or(0) != 0)
    return finish(status::no, filtered.value_or(false) ? "seccomp" : "other",
                  std::string(answer.enter.value_or(0) != 0 ? "io_uring_enter" : "io_uring_register") +
                      " is refused, although io_uring_setup is allowed (" +
                      std::strerror(answer.enter.value_or(0) != 0 ? *answer.enter : *answer.registration) +
                      ")",
                  allow);
  if (disabled.value_or(0) == 1)
    return finish(status::warn, nullptr,
                  "works, but kernel.io_uring_disabled=1: after capabilities are dropped the group of "
                  "kernel.io_uring_group is needed",
                  "run the server in that group");
  return finish(status::ok, nullptr, std::string("works, completions ") + answer.mode, "");
}

}  // namespace synfp::doctor
