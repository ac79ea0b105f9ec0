// SPDX-License-Identifier: MIT
// Records for tests of fingerprints.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>

#include <synfp/syn_record.hpp>

#include "packet_builder.hpp"

namespace synfp::test {

inline synfp::syn_record record_of(const bytes& packet) {
  const auto r = synfp::syn_record::from_bytes(packet);
  if (!r) throw std::invalid_argument("no record");
  return *r;
}
inline synfp::syn_record record_of(const packet_builder& p) { return record_of(p.ip()); }

/// A record whose options are exactly these bytes.
inline synfp::syn_record with_options(const bytes& options, std::uint16_t window = 64240) {
  packet_builder p;
  p.options = options;
  p.window = window;
  return record_of(p);
}

/// Linux 6.18 at compile time, the first of the recorded vectors.
inline constexpr std::array<std::uint8_t, 60> linux_syn{
    0x45, 0x00, 0x00, 0x3c, 0x9d, 0xd3, 0x40, 0x00, 0x40, 0x06, 0x88, 0x4c, 0x0a, 0x4d, 0x00,
    0x01, 0x0a, 0x4d, 0x00, 0x02, 0xd5, 0x0e, 0x07, 0xd1, 0x63, 0xcd, 0x37, 0x8f, 0x00, 0x00,
    0x00, 0x00, 0xa0, 0x02, 0xfa, 0xf0, 0x14, 0xcb, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4, 0x04,
    0x02, 0x08, 0x0a, 0x59, 0x26, 0x84, 0xe1, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x0a};
inline constexpr synfp::syn_record linux_record = *synfp::syn_record::from_bytes(linux_syn);

inline bytes windows_options() { return {2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2}; }
inline bytes macos_options() {
  return {2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 4, 2, 0, 0};
}

inline packet_builder windows_packet() {
  packet_builder p;
  p.ttl = 128;
  p.options = windows_options();
  return p;
}
inline packet_builder macos_packet() {
  packet_builder p;
  p.id = 0;
  p.window = 65535;
  p.options = macos_options();
  return p;
}

/// 60 bytes of IPv4 and 60 of TCP: everything that fits.
inline packet_builder longest_packet() {
  packet_builder p;
  p.ip_options = bytes(40, 1);
  return p;
}

/// IPv6 with extension headers that were not kept.
inline packet_builder truncated_v6() {
  packet_builder p = v6_packet();
  p.extensions = {destination_options(4)};
  return p;
}

}  // namespace synfp::test
