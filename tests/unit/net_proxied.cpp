// SPDX-License-Identifier: MIT
#include <synfp/net/proxied.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include <synfp/capture/fixed.hpp>
#include <synfp/json.hpp>
#include <synfp/net/server.hpp>

#include "../support/loopback.hpp"
#include "../support/proxy_headers.hpp"

namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using synfp::endpoint;
using synfp::errc;
using synfp::task;
using synfp::test::proxy_tlv_field;
using synfp::test::proxy_v2;
using synfp::test::proxy_v4_addresses;
namespace capture = synfp::capture;
namespace net = synfp::net;
namespace test = synfp::test;

std::vector<net::address_prefix> prefixes(std::string_view text) {
  return {*net::address_prefix::parse(text)};
}

/// What a server behind `known` knows of a client that `talks`.
struct seen {
  std::string said;  ///< all that came after the header
  endpoint peer;
  endpoint local;
  synfp::syn_lookup syn;
  std::optional<errc> refused;
};
seen meet(net::proxies& known, const std::function<void(int fd)>& talks) {
  capture::fixed source(synfp::miss::stale);
  net::server server{"127.0.0.1:0", source};
  seen found;
  const auto read_all = [&](net::accepted a) -> task<> {
    const auto header = co_await known.read_header(a);
    if (!header) {
      found.refused = header.error().code;
    } else {
      found.peer = a.peer;
      found.local = a.local;
      found.syn = a.syn;
      while (auto chunk = co_await a.connection.read()) found.said.append(chunk->view());
    }
    server.stop();
  };
  std::thread client([&] {
    const test::fd fd = test::connect_to(server.local()[0]);
    talks(fd.get());
    ::shutdown(fd.get(), SHUT_WR);
    test::receive(fd.get(), 1);  // until the server has ended it
  });
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) synfp::spawn(read_all(std::move(*accepted)));
  });
  client.join();
  return found;
}
seen meet(net::proxies& known, const std::string& text) {
  return meet(known, [&text](int fd) { test::send_all(fd, text); });
}

