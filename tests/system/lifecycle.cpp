// SPDX-License-Identifier: MIT
// Who else is there: another program on the listener or the interface, a killed process, fewer privileges,
// other processes that share the probe, other clocks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cstddef>
#include <iterator>
#include <memory>
#include <synfp/capture/probe.hpp>

#include "../support/hooks.hpp"
#include "../support/process.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::endpoint;
using synfp::hook;
using synfp::key_scope;
using synfp::miss;
using synfp::probe_config;
using synfp::capture::now_ns;
using synfp::capture::probe;
using testing::AllOf;
using testing::HasSubstr;

constexpr probe_config listening{.buckets = 16};
constexpr probe_config watching{.hook = hook::xdp, .buckets = 16};

/// A listener in the calling thread's namespace, with the probe attached if there is one.
template <class Probe>
fd listening_socket(Probe* p, const char* at = "127.0.0.1:0") {
  fd s = bound(*endpoint::parse(at));
  if (p != nullptr) {
    auto prepared = p->prepare(s.get(), true);
    if (!prepared) throw std::runtime_error(prepared.error().message);
  }
  must(::listen(s.get(), 16) == 0, "listen");
  return s;
}

/// Connects to `listener` in the calling thread's namespace and looks for the SYN.
template <class Source>
synfp::syn_lookup connect_and_find(const fd& listener, const Source& source) {
  const fd client = connected(local_of(listener.get()));
  const fd server = accepted(listener);
  if (!server) throw std::runtime_error("no connection");
  return source.find({server.get(), peer_of(server.get()), local_of(server.get())}, now_ns());
}
std::string in_words(const synfp::syn_lookup& l) { return l ? "found" : std::string(to_string(l.miss)); }

/// A program that does nothing but return `verdict`.
fd trivial_program(bpf_prog_type type, const char* name, int verdict) {
  const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, verdict}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  return fd(bpf_prog_load(type, name, "GPL", code, 2, nullptr));
}

TEST(displaced, another_program_on_the_listen_group_is_noticed_within_eight_lookups) {
  const network_namespace ns;
  ns.inside([] {
    probe<listening> p;
    const fd listener = listening_socket(&p);
    ASSERT_EQ(in_words(connect_and_find(listener, p)), "found");
    EXPECT_FALSE(p.displaced());

    const std::string other = in_child([&] {
      // A second member of the group, in another process that is gone afterwards.
      const fd member = bound(local_of(listener.get()));
      must(::listen(member.get(), 16) == 0, "listen");
      const fd program = trivial_program(BPF_PROG_TYPE_SK_REUSEPORT, "foreign", SK_PASS);
      const int n = program.get();
      must(::setsockopt(member.get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &n, sizeof n) == 0, "attach");
      return std::string("attached");
    });
    ASSERT_EQ(other, "attached");

    int lookups = 0;
    std::string answer;
    while (answer != "displaced" && lookups < 20) {
      answer = in_words(connect_and_find(listener, p));
      ++lookups;
      EXPECT_NE(answer, "found");
    }
    EXPECT_LE(lookups, 9);  // the first one notes the run that the last hit had made
    EXPECT_TRUE(p.displaced());
    ASSERT_TRUE(p.prepare(listener.get(), true));
    EXPECT_EQ(in_words(connect_and_find(listener, p)), "found");
    EXPECT_FALSE(p.displaced());
  });
}

TEST(interface, with_someone_elses_program_is_refused_and_left_alone) {
  const network_namespace ns;
  ns.inside([] {
    const fd other = trivial_program(BPF_PROG_TYPE_XDP, "someone_elses", XDP_PASS);
    ASSERT_TRUE(other);
    ASSERT_EQ(bpf_xdp_attach(1, other.get(), XDP_FLAGS_SKB_MODE, nullptr), 0);
    bpf_prog_info info{};
    __u32 length = sizeof info;
    ASSERT_EQ(bpf_obj_get_info_by_fd(other.get(), &info, &length), 0);
    const auto opened = probe<watching>::open({.interfaces = {"lo"}});
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message, AllOf(HasSubstr("id " + std::to_string(info.id)),
                                              HasSubstr("someone_elses"), HasSubstr("lo")));
    EXPECT_EQ(opened.error().os, EBUSY);
    __u32 now = 0;
    ASSERT_EQ(bpf_xdp_query_id(1, 0, &now), 0);
    EXPECT_EQ(now, info.id);
    EXPECT_EQ(bpf_xdp_detach(1, XDP_FLAGS_SKB_MODE, nullptr), 0);
    EXPECT_TRUE(probe<watching>::open({.interfaces = {"lo"}})) << "it was the only obstacle";
  });
}

