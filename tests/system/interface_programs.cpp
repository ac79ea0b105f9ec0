// SPDX-License-Identifier: MIT
// The programs that see every packet of an interface, xdp and tcx, one frame at a time through
// BPF_PROG_TEST_RUN: what they store, what they count, and that they pass every packet on as it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <synfp/capture/probe.hpp>
#include <type_traits>

#include "../support/bpf_run.hpp"
#include "../support/hooks.hpp"
#include "../support/two_hosts.hpp"
#include "../support/vectors.hpp"

namespace {

using namespace synfp::test;
using synfp::families;
using synfp::hook;
using synfp::key_scope;
using synfp::miss;
using synfp::probe_config;
using synfp::capture::now_ns;
using synfp::tools::fd;
using synfp::tools::must;
using counts = std::map<int, std::uint64_t>;

template <hook H>
constexpr probe_config small{.hook = H, .buckets = 64, .hold{0}};

/// What lets a packet go on.
constexpr unsigned pass(hook where) {
  return static_cast<unsigned>(where == hook::xdp ? int{XDP_PASS} : TC_ACT_UNSPEC);
}

/// A probe on the loopback device of a namespace of its own.
template <probe_config C>
class bench {
 public:
  explicit bench(std::vector<std::uint16_t> ports = {})
      : probe_(std::make_unique<synfp::capture::probe<C>>(home_.inside([&] {
          return synfp::capture::probe<C>(
              synfp::capture::probe_options{.interfaces = {"lo"}, .ports = std::move(ports)});
        }))) {}

  /// Runs the program on `frame`: it passes, the packet is unchanged and exactly `expected` was counted.
  void run(const bytes& frame, const counts& expected, const std::string& what = "") {
    const auto before = table().counters();
    const run_result r = run_frame(probe_->fds().program, frame);
    ASSERT_EQ(r.error, 0) << what;
    EXPECT_EQ(r.verdict, pass(C.hook)) << what;
    EXPECT_EQ(r.packet, frame) << what;
    const auto after = table().counters();
    counts seen;
    for (std::size_t i = 0; i < after.size(); ++i) {
      if (after[i] != before[i]) seen[static_cast<int>(i)] = after[i] - before[i];
    }
    EXPECT_EQ(seen, expected) << what;
  }
  synfp::syn_lookup find(const packet_builder& p) const {
    return table().find(synfp::capture::connection{-1, p.source, p.destination}, now_ns());
  }
  /// There is no record of `p`. (After eight such answers without a SYN in between the reason is
  /// `displaced`.)
  bool absent(const packet_builder& p) const {
    const miss why = find(p).miss;
    return why == miss::not_captured || why == miss::displaced;
  }
  /// `p` is stored, with all that it says.
  void stored(const packet_builder& p, counts more = {}, const std::string& what = "") {
    more[synfp::SYNFP_COUNT_RUNS] = 1;
    if (more.count(synfp::SYNFP_COUNT_REPLACED) == 0) more[synfp::SYNFP_COUNT_STORED] = 1;
    const std::uint64_t start = now_ns();
    run(p.frame(), more, what);
    const auto found = find(p);
    ASSERT_TRUE(found) << what << ' ' << to_string(found.miss);
    const bytes packet = p.ip();
    const bool whole = more.count(synfp::SYNFP_COUNT_TRUNCATED) == 0;
    const std::size_t offset = p.tcp_offset(), fixed = p.v6() ? 40 : 20;
    bytes expected(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(whole ? offset : fixed));
    expected.insert(expected.end(), packet.begin() + static_cast<std::ptrdiff_t>(offset),
                    packet.end() - static_cast<std::ptrdiff_t>(p.payload.size()));
    EXPECT_TRUE(std::ranges::equal(found->bytes(), expected)) << what;
    EXPECT_EQ(found->truncated(), !whole) << what;
    EXPECT_EQ(found->tcp_offset(), offset) << what;
    EXPECT_EQ(found->has_payload(), !p.payload.empty()) << what;
    EXPECT_EQ(found->source().address(), p.source.address()) << what;
    EXPECT_EQ(found->source().port(), p.source.port()) << what;
    EXPECT_EQ(found->destination(), p.destination) << what;
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(found->arrived().vlan[i], i < p.vlan.size() ? 0x8000 | (p.vlan[i].second & 0xfff) : 0)
          << what;
    }
    EXPECT_EQ(found->arrived().ifindex, 1U) << what;  // TEST_RUN comes from the loopback device
    EXPECT_EQ(found->arrived().retransmits, 0) << what;
    EXPECT_GE(found->arrived().time_ns, start) << what;
    EXPECT_LE(found->arrived().time_ns, now_ns()) << what;
    EXPECT_EQ(found.source, synfp::capture::detail::traits_of(C.hook).source) << what;
    EXPECT_EQ(found.proof, synfp::proof::tuple) << what;
  }
  /// `p` is not stored, and exactly `why` was counted.
  void refused(const packet_builder& p, const counts& why, const std::string& what = "") {
    run(p.frame(), why, what);
    EXPECT_TRUE(absent(p)) << what;
  }
  /// `p` cannot be stored, but the stack may accept it: exactly `why` was counted, and no older or forged
  /// record of its connection is believed any more.
  void distrusted(packet_builder p, const counts& why, const std::string& what = "") {
    packet_builder other;
    other.source = p.source;
    other.destination = p.destination;
    other.sequence = p.sequence + 77;
    ASSERT_EQ(run_frame(probe_->fds().program, other.frame()).error, 0);
    ASSERT_TRUE(find(p)) << what;
    counts contradicted = why;
    contradicted[synfp::SYNFP_COUNT_CONFLICT] = 1;
    run(p.frame(), contradicted, what);
    EXPECT_EQ(find(p).miss, miss::conflict) << what;
    other.source.set_port(static_cast<std::uint16_t>(other.source.port() + 20000));
    p.source = other.source;
    run(p.frame(), why, what);
    EXPECT_EQ(find(p).miss, miss::truncated) << what;
    ASSERT_EQ(run_frame(probe_->fds().program, other.frame()).error, 0);
    EXPECT_EQ(find(p).miss, miss::conflict) << what;
  }
  const synfp::capture::table& table() const { return probe_->records(); }
  int program() const { return probe_->fds().program; }

