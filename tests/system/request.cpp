// SPDX-License-Identifier: MIT
// hook::kprobe: what tcp_conn_request() shows. Where the kernel cannot attach there it is refused in one
// line, and nothing else is tried; the kernels of tests/kernel61 can.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <memory>
#include <string>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <vector>

#include "../support/bpf_run.hpp"
#include "../support/kprobes.hpp"
#include "../support/process.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::endpoint;
using synfp::hook;
using synfp::miss;
using synfp::probe_config;
using synfp::capture::now_ns;
using synfp::capture::probe;
using synfp::capture::saved_syn;
using synfp::capture::table;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr probe_config on_requests{.hook = hook::kprobe, .buckets = 16};

fd listening_at(const endpoint& at, int protocol = 0) {
  sockaddr_storage address;
  const socklen_t length = at.to_sockaddr(address);
  fd s(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, protocol));
  if (!s) return s;
  must(::bind(s.get(), reinterpret_cast<sockaddr*>(&address), length) == 0, "bind");
  must(::listen(s.get(), 16) == 0, "listen");
  return s;
}
fd listening_at(const char* at) { return listening_at(*endpoint::parse(at)); }

/// A connection in the calling thread's namespace, from port `from` if it is not 0.
struct connection_pair {
  explicit connection_pair(const fd& listener, std::uint16_t from = 0)
      : client(connected(local_of(listener.get()), endpoint::v4(127, 0, 0, 1, from))),
        server(accepted(listener)) {}
  synfp::capture::connection facts() const {
    return {server.get(), peer_of(server.get()), local_of(server.get())};
  }
  fd client, server;
};

/// A connection to `listener`, and what `source` has of it.
template <class Source>
std::string found_of(const fd& listener, const Source& source) {
  const connection_pair one(listener);
  const auto found = source.find(one.facts(), now_ns());
  return found ? "found" : std::string(to_string(found.miss));
}
std::string in_words(const synfp::syn_lookup& l) { return l ? "found" : std::string(to_string(l.miss)); }

TEST(request, a_kernel_without_kprobes_is_named_in_one_line) {
  if (kernel_has_kprobes()) return;
  const auto opened = probe<on_requests>::open();
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message,
              AllOf(HasSubstr("tcp_conn_request()"), HasSubstr("neither BPF trampolines nor kprobes"),
                    HasSubstr("use hook::reuseport"), Not(HasSubstr("\n"))));
  EXPECT_EQ(opened.error().code, synfp::errc::unsupported);
}

TEST(request, a_kernel_without_btf_is_named_and_the_other_hooks_work_there) {
  const auto answer = in_child([] {
    must(::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0 &&
             ::mount("none", "/sys/kernel/btf", "tmpfs", 0, nullptr) == 0,
         "hide the kernel's BTF");
    const auto other = probe<probe_config{.buckets = 16}>::open();
    if (!other) return other.error().message;
    const auto opened = probe<on_requests>::open();
    return opened ? std::string("opened") : opened.error().message;
  });
  EXPECT_THAT(answer, AllOf(HasSubstr("hook::kprobe needs the kernel's BTF"), Not(HasSubstr("\n"))));
}

TEST(request, capabilities_that_are_missing_are_named) {
  const auto refusal = [](std::initializer_list<int> capabilities) {
    return in_child([&] {
      keep_capabilities(capabilities);
      const auto opened = probe<on_requests>::open();
      return opened ? std::string("opened") : opened.error().message;
    });
  };
  EXPECT_THAT(refusal({}), HasSubstr("missing cap_bpf,cap_perfmon;"));
  EXPECT_THAT(refusal({CAP_BPF}), HasSubstr("missing cap_perfmon;"));
  EXPECT_THAT(refusal({CAP_PERFMON, CAP_NET_ADMIN}), HasSubstr("missing cap_bpf;"));
}

TEST(request, options_that_are_not_its_own_are_refused) {
  EXPECT_FALSE(probe<on_requests>::open({.interfaces = {"lo"}}));
  const auto everywhere = probe<probe_config{.buckets = 16}>::open({.all_network_namespaces = true});
  ASSERT_FALSE(everywhere);
  EXPECT_THAT(everywhere.error().message, HasSubstr("only used with hook::kprobe"));
}

TEST(request, two_capabilities_are_enough_and_none_are_needed_afterwards) {
  SYNFP_NEEDS_KPROBES();
  const network_namespace ns;
  const auto answer = ns.inside([] {
    return in_child([] {
      keep_capabilities({CAP_BPF, CAP_PERFMON});
      auto opened = probe<on_requests>::open();
      if (!opened) return opened.error().message;
      keep_capabilities({});
      const fd listener = listening_at("127.0.0.1:0");
      const connection_pair one(listener);
      return in_words(opened->find(one.facts(), now_ns()));
    });
  });
  EXPECT_EQ(answer, "found");
}

