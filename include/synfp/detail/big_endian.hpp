// SPDX-License-Identifier: MIT
// Integers from bytes in network order.
#pragma once

#include <cstdint>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace detail {

constexpr std::uint16_t load_be16(const std::uint8_t* p) noexcept {
  return static_cast<std::uint16_t>(p[0] << 8 | p[1]);
}
constexpr std::uint32_t load_be32(const std::uint8_t* p) noexcept {
  return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 |
         static_cast<std::uint32_t>(p[2]) << 8 | static_cast<std::uint32_t>(p[3]);
}

}  // namespace detail
SYNFP_END_NAMESPACE
