// SPDX-License-Identifier: MIT
// JA4T as FoxIO's Wireshark plugin prints it (0.0.1, of 2025; the walk is that of Wireshark 4.0):
// window_kinds_mss_wscale.
//
// READ BEFORE USE. This text is MIT, but the method is not ours to give: JA4T is one of FoxIO's JA4+ methods,
// which FoxIO, LLC declares patent pending and licenses under the FoxIO License 1.1, for non-commercial
// purposes only. Internal business use that is not directly monetised counts as non-commercial; a hosted or
// managed service, paid support and sale do not, and need an OEM licence from FoxIO (foxio.io). Whoever
// passes this on must pass on those terms or their address:
// https://github.com/FoxIO-LLC/ja4/blob/main/LICENSE. See also NOTICE.
//
// Hence no other header includes this one. muonfp.hpp has the same fields, under MIT.
#pragma once

#include <cstddef>
#include <cstdint>

#include <synfp/fixed_text.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// The window; the option kinds joined by '-', "00" without options; the MSS, at least two digits; the window
/// scale, "00" if absent or 0. The walk is Wireshark's: EOL is listed, and so is every zero after it, up to
/// the first byte that is none; an option whose length is missing, below 2 or beyond the header ends the list
/// unnamed; an MSS or window scale option of another length than its own is named but has no value; the last
/// one counts. Where Wireshark fails inside of one option (SACK without a block, MPTCP too short for what it
/// announces, SNACK, Riverbed's probes) it drops what follows; that differs between its versions, and here
/// the list goes on. Defined for every record, SYN with ECN included, for which the plugin prints none.
/// Longest: "65535_" 6; 40 bytes of options at 2 characters per byte ("1-", "255-") without the last '-' 79;
/// "_65535" 6; "_255" 4: 95.
constexpr fixed_text<95> ja4t(const syn_record& syn) noexcept {
  const tcp_view tcp = syn.tcp();
  const auto options = tcp.option_bytes();
  fixed_text<95> out;
  out.append_number(tcp.window());
  out.push_back('_');
  unsigned mss = 0;
  unsigned scale = 0;
  bool first = true;
  bool ended = false;  // an EOL was met
  for (std::size_t at = 0; at < options.size();) {
    const std::size_t left = options.size() - at;
    const unsigned kind = options[at];
    if (ended && kind != tcp_option::eol) break;
    ended = kind == tcp_option::eol;
    const std::size_t length = kind <= tcp_option::nop ? 1 : left > 1 ? options[at + 1] : 0;
    if (length == 0 || (kind > tcp_option::nop && length < 2) || length > left) break;
    if (!first) out.push_back('-');
    first = false;
    out.append_number(kind);
    if (kind == tcp_option::mss && length == 4) mss = synfp::detail::load_be16(&options[at + 2]);
    if (kind == tcp_option::window_scale && length == 3) scale = options[at + 2];
    at += length;
  }
  if (first) out.append("00");
  out.push_back('_');
  if (mss < 10) out.push_back('0');
  out.append_number(mss);
  out.push_back('_');
  if (scale == 0) out.push_back('0');
  out.append_number(scale);
  return out;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