/// The program for kernels without trampolines, which open() does not choose where there are some.
TEST(request, a_kprobe_records_what_a_trampoline_does) {
  SYNFP_NEEDS_KPROBES();
  const network_namespace ns;
  ns.inside([] {
    probe<on_requests> usual;
    bpf_prog_info info{};
    __u32 length = sizeof info;
    ASSERT_EQ(bpf_obj_get_info_by_fd(usual.fds().program, &info, &length), 0);
    EXPECT_EQ(info.type, static_cast<__u32>(BPF_PROG_TYPE_TRACING)) << "this kernel has trampolines";

    const raw_object object("synfp_kprobe", on_requests, on_requests.conflict_window.ns());
    const auto link = synfp::capture::detail::attach_to_function(object.program(), false);
    ASSERT_TRUE(link) << link.error().message;
    const auto records = table::attach(object.fds());
    ASSERT_TRUE(records) << records.error().message;
    for (const char* at : {"127.0.0.1:0", "[::1]:0"}) {
      const fd listener = listening_at(at);
      const connection_pair one(listener);
      const auto found = records->find(one.facts(), now_ns());
      ASSERT_TRUE(found) << to_string(found.miss);
      const auto same = usual.find(one.facts(), now_ns());
      ASSERT_TRUE(same) << to_string(same.miss);
      EXPECT_TRUE(std::ranges::equal(found->bytes(), same->bytes()));
      EXPECT_EQ(found->arrived().ifindex, same->arrived().ifindex);
      EXPECT_EQ(found.source, synfp::capture_source::kprobe);
      EXPECT_EQ(found.proof, synfp::proof::tuple);
    }
  });
}

TEST(request, the_link_goes_with_the_probe) {
  SYNFP_NEEDS_KPROBES();
  const network_namespace ns;
  ns.inside([] {
    auto first = std::make_unique<probe<on_requests>>();
    auto shared = probe<on_requests>::share(first->fds());
    ASSERT_TRUE(shared) << shared.error().message;
    const fd listener = listening_at("127.0.0.1:0");
    EXPECT_EQ(found_of(listener, *shared), "found");
    first.reset();
    const auto before = shared->records().counters();
    EXPECT_NE(found_of(listener, *shared), "found");
    EXPECT_EQ(shared->records().counters(), before);
    const probe<on_requests> again;
    EXPECT_EQ(found_of(listener, again), "found");
  });
}

TEST(request, headers_are_the_kernels_own_also_with_options) {
  SYNFP_NEEDS_KPROBES();
  const network_namespace ns;
  ns.inside([] {
    const probe<on_requests> p;
    struct {
      const char* at;
      int level, name;
      std::vector<unsigned char> value;
    } const cases[] = {
        {"127.0.0.1:0", IPPROTO_IP, IP_OPTIONS, {1, 1, 1, 0}},              // no operation
        {"127.0.0.1:0", IPPROTO_IP, IP_TOS, {0x28, 0, 0, 0}},               //
        {"[::1]:0", IPPROTO_IPV6, IPV6_DSTOPTS, {0, 0, 1, 4, 0, 0, 0, 0}},  // one of 8 bytes
        {"[::1]:0", IPPROTO_IPV6, IPV6_HOPOPTS, {0, 0, 1, 4, 0, 0, 0, 0}},
    };
    for (const auto& one : cases) {
      saved_syn kept;
      const fd listener = bound(*endpoint::parse(one.at));
      ASSERT_TRUE(kept.prepare(listener.get(), true));
      ASSERT_EQ(::listen(listener.get(), 16), 0);
      sockaddr_storage address;
      const socklen_t length = local_of(listener.get()).to_sockaddr(address);
      const fd client(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int once = 1;
      ASSERT_EQ(::setsockopt(client.get(), IPPROTO_TCP, TCP_SYNCNT, &once, sizeof once), 0);
      ASSERT_EQ(::setsockopt(client.get(), one.level, one.name, one.value.data(),
                             static_cast<socklen_t>(one.value.size())),
                0);
      ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), length), 0) << one.name;
      const fd server = accepted(listener);
      const synfp::capture::connection c{server.get(), peer_of(server.get()), local_of(server.get())};
      const auto exact = kept.claim(c, now_ns());
      ASSERT_TRUE(exact) << to_string(exact.miss);
      const auto found = p.find(c, now_ns());
      ASSERT_TRUE(found) << to_string(found.miss) << ' ' << one.name;
      EXPECT_TRUE(std::ranges::equal(found->bytes().last(found->tcp().header_length()),
                                     exact->bytes().last(exact->tcp().header_length())))
          << one.name;
      EXPECT_EQ(found->tcp_offset(), exact->tcp_offset()) << one.name;
      // IPv6 extension headers are not kept, only how long they were.
      if (one.level == IPPROTO_IP) {
        EXPECT_TRUE(std::ranges::equal(found->bytes(), exact->bytes())) << one.name;
      }
    }
  });
}

