// SPDX-License-Identifier: MIT
#if __has_include(<synfp/io/task.hpp>)
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/http/routes.hpp>

namespace {

using synfp::task;
namespace http = synfp::http;

/// Parses `text` and dispatches it through the coroutine and through find(); both must answer alike.
template <class Routes>
std::string answer(const Routes& routes, std::string text) {
  http::request_parser parser;
  EXPECT_EQ(parser.parse(text), http::parse_status::complete) << text;
  const synfp::endpoint peer = *synfp::endpoint::parse("192.0.2.1:5");
  const http::request q(parser, peer, peer);
  std::string wire;
  bool failed = false;
  const auto drive = [&]() -> task<> {
    try {
      const http::response r = co_await routes.dispatch(q);
      write_response(wire, r, {.head = q.method() == http::method::head}, "");
    } catch (const std::runtime_error&) {
      failed = true;
    }
  };
  synfp::spawn(drive());
  synfp::io::detail::run_queue::current().drain();
  return failed ? "failed" : wire;
}

template <class Routes>
std::string ask(const Routes& routes, std::string_view method, std::string_view target) {
  return answer(routes, std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
}

std::string first_line(const std::string& wire) { return wire.substr(0, wire.find('\r')); }
std::string allow(const std::string& wire) {
  const auto at = wire.find("\r\nAllow: ");
  return at == std::string::npos ? "none" : wire.substr(at + 9, wire.find('\r', at + 2) - at - 9);
}

http::response plain(const http::request& q) { return http::text(q.method_text()); }

struct counter {
  int& calls;
  task<http::response> operator()(const http::request& q) const {
    ++calls;
    co_await synfp::io::yield();
    co_return http::text(q.query());
  }
};

TEST(http_routes, call_handlers_of_every_kind) {
  int calls = 0;
  std::string moved = "state that was moved in";
  const auto lvalue = [&calls](const http::request&) -> task<http::response> {
    ++calls;
    co_return http::text("coroutine");
  };
  const http::routes routes{
      http::get<"/">(lvalue),
      http::post<"/">(plain),
      http::get<"/function">(plain),
      http::get<"/object">(counter{calls}),
      http::put<"/moved">([moved = std::move(moved)](const http::request&) { return http::text(moved); }),
      http::patch<"/by-value">([](http::request q) { return http::text(q.path()); }),
      http::del<"/generic">([](const auto& q) { return http::text(q.path()); })};
  EXPECT_EQ(ask(routes, "GET", "/").substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_TRUE(ask(routes, "GET", "/").ends_with("\r\n\r\ncoroutine"));
  EXPECT_TRUE(ask(routes, "POST", "/").ends_with("\r\n\r\nPOST"));
  EXPECT_TRUE(ask(routes, "GET", "/function?x").ends_with("\r\n\r\nGET"));
  EXPECT_TRUE(ask(routes, "GET", "/object?the=query").ends_with("\r\n\r\nthe=query"));
  EXPECT_TRUE(ask(routes, "PUT", "/moved").ends_with("\r\n\r\nstate that was moved in"));
  EXPECT_TRUE(ask(routes, "PATCH", "/by-value").ends_with("\r\n\r\n/by-value"));
  EXPECT_TRUE(ask(routes, "DELETE", "/generic").ends_with("\r\n\r\n/generic"));
  EXPECT_TRUE(ask(routes, "GET", "http://h?q").ends_with("\r\n\r\ncoroutine"));
  EXPECT_EQ(calls, 4);
}

TEST(http_routes, answer_what_no_handler_does) {
  const http::routes routes{http::get<"/">(plain), http::post<"/both">(plain), http::get<"/both">(plain),
                            http::del<"/item">(plain)};
  for (const auto path : {"/a", "//", "/both/", "/bot", "/both/x", "/Both", "/%62oth", "/item%20"}) {
    EXPECT_EQ(first_line(ask(routes, "GET", path)), "HTTP/1.1 404 Not Found") << path;
    EXPECT_EQ(first_line(ask(routes, "OPTIONS", path)), "HTTP/1.1 404 Not Found") << path;
  }
  const std::string not_allowed = "HTTP/1.1 405 Method Not Allowed";
  EXPECT_EQ(first_line(ask(routes, "POST", "/")), not_allowed);
  EXPECT_EQ(allow(ask(routes, "POST", "/")), "GET, HEAD, OPTIONS");
  EXPECT_EQ(allow(ask(routes, "PUT", "/both")), "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(allow(ask(routes, "GET", "/item")), "DELETE, OPTIONS");
  EXPECT_EQ(first_line(ask(routes, "HEAD", "/item")), not_allowed);
  EXPECT_EQ(first_line(ask(routes, "TRACE", "/")), not_allowed);
  for (const auto method : {"FOO", "get", "PROPFIND"}) {
    EXPECT_EQ(first_line(ask(routes, method, "/")), "HTTP/1.1 501 Not Implemented") << method;
    EXPECT_EQ(first_line(ask(routes, method, "/nowhere")), "HTTP/1.1 501 Not Implemented") << method;
  }
  EXPECT_EQ(ask(routes, "OPTIONS", "/both"),
            "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, POST, OPTIONS\r\n\r\n");
  EXPECT_EQ(ask(routes, "OPTIONS", "*"),
            "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, POST, DELETE, OPTIONS\r\n\r\n");
  EXPECT_EQ(ask(routes, "HEAD", "/"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\n");
}

// As a route's type sees it, and as q.param() does.
http::response by_name(const http::request& q) {
  return http::text(std::string(q.param("a").raw()) + "," + std::string(q.param("b").raw()) + "," +
                    std::string(q.param("none").raw()));
}

TEST(http_routes, parameters_stand_for_segments) {
  const http::routes routes{http::get<"/hosts/{a}">(by_name), http::get<"/hosts/{a}/ports/{b}">(by_name),
                            http::post<"/hosts/{b}/ports/{a}">(by_name),
                            http::get<"/{a}/raw/{b...}">(by_name),
                            http::get<"/hosts/">([](const http::request&) { return http::text("all"); })};
  const auto body = [&](std::string_view method, std::string_view target) {
    const std::string wire = ask(routes, method, target);
    EXPECT_EQ(first_line(wire), "HTTP/1.1 200 OK") << target;
    return wire.substr(wire.find("\r\n\r\n") + 4);
  };
  EXPECT_EQ(body("GET", "/hosts/x"), "x,,");
  EXPECT_EQ(body("GET", "/hosts/x?a=query"), "x,,");
  EXPECT_EQ(body("GET", "/hosts/%2f%"), "%2f%,,");
  EXPECT_EQ(body("GET", "/hosts/{a}"), "{a},,");
  EXPECT_EQ(body("GET", "/hosts/.."), "..,,");
  EXPECT_EQ(body("GET", "http://h/hosts/x/ports/22"), "x,22,");
  EXPECT_EQ(body("POST", "/hosts/x/ports/22"), "22,x,");
  EXPECT_EQ(body("GET", "/x/raw/"), "x,,");
  EXPECT_EQ(body("GET", "/x/raw/y"), "x,y,");
  EXPECT_EQ(body("GET", "/x/raw/y//z/"), "x,y//z/,");
  EXPECT_EQ(body("GET", "/hosts/"), "all");
  for (const auto path : {"/hosts", "/hosts/x/", "/hosts//ports/1", "/hosts/x/ports", "/hosts/x/ports/",
                          "/hosts/x/ports/1/", "/x/raw", "//raw/x", "/hosts/x/Ports/1", "/x/rawy/z"}) {
    EXPECT_EQ(first_line(ask(routes, "GET", path)), "HTTP/1.1 404 Not Found") << path;
    EXPECT_EQ(first_line(ask(routes, "OPTIONS", path)), "HTTP/1.1 404 Not Found") << path;
  }
}

template <char Name>
http::response named(const http::request&) {
  const char name = Name;
  return http::text(std::string_view(&name, 1));
}

TEST(http_routes, the_first_segment_that_differs_decides) {
  const http::routes routes{http::get<"/{rest...}">(named<'r'>), http::get<"/{x}">(named<'x'>),
                            http::get<"/a">(named<'a'>),         http::get<"/{x}/b">(named<'b'>),
                            http::get<"/a/{x}">(named<'c'>),     http::get<"/a/b/c/{x}">(named<'d'>),
                            http::get<"/a/{x}/c/e">(named<'e'>), http::get<"/a/b/{x...}">(named<'f'>)};
  const auto which = [&](std::string_view target) { return ask(routes, "GET", target).back(); };
  EXPECT_EQ(which("/"), 'r');
  EXPECT_EQ(which("/a"), 'a');
  EXPECT_EQ(which("/b"), 'x');
  EXPECT_EQ(which("/z/b"), 'b');
  EXPECT_EQ(which("/a/b"), 'c');
  EXPECT_EQ(which("/a/b/"), 'f');
  EXPECT_EQ(which("/a/b/c"), 'f');
  EXPECT_EQ(which("/a/b/c/e"), 'd');
  EXPECT_EQ(which("/a/z/c/e"), 'e');
  EXPECT_EQ(which("/a/z/c/f"), 'r');  // goes in, and comes back
  EXPECT_EQ(which("/a/b/c/d/e"), 'f');
  EXPECT_EQ(which("//"), 'r');
}

TEST(http_routes, only_routes_with_the_method_compete) {
  const http::routes routes{http::post<"/hosts/new">(named<'n'>), http::get<"/hosts/{id}">(named<'g'>),
                            http::del<"/{kind}/{id}">(named<'d'>), http::put<"/{all...}">(named<'p'>)};
  EXPECT_EQ(ask(routes, "POST", "/hosts/new").back(), 'n');
  EXPECT_EQ(ask(routes, "GET", "/hosts/new").back(), 'g');
  EXPECT_EQ(ask(routes, "DELETE", "/hosts/new").back(), 'd');
  EXPECT_EQ(ask(routes, "PUT", "/hosts/new").back(), 'p');
  EXPECT_EQ(first_line(ask(routes, "PATCH", "/hosts/new")), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_EQ(allow(ask(routes, "PATCH", "/hosts/new")), "GET, HEAD, POST, PUT, DELETE, OPTIONS");
  EXPECT_EQ(allow(ask(routes, "OPTIONS", "/hosts/1")), "GET, HEAD, PUT, DELETE, OPTIONS");
  EXPECT_EQ(allow(ask(routes, "OPTIONS", "/")), "PUT, OPTIONS");
  EXPECT_EQ(allow(ask(routes, "OPTIONS", "*")), "GET, HEAD, POST, PUT, DELETE, OPTIONS");
  EXPECT_TRUE(ask(routes, "HEAD", "/hosts/1").ends_with("Content-Length: 1\r\n\r\n"));
  using http::method;
  EXPECT_TRUE(routes.takes_body(method::post, "/hosts/new"));
  EXPECT_TRUE(routes.takes_body(method::delete_, "/hosts/new"));
  EXPECT_TRUE(routes.takes_body(method::put, "/"));
  EXPECT_FALSE(routes.takes_body(method::post, "/hosts/1"));
  EXPECT_FALSE(routes.takes_body(method::get, "/hosts/1"));
  EXPECT_FALSE(routes.takes_body(method::head, "/hosts/1"));
  EXPECT_FALSE(routes.takes_body(method::delete_, "/hosts"));
  EXPECT_FALSE(routes.takes_body(method::options, "*"));
  EXPECT_FALSE(routes.takes_body(method::put, ""));
}

TEST(http_routes, numbers_are_checked) {
  const http::routes routes{
      http::get<"/u8/{n}">(
          [](const http::request&, std::uint8_t n) { return http::text(std::to_string(n)); }),
      http::get<"/i64/{n}">(
          [](http::request, std::int64_t n) noexcept { return http::text(std::to_string(n)); }),
      http::get<"/two/{n}/{m}">([](const http::request&, int n, unsigned m) -> task<http::response> {
        co_await synfp::io::yield();
        co_return http::text(std::to_string(n) + "," + std::to_string(m));
      })};
  EXPECT_TRUE(ask(routes, "GET", "/u8/0").ends_with("\r\n\r\n0"));
  EXPECT_TRUE(ask(routes, "GET", "/u8/255").ends_with("\r\n\r\n255"));
  EXPECT_TRUE(ask(routes, "GET", "/i64/-9223372036854775808").ends_with("\r\n\r\n-9223372036854775808"));
  EXPECT_TRUE(ask(routes, "GET", "/two/-1/1").ends_with("\r\n\r\n-1,1"));
  for (const auto path :
       {"/u8/256", "/u8/-1", "/u8/1x", "/u8/x", "/u8/+1", "/u8/0x1", "/u8/%31", "/u8/1.",
        "/i64/9223372036854775808", "/i64/-", "/i64/--1", "/two/1/-1", "/two/1.5/1", "/two/99999999999/1"}) {
    EXPECT_EQ(first_line(ask(routes, "GET", path)), "HTTP/1.1 404 Not Found") << path;
  }
}

// So what the server puts in place of its own answers is put there too.
TEST(http_routes, a_parameter_that_does_not_fit_is_answered_by_the_server) {
  const http::routes routes{
      http::get<"/n/{n}">([](const http::request&, int) { return http::status(404); }),
      http::get<"/t/{t}">([](const http::request&, std::string_view) { return http::status(404); }),
      http::get<"/s/{n}">(
          [](const http::request&, int) -> http::stream_response { return http::status(404); })};
  const auto handled = [&](const std::string& path) {
    std::string text = "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n";
    http::request_parser parser;
    EXPECT_EQ(parser.parse(text), http::parse_status::complete);
    const synfp::endpoint e;
    const http::request q(parser, e, e);
    return routes.find(q).handled();
  };
  for (const auto* const path : {"/n/1", "/t/x", "/t/%20", "/s/1"}) EXPECT_TRUE(handled(path)) << path;
  for (const auto* const path : {"/n/x", "/t/%", "/s/x", "/none"}) EXPECT_FALSE(handled(path)) << path;
}

TEST(http_routes, texts_are_decoded_while_the_handler_runs) {
  // Of text that does not fit into a string object, and of text that does.
  const auto later = [](const http::request&, std::string_view a, int n,
                        std::string_view b) -> task<http::response> {
    co_await synfp::io::yield();
    http::text_type all(a);
    all.append(std::to_string(n)).append(b);
    co_await synfp::io::yield();
    co_return http::text(std::move(all));
  };
  const http::routes routes{
      http::get<"/now/{a}">([](const http::request&, std::string_view a) { return http::text(a); }),
      http::get<"/later/{a}/{n}/{b...}">(later),
      http::get<"/generic/{a}/{b}">([](const auto&, const auto... all) {
        return http::text((std::string() + ... + std::string(all)));
      }),
      http::get<"/raw/{a}">([](const http::request& q, http::encoded_text a) {
        EXPECT_EQ(a.raw(), q.param("a").raw());
        return http::text(a == "a b" ? "equal" : a.raw());
      })};
  const std::string text(100, 'x');
  EXPECT_TRUE(ask(routes, "GET", "/now/a+b").ends_with("\r\n\r\na+b"));
  EXPECT_TRUE(ask(routes, "GET", "/now/a%20%2fb%C3%A9").ends_with("\r\n\r\na /b\xc3\xa9"));
  EXPECT_TRUE(ask(routes, "GET", "/now/%25" + text).ends_with("\r\n\r\n%" + text));
  EXPECT_TRUE(ask(routes, "GET", "/later/a/1/b/c").ends_with("\r\n\r\na1b/c"));
  EXPECT_TRUE(ask(routes, "GET", "/later/%61/1/").ends_with("\r\n\r\na1"));
  EXPECT_TRUE(ask(routes, "GET", "/later/" + text + "%20/2/%41" + text + "/%2F")
                  .ends_with("\r\n\r\n" + text + " 2A" + text + "//"));
  EXPECT_TRUE(ask(routes, "GET", "/generic/%61/b").ends_with("\r\n\r\nab"));
  EXPECT_TRUE(ask(routes, "GET", "/raw/a%20b").ends_with("\r\n\r\nequal"));
  EXPECT_TRUE(ask(routes, "GET", "/raw/%zz").ends_with("\r\n\r\n%zz"));
  for (const auto path :
       {"/now/%", "/now/%1", "/now/%1g", "/now/%%31", "/later/%x0/1/", "/later/a/1/%f", "/generic/%20/%"}) {
    EXPECT_EQ(first_line(ask(routes, "GET", path)), "HTTP/1.1 400 Bad Request") << path;
  }
}

TEST(http_routes, the_fallback_answers_paths_without_a_route) {
  int calls = 0;
  const http::routes routes{http::get<"/">(plain),
                            http::fallback([&calls](const http::request& q) -> task<http::response> {
                              ++calls;
                              co_await synfp::io::yield();
                              http::response r = http::text(q.path());
                              r.set_status(404);
                              co_return r;
                            }),
                            http::post<"/items/{id}">(plain)};
  EXPECT_TRUE(ask(routes, "GET", "/nowhere").ends_with("\r\n\r\n/nowhere"));
  EXPECT_TRUE(ask(routes, "POST", "/items/").ends_with("\r\n\r\n/items/"));
  EXPECT_TRUE(ask(routes, "OPTIONS", "/nowhere").ends_with("\r\n\r\n/nowhere"));
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(allow(ask(routes, "PUT", "/items/1")), "POST, OPTIONS");
  EXPECT_EQ(allow(ask(routes, "OPTIONS", "*")), "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(first_line(ask(routes, "FOO", "/nowhere")), "HTTP/1.1 501 Not Implemented");
  EXPECT_EQ(calls, 3);
  EXPECT_FALSE(routes.takes_body(http::method::post, "/nowhere"));
  const http::routes alone{http::fallback(plain)};
  EXPECT_TRUE(ask(alone, "GET", "/").ends_with("\r\n\r\nGET"));
}

// A table in which every shape of up to four segments from {a, b, {x}} and a rest occurs, against the plain
// reading of the rule.
struct reference {
  static bool matches(std::string_view pattern, std::string_view path) {
    while (!pattern.empty()) {
      if (path.empty()) return false;
      const std::string_view p = http::detail::take_segment(pattern);
      if (p == "{x...}") return true;
      const std::string_view s = http::detail::take_segment(path);
      if (p == "{x}" ? s.empty() : p != s) return false;
    }
    return path.empty();
  }
};

TEST(http_routes, many_patterns_agree_with_the_rule) {
  std::vector<std::string> patterns;
  std::size_t made = 0;
  for (std::vector<std::string> level{""}; level.size() <= 27;) {
    std::vector<std::string> next;
    for (const std::string& begin : level) {
      for (const auto end : {"/a", "/bb", "/{x}"}) next.push_back(begin + end);
      patterns.push_back(begin + "/{x...}");
    }
    for (const std::string& p : next) {
      if (++made % 3 != 0) patterns.push_back(p);  // leaves gaps to come back from
    }
    level = next;
  }
  using namespace http::detail;
  std::vector<std::vector<segment>> segments;
  for (const std::string& p : patterns) {
    std::string_view rest = p;
    auto& all = segments.emplace_back();
    while (!rest.empty()) all.push_back(read_segment(take_segment(rest)));
  }
  std::vector<pattern_entry> table;
  for (std::size_t i = 0; i != segments.size(); ++i)
    table.push_back({segments[i].data(), segments[i].size(), http::method::get, i});
  std::sort(table.begin(), table.end());
  std::vector<std::string> paths{""};
  for (std::size_t done = 0; paths.size() < 1400; ++done) {
    for (const auto end : {"/a", "/bb", "/c", "/"}) paths.push_back(paths[done] + end);
  }
  std::size_t matched = 0;
  for (std::size_t k = 1; k != paths.size(); ++k) {
    std::vector<std::size_t> expected;
    std::vector<std::size_t> visited;
    for (const pattern_entry& e : table) {
      if (reference::matches(patterns[e.index], paths[k])) expected.push_back(e.index);
    }
    match(table.data(), table.data() + table.size(), 0, std::string_view(paths[k]).substr(1),
          [&](const pattern_entry& e) {
            visited.push_back(e.index);
            return false;
          });
    EXPECT_EQ(visited, expected) << paths[k];
    matched += visited.size();
  }
  EXPECT_GT(matched, 5000u);
}

TEST(http_routes, exceptions_reach_who_awaits) {
  const http::routes routes{
      http::get<"/now">([](const http::request&) -> http::response { throw std::runtime_error("now"); }),
      http::get<"/later">([](const http::request&) -> task<http::response> {
        co_await synfp::io::yield();
        throw std::runtime_error("later");
      })};
  EXPECT_EQ(ask(routes, "GET", "/now"), "failed");
  EXPECT_EQ(ask(routes, "GET", "/later"), "failed");
}

TEST(http_routes, know_who_takes_a_body) {
  const http::routes routes{http::get<"/">(plain),    http::post<"/a">(plain), http::put<"/a">(plain),
                            http::patch<"/b">(plain), http::del<"/c">(plain),  http::get<"/a">(plain)};
  using http::method;
  EXPECT_TRUE(routes.takes_body(method::post, "/a"));
  EXPECT_TRUE(routes.takes_body(method::put, "/a"));
  EXPECT_TRUE(routes.takes_body(method::patch, "/b"));
  EXPECT_TRUE(routes.takes_body(method::delete_, "/c"));
  EXPECT_FALSE(routes.takes_body(method::get, "/a"));
  EXPECT_FALSE(routes.takes_body(method::head, "/a"));
  EXPECT_FALSE(routes.takes_body(method::patch, "/a"));
  EXPECT_FALSE(routes.takes_body(method::post, "/"));
  EXPECT_FALSE(routes.takes_body(method::post, "/a/"));
  EXPECT_FALSE(routes.takes_body(method::options, "*"));
  EXPECT_FALSE(routes.takes_body(method::other, "/a"));
}

TEST(http_routes, none_at_all) {
  const http::routes routes{};
  EXPECT_EQ(first_line(ask(routes, "GET", "/")), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(allow(ask(routes, "OPTIONS", "*")), "OPTIONS");
}

TEST(http_routes, immediate_handlers_make_no_coroutine) {
  const http::routes routes{http::get<"/">(plain)};
  std::string text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  http::request_parser parser;
  ASSERT_EQ(parser.parse(text), http::parse_status::complete);
  const synfp::endpoint e;
  const http::request q(parser, e, e);
  auto a = routes.find(q);
  ASSERT_TRUE(a.immediate());
  EXPECT_EQ(a.ready().body(), "GET");
}

}  // namespace
#endif