 private:
  network_namespace home_;
  std::unique_ptr<synfp::capture::probe<C>> probe_;
};

template <class T>
class interface_program : public testing::Test {};
using programs =
    testing::Types<std::integral_constant<hook, hook::xdp>, std::integral_constant<hook, hook::tcx>>;
struct names {
  template <class T>
  static std::string GetName(int) {
    return hook_name(T::value);
  }
};
TYPED_TEST_SUITE(interface_program, programs, names);

/// The same packet from another client.
packet_builder from_port(packet_builder p, int port) {
  p.source.set_port(static_cast<std::uint16_t>(port));
  return p;
}

constexpr int runs = synfp::SYNFP_COUNT_RUNS;
constexpr int bad_ip = synfp::SYNFP_COUNT_BAD_IP;
constexpr int bad_tcp = synfp::SYNFP_COUNT_BAD_TCP;
constexpr int truncated = synfp::SYNFP_COUNT_TRUNCATED;

TYPED_TEST(interface_program, plain_syns_of_both_families_are_stored) {
  bench<small<TypeParam::value>> b;
  b.stored(packet_builder());
  b.stored(v6_packet());
  packet_builder p = from_port({}, 2);
  p.payload = bytes(1000, 'x');
  b.stored(p, {}, "payload in the SYN");
  p = from_port(v6_packet(), 2);
  p.payload = bytes(1, 'x');
  b.stored(p, {}, "one byte of payload");
}

TYPED_TEST(interface_program, a_link_local_peer_is_keyed_with_its_interface) {
  bench<small<TypeParam::value>> b;
  packet_builder p = v6_packet();
  p.source = *synfp::endpoint::parse("[fe80::7%1]:1000");
  p.destination = *synfp::endpoint::parse("[fe80::8%1]:8080");
  b.stored(p);
  p.source = *synfp::endpoint::parse("[fe80::7%2]:1000");
  EXPECT_EQ(b.find(p).miss, miss::not_captured);
}

TYPED_TEST(interface_program, only_syns_are_stored) {
  bench<small<TypeParam::value>> b;
  int port = 1;
  for (unsigned flags = 0; flags < 256; ++flags) {
    packet_builder p = from_port({}, port++);
    p.flags = static_cast<std::uint8_t>(flags);
    const std::string what = "flags " + std::to_string(flags);
    if ((flags & (syn | ack)) != syn) {
      b.refused(p, {}, what);
    } else if ((flags & (fin | rst)) != 0) {
      b.refused(p, {{runs, 1}, {synfp::SYNFP_COUNT_BAD_FLAGS, 1}}, what);
    } else {
      b.stored(p, {}, what);
    }
  }
}

TYPED_TEST(interface_program, vlan_tags) {
  bench<small<TypeParam::value>> b;
  int port = 1;
  for (const auto& base : {packet_builder(), v6_packet()}) {
    packet_builder p = from_port(base, ++port);
    p.vlan = {{0x8100, 0xe064}};  // priority and drop bits are not part of the id
    b.stored(p, {}, "802.1Q");
    p = from_port(base, ++port);
    p.vlan = {{0x88a8, 7}};
    b.stored(p, {}, "802.1ad");
    p = from_port(base, ++port);
    p.vlan = {{0x88a8, 4095}, {0x8100, 0}};
    b.stored(p, {}, "both; id 0 is a tag too");
    p = from_port(base, ++port);
    p.vlan.assign(8, {0x8100, 5});
    b.stored(p, {}, "eight, of which the outer two are kept");
    p = from_port(base, ++port);
    p.vlan.assign(9, {0x8100, 5});
    b.refused(p, {{synfp::SYNFP_COUNT_VLAN, 1}}, "nine");
    p.vlan = {{0x9100, 1}};
    b.refused(p, {}, "a tag of the time before 802.1ad");
  }
}

