// SPDX-License-Identifier: MIT
// The handshakes of a server as metrics. Needs OpenSSL 3 (synfp::tls).
#pragma once

#include <cstddef>

#include <synfp/open_metrics.hpp>
#include <synfp/tls/refusal.hpp>
#include <synfp/tls/server_context.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls {

/// synfp_tls_*. Does not end the text.
template <class Text>
void write_metrics(open_metrics<Text>& out, const server_context& context) {
  const handshake_counters n = context.counters();
  out.family("synfp_tls_handshakes", "counter", "", "Handshakes, by how they ended.");
  out.sample("_total", {{"outcome", "full"}}, n.completed - n.resumed);
  out.sample("_total", {{"outcome", "resumed"}}, n.resumed);
  out.sample("_total", {{"outcome", "no_hello"}}, n.no_hello);
  out.sample("_total", {{"outcome", "refused"}}, n.refused);
  out.sample("_total", {{"outcome", "late"}}, n.late);
  out.sample("_total", {{"outcome", "left"}}, n.left);
  out.sample("_total", {{"outcome", "displaced"}}, n.displaced);
  out.family("synfp_tls_no_hello", "counter", "",
             "Connections that did not begin with a ClientHello, by why.");
  for (std::size_t i = 1; i <= static_cast<std::size_t>(refusal::key_shares_invalid); ++i) {
    const auto why = static_cast<refusal>(i);
    out.sample("_total", {{"reason", to_string(why)}}, context.refusals(why));
  }
}

}  // namespace tls
SYNFP_END_NAMESPACE
