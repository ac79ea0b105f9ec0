// SPDX-License-Identifier: MIT
// Records copy their bytes in one way at compile time and in another at run time, and everything else may be
// compiled differently: fingerprints of generated packets, at compile time against run time.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <synfp/fingerprint/haproxy.hpp>
#include <synfp/fingerprint/ja4t.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/fingerprint/ndpi.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/fingerprint/pfos.hpp>
#include <synfp/fingerprint/satori.hpp>
#include <utility>
#include <vector>

namespace {

using namespace synfp;

struct generated {
  std::array<std::uint8_t, 160> bytes{};
  std::size_t size = 0;
};

/// Every length of IPv4 (11) and of TCP (11), then IPv6 without and with an extension header (22); the
/// options are either well-formed or anything.
constexpr std::size_t packets = 143;

constexpr generated generate(std::size_t index) {
  generated g;
  std::uint32_t state = static_cast<std::uint32_t>(index) * 2654435761U + 1;
  auto next = [&state] {
    state = state * 1664525U + 1013904223U;
    return static_cast<std::uint8_t>(state >> 24);
  };
  auto put = [&g](unsigned byte) { g.bytes[g.size++] = static_cast<std::uint8_t>(byte); };
  const bool v4 = index < 121;
  const std::size_t tcp_words = 5 + index % 11;
  const std::size_t ip = v4 ? 20 + index / 11 * 4 : 40 + (index - 121) / 11 * 8;
  const std::size_t total = ip + tcp_words * 4 + (next() % 4 == 0 ? 3 : 0);
  for (std::size_t i = 0; i < ip; ++i) put(next());
  if (v4) {
    g.bytes[0] = static_cast<std::uint8_t>(0x40 | ip / 4);
    g.bytes[2] = static_cast<std::uint8_t>(total >> 8);
    g.bytes[3] = static_cast<std::uint8_t>(total);
    g.bytes[6] &= 0xc0;
    g.bytes[7] = 0;
    g.bytes[9] = 6;
  } else {
    g.bytes[0] = static_cast<std::uint8_t>(0x60 | (g.bytes[0] & 15));
    g.bytes[4] = 0;
    g.bytes[5] = static_cast<std::uint8_t>(total - 40);
    g.bytes[6] = ip == 40 ? 6 : 60;
    if (ip != 40) {
      g.bytes[40] = 6;
      g.bytes[41] = 0;
    }
  }
  for (std::size_t i = 0; i < 20; ++i) put(next());
  g.bytes[ip + 12] = static_cast<std::uint8_t>(tcp_words << 4 | (next() & 1));
  g.bytes[ip + 13] = index % 16 == 7 ? next() : index % 3 == 0 ? 0xc2 : 2;
  const std::size_t end = ip + tcp_words * 4;
  while (g.size < end) {
    const std::size_t room = end - g.size;
    const unsigned kind = next() % 16;
    if (index % 4 == 3) {
      put(next());
    } else if (kind == 2 && room >= 4) {
      for (const unsigned b : {2U, 4U, 5U, unsigned{next()}}) put(b);
    } else if (kind == 3 && room >= 3) {
      for (const unsigned b : {3U, 3U, next() % 16U}) put(b);
    } else if (kind == 4 && room >= 2) {
      put(4), put(2);
    } else if (kind == 8 && room >= 10) {
      put(8), put(10);
      for (int i = 0; i < 8; ++i) put(next() % 3 == 0 ? 0 : next());
    } else {
      put(kind == 0 ? 0 : 1);
    }
  }
  while (g.size < total) put(next());
  return g;
}

/// All that the library says about a packet. `again`: the record is assigned over another one.
struct said {
  bool record = false;
  std::array<std::uint8_t, syn_record::max_bytes> bytes{};
  std::size_t size = 0;
  bool again = false;
  std::optional<fixed_text<234>> p0f, strict;
  std::optional<std::uint32_t> mtu;
  fixed_text<192> muonfp;
  fixed_text<130> haproxy;
  std::optional<fixed_text<102>> satori;
  std::optional<fixed_text<27>> ndpi;
  std::optional<fixed_text<98>> pfos;
  fixed_text<95> ja4t;
};

constexpr said say(std::span<const std::uint8_t> packet) {
  said all;
  const auto record = syn_record::from_bytes(packet);
  if (!record) return all;
  all.record = true;
  for (const std::uint8_t b : record->bytes()) all.bytes[all.size++] = b;
  all.p0f = fingerprint::p0f(*record);
  all.strict = fingerprint::p0f<fingerprint::p0f_reading::strict>(*record);
  all.mtu = fingerprint::mtu(*record);
  all.muonfp = fingerprint::muonfp(*record);
  all.haproxy = fingerprint::haproxy(*record, 7);
  all.satori = fingerprint::satori(*record);
  all.ndpi = fingerprint::ndpi(*record);
  all.pfos = fingerprint::pfos(*record);
  all.ja4t = fingerprint::ja4t(*record);
  // In place, over a longer record.
  constexpr generated longest = generate(120);
  auto other = *syn_record::from_bytes(std::span(longest.bytes).first(longest.size));
  const auto bytes = record->bytes();
  const std::size_t tcp = record->tcp().header_length();
  all.again = other.assign_parts(bytes.first(bytes.size() - tcp), bytes.last(tcp), record->tcp_offset()) &&
              fingerprint::p0f(other).has_value() == all.p0f.has_value() &&
              fingerprint::muonfp(other).view() == all.muonfp.view() &&
              fingerprint::haproxy(other, 7).view() == all.haproxy.view();
  return all;
}

template <std::size_t Index>
constexpr said said_by_compiler() {
  constexpr generated g = generate(Index);
  return say(std::span(g.bytes).first(g.size));
}
template <std::size_t Index>
inline constexpr said by_compiler = said_by_compiler<Index>();

template <std::size_t... Index>
constexpr std::array<const said*, sizeof...(Index)> table(std::index_sequence<Index...>) {
  return {&by_compiler<Index>...};
}
constexpr auto at_compile_time = table(std::make_index_sequence<packets>());

template <class Text>
std::string text(const std::optional<Text>& t) {
  return t ? std::string(t->view()) : "none";
}

TEST(fingerprints, compile_time_and_run_time_agree) {
  std::size_t signatures = 0;
  for (std::size_t i = 0; i < packets; ++i) {
    const generated g = generate(i);
    // The packet's bytes alone, on the heap, so that a sanitizer sees where they end.
    const std::vector<std::uint8_t> packet(g.bytes.begin(),
                                           g.bytes.begin() + static_cast<std::ptrdiff_t>(g.size));
    const said now = say(packet);
    const said& then = *at_compile_time[i];
    ASSERT_TRUE(now.record && then.record) << i;
    EXPECT_TRUE(now.again && then.again) << i;
    EXPECT_EQ(std::vector(now.bytes.begin(), now.bytes.end()),
              std::vector(then.bytes.begin(), then.bytes.end()))
        << i;
    EXPECT_EQ(now.size, then.size);
    EXPECT_TRUE(std::equal(now.bytes.begin(), now.bytes.begin() + 20, packet.begin())) << i;
    EXPECT_EQ(text(now.p0f), text(then.p0f)) << i;
    EXPECT_EQ(text(now.strict), text(then.strict)) << i;
    EXPECT_EQ(now.mtu, then.mtu) << i;
    EXPECT_EQ(now.muonfp.view(), then.muonfp.view()) << i;
    EXPECT_EQ(now.haproxy.view(), then.haproxy.view()) << i;
    EXPECT_EQ(text(now.satori), text(then.satori)) << i;
    EXPECT_EQ(text(now.ndpi), text(then.ndpi)) << i;
    EXPECT_EQ(text(now.pfos), text(then.pfos)) << i;
    EXPECT_EQ(now.ja4t.view(), then.ja4t.view()) << i;
    signatures += now.p0f.has_value();
  }
  EXPECT_GT(signatures, packets / 2);
}

}  // namespace
