// SPDX-License-Identifier: MIT
// JA4T, the dialect of FoxIO's Wireshark plugin: window_kinds_mss_wscale.
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

#include <cstdint>

#include <synfp/endpoint.hpp>  // fixed_text
#include <synfp/fingerprint/detail/padded_option_walk.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// The window; the option kinds joined by '-', every byte of padding behind EOL included, "00" without
/// options; the MSS, at least two digits; the window scale, "00" if absent or 0. The last MSS and window
/// scale win, those of the wrong length have no value; a malformed option ends the walk unnamed. Defined for
/// every record, SYN with ECN included, for which Wireshark prints none. Longest: "65535_" 6; 40 bytes of
/// options at 2 characters per byte
/// ("1-", "255-") without the last '-' 79; "_65535" 6; "_255" 4: 95.
constexpr fixed_text<95> ja4t(const syn_record& syn) noexcept {
  const tcp_view tcp = syn.tcp();
  fixed_text<95> out;
  out.append_number(tcp.window());
  out.push_back('_');
  unsigned mss = 0;
  unsigned scale = 0;
  bool first = true;
  detail::padded_option_walk walk(tcp.option_bytes());
  while (const auto option = walk.next()) {
    if (!first) out.push_back('-');
    first = false;
    out.append_number(option->kind);
    if (option->kind == 2 && option->data.size() == 2) mss = synfp::detail::load_be16(option->data.data());
    if (option->kind == 3 && option->data.size() == 1) scale = option->data[0];
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
