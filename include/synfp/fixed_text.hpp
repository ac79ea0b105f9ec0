// SPDX-License-Identifier: MIT
// Text that holds its characters itself, without an allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// Text of fixed capacity; converts to string_view. Returned where a std::string would allocate. What does
/// not fit is dropped: each function that returns one has room for its longest answer.
template <std::size_t Capacity>
class fixed_text {
 public:
  constexpr void push_back(char c) noexcept {
    if (size_ < Capacity) data_[size_++] = c;
  }
  constexpr void append(std::string_view text) noexcept {
    const std::size_t n = text.size() < Capacity - size_ ? text.size() : Capacity - size_;
    for (std::size_t i = 0; i < n; ++i) data_[size_ + i] = text[i];
    size_ += n;
  }
  /// Appends `value` in `base` 10 or 16 (lower case).
  constexpr void append_number(std::uint64_t value, unsigned base = 10) noexcept {
    char digits[20] = {};
    std::size_t n = 0;
    do {
      digits[n++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (n != 0) push_back(digits[--n]);
  }
  constexpr std::string_view view() const noexcept { return {data_.data(), size_}; }
  constexpr operator std::string_view() const noexcept { return view(); }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr void clear() noexcept { size_ = 0; }
  static constexpr std::size_t capacity() noexcept { return Capacity; }
  friend constexpr bool operator==(const fixed_text& a, std::string_view b) noexcept { return a.view() == b; }

 private:
  std::array<char, Capacity> data_{};
  std::size_t size_ = 0;
};

SYNFP_END_NAMESPACE
