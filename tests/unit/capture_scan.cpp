// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <synfp/capture/scan.hpp>
#include <thread>

#include "../support/fake_table.hpp"

namespace {

using synfp::capture::now_ns;
using synfp::capture::scanner;
using synfp::capture::table;
using synfp::test::attached;
using synfp::test::fake_table;
using synfp::test::from_port;
using synfp::test::packet_builder;
using synfp::test::v6_packet;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t second = 1'000'000'000;

/// A table and what the probe does to it: publish, then count.
struct written_table : fake_table {
  using fake_table::fake_table;
  std::uint32_t index(const packet_builder& p) const {
    return synfp::synfp_bucket_of(hash(key(p)), meta().buckets - 1);
  }
  void publish(const packet_builder& p, synfp::synfp_counter what) {
    bucket(index(p)).sequence += 32;
    ++counts(0).value[what];
  }
  void store(const packet_builder& p, std::uint64_t time, int way = 0) {
    put(p, time, way);
    publish(p, synfp::SYNFP_COUNT_STORED);
  }
  /// The next connection of a known key.
  void replace(const packet_builder& p, std::uint64_t time, int way = 0) {
    put(p, time, way);
    publish(p, synfp::SYNFP_COUNT_REPLACED);
  }
};

std::vector<unsigned> ports(std::span<const synfp::syn_record> records) {
  std::vector<unsigned> all;
  for (const auto& r : records) all.push_back(r.source().port());
  return all;
}

TEST(capture_scan, gives_each_syn_once_and_whole) {
  written_table fake(8);
  const table t = attached(fake);
  scanner s(t);
  EXPECT_THAT(s.walk(), IsEmpty());
  for (const packet_builder& p : {packet_builder(), v6_packet()}) {
    const std::uint64_t now = now_ns();
    fake.store(p, now);
    const auto found = s.walk();
    ASSERT_EQ(found.size(), 1U);
    const auto expected = p.ip();
    EXPECT_TRUE(
        std::equal(found[0].bytes().begin(), found[0].bytes().end(), expected.begin(), expected.end()));
    EXPECT_EQ(found[0].arrived().time_ns, now);
    EXPECT_THAT(s.walk(), IsEmpty());
  }
  EXPECT_EQ(s.missed(), 0U);
  EXPECT_FALSE(s.more());
}

TEST(capture_scan, from_the_beginning_gives_what_is_there_and_from_now_does_not) {
  written_table fake(8);
  fake.store(from_port(1), now_ns());
  const table t = attached(fake);
  scanner all(t, scanner::from::beginning);
  scanner news(t);
  fake.store(from_port(2), now_ns());
  EXPECT_THAT(ports(all.walk()), ElementsAre(1, 2));
  EXPECT_THAT(ports(news.walk()), ElementsAre(2));
  EXPECT_EQ(all.missed(), 0U);
  EXPECT_EQ(news.missed(), 0U);
}

TEST(capture_scan, an_old_record_that_a_copy_refreshes_is_not_news) {
  written_table fake;
  fake.store(from_port(1), now_ns() - second);
  const table t = attached(fake);
  scanner s(t);
  auto& slot = fake.bucket().slot[0];
  slot.time = now_ns();
  slot.retransmits = 1;
  fake.publish(from_port(1), synfp::SYNFP_COUNT_RETRANSMIT);
  EXPECT_THAT(s.walk(), IsEmpty());
  fake.store(from_port(2), now_ns(), 1);
  EXPECT_THAT(ports(s.walk()), ElementsAre(2));
}

TEST(capture_scan, gives_the_order_of_arrival) {
  written_table fake(64);
  const table t = attached(fake);
  scanner s(t);
  const std::uint64_t now = now_ns();
  std::vector<unsigned> expected;
  std::vector<int> used(64);
  for (std::uint16_t i = 0; i < 200; ++i) {
    const packet_builder p = from_port(static_cast<std::uint16_t>(1000 + i));
    auto& way = used[fake.index(p)];
    if (way == synfp::SYNFP_WAYS) continue;
    fake.store(p, now + i, way++);
    expected.push_back(p.source.port());
  }
  EXPECT_EQ(ports(s.walk()), expected);
  EXPECT_EQ(s.missed(), 0U);
}

TEST(capture_scan, a_new_connection_of_a_known_key_is_news_and_copies_are_not) {
  written_table fake;
  const table t = attached(fake);
  scanner s(t);
  packet_builder p;
  const std::uint64_t start = now_ns();
  fake.store(p, start);
  ASSERT_EQ(s.walk().size(), 1U);

  fake.bucket().slot[0].retransmits = 1;  // within the conflict window: the probe sees that it is a copy
  fake.bucket().slot[0].time = start + second;
  fake.publish(p, synfp::SYNFP_COUNT_RETRANSMIT);
  EXPECT_THAT(s.walk(), IsEmpty());
  fake.replace(p, start + 15 * second);  // beyond: it does not
  EXPECT_THAT(s.walk(), IsEmpty());
  fake.replace(p, start + 79 * second);  // the last one of Linux comes 64 s after the one before
  EXPECT_THAT(s.walk(), IsEmpty());
  EXPECT_EQ(s.missed(), 0U);

  fake.replace(p, start + 179 * second);  // not a copy any more
  EXPECT_EQ(s.walk().size(), 1U);
  ++p.sequence;
  fake.replace(p, start + 180 * second);
  const auto found = s.walk();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].tcp().sequence(), p.sequence);
  EXPECT_EQ(s.missed(), 0U);
}

