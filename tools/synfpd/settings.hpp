// SPDX-License-Identifier: MIT
// What synfpd is asked to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace synfp::tools {

struct daemon_settings {
  std::vector<std::string> cgroups;
  std::string hook = "auto";
  std::vector<std::string> interfaces;
  std::vector<std::uint16_t> ports;
  std::string pin = "/sys/fs/bpf/synfp";
  std::string socket = "/run/synfpd.socket";
  std::string group;
  std::string metrics;
  std::uint32_t buckets = 4096;
  bool remove = false;  ///< what an earlier process left, instead of keeping a probe
};

}  // namespace synfp::tools