// A listener that takes no reuseport program and has no TCP_SAVED_SYN.
TEST(request, listeners_of_mptcp_have_their_syn) {
  SYNFP_NEEDS_KPROBES();
  const network_namespace ns;
  ns.inside([] {
    const fd listener = listening_at(*endpoint::parse("127.0.0.1:0"), IPPROTO_MPTCP);
    if (!listener) GTEST_SKIP() << "kernel lacks MPTCP";
    const probe<on_requests> p;
    const connection_pair one(listener);
    EXPECT_EQ(in_words(p.find(one.facts(), now_ns())), "found");
  });
}

TEST(request, ports_that_are_not_of_interest_are_counted_and_not_kept) {
  SYNFP_NEEDS_KPROBES();
  const network_namespace ns;
  ns.inside([] {
    const fd wanted = listening_at("127.0.0.1:0"), other = listening_at("127.0.0.1:0");
    const probe<on_requests> p({.ports = {local_of(wanted.get()).port()}});
    EXPECT_EQ(found_of(wanted, p), "found");
    EXPECT_NE(found_of(other, p), "found");
    EXPECT_EQ(p.records().counters()[synfp::SYNFP_COUNT_OTHER_PORT], 1U);
  });
}

/// Two namespaces, in both a listener at 127.0.0.1:8080 and a client at 127.0.0.1:45678: the same key.
class namespaces : public testing::Test {
 protected:
  connection_pair connection_in(const network_namespace& ns) {
    return ns.inside([] {
      const fd listener = listening_at("127.0.0.1:8080");
      return connection_pair(listener, 45678);
    });
  }
  /// The SYN that a table that was attached in `ns` has of `one`.
  synfp::syn_lookup found_in(const network_namespace& ns, const probe<on_requests>& p,
                             const connection_pair& one) {
    return ns.inside([&] {
      const auto records = table::attach(p.fds().maps);
      if (!records) throw std::runtime_error(records.error().message);
      return records->find(one.facts(), now_ns());
    });
  }
  /// The client's initial sequence number, from the socket itself: no byte was sent.
  static std::uint32_t sequence_of(const connection_pair& one) {
    const int on = 1;
    std::uint32_t next = 0;
    socklen_t length = sizeof next;
    const int queue = 2;  // TCP_SEND_QUEUE
    must(::setsockopt(one.client.get(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0 &&
             ::setsockopt(one.client.get(), IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof queue) == 0 &&
             ::getsockopt(one.client.get(), IPPROTO_TCP, TCP_QUEUE_SEQ, &next, &length) == 0,
         "ask for the sequence number");
    return next - 1;
  }
  network_namespace a, b;
};

TEST_F(namespaces, with_the_same_key_have_each_their_own_syn) {
  SYNFP_NEEDS_KPROBES();
  const auto p = a.inside([] { return probe<on_requests>::open({.all_network_namespaces = true}); });
  ASSERT_TRUE(p) << p.error().message;
  const connection_pair in_a = connection_in(a), in_b = connection_in(b);
  ASSERT_EQ(in_a.facts().peer, in_b.facts().peer);
  ASSERT_NE(sequence_of(in_a), sequence_of(in_b));
  const auto of_a = found_in(a, *p, in_a), of_b = found_in(b, *p, in_b);
  ASSERT_TRUE(of_a) << to_string(of_a.miss);
  ASSERT_TRUE(of_b) << to_string(of_b.miss);
  EXPECT_EQ(of_a->tcp().sequence(), sequence_of(in_a));
  EXPECT_EQ(of_b->tcp().sequence(), sequence_of(in_b));
  EXPECT_EQ(p->records().counters()[synfp::SYNFP_COUNT_STORED], 2U);
  EXPECT_EQ(p->records().counters()[synfp::SYNFP_COUNT_CONFLICT], 0U);
  // A third one, of which nothing was seen, finds nothing of theirs.
  const network_namespace c;
  EXPECT_FALSE(found_in(c, *p, in_a));
}

TEST_F(namespaces, other_than_the_own_are_not_recorded_unless_asked_for) {
  SYNFP_NEEDS_KPROBES();
  const auto p = a.inside([] { return probe<on_requests>::open(); });
  ASSERT_TRUE(p) << p.error().message;
  const connection_pair in_b = connection_in(b);
  EXPECT_FALSE(found_in(b, *p, in_b));
  EXPECT_FALSE(found_in(a, *p, in_b));
  EXPECT_EQ(p->records().counters()[synfp::SYNFP_COUNT_RUNS], 0U);
  const connection_pair in_a = connection_in(a);
  EXPECT_TRUE(found_in(a, *p, in_a));
  EXPECT_FALSE(found_in(b, *p, in_b));
  EXPECT_EQ(p->records().counters()[synfp::SYNFP_COUNT_RUNS], 1U);
}

}  // namespace
