// SPDX-License-Identifier: MIT
// Real connections: every hook, family and cookie mode. The record is the SYN that a packet socket saw.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <synfp/capture/first_of.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <tuple>

#include "../support/hooks.hpp"
#include "../support/kprobes.hpp"
#include "../support/packet_socket.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::endpoint;
using synfp::hook;
using synfp::miss;
using synfp::probe_config;
using synfp::proof;
using synfp::capture::now_ns;
using synfp::capture::saved_syn;

struct route {
  const char* name;
  const char* interface;  ///< of the server, where the SYN comes in
  const char* listen;
  const char* connect;  ///< to this address
};
constexpr route routes[] = {
    {"v4", "s0", "10.77.0.1:0", "10.77.0.1:0"},
    {"v6", "s0", "[::]:0", "[fd77::1]:0"},
    {"v4_on_dual_stack", "s0", "[::]:0", "10.77.0.1:0"},
    {"link_local", "s0", "[::]:0", "[fe80::1]:0"},
    {"v4_loopback", "lo", "0.0.0.0:0", "127.0.0.1:0"},
    {"v6_loopback", "lo", "[::]:0", "[::1]:0"},
    {"v4_loopback_on_dual_stack", "lo", "[::]:0", "127.0.0.9:0"},
};

class connections : public testing::TestWithParam<std::tuple<int, hook, int>> {
 protected:
  static inline std::unique_ptr<two_hosts> hosts;
  static void SetUpTestSuite() { hosts = std::make_unique<two_hosts>(); }
  static void TearDownTestSuite() { hosts.reset(); }

