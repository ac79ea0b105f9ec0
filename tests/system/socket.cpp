// SPDX-License-Identifier: MIT
// The SYN on the socket: plain getsockopt() of a server that knows nothing of synfp.
#include <gtest/gtest.h>

#include <synfp/socket.h>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <synfp/capture/probe.hpp>
#include <tuple>
#include <vector>

#include "../support/cgroup.hpp"
#include "../support/hooks.hpp"
#include "../support/kprobes.hpp"
#include "../support/packet_socket.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::endpoint;
using synfp::hook;
using synfp::probe_config;

/// TCP_SAVED_SYN, or empty.
bytes saved_syn_of(int fd, socklen_t room = 256) {
  bytes b(room);
  socklen_t n = room;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, b.data(), &n) != 0) return {};
  b.resize(n);
  return b;
}

struct route {
  const char* name;
  const char* interface;
  const char* listen;
  const char* connect;
};
constexpr route routes[] = {
    {"v4", "s0", "10.77.0.1:0", "10.77.0.1:0"},
    {"v6", "s0", "[::]:0", "[fd77::1]:0"},
    {"v4_on_dual_stack", "s0", "[::]:0", "10.77.0.1:0"},
    {"link_local", "s0", "[::]:0", "[fe80::1]:0"},
};

template <hook H>
synfp::capture::probe<probe_config{.hook = H, .buckets = 64}> open_probe(const two_hosts& hosts,
                                                                         const std::string& cgroup) {
  auto options = watching(H, "s0");
  options.cgroups = {cgroup};
  return hosts.server.inside([&] {
    auto opened = synfp::capture::probe<probe_config{.hook = H, .buckets = 64}>::open(options);
    if (!opened) throw synfp::tools::failure(opened.error().message);
    return *std::move(opened);
  });
}

using parameters = std::tuple<int, hook, int, int>;
class socket_syn : public testing::TestWithParam<parameters> {
 protected:
  static inline std::unique_ptr<two_hosts> hosts;
  static inline std::unique_ptr<cgroup> group;
  static void SetUpTestSuite() {
    hosts = std::make_unique<two_hosts>();
    group = std::make_unique<cgroup>();
  }
  static void TearDownTestSuite() {
    hosts.reset();
    group.reset();
  }

  template <hook H>
  void check() {
    const auto& [route_index, unused, cookies, save_syn] = GetParam();
    const route& r = routes[route_index];
    hosts->server.sysctl("net/ipv4/tcp_syncookies", std::to_string(cookies));
    auto probe = open_probe<H>(*hosts, group->path());
    const packet_socket wire = hosts->server.inside([&] { return packet_socket(r.interface); });
    const fd listener = hosts->server.inside([&] {
      const cgroup::membership inside(*group);
      return bound(*endpoint::parse(r.listen));
    });
    if (save_syn != 0)
      must(::setsockopt(listener.get(), IPPROTO_TCP, TCP_SAVE_SYN, &save_syn, sizeof save_syn) == 0,
           "save the SYN");
    ASSERT_TRUE(probe.prepare(listener.get(), true));
    ASSERT_EQ(::listen(listener.get(), 16), 0);
    endpoint to = *endpoint::parse(r.connect);
    to.set_port(local_of(listener.get()).port());
    if (to.is_link_local())
      to = endpoint::v6(to.address(), to.port(), hosts->client.inside([] { return ::if_nametoindex("c0"); }));

    for (int round = 0; round < 3; ++round) {
      const fd client = hosts->client.inside([&] { return connected(to); });
      const fd server = accepted(listener);
      ASSERT_TRUE(server);
      const auto seen = wire.next(peer_of(server.get()).port(), to.port(), 2);
      ASSERT_FALSE(seen.empty());

      struct synfp_socket_answer answer {};
      ASSERT_EQ(synfp_socket_syn(server.get(), &answer), 0) << std::strerror(errno);
      ASSERT_EQ(answer.status, SYNFP_SOCKET_FOUND);
      EXPECT_EQ(answer.proof, cookies == 2 ? SYNFP_SOCKET_VERIFIED : SYNFP_SOCKET_EXACT);
      EXPECT_EQ(bytes(answer.headers, answer.headers + answer.ip_length + answer.tcp_length),
                bytes(seen.begin(), seen.end()));

      if (save_syn == 2) {
        const bytes whole = saved_syn_of(server.get());
        ASSERT_EQ(whole.size(), 14 + seen.size());
        EXPECT_TRUE(std::equal(seen.begin(), seen.end(), whole.begin() + 14));
        EXPECT_EQ(bytes(whole.begin(), whole.begin() + 6), (bytes{2, 0, 0, 0, 0, 1}));
        EXPECT_EQ(bytes(whole.begin() + 6, whole.begin() + 12), (bytes{2, 0, 0, 0, 0, 2}));
      } else {
        EXPECT_EQ(saved_syn_of(server.get()), bytes(seen.begin(), seen.end()));
      }
      EXPECT_EQ(saved_syn_of(server.get()), bytes()) << "it is answered once";
    }
  }
};

