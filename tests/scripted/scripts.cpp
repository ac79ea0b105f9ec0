// SPDX-License-Identifier: MIT
// The whole server on a kernel in memory: whatever the kernel, the network and the clients do in whatever
// order, every request is answered or its connection is closed, nothing is lost, nothing is given back twice,
// and nothing is in flight at the end.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

#include "server.hpp"

namespace {

namespace scripted = synfp::test::scripted;

long setting(const char* name, long otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? std::atol(value) : otherwise;
}

/// SYNFP_SEED=n: that script only. SYNFP_SEEDS=n: so many, from the first or from that one on.
/// SYNFP_ALLOCATION=n: after n allocations SYNFP_BURST of them fail. SYNFP_TRACE=1: what happens.
const long first = setting("SYNFP_SEED", 1);
const long number = setting("SYNFP_SEEDS", 0);
const bool trace = setting("SYNFP_TRACE", 0) != 0;

long last(long many) {
  if (number != 0) return first + number - 1;
  return std::getenv("SYNFP_SEED") != nullptr ? first : many;
}

scripted::outcome run(long seed, const scripted::memory_plan& plan = {}) {
  auto result = scripted::run(scripted::choices(static_cast<std::uint64_t>(seed)), plan, trace);
  if (!result.failure.empty()) {
    ADD_FAILURE() << "SYNFP_SEED=" << seed << " SYNFP_ALLOCATION=" << plan.after
                  << " SYNFP_BURST=" << plan.burst << ": " << result.failure;
  }
  return result;
}

TEST(scripted_ring, every_request_is_answered_or_its_connection_closed) {
  const scripted::memory_plan plan{setting("SYNFP_ALLOCATION", -1), setting("SYNFP_BURST", 1)};
  for (long seed = first; seed <= last(1000); ++seed) run(seed, plan);
}

TEST(scripted_ring, each_allocation_fails) {
  for (long seed = first; seed <= last(4); ++seed) {
    for (const long burst : {1L, 1'000'000L}) {
      long n = 0;
      while (run(seed, {n, burst}).failed_allocations != 0) ++n;
      EXPECT_GT(n, 10);
    }
  }
}

TEST(scripted_ring, any_allocation_fails) {
  for (long seed = first; seed <= last(1000); ++seed) {
    scripted::choices any(static_cast<std::uint64_t>(seed) << 32);
    const long after = any.below(1 + any.below(300));
    run(seed, {after, any.one_of<long, 4>({1, 2, 5, 1'000'000})});
  }
}

// ---- one thing that goes wrong, at a certain time ----

/// A ring on a kernel of its own, and nobody else.
class scripted_kernel : public testing::Test, public scripted::surroundings {
 protected:
  scripted_kernel() {
    k.world = this;
    scripted::current_kernel = &k;
    auto made = synfp::io::ring::create();
    EXPECT_TRUE(made);
    ring = *std::move(made);
  }
  ~scripted_kernel() override {
    ring.reset();
    EXPECT_EQ(k.open_descriptors(), 0);
    EXPECT_EQ(k.failure(), "");
    scripted::current_kernel = nullptr;
  }
  std::size_t ready() override { return 0; }
  void act(std::size_t) override {}
  scripted::nanoseconds next() override { return scripted::never; }
  void check() override {}

  void turns(int n) {
    for (int i = 0; i != n; ++i) ring->poll();
  }

  scripted::choices choose{1};
  scripted::kernel k{choose, 1000, trace};
  std::unique_ptr<synfp::io::ring> ring;
};

TEST_F(scripted_kernel, a_closed_connection_is_cancelled_until_that_is_found) {
  choose.always(scripted::fault::missed);
  const auto f = std::make_shared<scripted::file>();
  f->what = scripted::file::kind::connected;
  f->tcp = std::make_shared<scripted::connection>();
  synfp::net::stream stream(*ring, k.open(f));
  synfp::spawn([&stream]() -> synfp::task<> {
    const auto read = co_await stream.read();
    EXPECT_FALSE(read);
  });
  turns(10);
  const int open = k.open_descriptors();
  f->tcp->to_server = "late";  // so the receive is busy when the cancellation looks for it,
  stream.close();
  turns(20);
  choose.calm();
  f->tcp->to_server += "er";  // and goes on
  turns(20);
  EXPECT_TRUE(f->tcp->server_closed);
  EXPECT_EQ(k.open_descriptors(), open - 1);
}

TEST_F(scripted_kernel, a_listener_that_is_gone_is_cancelled_until_that_is_found) {
  choose.always(scripted::fault::missed);
  const auto f = std::make_shared<scripted::file>();
  f->what = scripted::file::kind::listener;
  k.listening = true;
  const auto arrive = [this] { k.backlog.push_back(std::make_shared<scripted::connection>()); };
  {
    auto listener = synfp::net::listener::create(*ring, k.open(f));
    ASSERT_TRUE(listener);
    turns(10);
    arrive();
  }
  turns(20);
  choose.calm();
  arrive();
  turns(20);
  EXPECT_FALSE(k.listening);
}

// Past the deadline of a stop, what the kernel has not given up yet is waited for: asking again and again
// would take the whole processor.
TEST_F(scripted_kernel, the_end_of_a_ring_waits_for_what_is_in_flight) {
  k.waits_only = true;
  const auto event = std::make_shared<scripted::file>();
  event->what = scripted::file::kind::event;
  const int fd = k.open(event);
  synfp::spawn([this, fd]() -> synfp::task<> {
    const auto ready = co_await synfp::io::poll_fd(*ring, fd, POLLIN);
    EXPECT_FALSE(ready);
  });
  turns(3);
  ring->stop();
  EXPECT_TRUE(ring->run());
  EXPECT_EQ(::close(fd), 0);
}

}  // namespace
