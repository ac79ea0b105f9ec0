// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <synfp/endpoint.hpp>

namespace {

using synfp::endpoint;

TEST(endpoint, text_round_trips) {
  for (const char* text :
       {"0.0.0.0:0", "127.0.0.1:8080", "255.255.255.255:65535", "[::]:8080", "[::1]:1", "[2001:db8::1]:443",
        "[2001:db8:0:1:1:1:1:1]:443", "[1::8]:2", "[1:2:3:4:5:6:7:8]:9", "[fe80::1%3]:80",
        "[::2:3:4:5:6:7:8]:1", "[1:2:3:4:5:6:7::]:1"}) {
    const auto e = endpoint::parse(text);
    ASSERT_TRUE(e) << text;
    if (std::string_view(text) == "[::2:3:4:5:6:7:8]:1") {
      EXPECT_EQ(e->text().view(), "[0:2:3:4:5:6:7:8]:1");  // RFC 5952 4.2.2
    } else if (std::string_view(text) == "[1:2:3:4:5:6:7::]:1") {
      EXPECT_EQ(e->text().view(), "[1:2:3:4:5:6:7:0]:1");
    } else {
      EXPECT_EQ(e->text().view(), text);
    }
  }
}

TEST(endpoint, mapped_addresses_are_ipv4) {
  const auto mapped = endpoint::parse("[::ffff:192.0.2.1]:80");
  ASSERT_TRUE(mapped);
  EXPECT_TRUE(mapped->is_v4());
  EXPECT_EQ(*mapped, *endpoint::parse("192.0.2.1:80"));
  EXPECT_EQ(mapped->text().view(), "192.0.2.1:80");
}

TEST(endpoint, malformed_text_is_refused) {
  for (const char* text : {"",
                           ":",
                           "1.2.3.4",
                           "1.2.3.4:",
                           "1.2.3:80",
                           "1.2.3.4.5:80",
                           "256.1.1.1:80",
                           "01.2.3.4:80",
                           "1.2.3.4:65536",
                           "1.2.3.4:080",
                           "1.2.3.4:80 ",
                           " 1.2.3.4:80",
                           "::1:80",
                           "[::1]",
                           "[::1]80",
                           "[::1:80",
                           "[:::1]:80",
                           "[1:2:3:4:5:6:7]:80",
                           "[1:2:3:4:5:6:7:8:9]:80",
                           "[1::2::3]:80",
                           "[12345::]:80",
                           "[1:]:80",
                           "[:1]:80",
                           "[1:2:3:4:5:6:7:1.2.3.4]:80",
                           "[::1.2.3]:80",
                           "[fe80::1%]:80",
                           "[fe80::1%x]:80",
                           "[2001:db8::1%3]:80",
                           "[::g]:80",
                           "localhost:80",
                           "[1:2:3:4::5:6:7:8]:1",
                           "-1.2.3.4:80",
                           "1.2.3.4:-1"}) {
    EXPECT_FALSE(endpoint::parse(text)) << text;
  }
}

TEST(endpoint, sockaddr_round_trips) {
  for (const char* text : {"192.0.2.7:8080", "[2001:db8::7]:8080", "[fe80::7%2]:8080"}) {
    const auto e = endpoint::parse(text);
    sockaddr_storage storage;
    const socklen_t length = e->to_sockaddr(storage);
    EXPECT_EQ(storage.ss_family, e->is_v4() ? AF_INET : AF_INET6);
    EXPECT_EQ(endpoint::from_sockaddr(storage, length), e);
    EXPECT_FALSE(endpoint::from_sockaddr(storage, 4));
  }
  sockaddr_storage other{};
  other.ss_family = AF_UNIX;
  EXPECT_FALSE(endpoint::from_sockaddr(other, sizeof other));
}

TEST(endpoint, scope_belongs_to_link_local_addresses_only) {
  endpoint::bytes_type global{0x20, 0x01};
  EXPECT_EQ(endpoint::v6(global, 1, 7).scope(), 0U);
  endpoint::bytes_type local{0xfe, 0x80};
  EXPECT_EQ(endpoint::v6(local, 1, 7).scope(), 7U);
}

static_assert(endpoint::parse("[::1]:80")->port() == 80);
static_assert(endpoint::v4(127, 0, 0, 1, 80).text() == "127.0.0.1:80");

}  // namespace
