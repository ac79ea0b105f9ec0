// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <synfp/probe_config.hpp>
#include <type_traits>

namespace {

using namespace synfp;

template <probe_config C>
constexpr bool accepted = synfp::detail::checked_config<C>::value;

// What each rule just lets pass; tests/compile_fail has what it refuses.
static_assert(accepted<probe_config{}>);
static_assert(accepted<probe_config{.hook = hook::xdp, .families = families::ipv6}>);
static_assert(accepted<probe_config{.key_scope = key_scope::peer, .buckets = 1}>);
static_assert(accepted<probe_config{.buckets = 1U << 22}>);
static_assert(accepted<probe_config{.hold{1}, .max_age{1}, .conflict_window{1}}>);
static_assert(accepted<probe_config{.max_age{600'000}, .conflict_window{3'600'000}}>);
static_assert(accepted<probe_config{.hold{0}}>);
static_assert(accepted<probe_config{.ports{1, 2, 3, 4, 5, 6, 7, 65535}}>);

TEST(probe_config, defaults) {
  constexpr probe_config c;
  EXPECT_EQ(c.hook, hook::reuseport);
  EXPECT_EQ(c.families, families::both);
  EXPECT_EQ(c.key_scope, key_scope::flow);
  EXPECT_EQ(c.buckets * sizeof(synfp_bucket), 8U << 20);
  EXPECT_EQ(c.max_age.ns(), 5'000'000'000U);
  EXPECT_EQ(c.port_count(), 0U);
}

TEST(probe_config, ports_are_counted_to_the_first_zero) {
  EXPECT_EQ((probe_config{.ports{80, 443}}.port_count()), 2U);
  EXPECT_EQ((probe_config{.ports{1, 2, 3, 4, 5, 6, 7, 8}}.port_count()), 8U);
  EXPECT_EQ((probe_config{.ports{0, 443}}.port_count()), 0U);
}

TEST(probe_config, milliseconds_do_not_overflow) {
  EXPECT_EQ((milliseconds{0xffffffffU}.ns()), 0xffffffffULL * 1'000'000);
}

}  // namespace