TEST(interface, with_another_probe_is_refused_and_the_first_goes_on) {
  const network_namespace ns;
  ns.inside([] {
    probe<watching> first(synfp::capture::probe_options{.interfaces = {"lo"}});
    const auto second = probe<watching>::open({.interfaces = {"lo"}});
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("synfp_xdp"));
    const fd listener = listening_socket(&first);
    EXPECT_EQ(in_words(connect_and_find(listener, first)), "found");
  });
}

TEST(interface, that_does_not_exist_is_named) {
  const auto opened = probe<watching>::open({.interfaces = {"nosuch0"}});
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("'nosuch0'"));
  EXPECT_FALSE(probe<watching>::open());
  EXPECT_FALSE(probe<listening>::open({.interfaces = {"lo"}}));
}

/// True once `gone()` is: a kernel object goes after a grace period, which nothing announces.
template <class F>
bool eventually(F gone) {
  for (const std::uint64_t until = now_ns() + 10'000'000'000; now_ns() < until; ::sched_yield()) {
    if (gone()) return true;
  }
  return false;
}

TEST(killed_process, leaves_nothing_behind) {
  const network_namespace ns;
  ns.inside([] {
    struct {
      __u32 program, maps[3];
    } ids{};
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const fd from(ends[0]), to(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
      auto opened = probe<watching>::open({.interfaces = {"lo"}});
      if (opened) {
        bpf_prog_info program{};
        __u32 length = sizeof program;
        bpf_obj_get_info_by_fd(opened->fds().program, &program, &length);
        ids.program = program.id;
        const auto& maps = opened->fds().maps;
        int i = 0;
        for (const int one : {maps.table, maps.meta, maps.counts}) {
          bpf_map_info map{};
          length = sizeof map;
          bpf_obj_get_info_by_fd(one, &map, &length);
          ids.maps[i++] = map.id;
        }
      }
      (void)!::write(to.get(), &ids, sizeof ids);
      for (;;) ::pause();
    }
    ASSERT_EQ(::read(from.get(), &ids, sizeof ids), static_cast<ssize_t>(sizeof ids));
    ASSERT_NE(ids.program, 0U);
    __u32 attached = 0;
    ASSERT_EQ(bpf_xdp_query_id(1, 0, &attached), 0);
    EXPECT_EQ(attached, ids.program);
    ASSERT_TRUE(fd(bpf_prog_get_fd_by_id(ids.program)));
    for (const __u32 id : ids.maps) ASSERT_TRUE(fd(bpf_map_get_fd_by_id(id)));

    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    EXPECT_TRUE(eventually([&] { return bpf_xdp_query_id(1, 0, &attached) == 0 && attached == 0; }));
    EXPECT_TRUE(eventually([&] { return !fd(bpf_prog_get_fd_by_id(ids.program)); }));
    for (const __u32 id : ids.maps) EXPECT_TRUE(eventually([&] { return !fd(bpf_map_get_fd_by_id(id)); }));
  });
}

TEST(maps, are_frozen_for_root_too) {
  const probe<listening> p;
  const auto& maps = p.fds().maps;
  std::vector<unsigned char> value(4096);
  const __u32 zero = 0;
  for (const int map : {maps.table, maps.meta, maps.counts}) {
    EXPECT_EQ(bpf_map_update_elem(map, &zero, value.data(), BPF_ANY), -EPERM);
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0), MAP_FAILED);
    EXPECT_EQ(errno, EPERM);
    void* const readable_only = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, map, 0);
    ASSERT_NE(readable_only, MAP_FAILED);
    EXPECT_NE(::mprotect(readable_only, 4096, PROT_READ | PROT_WRITE), 0);
    ::munmap(readable_only, 4096);
  }
}

constexpr int net_admin = CAP_NET_ADMIN, perfmon = 38, cap_bpf = 39;

TEST(capabilities, reuseport_needs_bpf_alone_and_none_afterwards) {
  const network_namespace ns;
  const auto answer = ns.inside([] {
    return in_child([] {
      keep_capabilities({cap_bpf});
      auto opened = probe<listening>::open();
      if (!opened) return opened.error().message;
      const fd listener = listening_socket(&*opened);
      std::string words = in_words(connect_and_find(listener, *opened));
      keep_capabilities({});
      words += ' ' + in_words(connect_and_find(listener, *opened));
      const fd second = listening_socket(&*opened);
      return words + ' ' + in_words(connect_and_find(second, *opened));
    });
  });
  EXPECT_EQ(answer, "found found found");
}

