// SPDX-License-Identifier: MIT
// A line of pf.os, the fingerprint file of OpenBSD's pf, of nftables' `osf` and of xtables:
// wwww:ttl:D:ss:OOO.
#pragma once

#include <cstdint>
#include <optional>

#include <synfp/endpoint.hpp>  // fixed_text
#include <synfp/fingerprint/detail/padded_option_walk.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// The five fields that describe this SYN; ":Genre:Version:Subtype:Details" makes a line of them. The window
/// is Sn if it is n times the MSS, else Tn if n times the MSS + 40, else a number. The TTL is the assumed
/// initial one: 32, 64, 128 or 255. The size is that of the whole packet. Every byte of padding is an E,
/// because nf_osf compares the length of all options. Empty for what the format cannot say: IPv6; TCP that
/// does not open a connection (no SYN, or ACK); options other than N, M, W, S, T and E, or of another length
/// than theirs. Longest: "S65535:" 7, "255:" 4, "1:" 2, "65535:" 6; 40 bytes of options at 2 characters per
/// byte ("N,", "E,", "S,", less for others) without the last comma 79: 98. Records that are truncated() are
/// complete here.
constexpr std::optional<fixed_text<98>> pfos(const syn_record& syn) noexcept {
  const ip_view ip = syn.ip();
  const tcp_view tcp = syn.tcp();
  if (!ip.is_v4() || (tcp.flags() & (tcp_view::syn | tcp_view::ack)) != tcp_view::syn) return std::nullopt;

  fixed_text<80> options;
  unsigned mss = 0;
  detail::padded_option_walk walk(tcp.option_bytes());
  for (bool first = true; const auto option = walk.next(); first = false) {
    if (!first) options.push_back(',');
    const auto data = option->data;
    switch (option->kind) {
      case 0: options.push_back('E'); break;
      case 1: options.push_back('N'); break;
      case 2:
        if (data.size() != 2) return std::nullopt;
        mss = synfp::detail::load_be16(data.data());
        options.push_back('M');
        options.append_number(mss);
        break;
      case 3:
        if (data.size() != 1) return std::nullopt;
        options.push_back('W');
        options.append_number(data[0]);
        break;
      case 4:
        if (!data.empty()) return std::nullopt;
        options.push_back('S');
        break;
      case 8:
        if (data.size() != 8) return std::nullopt;
        options.append(synfp::detail::load_be32(data.data()) == 0 ? "T0" : "T");
        break;
      default: return std::nullopt;
    }
  }
  if (walk.malformed()) return std::nullopt;
  if (options.size() == 0) options.push_back('.');

  fixed_text<98> out;
  const unsigned window = tcp.window();
  if (mss != 0 && window != 0 && window % mss == 0) {
    out.push_back('S');
    out.append_number(window / mss);
  } else if (mss != 0 && window != 0 && window % (mss + 40) == 0) {
    out.push_back('T');
    out.append_number(window / (mss + 40));
  } else {
    out.append_number(window);
  }
  out.push_back(':');
  const unsigned ttl = ip.ttl();
  out.append_number(ttl <= 32 ? 32 : ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255);
  out.append(ip.dont_fragment() ? ":1:" : ":0:");
  out.append_number(ip.total_length());
  out.push_back(':');
  out.append(options);
  return out;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
