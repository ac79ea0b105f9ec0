// SPDX-License-Identifier: MIT
// Listeners that were there before the probe: those of this network namespace are told about it.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <set>

#include <synfp/capture/detail/libbpf.hpp>

#include "../support/fd.hpp"
#include "listeners_object.hpp"

namespace synfp::tools {

/// Ports of listeners.
struct older_listeners {
  std::set<std::uint16_t> covered;
  std::set<std::uint16_t> left;  ///< the kernel does not allow it: Linux 6.1
};

/// Walks over the listeners of this network namespace. Empty if this kernel cannot: it has no BTF, or no
/// iterator.
inline std::optional<older_listeners> cover_older_listeners() {
  const capture::detail::silence_libbpf quiet;
  auto options = capture::detail::libbpf_options<bpf_object_open_opts>();
  options.object_name = "synfpd";
  const capture::detail::object_ptr object(
      bpf_object__open_mem(listeners_object::words, listeners_object::size, &options));
  if (!object || bpf_object__load(object.get()) != 0) return std::nullopt;
  const bpf_program* const program = bpf_object__find_program_by_name(object.get(), "synfp_listeners");
  if (program == nullptr) return std::nullopt;
  const fd link(bpf_link_create(bpf_program__fd(program), 0, BPF_TRACE_ITER, nullptr));
  if (!link) return std::nullopt;
  const fd walk(bpf_iter_create(link.get()));
  if (!walk) return std::nullopt;
  older_listeners found;
  std::uint64_t line[2];
  while (::read(walk.get(), line, sizeof line) == sizeof line)
    (line[1] != 0 ? found.covered : found.left).insert(static_cast<std::uint16_t>(line[0]));
  return found;
}

}  // namespace synfp::tools
