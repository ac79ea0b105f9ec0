// SPDX-License-Identifier: MIT
#include <synfp/net/proxy_protocol.hpp>

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../support/proxy_headers.hpp"

namespace {

using namespace std::string_view_literals;
using synfp::endpoint;
using synfp::net::address_prefix;
using synfp::net::parse_proxy_header;
using synfp::net::proxy_parse;
using synfp::net::proxy_refusal;
using synfp::test::proxy_tlv_field;
using synfp::test::proxy_v2;
using synfp::test::proxy_v4_addresses;

proxy_parse parse(std::string_view text, std::size_t most = 4096) {
  return parse_proxy_header({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, most);
}
/// "ends SIZE", the refusal, or "incomplete".
std::string outcome(std::string_view text, std::size_t most = 4096) {
  const auto p = parse(text, most);
  if (p.header) return "ends " + std::to_string(p.header->size);
  return p.incomplete() ? "incomplete" : std::string(to_string(p.refused));
}

TEST(net_proxy_protocol, reads_version_1) {
  const auto four = parse("PROXY TCP4 192.0.2.1 198.51.100.7 1234 443\r\nGET /");
  ASSERT_TRUE(four.header);
  EXPECT_EQ(four.header->size, 44u);
  EXPECT_EQ(four.header->source, endpoint::v4(192, 0, 2, 1, 1234));
  EXPECT_EQ(four.header->destination, endpoint::v4(198, 51, 100, 7, 443));
  const auto six = parse("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n");
  ASSERT_TRUE(six.header);
  EXPECT_EQ(six.header->source, endpoint::parse("[2001:db8::1]:65535"));
  EXPECT_EQ(six.header->destination, endpoint::parse("[::1]:0"));
  for (const std::string_view unknown :
       {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n"}) {
    const auto p = parse(unknown);
    ASSERT_TRUE(p.header) << unknown;
    EXPECT_EQ(p.header->size, unknown.size());
    EXPECT_FALSE(p.header->has_endpoints);
  }
}

TEST(net_proxy_protocol, refuses_version_1_that_is_not_as_specified) {
  const std::string longest = "PROXY UNKNOWN " + std::string(91, 'x') + "\r\n";
  ASSERT_EQ(longest.size(), 107u);
  EXPECT_EQ(outcome(longest), "ends 107");
  EXPECT_EQ(outcome("PROXY UNKNOWN " + std::string(92, 'x') + "\r\n"), "too_long");
  EXPECT_EQ(outcome("PROXY UNKNOWN " + std::string(300, 'x')), "too_long");
  for (const std::string_view text :
       {"PROXY TCP4 192.0.2.1 198.51.100.7 1234 443\n", "PROXY TCP4 192.0.2.1 198.51.100.7 1234 443 \r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.7 1234 443\r\n", "PROXY TCP4 192.0.2.1 198.51.100.7 1234\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1234 443 5\r\n", "PROXY TCP4 192.0.2.01 198.51.100.7 1234 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 1234 443\r\n", "PROXY TCP4 192.0.2 198.51.100.7 1234 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 01234 443\r\n", "PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n", "PROXY TCP4 2001:db8::1 ::1 1234 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 1234 443\r\n", "PROXY TCP6 2001:db8:::1 ::1 1234 443\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.7 1234 443\r\n", "PROXY UDP4 192.0.2.1 198.51.100.7 1234 443\r\n",
        "PROXY UNKNOWNX\r\n", "PROXY \r\n", "PROXY UNKNOWN\n"})
    EXPECT_EQ(outcome(text), "text") << text;
  EXPECT_EQ(outcome("PROXY TCP4 192.0.2.1\0 198.51.100.7 1234 443\r\n"sv), "text");
}

TEST(net_proxy_protocol, a_header_in_pieces_is_incomplete_at_every_cut) {
  for (const std::string& whole : {std::string("PROXY TCP4 192.0.2.1 198.51.100.7 1234 443\r\n"),
                                   proxy_v2(0x21, 0x11, proxy_v4_addresses), proxy_v2(0x20, 0, "")}) {
    for (std::size_t n = 0; n != whole.size(); ++n) EXPECT_EQ(outcome(whole.substr(0, n)), "incomplete") << n;
    EXPECT_EQ(outcome(whole + "GET / HTTP/1.1\r\n"), "ends " + std::to_string(whole.size()));
  }
}

TEST(net_proxy_protocol, refuses_what_is_no_header_at_the_first_byte_that_says_so) {
  for (const std::string_view text :
       {"G"sv, "GET / HTTP/1.1\r\n"sv, "PROXYX"sv, "proxy "sv, "\r\n\r\n\0\r\nQUIX"sv, "\r\nX"sv})
    EXPECT_EQ(outcome(text), "signature") << text;
}

TEST(net_proxy_protocol, reads_version_2) {
  const auto four = parse(proxy_v2(0x21, 0x11, proxy_v4_addresses));
  ASSERT_TRUE(four.header);
  EXPECT_EQ(four.header->source, endpoint::v4(192, 0, 2, 1, 1234));
  EXPECT_EQ(four.header->destination, endpoint::v4(198, 51, 100, 7, 443));
  EXPECT_TRUE(four.header->tlvs.empty());
  std::string addresses(36, '\0');
  addresses[0] = 0x20;
  addresses[15] = 9;
  addresses[31] = 8;
  addresses[33] = 7;
  addresses[35] = 6;
  const auto six = parse(proxy_v2(0x21, 0x21, addresses));
  ASSERT_TRUE(six.header);
  EXPECT_EQ(six.header->source, endpoint::parse("[2000::9]:7"));
  EXPECT_EQ(six.header->destination, endpoint::parse("[::8]:6"));
}

TEST(net_proxy_protocol, version_2_without_an_ip_stream_names_nobody) {
  for (const std::string& text :
       {proxy_v2(0x20, 0x00, ""), proxy_v2(0x20, 0xff, "anything"), proxy_v2(0x20, 0x11, "short"),
        proxy_v2(0x21, 0x00, ""), proxy_v2(0x21, 0x00, "passed over"),
        proxy_v2(0x21, 0x12, proxy_v4_addresses), proxy_v2(0x21, 0x31, std::string(216, 'u')),
        proxy_v2(0x21, 0x32, std::string(216, 'u'))}) {
    const auto p = parse(text);
    ASSERT_TRUE(p.header);
    EXPECT_EQ(p.header->size, text.size());
    EXPECT_FALSE(p.header->has_endpoints);
    EXPECT_EQ(p.header->local, text[12] == 0x20);
  }
}

TEST(net_proxy_protocol, refuses_version_2_that_is_not_as_specified) {
  EXPECT_EQ(outcome(proxy_v2(0x11, 0x11, proxy_v4_addresses)), "version");
  EXPECT_EQ(outcome(proxy_v2(0x22, 0x11, proxy_v4_addresses)), "command");
  for (const int family : {0x01, 0x10, 0x13, 0x41, 0x20, 0x30, 0xf1})
    EXPECT_EQ(outcome(proxy_v2(0x21, static_cast<std::uint8_t>(family), std::string(300, 'a'))), "family");
  EXPECT_EQ(outcome(proxy_v2(0x21, 0x11, proxy_v4_addresses.substr(1))), "length");
  EXPECT_EQ(outcome(proxy_v2(0x21, 0x21, std::string(35, 'a'))), "length");
  EXPECT_EQ(outcome(proxy_v2(0x21, 0x31, std::string(215, 'a'))), "length");
  EXPECT_EQ(outcome(proxy_v2(0x21, 0x11, std::string(100, 'a')), 115), "too_long");
  EXPECT_EQ(outcome(proxy_v2(0x21, 0x11, std::string(65535, 'a')).substr(0, 16)),
            "too_long");  // before it is there
  EXPECT_EQ(outcome(proxy_v2(0x20, 0x00, std::string(65535, 'a'))), "too_long");
}

TEST(net_proxy_protocol, fields_stay_within_the_header) {
  const std::string start(proxy_v4_addresses);
  const std::string good =
      proxy_v2(0x21, 0x11, start + proxy_tlv_field(4, "") + proxy_tlv_field(0xE5, "syn")) + "more";
  const auto p = parse(good);
  ASSERT_TRUE(p.header);
  const auto value = p.header->tlv(0xE5);
  ASSERT_TRUE(value);
  EXPECT_EQ(std::string(value->begin(), value->end()), "syn");
  EXPECT_TRUE(p.header->tlv(4)->empty());
  EXPECT_FALSE(p.header->tlv(0xE6));
  for (const std::string_view rest : {"\x04"sv, "\x04\x00"sv, "\x04\x00\x01"sv, "\x04\xff\xff\x00"sv})
    EXPECT_EQ(outcome(proxy_v2(0x21, 0x11, start + std::string(rest)) + "xxxxx"), "tlv");
}

TEST(net_proxy_protocol, a_checksum_is_checked) {
  const std::string start(proxy_v4_addresses);
  std::string text = proxy_v2(0x21, 0x11, start + proxy_tlv_field(3, "\0\0\0\0"sv));
  const auto crc_of = [](std::string_view bytes) {  // most significant bit first, unlike the code
    std::uint32_t crc = 0xffffffff;
    for (const char c : bytes) {
      for (unsigned bit = 0; bit != 8; ++bit) {
        const bool in = (static_cast<unsigned char>(c) >> bit & 1) != 0;
        const bool out = (crc >> 31 & 1) != 0;
        crc = crc << 1 ^ (in != out ? 0x1edc6f41U : 0U);
      }
    }
    std::uint32_t reflected = 0;
    for (unsigned bit = 0; bit != 32; ++bit) reflected |= (crc >> bit & 1) << (31 - bit);
    return reflected ^ 0xffffffff;
  };
  ASSERT_EQ(crc_of("123456789"), 0xe3069283U);  // the check value of CRC-32C
  const std::uint32_t crc = crc_of(text);
  for (unsigned i = 0; i != 4; ++i) text[text.size() - 4 + i] = static_cast<char>(crc >> (24 - 8 * i) & 0xff);
  EXPECT_EQ(outcome(text), "ends 35");
  for (std::size_t i = 16; i != text.size(); ++i) {
    if (i == 28) continue;  // the type: then it is no checksum
    std::string other = text;
    other[i] = static_cast<char>(other[i] ^ 1);
    EXPECT_NE(outcome(other), "ends 35") << i;
  }
  EXPECT_EQ(outcome(proxy_v2(0x21, 0x11, start + proxy_tlv_field(3, "\0\0\0"sv))), "tlv");
  EXPECT_EQ(outcome(proxy_v2(0x21, 0x11, start + text.substr(28) + text.substr(28))), "tlv");
}

TEST(net_address_prefix, reads_and_matches) {
  const auto contains = [](std::string_view prefix, std::string_view at) {
    return address_prefix::parse(prefix).value().contains(endpoint::parse(at).value());
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.1.2:1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0:1"));
  EXPECT_TRUE(contains("192.0.2.1", "192.0.2.1:9"));
  EXPECT_FALSE(contains("192.0.2.1", "192.0.2.2:9"));
  EXPECT_TRUE(contains("192.0.2.128/25", "192.0.2.255:9"));
  EXPECT_FALSE(contains("192.0.2.128/25", "192.0.2.127:9"));
  EXPECT_TRUE(contains("0.0.0.0/0", "1.2.3.4:5"));
  EXPECT_FALSE(contains("0.0.0.0/0", "[2001:db8::1]:5"));
  EXPECT_TRUE(contains("2001:db8::/33", "[2001:db8:7fff::1]:5"));
  EXPECT_FALSE(contains("2001:db8::/33", "[2001:db8:8000::1]:5"));
  EXPECT_TRUE(contains("::/0", "1.2.3.4:5"));
  for (const std::string_view odd :
       {"", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/8x", "10.0.0.0/08", "10.0.0", "::/129",
        "[::1]", "::1%3", "localhost", "2001:db8::1/32"})
    EXPECT_FALSE(address_prefix::parse(odd)) << odd;
}

}  // namespace
