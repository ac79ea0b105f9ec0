// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <exception>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <synfp/capture/fixed.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/server.hpp>

// liburing unmaps a ring by a bare system call, which ThreadSanitizer does not see: the ring of the next
// thread at the same address looks like a race of whoever fills in a submission. Rings are used by one thread
// each.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:io_uring_\nrace:io::ring::start\n"; }

namespace {

using synfp::endpoint;
using synfp::task;
namespace capture = synfp::capture;
namespace net = synfp::net;

int connect_to(const endpoint& where) {
  const int fd = ::socket(where.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage storage;
  const socklen_t length = where.to_sockaddr(storage);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&storage), length), 0) << where.text().view();
  return fd;
}

std::string read_all(int fd) {
  std::string text;
  char buffer[256];
  for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  ::close(fd);
  return text;
}

/// Says what accept() found out about the SYN, and closes.
task<> tell(net::accepted a) {
  a.connection.write(a.syn ? to_string(a.syn.source) : to_string(a.syn.miss));
  (void)co_await a.connection.flush();
}

task<> tell_all(net::listener& listener) {
  while (auto accepted = co_await listener.accept()) synfp::spawn(tell(std::move(*accepted)));
}

TEST(net_server, gives_every_connection_the_answer_of_its_source) {
  capture::fixed source(synfp::miss::stale);
  net::server server{{"127.0.0.1:0", "[::1]:0"}, source, {.threads = 2}};
  std::thread runner([&] { server.run(tell_all); });
  for (int i = 0; i < 20; ++i) {
    for (const endpoint& e : server.local()) EXPECT_EQ(read_all(connect_to(e)), "stale");
  }
  server.stop();
  runner.join();
}

TEST(net_server, saved_syn_needs_no_privilege) {
  capture::saved_syn source;
  net::server server{"[::]:0", source};
  std::thread runner([&] { server.run(tell_all); });
  const std::uint16_t port = server.local()[0].port();
  EXPECT_EQ(read_all(connect_to(endpoint::v4(127, 0, 0, 1, port))), "saved_syn");
  server.stop();
  runner.join();
}

TEST(net_server, stops_before_during_and_after_its_start) {
  for (int delay = 0; delay < 40; ++delay) {
    capture::none source;
    net::server server{"127.0.0.1:0", source, {.threads = 2}};
    std::atomic<bool> started{false};
    std::thread stopper([&] {
      for (int i = 0; i < delay * 20 && !started; ++i) std::this_thread::yield();
      server.stop(std::chrono::seconds(0));
    });
    EXPECT_TRUE(server.try_run(tell_all, [&] { started = true; }));
    stopper.join();
  }
}

TEST(net_server, calls_started_once_when_every_thread_is_ready) {
  capture::none source;
  net::server server{"127.0.0.1:0", source, {.threads = 3}};
  int calls = 0;
  EXPECT_TRUE(server.try_run(tell_all, [&] {
    ++calls;
    server.stop(std::chrono::seconds(0));
  }));
  EXPECT_EQ(calls, 1);
}

TEST(net_server, refuses_what_it_cannot_listen_on_and_says_why) {
  capture::none source;
  EXPECT_THROW((net::server{"localhost:80", source}), synfp::setup_failure);
  net::server first{"127.0.0.1:0", source};
  const auto second = net::server::open(first.local(), source);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("this process itself listens there already"), std::string::npos);
  const auto nowhere = net::server::open({*endpoint::parse("192.0.2.1:80")}, source);
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().message.find("does not have the address"), std::string::npos);
  EXPECT_FALSE(net::server::open({}, source));
  EXPECT_FALSE(net::server::open({*endpoint::parse("127.0.0.1:0")}, source, {.threads = 0}));
}

TEST(net_server, may_listen_again_while_old_connections_linger) {
  capture::none source;
  endpoint where;
  {
    net::server server{"127.0.0.1:0", source};
    where = server.local()[0];
    std::thread runner([&] { server.run(tell_all); });
    EXPECT_EQ(read_all(connect_to(where)), "no_probe");  // leaves TIME_WAIT behind
    server.stop();
    runner.join();
  }
  const auto again = net::server::open({where}, source);
  EXPECT_TRUE(again) << again.error().message;
}

TEST(net_server, passes_on_an_exception_of_started) {
  capture::none source;
  net::server s{{"127.0.0.1:0", "127.0.0.1:0"}, source, {.threads = 3}};
  EXPECT_THROW((void)s.try_run(tell_all, [] { throw std::runtime_error("no"); }), std::runtime_error);
}

