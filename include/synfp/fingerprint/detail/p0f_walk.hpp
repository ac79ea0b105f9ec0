// SPDX-License-Identifier: MIT
// p0f's walk over TCP options, and what it makes of the window.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <synfp/detail/big_endian.hpp>
#include <synfp/fingerprint/p0f_signature.hpp>
#include <synfp/tcp_view.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint::detail {

/// By the bits of p0f_signature::quirk.
inline constexpr std::array<std::string_view, 17> p0f_quirk_names{
    "df",    "id+",   "id-",    "ecn",  "0+",   "flow", "seq-", "ack+", "ack-",
    "uptr+", "urgf+", "pushf+", "ts1-", "ts2+", "opt+", "exws", "bad"};

struct p0f_timestamps {
  std::uint32_t own = 0;
};

/// p0f's own walk. MSS, window scale, SACK permitted and timestamp take their proper size whatever their
/// length byte says; SACK must be 10 to 34 long, others 2 to 40; what does not fit is named and ends the
/// walk.
template <p0f_reading Reading>
constexpr void p0f_options(std::span<const std::uint8_t> all, p0f_signature& s, p0f_timestamps& ts) noexcept {
  const std::size_t end = all.size();
  std::size_t at = 0;
  auto option_is = [&](std::size_t length) {  // all of an option, of which `at` is after the kind
    if (end - at < length - 1) return false;
    if (all[at] != length) s.quirks |= p0f_signature::bad;
    at += length - 1;
    return true;
  };
  while (at < end && s.kinds < p0f_signature::max_options) {
    const std::uint8_t kind = all[at++];
    s.kind[s.kinds++] = kind;
    bool whole = true;
    switch (kind) {
      case tcp_option::eol: {
        s.eol_padding = static_cast<std::uint8_t>(end - at);
        const std::size_t looked_at = Reading == p0f_reading::compatible && end > at ? end - 1 : end;
        for (; at < looked_at; ++at) {
          if (all[at] != 0) s.quirks |= p0f_signature::opt_nz;
        }
        return;
      }
      case tcp_option::nop: break;
      case tcp_option::mss:
        whole = option_is(4);
        if (whole) s.mss = synfp::detail::load_be16(&all[at - 2]);
        break;
      case tcp_option::window_scale:
        whole = option_is(3);
        if (whole) {
          s.scale = all[at - 1];
          if (s.scale > 14) s.quirks |= p0f_signature::exws;
        }
        break;
      case tcp_option::sack_permitted: whole = option_is(2); break;
      case tcp_option::timestamps:
        whole = option_is(10);
        if (whole) {
          ts.own = synfp::detail::load_be32(&all[at - 8]);
          if (ts.own == 0) s.quirks |= p0f_signature::ts1_z;
          if (synfp::detail::load_be32(&all[at - 4]) != 0) s.quirks |= p0f_signature::ts2_nz;
        }
        break;
      default: {
        const std::size_t least = kind == tcp_option::sack ? 10 : 2;
        const std::size_t most = kind == tcp_option::sack ? 34 : 40;
        whole = at < end && all[at] >= least && all[at] <= most && end - at >= all[at] - 1U;
        if (whole) at += all[at] - 1U;
      }
    }
    if (!whole) {
      s.quirks |= p0f_signature::bad;
      return;
    }
  }
  if (at != end) s.quirks |= p0f_signature::bad;
}

/// Finds what the window is a multiple of: the first that divides it.
constexpr void p0f_window(p0f_signature& s, std::uint32_t own_timestamp, unsigned header_lengths) noexcept {
  if (s.window == 0 || s.mss < 100) return;
  const unsigned mss = s.mss;
  auto divides = [&s](unsigned divisor, p0f_signature::window_unit unit) {
    if (s.window % divisor != 0) return false;
    s.unit = unit;
    s.multiplier = static_cast<std::uint16_t>(s.window / divisor);
    return true;
  };
  constexpr auto in_mss = p0f_signature::window_unit::mss;
  constexpr auto in_mtu = p0f_signature::window_unit::mtu;
  if (divides(mss, in_mss)) return;
  if (own_timestamp != 0 && divides(mss - 12, in_mss)) return;
  if (divides(1460, in_mss) || divides(1448, in_mss)) return;
  if (s.v6 && (divides(1440, in_mss) || divides(1428, in_mss))) return;
  if (divides(mss + 40, in_mtu) || divides(mss + header_lengths, in_mtu)) return;
  if (s.v6 && divides(mss + 60, in_mtu)) return;
  divides(1500, in_mtu);
}

}  // namespace fingerprint::detail
SYNFP_END_NAMESPACE
