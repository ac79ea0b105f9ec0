// SPDX-License-Identifier: MIT
// lookup: finding the SYN of an accepted connection, ns per lookup.
//
//   table      synfp::capture::table::find(): a whole record out of the mapping, which the XDP program filled
//   LRU_HASH   bpf_map_lookup_elem(), a system call: same keys, same 128-byte value; the usual design
//   HASH       the same
//   saved SYN  getsockopt(TCP_SAVED_SYN) on accepted connections over loopback, once for each connection
//   memory     one load that depends on the one before, out of as many bytes as the table has
//   clock      now_ns(), which a server reads once per batch of lookups
//
// Random: over all keys of a full 8 MiB table in no order; hot: one key. Figures lookup_random_*_over_table
// and lookup_hot_*_over_table are ratios of medians, repetitions interleaved at random by Google Benchmark;
// lookup_random_over_memory_load says how far a lookup is from the least that it could take.
// Checked: every measured lookup finds its record. What the table's buckets had to evict while they were
// filled is counted, shown, and not looked up.
#include <benchmark/benchmark.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <vector>

#include "frames.hpp"
#include "report.hpp"

namespace {

using synfp::synfp_key;
using synfp::synfp_slot;

// Records must not grow old while they are measured.
constexpr synfp::probe_config config{
    .hook = synfp::hook::xdp, .hold = {0}, .max_age = {600'000}, .conflict_window = {600'000}};
constexpr unsigned capacity = config.buckets * synfp::SYNFP_WAYS;
constexpr int connections = 4000;
constexpr int repetitions = 15;

struct filled {
  synfp::capture::probe<config> probe;
  std::vector<synfp_key> keys;  // all of them are in the table
};

/// As many SYNs as the table has slots, each through the program. Buckets differ in luck: what a full one
/// evicts is left out.
filled fill(unsigned& evicted) {
  synfp::capture::probe_options options;
  options.interfaces = {"lo"};
  auto probe = synfp::capture::probe<config>::open(options);
  if (!probe) bench::fail(probe.error().message);
  filled f{*std::move(probe), {}};
  bench::frame syn = bench::make_frame(false, bench::transport::tcp, bench::flag_syn, 0);
  for (unsigned n = 0; n < capacity; ++n) {
    bench::set_peer(syn, n);
    bench::test_run(f.probe.fds().program, syn, 1);
  }
  const auto& table = f.probe.records();
  bench::require(table.counters()[synfp::SYNFP_COUNT_STORED] == capacity,
                 "the probe did not store every SYN");
  for (unsigned n = 0; n < capacity; ++n) {
    const synfp_key key = table.key_of(bench::peer(n), bench::server);
    if (table.find(key, synfp::capture::now_ns())) f.keys.push_back(key);
  }
  evicted = capacity - static_cast<unsigned>(f.keys.size());
  bench::require(evicted < capacity / 5, "the table lost more than chance explains");
  std::shuffle(f.keys.begin(), f.keys.end(), std::minstd_rand(1));
  return f;
}

int make_map(bpf_map_type type, const std::vector<synfp_key>& keys) {
  const int fd = bpf_map_create(type, "bench_peer", sizeof(synfp_key), sizeof(synfp_slot), capacity, nullptr);
  bench::require(fd >= 0, "cannot create a map; run as root");
  synfp_slot slot{};
  slot.tcp[13] = bench::flag_syn;
  for (const synfp_key& key : keys)
    bench::require(bpf_map_update_elem(fd, &key, &slot, BPF_ANY) == 0, "cannot fill a map");
  return fd;
}

void find_in_table(benchmark::State& state, const filled& f, std::size_t keys) {
  const auto& table = f.probe.records();
  const std::uint64_t now = synfp::capture::now_ns();
  std::size_t i = 0;
  std::uint64_t missed = 0;
  for (auto _ : state) {
    const synfp::syn_lookup found = table.find(f.keys[i], now);
    benchmark::DoNotOptimize(&found);
    benchmark::ClobberMemory();
    missed += !found;
    if (++i == keys) i = 0;
  }
  bench::require(missed == 0, "a lookup in the table missed");
}

void find_in_map(benchmark::State& state, const filled& f, int map, std::size_t keys, std::uint64_t& missed) {
  std::size_t i = 0;
  synfp_slot slot;
  for (auto _ : state) {
    missed += bpf_map_lookup_elem(map, &f.keys[i], &slot) != 0;
    benchmark::DoNotOptimize(slot);
    if (++i == keys) i = 0;
  }
}

/// Accepted connections over loopback, whose SYNs the kernel has kept.
class accepted {
 public:
  accepted() {
    const int listener = socket_or_fail();
    sockaddr_storage address;
    const auto any = synfp::endpoint::v4(127, 0, 0, 1, BENCH_PORT);
    const socklen_t length = any.to_sockaddr(address);
    const int on = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    synfp::capture::saved_syn source;
    bench::require(source.prepare(listener, true).has_value(), "the listener refuses TCP_SAVE_SYN");
    bench::require(
        ::bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0 && ::listen(listener, 128) == 0,
        "cannot listen");
    for (int i = 0; i < connections; ++i) {
      const int client = socket_or_fail();
      fds_.push_back(client);
      bench::require(::connect(client, reinterpret_cast<sockaddr*>(&address), length) == 0, "cannot connect");
      const int server = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      bench::require(server >= 0, "cannot accept; raise RLIMIT_NOFILE to 10000");
      fds_.push_back(server);
      servers.push_back(server);
    }
    ::close(listener);
    std::shuffle(servers.begin(), servers.end(), std::minstd_rand(1));
  }
  ~accepted() {
    const linger reset{1, 0};  // no TIME_WAIT: the next repetition needs the ports
    for (const int fd : fds_) {
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      ::close(fd);
    }
  }
  accepted(const accepted&) = delete;
  accepted& operator=(const accepted&) = delete;

