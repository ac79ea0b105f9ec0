// SPDX-License-Identifier: MIT
// What a capture file says of one frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace cli {

/// Since 1970, UTC.
struct wall_time {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;  ///< below 1,000,000,000
};

struct packet {
  int link = 0;                         ///< a DLT_ number of libpcap
  std::span<const std::uint8_t> bytes;  ///< what the file holds of it; valid until the next one is read
  std::uint32_t wire_length = 0;        ///< what was on the wire
  std::optional<wall_time> time;        ///< empty: the file says none, or none that can be
};

}  // namespace cli
