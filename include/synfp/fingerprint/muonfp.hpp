// SPDX-License-Identifier: MIT
// MuonFP: window:kinds:mss:wscale (github.com/sundruid/muonfp).
#pragma once

#include <synfp/endpoint.hpp>  // fixed_text
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// The window in decimal; the option kinds in wire order joined by '-', ending with 0 at the first EOL; the
/// MSS and the window scale, each empty if absent. Options are walked by their length bytes; a malformed one
/// ends the walk. Longest: "65535:" + 40 kinds + ":65535:255". Defined for every record.
constexpr fixed_text<192> muonfp(const syn_record& syn) noexcept {
  fixed_text<192> out;
  const tcp_view tcp = syn.tcp();
  out.append_number(tcp.window());
  out.push_back(':');
  bool first = true;
  tcp_option_walk walk = tcp.options();
  while (const auto option = walk.next()) {
    if (!first) out.push_back('-');
    out.append_number(option->kind);
    first = false;
  }
  if (walk.end_of_list()) out.append(first ? "0" : "-0");
  const auto known = tcp.known();
  out.push_back(':');
  if (known.mss) out.append_number(*known.mss);
  out.push_back(':');
  if (known.window_scale) out.append_number(*known.window_scale);
  return out;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
