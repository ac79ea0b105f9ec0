// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <synfp/capture/lookup.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/syn_record.hpp>

#include "../support/packet_builder.hpp"
#include "../support/vectors.hpp"

namespace {

using synfp::syn_record;
using synfp::test::bytes;
using synfp::test::packet_builder;
using synfp::test::v6_packet;

/// Parsed from a heap block of exactly that size, so that AddressSanitizer sees a read past the end.
std::optional<syn_record> parse(const bytes& b) {
  const auto exact = std::make_unique<std::uint8_t[]>(b.size());
  std::copy(b.begin(), b.end(), exact.get());
  return syn_record::from_bytes({exact.get(), b.size()});
}

/// Whatever the sender wrote, every view stays within the record.
void expect_sound(const syn_record& r) {
  EXPECT_LE(r.bytes().size(), syn_record::max_bytes);
  EXPECT_GE(r.tcp().header_length(), 20U);
  const auto* begin = r.bytes().data();
  const auto* end = begin + r.bytes().size();
  const auto within = [&](std::span<const std::uint8_t> s) {
    return s.empty() || (s.data() >= begin && s.data() + s.size() <= end);
  };
  EXPECT_TRUE(within(r.tcp().option_bytes()));
  EXPECT_TRUE(within(r.ip_options()));
  EXPECT_TRUE(within(r.ip().source()));
  EXPECT_TRUE(within(r.ip().destination()));
  EXPECT_LE(r.tcp().option_bytes().size(), 40U);
  std::size_t seen = 0;
  auto walk = r.tcp().options();
  while (const auto o = walk.next()) {
    EXPECT_TRUE(within(o->data));
    seen += o->kind == 1 ? 1 : 2 + o->data.size();
    ASSERT_LE(seen, 40U);
  }
  EXPECT_FALSE(walk.malformed() && walk.end_of_list());
  EXPECT_LE(synfp::fingerprint::muonfp(r).size(), 192U);
  (void)r.source().text();
  (void)r.destination().text();
}

TEST(syn_record, vectors_round_trip) {
  const auto all = synfp::test::vectors();
  ASSERT_EQ(all.size(), 84U);
  for (const auto& v : all) {
    const auto r = parse(v.packet);
    ASSERT_TRUE(r) << v.scenario;
    expect_sound(*r);
    EXPECT_FALSE(r->truncated()) << v.scenario;
    ASSERT_LE(r->bytes().size(), v.packet.size());
    EXPECT_TRUE(std::equal(r->bytes().begin(), r->bytes().end(), v.packet.begin())) << v.scenario;
    EXPECT_EQ(r->has_payload(), v.packet.size() > r->bytes().size()) << v.scenario;
    EXPECT_EQ(r->ip().total_length(), v.packet.size()) << v.scenario;
  }
}

TEST(syn_record, every_prefix_is_refused_until_the_tcp_header_is_whole) {
  for (const auto& v : synfp::test::vectors()) {
    const auto whole = parse(v.packet);
    ASSERT_TRUE(whole);
    for (std::size_t n = 0; n <= v.packet.size(); ++n) {
      const auto r = parse(bytes(v.packet.begin(), v.packet.begin() + static_cast<std::ptrdiff_t>(n)));
      ASSERT_EQ(r.has_value(), n >= whole->bytes().size()) << v.scenario << " cut at " << n;
      EXPECT_TRUE(!r || std::ranges::equal(r->bytes(), whole->bytes()));
    }
  }
}

TEST(syn_record, every_single_byte_mutation_is_refused_or_sound) {
  std::size_t kept = 0, refused = 0;
  for (const auto& v : synfp::test::vectors()) {
    for (std::size_t at = 0; at < v.packet.size(); ++at) {
      for (unsigned value = 0; value < 256; ++value) {
        bytes b = v.packet;
        b[at] = static_cast<std::uint8_t>(value);
        const auto r = syn_record::from_bytes(b);
        ++(r ? kept : refused);
        if (r && value % 8 == 0) expect_sound(*r);
      }
    }
    if (testing::Test::HasFailure()) FAIL() << v.scenario;
  }
  EXPECT_GT(kept, 100'000U);
  EXPECT_GT(refused, 100'000U);
}

TEST(syn_record, random_mutations_are_refused_or_sound) {
  std::mt19937 random(1);
  const auto all = synfp::test::vectors();
  for (int i = 0; i < 100'000; ++i) {
    bytes b = all[random() % all.size()].packet;
    for (auto n = random() % 6 + 1; n != 0; --n) b[random() % b.size()] = static_cast<std::uint8_t>(random());
    b.resize(random() % (b.size() + 40));
    if (const auto r = parse(b)) expect_sound(*r);
    if (HasFailure()) FAIL() << "round " << i;
  }
}

TEST(syn_record, random_bytes_behind_a_version_are_refused_or_sound) {
  std::mt19937 random(2);
  std::size_t kept = 0;
  for (int i = 0; i < 200'000; ++i) {
    bytes b(random() % 300);
    for (auto& one : b) one = static_cast<std::uint8_t>(random());
    if (b.size() > 40) {
      const bool v6 = random() % 2 != 0;
      b[0] = static_cast<std::uint8_t>(v6 ? 0x60 : 0x45);
      const std::uint8_t next[] = {0, 43, 60, 51, 6};
      if (v6) {
        b[6] = next[random() % 5];
        b[4] = 1;  // a payload length of 256 and more
        for (std::size_t k = 40; k < b.size(); k += 8) {
          b[k] = next[random() % 5];
          if (k + 1 < b.size()) b[k + 1] &= 3;
        }
      } else {
        b[9] = 6;
        b[6] = b[7] = 0;
      }
    }
    if (const auto r = parse(b)) {
      ++kept;
      expect_sound(*r);
    }
    if (HasFailure()) FAIL() << "round " << i;
  }
  EXPECT_GT(kept, 1000U);
}

TEST(syn_record, fields_of_ipv4) {
  packet_builder p;
  p.tos = 0x2e;
  p.ttl = 57;
  p.fragment = 0xc000;  // reserved bit and DF
  p.sequence = 0xdeadbeef;
  p.acknowledgment = 0x01020304;
  p.flags = synfp::test::syn | synfp::test::ece | synfp::test::cwr;
  p.urgent = 77;
  const auto r = parse(p.ip());
  ASSERT_TRUE(r);
  EXPECT_EQ(r->ip().version(), 4U);
  EXPECT_EQ(r->ip().header_length(), 20U);
  EXPECT_EQ(r->ip().total_length(), 60U);
  EXPECT_EQ(r->ip().tos(), 0x2e);
  EXPECT_EQ(r->ip().id(), 0x1234);
  EXPECT_TRUE(r->ip().dont_fragment());
  EXPECT_TRUE(r->ip().reserved_bit());
  EXPECT_EQ(r->ip().ttl(), 57);
  EXPECT_EQ(r->ip().protocol(), 6);
  EXPECT_EQ(r->ip().flow_label(), 0U);
  EXPECT_EQ(r->tcp().sequence(), 0xdeadbeefU);
  EXPECT_EQ(r->tcp().acknowledgment(), 0x01020304U);
  EXPECT_EQ(r->tcp().flags(), 0xc2);
  EXPECT_EQ(r->tcp().window(), 64240);
  EXPECT_EQ(r->tcp().urgent_pointer(), 77);
  EXPECT_EQ(r->source(), p.source);
  EXPECT_EQ(r->destination(), p.destination);
  EXPECT_EQ(r->tcp_offset(), 20U);
  EXPECT_FALSE(r->has_payload());
  const auto k = r->tcp().known();
  EXPECT_EQ(k.mss, 1460);
  EXPECT_EQ(k.window_scale, 10);
  EXPECT_TRUE(k.sack_permitted);
  ASSERT_TRUE(k.timestamp);
  EXPECT_EQ(k.timestamp->value, 0x01020304U);
  EXPECT_EQ(k.timestamp->echo, 0U);
}

TEST(syn_record, fields_of_ipv6) {
  packet_builder p = v6_packet();
  p.tos = 0xb9;
  p.ttl = 255;
  bytes b = p.ip();
  b[1] |= 0x0a;
  b[2] = 0xbc;
  b[3] = 0xde;
  const auto r = parse(b);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->ip().version(), 6U);
  EXPECT_EQ(r->ip().header_length(), 40U);
  EXPECT_EQ(r->ip().total_length(), 80U);
  EXPECT_EQ(r->ip().tos(), 0xb9);
  EXPECT_EQ(r->ip().flow_label(), 0xabcdeU);
  EXPECT_EQ(r->ip().ttl(), 255);
  EXPECT_EQ(r->ip().id(), 0);
  EXPECT_FALSE(r->ip().dont_fragment());
  EXPECT_EQ(r->source(), p.source);
  EXPECT_EQ(r->destination(), p.destination);
}

TEST(syn_record, the_ns_flag_is_the_ninth) {
  packet_builder p;
  bytes b = p.ip();
  b[20 + 12] |= 1;
  const auto r = parse(b);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->tcp().flags(), 0x102);
}

TEST(syn_record, option_walk_stops_at_what_it_cannot_trust) {
  struct {
    bytes options;
    std::vector<int> kinds;
    bool malformed, end;
  } const cases[] = {
      {{}, {}, false, false},
      {{0, 0, 0, 0}, {}, false, true},
      {{1, 1, 1, 1}, {1, 1, 1, 1}, false, false},
      {{2, 0, 5, 180}, {}, true, false},       // length 0
      {{2, 1, 5, 180}, {}, true, false},       // length 1
      {{2, 5, 5, 180}, {}, true, false},       // past the end by one
      {{2, 255, 5, 180}, {}, true, false},     // far past the end
      {{1, 1, 1, 2}, {1, 1, 1}, true, false},  // no room for a length
      {{2, 4, 5, 180, 3, 0, 1, 1}, {2}, true, false},
      {{2, 4, 5, 180, 0, 3, 3, 7}, {2}, false, true},  // nothing is read behind EOL
      {{4, 2, 254, 2}, {4, 254}, false, false},
      {{3, 3, 7, 0}, {3}, false, true},
  };
  for (const auto& c : cases) {
    packet_builder p;
    p.options = c.options;
    const auto r = parse(p.ip());
    ASSERT_TRUE(r);
    std::vector<int> kinds;
    auto walk = r->tcp().options();
    while (const auto o = walk.next()) kinds.push_back(o->kind);
    EXPECT_EQ(kinds, c.kinds);
    EXPECT_EQ(walk.malformed(), c.malformed);
    EXPECT_EQ(walk.end_of_list(), c.end);
    EXPECT_FALSE(walk.next()) << "the end is final";
  }
}

TEST(syn_record, options_of_the_wrong_length_say_nothing_and_the_last_of_a_kind_wins) {
  packet_builder p;
  p.options = {2, 3, 5, 3, 4, 1, 2, 4, 3, 1, 8, 4, 0, 0, 1, 1};
  auto k = parse(p.ip())->tcp().known();
  EXPECT_FALSE(k.mss);
  EXPECT_FALSE(k.window_scale);
  EXPECT_FALSE(k.sack_permitted);
  EXPECT_FALSE(k.timestamp);
  p.options = {2, 4, 0, 1, 2, 4, 0, 2, 3, 3, 4, 3, 3, 5, 1, 1};
  k = parse(p.ip())->tcp().known();
  EXPECT_EQ(k.mss, 2);
  EXPECT_EQ(k.window_scale, 5);
}

TEST(syn_record, contradictory_headers_are_refused) {
  const auto refused = [](auto change) {
    packet_builder p;
    change(p);
    return !parse(p.ip());
  };
  for (std::uint8_t ihl = 0; ihl < 5; ++ihl) EXPECT_TRUE(refused([&](auto& p) { p.ihl = ihl; })) << +ihl;
  EXPECT_TRUE(refused([](auto& p) { p.ihl = 15; })) << "IP options past the end of the packet";
  for (std::uint8_t doff = 0; doff < 5; ++doff)
    EXPECT_TRUE(refused([&](auto& p) { p.data_offset = doff; })) << +doff;
  EXPECT_TRUE(refused([](auto& p) { p.data_offset = 11; })) << "TCP options past the end of the packet";
  EXPECT_TRUE(refused([](auto& p) { p.total_length = 59; }));
  EXPECT_TRUE(refused([](auto& p) { p.total_length = 0; }));
  EXPECT_TRUE(refused([](auto& p) { p.protocol = 17; }));
  EXPECT_TRUE(refused([](auto& p) { p.fragment = 0x2000; })) << "first fragment";
  EXPECT_TRUE(refused([](auto& p) { p.fragment = 0x0001; })) << "later fragment";
  for (const int version : {0, 1, 2, 3, 5, 7, 15})
    EXPECT_TRUE(refused([&](auto& p) { p.ip_version = static_cast<std::uint8_t>(version); })) << version;
  EXPECT_FALSE(refused([](auto&) {}));
  EXPECT_FALSE(refused([](auto& p) { p.fragment = 0x8000; })) << "the reserved bit is no fragment";
}

TEST(syn_record, a_packet_that_was_cut_behind_its_headers_is_accepted) {
  packet_builder p;
  p.total_length = 1500;  // tcpdump -s, TCP_SAVED_SYN
  const auto r = parse(p.ip());
  ASSERT_TRUE(r);
  EXPECT_TRUE(r->has_payload());
}

TEST(syn_record, payload_is_told_from_the_ip_length_not_from_padding) {
  packet_builder p;
  bytes padded = p.ip();
  padded.resize(padded.size() + 6);  // Ethernet's minimum
  EXPECT_FALSE(parse(padded)->has_payload());
  p.payload = {'x'};
  EXPECT_TRUE(parse(p.ip())->has_payload());
  p = v6_packet();
  EXPECT_FALSE(parse(p.ip())->has_payload());
  p.payload = {'x'};
  p.extensions = {synfp::test::hop_by_hop(9)};  // truncated: judged from the true offset
  const auto r = parse(p.ip());
  ASSERT_TRUE(r && r->truncated());
  EXPECT_TRUE(r->has_payload());
  p.payload.clear();
  EXPECT_FALSE(parse(p.ip())->has_payload());
}

TEST(syn_record, ipv4_options_of_every_length) {
  for (std::size_t words = 0; words <= 10; ++words) {
    for (std::size_t tcp_words = 0; tcp_words <= 10; ++tcp_words) {
      packet_builder p;
      p.ip_options = bytes(4 * words, 1);
      p.options = bytes(4 * tcp_words, 1);
      const auto r = parse(p.ip());
      ASSERT_TRUE(r);
      expect_sound(*r);
      EXPECT_EQ(r->tcp_offset(), 20 + 4 * words);
      EXPECT_FALSE(r->truncated()) << "60 + 60 bytes fit";
      EXPECT_EQ(r->ip_options().size(), 4 * words);
      EXPECT_EQ(r->tcp().option_bytes().size(), 4 * tcp_words);
      EXPECT_EQ(r->bytes().size(), 40 + 4 * words + 4 * tcp_words);
    }
  }
}

TEST(syn_record, extension_headers_are_walked) {
  using namespace synfp::test;
  const std::vector<std::vector<extension>> chains = {
      {hop_by_hop()},
      {destination_options()},
      {routing()},
      {authentication()},
      {hop_by_hop(), destination_options()},
      {hop_by_hop(), routing(1), authentication(), destination_options()},
      {hop_by_hop(), destination_options(), destination_options(), destination_options(),
       destination_options(), destination_options()},
  };
  for (const auto& chain : chains) {
    packet_builder p = v6_packet();
    p.extensions = chain;
    const auto r = parse(p.ip());
    ASSERT_TRUE(r) << chain.size();
    expect_sound(*r);
    EXPECT_EQ(r->tcp_offset(), p.tcp_offset());
    EXPECT_EQ(r->truncated(), p.tcp_offset() + 40 > 120);
    EXPECT_EQ(r->tcp().sequence(), 1000U);
    EXPECT_TRUE(r->ip_options().empty());
    for (std::size_t n = 0; n < p.ip().size(); ++n) {
      const bytes whole = p.ip();
      EXPECT_FALSE(parse(bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)))) << n;
    }
  }
}