TEST(capture_scan, a_conflict_or_a_proof_of_a_seen_syn_is_not_news) {
  written_table fake;
  const table t = attached(fake);
  scanner s(t);
  const packet_builder p;
  fake.store(p, now_ns());
  ASSERT_EQ(s.walk().size(), 1U);
  fake.bucket().slot[0].flags |= synfp::SYNFP_CONFLICT;
  fake.bucket().slot[0].time += second;
  fake.publish(p, synfp::SYNFP_COUNT_CONFLICT);
  fake.bucket().slot[0].flags |= synfp::SYNFP_VERIFIED;
  fake.publish(p, synfp::SYNFP_COUNT_VERIFIED);
  fake.store(from_port(2), now_ns(), 1);
  EXPECT_THAT(ports(s.walk()), ElementsAre(2));
  EXPECT_EQ(s.missed(), 0U);
}

TEST(capture_scan, a_first_syn_in_conflict_is_given_all_the_same) {
  written_table fake;
  const table t = attached(fake);
  scanner s(t);
  fake.put(from_port(1), now_ns()).flags |= synfp::SYNFP_CONFLICT;
  fake.publish(from_port(1), synfp::SYNFP_COUNT_STORED);
  EXPECT_THAT(ports(s.walk()), ElementsAre(1));
}

TEST(capture_scan, what_was_overwritten_unseen_is_missed) {
  written_table fake;
  const table t = attached(fake);
  scanner s(t);
  for (std::uint16_t i = 0; i < 5; ++i) fake.store(from_port(i), now_ns());
  EXPECT_THAT(ports(s.walk()), ElementsAre(4));
  EXPECT_EQ(s.missed(), 4U);
  EXPECT_THAT(s.walk(), IsEmpty());
  fake.store(from_port(9), now_ns());
  EXPECT_EQ(s.walk().size(), 1U);
  EXPECT_EQ(s.missed(), 4U);
}

TEST(capture_scan, a_busy_bucket_is_left_to_the_next_walk) {
  written_table fake;
  const table t = attached(fake);
  scanner s(t);
  fake.store(from_port(1), now_ns());
  fake.bucket().sequence |= 1;
  EXPECT_THAT(s.walk(), IsEmpty());
  EXPECT_TRUE(s.more());
  EXPECT_EQ(s.missed(), 0U) << "not known yet";
  EXPECT_THAT(s.walk(), IsEmpty());
  EXPECT_TRUE(s.more());
  fake.bucket().sequence &= ~1U;
  EXPECT_THAT(ports(s.walk()), ElementsAre(1));
  EXPECT_FALSE(s.more());
  EXPECT_EQ(s.missed(), 0U);
}

TEST(capture_scan, the_sequence_may_wrap) {
  written_table fake;
  fake.bucket().sequence = 0xffffffe0;
  const table t = attached(fake);
  scanner s(t);
  EXPECT_THAT(s.walk(), IsEmpty());
  fake.store(from_port(1), now_ns());
  ASSERT_EQ(fake.bucket().sequence, 0U);
  EXPECT_THAT(ports(s.walk()), ElementsAre(1));
}

TEST(capture_scan, time32_may_wrap) {
  written_table fake;
  const table t = attached(fake);
  scanner s(t);
  const std::uint64_t wrap = std::uint64_t{1} << (32 + synfp::SYNFP_TIME_SHIFT);
  const std::uint64_t later = (now_ns() / wrap + 1) * wrap;
  fake.store(from_port(1), later - 1);
  EXPECT_THAT(ports(s.walk()), ElementsAre(1));
  fake.bucket().slot[0].time = later + second;  // a copy, on the other side
  fake.publish(from_port(1), synfp::SYNFP_COUNT_RETRANSMIT);
  fake.store(from_port(2), later + second, 1);
  EXPECT_THAT(ports(s.walk()), ElementsAre(2));
  scanner again(t);
  EXPECT_THAT(ports(again.walk()), ElementsAre(1, 2)) << "both came after it was made";
}

