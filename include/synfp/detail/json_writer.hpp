// SPDX-License-Identifier: MIT
// JSON text in large pieces.
#pragma once

#include <array>
#include <charconv>  // to_chars
#include <cstddef>
#include <cstdint>
#include <cstring>  // memcpy
#include <optional>
#include <span>
#include <string_view>

#include <synfp/fixed_text.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
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

}  // namespace detail
SYNFP_END_NAMESPACE
