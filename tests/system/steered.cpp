// SPDX-License-Identifier: MIT
// A listener bound to one address is handed connections to others (sk_lookup; TPROXY does the same). What
// accept() says of each is the address that the client connected to, and the SYN is its own: a SYN from the
// same client port to the listener's own address opened something else.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <steer_object.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/net/listener.hpp>
#include <tuple>

#include "../support/hooks.hpp"
#include "../support/packet_socket.hpp"
#include "../support/process.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::endpoint;
using synfp::hook;
using synfp::miss;
using synfp::probe_config;
using synfp::proof;

/// Steers connections to port 80 of the calling thread's network namespace to a listening socket.
class steering {
 public:
  explicit steering(int listener)
      : object_(bpf_object__open_mem(steer_object::words, steer_object::size, nullptr)) {
    must(object_ != nullptr && bpf_object__load(object_.get()) == 0, "load steer.bpf.c");
    const std::uint32_t zero = 0;
    const auto value = static_cast<std::uint64_t>(listener);
    const int map = bpf_map__fd(bpf_object__find_map_by_name(object_.get(), "listener"));
    must(bpf_map_update_elem(map, &zero, &value, BPF_ANY) == 0, "give the listener to steer.bpf.c");
    const fd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    link_.reset(
        bpf_program__attach_netns(bpf_object__find_program_by_name(object_.get(), "steer"), here.get()));
    must(link_ != nullptr, "attach steer.bpf.c");
  }

 private:
  struct closer {
    void operator()(bpf_object* o) const { bpf_object__close(o); }
    void operator()(bpf_link* l) const { bpf_link__destroy(l); }
  };
  std::unique_ptr<bpf_object, closer> object_;
  std::unique_ptr<bpf_link, closer> link_;
};

struct way {
  const char* name;
  const char* listen;
  const char* connect;
};
inline void PrintTo(const way& what, std::ostream* to) { *to << what.name; }
constexpr way ways[] = {
    {"port", "10.77.0.1:8080", "10.77.0.1:80"},
    {"address", "10.77.0.1:8080", "10.77.0.7:80"},
    {"v6", "[fd77::1]:8080", "[fd77::7]:80"},
    {"v4_to_dual_stack", "[::]:8080", "10.77.0.7:80"},
};

synfp::io::task<> accept_one(synfp::net::listener& from, std::optional<synfp::net::accepted>& to) {
  auto one = co_await from.accept();
  if (one) to = *std::move(one);
}

class steered : public testing::TestWithParam<std::tuple<way, int>> {
 protected:
  const way& how() const { return std::get<0>(GetParam()); }
  bool cookies() const { return std::get<1>(GetParam()) == 2; }