TEST(net_proxied, names_the_client_and_leaves_its_bytes) {
  net::proxies known(prefixes("127.0.0.0/8"));
  for (const std::string& header :
       {"PROXY TCP4 192.0.2.1 198.51.100.7 1234 443\r\n"s, proxy_v2(0x21, 0x11, proxy_v4_addresses)}) {
    for (const std::string& rest : {""s, "GET /"s, std::string(100'000, 'x')}) {
      const seen s = meet(known, header + rest);
      EXPECT_EQ(s.said, rest);
      EXPECT_EQ(s.peer, endpoint::v4(192, 0, 2, 1, 1234));
      EXPECT_EQ(s.local, endpoint::v4(198, 51, 100, 7, 443));
      EXPECT_EQ(s.syn.of, synfp::syn_of::proxy);
      std::string json;
      append_json(json, s.syn);
      EXPECT_EQ(
          json,
          R"({"source":null,"proof":null,"age_us":null,"retransmits":null,"miss":"stale","of":"proxy"})");
    }
  }
  EXPECT_EQ(known.counters().proxied, 6u);
}

TEST(net_proxied, a_header_may_come_byte_by_byte) {
  net::proxies known(prefixes("127.0.0.1"));
  const std::string text =
      proxy_v2(0x21, 0x11, std::string(proxy_v4_addresses) + proxy_tlv_field(4, "padding"));
  const seen s = meet(known, [&](int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (const char c : text) {
      test::send_all(fd, std::string(1, c));
      std::this_thread::sleep_for(100us);
    }
    test::send_all(fd, "hello");
  });
  EXPECT_EQ(s.said, "hello");
  EXPECT_EQ(s.peer, endpoint::v4(192, 0, 2, 1, 1234));
}

TEST(net_proxied, who_is_not_trusted_is_served_as_it_is) {
  net::proxies known(prefixes("192.0.2.0/24"));
  const std::string text = "PROXY TCP4 192.0.2.1 198.51.100.7 1234 443\r\n";
  const seen s = meet(known, text);
  EXPECT_EQ(s.said, text);  // for the parser of requests, which refuses it
  EXPECT_EQ(s.peer.address(), endpoint::v4(127, 0, 0, 1, 0).address());
  EXPECT_EQ(s.syn.of, synfp::syn_of::client);
  EXPECT_EQ(known.counters().untrusted, 1u);
}

TEST(net_proxied, a_proxy_that_speaks_for_itself_or_for_nobody_with_an_address) {
  net::proxies known(prefixes("127.0.0.1"));
  for (const auto& [header, of] :
       {std::pair(proxy_v2(0x20, 0, ""), synfp::syn_of::client),
        std::pair("PROXY UNKNOWN\r\n"s, synfp::syn_of::proxy),
        std::pair(proxy_v2(0x21, 0x31, std::string(216, 'u')), synfp::syn_of::proxy)}) {
    const seen s = meet(known, header + "x");
    EXPECT_EQ(s.said, "x");
    EXPECT_EQ(s.peer.address(), endpoint::v4(127, 0, 0, 1, 0).address());
    EXPECT_EQ(s.syn.of, of);
  }
  EXPECT_EQ(known.counters().unnamed, 3u);
}

TEST(net_proxied, refuses_and_counts) {
  net::proxies known(prefixes("127.0.0.1"), {.limit = 50ms, .longest = 300});
  EXPECT_EQ(meet(known, "GET / HTTP/1.1\r\n").refused, errc::invalid);
  EXPECT_EQ(meet(known, proxy_v2(0x21, 0x11, std::string(400, 'a'))).refused, errc::invalid);
  EXPECT_EQ(meet(known, "PROXY TCP4 ").refused, errc::closed);
  const seen late = meet(known, [](int fd) {
    test::send_all(fd, "PROXY ");
    test::receive(fd, 1);  // until it is closed
  });
  EXPECT_EQ(late.refused, errc::timed_out);
  EXPECT_EQ(known.counters().refused, 2u);
  EXPECT_EQ(known.refusals(net::proxy_refusal::signature), 1u);
  EXPECT_EQ(known.refusals(net::proxy_refusal::too_long), 1u);
  EXPECT_EQ(known.counters().late, 2u);
}

/// A SYN from 192.0.2.1:1234 to 198.51.100.7:443.
std::string client_syn() {
  return "\x45\x00\x00\x2c\x00\x01\x40\x00\x40\x06\x00\x00\xc0\x00\x02\x01\xc6\x33\x64\x07"s
         "\x04\xd2\x01\xbb\x00\x00\x00\x01\x00\x00\x00\x00\x60\x02\xfa\xf0\x00\x00\x00\x00\x02\x04\x05\xb4"s;
}

TEST(net_proxied, the_clients_syn_is_believed_if_it_is_of_this_connection) {
  net::proxies known(prefixes("127.0.0.1"));
  const auto with = [&known](const std::string& syn) {
    return meet(known, proxy_v2(0x21, 0x11, std::string(proxy_v4_addresses) + proxy_tlv_field(0xE5, syn)));
  };
  const seen s = with(client_syn());
  EXPECT_TRUE(s.syn);
  EXPECT_EQ(s.syn.of, synfp::syn_of::client);
  EXPECT_EQ(s.syn.source, synfp::capture_source::proxy);
  EXPECT_EQ(s.syn.proof, synfp::proof::tuple);
  EXPECT_EQ(s.syn->source(), s.peer);
  std::string json;
  append_json(json, s.syn);
  EXPECT_EQ(json, R"({"source":"proxy","proof":"tuple","age_us":null,"retransmits":null,"miss":null})");

  // Of another client, to another port, a SYN-ACK, cut off, nothing.
  for (const auto& [at, value] :
       {std::pair(15u, '\x02'), std::pair(21u, '\x00'), std::pair(23u, '\x00'), std::pair(33u, '\x12')}) {
    std::string other = client_syn();
    other[at] = value;
    const seen wrong = with(other);
    EXPECT_FALSE(wrong.syn) << at;
    EXPECT_EQ(wrong.syn.of, synfp::syn_of::proxy);
    EXPECT_EQ(wrong.peer, endpoint::v4(192, 0, 2, 1, 1234));
  }
  for (const std::size_t size : {0u, 1u, 20u, 43u})
    EXPECT_FALSE(with(client_syn().substr(0, size)).syn) << size;
  EXPECT_EQ(known.counters().syns, 1u);
  EXPECT_EQ(known.counters().bad_syns, 8u);
}

}  // namespace
