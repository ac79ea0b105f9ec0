// SPDX-License-Identifier: MIT
// tools/cli/pcapng.hpp and window.hpp: packets out of blocks, whatever pieces they come in.
#include "../../tools/cli/pcapng.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace {

using bytes = std::vector<std::uint8_t>;
using cli::damage;

/// Writes blocks in one byte order.
struct writer {
  bool big = false;
  bytes out;

  void half(bytes& to, std::uint32_t v) const {
    const auto high = static_cast<std::uint8_t>(v >> 8), low = static_cast<std::uint8_t>(v);
    to.push_back(big ? high : low);
    to.push_back(big ? low : high);
  }
  void word(bytes& to, std::uint32_t v) const {
    half(to, big ? v >> 16 : v & 0xffff);
    half(to, big ? v & 0xffff : v >> 16);
  }
  writer& block(std::uint32_t type, bytes body) {
    body.resize((body.size() + 3) / 4 * 4);
    const auto length = static_cast<std::uint32_t>(body.size() + 12);
    word(out, type);
    word(out, length);
    out.insert(out.end(), body.begin(), body.end());
    word(out, length);
    return *this;
  }
  writer& section(std::uint32_t version = 1) {
    bytes b;
    word(b, 0x1a2b3c4d);
    half(b, version);
    half(b, 0);
    b.insert(b.end(), 8, 0xff);
    return block(0x0a0d0d0a, b);
  }
  bytes option(std::uint32_t code, const bytes& value) const {
    bytes b;
    half(b, code);
    half(b, static_cast<std::uint32_t>(value.size()));
    b.insert(b.end(), value.begin(), value.end());
    b.resize((b.size() + 3) / 4 * 4);
    return b;
  }
  writer& interface(std::uint32_t link, std::uint32_t snaplen = 0, const bytes& options = {}) {
    bytes b;
    half(b, link);
    half(b, 0);
    word(b, snaplen);
    b.insert(b.end(), options.begin(), options.end());
    return block(1, b);
  }
  writer& enhanced(std::uint32_t number, std::uint64_t time, const bytes& data, std::uint32_t wire) {
    bytes b;
    for (const std::uint64_t v : {std::uint64_t{number}, time >> 32, time & 0xffffffff,
                                  std::uint64_t{data.size()}, std::uint64_t{wire}})
      word(b, static_cast<std::uint32_t>(v));
    b.insert(b.end(), data.begin(), data.end());
    return block(6, b);
  }
  writer& simple(const bytes& data, std::uint32_t wire) {
    bytes b;
    word(b, wire);
    b.insert(b.end(), data.begin(), data.end());
    return block(3, b);
  }
};

/// A window on these bytes, which come `piece` at a time.
cli::window window_on(const bytes& all, std::size_t piece = 1 << 20) {
  return cli::window([&all, piece, at = std::size_t{0}](std::span<std::uint8_t> to) mutable {
    const std::size_t n = std::min({piece, to.size(), all.size() - at});
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(at), n, to.begin());
    at += n;
    return n;
  });
}

struct read_packet {
  int link;
  bytes data;
  std::uint32_t wire;
  std::optional<std::pair<std::int64_t, std::uint32_t>> time;
  bool operator==(const read_packet&) const = default;
};

/// Everything up to the end, or to the damage, whose text goes to `why`.
std::vector<read_packet> packets_of(const bytes& all, std::string* why = nullptr,
                                    std::size_t piece = 1 << 20) {
  std::vector<read_packet> packets;
  cli::window in = window_on(all, piece);
  try {
    cli::pcapng_reader reader(in);
    while (const auto p = reader.next()) {
      packets.push_back({p->link, bytes(p->bytes.begin(), p->bytes.end()), p->wire_length, std::nullopt});
      if (p->time) packets.back().time = {p->time->seconds, p->time->nanoseconds};
    }
  } catch (const damage& e) {
    EXPECT_NE(why, nullptr) << e.what();
    if (why != nullptr) *why = e.what();
  }
  return packets;
}

