// SPDX-License-Identifier: MIT
// The ingress of interfaces, which belongs to others as well: their programs and filters run as before, and
// nothing of the probe stays. By a link where the kernel has it, else by a filter of tc; the filter is also
// tried by itself on every kernel.
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/pkt_cls.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <synfp/capture/probe.hpp>

#include "../support/bpf_run.hpp"
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
using synfp::capture::attach_mode;
using synfp::capture::now_ns;
using synfp::capture::probe;
using synfp::capture::detail::clsact_filter;
using testing::HasSubstr;

constexpr probe_config config{.hook = hook::tcx, .buckets = 64, .hold{0}};
using probe_type = probe<config>;

bool eventually(const auto& holds) {
  for (const std::uint64_t until = now_ns() + 5'000'000'000; now_ns() < until; ::sched_yield()) {
    if (holds()) return true;
  }
  return false;
}

/// A program at tc that does nothing but return `verdict`.
fd foreign_program(int verdict) {
  const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, verdict}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  return fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", code, 2, nullptr));
}
fd tcx_link(const fd& program, const char* interface) {
  return fd(bpf_link_create(program.get(), static_cast<int>(::if_nametoindex(interface)),
                            synfp::capture::detail::tcx_ingress, nullptr));
}
bool kernel_has_tcx() {
  const network_namespace ns;
  return ns.inside([] { return static_cast<bool>(tcx_link(foreign_program(TC_ACT_UNSPEC), "lo")); });
}
/// How many programs are attached to an interface by links.
int links_on(const char* interface) {
  __u32 ids[16] = {}, count = 16;
  must(bpf_prog_query(static_cast<int>(::if_nametoindex(interface)), synfp::capture::detail::tcx_ingress, 0,
                      nullptr, ids, &count) == 0,
       "ask for the programs of an interface");
  return static_cast<int>(count);
}

/// libbpf wants what it does not know to be zero, padding included, which `{}` leaves as it is.
template <class T>
void clear(T& options) {
  std::memset(static_cast<void*>(&options), 0, sizeof options);
  options.sz = sizeof options;
}

/// What `tc` would show: kind clsact and filters of the calling thread's interface.
std::string clsact_of(const char* interface) {
  bpf_tc_hook at;
  clear(at);
  at.ifindex = static_cast<int>(::if_nametoindex(interface));
  at.attach_point = BPF_TC_INGRESS;
  // A second one is refused; one that this made is taken off again.
  const int made = bpf_tc_hook_create(&at);
  if (made == -EEXIST) return "there";
  at.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
  must(made == 0 && bpf_tc_hook_destroy(&at) == 0, "make clsact and take it off");
  return "none";
}

/// Somebody else's filter, with a clsact that they made if there was none.
struct foreign_filter {
  foreign_filter(const char* interface, int verdict, bpf_tc_attach_point where = BPF_TC_INGRESS,
                 __u32 priority = 0)
      : program(foreign_program(verdict)) {
    clear(at);
    at.ifindex = static_cast<int>(::if_nametoindex(interface));
    at.attach_point = where;
    const int made = bpf_tc_hook_create(&at);
    clear(options);
    options.prog_fd = program.get();
    options.priority = priority;
    must((made == 0 || made == -EEXIST) && bpf_tc_attach(&at, &options) == 0, "attach a filter");
  }
  bool is_there() const {
    bpf_tc_opts asked;
    clear(asked);
    asked.handle = options.handle;
    asked.priority = options.priority;
    return bpf_tc_query(&at, &asked) == 0 && asked.prog_id == options.prog_id;
  }
  void remove() {
    bpf_tc_opts which;
    clear(which);
    which.handle = options.handle;
    which.priority = options.priority;
    must(bpf_tc_detach(&at, &which) == 0, "remove a filter");
  }
  fd program;
  bpf_tc_hook at;
  bpf_tc_opts options;
};