// RFC 6946: offset 0, and no more to come.
TEST(syn_record, an_atomic_fragment_is_a_whole_packet) {
  using namespace synfp::test;
  packet_builder p = v6_packet();
  for (const auto& chain : {std::vector<extension>{atomic_fragment()},
                            std::vector<extension>{hop_by_hop(), atomic_fragment(), destination_options()}}) {
    p.extensions = chain;
    const auto r = parse(p.ip());
    ASSERT_TRUE(r);
    expect_sound(*r);
    EXPECT_EQ(r->tcp_offset(), p.tcp_offset());
    EXPECT_EQ(r->tcp().sequence(), 1000U);
  }
}

// As many as a packet holds: the stack counts them not.
TEST(syn_record, long_extension_chains) {
  using namespace synfp::test;
  packet_builder p = v6_packet();
  for (const std::size_t n : {7U, 25U, 180U}) {
    p.extensions.assign(n, destination_options());
    const auto r = parse(p.ip());
    ASSERT_TRUE(r) << n;
    EXPECT_EQ(r->tcp_offset(), 40 + 8 * n);
    EXPECT_TRUE(r->truncated());
  }
}

// The largest packet has room for TCP behind an offset that a record cannot say.
TEST(syn_record, an_offset_that_does_not_fit_is_refused) {
  using namespace synfp::test;
  packet_builder p = v6_packet();
  p.options.clear();
  p.extensions.assign(8186, destination_options());
  const auto last = parse(p.ip());
  ASSERT_TRUE(last);
  EXPECT_EQ(last->tcp_offset(), 40 + 8 * 8186U);
  p.extensions.assign(8188, destination_options());
  EXPECT_FALSE(parse(p.ip()));
}

