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
  /// Directories of cgroup v2. For sockets that are made in one of them, or below, after open(): the SYN of
  /// every connection is proven when it is established and kept with its socket, so that getsockopt() answers
  /// TCP_SAVED_SYN, also under SYN cookies, and SYNFP_SO_SYN (synfp/socket.h). hook::sockops needs at least
  /// one; another hook can have them too, and then needs CAP_NET_ADMIN. Sockets of other network namespaces
  /// are covered by hook::sockops, and by hook::kprobe with all_network_namespaces.
  std::vector<std::string> cgroups{};
  /// Local ports of interest, at most 8; only if probe_config::ports is empty.
  std::vector<std::uint16_t> ports{};
  /// hook::kprobe: record the SYNs of all network namespaces, not only those of the one that open() is called
  /// in. A table finds those of the namespace that it was attached in, never another one's.
  bool all_network_namespaces = false;
};

/// The file descriptors that another process needs to share a probe (by inheritance or SCM_RIGHTS). Plain
/// numbers, owned by the probe.
struct probe_fds {
  table_fds maps;
  int program = -1;
};

}  // namespace capture
SYNFP_END_NAMESPACE
