// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <synfp/http/serve.hpp>
#include <synfp/io/timer.hpp>

#include "../support/every_link.hpp"

namespace {

using namespace std::chrono_literals;
using synfp::task;
namespace http = synfp::http;
namespace io = synfp::io;
namespace net = synfp::net;
namespace test = synfp::test;

/// What the handlers of these tests share with them.
struct world {
  io::ring* ring = nullptr;
  int calls = 0;
  int calls_before = -1;  // "/?calls"
  bool gate_open = false;
};

auto make_routes(world& w) {
  return http::routes{
      http::get<"/">([&w](const http::request& q) {
        if (q.query() == "calls") w.calls_before = w.calls;
        ++w.calls;
        return http::text(q.query());
      }),
      http::post<"/echo">([&w](const http::request& q) -> task<http::response> {
        ++w.calls;
        co_return http::text(q.body());
      }),
      http::get<"/body">(
          [](const http::request& q) { return http::text("[" + std::string(q.body()) + "]"); }),
      http::post<"/gated-echo">([&w](const http::request& q) -> task<http::response> {
        while (!w.gate_open) co_await io::sleep_for(*w.ring, 1ms);
        co_return http::text(q.body());
      }),
      http::get<"/slow">([&w](const http::request& q) -> task<http::response> {
        co_await io::sleep_for(*w.ring, 30ms);
        co_return http::text(q.target());  // still valid
      }),
      http::get<"/throw">([](const http::request&) -> http::response { throw std::runtime_error("no"); }),
      http::get<"/throw-later">([&w](const http::request&) -> task<http::response> {
        co_await io::sleep_for(*w.ring, 10ms);
        throw std::runtime_error("no");
      }),
      http::get<"/peer">([](const http::request& q) { return http::text(q.peer().text()); }),
      http::get<"/kilo">([](const http::request&) { return http::text(http::text_type(1000, 'k')); }),
      http::get<"/large">([](const http::request&) { return http::text(http::text_type(1'000'000, 'l')); })};
}
using routes_type = decltype(make_routes(std::declval<world&>()));

/// serve() on one end of a link, a client that does not block on the other; both run in this thread.
template <class Link>
class connection {
 public:
  explicit connection(http::serve_options options = {}) : connection(options, io::ring_options{}) {}
  connection(http::serve_options options, std::uint64_t expected_to_escape) : connection(options) {
    escaped_ = expected_to_escape;
  }
  connection(http::serve_options options, const io::ring_options& ring_options) {
    auto made = io::ring::create(ring_options);
    if (!made) throw std::runtime_error(made.error().message);
    ring_ = *std::move(made);
    world_.ring = ring_.get();
    client_.emplace(another(options));
  }
  ~connection() {
    hang_up();
    EXPECT_TRUE(turn_until([&] { return io::spawned() == 0; }));
    EXPECT_EQ(io::escaped_exceptions(), escaped_);
    EXPECT_EQ(ring_->leased(), 0U);
  }

  /// The client's end of one more, which is the caller's.
  Link another(http::serve_options options = {}) {
    Link link(*ring_);
    synfp::spawn(http::serve(link.server(),
                             net::connection_facts{.peer = *synfp::endpoint::parse("192.0.2.1:5"),
                                                   .local = *synfp::endpoint::parse("192.0.2.2:80")},
                             routes_, options));
    return link;
  }

  world& shared() { return world_; }
  io::ring& ring() { return *ring_; }
  bool ended() const { return client_->ended(); }
  bool reset() const { return client_->reset(); }
  void hang_up() { client_->close(); }
  void half_close() { client_->half_close(); }