TEST(syn_record, hostile_extension_chains_are_refused) {
  using namespace synfp::test;
  packet_builder p = v6_packet();
  for (const auto& part : {fragment_header(), fragment_header(1), fragment_header(1, false)}) {
    p.extensions = {part};
    EXPECT_FALSE(parse(p.ip()));
  }
  p.extensions = {{50, bytes(8, 0)}};  // ESP
  EXPECT_FALSE(parse(p.ip()));
  p.extensions = {hop_by_hop()};
  p.extensions[0].data[1] = 255;  // says 2048 bytes
  EXPECT_FALSE(parse(p.ip()));
  p.extensions = {authentication()};
  p.extensions[0].data[1] = 255;
  EXPECT_FALSE(parse(p.ip()));
  p.extensions.clear();
  p.protocol = 59;  // no next header
  EXPECT_FALSE(parse(p.ip()));
}

TEST(syn_record, longer_than_a_record_keeps_the_fixed_header_and_all_of_tcp) {
  packet_builder p = v6_packet();
  p.options = bytes(40, 1);
  p.extensions = {synfp::test::hop_by_hop(2)};  // 40 + 24 + 60 = 124
  const auto r = parse(p.ip());
  ASSERT_TRUE(r);
  EXPECT_TRUE(r->truncated());
  EXPECT_EQ(r->bytes().size(), 100U);
  EXPECT_EQ(r->tcp_offset(), 64U);
  EXPECT_EQ(r->tcp().option_bytes().size(), 40U);
  p.extensions = {synfp::test::hop_by_hop(1)};  // 116
  EXPECT_FALSE(parse(p.ip())->truncated());
}

