// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <synfp/tls/client_hello.hpp>
#include <synfp/tls/hello_parser.hpp>

#include "../support/hello_builder.hpp"

namespace {

using namespace synfp;
using synfp::test::codes;
using synfp::test::hello_builder;
using synfp::test::hello_bytes;
using synfp::test::join;
using synfp::test::list_16;
using synfp::test::list_8;
using testing::ElementsAre;
using testing::ElementsAreArray;
using tls::hello_parser;
using tls::hello_status;
using tls::refusal;

struct outcome {
  hello_status status = hello_status::incomplete;
  refusal why = refusal::none;
  std::size_t seen = 0;
  hello_bytes message;
  bool operator==(const outcome&) const = default;
};

/// Shows `input` in pieces that end at `ends`, each in bytes of its own that are gone afterwards.
outcome feed(const hello_bytes& input, const std::vector<std::size_t>& ends,
             std::size_t room = hello_parser::max_hello) {
  const std::unique_ptr<std::uint8_t[]> buffer(new std::uint8_t[room]);
  hello_parser parser({buffer.get(), room});
  std::size_t at = 0;
  for (const std::size_t end : ends) {
    const std::unique_ptr<std::uint8_t[]> piece(new std::uint8_t[end - at]);
    std::copy(input.begin() + static_cast<std::ptrdiff_t>(at),
              input.begin() + static_cast<std::ptrdiff_t>(end), piece.get());
    const hello_status said = parser.look({piece.get(), end - at});
    EXPECT_EQ(said, parser.status());
    at = end;
  }
  const auto message = parser.message();
  return {parser.status(), parser.refused_for(), parser.seen(), {message.begin(), message.end()}};
}
outcome feed(const hello_bytes& input, std::size_t room = hello_parser::max_hello) {
  return feed(input, {input.size()}, room);
}
refusal why(const hello_bytes& input) {
  const outcome o = feed(input);
  EXPECT_EQ(o.status, o.why == refusal::none ? o.status : hello_status::refused);
  // Byte by byte, the same; and it is decided by the last byte that it says.
  std::vector<std::size_t> each;
  for (std::size_t i = 1; i <= input.size(); ++i) each.push_back(i);
  EXPECT_EQ(feed(input, each), o);
  if (o.status != hello_status::incomplete && o.seen > 0) {
    EXPECT_EQ(
        feed(hello_bytes(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(o.seen - 1))).status,
        hello_status::incomplete);
  }
  return o.why;
}
refusal why_built(const hello_builder& hello) { return why(hello.records()); }
/// Of a hello whose body is this.
refusal why_body(const hello_bytes& body) {
  return why(hello_builder::records_of(hello_builder::message_of(body)));
}

std::vector<std::uint16_t> list(const tls::code_list& from) { return {from.begin(), from.end()}; }

TEST(ClientHello, IsWhatTheClientSent) {
  const hello_builder chrome;
  const hello_bytes message = chrome.message();
  tls::client_hello hello;
  ASSERT_EQ(hello.assign(message), refusal::none);
  EXPECT_EQ(hello.legacy_version(), 0x0303);
  EXPECT_EQ(hello.highest_version(), 0x0304);
  EXPECT_EQ(hello.random().size(), 32U);
  EXPECT_EQ(hello.random()[31], 31);
  EXPECT_THAT(hello.session_id(), ElementsAreArray(chrome.session_id));
  EXPECT_EQ(list(hello.ciphers()).size(), 16U);
  EXPECT_EQ(list(hello.ciphers())[1], 0x1301);
  EXPECT_THAT(hello.compression_methods(), ElementsAre(0));
  std::vector<std::uint16_t> types;
  for (const tls::extension& e : hello.extensions()) {
    EXPECT_THAT(e.data, ElementsAreArray(hello_builder().data(e.type)));
    types.push_back(e.type);
  }
  std::vector<std::uint16_t> sent;
  for (const auto& [type, data] : chrome.extensions) sent.push_back(type);
  EXPECT_EQ(types, sent);
  EXPECT_EQ(hello.server_name(), "example.org");
  const auto alpn = hello.alpn();
  EXPECT_EQ((std::vector<std::string>{alpn.begin(), alpn.end()}),
            (std::vector<std::string>{"h2", "http/1.1"}));
  EXPECT_THAT(list(hello.groups()), ElementsAre(0x3a3a, 0x11ec, 0x1d, 0x17, 0x18));
  EXPECT_THAT(list(hello.signature_algorithms()),
              ElementsAre(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601));
  EXPECT_THAT(list(hello.versions()), ElementsAre(0x4a4a, 0x0304, 0x0303));
  EXPECT_THAT(hello.point_formats(), ElementsAre(0));
  std::vector<std::pair<std::uint16_t, std::size_t>> shares;
  for (const tls::key_share& s : hello.key_shares()) shares.emplace_back(s.group, s.key.size());
  EXPECT_THAT(shares, ElementsAre(std::pair{0x3a3a, 1U}, std::pair{0x11ec, 1216U}, std::pair{0x1d, 32U}));
  EXPECT_TRUE(hello.has_grease());
}

TEST(ClientHello, WithoutExtensionsHasEmptyLists) {
  hello_builder old;
  old.version = 0x0301;
  old.ciphers = codes({0x0005, 0x0035});
  old.session_id.clear();
  for (const bool block : {false, true}) {
    old.extensions.clear();
    old.extension_block = block;
    const hello_bytes message = old.message();
    tls::client_hello hello;
    ASSERT_EQ(hello.assign(message), refusal::none);
    EXPECT_EQ(hello.highest_version(), 0x0301);
    EXPECT_FALSE(hello.server_name());
    EXPECT_FALSE(hello.has_server_name());
    EXPECT_TRUE(hello.session_id().empty() && hello.extensions().empty() && hello.alpn().empty());
    EXPECT_TRUE(hello.groups().empty() && hello.versions().empty() && hello.key_shares().empty());
    EXPECT_TRUE(hello.signature_algorithms().empty() && hello.point_formats().empty());
    EXPECT_FALSE(hello.has_grease());
  }
}

TEST(ClientHello, IsEmptyOnceAssignmentFailed) {
  const hello_bytes message = hello_builder().message();
  tls::client_hello hello;
  ASSERT_EQ(hello.assign(message), refusal::none);
  ASSERT_EQ(hello.assign({message.data(), message.size() - 1}), refusal::truncated);
  EXPECT_TRUE(hello.ciphers().empty() && hello.extensions().empty() && hello.random().empty());
  EXPECT_FALSE(hello.server_name());
}

TEST(ClientHello, GreaseIsSixteenCodes) {
  int count = 0;
  for (unsigned code = 0; code <= 0xffff; ++code) count += tls::is_grease(static_cast<std::uint16_t>(code));
  EXPECT_EQ(count, 16);
  EXPECT_TRUE(tls::is_grease(0x0a0a) && tls::is_grease(0xfafa));
  EXPECT_FALSE(tls::is_grease(0x0a1a) || tls::is_grease(0x1a0a));
}

TEST(ClientHello, GreaseIsFoundInEveryList) {
  hello_builder hello;
  hello.ciphers = codes({0x1301});
  hello.extensions.clear();
  const auto greases = [](const hello_builder& h) {
    const hello_bytes message = h.message();
    tls::client_hello view;
    EXPECT_EQ(view.assign(message), refusal::none);
    return view.has_grease();
  };
  EXPECT_FALSE(greases(hello));
  for (const std::uint16_t type : std::initializer_list<std::uint16_t>{10, 13}) {
    hello_builder with = hello;
    with.data(type) = list_16(codes({0x001d}));
    EXPECT_FALSE(greases(with));
    with.data(type) = list_16(codes({0x001d, 0xfafa}));
    EXPECT_TRUE(greases(with)) << type;
  }
  hello_builder with = hello;
  with.data(43) = list_8(codes({0x0304, 0x0a0a}));
  EXPECT_TRUE(greases(with));
  with = hello;
  with.data(0xbaba);
  EXPECT_TRUE(greases(with));
  with = hello;
  with.ciphers = codes({0x1301, 0x5a5a});
  EXPECT_TRUE(greases(with));
}

TEST(ClientHello, WorksInConstantExpressions) {
  constexpr bool works = [] {
    std::array<std::uint8_t, 4 + 2 + 32 + 1 + 4 + 2 + 2 + 9> message{1, 0, 0, 52, 3, 3};
    message[39] = 2;  // one cipher suite; in front of it, the session id
    message[38] = 0;
    std::size_t at = 39;
    for (const int byte : {0, 2, 0x13, 1, 1, 0, 0, 9, 0, 43, 0, 5, 4, 0x0a, 0x0a, 3, 4})
      message[at++] = static_cast<std::uint8_t>(byte);
    std::array<std::uint8_t, 128> buffer{};
    hello_parser parser(buffer);
    const std::array<std::uint8_t, 5> header{22, 3, 1, 0, message.size()};
    return parser.look(header) == hello_status::incomplete &&
           parser.look(message) == hello_status::complete && *parser.hello().ciphers().begin() == 0x1301 &&
           parser.hello().highest_version() == 0x0304;
  }();
  EXPECT_TRUE(works);
}

TEST(HelloParser, SplitAnywhereSaysTheSame) {
  const hello_bytes input = join({hello_builder().records(700), {23, 3, 3, 0, 1, 0}});
  const outcome whole = feed(input);
  EXPECT_EQ(whole.status, hello_status::complete);
  EXPECT_EQ(whole.message, hello_builder().message());
  EXPECT_EQ(whole.seen, input.size() - 6);
  for (std::size_t at = 0; at <= input.size(); ++at) EXPECT_EQ(feed(input, {at, input.size()}), whole) << at;
  EXPECT_EQ(why(input), refusal::none);
}

TEST(HelloParser, RecordsOfAnySizeMakeTheSameHello) {
  const hello_bytes message = hello_builder().message();
  for (const std::size_t fragment : std::initializer_list<std::size_t>{1, 2, 3, 4, 5, 41, 500, 16384}) {
    const outcome o = feed(hello_builder().records(fragment));
    EXPECT_EQ(o.status, hello_status::complete);
    EXPECT_EQ(o.message, message);
    EXPECT_EQ(o.seen, hello_builder().records(fragment).size());
  }
}

TEST(HelloParser, EveryBeginningIsIncomplete) {
  const hello_bytes input = hello_builder().records(300);
  for (std::size_t n = 0; n < input.size(); ++n) {
    const outcome o = feed(hello_bytes(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(n)));
    EXPECT_EQ(o.status, hello_status::incomplete);
    EXPECT_TRUE(o.message.empty());
    EXPECT_EQ(o.seen, n);
  }
}

TEST(HelloParser, WhatFollowsTheHelloIsNotLookedAt) {
  const hello_bytes message = hello_builder().message();
  // Another message in the same record, a record of another kind, a second hello, no TLS at all.
  for (const hello_bytes& input : {hello_builder::records_of(join({message, {16, 0, 0, 0}})),
                                   join({hello_builder().records(), {23, 9, 9}}),
                                   join({hello_builder().records(), hello_builder().records()}),
                                   join({hello_builder().records(), {0}})}) {
    const outcome o = feed(input);
    EXPECT_EQ(o.status, hello_status::complete);
    EXPECT_EQ(o.message, message);
    EXPECT_EQ(o.seen, message.size() + 5);
  }
}

TEST(HelloParser, OtherProtocolsHaveNames) {
  const auto bytes = [](std::string_view t) { return hello_bytes(t.begin(), t.end()); };
  EXPECT_EQ(why(bytes("GET / HTTP/1.1\r\n")), refusal::plain_text);
  EXPECT_EQ(why(bytes("SSH-2.0-x\r\n")), refusal::plain_text);
  EXPECT_EQ(why({0x80, 46, 1, 3, 1}), refusal::ssl2);
  EXPECT_EQ(why({0xff, 0xff, 1}), refusal::ssl2);
  EXPECT_EQ(why({0x80, 22, 3}), refusal::not_tls);
  EXPECT_EQ(why({0}), refusal::not_tls);
  EXPECT_EQ(why({25}), refusal::not_tls);
  EXPECT_EQ(why({19}), refusal::not_tls);
  for (const std::uint8_t type : std::initializer_list<std::uint8_t>{20, 21, 23, 24})
    EXPECT_EQ(why({type, 3, 3}), refusal::not_handshake);
  EXPECT_EQ(why({22, 2}), refusal::record_version);
  EXPECT_EQ(why({22, 0xfe, 0xff}), refusal::record_version);  // DTLS
  EXPECT_EQ(why({22, 3, 77, 0, 1, 1}), refusal::none);        // whatever the minor version
}

TEST(HelloParser, RecordsHaveBounds) {
  EXPECT_EQ(why({22, 3, 1, 0, 0}), refusal::record_empty);
  EXPECT_EQ(why({22, 3, 1, 0x40, 1}), refusal::record_too_long);
  EXPECT_EQ(why({22, 3, 1, 0x40, 0}), refusal::none);
  const hello_bytes first = hello_builder::records_of({1, 0, 2, 0, 3, 3, 9});
  for (const std::uint8_t type : std::initializer_list<std::uint8_t>{20, 21, 23, 24, 0, 0x80, 71})
    EXPECT_EQ(why(join({first, {type}})), refusal::record_interleaved);
  EXPECT_EQ(why(join({first, {22, 3, 3, 0, 0}})), refusal::record_empty);
  EXPECT_EQ(why(join({first, {22, 4}})), refusal::record_version);
}

TEST(HelloParser, OtherMessagesAreRefusedByTheirFirstByte) {
  for (const std::uint8_t type : std::initializer_list<std::uint8_t>{0, 2, 11, 16, 255}) {
    const hello_bytes input{22, 3, 3, 0, 9, type, 0, 0, 5, 1};
    EXPECT_EQ(why(input), refusal::not_client_hello);
    EXPECT_EQ(feed(input).seen, 6U);
  }
}

TEST(HelloParser, AHelloOf16MiBIsRefusedWithItsLength) {
  const outcome o = feed({22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff, 3});
  EXPECT_EQ(o.why, refusal::too_large);
  EXPECT_EQ(o.seen, 9U);
}

TEST(HelloParser, TheBufferIsTheBound) {
  const hello_bytes input = hello_builder().records();
  const std::size_t size = input.size() - 5;
  EXPECT_EQ(feed(input, size).status, hello_status::complete);
  EXPECT_EQ(feed(input, size - 1).why, refusal::too_large);
  EXPECT_EQ(feed(input, size - 1).seen, 9U);
  for (std::size_t room = 0; room < 4; ++room) EXPECT_EQ(feed(input, room).why, refusal::too_large) << room;
  // Of the greatest size, in the smallest records: what a client can make somebody hold.
  hello_builder largest;
  largest.data(21).resize(hello_parser::max_hello - largest.message().size());
  const outcome o = feed(largest.records(1));
  EXPECT_EQ(o.status, hello_status::complete);
  EXPECT_EQ(o.seen, 6 * hello_parser::max_hello);
}

TEST(HelloParser, EveryFieldMustBeThere) {
  hello_builder hello;
  hello.remove(51);  // which is long, and in no way special here
  const hello_bytes body = hello.body();
  const std::size_t extensions_at = 2 + 32 + 33 + 2 + 32 + 2;
  for (std::size_t n = 0; n < body.size(); ++n) {
    const refusal r = why_body(hello_bytes(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(n)));
    EXPECT_EQ(r, n < extensions_at    ? refusal::truncated
                 : n == extensions_at ? refusal::none
                                      : refusal::extensions_invalid)
        << n;
  }
  EXPECT_EQ(why_body(join({body, {0}})), refusal::extensions_invalid);
}

TEST(HelloParser, ListsOfTheHelloItselfAreJudged) {
  hello_builder h;
  h.session_id.push_back(0);
  EXPECT_EQ(why_built(h), refusal::session_id_invalid);
  h = {};
  h.ciphers.clear();
  EXPECT_EQ(why_built(h), refusal::ciphers_invalid);
  h.ciphers = {0x13, 1, 0x13};
  EXPECT_EQ(why_built(h), refusal::ciphers_invalid);
  h.ciphers = hello_bytes(2 * tls::client_hello::max_codes, 1);
  EXPECT_EQ(why_built(h), refusal::none);
  h.ciphers = hello_bytes(2 * tls::client_hello::max_codes + 2, 1);
  EXPECT_EQ(why_built(h), refusal::ciphers_too_many);
  h = {};
  h.compression.clear();
  EXPECT_EQ(why_built(h), refusal::compression_invalid);
  h.compression = {1, 0, 64};
  EXPECT_EQ(why_built(h), refusal::none);
}

TEST(HelloParser, ExtensionsAreJudged) {
  hello_builder h;
  h.extensions.clear();
  for (unsigned i = 0; i < tls::client_hello::max_extensions; ++i)
    h.data(static_cast<std::uint16_t>(1000 + i));
  EXPECT_EQ(why_built(h), refusal::none);
  h.data(60000);
  EXPECT_EQ(why_built(h), refusal::extensions_too_many);
  for (const std::uint16_t type :
       std::initializer_list<std::uint16_t>{23, 63, 64, 0xff01, 0x2a2a}) {  // GREASE is no exception
    h = {};
    h.extensions.emplace_back(type, hello_bytes());
    if (type == 63 || type == 64) {
      EXPECT_EQ(why_built(h), refusal::none);
      h.extensions.emplace_back(type, hello_bytes());
    }
    EXPECT_EQ(why_built(h), refusal::extension_repeated) << type;
  }
  // The last one claims a byte more than there is; then it is cut inside of its header.
  h = {};
  const hello_bytes body = h.body();
  hello_bytes lying = body;
  lying[lying.size() - 2] = 2;
  EXPECT_EQ(why_body(lying), refusal::extension_truncated);
  h.extension_block = false;
  for (std::size_t n = 1; n < 4; ++n)
    EXPECT_EQ(why_body(join({h.body(), list_16(hello_bytes(n))})), refusal::extension_truncated);
}

TEST(HelloParser, ContentsOfExtensionsAreJudged) {
  struct one {
    std::uint16_t type;
    hello_bytes data;
    refusal why;
  };
  const auto name = [](std::string_view n) { return synfp::test::server_name(n); };
  const std::vector<one> all{
      {0, {}, refusal::server_name_invalid},
      {0, {0, 0}, refusal::server_name_invalid},
      {0, {0, 3, 0, 0, 0}, refusal::server_name_invalid},
      {0, {0, 4, 1, 0, 1, 'a'}, refusal::server_name_invalid},                // no host name
      {0, {0, 4, 0, 0, 2, 'a'}, refusal::server_name_invalid},                // the name's length lies
      {0, {0, 5, 0, 0, 1, 'a'}, refusal::server_name_invalid},                // the list's
      {0, {0, 4, 0, 0, 1, 'a', 'b'}, refusal::server_name_invalid},           // something behind
      {0, {0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'}, refusal::server_name_invalid},  // two
      {0, name(std::string_view("a\0b", 3)), refusal::server_name_invalid},
      {0, name("a"), refusal::none},
      {0, name("192.0.2.1"), refusal::none},
      {0, name("\x01\xff"), refusal::none},
      {16, {}, refusal::alpn_invalid},
      {16, {0, 0}, refusal::alpn_invalid},
      {16, {0, 1, 0}, refusal::alpn_invalid},
      {16, {0, 3, 2, 'h', '2', 0}, refusal::alpn_invalid},
      {16, {0, 4, 2, 'h', '2', 0}, refusal::alpn_invalid},
      {16, {0, 3, 3, 'h', '2'}, refusal::alpn_invalid},
      {16, {0, 2, 1, 0}, refusal::none},
      {51, {}, refusal::key_shares_invalid},
      {51, {0, 0}, refusal::none},  // asks for a HelloRetryRequest
      {51, {0, 4, 0, 29, 0, 0}, refusal::key_shares_invalid},
      {51, {0, 5, 0, 29, 0, 2, 1}, refusal::key_shares_invalid},
      {51, {0, 3, 0, 29, 0}, refusal::key_shares_invalid},
      {51, {0, 5, 0, 29, 0, 1, 1, 9}, refusal::key_shares_invalid},
      {43, {}, refusal::versions_invalid},
      {43, {0}, refusal::versions_invalid},
      {43, {1, 3}, refusal::versions_invalid},
      {43, {2, 3, 4, 3}, refusal::versions_invalid},
      {43, {4, 3, 4, 3}, refusal::versions_invalid},
      {11, {}, refusal::point_formats_invalid},
      {11, {0}, refusal::point_formats_invalid},
      {11, {2, 0}, refusal::point_formats_invalid},
      {11, {1, 0, 0}, refusal::point_formats_invalid},
  };
  for (const one& o : all) {
    hello_builder h;
    h.data(o.type) = o.data;
    EXPECT_EQ(why_built(h), o.why) << o.type << ": " << testing::PrintToString(o.data);
  }
  for (const auto& [type, wrong] :
       {std::pair{10, refusal::groups_invalid}, std::pair{13, refusal::signature_algorithms_invalid}}) {
    for (const hello_bytes& data :
         {hello_bytes{}, hello_bytes{0}, hello_bytes{0, 0}, hello_bytes{0, 1, 4}, hello_bytes{0, 4, 4, 3},
          hello_bytes{0, 2, 4, 3, 4}, list_16(hello_bytes(2 * tls::client_hello::max_codes + 2))}) {
      hello_builder h;
      h.data(static_cast<std::uint16_t>(type)) = data;
      EXPECT_EQ(why_built(h), wrong) << testing::PrintToString(data);
    }
  }
}

TEST(HelloParser, EveryReasonHasWords) {
  for (unsigned r = 0; r <= static_cast<unsigned>(refusal::key_shares_invalid); ++r)
    EXPECT_NE(to_string(static_cast<refusal>(r)), "unknown") << r;
  EXPECT_EQ(to_string(static_cast<refusal>(200)), "unknown");
}

TEST(HelloParser, MutatedHellosSaySplitOrNotTheSame) {
  std::mt19937 random(7);
  const auto below = [&random](std::size_t n) { return random() % n; };
  int complete = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    hello_bytes input = hello_builder().records(1 + below(900));
    for (std::size_t i = below(4); i > 0; --i)
      input[below(input.size())] = static_cast<std::uint8_t>(random());
    std::vector<std::size_t> ends{below(input.size()), below(input.size()), input.size()};
    std::sort(ends.begin(), ends.end());
    const outcome whole = feed(input);
    ASSERT_EQ(feed(input, ends), whole);
    complete += whole.status == hello_status::complete;
    refused += whole.status == hello_status::refused;
  }
  EXPECT_GT(complete, 300);
  EXPECT_GT(refused, 100);
}

}  // namespace
