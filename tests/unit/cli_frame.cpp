// SPDX-License-Identifier: MIT
// tools/cli/frame.hpp and link.hpp: from a frame of any link type and encapsulation to its SYN.
#include "../../tools/cli/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>

#include "../support/packet_builder.hpp"

namespace {

using namespace synfp::test;
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

/// It is not read, and told as what.
void expect_unread(int link, const bytes& frame, std::string_view text, std::uint32_t number = 0) {
  const auto found = read(link, frame);
  EXPECT_EQ(found.why, refusal::unread) << text << ": " << to_string(found.why);
  EXPECT_FALSE(found.syn);
  EXPECT_EQ(found.unread.text, text);
  EXPECT_EQ(found.unread.number, number) << text;
}

/// An Ethernet frame of this ethertype, or length.
bytes ethernet(std::uint16_t type, const bytes& payload) {
  bytes f(12, 2);
  put16(f, type);
  return joined(f, payload);
}

/// The packet in IPv4 of another protocol.
bytes in_ipv4(std::uint8_t protocol, const bytes& payload, std::uint16_t fragment = 0) {
  bytes p{0x45, 0};
  put16(p, 20 + payload.size());
  append(p, {0, 1});
  put16(p, fragment);
  append(p, {64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2});
  return joined(p, payload);
}

bytes in_udp(std::uint16_t from, std::uint16_t to, const bytes& payload) {
  bytes u;
  put16(u, from);
  put16(u, to);
  put16(u, 8 + payload.size());
  put16(u, 0);
  return joined(u, payload);
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
      p.vlan = {{outer, 5}, {0x8100, 6}};
      p.vlan.resize(8, {0x8100, 7});
      expect_read(DLT_EN10MB, p.frame(), p.ip(), {0x8005, 0x8006});
      p.vlan.resize(9, {outer, 8});
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

TEST(cli_frame, ppp_and_hdlc) {
  for (const packet_builder& p : {v4, v6}) {
    const std::uint8_t low = p.v6() ? 0x57 : 0x21;
    for (const int link : {DLT_PPP, DLT_PPP_SERIAL}) {
      expect_read(link, joined({0xff, 0x03, 0, low}, p.ip()), p.ip());
      expect_read(link, joined({0, low}, p.ip()), p.ip());
      expect_read(link, joined({low}, p.ip()), p.ip());  // the number in one byte
      expect_read(link, joined({0xff, 0x03, low}, p.ip()), p.ip());
      expect_read(link, joined({0xff, 0x03, 0x02, 0x81, 0, 1, 1, 64}, p.ip()), p.ip());
    }
    const bytes type = p.v6() ? bytes{0x86, 0xdd} : bytes{0x08, 0x00};
    for (const int link : {DLT_C_HDLC, DLT_PPP_SERIAL}) {
      for (const std::uint8_t address : bytes{0x0f, 0x8f})
        expect_read(link, joined(joined({address, 0}, type), p.ip()), p.ip());
    }
    expect_read(DLT_PPP_ETHER, joined({0x11, 0, 0, 1, 0, 62, 0, low}, p.ip()), p.ip());
  }
  EXPECT_EQ(read(DLT_PPP, {0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4}).why, refusal::not_a_syn);  // LCP
  EXPECT_EQ(read(DLT_PPP, joined({0x2d}, v4.ip())).why, refusal::not_a_syn);
  EXPECT_EQ(read(DLT_C_HDLC, {0x8f, 0, 0x80, 0x35, 0, 0, 0, 2}).why, refusal::not_a_syn);  // SLARP
  expect_unread(DLT_PPP, joined({0x3d}, v4.ip()), "PPP multilink");
  expect_unread(DLT_PPP, joined({0x00, 0xfd}, v4.ip()), "compressed PPP");
  expect_unread(DLT_PPP, joined({0x00, 0x53}, v4.ip()), "encrypted PPP");
  expect_unread(DLT_PPP, joined({0x00, 0x31}, v4.ip()), "bridged PPP");
  expect_unread(DLT_PPP, joined({0x00, 0x61}, v4.ip()), "PPP protocol 0x{:04x}", 0x61);
}

TEST(cli_frame, nflog_in_both_byte_orders) {
  const auto field = [](bool little, std::uint16_t type, const bytes& value, bytes to) {
    const auto length = static_cast<std::uint16_t>(4 + value.size());
    for (const std::uint16_t number : {length, type}) {
      const auto high = static_cast<std::uint8_t>(number >> 8), low = static_cast<std::uint8_t>(number);
      append(to, little ? bytes{low, high} : bytes{high, low});
    }
    append(to, value);
    to.resize((to.size() + 3) / 4 * 4);
    return to;
  };
  for (packet_builder p : {v4, v6}) {
    for (const std::size_t more : {0U, 256U - 64U}) {  // a length whose bytes are zero and one
      p.payload = bytes(more, 'x');
      for (const bool little : {false, true}) {
        const std::uint8_t family = p.v6() ? 10 : 2;
        bytes frame = field(little, 1, {0, 0, 1, 0}, {family, 0, 0, 5});
        frame = field(little, 10, {'a', 0}, frame);
        expect_read(DLT_NFLOG, field(little, 9, p.ip(), frame), p.ip());
        EXPECT_EQ(read(DLT_NFLOG, frame).why, refusal::not_a_syn);  // no packet in it
        frame[0] = 7;
        expect_unread(DLT_NFLOG, field(little, 9, p.ip(), frame), "NFLOG of address family {}", 7);
      }
    }
  }
  expect_unread(DLT_NFLOG, {2, 0, 0, 0, 3, 0, 1, 0}, "NFLOG with a bad field");
}

TEST(cli_frame, wireless) {
  const bytes snap{0xaa, 0xaa, 3, 0, 0, 0, 8, 0};
  const auto data = [](std::uint8_t control, std::uint8_t flags, std::size_t length) {
    bytes h(length, 0);
    h[0] = control;
    h[1] = flags;
    return h;
  };
  const auto rest = joined(snap, v4.ip());
  expect_read(DLT_IEEE802_11, joined(data(0x08, 1, 24), rest), v4.ip());
  expect_read(DLT_IEEE802_11, joined(data(0x08, 3, 30), rest), v4.ip());     // four addresses
  expect_read(DLT_IEEE802_11, joined(data(0x88, 2, 26), rest), v4.ip());     // quality of service
  expect_read(DLT_IEEE802_11, joined(data(0x88, 0x82, 30), rest), v4.ip());  // and high throughput
  expect_unread(DLT_IEEE802_11, joined(data(0x08, 0x41, 24), rest), "encrypted 802.11");
  bytes aggregate = data(0x88, 2, 26);
  aggregate[24] = 0x80;
  expect_unread(DLT_IEEE802_11, joined(aggregate, rest), "802.11 A-MSDU");
  EXPECT_EQ(read(DLT_IEEE802_11, joined(data(0x08, 5, 24), rest)).why, refusal::fragment);
  bytes last = data(0x08, 1, 24);
  last[22] = 0x21;
  EXPECT_EQ(read(DLT_IEEE802_11, joined(last, rest)).why, refusal::fragment);
  for (const std::uint8_t control : bytes{0x80, 0xd4, 0x48, 0xc8})  // beacon, ACK, no data
    EXPECT_EQ(read(DLT_IEEE802_11, joined(data(control, 1, 24), rest)).why, refusal::not_a_syn);

  const bytes frame = joined(data(0x88, 2, 26), rest);
  expect_read(DLT_IEEE802_11_RADIO, joined({0, 0, 8, 0, 0, 0, 0, 0}, frame), v4.ip());
  // Flags behind the time, which is aligned to 8; the header is padded to a multiple of 4.
  const bytes radio{0, 0, 24, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 0x20, 0, 0, 0};
  const bytes padded = joined(joined(data(0x88, 2, 26), {0, 0}), rest);
  bytes two_words = radio;
  two_words[20] = 0;  // two words of what there is, then the time, then the flags at 24: not there
  expect_read(DLT_IEEE802_11_RADIO, joined(two_words, frame), v4.ip());
  bytes one_word = radio;
  one_word[7] = 0;
  one_word[16] = 0x20;
  expect_read(DLT_IEEE802_11_RADIO, joined(one_word, padded), v4.ip());
  for (const std::uint8_t length : bytes{0, 7})
    expect_unread(DLT_IEEE802_11_RADIO, joined({0, 0, length, 0, 0, 0, 0, 0}, frame),
                  "802.11 with a bad radiotap header");
  expect_unread(DLT_IEEE802_11_RADIO, joined({0, 0, 8, 0, 0, 0, 0, 0x80}, frame),
                "802.11 with a bad radiotap header");
}

TEST(cli_frame, mpls_pppoe_and_snap) {
  for (const packet_builder& p : {v4, v6}) {
    const bytes type = p.v6() ? bytes{0x86, 0xdd} : bytes{0x08, 0x00};
    const std::uint8_t ppp = p.v6() ? 0x57 : 0x21;
    for (const std::uint16_t mpls : std::initializer_list<std::uint16_t>{0x8847, 0x8848}) {
      expect_read(DLT_EN10MB, ethernet(mpls, joined({0, 1, 1, 64}, p.ip())), p.ip());
      expect_read(DLT_EN10MB, ethernet(mpls, joined({0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64}, p.ip())),
                  p.ip());
    }
    expect_read(DLT_EN10MB, ethernet(0x8864, joined({0x11, 0, 0, 1, 0, 62, 0, ppp}, p.ip())), p.ip());
    const bytes snap = joined(joined({0xaa, 0xaa, 3, 0, 0, 0}, type), p.ip());
    expect_read(DLT_EN10MB, ethernet(68, snap), p.ip());
    // Behind a tag, and one behind the other
    expect_read(DLT_EN10MB, ethernet(0x8100, joined({0, 5, 0, 68}, snap)), p.ip(), {0x8005, 0});
    expect_read(DLT_EN10MB, ethernet(0x88a8, joined({0, 5, 0x88, 0x64, 0x11, 0, 0, 1, 0, 9, 0, ppp}, p.ip())),
                p.ip(), {0x8005, 0});
    expect_read(DLT_EN10MB, ethernet(68, joined({0xaa, 0xaa, 3, 0, 0, 0, 0x88, 0x47, 0, 0, 1, 1}, p.ip())),
                p.ip());
    expect_read(DLT_LINUX_SLL, joined(joined(bytes(14, 0), {0, 4}), snap), p.ip());
  }
  EXPECT_EQ(read(DLT_EN10MB, ethernet(0x8864, joined({0x11, 0xa7, 0, 1, 0, 0, 0, 0x21}, v4.ip()))).why,
            refusal::not_a_syn);  // PADT
  expect_unread(DLT_EN10MB, ethernet(0x8847, joined({0, 1, 1, 64, 0, 0, 0, 0}, v4.frame())),
                "MPLS without IP");
  expect_read(DLT_EN10MB, ethernet(64, joined({6, 6, 3}, v4.ip())), v4.ip());  // RFC 948
  expect_unread(DLT_EN10MB, ethernet(68, joined({0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7}, v4.frame())),
                "SNAP of 0x{:06x}", 0x80c2);
  expect_unread(DLT_EN10MB, ethernet(60, joined({0x98, 0x98, 3}, v4.ip())), "802.2 of 0x{:02x}", 0x98);
  for (const bytes& silent : {bytes{0x42, 0x42, 3}, bytes{0xe0, 0xe0, 3}, bytes{0xfe, 0xfe, 3},
                              bytes{0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0}})
    EXPECT_EQ(read(DLT_EN10MB, ethernet(60, joined(silent, bytes(60, 0)))).why, refusal::not_a_syn);
  bytes deep;  // as many labels as a frame can hold
  for (int i = 0; i < 16000; ++i) append(deep, {0, 1, 0, 64});
  EXPECT_EQ(read(DLT_EN10MB, ethernet(0x8847, deep)).why, refusal::not_a_syn);
  EXPECT_EQ(cli::read_frame(DLT_EN10MB, ethernet(0x8847, deep), 1 << 20).why, refusal::cut_short);
}

TEST(cli_frame, encapsulations_have_names) {
  const std::pair<std::uint16_t, const char*> types[] = {
      {0x88e7, "PBB"}, {0x88e5, "MACsec"}, {0x22f3, "TRILL"}, {0x88be, "ERSPAN"}, {0x892f, "HSR"}};
  for (const auto& [type, name] : types) {
    expect_unread(DLT_EN10MB, ethernet(type, bytes(60, 0)), name);
    expect_unread(
        DLT_EN10MB,
        ethernet(0x8100, joined({0, 5, static_cast<std::uint8_t>(type >> 8), static_cast<std::uint8_t>(type)},
                                bytes(60, 0))),
        name);
  }
  expect_unread(DLT_EN10MB, ethernet(0x1234, v4.ip()), "ethertype 0x{:04x}", 0x1234);
  for (const std::uint16_t silent :
       std::initializer_list<std::uint16_t>{0x0806, 0x88cc, 0x888e, 0x8863, 0x9000})
    EXPECT_EQ(read(DLT_EN10MB, ethernet(silent, bytes(60, 0))).why, refusal::not_a_syn);

  const std::pair<std::uint8_t, const char*> protocols[] = {
      {4, "IPv4 in IP"}, {41, "IPv6 in IP"}, {47, "GRE"}, {50, "ESP"}, {51, "AH"}, {115, "L2TP"}};
  for (const auto& [protocol, name] : protocols) {
    expect_unread(DLT_RAW, in_ipv4(protocol, v4.ip()), name);
    expect_unread(DLT_RAW, in_ipv4(protocol, v4.ip(), 0x2000), name);
    if (protocol == 51) continue;  // is walked in IPv6
    packet_builder p = v6;
    p.protocol = protocol;
    expect_unread(DLT_RAW, p.ip(), name);
    p.extensions = {hop_by_hop(), fragment_header()};
    expect_unread(DLT_RAW, p.ip(), name);
  }
  expect_unread(DLT_RAW, in_ipv4(99, v4.ip()), "IP protocol {}", 99);
  for (const std::uint8_t silent : bytes{1, 2, 17, 58, 89, 132})
    EXPECT_EQ(read(DLT_RAW, in_ipv4(silent, bytes(40, 0))).why, refusal::not_a_syn) << unsigned{silent};
}

TEST(cli_frame, tunnels_in_udp_have_names) {
  const std::tuple<std::uint16_t, bytes, const char*> tunnels[] = {
      {4789, {8, 0, 0, 0}, "VXLAN"},        {8472, {8, 0, 0, 0}, "VXLAN"},
      {6081, {0, 0, 0x65, 0x58}, "Geneve"}, {2152, {0x32, 255, 0, 4}, "GTP-U"},
      {1701, {0x40, 2, 0, 4}, "L2TP"},      {4500, {1, 2, 3, 4}, "ESP in UDP"},
      {3544, {0x60, 0, 0, 0}, "Teredo"},    {51820, {4, 0, 0, 0}, "WireGuard"}};
  for (const auto& [port, first, name] : tunnels) {
    const bytes payload = joined(first, v4.frame());
    expect_unread(DLT_RAW, in_ipv4(17, in_udp(50000, port, payload)), name);
    expect_unread(DLT_RAW, in_ipv4(17, in_udp(port, 50000, payload)), name);
    expect_unread(DLT_RAW, in_ipv4(17, in_udp(50000, port, payload), 0x2000), name);
    // What the capture cut may be one; the middle of a datagram is not looked at.
    const bytes whole = in_ipv4(17, in_udp(50000, port, payload));
    const auto cut = cli::read_frame(DLT_RAW, std::span(whole).first(28), whole.size());
    EXPECT_EQ(cut.why, refusal::unread);
    EXPECT_EQ(cli::read_frame(DLT_RAW, std::span(whole).first(22), whole.size()).why, refusal::cut_short);
    EXPECT_EQ(read(DLT_RAW, in_ipv4(17, in_udp(50000, port, payload), 5)).why, refusal::not_a_syn);
    EXPECT_EQ(read(DLT_RAW, in_ipv4(17, in_udp(50000, port, {}))).why, refusal::not_a_syn);
    EXPECT_EQ(read(DLT_RAW, in_ipv4(17, in_udp(50000, 53, payload))).why, refusal::not_a_syn);
  }
  // IKE, and control messages: no packet in them
  EXPECT_EQ(read(DLT_RAW, in_ipv4(17, in_udp(4500, 4500, bytes(60, 0)))).why, refusal::not_a_syn);
  EXPECT_EQ(read(DLT_RAW, in_ipv4(17, in_udp(1701, 1701, {0xc8, 2, 0, 12, 0, 0}))).why, refusal::not_a_syn);
  EXPECT_EQ(read(DLT_RAW, in_ipv4(17, in_udp(2152, 2152, bytes{0x32, 1, 0, 4}))).why, refusal::not_a_syn);
}

TEST(cli_frame, other_link_types_are_not_read) {
  for (const int link : {-1, DLT_FDDI, DLT_FRELAY, 147, 1000}) {
    EXPECT_FALSE(cli::reads_link(link)) << link;
    expect_unread(link, v4.frame(), cli::unread_link, static_cast<std::uint32_t>(link));
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
  p.extensions = {hop_by_hop(), atomic_fragment(), routing()};
  expect_read(DLT_EN10MB, p.frame(), p.ip());
  for (const unsigned offset : {1U, 0x10U, 0x1fffU}) {
    for (const bool more : {false, true}) {
      p.extensions[1] = fragment_header(offset, more);
      EXPECT_EQ(read(DLT_EN10MB, p.frame()).why, refusal::fragment);
    }
  }
  p.extensions = {hop_by_hop(), routing(), destination_options(), authentication(), atomic_fragment()};
  p.extensions.resize(24, routing());
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
       {DLT_EN10MB, DLT_RAW, DLT_IPV4, DLT_IPV6, DLT_NULL, DLT_LOOP, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_PPP,
        DLT_PPP_SERIAL, DLT_PPP_ETHER, DLT_C_HDLC, DLT_IEEE802_11, DLT_IEEE802_11_RADIO, DLT_NFLOG}) {
    EXPECT_TRUE(cli::reads_link(link));
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
