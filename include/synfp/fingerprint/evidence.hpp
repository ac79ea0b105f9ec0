// SPDX-License-Identifier: MIT
// How it is known what a signature claims.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// From the strongest down.
enum class evidence : std::uint8_t {
  recorded,  ///< this very stack sent it, and was known
  source,    ///< the stack's public source or its vendor's documentation says so
  captures,  ///< connections in public captures, whose User-Agent or documentation says who sent them
};

constexpr std::string_view to_string(evidence e) noexcept {
  switch (e) {
    case evidence::recorded: return "recorded";
    case evidence::source: return "source";
    case evidence::captures: return "captures";
  }
  return "unknown";
}

/// Of a word in a database: empty for one that is none of these.
constexpr std::optional<evidence> evidence_called(std::string_view word) noexcept {
  for (const evidence e : {evidence::recorded, evidence::source, evidence::captures}) {
    if (word == to_string(e)) return e;
  }
  return std::nullopt;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