  /// Four connections. Before the third and the fourth a SYN with other options comes from the client's port
  /// to the address that the listener is bound to, if it is one. `expected`: the proof of the source's
  /// answers.
  template <class Source>
  void check(Source& source, synfp::capture_source from, proof expected) {
    hosts_.server.sysctl("net/ipv4/tcp_syncookies", std::to_string(std::get<1>(GetParam())));
    hosts_.server.inside(
        [] { synfp::tools::ip("addr add 10.77.0.7/32 dev s0\naddr add fd77::7/128 dev s0 nodad\n"); });
    const endpoint bound_to = *endpoint::parse(how().listen), to = *endpoint::parse(how().connect);
    fd socket = hosts_.server.inside([&] { return bound(bound_to); });
    ASSERT_TRUE(source.prepare(socket.get(), true));
    ASSERT_EQ(::listen(socket.get(), 16), 0);
    const auto steer = hosts_.server.inside([&] { return std::make_unique<steering>(socket.get()); });
    const packet_socket wire = hosts_.server.inside([] { return packet_socket("s0"); });
    const packet_socket forger = hosts_.client.inside([] { return packet_socket("c0"); });

    auto ring = synfp::io::ring::create({});
    ASSERT_TRUE(ring) << ring.error().message;
    synfp::net::lookup_handler<Source> lookups(source);
    auto made = synfp::net::listener::create(**ring, ::dup(socket.get()), &lookups);
    ASSERT_TRUE(made) << made.error().message;
    for (std::uint16_t round = 0; round < 4; ++round) {
      const auto port = static_cast<std::uint16_t>(46'000 + round);
      const endpoint client_address = to.is_v4()
                                          ? endpoint::v4(10, 77, 0, 2, port)
                                          : endpoint::v6(endpoint::parse("[fd77::2]:0")->address(), port);
      if (round >= 2 && bound_to.is_v4() == to.is_v4()) send_forgery(forger, client_address, bound_to);

      const fd client = hosts_.client.inside([&] { return connected(to, client_address); });
      std::optional<synfp::net::accepted> a;
      synfp::spawn(accept_one(*made, a));
      for (int turn = 0; turn < 5000 && !a; ++turn) {
        (*ring)->poll();
        ::usleep(1000);
      }
      ASSERT_TRUE(a);
      EXPECT_EQ(a->local, to);
      EXPECT_EQ(a->peer, client_address);
      const bytes own = wire.next(port, to.port(), syn);
      ASSERT_FALSE(own.empty());
      if (expected == proof::none) {
        EXPECT_EQ(to_string(a->syn.miss), to_string(miss::cookie));
        continue;
      }
      EXPECT_TRUE(a->syn) << to_string(a->syn.miss) << " in round " << round;
      if (!a->syn) continue;
      EXPECT_TRUE(std::ranges::equal(a->syn->bytes(), own)) << "round " << round;
      EXPECT_EQ(a->syn.source, from);
      EXPECT_EQ(to_string(a->syn.proof), to_string(expected));
    }
    (*ring)->stop();
    EXPECT_TRUE((*ring)->run());
  }

  template <hook H>
  void check_probe(synfp::capture_source from, proof expected) {
    const auto options = watching(H, "s0");
    auto opened = hosts_.server.inside(
        [&] { return synfp::capture::probe<probe_config{.hook = H, .buckets = 64}>::open(options); });
    ASSERT_TRUE(opened) << opened.error().message;
    check(*opened, from, expected);
  }

 private:
  /// Waits for the answer, which the client's kernel refuses: no request of it stays.
  void send_forgery(const packet_socket& forger, const endpoint& from, const endpoint& to) {
    packet_builder p;
    p.to_mac = {2, 0, 0, 0, 0, 1};
    p.from_mac = {2, 0, 0, 0, 0, 2};
    p.source = from;
    p.destination = to;
    p.sequence = 4711;
    p.options = {2, 4, 5, 180};
    hosts_.client.inside([&] { forger.send(p.frame()); });
    ASSERT_FALSE(forger.next(to.port(), from.port(), static_cast<std::uint8_t>(syn | ack)).empty());
  }

  two_hosts hosts_;
};

TEST_P(steered, connections_have_their_own_local_and_syn_reuseport) {
  check_probe<hook::reuseport>(synfp::capture_source::reuseport, cookies() ? proof::verified : proof::tuple);
}

TEST_P(steered, connections_have_their_own_local_and_syn_xdp) {
  check_probe<hook::xdp>(synfp::capture_source::xdp, proof::tuple);
}

TEST_P(steered, connections_have_their_own_local_and_syn_tcx) {
  check_probe<hook::tcx>(synfp::capture_source::tcx, proof::tuple);
}

TEST_P(steered, connections_have_their_own_local_and_syn_saved_syn) {
  synfp::capture::saved_syn kept;
  check(kept, synfp::capture_source::saved_syn, cookies() ? proof::none : proof::exact);
}

INSTANTIATE_TEST_SUITE_P(all, steered, testing::Combine(testing::ValuesIn(ways), testing::Values(0, 2)),
                         [](const testing::TestParamInfo<std::tuple<way, int>>& one) {
                           return std::string(std::get<0>(one.param).name) + "_cookies" +
                                  std::to_string(std::get<1>(one.param));
                         });

}  // namespace
