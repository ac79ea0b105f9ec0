// SPDX-License-Identifier: MIT
// In the steady state a request costs no allocation. Exact numbers of frames are the compiler's business.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include <synfp/fingerprint/ja3.hpp>
#include <synfp/fingerprint/ja4.hpp>
#include <synfp/http/access_log.hpp>
#include <synfp/http/files.hpp>
#include <synfp/http/metrics.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/listener.hpp>
#include <synfp/tls/hello_parser.hpp>

#include "../support/hello_builder.hpp"
#include "../support/loopback.hpp"
#include "../support/syns.hpp"

// Sanitizers bring their own operator new, and under ASan the pool is bypassed.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_COUNTS_ALLOCATIONS 0
#endif
#endif
#if !defined(TEST_COUNTS_ALLOCATIONS) && !SYNFP_POOL_BYPASS
#define TEST_COUNTS_ALLOCATIONS 1
#endif

#if TEST_COUNTS_ALLOCATIONS
namespace {

namespace test = synfp::test;
thread_local std::size_t allocations = 0;
}  // namespace

// The whole test binary counts; only this file asks.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size != 0 ? size : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

using synfp::io::task;
using synfp::net::listener;
using synfp::net::stream;

task<std::size_t> answer(stream& s) {
  const auto chunk = co_await s.read(std::chrono::seconds(20));
  if (!chunk) co_return 0;
  s.write(chunk->view());
  const auto sent = co_await s.flush(std::chrono::seconds(20));
  co_return sent ? chunk->size() : 0;
}

task<> serve(stream s) {
  while (true) {
    const auto n = co_await answer(s);
    if (n == 0) co_return;
  }
}

task<> accept_loop(listener& l) {
  while (auto a = co_await l.accept()) synfp::spawn(serve(std::move(a->connection)));
}

TEST(hello_allocation, none) {
  const auto received = test::hello_builder().records(500);
  std::array<std::uint8_t, synfp::tls::hello_parser::max_hello> buffer;
  const std::size_t before = allocations;
  synfp::tls::hello_parser parser(buffer);
  parser.look(received);
  const auto& hello = parser.hello();
  namespace fp = synfp::fingerprint;
  const std::size_t sizes = fp::ja3(hello).size() + fp::ja3_full(hello).size() + fp::ja4(hello).size() +
                            fp::ja4_r(hello).size() + fp::ja4_o(hello).size() + fp::ja4_ro(hello).size() +
                            fp::steady(hello).size();
  EXPECT_EQ(allocations, before);
  EXPECT_GT(sizes, 500U);
}

TEST(net_allocation, none_in_the_steady_state) {
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  auto made = listener::create(*r, fd.release());
  ASSERT_TRUE(made);
  auto& l = *made;
  synfp::spawn(accept_loop(l));
  const std::string text(200, 'q');
  char back[200];
  auto requests = [&](int connections, int each) {
    for (int c = 0; c != connections; ++c) {
      const auto client = test::connect_to(where);
      for (int i = 0; i != each; ++i) {
        ASSERT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL), 200);
        while (::recv(client.get(), back, sizeof back, MSG_DONTWAIT) != 200) r->poll();
      }
    }
    while (synfp::io::spawned() != 1) r->poll();  // all have seen the end
  };
  requests(5, 20);  // fills the pool
  const auto before = allocations;
  requests(50, 100);
  EXPECT_EQ(allocations - before, 0u);
  r->stop();
  test::run_to_end(*r);
}

