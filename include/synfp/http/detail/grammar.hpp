// SPDX-License-Identifier: MIT
// The character classes and small grammars of HTTP/1.1 that both the parser and the response writer need.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>  // memcpy
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

enum char_class : std::uint8_t {
  token_char = 1,   // RFC 9110 5.6.2 tchar
  target_char = 2,  // visible ASCII but '#', which never is part of a request target
  value_char = 4,   // RFC 9110 5.5: HTAB, SP, visible ASCII, obs-text
  host_char = 8,    // RFC 3986 reg-name without '%' and without ','
  digit_char = 16,
  hex_char = 32,
};

constexpr std::array<std::uint8_t, 256> make_classes() noexcept {
  std::array<std::uint8_t, 256> table{};
  const auto add = [&table](std::string_view chars, unsigned bits) {
    for (const char c : chars) {
      auto& entry = table[static_cast<unsigned char>(c)];
      entry = static_cast<std::uint8_t>(entry | bits);
    }
  };
  for (std::size_t c = 0x20; c < 256; ++c) {
    if (c != 0x7f) table[c] = value_char;
  }
  for (std::size_t c = 0x21; c < 0x7f; ++c) table[c] = value_char | target_char;
  table['#'] = value_char;
  table['\t'] = value_char;
  add("0123456789", digit_char | hex_char);
  add("abcdefABCDEF", hex_char);
  constexpr std::string_view alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  add(alphanumeric, token_char | host_char);
  add("!#$%&'*+-.^_`|~", token_char);
  // A comma is a legal sub-delim, but in a Host field it is what a proxy leaves that joined two of them.
  add("-._~!$&'()*+;=", host_char);
  return table;
}

inline constexpr std::array<std::uint8_t, 256> classes = make_classes();

constexpr bool is(char c, unsigned bits) noexcept {
  return (classes[static_cast<unsigned char>(c)] & bits) != 0;
}

constexpr bool all(std::string_view text, unsigned bits) noexcept {
  for (const char c : text) {
    if (!is(c, bits)) return false;
  }
  return true;
}

constexpr bool is_token(std::string_view text) noexcept { return !text.empty() && all(text, token_char); }

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