TEST(capture_scan, only_the_counters_are_read_while_nothing_is_stored) {
  written_table fake;
  const table t = attached(fake);
  scanner s(t);
  EXPECT_THAT(s.walk(), IsEmpty());
  fake.put(from_port(1), now_ns());
  fake.bucket().sequence += 32;  // published, not yet counted
  EXPECT_THAT(s.walk(), IsEmpty());
  ++fake.counts(1).value[synfp::SYNFP_COUNT_STORED];
  EXPECT_THAT(ports(s.walk()), ElementsAre(1));
}

TEST(capture_scan, a_walk_is_bounded_and_the_next_one_goes_on) {
  written_table fake(2048);
  const table t = attached(fake);
  scanner s(t);
  std::vector<int> used(2048);
  std::size_t stored = 0;
  for (unsigned i = 0; stored < scanner::batch + 1000; ++i) {
    packet_builder p = from_port(static_cast<std::uint16_t>(i));
    p.destination.set_port(static_cast<std::uint16_t>(i >> 16 | 1));
    auto& way = used[fake.index(p)];
    if (way == synfp::SYNFP_WAYS) continue;
    fake.store(p, now_ns(), way++);
    ++stored;
  }
  const std::size_t first = s.walk().size();
  EXPECT_GE(first, scanner::batch);
  EXPECT_LT(first, scanner::batch + synfp::SYNFP_WAYS);
  EXPECT_TRUE(s.more());
  EXPECT_EQ(s.walk().size(), stored - first);
  EXPECT_FALSE(s.more());
  EXPECT_EQ(s.missed(), 0U);
}

TEST(capture_scan, a_damaged_record_is_missed) {
  written_table fake;
  const table t = attached(fake);
  scanner s(t);
  fake.put(from_port(1), now_ns()).tcp[12] = 0;
  fake.publish(from_port(1), synfp::SYNFP_COUNT_STORED);
  EXPECT_THAT(s.walk(), IsEmpty());
  EXPECT_EQ(s.missed(), 1U);
}

// A writer that obeys the protocol of bpf/table.bpf.h beside the scanner: each record is whole, given once
// and in order; what was not given is missed.
TEST(capture_scan, beside_a_writer_each_record_is_whole_and_none_goes_in_silence) {
  written_table fake;
  const packet_builder p;
  const table t = attached(fake);
  fake.put(p, now_ns());
  scanner s(t, scanner::from::beginning);
  auto& b = fake.bucket();
  std::atomic<bool> stop{false};
  std::uint32_t written = 0;
  std::thread writer([&] {
    auto* words = reinterpret_cast<std::uint64_t*>(&b.slot[0]);
    while (!stop) {
      const std::uint32_t n = ++written;
      __atomic_store_n(&b.sequence, n * 32 | 1, __ATOMIC_RELAXED);
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
      std::uint64_t w8;
      std::uint64_t w9;
      std::memcpy(&w8, b.slot[0].tcp, 8);
      std::memcpy(&w9, b.slot[0].tcp + 8, 8);
      const std::uint32_t version = synfp::synfp_net32(n, SYNFP_LITTLE).net;
      std::memcpy(reinterpret_cast<char*>(&w8) + 4, &version, 4);
      std::memcpy(&w9, &version, 4);
      __atomic_store_n(words + 8, w8, __ATOMIC_RELAXED);
      __atomic_store_n(words + 9, w9, __ATOMIC_RELAXED);
      __atomic_store_n(&b.sequence, n * 32, __ATOMIC_RELEASE);
      __atomic_store_n(&fake.counts(0).value[synfp::SYNFP_COUNT_REPLACED], n, __ATOMIC_RELAXED);
      if (n % 64 == 0) std::this_thread::yield();
    }
  });
  std::uint64_t given = 0, torn = 0, again = 0;
  std::uint32_t last = 0;
  const auto walk = [&] {
    for (const auto& r : s.walk()) {
      ++given;
      torn += r.tcp().sequence() != r.tcp().acknowledgment();
      again += r.tcp().sequence() <= last;
      last = r.tcp().sequence();
    }
  };
  for (const std::uint64_t until = now_ns() + second / 2; now_ns() < until;) walk();
  EXPECT_GT(given, 0U);
  stop = true;
  writer.join();
  do {
    walk();
  } while (s.more());
  walk();
  EXPECT_EQ(torn, 0U);
  EXPECT_EQ(again, 0U);
  EXPECT_EQ(last, written);
  EXPECT_EQ(given + s.missed(), written);
}

}  // namespace