// The same for HTTP: responses larger than a connection keeps memory for, requests larger than a chunk, and
// chunks that are copied.
TEST(net_allocation, none_for_http_in_the_steady_state) {
  synfp::io::ring_options o;
  o.buffers = 2;
  o.buffer_size = 512;
  auto r = test::make_ring(o);
  const synfp::http::routes routes{synfp::http::get<"/">(
      [](const synfp::http::request&) { return synfp::http::text(synfp::http::text_type(3000, 'x')); })};
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  auto made = listener::create(*r, fd.release());
  ASSERT_TRUE(made);
  auto accept_all = [&]() -> task<> {
    while (auto a = co_await made->accept()) synfp::spawn(synfp::http::serve(std::move(*a), routes));
  };
  synfp::spawn(accept_all());
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  ASSERT_EQ(::send(ends[0], "h", 1, 0), 1);
  const test::fd peer(ends[0]);
  auto holder = std::make_unique<stream>(*r, ends[1]);
  synfp::io::buffer held;
  auto hold = [&]() -> task<> {
    auto chunk = co_await holder->read();
    if (chunk) held = *std::move(chunk);  // one of the two
  };
  synfp::spawn(hold());
  while (held.empty()) r->poll();
  std::string text;
  for (const std::size_t padding : {std::size_t{10}, std::size_t{400}, std::size_t{3000}})
    text += "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(padding, 'p') + "\r\n\r\n";
  static char back[65536];
  auto requests = [&](int connections, int each) {
    for (int c = 0; c != connections; ++c) {
      const auto client = test::connect_to(where);
      for (int i = 0; i != each; ++i) {
        ASSERT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
        for (std::size_t got = 0; got < 9000;) {
          r->poll();
          const auto n = ::recv(client.get(), back, sizeof back, MSG_DONTWAIT);
          if (n > 0) got += static_cast<std::size_t>(n);
        }
      }
    }
    while (synfp::io::spawned() != 1) r->poll();
  };
  requests(5, 20);
  const auto before = allocations;
  requests(20, 50);
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_GT(r->counters().copied, 1000u);
  held.reset();
  holder.reset();
  r->stop();
  test::run_to_end(*r);
}

// Matching and reading parameters takes no memory, not even the pool's, unless there is something to decode.
TEST(http_allocation, none_for_parameters) {
  namespace http = synfp::http;
  using synfp::io::frame_pool;
  std::ptrdiff_t in_use = 0;
  const auto seen = [&] {
    in_use = frame_pool::in_use();
    return http::response(204);
  };
  const http::routes routes{
      http::get<"/hosts/{id}/ports/{port}">([&](const http::request&, std::string_view, std::uint16_t port) {
        return port == 22 ? seen() : http::response(500);
      }),
      http::get<"/hosts/{id}/{path...}">([&](const http::request& q) {
        return q.param("id") == "a b" && q.param("path") == "c/ d" ? seen() : http::response(500);
      }),
      http::get<"/texts/{text}">([&](const http::request&, std::string_view text) {
        return text.size() == 100 ? seen() : http::response(500);
      })};
  const auto ask = [&](std::string path) {
    std::string text = "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n";
    http::request_parser parser;
    ASSERT_EQ(parser.parse(text), http::parse_status::complete);
    const synfp::endpoint e;
    const http::request q(parser, e, e);
    const auto before = allocations;
    const auto pooled = frame_pool::in_use();
    for (int i = 0; i != 100; ++i) {
      auto a = routes.find(q);
      if (!a.immediate() || a.ready().status() != 204) ADD_FAILURE() << path;
    }
    EXPECT_EQ(allocations - before, 0u) << path;
    EXPECT_EQ(in_use - pooled, path.find("%58") == path.npos ? 0 : 103) << path;
  };
  ask("/hosts/router/ports/22");
  ask("/hosts/a%20b/c/%20d");
  ask("/texts/" + std::string(100, 'x'));
  { http::text_type fills_the_pool(100, 'x'); }
  ask("/texts/%58" + std::string(99, 'x'));
}

