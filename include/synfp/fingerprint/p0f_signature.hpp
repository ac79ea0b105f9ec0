// SPDX-License-Identifier: MIT
// What p0f 3.09b looks at in a SYN.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// p0f 3.09b differs from its own documentation in two quirks. `compatible` is what the program prints on a
/// little-endian machine, `strict` what the documentation says:
/// - ack+ (acknowledgment number without ACK): p0f looks at the lowest bit of the number's first byte only;
/// - opt+ (data after EOL): p0f does not see it if only the last byte of the header is not zero.
enum class p0f_reading : std::uint8_t { compatible, strict };

/// What p0f sees in a SYN; p0f_signature_text() makes the text of it.
struct p0f_signature {
  /// In the order in which they are printed.
  enum quirk : std::uint32_t {
    df = 1U << 0,       ///< don't fragment
    id_nz = 1U << 1,    ///< id+: DF, and yet an IP id
    id_z = 1U << 2,     ///< id-: no DF, and no IP id
    ecn = 1U << 3,      ///< an ECN bit of IP or TCP
    ip_nz = 1U << 4,    ///< 0+: the reserved bit of IPv4
    flow = 1U << 5,     ///< an IPv6 flow label
    seq_z = 1U << 6,    ///< seq-
    ack_nz = 1U << 7,   ///< ack+: a number without ACK
    ack_z = 1U << 8,    ///< ack-: ACK without a number; never in a SYN
    urg_nz = 1U << 9,   ///< uptr+: a pointer without URG
    urg = 1U << 10,     ///< urgf+
    push = 1U << 11,    ///< pushf+
    ts1_z = 1U << 12,   ///< ts1-: own timestamp is 0
    ts2_nz = 1U << 13,  ///< ts2+: echoes a timestamp
    opt_nz = 1U << 14,  ///< opt+: data after EOL
    exws = 1U << 15,    ///< a window scale above 14
    bad = 1U << 16,     ///< malformed options
  };
  enum class window_unit : std::uint8_t { none, mss, mtu };
  static constexpr std::size_t max_options = 24;  ///< p0f looks no further

  bool v6 = false;
  std::uint8_t ttl = 0;               ///< as it arrived
  std::uint8_t ip_option_length = 0;  ///< 0 to 40
  std::uint16_t mss = 0;              ///< 0: none
  std::uint16_t window = 0;
  window_unit unit = window_unit::none;
  std::uint16_t multiplier = 0;  ///< of `unit`
  std::uint8_t scale = 0;
  std::array<std::uint8_t, max_options> kind{};
  std::uint8_t kinds = 0;
  std::uint8_t eol_padding = 0;  ///< bytes after EOL
  std::uint32_t quirks = 0;
  bool payload = false;
};

}  // namespace fingerprint
SYNFP_END_NAMESPACE