/// A server that listens on port 8080, and frames from its client.
class tcx : public testing::Test {
 protected:
  template <class F>
  auto on_server(F&& f) {
    return hosts.server.inside(std::forward<F>(f));
  }
  packet_builder syn_from(int port) const {
    packet_builder p;
    p.to_mac = {2, 0, 0, 0, 0, 1};
    p.from_mac = {2, 0, 0, 0, 0, 2};
    p.source = endpoint::v4(10, 77, 0, 2, static_cast<std::uint16_t>(port));
    p.destination = endpoint::v4(10, 77, 0, 1, 8080);
    return p;
  }
  void send(const packet_builder& p, const char* by = "c0") {
    hosts.client.inside([&] { packet_socket(by).send(p.frame()); });
  }
  synfp::syn_lookup find(const probe_type& p, const packet_builder& syn) const {
    return p.find({-1, syn.source, syn.destination}, now_ns());
  }
  bool arrives(const probe_type& p, const packet_builder& syn) {
    send(syn);
    return eventually([&] { return static_cast<bool>(find(p, syn)); });
  }

  two_hosts hosts;
};

TEST_F(tcx, says_how_it_is_attached_and_is_gone_with_its_owner) {
  on_server([&] {
    {
      const probe_type p({.interfaces = {"s0"}});
      ASSERT_EQ(p.attached().size(), 1U);
      EXPECT_EQ(p.attached()[0].name, "s0");
      EXPECT_EQ(to_string(p.attached()[0].mode), kernel_has_tcx() ? "link" : "filter");
      EXPECT_FALSE(p.attached()[0].replaced);
      EXPECT_EQ(kernel_has_tcx() ? links_on("s0") : 1, 1);
      EXPECT_EQ(clsact_of("s0"), kernel_has_tcx() ? "none" : "there");
    }
    EXPECT_EQ(kernel_has_tcx() ? links_on("s0") : 0, 0);
    EXPECT_EQ(clsact_of("s0"), "none");
  });
}

TEST_F(tcx, programs_of_others_run_as_before_and_hide_nothing) {
  if (!kernel_has_tcx()) GTEST_SKIP() << "kernel lacks tcx (6.6)";
  on_server([&] {
    const fd listener = bound(*endpoint::parse("10.77.0.1:8080"));
    must(::listen(listener.get(), 16) == 0, "listen");
    const auto connects = [&] {
      const fd client = hosts.client.inside([&] { return connected(local_of(listener.get())); });
      return static_cast<bool>(accepted(listener));
    };
    // One that drops everything, there before the probe and after.
    const fd drop = foreign_program(TC_ACT_SHOT), take = foreign_program(TC_ACT_OK);
    {
      fd theirs = tcx_link(drop, "s0");
      ASSERT_TRUE(theirs);
      const probe_type p({.interfaces = {"s0"}});
      EXPECT_EQ(links_on("s0"), 2);
      EXPECT_TRUE(arrives(p, syn_from(1))) << "the probe comes first";
      EXPECT_FALSE(readable(listener.get(), 100)) << "and theirs still drops it";
      theirs = fd();
      EXPECT_EQ(links_on("s0"), 1);
      EXPECT_TRUE(connects());
    }
    {
      // One that ends the chain with "accept", and filters of tc behind it.
      const fd theirs = tcx_link(take, "s0");
      foreign_filter filter("s0", TC_ACT_SHOT);
      const probe_type p({.interfaces = {"s0"}});
      EXPECT_TRUE(arrives(p, syn_from(2)));
      EXPECT_TRUE(connects()) << "theirs lets it pass before the filter";
      EXPECT_TRUE(filter.is_there());
      filter.remove();
    }
    {
      foreign_filter filter("s0", TC_ACT_SHOT);
      const probe_type p({.interfaces = {"s0"}});
      EXPECT_TRUE(arrives(p, syn_from(3)));
      filter.remove();
      EXPECT_TRUE(connects());
    }
    EXPECT_EQ(clsact_of("s0"), "there") << "theirs";
  });
}

TEST_F(tcx, goes_beside_xdp_and_beside_another_probe) {
  on_server([&] {
    const probe<probe_config{.hook = hook::xdp, .buckets = 64}> before({.interfaces = {"s0"}});
    const probe_type one({.interfaces = {"s0"}}), two({.interfaces = {"s0"}});
    const auto syn = syn_from(1);
    EXPECT_TRUE(arrives(one, syn));
    EXPECT_TRUE(eventually([&] { return static_cast<bool>(find(two, syn)); }));
    EXPECT_TRUE(before.find({-1, syn.source, syn.destination}, now_ns()));
  });
}