TYPED_TEST(interface_program, frames_that_are_not_ip_are_left_alone) {
  bench<small<TypeParam::value>> b;
  for (const int type : {0x0806, 0x88cc, 0x8863, 0x0026, 0x0000, 0xffff, 0x0008, 0xdd86}) {
    packet_builder p;
    p.ethertype = static_cast<std::uint16_t>(type);
    b.refused(p, {}, std::to_string(type));
  }
  packet_builder p;
  p.ethertype = 0x86dd;
  b.refused(p, {{bad_ip, 1}}, "an IPv4 header that is announced as IPv6");
  p = v6_packet();
  p.ethertype = 0x0800;
  b.refused(p, {{bad_ip, 1}}, "and the reverse");
}

TYPED_TEST(interface_program, other_protocols_are_left_alone) {
  bench<small<TypeParam::value>> b;
  for (int protocol = 0; protocol < 256; ++protocol) {
    if (protocol == 6) continue;
    packet_builder p;
    p.protocol = static_cast<std::uint8_t>(protocol);
    b.refused(p, {}, std::to_string(protocol));
  }
  for (const int protocol : {17, 58, 59, 50, 135, 255}) {
    packet_builder p = v6_packet();
    p.protocol = static_cast<std::uint8_t>(protocol);
    b.refused(p, {}, "IPv6 " + std::to_string(protocol));
  }
}

TYPED_TEST(interface_program, ipv4_header_lengths) {
  bench<small<TypeParam::value>> b;
  for (int words = 0; words < 5; ++words) {
    packet_builder p;
    p.ihl = static_cast<std::uint8_t>(words);
    b.refused(p, {{bad_ip, 1}}, "ihl " + std::to_string(words));
  }
  for (int words = 5; words <= 15; ++words) {
    packet_builder p = from_port({}, words);
    for (int i = 0; i < 4 * (words - 5); ++i) p.ip_options.push_back(static_cast<std::uint8_t>(i + 1));
    b.stored(p, words > 10 ? counts{{truncated, 1}} : counts{}, "ihl " + std::to_string(words));
  }
  packet_builder p;
  p.ihl = 15;
  b.run(p.frame(), {{bad_tcp, 1}}, "a header that leaves no room for TCP");
}

TYPED_TEST(interface_program, lengths_that_lie) {
  bench<small<TypeParam::value>> b;
  const auto v4 = [&](int length, const counts& why) {
    packet_builder p;
    p.total_length = static_cast<std::uint16_t>(length);
    b.refused(p, why, "total length " + std::to_string(length));
  };
  for (const int length : {0, 1, 19, 20, 39}) v4(length, {{runs, 1}, {bad_ip, 1}});
  for (const int length : {40, 59}) v4(length, {{runs, 1}, {bad_tcp, 1}});
  for (const int length : {61, 1500, 65535}) v4(length, {{runs, 1}, {bad_ip, 1}});
  const auto v6 = [&](int length, const counts& why) {
    packet_builder p = v6_packet();
    p.total_length = static_cast<std::uint16_t>(length);
    b.refused(p, why, "payload length " + std::to_string(length));
  };
  for (const int length : {0, 19}) v6(length, {{runs, 1}, {bad_ip, 1}});
  for (const int length : {20, 39}) v6(length, {{runs, 1}, {bad_tcp, 1}});
  for (const int length : {41, 65535}) v6(length, {{runs, 1}, {bad_ip, 1}});
  // Before a hop-by-hop header the stack takes 0 for "as long as the packet is".
  packet_builder jumbo = from_port(v6_packet(), 8);
  jumbo.extensions = {hop_by_hop()};
  jumbo.total_length = 0;
  b.distrusted(jumbo, {{runs, 1}, {bad_ip, 1}}, "payload length 0 and hop-by-hop");

  packet_builder p = from_port({}, 9);
  bytes padded = p.frame();
  padded.resize(padded.size() + 40, 0xff);
  b.run(padded, {{runs, 1}, {synfp::SYNFP_COUNT_STORED, 1}}, "padding behind the packet");
  const auto found = b.find(p);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->has_payload());
}

TYPED_TEST(interface_program, fragments_are_counted_and_not_stored) {
  bench<small<TypeParam::value>> b;
  int port = 1;
  const counts fragment = {{synfp::SYNFP_COUNT_FRAGMENT, 1}};
  for (const int bits : {0x2001, 0x0001, 0x1fff}) {
    packet_builder p = from_port({}, ++port);
    p.fragment = static_cast<std::uint16_t>(bits);
    b.refused(p, fragment, std::to_string(bits));
  }
  for (const int bits : {0x2000, 0x6000}) {
    packet_builder p = from_port({}, ++port);
    p.fragment = static_cast<std::uint16_t>(bits);
    b.distrusted(p, fragment, std::to_string(bits));
    p = from_port({}, ++port);
    p.fragment = static_cast<std::uint16_t>(bits);
    p.flags = ack;
    b.refused(p, fragment, "no SYN");
  }
  for (const auto& before : {std::vector<extension>{}, std::vector<extension>{hop_by_hop()}}) {
    packet_builder p = from_port(v6_packet(), ++port);
    p.extensions = before;
    p.extensions.push_back(fragment_header());
    b.distrusted(p, fragment, "IPv6");
    p = from_port(v6_packet(), ++port);
    p.extensions = before;
    p.extensions.push_back(fragment_header(1));
    b.refused(p, fragment, "IPv6, not the first");
    p = from_port(v6_packet(), ++port);
    p.extensions = before;
    p.extensions.push_back(atomic_fragment());
    b.stored(p, {{truncated, 1}}, "a whole packet, RFC 6946");
  }
  packet_builder p = from_port({}, ++port);
  p.fragment = 0x8000;
  b.stored(p, {}, "the reserved bit alone is no fragment");
}

