// SPDX-License-Identifier: MIT
// What probe::open() and probe::share() take.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <synfp/capture/table.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// What open() takes besides the compile-time configuration.
struct probe_options {
  /// hook::xdp and hook::tcx: the interfaces to watch, by name. The probe is attached to all of them or to
  /// none.
  std::vector<std::string> interfaces{};
  /// Local ports of interest, at most 8; only if probe_config::ports is empty.
  std::vector<std::uint16_t> ports{};
};

/// The file descriptors that another process needs to share a probe (by inheritance or SCM_RIGHTS). Plain
/// numbers, owned by the probe.
struct probe_fds {
  table_fds maps;
  int program = -1;
};

}  // namespace capture
SYNFP_END_NAMESPACE