// The kernel takes the outermost tag off before the program runs; BPF_PROG_TEST_RUN does not.
TEST_F(tcx, vlan_tags_that_the_kernel_has_taken_off_are_kept) {
  on_server([&] {
    const probe_type p({.interfaces = {"s0"}});
    int port = 0;
    for (const bool v6 : {false, true}) {
      for (const auto& tags : {std::vector<std::pair<std::uint16_t, std::uint16_t>>{{0x8100, 0xe064}},
                               {{0x88a8, 7}, {0x8100, 4095}},
                               {{0x8100, 0}, {0x8100, 2}, {0x8100, 3}}}) {
        packet_builder syn = syn_from(++port);
        if (v6) {
          syn.source = *endpoint::parse("[fd77::2]:" + std::to_string(port));
          syn.destination = *endpoint::parse("[fd77::1]:8080");
        }
        syn.vlan = tags;
        ASSERT_TRUE(arrives(p, syn)) << port;
        const auto found = find(p, syn);
        for (std::size_t i = 0; i < 2; ++i)
          EXPECT_EQ(found->arrived().vlan[i], i < tags.size() ? 0x8000 | (tags[i].second & 0xfff) : 0);
        EXPECT_EQ(found->arrived().ifindex, ::if_nametoindex("s0"));
        EXPECT_TRUE(std::ranges::equal(found->bytes(), syn.ip()));
      }
    }
    const auto before = p.records().counters();
    packet_builder syn = syn_from(++port);
    syn.vlan.assign(8, {0x8100, 5});
    EXPECT_TRUE(arrives(p, syn)) << "eight, one of them taken off";
    syn = syn_from(++port);
    syn.vlan.assign(9, {0x8100, 5});
    send(syn);
    EXPECT_TRUE(eventually([&] {
      return p.records().counters()[synfp::SYNFP_COUNT_VLAN] == before[synfp::SYNFP_COUNT_VLAN] + 1;
    })) << "nine";
  });
}

// A tunnel has no Ethernet header.
TEST_F(tcx, a_device_without_ethernet) {
  on_server([&] {
    fd tunnel(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (!tunnel) GTEST_SKIP() << "kernel lacks tun";
    ifreq request{};
    std::strcpy(request.ifr_name, "t0");
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (::ioctl(tunnel.get(), TUNSETIFF, &request) != 0) GTEST_SKIP() << "kernel lacks tun";
    synfp::tools::ip("link set t0 up\naddr add 10.78.0.1/24 dev t0\n");
    const probe_type p({.interfaces = {"t0"}});
    packet_builder syn = syn_from(77);
    syn.source = endpoint::v4(8, 0, 0, 2, 77);  // where Ethernet would say "IPv4"
    syn.destination = endpoint::v4(10, 78, 0, 1, 8080);
    const bytes packet = syn.ip();
    ASSERT_EQ(::write(tunnel.get(), packet.data(), packet.size()), static_cast<ssize_t>(packet.size()));
    EXPECT_TRUE(eventually([&] { return static_cast<bool>(find(p, syn)); }));
  });
}

/// The same for every hook of interfaces.
template <hook H>
void check_several(two_hosts& hosts) {
  hosts.server.connect(hosts.client, "s1", "c1");
  hosts.client.inside([] { synfp::tools::ip("link set c1 up\n"); });
  hosts.server.inside([&] {
    synfp::tools::ip("link set s1 up\n");
    constexpr probe_config c{.hook = H, .buckets = 64};
    using several = probe<c>;
    {
      const several p({.interfaces = {"s1", "s0"}});
      ASSERT_EQ(p.attached().size(), 2U);
      EXPECT_EQ(p.attached()[0].name, "s1");
      EXPECT_EQ(p.attached()[1].name, "s0");
      for (const char* by : {"c0", "c1"}) {
        packet_builder syn;
        syn.source = endpoint::v4(192, 0, 2, 7, static_cast<std::uint16_t>(by[1]));
        hosts.client.inside([&] { packet_socket(by).send(syn.frame()); });
        const auto find = [&] { return p.find({-1, syn.source, syn.destination}, now_ns()); };
        ASSERT_TRUE(eventually([&] { return static_cast<bool>(find()); })) << by;
        EXPECT_EQ(find()->arrived().ifindex, ::if_nametoindex(by[1] == '0' ? "s0" : "s1"));
      }
    }
    const auto missing = several::open({.interfaces = {"s0", "nosuch0"}});
    ASSERT_FALSE(missing);
    EXPECT_THAT(missing.error().message, HasSubstr("'nosuch0'"));
    const auto twice = several::open({.interfaces = {"s0", "s1", "s0"}});
    ASSERT_FALSE(twice);
    EXPECT_THAT(twice.error().message, HasSubstr("s0 is named twice"));
    const auto none = several::open();
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message, HasSubstr("hook::" + hook_name(H) + " needs"));
  });
}

