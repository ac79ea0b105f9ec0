// SPDX-License-Identifier: MIT
// Where cgroup version 2 is.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

namespace synfp::tools {

/// Where it is mounted; empty if nowhere.
inline std::string cgroup_root() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string device, where, type;
    words >> device >> where >> type;
    if (type == "cgroup2") return where;
  }
  return {};
}

}  // namespace synfp::tools
