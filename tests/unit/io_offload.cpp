// SPDX-License-Identifier: MIT
#include <synfp/io/offload.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include <synfp/io/timer.hpp>

#include "../support/loopback.hpp"

namespace {

namespace io = synfp::io;
namespace test = synfp::test;

using namespace std::chrono_literals;
using synfp::errc;
using synfp::task;

TEST(io_offload, brings_back_what_the_work_returns_on_the_rings_thread) {
  io::thread_pool pool({.threads = 2});
  auto ring = test::make_ring();
  std::optional<std::string> text;
  std::optional<std::thread::id> ran_on;
  std::optional<std::thread::id> resumed_on;
  bool nothing = false;
  synfp::spawn([&]() -> task<> {
    const auto work = [&ran_on](const std::string& a, std::string b) {
      ran_on = std::this_thread::get_id();
      return a + b;
    };
    const std::string first(100, 'a');
    auto got = co_await io::offload(pool, work, first, "b");
    resumed_on = std::this_thread::get_id();
    if (got) text = *std::move(got);
    const auto done = co_await io::offload(pool, [] {});  // nothing to return
    nothing = static_cast<bool>(done);
    ring->stop();
  });
  test::run_to_end(*ring);
  EXPECT_EQ(text, std::string(100, 'a') + "b");
  EXPECT_NE(ran_on, std::this_thread::get_id());
  EXPECT_EQ(resumed_on, std::this_thread::get_id());
  EXPECT_TRUE(nothing);
}

TEST(io_offload, moves_what_can_only_be_moved) {
  io::thread_pool pool({.threads = 1});
  auto ring = test::make_ring();
  int got = 0;
  synfp::spawn([&]() -> task<> {
    auto work = [p = std::make_unique<int>(20)](std::unique_ptr<int> q) {
      return std::make_unique<int>(*p + *q);
    };
    auto argument = std::make_unique<int>(3);
    const auto sum = co_await io::offload(pool, std::move(work), std::move(argument));
    if (sum) got = **sum;
    ring->stop();
  });
  test::run_to_end(*ring);
  EXPECT_EQ(got, 23);
}

TEST(io_offload, rethrows_what_the_work_throws) {
  io::thread_pool pool;
  auto ring = test::make_ring();
  std::string what;
  synfp::spawn([&]() -> task<> {
    try {
      [[maybe_unused]] const auto got =
          co_await io::offload(pool, []() -> int { throw std::runtime_error("no database"); });
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    ring->stop();
  });
  test::run_to_end(*ring);
  EXPECT_EQ(what, "no database");
}

/// Keeps every thread of a pool busy until it is opened.
class gate {
 public:
  void wait() {
    ++waiting_;
    opened_.wait();
  }
  void open() { open_.set_value(); }
  void await(int threads) const {
    while (waiting_ != threads) std::this_thread::yield();
  }

 private:
  std::promise<void> open_;
  std::shared_future<void> opened_ = open_.get_future().share();
  std::atomic<int> waiting_{0};
};

TEST(io_offload, a_full_queue_refuses_at_once_and_a_ring_goes_on_meanwhile) {
  io::thread_pool pool({.threads = 1, .queue = 2});
  auto ring = test::make_ring();
  gate g;
  int done = 0;
  std::optional<errc> refused;
  const auto waiter = [&]() -> task<> {
    const auto got = co_await io::offload(pool, [&g] { g.wait(); });
    if (got) ++done;
    if (done == 3) ring->stop();
  };
  synfp::spawn(waiter);
  synfp::spawn([&]() -> task<> {
    while (pool.queued() != 0 || ring->in_flight() == 0) co_await io::yield();
    g.await(1);
    synfp::spawn(waiter);
    synfp::spawn(waiter);
    while (pool.queued() != 2) co_await io::yield();
    const auto got = co_await io::offload(pool, [] { return 1; });
    if (!got) refused = got.error().code;
    g.open();
  });
  test::run_to_end(*ring);
  EXPECT_EQ(refused, errc::full);
  EXPECT_EQ(done, 3);
}

TEST(io_offload, an_orderly_stop_waits_for_the_work) {
  io::thread_pool pool({.threads = 1});
  auto ring = test::make_ring();
  gate g;
  bool done = false;
  synfp::spawn([&]() -> task<> {
    const auto got = co_await io::offload(pool, [&g] { g.wait(); });
    done = static_cast<bool>(got);
  });
  synfp::spawn([&]() -> task<> {
    while (pool.queued() != 0) co_await io::yield();
    g.await(1);
    ring->stop(1h);
    g.open();
  });
  test::run_to_end(*ring);
  EXPECT_TRUE(done);
}

TEST(io_offload, a_destroyed_coroutine_leaves_its_work_to_end_alone) {
  auto owned = std::make_shared<std::string>("owned");
  std::weak_ptr<std::string> watched = owned;
  gate g;
  std::atomic<int> ran{0};
  {
    io::thread_pool pool({.threads = 1, .queue = 4});
    {
      auto ring = test::make_ring();
      bool resumed = false;
      const auto begun = [&g, &ran, owned] {
        g.wait();
        if (*owned == "owned") ++ran;
        return owned;
      };
      const auto queued = [&ran] { ran += 100; };
      synfp::spawn([&]() -> task<> {
        const auto got = co_await io::offload(pool, begun);
        resumed = static_cast<bool>(got);
      });
      synfp::spawn([&]() -> task<> {
        g.await(1);
        synfp::spawn([&]() -> task<> {
          const auto got = co_await io::offload(pool, queued);
          resumed = static_cast<bool>(got);
        });
        while (pool.queued() != 1) co_await io::yield();
        ring->stop(0s);
      });
      owned.reset();
      test::run_to_end(*ring);
      EXPECT_FALSE(resumed);
      EXPECT_EQ(pool.queued(), 0u);  // what no thread had begun is gone
    }                                // and so is the ring, before the work has ended
    EXPECT_FALSE(watched.expired());
    g.open();
  }
  EXPECT_EQ(ran, 1);
  EXPECT_TRUE(watched.expired());
}

/// What work that waits is told when its pool ends; nothing if that was slower than the work before it.
std::optional<errc> told_by_the_end_of_a_pool() {
  auto ring = test::make_ring();
  auto pool = std::make_optional<io::thread_pool>(io::thread_pool_options{.threads = 1});
  gate g;
  std::optional<errc> refused;
  bool first = false;
  synfp::spawn([&]() -> task<> {
    const auto got = co_await io::offload(*pool, [&g] { g.wait(); });
    first = static_cast<bool>(got);
  });
  synfp::spawn([&]() -> task<> {
    const auto got = co_await io::offload(*pool, [] {});
    if (!got) refused = got.error().code;
    ring->stop(1h);
  });
  synfp::spawn([&]() -> task<> {
    g.await(1);
    while (pool->queued() != 1) co_await io::yield();
    std::thread opener([&g] { g.open(); });
    pool.reset();  // waits for the one that runs
    opener.join();
  });
  test::run_to_end(*ring);
  EXPECT_TRUE(first);
  return refused;
}

TEST(io_offload, a_pool_that_ends_says_so_to_what_waits) {
  std::optional<errc> told;
  for (int i = 0; i != 100 && !told; ++i) told = told_by_the_end_of_a_pool();
  EXPECT_EQ(told, errc::stopped);
}

TEST(io_offload, completions_and_destruction_may_meet) {
  io::thread_pool pool({.threads = 3, .queue = 64});
  for (int round = 0; round < 200; ++round) {
    auto ring = test::make_ring({.entries = 8, .buffers = 8});
    int started = 0;
    for (int i = 0; i < 20; ++i) {
      synfp::spawn([&]() -> task<> {
        ++started;
        const auto got = co_await io::offload(pool, [n = round % 7] {
          for (int k = 0; k < n * 300; ++k) std::atomic_signal_fence(std::memory_order_seq_cst);
          return std::make_unique<int>(n);
        });
        if (got && **got != round % 7) std::abort();
      });
    }
    synfp::spawn([&]() -> task<> {
      for (int k = 0; k < round % 5; ++k) co_await io::yield();
      ring->stop(0s);
    });
    test::run_to_end(*ring);
  }
}

TEST(io_offload, needs_a_ring) {
  io::thread_pool pool;
  std::optional<errc> refused;
  synfp::spawn([&]() -> task<> {
    const auto got = co_await io::offload(pool, [] {});
    if (!got) refused = got.error().code;
  });
  io::detail::run_queue::current().drain();
  EXPECT_EQ(refused, errc::invalid);
}

TEST(io_thread_pool, blocks_every_signal_and_refuses_what_is_no_pool) {
  EXPECT_FALSE(io::thread_pool::create({.threads = 0}));
  EXPECT_FALSE(io::thread_pool::create({.threads = 1, .queue = 0}));
  io::thread_pool pool({.threads = 1});
  auto ring = test::make_ring();
  std::optional<int> blocked;
  synfp::spawn([&]() -> task<> {
    const auto got = co_await io::offload(pool, [] {
      sigset_t mask;
      ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      return sigismember(&mask, SIGTERM) + sigismember(&mask, SIGHUP) + sigismember(&mask, SIGUSR1);
    });
    if (got) blocked = *got;
    ring->stop();
  });
  test::run_to_end(*ring);
  EXPECT_EQ(blocked, 3);
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGUSR1), 0);
}

TEST(io_timer, a_sleep_ends_with_the_ring) {
  auto ring = test::make_ring();
  int slept = 0;
  std::optional<errc> ended;
  synfp::spawn([&]() -> task<> {
    while (const auto still = co_await io::sleep(*ring, 1ms)) {
      if (++slept == 3) break;
    }
    ring->post_stop(1h);
    const auto last = co_await io::sleep(*ring, 24h);
    if (!last) ended = last.error().code;
    const auto after = co_await io::sleep(*ring, 24h);  // the ring stops already: not at all
    if (after) ended = errc::invalid;
  });
  test::run_to_end(*ring);
  EXPECT_EQ(slept, 3);
  EXPECT_EQ(ended, errc::stopped);
}

TEST(io_timer, a_sleep_may_be_destroyed) {
  auto ring = test::make_ring();
  synfp::spawn([&]() -> task<> { [[maybe_unused]] const auto slept = co_await io::sleep(*ring, 24h); });
  ring->post([&ring] { ring->stop(0s); });
  test::run_to_end(*ring);
}

}  // namespace
