// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/server.hpp>
#include <synfp/net/stop_on_signal.hpp>

#include "../support/loopback.hpp"
#include "../support/notify_socket.hpp"

namespace {

using synfp::task;
using synfp::test::connect_to;
using synfp::test::notify_socket;
namespace capture = synfp::capture;
namespace io = synfp::io;
namespace net = synfp::net;
using namespace std::chrono_literals;

task<> hold(net::accepted a) { (void)co_await a.connection.read(); }
task<> hold_all(net::listener& listener) {
  while (auto accepted = co_await listener.accept()) synfp::spawn(hold(std::move(*accepted)));
}

bool is_blocked(int number) {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return sigismember(&mask, number) == 1;
}

/// What stop_on_signal leaves blocked and pending would meet the next test.
struct unblocked_afterwards {
  ~unblocked_afterwards() {
    sigset_t all;
    sigemptyset(&all);
    for (const int one : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&all, one);
    const timespec no_time{};
    while (::sigtimedwait(&all, nullptr, &no_time) > 0) {
    }
    ::pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
  }
};

/// Runs on this thread until a signal ends it; `started` is called when it accepts.
template <class Started>
void serve(net::server& server, Started started) {
  const auto ended = server.try_run(hold_all, started);
  EXPECT_TRUE(ended) << ended.error().message;
}

TEST(net_stop_on_signal, each_signal_stops_in_order) {
  const unblocked_afterwards mask;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    capture::saved_syn source;
    net::server server{"127.0.0.1:0", source, {.threads = 2}};
    {
      const net::stop_on_signal stopper(server);
      EXPECT_TRUE(is_blocked(number));
      serve(server, [number] { ::kill(::getpid(), number); });
    }
  }
}

TEST(net_stop_on_signal, a_second_signal_ends_what_a_first_one_waits_for) {
  const unblocked_afterwards mask;
  capture::saved_syn source;
  net::server server{"127.0.0.1:0", source};
  const net::stop_on_signal stopper(server, {.grace = 1h});
  synfp::test::fd client;
  std::thread sender;
  serve(server, [&] {
    sender = std::thread([&] {
      client = connect_to(server.local()[0]);
      ::kill(::getpid(), SIGTERM);
      // The listening socket is closed by the first signal; the connection goes on.
      while (true) {
        const synfp::test::fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_storage s{};
        const socklen_t n = server.local()[0].to_sockaddr(s);
        if (::connect(probe.get(), reinterpret_cast<sockaddr*>(&s), n) != 0) break;
      }
      char byte = 0;
      EXPECT_EQ(::recv(client.get(), &byte, 1, MSG_DONTWAIT), -1);  // still open
      ::kill(::getpid(), SIGINT);
    });
  });
  sender.join();
  char byte = 0;
  EXPECT_LE(::recv(client.get(), &byte, 1, 0), 0);
}

TEST(net_stop_on_signal, sighup_reloads_and_its_exceptions_go_to_on_error) {
  const unblocked_afterwards mask;
  notify_socket manager;
  capture::saved_syn source;
  std::atomic<int> reloads{0};
  std::promise<std::string> complaint;
  net::server_options options;
  options.managed = true;
  options.on_error = [&complaint](const std::exception_ptr& why) {
    try {
      std::rethrow_exception(why);
    } catch (const std::exception& e) {
      complaint.set_value(e.what());
    }
  };
  net::server server{"127.0.0.1:0", source, options};
  const net::stop_on_signal stopper(server, {.reload = [&reloads] {
                                      if (++reloads == 2) throw std::runtime_error("line 3");
                                    }});
  std::thread sender;
  serve(server, [&] {
    sender = std::thread([&] {
      EXPECT_EQ(manager.next(),
                "READY=1\nSTATUS=listening on " + std::string(server.local()[0].text().view()));
      for (int i = 1; i <= 2; ++i) {
        ::kill(::getpid(), SIGHUP);
        EXPECT_EQ(manager.next().substr(0, 11), "RELOADING=1");
        EXPECT_EQ(manager.next(), "READY=1");
        EXPECT_EQ(reloads, i);
      }
      EXPECT_EQ(complaint.get_future().get(), "line 3");
      ::kill(::getpid(), SIGTERM);
      EXPECT_EQ(manager.next(), "STOPPING=1");
    });
  });
  sender.join();
}

TEST(net_stop_on_signal, leaves_an_ignored_sighup_ignored) {
  std::signal(SIGHUP, SIG_IGN);  // nohup
  capture::saved_syn source;
  net::server server{"127.0.0.1:0", source};
  {
    const net::stop_on_signal stopper(server);
    EXPECT_FALSE(is_blocked(SIGHUP));
    EXPECT_TRUE(is_blocked(SIGTERM));
  }
  std::signal(SIGHUP, SIG_DFL);
}

TEST(net_stop_on_signal, a_signal_that_comes_too_late_does_not_end_the_program) {
  const unblocked_afterwards mask;
  capture::saved_syn source;
  net::server server{"127.0.0.1:0", source};
  {
    const net::stop_on_signal stopper(server);
    serve(server, [] { ::kill(::getpid(), SIGTERM); });
  }
  ::kill(::getpid(), SIGTERM);  // while the program takes itself down
  EXPECT_TRUE(is_blocked(SIGTERM));
}

TEST(net_stop_on_signal, gives_the_mask_back_if_no_signal_came) {
  capture::saved_syn source;
  net::server server{"127.0.0.1:0", source};
  {
    const net::stop_on_signal stopper(server);
    serve(server, [&] { server.stop(); });
    EXPECT_TRUE(is_blocked(SIGINT));
  }
  EXPECT_FALSE(is_blocked(SIGINT));
}

TEST(net_stop_on_signal, the_watchdog_hears_nothing_once_one_thread_hangs) {
  notify_socket manager;
  ::setenv("WATCHDOG_USEC", "200000", 1);
  capture::saved_syn source;
  net::server server{"127.0.0.1:0", source, {.threads = 3, .managed = true}};
  std::promise<void> go_on;
  std::atomic<int> hanging{0};
  std::atomic<bool> hang{false};
  const auto handler = [&](net::listener& listener) -> task<> {
    io::ring& ring = listener.ring();
    while (!hang && !ring.stopping()) co_await io::sleep_for(ring, 5ms);
    if (hanging++ == 0) go_on.get_future().wait();  // one of the three, which must not
    while (auto accepted = co_await listener.accept()) synfp::spawn(hold(std::move(*accepted)));
  };
  std::thread runner([&] { EXPECT_TRUE(server.try_run(handler, [] {})); });
  EXPECT_EQ(manager.next().substr(0, 7), "READY=1");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(manager.next(), "WATCHDOG=1");
  hang = true;
  while (hanging == 0) std::this_thread::sleep_for(1ms);
  while (!manager.next(0).empty()) {  // sent before
  }
  EXPECT_LE(manager.next(50), "WATCHDOG=1");  // of a round that was complete
  EXPECT_EQ(manager.next(1000), "");
  go_on.set_value();
  EXPECT_EQ(manager.next(), "WATCHDOG=1");
  server.stop();
  runner.join();
  ::unsetenv("WATCHDOG_USEC");
}

}  // namespace
