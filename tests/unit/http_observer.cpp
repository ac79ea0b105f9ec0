// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <synfp/http/observer.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/detail/descriptors.hpp>

#include "../support/every_link.hpp"

namespace {

using namespace std::chrono_literals;
using synfp::task;
namespace http = synfp::http;
namespace io = synfp::io;
namespace net = synfp::net;
namespace test = synfp::test;

/// Writes down what it is told.
struct notebook {
  struct entry {
    std::string request;  // its path, if it is known
    std::string line;
    http::method method;
    int status;
    http::cause cause;
    http::refusal refused_for;
    std::uint64_t bytes;
    std::uint64_t body_bytes;
    std::chrono::nanoseconds duration;
    std::string peer;
  };
  void answered(const http::exchange& e) noexcept {
    entries.push_back({e.request != nullptr ? std::string(e.request->path()) : "-",
                       std::string(e.request_line), e.method, e.status, e.cause, e.refused_for, e.bytes,
                       e.body_bytes, e.duration, std::string(e.connection.peer.text())});
  }
  void opened(const net::connection_facts&) noexcept { ++open; }
  void closed(const net::connection_facts&, http::ending why) noexcept {
    --open;
    ++gone;
    endings.push_back(why);
  }
  std::vector<entry> entries;
  int open = 0;
  int gone = 0;
  std::vector<http::ending> endings;
};
static_assert(http::observer<notebook> && http::observer<const http::no_observer>);
static_assert(http::observer<http::observers<notebook, notebook>>);
// Without one, a connection keeps nothing for it.
static_assert(std::is_empty_v<http::detail::observation<const http::no_observer>>);

/// One that does not want to know why.
struct short_notes {
  void answered(const http::exchange&) noexcept {}
  void closed(const net::connection_facts&) noexcept { ++gone; }
  int gone = 0;
};

struct may_throw {
  void answered(const http::exchange&) {}
};
static_assert(!http::observer<may_throw>);

template <class Link>
class http_observer : public testing::Test {
 protected:
  http_observer() {
    auto made = io::ring::create();
    if (!made) throw std::runtime_error(made.error().message);
    ring_ = *std::move(made);
  }
  ~http_observer() override {
    EXPECT_EQ(io::spawned(), 0U);
    EXPECT_EQ(notes.open, 0);
  }

  template <class Watch>
  std::string exchange_with(Watch& watch, std::string_view bytes, bool half_close = true) {
    Link link(*ring_);
    synfp::spawn(http::serve(link.server(),
                             net::connection_facts{.peer = *synfp::endpoint::parse("192.0.2.1:5"),
                                                   .local = *synfp::endpoint::parse("192.0.2.2:80")},
                             routes_, options, watch));
    std::string got;
    bool closed = !half_close;
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (io::spawned() != 0 && std::chrono::steady_clock::now() < deadline) {
      if (!bytes.empty()) bytes.remove_prefix(link.send(bytes));
      ring_->poll();
      link.receive(got);
      if (bytes.empty() && !std::exchange(closed, true)) link.half_close();
      if (link.ended()) link.close();
      ::usleep(100);
    }
    return got;
  }
  /// A connection on which `bytes` are sent and answered or waited for.
  std::unique_ptr<Link> connect(std::string_view bytes) {
    auto link = std::make_unique<Link>(*ring_);
    synfp::spawn(http::serve(link->server(), net::connection_facts{}, routes_, options, notes));
    while (!bytes.empty()) {
      bytes.remove_prefix(link->send(bytes));
      ring_->poll();
    }
    for (int i = 0; i < 5; ++i) ring_->poll();
    return link;
  }
  void finish(std::vector<std::unique_ptr<Link>>& all) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    for (const auto& link : all) link->close();
    while (io::spawned() != 0 && std::chrono::steady_clock::now() < deadline) ring_->poll();
  }
  std::string exchange(std::string_view bytes, bool half_close = true) {
    return exchange_with(notes, bytes, half_close);
  }

  void turn() { ring_->poll(); }

  notebook notes;
  http::serve_options options;

 private:
  std::unique_ptr<io::ring> ring_;
  http::routes<http::route<http::method::get, "/", http::response (*)(const http::request&)>,
               http::route<http::method::post, "/echo", http::response (*)(const http::request&)>,
               http::route<http::method::get, "/404", http::response (*)(const http::request&)>,
               http::route<http::method::get, "/throw", http::response (*)(const http::request&)>>
      routes_{http::get<"/">(+[](const http::request&) { return http::text("hello"); }),
              http::post<"/echo">(+[](const http::request& q) { return http::text(q.body()); }),
              http::get<"/404">(+[](const http::request&) {
                http::response r = http::text("mine");
                r.set_status(404);
                return r;
              }),
              http::get<"/throw">(
                  +[](const http::request&) -> http::response { throw std::runtime_error("no"); })};
};

TYPED_TEST_SUITE(http_observer, test::links, test::link_names);

