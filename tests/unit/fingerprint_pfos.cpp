// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <synfp/fingerprint/pfos.hpp>

#include "../support/syns.hpp"

namespace {

using synfp::fingerprint::pfos;
using synfp::test::bytes;
using synfp::test::packet_builder;

static_assert(pfos(synfp::test::linux_record) == "S44:64:1:60:M1460,S,T,N,W10");

std::string of(const packet_builder& p) {
  const auto text = pfos(synfp::test::record_of(p));
  return text ? std::string(text->view()) : "none";
}
std::string of(const bytes& options, std::uint16_t window = 1000) {
  packet_builder p;
  p.options = options;
  p.window = window;
  return of(p);
}

TEST(pfos, sample_signatures) {
  EXPECT_EQ(of(synfp::test::windows_packet()), "S44:128:1:52:M1460,N,W8,N,N,S");
  EXPECT_EQ(of(synfp::test::macos_packet()), "65535:64:1:64:M1460,N,W6,N,N,T,S,E,E");
  packet_builder p;
  p.options.clear();
  p.fragment = 0;
  p.window = 512;
  EXPECT_EQ(of(p), "512:64:0:40:.");
}

TEST(pfos, windows) {
  const bytes mss{2, 4, 5, 180};
  EXPECT_EQ(of(mss, 1460), "S1:64:1:44:M1460");
  EXPECT_EQ(of(mss, 4500), "T3:64:1:44:M1460");
  EXPECT_EQ(of(mss, 4501), "4501:64:1:44:M1460");
  EXPECT_EQ(of(mss, 0), "0:64:1:44:M1460");
  EXPECT_EQ(of({2, 4, 0, 0}), "1000:64:1:44:M0");
  EXPECT_EQ(of({2, 4, 0, 1}, 65535), "S65535:64:1:44:M1");
}

TEST(pfos, options) {
  EXPECT_EQ(of({8, 10, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1}), "1000:64:1:52:T0,N,N");
  EXPECT_EQ(of({3, 3, 0, 1}), "1000:64:1:44:W0,N");
  EXPECT_EQ(of({0, 0, 1, 0}), "1000:64:1:44:E,E,N,E");
}

TEST(pfos, size_is_the_whole_packet) {
  packet_builder p;
  p.payload = bytes(30, 7);
  EXPECT_EQ(of(p), "S44:64:1:90:M1460,S,T,N,W10");
  p.ip_options = {1, 1, 1, 1};
  EXPECT_EQ(of(p), "S44:64:1:94:M1460,S,T,N,W10");
}

TEST(pfos, what_it_cannot_say) {
  EXPECT_EQ(of(synfp::test::v6_packet()), "none");
  for (const int flags : {0x12, 0x10, 0x00, 0x04}) {
    packet_builder p;
    p.flags = static_cast<std::uint8_t>(flags);
    EXPECT_EQ(of(p), "none");
  }
  for (const bytes& options : {bytes{34, 2, 1, 1},
                               {5, 2, 1, 1},
                               {8, 4, 1, 1},
                               {1, 1, 1, 2},
                               {1, 1, 3, 3},
                               {1, 1, 1, 4},
                               {4, 3, 9, 1}})
    EXPECT_EQ(of(options), "none");
}

TEST(pfos, sizes_are_those_of_the_kinds) {
  EXPECT_EQ(of({2, 3, 1, 1}), "1000:64:1:44:M257");
  EXPECT_EQ(of({3, 4, 7, 1}), "1000:64:1:44:W7,N");
  EXPECT_EQ(of({4, 0, 1, 1}), "1000:64:1:44:S,N,N");
  EXPECT_EQ(of({4, 9, 1, 1}), "1000:64:1:44:S,N,N");
}

TEST(pfos, ttl) {
  for (const auto& [ttl, text] :
       {std::pair{0, "32"}, {32, "32"}, {33, "64"}, {65, "128"}, {129, "255"}, {255, "255"}}) {
    packet_builder p;
    p.ttl = static_cast<std::uint8_t>(ttl);
    EXPECT_EQ(of(p), std::string("S44:") + text + ":1:60:M1460,S,T,N,W10");
  }
}

TEST(pfos, the_longest_is_not_cut) {
  // The bound adds what one packet cannot have: S65535 needs an MSS of 1, which is shorter than its bytes.
  packet_builder p;
  p.ttl = 255;
  p.window = 65535;
  p.total_length = 65535;
  p.options = bytes(36, 1);
  synfp::test::append(p.options, {2, 4, 0, 1});
  std::string letters;
  for (int i = 0; i < 36; ++i) letters += "N,";
  EXPECT_EQ(of(p), "S65535:255:1:65535:" + letters + "M1");
  p.options = bytes(40, 1);
  EXPECT_EQ(of(p), "65535:255:1:65535:" + letters + "N,N,N,N");
  EXPECT_LE(of(p).size(), pfos(synfp::test::linux_record)->capacity());
}

}  // namespace
