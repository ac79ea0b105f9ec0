// SPDX-License-Identifier: MIT
// scale: what a store and a lookup cost as the table grows from 1 to 512 MiB, and as writers are added.
//
// Store: in the kernel, by BPF_PROG_TEST_RUN, above the same parser whose result is discarded; hold 0, a full
// table, another peer in every run, so that every SYN is stored into a cold bucket.
//
// N writers: as many threads, each on a CPU of its own and with peers of its own; processor time per SYN of
// each, so that a machine shared with others does not count as slow. `lost` are the writes that gave up
// because another CPU was in the same bucket, per million. They overlap but for the milliseconds in which the
// kernel patches its XDP dispatcher at the start of each run, and for what the scheduler takes from one.
//
// Lookup: table::find() of the last 100,000 records stored, at most a quarter of the table, in no order.
//
// All tables exist at once; sizes and variants take turns in every round; medians. Checked: every SYN was
// stored, replaced or counted as lost, and every lookup finds its record.
#include <sched.h>

#include <algorithm>
#include <barrier>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "frames.hpp"
#include "peers.hpp"
#include "report.hpp"

namespace {

using synfp::synfp_key;

constexpr std::uint32_t sizes[] = {512, 4096, 16384, 65536, 262144};
constexpr int rounds = 15;
constexpr std::uint32_t runs = 100'000;
constexpr std::size_t lookups = 50'000;

std::vector<int> cpus() {
  cpu_set_t set;
  bench::require(::sched_getaffinity(0, sizeof set, &set) == 0, "sched_getaffinity");
  std::vector<int> all;
  for (int i = 0; i < CPU_SETSIZE && all.size() < 8; ++i) {
    if (CPU_ISSET(static_cast<unsigned>(i), &set) && i < BENCH_LANES) all.push_back(i);
  }
  return all;
}
void move_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  bench::require(::sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

struct subject {
  std::uint32_t buckets;
  std::unique_ptr<bench::peers> in;
  double mib() const { return buckets * sizeof(synfp::synfp_bucket) / 1048576.0; }
};

/// Processor time per SYN of `writers` threads that store at once, their mean; and lost writes per million.
std::pair<double, double> store(const subject& s, const std::vector<int>& on, std::size_t writers,
                                const bench::frame& syn) {
  const auto before = s.in->table().counters();
  const int program = s.in->program("bench_lane_table");
  std::vector<double> ns(writers);
  std::barrier start(static_cast<std::ptrdiff_t>(writers));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < writers; ++i) {
    threads.emplace_back([&, i] {
      move_to(on[i]);
      start.arrive_and_wait();
      ns[i] = bench::test_run(program, syn, runs);
    });
  }
  for (auto& t : threads) t.join();
  const auto after = s.in->table().counters();
  const auto counted = [&](int what) {
    return after[static_cast<std::size_t>(what)] - before[static_cast<std::size_t>(what)];
  };
  const auto lost = counted(synfp::SYNFP_COUNT_BUSY);
  std::uint64_t accounted = 0;
  std::string told;
  for (const int what : {synfp::SYNFP_COUNT_STORED, synfp::SYNFP_COUNT_REPLACED, synfp::SYNFP_COUNT_CONFLICT,
                         synfp::SYNFP_COUNT_RETRANSMIT, synfp::SYNFP_COUNT_BUSY}) {
    accounted += counted(what);
    told += ' ' + std::to_string(counted(what));
  }
  bench::require(accounted == writers * runs,
                 "of " + std::to_string(writers * runs) +
                     " SYNs, stored, replaced, conflicting, repeated, lost were:" + told);
  return {std::accumulate(ns.begin(), ns.end(), 0.0) / static_cast<double>(writers),
          static_cast<double>(lost) * 1e6 / static_cast<double>(writers * runs)};
}

/// ns per lookup, wall clock: nothing in it waits.
double look_up(const subject& s, int cpu, std::minstd_rand& random) {
  const std::uint64_t end = s.in->made_up(cpu);
  // In a table filled at random by round robin per bucket, practically all of the last quarter are still
  // there.
  const std::uint64_t last = std::min<std::uint64_t>(s.in->capacity() / 4, runs);
  std::vector<synfp_key> keys(lookups);
  for (auto& key : keys)
    key = s.in->table().key_of(
        bench::peer(static_cast<std::uint64_t>(cpu) << BENCH_LANE_SHIFT | (end - 1 - random() % last)),
        bench::server);
  const std::uint64_t now = synfp::capture::now_ns();
  std::size_t found = 0;
  const double start = bench::thread_ns();
  for (const auto& key : keys) found += static_cast<bool>(s.in->table().find(key, now));
  const double stop = bench::thread_ns();
  bench::require(found >= lookups - lookups / 100, "more than 1 % of the last records are missing");
  return (stop - start) / static_cast<double>(lookups);
}

}  // namespace