TYPED_TEST(http_observer, sees_why_connections_end) {
  using http::ending;
  const auto& last = this->notes.endings;
  this->exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last.back(), ending::gone);
  this->exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false);
  EXPECT_EQ(last.back(), ending::done);
  this->exchange("GET /", true);
  EXPECT_EQ(last.back(), ending::gone);
  this->exchange("G@T / HTTP/1.1\r\n\r\n", false);
  EXPECT_EQ(last.back(), ending::done) << "refused";
  this->options.idle_timeout = this->options.header_timeout = 30ms;
  this->exchange("", false);
  EXPECT_EQ(last.back(), ending::idle);
  this->exchange("GET / HT", false);
  EXPECT_EQ(last.back(), ending::done) << "408";
  this->options.idle_timeout = 1h;
  ASSERT_EQ(last.size(), 6U);

  // Who is spared while descriptors are short, idle or with half a body.
  for (const auto* const sent : {"", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbody"}) {
    std::vector<std::unique_ptr<TypeParam>> one;
    one.push_back(this->connect(sent));
    EXPECT_EQ(net::detail::spare_connection::end_longest(1), 1U);
    for (int turn = 0; turn != 10; ++turn) this->turn();
    this->finish(one);
    EXPECT_EQ(last.back(), ending::spared);
  }
  ASSERT_EQ(last.size(), 8U);

  this->options.write_timeout = 30ms;
  std::vector<std::unique_ptr<TypeParam>> deaf;
  deaf.push_back(this->connect(""));
  std::string requests;
  while (requests.size() < 100'000) requests += "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (io::spawned() != 0 && std::chrono::steady_clock::now() < deadline) {
    deaf.back()->send(requests);
    this->turn();
  }
  EXPECT_EQ(last.size(), 9U);
  EXPECT_EQ(last.back(), ending::not_read);

  short_notes brief;
  http::observers both(this->notes, brief);
  this->exchange_with(both, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(brief.gone, 1);
  EXPECT_EQ(last.size(), 10U);
}

TYPED_TEST(http_observer, sees_every_response) {
  const std::string got = this->exchange(
      "GET /?q=1 HTTP/1.1\r\nHost: a\r\n\r\n"
      "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
      "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
      "GET /404 HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
      "PUT / HTTP/1.1\r\nHost: a\r\n\r\n"
      "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"
      "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /throw HTTP/1.1\r\nHost: a\r\n\r\n");
  struct expected {
    std::string_view line;
    int status;
    http::cause cause;
    std::uint64_t body;
  };
  const expected all[] = {{"GET /?q=1 HTTP/1.1", 200, http::cause::handler, 5},
                          {"HEAD / HTTP/1.1", 200, http::cause::handler, 0},
                          {"POST /echo HTTP/1.1", 200, http::cause::handler, 3},
                          {"GET /404 HTTP/1.1", 404, http::cause::handler, 4},
                          {"GET /nowhere HTTP/1.1", 404, http::cause::routes, 10},
                          {"PUT / HTTP/1.1", 405, http::cause::routes, 19},
                          {"OPTIONS * HTTP/1.1", 204, http::cause::routes, 0},
                          {"BREW / HTTP/1.1", 501, http::cause::routes, 16},
                          {"GET /throw HTTP/1.1", 500, http::cause::failed, 22}};
  ASSERT_EQ(this->notes.entries.size(), std::size(all));
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < std::size(all); ++i) {
    const auto& e = this->notes.entries[i];
    EXPECT_EQ(e.line, all[i].line);
    EXPECT_EQ(e.status, all[i].status) << e.line;
    EXPECT_EQ(e.cause, all[i].cause) << e.line;
    EXPECT_EQ(e.body_bytes, all[i].body) << e.line;
    EXPECT_EQ(e.refused_for, http::refusal::none) << e.line;
    EXPECT_NE(e.request, "-");
    EXPECT_EQ(e.peer, "192.0.2.1:5");
    EXPECT_GT(e.duration.count(), 0);
    bytes += e.bytes;
  }
  EXPECT_EQ(bytes, got.size());
  EXPECT_EQ(this->notes.gone, 1);
}

