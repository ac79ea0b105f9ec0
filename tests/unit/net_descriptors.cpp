// SPDX-License-Identifier: MIT
// What happens near the limit of open files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <synfp/capture/source.hpp>
#include <synfp/http/body_reader.hpp>
#include <synfp/http/events.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/http/stream.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/net/proxied.hpp>
#include <synfp/net/server.hpp>

#include "../support/loopback.hpp"

namespace {

namespace test = synfp::test;
using namespace std::chrono_literals;

using synfp::endpoint;
using synfp::task;
using synfp::net::detail::few_descriptors_from;
using synfp::net::detail::raise_descriptor_limit;
using synfp::net::detail::spare_connection;
namespace net = synfp::net;

// Before its first call through a new vtable, UndefinedBehaviorSanitizer asks a pipe whether it can be read;
// without descriptors it takes good objects for garbage. So its build has no tests that use up all of them.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)  // both are in one build
#define SANITIZER_NEEDS_DESCRIPTORS
#endif
#endif

constexpr const char* request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A process with a limit of its own. `main` returns its exit status.
class process {
 public:
  template <class F>
  process(rlim_t soft, rlim_t hard, F main) : pid_(::fork()) {
    if (pid_ != 0) return;
    const rlimit limit{soft, hard};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::_exit(main());
  }
  int status() {
    int status = -1;
    ::waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  int pid_;
};

rlim_t soft_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

TEST(net_descriptors, the_longest_spare_ends_first) {
  struct connection {
    explicit connection(std::string& o, char n) : order(&o), name(n), spare(&end, this) { spare.enter(); }
    static void end(void* self) {
      auto& c = *static_cast<connection*>(self);
      c.order->push_back(c.name);
    }
    std::string* order;
    char name;
    spare_connection spare;
  };
  std::string order;
  connection a(order, 'a');
  connection b(order, 'b');
  connection c(order, 'c');
  connection d(order, 'd');
  a.spare.enter();
  c.spare.leave();
  EXPECT_EQ(spare_connection::end_longest(1), 1U);
  EXPECT_EQ(order, "b");
  EXPECT_FALSE(b.spare.entered());
  b.spare.enter();
  EXPECT_EQ(spare_connection::end_longest(5), 2U) << "at most half";
  EXPECT_EQ(order, "bda");
  EXPECT_EQ(spare_connection::end_longest(5), 1U);
  EXPECT_EQ(spare_connection::end_longest(5), 0U);
}

TEST(net_descriptors, those_that_lose_nothing_end_first) {
  using synfp::net::detail::loss;
  struct connection {
    connection(std::string& o, char n, loss of) : order(&o), name(n), spare(&end, this) { spare.enter(of); }
    static void end(void* self) {
      auto& c = *static_cast<connection*>(self);
      c.order->push_back(c.name);
    }
    std::string* order;
    char name;
    spare_connection spare;
  };
  std::string order;
  connection a(order, 'a', loss::request);
  connection b(order, 'b', loss::request);
  connection c(order, 'c', loss::none);
  connection d(order, 'd', loss::none);
  EXPECT_EQ(spare_connection::end_longest(1), 1U);
  EXPECT_EQ(order, "c");
  EXPECT_EQ(spare_connection::end_longest(2), 1U) << "at most half of the others";
  EXPECT_EQ(order, "ca") << "and not the only one that may be about to ask";
  EXPECT_TRUE(a.spare.ended());
  EXPECT_FALSE(c.spare.ended());
  d.spare.leave();
  EXPECT_EQ(spare_connection::end_longest(2), 1U);
  EXPECT_EQ(order, "cab");
}

TEST(net_descriptors, few_are_a_sixteenth_of_the_limit) {
  EXPECT_EQ(few_descriptors_from(1024), 960);
  EXPECT_EQ(few_descriptors_from(64), 56);
  EXPECT_EQ(few_descriptors_from(10), 5);
  EXPECT_EQ(few_descriptors_from(0), 0);
  EXPECT_EQ(few_descriptors_from(524'288), 523'264);
  EXPECT_EQ(few_descriptors_from(RLIM_INFINITY), std::numeric_limits<int>::max());
}

TEST(net_descriptors, a_server_raises_the_soft_limit) {
  process p(64, 128, [] {
    synfp::capture::none source;
    const auto server = net::server::open({endpoint::v4(127, 0, 0, 1, 0)}, source);
    return server && soft_limit() == 128 ? 0 : 1;
  });
  EXPECT_EQ(p.status(), 0);
}

/// A server in a child process, until stop(): 0 if it gave one notice and `check` held at its end.
struct child_server {
  template <class Handler>
  child_server(rlim_t limit, unsigned threads, Handler handler) {
    start(limit, threads, handler, [] { return true; });
  }
  template <class Handler, class Check>
  child_server(rlim_t limit, unsigned threads, Handler handler, Check check) {
    start(limit, threads, handler, check);
  }
  int stop() {
    control = {};
    return child->status();
  }

  std::optional<process> child;
  test::fd control;
  endpoint where;

 private:
  template <class Handler, class Check>
  void start(rlim_t limit, unsigned threads, Handler handler, Check check) {
    int up[2];
    int down[2];
    EXPECT_EQ(::pipe2(up, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(down, O_CLOEXEC), 0);
    child.emplace(limit, limit, [&] {
      ::close(down[1]);
      synfp::capture::none source;
      std::atomic<int> notices{0};
      net::server_options options;
      options.threads = threads;
      options.notice = [&](std::string_view text) {
        if (text.find("LimitNOFILE") != std::string_view::npos) ++notices;
      };
      auto server = net::server::open({endpoint::v4(127, 0, 0, 1, 0)}, source, options);
      if (!server) return 1;
      std::thread stopper([&] {
        char byte = 0;
        (void)!::read(down[0], &byte, 1);
        server->stop(std::chrono::seconds(0));
      });
      const auto ended = server->try_run(handler, [&] {
        const std::uint16_t port = server->local()[0].port();
        (void)!::write(up[1], &port, sizeof port);
      });
      stopper.join();
      return !ended ? 2 : notices != 1 ? 10 + notices : check() ? 0 : 3;
    });
    ::close(up[1]);
    ::close(down[0]);
    control = test::fd(down[1]);
    std::uint16_t port = 0;
    EXPECT_EQ(::read(up[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
    ::close(up[0]);
    where = endpoint::v4(127, 0, 0, 1, port);
  }
};

[[maybe_unused]] bool ended(const test::fd& client, int milliseconds) {
  pollfd p{client.get(), POLLIN, 0};
  return ::poll(&p, 1, milliseconds) == 1;
}

const auto routes = synfp::http::routes{
    synfp::http::get<"/">([](const synfp::http::request&) { return synfp::http::text("here\n"); })};

[[maybe_unused]] task<> accept_all(net::listener& listener) {
  while (auto a = co_await listener.accept()) synfp::spawn(synfp::http::serve(std::move(*a), routes));
}

#ifndef SANITIZER_NEEDS_DESCRIPTORS
/// They would hold every descriptor for idle_timeout or header_timeout.
TEST(net_descriptors, new_clients_take_the_place_of_those_that_ask_nothing) {
  for (const std::string said : {"", "GET / HT"}) {
    for (const unsigned threads : {1U, 2U}) {
      child_server server(128, threads, accept_all);
      auto first = test::connect_to(server.where);
      std::vector<test::fd> crowd;
      for (int i = 0; i != 300; ++i) {
        crowd.push_back(test::connect_to(server.where));
        test::send_all(crowd.back().get(), said);
      }
      auto honest = test::connect_to(server.where);
      test::send_all(honest.get(), request);
      EXPECT_EQ(test::receive(honest.get(), 15), "HTTP/1.1 200 OK") << threads;
      EXPECT_TRUE(ended(first, 20'000));
      EXPECT_FALSE(ended(crowd.back(), 0)) << "the youngest went";
      EXPECT_EQ(server.stop(), 0) << "one notice";
    }
  }
}
#endif

#ifndef SANITIZER_NEEDS_DESCRIPTORS
synfp::http::events silence() {
  while (true) co_await synfp::io::sleep_for(1h);
  co_yield synfp::http::event();
}

/// They have asked, and what they hold a descriptor with is not idleness.
TEST(net_descriptors, new_clients_take_the_place_of_those_that_wait_for_nothing) {
  const synfp::http::routes all{
      synfp::http::get<"/">([](const synfp::http::request&) { return synfp::http::text("here\n"); }),
      synfp::http::get<"/events">(
          [](const synfp::http::request&) -> synfp::http::stream_response { return silence(); }),
      synfp::http::post<"/whole">([](const synfp::http::request&) { return synfp::http::text("taken\n"); }),
      synfp::http::post<"/pieces">(
          [](const synfp::http::request&, synfp::http::body_reader& body) -> task<synfp::http::response> {
            while (true) {
              const auto piece = co_await body.read();
              if (!piece) break;
            }
            co_return synfp::http::text("taken\n");
          })};
  synfp::http::serve_options serving;  // no time but the test's own ends them
  serving.body_timeout = serving.linger_timeout = 1h;
  serving.body_rate = 0;
  net::proxies known({*net::address_prefix::parse("127.0.0.0/8")}, {.limit = 1h});
  bool proxied = false;
  const auto serve = [&](net::accepted a) -> task<> {
    if (proxied) {
      const auto named = co_await known.read_header(a);
      if (!named) co_return;
    }
    co_await synfp::http::serve(std::move(a), all, serving);
  };
  const auto handler = [&](net::listener& listener) -> task<> {
    while (auto a = co_await listener.accept()) synfp::spawn(serve(*std::move(a)));
  };
  for (const std::string said :
       {"G@T / HTTP/1.1\r\n\r\n", "GET /events HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbody",
        "POST /pieces HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbody", "PROXY TCP4 1"}) {
    proxied = said.starts_with("PROXY");
    child_server server(128, 1, handler);
    std::vector<test::fd> crowd;
    for (int i = 0; i != 300; ++i) {
      crowd.push_back(test::connect_to(server.where));
      test::send_all(crowd.back().get(), said);
    }
    for (int i = 0; i != 3; ++i) {
      auto honest = test::connect_to(server.where);
      if (proxied) test::send_all(honest.get(), "PROXY UNKNOWN\r\n");
      test::send_all(honest.get(), request);
      EXPECT_EQ(test::receive(honest.get(), 15), "HTTP/1.1 200 OK") << said;
    }
    EXPECT_EQ(server.stop(), 0) << "one notice";
  }
}
#endif

/// Of connections that come one by one none ever waits for a descriptor.
TEST(net_descriptors, idle_connections_end_before_the_last_is_used) {
  net::listener_counters counters;
  const auto handler = [&](net::listener& listener) -> task<> {
    while (auto a = co_await listener.accept()) {
      counters = listener.counters();
      synfp::spawn(synfp::http::serve(std::move(*a), routes));
    }
  };
  child_server server(128, 1, handler, [&] {
    if (counters.out_of_resources == 0 && counters.spared > 100) return true;
    std::fprintf(stderr, "out of resources %llu times, spared %llu\n",
                 static_cast<unsigned long long>(counters.out_of_resources),
                 static_cast<unsigned long long>(counters.spared));
    return false;
  });
  std::vector<test::fd> clients;
  for (int i = 0; i != 300; ++i) {
    clients.push_back(test::connect_to(server.where));
    test::send_all(clients.back().get(), request);
    ASSERT_EQ(test::receive(clients.back().get(), 15), "HTTP/1.1 200 OK") << i;
  }
  EXPECT_EQ(server.stop(), 0);
}

#ifndef SANITIZER_NEEDS_DESCRIPTORS
/// The descriptors are all with a thread that cannot spare its connections; the other one's are idle.
TEST(net_descriptors, one_thread_makes_room_for_another) {
  constexpr int idle = 10;
  std::atomic<int> threads{0};
  const auto handler = [&](net::listener& listener) -> task<> {
    if (threads++ == 0) {
      for (int i = 0; i != idle; ++i) {
        auto a = co_await listener.accept();
        if (!a) co_return;
        synfp::spawn(synfp::http::serve(std::move(*a), routes));
      }
      listener.stop();
      std::vector<net::accepted> kept;  // closing them would look to the client like making room
      while (auto a = co_await listener.accept()) kept.push_back(std::move(*a));
      while (!listener.ring().stopping()) co_await synfp::io::sleep_for(listener.ring(), 5ms);
      co_return;
    }
    std::vector<net::accepted> kept;
    while (auto a = co_await listener.accept()) kept.push_back(std::move(*a));
  };
  child_server server(192, 2, handler);
  std::vector<test::fd> clients;
  std::vector<pollfd> polls;
  for (int i = 0; i != 250; ++i) {
    sockaddr_storage s{};
    const socklen_t n = server.where.to_sockaddr(s);
    clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(clients.back().get(), reinterpret_cast<sockaddr*>(&s), n) != 0) {
      clients.pop_back();  // the listener that stops had it
      continue;
    }
    polls.push_back({clients.back().get(), POLLIN, 0});
  }
  int gone = 0;
  while (gone < idle) {
    const int n = ::poll(polls.data(), polls.size(), 20'000);
    ASSERT_GT(n, 0) << gone << " ended";
    for (pollfd& p : polls) {
      if (p.revents == 0) continue;
      p.fd = -1;
      ++gone;
    }
  }
  EXPECT_EQ(server.stop(), 0) << "one notice";
}
#endif

}  // namespace
