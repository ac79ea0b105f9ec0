// SPDX-License-Identifier: MIT
// Bodies that a handler takes piece by piece, over a socket pair and over memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <synfp/http/serve.hpp>
#include <synfp/io/timer.hpp>

#include "../support/every_link.hpp"
#include "../support/http_link.hpp"

namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using synfp::errc;
using synfp::task;
namespace http = synfp::http;
namespace io = synfp::io;
namespace test = synfp::test;

/// What the handlers of these tests share with them.
struct world {
  int live = 0;     // handlers that have begun and have not ended
  int pieces = 0;   // that they have read
  bool go = false;  // lets those that wait go on
  std::string last;
  std::optional<errc> end;  // of the last read
  bool complete = false;
};

class alive {
 public:
  explicit alive(world& w) : world_(&w) { ++w.live; }
  alive(const alive&) = delete;
  alive& operator=(const alive&) = delete;
  ~alive() { --world_->live; }

 private:
  world* world_;
};

/// The body in brackets, with what the request says when all of it has been read.
task<http::response> echo(world& w, const http::request& q, http::body_reader& body, int status) {
  const alive here(w);
  w.last.clear();
  while (true) {
    const auto piece = co_await body.read();
    if (!piece) {
      w.end = piece.error().code;
      break;
    }
    EXPECT_FALSE(piece->empty());
    ++w.pieces;
    w.last += *piece;
  }
  w.complete = body.complete();
  const auto again = co_await body.read();
  EXPECT_TRUE(!again && again.error().code == *w.end);
  EXPECT_EQ(q.body(), "");
  http::response r = http::text("[" + w.last + "]" + std::string(q.target()));
  r.set_status(status);
  co_return r;
}

auto make_routes(world& w) {
  const auto count = [&w](const http::request&, http::body_reader& body) -> task<http::response> {
    const alive here(w);
    std::size_t size = 0;
    while (auto piece = co_await body.read()) {
      size += piece->size();
      ++w.pieces;
      while (!w.go) co_await io::sleep_for(1ms);
    }
    if (!body.complete()) co_return http::status(400);
    co_return http::text(std::to_string(size));
  };
  return http::routes{
      http::get<"/ordinary">([](const http::request& q) { return http::text(q.query()); }),
      http::post<"/echo">([&w](const http::request& q, http::body_reader& body) -> task<http::response> {
        return echo(w, q, body, 200);
      }),
      http::put<"/echo/{name}">([&w](const http::request& q, http::body_reader& body,
                                     std::string_view name) -> task<http::response> {
        http::response r = co_await echo(w, q, body, 200);
        co_return http::text(std::string(r.body()) + std::string(name) + std::string(q.param("name").raw()));
      }),
      http::post<"/sorry">([&w](const http::request& q, http::body_reader& body) -> task<http::response> {
        return echo(w, q, body, 422);
      }),
      http::post<"/count">(count).unlimited_body(),
      http::post<"/more">(count).body_limit(2'000'000),
      http::post<"/less">([&w](const http::request& q, http::body_reader& body) -> task<http::response> {
        return echo(w, q, body, 200);
      }).body_limit(10),
      http::post<"/whole">([](const http::request& q) {
        return http::text(std::to_string(q.body().size()));
      }).body_limit(2'000'000),
      http::post<"/whole-less">([](const http::request& q) { return http::text(q.body()); }).body_limit(10),
      http::post<"/unread">([&w](const http::request&, http::body_reader&) -> task<http::response> {
        const alive here(w);
        co_return http::text("unread");
      }),
      http::post<"/one">([&w](const http::request&, http::body_reader& body) -> task<http::response> {
        const alive here(w);
        const auto piece = co_await body.read();
        co_return http::text(piece ? *piece : "none");
      }),
      http::post<"/throws">([&w](const http::request&, http::body_reader& body) -> task<http::response> {
        const alive here(w);
        const auto piece = co_await body.read();
        if (piece) throw std::runtime_error("no");
        co_return http::status(200);
      }),
      http::post<"/two-at-once">([](const http::request&, http::body_reader& body) -> task<http::response> {
        auto first = body.read();
        errc second{};
        io::spawn([&]() -> task<> {
          const auto piece = co_await body.read();
          second = piece ? errc{} : piece.error().code;
        });
        const auto piece = co_await std::move(first);
        co_return http::text(std::string(piece ? *piece : "none") + " " + std::string(to_string(second)));
      })};
}
using routes_type = decltype(make_routes(std::declval<world&>()));