// What observers do is part of a request.
void observed_requests(synfp::http::log_format format) {
  namespace http = synfp::http;
  auto r = test::make_ring();
  const http::routes routes{http::get<"/">([](const http::request&) { return http::text("x"); })};
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  auto made = listener::create(*r, fd.release());
  ASSERT_TRUE(made);
  char name[] = "/tmp/allocation_XXXXXX";
  const test::fd file(::mkstemp(name));
  http::metrics metrics;
  {
    auto log = http::access_log::open(name, {.format = format});
    ASSERT_TRUE(log);
    http::observers both(*log, metrics);
    auto accept_all = [&]() -> task<> {
      const http::metrics::watch counted(metrics, *made);
      while (auto a = co_await made->accept()) {
        a->syn.record = test::linux_record;
        a->syn.miss = synfp::miss::none;
        synfp::spawn(http::serve(std::move(*a), routes, {}, both));
      }
    };
    synfp::spawn(accept_all());
    const std::string text =
        "GET /?a HTTP/1.1\r\nHost: a\r\nUser-Agent: \"a\"\r\n\r\nGET /no HTTP/1.1\r\nHost: a\r\n\r\n";
    std::string back(4096, ' ');
    auto requests = [&](int connections, int each) {
      for (int c = 0; c != connections; ++c) {
        const auto client = test::connect_to(where);
        for (int i = 0; i != each; ++i) {
          ASSERT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL),
                    static_cast<ssize_t>(text.size()));
          bool answered = false;
          for (std::size_t got = 0; !answered;) {
            r->poll();
            const auto n = ::recv(client.get(), back.data() + got, back.size() - got, MSG_DONTWAIT);
            if (n > 0) got += static_cast<std::size_t>(n);
            answered = std::string_view(back.data(), got).ends_with("\r\n\r\nNot Found\n");
          }
        }
        ASSERT_EQ(::send(client.get(), "\x16", 1, MSG_NOSIGNAL), 1);  // is refused, and that is observed, too
      }
      while (synfp::io::spawned() != 1) r->poll();
    };
    requests(5, 20);
    const auto before = allocations;
    requests(20, 50);
    EXPECT_EQ(allocations - before, 0u);
    EXPECT_EQ(log->dropped(), 0u);
    r->stop();
    test::run_to_end(*r);
  }
  std::string logged(1024 * 1024, ' ');
  const auto n = ::pread(file.get(), logged.data(), logged.size(), 0);
  EXPECT_EQ(std::count(logged.begin(), logged.begin() + n, '\n'), 2 * (5 * 20 + 20 * 50) + 25);
  ::unlink(name);
}
TEST(net_allocation, none_for_observers_in_the_steady_state) {
  observed_requests(synfp::http::log_format::combined);
  observed_requests(synfp::http::log_format::json);
}

// Files too, of one piece and of several.
TEST(http_allocation, none_for_files_in_the_steady_state) {
  namespace http = synfp::http;
  char directory[] = "/tmp/synfp-allocation-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const std::string small = std::string(directory) + "/small";
  const std::string large = std::string(directory) + "/large";
  std::ofstream(small) << std::string(1000, '\1');
  std::ofstream(large) << std::string(200'000, '\1');
  auto r = test::make_ring();
  {
    const http::routes routes{http::get<"/{path...}">(http::files(directory))};
    auto fd = test::listen_on_loopback();
    const auto where = test::name_of(fd.get(), false);
    auto made = listener::create(*r, fd.release());
    ASSERT_TRUE(made);
    auto accept_all = [&]() -> task<> {
      while (auto a = co_await made->accept()) synfp::spawn(http::serve(std::move(*a), routes));
    };
    synfp::spawn(accept_all());
    const std::string text =
        "GET /small HTTP/1.1\r\nHost: a\r\n\r\nGET /large HTTP/1.1\r\nHost: a\r\nRange: "
        "bytes=0-99999\r\n\r\n";
    static char back[65536];
    auto requests = [&](int n) {
      const auto client = test::connect_to(where);
      for (int i = 0; i != n; ++i) {
        ASSERT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
        for (std::size_t bodies = 0; bodies != 101'000;) {
          r->poll();
          const auto got = ::recv(client.get(), back, sizeof back, MSG_DONTWAIT);
          for (ssize_t k = 0; k < got; ++k) bodies += back[k] == '\1';
        }
      }
    };
    requests(20);
    requests(20);  // the connection before is still there when the next one begins
    const auto before = allocations;
    requests(200);
    EXPECT_EQ(allocations - before, 0u);
    r->stop();
    test::run_to_end(*r);
  }
  ::unlink(small.c_str());
  ::unlink(large.c_str());
  ::rmdir(directory);
}

}  // namespace
#endif
