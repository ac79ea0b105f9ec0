// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/http/parser.hpp>

#include "../support/http_feed.hpp"

namespace {

using namespace std::string_view_literals;
namespace http = synfp::http;
using synfp::http::limits;
using synfp::http::parse_status;
using synfp::http::refusal;
using synfp::http::request_parser;
using synfp::test::feed;
using synfp::test::feed_bytes;
using synfp::test::feed_whole;
using synfp::test::outcome;

/// The outcome of `input`, after checking that it does not depend on the way the bytes arrive.
outcome parse(std::string_view input, const limits& most = {}) {
  const outcome whole = feed_whole(input, most);
  EXPECT_TRUE(whole.views_inside) << input;
  EXPECT_TRUE(whole.same_in_pieces) << input;
  if (input.size() < 2000) {
    EXPECT_EQ(feed_bytes(input, most), whole) << input;
    for (std::size_t cut = 1; cut < input.size(); ++cut) {
      EXPECT_EQ(feed(input, {cut, input.size()}, most), whole) << input << " cut at " << cut;
    }
  }
  return whole;
}

struct refused_case {
  std::string_view input;
  int status;
  refusal why;
};

void expect_refused(const std::vector<refused_case>& cases) {
  for (const auto& c : cases) {
    const outcome o = parse(c.input);
    EXPECT_EQ(o.code(), c.status) << c.input;
    EXPECT_EQ(o.why, c.why) << c.input << " -> " << to_string(o.why);
  }
}

/// A request with these field lines besides Host.
std::string with(std::string_view fields, std::string_view body = "", std::string_view version = "1.1") {
  return "POST /x HTTP/" + std::string(version) + "\r\nHost: a\r\n" + std::string(fields) + "\r\n" +
         std::string(body);
}

std::string chunked(std::string_view body) { return with("Transfer-Encoding: chunked\r\n", body); }

void expect_refused_fields(std::string_view fields, int status, refusal why,
                           std::string_view version = "1.1") {
  const std::string text = with(fields, "", version);
  expect_refused({{text, status, why}});
}

TEST(http_parser, reads_a_request) {
  const auto input =
      "POST /a/b%20c?x=1&y=?# HTTP/1.1\r\nHost: Example.com:8080\r\nX-Empty:\r\nX-Tab:\t a\tb \t\r\n"
      "X-Obs: d\xc3\xbcsseldorf\r\nContent-Length: 5\r\n\r\nhelloGET"sv;
  EXPECT_EQ(parse(input).why, refusal::target_fragment);
  std::string good(input);
  good.erase(good.find('#'), 1);
  const outcome o = parse(good);
  ASSERT_EQ(o.code(), 0);
  EXPECT_EQ(o.method, "POST");
  EXPECT_EQ(o.target, "/a/b%20c?x=1&y=?");
  EXPECT_EQ(o.path, "/a/b%20c");
  EXPECT_EQ(o.query, "x=1&y=?");
  EXPECT_EQ(o.host, "Example.com:8080");
  EXPECT_EQ(o.body, "hello");
  EXPECT_EQ(o.consumed, good.size() - 3);
  EXPECT_EQ(o.minor, 1);
  EXPECT_TRUE(o.keep_alive);
  ASSERT_EQ(o.headers.size(), 5U);
  EXPECT_EQ(o.headers[1], (std::pair<std::string, std::string>("X-Empty", "")));
  EXPECT_EQ(o.headers[2], (std::pair<std::string, std::string>("X-Tab", "a\tb")));
  EXPECT_EQ(o.headers[3], (std::pair<std::string, std::string>("X-Obs", "d\xc3\xbcsseldorf")));
}

TEST(http_parser, lines_end_with_crlf_only) {
  expect_refused({
      {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, refusal::bare_lf},
      {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, refusal::bare_lf},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, refusal::bare_lf},
      {"GET / HTTP/1.1\n\n", 400, refusal::bare_lf},
      {"GET / HTTP/1.1\rHost: a\r\n\r\n", 400, refusal::bare_cr},
      {"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400, refusal::bare_cr},
      {"GET \r/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, refusal::bare_cr},
      {"G\rET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, refusal::bare_cr},
      {"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400, refusal::bare_cr},
      {"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, refusal::bare_cr},
      {"GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n", 400, refusal::bare_cr},
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n", 400, refusal::bare_cr},
      {"\n", 400, refusal::bare_lf},
      {"\rG", 400, refusal::bare_cr},
      {"\r\r\n", 400, refusal::bare_cr},
  });
}

TEST(http_parser, tolerates_one_empty_line_before_a_request) {
  const outcome o = parse("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(o.code(), 0);
  EXPECT_EQ(o.consumed, 29U);
  EXPECT_EQ(o.method, "GET");
  expect_refused({{"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, refusal::empty_lines},
                  {"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, refusal::bare_lf}});
  request_parser parser;
  std::string blank = "\r\n";
  EXPECT_EQ(parser.parse(blank), parse_status::incomplete);
  EXPECT_FALSE(parser.started());
}

TEST(http_parser, request_lines) {
  expect_refused({
      {"GET  / HTTP/1.1\r\n\r\n", 400, refusal::target_invalid},
      {"GET /  HTTP/1.1\r\n\r\n", 400, refusal::version_invalid},
      {"GET / HTTP/1.1 \r\n\r\n", 400, refusal::version_invalid},
      {"GET\t/ HTTP/1.1\r\n\r\n", 400, refusal::method_invalid},
      {"GET /\tHTTP/1.1\r\n\r\n", 400, refusal::target_invalid},
      {" GET / HTTP/1.1\r\n\r\n", 400, refusal::method_invalid},
      {"GET HTTP/1.1\r\n\r\n", 400, refusal::version_invalid},
      {"GET /\r\n\r\n", 400, refusal::version_invalid},
      {"GET / \r\n\r\n", 400, refusal::version_invalid},
      {"GET \r\n\r\n", 400, refusal::target_invalid},
      {"GET\r\n\r\n", 400, refusal::method_invalid},
      {"GET /pa th HTTP/1.1\r\n\r\n", 400, refusal::version_invalid},
      {"G@T / HTTP/1.1\r\n\r\n", 400, refusal::method_invalid},
      {"\x16\x03\x01", 400, refusal::method_invalid},
      {"\x80", 400, refusal::method_invalid},
      {"GET / http/1.1\r\n\r\n", 400, refusal::version_invalid},
      {"GET / HTTP/1\r\n\r\n", 400, refusal::version_invalid},
      {"GET / HTTP/1.\r\n\r\n", 400, refusal::version_invalid},
      {"GET / HTTP/1.10\r\n\r\n", 400, refusal::version_invalid},
      {"GET / HTTP/01.1\r\n\r\n", 400, refusal::version_invalid},
      {"GET / HTTP/ 1.1\r\n\r\n", 400, refusal::version_invalid},
      {"GET / HTTP/1,1\r\n\r\n", 400, refusal::version_invalid},
      {"GET / HTTP/1.x\r\n\r\n", 400, refusal::version_invalid},
      {"GET / HTTPS/1.1\r\n\r\n", 400, refusal::version_invalid},
      {"GET / ICE/1.0\r\n\r\n", 400, refusal::version_invalid},
      {"GET / HTTP/1.2\r\n\r\n", 505, refusal::version_unsupported},
      {"GET / HTTP/0.9\r\n\r\n", 505, refusal::version_unsupported},
      {"GET / HTTP/2.0\r\n\r\n", 505, refusal::version_unsupported},
      {"GET / HTTP/9.9\r\n\r\n", 505, refusal::version_unsupported},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, refusal::version_unsupported},
  });
  EXPECT_EQ(parse("FOOBAR / HTTP/1.1\r\nHost: a\r\n\r\n").method, "FOOBAR");
  EXPECT_EQ(parse("get / HTTP/1.1\r\nHost: a\r\n\r\n").method, "get");
  EXPECT_EQ(parse("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\nHost: a\r\n\r\n").code(), 0);
}

TEST(http_parser, targets) {
  for (const auto target :
       {"/", "//", "/?", "/a?b/c?d", "/%zz%", "/a%00", "/\"<>^`{|}[]", "/?a\\b", "/;a=1,2'()!*@:$&+~",
        "http://h", "http://h/", "HTTP://h:80/x?y", "http://[::1]:80?q", "http://h:/", "http://1.2.3.4/x"}) {
    EXPECT_EQ(parse("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n").code(), 0) << target;
  }
  for (const auto target : {"*",
                            "a",
                            "a/b",
                            "?",
                            "http:/h",
                            "http://",
                            "http:///x",
                            "http://?x",
                            "http://u@h/",
                            "http://h:x/",
                            "https:/h",
                            "https://",
                            "https://u@h/",
                            "https://h:x/",
                            "ftp://h/",
                            "http://h\\/",
                            "/a\\b",
                            "/a\\?b",
                            "//h\\",
                            "/\x7f",
                            "/\xc3\xa9",
                            "/\x01",
                            "h:80",
                            "http://h:99999/",
                            "http://[::1/",
                            "**"}) {
    const outcome o = parse("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(o.code(), 400) << target;
    EXPECT_EQ(o.why, refusal::target_invalid) << target;
  }
  expect_refused({{"GET /\0test HTTP/1.1\r\nHost: a\r\n\r\n"sv, 400, refusal::target_invalid},
                  {"GET # HTTP/1.1\r\nHost: a\r\n\r\n", 400, refusal::target_fragment},
                  {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, refusal::target_fragment},
                  {"GET http://a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, refusal::target_fragment},
                  {"OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n", 400, refusal::target_invalid},
                  {"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 501, refusal::connect_unsupported},
                  {"CONNECT [::1]:443 HTTP/1.0\r\n\r\n", 501, refusal::connect_unsupported},
                  {"CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n", 400, refusal::target_invalid},
                  {"CONNECT h: HTTP/1.1\r\nHost: h\r\n\r\n", 400, refusal::target_invalid},
                  {"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", 400, refusal::target_invalid}});
  // RFC 9110 7.4: a resource of https must be refused on a connection without TLS.
  for (const auto target : {"https://h/", "HTTPS://h", "https://[::1]:443/x?y"}) {
    expect_refused(
        {{"GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n", 421, refusal::target_misdirected}});
  }
  outcome o = parse("GET http://Other:81?q HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(o.path, "/");
  EXPECT_EQ(o.query, "q");
  EXPECT_EQ(o.host, "Other:81");
  o = parse("GET http://other/x/y?q HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(o.path, "/x/y");
  EXPECT_EQ(o.host, "other");
  o = parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(o.code(), 0);
  EXPECT_EQ(o.path, "*");
  expect_refused({{"GET http://h/ HTTP/1.1\r\n\r\n", 400, refusal::host_missing}});
}

TEST(http_parser, field_lines) {
  expect_refused_fields(" X: a\r\n", 400, refusal::field_folded);
  expect_refused_fields("X: a\r\n b\r\n", 400, refusal::field_folded);
  expect_refused_fields("X: a\r\n\tb\r\n", 400, refusal::field_folded);
  expect_refused_fields("X : a\r\n", 400, refusal::field_name_invalid);
  expect_refused_fields("X\t: a\r\n", 400, refusal::field_name_invalid);
  expect_refused_fields(": a\r\n", 400, refusal::field_name_invalid);
  expect_refused_fields("X\r\n", 400, refusal::field_name_invalid);
  expect_refused_fields("X[: a\r\n", 400, refusal::field_name_invalid);
  expect_refused_fields("X\xc3\xa9: a\r\n", 400, refusal::field_name_invalid);
  expect_refused_fields("X\0: a\r\n"sv, 400, refusal::field_name_invalid);
  expect_refused_fields("X: a\0b\r\n"sv, 400, refusal::field_value_invalid);
  expect_refused_fields("X: a\x01\r\n", 400, refusal::field_value_invalid);
  expect_refused_fields("X: \x0b\r\n", 400, refusal::field_value_invalid);
  expect_refused_fields("X: \x7f\r\n", 400, refusal::field_value_invalid);
  expect_refused({{"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, refusal::field_folded},
                  {"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", 400, refusal::field_folded}});
  for (int c = 0; c < 256; ++c) {  // the whole table, by the RFC's words
    const bool ctl = (c < 0x20 && c != '\t') || c == 0x7f;
    std::string text = with(std::string("X: a") + static_cast<char>(c) + "b\r\n");
    if (c != '\n' && c != '\r') {
      EXPECT_EQ(feed_whole(text).code(), ctl ? 400 : 0) << c;
    }
    const bool token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c != 0 && "!#$%&'*+-.^_`|~"sv.find(static_cast<char>(c)) != std::string_view::npos);
    text = with(std::string("X") + static_cast<char>(c) + "Y: b\r\n");
    if (c != ':') {
      EXPECT_EQ(feed_whole(text).code(), token ? 0 : 400) << c;
    }
    text = std::string("GET /") + static_cast<char>(c) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    const bool visible = c > 0x20 && c < 0x7f && c != '#' && c != '\\';
    EXPECT_EQ(feed_whole(text).code(), visible ? 0 : 400) << c;
  }
}

TEST(http_parser, control_characters_are_found_at_every_position) {
  for (std::size_t size = 0; size < 40; ++size) {
    const std::string good = std::string(size, '\xff') + "\t\x80 ~" + std::string(size, '\t');
    EXPECT_EQ(synfp::http::detail::find_control(good), nullptr);
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (const char bad : {'\0', '\x01', '\b', '\n', '\x1f', '\x7f'}) {
        std::string text = good;
        text[at] = bad;
        EXPECT_EQ(synfp::http::detail::find_control(text), text.data() + at);
      }
    }
  }
}

TEST(http_parser, host) {
  for (const auto host : {"a",
                          "a.b",
                          "A-b_c.d~",
                          "a:80",
                          "a:",
                          "a:0",
                          "a:65535",
                          "a:000080",
                          "a:00000000000000000000000065535",
                          "1.2.3.4",
                          "1.2.3.4:80",
                          "[::1]",
                          "[::1]:80",
                          "[::]:",
                          "[1:2:3:4:5:6:7:8]",
                          "[::ffff:1.2.3.4]",
                          "[1::]",
                          "[1::8]",
                          "[1:2:3:4:5:6:1.2.3.4]",
                          "a%20b",
                          "a=b",
                          "xn--bcher-kva.example",
                          "a;b!$&'()*+"}) {
    const outcome o = parse("GET / HTTP/1.1\r\nHost: \t" + std::string(host) + " \r\n\r\n");
    EXPECT_EQ(o.code(), 0) << host;
    EXPECT_EQ(o.host, host);
  }
  for (const auto host : {"",
                          " ",
                          "a b",
                          "a, b",
                          "a,b",
                          "user@a",
                          "a/b",
                          "a:x",
                          "a:65536",
                          "a:123456",
                          "a:0065536",
                          "a:18446744073709551696",
                          "a:80:80",
                          ":80",
                          "[::1",
                          "::1",
                          "[::1]x",
                          "[::1]]",
                          "[]",
                          "[1:2]",
                          "[1:2:3:4:5:6:7:8:9]",
                          "[12345::]",
                          "[::1::]",
                          "[:1]",
                          "[1:]",
                          "[:::]",
                          "[1:2:3:4:5:6:7::8:9]",
                          "[fe80::1%25eth0]",
                          "[v1.a]",
                          "[::1.2.3]",
                          "[::1.2.3.256]",
                          "[::01.2.3.4]",
                          "[::1.2.3.4:1]",
                          "[1.2.3.4]",
                          "a%2",
                          "a%zz",
                          "a?b",
                          "a#b",
                          "a\xc3\xa9",
                          "\"a\"",
                          "a:+80",
                          "a: 80",
                          "a\tb"}) {
    const outcome o = parse("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n");
    EXPECT_EQ(o.code(), 400) << host;
    EXPECT_EQ(o.why, refusal::host_invalid) << host;
  }
  expect_refused({{"GET / HTTP/1.1\r\n\r\n", 400, refusal::host_missing},
                  {"GET / HTTP/1.1\r\nHosts: a\r\n\r\n", 400, refusal::host_missing},
                  {"GET / HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n", 400, refusal::host_repeated},
                  {"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400, refusal::host_repeated},
                  {"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", 400, refusal::host_invalid}});
  EXPECT_EQ(parse("GET / HTTP/1.0\r\n\r\n").code(), 0);
  EXPECT_EQ(parse("GET / HTTP/1.0\r\nhost: a\r\n\r\n").host, "a");
}

TEST(http_parser, content_length) {
  for (const auto value :
       {"", "+5", "-1", "-0", "5,5", "5, 5", "5, 10", "0x5", "5 5", "5a", "a", "1_0", "0o5", "5.0",
        "99999999999999999999", "18446744073709551616", "184467440737095516150", "\"5\"", ","}) {
    expect_refused_fields("Content-Length: " + std::string(value) + "\r\n", 400, refusal::length_invalid);
  }
  expect_refused_fields("Content-Length: 5\r\nContent-Length: 5\r\n", 400, refusal::length_repeated);
  expect_refused_fields("Content-Length: 5\r\nCONTENT-LENGTH: 6\r\n", 400, refusal::length_repeated);
  expect_refused_fields("Content-Length: 18446744073709551615\r\n", 413, refusal::body_too_large);
  expect_refused_fields("Content-Length: 1048577\r\n", 413, refusal::body_too_large);
  EXPECT_EQ(parse(with("Content-Length: 1048576\r\n")).code(), -1);
  EXPECT_EQ(parse(with("Content-Length: 0\r\n", "X")).body, "");
  EXPECT_EQ(parse(with("Content-Length: \t 3 \t\r\n", "abcd")).body, "abc");
  EXPECT_EQ(parse(with("Content-Length: 003\r\n", "abc")).body, "abc");  // 1*DIGIT
  EXPECT_EQ(parse(with("Content-Length: 3\r\n", "ab")).code(), -1);
  EXPECT_EQ(parse(with("", "abc")).body, "");
  EXPECT_EQ(parse(with("Content-Length: 3\r\n", "abc", "1.0")).body, "abc");
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab").body, "ab");
  EXPECT_EQ(parse(with("Content_Length: 9\r\nContent-Length: 1\r\n", "abc")).body, "a");
}

TEST(http_parser, transfer_encoding) {
  const auto te = [](std::string_view value) { return "Transfer-Encoding: " + std::string(value) + "\r\n"; };
  for (const auto value :
       {"", ",", ", chunked", "chunked,", "chunked, chunked", "chunked, gzip", "chunked;a=b",
        "chunked chunked", "\"chunked\"", "gzip;q=1", "chunked,,gzip", "@", "gzip,"}) {
    expect_refused_fields(te(value), 400, refusal::coding_invalid);
  }
  for (const auto value :
       {"gzip", "identity", "xchunked", "chunkedx", "gzip, chunked", "identity,chunked", "gzip, br"}) {
    expect_refused_fields(te(value), 501, refusal::coding_unsupported);
  }
  expect_refused_fields(te("chunked") + te("chunked"), 400, refusal::coding_invalid);
  expect_refused_fields(te("gzip") + te("chunked"), 400, refusal::coding_invalid);
  expect_refused_fields(te("chunked") + te(""), 400, refusal::coding_invalid);
  expect_refused_fields(te("chunked") + "Content-Length: 5\r\n", 400, refusal::length_with_coding);
  expect_refused_fields("Content-Length: 5\r\n" + te("chunked"), 400, refusal::length_with_coding);
  expect_refused_fields("Content-Length: 5\r\n" + te("gzip"), 400, refusal::length_with_coding);
  expect_refused_fields(te("xchunked") + "Content-Length: 99999999\r\n", 400, refusal::length_with_coding);
  expect_refused_fields(te("chunked"), 400, refusal::coding_on_http10, "1.0");
  expect_refused_fields(te("gzip"), 400, refusal::coding_on_http10, "1.0");
  for (const auto value : {"chunked", "Chunked", "CHUNKED", " \tchunked \t"}) {
    EXPECT_EQ(parse(with(te(value), "0\r\n\r\n")).code(), 0) << value;
  }
  expect_refused_fields("Transfer-Encoding : chunked\r\n", 400, refusal::field_name_invalid);
  expect_refused_fields("Transfer-Encoding:\r\n chunked\r\n", 400, refusal::coding_invalid);
}

TEST(http_parser, chunked_bodies_are_decoded) {
  outcome o = parse(chunked("5\r\nhello\r\n6\r\n world\r\n000\r\n\r\nGET"));
  EXPECT_EQ(o.code(), 0);
  EXPECT_EQ(o.body, "hello world");
  EXPECT_EQ(o.consumed, chunked("5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n").size());
  EXPECT_EQ(parse(chunked("0\r\n\r\n")).body, "");
  EXPECT_EQ(parse(chunked("a\r\n0123456789\r\n0\r\n\r\n")).body, "0123456789");
  EXPECT_EQ(parse(chunked("00A\r\n01234\r\n789\r\n0\r\n\r\n")).body, "01234\r\n789");
  EXPECT_EQ(parse(chunked("1;a;b=c;d=\"e;\\\"f\"\r\nX\r\n0;z\r\n\r\n")).body, "X");
  // RFC 9110 5.6.3: no sender may write this white space, every recipient must read over it.
  for (const auto extension :
       {" ;a", "\t;a", "; a", ";a =b", ";a= b", " ; a = \"b\"", " \t ; \ta\t=\t b ; c"}) {
    o = parse(chunked("1" + std::string(extension) + "\r\nX\r\n0 ;z\r\n\r\n"));
    EXPECT_EQ(o.code(), 0) << extension;
    EXPECT_EQ(o.body, "X") << extension;
  }
  o = parse(chunked("1\r\nX\r\n0\r\nX-Sum: abc\r\nAuthorization: x\r\n\r\n"));
  EXPECT_EQ(o.body, "X");
  EXPECT_EQ(o.headers.size(), 2U);  // trailers are dropped
  EXPECT_EQ(parse(chunked("5\r\nhello\r\n")).code(), -1);
  EXPECT_EQ(parse(chunked("5\r\nhello\r\n0\r\n")).code(), -1);
}

TEST(http_parser, chunk_framing_is_strict) {
  for (const auto size : {"", " 5", "5 ", "+5", "-1", "0x5", "1_0", "5\t", "g", "FFFFFFFFFFFFFFFF0", "5 a",
                          "5,5", "10000000000000000", "5\"\"", "5 \v;a", "5 5;a", " ;a"}) {
    const outcome o = parse(chunked(std::string(size) + "\r\nhello\r\n0\r\n\r\n"));
    EXPECT_EQ(o.why, refusal::chunk_size_invalid) << size;
    EXPECT_EQ(o.code(), 400) << size;
  }
  for (const auto extension :
       {";",           ";;",      ";a ",    "; ",     " ;",          ";a=",   ";a= ",   ";a = ",
        ";a= b ",      ";a b",    ";a=b c", ";a\v=b", ";bad[=x",     ";a=\"", ";a=\"b", ";a=\"b\"c",
        ";a=\"\x01\"", ";a=\"\\", ";a=b=c", ";\x7f",  ";a=\"\\\r\"", ";a\rb"}) {
    const outcome o = parse(chunked("5" + std::string(extension) + "\r\nhello\r\n0\r\n\r\n"));
    EXPECT_EQ(o.why, refusal::chunk_extension_invalid) << extension;
  }
  const auto expect = [](std::string_view body, int code, refusal why) {
    const outcome o = parse(chunked(body));
    EXPECT_EQ(o.code(), code) << body;
    EXPECT_EQ(o.why, why) << body;
  };
  expect("5\r\nhello0\r\n\r\n", 400, refusal::chunk_end_missing);
  expect("5\r\nhello!!\r\n0\r\n\r\n", 400, refusal::chunk_end_missing);
  expect("5\r\nhello\n0\r\n\r\n", 400, refusal::chunk_end_missing);
  expect("5\r\nhello\r0\r\n\r\n", 400, refusal::chunk_end_missing);
  expect("5\nhello\r\n0\r\n\r\n", 400, refusal::bare_lf);
  expect("5\rhello\r\n0\r\n\r\n", 400, refusal::bare_cr);
  expect("5\r\nhello\r\n0\r\n\n", 400, refusal::bare_lf);
  expect("5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n", 400, refusal::trailer_forbidden);
  expect("5\r\nhello\r\n0\r\nTransfer-encoding: chunked\r\n\r\n", 400, refusal::trailer_forbidden);
  expect("5\r\nhello\r\n0\r\nHost: evil\r\n\r\n", 400, refusal::trailer_forbidden);
  expect("0\r\n X: a\r\n\r\n", 400, refusal::field_folded);
  expect("0\r\nX : a\r\n\r\n", 400, refusal::field_name_invalid);
  expect("0\r\nX: \x01\r\n\r\n", 400, refusal::field_value_invalid);
  expect("0\r\nGET / HTTP/1.1\r\n\r\n", 400, refusal::field_name_invalid);
  expect("FFFFFFFFFFFFFFFF\r\n", 413, refusal::body_too_large);
  expect("100001\r\n", 413, refusal::body_too_large);
  expect("100000\r\n", -1, refusal::none);
}

TEST(http_parser, the_head_can_be_had_before_the_body_is_touched) {
  const std::string head = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string body = "3\r\nabc\r\n0\r\n\r\n";
  std::string bytes = head + body;
  http::request_parser parser;
  EXPECT_EQ(parser.parse_head(std::span(bytes.data(), 5)), http::parse_status::incomplete);
  EXPECT_FALSE(parser.head_complete());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(parser.parse_head(bytes), http::parse_status::incomplete);
    EXPECT_TRUE(parser.head_complete());
    EXPECT_TRUE(parser.has_body());
    EXPECT_EQ(parser.path(), "/a");
    EXPECT_EQ(parser.body(), "");
    EXPECT_EQ(bytes, head + body);
  }
  std::string moved = bytes;  // the views follow
  bytes.assign(bytes.size(), '?');
  EXPECT_EQ(parser.parse_head(moved), http::parse_status::incomplete);
  EXPECT_EQ(parser.path(), "/a");
  EXPECT_EQ(parser.parse(moved), http::parse_status::complete);
  EXPECT_EQ(parser.body(), "abc");
  EXPECT_TRUE(parser.has_body());
  EXPECT_EQ(parser.consumed(), moved.size());

  parser.reset();
  std::string refused = "GET / HTTP/1.1\r\n\r\n";
  EXPECT_EQ(parser.parse_head(refused), http::parse_status::refused);
  EXPECT_FALSE(parser.head_complete());
  for (const auto& [fields, expected] :
       {std::pair{"", false}, {"Content-Length: 0\r\n", false}, {"Content-Length: 1\r\n", true}}) {
    std::string request = "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
    parser.reset();
    EXPECT_EQ(parser.parse_head(request), http::parse_status::incomplete);
    EXPECT_EQ(parser.has_body(), expected) << request;
  }
}

TEST(http_parser, connection_decides_about_keep_alive) {
  const auto keep = [](std::string_view fields, std::string_view version) {
    const outcome o = parse(with(fields, "", version));
    EXPECT_EQ(o.code(), 0) << fields;
    return o.keep_alive;
  };
  EXPECT_TRUE(keep("", "1.1"));
  EXPECT_FALSE(keep("Connection: close\r\n", "1.1"));
  EXPECT_FALSE(keep("Connection: CLOSE\t\r\n", "1.1"));
  EXPECT_FALSE(keep("Connection: , upgrade,,close ,\r\n", "1.1"));
  EXPECT_FALSE(keep("Connection: keep-alive\r\nConnection: close\r\n", "1.1"));
  EXPECT_TRUE(keep("Connection: closed\r\n", "1.1"));
  EXPECT_TRUE(keep("Connection:\r\n", "1.1"));
  EXPECT_FALSE(keep("", "1.0"));
  EXPECT_TRUE(keep("Connection: Keep-Alive\r\n", "1.0"));
  EXPECT_FALSE(keep("Connection: keep-alive, close\r\n", "1.0"));
  expect_refused_fields("Connection: a b\r\n", 400, refusal::connection_invalid);
  expect_refused_fields("Connection: \"close\"\r\n", 400, refusal::connection_invalid);
}

TEST(http_parser, expect) {
  expect_refused_fields("Expect: 200-ok\r\n", 417, refusal::expectation_unknown);
  expect_refused_fields("Expect:\r\n", 417, refusal::expectation_unknown);
  expect_refused_fields("Expect: 100-continue, x\r\n", 417, refusal::expectation_unknown);
  expect_refused_fields("Expect: 100-continue\r\nContent-Length: 9999999\r\n", 413, refusal::body_too_large);
  EXPECT_EQ(parse(with("Expect: 100-Continue\r\nContent-Length: 1\r\n", "a")).code(), 0);

  const auto waits = [](std::string text) {
    request_parser parser;
    parser.parse(text);
    return parser.expects_continue();
  };
  const std::string head = with("Expect: 100-continue\r\nContent-Length: 3\r\n");
  EXPECT_TRUE(waits(head));
  EXPECT_FALSE(waits(head.substr(0, head.size() - 1)));
  EXPECT_FALSE(waits(head + "a"));
  EXPECT_FALSE(waits(head + "abc"));
  EXPECT_TRUE(waits(with("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n")));
  EXPECT_FALSE(waits(with("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "1")));
  EXPECT_FALSE(waits(with("Expect: 100-continue\r\n")));
  EXPECT_FALSE(waits(with("Expect: 100-continue\r\nContent-Length: 0\r\n")));
  EXPECT_FALSE(waits(with("Expect: 100-continue\r\nContent-Length: 3\r\n", "", "1.0")));
  EXPECT_FALSE(waits(with("Content-Length: 3\r\n")));
}

TEST(http_parser, pipelined_requests_follow_each_other) {
  const std::vector<std::string> requests = {
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", with("Content-Length: 3\r\n", "abc"),
      chunked("5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nT: u\r\n\r\n"), "\r\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
      with("Content-Length: 0\r\n")};
  for (const auto& first : requests) {
    for (const auto& second : requests) {
      std::string bytes = first + second;
      request_parser parser;
      ASSERT_EQ(parser.parse(bytes), parse_status::complete);
      ASSERT_EQ(parser.consumed(), first.size());
      const std::string body(parser.body());
      EXPECT_EQ(body, feed_whole(first).body);
      EXPECT_EQ(parser.parse(bytes), parse_status::complete);  // until reset
      parser.reset();
      ASSERT_EQ(parser.parse(std::span(bytes).subspan(first.size())), parse_status::complete);
      EXPECT_EQ(parser.consumed(), second.size());
      EXPECT_EQ(parser.body(), feed_whole(second).body);
      EXPECT_EQ(parser.target(), feed_whole(second).target);
      EXPECT_EQ(parser.header_count(), feed_whole(second).headers.size());
    }
  }
}

TEST(http_parser, limits_of_the_request_line) {
  limits most;
  most.request_line = 40;
  const auto line = [](std::size_t size) {  // with CRLF
    return "GET /" + std::string(size - 16, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  EXPECT_EQ(parse(line(40), most).code(), 0);
  EXPECT_EQ(parse(line(41), most).why, refusal::target_too_long);
  EXPECT_EQ(parse(line(41), most).code(), 414);
  EXPECT_EQ(parse(std::string(39, 'x'), most).code(), -1);
  EXPECT_EQ(parse(std::string(40, 'x'), most).code(), 414);
  const limits defaults;
  EXPECT_EQ(parse(line(defaults.request_line)).code(), 0);
  EXPECT_EQ(parse(line(defaults.request_line + 1)).code(), 414);
}

TEST(http_parser, limits_of_the_fields) {
  limits most;
  most.headers = 3;
  EXPECT_EQ(parse(with("A: 1\r\nB: 2\r\n"), most).code(), 0);
  EXPECT_EQ(parse(with("A: 1\r\nB: 2\r\nC: 3\r\n"), most).why, refusal::fields_too_many);
  EXPECT_EQ(parse(with("A: 1\r\nB: 2\r\nC: 3\r\n"), most).code(), 431);
  const std::string two = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
  EXPECT_EQ(parse(two + "T: 1\r\n\r\n", most).code(), 0);
  EXPECT_EQ(parse(two + "T: 1\r\nU: 2\r\n\r\n", most).code(), 431);

  std::string hundred;
  for (int i = 0; i < 99; ++i) hundred += "A: 1\r\n";
  EXPECT_EQ(parse(with(hundred)).code(), 0);
  EXPECT_EQ(parse(with(hundred + "A: 1\r\n")).code(), 431);
  most.headers = 1000;  // more than there is room for
  EXPECT_EQ(parse(with(hundred + "A: 1\r\n"), most).code(), 431);

  most = {};
  most.header_block = 30;  // "Host: a" and the empty line are 11 bytes
  EXPECT_EQ(parse(with("X: " + std::string(14, 'x') + "\r\n"), most).code(), 0);
  EXPECT_EQ(parse(with("X: " + std::string(15, 'x') + "\r\n"), most).why, refusal::fields_too_large);
  EXPECT_EQ(parse(with("X: " + std::string(15, 'x') + "\r\n"), most).code(), 431);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\n" + std::string(29, 'x'), most).code(), -1);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\n" + std::string(30, 'x'), most).code(), 431);
  most.header_block = 50;  // head 39 bytes, trailer section 11
  EXPECT_EQ(parse(two + "T: 1234\r\n\r\n", most).code(), 0);
  EXPECT_EQ(parse(two + "T: 12345\r\n\r\n", most).code(), 431);
  const limits defaults;
  EXPECT_EQ(parse(with("X: " + std::string(defaults.header_block - 16, 'x') + "\r\n")).code(), 0);
  EXPECT_EQ(parse(with("X: " + std::string(defaults.header_block - 15, 'x') + "\r\n")).code(), 431);
}

TEST(http_parser, limits_of_the_body) {
  limits most;
  most.body = 10;
  EXPECT_EQ(parse(with("Content-Length: 10\r\n", "0123456789"), most).code(), 0);
  EXPECT_EQ(parse(with("Content-Length: 11\r\n"), most).code(), 413);
  EXPECT_EQ(parse(chunked("a\r\n0123456789\r\n0\r\n\r\n"), most).code(), 0);
  EXPECT_EQ(parse(chunked("5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"), most).code(), 0);
  EXPECT_EQ(parse(chunked("b\r\n"), most).code(), 413);
  EXPECT_EQ(parse(chunked("5\r\n01234\r\n6\r\n"), most).code(), 413);
  most.body = 0;
  EXPECT_EQ(parse(chunked("0\r\n\r\n"), most).code(), 0);
  EXPECT_EQ(parse(chunked("1\r\n"), most).code(), 413);

  most = {};
  most.chunk_extensions = 4;
  EXPECT_EQ(parse(chunked("1;a\r\nX\r\n0;b\r\n\r\n"), most).code(), 0);
  EXPECT_EQ(parse(chunked("1;a\r\nX\r\n0;bc\r\n\r\n"), most).why, refusal::chunk_extensions_too_large);
  EXPECT_EQ(parse(chunked("1;abcd\r\nX\r\n0\r\n\r\n"), most).code(), 413);
  // One that does not end is not waited for until it fills the framing of a whole body.
  most = {};
  EXPECT_EQ(parse(chunked("1;a=" + std::string(1000, 'e')), most).code(), -1);
  EXPECT_EQ(parse(chunked("1;a=" + std::string(1100, 'e')), most).why, refusal::chunk_extensions_too_large);
  EXPECT_EQ(parse(chunked("1\r\nX\r\n1;a=" + std::string(1100, 'e')), most).why,
            refusal::chunk_extensions_too_large);
  EXPECT_EQ(parse(chunked(std::string(1000, '0')), most).code(), -1);
  EXPECT_EQ(parse(chunked(std::string(1100, '0')), most).why, refusal::chunk_framing_too_large);
  most = {};
  most.chunk_framing = 8;  // "1\r\n", "\r\n", "0\r\n"
  EXPECT_EQ(parse(chunked("1\r\nX\r\n0\r\n\r\n"), most).code(), 0);
  EXPECT_EQ(parse(chunked("1\r\nX\r\n00\r\n\r\n"), most).why, refusal::chunk_framing_too_large);
  EXPECT_EQ(parse(chunked("1\r\nX\r\n1\r\nY\r\n0\r\n\r\n"), most).code(), 413);
  EXPECT_EQ(parse(chunked("0000000"), most).code(), -1);
  EXPECT_EQ(parse(chunked("00000000"), most).code(), 413);
}

TEST(http_parser, a_large_chunked_body_in_small_pieces) {
  std::string body, wire = with("Transfer-Encoding: chunked\r\n");
  for (int i = 0; i < 4096; ++i) {
    body += std::string(256, static_cast<char>('a' + i % 26));
    wire += "100\r\n" + std::string(256, static_cast<char>('a' + i % 26)) + "\r\n";
  }
  wire += "0\r\n\r\n";
  request_parser parser;
  std::string bytes = wire;
  std::size_t end = 0;
  while (parser.parse(std::span(bytes).first(end)) == parse_status::incomplete)
    end = std::min(end + 777, bytes.size());
  ASSERT_EQ(parser.status(), parse_status::complete);
  EXPECT_EQ(parser.body(), body);
  EXPECT_EQ(parser.consumed(), wire.size());
}

TEST(http_parser, total_bounds_the_buffer) {
  // Whatever arrives, the parser decides before total() bytes.
  for (const std::string repeated : {"\r\n", "x", "x ", "A: 1\r\n", "\t", "0", "1\r\nX\r\n"}) {
    for (const std::string start : {"", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n",
                                    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
      const limits most{.request_line = 60,
                        .headers = 5,
                        .header_block = 100,
                        .body = 50,
                        .chunk_extensions = 10,
                        .chunk_framing = 30};
      std::string bytes = start;
      while (bytes.size() < most.total()) bytes += repeated;
      EXPECT_NE(feed_whole(bytes, most).code(), -1) << start << " " << repeated;
    }
  }
}

TEST(http_parser, every_refusal_has_a_status_and_a_text) {
  for (int i = 1; i <= static_cast<int>(refusal::target_misdirected); ++i) {
    const auto why = static_cast<refusal>(i);
    EXPECT_GE(status_of(why), 400) << i;
    EXPECT_NE(to_string(why), "unknown") << i;
  }
}

}  // namespace
