// SPDX-License-Identifier: MIT
// What could make a socket answer with another connection's SYN, with half of one, or too often.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <synfp/socket.h>
#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <synfp/capture/probe.hpp>
#include <thread>
#include <vector>

#include "../support/cgroup.hpp"
#include "../support/packet_socket.hpp"
#include "../support/process.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::endpoint;
using synfp::hook;
using synfp::probe_config;

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

synfp_socket_answer answer_of(int s) {
  synfp_socket_answer a{};
  must(synfp_socket_syn(s, &a) == 0, "ask the socket");
  return a;
}
bytes headers_of(const synfp_socket_answer& a) {
  return a.status == SYNFP_SOCKET_FOUND ? bytes(a.headers, a.headers + a.ip_length + a.tcp_length) : bytes();
}
/// TCP_SAVED_SYN, or empty.
bytes saved_syn_of(int s) {
  bytes b(512);
  auto n = static_cast<socklen_t>(b.size());
  must(::getsockopt(s, IPPROTO_TCP, TCP_SAVED_SYN, b.data(), &n) == 0, "ask for TCP_SAVED_SYN");
  b.resize(n);
  return b;
}

/// Of the calling thread.
void stay_on(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  must(::sched_setaffinity(0, sizeof one, &one) == 0, "choose a CPU");
}

class socket_attacks : public testing::Test {
 protected:
  static auto open_probe(const two_hosts& hosts, const cgroup& group) {
    synfp::capture::probe_options options;
    options.cgroups = {group.path()};
    return hosts.server.inside(
        [&] { return synfp::capture::probe<probe_config{.hook = hook::sockops, .buckets = 1024}>(options); });
  }
  /// Bound in the cgroup, and listens.
  fd listener(const std::string& at, const two_hosts& hosts) const {
    return hosts.server.inside([&] {
      const cgroup::membership inside(group_);
      fd l = bound(*endpoint::parse(at));
      must(::listen(l.get(), 64) == 0, "listen");
      return l;
    });
  }
  void cookies(int value) const { hosts_.server.sysctl("net/ipv4/tcp_syncookies", std::to_string(value)); }

  two_hosts hosts_;
  cgroup group_;
};

// A connection that both ends opened at once (here both ends are one socket) is established while its process
// works at the socket, with interrupts on: connections of others are established in between, on the same CPU.
TEST_F(socket_attacks, a_simultaneous_open_has_no_other_connection_s_syn) {
  cookies(2);
  const auto probe = hosts_.server.inside([&] {
    synfp::capture::probe_options options;
    options.cgroups = {group_.path()};
    options.interfaces = {"lo"};
    return synfp::capture::probe<probe_config{.hook = hook::xdp, .buckets = 1024}>(options);
  });
  const fd at = listener("127.0.0.1:0", hosts_);
  const endpoint to = local_of(at.get());
  hosts_.server.inside([] {
    // Packets on lo are received by CPU 0, whoever sends them.
    command("unshare -m sh -c 'mount -t sysfs none /sys && echo 1 > /sys/class/net/lo/queues/rx-0/rps_cpus'");
  });
  std::atomic<bool> over{false};
  std::atomic<int> others{0}, unanswered{0};
  std::thread neighbour([&] {
    stay_on(::sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 1 : 0);
    hosts_.server.inside([&] {
      while (!over) {
        fd c = connected(to);
        fd s = accepted(at);
        unanswered += s && answer_of(s.get()).status != SYNFP_SOCKET_FOUND;
        ++others;
        reset(std::move(s));
        reset(std::move(c));
      }
    });
  });
  int wrong = 0, known = 0, opened = 0;
  std::thread self([&] {
    stay_on(0);
    hosts_.server.inside([&] {
      const cgroup::membership inside(group_);
      for (; opened < 30'000; ++opened) {
        fd s = bound(*endpoint::parse("127.0.0.1:0"));
        const endpoint own = local_of(s.get());
        sockaddr_storage a;
        const socklen_t n = own.to_sockaddr(a);
        must(::connect(s.get(), reinterpret_cast<sockaddr*>(&a), n) == 0, "connect to the socket itself");
        const bytes b = headers_of(answer_of(s.get()));
        known += !b.empty();
        wrong += !b.empty() && (b[20] * 256 + b[21] != own.port() || b[22] * 256 + b[23] != own.port());
        reset(std::move(s));
      }
    });
  });
  self.join();
  over = true;
  neighbour.join();
  EXPECT_EQ(wrong, 0) << "of " << opened << ", beside " << others;
  EXPECT_GT(others, 1000);
  EXPECT_GT(known, opened / 2);
  std::fprintf(stderr, "%d opened, %d known, %d others, of which %d have no answer\n", opened, known,
               others.load(), unanswered.load());
}

