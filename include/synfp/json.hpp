// SPDX-License-Identifier: MIT
// JSON text (RFC 8259) of what a SYN says: the members that the echo server and the program synfp print.
//
// Every function appends to `out`, which is any text with push_back(char) and append(std::string_view):
// std::string, http::text_type. Nothing else allocates, and nothing fails unless `out` does. Names and order
// of members are stable; what is not known is null, never left out.
#pragma once

#include <optional>
#include <string_view>
#include <utility>  // exchange

#include <synfp/capture/lookup.hpp>
#include <synfp/detail/json_syn.hpp>
#include <synfp/detail/json_writer.hpp>
#include <synfp/endpoint.hpp>
#include <synfp/fingerprint/haproxy.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/fingerprint/ndpi.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/fingerprint/pfos.hpp>
#include <synfp/fingerprint/satori.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE

/// One more fingerprint for append_json_fingerprints(): {"ja4t", fingerprint::ja4t(syn)}. Views: valid while
/// what they look at is. `name` is written as it is, `text` is escaped.
struct json_member {
  std::string_view name;
  std::string_view text;
};

/// A string with its quotes. Quotes, backslashes and control characters (C0, DEL, C1) are escaped; a byte
/// that is not UTF-8 becomes U+FFFD, because JSON text is UTF-8 (RFC 8259 8.1).
template <class Text>
void append_json_string(Text& out, std::string_view text) {
  detail::json_writer writer(out);
  writer.string(text);
  writer.flush();
}

/// {"address":"192.0.2.1","port":80}. A zone is an interface index: "fe80::1%3".
template <class Text>
void append_json(Text& out, const endpoint& e) {
  detail::json_writer writer(out);
  writer.put(R"({"address":)");
  writer.plain(e.address_text().view());
  writer.put(R"(,"port":)");
  writer.number(e.port());
  writer.put('}');
  writer.flush();
}

/// The object "syn": {"ip":{...},"tcp":{...},"raw":"..."}. `raw` is syn.bytes() in hexadecimal. At most
/// 1 KiB.
template <class Text>
void append_json(Text& out, const syn_record& syn) {
  detail::json_writer writer(out);
  writer.put(R"({"ip":)");
  detail::write_json_ip(writer, syn.ip());
  writer.put(R"(,"tcp":)");
  detail::write_json_tcp(writer, syn);
  writer.put(R"(,"raw":")");
  writer.hexadecimal(syn.bytes());
  writer.put(R"("})");
  writer.flush();
}

/// The object "capture": how a lookup found its SYN, or why it did not. The last member, "of":"proxy", is
/// there only if the SYN is not the peer's but that of a proxy in front (net::proxies).
template <class Text>
void append_json(Text& out, const syn_lookup& found) {
  detail::json_writer writer(out);
  if (!found) {
    writer.put(R"({"source":null,"proof":null,"age_us":null,"retransmits":null,"miss":)");
    writer.plain(to_string(found.miss));
  } else {
    writer.put(R"({"source":)");
    writer.plain(to_string(found.source));
    writer.put(R"(,"proof":)");
    writer.plain(to_string(found.proof));
    writer.put(R"(,"age_us":)");
    writer.number(found.age_ns ? std::optional(*found.age_ns / 1000) : std::nullopt);
    writer.put(R"(,"retransmits":)");
    writer.number(found->arrived().retransmits);
    writer.put(R"(,"miss":null)");
  }
  if (found.of != syn_of::client) {
    writer.put(R"(,"of":)");
    writer.plain(to_string(found.of));
  }
  writer.put('}');
  writer.flush();
}

/// The object "fingerprint": every format by name, null where it has nothing to say about this SYN, then
/// `more`, each a json_member. JA4T is left to the program: its method is not free for every use.
template <class Text, class... Member>
void append_json_fingerprints(Text& out, const syn_record& syn, const Member&... more) {
  detail::json_writer writer(out);
  writer.put(R"({"p0f":)");
  writer.plain(fingerprint::p0f(syn));
  writer.put(R"(,"muonfp":)");
  writer.plain(fingerprint::muonfp(syn).view());
  writer.put(R"(,"haproxy":)");
  writer.plain(fingerprint::haproxy(syn).view());
  writer.put(R"(,"satori":)");
  writer.plain(fingerprint::satori(syn));
  writer.put(R"(,"ndpi":)");
  writer.plain(fingerprint::ndpi(syn));
  writer.put(R"(,"pfos":)");
  writer.plain(fingerprint::pfos(syn));
  [[maybe_unused]] const auto member = [&writer](const json_member& one) {
    writer.put(',');
    writer.plain(one.name);
    writer.put(':');
    writer.string(one.text);
  };
  (member(more), ...);
  writer.put('}');
  writer.flush();
}

/// The object "os": the answer of fingerprint::identifier::identify(). `class`, `name` and `flavor` are the
/// parts of `label`, which is null where nothing matched, as all that depends on it. A template, although it
/// takes one type, so that programs without labels do not include the databases.
template <class Text, class Identification>
void append_json_os(Text& out, const Identification& id) {
  detail::json_writer writer(out);
  if (id.label != nullptr) {
    // label->text(), without making a string of it
    writer.put(R"({"label":")");
    writer.put(id.label->generic ? 'g' : 's');
    writer.put(':');
    writer.escaped(id.label->os_class);
    writer.put(':');
    writer.escaped(id.label->name);
    writer.put(':');
    writer.escaped(id.label->flavor);
    writer.put(R"(","class":)");
    writer.string(id.label->os_class);
    writer.put(R"(,"name":)");
    writer.string(id.label->name);
    writer.put(R"(,"flavor":)");
    writer.string(id.label->flavor);
    writer.put(R"(,"database":)");
    writer.string(id.database);
    writer.put(R"(,"line":)");
    writer.number(id.line);
    writer.put(R"(,"match":)");
    writer.plain(to_string(id.quality));
    writer.put(R"(,"evidence":)");
    if (id.known_by) {
      writer.plain(to_string(*id.known_by));
    } else {
      writer.put("null");
    }
    writer.put(R"(,"flow_aware":)");
    writer.boolean(id.flow_aware);
  } else {
    writer.put(
        R"({"label":null,"class":null,"name":null,"flavor":null,"database":null,"line":null,"match":null,)"
        R"("evidence":null,"flow_aware":null)");
  }
  writer.put(R"(,"distance":)");
  writer.number(id.distance);
  writer.put(R"(,"distance_is_limit":)");
  writer.boolean(id.distance_is_limit);
  writer.put(R"(,"mtu":)");
  writer.number(id.mtu);
  writer.put(R"(,"link":)");
  if (id.link.empty()) {
    writer.put("null");
  } else {
    writer.string(id.link);
  }
  writer.put(R"(,"inconsistencies":[)");
  bool first = true;
  for (const auto one : id.inconsistencies) {
    if (!std::exchange(first, false)) writer.put(',');
    writer.plain(to_string(one));
  }
  writer.put("]}");
  writer.flush();
}

SYNFP_END_NAMESPACE
