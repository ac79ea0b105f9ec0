// SPDX-License-Identifier: MIT
// tools/cli/first_bytes.hpp: what a client sent first, from segments that come late, twice, or never.
#include "../../tools/cli/first_bytes.hpp"

#include <gtest/gtest.h>

#include <pcap/dlt.h>
#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "../support/packet_builder.hpp"

namespace {

using synfp::endpoint;
using synfp::tcp_view;

constexpr endpoint client = endpoint::v4(192, 0, 2, 1, 49153), server = endpoint::v4(198, 51, 100, 2, 443);
constexpr std::uint32_t isn = 0xfffffff0;  // the numbers wrap soon

struct text_reader {
  std::string text;
  std::size_t wanted = 64;
  bool take(std::span<const std::uint8_t> bytes) {
    EXPECT_FALSE(bytes.empty());
    text.append(bytes.begin(), bytes.end());
    return text.size() < wanted;
  }
};
using streams = cli::first_bytes<text_reader>;

/// From the client; `place` counts from the byte behind the ISN. The text must outlive it.
cli::segment at(std::int64_t place, std::string_view text, std::uint16_t flags = tcp_view::ack) {
  cli::segment s{client, server};
  s.sequence = isn + 1 + static_cast<std::uint32_t>(place);
  s.flags = flags;
  s.data = {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  return s;
}
cli::segment reset_of_server(std::uint32_t acknowledged) {
  cli::segment s{server, client};
  s.flags = tcp_view::rst | tcp_view::ack;
  s.acknowledgment = acknowledged;
  return s;
}

TEST(FirstBytes, InOrder) {
  streams all;
  bool created = false;
  const auto c = all.open(client, server, isn, &created);
  EXPECT_TRUE(created);
  EXPECT_FALSE(all.take(at(0, "abc")));
  EXPECT_FALSE(all.take(at(3, "def")));
  EXPECT_EQ(c->reader.text, "abcdef");
  EXPECT_FALSE(c->ended());
}

TEST(FirstBytes, InAnyOrder) {
  const std::string text = "The quick brown fox jumps over the lazy dog";
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < text.size(); i += 3) places.push_back(i);
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::shuffle(places.begin(), places.end(), random);
    streams all;
    const auto c = all.open(client, server, isn);
    for (const std::size_t p : places) {
      // Overlaps the next ones, too.
      const std::string some = text.substr(p, 3 + random() % 5);
      all.take(at(static_cast<std::int64_t>(p), some));
    }
    ASSERT_EQ(c->reader.text, text);
  }
}

TEST(FirstBytes, WhatCameFirstCounts) {
  streams all;
  const auto c = all.open(client, server, isn);
  all.take(at(2, "cd"));
  all.take(at(6, "gh"));
  all.take(at(1, "XXXXXXXX"));  // only what is missing is taken of it
  EXPECT_EQ(c->reader.text, "");
  all.take(at(0, "ab"));
  EXPECT_EQ(c->reader.text, "aXcdXXghX");
  all.take(at(0, "abcdefgh"));
  all.take(at(-1, "Z"));       // a keep-alive
  all.take(at(-5, "ZZZZZZ"));  // old bytes, and one that is old as well
  EXPECT_EQ(c->reader.text, "aXcdXXghX");
  all.take(at(-5, "ZZZZZaXcdXXghXnew"));
  EXPECT_EQ(c->reader.text, "aXcdXXghXnew");
}

TEST(FirstBytes, ACopyOfTheSynIsTheSameConnection) {
  streams all;
  const auto c = all.open(client, server, isn);
  all.take(at(0, "abc"));
  bool created = true;
  EXPECT_EQ(all.open(client, server, isn, &created), c);
  EXPECT_FALSE(created);
  EXPECT_EQ(c->reader.text, "abc");
}

