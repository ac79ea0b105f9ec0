// SPDX-License-Identifier: MIT
// p0f 3.09b, its last version: the raw signature of a SYN as p0f prints it, the MTU and the distance it
// concludes (lcamtuf.coredump.cx/p0f3). Written from a description of the format; holds no text of p0f.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <synfp/endpoint.hpp>  // fixed_text
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// p0f 3.09b differs from its own documentation in two quirks. `compatible` is what the program prints on a
/// little-endian machine, `strict` what the documentation says:
/// - ack+ (acknowledgment number without ACK): p0f looks at the lowest bit of the number's first byte only;
/// - opt+ (data behind EOL): p0f does not see it if only the last byte of the header is not zero.
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
    opt_nz = 1U << 14,  ///< opt+: data behind EOL
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
  std::uint8_t eol_padding = 0;  ///< bytes behind EOL
  std::uint32_t quirks = 0;
  bool payload = false;
};

/// The smallest of 32, 64, 128, 255 that is not below the TTL (hop limit) of arrival.
constexpr std::uint8_t initial_ttl(const syn_record& syn) noexcept {
  const unsigned ttl = syn.ip().ttl();
  return ttl <= 32 ? 32 : ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255;
}

/// Hops from initial_ttl(). Empty above 35, which p0f does not believe and prints as "?".
constexpr std::optional<std::uint8_t> distance(const syn_record& syn) noexcept {
  const unsigned hops = initial_ttl(syn) - unsigned{syn.ip().ttl()};
  if (hops > 35) return std::nullopt;
  return static_cast<std::uint8_t>(hops);
}

