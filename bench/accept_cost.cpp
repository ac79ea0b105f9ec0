// SPDX-License-Identifier: MIT
// accept-cost: processor time of a whole accepted connection, with and without capture, by hook.
//
// One server of synfp's own with one thread, one client, each in a network namespace, joined by veth; the
// client connects a hundred times and closes with RST, the server accepts, has the SYN, and closes. Both are
// threads of this process, and the kernel works off the packets of veth in the time of whoever sent them, so
// the process's processor time is both ends' and the stack's: microseconds per connection. (The share that
// the kernel moves to ksoftirqd under load is missing, in all variants alike; kernels that account interrupts
// apart, CONFIG_IRQ_TIME_ACCOUNTING, count less.)
//
//   none                  net::server without a source
//   saved_syn             TCP_SAVE_SYN, one getsockopt per connection
//   reuseport, xdp        the probe; xdp native on the server's veth
//   kprobe                the probe; a row without figures on a kernel that cannot attach it
//   reuseport+saved_syn   the echo server's default, trust::strict: the kernel's copy is asked too unless the
//                         ACK has verified the record
//   ..._tuple             the same with trust::tuple: it is asked only when the probe misses; the kernel
//   keeps
//                         the SYN in any case
//
// Variants take turns in every round, in random order, each with a server of its own; medians of the rounds,
// and of the differences to `none` within a round. Then one more round with kernel.bpf_stats_enabled, which
// slows the programs down a little: their own run time. Checked: every connection had its SYN (but with
// `none`).
//
//   accept-cost OUTPUT.json [ROUNDS]
#include <bpf/bpf.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <synfp/synfp.hpp>
#include <thread>
#include <vector>

#include "../tests/support/hooks.hpp"
#include "../tests/support/sockets.hpp"
#include "../tests/support/two_hosts.hpp"
#include "frames.hpp"
#include "report.hpp"

namespace {

using synfp::endpoint;
using synfp::hook;
using synfp::probe_config;
using synfp::task;

constexpr int connections = 1000;
constexpr int batch = 100;  // of connections that are open at once

struct sample {
  double us = 0;  ///< per connection
  int with_syn = 0;
};

double process_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

/// Connects `connections` times to a server with that source.
template <class Source>
sample run(const synfp::test::two_hosts& hosts, Source& source) {
  std::atomic<int> accepted{0};
  std::atomic<int> with_syn{0};
  auto server = hosts.server.inside(
      [&] { return synfp::net::server::open({endpoint::v4(10, 77, 0, 1, 8080)}, source); });
  if (!server) bench::fail(server.error().message);
  sample result;
  std::thread client;
  const auto work = [&] {
    hosts.client.inside([&] {
      const endpoint to = endpoint::v4(10, 77, 0, 1, 8080);
      // A connection that is reset before it is accepted would not be accepted.
      const auto connect = [&](int n) {
        for (; n > 0; n -= batch) {
          const int before = accepted;
          std::vector<synfp::test::fd> open;
          for (int i = 0; i < batch; ++i) open.push_back(synfp::test::connected(to));
          while (accepted != before + batch) std::this_thread::sleep_for(std::chrono::microseconds(100));
          for (auto& one : open) synfp::test::reset(std::move(one));
        }
      };
      connect(batch);
      with_syn = 0;
      const double start = process_ns();
      connect(connections);
      result = {(process_ns() - start) / connections / 1000, with_syn};
    });
    server->stop(std::chrono::nanoseconds::zero());
  };
  const auto served = server->try_run(
      [&](synfp::net::listener& listener) -> task<> {
        while (auto one = co_await listener.accept()) {
          with_syn += static_cast<bool>(one->syn);
          ++accepted;
        }
      },
      [&] { client = std::thread(work); });
  if (client.joinable()) client.join();
  if (!served) bench::fail(served.error().message);
  return result;
}

template <hook H>
auto try_probe(const synfp::test::two_hosts& hosts) {
  const auto options = synfp::test::watching(H, "s0");
  return hosts.server.inside([&] { return synfp::capture::probe<probe_config{.hook = H}>::open(options); });
}
template <hook H>
auto open_probe(const synfp::test::two_hosts& hosts) {
  auto opened = try_probe<H>(hosts);
  if (!opened) bench::fail(opened.error().message);
  return *std::move(opened);
}

/// Nanoseconds that a program has run, while kernel.bpf_stats_enabled.
double run_time(int program) {
  bpf_prog_info info{};
  __u32 length = sizeof info;
  bench::require(bpf_obj_get_info_by_fd(program, &info, &length) == 0, "BPF_OBJ_GET_INFO_BY_FD");
  return static_cast<double>(info.run_time_ns);
}

}  // namespace

