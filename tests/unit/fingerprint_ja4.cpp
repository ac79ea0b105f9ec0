// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/fingerprint/detail/sha256.hpp>
#include <synfp/fingerprint/ja3.hpp>
#include <synfp/fingerprint/ja4.hpp>
#include <synfp/tls/client_hello.hpp>

#include "../support/hello_builder.hpp"

namespace {

using namespace synfp;
using synfp::test::codes;
using synfp::test::hello_builder;
using synfp::test::hello_bytes;
using synfp::test::list_16;
using synfp::test::list_8;

/// A fingerprint of the hello, as text.
template <class Function>
std::string of(const hello_builder& hello, Function fingerprint) {
  const hello_bytes message = hello.message();
  tls::client_hello view;
  EXPECT_EQ(view.assign(message), tls::refusal::none);
  return std::string(fingerprint(view).view());
}
std::string ja4(const hello_builder& h) { return of(h, fingerprint::ja4); }
std::string ja4_r(const hello_builder& h) { return of(h, fingerprint::ja4_r); }
std::string ja4_o(const hello_builder& h) { return of(h, fingerprint::ja4_o); }
std::string ja4_ro(const hello_builder& h) { return of(h, fingerprint::ja4_ro); }
std::string ja3(const hello_builder& h) { return of(h, fingerprint::ja3); }
std::string ja3_full(const hello_builder& h) { return of(h, fingerprint::ja3_full); }
std::string steady(const hello_builder& h) { return of(h, fingerprint::steady); }

/// What FoxIO's own tests take, and say.
hello_builder foxio() {
  hello_builder h;
  const hello_builder usual;
  h.extensions.clear();
  for (const std::uint16_t type :
       std::initializer_list<std::uint16_t>{0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d,
                                            0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015}) {
    h.data(type);
    for (const auto& [t, data] : usual.extensions) {
      if (t == type) h.data(type) = data;
    }
  }
  return h;
}

TEST(Ja4, IsFoxios) {
  EXPECT_EQ(ja4(foxio()), "t13d1516h2_8daaf6152771_e5627efa2ab1");
  EXPECT_EQ(ja4_r(foxio()),
            "t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_"
            "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_"
            "0403,0804,0401,0503,0805,0501,0806,0601");
  EXPECT_EQ(ja4_o(foxio()), "t13d1516h2_acb858a92679_18f69afefd3d");
  EXPECT_EQ(ja4_ro(foxio()),
            "t13d1516h2_1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035_"
            "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015_"
            "0403,0804,0401,0503,0805,0501,0806,0601");
}

TEST(Ja4, IsThatOfARealChrome) { EXPECT_EQ(ja4(hello_builder()), "t13d1516h2_8daaf6152771_d8a2da3f94cd"); }

TEST(Ja4, ShufflingMakesNoDifference) {
  std::mt19937 random(5);
  hello_builder h;
  for (int i = 0; i < 50; ++i) {
    std::shuffle(h.extensions.begin(), h.extensions.end(), random);
    EXPECT_EQ(ja4(h), ja4(hello_builder()));
    EXPECT_EQ(steady(h), steady(hello_builder()));
  }
  EXPECT_NE(ja4_o(h), ja4_o(hello_builder()));
  EXPECT_NE(ja3(h), ja3(hello_builder()));
}

TEST(Ja4, SignatureAlgorithmsStayInOrder) {
  hello_builder h;
  h.data(13) = list_16(codes({0x0804, 0x0403}));
  EXPECT_TRUE(ja4_r(h).ends_with("ff01_0804,0403"));
  h.data(13) = list_16(codes({0x0403, 0x0804}));
  EXPECT_TRUE(ja4_r(h).ends_with("ff01_0403,0804"));
}

TEST(Ja4, GreaseCountsNowhere) {
  hello_builder h, without;
  std::erase_if(without.extensions, [](const auto& e) { return tls::is_grease(e.first); });
  without.ciphers.erase(without.ciphers.begin(), without.ciphers.begin() + 2);
  without.data(43) = list_8(codes({0x0304, 0x0303}));
  without.data(10) = list_16(codes({0x11ec, 0x001d, 0x0017, 0x0018}));
  for (const auto& f : {ja4, ja4_r, ja4_o, ja4_ro, ja3, ja3_full, steady}) EXPECT_EQ(f(h), f(without));
  // Chromium 152 puts it into the signature algorithms, too.
  h.data(13) = list_16(codes({0x9a9a, 0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601}));
  EXPECT_EQ(ja4(h), ja4(without));
  h.data(13) = list_16(codes({0x9a9a}));
  EXPECT_TRUE(ja4_r(h).ends_with(",ff01"));
}

TEST(Ja4, VersionIsTheHighestOffered) {
  const auto with = [](const std::vector<std::uint16_t>& versions, std::uint16_t legacy = 0x0303) {
    hello_builder h;
    h.version = legacy;
    h.remove(43);
    if (!versions.empty()) h.data(43) = list_8(codes(versions));
    return ja4(h).substr(0, 3);
  };
  EXPECT_EQ(with({0x0303, 0x0304, 0x0302}), "t13");
  EXPECT_EQ(with({0xfafa, 0x0303}), "t12");
  EXPECT_EQ(with({0x0302}), "t11");
  EXPECT_EQ(with({0x7f1c}), "t00");  // a draft of TLS 1.3
  EXPECT_EQ(with({0x0a0a}), "t00");
  EXPECT_EQ(with({}), "t12");
  EXPECT_EQ(with({}, 0x0301), "t10");
  EXPECT_EQ(with({}, 0x0300), "ts3");
  EXPECT_EQ(with({}, 0x0002), "ts2");
  EXPECT_EQ(with({}, 0xfefd), "td2");
  EXPECT_EQ(with({}, 0x0399), "t00");
}

TEST(Ja4, ServerNameIsTold) {
  hello_builder h;
  EXPECT_EQ(ja4(h)[3], 'd');
  const std::string hashes = ja4(h).substr(10);
  h.remove(0);
  EXPECT_EQ(ja4(h).substr(0, 10), "t13i1515h2");
  EXPECT_EQ(ja4(h).substr(10), hashes);
}

TEST(Ja4, ProtocolIsShownByItsEnds) {
  const auto with = [](std::string_view protocol) {
    hello_builder h;
    h.data(16) = list_16(synfp::test::join({list_8(synfp::test::text(protocol)), list_8({'x'})}));
    return ja4(h).substr(8, 2);
  };
  EXPECT_EQ(with("h2"), "h2");
  EXPECT_EQ(with("http/1.1"), "h1");
  EXPECT_EQ(with("h"), "hh");
  EXPECT_EQ(with("Zz09"), "Z9");
  EXPECT_EQ(with("\xab"), "ab");
  EXPECT_EQ(with("\xab\xcd"), "ad");
  EXPECT_EQ(with("\x30\xab"), "3b");
  EXPECT_EQ(with("\x30\x31\xab\xcd"), "3d");
  EXPECT_EQ(with("\x30\xab\xcd\x31"), "01");
  EXPECT_EQ(with(" "), "20");
  EXPECT_EQ(with("a "), "60");
  EXPECT_EQ(with("\x1a\x1a"), "1a");  // GREASE
  hello_builder none;
  none.remove(16);
  EXPECT_EQ(ja4(none).substr(0, 10), "t13d151500");
}

TEST(Ja4, CountsEndAt99) {
  hello_builder h;
  h.ciphers.clear();
  h.extensions.clear();
  for (std::uint16_t i = 0; i < 99; ++i) {
    h.ciphers = synfp::test::join({h.ciphers, codes({static_cast<std::uint16_t>(0xc000 + i)})});
    h.data(static_cast<std::uint16_t>(1000 + i));
  }
  EXPECT_EQ(ja4(h).substr(0, 10), "t12i999900");
  h.ciphers = synfp::test::join({h.ciphers, codes({1})});
  h.data(2000);
  EXPECT_EQ(ja4(h).substr(0, 10), "t12i999900");
  EXPECT_EQ(ja4_r(h).size(), 10U + 1 + 100 * 5 - 1 + 1 + 100 * 5 - 1);
}

TEST(Ja4, EmptyListsAreZeros) {
  hello_builder h;
  h.ciphers = codes({0x5a5a});
  h.extensions.clear();
  EXPECT_EQ(ja4(h), "t12i000000_000000000000_000000000000");
  EXPECT_EQ(ja4_o(h), "t12i000000_000000000000_000000000000");
  EXPECT_EQ(ja4_r(h), "t12i000000__");
  EXPECT_EQ(steady(h), "s12i000000_000000000000_000000000000");
  EXPECT_EQ(ja3_full(h), "771,,,,");
  h.data(0) = synfp::test::server_name("a");
  EXPECT_EQ(ja4(h), "t12d000100_000000000000_000000000000");
  EXPECT_EQ(ja4_ro(h), "t12d000100__0000");
}

TEST(Ja4, TheLongestTextsFit) {
  hello_builder h;
  h.version = 0xffff;
  h.ciphers = hello_bytes(2 * tls::client_hello::max_codes, 0xff);
  h.extensions = {{0, synfp::test::server_name("a")},
                  {16, list_16(list_8({'h', '2'}))},
                  {43, list_8(codes({0x0304}))},
                  {10, list_16(hello_bytes(2 * tls::client_hello::max_codes, 0xff))},
                  {11, list_8(hello_bytes(255, 255))},
                  {13, list_16(hello_bytes(2 * tls::client_hello::max_codes, 0xff))}};
  std::uint16_t type = 65535;
  while (h.extensions.size() < tls::client_hello::max_extensions) {
    if (!tls::is_grease(type)) h.data(type);
    --type;
  }
  EXPECT_EQ(ja4_ro(h).size(), 6410U);
  // All but six types have five digits; these have eleven together.
  EXPECT_EQ(ja3_full(h).size(), 8705U - 6 * 5 + 11);
  EXPECT_EQ(ja3_full(h).substr(8705 - 6 * 5 + 11 - 8), "-255-255");
  EXPECT_EQ(ja4(h).substr(0, 10), "t13d9999h2");
}

TEST(Ja3, IsAListOfDecimals) {
  EXPECT_EQ(ja3_full(hello_builder()),
            "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,"
            "45-16-51-0-65037-23-17613-10-11-5-43-65281-18-35-27-13,4588-29-23-24,0");
  EXPECT_EQ(ja3(hello_builder()), "4b0bbab5c1574817ec4a0010d457d710");
  hello_builder old;
  old.version = 0x0301;
  old.extensions.clear();
  old.extension_block = false;
  old.ciphers = codes({4, 5, 10});
  EXPECT_EQ(ja3_full(old), "769,4-5-10,,,");
  old.extensions = {{11, list_8({0, 1, 2})}, {10, list_16(codes({23, 0x0a0a, 24}))}};
  old.extension_block = true;
  EXPECT_EQ(ja3_full(old), "769,4-5-10,11-10,23-24,0-1-2");
}

TEST(Steady, StaysWhenASessionIsResumed) {
  const hello_builder fresh;
  EXPECT_EQ(steady(fresh).substr(0, 11), "s13d1515h2_");
  EXPECT_EQ(steady(fresh).substr(11, 12), ja4(fresh).substr(11, 12));
  hello_builder resumed;
  resumed.data(41) = hello_bytes(100, 1);
  resumed.data(42);
  resumed.remove(35);
  resumed.data(21) = hello_bytes(17);
  EXPECT_NE(ja4(resumed), ja4(fresh));
  EXPECT_EQ(steady(resumed), steady(fresh));
  // It tells clients apart by all else.
  for (const auto& [type, data] : hello_builder().extensions) {
    if (tls::is_grease(type) || type == 35) continue;
    hello_builder other;
    other.remove(type);
    EXPECT_NE(steady(other), steady(fresh)) << type;
  }
}

TEST(Md5, KnownAnswers) {  // RFC 1321 A.5; the block boundaries by md5sum
  const auto md5 = [](std::string_view text, std::size_t piece) {
    fingerprint::detail::md5_state state;
    for (; text.size() > piece; text.remove_prefix(piece)) state.put(text.substr(0, piece));
    state.put(text);
    std::string out;
    for (const unsigned byte : state.digest()) {
      out.push_back("0123456789abcdef"[byte >> 4]);
      out.push_back("0123456789abcdef"[byte & 15]);
    }
    return out;
  };
  for (const std::size_t piece : std::initializer_list<std::size_t>{1, 3, 64, 1000}) {
    EXPECT_EQ(md5("", piece), "d41d8cd98f00b204e9800998ecf8427e");
    EXPECT_EQ(md5("a", piece), "0cc175b9c0f1b6a831c399e269772661");
    EXPECT_EQ(md5("abc", piece), "900150983cd24fb0d6963f7d28e17f72");
    EXPECT_EQ(md5("message digest", piece), "f96b697d7cb7938d525a2f31aaf161d0");
    EXPECT_EQ(md5("12345678901234567890123456789012345678901234567890123456789012345678901234567890", piece),
              "57edf4a22be3c955ac49da2e2107b67a");
    EXPECT_EQ(md5(std::string(55, 'x'), piece), "04364420e25c512fd958a70738aa8f72");
    EXPECT_EQ(md5(std::string(56, 'x'), piece), "668a72d5ba17f08e62dabcafad6db14b");
    EXPECT_EQ(md5(std::string(63, 'x'), piece), "7dc2ca208106a2f703567bdff99d8981");
    EXPECT_EQ(md5(std::string(64, 'x'), piece), "c1bb4f81d892b2d57947682aeb252456");
    EXPECT_EQ(md5(std::string(65, 'x'), piece), "1bc932052302d074bdec39795fe00cf6");
    EXPECT_EQ(md5(std::string(119, 'x'), piece), "ab347a5f68c8a443cfcddc633f12c24f");
    EXPECT_EQ(md5(std::string(120, 'x'), piece), "fb98667f98096de92620b64f46e1c5b5");
    EXPECT_EQ(md5(std::string(1000, 'x'), piece), "398533d48111e9f664b1f64cb10c4b63");
  }
}

TEST(Sha256, TwoAtOnceAndInPortableCodeAreTheSame) {
  using namespace fingerprint::detail;
  std::mt19937 random(11);
  std::string text;
  for (std::size_t size = 0; size < 300; ++size) {
    std::string one = text, other = text.substr(0, text.size() / 3);
    const auto padded = [](std::string& t) {
      const std::size_t n = t.size();
      t.resize(n + 128);
      return sha256_message{t.data(), sha256_pad(t.data() + n / 64 * 64, n)};
    };
    sha256_message a = padded(one), b = padded(other), c = a, d = b, e = a;
    sha256_finish(a, b);
    sha256_finish(d, c);  // the shorter one first
    sha256_compress(e.hash, e.block, e.blocks);
    EXPECT_EQ(a.hash, e.hash) << size;
    EXPECT_EQ(c.hash, e.hash) << size;
    EXPECT_EQ(b.hash, d.hash) << size;
    EXPECT_EQ(sha256(text)[0], e.hash[0] >> 24) << size;
    text.push_back(static_cast<char>(random()));
  }
}

TEST(Ja4, WorksInConstantExpressions) {
  constexpr auto texts = [] {
    std::array<std::uint8_t, 47> message{1, 0, 0, 43, 3, 3};
    std::size_t at = 39;  // behind an empty session id
    for (const int byte : {0, 4, 0x13, 2, 0x13, 1, 1, 0}) message[at++] = static_cast<std::uint8_t>(byte);
    tls::client_hello hello;
    (void)hello.assign(message);
    return std::pair{fingerprint::ja4(hello), fingerprint::ja3(hello)};
  };
  constexpr auto then = texts();
  const auto now = texts();
  EXPECT_EQ(then.first.view(), now.first.view());
  EXPECT_EQ(then.second.view(), now.second.view());
  EXPECT_EQ(then.first, "t12i020000_62ed6f6ca7ad_000000000000");
}

}  // namespace
