// SPDX-License-Identifier: MIT
// The tracepoint sock:inet_sock_set_state is no hook: it carries no packet. What it has, by the kernel's own
// description, and what it says of a connection beside a cgroup's sock_ops.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstdio>
#include <fstream>
#include <regex>
#include <sstream>
#include <states_object.hpp>
#include <string>
#include <vector>

#include "../../tools/support/bpf_loader.hpp"
#include "../support/cgroup.hpp"
#include "../support/process.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::endpoint;
using testing::ElementsAre;

/// What `run` returns with tracefs mounted at the usual place, in a child process; "" if this kernel has
/// none.
template <class F>
std::string with_tracefs(F&& run) {
  return in_child([&]() -> std::string {
    must(::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0,
         "make a mount namespace");
    if (::mount("none", "/sys/kernel/tracing", "tracefs", 0, nullptr) != 0 && errno != EBUSY) return "";
    return run();
  });
}

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

const std::string event = "/sys/kernel/tracing/events/sock/inet_sock_set_state/";

struct field {
  std::string declaration;
  int size;
};
std::vector<field> fields_of(const std::string& format) {
  static const std::regex line(R"(field:([^;]*);\s*offset:(\d+);\s*size:(\d+);)");
  std::vector<field> all;
  for (std::sregex_iterator at(format.begin(), format.end(), line), end; at != end; ++at)
    all.push_back({(*at)[1].str(), std::stoi((*at)[3].str())});
  return all;
}

TEST(tracepoint, has_no_field_that_holds_bytes_of_a_packet) {
  const std::string format = with_tracefs([] { return content(event + "format"); });
  if (format.empty()) GTEST_SKIP() << "kernel lacks tracefs";
  std::vector<std::string> names;
  int size = 0;
  for (const field& one : fields_of(format)) {
    if (one.declaration.find("common_") != std::string::npos) continue;
    names.push_back(one.declaration);
    size += one.size;
    // How the format marks data of variable length, the only kind that could be a packet.
    EXPECT_EQ(one.declaration.find("__data_loc"), std::string::npos) << one.declaration;
    EXPECT_EQ(one.declaration.find("__rel_loc"), std::string::npos) << one.declaration;
  }
  // Addresses, ports and states. `skaddr` is a pointer to the socket, of which the stack keeps no SYN.
  EXPECT_THAT(names, ElementsAre("const void * skaddr", "int oldstate", "int newstate", "__u16 sport",
                                 "__u16 dport", "__u16 family", "__u16 protocol", "__u8 saddr[4]",
                                 "__u8 daddr[4]", "__u8 saddr_v6[16]", "__u8 daddr_v6[16]"))
      << format;
  EXPECT_LT(size, 80) << "shorter than an IPv6 SYN with the options of a Linux host";
}

/// The program at the tracepoint, of every socket of the machine, as long as the result is open.
fd attached_to_tracepoint(int program) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_TRACEPOINT;
  attributes.config = std::stoull(content(event + "id"));
  attributes.sample_period = 1;
  fd perf(static_cast<int>(::syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  must(static_cast<bool>(perf), "open the tracepoint");
  must(::ioctl(perf.get(), PERF_EVENT_IOC_SET_BPF, program) == 0 &&
           ::ioctl(perf.get(), PERF_EVENT_IOC_ENABLE, 0) == 0,
       "attach to the tracepoint");
  return perf;
}

struct cost {
  double events, ns;  // per connection, per event
};
cost cost_of(int program, int connections) {
  bpf_prog_info info{};
  __u32 length = sizeof info;
  must(bpf_obj_get_info_by_fd(program, &info, &length) == 0, "ask about a program");
  return {static_cast<double>(info.run_cnt) / connections,
          static_cast<double>(info.run_time_ns) / static_cast<double>(info.run_cnt)};
}

struct seen {  // as in states.bpf.c
  std::uint64_t states[16], callbacks[16];
  std::uint32_t sequence;
};

// What a program would have to do at either place to learn of a connection that was established, and that
// only sock_ops says which sequence number it has. The costs are printed; they are of this machine.
TEST(tracepoint, says_less_of_a_connection_than_sock_ops_and_more_often) {
  constexpr int connections = 200;
  const network_namespace ns;
  const std::string answer = ns.inside([] {
    return with_tracefs([]() -> std::string {
      if (content(event + "id").empty()) return "";
      const cgroup group;
      const cgroup::membership inside(group);
      const fd directory(::open(group.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      synfp::tools::bpf_loader loader(synfp::test::states_object::words, synfp::test::states_object::size,
                                      "synfp::test");
      try {
        loader.load();
      } catch (const std::exception& e) {
        return e.what();
      }
      const int on_state = loader.program("on_state"), on_sock_ops = loader.program("on_sock_ops");
      const fd perf = attached_to_tracepoint(on_state);
      const fd link(bpf_link_create(on_sock_ops, directory.get(), BPF_CGROUP_SOCK_OPS, nullptr));
      must(static_cast<bool>(link), "attach to a cgroup");
      const fd listener = bound(*endpoint::parse("127.0.0.1:0"));
      must(::listen(listener.get(), 16) == 0, "listen");
      const auto view = loader.view_of<seen>("seen");
      const seen before = *view;
      const fd stats(bpf_enable_stats(BPF_STATS_RUN_TIME));
      for (int i = 0; i < connections; ++i) {
        fd client = connected(local_of(listener.get()));
        fd server = accepted(listener);
        client = fd();  // the server has the shorter way: no TIME_WAIT of its own
        (void)readable(server.get());
      }
      const cost of_state = cost_of(on_state, connections), of_sock_ops = cost_of(on_sock_ops, connections);
      std::fprintf(
          stderr,
          "tracepoint: %.1f events per connection, %.0f ns each; sock_ops: %.1f callbacks, %.0f ns each\n",
          of_state.events, of_state.ns, of_sock_ops.events, of_sock_ops.ns);
      const auto per_connection = [&](std::uint64_t n) { return std::to_string(n / connections); };
      return "established " + per_connection(view->states[1] - before.states[1]) + ", by a listener " +
             per_connection(view->callbacks[5] - before.callbacks[5]) + ", sequence " +
             (view->sequence != 0 ? "known" : "unknown");
    });
  });
  if (answer.empty()) GTEST_SKIP() << "kernel lacks tracefs";
  EXPECT_EQ(answer, "established 2, by a listener 1, sequence known");
}

}  // namespace