// A buffer that is too short does not use the answer up, and of those who ask at once one gets it.
TEST_F(socket_attacks, the_saved_syn_is_given_once) {
  cookies(2);
  const auto probe = open_probe(hosts_, group_);
  const fd at = listener("10.77.0.1:0", hosts_);
  for (int round = 0; round < 50; ++round) {
    const fd client = hosts_.client.inside([&] { return connected(local_of(at.get())); });
    const fd server = accepted(at);
    ASSERT_TRUE(server);
    const bytes whole = headers_of(answer_of(server.get()));
    ASSERT_FALSE(whole.empty());
    for (const std::size_t room : {std::size_t{0}, std::size_t{1}, std::size_t{20}, whole.size() - 1}) {
      bytes b(256, 0xa5);
      auto n = static_cast<socklen_t>(room);
      EXPECT_NE(::getsockopt(server.get(), IPPROTO_TCP, TCP_SAVED_SYN, b.data(), &n), 0);
      EXPECT_EQ(errno, EINVAL);
      EXPECT_EQ(b, bytes(256, 0xa5)) << "nothing is written";
    }
    std::atomic<int> whole_ones{0}, empty_ones{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        const bytes b = saved_syn_of(server.get());
        whole_ones += b == whole;
        empty_ones += b.empty();
      });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(whole_ones, 1);
    EXPECT_EQ(empty_ones, 7);
  }
}

// With and without data in the SYN, with and without the TFO cookie.
TEST_F(socket_attacks, a_fast_open_has_its_own_syn) {
  const auto probe = open_probe(hosts_, group_);
  const packet_socket wire = hosts_.server.inside([] { return packet_socket("s0"); });
  for (const int syncookies : {0, 1, 2}) {
    cookies(syncookies);
    for (const char* mode : {"3", "1539" /* 0x603: without a cookie */}) {
      hosts_.server.sysctl("net/ipv4/tcp_fastopen", mode);
      hosts_.client.sysctl("net/ipv4/tcp_fastopen", "3");
      const fd at = listener("10.77.0.1:0", hosts_);
      const int queue = 16;
      must(::setsockopt(at.get(), IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof queue) == 0, "TCP_FASTOPEN");
      for (int i = 0; i < 3; ++i) {
        const fd client = hosts_.client.inside([&] {
          fd c(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
          sockaddr_storage a;
          const socklen_t n = local_of(at.get()).to_sockaddr(a);
          must(::sendto(c.get(), "hello", 5, MSG_FASTOPEN, reinterpret_cast<sockaddr*>(&a), n) == 5,
               "fast open");
          return c;
        });
        const fd server = accepted(at);
        ASSERT_TRUE(server);
        char text[8];
        EXPECT_EQ(::recv(server.get(), text, sizeof text, 0), 5);
        const bytes seen = wire.next(peer_of(server.get()).port(), local_of(at.get()).port(), syn);
        ASSERT_GE(seen.size(), 40U);
        const bytes own(seen.begin(), seen.begin() + 20 + (seen[32] >> 4) * 4);
        EXPECT_EQ(headers_of(answer_of(server.get())), own) << syncookies << ' ' << mode << ' ' << i;
        EXPECT_EQ(saved_syn_of(server.get()), own) << syncookies << ' ' << mode << ' ' << i;
      }
    }
  }
}

// What is known of a subflow is kept with it, not with the connection of MPTCP.
TEST_F(socket_attacks, mptcp_is_unknown_and_its_plain_clients_are_known) {
  const auto probe = open_probe(hosts_, group_);
  const packet_socket wire = hosts_.server.inside([] { return packet_socket("s0"); });
  for (const int syncookies : {0, 2}) {
    cookies(syncookies);
    const fd at = hosts_.server.inside([&] {
      const cgroup::membership inside(group_);
      fd l(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP));
      if (!l) return l;
      sockaddr_storage a;
      const socklen_t n = endpoint::parse("10.77.0.1:0")->to_sockaddr(a);
      must(::bind(l.get(), reinterpret_cast<sockaddr*>(&a), n) == 0 && ::listen(l.get(), 8) == 0, "listen");
      return l;
    });
    if (!at) GTEST_SKIP() << "kernel lacks MPTCP";
    for (const int protocol : {0, int{IPPROTO_MPTCP}}) {
      const fd client = hosts_.client.inside([&] {
        fd c(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol));
        sockaddr_storage a;
        const socklen_t n = local_of(at.get()).to_sockaddr(a);
        must(::connect(c.get(), reinterpret_cast<sockaddr*>(&a), n) == 0, "connect");
        return c;
      });
      const fd server = accepted(at);
      ASSERT_TRUE(server);
      const auto answer = answer_of(server.get());
      if (protocol == 0) {
        EXPECT_EQ(headers_of(answer),
                  wire.next(peer_of(server.get()).port(), local_of(at.get()).port(), syn));
      } else {
        EXPECT_EQ(answer.status, SYNFP_SOCKET_UNKNOWN);
      }
    }
  }
}

