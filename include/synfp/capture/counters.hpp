// SPDX-License-Identifier: MIT
// What a probe counts, with names: table::counters() has the numbers.
#pragma once

#include <array>
#include <string_view>

#include <synfp/abi.h>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

struct counter_description {
  std::string_view name;  ///< one word, stable
  std::string_view what;  ///< what was counted
  bool refused;           ///< the SYN was seen and has no record because of it
};

/// By enum synfp_counter.
inline constexpr std::array<counter_description, SYNFP_COUNTERS> counter_descriptions{{
#define SYNFP_COUNTER_DESCRIPTION(NAME, name, refused, what) {#name, (what), (refused) != 0},
    SYNFP_FOR_EACH_COUNTER(SYNFP_COUNTER_DESCRIPTION)
#undef SYNFP_COUNTER_DESCRIPTION
}};

}  // namespace capture
SYNFP_END_NAMESPACE
