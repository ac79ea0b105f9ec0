// SPDX-License-Identifier: MIT
// Puts the SYN on the socket of every server of a cgroup, whatever it is written in: examples/socket/ has
// some. Needs CAP_BPF and CAP_NET_ADMIN to start, and nothing afterwards. Only listening sockets that are
// made in the cgroup while this runs are covered. Usage: cgroup_probe DIRECTORY, for instance
// /sys/fs/cgroup/system.slice
#include <csignal>
#include <cstdio>

#include <synfp/capture/probe.hpp>
#include <synfp/privilege.hpp>
using namespace synfp;

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fputs("usage: cgroup_probe DIRECTORY: of a cgroup, in which servers will be started\n", stderr);
    return 2;
  }
  capture::probe_options options;
  options.cgroups = {argv[1]};
  const capture::probe<probe_config{.hook = hook::sockops}> probe(options);
  value_or_throw(drop_privileges());
  std::printf("covers %s\n", argv[1]);
  std::fflush(stdout);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  int received = 0;
  sigwait(&signals, &received);
} catch (const std::exception& e) {
  std::fprintf(stderr, "cgroup_probe: %s\n", e.what());
  return 2;
}
