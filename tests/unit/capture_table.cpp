// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <synfp/capture/table.hpp>
#include <thread>

#include "../support/fake_table.hpp"

namespace {

using synfp::capture_source;
using synfp::endpoint;
using synfp::miss;
using synfp::proof;
using synfp::capture::now_ns;
using synfp::capture::table;
using synfp::test::attached;
using synfp::test::bytes;
using synfp::test::fake_table;
using synfp::test::packet_builder;
using synfp::test::v6_packet;
using testing::HasSubstr;

constexpr std::uint64_t second = 1'000'000'000;

synfp::syn_lookup find(const table& t, const packet_builder& p, std::uint64_t now) {
  return t.find(synfp::capture::connection{-1, p.source, p.destination}, now);
}

std::string refusal(const synfp::capture::table_fds& fds) {
  const auto r = table::attach(fds);
  if (r) return "accepted";
  EXPECT_EQ(r.error().code, synfp::errc::incompatible);
  return r.error().message;
}

TEST(capture_table, a_record_is_found_with_everything_it_says) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  packet_builder p;
  auto& slot = fake.put(p, now - 7 * second / 10, 3, 5);
  slot.vlan[0] = 0x8000 | 100;
  slot.vlan[1] = 0x8000 | 200;
  slot.retransmits = 2;
  const auto found = find(attached(fake), p, now);
  ASSERT_TRUE(found) << to_string(found.miss);
  const bytes expected = p.ip();
  EXPECT_TRUE(std::equal(found->bytes().begin(), found->bytes().end(), expected.begin(), expected.end()));
  EXPECT_EQ(found.source, capture_source::xdp);
  EXPECT_EQ(found.proof, proof::tuple);
  EXPECT_EQ(found.age_ns, 7 * second / 10);
  EXPECT_EQ(found->arrived().time_ns, now - 7 * second / 10);
  EXPECT_EQ(found->arrived().ifindex, 5U);
  EXPECT_EQ(found->arrived().vlan[0], 0x8064);
  EXPECT_EQ(found->arrived().vlan[1], 0x80c8);
  EXPECT_EQ(found->arrived().retransmits, 2);
  EXPECT_FALSE(found->truncated());
}

TEST(capture_table, a_record_is_found_in_every_slot_and_bucket) {
  fake_table fake(8);
  const std::uint64_t now = now_ns();
  int used[8] = {};
  int stored = 0;
  std::vector<packet_builder> all;
  for (std::uint16_t port = 1024; stored < 60; ++port) {
    packet_builder p;
    p.source.set_port(port);
    const auto b = synfp::synfp_bucket_of(fake.hash(fake.key(p)), 7);
    if (used[b] == 15) continue;
    fake.put(p, now, used[b]++);
    all.push_back(p);
    ++stored;
  }
  const table t = attached(fake);
  for (const auto& p : all) {
    const auto found = find(t, p, now);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->source(), p.source);
  }
}

TEST(capture_table, each_part_of_the_key_matters) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  const packet_builder p;
  fake.put(p, now);
  const table t = attached(fake);
  ASSERT_TRUE(find(t, p, now));
  packet_builder other = p;
  other.source = endpoint::v4(192, 0, 2, 2, 49153);
  EXPECT_FALSE(find(t, other, now));
  other = p;
  other.source.set_port(49154);
  EXPECT_FALSE(find(t, other, now));
  other = p;
  other.destination.set_port(8081);
  EXPECT_FALSE(find(t, other, now));
  other = p;
  other.destination = endpoint::v4(198, 51, 100, 3, 8080);
  EXPECT_FALSE(find(t, other, now));
  other = p;
  std::swap(other.source, other.destination);
  EXPECT_FALSE(find(t, other, now));
}

TEST(capture_table, a_record_is_taken_by_one_connection_only) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  packet_builder p;
  fake.put(p, now);
  const table t = attached(fake);
  const synfp::capture::connection c{-1, p.source, p.destination};
  EXPECT_TRUE(t.find(c, now));
  EXPECT_TRUE(t.claim(c, now));
  EXPECT_EQ(t.claim(c, now).miss, miss::claimed);
  EXPECT_TRUE(t.find(c, now)) << "looking is not taking";
  ++p.sequence;  // the next connection from there, captured
  fake.put(p, now);
  EXPECT_TRUE(t.claim(c, now));
  EXPECT_EQ(t.claim(c, now).miss, miss::claimed);
}