TEST(syn_record, parts_that_do_not_fit_together_are_refused) {
  packet_builder p;
  p.ip_options = bytes(8, 1);
  const bytes b = p.ip();
  const auto ip = std::span(b);
  const auto tcp = ip.subspan(28, 40);
  EXPECT_TRUE(syn_record::from_parts(ip.first(28), tcp, 28));
  const auto fixed = syn_record::from_parts(ip.first(20), tcp, 28);
  ASSERT_TRUE(fixed);
  EXPECT_TRUE(fixed->truncated());
  EXPECT_TRUE(fixed->ip_options().empty());
  EXPECT_EQ(fixed->ip().header_length(), 28U) << "as on the wire";
  EXPECT_FALSE(syn_record::from_parts(ip.first(24), tcp, 28)) << "neither whole nor fixed";
  EXPECT_FALSE(syn_record::from_parts(ip.first(28), tcp, 20)) << "longer than its offset";
  EXPECT_FALSE(syn_record::from_parts(ip.first(20), tcp, 16));
  EXPECT_FALSE(syn_record::from_parts(ip.first(19), tcp, 19));
  EXPECT_FALSE(syn_record::from_parts({}, tcp, 20));
  EXPECT_FALSE(syn_record::from_parts(ip.first(28), tcp.first(39), 28));
  EXPECT_FALSE(syn_record::from_parts(ip.first(28), tcp.first(0), 28));
  bytes wrong = b;
  wrong[0] = 0x55;
  EXPECT_FALSE(syn_record::from_parts(std::span(wrong).first(28), tcp, 28));
  wrong = b;
  wrong[2] = wrong[3] = 0;
  EXPECT_FALSE(syn_record::from_parts(std::span(wrong).first(28), tcp, 28));
}