TEST(interfaces, all_are_watched_or_none) {
  for (const hook where : all_hooks()) {
    if (watching(where, "s0").interfaces.empty()) continue;
    SCOPED_TRACE(hook_name(where));
    two_hosts hosts;
    with_hook(where, [&]<hook H>() { check_several<H>(hosts); });
    // What failed with the second interface has left the first one free.
    hosts.server.inside([] {
      __u32 id = 1;
      EXPECT_EQ(bpf_xdp_query_id(static_cast<int>(::if_nametoindex("s0")), 0, &id), 0);
      EXPECT_EQ(id, 0U);
      EXPECT_EQ(kernel_has_tcx() ? links_on("s0") : 0, 0);
      EXPECT_EQ(clsact_of("s0"), "none");
    });
  }
}

// ---- by a filter, as on kernels before 6.6

/// The program of hook tcx as a filter of s0.
struct own_filter {
  own_filter() : object("synfp_tcx", config, config.conflict_window.ns()) {}
  std::uint32_t id() const {
    bpf_prog_info info{};
    __u32 length = sizeof info;
    must(bpf_obj_get_info_by_fd(object.program(), &info, &length) == 0, "ask about a program");
    return info.id;
  }
  int add() { return filter.add(object.program(), id(), "synfp_tcx", ::if_nametoindex("s0")); }
  std::uint64_t stored() const {
    return synfp::capture::table::attach(object.fds())->counters()[synfp::SYNFP_COUNT_STORED];
  }
  raw_object object;
  clsact_filter filter;
};

class tc_filter : public tcx {
 protected:
  bool sees(const own_filter& f, int port) {
    const auto before = f.stored();
    send(syn_from(port));
    return eventually([&] { return f.stored() == before + 1; });
  }
};

TEST_F(tc_filter, leaves_nothing_behind) {
  auto f = std::make_unique<own_filter>();
  on_server([&] {
    ASSERT_EQ(f->add(), 0);
    EXPECT_EQ(clsact_of("s0"), "there");
    EXPECT_TRUE(sees(*f, 1));
    EXPECT_FALSE(f->filter.replaced());
    clsact_filter second;
    EXPECT_EQ(second.add(f->object.program(), f->id(), "synfp_tcx", ::if_nametoindex("lo")), 0)
        << "one program, two interfaces";
  });
  f.reset();  // in another network namespace than the interface's
  on_server([] { EXPECT_EQ(clsact_of("s0"), "none"); });
}

TEST_F(tc_filter, leaves_what_is_somebody_elses) {
  on_server([&] {
    {  // theirs was there before
      foreign_filter theirs("s0", TC_ACT_SHOT);
      auto f = std::make_unique<own_filter>();
      ASSERT_EQ(f->add(), 0);
      EXPECT_TRUE(sees(*f, 1)) << "the newest is the first";
      f.reset();
      EXPECT_TRUE(theirs.is_there());
      theirs.remove();
      EXPECT_EQ(clsact_of("s0"), "there") << "they made it";
      theirs.at.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
      ASSERT_EQ(bpf_tc_hook_destroy(&theirs.at), 0);
    }
    for (const auto where : {BPF_TC_INGRESS, BPF_TC_EGRESS}) {  // theirs came later, into the clsact of ours
      auto f = std::make_unique<own_filter>();
      ASSERT_EQ(f->add(), 0);
      foreign_filter theirs("s0", TC_ACT_UNSPEC, where);
      EXPECT_TRUE(sees(*f, 2));
      f.reset();
      EXPECT_TRUE(theirs.is_there());
      EXPECT_EQ(clsact_of("s0"), "there");
      theirs.at.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
      ASSERT_EQ(bpf_tc_hook_destroy(&theirs.at), 0);
    }
    {  // they removed everything, and made a clsact of their own
      auto f = std::make_unique<own_filter>();
      ASSERT_EQ(f->add(), 0);
      bpf_tc_hook all{};
      all.sz = sizeof all;
      all.ifindex = static_cast<int>(::if_nametoindex("s0"));
      all.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
      ASSERT_EQ(bpf_tc_hook_destroy(&all), 0);
      all.attach_point = BPF_TC_INGRESS;
      ASSERT_EQ(bpf_tc_hook_create(&all), 0);
      f.reset();
      EXPECT_EQ(clsact_of("s0"), "there");
    }
  });
}

