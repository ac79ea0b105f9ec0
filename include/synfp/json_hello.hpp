// SPDX-License-Identifier: MIT
// JSON text of a ClientHello. See json.hpp, which does without the hashes that this needs.
#pragma once

#include <string_view>
#include <utility>  // exchange

#include <synfp/detail/json_writer.hpp>
#include <synfp/fingerprint/ja3.hpp>
#include <synfp/fingerprint/ja4.hpp>
#include <synfp/tls/client_hello.hpp>

SYNFP_BEGIN_NAMESPACE
namespace detail {

/// [1,2]: what `write` makes of each element.
template <class Text, class List, class Write>
void write_json_list(json_writer<Text>& out, const List& list, const Write& write) {
  out.put('[');
  bool first = true;
  for (const auto& element : list) {
    if (!std::exchange(first, false)) out.put(',');
    write(element);
  }
  out.put(']');
}

}  // namespace detail

/// The object "hello": what a TLS client offers, codes as numbers in wire order (772 is TLS 1.3), and its
/// fingerprints. `version` is the highest one offered. A list that was not sent is empty. A byte of a name
/// that is not UTF-8 becomes U+FFFD.
template <class Text>
void append_json(Text& to, const tls::client_hello& hello) {
  detail::json_writer out(to);
  const auto number = [&out](auto code) { out.number(code); };
  out.put(R"({"version":)");
  out.number(hello.highest_version());
  out.put(R"(,"legacy_version":)");
  out.number(hello.legacy_version());
  out.put(R"(,"sni":)");
  if (const auto name = hello.server_name()) {
    out.string(*name);
  } else {
    out.put("null");
  }
  out.put(R"(,"alpn":)");
  detail::write_json_list(out, hello.alpn(), [&out](std::string_view protocol) { out.string(protocol); });
  out.put(R"(,"ciphers":)");
  detail::write_json_list(out, hello.ciphers(), number);
  out.put(R"(,"extensions":)");
  detail::write_json_list(out, hello.extensions(), [&out](const tls::extension& e) { out.number(e.type); });
  out.put(R"(,"groups":)");
  detail::write_json_list(out, hello.groups(), number);
  out.put(R"(,"key_shares":)");
  detail::write_json_list(out, hello.key_shares(), [&out](const tls::key_share& s) { out.number(s.group); });
  out.put(R"(,"signature_algorithms":)");
  detail::write_json_list(out, hello.signature_algorithms(), number);
  out.put(R"(,"versions":)");
  detail::write_json_list(out, hello.versions(), number);
  out.put(R"(,"point_formats":)");
  detail::write_json_list(out, hello.point_formats(), number);
  out.put(R"(,"grease":)");
  out.boolean(hello.has_grease());
  out.put(R"(,"ja3":)");
  out.plain(fingerprint::ja3(hello).view());
  out.put(R"(,"ja3_full":)");
  out.plain(fingerprint::ja3_full(hello).view());
  out.put(R"(,"ja4":)");
  out.plain(fingerprint::ja4(hello).view());
  out.put(R"(,"ja4_r":)");
  out.plain(fingerprint::ja4_r(hello).view());
  out.put(R"(,"ja4_o":)");
  out.plain(fingerprint::ja4_o(hello).view());
  out.put(R"(,"ja4_ro":)");
  out.plain(fingerprint::ja4_ro(hello).view());
  out.put(R"(,"steady":)");
  out.plain(fingerprint::steady(hello).view());
  out.put('}');
  out.flush();
}

SYNFP_END_NAMESPACE
