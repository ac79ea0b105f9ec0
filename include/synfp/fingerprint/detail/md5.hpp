// SPDX-License-Identifier: MIT
// MD5, RFC 1321. For JA3, which is defined by it; it protects nothing.
#pragma once

#include <algorithm>  // copy_n, fill
#include <array>
#include <bit>  // rotl
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint::detail {

class md5_state {
 public:
  constexpr void put(std::string_view text) noexcept {
    length_ += text.size();
    while (!text.empty()) {
      const std::size_t n = std::min(text.size(), block_.size() - used_);
      std::copy_n(text.data(), n, block_.data() + used_);
      used_ += n;
      text.remove_prefix(n);
      if (used_ == block_.size()) compress();
    }
  }
  /// Of all that was put; it is used up then.
  constexpr std::array<std::uint8_t, 16> digest() noexcept {
    block_[used_++] = static_cast<char>(0x80);
    if (used_ > 56) {
      std::fill(block_.begin() + static_cast<std::ptrdiff_t>(used_), block_.end(), '\0');
      compress();
    }
    std::fill(block_.begin() + static_cast<std::ptrdiff_t>(used_), block_.end(), '\0');
    for (std::size_t i = 0; i < 8; ++i) block_[56 + i] = static_cast<char>(length_ * 8 >> 8 * i & 0xff);
    compress();
    std::array<std::uint8_t, 16> digest{};
    for (std::size_t i = 0; i < 16; ++i)
      digest[i] = static_cast<std::uint8_t>(state_[i / 4] >> 8 * (i % 4) & 0xff);
    return digest;
  }

 private:
  static constexpr std::array<std::uint32_t, 64> k_{
      0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
      0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
      0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
      0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
      0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
      0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
      0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
      0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
  static constexpr std::array<int, 16> shifts_{7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};

  constexpr void compress() noexcept {
    std::array<std::uint32_t, 16> words{};
    for (std::size_t i = 0; i < 64; ++i)
      words[i / 4] |= std::uint32_t{static_cast<std::uint8_t>(block_[i])} << 8 * (i % 4);
    auto [a, b, c, d] = state_;
    for (std::size_t i = 0; i < 64; ++i) {
      std::uint32_t f = 0;
      std::size_t word = 0;
      switch (i / 16) {
        case 0:
          f = (b & c) | (~b & d);
          word = i;
          break;
        case 1:
          f = (d & b) | (~d & c);
          word = 5 * i + 1;
          break;
        case 2:
          f = b ^ c ^ d;
          word = 3 * i + 5;
          break;
        default:
          f = c ^ (b | ~d);
          word = 7 * i;
          break;
      }
      const std::uint32_t next = b + std::rotl(a + f + k_[i] + words[word % 16], shifts_[i / 16 * 4 + i % 4]);
      a = d;
      d = c;
      c = b;
      b = next;
    }
    const std::array<std::uint32_t, 4> sum{a, b, c, d};
    for (std::size_t i = 0; i < 4; ++i) state_[i] += sum[i];
    used_ = 0;
  }

  std::array<std::uint32_t, 4> state_{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  std::array<char, 64> block_{};
  std::size_t used_ = 0;
  std::uint64_t length_ = 0;
};

}  // namespace fingerprint::detail
SYNFP_END_NAMESPACE