TEST(net_server, passes_on_an_exception_of_the_handler) {
  capture::none source;
  for (const int which : {0, 1, 5}) {
    net::server s{{"127.0.0.1:0", "127.0.0.1:0"}, source, {.threads = 3}};
    std::atomic<int> calls{0};
    const auto handler = [&](net::listener& l) {
      if (calls++ == which) throw std::runtime_error("no");
      return tell_all(l);
    };
    EXPECT_THROW((void)s.try_run(handler, [] {}), std::runtime_error);
  }
}

TEST(net_server, passes_on_an_exception_of_posted_work) {
  capture::none source;
  net::server s{{"127.0.0.1:0", "127.0.0.1:0"}, source, {.threads = 2}};
  std::atomic<int> calls{0};
  const auto handler = [&](net::listener& l) {
    if (calls++ == 3) l.ring().post([] { throw std::runtime_error("no"); });
    return tell_all(l);
  };
  EXPECT_THROW((void)s.try_run(handler, [] {}), std::runtime_error);
}

/// So that a test of a server that should end by itself does too.
class stop_in_the_end {
 public:
  explicit stop_in_the_end(net::server& s)
      : stopper_([this, &s] {
          std::unique_lock lock(mutex_);
          if (!ended_.wait_for(lock, std::chrono::seconds(20), [this] { return done_; })) s.stop();
        }) {}
  ~stop_in_the_end() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    ended_.notify_one();
    stopper_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  std::thread stopper_;
};

// Whatever ends the accepting task, a server that accepts nobody must not look as if it ran.
TEST(net_server, ends_with_the_exception_of_an_acceptor) {
  capture::none source;
  for (const unsigned threads : {1U, 3U}) {
    net::server s{{"127.0.0.1:0", "[::1]:0"}, source, {.threads = threads}};
    const auto handler = [](net::listener& l) -> task<> {
      (void)co_await l.accept();
      throw std::runtime_error("no");
    };
    int fd = -1;
    const stop_in_the_end guard(s);
    EXPECT_THROW((void)s.try_run(handler, [&] { fd = connect_to(s.local()[1]); }), std::runtime_error);
    ::close(fd);
  }
}

TEST(net_server, ends_when_an_acceptor_returns_too_early) {
  capture::none source;
  net::server s{{"127.0.0.1:0", "127.0.0.1:0"}, source, {.threads = 2}};
  std::atomic<int> calls{0};
  const auto handler = [&](net::listener& l) -> task<> {
    if (calls++ == 2) co_return;
    while (auto a = co_await l.accept()) {
    }
  };
  const stop_in_the_end guard(s);
  const auto ended = s.try_run(handler, [] {});
  ASSERT_FALSE(ended);
  EXPECT_NE(ended.error().message.find("the task that accepts on 127.0.0.1:"), std::string::npos)
      << ended.error().message;
}

TEST(net_server, ends_when_a_listening_socket_fails) {
  capture::none source;
  net::server s{"127.0.0.1:0", source};
  const auto handler = [&](net::listener& l) -> task<> {
    // The descriptor is the listener's; find it by its address.
    for (int fd = 3; fd < 200; ++fd) {
      sockaddr_storage storage;
      socklen_t length = sizeof storage;
      if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) continue;
      if (endpoint::from_sockaddr(storage, length) == l.local()) ::shutdown(fd, SHUT_RDWR);
    }
    while (auto a = co_await l.accept()) {
    }
  };
  const stop_in_the_end guard(s);
  const auto ended = s.try_run(handler, [] {});
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().os, EINVAL);
  EXPECT_NE(ended.error().message.find("the socket that listens on 127.0.0.1:"), std::string::npos);
}

TEST(net_server, an_acceptor_may_end_when_the_server_stops) {
  capture::none source;
  net::server s{"127.0.0.1:0", source};
  const auto handler = [&](net::listener& l) -> task<> {
    (void)co_await l.accept();
    s.stop();
    while (!l.ring().stopping()) co_await synfp::io::yield();
  };
  int fd = -1;
  EXPECT_TRUE(s.try_run(handler, [&] { fd = connect_to(s.local()[0]); }));
  ::close(fd);
}