// Two pairs of hosts with the same addresses, and connections with the same ports.
TEST_F(socket_attacks, each_network_namespace_has_its_own) {
  const two_hosts others;
  const auto probe = open_probe(hosts_, group_);
  for (const int syncookies : {0, 2}) {
    const two_hosts* both[] = {&hosts_, &others};
    std::vector<fd> listeners, clients, servers;
    std::vector<packet_socket> wires;
    const endpoint from = endpoint::v4(10, 77, 0, 2, static_cast<std::uint16_t>(41'000 + syncookies));
    const std::string at = "10.77.0.1:" + std::to_string(8080 + syncookies);
    for (const two_hosts* h : both) {
      h->server.sysctl("net/ipv4/tcp_syncookies", std::to_string(syncookies));
      wires.push_back(h->server.inside([] { return packet_socket("s0"); }));
      listeners.push_back(listener(at, *h));
    }
    for (const two_hosts* h : both)
      clients.push_back(h->client.inside([&] { return connected(*endpoint::parse(at), from); }));
    for (const fd& l : listeners) servers.push_back(accepted(l));
    for (std::size_t i = 0; i < 2; ++i) {
      ASSERT_TRUE(servers[i]);
      EXPECT_EQ(headers_of(answer_of(servers[i].get())),
                wires[i].next(from.port(), endpoint::parse(at)->port(), syn));
    }
  }
}

// The cgroup in which a socket was made decides, not that of the process that listens.
TEST_F(socket_attacks, the_cgroup_is_that_of_the_maker) {
  cookies(2);
  const auto probe = open_probe(hosts_, group_);
  const fd inside = hosts_.server.inside([&] {
    const cgroup::membership member(group_);
    return bound(*endpoint::parse("10.77.0.1:0"));
  });
  ASSERT_EQ(::listen(inside.get(), 8), 0);
  const fd outside = hosts_.server.inside([] { return bound(*endpoint::parse("10.77.0.1:0")); });
  {
    const cgroup::membership member(group_);
    ASSERT_EQ(::listen(outside.get(), 8), 0);
  }
  for (const bool covered : {true, false}) {
    const fd& at = covered ? inside : outside;
    const fd client = hosts_.client.inside([&] { return connected(local_of(at.get())); });
    const cgroup::membership member(group_);
    const fd server = accepted(at);
    synfp_socket_answer answer{};
    EXPECT_EQ(synfp_socket_syn(server.get(), &answer), covered ? 0 : -1);
    if (covered) {
      EXPECT_EQ(answer.status, SYNFP_SOCKET_FOUND);
    } else {
      EXPECT_EQ(errno, ENOPROTOOPT);
    }
    EXPECT_EQ(saved_syn_of(server.get()).empty(), !covered);
  }
}

// SO_REUSEPORT: one listener of the port is covered, the other is not.
TEST_F(socket_attacks, a_listen_group_across_cgroups) {
  cookies(2);
  const auto probe = open_probe(hosts_, group_);
  const packet_socket wire = hosts_.server.inside([] { return packet_socket("s0"); });
  const fd covered = listener("10.77.0.1:8090", hosts_);
  const fd other = hosts_.server.inside([] {
    fd l = bound(*endpoint::parse("10.77.0.1:8090"));
    must(::listen(l.get(), 64) == 0, "listen");
    return l;
  });
  int answered = 0, none = 0;
  for (int i = 0; i < 64; ++i) {
    const fd client = hosts_.client.inside([&] { return connected(local_of(covered.get())); });
    pollfd p[] = {{covered.get(), POLLIN, 0}, {other.get(), POLLIN, 0}};
    ASSERT_EQ(::poll(p, 2, 5000), 1);
    const bool first = p[0].revents != 0;
    const fd server = accepted(first ? covered : other);
    synfp_socket_answer answer{};
    ASSERT_EQ(synfp_socket_syn(server.get(), &answer), first ? 0 : -1);
    if (first)
      EXPECT_EQ(headers_of(answer), wire.next(peer_of(server.get()).port(), 8090, syn));
    else
      EXPECT_TRUE(saved_syn_of(server.get()).empty());
    ++(first ? answered : none);
  }
  EXPECT_GT(answered, 0);
  EXPECT_GT(none, 0);
}

// The memory of a socket's options is used up: it is counted, and nobody answers.
TEST_F(socket_attacks, no_memory_for_the_answer) {
  cookies(2);
  const auto probe = open_probe(hosts_, group_);
  try {
    hosts_.server.sysctl("net/core/optmem_max", "64");
  } catch (const std::exception&) {
    GTEST_SKIP() << "kernel lacks an optmem_max of each network namespace";
  }
  const fd at = listener("10.77.0.1:0", hosts_);
  const fd client = hosts_.client.inside([&] { return connected(local_of(at.get())); });
  const fd server = accepted(at);
  EXPECT_EQ(answer_of(server.get()).status, SYNFP_SOCKET_UNKNOWN);
  EXPECT_TRUE(saved_syn_of(server.get()).empty());
  EXPECT_EQ(probe.records().counters()[synfp::SYNFP_COUNT_NO_STORAGE], 1U);
}

/// A client that is made by hand: an address of nobody's.
class handmade {
 public:
  handmade(const two_hosts& hosts, const endpoint& to, bool v6) : hosts_(hosts) {
    hosts.server.inside([] {
      command("ip neigh replace 10.77.0.9 lladdr 02:00:00:00:00:02 dev s0 nud permanent");
      command("ip neigh replace fd77::9 lladdr 02:00:00:00:00:02 dev s0 nud permanent");
    });
    wire_ = hosts.client.inside([] { return std::make_unique<packet_socket>("c0"); });
    packet.to_mac = {2, 0, 0, 0, 0, 1};
    packet.from_mac = {2, 0, 0, 0, 0, 2};
    packet.source = v6 ? *endpoint::parse("[fd77::9]:40000") : endpoint::v4(10, 77, 0, 9, 40000);
    packet.destination = v6 ? *endpoint::parse("[fd77::1]:0") : endpoint::v4(10, 77, 0, 1, 0);
    packet.destination.set_port(to.port());
  }
  /// SYN and ACK.
  void open() {
    hosts_.client.inside([&] { wire_->send(packet.frame()); });
    const bytes answer =
        wire_->next(packet.destination.port(), packet.source.port(), static_cast<std::uint8_t>(syn | ack));
    must(answer.size() >= 40, "get a SYN-ACK");
    const auto r = synfp::syn_record::from_bytes(answer);
    packet_builder p = packet;
    p.options.clear();
    p.ip_options.clear();
    p.extensions.clear();
    p.payload.clear();
    p.flags = ack;
    p.sequence = packet.sequence + 1;
    p.acknowledgment = r->tcp().sequence() + 1;
    hosts_.client.inside([&] { wire_->send(p.frame()); });
  }
  packet_builder packet;

 private:
  const two_hosts& hosts_;
  std::unique_ptr<packet_socket> wire_;
};

/// Of 256 bytes: one option that is skipped by whoever does not know it.
extension long_options() {
  extension e = destination_options(31);
  e.data[2] = 0x1e;
  e.data[3] = 252;
  return e;
}

// What is not kept whole is not passed off as the SYN; the kernel's own copy is whole.
TEST_F(socket_attacks, more_than_the_fixed_headers) {
  const auto probe = open_probe(hosts_, group_);
  struct {
    const char* name;
    bool v6;
    bytes ip_options;
    std::vector<extension> extensions;
    std::uint16_t payload;
    bool whole;  // with cookies
  } const kinds[] = {
      {"IPv4 options of 20 bytes", false, bytes(20, 1), {}, 0, true},
      {"IPv4 options of 40 bytes", false, bytes(40, 1), {}, 0, false},
      {"hop by hop", true, {}, {hop_by_hop()}, 0, false},
      {"destination options of 256 bytes", true, {}, {long_options()}, 0, false},
      {"an atomic fragment", true, {}, {atomic_fragment()}, 0, false},
      {"data", false, {}, {}, 500, true},
      {"data", true, {}, {}, 500, true},
  };
  for (const int syncookies : {0, 2}) {
    cookies(syncookies);
    for (const auto& kind : kinds) {
      SCOPED_TRACE(std::string(kind.name) + ", cookies " + std::to_string(syncookies));
      const fd at = listener("[::]:0", hosts_);
      handmade client(hosts_, local_of(at.get()), kind.v6);
      client.packet.ip_options = kind.ip_options;
      client.packet.extensions = kind.extensions;
      client.packet.payload = bytes(kind.payload, 'x');
      client.open();
      const fd server = accepted(at);
      ASSERT_TRUE(server);
      bytes sent = client.packet.ip();
      sent.resize(sent.size() - kind.payload);
      const auto answer = answer_of(server.get());
      const bytes saved = saved_syn_of(server.get());
      if (syncookies == 2 && !kind.whole) {
        EXPECT_TRUE(saved.empty());
      } else if (kind.extensions.empty() || kind.extensions[0].protocol != 44) {  // that one is taken off
        EXPECT_EQ(saved, sent);
      }
      if (answer.status == SYNFP_SOCKET_FOUND) {
        const bytes own = client.packet.tcp();
        EXPECT_TRUE(std::equal(answer.headers + answer.ip_length,
                               answer.headers + answer.ip_length + answer.tcp_length, own.begin()));
        if (answer.ip_length + std::size_t{answer.tcp_length} != sent.size() && kind.extensions.empty()) {
          EXPECT_TRUE(answer.flags & SYNFP_SOCKET_TRUNCATED);
        }
      } else {
        EXPECT_EQ(answer.status, syncookies == 2 ? SYNFP_SOCKET_UNKNOWN : SYNFP_SOCKET_TOO_LONG);
        EXPECT_EQ(answer.ip_length, 0);
      }
    }
  }
}

// A listener that was closed and opened again, and a client that comes again from the same port.
TEST_F(socket_attacks, the_same_ports_again) {
  const auto probe = open_probe(hosts_, group_);
  const packet_socket wire = hosts_.server.inside([] { return packet_socket("s0"); });
  // The table has room for four SYNs of one key that came shortly after each other.
  std::uint16_t port = 42'000;
  for (const int syncookies : {2, 0, 1, 2, 2, 0, 2}) {
    const endpoint from = endpoint::v4(10, 77, 0, 2, ++port);
    cookies(syncookies);
    const fd at = listener("10.77.0.1:8091", hosts_);
    for (const bool closed_by_server : {true, false, true}) {
      fd client = hosts_.client.inside([&] { return connected(local_of(at.get()), from); });
      fd server = accepted(at);
      ASSERT_TRUE(server);
      EXPECT_EQ(headers_of(answer_of(server.get())), wire.next(from.port(), 8091, syn));
      if (!closed_by_server) {
        reset(std::move(client));
        continue;
      }
      // The server's side stays in TIME_WAIT, and its connection is replaced by the client's next one.
      (void)::shutdown(server.get(), SHUT_WR);
      char end;
      EXPECT_EQ(::recv(client.get(), &end, 1, 0), 0);
      client = fd();
      EXPECT_EQ(::recv(server.get(), &end, 1, 0), 0);
    }
  }
}

/// The runs of the newest program of this name.
std::uint64_t runs_of(const std::string& name) {
  std::uint64_t runs = 0;
  for (__u32 id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
    const fd program(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    __u32 length = sizeof info;
    if (program && bpf_obj_get_info_by_fd(program.get(), &info, &length) == 0 && name.starts_with(info.name))
      runs = info.run_cnt;
  }
  return runs;
}

// Segments of an accepted connection do not run the program.
TEST_F(socket_attacks, segments_cost_nothing) {
  const fd statistics(bpf_enable_stats(BPF_STATS_RUN_TIME));
  ASSERT_TRUE(statistics);
  const auto probe = open_probe(hosts_, group_);
  for (const int syncookies : {0, 2}) {
    cookies(syncookies);
    const fd at = listener("10.77.0.1:0", hosts_);
    const fd client = hosts_.client.inside([&] { return connected(local_of(at.get())); });
    const fd server = accepted(at);
    const auto before = runs_of("synfp_sockops");
    EXPECT_GT(before, 0U);
    for (int i = 0; i < 1000; ++i) {
      char c = 'x';
      ASSERT_EQ(::send(client.get(), &c, 1, 0), 1);
      ASSERT_EQ(::recv(server.get(), &c, 1, 0), 1);
      ASSERT_EQ(::send(server.get(), &c, 1, 0), 1);
      ASSERT_EQ(::recv(client.get(), &c, 1, 0), 1);
    }
    EXPECT_EQ(runs_of("synfp_sockops"), before);
  }
}

// A connection of another network namespace, of the same addresses and ports, says nothing of a record that a
// program of an interface made.
TEST_F(socket_attacks, another_network_namespace_contradicts_nothing) {
  const two_hosts others;
  const auto probe = hosts_.server.inside([&] {
    synfp::capture::probe_options options;
    options.cgroups = {group_.path()};
    options.interfaces = {"s0"};
    return synfp::capture::probe<probe_config{.hook = hook::xdp, .buckets = 64}>(options);
  });
  const endpoint from = endpoint::v4(10, 77, 0, 2, 43'000);
  const std::string at = "10.77.0.1:8092";
  const fd here = listener(at, hosts_), there = listener(at, others);
  const fd client = hosts_.client.inside([&] { return connected(*endpoint::parse(at), from); });
  const fd server = accepted(here);
  const fd other_client = others.client.inside([&] { return connected(*endpoint::parse(at), from); });
  const fd other_server = accepted(there);
  ASSERT_TRUE(server && other_server);
  const auto found = probe.find({server.get(), from, *endpoint::parse(at)}, synfp::capture::now_ns());
  ASSERT_TRUE(found) << to_string(found.miss);
  EXPECT_EQ(to_string(found.proof), to_string(synfp::proof::verified));
  EXPECT_NE(headers_of(answer_of(server.get())), headers_of(answer_of(other_server.get())));
}

}  // namespace