int main(int argc, char** argv) {
  bench::require(argc == 2, "usage: scale OUTPUT.json");
  bench::leave_network();
  const std::vector<int> on = cpus();
  move_to(on[0]);
  const bench::frame syn = bench::make_frame(false, bench::transport::tcp, bench::flag_syn, 0);
  std::vector<subject> subjects;
  for (const std::uint32_t buckets : sizes) {
    const synfp::probe_config config{.hook = synfp::hook::xdp,
                                     .buckets = buckets,
                                     .hold = {0},
                                     .max_age = {600'000},
                                     .conflict_window = {600'000}};
    subjects.push_back({buckets, std::make_unique<bench::peers>(config, BENCH_PEERS_OBJECT, true)});
    const auto& in = *subjects.back().in;
    bench::test_run(in.program("bench_lane_table"), syn, 2 * in.capacity());
  }

  // [size][variant] -> one sample per round; variant 0 is the parser, then the writers.
  std::map<std::uint32_t, std::map<std::size_t, std::vector<double>>> cost, lost;
  std::map<std::uint32_t, std::vector<double>> found;
  std::minstd_rand random(1);
  for (int round = 0; round < rounds; ++round) {
    std::shuffle(subjects.begin(), subjects.end(), random);
    for (const subject& s : subjects) {
      cost[s.buckets][0].push_back(bench::test_run(s.in->program("bench_lane_parse"), syn, runs));
      for (std::size_t writers = 1; writers <= on.size(); ++writers) {
        const auto [ns, gone] = store(s, on, writers, syn);
        cost[s.buckets][writers].push_back(ns);
        lost[s.buckets][writers].push_back(gone);
      }
      // Enough of this CPU's peers at the end, whatever the others wrote meanwhile.
      bench::test_run(s.in->program("bench_lane_table"), syn, runs);
      found[s.buckets].push_back(look_up(s, on[0], random));
    }
  }

  bench::report report;
  std::sort(subjects.begin(), subjects.end(),
            [](const auto& a, const auto& b) { return a.buckets < b.buckets; });
  const auto series = [&](const std::string& name, const std::string& figure, auto&& value) {
    for (const subject& s : subjects) {
      const double y = value(s.buckets);
      report.row({{"series", name}, {"x", s.mib()}, {"y", y}});
      report.figure("scale_" + figure + "_" + std::to_string(static_cast<int>(s.mib())) + "mib", y);
    }
  };
  for (std::size_t writers = 1; writers <= on.size(); ++writers) {
    const std::string n = std::to_string(writers), who = n + (writers == 1 ? " writer" : " writers");
    series("store ns, " + who, "store_ns_" + n + "w",
           [&](std::uint32_t b) { return bench::median(bench::minus(cost[b][writers], cost[b][0])); });
    if (writers > 1)
      series("lost per million, " + who, "lost_ppm_" + n + "w",
             [&](std::uint32_t b) { return bench::median(lost[b][writers]); });
  }
  series("lookup ns", "lookup_ns", [&](std::uint32_t b) { return bench::median(found[b]); });
  report.write(argv[1]);
}