TEST(syn_record, the_empty_record_is_sound) {
  const syn_record r;
  expect_sound(r);
  EXPECT_EQ(r.bytes().size(), 40U);
  EXPECT_EQ(synfp::fingerprint::muonfp(r), "0:::");
}

TEST(syn_record, is_usable_at_compile_time) {
  constexpr auto mss = [] {
    std::array<std::uint8_t, 44> c{0x45, 0, 0, 44, 0, 0, 0, 0, 64, 6};
    c[32] = 0x60;  // data offset
    c[33] = 2;
    c[40] = 2;
    c[41] = 4;
    c[42] = 5;
    c[43] = 0xb4;
    return syn_record::from_bytes(c)->tcp().known().mss.value_or(0);
  }();
  static_assert(mss == 1460);
}

TEST(syn_record, names_are_distinct) {
  std::vector<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(synfp::miss::ambiguous); ++i)
    names.push_back(to_string(static_cast<synfp::miss>(i)));
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
  EXPECT_FALSE(std::binary_search(names.begin(), names.end(), "unknown"));
  EXPECT_EQ(to_string(static_cast<synfp::miss>(200)), "unknown");
}

TEST(syn_lookup, a_default_answer_is_a_miss) {
  const synfp::syn_lookup none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.miss, synfp::miss::no_probe);
  EXPECT_FALSE(none.age_ns);
  EXPECT_FALSE(synfp::syn_lookup::missed(synfp::miss::stale));
}

}  // namespace
