// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/http/query.hpp>
#include <synfp/http/request.hpp>

namespace {

namespace http = synfp::http;
using fields = std::vector<std::pair<std::string, std::string>>;

fields decoded(std::string_view text) {
  fields all;
  for (const http::query_field f : http::query_fields(text)) {
    const auto name = f.name.decode();
    const auto value = f.value.decode();
    all.emplace_back(name ? name->view() : "malformed", value ? value->view() : "malformed");
  }
  return all;
}

TEST(http_query, fields_as_browsers_write_them) {
  EXPECT_EQ(decoded(""), fields());
  EXPECT_EQ(decoded("a"), (fields{{"a", ""}}));
  EXPECT_EQ(decoded("a=1&b=2"), (fields{{"a", "1"}, {"b", "2"}}));
  EXPECT_EQ(decoded("&&a=1&&&b&"), (fields{{"a", "1"}, {"b", ""}}));
  EXPECT_EQ(decoded("&"), fields());
  EXPECT_EQ(decoded("="), (fields{{"", ""}}));
  EXPECT_EQ(decoded("=x&a=b=c"), (fields{{"", "x"}, {"a", "b=c"}}));
  EXPECT_EQ(decoded("a+b=%26+%3D%2B&a=1;b=2"), (fields{{"a b", "& =+"}, {"a", "1;b=2"}}));
  EXPECT_EQ(decoded("?x=/?"), (fields{{"?x", "/?"}}));
  EXPECT_EQ(decoded("a=%&%=b&c=1"), (fields{{"a", "malformed"}, {"malformed", "b"}, {"c", "1"}}));
}

TEST(http_query, the_first_of_a_name) {
  const http::query_fields f("a=1&b%20c=2&a=3&flag&n=17&bad=%&b%2=4");
  EXPECT_EQ(f.find("a")->raw(), "1");
  EXPECT_EQ(f.find("b c")->raw(), "2");
  EXPECT_TRUE(f.find("flag")->empty());
  EXPECT_EQ(f.find("n")->number<int>(), 17);
  EXPECT_FALSE(f.find("bad")->decode());
  for (const std::string_view name : {"", "b%20c", "A", "none", "b%2", "1"})
    EXPECT_FALSE(f.find(name)) << name;
}

static_assert(std::forward_iterator<http::query_fields::iterator>);
static_assert(http::query_fields("a=1&b=2").find("b") == std::string_view("2"));

TEST(http_query, of_a_request) {
  std::string text = "GET /search?q=io%5Furing&last=5 HTTP/1.1\r\nHost: a\r\n\r\n";
  http::request_parser parser;
  ASSERT_EQ(parser.parse(text), http::parse_status::complete);
  const synfp::endpoint e;
  const http::request q(parser, e, e);
  EXPECT_TRUE(q.query_value("q") == std::string_view("io_uring"));
  EXPECT_EQ(q.query_value("last")->number<unsigned>(), 5u);
  EXPECT_FALSE(q.query_value("x"));
  EXPECT_EQ(std::ranges::distance(q.query_fields()), 2);
}

}  // namespace
