// SPDX-License-Identifier: MIT
// Satori's signature of a SYN, window:ttl:df:length:options:oddities (github.com/xnih/satori, which calls
// itself 0.1, with pypacker 4 or 5, which parses the options).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <synfp/fingerprint/initial_ttl.hpp>
#include <synfp/fixed_text.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// As Satori prints it, peculiarities included: every byte of padding is an option; MSS and window scale are
/// signed, so an MSS of 65495 (loopback) reads M-41; the oddity T stands for an echoed timestamp and for no
/// timestamp at all. The length is that of the IP and TCP headers; the TTL is rounded up to 16, 32, 60, 64,
/// 128 or 255 and stays 0 if it is 0. An option that goes beyond the header is named, its data is what there
/// is of it. Empty where Satori prints nothing: IPv6, flags other than SYN alone (SYN with ECN included), no
/// options, and options on which it fails (a length that is missing or below 2; data of an MSS that is not 2
/// bytes, of a window scale that is not 1, of a timestamp below 8). Records that are truncated() are complete
/// here. Longest:
/// "65535:" 6, "255:" 4, "1:" 2, "120:" 4; 40 bytes of options at 2 characters per byte ("N,", "M-32768,",
/// "W-128,", less for others) without the last comma 79, ":" 1; "PZIDAT" 6: 102.
constexpr std::optional<fixed_text<102>> satori(const syn_record& syn) noexcept {
  const ip_view ip = syn.ip();
  const tcp_view tcp = syn.tcp();
  if (!ip.is_v4() || ip.header_length() != syn.tcp_offset() || (tcp.flags() & 0xff) != tcp_view::syn ||
      tcp.option_bytes().empty())
    return std::nullopt;
  fixed_text<102> out;
  out.append_number(tcp.window());
  out.push_back(':');
  out.append_number(ttl_ceiling(ip.ttl(), {0, 16, 32, 60, 64, 128}));
  out.append(ip.dont_fragment() ? ":1:" : ":0:");
  out.append_number(ip.header_length() + tcp.header_length());
  out.push_back(':');

  auto append_signed = [&out](int value) {
    if (value < 0) out.push_back('-');
    out.append_number(static_cast<unsigned>(value < 0 ? -value : value));
  };
  bool echoes = true;  // until a timestamp says that it does not
  bool padded = false;
  const auto options = tcp.option_bytes();
  for (std::size_t at = 0; at < options.size();) {
    if (at != 0) out.push_back(',');
    const std::size_t left = options.size() - at;
    const std::uint8_t kind = options[at];
    std::span<const std::uint8_t> data;
    if (kind <= tcp_option::nop) {
      at += 1;
    } else {
      if (left < 2 || options[at + 1] < 2) return std::nullopt;
      const std::size_t length = options[at + 1] < left ? options[at + 1] : left;
      data = options.subspan(at + 2, length - 2);
      at += length;
    }
    padded = kind == tcp_option::eol;
    switch (kind) {
      case tcp_option::eol: out.push_back('E'); break;
      case tcp_option::nop: out.push_back('N'); break;
      case tcp_option::mss: {
        if (data.size() != 2) return std::nullopt;
        const int mss = synfp::detail::load_be16(data.data());
        out.push_back('M');
        append_signed(mss > 32767 ? mss - 65536 : mss);
        break;
      }
      case tcp_option::window_scale: {
        if (data.size() != 1) return std::nullopt;
        const int scale = data[0];
        out.push_back('W');
        append_signed(scale > 127 ? scale - 256 : scale);
        break;
      }
      case tcp_option::sack_permitted: out.push_back('S'); break;
      case tcp_option::sack: out.push_back('K'); break;
      case tcp_option::echo: out.push_back('J'); break;
      case tcp_option::echo_reply: out.push_back('F'); break;
      case tcp_option::timestamps:
        if (data.size() < 8) return std::nullopt;
        out.push_back('T');
        echoes = synfp::detail::load_be32(data.data() + 4) != 0;
        break;
      case tcp_option::partial_order_permitted: out.push_back('P'); break;
      case tcp_option::partial_order_profile: out.push_back('R'); break;
      default: out.push_back('U');
    }
  }
  out.push_back(':');
  const bool odd[] = {
      padded, ip.id() == 0, ip.header_length() > 20, syn.has_payload(), tcp.acknowledgment() != 0, echoes};
  bool any = false;
  constexpr std::string_view letters = "PZIDAT";
  for (std::size_t i = 0; i < letters.size(); ++i) {
    if (odd[i]) out.push_back(letters[i]);
    any = any || odd[i];
  }
  if (!any) out.push_back('.');
  return out;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