TEST(FirstBytes, SynsOfOneTupleAreToldApartByTheirIsn) {
  streams all;
  const auto real = all.open(client, server, isn);
  const auto forged = all.open(client, server, isn + 0x40000000);
  EXPECT_NE(real, forged);
  all.take(at(0, "abc"));
  EXPECT_EQ(real->reader.text, "abc");
  EXPECT_EQ(forged->reader.text, "");
  // Four are known; the oldest one goes.
  for (std::uint32_t i = 0; i < 3; ++i) all.open(client, server, 77 + (i << 20));
  EXPECT_TRUE(real->ended());
  EXPECT_FALSE(forged->ended());
}

TEST(FirstBytes, DataInTheSynAreTheFirst) {
  streams all;
  const auto c = all.open(client, server, isn);
  all.take(at(-1, "fast", tcp_view::syn));
  all.take(at(4, " open"));
  EXPECT_EQ(c->reader.text, "fast open");
}

TEST(FirstBytes, EndsWhenTheReaderHasEnough) {
  streams all;
  const auto c = all.open(client, server, isn);
  c->reader.wanted = 4;
  all.take(at(4, "efgh"));
  EXPECT_TRUE(all.take(at(0, "abcd")));
  EXPECT_TRUE(c->ended());
  EXPECT_FALSE(all.take(at(4, "efgh")));
  EXPECT_EQ(c->reader.text, "abcd");
  EXPECT_TRUE(all.knows(at(8, "x")));
}

TEST(FirstBytes, EndsWithTheConnection) {
  const std::string_view text = "abc";
  {
    streams all;
    const auto c = all.open(client, server, isn);
    EXPECT_FALSE(all.take(at(3, "", tcp_view::fin | tcp_view::ack)));  // something is missing before it
    EXPECT_TRUE(all.take(at(0, text)));
    EXPECT_TRUE(c->ended());
    EXPECT_EQ(c->reader.text, text);
  }
  {
    streams all;
    const auto c = all.open(client, server, isn);
    all.take(at(0, text));
    EXPECT_FALSE(all.take(at(2, "", tcp_view::rst)));  // somebody's guess
    EXPECT_FALSE(all.take(at(4, "", tcp_view::rst)));
    EXPECT_TRUE(all.take(at(3, "", tcp_view::rst)));
    EXPECT_TRUE(c->ended());
  }
  {
    streams all;
    const auto c = all.open(client, server, isn);
    EXPECT_FALSE(all.take(reset_of_server(isn)));
    EXPECT_FALSE(all.take(reset_of_server(isn + 2)));
    EXPECT_TRUE(all.take(reset_of_server(isn + 1)));
    EXPECT_TRUE(c->ended());
  }
}

TEST(FirstBytes, WhatTheCaptureCutIsNotWaitedFor) {
  streams all;
  const auto c = all.open(client, server, isn);
  cli::segment s = at(0, "abc");
  s.cut = true;
  EXPECT_TRUE(all.take(s));
  EXPECT_TRUE(c->ended());
  EXPECT_EQ(c->reader.text, "abc");
}

TEST(FirstBytes, OtherBytesAreNobodys) {
  streams all;
  const auto c = all.open(client, server, isn);
  cli::segment other = at(0, "abc");
  other.from = endpoint::v4(192, 0, 2, 1, 49154);
  EXPECT_FALSE(all.knows(other));
  all.take(other);
  cli::segment answer{server, client};
  answer.sequence = isn + 1;
  answer.data = other.data;
  EXPECT_TRUE(all.knows(answer));
  all.take(answer);
  all.take(at(1 << 20, "far"));
  all.take(at(0x7fffffff, "far"));
  all.take(at(-0x7fffff00, "far"));
  EXPECT_EQ(c->reader.text, "");
}

TEST(FirstBytes, ConnectionsAreBounded) {
  streams all({.connections = 3});
  std::vector<streams::pointer> opened;
  for (std::uint16_t port = 1; port <= 5; ++port)
    opened.push_back(all.open(endpoint::v4(192, 0, 2, 1, port), server, isn));
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(opened[i]->ended(), i < 2);
  cli::segment s = at(0, "abc");
  s.from = endpoint::v4(192, 0, 2, 1, 1);
  EXPECT_FALSE(all.knows(s));
  s.from = endpoint::v4(192, 0, 2, 1, 3);
  all.take(s);
  EXPECT_EQ(opened[2]->reader.text, "abc");
}

