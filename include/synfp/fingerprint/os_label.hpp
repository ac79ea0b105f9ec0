// SPDX-License-Identifier: MIT
// What a signature of a database stands for: an operating system or a tool.
#pragma once

#include <string>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// A `label` of a p0f database.
struct os_label {
  bool generic = false;  ///< "g": of last resort
  std::string os_class;  ///< "unix", "win", "other"; "!": a tool, its `name` is not of a system
  std::string name;      ///< "Linux"
  std::string flavor;    ///< "3.11 and newer"; may be empty

  bool is_tool() const noexcept { return os_class == "!"; }
  /// As in the database: "s:unix:Linux:3.11 and newer".
  std::string text() const { return (generic ? "g:" : "s:") + os_class + ':' + name + ':' + flavor; }
  /// As p0f prints it: "Linux 3.11 and newer".
  std::string title() const { return flavor.empty() ? name : name + ' ' + flavor; }
};

}  // namespace fingerprint
SYNFP_END_NAMESPACE
