// SPDX-License-Identifier: MIT
#if __has_include(<synfp/io/task.hpp>)
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

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
