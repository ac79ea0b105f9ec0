// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <synfp/fingerprint/satori.hpp>

#include "../support/syns.hpp"

namespace {

using synfp::fingerprint::satori;
using synfp::test::bytes;
using synfp::test::packet_builder;

static_assert(satori(synfp::test::linux_record) == "64240:64:1:60:M1460,S,T,N,W10:.");

std::string of(const packet_builder& p) {
  const auto text = satori(synfp::test::record_of(p));
  return text ? std::string(text->view()) : "none";
}
std::string of(const bytes& options) {
  packet_builder p;
  p.options = options;
  return of(p);
}
std::string odd(const packet_builder& p) {
  const std::string s = of(p);
  return s.substr(s.rfind(':') + 1);
}

TEST(satori, sample_signatures) {
  EXPECT_EQ(of(synfp::test::windows_packet()), "64240:128:1:52:M1460,N,W8,N,N,S:T");
  EXPECT_EQ(of(synfp::test::macos_packet()), "65535:64:1:64:M1460,N,W6,N,N,T,S,E,E:PZ");
}

TEST(satori, every_letter) {
  EXPECT_EQ(of({0, 1, 4, 2}), "64240:64:1:44:E,N,S:T");
  EXPECT_EQ(of({5, 2, 6, 2, 7, 2, 9, 2, 10, 2, 11, 2, 255, 2, 1, 1}), "64240:64:1:56:K,J,F,P,R,U,U,N,N:T");
}

TEST(satori, numbers_are_signed) {
  EXPECT_EQ(of({2, 4, 0xff, 0xd7}), "64240:64:1:44:M-41:T");
  EXPECT_EQ(of({2, 4, 0x80, 0x00}), "64240:64:1:44:M-32768:T");
  EXPECT_EQ(of({2, 4, 0x7f, 0xff}), "64240:64:1:44:M32767:T");
  EXPECT_EQ(of({3, 3, 127, 1}), "64240:64:1:44:W127,N:T");
  EXPECT_EQ(of({3, 3, 128, 1}), "64240:64:1:44:W-128,N:T");
  EXPECT_EQ(of({3, 3, 255, 1}), "64240:64:1:44:W-1,N:T");
}

TEST(satori, the_ttl_is_rounded_up) {
  for (const auto& [ttl, text] : {std::pair{0, "0"},
                                  {1, "16"},
                                  {16, "16"},
                                  {17, "32"},
                                  {32, "32"},
                                  {33, "60"},
                                  {60, "60"},
                                  {61, "64"},
                                  {64, "64"},
                                  {65, "128"},
                                  {128, "128"},
                                  {129, "255"},
                                  {255, "255"}}) {
    packet_builder p;
    p.ttl = static_cast<std::uint8_t>(ttl);
    EXPECT_EQ(of(p), std::string("64240:") + text + ":1:60:M1460,S,T,N,W10:.");
  }
}

TEST(satori, each_oddity_alone) {
  packet_builder p;
  EXPECT_EQ(odd(p), ".");
  p.options[15] = 1;  // echoes a timestamp
  EXPECT_EQ(odd(p), "T");
  p = packet_builder{};
  p.id = 0;
  EXPECT_EQ(odd(p), "Z");
  p = packet_builder{};
  p.ip_options = {1, 1, 1, 1};
  EXPECT_EQ(of(p), "64240:64:1:64:M1460,S,T,N,W10:I");
  p = packet_builder{};
  p.payload = {0};
  EXPECT_EQ(odd(p), "D");
  p = packet_builder{};
  p.acknowledgment = 0x100;
  EXPECT_EQ(odd(p), "A");
  p = packet_builder{};
  p.options[16] = 0;  // an EOL that is not the last
  EXPECT_EQ(odd(p), ".");
  p = packet_builder{};
  synfp::test::append(p.options, {0, 0, 0, 0});
  EXPECT_EQ(odd(p), "P");
}

TEST(satori, what_it_cannot_say) {
  EXPECT_EQ(of(bytes{}), "none");
  EXPECT_EQ(of(synfp::test::v6_packet()), "none");
  for (const int flags : {0x12, 0x42, 0x82, 0xc2, 0x0a, 0x22, 0x03, 0x06, 0x00}) {
    packet_builder p;
    p.flags = static_cast<std::uint8_t>(flags);
    EXPECT_EQ(of(p), "none");
  }
  EXPECT_EQ(of({2, 3, 5, 1}), "none");
  EXPECT_EQ(of({3, 2, 1, 1}), "none");
  EXPECT_EQ(of({8, 2, 1, 1}), "none");
  EXPECT_EQ(of({34, 0, 1, 1}), "none");
  EXPECT_EQ(of({34, 1, 1, 1}), "none");
  EXPECT_EQ(of({1, 1, 1, 34}), "none");
}

TEST(satori, what_goes_beyond_the_header_counts_as_far_as_it_goes) {
  EXPECT_EQ(of({34, 5, 1, 1}), "64240:64:1:44:U:T");
  EXPECT_EQ(of({1, 1, 4, 255}), "64240:64:1:44:N,N,S:T");
  EXPECT_EQ(of({2, 40, 5, 180}), "64240:64:1:44:M1460:T");
  EXPECT_EQ(of({1, 2, 40, 5}), "none");  // one byte of an MSS
  EXPECT_EQ(of({1, 3, 4, 9}), "64240:64:1:44:N,W9:T");
  EXPECT_EQ(of({8, 12, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1}), "64240:64:1:52:T:.");
}

TEST(satori, truncated_records_lose_nothing) {
  packet_builder p;
  p.ip_options = bytes(40, 1);
  p.options = bytes(40, 1);
  const bytes packet = p.ip();
  const auto r = synfp::syn_record::from_parts(bytes(packet.begin(), packet.begin() + 20),
                                               bytes(packet.begin() + 60, packet.end()), 60);
  ASSERT_TRUE(r && r->truncated());
  EXPECT_EQ(satori(*r)->view(), of(p));
  EXPECT_NE(of(p).find(":120:"), std::string::npos);
}

TEST(satori, the_longest_is_not_cut) {
  packet_builder p = synfp::test::longest_packet();
  p.ttl = 255;
  p.id = 0;
  p.window = 65535;
  p.acknowledgment = 1;
  p.payload = {0};
  p.options = bytes(40, 1);
  p.options.back() = 0;
  std::string letters;
  for (int i = 0; i < 39; ++i) letters += "N,";
  EXPECT_EQ(of(p), "65535:255:1:120:" + letters + "E:PZIDAT");
  EXPECT_EQ(of(p).size(), satori(synfp::test::record_of(p))->capacity());
  p.options.clear();
  for (int i = 0; i < 10; ++i) synfp::test::append(p.options, {2, 4, 0x80, 0});
  EXPECT_EQ(of(p).size(), 101U);
}

}  // namespace