std::string head_of(std::string_view target, std::string_view fields, std::string_view method = "POST") {
  return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) +
         "\r\n";
}
std::string with_length(std::string_view target, std::size_t length, std::string_view fields = "") {
  return head_of(target, std::string(fields) + "Content-Length: " + std::to_string(length) + "\r\n");
}
std::string post(std::string_view target, std::string_view body, std::string_view fields = "") {
  return with_length(target, body.size(), fields) + std::string(body);
}
std::string chunked(std::string_view target, std::string_view body) {
  return head_of(target, "Transfer-Encoding: chunked\r\n") + std::string(body);
}
std::string get(std::string_view target, std::string_view fields = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}
std::string body_of(const std::string& wire) { return wire.substr(wire.find("\r\n\r\n") + 4); }
std::string status_of(const std::string& wire) { return wire.substr(0, wire.find('\r')); }
bool has(const std::string& wire, std::string_view what) { return wire.find(what) != std::string::npos; }
constexpr std::string_view closes = "\r\nConnection: close\r\n";

template <class Link>
class http_body_reader : public testing::Test {
 protected:
  http_body_reader() : ring(test::ring_of_this_thread()) {}
  ~http_body_reader() override {
    EXPECT_EQ(w.live, 0);
    EXPECT_EQ(http::bodies().held, 0U);
  }

  std::unique_ptr<io::ring> ring;
  world w;
  routes_type routes = make_routes(w);
  using link = test::http_link<Link, routes_type>;
};
TYPED_TEST_SUITE(http_body_reader, test::links, test::link_names);

