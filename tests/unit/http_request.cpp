// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <type_traits>

#include <synfp/http/accept.hpp>
#include <synfp/http/request.hpp>

namespace {

using synfp::endpoint;
namespace http = synfp::http;

TEST(http_request, shows_what_was_parsed) {
  std::string bytes =
      "PUT /a?b=c HTTP/1.0\r\nHost: h:1\r\nX-One: 1\r\nx-one: 2\r\nConnection: keep-alive\r\nContent-Length: "
      "2\r\n\r\nhi";
  http::request_parser parser;
  ASSERT_EQ(parser.parse(bytes), http::parse_status::complete);
  const endpoint peer = *endpoint::parse("192.0.2.1:5");
  const endpoint local = *endpoint::parse("[::1]:8080");
  const http::request r(parser, peer, local);
  EXPECT_EQ(r.method(), http::method::put);
  EXPECT_EQ(r.method_text(), "PUT");
  EXPECT_EQ(r.target(), "/a?b=c");
  EXPECT_EQ(r.path(), "/a");
  EXPECT_EQ(r.query(), "b=c");
  EXPECT_EQ(r.version_minor(), 0);
  EXPECT_EQ(r.host(), "h:1");
  EXPECT_EQ(r.body(), "hi");
  EXPECT_TRUE(r.keep_alive());
  EXPECT_EQ(r.header("X-ONE"), "1");
  EXPECT_EQ(r.header("x-on"), std::nullopt);
  EXPECT_EQ(r.header(""), std::nullopt);
  EXPECT_EQ(r.peer(), peer);
  EXPECT_EQ(r.local(), local);
  EXPECT_FALSE(r.syn());
  std::string seen;
  for (const http::header_field f : r.headers())
    seen += std::string(f.name) + "=" + std::string(f.value) + ";";
  EXPECT_EQ(seen, "Host=h:1;X-One=1;x-one=2;Connection=keep-alive;Content-Length=2;");
  EXPECT_EQ(r.headers().size(), 5U);
}

TEST(http_request, says_what_it_accepts) {
  const auto weight = [](const std::string& fields, std::string_view type) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
    http::request_parser parser;
    if (parser.parse(bytes) != http::parse_status::complete) ADD_FAILURE() << fields;
    const endpoint e;
    return http::accept_weight(http::request(parser, e, e), type);
  };
  EXPECT_EQ(weight("", "a/b"), 0U);
  EXPECT_EQ(weight("Accept: a/b\r\n", "a/b"), 1000U);
  EXPECT_EQ(weight("Accept: x/y ,A/B ; level=1; Q=0.25\r\n", "a/b"), 250U);
  EXPECT_EQ(weight("Accept: a/b;q=0.5, a/b;q=0.75, a/b;q=0.1\r\n", "a/b"), 750U);
  EXPECT_EQ(weight("Accept: x/y\r\nAccept: a/b;q=0.001\r\n", "a/b"), 1U);
  for (const char* none :
       {"*/*", "a/*", "a/bc", "a/b;q=0", "a/b;q=0.000", "a/b;q=2", "a/b;q=x", "a/b;q=0.1234", ",", ";"})
    EXPECT_EQ(weight(std::string("Accept: ") + none + "\r\n", "a/b"), 0U) << none;
}

TEST(http_request, a_request_without_fields) {
  std::string bytes = "GET / HTTP/1.0\r\n\r\n";
  http::request_parser parser;
  ASSERT_EQ(parser.parse(bytes), http::parse_status::complete);
  const endpoint e;
  const http::request r(parser, e, e);
  EXPECT_TRUE(r.headers().begin() == r.headers().end());
  EXPECT_EQ(r.host(), "");
  EXPECT_EQ(r.query(), "");
  EXPECT_EQ(r.body(), "");
}

// A parser that dies with the full expression would leave a dangling request.
static_assert(
    !std::is_constructible_v<http::request, http::request_parser&&, const endpoint&, const endpoint&>);
static_assert(
    std::is_constructible_v<http::request, const http::request_parser&, const endpoint&, const endpoint&>);

TEST(http_method, names_are_case_sensitive) {
  for (const auto name : {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}) {
    EXPECT_EQ(to_string(http::method_from(name)), name);
  }
  for (const auto name : {"get", "Get", "GETX", "", "PROPFIND"}) {
    EXPECT_EQ(http::method_from(name), http::method::other) << name;
  }
}

}  // namespace
