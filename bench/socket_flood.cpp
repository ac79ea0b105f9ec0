// SPDX-License-Identifier: MIT
// socket-flood: the SYN on the socket, for servers that nobody changed, while their listener is flooded, and
// what it costs.
//
// Servers: examples/socket/ in C, Python and, where there is one, Go; each asks getsockopt(TCP_SAVED_SYN) of
// every connection and sends the answer. A server stands in a cgroup that a probe (hook::sockops) covers, or
// in one that none does: the kernel alone. The listener gets every SYN of the flood and answers with cookies
// (checked). The clients are made by hand (raw_clients.hpp), so that a handshake takes as long as asked and
// each knows its SYN.
//   own     the answer is the client's SYN, byte by byte
//   none    the answer is empty
//   wrong   anything else
//
// Table: `sized` is what sizing.hpp computes for 800,000 SYN/s and handshakes of 310 ms, `default` is
// probe_config's.
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <synfp/capture/counters.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/socket.hpp>
#include <synfp/sizing.hpp>

#include "../tests/support/cgroup.hpp"
#include "../tests/support/sockets.hpp"
#include "../tools/flood/attack.hpp"
#include "frames.hpp"
#include "raw_clients.hpp"
#include "report.hpp"

namespace {

using synfp::hook;
using synfp::probe_config;
using synfp::capture::probe;
using synfp::test::cgroup;
using synfp::test::fd;

constexpr std::uint16_t port = 8080;
constexpr probe_config sized_config = synfp::sized_for({800'000, {310}, 0.999}, {.hook = hook::sockops});
constexpr probe_config default_config{.hook = hook::sockops};

template <probe_config C>
probe<C> open_probe(const cgroup& group) {
  synfp::capture::probe_options options;
  options.cgroups = {group.path()};
  auto opened = probe<C>::open(options);
  if (!opened) bench::fail(opened.error().message);
  return *std::move(opened);
}

// ---- servers ----

struct program {
  const char* language;
  std::vector<std::string> command;
};
std::vector<program> programs() {
  std::vector<program> all{{"C", {BENCH_SERVER_C}}, {"Python", {"/usr/bin/python3", BENCH_SERVER_PYTHON}}};
  if (*BENCH_SERVER_GO != '\0') all.push_back({"Go", {BENCH_SERVER_GO}});
  return all;
}

/// A process in a cgroup and a network namespace, from when it listens.
class server {
 public:
  server(const program& what, const cgroup& group, const flood::network& net) {
    std::vector<char*> argv;
    for (const std::string& word : what.command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_ = ::fork();
    bench::require(pid_ >= 0, "cannot fork");
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      std::ofstream(group.path() + "/cgroup.procs") << 0 << std::flush;
      net.enter();
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    for (int i = 0;; ++i) {
      try {
        net.inside([] { synfp::test::reset(synfp::test::connected(flood::network::target_v4(port))); });
        return;
      } catch (const std::runtime_error&) {
        bench::require(i < 2000 && ::waitpid(pid_, nullptr, WNOHANG) == 0,
                       std::string("the server in ") + what.language + " does not start");
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
  }
  ~server() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  server(const server&) = delete;
  server& operator=(const server&) = delete;

 private:
  pid_t pid_ = -1;
};

// ---- what clients get ----

struct point {
  unsigned own = 0, none = 0, wrong = 0;
  bench::raw_clients::result result;
  std::string why;  // what our option said of the last one without
  double rate = 0, seconds = 0;
  double share() const { return result.answered == 0 ? 0 : static_cast<double>(own) / result.answered; }
};

std::string hexadecimal(std::span<const std::uint8_t> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t b : bytes) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

/// `rate`: below 0, as fast as one thread sends.
point measure(const flood::network& net, bench::raw_clients& clients, double rate, unsigned count,
              unsigned together, unsigned delay_ms) {
  static std::uint64_t floods = 0;
  point p;
  flood::options what;
  what.port = port;
  what.seed = ++floods;
  flood::limits how;
  how.rate = rate > 0 ? rate : 0;
  how.duration = 600;
  const std::uint64_t cookies = net.counters()["TcpExt.SyncookiesSent"];
  flood::attack attack(net, what, how);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const auto began = std::chrono::steady_clock::now();
  const std::uint64_t sent = attack.sent();
  p.result =
      clients.run(count, together, delay_ms, [&](std::span<const std::uint8_t> syn, std::string_view said) {
        const std::string own = hexadecimal(syn);
        std::string ours, saved;
        std::istringstream lines{std::string(said)};
        std::getline(lines, ours);
        std::getline(lines, saved);
        const bool right = saved == "saved " + own, empty = saved == "saved ";
        // Our own option must agree.
        const bool agrees = right ? ours == "verified " + own : ours.starts_with("none: ");
        p.own += right && agrees;
        p.none += empty && agrees;
        if (empty) p.why = ours;
        p.wrong += !(right || empty) || !agrees;
      });
  p.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  p.rate = static_cast<double>(attack.sent() - sent) / p.seconds;
  attack.stop();
  attack.wait();
  bench::require(static_cast<double>(net.counters()["TcpExt.SyncookiesSent"] - cookies) >=
                     0.99 * static_cast<double>(attack.sent()),
                 "the flood did not reach the listener");
  bench::require(p.result.answered > count / 2, "too few clients got through");
  return p;
}

struct flooding {
  const char* name;
  double rate;
};
constexpr flooding floods[] = {{"50k", 50'000}, {"200k", 200'000}, {"full", -1}};

void clients(bench::report& report, const flood::network& net) {
  bench::raw_clients clients(net);
  const cgroup sized_group, default_group, bare;
  const auto sized = open_probe<sized_config>(sized_group);
  const auto usual = open_probe<default_config>(default_group);
  std::uint64_t wrong = 0, compared = 0;
  const auto one = [&](const program& what, const char* with, const cgroup& group, const flooding& f,
                       unsigned count, unsigned together, unsigned delay) {
    const server running(what, group, net);
    const point p = measure(net, clients, f.rate, count, together, delay);
    report.row({{"SYN on the socket", with},
                {"server", what.language},
                {"flood", f.name},
                {"SYN/s", p.rate},
                {"handshake ms", delay},
                {"own SYN", p.share()},
                {"connections", p.result.answered},
                {"own", p.own},
                {"none", p.none},
                {"wrong", p.wrong},
                {"failed", p.result.failed},
                {"repeated", p.result.again},
                {"why none", p.why}});
    wrong += p.wrong;
    compared += p.result.answered;
    return p;
  };
  double full = 1, slow = 1, alone = 0;
  for (const program& what : programs()) {
    for (const flooding& f : floods) {
      for (const unsigned delay : {1U, 50U, 300U}) {
        const point p = one(what, "probe, sized", sized_group, f, delay == 1 ? 2000 : 1000,
                            delay == 1    ? 32
                            : delay == 50 ? 96
                                          : 120,
                            delay);
        if (delay == 1 && f.rate < 0) full = std::min(full, p.share());
        if (delay == 300 && f.rate == 50'000) slow = std::min(slow, p.share());
      }
      const point p = one(what, "kernel alone", bare, f, 1000, 32, 1);
      if (f.rate < 0) alone = std::max(alone, p.share());
    }
  }
  for (const flooding& f : floods) {
    for (const unsigned delay : {1U, 50U, 300U})
      (void)one(programs().front(), "probe, default", default_group, f, delay == 1 ? 2000 : 1000,
                delay == 1    ? 32
                : delay == 50 ? 96
                              : 120,
                delay);
  }
  // Until 100,000 connections were compared.
  while (compared < 100'000)
    (void)one(programs().front(), "probe, sized", sized_group, floods[0], 20'000, 64, 1);
  report.figure("socket_own_syn_full", full);
  report.figure("socket_own_syn_300ms_50k", slow);
  report.figure("kernel_own_syn_full", alone);
  report.figure("socket_wrong", static_cast<double>(wrong));
  report.figure("socket_connections", static_cast<double>(compared));
  const auto counted = sized.records().counters();
  for (std::size_t i = 0; i < counted.size(); ++i) {
    if (counted[i] != 0)
      report.row({{"counted by the probe, sized", std::string(synfp::capture::counter_descriptions[i].name)},
                  {"times", counted[i]}});
  }
  report.row({{"table", "sized"}, {"buckets", sized_config.buckets}, {"hold ms", sized_config.hold.count}});
  report.row(
      {{"table", "default"}, {"buckets", default_config.buckets}, {"hold ms", default_config.hold.count}});
}

// ---- in this process ----

/// A listener of this process in a cgroup, or outside of all.
fd listen_in(const flood::network& net, const cgroup* group) {
  return net.inside([&] {
    std::unique_ptr<cgroup::membership> inside;
    if (group != nullptr) inside = std::make_unique<cgroup::membership>(*group);
    fd s = synfp::test::bound(synfp::endpoint::v4(0, 0, 0, 0, port));
    // Connections of the listener before may still be in TIME_WAIT.
    const int on = 1;
    bench::require(::setsockopt(s.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0,
                   "cannot set SO_REUSEADDR");
    return s;
  });
}
void start(const fd& listener, int backlog) {
  bench::require(::listen(listener.get(), backlog) == 0, "cannot listen");
}

struct connection {
  fd client, server;
};
connection connect_once(const flood::network& net, const fd& listener) {
  connection c;
  c.client = net.inside([] { return synfp::test::connected(flood::network::target_v4(port)); });
  c.server = synfp::test::accepted(listener);
  bench::require(static_cast<bool>(c.server), "a connection was not accepted");
  return c;
}
void drop(connection c) { synfp::test::reset(std::move(c.client)); }

template <hook H>
void quiet_with(bench::report& report, const flood::network& net, const char* name, double& least) {
  constexpr unsigned wanted = 20'000;
  constexpr probe_config config{.hook = H};
  const cgroup group;
  synfp::capture::probe_options options;
  options.cgroups = {group.path()};
  if (H == hook::xdp) options.interfaces = {"lo"};
  auto opened = net.inside([&] { return probe<config>::open(options); });
  if (!opened) bench::fail(opened.error().message);
  const fd listener = listen_in(net, &group);
  const auto prepared = opened->prepare(listener.get(), true);
  if (!prepared) bench::fail(prepared.error().message);
  start(listener, 128);
  synfp::capture::socket source;
  unsigned verified = 0, exact = 0, wrong = 0;
  for (unsigned i = 0; i < wanted; ++i) {
    connection c = connect_once(net, listener);
    const auto found = source.claim({c.server.get(), {}, {}}, synfp::capture::now_ns());
    std::array<std::uint8_t, 256> saved;
    socklen_t length = saved.size();
    bench::require(
        ::getsockopt(c.server.get(), IPPROTO_TCP, TCP_SAVED_SYN, saved.data(), &length) == 0 && length != 0,
        "the kernel did not keep a SYN");
    if (found) {
      verified += found.proof == synfp::proof::verified;
      exact += found.proof == synfp::proof::exact;
      wrong +=
          found->bytes().size() != length || std::memcmp(found->bytes().data(), saved.data(), length) != 0;
    }
    drop(std::move(c));
  }
  const double share = static_cast<double>(verified + exact) / wanted;
  report.row({{"without a flood", name},
              {"connections", wanted},
              {"exact", exact},
              {"verified", verified},
              {"wrong", wrong},
              {"share", share}});
  bench::require(wrong == 0, "a SYN was another connection's");
  least = std::min(least, share);
}

void quiet(bench::report& report, const flood::network& net) {
  double least = 1;
  quiet_with<hook::sockops>(report, net, "sockops", least);
  quiet_with<hook::reuseport>(report, net, "reuseport", least);
  quiet_with<hook::xdp>(report, net, "xdp", least);
  report.figure("verified_share_quiet", least);
}

// ---- costs ----

struct run_stats {
  double ns = 0, runs = 0;
};
/// The sum over all loaded programs of that name, as kernel.bpf_stats_enabled counts.
run_stats stats_of(const std::string& name) {
  run_stats sum;
  for (__u32 id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
    const fd one(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    __u32 length = sizeof info;
    if (!one || bpf_obj_get_info_by_fd(one.get(), &info, &length) != 0 || name != info.name) continue;
    sum.ns += static_cast<double>(info.run_time_ns);
    sum.runs += static_cast<double>(info.run_cnt);
  }
  return sum;
}

constexpr std::uint32_t syns = 50'000, warm = 2'000;

/// Processor time per SYN of a flood into a listener from which nobody accepts, ns.
template <class Prepare>
double flood_listener(const flood::network& net, flood::sender& sender, const cgroup* group,
                      const Prepare& prepare) {
  const fd listener = listen_in(net, group);
  prepare(listener.get());
  start(listener, 128);
  return net.inside([&] {
    const auto before = net.counters()["TcpExt.SyncookiesSent"];
    sender.send(warm);
    const double begin = bench::thread_ns();
    const auto sent = sender.send(syns);
    const double end = bench::thread_ns();
    bench::require(sent == syns && net.counters()["TcpExt.SyncookiesSent"] - before >= syns,
                   "no cookies were sent");
    return (end - begin) / syns;
  });
}

/// A capture of every SYN of a flood, beside none, in turns. The probe is open for its own rounds only: an
/// interface's program would run in the others too. Returns its program's share of the stack's cost.
template <hook H, std::uint32_t Buckets>
double per_syn_with(bench::report& report, const flood::network& net, flood::sender& sender,
                    const std::string& name, const char* program_name) {
  constexpr probe_config config{.hook = H, .buckets = Buckets, .hold = {0}};  // every SYN is stored
  const cgroup covered;
  const auto captured = [&] {
    synfp::capture::probe_options options;
    if (H == hook::sockops) options.cgroups = {covered.path()};
    if (H == hook::xdp || H == hook::tcx) options.interfaces = {"flood0"};
    auto opened = net.inside([&] { return probe<config>::open(options); });
    if (!opened) bench::fail(opened.error().message);
    const double ns = flood_listener(net, sender, H == hook::sockops ? &covered : nullptr, [&](int listener) {
      if (const auto ready = opened->prepare(listener, true); !ready) bench::fail(ready.error().message);
    });
    const auto counted = opened->records().counters();
    bench::require((counted[synfp::SYNFP_COUNT_STORED] + counted[synfp::SYNFP_COUNT_REPLACED]) * 100 >
                       (syns + warm) * 99,
                   name + " did not store the flood");
    const auto stats = stats_of(program_name);
    return std::pair{ns, stats};
  };
  const auto bare = [&] { return flood_listener(net, sender, nullptr, [](int) {}); };
  std::vector<double> without, with, program, runs;
  for (int i = 0; i < 15; ++i) {
    // The order changes, lest one of them always follows a rest.
    if (i % 2 == 0) without.push_back(bare());
    with.push_back(captured().first);
    if (i % 2 != 0) without.push_back(bare());
  }
  {
    const fd stats(bpf_enable_stats(BPF_STATS_RUN_TIME));
    bench::require(static_cast<bool>(stats), "cannot enable kernel.bpf_stats");
    for (int i = 0; i < 7; ++i) {
      const run_stats one = captured().second;
      program.push_back(one.ns / (syns + warm));
      runs.push_back(one.runs / (syns + warm));
    }
  }
  const auto extra = bench::minus(with, without);
  const double share = bench::median(program) / bench::median(without);
  report.row({{"per SYN of a flood", name},
              {"stack ns", bench::median(without)},
              {"program ns", bench::median(program)},
              {"program runs", bench::median(runs)},
              {"share", share},
              {"extra ns", bench::median(extra)},
              {"quartile 1", bench::quantile(extra, 0.25)},
              {"quartile 3", bench::quantile(extra, 0.75)}});
  report.figure("socket_capture_" + name + "_over_stack", share);
  return share;
}

void per_syn(bench::report& report, const flood::network& net) {
  const auto make_sender = [&](flood::via way) {
    flood::options what;
    what.port = port;
    what.via = way;
    return net.inside([&] { return std::make_unique<flood::sender>(net, what); });
  };
  const auto sender = make_sender(flood::via::stack);
  // What the other way hands to the stack, a program at the interface does not see.
  const auto through_interface = make_sender(flood::via::veth);
  constexpr std::uint32_t small = probe_config{}.buckets, large = sized_config.buckets;
  const double least =
      std::min({per_syn_with<hook::sockops, small>(report, net, *sender, "sockops", "synfp_sockops"),
                per_syn_with<hook::reuseport, small>(report, net, *sender, "reuseport", "synfp_reuseport"),
                per_syn_with<hook::xdp, small>(report, net, *through_interface, "xdp", "synfp_xdp"),
                per_syn_with<hook::tcx, small>(report, net, *sender, "tcx", "synfp_tcx")});
  (void)per_syn_with<hook::sockops, large>(report, net, *sender, "sockops_sized", "synfp_sockops");
  report.figure("socket_capture_cheapest_over_stack", least);
}

template <hook H>
void connections_with(bench::report& report, const flood::network& net, const char* name,
                      const char* cookies) {
  constexpr unsigned count = 3000;
  constexpr probe_config config{.hook = H};
  const cgroup group;
  synfp::capture::probe_options options;
  options.cgroups = {group.path()};
  auto opened = net.inside([&] { return probe<config>::open(options); });
  if (!opened) bench::fail(opened.error().message);
  net.sysctl("net/ipv4/tcp_syncookies", cookies);
  const fd listener = listen_in(net, &group);
  if (const auto prepared = opened->prepare(listener.get(), true); !prepared)
    bench::fail(prepared.error().message);
  start(listener, 128);
  const fd stats(bpf_enable_stats(BPF_STATS_RUN_TIME));
  const auto before = stats_of("synfp_sockops");
  for (unsigned i = 0; i < count; ++i) drop(connect_once(net, listener));
  const auto after = stats_of("synfp_sockops");
  report.row({{"per connection", name},
              {"cookies", *cookies == '2' ? "yes" : "no"},
              {"program ns", (after.ns - before.ns) / count},
              {"program runs", (after.runs - before.runs) / count}});
  report.figure(std::string("socket_") + name + (*cookies == '2' ? "_cookie" : "") + "_ns_per_connection",
                (after.ns - before.ns) / count);
}

void per_connection(bench::report& report, const flood::network& net) {
  for (const char* cookies : {"1", "2"}) {
    connections_with<hook::sockops>(report, net, "sockops", cookies);
    connections_with<hook::reuseport>(report, net, "reuseport", cookies);
  }
}

struct option {
  const char* name;
  const char* figure;
  int level, number;
};
constexpr option options[] = {{"SO_ERROR", "so_error", SOL_SOCKET, SO_ERROR},
                              {"TCP_INFO", "tcp_info", IPPROTO_TCP, TCP_INFO},
                              {"TCP_SAVED_SYN", "saved_syn", IPPROTO_TCP, TCP_SAVED_SYN},
                              {"SYNFP_SO_SYN", "so_syn", SOL_SOCKET, SYNFP_SO_SYN}};

double ask(int socket, const option& o) {
  constexpr int calls = 20'000;
  std::array<std::uint8_t, 256> answer;
  const double begin = bench::thread_ns();
  for (int i = 0; i < calls; ++i) {
    socklen_t length = o.level == SOL_SOCKET && o.number == SO_ERROR ? socklen_t{sizeof(int)}
                                                                     : static_cast<socklen_t>(answer.size());
    (void)::getsockopt(socket, o.level, o.number, answer.data(), &length);
  }
  return (bench::thread_ns() - begin) / calls;
}

/// All of them on a connection by cookie. TCP_SAVED_SYN is empty but for the first call.
void per_getsockopt(bench::report& report, const flood::network& net) {
  constexpr int rounds = 15;
  const cgroup covered, bare;
  const auto opened = open_probe<default_config>(covered);
  const auto connect = [&](const cgroup& group) {
    const fd listener = listen_in(net, &group);
    start(listener, 16);
    return connect_once(net, listener);
  };
  const connection with = connect(covered), without = connect(bare);
  for (const option& o : options) {
    std::vector<double> a, b;
    for (int i = 0; i < rounds; ++i) {
      if (i % 2 == 0) b.push_back(ask(without.server.get(), o));
      a.push_back(ask(with.server.get(), o));
      if (i % 2 != 0) b.push_back(ask(without.server.get(), o));
    }
    report.row({{"per getsockopt()", o.name},
                {"kernel alone ns", bench::median(b)},
                {"with the programs ns", bench::median(a)},
                {"more ns", bench::median(bench::minus(a, b))}});
    report.figure(std::string("socket_getsockopt_more_ns_") + o.figure, bench::median(bench::minus(a, b)));
  }
}

/// Bytes of all the kernel's kmalloc objects in use.
double slab_bytes() {
  std::ifstream slabs("/proc/slabinfo");
  double total = 0;
  for (std::string line; std::getline(slabs, line);) {
    std::istringstream words(line);
    std::string name;
    double active = 0, all = 0, size = 0;
    words >> name >> active >> all >> size;
    if (name.starts_with("kmalloc-")) total += active * size;
  }
  return total;
}

double bytes_per_connection(const flood::network& net, const cgroup& group, unsigned count) {
  const fd listener = listen_in(net, &group);
  start(listener, 128);
  std::vector<connection> all;
  all.reserve(count);
  const double before = slab_bytes();
  for (unsigned i = 0; i < count; ++i) all.push_back(connect_once(net, listener));
  const double after = slab_bytes();
  for (connection& c : all) drop(std::move(c));
  all.clear();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // freed after a grace period
  return (after - before) / count;
}

void memory(bench::report& report, const flood::network& net) {
  rlimit files{};
  bench::require(::getrlimit(RLIMIT_NOFILE, &files) == 0, "cannot ask for the limit of open files");
  files.rlim_cur = files.rlim_max;
  bench::require(::setrlimit(RLIMIT_NOFILE, &files) == 0, "cannot raise the limit of open files");
  const auto count = static_cast<unsigned>(std::min<rlim_t>(10'000, (files.rlim_max - 100) / 2));
  const cgroup covered, bare;
  const auto opened = open_probe<default_config>(covered);
  for (const char* cookies : {"2", "1"}) {
    net.sysctl("net/ipv4/tcp_syncookies", cookies);
    std::vector<double> with, without;
    for (int i = 0; i < 5; ++i) {
      without.push_back(bytes_per_connection(net, bare, count));
      with.push_back(bytes_per_connection(net, covered, count));
    }
    const double more = bench::median(bench::minus(with, without));
    report.row({{"memory per connection", *cookies == '2' ? "cookies" : "no cookies"},
                {"connections", count},
                {"kernel alone bytes", bench::median(without)},
                {"with the programs bytes", bench::median(with)},
                {"more bytes", more}});
    report.figure(std::string("socket_more_bytes") + (*cookies == '2' ? "_cookie" : "") + "_per_connection",
                  more);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool only_syns = argc == 3 && std::string(argv[1]) == "--per-syn";
  bench::require(argc == 2 || only_syns, "usage: socket-flood [--per-syn] OUTPUT.json");
  const flood::network net;
  bench::report report;
  if (only_syns) {
    net.sysctl("net/ipv4/tcp_syncookies", "2");
    per_syn(report, net);
    report.write(argv[2]);
    return 0;
  }
  net.sysctl("net/ipv4/tcp_syncookies", "1");
  quiet(report, net);
  net.sysctl("net/ipv4/tcp_syncookies", "2");
  clients(report, net);
  per_syn(report, net);
  per_getsockopt(report, net);
  per_connection(report, net);
  memory(report, net);
  report.write(argv[1]);
}
