// SPDX-License-Identifier: MIT
// What checks ask the kernel about BPF programs. By bpf(2) alone, so that neither headers nor a libbpf older
// than the kernel hide what it has.
#pragma once

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <synfp/detail/owned_fd.hpp>

namespace synfp::doctor {

/// The numbers of attach types that are newer than some headers.
enum : std::uint32_t { attach_sock_ops = 3, attach_tcx_ingress = 46 };

/// The programs at an attach point, by id: `target` is a cgroup's descriptor or an interface's index. Empty,
/// with errno, if the kernel does not say: EINVAL if it has no such point, EPERM without CAP_NET_ADMIN.
inline std::optional<std::vector<std::uint32_t>> attached_programs(std::uint32_t target, std::uint32_t type,
                                                                   bool of_parents = false) {
  std::uint32_t ids[64]{};
  bpf_attr query{};
  query.query.target_fd = target;
  query.query.attach_type = type;
  query.query.query_flags = of_parents ? BPF_F_QUERY_EFFECTIVE : 0;
  query.query.prog_ids = reinterpret_cast<std::uintptr_t>(ids);
  query.query.prog_cnt = std::size(ids);
  if (::syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) != 0 && errno != ENOSPC) {
    if (errno == ENOENT) return std::vector<std::uint32_t>();
    return std::nullopt;
  }
  const std::size_t n = query.query.prog_cnt;
  return std::vector<std::uint32_t>(ids, ids + (n < std::size(ids) ? n : std::size(ids)));
}

/// Empty if this process may not know.
inline std::string program_name(std::uint32_t id) {
  const synfp::detail::owned_fd program(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  __u32 length = sizeof info;
  if (program.get() < 0 || bpf_obj_get_info_by_fd(program.get(), &info, &length) != 0) return {};
  return info.name;
}

/// "id 12 (name)", ...
inline std::string program_list(const std::vector<std::uint32_t>& ids) {
  std::string text;
  for (const std::uint32_t id : ids) {
    const std::string name = program_name(id);
    text += (text.empty() ? "id " : ", id ") + std::to_string(id) + (name.empty() ? "" : " (" + name + ")");
  }
  return text;
}

/// A program of one instruction that lets everything pass. -1 and errno if the kernel refuses.
inline synfp::detail::owned_fd load_trivial(std::uint32_t type, std::uint32_t attach_type) {
  const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  static constexpr char licence[] = "Dual MIT/GPL";
  bpf_attr load{};
  load.prog_type = type;
  load.insns = reinterpret_cast<std::uintptr_t>(code);
  load.insn_cnt = std::size(code);
  load.license = reinterpret_cast<std::uintptr_t>(licence);
  load.expected_attach_type = attach_type;
  std::memcpy(load.prog_name, "synfp_doctor", sizeof "synfp_doctor");
  return synfp::detail::owned_fd(static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load)));
}

}  // namespace synfp::doctor
