// SPDX-License-Identifier: MIT
// Thousands of real connections from few ports, in quick succession, while others send SYNs at random and in
// these clients' names. The client's own sequence number, asked of its kernel, says whether a record is this
// connection's: not one may be another's.
//
// Checked by hand, each makes it fail with `wrong` > 0: in the writer, a second SYN within the conflict
// window that is not marked as a conflict; in table::claim, no memory of what was given; in the writer, an
// ACK that verifies whatever record it finds.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <random>
#include <synfp/capture/probe.hpp>
#include <thread>

#include "../support/hooks.hpp"
#include "../support/packet_socket.hpp"
#include "../support/process.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::endpoint;
using synfp::hook;
using synfp::probe_config;
using synfp::proof;
using synfp::capture::now_ns;

constexpr std::uint16_t first_port = 40'000, ports = 512;

/// Of a connected socket that has sent nothing.
std::uint32_t isn_of(const fd& s) {
  const auto option = [&s](int name, int value) {
    must(::setsockopt(s.get(), IPPROTO_TCP, name, &value, sizeof value) == 0, "set TCP_REPAIR");
  };
  std::uint32_t next = 0;
  socklen_t length = sizeof next;
  option(TCP_REPAIR, 1);
  option(TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
  must(::getsockopt(s.get(), IPPROTO_TCP, TCP_QUEUE_SEQ, &next, &length) == 0, "get TCP_QUEUE_SEQ");
  option(TCP_REPAIR, -1);  // off, without a window probe
  return next - 1;
}

/// What a client marks a socket with whose packets go through c1 to s1.
constexpr int detour_mark = 1;

void make_detour(const two_hosts& hosts) {
  hosts.server.connect(hosts.client, "s1", "c1");
  hosts.server.inside([] { command("ip link set s1 address 02:00:00:00:00:03 up"); });
  for (const char* name : {"all", "s0", "s1"})
    hosts.server.sysctl(std::string("net/ipv4/conf/") + name + "/rp_filter", "0");
  hosts.client.inside([] {
    command("ip link set c1 up && ip neigh add 10.77.0.1 lladdr 02:00:00:00:00:03 dev c1 nud permanent");
    command("ip route add 10.77.0.1 dev c1 src 10.77.0.2 table 100 && ip rule add fwmark 1 table 100");
  });
}

struct load {
  const char* name;
  hook where;
  int cookies;
  int strangers;        ///< SYNs per millisecond from anywhere
  int forgeries;        ///< SYNs per millisecond with the tuple of one of the clients
  bool detour = false;  ///< every other SYN comes in on an interface that the probe does not watch

  friend void PrintTo(const load& what, std::ostream* to) { *to << what.name; }
};

/// Sends SYNs through c0 until it is destroyed, at most for a minute.
class attacker {
 public:
  attacker(const two_hosts& hosts, const load& what, std::uint16_t port)
      : wire_(hosts.client.inside([] { return packet_socket("c0"); })),
        raw_(hosts.client.inside([] { return fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)); })) {
    must(static_cast<bool>(raw_), "open a packet socket");
    thread_ = std::thread([this, what, port] { run(what, port); });
  }
  attacker(const attacker&) = delete;
  attacker& operator=(const attacker&) = delete;
  ~attacker() {
    stop_ = true;
    thread_.join();
  }
  std::uint64_t sent() const { return sent_; }

 private:
  void run(const load& what, std::uint16_t port) {
    packet_builder p;
    p.to_mac = {2, 0, 0, 0, 0, 1};
    p.from_mac = {2, 0, 0, 0, 0, 2};
    p.destination = endpoint::v4(10, 77, 0, 1, port);
    std::mt19937 random(7);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(wire_.index());
    to.sll_halen = 6;
    const auto send = [&] {
      p.sequence = static_cast<std::uint32_t>(random());
      const bytes frame = p.frame();
      // A full queue is no failure: the load is what gets through.
      if (::sendto(raw_.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) >
          0)
        ++sent_;
    };
    for (int ms = 0; !stop_ && ms < 60'000; ++ms) {
      for (int i = 0; i < what.strangers; ++i) {
        const auto one = static_cast<std::uint32_t>(random());
        p.source = endpoint::v4(198, static_cast<std::uint8_t>(18 + (one >> 31)),
                                static_cast<std::uint8_t>(one >> 8), static_cast<std::uint8_t>(one),
                                static_cast<std::uint16_t>(1024 + (one >> 16) % 32768));
        send();
      }
      for (int i = 0; i < what.forgeries; ++i) {
        p.source = endpoint::v4(10, 77, 0, 2, static_cast<std::uint16_t>(first_port + random() % ports));
        send();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  packet_socket wire_;
  fd raw_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> sent_{0};
  std::thread thread_;
};

class hostile_load : public testing::TestWithParam<load> {
 protected:
  template <hook H>
  void check() {
    const load& what = GetParam();
    const two_hosts hosts;
    hosts.server.sysctl("net/ipv4/tcp_syncookies", std::to_string(what.cookies));
    hosts.server.inside([] {
      // Strangers live behind the client, which neither forwards nor answers for them.
      command("ip route add 198.18.0.0/15 via 10.77.0.2 dev s0");
      command("ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev s0 nud permanent");
    });
    if (what.detour) make_detour(hosts);
    // Ports come back within the conflict window and after it.
    constexpr probe_config config{
        .hook = H, .buckets = 64, .hold = {20}, .max_age = {60}, .conflict_window = {60}};
    const auto options = watching(H, "s0");
    auto opened = hosts.server.inside([&] { return synfp::capture::probe<config>::open(options); });
    ASSERT_TRUE(opened) << opened.error().message;
    auto& probe = *opened;
    const fd listener = hosts.server.inside([] { return bound(*endpoint::parse("0.0.0.0:0")); });
    ASSERT_TRUE(probe.prepare(listener.get(), true));
    ASSERT_EQ(::listen(listener.get(), 512), 0);
    const endpoint to = endpoint::v4(10, 77, 0, 1, local_of(listener.get()).port());

    int returned = 0, verified = 0, wrong = 0, connections = 0, lost = 0;
    std::map<std::string, int> missed;
    std::uint64_t sent = 0;
    {
      const attacker others(hosts, what, to.port());
      std::mt19937 random(1);
      const std::uint64_t end = now_ns() + 40'000'000'000;
      // On a fast machine that may be over before a port came back after the window: then it goes on.
      const auto enough = [&] {
        return returned >= 4000 && probe.records().counters()[synfp::SYNFP_COUNT_REPLACED] > 0;
      };
      while (!enough() && connections < 200'000 && now_ns() < end) {
        const endpoint from =
            endpoint::v4(10, 77, 0, 2, static_cast<std::uint16_t>(first_port + random() % ports));
        const bool unseen = what.detour && random() % 2 == 0;
        fd client = hosts.client.inside([&] { return connected(to, from, unseen ? detour_mark : 0); });
        const fd server = accepted(listener);
        if (!server) {  // its ACK was dropped, which in cookie mode ends the handshake
          ASSERT_LT(++lost, 5);
          reset(std::move(client));
          continue;
        }
        const endpoint peer = peer_of(server.get());
        ASSERT_EQ(peer, from);
        const auto found = probe.claim({server.get(), peer, local_of(server.get())}, now_ns());
        ++connections;
        if (found) {
          ++returned;
          verified += found.proof == proof::verified;
          wrong += found->tcp().sequence() != isn_of(client);
        } else {
          ++missed[std::string(to_string(found.miss))];
        }
        reset(std::move(client));
        ASSERT_TRUE(readable(server.get()));  // the port is free on both ends
      }
      sent = others.sent();
    }
    const auto counted = probe.records().counters();
    std::printf("%s: connections %d returned %d verified %d wrong %d | hostile SYNs %llu |", what.name,
                connections, returned, verified, wrong, static_cast<unsigned long long>(sent));
    for (const auto& [why, n] : missed) std::printf(" %s %d", why.c_str(), n);
    std::printf("\n");
    EXPECT_EQ(wrong, 0);
    EXPECT_GE(returned, 2000);
    if (facts_of(H).acks && what.cookies == 2) {
      EXPECT_GE(verified, returned * 0.999);
    }
    if (what.detour) {
      EXPECT_GT(missed["claimed"], 0) << "no unseen SYN came after a record";
    }
    EXPECT_GT(missed["conflict"], 0) << "no port came back within the window: nothing was tried";
    EXPECT_GT(counted[synfp::SYNFP_COUNT_CONFLICT], 0U);
    if (what.strangers == 0) {  // else the earlier record may have been evicted meanwhile
      EXPECT_GT(counted[synfp::SYNFP_COUNT_REPLACED], 0U) << "no port came back after the window";
    } else {
      EXPECT_GT(sent, 1000U);
      EXPECT_GT(counted[synfp::SYNFP_COUNT_HELD], 0U) << "the table was never full";
    }
  }
};

TEST_P(hostile_load, never_gives_anothers_syn) {
  with_hook(GetParam().where, [this]<hook H>() { check<H>(); });
}

INSTANTIATE_TEST_SUITE_P(
    all, hostile_load,
    testing::Values(load{"reuseport_reuse", hook::reuseport, 0, 0, 0}, load{"xdp_reuse", hook::xdp, 0, 0, 0},
                    load{"reuseport_strangers", hook::reuseport, 2, 50, 0},
                    load{"xdp_strangers", hook::xdp, 2, 50, 0},
                    load{"reuseport_forgeries", hook::reuseport, 2, 50, 1},
                    load{"xdp_forgeries", hook::xdp, 2, 0, 1}, load{"xdp_detour", hook::xdp, 0, 0, 0, true},
                    load{"tcx_strangers", hook::tcx, 2, 50, 0}, load{"tcx_forgeries", hook::tcx, 2, 0, 1},
                    load{"tcx_detour", hook::tcx, 0, 0, 0, true}),
    [](const testing::TestParamInfo<load>& one) { return std::string(one.param.name); });

}  // namespace
