// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include <synfp/endpoint.hpp>
#include <synfp/http/response.hpp>

namespace {

using namespace std::string_view_literals;
namespace http = synfp::http;

constexpr auto date = "Sun, 06 Nov 1994 08:49:37 GMT"sv;

std::string written(const http::response& r, http::response_framing framing = {}, std::string_view d = date) {
  std::string out = "before";
  write_response(out, r, framing, d);
  EXPECT_EQ(out.substr(0, 6), "before");
  return out.substr(6);
}

TEST(http_response, text) {
  EXPECT_EQ(
      written(http::text("hello\n")),
      "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Length: 6\r\n\r\nhello\n");
  EXPECT_EQ(
      written(http::text("hello\n"), {.head = true, .keep_alive = false}),
      "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Length: 6\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(written(http::json("{}"), {.http10 = true}, ""),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: "
            "keep-alive\r\n\r\n{}");
  EXPECT_EQ(written(http::json("{}"), {.keep_alive = false, .http10 = true}, ""),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: "
            "close\r\n\r\n{}");
}

TEST(http_response, bodies_come_from_every_kind_of_string) {
  const std::string standard = "a longer body that lives on the heap";
  synfp::fixed_text<8> fixed;
  fixed.append("fixed");
  EXPECT_EQ(http::text(standard).body(), standard);
  EXPECT_EQ(http::text(std::string_view(standard)).body(), standard);
  EXPECT_EQ(http::text(http::text_type("mine")).body(), "mine");
  EXPECT_EQ(http::text(fixed).body(), "fixed");
  EXPECT_EQ(http::html("x").content_type(), "text/html; charset=utf-8");
  EXPECT_EQ(http::text("a\0b"sv).body(), "a\0b"sv);
}

TEST(http_response, status_only) {
  EXPECT_EQ(written(http::status(404), {}, ""),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
            "10\r\n\r\nNot Found\n");
  EXPECT_EQ(written(http::status(204), {}, ""), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(written(http::status(304), {}, ""), "HTTP/1.1 304 Not Modified\r\n\r\n");
  EXPECT_EQ(written(http::status(205), {}, ""), "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(written(http::status(299), {}, "").substr(0, 15), "HTTP/1.1 299 \r\n");
  http::response r = http::text("no body may follow");
  r.set_status(204);
  EXPECT_EQ(written(r, {}, ""), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST(http_response, only_final_status_codes) {
  for (const int code : {-1, 0, 99, 100, 101, 199, 600, 1000})
    EXPECT_EQ(http::response(code).status(), 500) << code;
  for (const int code : {200, 299, 404, 599}) EXPECT_EQ(http::response(code).status(), code);
  http::response r;
  r.set_status(101);
  EXPECT_EQ(r.status(), 500);
}

TEST(http_response, fields) {
  http::response r = http::text("x");
  EXPECT_TRUE(r.add_header("Cache-Control", "no-store"));
  EXPECT_TRUE(r.add_header("X-Empty", ""));
  EXPECT_TRUE(r.add_header("Set-Cookie", "a=b; Path=/"));
  EXPECT_TRUE(r.add_header("Set-Cookie", "c=d\te"));
  EXPECT_TRUE(r.add_header("content-type", "image/png"));
  EXPECT_EQ(written(r, {}, ""),
            "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1\r\nCache-Control: "
            "no-store\r\nX-Empty: \r\n"
            "Set-Cookie: a=b; Path=/\r\nSet-Cookie: c=d\te\r\n\r\nx");
  EXPECT_TRUE(r.set_content_type(""));
  EXPECT_EQ(written(r, {}, "").find("Content-Type"), std::string::npos);
}

TEST(http_response, nothing_can_be_injected) {
  http::response r = http::text("x");
  const std::string before = written(r);
  for (const auto value :
       {"a\r\nX: y"sv, "a\nb"sv, "a\rb"sv, "\0"sv, "a\x7f"sv, "\x1b"sv, " a"sv, "a "sv, "\ta"sv}) {
    EXPECT_FALSE(r.add_header("X", value));
    EXPECT_FALSE(r.set_content_type(value));
    EXPECT_FALSE(r.add_header("Content-Type", value));
  }
  for (const auto name :
       {""sv, "a b"sv, "a:"sv, "a\r\nb"sv, "\xc3\xa9"sv, "a\0"sv, "Content-Length"sv, "transfer-encoding"sv,
        "CONNECTION"sv, "Date"sv, "Keep-Alive"sv, "Upgrade"sv, "Trailer"sv}) {
    EXPECT_FALSE(r.add_header(name, "1")) << name;
  }
  EXPECT_EQ(written(r), before);
}

// A handler need not know text_type.
TEST(http_response, takes_every_kind_of_text) {
  const std::string string = "some text";
  const http::text_type pooled(string);
  const auto check = [&](const http::response& r) { EXPECT_EQ(r.body(), string); };
  check(http::text(string));
  check(http::html(std::string(string)));
  check(http::json(std::string_view(string)));
  check(http::text("some text"));
  check(http::text(pooled));
  check(http::text(http::text_type(string)));
  http::response r;
  r.set_body(string);
  check(r);
  r.set_body(std::string_view(string));
  check(r);
  r.set_body("some text");
  check(r);
  r.set_body(pooled);
  check(r);
  r.set_body(http::text_type(string));
  check(r);
}

TEST(http_response, text_type_next_to_string) {
  const std::string string = "abc";
  http::text_type pooled(string);
  EXPECT_TRUE(pooled == string && string == pooled && std::string(pooled) == string);
  EXPECT_TRUE(pooled < std::string("abd") && std::string("abb") < pooled && pooled != std::string("ab"));
  pooled = string;
  pooled += string;
  std::string back;
  back = pooled;
  back += pooled;
  EXPECT_EQ(back, "abcabcabcabc");
}

}  // namespace
