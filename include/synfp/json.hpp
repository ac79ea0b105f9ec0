// SPDX-License-Identifier: MIT
// JSON text (RFC 8259) of what a SYN says: the members that the echo server and the program synfp print.
//
// Every function appends to `out`, which is any text with push_back(char) and append(std::string_view):
// std::string, http::text_type. Nothing else allocates, and nothing fails unless `out` does. Names and order
// of members are stable; what is not known is null, never left out.
#pragma once

#include <charconv>  // to_chars
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

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

namespace detail {
/// Bytes of the UTF-8 character (RFC 3629 4) that `text` begins with; 0 if it begins with none.
constexpr std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return text.empty() ? 0 : 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const std::size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const unsigned least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < least || byte(1) > most) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  }
  return length;
}
}  // namespace detail

/// A string with its quotes. Quotes, backslashes and control characters (C0, DEL, C1) are escaped; a byte
/// that is not UTF-8 becomes U+FFFD, because JSON text is UTF-8 (RFC 8259 8.1).
template <class Text>
void append_json_string(Text& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  out.push_back('"');
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text[0]);
    const std::size_t length = detail::utf8_length(text);
    const bool c1 = length == 2 && byte == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (length == 0) {
      out.append(std::string_view("\\ufffd"));
    } else if (byte < 0x20 || byte == 0x7f || c1) {
      const unsigned code = c1 ? static_cast<unsigned char>(text[1]) : byte;
      out.append(std::string_view("\\u00"));
      out.push_back(digits[code >> 4]);
      out.push_back(digits[code & 15]);
    } else {
      if (byte == '"' || byte == '\\') out.push_back('\\');
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out.push_back('"');
}

