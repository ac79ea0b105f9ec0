// SPDX-License-Identifier: MIT
// SHA-256, FIPS 180-4. For short texts that name things, at compile time too; no secret goes in here. On
// x86-64 with the processor's instructions for it where it has them, several times as fast.
#pragma once

#include <algorithm>  // copy_n
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>  // is_constant_evaluated

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstring>  // memcpy
#endif

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint::detail {

using sha256_words = std::array<std::uint32_t, 8>;

inline constexpr sha256_words sha256_start{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

alignas(16) inline constexpr std::array<std::uint32_t, 64> sha256_k{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/// Blocks of 64 bytes.
constexpr void sha256_compress(sha256_words& hash, const char* block, std::size_t blocks) noexcept {
  const auto rotated = [](std::uint32_t x, int by) { return x >> by | x << (32 - by); };
  for (; blocks != 0; --blocks, block += 64) {
    std::array<std::uint32_t, 64> w{};
    for (std::size_t i = 0; i < 64; ++i) w[i / 4] = w[i / 4] << 8 | static_cast<std::uint8_t>(block[i]);
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ w[i - 15] >> 3;
      const std::uint32_t s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = hash;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
      const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + sha256_k[i] + w[i];
      const std::uint32_t s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
      const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      h = g;
      g = f;
      f = e;
      e = d + t1;
      d = c;
      c = b;
      b = a;
      a = t1 + t2;
    }
    const sha256_words sum{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) hash[i] += sum[i];
  }
}

/// A message that is padded to whole blocks of 64 bytes, and the state that its hash is made of.
struct sha256_message {
  const char* block;
  std::size_t blocks;
  sha256_words hash = sha256_start;
};

#if defined(__x86_64__)

inline bool processor_has_sha() noexcept {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c >> 19 & 1) == 0) return false;  // SSE 4.1
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
  }();
  return has;
}

/// As many blocks of each message as the shortest has, only where processor_has_sha(). Two at once take
/// hardly longer than one: the instructions wait for each other. <immintrin.h> has names for what is done
/// here, and would double the compile time of whoever includes this.
template <std::size_t Messages>
__attribute__((target("sha,sse4.1"))) void sha256_compress_sha(
    std::array<sha256_message*, Messages> messages) noexcept {
  using words = unsigned __attribute__((vector_size(16)));
  using ints = int __attribute__((vector_size(16)));  // what the instructions are declared with
  using octets = char __attribute__((vector_size(16)));
  words abef[Messages], cdgh[Messages];
  std::size_t blocks = messages[0]->blocks;
  for (std::size_t m = 0; m < Messages; ++m) {
    const auto lane = [&](std::size_t i) { return messages[m]->hash[i]; };
    abef[m] = words{lane(5), lane(4), lane(1), lane(0)};
    cdgh[m] = words{lane(7), lane(6), lane(3), lane(2)};
    if (messages[m]->blocks < blocks) blocks = messages[m]->blocks;
  }
  for (std::size_t done = 0; done < blocks; ++done) {
    words abef_before[Messages], cdgh_before[Messages], w[Messages][4];
    for (std::size_t m = 0; m < Messages; ++m) {
      abef_before[m] = abef[m];
      cdgh_before[m] = cdgh[m];
    }
#pragma GCC unroll 16
    for (std::size_t i = 0; i < 16; ++i) {
#pragma GCC unroll 2
      for (std::size_t m = 0; m < Messages; ++m) {
        words& now = w[m][i % 4];
        if (i < 4) {
          octets bytes;
          std::memcpy(&bytes, messages[m]->block + 64 * done + 16 * i, 16);
          bytes = __builtin_shufflevector(bytes, bytes, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
          now = reinterpret_cast<words>(bytes);
        } else {
          const words last = w[m][(i - 1) % 4];
          now = words(__builtin_ia32_sha256msg1(ints(now), ints(w[m][(i - 3) % 4]))) +
                __builtin_shufflevector(w[m][(i - 2) % 4], last, 1, 2, 3, 4);
          now = words(__builtin_ia32_sha256msg2(ints(now), ints(last)));
        }
        words k;
        std::memcpy(&k, &sha256_k[4 * i], 16);
        k += now;
        cdgh[m] = words(__builtin_ia32_sha256rnds2(ints(cdgh[m]), ints(abef[m]), ints(k)));
        k = __builtin_shufflevector(k, k, 2, 3, 2, 3);
        abef[m] = words(__builtin_ia32_sha256rnds2(ints(abef[m]), ints(cdgh[m]), ints(k)));
      }
    }
    for (std::size_t m = 0; m < Messages; ++m) {
      abef[m] += abef_before[m];
      cdgh[m] += cdgh_before[m];
    }
  }
  for (std::size_t m = 0; m < Messages; ++m) {
    messages[m]->hash = {abef[m][3], abef[m][2], cdgh[m][3], cdgh[m][2],
                         abef[m][1], abef[m][0], cdgh[m][1], cdgh[m][0]};
    messages[m]->block += 64 * blocks;
    messages[m]->blocks -= blocks;
  }
}

#endif

/// What follows a text of `size` bytes in its last blocks, FIPS 180-4 5.1.1; returns their number in all.
/// `last`: where the last block that the text has begun begins; there is room for two.
constexpr std::size_t sha256_pad(char* last, std::size_t size) noexcept {
  const std::size_t rest = size % 64, end = rest < 56 ? 64 : 128;
  last[rest] = static_cast<char>(0x80);
  for (std::size_t i = rest + 1; i < end - 8; ++i) last[i] = '\0';
  const std::uint64_t bits = std::uint64_t{size} * 8;
  for (std::size_t i = 0; i < 8; ++i) last[end - 1 - i] = static_cast<char>(bits >> 8 * i & 0xff);
  return size / 64 + end / 64;
}

constexpr void sha256_finish(sha256_message& one) noexcept {
#if defined(__x86_64__)
  if (!std::is_constant_evaluated() && processor_has_sha()) {
    sha256_compress_sha<1>({&one});
    return;
  }
#endif
  sha256_compress(one.hash, one.block, one.blocks);
}
/// Both, at the same time if that is faster.
constexpr void sha256_finish(sha256_message& one, sha256_message& other) noexcept {
#if defined(__x86_64__)
  if (!std::is_constant_evaluated() && processor_has_sha()) {
    sha256_compress_sha<2>({&one, &other});
    if (one.blocks != 0) sha256_compress_sha<1>({&one});
    if (other.blocks != 0) sha256_compress_sha<1>({&other});
    return;
  }
#endif
  sha256_finish(one);
  sha256_finish(other);
}

constexpr std::array<std::uint8_t, 32> sha256(std::string_view text) noexcept {
  const std::size_t whole = text.size() / 64;
  std::array<char, 128> end{};
  std::copy_n(text.data() + 64 * whole, text.size() % 64, end.data());
  sha256_message message{text.data(), whole};
  sha256_finish(message);
  message.block = end.data();
  message.blocks = sha256_pad(end.data(), text.size()) - whole;
  sha256_finish(message);
  std::array<std::uint8_t, 32> digest{};
  for (std::size_t i = 0; i < 32; ++i)
    digest[i] = static_cast<std::uint8_t>(message.hash[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

}  // namespace fingerprint::detail
SYNFP_END_NAMESPACE
