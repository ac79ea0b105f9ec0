// SPDX-License-Identifier: MIT
// Where a probe is attached, and how.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// How a program is attached to an interface.
enum class attach_mode : std::uint8_t {
  native,   ///< hook::xdp, in the interface's driver
  generic,  ///< hook::xdp, in the kernel's receive path, because the driver cannot: slower
  link,     ///< hook::tcx, by a link: gone with the process
  filter,   ///< hook::tcx before Linux 6.6, by a filter of tc(8): a process that is killed leaves it behind
};

constexpr std::string_view to_string(attach_mode m) noexcept {
  switch (m) {
    case attach_mode::native: return "native";
    case attach_mode::generic: return "generic";
    case attach_mode::link: return "link";
    case attach_mode::filter: return "filter";
  }
  return "unknown";
}

/// One interface to which a probe is attached.
struct attached_interface {
  std::string name;
  attach_mode mode = attach_mode::native;
  /// attach_mode::filter: it took the place of filters that killed processes had left there.
  bool replaced = false;
};

}  // namespace capture
SYNFP_END_NAMESPACE