TEST(capture_table, with_key_scope_peer_the_local_address_does_not_matter) {
  fake_table fake;
  fake.meta().scope = synfp::SYNFP_SCOPE_PEER;
  const std::uint64_t now = now_ns();
  const packet_builder p;
  fake.put(p, now);
  const table t = attached(fake);
  packet_builder wildcard = p;
  wildcard.destination = *endpoint::parse("[::]:8080");
  EXPECT_TRUE(find(t, wildcard, now));
  wildcard.destination.set_port(8081);
  EXPECT_FALSE(find(t, wildcard, now));
}

TEST(capture_table, a_foreign_or_other_table_is_refused_with_the_reason) {
  {
    fake_table fake;
    fake.meta().magic ^= 1;
    EXPECT_THAT(refusal(fake.fds()), HasSubstr("not a synfp table"));
  }
  {
    fake_table fake;
    ++fake.meta().abi;
    EXPECT_THAT(refusal(fake.fds()), HasSubstr("another version"));
  }
  {
    fake_table fake;
    fake.meta().layout ^= 1;
    EXPECT_THAT(refusal(fake.fds()), HasSubstr("another version"));
  }
  for (const std::uint32_t buckets : {0U, 3U, 6U, 0xffffffffU}) {
    fake_table fake;
    fake.meta().buckets = buckets;
    EXPECT_THAT(refusal(fake.fds()), HasSubstr("damaged")) << buckets;
  }
  {
    fake_table fake;
    fake.meta().cpus = 0;
    EXPECT_THAT(refusal(fake.fds()), HasSubstr("damaged"));
  }
}

TEST(capture_table, fds_that_are_no_table_are_refused) {
  const fake_table fake;
  EXPECT_THAT(refusal({}), HasSubstr("cannot map the metadata"));
  auto fds = fake.fds();
  fds.table = -1;
  EXPECT_THAT(refusal(fds), HasSubstr("cannot map the table"));
  fds = fake.fds();
  fds.counts = -1;
  EXPECT_THAT(refusal(fds), HasSubstr("cannot map the counters"));
  fds = fake.fds();
  std::swap(fds.meta, fds.table);
  EXPECT_NE(refusal(fds), "accepted");
}

// A file can be mapped past its end; touching that is SIGBUS.
TEST(capture_table, maps_smaller_than_described_are_refused) {
  {
    fake_table fake(4);
    fake.meta().buckets = 4096;
    EXPECT_THAT(refusal(fake.fds()), HasSubstr("smaller"));
  }
  {
    fake_table fake;
    fake.meta().cpus = 1024;
    EXPECT_THAT(refusal(fake.fds()), HasSubstr("smaller"));
  }
  {
    const fake_table fake;
    const synfp::test::shared_file empty(1);
    auto fds = fake.fds();
    fds.meta = empty.fd();
    EXPECT_THAT(refusal(fds), HasSubstr("smaller"));
  }
}

TEST(capture_table, another_key_with_the_same_tag_is_not_returned) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  packet_builder wanted, other;
  other.source.set_port(1);
  fake.put(other, now, 2);
  fake.bucket().tag[2] = synfp::synfp_tag_of(fake.hash(fake.key(wanted)));
  const table t = attached(fake);
  EXPECT_EQ(find(t, wanted, now).miss, miss::not_captured);
  fake.put(wanted, now, 9);
  const auto found = find(t, wanted, now);
  ASSERT_TRUE(found) << "the scan goes on behind a collision";
  EXPECT_EQ(found->source(), wanted.source);
}

TEST(capture_table, a_slot_without_its_tag_is_not_found) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  const packet_builder p;
  fake.put(p, now);
  fake.bucket().tag[0] ^= 1;
  EXPECT_FALSE(find(attached(fake), p, now));
}

TEST(capture_table, a_bucket_that_stays_odd_is_busy) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  const packet_builder p;
  fake.put(p, now);
  const table t = attached(fake);
  fake.bucket().sequence = 33;
  EXPECT_EQ(find(t, p, now).miss, miss::busy);
  fake.bucket().sequence = 64;
  EXPECT_TRUE(find(t, p, now));
}

TEST(capture_table, a_write_lost_after_the_record_makes_it_busy) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  const packet_builder p;
  fake.bucket().lost = 7;
  auto& slot = fake.put(p, now);
  const table t = attached(fake);
  ASSERT_TRUE(find(t, p, now));
  fake.bucket().lost = 8;
  EXPECT_EQ(find(t, p, now).miss, miss::busy);
  slot.flags = synfp::SYNFP_VERIFIED;
  EXPECT_EQ(find(t, p, now).miss, miss::busy) << "verified does not outweigh a loss after it";
}

