// SPDX-License-Identifier: MIT
// The model of sizing.hpp against a simulation of one bucket's rules in virtual time.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <synfp/sizing.hpp>

namespace {

using namespace synfp;

/// The share of records that are stored and still there `delay` later, in a bucket that SYNs of other
/// connections reach at `rate` per unit of time, at random.
double simulate(double rate, double hold, double delay, int syns) {
  constexpr double never = -std::numeric_limits<double>::infinity();
  std::mt19937_64 random(20260101);
  std::exponential_distribution<double> gap(rate);
  std::array<double, SYNFP_WAYS> stored;
  stored.fill(never);
  std::size_t cursor = 0;
  int arrived = 0, kept = 0;
  double now = 0;
  for (int i = 0; i < syns; ++i) {
    now += gap(random);
    const bool counts = i > 1000;  // not from an empty bucket
    arrived += counts;
    std::size_t passed = 0;
    while (passed < stored.size() && now - stored[cursor] < hold) {
      cursor = (cursor + 1) % stored.size();
      ++passed;
    }
    if (passed == stored.size()) continue;  // refused; the cursor is back where it was
    const double old = stored[cursor];
    // The evicted one had lasted; whoever is evicted later is judged then.
    kept += counts && old != never && now - old >= delay;
    stored[cursor] = now;
    cursor = (cursor + 1) % stored.size();
  }
  return static_cast<double>(kept) / arrived;
}

probe_config with(std::uint32_t buckets, std::uint32_t hold) { return {.buckets = buckets, .hold = {hold}}; }

TEST(sizing, the_model_is_what_the_rules_of_a_bucket_do) {
  constexpr int syns = 1'000'000;
  for (const double x : {0.25, 0.5, 0.75, 1.0, 1.25, 2.0, 5.0}) {
    // One bucket of 15 slots, a delay of 100 ms.
    const double per_ms = x * int{SYNFP_WAYS} / 100;
    for (const std::uint32_t hold : {0U, 100U, 150U}) {
      const double expected = expected_survival(with(1, hold), per_ms * 1000, {100});
      // Four standard deviations; the slots of a ring share their fate, so there are fewer independent ones.
      const double slack = 4 * std::sqrt(int{SYNFP_WAYS} * expected * (1 - expected) / syns) + 1e-4;
      EXPECT_NEAR(simulate(per_ms, hold, 100, syns), expected, slack) << "x " << x << " hold " << hold;
    }
  }
}

TEST(sizing, a_hold_shorter_than_the_delay_gains_about_nothing) {
  for (const double x : {0.5, 1.0, 2.0}) {
    const double per_ms = x * int{SYNFP_WAYS} / 100;
    EXPECT_NEAR(simulate(per_ms, 50, 100, 200'000), expected_survival(with(1, 50), per_ms * 1000, {100}),
                0.03);
  }
}

// Erlang's B of 15 servers as the tables in textbooks on teletraffic have it: 1 % at 8.108, 10 % at 12.484.
TEST(sizing, erlang_b_is_erlangs) {
  EXPECT_NEAR(synfp::detail::erlang_b(15, 8.108), 0.01, 1e-5);
  EXPECT_NEAR(synfp::detail::erlang_b(15, 12.484), 0.1, 1e-5);
  EXPECT_EQ(synfp::detail::erlang_b(15, 0), 0);
}

TEST(sizing, poisson_adds_up) {
  EXPECT_DOUBLE_EQ(synfp::detail::poisson_below(1, 2), std::exp(-2.0));
  EXPECT_DOUBLE_EQ(synfp::detail::poisson_below(3, 2), 5 * std::exp(-2.0));
  EXPECT_EQ(synfp::detail::poisson_below(15, 0), 1);
  EXPECT_LT(synfp::detail::poisson_below(15, 499), 1e-100);
  EXPECT_EQ(synfp::detail::poisson_below(15, 1e9), 0);
}

TEST(sizing, the_table_is_the_smallest_that_bears_the_load) {
  for (const std::uint32_t rate : {1'000U, 50'000U, 200'000U, 1'000'000U, 10'000'000U}) {
    for (const std::uint32_t delay : {1U, 20U, 100U, 300U}) {
      for (const double survival : {0.9, 0.99, 0.999}) {
        const syn_load load{.syn_rate = rate, .delay = {delay}, .survival = survival};
        probe_config c = sized_for(load);
        ASSERT_NE(c.buckets, 0U);
        EXPECT_GE(expected_survival(c, rate, {delay}), survival);
        EXPECT_GT(c.hold.count, delay) << "a unit of time32 is lost to rounding";
        if (c.buckets == 256) continue;  // the least there is
        c.buckets /= 2;
        EXPECT_LT(expected_survival(c, rate, {delay}), survival);
      }
    }
  }
}

constexpr probe_config base{.hook = hook::xdp, .max_age = {300}, .conflict_window = {400}, .ports = {443}};
constexpr probe_config slow = sized<syn_load{.syn_rate = 100'000, .delay = {1000}}, base>;
static_assert(synfp::detail::checked_config<slow>::value);

TEST(sizing, what_is_not_size_is_the_bases) {
  EXPECT_EQ(slow.hook, hook::xdp);
  EXPECT_EQ(slow.ports, base.ports);
  EXPECT_EQ(slow.hold.count, 1002U);
  EXPECT_EQ(slow.max_age, slow.hold) << "a record is believed as long as it is held";
  EXPECT_EQ(slow.conflict_window, slow.max_age);
  constexpr probe_config quick = sized<syn_load{.syn_rate = 1000, .delay = {1}}>;
  EXPECT_EQ(quick.max_age, probe_config{}.max_age);
  EXPECT_EQ(quick.buckets, 256U);
}

}  // namespace
