// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include <synfp/http/percent.hpp>

namespace {

namespace http = synfp::http;
using http::encoded_text;
using http::plus_sign;

std::optional<std::string> decoded(std::string_view text, plus_sign plus = plus_sign::itself) {
  const auto d = encoded_text(text, plus).decode();
  if (!d) return std::nullopt;
  EXPECT_EQ(encoded_text(text, plus), d->view());
  return std::string(d->view());
}

TEST(http_percent, decodes) {
  EXPECT_EQ(decoded(""), "");
  EXPECT_EQ(decoded("plain-._~!$&'()*+,;=:@/"), "plain-._~!$&'()*+,;=:@/");
  EXPECT_EQ(decoded("%41%7a%4A%4a"), "AzJJ");
  EXPECT_EQ(decoded("a%2Fb"), "a/b");
  EXPECT_EQ(decoded("%2541"), "%41");  // once
  EXPECT_EQ(decoded("%00"), std::string(1, '\0'));
  EXPECT_EQ(decoded("%ff%C3%a9"), "\xff\xc3\xa9");
  EXPECT_EQ(decoded("a+b%2b+", plus_sign::space), "a b+ ");
  EXPECT_EQ(decoded("a+b"), "a+b");
}

TEST(http_percent, refuses_what_is_no_escape) {
  for (const std::string_view text :
       {"%", "%4", "a%", "%4g", "%g4", "%%41", "% 41", "%+1", "%-1", "%\xc3\xa9"}) {
    EXPECT_FALSE(encoded_text(text).valid()) << text;
    EXPECT_EQ(decoded(text), std::nullopt) << text;
    EXPECT_EQ(decoded(text, plus_sign::space), std::nullopt) << text;
    EXPECT_FALSE(encoded_text(text) == text) << text;
  }
}

TEST(http_percent, every_byte) {
  for (int c = 0; c != 256; ++c) {
    char escape[4];
    std::snprintf(escape, sizeof escape, c % 2 != 0 ? "%%%02x" : "%%%02X", static_cast<unsigned>(c));
    EXPECT_EQ(decoded(escape), std::string(1, static_cast<char>(c)));
  }
}

TEST(http_percent, compares_decoded) {
  EXPECT_TRUE(encoded_text("a%20b") == "a b");
  EXPECT_TRUE("a b" == encoded_text("a+b", plus_sign::space));
  EXPECT_FALSE(encoded_text("a%20b") == "a%20b");
  EXPECT_FALSE(encoded_text("a%20b") == "a ");
  EXPECT_FALSE(encoded_text("a%20") == "a b");
  EXPECT_FALSE(encoded_text("ab") == "");
  EXPECT_TRUE(encoded_text("") == "");
}

// Only escapes cost a copy.
TEST(http_percent, copies_what_was_decoded_only) {
  const std::string text = "text without escapes + a plus";
  EXPECT_EQ(encoded_text(text).decode()->view().data(), text.data());
  EXPECT_NE(encoded_text(text, plus_sign::space).decode()->view().data(), text.data());
  for (const std::string_view escaped : {"%41", "%41 and more than a string object holds"}) {
    auto d = encoded_text(escaped).decode();
    const auto moved = *std::move(d);
    EXPECT_EQ(moved.view()[0], 'A');
    EXPECT_EQ(moved.view().size(), escaped.size() - 2);
  }
}

TEST(http_percent, numbers) {
  EXPECT_EQ(encoded_text("65535").number<std::uint16_t>(), 65535);
  EXPECT_EQ(encoded_text("-5").number<int>(), -5);
  EXPECT_EQ(encoded_text("007").number<std::uint8_t>(), 7);
  for (const std::string_view text : {"", "65536", "-1", "+1", "1 ", " 1", "0x1", "%31", "1.0"})
    EXPECT_EQ(encoded_text(text).number<std::uint16_t>(), std::nullopt) << text;
}

static_assert(encoded_text("%41b") == "Ab");
static_assert(!encoded_text("%4").valid());

}  // namespace