TEST(FirstBytes, BytesAreBounded) {
  const std::string block(1000, 'x');
  {
    streams all({.stream = 5000});
    const auto c = all.open(client, server, isn);
    c->reader.wanted = 1 << 20;
    for (int i = 0; i < 10; ++i) all.take(at(i * 1000, block));
    EXPECT_TRUE(c->ended());
    EXPECT_EQ(c->reader.text.size(), 5000U);
  }
  {  // pieces that wait: the first four stay
    streams all({.pieces = 4});
    const auto c = all.open(client, server, isn);
    for (int i = 1; i < 10; ++i) all.take(at(i * 2, "x"));
    for (int i = 0; i < 5; ++i) all.take(at(i * 2 + (i > 0 ? 1 : 0), i > 0 ? "y" : "xy"));
    EXPECT_EQ(c->reader.text, "xyxyxyxyxy");
    EXPECT_FALSE(c->ended());
  }
  {  // all that wait, over all connections; ending one makes room
    streams all({.ahead = 2500});
    const auto c = all.open(client, server, isn), d = all.open(server, client, isn);
    all.take(at(1000, block));
    all.take(at(2000, block));
    all.take(at(3000, block));  // too much
    cli::segment other = at(1000, block);
    std::swap(other.from, other.to);
    all.take(other);  // so is this
    c->reader.wanted = d->reader.wanted = 1 << 20;
    all.take(at(0, block));
    EXPECT_EQ(c->reader.text.size(), 3000U);
    all.take(other);
    other.sequence -= 1000;
    all.take(other);
    EXPECT_EQ(d->reader.text.size(), 2000U);
  }
}

TEST(FirstBytes, SegmentsOfFrames) {
  synfp::test::packet_builder p;
  p.flags = synfp::test::ack | synfp::test::psh;
  p.sequence = 0x12345678;
  p.acknowledgment = 99;
  p.payload = {1, 2, 3, 4, 5};
  const auto read = [](const synfp::test::bytes& frame, std::size_t cut = 0) {
    return cli::read_segment(DLT_EN10MB, std::span(frame).first(frame.size() - cut), frame.size());
  };
  for (const bool v6 : {false, true}) {
    if (v6) {
      p.source = *endpoint::parse("[2001:db8::1]:1234");
      p.destination = *endpoint::parse("[2001:db8::2]:443");
    }
    const auto frame = p.frame();
    const auto s = read(frame);
    ASSERT_TRUE(s);
    EXPECT_EQ(s->from, p.source);
    EXPECT_EQ(s->to, p.destination);
    EXPECT_EQ(s->sequence, p.sequence);
    EXPECT_EQ(s->acknowledgment, 99U);
    EXPECT_EQ(s->flags, p.flags);
    EXPECT_TRUE(std::ranges::equal(s->data, p.payload));
    EXPECT_FALSE(s->cut);
    // What is behind the packet is not the client's.
    auto padded = frame;
    padded.insert(padded.end(), 20, 0xaa);
    EXPECT_TRUE(std::ranges::equal(read(padded)->data, p.payload));
    EXPECT_TRUE(read(frame, 2)->cut);
    EXPECT_EQ(read(frame, 2)->data.size(), 3U);
    EXPECT_TRUE(read(frame, 5)->cut);
    EXPECT_FALSE(read(frame, 6));  // in the header
  }
  p = {};
  p.payload = {1};
  p.total_length = 40 + 20 + 2;  // longer than the frame
  EXPECT_FALSE(read(p.frame()));
  p.total_length = 20 + 39;  // ends inside of the header
  EXPECT_FALSE(read(p.frame()));
  p.total_length.reset();
  p.fragment = 0x2000;
  EXPECT_FALSE(read(p.frame()));
  EXPECT_FALSE(read({1, 2, 3}));
}

}  // namespace
