// SPDX-License-Identifier: MIT
#include <synfp/net/listener.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <synfp/io/timer.hpp>

#include "../support/loopback.hpp"

namespace {

namespace test = synfp::test;

using namespace std::chrono_literals;
using synfp::endpoint;
using synfp::errc;
using synfp::io::ring;
using synfp::io::ring_options;
using synfp::io::task;
using synfp::net::listener;
using synfp::net::listener_options;
using synfp::net::stream;

listener make_listener(ring& r, test::fd fd, synfp::net::batch_handler* handler = nullptr,
                       const listener_options& options = {}) {
  auto l = listener::create(r, fd.release(), handler, options);
  EXPECT_TRUE(l);
  return std::move(*l);
}

/// Tells the client who it is: its endpoint as accept() saw it, a space, the local one.
task<> greet(synfp::net::accepted a) {
  a.connection.write(a.peer.text());
  a.connection.write(" ");
  a.connection.write(a.local.text());
  a.connection.write("\n");
  const auto sent = co_await a.connection.flush();
  EXPECT_TRUE(sent);
}

task<> serve(listener& l, int& served, int stop_after = -1) {
  while (auto a = co_await l.accept()) {
    synfp::spawn(greet(std::move(*a)));
    if (++served == stop_after) l.ring().stop(20s);
  }
}

void expect_greeting(const test::fd& client) {
  const std::string expected(test::name_of(client.get(), false).text().view());
  const std::string local(test::name_of(client.get(), true).text().view());
  EXPECT_EQ(test::receive(client.get(), 1000), expected + " " + local + "\n");
}

TEST(net_listener, refuses_what_does_not_listen) {
  auto r = test::make_ring();
  test::fd d(::socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_FALSE(listener::create(*r, d.get()));
  EXPECT_FALSE(listener::create(*r, 100'000));
}

TEST(net_listener, a_burst_of_500_each_with_its_own_peer) {
  test::raise_descriptor_limit(4096);
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback(1024);
  const auto where = test::name_of(fd.get(), false);
  std::vector<test::fd> clients;
  for (int i = 0; i != 500; ++i) clients.push_back(test::connect_to(where));
  auto l = make_listener(*r, std::move(fd));
  int served = 0;
  synfp::spawn(serve(l, served, 500));
  test::run_to_end(*r);
  EXPECT_EQ(served, 500);
  EXPECT_EQ(l.counters().accepted, 500u);
  for (const auto& c : clients) expect_greeting(c);
}

TEST(net_listener, dual_stack_wildcard_names_both_ends) {
  auto r = test::make_ring();
  auto fd = test::listen_on(*endpoint::parse("[::]:0"));
  const auto port = test::name_of(fd.get(), false).port();
  std::vector<test::fd> clients;
  clients.push_back(test::connect_to(endpoint::v4(127, 0, 0, 1, port)));
  clients.push_back(test::connect_to(endpoint::v4(127, 0, 0, 2, port)));
  auto six = *endpoint::parse("[::1]:1");
  six.set_port(port);
  clients.push_back(test::connect_to(six));
  auto l = make_listener(*r, std::move(fd));
  int served = 0;
  synfp::spawn(serve(l, served, 3));
  test::run_to_end(*r);
  for (const auto& c : clients) expect_greeting(c);
}

// With a completion queue of 8 the multishot ends without F_MORE and with a valid descriptor.
TEST(net_listener, a_tiny_completion_queue_loses_nobody) {
  ring_options o;
  o.entries = 4;
  o.completions = 8;
  auto r = test::make_ring(o);
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  std::vector<test::fd> clients;
  for (int i = 0; i != 20; ++i) clients.push_back(test::connect_to(where));
  auto l = make_listener(*r, std::move(fd));
  int served = 0;
  synfp::spawn(serve(l, served, 20));
  test::run_to_end(*r);
  for (const auto& c : clients) expect_greeting(c);
  EXPECT_GT(l.counters().rearmed, 1u);
}

// A client that speaks first is there with its bytes, one that only ends with that, and one that does neither
// after the time. What resets before has never been there.
TEST(net_listener, defers_until_there_are_bytes) {
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  auto l = make_listener(*r, std::move(fd), nullptr, {.defer_accept = 1s});
  auto silent = test::connect_to(where);
  auto asking = test::connect_to(where);
  auto ending = test::connect_to(where);
  {
    const auto resetting = test::connect_to(where);
    constexpr ::linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(resetting.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  auto accept_all = [&]() -> task<> {
    test::send_all(asking.get(), "hello");
    auto a = co_await l.accept();
    EXPECT_TRUE(a && a->peer == test::name_of(asking.get(), false));
    if (!a) co_return;
    const auto chunk = co_await a->connection.read(0s);
    EXPECT_TRUE(chunk && chunk->view() == "hello");
    ending = test::fd(-1);
    auto b = co_await l.accept();
    EXPECT_TRUE(b);
    if (!b) co_return;
    const auto end = co_await b->connection.read(10s);
    EXPECT_TRUE(!end && end.error().code == errc::closed);
    auto c = co_await l.accept();
    EXPECT_TRUE(c && c->peer == test::name_of(silent.get(), false));
    EXPECT_EQ(l.counters().accepted, 3u);
    EXPECT_EQ(l.counters().gone, 0u);
    r->stop();
  };
  synfp::spawn(accept_all());
  test::run_to_end(*r);
}

// The ready queue fills past its high-water mark, the accept is cancelled and taken up again.
TEST(net_listener, high_water_pauses_and_resumes) {
  test::raise_descriptor_limit(4096);
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback(1024);
  const auto where = test::name_of(fd.get(), false);
  std::vector<test::fd> clients;
  for (int i = 0; i != 300; ++i) clients.push_back(test::connect_to(where));
  listener_options o;
  o.high_water = 8;
  o.low_water = 2;
  auto l = make_listener(*r, std::move(fd), nullptr, o);
  int served = 0;
  auto late = [&]() -> task<> {
    while (l.ready() <= 8) co_await synfp::io::yield();
    for (int i = 0; i != 5; ++i) co_await synfp::io::yield();
    for (int i = 0; i != 200; ++i) clients.push_back(test::connect_to(where));
    co_await serve(l, served, 500);
  };
  synfp::spawn(late());
  test::run_to_end(*r);
  EXPECT_EQ(served, 500);
  for (const auto& c : clients) expect_greeting(c);
  EXPECT_GT(l.counters().rearmed, 1u);
}

struct recording_handler final : synfp::net::batch_handler {
  std::vector<std::size_t> sizes;
  std::set<std::uint16_t> ports;
  int resumed_before = 0;
  int* served = nullptr;
  void on_batch(std::span<synfp::net::accepted_socket> batch) override {
    sizes.push_back(batch.size());
    for (auto& a : batch) {
      EXPECT_GE(a.fd, 0);
      EXPECT_EQ(a.peer, test::name_of(a.fd, true));
      ports.insert(a.peer.port());
    }
    if (served != nullptr) resumed_before += *served;
  }
};

TEST(net_listener, the_batch_handler_sees_each_connection_once_before_it_is_served) {
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  std::vector<test::fd> clients;
  for (int i = 0; i != 50; ++i) clients.push_back(test::connect_to(where));
  recording_handler handler;
  int served = 0;
  auto l = make_listener(*r, std::move(fd), &handler);
  synfp::spawn(serve(l, served, 50));
  test::run_to_end(*r);
  std::size_t total = 0;
  for (const auto n : handler.sizes) total += n;
  EXPECT_EQ(total, 50u);
  EXPECT_EQ(handler.ports.size(), 50u);
  EXPECT_LT(handler.sizes.size(), 50u);  // batches, not one by one
}

TEST(net_listener, peers_that_are_gone_are_counted_not_invented) {
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  for (int i = 0; i != 10; ++i) {
    auto c = test::connect_to(where);
    test::reset_on_close(c.get());
  }
  auto last = test::connect_to(where);
  auto l = make_listener(*r, std::move(fd));
  int served = 0;
  synfp::spawn(serve(l, served, 1));
  test::run_to_end(*r);
  EXPECT_EQ(served, 1);
  EXPECT_EQ(l.counters().gone + l.counters().aborted, 10u);
  expect_greeting(last);
}

// Whoever completed a handshake before the stop is served, in whichever queue it was.
TEST(net_listener, stop_serves_who_the_kernel_has_accepted) {
  test::raise_descriptor_limit(4096);
  for (const int turns : {0, 1, 3}) {
    auto r = test::make_ring();
    auto fd = test::listen_on_loopback(1024);
    const auto where = test::name_of(fd.get(), false);
    listener_options o;
    o.high_water = 16;  // so that some are left in the backlog
    o.low_water = 4;
    auto l = make_listener(*r, std::move(fd), nullptr, o);
    std::vector<test::fd> clients;
    for (int i = 0; i != 100; ++i) clients.push_back(test::connect_to(where));
    for (int i = 0; i != turns; ++i) r->poll();
    for (int i = 0; i != 100; ++i) clients.push_back(test::connect_to(where));
    r->stop(20s);
    int served = 0;
    synfp::spawn(serve(l, served));
    test::run_to_end(*r);
    EXPECT_EQ(served, 200);
    for (const auto& c : clients) expect_greeting(c);
    EXPECT_EQ(l.counters().gone, 0u);
  }
}

// The same with clients that keep coming until just before the stop.
TEST(net_listener, stop_under_load) {
  test::raise_descriptor_limit(4096);
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback(1024);
  const auto where = test::name_of(fd.get(), false);
  auto l = make_listener(*r, std::move(fd));
  std::thread load([&] {
    std::vector<test::fd> clients;
    for (int i = 0; i != 400; ++i) clients.push_back(test::connect_to(where));
    r->post([&] { r->stop(20s); });
    for (const auto& c : clients) expect_greeting(c);
  });
  int served = 0;
  synfp::spawn(serve(l, served));
  test::run_to_end(*r);
  load.join();
  EXPECT_EQ(served, 400);
}

TEST(net_listener, accept_after_the_stop_is_stopped) {
  auto r = test::make_ring();
  auto l = make_listener(*r, test::listen_on_loopback());
  std::vector<errc> codes;
  auto body = [&]() -> task<> {
    for (int i = 0; i != 3; ++i) {
      const auto a = co_await l.accept();
      EXPECT_FALSE(a);
      if (!a) codes.push_back(a.error().code);
    }
    r->stop();
  };
  synfp::spawn(body());
  r->post([&] { l.stop(); });
  test::run_to_end(*r);
  EXPECT_EQ(codes, (std::vector<errc>{errc::stopped, errc::stopped, errc::stopped}));
}

TEST(net_listener, stops_without_an_accept_loop) {
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback();
  auto client = test::connect_to(test::name_of(fd.get(), false));
  auto l = make_listener(*r, std::move(fd));
  for (int i = 0; i != 3; ++i) r->poll();
  r->stop();
  test::run_to_end(*r);
  EXPECT_EQ(l.ready(), 1u);
}

TEST(net_listener, destroyed_while_armed_and_with_ready_connections) {
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  auto first = test::connect_to(where);
  {
    auto l = make_listener(*r, std::move(fd));
    for (int i = 0; i != 3; ++i) r->poll();
    EXPECT_EQ(l.ready(), 1u);
  }
  r->stop();
  test::run_to_end(*r);
  EXPECT_EQ(test::receive(first.get(), 1).substr(0, 6), "");  // closed
}

// In a child process, which may lower its own limit.
TEST(net_listener, backs_off_without_descriptors_and_serves_later) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const int status = [] {
      auto r = test::make_ring();
      auto fd = test::listen_on_loopback();
      const auto where = test::name_of(fd.get(), false);
      auto l = make_listener(*r, std::move(fd));
      r->poll();  // the sanitizer's first look at a virtual function needs a descriptor of its own
      std::vector<test::fd> clients;
      for (int i = 0; i != 5; ++i) clients.push_back(test::connect_to(where));
      rlimit before{};
      ::getrlimit(RLIMIT_NOFILE, &before);
      rlimit none = before;
      none.rlim_cur = static_cast<rlim_t>(clients.back().get()) + 1;
      ::setrlimit(RLIMIT_NOFILE, &none);
      int served = 0;
      int turns = 0;
      auto relent = [&]() -> task<> {
        while (l.counters().out_of_resources < 3) {
          ++turns;
          co_await synfp::io::sleep_for(*r, 1ms);
        }
        ::setrlimit(RLIMIT_NOFILE, &before);
      };
      synfp::spawn(serve(l, served, 5));
      synfp::spawn(relent());
      test::run_to_end(*r);
      for (const auto& c : clients) expect_greeting(c);
      if (served != 5) return 2;
      if (l.counters().out_of_resources > 20) return 3;  // it spins
      return ::testing::Test::HasFailure() ? 4 : 0;
    }();
    ::_exit(status);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// A descriptor that comes back is used at once, and not when the time of the back-off is over, which grows to
// half a second.
TEST(net_listener, accepts_as_soon_as_a_descriptor_is_closed) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const int status = [] {
      auto r = test::make_ring();
      auto fd = test::listen_on_loopback();
      const auto where = test::name_of(fd.get(), false);
      const auto other = make_listener(*r, test::listen_on_loopback());
      r->poll();  // the sanitizer's first look at a virtual function needs a descriptor of its own
      std::vector<test::fd> clients;
      for (int i = 0; i != 2; ++i) clients.push_back(test::connect_to(where));
      rlimit few{};
      ::getrlimit(RLIMIT_NOFILE, &few);
      few.rlim_cur = static_cast<rlim_t>(clients.back().get()) + 16;
      ::setrlimit(RLIMIT_NOFILE, &few);
      int last = -1;  // all but one are used
      for (int next = 0; next >= 0; next = ::dup(0)) last = next == 0 ? last : next;
      ::close(last);
      auto l = make_listener(*r, std::move(fd));  // the kernel takes the limit of when an accept begins
      std::vector<synfp::net::accepted> got;
      auto take = [&]() -> task<> {
        while (auto a = co_await l.accept()) got.push_back(std::move(*a));
      };
      synfp::spawn(take());
      while (l.counters().out_of_resources < 6) {
        if (got.size() > 1) return 1;
        r->poll();
      }
      // Now 320 ms or more are to pass. Turns of the loop take a few thousandths of that.
      got.clear();
      for (int turn = 0; turn != 20 && got.empty(); ++turn) r->poll();
      if (got.empty()) return 2;
      r->stop();
      while (r->poll()) {
      }
      return 0;
    }();
    ::_exit(status);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

task<> echo(stream s) {
  while (true) {
    const auto chunk = co_await s.read();
    if (!chunk) co_return;
    s.write(chunk->view());
    const auto sent = co_await s.flush();
    if (!sent) co_return;
  }
}

// Many short connections with data, while others are cut off at a stop: nothing is left behind.
TEST(net_listener, churn_ends_clean) {
  test::raise_descriptor_limit(4096);
  ring_options o;
  o.buffers = 16;
  o.buffer_size = 128;
  auto r = test::make_ring(o);
  auto fd = test::listen_on_loopback(1024);
  const auto where = test::name_of(fd.get(), false);
  auto l = make_listener(*r, std::move(fd));
  auto accept_loop = [&]() -> task<> {
    while (auto a = co_await l.accept()) synfp::spawn(echo(std::move(a->connection)));
  };
  synfp::spawn(accept_loop());
  std::thread load([&] {
    std::vector<test::fd> idle;
    for (int i = 0; i != 30; ++i) idle.push_back(test::connect_to(where));
    for (int i = 0; i != 300; ++i) {
      const auto c = test::connect_to(where);
      const std::string text = "message " + std::to_string(i) + std::string(static_cast<std::size_t>(i), '.');
      test::send_all(c.get(), text);
      EXPECT_EQ(test::receive(c.get(), text.size()), text);
      if (i % 3 == 0) test::reset_on_close(c.get());
    }
    r->post([&] { r->stop(20ms); });  // the idle ones do not end by themselves
    for (const auto& c : idle) EXPECT_EQ(test::receive(c.get(), 1), "");
  });
  test::run_to_end(*r);
  load.join();
}

}  // namespace
