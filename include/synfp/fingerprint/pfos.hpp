// SPDX-License-Identifier: MIT
// A line of pf.os, wwww:ttl:D:ss:OOO, as Linux takes it (nf_osf of 6.1, which nftables' and xtables' `osf`
// ask; loaded with nfnl_osf of iptables 1.8). OpenBSD's pf reads the same file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <synfp/fingerprint/initial_ttl.hpp>
#include <synfp/fixed_text.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// The five fields that describe this SYN; ":Genre:Version:Subtype:Details" makes a line of them, which
/// nf_osf finds for this very SYN. The window is Sn if it is n times the MSS, else Tn if n times the MSS +
/// 40, else a number. The TTL is the assumed initial one: 32, 64, 128 or 255. The size is that of the whole
/// packet. The walk is nf_osf's: each option has the size that its kind says, whatever its length byte says,
/// and every byte of padding is an E. (pf goes by the length bytes and ends at EOL: a line with an E never
/// matches there.) Empty for what the format cannot say: IPv6; TCP that does not open a connection (no SYN,
/// or ACK); options other than N, M, W, S, T and E; an option that goes beyond the header. Longest: "S65535:"
/// 7, "255:" 4, "1:" 2, "65535:" 6; 40 bytes of options at 2 characters per byte ("N,", "E,", "S,", less for
/// others) without the last comma 79: 98. Records that are truncated() are complete here.
constexpr std::optional<fixed_text<98>> pfos(const syn_record& syn) noexcept {
  const ip_view ip = syn.ip();
  const tcp_view tcp = syn.tcp();
  if (!ip.is_v4() || (tcp.flags() & (tcp_view::syn | tcp_view::ack)) != tcp_view::syn) return std::nullopt;

  fixed_text<80> options;
  unsigned mss = 0;
  const auto bytes = tcp.option_bytes();
  for (std::size_t at = 0; at < bytes.size();) {
    if (at != 0) options.push_back(',');
    const unsigned kind = bytes[at];
    constexpr std::array<std::uint8_t, 9> sizes{1, 1, 4, 3, 2, 0, 0, 0, 10};  // 0: not in this format
    const std::size_t length = kind < sizes.size() ? sizes[kind] : 0;
    if (length == 0 || length > bytes.size() - at) return std::nullopt;
    switch (kind) {
      case tcp_option::eol: options.push_back('E'); break;
      case tcp_option::nop: options.push_back('N'); break;
      case tcp_option::mss:
        mss = synfp::detail::load_be16(&bytes[at + 2]);
        options.push_back('M');
        options.append_number(mss);
        break;
      case tcp_option::window_scale:
        options.push_back('W');
        options.append_number(bytes[at + 2]);
        break;
      case tcp_option::sack_permitted: options.push_back('S'); break;
      default: options.append(synfp::detail::load_be32(&bytes[at + 2]) == 0 ? "T0" : "T");
    }
    at += length;
  }
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
  out.append_number(ttl_ceiling(ip.ttl()));
  out.append(ip.dont_fragment() ? ":1:" : ":0:");
  out.append_number(ip.total_length());
  out.push_back(':');
  out.append(options);
  return out;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
