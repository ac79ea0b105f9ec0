// SPDX-License-Identifier: MIT
// Responses that are sent while they are produced, over a socket pair and over memory.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <synfp/http/events.hpp>
#include <synfp/http/observer.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/http/stream.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/listener.hpp>

#include "../support/every_link.hpp"
#include "../support/http_link.hpp"
#include "../support/loopback.hpp"

namespace {

using namespace std::chrono_literals;
using synfp::task;
namespace http = synfp::http;
namespace io = synfp::io;
namespace test = synfp::test;

/// What the handlers of these tests share with them.
struct world {
  io::ring* ring = nullptr;
  int live = 0;               // producers that have begun and have not ended
  int pieces = 0;             // that they have produced
  bool go = false;            // lets those that wait go on
  std::ptrdiff_t beside = 0;  // bytes that sending a block took beside it, at most
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

task<> gate(world& w) {
  while (!w.go) co_await io::sleep_for(*w.ring, 1ms);
}

/// 0, 1, 2 ... up to `n` of them, each with the path of the request.
http::chunks numbers(world& w, const http::request& q, int n) {
  const alive here(w);
  for (int i = 0; i != n; ++i) {
    ++w.pieces;
    co_yield std::to_string(i) + std::string(q.path());
  }
}
/// The same, but a gate stands before the last one.
http::chunks gated(world& w, const http::request& q, int n) {
  const alive here(w);
  for (int i = 0; i != n; ++i) {
    if (i + 1 == n) co_await gate(w);
    ++w.pieces;
    co_yield std::to_string(i) + std::string(q.path());
  }
}
http::chunks endless(world& w) {
  const alive here(w);
  const std::string piece(4000, 'e');
  while (true) {
    ++w.pieces;
    co_yield piece;
  }
}
http::chunks throws(world& w, int before) {
  const alive here(w);
  for (int i = 0; i != before; ++i) {
    co_yield std::string(20'000, 'x');
    co_await io::sleep_for(*w.ring, 1ms);
  }
  throw std::runtime_error("no more");
}
http::chunks nothing_much() {
  co_yield "";
  co_yield std::string_view();
}
http::chunks large() { co_yield http::text_type(1'000'000, 'l'); }

/// Blocks of several sizes; `most`: what they took beside themselves.
http::chunks blocks(std::ptrdiff_t& most) {
  for (const std::uint32_t size : {100'000U, 10U, 50'000U, 16'384U}) {
    auto block = io::buffer::allocate(size);
    std::fill_n(block.data(), size, static_cast<char>('a' + size % 7));
    (void)io::frame_pool::restart_peak();
    const auto in_use = io::frame_pool::in_use();
    co_yield std::move(block);
    if (size > 16'000) most = std::max(most, io::frame_pool::peak() - in_use);
  }
}
std::string all_blocks() {
  std::string all;
  for (const std::uint32_t size : {100'000U, 10U, 50'000U, 16'384U})
    all.append(size, static_cast<char>('a' + size % 7));
  return all;
}

http::events clock_of(world& w) {
  const alive here(w);
  for (int i = 0;; ++i) {
    ++w.pieces;
    co_yield http::event("tick").id(std::to_string(i));
    co_await gate(w);
    w.go = false;
  }
}
http::events silence(world& w) {
  const alive here(w);
  while (true) co_await io::sleep_for(*w.ring, 1h);
}
http::events flood(world& w) {
  const alive here(w);
  while (true) {
    ++w.pieces;
    co_yield http::event(std::string(1000, 'f'));
  }
}

auto make_routes(world& w) {
  return http::routes{
      http::get<"/ordinary">([](const http::request& q) { return http::text(q.query()); }),
      http::post<"/ordinary">([](const http::request& q) { return http::text(q.body()); }),
      http::get<"/numbers">(
          [&w](const http::request& q) { return http::stream(http::text("first,"), numbers(w, q, 3)); }),
      http::post<"/numbers">(
          [&w](const http::request& q) { return http::stream(http::text(q.body()), numbers(w, q, 3)); }),
      http::get<"/many">(
          [&w](const http::request& q) { return http::stream(http::text(""), numbers(w, q, 20'000)); }),
      http::get<"/gated">([&w](const http::request& q) -> task<http::stream_response> {
        co_await io::yield();
        co_return http::stream(http::text(""), gated(w, q, 3));
      }),
      http::get<"/length">([&w](const http::request& q) {
        return http::stream(http::text("first,"), numbers(w, q, 3), 6 + 3 * 8);
      }),
      http::get<"/short">(
          [&w](const http::request& q) { return http::stream(http::text(""), gated(w, q, 3), 3 * 7 + 1); }),
      http::get<"/long">(
          [&w](const http::request& q) { return http::stream(http::text(""), gated(w, q, 3), 3 * 6 - 1); }),
      http::get<"/short-at-once">(
          [&w](const http::request& q) { return http::stream(http::text(""), numbers(w, q, 3), 1000); }),
      http::get<"/endless">([&w](const http::request&) { return http::stream(http::text(""), endless(w)); }),
      http::get<"/throws">([&w](const http::request&) { return http::stream(http::text(""), throws(w, 0)); }),
      http::get<"/throws-later">(
          [&w](const http::request&) { return http::stream(http::text(""), throws(w, 3)); }),
      http::get<"/handler-throws">(
          [](const http::request&) -> http::stream_response { throw std::runtime_error("no"); }),
      http::get<"/nothing">(
          [](const http::request&) { return http::stream(http::text(""), nothing_much()); }),
      http::get<"/large">([](const http::request&) { return http::stream(http::text(""), large()); }),
      http::get<"/blocks">([&w](const http::request&) {
        return http::stream(http::text("first,"), blocks(w.beside), 6 + all_blocks().size());
      }),
      http::get<"/blocks-chunked">(
          [&w](const http::request&) { return http::stream(http::text("first,"), blocks(w.beside)); }),
      http::get<"/no-content">(
          [&w](const http::request& q) { return http::stream(http::status(204), numbers(w, q, 3)); }),
      http::get<"/decides">([&w](const http::request& q) -> http::stream_response {
        if (q.query().empty()) return http::status(404);
        http::response head = http::text("");
        head.set_status(203);
        EXPECT_TRUE(head.add_header("X-Own", "yes"));
        return http::stream(std::move(head), numbers(w, q, 1));
      }),
      http::get<"/clock">([&w](const http::request&) { return clock_of(w); }),
      http::get<"/silence">([&w](const http::request&) -> http::events { return silence(w); }),
      http::get<"/flood">([&w](const http::request&) { return flood(w); }),
      http::get<"/lambda">([&w](const http::request& q) -> http::events {
        const alive here(w);
        co_yield http::event(q.path());
      })};
}
using routes_type = decltype(make_routes(std::declval<world&>()));

std::string get(std::string_view target, std::string_view fields = "", std::string_view version = "1.1") {
  return "GET " + std::string(target) + " HTTP/" + std::string(version) + "\r\nHost: a\r\n" +
         std::string(fields) + "\r\n";
}
std::string body_of(const std::string& wire) { return wire.substr(wire.find("\r\n\r\n") + 4); }
std::string status_of(const std::string& wire) { return wire.substr(0, wire.find('\r')); }
bool has(const std::string& wire, std::string_view what) { return wire.find(what) != std::string::npos; }

constexpr std::string_view chunked = "\r\nTransfer-Encoding: chunked\r\n";
constexpr std::string_view last_chunk = "\r\n0\r\n\r\n";

template <class Link>
class http_stream : public testing::Test {
 protected:
  http_stream() : ring(test::ring_of_this_thread()) { w.ring = ring.get(); }
  ~http_stream() override { EXPECT_EQ(w.live, 0); }

  /// Gets what goes wrong in handlers.
  http::serve_options noting() {
    http::serve_options o;
    o.on_error = [this](std::exception_ptr why, const http::request& q) {
      try {
        std::rethrow_exception(why);
      } catch (const std::exception& e) {
        errors.push_back(std::string(q.path()) + ": " + e.what());
      }
    };
    return o;
  }

  std::unique_ptr<io::ring> ring;
  world w;
  routes_type routes = make_routes(w);
  std::vector<std::string> errors;
  using link = test::http_link<Link, routes_type>;
};
TYPED_TEST_SUITE(http_stream, test::links, test::link_names);

TYPED_TEST(http_stream, chunks_and_then_the_next_request) {
  typename TestFixture::link c(*this->ring, this->routes);
  for (int i = 0; i != 3; ++i) {
    c.send(get("/numbers") + get("/ordinary?x"));
    const std::string wire = c.until("\r\n\r\nx");
    EXPECT_EQ(status_of(wire), "HTTP/1.1 200 OK");
    EXPECT_TRUE(has(wire, chunked)) << wire;
    EXPECT_TRUE(has(wire, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
    EXPECT_TRUE(has(wire,
                    "\r\n\r\n6\r\nfirst,\r\n9\r\n0/numbers\r\n9\r\n1/numbers\r\n9\r\n2/numbers\r\n0\r\n\r\n"
                    "HTTP/1.1 200 OK\r\n"))
        << wire;
    EXPECT_FALSE(has(wire.substr(0, wire.find("\r\n\r\n")), "Content-Length"));
    EXPECT_FALSE(has(wire, "Connection:"));
  }
}

TYPED_TEST(http_stream, after_a_body) {
  typename TestFixture::link c(*this->ring, this->routes);
  c.send("POST /numbers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" +
         get("/ordinary?x"));
  EXPECT_TRUE(has(c.until("\r\n\r\nx"), "\r\n\r\n5\r\nhello\r\n9\r\n0/numbers\r\n9\r\n1/numbers\r\n"));
  c.send("GET /numbers HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /" + get("/ordinary?y"));
  EXPECT_TRUE(has(c.until("\r\n\r\ny"), "6\r\nfirst,\r\n9\r\n0/numbers\r\n"));
  c.send("GET /numbers HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nGET /");  // nobody waits for it
  EXPECT_TRUE(has(c.until(last_chunk), "\r\nConnection: close\r\n"));
}

TYPED_TEST(http_stream, by_length) {
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(get("/length") + get("/ordinary?x"));
  const std::string wire = c.until("\r\n\r\nx");
  EXPECT_TRUE(has(wire, "\r\nContent-Length: 30\r\n")) << wire;
  EXPECT_FALSE(has(wire, chunked));
  EXPECT_TRUE(has(wire, "\r\n\r\nfirst,0/length1/length2/lengthHTTP/1.1 200 OK\r\n")) << wire;
}

// Long ones of a body with a length are sent from where they are; nothing gets out of order.
TYPED_TEST(http_stream, blocks) {
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(get("/blocks") + get("/ordinary?x"));
  const std::string wire = c.until("\r\n\r\nx");
  EXPECT_TRUE(body_of(wire).starts_with("first," + all_blocks() + "HTTP/1.1 200 OK\r\n"));
  if constexpr (std::is_same_v<TypeParam, test::socket_link>) {
    EXPECT_LT(this->w.beside, 2000);
  }
  c.send(get("/blocks-chunked"));
  const std::string framed = c.until(last_chunk);
  EXPECT_TRUE(has(framed, "\r\n186a0\r\n" + all_blocks().substr(0, 100'000) + "\r\na\r\n"));
  EXPECT_TRUE(has(framed, "\r\n4000\r\n" + all_blocks().substr(150'010) + "\r\n0\r\n\r\n"));
}

TYPED_TEST(http_stream, http10_ends_with_the_connection_or_by_length) {
  {
    typename TestFixture::link c(*this->ring, this->routes);
    c.send(get("/numbers", "Connection: keep-alive\r\n", "1.0"));
    const std::string wire = c.to_the_end();
    EXPECT_TRUE(has(wire, "\r\nConnection: close\r\n")) << wire;
    EXPECT_FALSE(has(wire, "Transfer-Encoding"));
    EXPECT_FALSE(has(wire, "Content-Length"));
    EXPECT_EQ(body_of(wire), "first,0/numbers1/numbers2/numbers");
  }
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(get("/length", "Connection: keep-alive\r\n", "1.0") + get("/ordinary?x"));
  const std::string wire = c.until("\r\n\r\nx");
  EXPECT_TRUE(has(wire, "\r\nConnection: keep-alive\r\n")) << wire;
  EXPECT_TRUE(has(wire, "\r\n\r\nfirst,0/length1/length2/lengthHTTP/1.1 200 OK\r\n")) << wire;
}

TYPED_TEST(http_stream, head_runs_no_producer) {
  typename TestFixture::link c(*this->ring, this->routes);
  for (const auto* const path : {"/numbers", "/length", "/clock"}) {
    c.send("HEAD " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n" + get("/ordinary?x"));
    const std::string wire = c.until("\r\n\r\nx");
    EXPECT_NE(has(wire, chunked), has(wire, "\r\nContent-Length: 30\r\n")) << wire;
    EXPECT_TRUE(body_of(wire).starts_with("HTTP/1.1 200 OK")) << wire;
  }
  c.send(get("/no-content") + get("/ordinary?x"));
  const std::string wire = c.until("\r\n\r\nx");
  EXPECT_EQ(status_of(wire), "HTTP/1.1 204 No Content");
  EXPECT_FALSE(has(wire, chunked));
  EXPECT_TRUE(body_of(wire).starts_with("HTTP/1.1 200 OK")) << wire;
  EXPECT_EQ(this->w.pieces, 0);
}

TYPED_TEST(http_stream, a_handler_decides_between_a_stream_and_an_ordinary_response) {
  typename TestFixture::link c(*this->ring, this->routes, this->noting());
  c.send(get("/decides") + get("/decides?x"));
  const std::string wire = c.until(last_chunk);
  EXPECT_EQ(status_of(wire), "HTTP/1.1 404 Not Found");
  EXPECT_TRUE(has(wire, "\r\n\r\nNot Found\nHTTP/1.1 203 ")) << wire;
  EXPECT_TRUE(has(wire, "\r\nX-Own: yes\r\n"));
  EXPECT_TRUE(wire.ends_with("\r\n\r\n9\r\n0/decides\r\n0\r\n\r\n"));
  c.send(get("/handler-throws"));
  EXPECT_EQ(status_of(c.to_the_end()), "HTTP/1.1 500 Internal Server Error");
  EXPECT_EQ(this->errors, std::vector<std::string>{"/handler-throws: no"});
}

TYPED_TEST(http_stream, pieces_of_all_sizes) {
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(get("/nothing"));
  EXPECT_EQ(body_of(c.until("0\r\n\r\n")), "0\r\n\r\n");
  c.send(get("/large"));
  EXPECT_TRUE(
      c.until(last_chunk).ends_with("\r\n\r\nf4240\r\n" + std::string(1'000'000, 'l') + "\r\n0\r\n\r\n"));
  c.send(get("/many"));
  std::string expected;
  for (int i = 0; i != 20'000; ++i) expected += std::to_string(i) + "/many";
  const std::string wire = c.until(last_chunk);
  const auto [body, end] = test::chunked_body(wire);
  EXPECT_TRUE(body == expected);
  EXPECT_EQ(end, wire.size());
}

// Where the request lies may move while more arrives: a producer still sees it.
TYPED_TEST(http_stream, the_request_is_valid_to_the_end_whatever_arrives_meanwhile) {
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(get("/gated"));
  EXPECT_TRUE(has(c.until("1/gated\r\n"), chunked));
  EXPECT_EQ(this->w.live, 1);
  std::string many;
  for (int i = 0; i != 300; ++i) many += get("/ordinary?" + std::to_string(i));
  c.send(many + get("/ordinary?end"));
  c.turn();
  EXPECT_EQ(c.received(), "");
  this->w.go = true;
  const std::string wire = c.until("\r\n\r\nend");
  EXPECT_TRUE(wire.starts_with("7\r\n2/gated\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
  for (int i = 0; i != 300; ++i) EXPECT_TRUE(has(wire, "\r\n\r\n" + std::to_string(i) + "HTTP/1.1")) << i;
}

TYPED_TEST(http_stream, requests_may_arrive_in_any_pieces) {
  typename TestFixture::link c(*this->ring, this->routes);
  const std::string one = get("/numbers", "X: y\r\n");
  for (std::size_t cut = 1; cut != one.size(); ++cut) {
    c.send(one + one.substr(0, cut));
    EXPECT_TRUE(has(c.until(last_chunk), "\r\n9\r\n2/numbers\r\n0\r\n\r\n")) << cut;
    c.send(one.substr(cut));
    EXPECT_TRUE(has(c.until(last_chunk), "\r\n9\r\n2/numbers\r\n0\r\n\r\n")) << cut;
  }
}

TYPED_TEST(http_stream, a_slow_reader_costs_no_memory) {
  typename TestFixture::link c(*this->ring, this->routes);
  for (const auto* const path : {"/endless", "/flood"}) {
    this->w.pieces = 0;
    std::vector<std::unique_ptr<typename TestFixture::link>> slow;
    const auto before = io::frame_pool::in_use();
    for (int i = 0; i != 10; ++i) {
      slow.push_back(std::make_unique<typename TestFixture::link>(*this->ring, this->routes));
      slow.back()->reads = false;
      slow.back()->send(get(path));
    }
    c.turn(100);
    const int stalled = this->w.pieces;
    EXPECT_GT(stalled, 10 * 5);
    EXPECT_LT(io::frame_pool::in_use() - before, 10 * 60'000) << path;
    c.turn(100);
    EXPECT_EQ(this->w.pieces, stalled) << path;
    EXPECT_EQ(this->w.live, 10);
    for (auto& each : slow) {  // and goes on when it is read
      std::string some;
      EXPECT_TRUE(c.turn_until([&] {
        each->client().receive(some);
        return some.size() > 500'000;
      }));
    }
    EXPECT_GT(this->w.pieces, stalled + 100);
    for (auto& each : slow) each->hang_up();
    EXPECT_TRUE(c.turn_until([&] { return this->w.live == 0; }));
    c.hang_up();  // each waits for the end of all
  }
}

TYPED_TEST(http_stream, clients_that_do_not_read_hold_no_buffers) {
  for (const auto* const before : {"", "/many"}) {
    typename TestFixture::link deaf(*this->ring, this->routes);
    deaf.reads = false;
    deaf.send((*before != 0 ? get(before) : "") + get("/endless") + get("/ordinary"));
    EXPECT_TRUE(deaf.turn_until([&] { return this->w.pieces > 5; }));
    deaf.turn(100);
    EXPECT_EQ(this->ring->leased(), 0U);
    deaf.hang_up();
    EXPECT_TRUE(deaf.turn_until([&] { return this->w.live == 0; }));
  }
}

TYPED_TEST(http_stream, a_client_that_does_not_read_is_given_up) {
  http::serve_options options;
  options.write_timeout = 50ms;
  typename TestFixture::link c(*this->ring, this->routes, options);
  c.reads = false;
  c.send(get("/endless"));
  EXPECT_TRUE(c.turn_until([&] { return this->w.pieces != 0 && this->w.live == 0; }));
  c.reads = true;
  EXPECT_FALSE(c.to_the_end().ends_with(last_chunk));
}

TYPED_TEST(http_stream, a_client_that_leaves_ends_the_producer) {
  for (const auto* const path : {"/endless", "/flood", "/clock", "/silence"}) {
    typename TestFixture::link c(*this->ring, this->routes);
    c.send(get(path));
    EXPECT_TRUE(c.turn_until([&] { return this->w.live == 1; }));
    c.turn();
    EXPECT_EQ(this->w.live, 1);
    c.hang_up();
    EXPECT_TRUE(c.turn_until([&] { return this->w.live == 0; })) << path;
  }
  // Events have no end that a client could wait for after it has closed its side; other bodies have.
  for (const auto* const path : {"/clock", "/silence"}) {
    typename TestFixture::link c(*this->ring, this->routes);
    c.send(get(path));
    EXPECT_TRUE(c.turn_until([&] { return this->w.live == 1; }));
    c.half_close();
    EXPECT_TRUE(c.turn_until([&] { return this->w.live == 0; })) << path;
  }
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(get("/gated"));
  c.until("1/gated\r\n");
  c.half_close();
  c.turn();
  EXPECT_EQ(this->w.live, 1);
  this->w.go = true;
  EXPECT_EQ(c.to_the_end(), "7\r\n2/gated\r\n0\r\n\r\n");
}

TYPED_TEST(http_stream, who_pipelines_behind_events_is_bounded) {
  http::serve_options options;
  options.heartbeat = 20ms;  // that the client is gone is seen by writing: there is no room to read on
  typename TestFixture::link c(*this->ring, this->routes, options);
  const auto before = io::frame_pool::in_use();
  c.send(get("/silence"));
  std::string requests;
  while (requests.size() < 8192) requests += get("/ordinary");
  std::size_t sent = 0;
  for (int idle = 0; idle != 100; ++idle) {
    const std::size_t n = c.client().send(requests);
    if (n != 0) idle = 0;
    sent += n;
    c.turn(1);
  }
  EXPECT_GT(sent, 100'000U);
  EXPECT_LT(io::frame_pool::in_use() - before, 100'000);
  EXPECT_EQ(this->w.live, 1);
}

TYPED_TEST(http_stream, stop_ends_events_and_lets_others_finish) {
  for (const auto* const path : {"/clock", "/silence"}) {
    {
      typename TestFixture::link c(*this->ring, this->routes);
      c.send(get(path));
      EXPECT_TRUE(c.turn_until([&] { return this->w.live == 1; }));
      c.turn();
      this->ring->stop(20s);
      EXPECT_TRUE(c.turn_until([&] { return this->w.live == 0; }, 1s)) << path;
      const std::string wire = c.to_the_end();
      const auto [body, end] = test::chunked_body(wire);
      EXPECT_EQ(end, wire.size()) << wire;
    }
    this->ring.reset();
    this->ring = test::ring_of_this_thread();
    this->w.ring = this->ring.get();
  }
  {
    typename TestFixture::link c(*this->ring, this->routes);  // also of a client that does not read
    c.reads = false;
    c.send(get("/flood"));
    EXPECT_TRUE(c.turn_until([&] { return this->w.live == 1; }));
    c.turn();
    this->ring->stop(20s);
    EXPECT_TRUE(c.turn_until([&] { return this->w.live == 0; }, 1s));
  }
  this->ring.reset();
  this->ring = test::ring_of_this_thread();
  this->w.ring = this->ring.get();
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(get("/gated") + get("/ordinary?never"));
  c.until("1/gated\r\n");
  this->ring->stop(20s);
  c.turn();
  EXPECT_EQ(this->w.live, 1);
  this->w.go = true;
  EXPECT_EQ(c.to_the_end(), "7\r\n2/gated\r\n0\r\n\r\n");
}

TYPED_TEST(http_stream, the_deadline_of_a_stop_destroys_the_producer) {
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(get("/gated"));
  EXPECT_FALSE(c.until("1/gated\r\n").ends_with(last_chunk));
  this->ring->stop(10ms);
  EXPECT_TRUE(c.turn_until([&] { return this->w.live == 0; }));
  EXPECT_EQ(c.to_the_end(), "");
}

TYPED_TEST(http_stream, an_exception_never_looks_like_an_end) {
  {
    typename TestFixture::link c(*this->ring, this->routes, this->noting());
    c.send(get("/ordinary?a") + get("/throws-later") + get("/ordinary?b"));
    const std::string wire = c.to_the_end();
    EXPECT_TRUE(has(wire, chunked));
    EXPECT_TRUE(has(wire, "\r\n4e20\r\nxxxx"));
    EXPECT_FALSE(has(wire, "\r\n0\r\n"));
    EXPECT_TRUE(wire.ends_with("xxx\r\n")) << wire.substr(wire.size() - 100);
  }
  {
    typename TestFixture::link c(*this->ring, this->routes, this->noting());  // nothing was sent yet
    c.send(get("/ordinary?a") + get("/throws") + get("/ordinary?b"));
    const std::string wire = c.to_the_end();
    EXPECT_TRUE(has(wire, "\r\n\r\naHTTP/1.1 500 Internal Server Error\r\n")) << wire;
    EXPECT_TRUE(has(wire, "\r\nConnection: close\r\n"));
    EXPECT_FALSE(has(wire, chunked));
    EXPECT_TRUE(wire.ends_with("\r\n\r\nInternal Server Error\n"));
  }
  EXPECT_EQ(this->errors, (std::vector<std::string>{"/throws-later: no more", "/throws: no more"}));
}

TYPED_TEST(http_stream, a_wrong_length_is_never_a_wrong_framing) {
  {
    typename TestFixture::link c(*this->ring, this->routes, this->noting());
    c.send(get("/short") + get("/ordinary?b"));
    EXPECT_TRUE(has(c.until("0/short1/short"), "\r\nContent-Length: 22\r\n"));
    this->w.go = true;
    EXPECT_EQ(c.to_the_end(), "");
  }
  this->w.go = false;
  {
    typename TestFixture::link c(*this->ring, this->routes, this->noting());
    c.send(get("/long") + get("/ordinary?b"));
    EXPECT_TRUE(has(c.until("0/long1/long"), "\r\nContent-Length: 17\r\n"));
    this->w.go = true;
    EXPECT_EQ(c.to_the_end(), "");
  }
  {
    typename TestFixture::link c(*this->ring, this->routes, this->noting());
    c.send(get("/short-at-once") + get("/ordinary?b"));
    EXPECT_EQ(status_of(c.to_the_end()), "HTTP/1.1 500 Internal Server Error");
  }
  const std::string why = "the body of a stream has not the length that was said";
  EXPECT_EQ(this->errors,
            (std::vector<std::string>{"/short: " + why, "/long: " + why, "/short-at-once: " + why}));
}

TYPED_TEST(http_stream, events) {
  typename TestFixture::link c(*this->ring, this->routes);
  c.send(get("/lambda") + get("/clock"));
  const std::string wire = c.until("\ndata: tick\nid: 0\n\n\r\n");
  EXPECT_TRUE(has(wire, "\r\nContent-Type: text/event-stream\r\n")) << wire;
  EXPECT_TRUE(has(wire, "\r\nCache-Control: no-store\r\n"));
  EXPECT_TRUE(has(wire, chunked));
  EXPECT_TRUE(has(wire, "\r\n\r\nf\r\ndata: /lambda\n\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n")) << wire;
  this->w.go = true;
  EXPECT_EQ(c.until("id: 1\n\n\r\n"), "12\r\ndata: tick\nid: 1\n\n\r\n");
}

TYPED_TEST(http_stream, silent_events_have_a_heartbeat) {
  http::serve_options options;
  options.heartbeat = 20ms;
  typename TestFixture::link c(*this->ring, this->routes, options);
  c.send(get("/silence"));
  EXPECT_TRUE(has(c.until("\r\n\r\n3\r\n:\n\n\r\n3\r\n:\n\n\r\n"), chunked));
}

struct stream_log {
  std::vector<std::string> lines;
  void answered(const http::exchange& e) noexcept {
    lines.push_back(std::string(e.request_line) + " " + std::to_string(e.status) + " " +
                    std::string(to_string(e.cause)) + " " + std::to_string(e.body_bytes) +
                    (e.complete ? "" : " cut"));
    wire += e.bytes;
  }
  std::uint64_t wire = 0;
};

TYPED_TEST(http_stream, an_observer_sees_how_streams_end) {
  stream_log log;
  const http::serve_options options = this->noting();
  TypeParam client(*this->ring);
  io::spawn(http::serve(client.server(), {}, this->routes, options, log));
  std::string wire;
  const auto send = [&](const std::string& bytes, auto done) {
    client.send(bytes);
    for (int i = 0; i != 20'000 && !done(); ++i) {
      this->ring->poll();
      client.receive(wire);
      ::usleep(50);
    }
  };
  send(get("/numbers") + get("/decides") + "HEAD /length HTTP/1.1\r\nHost: a\r\n\r\n",
       [&] { return log.lines.size() == 3; });
  EXPECT_EQ(log.wire, wire.size());
  send(get("/throws-later"), [&] { return client.ended(); });
  EXPECT_EQ(log.lines,
            (std::vector<std::string>{
                "GET /numbers HTTP/1.1 200 handler 33", "GET /decides HTTP/1.1 404 handler 10",
                "HEAD /length HTTP/1.1 200 handler 0", "GET /throws-later HTTP/1.1 200 failed 60000 cut"}));
  EXPECT_EQ(io::spawned(), 0U);
}

#ifndef SYNFP_TEST_TLS  // these need no link

TEST(http_events, text_of_an_event) {
  const auto text = [](const http::event& e) { return std::string(e.text()); };
  EXPECT_EQ(text(http::event("a")), "data: a\n");
  EXPECT_EQ(text(http::event("")), "data: \n");
  EXPECT_EQ(text(http::event("a\nb\r\nc\rd\n")), "data: a\ndata: b\ndata: c\ndata: d\ndata: \n");
  EXPECT_EQ(text(http::event("\r\r\n\n")), "data: \ndata: \ndata: \ndata: \n");
  EXPECT_EQ(text(http::event("x").name("n").id("7").retry(1500ms)),
            "data: x\nevent: n\nid: 7\nretry: 1500\n");
  EXPECT_EQ(text(http::event("x").name("n\ndata: forged").id("7\rid: 8")), "data: x\nevent: n\nid: 7\n");
  EXPECT_EQ(text(http::event::comment("hello\nthere")), ": hello\n: there\n");
  EXPECT_EQ(text(http::event("a").data("b")), "data: a\ndata: b\n");
  EXPECT_EQ(text(http::event().id("9").retry(-1ms)), "id: 9\nretry: 0\n");
}

// On HTTP/1.0 a FIN would be the end of the body.
// Else the kernel would keep what was sent, and offer it for minutes to who does not want it.
TEST(http_stream_over_tcp, who_does_not_read_is_reset) {
  const auto ring = test::ring_of_this_thread();
  world w;
  w.ring = ring.get();
  const auto routes = make_routes(w);
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  auto listener = synfp::net::listener::create(*ring, fd.release());
  ASSERT_TRUE(listener);
  http::serve_options options;
  options.write_timeout = 50ms;
  synfp::spawn([&]() -> task<> {
    while (auto a = co_await listener->accept()) synfp::spawn(http::serve(std::move(*a), routes, options));
  });
  // One request each: with more of them unread, a close resets by itself.
  for (const std::string& request : {get("/endless"), get("/flood")}) {
    const auto client = test::connect_to(where);
    test::send_all(client.get(), request);
    pollfd p{client.get(), 0, 0};  // of which POLLHUP and POLLERR are reported anyway
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (::poll(&p, 1, 0) == 0 && std::chrono::steady_clock::now() < deadline) {
      ring->poll();
      ::usleep(50);
    }
    EXPECT_NE(p.revents & POLLERR, 0) << request.substr(0, 20);
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(client.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    EXPECT_EQ(error, ECONNRESET);
  }
  ring->stop();
  test::run_to_end(*ring);
  EXPECT_EQ(w.live, 0);
}

TEST(http_stream_over_tcp, what_is_cut_is_reset) {
  const auto ring = test::ring_of_this_thread();
  world w;
  w.ring = ring.get();
  const auto routes = make_routes(w);
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  auto listener = synfp::net::listener::create(*ring, fd.release());
  ASSERT_TRUE(listener);
  synfp::spawn([&]() -> task<> {
    while (auto a = co_await listener->accept()) synfp::spawn(http::serve(std::move(*a), routes));
  });
  for (const auto& [path, error] : {std::pair("/throws-later", ECONNRESET), std::pair("/numbers", 0)}) {
    const auto client = test::connect_to(where);
    const std::string request = get(path, "", "1.0");
    ASSERT_EQ(::send(client.get(), request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    char part[65536];
    int seen = -1;
    while (seen < 0) {
      ring->poll();
      const auto n = ::recv(client.get(), part, sizeof part, MSG_DONTWAIT);
      if (n == 0) seen = 0;
      if (n < 0 && errno != EAGAIN) seen = errno;
    }
    EXPECT_EQ(seen, error) << path;
  }
  ring->stop();
  test::run_to_end(*ring);
  EXPECT_EQ(w.live, 0);
}

#endif

}  // namespace