namespace detail {

template <class Text>
void append_json_number(Text& out, std::uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

/// `text` is what stands before the value: R"(,"name":)".
template <class Text>
void append_json_number(Text& out, std::string_view text, std::uint64_t value) {
  out.append(text);
  append_json_number(out, value);
}

template <class Text, class Number>
void append_json_number(Text& out, std::string_view text, const std::optional<Number>& value) {
  out.append(text);
  if (value) {
    append_json_number(out, static_cast<std::uint64_t>(*value));
  } else {
    out.append(std::string_view("null"));
  }
}

/// A fingerprint or an address: it has no character that needs escaping.
template <class Text>
void append_json_plain(Text& out, std::string_view text, std::string_view value) {
  out.append(text);
  out.push_back('"');
  out.append(value);
  out.push_back('"');
}

template <class Text, std::size_t N>
void append_json_plain(Text& out, std::string_view text, const std::optional<fixed_text<N>>& value) {
  if (value) {
    append_json_plain(out, text, value->view());
  } else {
    out.append(text);
    out.append(std::string_view("null"));
  }
}

template <class Text>
void append_json_member(Text& out, const json_member& one) {
  append_json_plain(out, ",", one.name);
  out.push_back(':');
  append_json_string(out, one.text);
}

template <class Text>
void append_json_bool(Text& out, std::string_view text, bool value) {
  out.append(text);
  out.append(std::string_view(value ? "true" : "false"));
}

template <class Text>
void append_json_ip(Text& out, const ip_view& ip) {
  append_json_number(out, R"({"version":)", ip.version());
  append_json_number(out, R"(,"header_length":)", ip.header_length());
  append_json_number(out, R"(,"tos":)", ip.tos());
  if (ip.is_v4()) {
    append_json_number(out, R"(,"id":)", ip.id());
    append_json_bool(out, R"(,"dont_fragment":)", ip.dont_fragment());
    append_json_number(out, R"(,"ttl":)", ip.ttl());
    out.append(std::string_view(R"(,"flow_label":null})"));
  } else {
    append_json_number(out, R"(,"id":null,"dont_fragment":null,"ttl":)", ip.ttl());
    append_json_number(out, R"(,"flow_label":)", ip.flow_label());
    out.push_back('}');
  }
}

template <class Text>
void append_json_options(Text& out, tcp_option_walk walk) {
  std::string_view separator;
  while (const auto option = walk.next()) {
    out.append(separator);
    separator = ",";
    switch (option->kind) {
      case 1: out.append(std::string_view(R"("nop")")); break;
      case 2: out.append(std::string_view(R"("mss")")); break;
      case 3: out.append(std::string_view(R"("ws")")); break;
      case 4: out.append(std::string_view(R"("sok")")); break;
      case 5: out.append(std::string_view(R"("sack")")); break;
      case 8: out.append(std::string_view(R"("ts")")); break;
      default:
        append_json_number(out, R"("?)", option->kind);
        out.push_back('"');
        break;
    }
  }
  if (walk.end_of_list()) {
    out.append(separator);
    out.append(std::string_view(R"("eol")"));
  }
}

template <class Text>
void append_json_tcp(Text& out, const syn_record& syn) {
  const tcp_view tcp = syn.tcp();
  append_json_number(out, R"({"sequence":)", tcp.sequence());
  append_json_number(out, R"(,"acknowledgment":)", tcp.acknowledgment());
  out.append(std::string_view(R"(,"flags":[)"));
  std::string_view separator;
  constexpr std::string_view names[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"};
  unsigned flags = tcp.flags();
  for (const std::string_view name : names) {
    if ((flags & 1U) != 0) {
      append_json_plain(out, separator, name);
      separator = ",";
    }
    flags >>= 1;
  }
  const auto known = tcp.known();
  append_json_number(out, R"(],"window":)", tcp.window());
  append_json_number(out, R"(,"urgent_pointer":)", tcp.urgent_pointer());
  append_json_number(out, R"(,"mss":)", known.mss);
  append_json_number(out, R"(,"window_scale":)", known.window_scale);
  append_json_bool(out, R"(,"sack_permitted":)", known.sack_permitted);
  if (known.timestamp) {
    append_json_number(out, R"(,"timestamp":{"value":)", known.timestamp->value);
    append_json_number(out, R"(,"echo":)", known.timestamp->echo);
    out.append(std::string_view(R"(},"options":[)"));
  } else {
    out.append(std::string_view(R"(,"timestamp":null,"options":[)"));
  }
  append_json_options(out, tcp.options());
  append_json_bool(out, R"(],"payload":)", syn.has_payload());
  out.push_back('}');
}

}  // namespace detail

/// {"address":"192.0.2.1","port":80}. A zone is an interface index: "fe80::1%3".
template <class Text>
void append_json(Text& out, const endpoint& e) {
  detail::append_json_plain(out, R"({"address":)", e.address_text().view());
  detail::append_json_number(out, R"(,"port":)", e.port());
  out.push_back('}');
}

/// The object "syn": {"ip":{...},"tcp":{...},"raw":"..."}. `raw` is syn.bytes() in hexadecimal. At most
/// 1 KiB.
template <class Text>
void append_json(Text& out, const syn_record& syn) {
  out.append(std::string_view(R"({"ip":)"));
  detail::append_json_ip(out, syn.ip());
  out.append(std::string_view(R"(,"tcp":)"));
  detail::append_json_tcp(out, syn);
  char raw[2 * syn_record::max_bytes];
  std::size_t n = 0;
  for (const unsigned byte : syn.bytes()) {
    raw[n++] = "0123456789abcdef"[byte >> 4];
    raw[n++] = "0123456789abcdef"[byte & 15];
  }
  detail::append_json_plain(out, R"(,"raw":)", std::string_view(raw, n));
  out.push_back('}');
}

/// The object "capture": how a lookup found its SYN, or why it did not.
template <class Text>
void append_json(Text& out, const syn_lookup& found) {
  if (!found) {
    detail::append_json_plain(out, R"({"source":null,"proof":null,"age_us":null,"retransmits":null,"miss":)",
                              to_string(found.miss));
    out.push_back('}');
    return;
  }
  detail::append_json_plain(out, R"({"source":)", to_string(found.source));
  detail::append_json_plain(out, R"(,"proof":)", to_string(found.proof));
  detail::append_json_number(out, R"(,"age_us":)",
                             found.age_ns ? std::optional(*found.age_ns / 1000) : std::nullopt);
  detail::append_json_number(out, R"(,"retransmits":)", found->arrived().retransmits);
  out.append(std::string_view(R"(,"miss":null})"));
}

/// The object "fingerprint": every format by name, null where it has nothing to say about this SYN, then
/// `more`, each a json_member. JA4T is left to the program: its method is not free for every use.
template <class Text, class... Member>
void append_json_fingerprints(Text& out, const syn_record& syn, const Member&... more) {
  detail::append_json_plain(out, R"({"p0f":)", fingerprint::p0f(syn));
  detail::append_json_plain(out, R"(,"muonfp":)", fingerprint::muonfp(syn).view());
  detail::append_json_plain(out, R"(,"haproxy":)", fingerprint::haproxy(syn).view());
  detail::append_json_plain(out, R"(,"satori":)", fingerprint::satori(syn));
  detail::append_json_plain(out, R"(,"ndpi":)", fingerprint::ndpi(syn));
  detail::append_json_plain(out, R"(,"pfos":)", fingerprint::pfos(syn));
  (detail::append_json_member(out, more), ...);
  out.push_back('}');
}

/// The object "os": the answer of fingerprint::identifier::identify(). `class`, `name` and `flavor` are the
/// parts of `label`, which is null where nothing matched, as all that depends on it. A template over the one
/// type that it takes: who prints no labels does not include the databases.
template <class Text, class Identification>
void append_json_os(Text& out, const Identification& id) {
  if (id.label != nullptr) {
    out.append(std::string_view(R"({"label":)"));
    append_json_string(out, id.label->text());
    out.append(std::string_view(R"(,"class":)"));
    append_json_string(out, id.label->os_class);
    out.append(std::string_view(R"(,"name":)"));
    append_json_string(out, id.label->name);
    out.append(std::string_view(R"(,"flavor":)"));
    append_json_string(out, id.label->flavor);
    out.append(std::string_view(R"(,"database":)"));
    append_json_string(out, id.database);
    detail::append_json_number(out, R"(,"line":)", id.line);
    detail::append_json_plain(out, R"(,"match":)", to_string(id.quality));
    detail::append_json_bool(out, R"(,"flow_aware":)", id.flow_aware);
  } else {
    out.append(std::string_view(
        R"({"label":null,"class":null,"name":null,"flavor":null,"database":null,"line":null,"match":null,)"
        R"("flow_aware":null)"));
  }
  detail::append_json_number(out, R"(,"distance":)", id.distance);
  detail::append_json_bool(out, R"(,"distance_is_limit":)", id.distance_is_limit);
  detail::append_json_number(out, R"(,"mtu":)", id.mtu);
  out.append(std::string_view(R"(,"link":)"));
  if (id.link.empty()) {
    out.append(std::string_view("null"));
  } else {
    append_json_string(out, id.link);
  }
  out.append(std::string_view(R"(,"inconsistencies":[)"));
  std::string_view separator;
  for (const auto one : id.inconsistencies) {
    detail::append_json_plain(out, separator, to_string(one));
    separator = ",";
  }
  out.append(std::string_view("]}"));
}

SYNFP_END_NAMESPACE
