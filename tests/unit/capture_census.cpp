// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <stdexcept>
#include <synfp/capture/census.hpp>
#include <utility>

#include "../support/fake_table.hpp"

namespace {

using synfp::capture::census;
using synfp::capture::table;
using synfp::test::attached;
using synfp::test::fake_table;
using synfp::test::from_port;
using synfp::test::packet_builder;

constexpr std::uint64_t millisecond = 1'000'000;
constexpr std::uint64_t now = 1'000'000 * millisecond;

TEST(capture_census, an_empty_table) {
  const fake_table fake(8);
  const census c = census::take(attached(fake), now);
  EXPECT_EQ(c.slots, 8U * 15);
  EXPECT_EQ(c.records(), 0U);
  EXPECT_EQ(c.full_buckets, 0U);
  EXPECT_FALSE(c.evicted_at_ms);
  EXPECT_FALSE(c.age_below_ms(0.5));
}

TEST(capture_census, each_record_is_counted_once_by_what_a_lookup_says_of_it) {
  const fake_table fake;
  const std::uint8_t flags[] = {0,
                                synfp::SYNFP_VERIFIED,
                                synfp::SYNFP_CONFLICT,
                                synfp::SYNFP_UNCHECKED,
                                synfp::SYNFP_CONFLICT | synfp::SYNFP_VERIFIED,
                                synfp::SYNFP_UNCHECKED | synfp::SYNFP_ESTABLISHED};
  for (std::uint16_t way = 0; const std::uint8_t f : flags) {
    ++way;
    fake.put(from_port(way), now, way).flags = f;
  }
  fake.put(from_port(20), now, 7).tcp_offset = 0;                         // headers that could not be kept
  fake.put(from_port(21), now, 8).differs = synfp::SYNFP_DIFFERS_HEADER;  // copies contradict each other
  fake.put(from_port(22), now - 5001 * millisecond, 9);
  fake.put(from_port(23), now - 5001 * millisecond, 10).flags = synfp::SYNFP_VERIFIED;
  const census c = census::take(attached(fake), now);
  EXPECT_EQ(c.tuple, 1U);
  EXPECT_EQ(c.verified, 3U);
  EXPECT_EQ(c.conflict, 2U);
  EXPECT_EQ(c.unchecked, 1U);
  EXPECT_EQ(c.unusable, 1U);
  EXPECT_EQ(c.stale, 2U);
  EXPECT_EQ(c.fresh(), 8U);
  EXPECT_EQ(c.records(), 10U);
}

TEST(capture_census, a_record_of_before_a_lost_write_is_not_believed) {
  const fake_table fake;
  fake.put(from_port(1), now);
  fake.bucket().lost = 1;
  const census c = census::take(attached(fake), now);
  EXPECT_EQ(c.tuple, 0U);
  EXPECT_EQ(c.unusable, 1U);
}

TEST(capture_census, ages) {
  const fake_table fake;
  const std::uint64_t ages[] = {0, 1, 1, 3, 40, 40, 40, 40, 150, 700'000};
  for (std::uint16_t i = 0; i < 10; ++i) fake.put(from_port(i + 1), now - ages[i] * millisecond, i);
  fake.put(from_port(20), now + 5 * millisecond, 10);  // written since `now` was read
  const census c = census::take(attached(fake), now);
  EXPECT_EQ(c.by_age[0], 2U);  // below 1 ms
  EXPECT_EQ(c.by_age[1], 2U);  // below 2 ms
  EXPECT_EQ(c.by_age[2], 1U);
  EXPECT_EQ(c.by_age[5], 4U);   // below 50 ms
  EXPECT_EQ(c.by_age[7], 1U);   // below 200 ms
  EXPECT_EQ(c.by_age[15], 1U);  // of all
  EXPECT_EQ(c.age_sum_ms, 700'315U);
  EXPECT_EQ(c.age_below_ms(0.5), 50U);
  EXPECT_EQ(c.age_below_ms(0.9), 200U);
  EXPECT_FALSE(c.age_below_ms(0.99));
  EXPECT_FALSE(c.evicted_at_ms);  // there is an empty slot
}

TEST(capture_census, what_full_buckets_evict) {
  const fake_table fake(4);
  for (std::uint32_t bucket = 0; bucket < 3; ++bucket) {
    for (std::uint32_t way = 0; way < 15; ++way) {
      fake.put(from_port(static_cast<std::uint16_t>(way + 1)), now - way * millisecond,
               static_cast<int>(way));
    }
  }
  // All of them are in one bucket; copies of it, with another oldest record each.
  const packet_builder p = from_port(1);
  const std::uint32_t at = synfp::synfp_bucket_of(fake.hash(fake.key(p)), 3);
  for (std::uint32_t way = 0; way < 15; ++way) {
    const std::uint32_t home =
        synfp::synfp_bucket_of(fake.hash(fake.key(from_port(static_cast<std::uint16_t>(way + 1)))), 3);
    fake.bucket(at).slot[way] = fake.bucket(home).slot[way];
    fake.bucket(at).tag[way] = 1;
  }
  for (std::uint32_t i = 0; i < 4; ++i) {
    if (i != at) fake.bucket(i) = fake.bucket(at);
    fake.bucket(i).slot[4].time = now - (100 * i + 100) * millisecond;
  }
  fake.bucket(3).tag[0] = 0;
  const census c = census::take(attached(fake), now);
  EXPECT_EQ(c.full_buckets, 3U);
  EXPECT_EQ(c.evicted_at_ms, 200U);  // of 100, 200, 300
  EXPECT_EQ(c.records(), 59U);
}

TEST(capture_census, a_bucket_that_is_being_written_is_left_out) {
  const fake_table fake(2);
  const packet_builder p = from_port(1);
  fake.put(p, now);
  fake.bucket(synfp::synfp_bucket_of(fake.hash(fake.key(p)), 1)).sequence = 1;
  const census c = census::take(attached(fake), now);
  EXPECT_EQ(c.busy_buckets, 1U);
  EXPECT_EQ(c.records(), 0U);
}

}  // namespace