  std::vector<int> servers;

 private:
  static int socket_or_fail() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench::require(fd >= 0, "cannot make a socket; raise RLIMIT_NOFILE to 10000");
    return fd;
  }
  std::vector<int> fds_;
};

void read_saved_syn(benchmark::State& state) {
  const accepted all;
  std::size_t i = 0;
  std::array<std::uint8_t, 128> headers;
  std::uint64_t missed = 0;
  for (auto _ : state) {
    socklen_t length = headers.size();
    missed += ::getsockopt(all.servers[i++], IPPROTO_TCP, TCP_SAVED_SYN, headers.data(), &length) != 0 ||
              length < 40;
    benchmark::DoNotOptimize(headers);
  }
  bench::require(missed == 0, "a connection had no saved SYN");
}

void read_clock(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(synfp::capture::now_ns());
}

void read_memory(benchmark::State& state) {
  struct alignas(64) line {
    std::uint32_t next;
  };
  std::vector<line> lines((8U << 20) / sizeof(line));
  std::vector<std::uint32_t> order(lines.size());
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), std::minstd_rand(1));
  for (std::size_t i = 0; i < order.size(); ++i) lines[order[i]].next = order[(i + 1) % order.size()];
  std::uint32_t at = 0;
  for (auto _ : state) benchmark::DoNotOptimize(at = lines[at].next);
}

/// Keeps every repetition.
class collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type == Run::RT_Iteration)
        samples[run.run_name.function_name].push_back(run.GetAdjustedCPUTime());
    }
  }
  std::map<std::string, std::vector<double>> samples;
};

void bring_up_loopback() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  bench::require(::ioctl(fd, SIOCSIFFLAGS, &request) == 0, "cannot bring up loopback");
  ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  bench::require(argc == 2, "usage: lookup OUTPUT.json");
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);

  bench::leave_network();
  unsigned evicted = 0;
  const filled f = fill(evicted);
  const int lru = make_map(BPF_MAP_TYPE_LRU_HASH, f.keys);
  const int hash = make_map(BPF_MAP_TYPE_HASH, f.keys);
  // The TCP connections must not pass the probe, their SYNs would evict what is measured.
  bench::leave_network();
  bring_up_loopback();

  std::uint64_t lru_missed = 0, hash_missed = 0;
  const std::size_t all = f.keys.size();
  const auto add = [](const char* name, auto run) {
    return benchmark::RegisterBenchmark(name, run)->Repetitions(repetitions)->MinTime(0.02);
  };
  add("table random", [&](benchmark::State& s) { find_in_table(s, f, all); });
  add("table hot", [&](benchmark::State& s) { find_in_table(s, f, 1); });
  add("LRU_HASH random", [&](benchmark::State& s) { find_in_map(s, f, lru, all, lru_missed); });
  add("LRU_HASH hot", [&](benchmark::State& s) { find_in_map(s, f, lru, 1, lru_missed); });
  add("HASH random", [&](benchmark::State& s) { find_in_map(s, f, hash, all, hash_missed); });
  add("HASH hot", [&](benchmark::State& s) { find_in_map(s, f, hash, 1, hash_missed); });
  add("memory, one dependent load", read_memory);
  add("clock, once per batch", read_clock);
  benchmark::RegisterBenchmark("saved SYN, first read", read_saved_syn)
      ->Repetitions(repetitions)
      ->Iterations(connections);

  std::string name = argv[0], interleave = "--benchmark_enable_random_interleaving=true";
  std::array<char*, 3> arguments{name.data(), interleave.data(), nullptr};
  int count = 2;
  benchmark::Initialize(&count, arguments.data());
  collector collected;
  benchmark::RunSpecifiedBenchmarks(&collected);
  bench::require(hash_missed == 0, "a lookup in the HASH missed");
  bench::require(lru_missed == 0, "a lookup in the LRU_HASH missed");

  bench::report report;
  const double base_random = bench::median(collected.samples.at("table random"));
  const double base_hot = bench::median(collected.samples.at("table hot"));
  const auto row = [&](const std::string& of, double base) {
    const auto& samples = collected.samples.at(of);
    const double ns = bench::median(samples);
    report.row({{"lookup", of},
                {"ns", ns},
                {"quartile 1", bench::quantile(samples, 0.25)},
                {"quartile 3", bench::quantile(samples, 0.75)},
                {"over table", base > 0 ? bench::report::json(ns / base) : bench::report::json(nullptr)}});
    return base > 0 ? ns / base : 0;
  };
  row("table random", base_random);
  report.figure("lookup_random_lru_over_table", row("LRU_HASH random", base_random));
  report.figure("lookup_random_hash_over_table", row("HASH random", base_random));
  report.figure("lookup_random_savedsyn_over_table", row("saved SYN, first read", base_random));
  row("memory, one dependent load", 0);
  row("table hot", base_hot);
  report.figure("lookup_hot_lru_over_table", row("LRU_HASH hot", base_hot));
  report.figure("lookup_hot_hash_over_table", row("HASH hot", base_hot));
  row("clock, once per batch", 0);
  report.row({{"table of", std::to_string(capacity) + " slots"},
              {"keys", f.keys.size()},
              {"evicted while filling", evicted},
              {"misses", 0}});
  const double load = bench::median(collected.samples.at("memory, one dependent load"));
  report.figure("lookup_random_table_ns", base_random);
  report.figure("lookup_memory_load_ns", load);
  report.figure("lookup_random_over_memory_load", base_random / load);
  report.figure("lookup_clock_ns", bench::median(collected.samples.at("clock, once per batch")));
  report.write(argv[1]);
}