int main(int argc, char** argv) {
  bench::require(argc == 2 || argc == 3, "usage: accept-cost OUTPUT.json [ROUNDS]");
  const int rounds = argc == 3 ? std::atoi(argv[2]) : 31;
  bench::require(rounds > 0, "ROUNDS is a number above 0");
  const synfp::test::two_hosts hosts;

  double program_ns = 0;  // of the last run with a probe
  const auto measure = [&](auto& probe, auto& source) {
    const double before = run_time(probe.fds().program);
    const sample s = run(hosts, source);
    program_ns = (run_time(probe.fds().program) - before) / (connections + batch);
    return s;
  };
  std::vector<std::pair<std::string, std::function<sample()>>> variants = {
      {"none",
       [&] {
         synfp::capture::none source;
         return run(hosts, source);
       }},
      {"saved_syn",
       [&] {
         synfp::capture::saved_syn source;
         return run(hosts, source);
       }},
      {"reuseport",
       [&] {
         auto probe = open_probe<hook::reuseport>(hosts);
         return measure(probe, probe);
       }},
      {"xdp",
       [&] {
         auto probe = open_probe<hook::xdp>(hosts);
         return measure(probe, probe);
       }},
      {"tcx",
       [&] {
         auto probe = open_probe<hook::tcx>(hosts);
         return measure(probe, probe);
       }},
      {"reuseport+saved_syn",
       [&] {
         auto probe = open_probe<hook::reuseport>(hosts);
         synfp::capture::saved_syn kept;
         synfp::capture::first_of both(probe, kept);
         return measure(probe, both);
       }},
      {"reuseport+saved_syn_tuple", [&] {
         auto probe = open_probe<hook::reuseport>(hosts);
         synfp::capture::saved_syn kept;
         synfp::capture::first_of both(synfp::capture::trust::tuple, probe, kept);
         return measure(probe, both);
       }}};

  const bool kprobe = static_cast<bool>(try_probe<hook::kprobe>(hosts));
  if (kprobe) {
    variants.emplace_back("kprobe", [&] {
      auto probe = open_probe<hook::kprobe>(hosts);
      return measure(probe, probe);
    });
  }

  std::map<std::string, std::vector<double>> cost;
  std::vector<std::size_t> order(variants.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::minstd_rand random(1);
  for (int round = 0; round < rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t i : order) {
      const auto& [name, once] = variants[i];
      const sample s = once();
      bench::require(s.with_syn == (name == "none" ? 0 : connections),
                     "a connection without its SYN: " + name);
      cost[name].push_back(s.us);
    }
  }
  std::map<std::string, double> program;
  {
    const synfp::test::fd stats(bpf_enable_stats(BPF_STATS_RUN_TIME));
    bench::require(static_cast<bool>(stats), "cannot enable kernel.bpf_stats");
    for (const auto& [name, once] : variants) {
      program_ns = 0;
      (void)once();
      program[name] = program_ns;
    }
  }

  bench::report report;
  for (const auto& [name, once] : variants) {
    const auto extra = bench::minus(cost[name], cost["none"]);
    report.row({{"capture", name},
                {"us per connection", bench::median(cost[name])},
                {"above none, us", bench::median(extra)},
                {"quartile 1", bench::quantile(extra, 0.25)},
                {"quartile 3", bench::quantile(extra, 0.75)},
                {"program, ns", program[name]}});
    std::string id = name;
    std::replace(id.begin(), id.end(), '+', '_');
    report.figure("accept_cost_" + id + "_us", bench::median(cost[name]));
    if (name == "none") continue;
    std::vector<double> ratio;
    for (int i = 0; i < rounds; ++i)
      ratio.push_back(cost[name][static_cast<std::size_t>(i)] / cost["none"][static_cast<std::size_t>(i)]);
    report.figure("accept_cost_" + id + "_over_none", bench::median(ratio));
  }
  if (!kprobe) {
    report.row({{"capture", "kprobe: not on this kernel"},
                {"us per connection", nullptr},
                {"above none, us", nullptr},
                {"quartile 1", nullptr},
                {"quartile 3", nullptr},
                {"program, ns", nullptr}});
  }
  std::vector<double> strict;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rounds); ++i)
    strict.push_back(cost["reuseport+saved_syn"][i] / cost["reuseport+saved_syn_tuple"][i]);
  report.figure("accept_cost_strict_over_tuple", bench::median(strict));
  report.write(argv[1]);
}