TEST(capture_table, age_decides) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  const packet_builder p;
  auto& slot = fake.put(p, now);
  const table t = attached(fake);
  slot.time = now - 5 * second;
  EXPECT_TRUE(find(t, p, now)) << "max_age itself is still believed";
  slot.time = now - 5 * second - 1;
  EXPECT_EQ(find(t, p, now).miss, miss::stale);
  slot.time = 0;
  EXPECT_EQ(find(t, p, now).miss, miss::stale);
  slot.time = now + 1;
  EXPECT_EQ(find(t, p, now).miss, miss::stale) << "from the future";
  slot.time = now + 100'000 * second;
  EXPECT_EQ(find(t, p, now).miss, miss::stale);
  slot.time = ~std::uint64_t{0};
  EXPECT_EQ(find(t, p, now).miss, miss::stale);
  slot.time = now;
  EXPECT_EQ(find(t, p, now).age_ns, 0U);
}

TEST(capture_table, an_unchecked_syn_misses_until_it_is_verified) {
  fake_table fake;
  fake.meta().hook = synfp::SYNFP_HOOK_REUSEPORT;
  const std::uint64_t now = now_ns();
  const packet_builder p;
  auto& slot = fake.put(p, now);
  const table t = attached(fake);
  slot.flags = synfp::SYNFP_UNCHECKED;
  EXPECT_EQ(find(t, p, now).miss, miss::unchecked);
  slot.flags = synfp::SYNFP_UNCHECKED | synfp::SYNFP_VERIFIED;
  const auto found = find(t, p, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found.proof, proof::verified);
}

TEST(capture_table, a_conflict_misses_until_it_is_verified) {
  fake_table fake;
  fake.meta().hook = synfp::SYNFP_HOOK_REUSEPORT;
  const std::uint64_t now = now_ns();
  const packet_builder p;
  auto& slot = fake.put(p, now);
  const table t = attached(fake);
  slot.retransmits = 1;
  auto found = find(t, p, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found.source, capture_source::reuseport);
  EXPECT_FALSE(found->arrived().retransmits) << "a listener's program does not see copies without cookies";
  slot.flags = synfp::SYNFP_CONFLICT;
  EXPECT_EQ(find(t, p, now).miss, miss::conflict);
  slot.flags = synfp::SYNFP_CONFLICT | synfp::SYNFP_VERIFIED;
  found = find(t, p, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found.proof, proof::verified);
  EXPECT_EQ(found->arrived().retransmits, 1);
  slot.time = now - 6 * second;
  EXPECT_EQ(find(t, p, now).miss, miss::stale) << "age comes first";
}

TEST(capture_table, overwritten_is_told_from_not_captured) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  packet_builder p;
  for (int way = 0; way < 15; ++way) {
    p.source.set_port(static_cast<std::uint16_t>(100 + way));
    fake.put(p, now - second, way);
  }
  const table t = attached(fake);
  const packet_builder absent;
  EXPECT_EQ(find(t, absent, now).miss, miss::overwritten);
  fake.bucket().time32[14] = static_cast<std::uint32_t>((now - 6 * second) >> synfp::SYNFP_TIME_SHIFT);
  EXPECT_EQ(find(t, absent, now).miss, miss::not_captured) << "one slot was not needed for max_age";
  fake.put(p, now, 14);
  EXPECT_EQ(find(t, absent, now).miss, miss::overwritten);
  fake.bucket().tag[0] = 0;
  EXPECT_EQ(find(t, absent, now).miss, miss::not_captured) << "an empty slot";
}

TEST(capture_table, ipv6) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  const packet_builder p = v6_packet();
  fake.put(p, now);
  const table t = attached(fake);
  const auto found = find(t, p, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->source(), p.source);
  EXPECT_EQ(found->bytes().size(), 80U);
  for (std::size_t i = 0; i < 32; ++i) {
    auto a = i < 16 ? p.source.address() : p.destination.address();
    a[i % 16] ^= 0x40;
    packet_builder other = p;
    (i < 16 ? other.source : other.destination) = endpoint::v6(a, i < 16 ? 49153 : 8080);
    EXPECT_FALSE(find(t, other, now)) << "byte " << i;
  }
}