/// ASCII case-insensitive.
constexpr bool equal(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

/// Without the optional white space (SP, HTAB) at both ends.
constexpr std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Takes one element, trimmed, from the front of a comma-separated list; `list` keeps the rest. A list ends
/// when `more` turns false.
constexpr std::string_view next_element(std::string_view& list, bool& more) noexcept {
  const std::size_t comma = list.find(',');
  more = comma != std::string_view::npos;
  const std::string_view element = trim(list.substr(0, comma));
  list.remove_prefix(more ? comma + 1 : list.size());
  return element;
}

/// Dotted decimal, four numbers of 0 to 255 without leading zeros (RFC 3986 IPv4address).
constexpr bool valid_v4(std::string_view text) noexcept {
  for (int part = 0; part < 4; ++part) {
    if (part != 0) {
      if (text.empty() || text[0] != '.') return false;
      text.remove_prefix(1);
    }
    std::size_t n = 0;
    unsigned value = 0;
    while (n < text.size() && n < 3 && is(text[n], digit_char)) {
      value = value * 10 + static_cast<unsigned>(text[n++] - '0');
    }
    if (n == 0 || value > 255 || (n > 1 && text[0] == '0')) return false;
    text.remove_prefix(n);
  }
  return text.empty();
}

/// RFC 3986 IPv6address, without brackets and without a zone (a zone means something to its own host only).
constexpr bool valid_v6(std::string_view text) noexcept {
  std::size_t i = 0;
  int groups = 0;
  bool gap = false;
  if (text.starts_with("::")) {
    gap = true;
    i = 2;
  }
  while (i < text.size()) {
    std::size_t n = 0;
    while (i + n < text.size() && n < 5 && is(text[i + n], hex_char)) ++n;
    if (n == 0 || n > 4) return false;
    if (i + n < text.size() && text[i + n] == '.') {
      if (!valid_v4(text.substr(i))) return false;
      groups += 2;
      break;
    }
    ++groups;
    i += n;
    if (i == text.size()) break;
    if (text[i++] != ':' || i == text.size()) return false;
    if (text[i] == ':') {
      if (gap) return false;
      gap = true;
      ++i;
    }
  }
  return gap ? groups <= 7 : groups == 8;
}

/// host [":" port] (RFC 9110 7.2): an IPv6 literal in brackets, or a non-empty name or IPv4 address; a port
/// of at most 65535, which may have leading zeros, as in a URI, and be empty unless `want_port`. No user
/// information, no IPvFuture, no zone.
constexpr bool valid_authority(std::string_view text, bool want_port = false) noexcept {
  std::size_t end = 0;
  if (!text.empty() && text[0] == '[') {
    end = text.find(']');
    if (end == std::string_view::npos || !valid_v6(text.substr(1, end - 1))) return false;
    ++end;
  } else {
    while (end < text.size() && text[end] != ':') {
      if (text[end] == '%') {
        if (text.size() - end < 3 || !all(text.substr(end + 1, 2), hex_char)) return false;
      } else if (!is(text[end], host_char)) {
        return false;
      }
      ++end;
    }
    if (end == 0) return false;
  }
  text.remove_prefix(end);
  if (text.empty()) return !want_port;
  if (text[0] != ':') return false;
  text.remove_prefix(1);
  if (want_port && text.empty()) return false;
  std::uint32_t port = 0;
  for (const char c : text) {
    if (!is(c, digit_char)) return false;
    port = port * 10 + static_cast<std::uint32_t>(c - '0');
    if (port > 65535) return false;
  }
  return true;
}

/// *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) of RFC 9112 7.1.1. No sender may write
/// that white space, but every recipient must read over it (RFC 9110 5.6.3).
constexpr bool valid_chunk_extensions(std::string_view text) noexcept {
  std::size_t i = 0;
  const auto skip_token = [&] {
    const std::size_t from = i;
    while (i < text.size() && is(text[i], token_char)) ++i;
    return i != from;
  };
  const auto skip_space = [&] {
    while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
    return i != text.size();
  };
  while (i < text.size()) {
    if (!skip_space() || text[i++] != ';' || !skip_space() || !skip_token()) return false;
    if (const std::size_t end = i; !skip_space() || text[i] != '=') {
      i = end;  // what follows must be another extension
      continue;
    }
    ++i;
    skip_space();
    if (i == text.size() || text[i] != '"') {
      if (!skip_token()) return false;
      continue;
    }
    for (++i; i < text.size() && text[i] != '"'; ++i) {
      if (text[i] == '\\' && ++i == text.size()) return false;
      if (!is(text[i], value_char)) return false;
    }
    if (i == text.size()) return false;
    ++i;
  }
  return true;
}

/// The first byte that no field value has, or null. It looks at eight bytes at a time, because values are the
/// largest part of a request.
inline const char* find_control(std::string_view value) noexcept {
  constexpr std::uint64_t each = 0x0101010101010101;
  const char* p = value.data();
  std::size_t n = value.size();
  for (; n >= 8; p += 8, n -= 8) {
    std::uint64_t v;
    std::memcpy(&v, p, 8);
    const std::uint64_t del = v ^ (each * 0x7f);
    const std::uint64_t suspect = ((v - each * 0x20) & ~v) | ((del - each) & ~del);
    if ((suspect & (each * 0x80)) == 0) continue;
    for (std::size_t i = 0; i < 8; ++i) {  // a tab, or really a bad one
      if (!is(p[i], value_char)) return p + i;
    }
  }
  for (; n != 0; ++p, --n) {
    if (!is(*p, value_char)) return p;
  }
  return nullptr;
}

}  // namespace http::detail
SYNFP_END_NAMESPACE
