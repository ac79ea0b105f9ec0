// SPDX-License-Identifier: MIT
// IP addresses from text and to text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <synfp/fixed_text.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

namespace detail {

/// Reads a decimal number without sign or leading zeros from the front of `text`, at most `max`.
constexpr std::optional<std::uint32_t> parse_number(std::string_view& text, std::uint32_t max) noexcept {
  std::size_t n = 0;
  std::uint64_t value = 0;
  while (n < text.size() && text[n] >= '0' && text[n] <= '9') {
    value = value * 10 + static_cast<std::uint64_t>(text[n] - '0');
    if (value > max) return std::nullopt;
    ++n;
  }
  if (n == 0 || (n > 1 && text[0] == '0')) return std::nullopt;
  text.remove_prefix(n);
  return static_cast<std::uint32_t>(value);
}

constexpr bool parse_char(std::string_view& text, char c) noexcept {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

/// a.b.c.d from the front of `text` into out[0..3].
constexpr bool parse_v4(std::string_view& text, std::uint8_t* out) noexcept {
  for (int i = 0; i < 4; ++i) {
    if (i != 0 && !parse_char(text, '.')) return false;
    auto part = parse_number(text, 255);
    if (!part) return false;
    out[i] = static_cast<std::uint8_t>(*part);
  }
  return true;
}

/// An IPv6 address (RFC 4291 2.2, with :: and a dotted tail) that fills `text` to its end.
constexpr bool parse_v6(std::string_view text, std::array<std::uint8_t, 16>& out) noexcept {
  std::uint16_t groups[8] = {};
  std::size_t count = 0;
  std::size_t gap = 9;  // where :: stands, 9: nowhere
  if (text.size() >= 2 && text[0] == ':' && text[1] == ':') {
    gap = 0;
    text.remove_prefix(2);
  }
  bool want_group = gap == 9;
  while (!text.empty()) {
    if (count == 8) return false;
    const std::size_t colon = text.find(':');
    const std::size_t dot = text.find('.');
    if (dot != std::string_view::npos && colon == std::string_view::npos) {
      if (count > 6) return false;
      std::uint8_t v4[4] = {};
      if (!parse_v4(text, v4) || !text.empty()) return false;
      groups[count++] = static_cast<std::uint16_t>(v4[0] << 8 | v4[1]);
      groups[count++] = static_cast<std::uint16_t>(v4[2] << 8 | v4[3]);
      want_group = false;
      break;
    }
    unsigned value = 0;
    std::size_t n = 0;
    for (; n < text.size() && n < 4; ++n) {
      const char c = text[n];
      unsigned digit = 16;
      if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
      if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a' + 10);
      if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A' + 10);
      if (digit == 16) break;
      value = value << 4 | digit;
    }
    if (n == 0) return false;
    text.remove_prefix(n);
    groups[count++] = static_cast<std::uint16_t>(value);
    want_group = false;
    if (text.empty()) break;
    if (!parse_char(text, ':')) return false;
    want_group = true;
    if (parse_char(text, ':')) {
      if (gap != 9) return false;
      gap = count;
      want_group = false;
    }
  }
  if (want_group) return false;
  if (gap == 9 ? count != 8 : count > 7) return false;
  const std::size_t tail = gap == 9 ? 0 : count - gap;
  const std::size_t head = count - tail;
  for (std::size_t i = 0; i < 8; ++i) {
    std::uint16_t g = 0;
    if (i < head) g = groups[i];
    if (i >= 8 - tail) g = groups[head + i - (8 - tail)];
    out[2 * i] = static_cast<std::uint8_t>(g >> 8);
    out[2 * i + 1] = static_cast<std::uint8_t>(g & 0xff);
  }
  return true;
}

/// 192.0.2.1, from four bytes.
template <std::size_t N>
constexpr void append_v4(fixed_text<N>& out, const std::uint8_t* address) noexcept {
  for (int i = 0; i < 4; ++i) {
    if (i != 0) out.push_back('.');
    out.append_number(address[i]);
  }
}

/// As RFC 5952 wants it, without a dotted tail.
template <std::size_t N>
constexpr void append_v6(fixed_text<N>& out, const std::array<std::uint8_t, 16>& address) noexcept {
  auto group = [&address](std::size_t i) {
    return static_cast<unsigned>(address[2 * i] << 8 | address[2 * i + 1]);
  };
  std::size_t best = 8;
  std::size_t best_length = 1;  // RFC 5952 4.2.2: one zero group is not shortened
  for (std::size_t i = 0; i < 8;) {
    std::size_t n = 0;
    while (i + n < 8 && group(i + n) == 0) ++n;
    if (n > best_length) {
      best = i;
      best_length = n;
    }
    i += n == 0 ? 1 : n;
  }
  for (std::size_t i = 0; i < 8;) {
    if (i == best) {
      out.append("::");
      i += best_length;
      continue;
    }
    if (i != 0 && i != best + best_length) out.push_back(':');
    out.append_number(group(i), 16);
    ++i;
  }
}

}  // namespace detail

SYNFP_END_NAMESPACE