TEST_P(socket_syn, is_answered) {
  if (std::get<1>(GetParam()) == hook::kprobe) SYNFP_NEEDS_KPROBES();
  with_hook(std::get<1>(GetParam()), [this]<hook H>() { check<H>(); });
}

std::string name_of(const testing::TestParamInfo<parameters>& info) {
  const auto& [r, h, cookies, save_syn] = info.param;
  return hook_name(h) + '_' + routes[r].name + "_cookies" + std::to_string(cookies) + "_save" +
         std::to_string(save_syn);
}
INSTANTIATE_TEST_SUITE_P(sockops, socket_syn,
                         testing::Combine(testing::Range(0, 4), testing::Values(hook::sockops),
                                          testing::Range(1, 3), testing::Range(0, 3)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(others, socket_syn,
                         testing::Combine(testing::Range(0, 4), testing::ValuesIn(packet_hooks()),
                                          testing::Range(1, 3), testing::Range(0, 2)),
                         name_of);

/// What is said of a connection to `where` with such a probe, and its counters.
template <probe_config C>
std::pair<int, std::array<std::uint64_t, synfp::SYNFP_COUNTERS>> status_with(std::vector<std::uint16_t> ports,
                                                                             const char* where, int cookies) {
  const two_hosts hosts;
  const cgroup group;
  hosts.server.sysctl("net/ipv4/tcp_syncookies", std::to_string(cookies));
  const fd listener = hosts.server.inside([&] {
    const cgroup::membership inside(group);
    return bound(*endpoint::parse("[::]:8080"));
  });
  synfp::capture::probe_options options;
  options.cgroups = {group.path()};
  options.ports = std::move(ports);
  auto probe = hosts.server.inside([&] { return synfp::capture::probe<C>::open(options); });
  if (!probe) throw synfp::tools::failure(probe.error().message);
  must(::listen(listener.get(), 16) == 0, "listen");
  const fd client = hosts.client.inside([&] { return connected(*endpoint::parse(where)); });
  const fd server = accepted(listener);
  struct synfp_socket_answer answer {};
  must(server && synfp_socket_syn(server.get(), &answer) == 0, "ask");
  return {static_cast<int>(answer.status), probe->records().counters()};
}

TEST(socket_filter, another_family_is_left_alone_and_counted) {
  constexpr probe_config config{.hook = hook::sockops, .families = synfp::families::ipv6, .buckets = 64};
  for (const int cookies : {1, 2}) {
    const auto [v4, counted] = status_with<config>({}, "10.77.0.1:8080", cookies);
    EXPECT_EQ(v4, SYNFP_SOCKET_UNKNOWN) << cookies;
    EXPECT_GE(counted[synfp::SYNFP_COUNT_OTHER_FAMILY], 1U) << cookies;
    EXPECT_EQ(counted[synfp::SYNFP_COUNT_STORED], 0U) << cookies;
    const auto [v6, stored] = status_with<config>({}, "[fd77::1]:8080", cookies);
    EXPECT_EQ(v6, SYNFP_SOCKET_FOUND) << cookies;
    EXPECT_EQ(stored[synfp::SYNFP_COUNT_OTHER_FAMILY], 0U) << cookies;
  }
}

TEST(socket_filter, another_port_is_left_alone_and_counted) {
  constexpr probe_config config{.hook = hook::sockops, .buckets = 64};
  for (const int cookies : {1, 2}) {
    const auto [other, counted] = status_with<config>({443}, "10.77.0.1:8080", cookies);
    EXPECT_EQ(other, SYNFP_SOCKET_UNKNOWN) << cookies;
    EXPECT_GE(counted[synfp::SYNFP_COUNT_OTHER_PORT], 1U) << cookies;
    const auto [wanted, stored] = status_with<config>({443, 8080}, "10.77.0.1:8080", cookies);
    EXPECT_EQ(wanted, SYNFP_SOCKET_FOUND) << cookies;
    EXPECT_EQ(stored[synfp::SYNFP_COUNT_OTHER_PORT], 0U) << cookies;
  }
}

}  // namespace
