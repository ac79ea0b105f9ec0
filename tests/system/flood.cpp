// SPDX-License-Identifier: MIT
// The flood rig: what it sends is valid, reaches a listener, is as much as was asked for, stays inside, and
// leaves nothing behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <synfp/capture/probe.hpp>

#include "../../tools/flood/attack.hpp"
#include "../support/packet_socket.hpp"
#include "../support/process.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::syn_record;
using testing::HasSubstr;

std::vector<flood::prefix> sources(bool v6) {
  return {flood::prefix::parse(v6 ? "2001:db8::/32" : "10.0.0.0/8")};
}

/// Frames on flood0 as a packet socket sees them, in order.
class recorder {
 public:
  explicit recorder(const flood::network& where) {
    socket_ = where.inside([&] {
      fd s(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
      const int size = 1 << 24;
      must(::setsockopt(s.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0, "set SO_RCVBUFFORCE");
      sockaddr_ll a{};
      a.sll_family = AF_PACKET;
      a.sll_protocol = htons(ETH_P_ALL);
      a.sll_ifindex = static_cast<int>(where.inside_index());
      must(::bind(s.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0, "bind");
      return s;
    });
  }
  std::vector<bytes> received() const {
    std::vector<bytes> all;
    for (;;) {
      bytes b(2048);
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      const ssize_t n = ::recvfrom(socket_.get(), b.data(), b.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&from), &length);
      if (n < 0) return all;
      b.resize(static_cast<std::size_t>(n));
      if (from.sll_pkttype == PACKET_HOST) all.push_back(b);
    }
  }

 private:
  fd socket_;
};

std::vector<bytes> frames_of(const flood::options& what, std::uint32_t count) {
  const flood::network where;
  return where.inside([&] {
    flood::sender s(where, what);
    const recorder r(where);
    EXPECT_EQ(s.send(count), count);
    return r.received();
  });
}

/// 0xffff if the checksum field within is right (RFC 1071).
std::uint32_t folded(const bytes& data) { return static_cast<std::uint16_t>(~checksum(data)); }

bytes pseudo_header(const bytes& packet, std::size_t tcp) {
  bytes p(packet.begin() + (tcp == 20 ? 12 : 8), packet.begin() + (tcp == 20 ? 20 : 40));
  put32(p, packet.size() - tcp > 0 ? static_cast<std::uint32_t>(packet.size() - tcp) : 0);
  put32(p, 6);
  return p;
}

class flood_shapes : public testing::TestWithParam<std::tuple<const char*, bool>> {};

TEST_P(flood_shapes, are_valid_syns) {
  const auto [name, v6] = GetParam();
  flood::options what;
  what.shape = name;
  what.sources = sources(v6);
  const auto frames = frames_of(what, 1000);
  ASSERT_EQ(frames.size(), 1000U);
  std::set<bytes> addresses, sequences;
  std::set<std::uint16_t> ports;
  std::set<bytes> options;
  for (const bytes& frame : frames) {
    const bytes packet(frame.begin() + 14, frame.end());
    const std::size_t tcp = v6 ? 40 : 20;
    const auto r = syn_record::from_bytes(packet);
    ASSERT_TRUE(r);
    ASSERT_EQ(r->ip().total_length(), packet.size()) << "no trailing bytes";
    if (!v6) {
      ASSERT_EQ(folded(bytes(packet.begin(), packet.begin() + 20)), 0xffffU);
    }
    bytes covered = pseudo_header(packet, tcp);
    append(covered, bytes(packet.begin() + static_cast<std::ptrdiff_t>(tcp), packet.end()));
    ASSERT_EQ(folded(covered), 0xffffU);
    ASSERT_EQ(r->tcp().flags(), synfp::tcp_view::syn);
    ASSERT_EQ(r->destination(), v6 ? flood::network::target_v6(8080) : flood::network::target_v4(8080));
    ASSERT_EQ(r->ip().source()[0], v6 ? 0x20 : 10);
    ASSERT_GE(r->tcp().source_port(), 1024);
    addresses.insert(bytes(r->ip().source().begin(), r->ip().source().end()));
    sequences.insert(bytes(packet.begin() + static_cast<std::ptrdiff_t>(tcp + 4),
                           packet.begin() + static_cast<std::ptrdiff_t>(tcp + 8)));
    ports.insert(r->tcp().source_port());
    options.insert(bytes(r->tcp().option_bytes().begin(), r->tcp().option_bytes().end()));
  }
  EXPECT_GT(addresses.size(), 990U);
  EXPECT_GT(sequences.size(), 990U);
  EXPECT_GT(ports.size(), 900U);
  EXPECT_EQ(options.size(), std::string_view(name) == "mixed" ? flood::shapes.size() : 1U);
}
INSTANTIATE_TEST_SUITE_P(all, flood_shapes,
                         testing::Combine(testing::Values("none", "linux", "windows", "macos", "mixed"),
                                          testing::Bool()),
                         [](const auto& one) {
                           return std::string(std::get<0>(one.param)) +
                                  (std::get<1>(one.param) ? "_v6" : "_v4");
                         });

TEST(flood_rig, sends_the_same_for_the_same_seed_and_no_other) {
  flood::options what;
  what.sources = {flood::prefix::parse("198.51.100.0/24"), flood::prefix::parse("2001:db8:1::/48")};
  const auto first = frames_of(what, 200), again = frames_of(what, 200);
  EXPECT_EQ(first, again);
  what.seed = 2;
  const auto other = frames_of(what, 200);
  EXPECT_EQ(std::count_if(other.begin(), other.end(),
                          [&](const bytes& f) { return std::count(first.begin(), first.end(), f) != 0; }),
            0);
  const auto v6 = std::count_if(first.begin(), first.end(), [](const bytes& f) { return f[12] == 0x86; });
  EXPECT_GT(v6, 50);
  EXPECT_LT(v6, 150);
}

class flooded_listener : public testing::TestWithParam<std::tuple<flood::via, bool>> {};

// With tcp_syncookies=2 the listener answers every SYN with a cookie: an exact count of those that reached
// it.
TEST_P(flooded_listener, gets_every_syn) {
  const auto [via, v6] = GetParam();
  const flood::network where;
  where.sysctl("net/ipv4/tcp_syncookies", "2");
  const fd listener = where.inside([] {
    fd s = bound(*synfp::endpoint::parse("[::]:8080"));
    must(::listen(s.get(), 16) == 0, "listen");
    return s;
  });
  flood::options what;
  what.via = via;
  what.sources = sources(v6);
  const auto before = where.counters();
  flood::limits how;
  how.count = via == flood::via::stack ? 10'001 : 200;  // the receive ring of a veth holds 256
  how.threads = 3;
  flood::attack attack(where, what, how);
  attack.wait();
  EXPECT_EQ(attack.sent(), how.count);
  std::uint64_t cookies = 0;
  for (int i = 0; i < 500 && cookies < how.count; ++i) {  // the ring is emptied by the softirq
    cookies = where.counters().at("TcpExt.SyncookiesSent") - before.at("TcpExt.SyncookiesSent");
    ::usleep(10'000);
  }
  const auto after = where.counters();
  EXPECT_EQ(after.at("Tcp.InErrs"), 0U);
  EXPECT_EQ(after.at("Tcp.OutRsts"), 0U);
  EXPECT_EQ(cookies, how.count);
  EXPECT_GT(where.syn_acks(), how.count / 2) << "but for what a full ring drops";
  EXPECT_LE(where.syn_acks(), how.count);
}
INSTANTIATE_TEST_SUITE_P(all, flooded_listener,
                         testing::Combine(testing::Values(flood::via::stack, flood::via::veth),
                                          testing::Bool()),
                         [](const auto& one) {
                           return std::string(std::get<0>(one.param) == flood::via::stack ? "stack"
                                                                                          : "veth") +
                                  (std::get<1>(one.param) ? "_v6" : "_v4");
                         });

TEST(flood_rig, passes_native_xdp_only_through_the_veth) {
  const flood::network where;
  synfp::capture::probe_options options;
  options.interfaces = {flood::network::inside_name};
  auto probe = where.inside([&] {
    return std::make_unique<synfp::capture::probe<synfp::probe_config{.hook = synfp::hook::xdp}>>(options);
  });
  const auto runs = [&] { return probe->records().counters()[synfp::SYNFP_COUNT_RUNS]; };
  flood::options what;
  where.inside([&] { EXPECT_EQ(flood::sender(where, what).send(100), 100U); });
  EXPECT_EQ(runs(), 0U);
  what.via = flood::via::veth;
  where.inside([&] { EXPECT_EQ(flood::sender(where, what).send(100), 100U); });
  for (int i = 0; i < 500 && runs() < 100; ++i) ::usleep(10'000);
  EXPECT_EQ(runs(), 100U);
}

TEST(flood_rig, keeps_a_modest_rate) {
  const flood::network where;
  flood::limits how;
  how.rate = 5'000;
  how.duration = 2;
  flood::attack attack(where, {}, how);
  attack.wait();
  EXPECT_NEAR(static_cast<double>(attack.sent()) / attack.seconds(), how.rate, 0.2 * how.rate);
  EXPECT_NEAR(attack.seconds(), 2, 0.2);
}

TEST(flood_rig, stops_when_it_is_told_to) {
  const flood::network where;
  flood::limits how;
  how.count = flood::limits::max_count;
  flood::attack attack(where, {}, how);
  while (attack.sent() == 0) ::usleep(1000);
  EXPECT_TRUE(attack.running());
  attack.stop();
  attack.wait();
  EXPECT_FALSE(attack.running());
}

template <class F>
std::string refusal(F&& what) {
  try {
    what();
  } catch (const flood::failure& e) {
    return e.what();
  }
  return "no refusal";
}

TEST(flood_rig, refuses_to_leave_its_namespace) {
  const flood::network where, other;
  // The thread is at home: interfaces that the kernel would find here are the host's.
  EXPECT_THAT(refusal([&] { flood::sender(where, {}); }), HasSubstr("this thread is in another"));
  auto s = where.inside([&] { return std::make_unique<flood::sender>(where, flood::options{}); });
  EXPECT_THAT(refusal([&] { s->send(1); }), HasSubstr("this thread is in another"));
  EXPECT_THAT(refusal([&] { other.inside([&] { s->send(1); }); }), HasSubstr("this thread is in another"));
  EXPECT_EQ(s->sent(), 0U);
  where.inside([&] { EXPECT_EQ(s->send(1), 1U); });
  // Another interface of the same name is not the one that was made.
  where.inside([&] {
    command("ip link set flood0 down && ip link set flood0 name elsewhere && ip link add flood0 type veth");
  });
  const auto home = network_namespace::current();
  EXPECT_THAT(refusal([&] { where.inside([] {}); }), HasSubstr("removed or renamed"));
  EXPECT_EQ(network_namespace::current(), home) << "a refusal leaves the thread where it was";
}

TEST(flood_rig, refuses_what_has_no_end) {
  const flood::network where;
  EXPECT_THAT(refusal([&] { flood::attack(where, {}, {}); }), HasSubstr("needs an end"));
  flood::limits how;
  how.duration = flood::limits::max_duration + 1;
  EXPECT_THAT(refusal([&] { flood::attack(where, {}, how); }), HasSubstr("at most"));
  how.duration = 1;
  how.threads = 0;
  EXPECT_THAT(refusal([&] { flood::attack(where, {}, how); }), HasSubstr("threads"));
  flood::options what;
  what.sources.clear();
  how.threads = 1;
  EXPECT_THAT(refusal([&] { flood::attack(where, what, how); }), HasSubstr("source prefix"));
}

TEST(flood_rig, refuses_sources_that_the_stack_does_not_take) {
  for (const char* bad : {"127.0.0.1", "0.0.0.0/0", "224.0.0.0/4", "198.18.0.0/15", "::1/128",
                          "::ffff:1.2.3.4/128", "fe80::/64", "ff02::1", "fd00::/8"})
    EXPECT_THAT(refusal([&] { flood::prefix::parse(bad); }), HasSubstr("takes no SYN")) << bad;
  for (const char* bad :
       {"", "10.0.0.0/", "10.0.0.0/33", "10.0.0/8", "2001:db8::/129", "10.0.0.0/-1", "name"})
    EXPECT_THAT(refusal([&] { flood::prefix::parse(bad); }), HasSubstr(bad)) << bad;
  const auto p = flood::prefix::parse("10.1.2.3/12");
  EXPECT_EQ(p.address[1], 0) << "bits behind the prefix are not kept";
  EXPECT_EQ(p.free(1), 0x0f);
  EXPECT_EQ(p.free(4), 0);
}

/// The loaded programs of floods, by id.
std::set<__u32> programs() {
  std::set<__u32> ids;
  for (__u32 id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
    const fd program(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    __u32 length = sizeof info;
    if (program && bpf_obj_get_info_by_fd(program.get(), &info, &length) == 0 &&
        std::string_view(info.name).starts_with("flood_s"))
      ids.insert(id);
  }
  return ids;
}
std::set<__u32> without(std::set<__u32> ids, const std::set<__u32>& known) {
  for (const __u32 id : known) ids.erase(id);
  return ids;
}

TEST(flood_rig, leaves_nothing_behind) {
  const auto before = programs();
  const auto home = network_namespace::current();
  {
    const flood::network where;
    flood::limits how;
    how.count = 1000;
    how.threads = 2;
    flood::attack attack(where, {}, how);
    attack.wait();
    EXPECT_GE(without(programs(), before).size(), 1U);
  }
  EXPECT_EQ(network_namespace::current(), home);
  EXPECT_EQ(::if_nametoindex("flood0"), 0U);
  auto left = without(programs(), before);
  for (int i = 0; i < 500 && !left.empty(); ++i, left = without(programs(), before)) ::usleep(10'000);
  EXPECT_TRUE(left.empty()) << "programs end with the namespace, which ends with its last user";
}

}  // namespace