std::string damage_of(const bytes& all) {
  std::string why;
  (void)packets_of(all, &why);
  return why;
}

const bytes data{1, 2, 3, 4, 5, 6, 7};

TEST(cli_pcapng, interfaces_and_sections_differ) {
  for (const bool big : {false, true}) {
    writer w{big, {}};
    w.section().interface(1, 262144).interface(113, 96).interface(101);
    w.enhanced(0, 5'000'000, data, 7).enhanced(1, 6'000'001, data, 1500).enhanced(2, 7, {}, 0);
    w.block(5, bytes(20)).block(4, bytes(8)).block(0xbad, bytes(40));  // statistics, names, custom
    w.big = !big;
    w.section(1).interface(9).enhanced(0, 1, data, 7);
    const std::vector<read_packet> expected{{1, data, 7, {{5, 0}}},
                                            {113, data, 1500, {{6, 1000}}},
                                            {DLT_RAW, {}, 0, {{0, 7000}}},
                                            {9, data, 7, {{0, 1000}}}};
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 20})
      EXPECT_EQ(packets_of(w.out, nullptr, piece), expected);
  }
}

TEST(cli_pcapng, packets_without_a_time_and_of_the_old_kind) {
  for (const bool big : {false, true}) {
    writer w{big, {}};
    w.section().interface(1, 5).simple({1, 2, 3, 4, 5, 0, 0, 0}, 900).simple({1, 2, 3}, 3);
    bytes old;
    w.half(old, 0);
    w.half(old, 77);  // drops
    for (const std::uint32_t v : {0U, 1'000'000U, 7U, 8U}) w.word(old, v);
    old.insert(old.end(), data.begin(), data.end());
    w.block(2, old);
    EXPECT_EQ(packets_of(w.out),
              (std::vector<read_packet>{
                  {1, {1, 2, 3, 4, 5}, 900, {}}, {1, {1, 2, 3}, 3, {}}, {1, data, 8, {{1, 0}}}}));
    writer unlimited{big, {}};
    unlimited.section().interface(1).simple(data, 7);
    EXPECT_EQ(packets_of(unlimited.out), (std::vector<read_packet>{{1, data, 7, {}}}));
  }
}

