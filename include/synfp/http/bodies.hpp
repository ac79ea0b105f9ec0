// SPDX-License-Identifier: MIT
// How much the bodies of requests hold.
#pragma once

#include <cstddef>
#include <cstdint>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// The bodies of requests on this thread, which is one ring.
struct body_memory {
  std::size_t held = 0;  ///< memory of those that are being received or answered, in bytes
  /// Unfinished ones that limits::ring_bodies had no room for, since the thread began.
  std::uint64_t dropped = 0;
};

namespace detail {
inline constinit thread_local body_memory bodies{};
}  // namespace detail

inline body_memory bodies() noexcept { return detail::bodies; }

}  // namespace http
SYNFP_END_NAMESPACE