  template <class F>
  bool turn_until(F done, std::chrono::milliseconds limit = 5000ms) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      ring_->poll();
      client_->receive(received_);
      ::usleep(100);
    }
    return true;
  }
  void turn(std::chrono::milliseconds limit) {
    turn_until([] { return false; }, limit);
  }

  void send(std::string_view bytes) {
    while (!bytes.empty() && !client_->gone()) {
      bytes.remove_prefix(client_->send(bytes));
      ring_->poll();
    }
  }
  /// Everything received so far once it contains `count` status lines with all their bodies, or ended.
  std::string responses(std::size_t count) {
    EXPECT_TRUE(turn_until([&] { return ended() || complete() >= count; })) << received_;
    return std::exchange(received_, {});
  }
  std::string to_the_end() {
    EXPECT_TRUE(turn_until([&] { return ended(); })) << received_;
    return std::exchange(received_, {});
  }

 private:
  std::size_t complete() const {
    std::size_t n = 0;
    for (std::size_t at = 0; at < received_.size(); ++n) {
      const std::size_t end = received_.find("\r\n\r\n", at);
      if (end == std::string::npos) break;
      const std::size_t length = received_.find("Content-Length: ", at);
      at = end + 4;
      if (length < end) at += std::stoul(received_.substr(length + 16));
      if (at > received_.size()) break;
    }
    return n;
  }

  world world_;
  routes_type routes_ = make_routes(world_);
  std::uint64_t escaped_ = io::escaped_exceptions();
  std::unique_ptr<io::ring> ring_;
  std::optional<Link> client_;
  std::string received_;
};

std::string get(std::string_view target, std::string_view fields = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}
std::string body_of(const std::string& wire) { return wire.substr(wire.find("\r\n\r\n") + 4); }
std::string status_of(const std::string& wire) { return wire.substr(0, wire.find('\r')); }
bool has(const std::string& wire, std::string_view what) { return wire.find(what) != std::string::npos; }
std::size_t count(const std::string& wire, std::string_view what) {
  std::size_t n = 0;
  for (auto at = wire.find(what); at != std::string::npos; at = wire.find(what, at + 1)) ++n;
  return n;
}

/// Everything holds over a socket and over memory: nothing in http/ depends on what carries the bytes.
template <class Link>
class http_serve : public testing::Test {};
TYPED_TEST_SUITE(http_serve, test::links, test::link_names);