TEST(capabilities, xdp_needs_three_and_none_afterwards) {
  const network_namespace ns;
  const auto answer = ns.inside([] {
    return in_child([] {
      keep_capabilities({cap_bpf, net_admin, perfmon});
      auto opened = probe<watching>::open({.interfaces = {"lo"}});
      if (!opened) return opened.error().message;
      keep_capabilities({});
      const fd listener = listening_socket(&*opened);
      return in_words(connect_and_find(listener, *opened));
    });
  });
  EXPECT_EQ(answer, "found");
}

template <probe_config C>
std::string refusal_with(const network_namespace& ns, std::initializer_list<int> capabilities) {
  return ns.inside([&] {
    return in_child([&] {
      keep_capabilities(capabilities);
      const auto opened = probe<C>::open(synfp::test::watching(C.hook, "lo"));
      return opened ? std::string("opened") : opened.error().message;
    });
  });
}

TEST(capabilities, that_are_missing_are_named) {
  const network_namespace ns;
  EXPECT_THAT(refusal_with<listening>(ns, {}), HasSubstr("missing cap_bpf;"));
  EXPECT_THAT(refusal_with<listening>(ns, {net_admin, perfmon}), HasSubstr("missing cap_bpf;"));
  EXPECT_THAT(refusal_with<watching>(ns, {}), HasSubstr("missing cap_bpf,cap_net_admin,cap_perfmon;"));
  EXPECT_THAT(refusal_with<watching>(ns, {cap_bpf}), HasSubstr("missing cap_net_admin,cap_perfmon;"));
  EXPECT_THAT(refusal_with<watching>(ns, {cap_bpf, perfmon}), HasSubstr("missing cap_net_admin;"));
  EXPECT_THAT(refusal_with<watching>(ns, {cap_bpf, net_admin}), HasSubstr("missing cap_perfmon;"));
  EXPECT_THAT(refusal_with<watching>(ns, {net_admin, perfmon}), HasSubstr("missing cap_bpf;"));
}

/// The message of open(), or "opened". In a child process that called `before` first.
template <probe_config C, class F>
std::string open_after(F&& before) {
  return in_child([&] {
    before();
    const auto opened = probe<C>::open(synfp::test::watching(C.hook, "lo"));
    return opened ? std::string("opened") : opened.error().message;
  });
}

TEST(user_namespace, is_named_with_every_capability_and_with_none) {
  const network_namespace ns;
  ns.inside([] {
    const auto become_root_of_one = [] { must(::unshare(CLONE_NEWUSER) == 0, "unshare(CLONE_NEWUSER)"); };
    const auto become_nobody_in_one = [&] {
      become_root_of_one();
      keep_capabilities({});
    };
    EXPECT_THAT(open_after<listening>(become_root_of_one), HasSubstr("in a user namespace"));
    EXPECT_THAT(open_after<watching>(become_root_of_one), HasSubstr("in a user namespace"));
    EXPECT_THAT(open_after<listening>(become_nobody_in_one), HasSubstr("in a user namespace"));
    EXPECT_EQ(open_after<listening>([] {}), "opened");
  });
}

TEST(seccomp, filter_that_forbids_bpf_is_named) {
  const auto forbid_bpf = [] {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{static_cast<unsigned short>(std::size(code)), code};
    must(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0, "set PR_SET_SECCOMP");
  };
  EXPECT_THAT(open_after<listening>(forbid_bpf), HasSubstr("seccomp filter"));
}

/// What open() says with `spare` descriptors left.
template <probe_config C>
std::string open_with(unsigned spare) {
  return open_after<C>([&] {
    int next = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
    must(next >= 0, "copy a descriptor");
    ::close(next);
    rlimit limit{};
    must(::getrlimit(RLIMIT_NOFILE, &limit) == 0, "set RLIMIT_NOFILE");
    limit.rlim_cur = static_cast<rlim_t>(next) + spare;
    must(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "set RLIMIT_NOFILE");
  });
}

TEST(descriptors, that_run_out_are_named_wherever_they_do) {
  const network_namespace ns;
  ns.inside([] {
    for (const bool xdp : {false, true}) {
      unsigned refused = 0;
      for (std::string answer; answer != "opened"; ++refused) {
        ASSERT_LT(refused, 40U);
        answer = xdp ? open_with<watching>(refused) : open_with<listening>(refused);
        EXPECT_THAT(answer, testing::AnyOf("opened", HasSubstr("no file descriptor left")));
      }
      EXPECT_GT(refused, 4U) << "there are three maps and a program";
    }
  });
}