// The smallest first fragment says whose SYN it may be, and no more.
TYPED_TEST(interface_program, a_fragment_that_ends_before_the_flags_is_taken_for_a_syn) {
  bench<small<TypeParam::value>> b;
  packet_builder p;
  b.stored(p);
  packet_builder part = p;
  part.fragment = 0x2000;
  part.total_length = 28;
  bytes frame = part.frame();
  frame.resize(14 + 28);
  b.run(frame, {{synfp::SYNFP_COUNT_FRAGMENT, 1}});
  EXPECT_EQ(b.find(p).miss, miss::conflict) << "a copy whose headers nobody knows";
  p.source.set_port(50000);
  b.stored(p);
  part.source = p.source;
  part.sequence = 4711;
  frame = part.frame();
  frame.resize(14 + 28);
  b.run(frame, {{synfp::SYNFP_COUNT_FRAGMENT, 1}, {synfp::SYNFP_COUNT_CONFLICT, 1}});
  EXPECT_EQ(b.find(p).miss, miss::conflict);
}

TYPED_TEST(interface_program, ipv6_extension_headers) {
  bench<small<TypeParam::value>> b;
  int port = 1;
  const auto stored = [&](std::vector<extension> chain, const char* what) {
    packet_builder p = from_port(v6_packet(), ++port);
    p.extensions = std::move(chain);
    b.stored(p, {{truncated, 1}}, what);
  };
  const auto refused = [&](std::vector<extension> chain, const counts& why, const char* what) {
    packet_builder p = from_port(v6_packet(), ++port);
    p.extensions = std::move(chain);
    b.refused(p, why, what);
  };
  stored({hop_by_hop()}, "hop-by-hop");
  stored({destination_options()}, "destination");
  stored({routing(2)}, "routing");
  stored({authentication()}, "AH of 24 bytes");
  stored({authentication(1)}, "AH of 12 bytes");
  stored({hop_by_hop(), destination_options()}, "hop-by-hop and destination");
  stored(std::vector<extension>(24, destination_options()), "twenty-four");
  const counts extensions = {{synfp::SYNFP_COUNT_EXTENSIONS, 1}};
  refused(std::vector<extension>(25, destination_options()), extensions, "twenty-five");
  stored({destination_options(121)}, "an offset of 1016");
  refused({destination_options(122)}, extensions, "an offset of 1024");
  refused({hop_by_hop(100), destination_options(100)}, extensions, "1024 by two");
  refused({hop_by_hop(255)}, extensions, "2048 in one");
  refused({{50, bytes(8, 0)}}, {}, "ESP");
  refused({{135, bytes(8, 0)}}, {}, "mobility");
  packet_builder p = v6_packet();
  p.extensions = {hop_by_hop()};
  p.extensions[0].data[1] = 20;  // says 168 bytes: TCP would be behind the end
  b.refused(p, {{bad_tcp, 1}}, "an extension header past the end");
  p.extensions = {hop_by_hop(), destination_options()};
  p.extensions[0].data[1] = 20;
  b.refused(p, {{bad_ip, 1}}, "a chain past the end");
}

TYPED_TEST(interface_program, native_ipv6_with_mapped_addresses_is_dropped) {
  bench<small<TypeParam::value>> b;
  const counts mapped = {{runs, 1}, {synfp::SYNFP_COUNT_MAPPED, 1}};
  packet_builder p;
  p.force_v6 = true;
  b.refused(p, mapped, "both");
  p.destination = v6_packet().destination;
  b.refused(p, mapped, "source");
  p = v6_packet();
  p.destination = packet_builder().destination;
  b.refused(p, mapped, "destination");
  b.stored(packet_builder(), {}, "the IPv4 client that was to be forged");
}

TYPED_TEST(interface_program, tcp_header_lengths) {
  bench<small<TypeParam::value>> b;
  int port = 1;
  for (const auto& base : {packet_builder(), v6_packet()}) {
    for (int words = 0; words < 5; ++words) {
      packet_builder p = from_port(base, ++port);
      p.data_offset = static_cast<std::uint8_t>(words);
      b.refused(p, {{runs, 1}, {bad_tcp, 1}}, "data offset " + std::to_string(words));
    }
    for (int words = 11; words <= 15; ++words) {
      packet_builder p = from_port(base, ++port);
      p.data_offset = static_cast<std::uint8_t>(words);
      b.refused(p, {{runs, 1}, {bad_tcp, 1}}, "past the end " + std::to_string(words));
    }
    for (int words = 0; words <= 10; ++words) {
      packet_builder p = from_port(base, ++port);
      p.options.clear();
      for (int i = 0; i < 4 * words; ++i) p.options.push_back(static_cast<std::uint8_t>(0xa0 + i));
      b.stored(p, {}, "option bytes " + std::to_string(4 * words));
      p = from_port(p, ++port);
      p.payload = bytes(3, 'x');
      b.stored(p, {}, "and payload");
    }
  }
}