TEST(cli_pcapng, times) {
  using time = std::optional<std::pair<std::int64_t, std::uint32_t>>;
  const auto time_of = [](const bytes& resolution, std::int64_t offset, std::uint64_t ticks) -> time {
    time big_and_little;
    for (const bool big : {false, true}) {
      writer w{big, {}};
      bytes options, value;
      if (!resolution.empty()) options = w.option(9, resolution);
      const auto bits = static_cast<std::uint64_t>(offset);
      w.word(value, static_cast<std::uint32_t>(big ? bits >> 32 : bits));
      w.word(value, static_cast<std::uint32_t>(big ? bits : bits >> 32));
      const bytes more = w.option(14, value);
      options.insert(options.end(), more.begin(), more.end());
      w.section().interface(1, 0, options).enhanced(0, ticks, data, 7);
      const time one = packets_of(w.out).at(0).time;
      if (big) {
        EXPECT_EQ(one, big_and_little);
      }
      big_and_little = one;
    }
    return big_and_little;
  };
  EXPECT_EQ(time_of({}, 0, 1'700'000'000'123'456), time({1'700'000'000, 123'456'000}));
  EXPECT_EQ(time_of({9}, 0, 1'700'000'000'123'456'789), time({1'700'000'000, 123'456'789}));
  EXPECT_EQ(time_of({0}, 0, 12), time({12, 0}));
  EXPECT_EQ(time_of({3}, 0, 1234), time({1, 234'000'000}));
  EXPECT_EQ(time_of({12}, 0, 1'999'999'999'999), time({1, 999'999'999}));
  EXPECT_EQ(time_of({19}, 0, UINT64_MAX), time({1, 844'674'407}));
  EXPECT_EQ(time_of({20}, 0, UINT64_MAX), time({0, 184'467'440}));
  EXPECT_EQ(time_of({127}, 0, UINT64_MAX), time({0, 0}));
  EXPECT_EQ(time_of({0x80}, 0, 12), time({12, 0}));
  EXPECT_EQ(time_of({0x80 | 10}, 0, 1024 * 5 + 512), time({5, 500'000'000}));
  EXPECT_EQ(time_of({0x80 | 34}, 0, (std::uint64_t{3} << 34) - 1), time({2, 999'999'999}));
  EXPECT_EQ(time_of({0x80 | 63}, 0, UINT64_MAX), time({1, 999'999'999}));
  EXPECT_EQ(time_of({0x80 | 64}, 0, UINT64_MAX), time({0, 999'999'999}));
  EXPECT_EQ(time_of({0x80 | 65}, 0, UINT64_MAX), time({0, 499'999'999}));
  EXPECT_EQ(time_of({0xff}, 0, UINT64_MAX), time({0, 0}));
  EXPECT_EQ(time_of({6}, 1'700'000'000, 1'500'000), time({1'700'000'001, 500'000'000}));
  EXPECT_EQ(time_of({6}, -1, 1'500'000), time({0, 500'000'000}));
  EXPECT_EQ(time_of({6}, -2, 1'500'000), time());  // before 1970
  EXPECT_EQ(time_of({0}, 1, INT64_MAX), time());
  EXPECT_EQ(time_of({0}, 0, UINT64_MAX), time());
  EXPECT_EQ(time_of({9, 9}, 0, 1'000'000), time({1, 0}));  // an option of the wrong length says nothing
}

TEST(cli_pcapng, longer_than_the_window) {
  constexpr std::size_t capacity = cli::window::usual_capacity;
  bytes large(3 * capacity, 0xaa);
  large[0] = 1;
  writer w;
  w.section().interface(1).enhanced(0, 0, large, 4 << 20).block(0xbad, large).enhanced(0, 0, data, 7);
  for (const std::size_t piece : {std::size_t{1000}, std::size_t{1} << 20}) {
    const auto packets = packets_of(w.out, nullptr, piece);
    ASSERT_EQ(packets.size(), 2U);
    EXPECT_EQ(packets[0].data, bytes(large.begin(), large.begin() + capacity - 28));
    EXPECT_EQ(packets[0].wire, 4U << 20);
    EXPECT_EQ(packets[1].data, data);
  }
  // About as long as the window, to the byte
  for (std::size_t n = capacity - 40; n < capacity + 8; ++n) {
    writer near;
    near.section()
        .interface(1)
        .enhanced(0, 0, bytes(n, 7), static_cast<std::uint32_t>(n))
        .enhanced(0, 0, data, 7);
    const auto packets = packets_of(near.out);
    ASSERT_EQ(packets.size(), 2U) << n;
    EXPECT_EQ(packets[0].data.size(), std::min(n, (n + 3) / 4 * 4 + 32 <= capacity ? n : capacity - 28)) << n;
  }
}

TEST(cli_pcapng, damage_has_a_reason) {
  const auto begun = [] {
    writer w;
    w.section().interface(1);
    return w;
  };
  EXPECT_EQ(damage_of({}), "");
  EXPECT_EQ(damage_of(bytes(12, 0)), "no section");
  EXPECT_EQ(damage_of(begun().section(2).out), "version 2 of pcapng");
  bytes no_order = begun().out;
  no_order[8] = 0;
  EXPECT_EQ(damage_of(no_order), "a section without a byte order");
  EXPECT_EQ(damage_of(begun().enhanced(1, 0, data, 7).out), "a packet of interface 1 of 1");
  EXPECT_EQ(damage_of(begun().section().interface(1).interface(1).enhanced(2, 0, data, 7).out),
            "a packet of interface 2 of 2");
  EXPECT_EQ(damage_of(writer().section().enhanced(0, 0, data, 7).out), "a packet before the first interface");
  EXPECT_EQ(damage_of(begun().block(6, bytes(16)).out), "a block of type 6 with 28 bytes");
  EXPECT_EQ(damage_of(begun().block(3, {}).out), "a block of type 3 with 12 bytes");
  EXPECT_EQ(damage_of(begun().block(1, bytes(4)).out), "a block of type 1 with 16 bytes");

  const bytes good = begun().enhanced(0, 0, data, 7).out;
  const std::size_t last = good.size() - 40;
  const auto with = [&good](std::size_t at, std::uint32_t value) {
    bytes changed = good;
    for (std::size_t i = 0; i < 4; ++i) changed[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
    return changed;
  };
  EXPECT_EQ(damage_of(with(last + 4, 8)), "a block of 8 bytes");
  EXPECT_EQ(damage_of(with(last + 4, 41)), "a block of 41 bytes");
  EXPECT_EQ(damage_of(with(last + 4, 0xfffffffc)), "the file ends within a block");
  EXPECT_EQ(damage_of(with(last + 4, 36)), "a block of 36 bytes that ends with 460293");
  EXPECT_EQ(damage_of(with(last + 36, 44)), "a block of 40 bytes that ends with 44");
  EXPECT_EQ(damage_of(with(last + 20, 8)), "");  // the padding is there
  EXPECT_EQ(damage_of(with(last + 20, 9)), "a packet of 9 bytes in a block of 40");
  EXPECT_EQ(damage_of(with(last + 20, 0xffffffff)), "a packet of 4294967295 bytes in a block of 40");
  writer option;
  option.section().interface(1, 0, {9, 0, 200, 0, 6, 0, 0, 0});
  EXPECT_EQ(damage_of(option.out), "an option of an interface that is longer than its block");

  writer many;
  many.section();
  for (std::size_t i = 0; i <= cli::pcapng_reader::max_interfaces; ++i) many.interface(1);
  EXPECT_EQ(damage_of(many.out), "more than 65536 interfaces in a section");
}

TEST(cli_pcapng, cut_at_every_byte) {
  writer w;
  w.section().interface(1).enhanced(0, 0, data, 7).block(5, bytes(20)).interface(9).simple(data, 7);
  std::vector<std::size_t> ends{0};
  for (std::size_t at = 0; at < w.out.size();) {
    at += w.out[at + 4] + w.out[at + 5] * 256U;
    ends.push_back(at);
  }
  for (std::size_t n = 0; n <= w.out.size(); ++n) {
    std::string why;
    const auto packets =
        packets_of(bytes(w.out.begin(), w.out.begin() + static_cast<std::ptrdiff_t>(n)), &why);
    const bool between = std::find(ends.begin(), ends.end(), n) != ends.end();
    EXPECT_EQ(why, between ? "" : "the file ends within a block") << n;
    EXPECT_EQ(packets.size(), n == w.out.size() ? 2U : n >= ends[3] ? 1U : 0U) << n;
  }
}

TEST(cli_window, skips_and_peeks_across_pieces) {
  bytes all(3'000'000);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  for (const std::size_t piece : {std::size_t{999}, std::size_t{65536}, std::size_t{1} << 20}) {
    cli::window in = window_on(all, piece);
    std::size_t at = 0;
    for (std::size_t step = 1; at < all.size(); step = step * 5 % 700'001 + 1) {
      const auto seen = in.peek(step);
      const std::size_t expected = std::min({step, cli::window::usual_capacity, all.size() - at});
      ASSERT_EQ(seen.size(), expected) << at;
      ASSERT_TRUE(std::equal(seen.begin(), seen.end(), all.begin() + static_cast<std::ptrdiff_t>(at))) << at;
      ASSERT_EQ(in.skip(step), at + step <= all.size());
      at += step;
    }
    EXPECT_TRUE(in.peek(1).empty());
    EXPECT_TRUE(in.peek_some().empty());
    EXPECT_FALSE(in.skip(1));
    EXPECT_TRUE(in.skip(0));
  }
}

}  // namespace
