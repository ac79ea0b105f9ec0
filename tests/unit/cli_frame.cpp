// SPDX-License-Identifier: MIT
// tools/cli/frame.hpp: from a frame of any link type to its SYN.
#include "../../tools/cli/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>

#include "../packet_builder.hpp"

namespace {

using namespace synfp_test;
using cli::refusal;

cli::frame_syn read(int link, const bytes& frame) { return cli::read_frame(link, frame, frame.size()); }

bytes joined(bytes head, const bytes& packet) {
  append(head, packet);
  return head;
}

/// The SYN is found, and it is this packet's.
void expect_read(int link, const bytes& frame, const bytes& packet, std::array<std::uint16_t, 2> vlan = {}) {
  const auto found = read(link, frame);
  ASSERT_TRUE(found.syn) << to_string(found.why);
  EXPECT_EQ(found.why, refusal::none);
  EXPECT_TRUE(std::ranges::equal(found.syn->bytes(), synfp::syn_record::from_bytes(packet)->bytes()));
  EXPECT_EQ(found.syn->arrived().vlan, vlan);
  EXPECT_EQ(found.syn->arrived().ifindex, 0U);
}

const packet_builder v4;
const packet_builder v6 = v6_packet();

TEST(cli_frame, ethernet_with_tags) {
  for (packet_builder p : {v4, v6}) {
    expect_read(DLT_EN10MB, p.frame(), p.ip());
    for (const std::uint16_t outer : std::initializer_list<std::uint16_t>{0x8100, 0x88a8, 0x9100}) {
      p.vlan = {{outer, 0x6fff}};
      expect_read(DLT_EN10MB, p.frame(), p.ip(), {0x8fff, 0});
      p.vlan = {{outer, 5}, {0x8100, 0x1000}};
      expect_read(DLT_EN10MB, p.frame(), p.ip(), {0x8005, 0x8000});
      p.vlan = {{outer, 5}, {0x8100, 6}, {0x8100, 7}};
      EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::vlan);
    }
    p.vlan = {};
    p.ethertype = 0x0806;
    EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::not_a_syn);
    p.ethertype = p.v6() ? 0x0800 : 0x86dd;
    EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::bad_ip);
  }
}

TEST(cli_frame, raw_ip) {
  for (const packet_builder& p : {v4, v6}) {
    expect_read(DLT_RAW, p.ip(), p.ip());
    const int own = p.v6() ? DLT_IPV6 : DLT_IPV4, other = p.v6() ? DLT_IPV4 : DLT_IPV6;
    expect_read(own, p.ip(), p.ip());
    EXPECT_EQ(read(other, p.ip()).why, refusal::bad_ip);
    for (const unsigned version : {0U, 5U, 7U, 15U}) {
      bytes odd = p.ip();
      odd[0] = static_cast<std::uint8_t>(version << 4 | 5);
      EXPECT_EQ(read(DLT_RAW, odd).why, refusal::not_a_syn);
      EXPECT_EQ(read(own, odd).why, refusal::bad_ip);
    }
  }
}

TEST(cli_frame, loopback_of_every_system_in_both_byte_orders) {
  const auto with = [](const bytes& family, const packet_builder& p) { return joined(family, p.ip()); };
  expect_read(DLT_NULL, with({2, 0, 0, 0}, v4), v4.ip());
  expect_read(DLT_NULL, with({0, 0, 0, 2}, v4), v4.ip());
  expect_read(DLT_LOOP, with({0, 0, 0, 2}, v4), v4.ip());
  EXPECT_EQ(read(DLT_LOOP, with({2, 0, 0, 0}, v4)).why, refusal::not_a_syn);
  for (const std::uint8_t family : bytes{10, 23, 24, 28, 30}) {
    expect_read(DLT_NULL, with({family, 0, 0, 0}, v6), v6.ip());
    expect_read(DLT_NULL, with({0, 0, 0, family}, v6), v6.ip());
    expect_read(DLT_LOOP, with({0, 0, 0, family}, v6), v6.ip());
    EXPECT_EQ(read(DLT_NULL, with({family, 0, 0, 0}, v4)).why, refusal::bad_ip);
  }
  for (const std::uint8_t family : bytes{0, 1, 3, 7, 255})
    EXPECT_EQ(read(DLT_NULL, with({family, 0, 0, 0}, v4)).why, refusal::not_a_syn);
  EXPECT_EQ(read(DLT_NULL, with({0, 2, 0, 0}, v4)).why, refusal::not_a_syn);
}

TEST(cli_frame, linux_cooked) {
  for (const packet_builder& p : {v4, v6}) {
    const std::uint8_t high = p.v6() ? 0x86 : 0x08, low = p.v6() ? 0xdd : 0x00;
    const bytes one{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0};
    const bytes two_behind{0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0};
    expect_read(DLT_LINUX_SLL, joined(joined(one, {high, low}), p.ip()), p.ip());
    expect_read(DLT_LINUX_SLL2, joined(joined({high, low}, two_behind), p.ip()), p.ip());
    const bytes tagged{0, 42, high, low}, twice{0, 42, 0x81, 0x00, 0, 43, high, low};
    expect_read(DLT_LINUX_SLL, joined(joined(joined(one, {0x81, 0x00}), tagged), p.ip()), p.ip(),
                {0x802a, 0});
    expect_read(DLT_LINUX_SLL2, joined(joined(joined({0x88, 0xa8}, two_behind), twice), p.ip()), p.ip(),
                {0x802a, 0x802b});
  }
}