TYPED_TEST(interface_program, every_prefix_of_a_frame) {
  bench<small<TypeParam::value>> b;
  for (const bool v6 : {false, true}) {
    const packet_builder p = v6 ? v6_packet() : packet_builder();
    const bytes whole = p.frame();
    const std::size_t ip = v6 ? 54 : 34;
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
      if (n < 14) {
        EXPECT_EQ(run_frame(b.program(), cut).error, -EINVAL);
        continue;  // the kernel does not run programs on less than an Ethernet header
      }
      // Nor, of late, on a socket buffer without its network header.
      if (TypeParam::value == hook::tcx && n < ip && run_frame(b.program(), cut).error == -EINVAL) continue;
      const counts expected = n < ip        ? counts{{bad_ip, 1}}
                              : n < ip + 20 ? counts{{bad_tcp, 1}}
                                            : counts{{runs, 1}, {bad_ip, 1}};
      b.run(cut, expected, "length " + std::to_string(n));
      EXPECT_TRUE(b.absent(p)) << n;
    }
  }
  packet_builder tagged;
  tagged.vlan = {{0x88a8, 1}, {0x8100, 2}};
  const bytes whole = tagged.frame();
  for (std::size_t n = 14; n < 22; ++n)
    b.run(bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)), {},
          "tags, length " + std::to_string(n));
  for (std::size_t n = 14; n <= 100; ++n) b.run(bytes(n, 0), {}, "zeros");
}

TYPED_TEST(interface_program, ports_and_families_are_filtered) {
  bench<probe_config{
      .hook = TypeParam::value, .families = families::ipv6, .buckets = 4, .hold{0}, .ports{80, 443}}>
      b;
  packet_builder p = v6_packet();
  b.refused(p, {{synfp::SYNFP_COUNT_OTHER_PORT, 1}});
  p.destination.set_port(443);
  b.stored(p);
  p.destination.set_port(80);
  b.stored(p);
  packet_builder q;
  q.destination.set_port(80);
  b.refused(q, {{runs, 1}, {synfp::SYNFP_COUNT_OTHER_FAMILY, 1}});

  bench<probe_config{.hook = TypeParam::value, .families = families::ipv4, .buckets = 4, .hold{0}}>
      at_run_time({8080, 1, 2, 3, 4, 5, 6, 65535});
  at_run_time.stored(packet_builder());
  q.destination.set_port(65535);
  at_run_time.stored(q);
  q.destination.set_port(80);
  at_run_time.refused(q, {{synfp::SYNFP_COUNT_OTHER_PORT, 1}});
  at_run_time.refused(v6_packet(), {{runs, 1}, {synfp::SYNFP_COUNT_OTHER_FAMILY, 1}});
}

TYPED_TEST(interface_program, copies_of_a_syn_are_retransmits) {
  bench<small<TypeParam::value>> b;
  packet_builder p;
  b.stored(p);
  const std::uint64_t first = b.find(p)->arrived().time_ns;
  p.options = linux_options(0x01020999);  // the timestamp moves on
  p.id = 7;
  b.run(p.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_RETRANSMIT, 1}});
  auto found = b.find(p);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->arrived().retransmits, 1);
  EXPECT_GT(found->arrived().time_ns, first) << "the time is that of the last copy";
  EXPECT_EQ(found->tcp().known().timestamp->value, 0x01020304U) << "the headers are those of the first";
  for (int i = 0; i < 300; ++i) b.run(p.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_RETRANSMIT, 1}});
  EXPECT_EQ(b.find(p)->arrived().retransmits, 255) << "saturates";
}