TYPED_TEST(http_observer, sees_refusals_with_what_is_known) {
  struct refused {
    std::string_view sent;
    int status;
    http::refusal why;
    std::string_view line;
    http::method method;
  };
  const refused all[] = {
      {"GET /a b HTTP/1.1\r\n\r\n", 400, http::refusal::version_invalid, "GET /a b HTTP/1.1",
       http::method::other},
      {"\x16\x03\x01\x02", 400, http::refusal::method_invalid, "\x16\x03\x01\x02", http::method::other},
      {"GET / HTTP/2.0\r\n\r\n", 505, http::refusal::version_unsupported, "GET / HTTP/2.0",
       http::method::other},
      {"GET /h HTTP/1.1\r\n\r\n", 400, http::refusal::host_missing, "GET /h HTTP/1.1", http::method::get},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", 413,
       http::refusal::body_too_large, "POST /echo HTTP/1.1", http::method::post},
      {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400, http::refusal::field_folded, "GET / HTTP/1.1",
       http::method::get},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400,
       http::refusal::chunk_size_invalid, "POST /echo HTTP/1.1", http::method::post}};
  for (const refused& one : all) {
    this->notes.entries.clear();
    const std::string got = this->exchange(one.sent);
    ASSERT_EQ(this->notes.entries.size(), 1U) << one.sent;
    const auto& e = this->notes.entries[0];
    EXPECT_EQ(e.status, one.status) << one.sent;
    EXPECT_EQ(e.cause, http::cause::refused) << one.sent;
    EXPECT_EQ(e.refused_for, one.why) << to_string(e.refused_for);
    EXPECT_EQ(e.line, one.line);
    EXPECT_EQ(e.method, one.method) << one.sent;
    EXPECT_EQ(e.bytes, got.size());
    // Of a request whose head was good, a handler could have seen the path.
    const bool good =
        one.why == http::refusal::chunk_size_invalid || one.why == http::refusal::body_too_large;
    EXPECT_EQ(e.request, good ? "/echo" : "-");
  }
}

TYPED_TEST(http_observer, sees_what_did_not_arrive_in_time) {
  this->options.header_timeout = 20ms;
  this->options.body_timeout = 20ms;
  this->options.idle_timeout = 20ms;
  this->exchange("GET /a HTTP/1.1\r\nHo", false);
  this->exchange("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", false);
  this->exchange("", false);  // asked for nothing, got nothing
  ASSERT_EQ(this->notes.entries.size(), 2U);
  EXPECT_EQ(this->notes.gone, 3);
  for (const auto& e : this->notes.entries) {
    EXPECT_EQ(e.status, 408);
    EXPECT_EQ(e.cause, http::cause::timed_out);
    EXPECT_GE(e.duration, 15ms);
  }
  EXPECT_EQ(this->notes.entries[0].line, "GET /a HTTP/1.1");
  EXPECT_EQ(this->notes.entries[0].request, "-");
  EXPECT_EQ(this->notes.entries[1].request, "/echo");
}

// The memory of a body that made room for others is gone, and with it what was known of its request.
TYPED_TEST(http_observer, sees_what_there_was_no_room_for) {
  this->options.limits.body = 1000;
  this->options.limits.ring_bodies = 1;  // total() is the least
  const std::string half =
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + std::string(999, 'b');
  std::vector<std::unique_ptr<TypeParam>> all;
  for (int i = 0; i < 200; ++i) all.push_back(this->connect(half));
  this->finish(all);
  std::size_t no_room = 0;
  for (const auto& e : this->notes.entries) {
    if (e.cause != http::cause::no_room) continue;
    ++no_room;
    EXPECT_EQ(e.status, 503);
    EXPECT_EQ(e.request, "-");
    EXPECT_EQ(e.line, "");
    EXPECT_EQ(e.method, http::method::post);
  }
  EXPECT_GT(no_room, 0U);
  EXPECT_EQ(this->notes.gone, 200);
}

TYPED_TEST(http_observer, several_see_the_same) {
  notebook other;
  http::observers both(this->notes, other);
  this->exchange_with(both, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(this->notes.entries.size(), 2U);
  EXPECT_EQ(other.entries.size(), 2U);
  EXPECT_EQ(other.gone, 1);
}

TYPED_TEST(http_observer, the_server_s_own_responses_get_another_body) {
  std::vector<std::string> asked;
  this->options.error_response = [&asked](int status, http::refusal why, const http::request* q) {
    asked.push_back((q != nullptr ? std::string(q->target()) : "-") + " " + std::string(to_string(why)));
    http::response r = http::json("{\"status\":" + std::to_string(status) + "}");
    EXPECT_TRUE(r.add_header("X-Mine", "1"));
    r.set_status(200);  // not its affair
    return r;
  };
  const std::string got = this->exchange(
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /404 HTTP/1.1\r\nHost: a\r\n\r\n"
      "PUT / HTTP/1.1\r\nHost: a\r\n\r\n"
      "HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
      "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n"
      "nonsense\r\n\r\n");
  EXPECT_EQ(asked, (std::vector<std::string>{"/ none", "/nowhere none", "- invalid method"}));
  EXPECT_NE(got.find("\r\n\r\nhelloHTTP/1.1 404"), got.npos) << got;
  EXPECT_NE(got.find("\r\n\r\nmineHTTP/1.1 405 Method Not Allowed"), got.npos) << got;
  EXPECT_NE(got.find("Content-Type: application/json\r\nContent-Length: 14\r\nX-Mine: 1\r\nAllow: GET, HEAD, "
                     "OPTIONS\r\n\r\n{\"status\":405}HTTP/1.1 404"),
            got.npos)
      << got;
  EXPECT_NE(got.find("X-Mine: 1\r\n\r\nHTTP/1.1 204"), got.npos) << got;
  EXPECT_TRUE(got.ends_with("Connection: close\r\nX-Mine: 1\r\n\r\n{\"status\":400}")) << got;
}

}  // namespace
