// SPDX-License-Identifier: MIT
// MuonFP 1.5.0: window:kinds:mss:wscale (github.com/sundruid/muonfp, MIT).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <synfp/fixed_text.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// The window in decimal; the option kinds in wire order joined by '-', ending with 0 at the first EOL; the
/// MSS and the window scale, each empty if absent, else the last one. The walk is MuonFP's: a kind is listed
/// before its length is looked at; MSS takes 4 bytes and window scale 3, whatever their length byte says, and
/// have no value if the header ends before; any other kind ends the list if its length is missing or below 2.
/// Defined for every record. Longest: "65535:" 6; 40 bytes of options at 2 characters per byte ("1-", "255-"
/// with its length) and one more where the header ends after "255", 81; ":65535:255" 10.
constexpr fixed_text<192> muonfp(const syn_record& syn) noexcept {
  const tcp_view tcp = syn.tcp();
  const auto options = tcp.option_bytes();
  std::optional<std::uint16_t> mss;
  std::optional<std::uint8_t> scale;
  fixed_text<192> out;
  out.append_number(tcp.window());
  out.push_back(':');
  for (std::size_t at = 0; at < options.size();) {
    const std::size_t left = options.size() - at;
    const unsigned kind = options[at];
    if (at != 0) out.push_back('-');
    out.append_number(kind);
    if (kind == tcp_option::eol) break;
    std::size_t length = 1;
    if (kind == tcp_option::mss) {
      length = 4;
      if (left >= length) mss = synfp::detail::load_be16(&options[at + 2]);
    } else if (kind == tcp_option::window_scale) {
      length = 3;
      if (left >= length) scale = options[at + 2];
    } else if (kind != tcp_option::nop) {
      length = left > 1 ? options[at + 1] : 0;
      if (length < 2) break;
    }
    at += length;
  }
  out.push_back(':');
  if (mss) out.append_number(*mss);
  out.push_back(':');
  if (scale) out.append_number(*scale);
  return out;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