// An interface does not show which of them the stack took.
TYPED_TEST(interface_program, copies_with_other_headers_are_a_conflict) {
  bench<small<TypeParam::value>> b;
  int port = 1;
  const counts altered = {{runs, 1}, {synfp::SYNFP_COUNT_ALTERED, 1}};
  const counts copied = {{runs, 1}, {synfp::SYNFP_COUNT_RETRANSMIT, 1}};
  const auto check = [&](const char* what, const counts& counted, miss expected, auto change) {
    for (const auto& base : {packet_builder(), v6_packet()}) {
      const packet_builder p = from_port(base, ++port);
      b.stored(p, {}, what);
      packet_builder copy = p;
      change(copy);
      b.run(copy.frame(), counted, what);
      EXPECT_EQ(to_string(b.find(p).miss), to_string(expected)) << what;
      b.run(p.frame(), copied, what);
      EXPECT_EQ(to_string(b.find(p).miss), to_string(expected)) << what << ", and the first again";
    }
  };
  check("timestamp", copied, miss::none, [](auto& p) { p.options = linux_options(0x01020999); });
  check("timestamp of zero", altered, miss::conflict, [](auto& p) { p.options = linux_options(0); });
  check("timestamp's echo", altered, miss::conflict, [](auto& p) { p.options[12] = 1; });
  check("MSS", copied, miss::conflict, [](auto& p) { p.options[3] ^= 1; });
  check("option kind", copied, miss::conflict, [](auto& p) { p.options[16] = 0xfe; });
  check("window scale", copied, miss::conflict, [](auto& p) { p.options[19] = 3; });
  check("window", altered, miss::conflict, [](auto& p) { p.window = 1024; });
  check("flags", altered, miss::conflict, [](auto& p) { p.flags = syn | ece | cwr; });
  check("acknowledgment", altered, miss::conflict, [](auto& p) { p.acknowledgment = 1; });
  check("urgent pointer", altered, miss::conflict, [](auto& p) { p.urgent = 1; });
  check("hop limit", altered, miss::conflict, [](auto& p) { p.ttl = 63; });
  check("payload", altered, miss::conflict, [](auto& p) { p.payload = bytes(4, 'x'); });
  check("fewer options", altered, miss::conflict, [](auto& p) { p.options = {2, 4, 5, 180}; });

  // An option that only looks like a timestamp, in front of one that is none.
  packet_builder p = from_port({}, ++port);
  p.options = {0xfe, 4, 8, 10, 2, 4, 5, 180};
  b.stored(p);
  packet_builder copy = p;
  copy.options[7] = 181;
  b.run(copy.frame(), copied);
  EXPECT_EQ(b.find(p).miss, miss::conflict);

  for (const int id : {7, 0}) {  // IPv4's identification: any other than 0 is as good as the first
    p = from_port({}, ++port);
    b.stored(p);
    copy = p;
    copy.id = static_cast<std::uint16_t>(id);
    b.run(copy.frame(), id == 0 ? altered : copied);
    EXPECT_EQ(b.find(p).miss, id == 0 ? miss::conflict : miss::none);
  }
  p = from_port({}, ++port);
  p.ip_options = {1, 1, 1, 0};
  b.stored(p);
  copy = p;
  copy.ip_options = {1, 1, 0, 0};
  b.run(copy.frame(), altered);
  EXPECT_EQ(b.find(p).miss, miss::conflict) << "IP options";
}

TYPED_TEST(interface_program, another_syn_of_the_same_connection_is_a_conflict) {
  bench<small<TypeParam::value>> b;
  packet_builder p, forged;
  forged.sequence = 77;
  b.stored(p);
  b.run(forged.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_STORED, 1}, {synfp::SYNFP_COUNT_CONFLICT, 1}});
  EXPECT_EQ(b.find(p).miss, miss::conflict);
  b.run(p.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_RETRANSMIT, 1}});
  EXPECT_EQ(b.find(p).miss, miss::conflict) << "a copy of the first does not settle it";
  b.run(forged.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_RETRANSMIT, 1}});
  EXPECT_EQ(b.find(p).miss, miss::conflict);
}

// However many forgeries come, a connection has four slots of its bucket and not more.
TYPED_TEST(interface_program, the_syns_of_one_connection_do_not_fill_a_bucket) {
  bench<probe_config{.hook = TypeParam::value, .buckets = 1, .hold{5000}}> b;
  for (int port = 1; port <= 11; ++port) b.stored(from_port({}, port));
  packet_builder p = from_port({}, 99);
  for (std::uint32_t i = 0; i < 50; ++i) {
    p.sequence = i;
    counts expected = {{runs, 1}, {i < 4 ? synfp::SYNFP_COUNT_STORED : synfp::SYNFP_COUNT_HELD, 1}};
    if (i > 0 && i < 4) expected[synfp::SYNFP_COUNT_CONFLICT] = 1;
    b.run(p.frame(), expected, std::to_string(i));
    EXPECT_EQ(b.find(p).miss, i == 0 ? miss::none : miss::conflict);
  }
  for (int port = 1; port <= 11; ++port) EXPECT_TRUE(b.find(from_port({}, port))) << port;
}

/// Waits until CLOCK_MONOTONIC says `when`.
void spin_until(std::uint64_t when) {
  while (now_ns() < when) {
  }
}
constexpr std::uint64_t ms = 1'000'000;

TYPED_TEST(interface_program, after_the_conflict_window_a_new_connection_replaces_the_old) {
  bench<probe_config{.hook = TypeParam::value, .buckets = 1, .hold{0}, .max_age{50}, .conflict_window{50}}> b;
  packet_builder p;
  b.run(p.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_STORED, 1}});
  packet_builder second = p;
  second.sequence = 77;
  const std::uint64_t sent = now_ns();
  spin_until(sent + 51 * ms);
  EXPECT_EQ(b.find(p).miss, miss::stale);
  b.stored(second, {{synfp::SYNFP_COUNT_REPLACED, 1}});
}

