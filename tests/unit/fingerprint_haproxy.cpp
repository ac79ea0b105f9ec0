// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <synfp/fingerprint/haproxy.hpp>

#include "../support/syns.hpp"
#include "../support/vectors.hpp"

namespace {

using synfp::fingerprint::haproxy;
using synfp::test::bytes;
using synfp::test::packet_builder;

static_assert(haproxy(synfp::test::linux_record) == "0050abfaf005b447");
static_assert(haproxy(synfp::test::linux_record, 7) == "0050abfaf005b4474002040801030a4d0001");

std::string of(const packet_builder& p, unsigned mode = 0) {
  return std::string(haproxy(synfp::test::record_of(p), mode).view());
}
/// Byte `index` of a packet with these options.
int byte_with(const bytes& options, std::size_t index) {
  return synfp::fingerprint::haproxy_bytes(synfp::test::with_options(options)).bytes()[index];
}
int second_byte(const packet_builder& p) {
  return synfp::fingerprint::haproxy_bytes(synfp::test::record_of(p)).bytes()[1];
}

TEST(haproxy, all_vectors) {
  std::size_t compared = 0;
  for (const auto& v : synfp::test::vectors()) {
    const auto r = synfp::test::record_of(v.packet);
    EXPECT_EQ(haproxy(r), v.haproxy) << v.scenario;
    EXPECT_EQ(haproxy(r, 7), v.haproxy7) << v.scenario;
    ++compared;
  }
  EXPECT_EQ(compared, 84U);
}

TEST(haproxy, each_mode) {
  const packet_builder p;
  const std::string base = "0050abfaf005b447", ttl = "40", kinds = "0204080103", source = "c0000201";
  for (unsigned mode = 0; mode < 8; ++mode) {
    EXPECT_EQ(of(p, mode), base + ((mode & 1) != 0 ? ttl : "") + ((mode & 2) != 0 ? kinds : "") +
                               ((mode & 4) != 0 ? source : ""));
  }
  EXPECT_EQ(of(p, 8), base);
  EXPECT_EQ(of(synfp::test::v6_packet(), 4), "00d0abfaf005b44720010db8000000000000000000000001");
}

TEST(haproxy, the_second_byte) {
  packet_builder p;
  EXPECT_EQ(second_byte(p), 0x50);
  p.fragment = 0;
  for (const auto& [ttl, expected] : {std::pair{0, 0x00},
                                      {32, 0x00},
                                      {33, 0x10},
                                      {64, 0x10},
                                      {65, 0x20},
                                      {128, 0x20},
                                      {129, 0x30},
                                      {255, 0x30}}) {
    p.ttl = static_cast<std::uint8_t>(ttl);
    EXPECT_EQ(second_byte(p), expected) << ttl;
  }
  p.ttl = 1;
  p.ip_options = {1, 1, 1, 1};
  EXPECT_EQ(second_byte(p), 0x08);
  p.ip_options.clear();
  p.payload = {1};
  EXPECT_EQ(second_byte(p), 0x04);
  p.payload.clear();
  p.flags = synfp::test::syn | synfp::test::cwr;
  EXPECT_EQ(second_byte(p), 0x02);
  p.flags = synfp::test::syn | synfp::test::ece;
  EXPECT_EQ(second_byte(p), 0x01);
  packet_builder v6 = synfp::test::v6_packet();
  v6.ttl = 1;
  EXPECT_EQ(second_byte(v6), 0xc0);
  v6.extensions = {synfp::test::hop_by_hop()};
  EXPECT_EQ(second_byte(v6), 0xc8);
  EXPECT_EQ(second_byte(synfp::test::truncated_v6()), 0xd8);
}

TEST(haproxy, window_scale_mss_and_kinds) {
  EXPECT_EQ(byte_with({1, 1, 1, 1}, 2), 0x60);
  EXPECT_EQ(byte_with({3, 3, 0, 1}, 2), 0x61);
  EXPECT_EQ(byte_with({3, 3, 13, 1}, 2), 0x6e);
  EXPECT_EQ(byte_with({3, 3, 14, 1}, 2), 0x6f);
  EXPECT_EQ(byte_with({3, 3, 15, 1}, 2), 0x6f);
  EXPECT_EQ(byte_with({3, 3, 255, 1}, 2), 0x6f);
  EXPECT_EQ(byte_with({2, 4, 0x12, 0x34}, 5), 0x12);
  EXPECT_EQ(byte_with({2, 4, 0x12, 0x34}, 6), 0x34);
  EXPECT_EQ(byte_with({1, 1, 1, 1}, 7), 0);
  for (int kind = 2; kind < 256; ++kind)
    EXPECT_EQ(byte_with({static_cast<std::uint8_t>(kind), 2, 1, 1}, 7), kind <= 8 ? 1 << (kind - 2) : 0x80);
}

TEST(haproxy, stops_at_eol_and_at_what_is_malformed) {
  packet_builder p;
  p.options = {4, 2, 0, 0};
  EXPECT_EQ(of(p, 2), "005060faf000000404");
  p.options = {4, 2, 0, 2, 2, 4, 5, 180};
  EXPECT_EQ(of(p, 2), "005070faf000000404");
  p.options = {4, 2, 34, 0};
  EXPECT_EQ(of(p, 2), "005060faf000000404");
  p.options = {4, 2, 34, 1};
  EXPECT_EQ(of(p, 2), "005060faf000000404");
  p.options = {2, 255, 5, 180};
  EXPECT_EQ(of(p, 2), "005060faf0000000");
  p.options = {1, 1, 1, 2};
  EXPECT_EQ(of(p, 2),
            "005060faf0000000"
            "010101");
  p.options = {1, 1, 8, 10};
  EXPECT_EQ(of(p, 2),
            "005060faf0000000"
            "0101");
}

TEST(haproxy, values_are_what_is_behind_the_length_byte) {
  EXPECT_EQ(haproxy(synfp::test::with_options({2, 6, 5, 180, 0, 0, 4, 2})), "005070faf005b405");
  EXPECT_EQ(haproxy(synfp::test::with_options({2, 4, 5, 180, 3, 4, 7, 0})), "005078faf005b403");
  EXPECT_EQ(haproxy(synfp::test::with_options({2, 2, 4, 2})), "005060faf0040205");  // of the next option
  EXPECT_EQ(haproxy(synfp::test::with_options({3, 2, 1, 1})), "005062faf0000002");
  EXPECT_EQ(haproxy(synfp::test::with_options({1, 1, 2, 2})), "005060faf0000001");  // behind the end: none
  EXPECT_EQ(haproxy(synfp::test::with_options({1, 1, 3, 2})), "005060faf0000002");
  EXPECT_EQ(haproxy(synfp::test::with_options({2, 4, 0, 7, 2, 4, 0, 9})), "005070faf0000901");  // the last
}

TEST(haproxy, truncated_records_lose_nothing) {
  packet_builder p;
  p.options = bytes(40, 1);
  p.ip_options = bytes(40, 1);
  const bytes packet = p.ip();
  const auto r = synfp::syn_record::from_parts(bytes(packet.begin(), packet.begin() + 20),
                                               bytes(packet.begin() + 60, packet.end()), 60);
  ASSERT_TRUE(r && r->truncated());
  EXPECT_EQ(haproxy(*r, 7), of(p, 7));
}

TEST(haproxy, the_longest_is_not_cut) {
  packet_builder p = synfp::test::v6_packet();
  p.options = bytes(40, 1);
  const auto r = synfp::test::record_of(p);
  EXPECT_EQ(synfp::fingerprint::haproxy_bytes(r, 7).size(),
            synfp::fingerprint::haproxy_bytes_type::capacity());
  EXPECT_EQ(haproxy(r, 7).size(), haproxy(r).capacity());
}

}  // namespace
