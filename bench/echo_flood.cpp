// SPDX-License-Identifier: MIT
// echo-flood: what capture costs in a SYN flood, in SYN-cookie mode, per SYN of the flood and for real
// clients.
//
// Per SYN: the flood rig (tools/flood) takes SYNs through the stack in the processor time of the sending
// thread, so that thread's time per SYN is the stack's (route, listener, cookie, SYN-ACK, which is dropped
// behind the veth) and the making of the frame, whose program's run time is taken off. What capture adds is
// measured in two ways:
//   program   run_time_ns / run_cnt of the reuseport program, kernel.bpf_stats_enabled, in rounds of
//             their own; it includes the two clock readings of the statistics themselves
//   extra     processor time per SYN with the probe minus without it, within a round
// Figure capture_over_stack_per_syn: program / stack; capture_extra_over_stack_per_syn: extra / stack.
//
// Clients: an HTTP server of synfp's own with one thread, one client that connects, asks once, and closes,
// over and over, for the same time each without a flood, at 50,000 SYN/s and as fast as one thread sends;
// with and without the probe, in turns. The client, the server and the flood share the machine's CPUs: the
// columns of one flood rate are to be compared. Checked: cookies were sent, the probe saw the flood, and with
// it, each response has its SYN.
#include <bpf/bpf.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <synfp/synfp.hpp>
#include <thread>
#include <vector>

#include "../tests/support/sockets.hpp"
#include "../tools/flood/attack.hpp"
#include "frames.hpp"
#include "report.hpp"

namespace {

using synfp::probe_config;
using synfp::task;
using probe_type = synfp::capture::probe<probe_config{}>;

constexpr std::uint16_t port = 8080;
constexpr std::uint32_t syns = 50'000;
constexpr int rounds = 21, stats_rounds = 5, client_rounds = 5;
constexpr double client_seconds = 1.5;

/// The sum over all loaded programs of that name, as kernel.bpf_stats_enabled counts.
struct run_stats {
  double ns = 0, runs = 0;
};
run_stats stats_of(const std::string& name) {
  run_stats sum;
  for (__u32 id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
    const synfp::test::fd program(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    __u32 length = sizeof info;
    if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &length) != 0) continue;
    if (name.compare(0, sizeof info.name - 1, info.name) != 0) continue;
    sum.ns += static_cast<double>(info.run_time_ns);
    sum.runs += static_cast<double>(info.run_cnt);
  }
  return sum;
}

template <class Source>
synfp::net::server open_server(const flood::network& net, Source& source) {
  auto server =
      net.inside([&] { return synfp::net::server::open({flood::network::target_v4(port)}, source); });
  if (!server) bench::fail(server.error().message);
  return *std::move(server);
}

/// Processor time per SYN, ns, into a listener that nobody accepts from.
template <class Source>
double flood_listener(const flood::network& net, flood::sender& sender, Source& source) {
  const synfp::net::server listening = open_server(net, source);
  return net.inside([&] {
    const auto before = net.counters()["TcpExt.SyncookiesSent"];
    sender.send(2000);  // warm
    const double start = bench::thread_ns();
    const auto sent = sender.send(syns);
    const double end = bench::thread_ns();
    bench::require(sent == syns, "the flood was interrupted");
    bench::require(net.counters()["TcpExt.SyncookiesSent"] - before >= syns, "no cookies were sent");
    return (end - start) / syns;
  });
}
double without_probe(const flood::network& net, flood::sender& sender) {
  synfp::capture::none nothing;
  return flood_listener(net, sender, nothing);
}
double with_probe(const flood::network& net, flood::sender& sender, probe_type& probe) {
  const auto before = probe.records().counters()[synfp::SYNFP_COUNT_RUNS];
  const double ns = flood_listener(net, sender, probe);
  bench::require(probe.records().counters()[synfp::SYNFP_COUNT_RUNS] - before >= syns,
                 "the probe did not see the flood");
  return ns;
}

void per_syn(bench::report& report, const flood::network& net) {
  flood::options what;
  what.port = port;
  const auto sender = net.inside([&] { return std::make_unique<flood::sender>(net, what); });
  probe_type probe;  // one for all rounds: its table is as full and as cold as in a long flood
  std::vector<double> bare, probed, program, frame;
  for (int i = 0; i < rounds; ++i) {
    // The order changes, lest one of them always follows a rest.
    if (i % 2 == 0) bare.push_back(without_probe(net, *sender));
    probed.push_back(with_probe(net, *sender, probe));
    if (i % 2 != 0) bare.push_back(without_probe(net, *sender));
  }
  {
    const synfp::test::fd stats(bpf_enable_stats(BPF_STATS_RUN_TIME));
    bench::require(static_cast<bool>(stats), "cannot enable kernel.bpf_stats");
    for (int i = 0; i < stats_rounds; ++i) {
      const auto capture = stats_of("synfp_reuseport"), making = stats_of("flood_send");
      (void)flood_listener(net, *sender, probe);
      const auto captured = stats_of("synfp_reuseport"), made = stats_of("flood_send");
      bench::require(captured.runs - capture.runs >= syns, "the statistics do not have the probe's runs");
      program.push_back((captured.ns - capture.ns) / (captured.runs - capture.runs));
      // BPF_PROG_TEST_RUN may not be counted; then nothing is taken off, which favours the stack.
      frame.push_back(made.runs > making.runs ? (made.ns - making.ns) / (made.runs - making.runs) : 0);
    }
  }
  const auto counted = probe.records().counters();
  const double held = static_cast<double>(counted[synfp::SYNFP_COUNT_HELD]) /
                      static_cast<double>(counted[synfp::SYNFP_COUNT_RUNS]);
  const double stack = bench::median(bare) - bench::median(frame);
  const auto extra = bench::minus(probed, bare);
  report.row({{"per SYN of a flood", "cookie mode"},
              {"stack ns", stack},
              {"frame ns", bench::median(frame)},
              {"held %", 100.0 * held},
              {"program ns", bench::median(program)},
              {"extra ns", bench::median(extra)},
              {"quartile 1", bench::quantile(extra, 0.25)},
              {"quartile 3", bench::quantile(extra, 0.75)}});
  report.figure("stack_ns_per_syn", stack);
  report.figure("capture_ns_per_syn", bench::median(program));
  report.figure("capture_over_stack_per_syn", bench::median(program) / stack);
  report.figure("capture_extra_over_stack_per_syn", bench::median(extra) / stack);
}

