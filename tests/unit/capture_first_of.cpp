// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <synfp/capture/first_of.hpp>
#include <synfp/capture/fixed.hpp>
#include <vector>

#include "../support/packet_builder.hpp"

namespace {

using synfp::miss;
using synfp::proof;
using synfp::syn_lookup;
using synfp::capture::connection;
using synfp::capture::first_of;
using synfp::capture::fixed;
using synfp::capture::trust;

/// Answers with a given proof or miss and notes that it was asked.
struct source {
  syn_lookup answer = syn_lookup::missed(miss::not_captured);
  mutable int asked = 0;
  std::vector<bool> prepared{};
  bool fails = false;

  synfp::setup_result<void> prepare(int, bool first) {
    prepared.push_back(first);
    if (fails) return synfp::setup_error{synfp::errc::invalid, 0, "no"};
    return {};
  }
  syn_lookup claim(const connection&, std::uint64_t) const noexcept {
    ++asked;
    return answer;
  }
  static source with(proof p, std::uint32_t sequence) {
    synfp::test::packet_builder packet;
    packet.sequence = sequence;
    source s;
    s.answer.record = *synfp::syn_record::from_bytes(packet.ip());
    s.answer.miss = miss::none;
    s.answer.proof = p;
    return s;
  }
  static source missing(miss why) {
    source s;
    s.answer.miss = why;
    return s;
  }
};

TEST(capture_first_of, the_first_hit_answers_and_nobody_else_is_asked) {
  source a = source::with(proof::tuple, 1), b = source::with(proof::exact, 2);
  const auto found = first_of(trust::tuple, a, b).claim({}, 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tcp().sequence(), 1U);
  EXPECT_EQ(b.asked, 0);
}

TEST(capture_first_of, strict_is_the_default) {
  source a = source::with(proof::tuple, 1), b = source::with(proof::exact, 2);
  EXPECT_EQ(first_of(a, b).claim({}, 0)->tcp().sequence(), 2U);
}

// What the probe knows of the arrival stays with a record that the kernel has confirmed.
TEST(capture_first_of, the_same_syn_of_a_later_source_lends_its_proof) {
  source a = source::with(proof::tuple, 1), b = source::with(proof::exact, 1);
  a.answer.source = synfp::capture_source::reuseport;
  a.answer.age_ns = 42;
  b.answer.source = synfp::capture_source::saved_syn;
  const auto found = first_of(a, b).claim({}, 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found.proof, proof::exact);
  EXPECT_EQ(found.source, synfp::capture_source::reuseport);
  EXPECT_EQ(found.age_ns, 42U);
}

TEST(capture_first_of, another_syn_that_could_not_be_kept_refutes_a_tuple) {
  source a = source::with(proof::tuple, 1), b = source::missing(miss::truncated);
  EXPECT_EQ(first_of(a, b).claim({}, 0).miss, miss::truncated);
  EXPECT_TRUE(first_of(trust::tuple, a, b).claim({}, 0));
  a.answer.proof = proof::verified;
  EXPECT_TRUE(first_of(a, b).claim({}, 0));
}

TEST(capture_first_of, a_miss_asks_the_next) {
  source a = source::missing(miss::conflict), b = source::with(proof::exact, 2);
  const auto found = first_of(a, b).claim({}, 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tcp().sequence(), 2U);
  EXPECT_EQ(found.proof, proof::exact);
}

TEST(capture_first_of, a_miss_of_all_carries_the_first_reason) {
  source a = source::missing(miss::stale), b = source::missing(miss::cookie),
         c = source::missing(miss::no_probe);
  EXPECT_EQ(first_of(a, b, c).claim({}, 0).miss, miss::stale);
  EXPECT_EQ(a.asked + b.asked + c.asked, 3);
  EXPECT_EQ(first_of(trust::strict, b, a).claim({}, 0).miss, miss::cookie);
}

TEST(capture_first_of, strict_prefers_a_better_proof) {
  source a = source::with(proof::tuple, 1), b = source::with(proof::exact, 2);
  auto found = first_of(trust::strict, a, b).claim({}, 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tcp().sequence(), 2U);
  a.answer.proof = proof::verified;
  b.asked = 0;
  found = first_of(trust::strict, a, b).claim({}, 0);
  EXPECT_EQ(found->tcp().sequence(), 1U);
  EXPECT_EQ(b.asked, 0) << "verified is better than tuple: no need to ask";
}

TEST(capture_first_of, strict_keeps_a_tuple_when_nobody_has_better) {
  source a = source::with(proof::tuple, 1), b = source::missing(miss::cookie),
         c = source::with(proof::tuple, 3);
  const auto found = first_of(trust::strict, a, b, c).claim({}, 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tcp().sequence(), 1U);
  EXPECT_EQ(b.asked, 1);
  EXPECT_EQ(c.asked, 1);
}

TEST(capture_first_of, strict_takes_a_late_record_after_misses) {
  source a = source::missing(miss::busy), b = source::with(proof::tuple, 2),
         c = source::with(proof::verified, 3);
  EXPECT_EQ(first_of(trust::strict, a, b, c).claim({}, 0)->tcp().sequence(), 3U);
}

TEST(capture_first_of, prepares_all_in_order_and_stops_at_a_failure) {
  source a, b, c;
  first_of all(a, b, c);
  ASSERT_TRUE(all.prepare(1, true));
  ASSERT_TRUE(all.prepare(2, false));
  EXPECT_EQ(c.prepared, (std::vector<bool>{true, false}));
  b.fails = true;
  const auto failed = all.prepare(3, false);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "no");
  EXPECT_EQ(a.prepared.size(), 3U);
  EXPECT_EQ(c.prepared.size(), 2U);
}

TEST(capture_first_of, is_a_source_itself) {
  source a = source::missing(miss::busy), b = source::missing(miss::cookie),
         c = source::with(proof::exact, 3);
  first_of inner(a, b);
  static_assert(synfp::capture::source<decltype(inner)>);
  EXPECT_TRUE(first_of(inner, c).claim({}, 0));
}

TEST(fixed, gives_what_it_was_made_with) {
  const auto record = *synfp::syn_record::from_bytes(synfp::test::packet_builder().ip());
  const auto found = fixed(record).claim({}, 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found.proof, proof::exact);
  EXPECT_EQ(found.source, synfp::capture_source::fixed);
  EXPECT_EQ(found->tcp().sequence(), 1000U);
  EXPECT_EQ(fixed(miss::stale).claim({}, 0).miss, miss::stale);
}

TEST(none, misses_with_no_probe) { EXPECT_EQ(synfp::capture::none{}.claim({}, 0).miss, miss::no_probe); }

}  // namespace
