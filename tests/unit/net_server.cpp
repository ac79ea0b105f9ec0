// SPDX-License-Identifier: MIT
#include <synfp/net/server.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "../net_fixture.hpp"

// liburing unmaps a ring by a bare system call, which ThreadSanitizer does not see: the ring of the next
// thread at the same address looks like a race.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race_top:^io_uring_prep_rw\nrace_top:^io_uring_sqe_set_data\nrace_top:^io_uring_cq_ready\n";
}

namespace {

using namespace std::chrono_literals;
using synfp::task;
using synfp::net::listener;
using synfp::net::server;

task<> accept_all(listener& l) {
  while (auto accepted = co_await l.accept()) accepted->connection.close();
}

auto make_server(synfp::capture::none& source, unsigned threads) {
  auto made = server::open({synfp::endpoint::v4(127, 0, 0, 1, 0), synfp::endpoint::v4(127, 0, 0, 1, 0)},
                           source, {.threads = threads});
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

TEST(Server, StopsAtAnyMoment) {
  synfp::capture::none source;
  for (int i = 0; i != 20; ++i) {
    server s = make_server(source, 3);
    std::thread stopper([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(i * 100));
      s.stop(1s);
      s.stop(0s);
    });
    EXPECT_TRUE(s.try_run(accept_all, [] {}));
    stopper.join();
  }
}

TEST(Server, AnExceptionOfStartedReachesTheCaller) {
  synfp::capture::none source;
  server s = make_server(source, 3);
  EXPECT_THROW((void)s.try_run(accept_all, [] { throw std::runtime_error("no"); }), std::runtime_error);
}

TEST(Server, AnExceptionOfTheHandlerReachesTheCaller) {
  synfp::capture::none source;
  for (const int which : {0, 1, 5}) {
    server s = make_server(source, 3);
    std::atomic<int> calls{0};
    const auto handler = [&](listener& l) {
      if (calls++ == which) throw std::runtime_error("no");
      return accept_all(l);
    };
    EXPECT_THROW((void)s.try_run(handler, [] {}), std::runtime_error);
  }
}

TEST(Server, AnExceptionOfPostedWorkReachesTheCaller) {
  synfp::capture::none source;
  server s = make_server(source, 2);
  std::atomic<int> calls{0};
  const auto handler = [&](listener& l) {
    if (calls++ == 3) l.ring().post([] { throw std::runtime_error("no"); });
    return accept_all(l);
  };
  EXPECT_THROW((void)s.try_run(handler, [] {}), std::runtime_error);
}

}  // namespace