// A record that is still believed must not be replaced by a contradicting one, up to the last moment.
TYPED_TEST(interface_program, the_conflict_window_is_not_shorter_than_max_age) {
  bench<probe_config{.hook = TypeParam::value, .buckets = 64, .hold{0}, .max_age{200}, .conflict_window{200}}>
      b;
  bool tried = false;
  for (int port = 1; port < 20 && !tried; ++port) {
    const packet_builder p = from_port({}, port);
    packet_builder forged = p;
    forged.sequence = 77;
    const std::uint64_t before = now_ns();
    b.run(p.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_STORED, 1}});
    spin_until(now_ns() + 190 * ms);
    ASSERT_EQ(run_frame(b.program(), forged.frame()).error, 0);
    const auto found = b.find(p);
    if (now_ns() - before > 199 * ms) continue;  // too late for a sharp answer: try again
    EXPECT_EQ(found.miss, miss::conflict);
    tried = true;
  }
  EXPECT_TRUE(tried);
}

TYPED_TEST(interface_program, a_conflict_refreshes_the_window) {
  bench<probe_config{.hook = TypeParam::value, .buckets = 1, .hold{0}, .max_age{100}, .conflict_window{100}}>
      b;
  packet_builder p;
  b.run(p.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_STORED, 1}});
  // Forgeries every 40 ms: none of them gets in, however long it goes on.
  for (std::uint32_t i = 0; i < 5; ++i) {
    spin_until(now_ns() + 40 * ms);
    packet_builder forged = p;
    forged.sequence = 100 + i;
    ASSERT_EQ(run_frame(b.program(), forged.frame()).error, 0);
    EXPECT_EQ(b.find(p).miss, miss::conflict);
  }
}

TYPED_TEST(interface_program, a_full_bucket_holds_what_is_young) {
  bench<probe_config{.hook = TypeParam::value, .buckets = 1, .hold{400}}> b;
  const std::uint64_t start = now_ns();
  for (int port = 1; port <= 15; ++port) b.stored(from_port({}, port));
  const packet_builder late = from_port({}, 16);
  b.run(late.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_HELD, 1}});
  ASSERT_LT(now_ns() - start, 350 * ms) << "this machine is too slow for the test";
  EXPECT_EQ(b.find(late).miss, miss::overwritten);
  for (int port = 1; port <= 15; ++port) EXPECT_TRUE(b.find(from_port({}, port))) << port;
  // A copy of a young record is no newcomer.
  b.run(from_port({}, 3).frame(), {{runs, 1}, {synfp::SYNFP_COUNT_RETRANSMIT, 1}});
  spin_until(now_ns() + 405 * ms);
  b.stored(late, {}, "after hold");
  EXPECT_EQ(b.find(from_port({}, 1)).miss, miss::overwritten) << "in place of the oldest";
  EXPECT_TRUE(b.find(from_port({}, 2)));
}

// A sender that opens its own connection again and again keeps its slots young, out of turn: one of them must
// not close the bucket to all others when its turn comes.
TYPED_TEST(interface_program, young_slots_of_one_key_do_not_close_a_bucket) {
  bench<probe_config{.hook = TypeParam::value, .buckets = 1, .hold{200}}> b;
  // Four sequence numbers of one key, the most that are kept, in the third to sixth slot.
  packet_builder greedy = from_port({}, 1);
  const auto renew = [&](std::uint32_t generation) {
    for (std::uint32_t i = 0; i < 4; ++i) {
      greedy.sequence = 100 * generation + i;
      ASSERT_EQ(run_frame(b.program(), greedy.frame()).error, 0);
    }
  };
  for (int port = 2; port <= 3; ++port) b.stored(from_port({}, port));
  renew(1);
  for (int port = 4; port <= 12; ++port) b.stored(from_port({}, port));
  spin_until(now_ns() + 210 * ms);
  const std::uint64_t start = now_ns();
  renew(2);  // in place of the first four, which are past hold
  for (int port = 13; port <= 23; ++port) b.stored(from_port({}, port), {}, "beside four young slots");
  const packet_builder late = from_port({}, 24);
  b.run(late.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_HELD, 1}}, "all 15 are young");
  ASSERT_LT(now_ns() - start, 180 * ms) << "this machine is too slow for the test";
  EXPECT_EQ(b.find(from_port({}, 12)).miss, miss::overwritten);
  for (int port = 13; port <= 23; ++port) EXPECT_TRUE(b.find(from_port({}, port))) << port;
  spin_until(now_ns() + 210 * ms);
  b.stored(late, {}, "after hold");
}

TYPED_TEST(interface_program, the_oldest_of_a_bucket_makes_room) {
  bench<probe_config{.hook = TypeParam::value, .buckets = 1, .hold{0}}> b;
  for (int port = 1; port <= 40; ++port) {
    b.stored(from_port({}, port));
    for (int other = 1; other <= port; ++other) {
      const auto found = b.find(from_port({}, other));
      ASSERT_EQ(static_cast<bool>(found), other > port - 15) << other << " after " << port;
      EXPECT_EQ(found.miss, found ? miss::none : miss::overwritten);
    }
  }
}

