// SPDX-License-Identifier: MIT
// The privileged half of a server without privileges: loads the probe, pins it for a group, and waits. It
// needs CAP_BPF for that and nothing afterwards, and never sees what clients send. The other half is
// unprivileged_server.cpp. Usage: probe_process DIRECTORY GROUP, for instance /sys/fs/bpf/synfp www-data
#include <grp.h>

#include <csignal>
#include <cstdio>

#include <synfp/capture/probe.hpp>
#include <synfp/privilege.hpp>
using namespace synfp;

int main(int argc, char** argv) try {
  const group* const readers = argc == 3 ? ::getgrnam(argv[2]) : nullptr;
  if (readers == nullptr) {
    std::fputs(
        "usage: probe_process DIRECTORY GROUP: a new directory below /sys/fs/bpf, and who may use it\n",
        stderr);
    return 2;
  }
  sigset_t signals;  // blocked from here on, so that none ends the process before it has removed the pins
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);

  const capture::probe<> probe;
  // attach: whoever is in the group can also put records into the table. Trust it as you trust the server.
  const auto pins = value_or_throw(probe.pin(argv[1], {.group = readers->gr_gid, .attach = true}));
  value_or_throw(drop_privileges());
  std::printf("pinned in %s\n", argv[1]);
  std::fflush(stdout);
  int received = 0;
  sigwait(&signals, &received);
} catch (const std::exception& e) {
  std::fprintf(stderr, "probe_process: %s\n", e.what());
  return 2;
}
