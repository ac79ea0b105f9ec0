// SPDX-License-Identifier: MIT
// JSON text (RFC 8259) of what a SYN says: the members that the echo server and the program synfp print.
//
// Every function appends to `out`, which is any text with push_back(char) and append(std::string_view):
// std::string, http::text_type. Nothing else allocates, and nothing fails unless `out` does. Names and order
// of members are stable; what is not known is null, never left out.
#pragma once

#include <array>
#include <charconv>  // to_chars
#include <cstddef>
#include <cstdint>
#include <cstring>  // memcpy
#include <optional>
#include <span>
#include <string_view>
#include <utility>  // exchange

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

namespace detail {

/// What the functions below write through: it collects the pieces of a text, so that `out` sees few appends
/// of many bytes. A call of append() for each of the hundred pieces of a SYN is what JSON would cost. Whoever
/// made it calls flush(): a destructor could not pass on what `out` throws.
template <class Text>
class json_writer {
 public:
  explicit json_writer(Text& out) noexcept : out_(out) {}
  json_writer(const json_writer&) = delete;
  json_writer& operator=(const json_writer&) = delete;

  void flush() {
    out_.append(std::string_view(buffer_, size_));
    size_ = 0;
  }
  /// The length is in the type: a compiler makes a few stores of it.
  template <std::size_t N>
  void put(const char (&literal)[N]) {
    static_assert(N <= capacity);
    reserve(N - 1);
    std::memcpy(buffer_ + size_, literal, N - 1);
    size_ += N - 1;
  }
  void put(char c) {
    reserve(1);
    buffer_[size_++] = c;
  }
  /// Of any length, as it is.
  void text(std::string_view value) {
    if (value.size() > capacity - size_) {
      flush();
      if (value.size() > capacity) {
        out_.append(value);
        return;
      }
    }
    std::memcpy(buffer_ + size_, value.data(), value.size());
    size_ += value.size();
  }
  void number(std::uint64_t value) {
    reserve(20);
    if (value < 10) {  // most are
      buffer_[size_++] = static_cast<char>('0' + value);
      return;
    }
    const auto end = std::to_chars(buffer_ + size_, buffer_ + size_ + 20, value).ptr;
    size_ = static_cast<std::size_t>(end - buffer_);
  }
  template <class Number>
  void number(const std::optional<Number>& value) {
    if (value) {
      number(static_cast<std::uint64_t>(*value));
    } else {
      put("null");
    }
  }
  void boolean(bool value) {
    if (value) {
      put("true");
    } else {
      put("false");
    }
  }
  /// A fingerprint or an address: it has no character that needs escaping.
  void plain(std::string_view value) {
    put('"');
    text(value);
    put('"');
  }
  template <std::size_t N>
  void plain(const std::optional<fixed_text<N>>& value) {
    if (value) {
      plain(value->view());
    } else {
      put("null");
    }
  }
  /// With its quotes, see append_json_string().
  void string(std::string_view value) {
    put('"');
    escaped(value);
    put('"');
  }
  void escaped(std::string_view value) {
    while (!value.empty()) {
      std::size_t run = 0;
      while (run < value.size() && usual[static_cast<unsigned char>(value[run])]) ++run;
      text(value.substr(0, run));
      value.remove_prefix(run);
      if (!value.empty()) value.remove_prefix(unusual(value));
    }
  }
  void hexadecimal(std::span<const std::uint8_t> bytes) {
    constexpr const char* digits = "0123456789abcdef";
    while (!bytes.empty()) {
      const auto some = bytes.first(bytes.size() < capacity / 2 ? bytes.size() : capacity / 2);
      reserve(2 * some.size());
      char* to = buffer_ + size_;
      for (const unsigned byte : some) {
        *to++ = digits[byte >> 4];
        *to++ = digits[byte & 15];
      }
      size_ += 2 * some.size();
      bytes = bytes.subspan(some.size());
    }
  }

 private:
  static constexpr std::size_t capacity = 512;

  void reserve(std::size_t n) {
    if (n > capacity - size_) flush();
  }
  /// Written as they are, one by one: ASCII without quotes, backslashes and control characters.
  static constexpr auto usual = [] {
    std::array<bool, 256> table{};
    for (std::size_t c = 0x20; c < 0x7f; ++c) table[c] = c != '"' && c != '\\';
    return table;
  }();
  /// The character that `value` begins with; returns its length.
  std::size_t unusual(std::string_view value) {
    const auto byte = static_cast<unsigned char>(value[0]);
    const std::size_t length = utf8_length(value);
    const bool c1 = length == 2 && byte == 0xc2 && static_cast<unsigned char>(value[1]) < 0xa0;
    if (length == 0) {
      put("\\ufffd");
    } else if (byte < 0x20 || byte == 0x7f || c1) {
      put("\\u00");
      const std::uint8_t code[] = {c1 ? static_cast<std::uint8_t>(value[1]) : byte};
      hexadecimal(code);
    } else {
      if (byte == '"' || byte == '\\') put('\\');
      text(value.substr(0, length));
    }
    return length == 0 ? 1 : length;
  }