TEST(sharing, a_nobody_with_the_fds_reads) {
  const network_namespace ns;
  ns.inside([] {
    probe<listening> owner;
    const fd listener = listening_socket(&owner);
    const std::string answer = in_child([&] {
      must(::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0, "setresuid");
      auto table = synfp::capture::table::attach(owner.fds().maps);
      if (!table) return table.error().message;
      std::string words = in_words(connect_and_find(listener, *table));
      // And a listener of its own with the program that it was given.
      auto shared = probe<listening>::share(owner.fds());
      if (!shared) return shared.error().message;
      const fd own = listening_socket(&*shared);
      return words + ' ' + in_words(connect_and_find(own, *shared));
    });
    EXPECT_EQ(answer, "found found");
  });
}

template <probe_config C, class Owner>
std::string share_refusal(const Owner& owner) {
  const auto shared = probe<C>::share(owner.fds());
  return shared ? "shared" : shared.error().message;
}

TEST(sharing, another_configuration_is_refused_by_the_name_of_the_field) {
  const probe<listening> owner;
  EXPECT_EQ(share_refusal<listening>(owner), "shared");
  EXPECT_THAT((share_refusal<probe_config{.hook = hook::xdp, .buckets = 16}>(owner)),
              HasSubstr("another hook "));
  EXPECT_THAT((share_refusal<probe_config{.families = synfp::families::ipv4, .buckets = 16}>(owner)),
              HasSubstr("another families "));
  EXPECT_THAT((share_refusal<probe_config{.key_scope = key_scope::peer, .buckets = 16}>(owner)),
              HasSubstr("another key_scope "));
  EXPECT_THAT((share_refusal<probe_config{.buckets = 32}>(owner)), HasSubstr("another buckets "));
  EXPECT_THAT((share_refusal<probe_config{.buckets = 16, .hold{101}}>(owner)), HasSubstr("another hold "));
  EXPECT_THAT((share_refusal<probe_config{.buckets = 16, .max_age{4000}}>(owner)),
              HasSubstr("another max_age "));
  EXPECT_THAT((share_refusal<probe_config{.buckets = 16, .conflict_window{6000}}>(owner)),
              HasSubstr("another conflict_window "));
  EXPECT_THAT((share_refusal<probe_config{.buckets = 16, .ports{80}}>(owner)), HasSubstr("another ports "));
}

TEST(sharing, outlives_the_owner) {
  const network_namespace ns;
  ns.inside([] {
    auto owner = std::make_unique<probe<listening>>();
    auto shared = probe<listening>::share(owner->fds());
    ASSERT_TRUE(shared);
    owner.reset();
    const fd listener = listening_socket(&*shared);
    EXPECT_EQ(in_words(connect_and_find(listener, *shared)), "found");
  });
}

/// In a process whose CLOCK_MONOTONIC is `offset` seconds ahead: a probe's own record and its age.
std::string in_time_namespace(long long offset) {
  return in_child([&] {
    must(::unshare(CLONE_NEWTIME) == 0, "unshare(CLONE_NEWTIME)");
    {
      const fd offsets(::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC));
      const std::string line = "monotonic " + std::to_string(offset) + " 0";
      must(::write(offsets.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()),
           "write the offsets of a time namespace");
    }
    const std::uint64_t outside = now_ns();
    return in_child([&] {
      const std::int64_t ahead = static_cast<std::int64_t>(now_ns() - outside) / 1'000'000'000;
      if (ahead < offset - 1 || ahead > offset + 10) return std::string("the clock is not shifted");
      probe<listening> p;
      const fd listener = listening_socket(&p);
      const std::uint64_t before = now_ns();
      const auto found = connect_and_find(listener, p);
      if (!found) return in_words(found);
      if (*found.age_ns > 1'000'000'000) return "age " + std::to_string(*found.age_ns);
      if (found->arrived().time_ns < before || found->arrived().time_ns > now_ns())
        return std::string("the time is not of this namespace");
      return std::string("found");
    });
  });
}

TEST(time_namespace, ages_and_times_are_those_of_the_process) {
  const network_namespace ns;
  ns.inside([] {
    EXPECT_EQ(in_time_namespace(100'000), "found");
    EXPECT_EQ(in_time_namespace(0), "found");
    const auto uptime = static_cast<long long>(now_ns() / 1'000'000'000);
    EXPECT_EQ(in_time_namespace(-(uptime / 2)), "found");
  });
}

}  // namespace