// The kernel itself would put ours behind those of priorities below 32768.
TEST_F(tc_filter, is_before_those_whose_priority_somebody_chose) {
  for (const __u32 priority : {7U, 2U, 1U}) {
    SCOPED_TRACE(priority);
    on_server([&] {
      foreign_filter theirs("s0", TC_ACT_SHOT, BPF_TC_INGRESS, priority);
      own_filter f, second;
      ASSERT_EQ(f.add(), 0);
      EXPECT_TRUE(sees(f, 1));
      ASSERT_EQ(second.add(), 0);
      EXPECT_TRUE(sees(second, 2));
      theirs.remove();
    });
  }
}

TEST_F(tc_filter, says_when_it_cannot_be_the_first) {
  on_server([&] {
    namespace detail = synfp::capture::detail;
    const foreign_filter makes_clsact("s0", TC_ACT_UNSPEC);
    const fd theirs = foreign_program(TC_ACT_SHOT);
    detail::tc_request request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, ::if_nametoindex("s0"),
                               TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
    request.body().tcm_info = TC_H_MAKE(1U << 16, static_cast<std::uint32_t>(htons(ETH_P_IP)));
    request.add(TCA_KIND, "bpf");
    rtattr* const options = request.add(TCA_OPTIONS | NLA_F_NESTED, nullptr, 0);
    request.add(TCA_BPF_FD, static_cast<std::uint32_t>(theirs.get()));
    request.add(TCA_BPF_NAME, "theirs");
    request.end(options);
    detail::tc_socket socket;
    ASSERT_EQ(socket.open(), 0);
    ASSERT_EQ(socket.ask(request), 0);
    own_filter f;
    EXPECT_EQ(f.add(), EBUSY);
    EXPECT_THAT(detail::no_ingress("s0", EBUSY).message, HasSubstr("a filter there has the first priority"));
  });
}

TEST_F(tc_filter, takes_the_place_of_a_killed_process_but_not_of_a_living_one) {
  on_server([&] {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const fd from(ends[0]), to(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
      own_filter f;
      const int error = f.add();
      (void)!::write(to.get(), &error, sizeof error);
      for (;;) ::pause();
    }
    int error = -1;
    ASSERT_EQ(::read(from.get(), &error, sizeof error), static_cast<ssize_t>(sizeof error));
    ASSERT_EQ(error, 0);
    {
      own_filter beside;
      ASSERT_EQ(beside.add(), 0);
      EXPECT_FALSE(beside.filter.replaced()) << "its owner lives";
      EXPECT_TRUE(sees(beside, 1));
    }
    EXPECT_EQ(clsact_of("s0"), "there");

    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    own_filter after;
    ASSERT_EQ(after.add(), 0);
    EXPECT_TRUE(after.filter.replaced());
    EXPECT_TRUE(sees(after, 2));
    own_filter again;
    ASSERT_EQ(again.add(), 0);
    EXPECT_FALSE(again.filter.replaced()) << "once";
  });
}

// Whoever has given up its rights leaves the filter to the next start.
TEST_F(tc_filter, of_a_process_without_rights_is_left_to_the_next) {
  on_server([&] {
    EXPECT_EQ(in_child([] {
                {
                  own_filter f;
                  if (const int error = f.add(); error != 0) return std::to_string(error);
                  keep_capabilities({});
                }
                return std::string("ended");
              }),
              "ended");
    EXPECT_EQ(clsact_of("s0"), "there");
    own_filter next;
    ASSERT_EQ(next.add(), 0);
    EXPECT_TRUE(next.filter.replaced());
  });
}

TEST_F(tc_filter, needs_an_interface_and_the_right) {
  own_filter f;
  EXPECT_EQ(f.filter.add(f.object.program(), f.id(), "synfp_tcx", 4711), ENODEV);
  on_server([] {
    EXPECT_EQ(in_child([] {
                own_filter g;
                keep_capabilities({});
                return std::to_string(g.add());
              }),
              std::to_string(EPERM));
    EXPECT_EQ(clsact_of("s0"), "none");
  });
}

}  // namespace