TYPED_TEST(http_serve, keeps_the_connection_open) {
  connection<TypeParam> c;
  for (int i = 0; i < 3; ++i) {
    c.send(get("/?" + std::to_string(i)));
    const std::string wire = c.responses(1);
    EXPECT_EQ(status_of(wire), "HTTP/1.1 200 OK");
    EXPECT_EQ(body_of(wire), std::to_string(i));
    EXPECT_TRUE(has(wire, "\r\nDate: ")) << wire;
    EXPECT_FALSE(has(wire, "\r\nConnection: ")) << wire;
    EXPECT_TRUE(has(wire, " GMT\r\n"));
  }
  c.send(get("/peer"));
  EXPECT_EQ(body_of(c.responses(1)), "192.0.2.1:5");
  c.send(get("/nowhere"));
  EXPECT_EQ(status_of(c.responses(1)), "HTTP/1.1 404 Not Found");
  c.send("BREW / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(c.responses(1)), "HTTP/1.1 501 Not Implemented");
  c.send("HEAD /?abc HTTP/1.1\r\nHost: a\r\n\r\n" + get("/?x", "Connection: close\r\n"));
  const std::string both = c.to_the_end();
  EXPECT_TRUE(has(both, "Content-Length: 3\r\n\r\nHTTP/1.1 200 OK")) << both;
}

TYPED_TEST(http_serve, closes_when_asked_to) {
  {
    connection<TypeParam> c;
    c.send(get("/?a", "Connection: close\r\n"));
    EXPECT_TRUE(has(c.to_the_end(), "\r\nConnection: close\r\n"));
  }
  {
    connection<TypeParam> c;
    c.send("GET /?b HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(has(c.to_the_end(), "\r\nConnection: close\r\n"));
  }
  {
    connection<TypeParam> c;
    c.send("GET /?c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_TRUE(has(c.responses(1), "\r\nConnection: keep-alive\r\n"));
    c.send(get("/?d"));
    EXPECT_EQ(body_of(c.responses(1)), "d");
  }
  {
    connection<TypeParam> c;  // what follows a close is not served
    c.send(get("/?e", "Connection: close\r\n") + get("/?f"));
    c.half_close();
    EXPECT_EQ(count(c.to_the_end(), "HTTP/1.1 "), 1U);
    EXPECT_EQ(c.shared().calls, 1);
  }
}

TYPED_TEST(http_serve, answers_pipelined_requests_in_order) {
  connection<TypeParam> c;
  std::string requests;
  std::string expected;
  for (int i = 0; i < 500; ++i) {
    requests += i % 7 == 3 ? "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n" +
                                 std::to_string(100 + i) + "\r\n0\r\n\r\n"
                           : get("/?" + std::to_string(100 + i));
    expected += std::to_string(100 + i) + " ";
  }
  requests += get("/slow") + get("/?end", "Connection: close\r\n");
  expected += "/slow end ";
  c.send(requests);
  const std::string wire = c.to_the_end();
  std::string bodies;
  for (std::size_t at = wire.find("\r\n\r\n"); at != std::string::npos; at = wire.find("\r\n\r\n", at + 4)) {
    bodies += wire.substr(at + 4, wire.find("HTTP/1.1", at + 4) - at - 4) + " ";
  }
  EXPECT_EQ(bodies, expected);
}

TYPED_TEST(http_serve, a_slow_handler_does_not_hold_back_earlier_responses) {
  connection<TypeParam> c;
  c.send(get("/?first") + get("/slow?x"));
  EXPECT_EQ(body_of(c.responses(1)), "first");
  EXPECT_EQ(body_of(c.responses(1)), "/slow?x");
}

TYPED_TEST(http_serve, requests_may_arrive_in_any_pieces) {
  connection<TypeParam> c;
  const std::string one =
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n "
      "world\r\n0\r\n\r\n";
  for (const char byte : one) {
    c.send(std::string_view(&byte, 1));
    c.turn(1ms);
  }
  EXPECT_EQ(body_of(c.responses(1)), "hello world");
  for (std::size_t cut = 1; cut < one.size(); cut += 5) {
    c.send(one + one.substr(0, cut));
    EXPECT_EQ(body_of(c.responses(1)), "hello world");
    c.send(one.substr(cut));
    EXPECT_EQ(body_of(c.responses(1)), "hello world") << cut;
  }
}

TYPED_TEST(http_serve, bodies_larger_than_a_buffer) {
  connection<TypeParam> c;
  std::string body;
  for (int i = 0; body.size() < 1024 * 1024; ++i) body += std::to_string(i) + ",";
  body.resize(1024 * 1024);
  c.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body);
  EXPECT_TRUE(body_of(c.responses(1)) == body);
  std::string chunks = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t i = 0; i < body.size(); i += 1024) chunks += "400\r\n" + body.substr(i, 1024) + "\r\n";
  c.send(chunks + "0\r\n\r\n" + get("/large"));
  const std::string wire = c.responses(2);
  EXPECT_TRUE(body_of(wire).substr(0, body.size()) == body);
  EXPECT_TRUE(wire.ends_with(std::string(1'000'000, 'l')));
}

TYPED_TEST(http_serve, few_buffers) {
  connection<TypeParam> c({}, {.buffers = 2, .buffer_size = 64});
  for (int i = 0; i < 20; ++i) {
    c.send(get("/slow?" + std::string(100, 'x')) + get("/?y") + get("/slow"));
    const std::string wire = c.responses(3);
    EXPECT_TRUE(has(wire, "/slow?" + std::string(100, 'x')));
    EXPECT_TRUE(wire.ends_with("/slow"));
  }
}

// Clients that ask and do not read: what the server holds for them does not depend on how much they send.
TYPED_TEST(http_serve, clients_that_do_not_read_are_bounded) {
  connection<TypeParam> c;
  std::vector<TypeParam> deaf;
  for (int i = 0; i < 50; ++i) deaf.push_back(c.another());
  std::string requests;
  while (requests.size() < 8192) requests += get("/kilo");
  const auto before = io::frame_pool::in_use();
  std::ptrdiff_t most = 0;
  std::size_t sent = 0;
  for (int idle = 0; idle < 100; ++idle) {  // until nothing more is taken
    for (auto& client : deaf) {
      const std::size_t n = client.send(requests);
      if (n != 0) idle = 0;
      sent += n;
    }
    c.ring().poll();
    most = std::max(most, io::frame_pool::in_use() - before);
  }
  EXPECT_GT(sent, 50U * 100'000U);
  EXPECT_LT(most, 50 * 50'000);  // limits::output as the string grows, a chunk, the coroutines
  EXPECT_LE(c.ring().leased(), 768U + 50U);
  c.send(get("/?hello"));  // and others are served
  EXPECT_EQ(body_of(c.responses(1)), "hello");
  for (auto& client : deaf) client.close();
}

// What they have asked behind that does not stay in a buffer of the ring, which others read with.
TYPED_TEST(http_serve, clients_that_do_not_read_hold_no_buffers) {
  connection<TypeParam> c({}, {.buffers = 4, .limits = {.copied = 0}});
  std::vector<TypeParam> deaf;
  const std::string twice = get("/large") + get("/large");
  for (int i = 0; i < 8; ++i) {
    deaf.push_back(c.another());
    ASSERT_EQ(deaf.back().send(twice), twice.size());
  }
  c.send(get("/?hello"));
  EXPECT_EQ(body_of(c.responses(1)), "hello");
  EXPECT_EQ(c.ring().leased(), 0U);
  for (auto& client : deaf) client.close();
}

// A response is held once while it waits to be sent, and an idle connection holds nothing of past requests.
TYPED_TEST(http_serve, holds_no_more_than_it_must) {
  connection<TypeParam> c;
  c.send(get("/?a"));
  c.responses(1);
  const auto before = io::frame_pool::in_use();
  for (int i = 0; i < 3; ++i) {
    const std::string large = get("/?b", "X: " + std::string(12'000, 'x') + "\r\n");
    c.send(large.substr(0, 5000));
    c.turn(2ms);
    c.send(large.substr(5000));
    c.responses(1);
    c.send(get("/large"));
    c.responses(1);
  }
  EXPECT_LT(io::frame_pool::in_use() - before, 4096);
  auto deaf = c.another();
  const std::string twice = get("/large") + get("/large");
  ASSERT_EQ(deaf.send(twice), twice.size());
  c.turn(20ms);
  EXPECT_GT(io::frame_pool::in_use() - before, 1'000'000);
  EXPECT_LT(io::frame_pool::in_use() - before, 1'100'000);
  deaf.close();
}

// Who pipelines does not keep others waiting for all of it.
TYPED_TEST(http_serve, pipelined_requests_take_turns_with_other_connections) {
  connection<TypeParam> c;
  auto other = c.another();
  c.turn(2ms);  // both are waited for
  std::string many;
  for (int i = 0; i < 100; ++i) many += get("/?x");
  ASSERT_EQ(other.send(many), many.size());
  c.send(get("/?calls"));
  EXPECT_TRUE(c.turn_until([&] { return c.shared().calls == 101; }));
  EXPECT_LE(c.shared().calls_before, 32);
  EXPECT_EQ(count(c.responses(1), "HTTP/1.1 200"), 1U);
  other.close();
}

TYPED_TEST(http_serve, says_continue_once) {
  connection<TypeParam> c;
  const std::string head =
      "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
  for (int i = 0; i < 2; ++i) {
    c.send(head);
    EXPECT_EQ(c.responses(1), "HTTP/1.1 100 Continue\r\n\r\n");
    c.send("ab");
    c.turn(20ms);
    c.send("cd");
    EXPECT_EQ(body_of(c.responses(1)), "abcd");
  }
  c.send(head + "abcd");  // the client did not wait
  EXPECT_EQ(count(c.responses(1), "100 Continue"), 0U);
  c.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4000000\r\n\r\n");
  EXPECT_EQ(status_of(c.to_the_end()), "HTTP/1.1 413 Content Too Large");
}

std::string head_of(std::string_view method, std::string_view target, std::size_t length,
                    std::string_view fields = "") {
  return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(length) + "\r\n\r\n";
}

// A body on which nothing depends is not waited for, whoever asks for a "100 Continue" first.
TYPED_TEST(http_serve, answers_before_a_body_that_no_route_takes) {
  const std::pair<std::string, std::string_view> cases[] = {
      {head_of("POST", "/", 1'000'000), "HTTP/1.1 405 Method Not Allowed"},
      {head_of("POST", "/nowhere", 1'000'000), "HTTP/1.1 404 Not Found"},
      {head_of("PUT", "/echo", 1'000'000), "HTTP/1.1 405 Method Not Allowed"},
      {head_of("BREW", "/echo", 1'000'000), "HTTP/1.1 501 Not Implemented"},
      {head_of("OPTIONS", "/echo", 1'000'000), "HTTP/1.1 204 No Content"},
      {head_of("GET", "/?x", 1'000'000), "HTTP/1.1 200 OK"},
      {head_of("HEAD", "/?x", 1'000'000), "HTTP/1.1 200 OK"},
      {head_of("GET", "/slow", 1'000'000), "HTTP/1.1 200 OK"},
      {head_of("POST", "/", 1'000'000, "Expect: 100-continue\r\n"), "HTTP/1.1 405 Method Not Allowed"},
      {head_of("GET", "/?x", 1'000'000, "Expect: 100-continue\r\n"), "HTTP/1.1 200 OK"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"},
  };
  for (const auto& [head, expected] : cases) {
    for (const bool with_some : {false, true}) {
      connection<TypeParam> c;
      c.send(with_some ? head + "3\r\nab" : head);
      const std::string wire = c.responses(1);
      EXPECT_EQ(status_of(wire), expected) << head;
      EXPECT_TRUE(has(wire, "\r\nConnection: close\r\n")) << wire;
      EXPECT_EQ(http::bodies().held, 0U) << head;
      if (testing::Test::HasFailure()) return;  // each waits for seconds
    }
  }
}

TYPED_TEST(http_serve, passes_over_a_body_that_no_route_takes_if_it_is_here) {
  connection<TypeParam> c;
  c.send(head_of("POST", "/", 5) + "GET /" + head_of("GET", "/?x", 5) + "GET /" +
         "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n" +
         get("/?end", "Connection: close\r\n"));
  const std::string wire = c.to_the_end();
  EXPECT_EQ(count(wire, "HTTP/1.1 "), 4U) << wire;
  EXPECT_EQ(count(wire, "HTTP/1.1 405 "), 2U) << wire;
  EXPECT_EQ(count(wire, "Connection: close"), 1U) << wire;
  EXPECT_TRUE(wire.ends_with("end")) << wire;
}

// A client that sends all of it before it reads gets its answer.
TYPED_TEST(http_serve, takes_the_rest_of_a_body_that_no_route_takes_before_it_closes) {
  connection<TypeParam> c;
  c.send(head_of("POST", "/nowhere", 1024 * 1024));
  const std::string wire = c.responses(1);
  EXPECT_EQ(status_of(wire), "HTTP/1.1 404 Not Found");
  c.send(std::string(1024 * 1024, 'x'));
  c.half_close();
  EXPECT_TRUE(c.turn_until([&] { return io::spawned() == 0; }));
  EXPECT_TRUE(c.ended());
  EXPECT_FALSE(c.reset());
}

TYPED_TEST(http_serve, the_handler_of_get_sees_no_body) {
  connection<TypeParam> c;
  c.send(head_of("GET", "/body", 5) + "hello" + get("/body"));
  EXPECT_EQ(count(c.responses(2), "\r\n\r\n[]"), 2U);
}

/// Several connections of one ring, each with its own client.
template <class Link>
class crowd {
 public:
  explicit crowd(std::size_t n, http::serve_options options = {}) : options_(options) {
    auto made = io::ring::create();
    if (!made) throw std::runtime_error(made.error().message);
    ring_ = *std::move(made);
    world_.ring = ring_.get();
    while (clients_.size() != n) add();
  }
  ~crowd() {
    for (Link& client : clients_) client.close();
    EXPECT_TRUE(turn_until([&] { return io::spawned() == 0; }));
    EXPECT_EQ(http::bodies().held, 0U);
  }
  world& shared() { return world_; }
  std::size_t add() {
    clients_.emplace_back(*ring_);
    received_.emplace_back();
    synfp::spawn(http::serve(clients_.back().server(), {}, routes_, options_));
    return clients_.size() - 1;
  }
  void send(std::size_t i, std::string_view bytes) {
    while (!bytes.empty() && !clients_[i].gone()) {
      bytes.remove_prefix(clients_[i].send(bytes));
      turn();
    }
    for (int more = 0; more < 5; ++more) turn();
  }
  template <class F>
  bool turn_until(F done) {
    for (int i = 0; i < 20'000; ++i) {
      if (done()) return true;
      turn();
      ::usleep(100);
    }
    return false;
  }
  /// What client `i` has received, once that is something.
  const std::string& answer(std::size_t i) {
    EXPECT_TRUE(turn_until([&] { return !received_[i].empty(); })) << i;
    return received_[i];
  }
  const std::string& so_far(std::size_t i) const { return received_[i]; }

 private:
  void turn() {
    ring_->poll();
    for (std::size_t i = 0; i != clients_.size(); ++i) clients_[i].receive(received_[i]);
  }

  world world_;
  routes_type routes_ = make_routes(world_);
  http::serve_options options_;
  std::unique_ptr<io::ring> ring_;
  std::vector<Link> clients_;
  std::vector<std::string> received_;
};

http::serve_options small_bodies() {
  http::serve_options o;
  o.limits.body = 100'000;
  o.limits.ring_bodies = 5 * 131'072;  // a body of 90,000 or 100,000 bytes takes so much
  return o;
}

TYPED_TEST(http_serve, bodies_of_a_ring_have_a_budget) {
  const auto before = http::bodies().dropped;
  [[maybe_unused]] const auto before_in_use = io::frame_pool::in_use();
  crowd<TypeParam> c(20, small_bodies());
  const std::string part(90'000, 'x');
  std::size_t most = 0;
  for (std::size_t i = 0; i != 20; ++i) {
    c.send(i, head_of("POST", "/echo", 100'000) + part);
    EXPECT_TRUE(
        c.turn_until([&] { return http::bodies().held == std::min<std::size_t>(i + 1, 5) * 131'071; }));
    most = std::max(most, http::bodies().held);
    if constexpr (std::is_same_v<TypeParam, test::socket_link>) {  // others have memory of their own
      EXPECT_LE(io::frame_pool::in_use() - before_in_use, 5 * 131'072 + 20 * 12'000)
          << "what the budget is of";
    }
  }
  EXPECT_LE(most, 5 * 131'072U);
  EXPECT_EQ(http::bodies().dropped - before, 15U);
  // The oldest gave way, with an answer; the others finish.
  for (std::size_t i = 0; i != 15; ++i) {
    EXPECT_EQ(status_of(c.answer(i)), "HTTP/1.1 503 Service Unavailable") << i;
    EXPECT_TRUE(has(c.answer(i), "\r\nRetry-After: 1\r\n"));
    EXPECT_TRUE(has(c.answer(i), "\r\nConnection: close\r\n"));
  }
  for (std::size_t i = 15; i != 20; ++i) {
    EXPECT_EQ(c.so_far(i), "");
    c.send(i, std::string(10'000, 'y'));
    EXPECT_TRUE(c.turn_until([&] { return c.so_far(i).ends_with("yyy"); }));
    EXPECT_EQ(status_of(c.answer(i)), "HTTP/1.1 200 OK");
  }
  EXPECT_EQ(http::bodies().held, 0U);
}

// Who fills the budget and waits does not shut out who comes and sends.
TYPED_TEST(http_serve, unfinished_bodies_do_not_shut_out_others) {
  crowd<TypeParam> c(10, small_bodies());
  for (std::size_t i = 0; i != 10; ++i)
    c.send(i, head_of("POST", "/echo", 100'000) + std::string(99'000, 'x'));
  for (int round = 0; round != 20; ++round) {
    const std::size_t i = c.add();
    c.send(i, head_of("POST", "/echo", 50'000, "Expect: 100-continue\r\n"));
    EXPECT_EQ(c.answer(i), "HTTP/1.1 100 Continue\r\n\r\n");
    c.send(i, std::string(25'000, 'x'));
    c.send(i, std::string(25'000, 'y'));
    EXPECT_TRUE(c.turn_until([&] { return c.so_far(i).ends_with("yyy"); })) << c.so_far(i);
  }
}

// Bodies that handlers work on are not taken away from them: then the one that comes is refused.
TYPED_TEST(http_serve, a_body_that_is_being_answered_is_not_dropped) {
  crowd<TypeParam> c(6, small_bodies());
  for (std::size_t i = 0; i != 5; ++i)
    c.send(i, head_of("POST", "/gated-echo", 99'000) + std::string(98'999, 'x') + "z");
  EXPECT_TRUE(c.turn_until([&] { return http::bodies().held > 5 * 131'000; }));
  c.send(5, head_of("POST", "/echo", 50'000, "Expect: 100-continue\r\n"));
  c.send(5, std::string(49'000, 'x'));
  EXPECT_TRUE(c.turn_until([&] { return has(c.so_far(5), "HTTP/1.1 503 "); })) << c.so_far(5);
  c.shared().gate_open = true;
  for (std::size_t i = 0; i != 5; ++i)
    EXPECT_TRUE(c.turn_until([&] { return c.so_far(i).ends_with("xxz"); })) << i;
}

// What a request took is not kept for the next one.
TYPED_TEST(http_serve, a_large_body_is_given_back_although_the_next_request_has_begun) {
  crowd<TypeParam> c(1, small_bodies());
  c.send(0, head_of("POST", "/echo", 99'000) + std::string(99'000, 'x') + "GET / HT");
  EXPECT_TRUE(c.turn_until([&] { return c.so_far(0).ends_with("xxx"); }));
  EXPECT_EQ(http::bodies().held, 0U);
  c.send(0, "TP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(c.turn_until([&] { return count(c.so_far(0), "HTTP/1.1 200 OK") == 2; }));
}

TYPED_TEST(http_serve, refuses_and_closes) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported"},
      {"\x16\x03\x01\x02", "HTTP/1.1 400 Bad Request"},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "HTTP/1.1 501 Not Implemented"},
      {"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "HTTP/1.1 417 Expectation Failed"},
  };
  for (const auto& [request, expected] : cases) {
    connection<TypeParam> c;
    c.send(request);
    c.send(get("/?never"));
    const std::string wire = c.to_the_end();
    EXPECT_EQ(status_of(wire), expected);
    EXPECT_TRUE(has(wire, "\r\nConnection: close\r\n"));
    EXPECT_EQ(count(wire, "HTTP/1.1 "), 1U);
    EXPECT_EQ(c.shared().calls, 0);
  }
  connection<TypeParam> c;  // the good ones before it are answered
  c.send(get("/?a") + "bad\r\n\r\n" + get("/?b"));
  const std::string wire = c.to_the_end();
  EXPECT_EQ(count(wire, "HTTP/1.1 "), 2U);
  EXPECT_TRUE(has(wire, "HTTP/1.1 400 Bad Request"));
  EXPECT_TRUE(wire.ends_with("\r\n\r\ninvalid method\n"));
}

TYPED_TEST(http_serve, handler_exceptions_become_500) {
  for (const auto target : {"/throw", "/throw-later"}) {
    connection<TypeParam> c;
    c.send(get("/?a") + get(target) + get("/?b"));
    const std::string wire = c.to_the_end();
    EXPECT_EQ(count(wire, "HTTP/1.1 "), 2U);
    EXPECT_TRUE(has(wire, "HTTP/1.1 500 Internal Server Error"));
    EXPECT_TRUE(has(wire, "\r\nConnection: close\r\n"));
  }
}

TYPED_TEST(http_serve, handler_exceptions_reach_the_program) {
  std::vector<std::string> seen;
  http::serve_options options;
  options.on_error = [&seen](std::exception_ptr why, const http::request& q) {
    try {
      std::rethrow_exception(why);
    } catch (const std::runtime_error& e) {
      seen.push_back(std::string(q.path()) + ": " + e.what());
    }
  };
  for (const auto target : {"/throw", "/throw-later"}) {
    connection<TypeParam> c(options);
    c.send(get(target));
    EXPECT_EQ(status_of(c.to_the_end()), "HTTP/1.1 500 Internal Server Error");
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"/throw: no", "/throw-later: no"}));
}

TYPED_TEST(http_serve, an_exception_of_on_error_ends_the_connection_and_escapes) {
  std::string escaped;
  const auto handler = [](void* to, std::exception_ptr why) noexcept {
    try {
      std::rethrow_exception(why);
    } catch (const std::logic_error& e) {
      *static_cast<std::string*>(to) = e.what();
    }
  };
  const auto before = io::escaped_exceptions();
  const auto old = io::on_escape(handler, &escaped);
  http::serve_options options;
  options.on_error = [](std::exception_ptr, const http::request&) { throw std::logic_error("mine"); };
  {
    connection<TypeParam> c(options, before + 1);
    c.send(get("/throw"));
    EXPECT_EQ(c.to_the_end(), "");
  }
  EXPECT_EQ(escaped, "mine");
  io::on_escape(old.first, old.second);
}

TYPED_TEST(http_serve, timeouts) {
  http::serve_options options;
  options.idle_timeout = 40ms;
  options.header_timeout = 60ms;
  options.body_timeout = 60ms;
  {
    connection<TypeParam> c(options);
    EXPECT_EQ(c.to_the_end(), "");
  }
  {
    connection<TypeParam> c(options);
    c.send(get("/?a"));
    EXPECT_EQ(count(c.to_the_end(), "HTTP/1.1 "), 1U);
  }
  {
    connection<TypeParam> c(options);
    c.send("\r\n");  // no request yet
    EXPECT_EQ(c.to_the_end(), "");
  }
  for (const auto start : {"G", "GET / HTTP/1.1\r\nHo"}) {
    connection<TypeParam> c(options);
    c.send(start);
    const std::string wire = c.to_the_end();
    EXPECT_EQ(status_of(wire), "HTTP/1.1 408 Request Timeout");
    EXPECT_TRUE(has(wire, "\r\nConnection: close\r\n"));
  }
  {
    connection<TypeParam> c(options);  // a byte now and then does not help
    c.send("GET /");
    const auto begin = std::chrono::steady_clock::now();
    while (!c.ended() && std::chrono::steady_clock::now() - begin < 2s) {
      c.send("x");
      c.turn(10ms);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
    EXPECT_EQ(status_of(c.to_the_end()), "HTTP/1.1 408 Request Timeout");
  }
  {
    connection<TypeParam> c(options);
    c.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    EXPECT_EQ(status_of(c.to_the_end()), "HTTP/1.1 408 Request Timeout");
  }
}

TYPED_TEST(http_serve, the_client_leaves) {
  for (const std::string& start :
       {std::string(), std::string("GET /"), get("/slow"), get("/large") + get("/large"),
        std::string("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")}) {
    connection<TypeParam> c;
    c.send(start);
    c.turn(2ms);
    c.hang_up();
  }
  connection<TypeParam> c;  // a half-close is not a reason to drop the response
  c.send(get("/slow"));
  c.half_close();
  EXPECT_EQ(body_of(c.to_the_end()), "/slow");
}

TYPED_TEST(http_serve, a_stopping_ring_ends_idle_connections_and_answers_the_others) {
  {
    connection<TypeParam> c;
    c.send(get("/?a"));
    c.responses(1);
    c.ring().stop(5s);
    EXPECT_EQ(c.to_the_end(), "");
  }
  {
    connection<TypeParam> c;
    c.send(get("/slow") + get("/?b"));
    c.turn(5ms);
    c.ring().stop(5s);
    const std::string wire = c.to_the_end();
    EXPECT_EQ(count(wire, "HTTP/1.1 "), 1U);
    EXPECT_TRUE(has(wire, "\r\nConnection: close\r\n"));
  }
}

TYPED_TEST(http_serve, a_client_that_has_not_asked_yet_may_ask_a_stopping_ring) {
  {
    connection<TypeParam> c;
    c.turn(2ms);  // it waits for a request, which is on its way
    c.ring().stop(5s);
    c.turn(2ms);
    c.send(get("/?a"));
    const std::string wire = c.to_the_end();
    EXPECT_EQ(count(wire, "HTTP/1.1 200 "), 1U);
    EXPECT_TRUE(has(wire, "\r\nConnection: close\r\n"));
  }
  {
    http::serve_options options;
    options.linger_timeout = 20ms;
    connection<TypeParam> c(options);
    c.turn(2ms);
    c.ring().stop(5s);
    EXPECT_EQ(c.to_the_end(), "");  // not for longer
  }
}

}  // namespace