struct served {
  double seconds = 0;
  int with_syn = 0, failed = 0;
  std::vector<double> us;  ///< per request, from connect() to the end of the response
};

/// One client for `client_seconds`, while `rate` SYN/s arrive (0: none, below 0: as fast as it goes).
template <class Source>
void ask(const flood::network& net, Source& source, double rate, served& into) {
  static unsigned asked = 0;  // ports come back after 50,000 connections: a conflict is not what is measured
  using clock = std::chrono::steady_clock;
  auto server = open_server(net, source);
  synfp::http::routes routes{
      synfp::http::get<"/">([](const synfp::http::request& q) -> task<synfp::http::response> {
        if (!q.syn()) co_return synfp::http::text("none\n");
        co_return synfp::http::text(synfp::fingerprint::muonfp(*q.syn()));
      })};
  std::thread client;
  const auto work = [&] {
    net.enter();
    std::unique_ptr<flood::attack> attack;
    if (rate != 0) {
      flood::options what;
      what.port = port;
      flood::limits how;
      how.rate = rate > 0 ? rate : 0;
      how.duration = client_seconds + 1;
      attack = std::make_unique<flood::attack>(net, what, how);
    }
    const auto start = clock::now();
    const auto end =
        start + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(client_seconds));
    static constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    while (clock::now() < end) {
      const auto begun = clock::now();
      std::string response;
      try {
        synfp::test::fd s = synfp::test::connected(
            flood::network::target_v4(port),
            synfp::endpoint::v4(198, 18, 0, 1, static_cast<std::uint16_t>(10'000 + asked++ % 50'000)));
        (void)!::send(s.get(), request.data(), request.size(), MSG_NOSIGNAL);
        char buffer[1024];
        for (ssize_t n; (n = ::recv(s.get(), buffer, sizeof buffer, 0)) > 0;)
          response.append(buffer, static_cast<std::size_t>(n));
        synfp::test::reset(std::move(s));
      } catch (const std::runtime_error&) {  // a connection that the flood crowded out
      }
      if (!response.starts_with("HTTP/1.1 200")) {
        ++into.failed;
        continue;
      }
      into.us.push_back(std::chrono::duration<double, std::micro>(clock::now() - begun).count());
      into.with_syn += !response.ends_with("none\n");
    }
    into.seconds += std::chrono::duration<double>(clock::now() - start).count();
    server.stop(std::chrono::nanoseconds::zero());
  };
  const auto done = server.try_run(
      [&](synfp::net::listener& listener) -> task<> {
        while (auto accepted = co_await listener.accept())
          synfp::spawn(synfp::http::serve(std::move(*accepted), routes));
      },
      [&] { client = std::thread(work); });
  if (client.joinable()) client.join();
  if (!done) bench::fail(done.error().message);
}

void clients(bench::report& report, const flood::network& net) {
  struct flooding {
    const char* name;
    const char* id;
    double rate;
  };
  for (const flooding& f : {flooding{"no flood", "quiet", 0}, flooding{"50,000 SYN/s", "50k", 50'000},
                            flooding{"as fast as it goes", "full", -1}}) {
    served bare, probed;
    for (int i = 0; i < client_rounds; ++i) {
      synfp::capture::none nothing;
      ask(net, nothing, f.rate, bare);
      probe_type probe;
      ask(net, probe, f.rate, probed);
    }
    bench::require(bare.with_syn == 0 && !bare.us.empty() && !probed.us.empty(), "no client was served");
    for (const auto& [name, s] :
         {std::pair<const char*, const served&>{"none", bare}, {"reuseport", probed}}) {
      report.row({{"flood", f.name},
                  {"capture", name},
                  {"requests/s", static_cast<double>(s.us.size()) / s.seconds},
                  {"p50 us", bench::quantile(s.us, 0.5)},
                  {"p99 us", bench::quantile(s.us, 0.99)},
                  {"failed", s.failed},
                  {"with SYN %", 100.0 * s.with_syn / static_cast<double>(s.us.size())}});
    }
    const auto rate = [](const served& s) { return static_cast<double>(s.us.size()) / s.seconds; };
    report.figure(std::string("echo_requests_probe_over_none_").append(f.id), rate(probed) / rate(bare));
    report.figure(std::string("echo_p99_probe_over_none_").append(f.id),
                  bench::quantile(probed.us, 0.99) / bench::quantile(bare.us, 0.99));
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::require(argc == 2, "usage: echo-flood OUTPUT.json");
  const flood::network net;
  net.sysctl("net/ipv4/tcp_syncookies", "2");
  bench::report report;
  per_syn(report, net);
  clients(report, net);
  report.write(argv[1]);
}
