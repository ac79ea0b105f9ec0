// SPDX-License-Identifier: MIT
// What a TTL says of the way that a packet came.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>

#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// The first of `steps`, in ascending order, that is not below `ttl`; 255 if there is none. Systems send 32,
/// 64, 128 or 255 and every router takes one off, so this is the TTL that a packet was most likely sent with.
/// Tools with other steps than these pass their own.
constexpr std::uint8_t ttl_ceiling(unsigned ttl,
                                   std::initializer_list<std::uint8_t> steps = {32, 64, 128}) noexcept {
  for (const std::uint8_t step : steps) {
    if (ttl <= step) return step;
  }
  return 255;
}

/// ttl_ceiling() of the TTL (hop limit) of arrival.
constexpr std::uint8_t initial_ttl(const syn_record& syn) noexcept { return ttl_ceiling(syn.ip().ttl()); }

/// Hops from initial_ttl(). Empty above 35, which p0f does not believe and prints as "?".
constexpr std::optional<std::uint8_t> distance(const syn_record& syn) noexcept {
  const unsigned hops = initial_ttl(syn) - unsigned{syn.ip().ttl()};
  if (hops > 35) return std::nullopt;
  return static_cast<std::uint8_t>(hops);
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
