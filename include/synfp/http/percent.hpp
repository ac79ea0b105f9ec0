// SPDX-License-Identifier: MIT
// Percent escapes (RFC 3986 2.1): text stays as it was received until somebody asks for what it means.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>  // errc, which from_chars() gives
#include <type_traits>
#include <utility>

#include <synfp/http/detail/grammar.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

namespace detail {

/// Integers, but neither bool nor the types of characters. std::uint8_t is one.
template <class T>
concept number =
    std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
    !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

/// All of `text` is a decimal number that T can hold; no '+' and no white space.
template <number T>
bool read_number(std::string_view text, T& value) noexcept {
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  return read.ptr == end && read.ec == std::errc();
}

constexpr unsigned hex_value(char c) noexcept {
  return static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/// Takes one byte of decoded text from the front of `text`, which is not empty. -1, and nothing is taken: a
/// '%' without two hexadecimal digits.
constexpr int take_decoded(std::string_view& text, bool plus_is_space) noexcept {
  const char c = text[0];
  if (c != '%') {
    text.remove_prefix(1);
    return c == '+' && plus_is_space ? ' ' : static_cast<unsigned char>(c);
  }
  if (text.size() < 3 || !is(text[1], hex_char) || !is(text[2], hex_char)) return -1;
  const unsigned value = hex_value(text[1]) * 16 + hex_value(text[2]);
  text.remove_prefix(3);
  return static_cast<int>(value);
}

/// Appends the decoded `text`, whose escapes are valid.
inline void append_decoded(io::pool_string& out, std::string_view text, bool plus_is_space) {
  while (!text.empty()) {
    const int byte = take_decoded(text, plus_is_space);
    if (byte < 0) return;
    out.push_back(static_cast<char>(byte));
  }
}

}  // namespace detail

/// Decoded text. If there was nothing to decode it is a view of what was received, and valid as long as that;
/// else it owns memory of the thread's pool.
class decoded_text {
 public:
  std::string_view view() const noexcept { return own_.empty() ? received_ : std::string_view(own_); }
  operator std::string_view() const noexcept { return view(); }  // NOLINT: implicit, it is text

 private:
  friend class encoded_text;
  explicit decoded_text(std::string_view received) noexcept : received_(received) {}
  explicit decoded_text(io::pool_string own) noexcept : own_(std::move(own)) {}

  std::string_view received_;
  io::pool_string own_;
};

/// What '+' means: itself in a path, a space in a query and in a form.
enum class plus_sign : std::uint8_t { itself, space };

/// A view of text with percent escapes, as received: it owns nothing. Decoded it may contain any byte: also
/// NUL, '/', and what is not UTF-8.
class encoded_text {
 public:
  constexpr encoded_text() noexcept = default;
  constexpr explicit encoded_text(std::string_view raw, plus_sign plus = plus_sign::itself) noexcept
      : raw_(raw), plus_(plus) {}

  constexpr std::string_view raw() const noexcept { return raw_; }
  constexpr bool empty() const noexcept { return raw_.empty(); }

  /// Each '%' is followed by two hexadecimal digits.
  constexpr bool valid() const noexcept {
    for (std::string_view rest = raw_; !rest.empty();) {
      if (detail::take_decoded(rest, false) < 0) return false;
    }
    return true;
  }

  /// Empty if it is not valid(). Memory is taken only if there is something to decode.
  std::optional<decoded_text> decode() const {
    if (raw_.find_first_of(plus_ == plus_sign::space ? "%+" : "%") == raw_.npos) return decoded_text(raw_);
    if (!valid()) return std::nullopt;
    io::pool_string own;
    own.reserve(raw_.size());
    detail::append_decoded(own, raw_, plus_ == plus_sign::space);
    return decoded_text(std::move(own));
  }

  /// All of it is a decimal number that T can hold, written without escapes.
  template <detail::number T>
  std::optional<T> number() const noexcept {
    T value{};
    if (!detail::read_number(raw_, value)) return std::nullopt;
    return value;
  }

  /// Whether it means `text`; never if it is not valid(). Takes no memory.
  friend constexpr bool operator==(encoded_text encoded, std::string_view text) noexcept {
    std::string_view rest = encoded.raw_;
    while (!rest.empty()) {
      const int byte = detail::take_decoded(rest, encoded.plus_ == plus_sign::space);
      if (byte < 0 || text.empty() || static_cast<unsigned char>(text[0]) != byte) return false;
      text.remove_prefix(1);
    }
    return text.empty();
  }

 private:
  std::string_view raw_;
  plus_sign plus_ = plus_sign::itself;
};

}  // namespace http
SYNFP_END_NAMESPACE