TEST(cli_frame, other_link_types_are_not_read) {
  for (const int link : {-1, DLT_IEEE802_11, DLT_PPP, 105, 1000}) {
    EXPECT_FALSE(cli::reads_link(link)) << link;
    EXPECT_FALSE(read(link, v4.frame()).syn) << link;
  }
}

TEST(cli_frame, what_opens_no_connection) {
  packet_builder p;
  for (const unsigned flags : {0U, 1U, 4U, 16U, 18U, 0x13U}) {
    p.flags = static_cast<std::uint8_t>(flags);
    EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::not_a_syn) << flags;
  }
  for (const unsigned flags : {3U, 6U, 7U}) {
    p.flags = static_cast<std::uint8_t>(flags);
    EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::bad_flags) << flags;
  }
  p.flags = syn | ece | cwr | psh | urg;
  EXPECT_TRUE(read(DLT_EN10MB, p.frame()).syn);
  p.protocol = 17;
  EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::not_a_syn);
}

TEST(cli_frame, refused_for_a_reason) {
  packet_builder p;
  for (const std::uint16_t fragment : std::initializer_list<std::uint16_t>{0x2000, 1, 0x6000, 0x1fff}) {
    p.fragment = fragment;
    EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::fragment);
  }
  p = v6;
  p.extensions = {hop_by_hop(), fragment_header()};
  EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::fragment);
  p.extensions = {hop_by_hop(), routing(), destination_options(), authentication(), routing(), routing()};
  expect_read(DLT_EN10MB, p.frame(), p.ip());
  p.extensions.push_back(routing());
  EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::extensions);
  p.extensions = {destination_options(121)};  // TCP at 1016, the last that a record can name is 1020
  expect_read(DLT_EN10MB, p.frame(), p.ip());
  p.extensions = {destination_options(122)};
  EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::extensions);
  p = v6;
  p.force_v6 = true;
  p.source = synfp::endpoint::v4(192, 0, 2, 1, 7);
  EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::mapped);

  p = v4;
  p.ihl = 4;
  EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::bad_ip);
  p = v4;
  p.total_length = 39;
  EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::bad_ip);
  p.total_length = 59;  // options are not all there
  EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::bad_tcp);
  p.total_length = 61;  // more than there is
  EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::bad_ip);
  p = v4;
  p.data_offset = 4;
  EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::bad_tcp);
}

TEST(cli_frame, padding_behind_the_packet_is_no_payload) {
  const auto found = read(DLT_EN10MB, joined(v4.frame(), bytes(30, 0xaa)));
  ASSERT_TRUE(found.syn);
  EXPECT_FALSE(found.syn->has_payload());
}

TEST(cli_frame, what_the_capture_cut) {
  for (packet_builder p : {v4, v6}) {
    p.payload = bytes(500, 'x');
    if (p.v6()) p.extensions = {destination_options(3)};
    const bytes whole = p.frame();
    const std::size_t needed = 14 + p.tcp_offset() + 40;
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const auto found = cli::read_frame(
          DLT_EN10MB, bytes(whole.begin(), whole.begin() + static_cast<long>(n)), whole.size());
      EXPECT_EQ(found.why, n < needed ? refusal::cut_short : refusal::none) << n;
      EXPECT_TRUE(!found.syn || found.syn->has_payload());
    }
    // On the wire it was short already.
    const auto lied = cli::read_frame(
        DLT_EN10MB, bytes(whole.begin(), whole.begin() + static_cast<long>(needed)), whole.size() - 1);
    EXPECT_EQ(lied.why, refusal::bad_ip);
  }
}

TEST(cli_frame, every_prefix_of_every_link_type) {
  for (const int link :
       {DLT_EN10MB, DLT_RAW, DLT_IPV4, DLT_IPV6, DLT_NULL, DLT_LOOP, DLT_LINUX_SLL, DLT_LINUX_SLL2}) {
    for (std::size_t n = 0; n < 100; ++n) {
      const bytes zeros(n, 0);
      EXPECT_FALSE(read(link, zeros).syn);
      EXPECT_FALSE(cli::read_frame(link, zeros, 1500).syn);
    }
  }
}

// All of it is usable at compile time, so it has no undefined behaviour on what is tried there.
constexpr std::array<std::uint8_t, 4> too_little{0x45, 0, 0, 0};
static_assert(cli::read_frame(DLT_RAW, too_little, 60).why == refusal::cut_short);
static_assert(cli::read_frame(DLT_RAW, too_little, 4).why == refusal::bad_ip);

}  // namespace