TEST(capture_table, a_link_local_peer_matches_with_its_zone_only) {
  packet_builder p = v6_packet();
  p.source = *endpoint::parse("[fe80::1%4]:49153");
  const std::uint64_t now = now_ns();
  fake_table fake;
  fake.put(p, now, 0, 4);
  const table t = attached(fake);
  const auto found = find(t, p, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->source(), p.source);
  packet_builder other = p;
  other.source = *endpoint::parse("[fe80::1%5]:49153");
  EXPECT_FALSE(find(t, other, now));
  other.source = *endpoint::parse("[fe80::1]:49153");
  EXPECT_FALSE(find(t, other, now));

  // A listener's program does not know the interface: the record may be that of a peer on another one, also
  // if an ACK has verified it.
  for (const std::uint8_t flags : {std::uint8_t{0}, std::uint8_t{synfp::SYNFP_VERIFIED}}) {
    fake_table listener;
    listener.meta().hook = synfp::SYNFP_HOOK_REUSEPORT;
    auto& slot = listener.put(p, now, 0, 0);
    slot.hook = synfp::SYNFP_HOOK_REUSEPORT;
    slot.flags = flags;
    EXPECT_EQ(to_string(find(attached(listener), p, now).miss), to_string(miss::ambiguous));
  }
}

TEST(capture_table, the_zone_of_a_global_peer_is_ignored) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  const packet_builder p = v6_packet();
  fake.put(p, now, 0, 9);
  EXPECT_TRUE(find(attached(fake), p, now));
}

// linux_options(): word 2 of them is the value of the timestamp.
TEST(capture_table, copies_that_differ_are_a_conflict_where_nothing_says_which_one_counts) {
  using namespace synfp;
  struct {
    std::uint8_t hook, flags;
    std::uint32_t differs;
    miss expected;
  } const cases[] = {
      {SYNFP_HOOK_XDP, 0, 1U << 2, miss::none},
      {SYNFP_HOOK_XDP, 0, 1U << 0, miss::conflict},
      {SYNFP_HOOK_XDP, 0, 1U << 3, miss::conflict},
      {SYNFP_HOOK_XDP, 0, SYNFP_DIFFERS_HEADER, miss::conflict},
      {SYNFP_HOOK_REUSEPORT, 0, SYNFP_DIFFERS_HEADER | 1U, miss::none},
      {SYNFP_HOOK_REUSEPORT, SYNFP_VERIFIED, 1U << 2, miss::none},
      {SYNFP_HOOK_REUSEPORT, SYNFP_VERIFIED, 1U << 0, miss::conflict},
      {SYNFP_HOOK_REUSEPORT, SYNFP_VERIFIED, SYNFP_DIFFERS_HEADER, miss::conflict},
  };
  for (const auto& c : cases) {
    fake_table fake;
    const std::uint64_t now = now_ns();
    const packet_builder p;
    auto& slot = fake.put(p, now);
    slot.hook = c.hook;
    slot.flags = c.flags;
    slot.differs = c.differs;
    EXPECT_EQ(to_string(find(attached(fake), p, now).miss), to_string(c.expected))
        << int{c.hook} << ' ' << int{c.flags} << ' ' << c.differs;
  }
}

TEST(capture_table, of_several_syns_of_a_key_the_one_that_can_be_believed_is_found) {
  for (const bool verified : {false, true}) {
    for (const int believed : {0, 1, 2}) {
      fake_table fake;
      const std::uint64_t now = now_ns();
      packet_builder p;
      for (int way = 0; way < 3; ++way) {
        p.sequence = 100U + static_cast<unsigned>(way);
        auto& slot = fake.put(p, now, way);
        slot.flags = way != believed ? synfp::SYNFP_CONFLICT : verified ? synfp::SYNFP_VERIFIED : 0;
      }
      const auto found = find(attached(fake), p, now);
      ASSERT_TRUE(found) << to_string(found.miss);
      EXPECT_EQ(found->tcp().sequence(), 100U + static_cast<unsigned>(believed));
    }
  }
}

TEST(capture_table, a_syn_without_headers_is_a_miss) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  const packet_builder p;
  auto& slot = fake.put(p, now);
  slot.tcp_offset = 0;
  EXPECT_EQ(to_string(find(attached(fake), p, now).miss), to_string(miss::truncated));
  slot.tcp[12] = 0x50;  // whatever is there
  slot.flags = synfp::SYNFP_TRUNCATED;
  EXPECT_EQ(to_string(find(attached(fake), p, now).miss), to_string(miss::truncated));
}