TYPED_TEST(interface_program, key_scope_peer_ignores_the_local_address) {
  bench<probe_config{.hook = TypeParam::value, .key_scope = key_scope::peer, .buckets = 4, .hold{0}}> b;
  for (auto p : {packet_builder(), v6_packet()}) {
    b.stored(p);
    packet_builder other = p;
    other.destination = *synfp::endpoint::parse("[::]:8080");
    EXPECT_TRUE(b.find(other));
    other.destination.set_port(8081);
    EXPECT_FALSE(b.find(other));
    other = p;
    other.destination =
        p.v6() ? *synfp::endpoint::parse("[2001:db8::9]:8080") : synfp::endpoint::v4(198, 51, 100, 9, 8080);
    other.sequence = 5;
    b.run(other.frame(), {{runs, 1}, {synfp::SYNFP_COUNT_STORED, 1}, {synfp::SYNFP_COUNT_CONFLICT, 1}},
          "the same key");
  }
}

TYPED_TEST(interface_program, a_recorded_syn_is_stored_as_from_bytes_reads_it) {
  const raw_object object(synfp::capture::detail::traits_of(TypeParam::value).program,
                          small<TypeParam::value>, 0);
  auto table = synfp::capture::table::attach(object.fds());
  ASSERT_TRUE(table) << table.error().message;
  int compared = 0;
  for (const auto& v : vectors()) {
    const auto file = synfp::syn_record::from_bytes(v.packet);
    ASSERT_TRUE(file);
    packet_builder outer;
    outer.force_v6 = v.packet[0] >> 4 == 6;
    const bytes frame = outer.framed(v.packet);
    const run_result r = run_frame(object.program(), frame);
    ASSERT_EQ(r.error, 0);
    EXPECT_EQ(r.packet, frame);
    auto source = file->source();
    if (source.is_link_local()) source = synfp::endpoint::v6(source.address(), source.port(), 1);
    const auto live = table->find(synfp::capture::connection{-1, source, file->destination()}, now_ns());
    ASSERT_TRUE(live) << v.scenario << ' ' << to_string(live.miss);
    EXPECT_TRUE(std::ranges::equal(live->bytes(), file->bytes())) << v.scenario;
    EXPECT_EQ(live->tcp_offset(), file->tcp_offset()) << v.scenario;
    EXPECT_EQ(live->truncated(), file->truncated()) << v.scenario;
    EXPECT_EQ(live->has_payload(), file->has_payload()) << v.scenario;
    ++compared;
  }
  EXPECT_EQ(compared, 84);
}

// ---- an interface with a program of somebody else

/// An XDP program of this name on the loopback device of a namespace of its own.
class taken_interface {
 public:
  explicit taken_interface(const char* name) {
    const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS},
                             {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    program_ = fd(bpf_prog_load(BPF_PROG_TYPE_XDP, name, "GPL", code, 2, nullptr));
    link_ = home_.inside([&] { return fd(bpf_link_create(program_.get(), lo, BPF_XDP, nullptr)); });
    must(program_ && link_, "attach a program");
  }
  std::uint32_t id() const {
    bpf_prog_info info{};
    __u32 length = sizeof info;
    must(bpf_obj_get_info_by_fd(program_.get(), &info, &length) == 0, "ask about a program");
    return info.id;
  }
  /// What probe says.
  std::string refused() const {
    return home_.inside([] {
      const auto p = synfp::capture::probe<small<hook::xdp>>::open({.interfaces = {"lo"}});
      return p ? "attached" : p.error().message;
    });
  }
  static constexpr int lo = 1;

 private:
  network_namespace home_;
  fd program_, link_;
};

TEST(xdp, a_program_of_somebody_else_is_named_and_left_alone) {
  const taken_interface taken("firewall");
  EXPECT_THAT(taken.refused(), testing::HasSubstr("already carries an XDP program, id " +
                                                  std::to_string(taken.id()) + " (firewall)"));
}

TEST(xdp, a_dispatcher_of_libxdp_is_named_with_its_programs) {
  namespace detail = synfp::capture::detail;
  const taken_interface taken("xdp_dispatcher");
  const std::string says = "carries libxdp's dispatcher, id " + std::to_string(taken.id());
  EXPECT_THAT(taken.refused(),
              testing::HasSubstr(says + " (?), which this probe does not join; use hook::tcx"));

  // With the pins of its programs, as libxdp makes them.
  const std::string directory = detail::dispatcher_directory(taken_interface::lo, taken.id());
  const std::string above = directory.substr(0, directory.rfind('/'));
  const bool first = ::mkdir(above.c_str(), 0700) == 0;
  must(::mkdir(directory.c_str(), 0700) == 0, "make " + directory);
  std::vector<std::string> pins;
  const char* names[] = {"filter", "balancer"};
  for (int i = 0; i < 2; ++i) {
    const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS},
                             {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    const fd program(bpf_prog_load(BPF_PROG_TYPE_XDP, names[i], "GPL", code, 2, nullptr));
    pins.push_back(directory + "/prog" + std::to_string(i) + "-prog");
    EXPECT_EQ(bpf_obj_pin(program.get(), pins.back().c_str()), 0);
  }
  const std::string refused = taken.refused();
  for (const std::string& pin : pins) ::unlink(pin.c_str());
  ::rmdir(directory.c_str());
  if (first) ::rmdir(above.c_str());
  EXPECT_THAT(refused, testing::HasSubstr(says + " (filter, balancer), which"));
}

}  // namespace
