// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <synfp/fingerprint/p0f.hpp>

#include "../support/syns.hpp"
#include "../support/vectors.hpp"

namespace {

using namespace synfp::fingerprint;
using synfp::test::bytes;
using synfp::test::packet_builder;

static_assert(p0f(synfp::test::linux_record) == "4:64+0:0:1460:mss*44,10:mss,sok,ts,nop,ws:df,id+:0");
static_assert(p0f<p0f_reading::strict>(synfp::test::linux_record) ==
              "4:64+0:0:1460:mss*44,10:mss,sok,ts,nop,ws:df,id+:0");
static_assert(mtu(synfp::test::linux_record) == 1500U);
static_assert(initial_ttl(synfp::test::linux_record) == 64);
static_assert(distance(synfp::test::linux_record) == 0);
static_assert(!p0f(synfp::syn_record{}));

template <p0f_reading Reading = p0f_reading::compatible>
std::string of(const synfp::syn_record& r) {
  const auto text = p0f<Reading>(r);
  return text ? std::string(text->view()) : "none";
}
template <p0f_reading Reading = p0f_reading::compatible>
std::string of(const packet_builder& p) {
  return of<Reading>(synfp::test::record_of(p));
}
std::string strict(const packet_builder& p) { return of<p0f_reading::strict>(p); }

/// One field of the signature.
std::string field(const std::string& signature, std::size_t index) {
  std::size_t from = 0;
  for (; index > 0; --index) from = signature.find(':', from) + 1;
  return signature.substr(from, signature.find(':', from) - from);
}
std::string quirks(const packet_builder& p) { return field(of(p), 6); }
std::string strict_quirks(const packet_builder& p) { return field(strict(p), 6); }

/// Options, their layout and quirks without those of IP.
packet_builder plain(const bytes& options = {}) {
  packet_builder p;
  p.fragment = 0;
  p.options = options;
  return p;
}
std::string layout(const bytes& options) {
  const std::string s = of(plain(options));
  return field(s, 5) + ":" + field(s, 6);
}

TEST(p0f, all_vectors) {
  std::size_t compared = 0, low_bit = 0;
  for (const auto& v : synfp::test::vectors()) {
    const auto r = synfp::test::record_of(v.packet);
    EXPECT_EQ(of(r), v.p0f) << v.scenario;
    // The strict reading differs in ack+ alone, which nmap -O sends and p0f sees half of the time.
    if (r.tcp().acknowledgment() != 0 && v.p0f.find("ack+") == std::string::npos) {
      ++low_bit;
      EXPECT_NE(of<p0f_reading::strict>(r).find("ack+"), std::string::npos) << v.scenario;
    } else {
      EXPECT_EQ(of<p0f_reading::strict>(r), v.p0f) << v.scenario;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 84U);
  EXPECT_GT(low_bit, 0U);
}

TEST(p0f, sample_signatures) {
  EXPECT_EQ(of(synfp::test::windows_packet()), "4:128+0:0:1460:mss*44,8:mss,nop,ws,nop,nop,sok:df,id+:0");
  packet_builder p = synfp::test::windows_packet();
  p.window = 8192;
  EXPECT_EQ(of(p), "4:128+0:0:1460:8192,8:mss,nop,ws,nop,nop,sok:df,id+:0");
  p = synfp::test::macos_packet();
  EXPECT_EQ(of(p), "4:64+0:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0");
  p.flags = synfp::test::syn | synfp::test::ece | synfp::test::cwr;
  EXPECT_EQ(of(p), "4:64+0:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,ecn:0");
  p = packet_builder{};
  p.window = 29200;
  p.options.back() = 7;
  EXPECT_EQ(of(p), "4:64+0:0:1460:mss*20,7:mss,sok,ts,nop,ws:df,id+:0");
  p.window = 65535;
  p.options.back() = 9;
  EXPECT_EQ(of(p), "4:64+0:0:1460:65535,9:mss,sok,ts,nop,ws:df,id+:0");
  p.options = {2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0};
  EXPECT_EQ(of(p), "4:64+0:0:1460:65535,6:mss,nop,ws,sok,ts:df,id+:0");  // FreeBSD
  p.window = 16384;
  p.options = {2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 3, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0};
  EXPECT_EQ(of(p), "4:64+0:0:1460:16384,3:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+:0");  // OpenBSD
  p = synfp::test::v6_packet();
  p.window = 64800;
  p.options[2] = 0x05;
  p.options[3] = 0xa0;
  bytes raw = p.ip();
  raw[3] = 1;
  EXPECT_EQ(of(synfp::test::record_of(raw)), "6:64+0:0:1440:mss*45,10:mss,sok,ts,nop,ws:flow:0");
  p = plain();
  p.window = 1024;
  p.ttl = 255;
  EXPECT_EQ(of(p), "4:255+0:0:0:1024,0:::0");  // masscan
}

TEST(p0f, ttl_and_distance) {
  const std::pair<unsigned, const char*> expected[] = {
      {0, "0+32"},    {1, "1+31"},     {32, "32+0"},   {33, "33+31"},  {64, "64+0"},
      {65, "65+?"},   {92, "92+?"},    {93, "93+35"},  {128, "128+0"}, {129, "129+?"},
      {219, "219+?"}, {220, "220+35"}, {255, "255+0"}, {254, "254+1"}};
  for (const auto& [ttl, text] : expected) {
    packet_builder p;
    p.ttl = static_cast<std::uint8_t>(ttl);
    EXPECT_EQ(field(of(p), 1), text);
    const auto r = synfp::test::record_of(p);
    const auto hops = distance(r);
    EXPECT_EQ(hops.has_value(), field(of(p), 1).back() != '?');
    if (hops) {
      EXPECT_EQ(initial_ttl(r) - *hops, static_cast<int>(ttl));
    }
  }
}

/// window, mss, own timestamp, IPv6 -> wsize
std::string wsize(unsigned window, unsigned mss, bool ts = false, bool v6 = false, unsigned nops = 0) {
  packet_builder p = v6 ? synfp::test::v6_packet() : packet_builder{};
  p.window = static_cast<std::uint16_t>(window);
  p.options = {2, 4, static_cast<std::uint8_t>(mss >> 8), static_cast<std::uint8_t>(mss)};
  if (ts) synfp::test::append(p.options, {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0});
  p.options.resize(p.options.size() + nops, 1);
  const std::string f = field(of(p), 4);
  return f.substr(0, f.find(','));
}

TEST(p0f, window_multiples_in_order) {
  EXPECT_EQ(wsize(0, 1460), "0");
  EXPECT_EQ(wsize(990, 99), "990");  // below 100
  EXPECT_EQ(wsize(1000, 100), "mss*10");
  EXPECT_EQ(wsize(65500, 100), "mss*655");
  EXPECT_EQ(wsize(1459, 1460), "1459");
  EXPECT_EQ(wsize(1388 * 7, 1400, true), "mss*7");  // mss - 12
  EXPECT_EQ(wsize(1388 * 7, 1400, false), "9716");  // only with a timestamp
  EXPECT_EQ(wsize(1460 * 3, 1400), "mss*3");        // another's MSS
  EXPECT_EQ(wsize(1448 * 3, 1400), "mss*3");
  EXPECT_EQ(wsize(1440 * 7, 1300), "10080");  // that of IPv6 counts for IPv6
  EXPECT_EQ(wsize(1440 * 7, 1300, false, true), "mss*7");
  EXPECT_EQ(wsize(1428 * 7, 1300, false, true), "mss*7");
  EXPECT_EQ(wsize(1340 * 7, 1300), "mtu*7");  // mss + 40
  EXPECT_EQ(wsize(1344 * 7, 1300), "mtu*7");  // mss + both headers: 20 + 24
  EXPECT_EQ(wsize(1348 * 7, 1300, false, false, 4), "mtu*7");
  EXPECT_EQ(wsize(1356 * 7, 1300, true), "mtu*7");
  EXPECT_EQ(wsize(1360 * 7, 1300, false, true), "mtu*7");  // mss + 60
  EXPECT_EQ(wsize(1364 * 7, 1300, false, true), "mtu*7");  // 40 + 24
  EXPECT_EQ(wsize(1360 * 7, 1300), "9520");
  EXPECT_EQ(wsize(1500 * 7, 1300), "mtu*7");
  EXPECT_EQ(wsize(1500, 1500), "mss*1");    // first of two
  EXPECT_EQ(wsize(29200, 730), "mss*40");   // not 1460 * 20
  EXPECT_EQ(wsize(21900, 1460), "mss*15");  // also 1500 * 14.6
  EXPECT_EQ(wsize(65535, 65535), "mss*1");
}

TEST(p0f, each_quirk_alone) {
  packet_builder p = plain();
  EXPECT_EQ(quirks(p), "");
  p.fragment = 0x4000;
  EXPECT_EQ(quirks(p), "df,id+");
  p.id = 0;
  EXPECT_EQ(quirks(p), "df");
  p.fragment = 0;
  EXPECT_EQ(quirks(p), "id-");
  p = plain();
  p.fragment = 0x8000;
  EXPECT_EQ(quirks(p), "0+");
  for (const int tos : {1, 2, 3}) {
    p = plain();
    p.tos = static_cast<std::uint8_t>(tos);
    EXPECT_EQ(quirks(p), "ecn");
  }
  p.tos = 0xfc;
  EXPECT_EQ(quirks(p), "");
  for (const std::uint8_t flag : {synfp::test::ece, synfp::test::cwr}) {
    p = plain();
    p.flags = static_cast<std::uint8_t>(synfp::test::syn | flag);
    EXPECT_EQ(quirks(p), "ecn");
  }
  bytes raw = plain().ip();
  raw[32] = 0x51;  // NS
  EXPECT_EQ(field(of(synfp::test::record_of(raw)), 6), "ecn");
  raw[32] = 0x5e;  // the other reserved bits
  EXPECT_EQ(field(of(synfp::test::record_of(raw)), 6), "");
  p = plain();
  p.sequence = 0;
  EXPECT_EQ(quirks(p), "seq-");
  p = plain();
  p.urgent = 1;
  EXPECT_EQ(quirks(p), "uptr+");
  p.flags = synfp::test::syn | synfp::test::urg;
  EXPECT_EQ(quirks(p), "urgf+");
  p = plain();
  p.flags = synfp::test::syn | synfp::test::psh;
  EXPECT_EQ(quirks(p), "pushf+");
  EXPECT_EQ(quirks(plain({8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1})), "ts1-");
  EXPECT_EQ(quirks(plain({8, 10, 0, 0, 0, 1, 0, 0, 0, 9, 1, 1})), "ts2+");
  EXPECT_EQ(quirks(plain({3, 3, 14, 1})), "");
  EXPECT_EQ(quirks(plain({3, 3, 15, 1})), "exws");
  EXPECT_EQ(quirks(plain({3, 3, 255, 1})), "exws");
  packet_builder v6 = synfp::test::v6_packet();
  EXPECT_EQ(quirks(v6), "");
  raw = v6.ip();
  raw[1] = 0x08;
  EXPECT_EQ(field(of(synfp::test::record_of(raw)), 6), "flow");
  v6.tos = 1;
  EXPECT_EQ(quirks(v6), "ecn");
}

TEST(p0f, ack_in_both_readings) {
  packet_builder p = plain();
  for (const std::uint32_t number : {0x00000001U, 0x80000000U, 0xfeffffffU, 0x02000000U}) {
    p.acknowledgment = number;
    EXPECT_EQ(quirks(p), "") << number;
    EXPECT_EQ(strict_quirks(p), "ack+") << number;
  }
  for (const std::uint32_t number : {0x01000000U, 0xffffffffU}) {
    p.acknowledgment = number;
    EXPECT_EQ(quirks(p), "ack+") << number;
    EXPECT_EQ(strict_quirks(p), "ack+") << number;
  }
}

TEST(p0f, data_behind_eol_in_both_readings) {
  EXPECT_EQ(layout({4, 2, 0, 0}), "sok,eol+1:");
  EXPECT_EQ(layout({1, 1, 1, 0}), "nop,nop,nop,eol+0:");
  EXPECT_EQ(layout({0, 0, 0, 0}), "eol+3:");
  EXPECT_EQ(layout({0, 0, 0, 1}), "eol+3:");  // not seen
  EXPECT_EQ(layout({0, 0, 1, 0}), "eol+3:opt+");
  EXPECT_EQ(layout({0, 1, 0, 1}), "eol+3:opt+");
  EXPECT_EQ(layout({4, 2, 0, 7}), "sok,eol+1:");
  EXPECT_EQ(strict_quirks(plain({0, 0, 0, 1})), "opt+");
  EXPECT_EQ(strict_quirks(plain({4, 2, 0, 7})), "opt+");
  EXPECT_EQ(strict_quirks(plain({0, 0, 1, 0})), "opt+");
  EXPECT_EQ(strict_quirks(plain({1, 1, 1, 0})), "");
  EXPECT_EQ(layout({0, 2, 4, 5, 180, 3, 3, 7}), "eol+7:opt+");  // the walk ends
}

TEST(p0f, option_walk) {
  EXPECT_EQ(layout({}), ":");
  EXPECT_EQ(layout({1, 1, 1, 1}), "nop,nop,nop,nop:");
  EXPECT_EQ(layout({5, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}), "sack,nop,nop:");
  EXPECT_EQ(layout({5, 9, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1}), "sack:bad");
  bytes sack{5, 34};
  sack.resize(36, 1);
  EXPECT_EQ(layout(sack), "sack,nop,nop:");
  sack[1] = 35;
  EXPECT_EQ(layout(sack), "sack:bad");
  EXPECT_EQ(layout({5, 12, 0, 0}), "sack:bad");
  EXPECT_EQ(layout({1, 1, 1, 5}), "nop,nop,nop,sack:bad");
  EXPECT_EQ(layout({34, 2, 1, 1}), "?34,nop,nop:");
  EXPECT_EQ(layout({255, 4, 1, 1}), "?255:");
  EXPECT_EQ(layout({34, 1, 1, 1}), "?34:bad");
  EXPECT_EQ(layout({34, 0, 1, 1}), "?34:bad");
  EXPECT_EQ(layout({34, 5, 1, 1}), "?34:bad");
  EXPECT_EQ(layout({1, 1, 1, 34}), "nop,nop,nop,?34:bad");
  bytes longest{77, 40};
  longest.resize(40, 0);
  EXPECT_EQ(layout(longest), "?77:");
  longest[1] = 41;
  EXPECT_EQ(layout(longest), "?77:bad");
}

TEST(p0f, known_options_take_their_size_whatever_their_length_says) {
  EXPECT_EQ(of(plain({2, 9, 5, 180})), "4:64+0:0:1460:mss*44,0:mss:bad:0");
  EXPECT_EQ(of(plain({2, 0, 5, 180})), "4:64+0:0:1460:mss*44,0:mss:bad:0");
  EXPECT_EQ(of(plain({3, 0, 7, 1})), "4:64+0:0:0:64240,7:ws,nop:bad:0");
  EXPECT_EQ(layout({4, 4, 1, 1}), "sok,nop,nop:bad");
  EXPECT_EQ(layout({8, 2, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1}), "ts,nop,nop:ts1-,ts2+,bad");
  // Not enough room: named, without a value, and the end.
  EXPECT_EQ(of(plain({1, 2, 4, 5})), "4:64+0:0:0:64240,0:nop,mss:bad:0");
  EXPECT_EQ(of(plain({1, 1, 3, 3})), "4:64+0:0:0:64240,0:nop,nop,ws:bad:0");
  EXPECT_EQ(layout({1, 1, 1, 4}), "nop,nop,nop,sok:bad");
  EXPECT_EQ(layout({1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0}), "nop,nop,ts:ts1-");
  EXPECT_EQ(layout({1, 1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0}), "nop,nop,nop,ts:bad");
  // The last one wins.
  EXPECT_EQ(of(plain({2, 4, 5, 180, 2, 4, 2, 0, 3, 3, 1, 3, 3, 2, 1, 1})),
            "4:64+0:0:512:mss*44,2:mss,mss,ws,ws,nop,nop::0");
}

TEST(p0f, at_most_24_options) {
  EXPECT_EQ(quirks(plain(bytes(24, 1))), "");
  EXPECT_EQ(quirks(plain(bytes(28, 1))), "bad");
  std::string nops = "nop";
  for (int i = 1; i < 24; ++i) nops += ",nop";
  EXPECT_EQ(layout(bytes(28, 1)), nops + ":bad");
  bytes then_eol(27, 1);
  then_eol.push_back(0);
  EXPECT_EQ(layout(then_eol), nops + ":bad");
}

TEST(p0f, ip_options_and_payload) {
  packet_builder p = plain();
  p.ip_options = {1, 1, 1, 1};
  EXPECT_EQ(field(of(p), 2), "4");
  p.ip_options = bytes(40, 1);
  EXPECT_EQ(field(of(p), 2), "40");
  EXPECT_EQ(of(p), "4:64+0:40:0:64240,0:::0");
  p.options = {2, 4, 5, 20, 1, 1, 1, 1};
  p.window = 1388 * 5;  // mss 1300 and 88 bytes of headers
  EXPECT_EQ(field(of(p), 4), "mtu*5,0");
  p.payload = {1};
  EXPECT_EQ(field(of(p), 7), "+");
  packet_builder v6 = synfp::test::v6_packet();
  EXPECT_EQ(field(of(v6), 7), "0");
  v6.payload = bytes(10, 0);
  EXPECT_EQ(field(of(v6), 7), "+");
}

TEST(p0f, ip_options_that_were_not_kept_are_counted) {
  packet_builder p = plain(bytes(40, 1));
  p.ip_options = bytes(40, 1);
  const bytes packet = p.ip();
  const bytes ip(packet.begin(), packet.begin() + 20), tcp(packet.begin() + 60, packet.end());
  const auto r = synfp::syn_record::from_parts(ip, tcp, 60);
  ASSERT_TRUE(r && r->truncated());
  EXPECT_EQ(of(*r), of(p));
  EXPECT_EQ(field(of(*r), 2), "40");
}

TEST(p0f, what_p0f_does_not_look_at) {
  using namespace synfp::test;
  for (const unsigned flags : {0x12U, 0x03U, 0x06U, 0x05U, 0x10U, 0x00U, 0x04U, 0x01U}) {
    packet_builder p;
    p.flags = static_cast<std::uint8_t>(flags);
    EXPECT_EQ(of(p), "none") << flags;
    EXPECT_EQ(strict(p), "none") << flags;
    EXPECT_FALSE(mtu(record_of(p)));
  }
  for (const auto& e : {hop_by_hop(), destination_options(), routing(), authentication()}) {
    packet_builder p = v6_packet();
    p.extensions = {e};
    EXPECT_EQ(of(p), "none");
  }
  const auto r = record_of(truncated_v6());
  EXPECT_EQ(of(r), "none");
  // From parts that were no packet.
  const bytes packet = packet_builder{}.ip();
  bytes ip(packet.begin(), packet.begin() + 20);
  const bytes tcp(packet.begin() + 20, packet.end());
  EXPECT_NE(of(synfp::syn_record::from_parts(ip, tcp, 20).value()), "none");
  for (const auto& [at, value] :
       {std::pair<std::size_t, std::uint8_t>{6, 0x20}, {7, 1}, {9, 17}, {0, 0x41}, {0, 0x46}}) {
    bytes lie = ip;
    lie[at] = value;
    EXPECT_EQ(of(synfp::syn_record::from_parts(lie, tcp, 20).value()), "none") << at;
  }
}

TEST(p0f, mtu_needs_an_mss) {
  using synfp::test::record_of, synfp::test::with_options;
  EXPECT_EQ(mtu(with_options({2, 4, 5, 180})), 1500U);
  EXPECT_EQ(mtu(with_options({2, 4, 0, 0})), std::nullopt);
  EXPECT_EQ(mtu(with_options({})), std::nullopt);
  EXPECT_EQ(mtu(with_options({2, 4, 255, 255})), 65575U);
  packet_builder p = synfp::test::v6_packet();
  p.options = {2, 4, 5, 160};
  EXPECT_EQ(mtu(record_of(p)), 1500U);
}

TEST(p0f, the_longest_is_not_cut) {
  packet_builder p;
  p.ttl = 220;
  p.ip_options = bytes(36, 1);
  p.tos = 3;
  p.fragment = 0xc000;
  p.sequence = 0;
  p.acknowledgment = 0xffffffff;
  p.urgent = 1;
  p.flags = synfp::test::syn | synfp::test::psh;
  p.window = 65535;
  p.payload = {1};
  p.options.clear();
  // 16 options of two bytes, 7 NOPs and the end: 24 options in 40 bytes.
  std::string names;
  for (int i = 0; i < 16; ++i) {
    synfp::test::append(p.options, {255, 2});
    names += "?255,";
  }
  for (int i = 0; i < 7; ++i) {
    p.options.push_back(1);
    names += "nop,";
  }
  p.options.push_back(0);
  const auto r = synfp::test::record_of(p);
  EXPECT_EQ(of(r), "4:220+35:36:0:65535,0:" + names + "eol+0:df,id+,ecn,0+,seq-,ack+,uptr+,pushf+:+");

  // Everything at its longest, whether or not one packet can hold it.
  p0f_signature s;
  s.v6 = true;
  s.ttl = 220;
  s.ip_option_length = 40;
  s.mss = 65535;
  s.window = 65535;
  s.unit = p0f_signature::window_unit::mss;
  s.multiplier = 655;
  s.scale = 255;
  s.kind.fill(255);
  s.kind[23] = 0;
  s.kinds = 24;
  s.eol_padding = 39;
  s.quirks = 0x1ffff;
  s.payload = true;
  EXPECT_EQ(p0f_signature_text(s).size(), 234U);
  EXPECT_EQ(p0f_signature_text(s).view().substr(232), ":+");
}

}  // namespace