  template <hook H>
  void check() {
    const auto& [route_index, unused, cookies] = GetParam();
    const route& r = routes[route_index];
    const bool loopback = std::string(r.interface) == "lo";
    hosts->server.sysctl("net/ipv4/tcp_syncookies", std::to_string(cookies));

    constexpr probe_config config{.hook = H, .buckets = 64};
    const auto options = watching(H, r.interface);
    auto opened = hosts->server.inside([&] { return synfp::capture::probe<config>::open(options); });
    ASSERT_TRUE(opened) << opened.error().message;
    auto& probe = *opened;
    saved_syn kept;
    const packet_socket wire = hosts->server.inside([&] { return packet_socket(r.interface); });
    const fd listener = hosts->server.inside([&] { return bound(*endpoint::parse(r.listen)); });
    ASSERT_TRUE(probe.prepare(listener.get(), true));
    ASSERT_TRUE(kept.prepare(listener.get(), true));
    ASSERT_EQ(::listen(listener.get(), 16), 0);
    endpoint to = *endpoint::parse(r.connect);
    to.set_port(local_of(listener.get()).port());
    if (to.is_link_local())
      to = endpoint::v6(to.address(), to.port(), hosts->client.inside([] { return ::if_nametoindex("c0"); }));

    for (int round = 0; round < 3; ++round) {
      const auto before = probe.records().counters();
      const fd client = (loopback ? hosts->server : hosts->client).inside([&] { return connected(to); });
      const fd server = accepted(listener);
      ASSERT_TRUE(server);
      const synfp::capture::connection c{server.get(), peer_of(server.get()), local_of(server.get())};
      const auto found = probe.find(c, now_ns());
      if (!facts_of(H).interface && to.is_link_local()) {
        EXPECT_EQ(found.miss, miss::ambiguous);
        continue;
      }
      ASSERT_TRUE(found) << to_string(found.miss);
      const bytes seen = wire.next(c.peer.port(), to.port(), 2);
      ASSERT_FALSE(seen.empty());
      EXPECT_TRUE(std::ranges::equal(found->bytes(), seen));
      EXPECT_EQ(found->source().port(), c.peer.port());
      EXPECT_EQ(found->source().address(), c.peer.address());
      EXPECT_EQ(found.source, synfp::capture::detail::traits_of(H).source);
      EXPECT_EQ(found.proof, facts_of(H).acks && cookies == 2 ? proof::verified : proof::tuple);
      EXPECT_LT(found.age_ns.value(), 1'000'000'000U);
      if (facts_of(H).interface) {
        EXPECT_EQ(found->arrived().ifindex, wire.index());
        EXPECT_EQ(found->source(), c.peer) << "with its zone";
      }
      const auto after = probe.records().counters();
      EXPECT_EQ(after[synfp::SYNFP_COUNT_STORED] - before[synfp::SYNFP_COUNT_STORED], 1U);
      EXPECT_EQ(after[synfp::SYNFP_COUNT_VERIFIED] - before[synfp::SYNFP_COUNT_VERIFIED],
                found.proof == proof::verified ? 1U : 0U);

      // The kernel's own copy is the reference, unless cookies made it throw the SYN away.
      const auto exact = kept.claim(c, now_ns());
      if (cookies == 2) {
        EXPECT_EQ(exact.miss, miss::cookie);
      } else {
        ASSERT_TRUE(exact) << to_string(exact.miss);
        EXPECT_TRUE(std::ranges::equal(exact->bytes(), found->bytes()));
        EXPECT_EQ(kept.claim(c, now_ns()).miss, miss::cookie) << "it can be read once";
      }
    }
    EXPECT_FALSE(probe.displaced());
  }
};

TEST_P(connections, carry_their_syn) {
  if (std::get<1>(GetParam()) == hook::kprobe) SYNFP_NEEDS_KPROBES();
  with_hook(std::get<1>(GetParam()), [this]<hook H>() { check<H>(); });
}

std::string name_of(const testing::TestParamInfo<std::tuple<int, hook, int>>& info) {
  return hook_name(std::get<1>(info.param)) + '_' + routes[std::get<0>(info.param)].name + "_cookies" +
         std::to_string(std::get<2>(info.param));
}
INSTANTIATE_TEST_SUITE_P(all, connections,
                         testing::Combine(testing::Range(0, 7), testing::ValuesIn(packet_hooks()),
                                          testing::Range(0, 3)),
                         name_of);

// A listener that defers accept(): the connection comes later than its handshake, with its own SYN all the
// same.
class deferred : public testing::TestWithParam<std::tuple<hook, int>> {
 protected:
  template <hook H>
  void check() {
    const int cookies = std::get<1>(GetParam());
    two_hosts hosts;
    hosts.server.sysctl("net/ipv4/tcp_syncookies", std::to_string(cookies));
    constexpr probe_config config{.hook = H, .buckets = 64};
    const auto options = watching(H, "s0");
    auto opened = hosts.server.inside([&] { return synfp::capture::probe<config>::open(options); });
    ASSERT_TRUE(opened) << opened.error().message;
    auto& probe = *opened;
    const fd listener = hosts.server.inside([&] { return bound(*endpoint::parse("10.77.0.1:0")); });
    ASSERT_TRUE(probe.prepare(listener.get(), true));
    ASSERT_EQ(::listen(listener.get(), 16), 0);
    const int seconds = 1;
    ASSERT_EQ(::setsockopt(listener.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds), 0);
    const endpoint to = local_of(listener.get());

    const fd silent = hosts.client.inside([&] { return connected(to); });
    const fd asking = hosts.client.inside([&] { return connected(to); });
    ASSERT_EQ(::send(asking.get(), "x", 1, MSG_NOSIGNAL), 1);
    // Under cookies there is nothing that could wait for bytes.
    const fd* const order[] = {cookies == 2 ? &silent : &asking, cookies == 2 ? &asking : &silent};
    for (const fd* client : order) {
      const fd server = accepted(listener);
      ASSERT_TRUE(server);
      const synfp::capture::connection c{server.get(), peer_of(server.get()), local_of(server.get())};
      EXPECT_EQ(c.peer, local_of(client->get()));
      const auto found = probe.find(c, now_ns());
      ASSERT_TRUE(found) << to_string(found.miss);
      EXPECT_EQ(found->source().port(), c.peer.port());
      EXPECT_EQ(found.proof, facts_of(H).acks && cookies == 2 ? proof::verified : proof::tuple);
    }
  }
};

TEST_P(deferred, connections_carry_their_syn) {
  if (std::get<0>(GetParam()) == hook::kprobe) SYNFP_NEEDS_KPROBES();
  with_hook(std::get<0>(GetParam()), [this]<hook H>() { check<H>(); });
}
INSTANTIATE_TEST_SUITE_P(all, deferred,
                         testing::Combine(testing::ValuesIn(packet_hooks()), testing::Values(1, 2)),
                         [](const auto& which) {
                           return hook_name(std::get<0>(which.param)) + "_cookies" +
                                  std::to_string(std::get<1>(which.param));
                         });

// Cookies for the first connection only: its proof must not serve the next one.
constexpr int cookies_that_end = 3;

// A client that comes back from the same port at once: its older SYN must never be taken for the new one.
class port_reuse : public testing::TestWithParam<std::tuple<hook, int>> {
 protected:
  template <hook H>
  void check() {
    two_hosts hosts;
    int cookies = std::get<1>(GetParam());
    const bool they_end = cookies == cookies_that_end;
    if (they_end) cookies = 2;
    hosts.server.sysctl("net/ipv4/tcp_syncookies", std::to_string(cookies));
    constexpr probe_config config{.hook = H, .buckets = 64, .hold{0}};
    const auto options = watching(H, "s0");
    auto opened = hosts.server.inside([&] { return synfp::capture::probe<config>::open(options); });
    ASSERT_TRUE(opened) << opened.error().message;
    auto& probe = *opened;
    saved_syn kept;
    synfp::capture::first_of both(probe, kept);
    const fd listener = hosts.server.inside([&] { return bound(*endpoint::parse("[::]:0")); });
    ASSERT_TRUE(both.prepare(listener.get(), true));
    ASSERT_EQ(::listen(listener.get(), 16), 0);
    const endpoint to = endpoint::v4(10, 77, 0, 1, local_of(listener.get()).port());
    const endpoint from = endpoint::v4(10, 77, 0, 2, 45678);
    std::set<std::uint32_t> seen;
    for (int round = 0; round < 5; ++round) {
      fd client = hosts.client.inside([&] { return connected(to, from); });
      fd server = accepted(listener);
      ASSERT_TRUE(server);
      const synfp::capture::connection c{server.get(), peer_of(server.get()), local_of(server.get())};
      const auto alone = probe.find(c, now_ns());
      const auto answer = both.claim(c, now_ns());
      if (round == 0) {
        EXPECT_TRUE(alone);
        EXPECT_EQ(alone.proof, facts_of(H).acks && cookies == 2 ? proof::verified : proof::tuple);
      } else if (!facts_of(H).last_copy_counts) {
        EXPECT_EQ(alone.miss, miss::conflict);
        EXPECT_EQ(answer.miss, cookies == 2 ? miss::conflict : miss::none);
        EXPECT_EQ(answer.proof, cookies == 2 ? proof::none : proof::exact);
      } else {
        // The listener's program saw it last; its ACK too, with cookies. Right after an ACK it is in doubt
        // whose connection comes next.
        const bool doubted = they_end && round == 1;
        EXPECT_EQ(alone.miss, doubted ? miss::conflict : miss::none) << round;
        EXPECT_EQ(answer.proof, cookies == 2 ? proof::verified : proof::exact) << round;
      }
      for (const auto& one : {alone, answer}) {
        if (!one) continue;
        EXPECT_EQ(seen.count(one->tcp().sequence()), 0U) << "an older connection's SYN";
      }
      if (answer) seen.insert(answer->tcp().sequence());
      // Both ends go without TIME_WAIT.
      reset(std::move(client));
      ASSERT_TRUE(readable(server.get()));
      if (they_end) hosts.server.sysctl("net/ipv4/tcp_syncookies", std::to_string(cookies = 0));
    }
    const auto counted = probe.records().counters();
    EXPECT_EQ(counted[synfp::SYNFP_COUNT_STORED], 5U);
    EXPECT_EQ(counted[synfp::SYNFP_COUNT_CONFLICT], 4U);
    EXPECT_EQ(counted[synfp::SYNFP_COUNT_REPLACED], 0U);
  }
};

TEST_P(port_reuse, never_gives_the_older_syn) {
  if (std::get<0>(GetParam()) == hook::kprobe) SYNFP_NEEDS_KPROBES();
  with_hook(std::get<0>(GetParam()), [this]<hook H>() { check<H>(); });
}
INSTANTIATE_TEST_SUITE_P(all, port_reuse,
                         testing::Combine(testing::ValuesIn(packet_hooks()),
                                          testing::Values(0, 2, cookies_that_end)),
                         [](const testing::TestParamInfo<std::tuple<hook, int>>& one) {
                           return hook_name(std::get<0>(one.param)) + "_cookies" +
                                  (std::get<1>(one.param) == cookies_that_end
                                       ? "_that_end"
                                       : std::to_string(std::get<1>(one.param)));
                         });

}  // namespace