  Text& out_;
  std::size_t size_ = 0;
  char buffer_[capacity];
};

template <class Text>
void write_json_ip(json_writer<Text>& out, const ip_view& ip) {
  out.put(R"({"version":)");
  out.number(ip.version());
  out.put(R"(,"header_length":)");
  out.number(ip.header_length());
  out.put(R"(,"tos":)");
  out.number(ip.tos());
  if (ip.is_v4()) {
    out.put(R"(,"id":)");
    out.number(ip.id());
    out.put(R"(,"dont_fragment":)");
    out.boolean(ip.dont_fragment());
    out.put(R"(,"ttl":)");
    out.number(ip.ttl());
    out.put(R"(,"flow_label":null})");
  } else {
    out.put(R"(,"id":null,"dont_fragment":null,"ttl":)");
    out.number(ip.ttl());
    out.put(R"(,"flow_label":)");
    out.number(ip.flow_label());
    out.put('}');
  }
}

template <class Text>
void write_json_options(json_writer<Text>& out, tcp_option_walk walk) {
  bool first = true;
  const auto separate = [&] {
    if (!std::exchange(first, false)) out.put(',');
  };
  while (const auto option = walk.next()) {
    separate();
    switch (option->kind) {
      case 1: out.put(R"("nop")"); break;
      case 2: out.put(R"("mss")"); break;
      case 3: out.put(R"("ws")"); break;
      case 4: out.put(R"("sok")"); break;
      case 5: out.put(R"("sack")"); break;
      case 8: out.put(R"("ts")"); break;
      default:
        out.put(R"("?)");
        out.number(option->kind);
        out.put('"');
        break;
    }
  }
  if (walk.end_of_list()) {
    separate();
    out.put(R"("eol")");
  }
}

template <class Text>
void write_json_tcp(json_writer<Text>& out, const syn_record& syn) {
  const tcp_view tcp = syn.tcp();
  out.put(R"({"sequence":)");
  out.number(tcp.sequence());
  out.put(R"(,"acknowledgment":)");
  out.number(tcp.acknowledgment());
  out.put(R"(,"flags":[)");
  bool first = true;
  constexpr std::string_view names[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"};
  unsigned flags = tcp.flags();
  for (const std::string_view name : names) {
    if ((flags & 1U) != 0) {
      if (!std::exchange(first, false)) out.put(',');
      out.plain(name);
    }
    flags >>= 1;
  }
  const auto known = tcp.known();
  out.put(R"(],"window":)");
  out.number(tcp.window());
  out.put(R"(,"urgent_pointer":)");
  out.number(tcp.urgent_pointer());
  out.put(R"(,"mss":)");
  out.number(known.mss);
  out.put(R"(,"window_scale":)");
  out.number(known.window_scale);
  out.put(R"(,"sack_permitted":)");
  out.boolean(known.sack_permitted);
  if (known.timestamp) {
    out.put(R"(,"timestamp":{"value":)");
    out.number(known.timestamp->value);
    out.put(R"(,"echo":)");
    out.number(known.timestamp->echo);
    out.put(R"(},"options":[)");
  } else {
    out.put(R"(,"timestamp":null,"options":[)");
  }
  write_json_options(out, tcp.options());
  out.put(R"(],"payload":)");
  out.boolean(syn.has_payload());
  out.put('}');
}

}  // namespace detail

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

/// The object "capture": how a lookup found its SYN, or why it did not.
template <class Text>
void append_json(Text& out, const syn_lookup& found) {
  detail::json_writer writer(out);
  if (!found) {
    writer.put(R"({"source":null,"proof":null,"age_us":null,"retransmits":null,"miss":)");
    writer.plain(to_string(found.miss));
    writer.put('}');
  } else {
    writer.put(R"({"source":)");
    writer.plain(to_string(found.source));
    writer.put(R"(,"proof":)");
    writer.plain(to_string(found.proof));
    writer.put(R"(,"age_us":)");
    writer.number(found.age_ns ? std::optional(*found.age_ns / 1000) : std::nullopt);
    writer.put(R"(,"retransmits":)");
    writer.number(found->arrived().retransmits);
    writer.put(R"(,"miss":null})");
  }
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
/// parts of `label`, which is null where nothing matched, as all that depends on it. A template over the one
/// type that it takes: who prints no labels does not include the databases.
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
    writer.put(R"(,"flow_aware":)");
    writer.boolean(id.flow_aware);
  } else {
    writer.put(
        R"({"label":null,"class":null,"name":null,"flavor":null,"database":null,"line":null,"match":null,)"
        R"("flow_aware":null)");
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