TEST(net_server, what_leaves_a_spawned_task_reaches_the_program) {
  capture::none source;
  std::mutex mutex;
  std::vector<std::string> seen;
  net::server_options options;
  options.threads = 2;
  options.on_error = [&](const std::exception_ptr& why) {
    const std::lock_guard lock(mutex);
    try {
      std::rethrow_exception(why);
    } catch (const std::runtime_error& e) {
      seen.push_back(e.what());
    }
  };
  net::server server{"127.0.0.1:0", source, options};
  const auto handler = [](net::listener& l) -> task<> {
    while (auto a = co_await l.accept()) {
      synfp::spawn([](net::accepted) -> task<> { throw std::runtime_error("no"); }, std::move(*a));
    }
  };
  std::thread runner([&] { server.run(handler); });
  for (int i = 0; i < 10; ++i) EXPECT_EQ(read_all(connect_to(server.local()[0])), "");
  server.stop();
  runner.join();
  EXPECT_EQ(seen, std::vector<std::string>(10, "no"));
}

TEST(net_server, an_exception_of_on_error_ends_it) {
  capture::none source;
  net::server_options options;
  options.on_error = [](const std::exception_ptr& why) { std::rethrow_exception(why); };
  net::server s{"127.0.0.1:0", source, options};
  const auto handler = [](net::listener& l) -> task<> {
    synfp::spawn([]() -> task<> { throw std::out_of_range("far"); });
    while (auto a = co_await l.accept()) {
    }
  };
  const stop_in_the_end guard(s);
  EXPECT_THROW((void)s.try_run(handler, [] {}), std::out_of_range);
  const auto before = synfp::io::on_escape(nullptr, nullptr);  // this thread's is as it was
  EXPECT_EQ(before.first, nullptr);
}

TEST(net_server, a_stop_says_what_it_waits_for) {
  using synfp::net::detail::activity;
  using synfp::net::detail::doing;
  capture::none source;
  std::promise<std::string> said;
  std::atomic<bool> once{false};
  net::server_options options{.threads = 2};
  options.notice = [&](std::string_view text) {
    if (!once.exchange(true)) said.set_value(std::string(text));
  };
  net::server server{"127.0.0.1:0", source, options};
  std::atomic<bool> let_go{false};
  server.background([&](synfp::io::ring& ring) -> task<> {
    activity answering;
    activity another;
    activity idle;
    answering.is(doing::answering);
    another.is(doing::answering);
    idle.is(doing::reading_body);
    server.stop(std::chrono::seconds(30));
    while (!let_go) co_await synfp::io::sleep_for(ring, std::chrono::milliseconds(5));
  });
  std::thread runner([&] { EXPECT_TRUE(server.try_run(tell_all, [] {})); });
  const std::string text = said.get_future().get();
  let_go = true;
  runner.join();
  EXPECT_EQ(text.substr(0, text.rfind(';')),
            "stopping: waiting for 3 connections: 2 answering, 1 reading a body");
  EXPECT_NE(text.find(" s more"), std::string::npos);
}

TEST(net_server, background_work_runs_once_and_ends_with_the_server) {
  capture::none source;
  net::server server{{"127.0.0.1:0", "127.0.0.1:0"}, source, {.threads = 3}};
  std::atomic<int> started{0};
  std::atomic<int> ended{0};
  std::atomic<int> rounds{0};
  server.background([&](synfp::io::ring& ring) -> task<> {
    ++started;
    while (const auto slept = co_await synfp::io::sleep(ring, std::chrono::milliseconds(1))) {
      if (++rounds == 5) server.stop(std::chrono::hours(1));
    }
    ++ended;
  });
  server.background([&](synfp::io::ring&) -> task<> {  // may end before the server does
    ++started;
    ++ended;
    co_return;
  });
  EXPECT_TRUE(server.try_run(tell_all, [] {}));
  EXPECT_EQ(started, 2);
  EXPECT_EQ(ended, 2);
  EXPECT_GE(rounds, 5);
}

TEST(net_server, ends_with_the_exception_of_background_work) {
  capture::none source;
  net::server server{"127.0.0.1:0", source, {.threads = 2}};
  server.background([](synfp::io::ring& ring) -> task<> {
    const auto slept = co_await synfp::io::sleep(ring, std::chrono::milliseconds(1));
    if (slept) throw std::runtime_error("the feed is gone");
  });
  server.background([](synfp::io::ring& ring) -> task<> {
    [[maybe_unused]] const auto slept = co_await synfp::io::sleep(ring, std::chrono::hours(24));
  });
  EXPECT_THROW((void)server.try_run(tell_all, [] {}), std::runtime_error);
}

}  // namespace