TYPED_TEST(http_body_reader, both_framings_and_then_the_next_request) {
  typename TestFixture::link c(*this->ring, this->routes);
  for (int i = 0; i != 2; ++i) {
    c.send(post("/echo?q", "hello") + get("/ordinary?x"));
    EXPECT_TRUE(has(c.until("\r\n\r\nx"), "\r\n\r\n[hello]/echo?qHTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(this->w.complete);
    c.send(chunked("/echo", "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n") + get("/ordinary?y"));
    EXPECT_TRUE(has(c.until("\r\n\r\ny"), "\r\n\r\n[hello world]/echoHTTP/1.1 200 OK\r\n"));
    c.send(post("/echo", "") + chunked("/echo", "0\r\n\r\n") + head_of("/echo", "") + get("/ordinary?z"));
    EXPECT_TRUE(has(c.until("\r\n\r\nz"), "[]/echoHTTP/1.1 200 OK\r\n"));
    EXPECT_EQ(this->w.end, errc::closed);
  }
  c.send("PUT /echo/a%20b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_TRUE(has(c.until("a%20b"), "\r\n\r\n[hi]/echo/a%20ba ba%20b"));
}

TYPED_TEST(http_body_reader, may_arrive_in_any_pieces) {
  typename TestFixture::link c(*this->ring, this->routes);
  const std::string one = head_of("/echo", "X: y\r\nTransfer-Encoding: chunked\r\n") +
                          "5\r\nhello\r\n6;x=\"y\"\r\n world\r\n1\r\n!\r\n0\r\nTrailer: t\r\n\r\n";
  for (const char byte : one) {
    c.send(std::string_view(&byte, 1));
    c.turn(3);
  }
  EXPECT_EQ(body_of(c.until("/echo")), "[hello world!]/echo");
  for (std::size_t cut = 1; cut != one.size(); ++cut) {
    c.send(one + one.substr(0, cut));
    EXPECT_EQ(body_of(c.until("/echo")), "[hello world!]/echo");
    c.turn(3);
    c.send(one.substr(cut));
    EXPECT_EQ(body_of(c.until("/echo")), "[hello world!]/echo") << cut;
  }
}

TYPED_TEST(http_body_reader, what_is_not_read_is_not_received) {
  typename TestFixture::link c(*this->ring, this->routes);
  const std::size_t length = 20'000'000;
  const std::string part(8192, 'x');
  const auto before = io::frame_pool::in_use();
  c.send(with_length("/count", length));
  std::size_t sent = 0;
  for (int idle = 0; idle != 100; ++idle) {
    const std::size_t n = c.client().send(std::string_view(part).substr(0, length - sent));
    if (n != 0) idle = 0;
    sent += n;
    c.turn(1);
  }
  EXPECT_EQ(this->w.pieces, 1);
  EXPECT_LT(sent, 1'000'000U);
  EXPECT_LT(io::frame_pool::in_use() - before, 64'000);  // what a connection receives before it is asked to
  EXPECT_LT(this->ring->leased(), 12U);
  this->w.go = true;
  while (sent != length) {
    sent += c.client().send(std::string_view(part).substr(0, length - sent));
    c.turn(0);
    this->ring->poll();
  }
  EXPECT_EQ(body_of(c.until("20000000")), "20000000");
  EXPECT_LT(io::frame_pool::in_use() - before, 64'000);
}

TYPED_TEST(http_body_reader, holds_no_buffer_while_it_waits) {
  typename TestFixture::link c(*this->ring, this->routes);
  this->w.go = true;
  c.send(chunked("/count", "3\r\nabc\r\n3"));
  c.turn(50);
  EXPECT_EQ(this->w.pieces, 1);
  EXPECT_EQ(this->ring->leased(), 0U);
  c.send("\r\nabc\r\n0\r\n\r\n");
  EXPECT_EQ(body_of(c.until("\r\n\r\n6")), "6");
}

TYPED_TEST(http_body_reader, limits_by_route) {
  this->w.go = true;
  const auto limits_to = [](std::uint32_t body) {
    http::serve_options o;
    o.limits.body = body;
    return o;
  };
  {
    typename TestFixture::link c(*this->ring, this->routes, limits_to(1000));
    c.send(post("/more", std::string(2'000'000, 'x')));
    EXPECT_EQ(body_of(c.until("2000000")), "2000000");
    c.send(post("/count", std::string(5'000'000, 'x')) + post("/less", "0123456789") +
           post("/whole", std::string(2'000'000, 'x')));
    EXPECT_TRUE(has(c.until("\r\n\r\n2000000"), "\r\n\r\n5000000HTTP/1.1 200 OK\r\n"));
    c.send(post("/whole-less", "0123456789") + post("/echo", std::string(1000, 'x')));
    EXPECT_TRUE(has(c.until("xxx]/echo"), "0123456789"));
  }
  const int pieces = this->w.pieces;
  for (const auto& request :
       {with_length("/more", 2'000'001), with_length("/less", 11), with_length("/echo", 1001),
        with_length("/whole", 2'000'001), with_length("/whole-less", 11), with_length("/unknown", 1001)}) {
    typename TestFixture::link c(*this->ring, this->routes, limits_to(1000));
    c.send(request);
    const std::string wire = c.until("\r\n\r\nbody too large\n");
    EXPECT_EQ(status_of(wire), "HTTP/1.1 413 Content Too Large") << request;
    EXPECT_TRUE(has(wire, closes));
  }
  EXPECT_EQ(this->w.pieces, pieces);  // no handler was called
  {
    typename TestFixture::link c(*this->ring, this->routes);
    c.send(chunked("/less", "5\r\nhello\r\n6\r\n"));
    EXPECT_EQ(status_of(c.until("\r\n\r\nbody too large\n")), "HTTP/1.1 413 Content Too Large");
    EXPECT_EQ(this->w.end, errc::too_large);
    EXPECT_EQ(this->w.last, "hello");
  }
  // And the limit of one request is not that of the next.
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(post("/count", std::string(5'000'000, 'x')) + with_length("/echo", 2'000'000));
  EXPECT_TRUE(has(c.until("\r\n\r\nbody too large\n"), "\r\n\r\n5000000HTTP/1.1 413 "));
}

// Many chunks are no reason to end a long body, many that are tiny are.
TYPED_TEST(http_body_reader, the_framing_of_a_long_body) {
  this->w.go = true;
  for (const auto& [piece, times, expected] :
       {std::tuple("100\r\n" + std::string(256, 'x') + "\r\n", 20'000, "5120000"),
        std::tuple("1\r\nx\r\n"s, 20'000, "")}) {
    typename TestFixture::link c(*this->ring, this->routes);
    c.send(head_of("/count", "Transfer-Encoding: chunked\r\n"));
    std::string block;
    for (int i = 0; i != 100; ++i) block += piece;
    for (int i = 0; i != times && c.received().empty(); i += 100) {
      c.send(block);
      c.turn(1);
    }
    if (*expected != 0) {
      c.send("0\r\n\r\n");
      EXPECT_EQ(body_of(c.until(expected)), expected);
    } else {
      EXPECT_EQ(status_of(c.until("\r\n\r\nchunks too small\n")), "HTTP/1.1 413 Content Too Large");
    }
  }
  typename TestFixture::link c(*this->ring, this->routes);  // nor is one line longer for that
  std::string block;
  for (int i = 0; i != 50; ++i) block += "f4240\r\n" + std::string(1'000'000, 'x') + "\r\n";
  c.send(head_of("/count", "Transfer-Encoding: chunked\r\n") + block);
  c.send(std::string(70'000, '0'));
  EXPECT_EQ(status_of(c.until("\r\n\r\nchunks too small\n")), "HTTP/1.1 413 Content Too Large");
}

TYPED_TEST(http_body_reader, continue_is_said_when_the_handler_has_to_wait) {
  typename TestFixture::link c(*this->ring, this->routes);
  for (int i = 0; i != 2; ++i) {
    c.send(get("/ordinary?a") + with_length("/echo", 4, "Expect: 100-continue\r\n"));
    EXPECT_TRUE(has(c.until("HTTP/1.1 100 Continue\r\n\r\n"), "\r\n\r\naHTTP/1.1 100"));
    c.send("ab");
    c.turn();
    EXPECT_EQ(c.received(), "");
    c.send("cd");
    EXPECT_EQ(body_of(c.until("/echo")), "[abcd]/echo");
  }
  c.send(post("/echo", "abcd", "Expect: 100-continue\r\n"));  // the client did not wait
  EXPECT_FALSE(has(c.until("/echo"), "100 Continue"));
  c.send(with_length("/unread", 4, "Expect: 100-continue\r\n"));
  const std::string wire = c.until("\r\n\r\nunread");
  EXPECT_FALSE(has(wire, "100 Continue"));
  EXPECT_TRUE(has(wire, closes));
}

TYPED_TEST(http_body_reader, what_a_handler_does_not_read) {
  {
    typename TestFixture::link c(*this->ring, this->routes);  // is passed over if it is here,
    c.send(post("/unread", "GET /") + chunked("/unread", "5\r\nGET /\r\n0\r\n\r\n") +
           chunked("/one", "2\r\nab\r\n5\r\nGET /\r\n0\r\n\r\n") + get("/ordinary?x"));
    const std::string wire = c.until("\r\n\r\nx");
    EXPECT_TRUE(has(wire, "\r\n\r\nabHTTP/1.1 200 OK\r\n")) << wire;
    EXPECT_FALSE(has(wire, closes));
  }
  for (const auto& request : {with_length("/unread", 10) + "abc", chunked("/unread", "5\r\nabc"),
                              chunked("/one", "2\r\nab\r\n"), chunked("/one", "2\r\nab\r\n0\r\n")}) {
    typename TestFixture::link c(*this->ring, this->routes);  // else nobody waits for it
    c.send(request);
    c.turn();
    EXPECT_TRUE(has(c.until(has(request, "/one") ? "\r\n\r\nab" : "\r\n\r\nunread"), closes)) << request;
  }
  typename TestFixture::link c(*this->ring, this->routes);  // nor does what is malformed pass
  c.send(chunked("/one", "2\r\nab\r\nx\r\n") + get("/ordinary?never"));
  EXPECT_TRUE(has(c.until("\r\n\r\nab"), closes));
}

TYPED_TEST(http_body_reader, what_is_malformed_is_never_a_success) {
  for (const auto* const body :
       {"5\r\nhello0\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\nhello\r\n", "-1\r\n",
        "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n", "5\r\nhello\r\n0\r\nbad field: x\r\n\r\n"}) {
    typename TestFixture::link c(*this->ring, this->routes);
    c.send(chunked("/echo", body) + get("/ordinary?never"));
    const std::string wire = c.until("\n");
    EXPECT_EQ(status_of(c.received() + wire), "HTTP/1.1 400 Bad Request") << body;
    EXPECT_TRUE(has(wire, closes));
    EXPECT_EQ(this->w.end, errc::invalid);
    EXPECT_FALSE(this->w.complete);
    c.turn();
    EXPECT_FALSE(has(c.received(), "HTTP/1.1"));
  }
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(chunked("/sorry", "5\r\nhello0\r\n"));  // and the handler need not know what it is
  const std::string wire = c.until("\r\n\r\nchunk without its end\n");
  EXPECT_EQ(status_of(wire), "HTTP/1.1 400 Bad Request");
  EXPECT_TRUE(has(wire, closes));
}

TYPED_TEST(http_body_reader, a_client_has_to_make_progress) {
  http::serve_options options;
  options.body_timeout = 100ms;
  options.body_rate = 1000;
  {
    typename TestFixture::link c(*this->ring, this->routes, options);
    c.send(with_length("/echo", 10) + "abc");
    EXPECT_EQ(status_of(c.until("Request Timeout\n")), "HTTP/1.1 408 Request Timeout");
    EXPECT_EQ(this->w.end, errc::timed_out);
    EXPECT_EQ(this->w.last, "abc");
  }
  {
    typename TestFixture::link c(*this->ring, this->routes, options);  // a byte now and then does not help
    c.send(with_length("/echo", 1'000'000));
    const auto begin = std::chrono::steady_clock::now();
    while (c.received().empty() && std::chrono::steady_clock::now() - begin < 5s) {
      c.send("x");
      c.turn_until([] { return false; }, 10ms);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
    EXPECT_EQ(status_of(c.until("Request Timeout\n")), "HTTP/1.1 408 Request Timeout");
  }
  {
    typename TestFixture::link c(*this->ring, this->routes, options);  // enough bytes do, for any time
    c.send(with_length("/echo", 40 * 100));
    for (int i = 0; i != 40; ++i) {
      c.send(std::string(100, 'x'));
      c.turn_until([] { return false; }, 10ms);
    }
    EXPECT_EQ(status_of(c.until("]/echo")), "HTTP/1.1 200 OK");
  }
  typename TestFixture::link c(*this->ring, this->routes, options);  // the handler's time does not count
  c.send(with_length("/count", 4) + "ab");
  c.turn_until([] { return false; }, 300ms);
  this->w.go = true;
  c.send("cd");
  EXPECT_EQ(body_of(c.until("\r\n\r\n4")), "4");
}

TYPED_TEST(http_body_reader, the_client_leaves) {
  for (const bool half : {false, true}) {
    for (const auto& request : {with_length("/echo", 10) + "abc", chunked("/echo", "5\r\nabc")}) {
      typename TestFixture::link c(*this->ring, this->routes);
      this->w.end.reset();
      c.send(request);
      EXPECT_TRUE(c.turn_until([&] { return this->w.last == "abc"; }));
      EXPECT_EQ(this->w.live, 1);
      if (half) {
        c.half_close();
      } else {
        c.hang_up();
      }
      EXPECT_TRUE(c.turn_until([&] { return this->w.live == 0; }));
      EXPECT_EQ(this->w.end, errc::closed);
      EXPECT_FALSE(this->w.complete);
      if (half) {
        EXPECT_EQ(c.to_the_end(), "");
      }
      this->w.last.clear();
    }
  }
}

TYPED_TEST(http_body_reader, an_exception_becomes_500_and_the_connection_ends) {
  std::vector<std::string> seen;
  http::serve_options options;
  options.on_error = [&seen](std::exception_ptr, const http::request& q) { seen.emplace_back(q.path()); };
  typename TestFixture::link c(*this->ring, this->routes, options);
  c.send(with_length("/throws", 10) + "abc");
  const std::string wire = c.until("Internal Server Error\n");
  EXPECT_EQ(status_of(wire), "HTTP/1.1 500 Internal Server Error");
  EXPECT_TRUE(has(wire, closes));
  EXPECT_EQ(seen, std::vector<std::string>{"/throws"});
}

TYPED_TEST(http_body_reader, one_read_at_a_time) {
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(with_length("/two-at-once", 3));
  c.turn();
  c.send("abc");
  EXPECT_EQ(body_of(c.until("invalid")), "abc invalid");
}

TYPED_TEST(http_body_reader, stop_lets_a_body_come_to_its_end_until_the_deadline) {
  {
    typename TestFixture::link c(*this->ring, this->routes);
    c.send(with_length("/echo", 6) + "abc");
    EXPECT_TRUE(c.turn_until([&] { return this->w.last == "abc"; }));
    this->ring->stop(20s);
    c.turn();
    EXPECT_EQ(this->w.live, 1);
    c.send("def");
    const std::string wire = c.to_the_end();
    EXPECT_TRUE(has(wire, closes));
    EXPECT_EQ(body_of(wire), "[abcdef]/echo");
  }
  this->ring.reset();
  this->ring = test::ring_of_this_thread();
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(with_length("/echo", 6) + "abc");
  EXPECT_TRUE(c.turn_until([&] { return this->w.last == "abc"; }));
  this->ring->stop(10ms);
  EXPECT_TRUE(c.turn_until([&] { return this->w.live == 0; }));
  EXPECT_EQ(c.to_the_end(), "");
}

}  // namespace