TEST(capture_table, truncated_headers_are_reported) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  packet_builder p = v6_packet();
  p.extensions = {synfp::test::hop_by_hop(), synfp::test::destination_options(3)};
  fake.put(p, now);
  auto found = find(attached(fake), p, now);
  ASSERT_TRUE(found) << to_string(found.miss);
  EXPECT_TRUE(found->truncated());
  EXPECT_EQ(found->tcp_offset(), 80U);
  EXPECT_FALSE(found->has_payload());
  EXPECT_EQ(found->bytes().size(), 80U);

  fake_table v4;
  packet_builder q;
  q.ip_options = bytes(24, 1);
  v4.put(q, now);
  found = find(attached(v4), q, now);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->truncated());
  EXPECT_EQ(found->tcp_offset(), 44U);
  EXPECT_TRUE(found->ip_options().empty());
}

TEST(capture_table, a_damaged_slot_is_a_miss_and_never_read_past) {
  const std::uint64_t now = now_ns();
  const packet_builder p;
  fake_table fake;
  auto& slot = fake.put(p, now);
  const table t = attached(fake);
  ASSERT_TRUE(find(t, p, now));
  slot.tcp[12] = 0x40;
  EXPECT_EQ(find(t, p, now).miss, miss::truncated);
  slot.tcp[12] = 0xa0;
  for (int offset = 0; offset < 256; ++offset) {
    slot.tcp_offset = static_cast<std::uint8_t>(offset);
    const auto found = find(t, p, now);
    EXPECT_EQ(static_cast<bool>(found), offset == 5) << offset;
    slot.flags = synfp::SYNFP_TRUNCATED;
    const auto truncated = find(t, p, now);
    EXPECT_EQ(static_cast<bool>(truncated), offset == 5) << offset;  // total_length says 60
    slot.flags = 0;
  }
}

void run_the_probe(const fake_table& fake) {
  __atomic_fetch_add(&fake.counts(1).value[synfp::SYNFP_COUNT_RUNS], 1, __ATOMIC_RELAXED);
}

TEST(capture_table, eight_misses_while_the_probe_stands_still_mean_displaced) {
  fake_table fake;
  const packet_builder p;
  const table t = attached(fake);
  run_the_probe(fake);
  EXPECT_EQ(find(t, p, now_ns()).miss, miss::not_captured);
  for (int i = 1; i < 8; ++i) {
    EXPECT_FALSE(t.displaced());
    EXPECT_EQ(find(t, p, now_ns()).miss, miss::not_captured) << i;
  }
  EXPECT_FALSE(t.displaced());
  EXPECT_EQ(find(t, p, now_ns()).miss, miss::displaced);
  EXPECT_TRUE(t.displaced());
  EXPECT_EQ(find(t, p, now_ns()).miss, miss::displaced);
  run_the_probe(fake);
  EXPECT_EQ(find(t, p, now_ns()).miss, miss::not_captured);
  EXPECT_FALSE(t.displaced());
}

TEST(capture_table, misses_while_the_probe_runs_never_mean_displaced) {
  fake_table fake;
  const packet_builder p;
  const table t = attached(fake);
  for (int i = 0; i < 100; ++i) {
    run_the_probe(fake);
    EXPECT_EQ(find(t, p, now_ns()).miss, miss::not_captured);
  }
  EXPECT_FALSE(t.displaced());
}

// After the probe is back, every lookup may hit: no miss is needed to notice.
TEST(capture_table, displaced_ends_when_the_probe_runs_again_also_without_a_miss) {
  fake_table fake;
  const packet_builder absent;
  packet_builder present;
  present.source.set_port(7);
  const table t = attached(fake);
  for (int i = 0; i < 9; ++i) (void)find(t, absent, now_ns());
  ASSERT_TRUE(t.displaced());
  fake.put(present, now_ns());
  run_the_probe(fake);
  ASSERT_TRUE(find(t, present, now_ns()));
  EXPECT_FALSE(t.displaced());
}

TEST(capture_table, hits_do_not_count_towards_displaced) {
  fake_table fake;
  const packet_builder p;
  const std::uint64_t now = now_ns();
  fake.put(p, now);
  const table t = attached(fake);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(find(t, p, now));
  EXPECT_FALSE(t.displaced());
}