namespace detail {

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
  auto option_is = [&](std::size_t length) {  // all of an option, of which `at` is behind the kind
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
      case 0: {
        s.eol_padding = static_cast<std::uint8_t>(end - at);
        const std::size_t looked_at = Reading == p0f_reading::compatible && end > at ? end - 1 : end;
        for (; at < looked_at; ++at) {
          if (all[at] != 0) s.quirks |= p0f_signature::opt_nz;
        }
        return;
      }
      case 1: break;
      case 2:
        whole = option_is(4);
        if (whole) s.mss = synfp::detail::load_be16(&all[at - 2]);
        break;
      case 3:
        whole = option_is(3);
        if (whole) {
          s.scale = all[at - 1];
          if (s.scale > 14) s.quirks |= p0f_signature::exws;
        }
        break;
      case 4: whole = option_is(2); break;
      case 8:
        whole = option_is(10);
        if (whole) {
          ts.own = synfp::detail::load_be32(&all[at - 8]);
          if (ts.own == 0) s.quirks |= p0f_signature::ts1_z;
          if (synfp::detail::load_be32(&all[at - 4]) != 0) s.quirks |= p0f_signature::ts2_nz;
        }
        break;
      default: {
        const std::size_t least = kind == 5 ? 10 : 2;
        const std::size_t most = kind == 5 ? 34 : 40;
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

/// Of what the window is a multiple: the first that divides it.
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

}  // namespace detail

/// Empty for what p0f does not look at: not a pure SYN (ACK, FIN or RST is set), a fragment, IPv6 with
/// extension headers, IP that does not lead to TCP. Records that are truncated() are complete here: the
/// length of IP options is known without them. (p0f also skips packets that were captured short; a record
/// does not know.)
template <p0f_reading Reading = p0f_reading::compatible>
constexpr std::optional<p0f_signature> p0f_observe(const syn_record& syn) noexcept {
  using q = p0f_signature;
  const ip_view ip = syn.ip();
  const tcp_view tcp = syn.tcp();
  const unsigned flags = tcp.flags();
  if ((flags & (tcp_view::syn | tcp_view::ack | tcp_view::fin | tcp_view::rst)) != tcp_view::syn)
    return std::nullopt;
  if (ip.protocol() != 6 || ip.header_length() != syn.tcp_offset()) return std::nullopt;

  q s;
  s.v6 = !ip.is_v4();
  s.ttl = ip.ttl();
  s.window = tcp.window();
  s.payload = syn.has_payload();
  auto set = [&s](bool on, q::quirk which) {
    if (on) s.quirks |= which;
  };
  if (ip.is_v4()) {
    if ((synfp::detail::load_be16(&syn.bytes()[6]) & 0x3fff) != 0) return std::nullopt;
    s.ip_option_length = static_cast<std::uint8_t>(ip.header_length() - 20);
    set(ip.dont_fragment(), q::df);
    set(ip.dont_fragment() && ip.id() != 0, q::id_nz);
    set(!ip.dont_fragment() && ip.id() == 0, q::id_z);
    set(ip.reserved_bit(), q::ip_nz);
  }
  set((ip.tos() & 3) != 0 || (flags & (tcp_view::ece | tcp_view::cwr | tcp_view::ns)) != 0, q::ecn);
  set(ip.flow_label() != 0, q::flow);
  set(tcp.sequence() == 0, q::seq_z);
  const std::uint32_t seen = Reading == p0f_reading::compatible ? 0x01000000U : 0xffffffffU;
  set((tcp.acknowledgment() & seen) != 0, q::ack_nz);
  set((flags & tcp_view::urg) == 0 && tcp.urgent_pointer() != 0, q::urg_nz);
  set((flags & tcp_view::urg) != 0, q::urg);
  set((flags & tcp_view::psh) != 0, q::push);
  detail::p0f_timestamps ts;
  detail::p0f_options<Reading>(tcp.option_bytes(), s, ts);
  detail::p0f_window(s, ts.own, ip.header_length() + tcp.header_length());
  return s;
}

/// ver:ittl:olen:mss:wsize,scale:olayout:quirks:pclass. Longest: "6:" 2, "220+35:" 7, "40:" 3, "65535:" 6,
/// "mss*655,255:" 12; 24 options of at most 4 characters ("?255"), or 6 for one EOL, and 23 commas: 121, ":"
/// 1; all 17 quirks with commas 80, ":" 1; "+" 1: 234.
constexpr fixed_text<234> p0f_signature_text(const p0f_signature& s) noexcept {
  fixed_text<234> out;
  out.append(s.v6 ? "6:" : "4:");
  const unsigned ttl = s.ttl;
  const unsigned from = ttl <= 32 ? 32 : ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255;
  out.append_number(ttl);
  out.push_back('+');
  if (from - ttl > 35) {
    out.push_back('?');
  } else {
    out.append_number(from - ttl);
  }
  out.push_back(':');
  out.append_number(s.ip_option_length);
  out.push_back(':');
  out.append_number(s.mss);
  out.push_back(':');
  if (s.unit == p0f_signature::window_unit::none) {
    out.append_number(s.window);
  } else {
    out.append(s.unit == p0f_signature::window_unit::mss ? "mss*" : "mtu*");
    out.append_number(s.multiplier);
  }
  out.push_back(',');
  out.append_number(s.scale);
  out.push_back(':');
  for (std::size_t i = 0; i < s.kinds && i < s.kind.size(); ++i) {
    if (i != 0) out.push_back(',');
    switch (s.kind[i]) {
      case 0:
        out.append("eol+");
        out.append_number(s.eol_padding);
        break;
      case 1: out.append("nop"); break;
      case 2: out.append("mss"); break;
      case 3: out.append("ws"); break;
      case 4: out.append("sok"); break;
      case 5: out.append("sack"); break;
      case 8: out.append("ts"); break;
      default: out.push_back('?'); out.append_number(s.kind[i]);
    }
  }
  out.push_back(':');
  bool first = true;
  for (std::size_t i = 0; i < detail::p0f_quirk_names.size(); ++i) {
    if ((s.quirks >> i & 1U) == 0) continue;
    if (!first) out.push_back(',');
    out.append(detail::p0f_quirk_names[i]);
    first = false;
  }
  out.append(s.payload ? ":+" : ":0");
  return out;
}

/// The raw signature, p0f's raw_sig. Empty where p0f_observe() is.
template <p0f_reading Reading = p0f_reading::compatible>
constexpr std::optional<fixed_text<234>> p0f(const syn_record& syn) noexcept {
  const auto seen = p0f_observe<Reading>(syn);
  if (!seen) return std::nullopt;
  return p0f_signature_text(*seen);
}

/// The MTU behind the MSS, p0f's raw_mtu: 40 more for IPv4, 60 more for IPv6. Empty where p0f_observe() is,
/// and without an MSS.
constexpr std::optional<std::uint32_t> mtu(const syn_record& syn) noexcept {
  const auto seen = p0f_observe(syn);
  if (!seen || seen->mss == 0) return std::nullopt;
  return seen->mss + (seen->v6 ? 60U : 40U);
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
