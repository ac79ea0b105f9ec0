// SPDX-License-Identifier: MIT
// p0f 3.09b, its last version: the raw signature of a SYN as p0f prints it, the MTU and the distance it
// concludes (lcamtuf.coredump.cx/p0f3). Written from a description of the format; holds no text of p0f.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <synfp/detail/big_endian.hpp>
#include <synfp/detail/extension_headers.hpp>
#include <synfp/fingerprint/detail/p0f_walk.hpp>
#include <synfp/fingerprint/initial_ttl.hpp>    // IWYU pragma: export
#include <synfp/fingerprint/p0f_signature.hpp>  // IWYU pragma: export
#include <synfp/fixed_text.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

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
  if (ip.protocol() != synfp::detail::protocol_tcp || ip.header_length() != syn.tcp_offset())
    return std::nullopt;

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
  const unsigned from = ttl_ceiling(ttl);
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
    const std::string_view name = tcp_option_name(s.kind[i]);
    out.append(name.empty() ? "?" : name);
    if (name.empty()) out.append_number(s.kind[i]);
    if (s.kind[i] == tcp_option::eol) {
      out.push_back('+');
      out.append_number(s.eol_padding);
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

/// The MTU that the MSS stands for, p0f's raw_mtu: 40 more for IPv4, 60 more for IPv6. Empty where
/// p0f_observe() is, and without an MSS.
constexpr std::optional<std::uint32_t> mtu(const syn_record& syn) noexcept {
  const auto seen = p0f_observe(syn);
  if (!seen || seen->mss == 0) return std::nullopt;
  return seen->mss + (seen->v6 ? 60U : 40U);
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