TEST(capture_table, where_the_pulse_stands_still_an_absence_says_nothing) {
  fake_table fake;
  const std::uint64_t now = now_ns();
  const packet_builder there;
  fake.put(there, now - 2 * second);
  packet_builder absent = there;
  absent.source.set_port(49999);
  auto opened = table::attach(fake.kept_fds());
  ASSERT_TRUE(opened) << opened.error().message;
  const table& t = *opened;
  fake.pulse() = {now, 4711, 1000};
  EXPECT_EQ(t.keeper(), 4711U);
  EXPECT_FALSE(t.abandoned(now + 5 * second));
  EXPECT_EQ(find(t, absent, now).miss, miss::not_captured);
  EXPECT_TRUE(t.abandoned(now + 5 * second + 1));
  fake.pulse().time = now - 5 * second - 1;
  EXPECT_TRUE(t.abandoned(now));
  EXPECT_EQ(find(t, absent, now).miss, miss::no_probe);
  EXPECT_TRUE(find(t, there, now)) << "a young record is the connection's all the same";
  EXPECT_EQ(find(t, there, now + 4 * second).miss, miss::stale);
  fake.pulse().time = 0;  // a daemon that has not begun
  EXPECT_EQ(find(t, absent, now).miss, miss::no_probe);
  fake.pulse().time = now + second;  // it beat while we looked
  EXPECT_EQ(find(t, absent, now).miss, miss::not_captured);
  EXPECT_FALSE(attached(fake).abandoned(now)) << "without a daemon nobody tells";
  EXPECT_EQ(attached(fake).keeper(), 0U);
}

TEST(capture_table, counters_are_summed_over_cpus) {
  fake_table fake;
  fake.counts(0).value[synfp::SYNFP_COUNT_STORED] = 3;
  fake.counts(1).value[synfp::SYNFP_COUNT_STORED] = 4;
  fake.counts(1).value[synfp::SYNFP_COUNTERS - 1] = 5;
  const auto sum = attached(fake).counters();
  EXPECT_EQ(sum[synfp::SYNFP_COUNT_STORED], 7U);
  EXPECT_EQ(sum[synfp::SYNFP_COUNTERS - 1], 5U);
  EXPECT_EQ(sum[synfp::SYNFP_COUNT_RUNS], 0U);
}

TEST(capture_table, outlives_the_fds) {
  const packet_builder p;
  const std::uint64_t now = now_ns();
  auto fake = std::make_unique<fake_table>();
  fake->put(p, now);
  table t = attached(*fake);
  fake.reset();
  EXPECT_TRUE(find(t, p, now));
  const table moved = std::move(t);
  EXPECT_TRUE(find(moved, p, now));
}

// The reader's side of the seqlock alone, with a writer that obeys the protocol of bpf/table.bpf.h.
TEST(capture_table, a_reader_beside_a_writer_sees_whole_records) {
  fake_table fake;
  const packet_builder p;
  const std::uint64_t now = now_ns();
  auto& slot = fake.put(p, now);
  auto& b = fake.bucket();
  const table t = attached(fake);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (std::uint32_t n = 1; !stop; ++n) {
      __atomic_store_n(&b.sequence, n * 32 | 1, __ATOMIC_RELAXED);
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
      // Both halves of the sequence number and the ports' neighbour carry the version.
      auto* words = reinterpret_cast<std::uint64_t*>(&slot);
      std::uint64_t w9;  // tcp[8..15]: ack, offset, flags, window
      std::memcpy(&w9, slot.tcp + 8, 8);
      const std::uint32_t version = synfp::synfp_net32(n, SYNFP_LITTLE).net;
      std::memcpy(&w9, &version, 4);
      std::uint64_t w8;
      std::memcpy(&w8, slot.tcp, 8);
      std::memcpy(reinterpret_cast<char*>(&w8) + 4, &version, 4);
      __atomic_store_n(words + 8, w8, __ATOMIC_RELAXED);
      __atomic_store_n(words + 9, w9, __ATOMIC_RELAXED);
      __atomic_store_n(&b.sequence, n * 32, __ATOMIC_RELEASE);
    }
  });
  std::uint64_t found = 0, torn = 0, backwards = 0;
  std::uint32_t last = 0;
  const std::uint64_t until = now + second / 2;
  while (now_ns() < until) {
    for (int i = 0; i < 1000; ++i) {
      const auto r = find(t, p, now);
      if (!r) continue;
      ++found;
      if (r->tcp().sequence() == 1000) continue;  // not yet written
      torn += r->tcp().sequence() != r->tcp().acknowledgment();
      backwards += static_cast<std::int32_t>(r->tcp().sequence() - last) < 0;
      last = r->tcp().sequence();
    }
  }
  stop = true;
  writer.join();
  EXPECT_EQ(torn, 0U);
  EXPECT_EQ(backwards, 0U);
  EXPECT_GT(found, 0U);
}

}  // namespace
