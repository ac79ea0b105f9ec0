// SPDX-License-Identifier: MIT
// syn-cost: what the probe costs per packet, in the kernel, by BPF_PROG_TEST_RUN.
//
// Packets that are not SYNs: the real program, loaded by synfp::capture::probe, minus a program that only
// passes. Figure nonsyn_extra_ns: an IPv4 TCP segment with data.
//
// SYNs: every run has another peer (bench/peers.bpf.c says how and why), so that buckets and hash chains are
// as cold as in a flood. The cost of a store is what a variant takes above the same parser, which reads the
// clock, and whose result is discarded. Figures syn_store_*_over_*: at the default 8 MiB, with hold 0: every
// SYN is really stored. With the default hold most SYNs of such a flood are refused after a look at the
// bucket's head; that is a row of its own and in no figure. HASH is measured while it fills; full, it refuses
// every new key for ever, a row as well. (At 128 MiB a round takes longer than the default hold: there the
// holding table stores, as "stored %" says.)
//
// In the stack: what the programs of the hooks take of a real connection, by kernel.bpf_stats, which a
// program that cannot be run by itself has to be measured by. xdp runs for every packet of it. A row without
// figures: this kernel cannot attach kprobe.
//
// Variants take turns in every round, in random order; medians over rounds, of differences within a round.
// Checked: every run counted, the last keys found in the maps.
//
//   syn-cost OUTPUT.json             the benchmark
//   syn-cost --in-stack OUTPUT.json  only that part
//   syn-cost --compare OBJECT ...    builds of peers.bpf.o against each other, for work on bpf/
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <synfp/capture/probe.hpp>
#include <type_traits>
#include <vector>

#include "../tests/support/sockets.hpp"
#include "../tests/support/two_hosts.hpp"
#include "frames.hpp"
#include "peers.hpp"
#include "report.hpp"

namespace {

using bench::frame;
using synfp::synfp_key;

/// name -> one sample per round
using samples = std::map<std::string, std::vector<double>>;
struct variant {
  std::string name;
  std::function<double()> sample;
};

samples interleave(const std::vector<variant>& variants, int rounds) {
  samples result;
  std::vector<const variant*> order;
  for (const variant& v : variants) order.push_back(&v);
  std::minstd_rand random(1);
  for (int round = 0; round < rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (const variant* v : order) result[v->name].push_back(v->sample());
  }
  return result;
}

void nonsyn(bench::report& report) {
  synfp::capture::probe_options options;
  options.interfaces = {"lo"};
  auto probe = synfp::capture::probe<synfp::probe_config{.hook = synfp::hook::xdp}>::open(options);
  if (!probe) bench::fail(probe.error().message);
  const bench::peers peers(synfp::probe_config{.buckets = 1});
  const int pass = peers.program("bench_pass");
  const int real = probe->fds().program;

  const std::vector<std::pair<std::string, frame>> packets = {
      {"TCP segment, IPv4", bench::make_frame(false, bench::transport::tcp, bench::flag_ack, 512)},
      {"TCP segment, IPv6", bench::make_frame(true, bench::transport::tcp, bench::flag_ack, 512)},
      {"UDP, IPv4", bench::make_frame(false, bench::transport::udp, 0, 512)}};
  std::vector<variant> variants;
  for (const auto& one : packets) {
    const frame& packet = one.second;
    variants.push_back({"pass " + one.first, [&, pass] { return bench::test_run(pass, packet, 500'000); }});
    variants.push_back({one.first, [&, real] { return bench::test_run(real, packet, 500'000); }});
  }
  const auto before = probe->records().counters();
  const samples measured = interleave(variants, 31);
  bench::require(probe->records().counters() == before, "a packet that is no SYN was counted");
  for (const auto& [name, packet] : packets) {
    const auto extra = bench::minus(measured.at(name), measured.at("pass " + name));
    report.row({{"not a SYN", name},
                {"XDP_PASS ns", bench::median(measured.at("pass " + name))},
                {"probe ns", bench::median(measured.at(name))},
                {"extra ns", bench::median(extra)},
                {"quartile 1", bench::quantile(extra, 0.25)},
                {"quartile 3", bench::quantile(extra, 0.75)}});
    if (&name == &packets.front().first) report.figure("nonsyn_extra_ns", bench::median(extra));
  }
  // The real program, SYNs: the same one again is a retransmit, the cheapest write there is.
  const frame syn = bench::make_frame(false, bench::transport::tcp, bench::flag_syn, 0);
  const samples again = interleave({{"pass", [&] { return bench::test_run(pass, syn, 300'000); }},
                                    {"probe", [&] { return bench::test_run(real, syn, 300'000); }}},
                                   11);
  const auto counted = probe->records().counters();
  bench::require(
      counted[synfp::SYNFP_COUNT_STORED] == 1 && counted[synfp::SYNFP_COUNT_RETRANSMIT] == 11 * 300'000 - 1,
      "a repeated SYN was not counted as one");
  const auto extra = bench::minus(again.at("probe"), again.at("pass"));
  report.row({{"not a SYN", "(the same SYN again)"},
              {"XDP_PASS ns", bench::median(again.at("pass"))},
              {"probe ns", bench::median(again.at("probe"))},
              {"extra ns", bench::median(extra)},
              {"quartile 1", bench::quantile(extra, 0.25)},
              {"quartile 3", bench::quantile(extra, 0.75)}});
}

/// One hash map filled with the peers that the last runs made up.
void check_map(const bench::peers& peers, const char* map, std::uint64_t runs) {
  synfp::synfp_slot slot;
  const std::uint64_t end = peers.state().next;
  for (std::uint64_t n = end - runs; n < end; ++n) {
    const synfp_key key = peers.table().key_of(bench::peer(n), bench::server);
    bench::require(bpf_map_lookup_elem(peers.fd(map), &key, &slot) == 0 && slot.tcp[13] == bench::flag_syn,
                   std::string("a SYN is missing in ") + map);
  }
}
void check_table(const bench::peers& peers, std::uint64_t runs) {
  const std::uint64_t end = peers.state().next;
  for (std::uint64_t n = end - runs; n < end; ++n) {
    const auto found =
        peers.table().find(peers.table().key_of(bench::peer(n), bench::server), synfp::capture::now_ns());
    bench::require(static_cast<bool>(found), "a SYN is missing in the table");
  }
}

/// Empties the HASH of the last `runs` peers.
void clear_hash(const bench::peers& peers, std::uint64_t runs) {
  std::vector<synfp_key> keys;
  const std::uint64_t end = peers.state().next;
  for (std::uint64_t n = end - runs; n < end; ++n)
    keys.push_back(peers.table().key_of(bench::peer(n), bench::server));
  auto count = static_cast<__u32>(keys.size());
  bpf_map_batch_opts options{};
  options.sz = sizeof options;
  bench::require(bpf_map_delete_batch(peers.fd("bench_hash_map"), keys.data(), &count, &options) == 0 &&
                     count == keys.size(),
                 "the HASH did not hold every SYN that it took");
}

void store(bench::report& report, std::uint32_t buckets, int rounds) {
  constexpr synfp::probe_config defaults;
  const std::string mib = std::to_string(buckets * sizeof(synfp::synfp_bucket) >> 20);
  const bench::peers peers(synfp::probe_config{.hook = synfp::hook::xdp, .buckets = buckets, .hold = {0}});
  const bench::peers holding(
      synfp::probe_config{.hook = synfp::hook::xdp, .buckets = buckets, .hold = defaults.hold});
  const frame syn = bench::make_frame(false, bench::transport::tcp, bench::flag_syn, 0);
  const std::uint32_t runs = 100'000, fill = peers.capacity() / 5 * 4;
  const auto program = [&](const char* name, std::uint32_t n) {
    return bench::test_run(peers.program(name), syn, n);
  };
  const auto updates = [&](const char* name, std::uint32_t n) {
    const bench_state before = peers.state();
    const double ns = program(name, n);
    const bench_state after = peers.state();
    bench::require(after.next - before.next == n && after.stored - before.stored == n,
                   std::string(name) + " refused " + std::to_string(after.refused - before.refused) + " of " +
                       std::to_string(after.next - before.next) + " SYNs");
    return ns;
  };
  // How many of `n` SYNs were stored under a new key.
  const auto stored_of = [&](const bench::peers& which, const auto& run) {
    const auto before = which.table().counters();
    run();
    return which.table().counters()[synfp::SYNFP_COUNT_STORED] - before[synfp::SYNFP_COUNT_STORED];
  };

  // From full maps on, so that every store of the table and of LRU_HASH evicts.
  program("bench_table", 2 * peers.capacity());
  updates("bench_lru", 2 * peers.capacity());

  std::vector<double> kept;
  const std::vector<variant> variants = {
      {"pass", [&] { return program("bench_pass", runs); }},
      {"rewrite", [&] { return program("bench_rewrite", runs); }},
      {"parse", [&] { return program("bench_parse", runs); }},
      {"table",
       [&] {
         double ns = 0;
         // Two of 2^48 peers may be equal: a replacement or a conflict, a handful at most.
         const auto stored = stored_of(peers, [&] { ns = program("bench_table", runs); });
         bench::require(stored <= runs && runs - stored < 8, "the table did not store every SYN");
         check_table(peers, 1000);
         return ns;
       }},
      {"holding",
       [&] {
         double ns = 0;
         const int hold = holding.program("bench_table");
         // Fills what has become old enough since the last round.
         bench::test_run(hold, syn, 2 * holding.capacity());
         const auto stored = stored_of(holding, [&] { ns = bench::test_run(hold, syn, runs); });
         kept.push_back(static_cast<double>(stored) / runs);
         return ns;
       }},
      {"lru",
       [&] {
         const double ns = updates("bench_lru", runs);
         check_map(peers, "bench_lru_map", 1000);
         return ns;
       }},
      {"hash",
       [&] {
         const double ns = updates("bench_hash", fill);
         check_map(peers, "bench_hash_map", 1000);
         clear_hash(peers, fill);
         return ns;
       }},
  };
  samples measured = interleave(variants, rounds);

  program("bench_hash", 2 * peers.capacity());  // full from here on
  const std::uint64_t full = peers.state().refused;
  bench::require(full == peers.capacity(), "the HASH did not refuse what it has no room for");
  samples refusing = interleave({{"parse", [&] { return program("bench_parse", runs); }},
                                 {"hash full", [&] { return program("bench_hash", runs); }}},
                                rounds);
  bench::require(peers.state().refused - full == static_cast<std::uint64_t>(rounds) * runs,
                 "a full HASH took a new key");

  const auto show = [&](const std::string& name, const samples& of, const std::string& variant,
                        double share) {
    const auto above = bench::minus(of.at(variant), of.at("parse"));
    report.row({{mib + " MiB: SYN from a new peer", name},
                {"ns", bench::median(of.at(variant))},
                {"above parse ns", bench::median(above)},
                {"quartile 1", bench::quantile(above, 0.25)},
                {"quartile 3", bench::quantile(above, 0.75)},
                {"stored %", share}});
    return bench::median(above);
  };
  show("XDP_PASS", measured, "pass", 0);
  show("another peer per run", measured, "rewrite", 0);
  show("+ parse", measured, "parse", 0);
  const double table = show("table, hold 0", measured, "table", 100);
  show("table, default hold", measured, "holding", 100 * bench::median(kept));
  const double lru = show("LRU_HASH", measured, "lru", 100);
  const double hash = show("HASH, filling", measured, "hash", 100);
  show("HASH, full", refusing, "hash full", 0);
  std::string suffix;
  if (buckets != defaults.buckets) suffix.append("_").append(mib).append("mib");
  report.figure("syn_store_table_over_lru" + suffix, table / lru);
  report.figure("syn_store_table_over_hash" + suffix, table / hash);
  if (suffix.empty()) report.figure("syn_store_table_ns", table);
}

/// The programs' own time of 2,000 connections in each of five rounds, the hooks in turns.
void in_stack(bench::report& report) {
  using synfp::hook;
  constexpr int connections = 2000, rounds = 5;
  const synfp::test::two_hosts hosts;
  const synfp::test::fd stats(bpf_enable_stats(BPF_STATS_RUN_TIME));
  bench::require(static_cast<bool>(stats), "cannot enable kernel.bpf_stats");
  std::map<std::string, std::vector<double>> runs, ns;
  const auto measure = [&]<hook H>(const std::string& name, std::integral_constant<hook, H>) {
    synfp::capture::probe_options options;
    if (H == hook::xdp) options.interfaces = {"s0"};
    auto probe = hosts.server.inside(
        [&] { return synfp::capture::probe<synfp::probe_config{.hook = H}>::open(options); });
    if (!probe && H == hook::kprobe) return;
    if (!probe) bench::fail(probe.error().message);
    const auto listener =
        hosts.server.inside([&] { return synfp::test::bound(synfp::endpoint::v4(10, 77, 0, 1, 8080)); });
    bench::require(probe->prepare(listener.get(), true).has_value() && ::listen(listener.get(), 16) == 0,
                   "listen");
    for (int i = 0; i < connections; ++i) {
      auto client =
          hosts.client.inside([&] { return synfp::test::connected(synfp::test::local_of(listener.get())); });
      const auto server = synfp::test::accepted(listener);
      synfp::test::reset(std::move(client));
    }
    const auto counted = probe->records().counters();
    bench::require(counted[synfp::SYNFP_COUNT_STORED] == connections, "a SYN was not stored: " + name);
    bpf_prog_info info{};
    __u32 length = sizeof info;
    bench::require(bpf_obj_get_info_by_fd(probe->fds().program, &info, &length) == 0,
                   "BPF_OBJ_GET_INFO_BY_FD");
    runs[name].push_back(static_cast<double>(info.run_cnt) / connections);
    ns[name].push_back(static_cast<double>(info.run_time_ns) / connections);
  };
  for (int round = 0; round < rounds; ++round) {
    measure("reuseport", std::integral_constant<hook, hook::reuseport>());
    measure("xdp", std::integral_constant<hook, hook::xdp>());
    measure("kprobe", std::integral_constant<hook, hook::kprobe>());
  }
  for (const char* name : {"reuseport", "xdp", "kprobe"}) {
    const bool there = ns.count(name) != 0;
    using nlohmann::json;
    report.row({{"a connection, in the stack",
                 there ? std::string(name) : std::string(name) + ": not on this kernel"},
                {"runs of the program", there ? json(bench::median(runs[name])) : json()},
                {"ns of the program", there ? json(bench::median(ns[name])) : json()},
                {"quartile 1", there ? json(bench::quantile(ns[name], 0.25)) : json()},
                {"quartile 3", there ? json(bench::quantile(ns[name], 0.75)) : json()}});
    if (there) report.figure(std::string("syn_in_stack_") + name + "_ns", bench::median(ns[name]));
  }
}

/// Builds of peers.bpf.c in turns: what a change of bpf/ does, on a machine that is never quiet.
void compare(bench::report& report, const std::vector<const char*>& objects) {
  const frame syn = bench::make_frame(false, bench::transport::tcp, bench::flag_syn, 0);
  const frame ack = bench::make_frame(false, bench::transport::tcp, bench::flag_ack, 512);
  const frame ack6 = bench::make_frame(true, bench::transport::tcp, bench::flag_ack, 512);
  constexpr std::uint32_t buckets = synfp::probe_config{}.buckets;
  std::vector<std::unique_ptr<bench::peers>> storing, holding, cached;
  std::vector<variant> variants;
  for (const char* object : objects) {
    storing.push_back(std::make_unique<bench::peers>(
        synfp::probe_config{.hook = synfp::hook::xdp, .buckets = buckets, .hold = {0}}, object));
    holding.push_back(std::make_unique<bench::peers>(
        synfp::probe_config{.hook = synfp::hook::xdp, .buckets = buckets, .hold = {5000}}, object));
    cached.push_back(std::make_unique<bench::peers>(
        synfp::probe_config{.hook = synfp::hook::xdp, .buckets = 64, .hold = {0}}, object));
    const auto add = [&](const char* what, const bench::peers& in, const char* program, const frame& packet,
                         std::uint32_t runs) {
      variants.push_back({std::string(what) + object, [=, &packet, fd = in.program(program)] {
                            return bench::test_run(fd, packet, runs);
                          }});
    };
    add("pass ", *storing.back(), "bench_pass", ack, 300'000);
    add("ack ", *storing.back(), "bench_probe", ack, 300'000);
    add("ack6 ", *storing.back(), "bench_probe", ack6, 300'000);
    add("rewrite ", *storing.back(), "bench_rewrite", syn, 100'000);
    add("parse ", *storing.back(), "bench_parse", syn, 100'000);
    add("table ", *storing.back(), "bench_table", syn, 100'000);
    add("cached ", *cached.back(), "bench_table", syn, 100'000);
    add("hold ", *holding.back(), "bench_table", syn, 100'000);
    bench::test_run(storing.back()->program("bench_table"), syn, 4 * storing.back()->capacity());
  }
  samples measured = interleave(variants, 31);
  for (const char* object : objects) {
    const auto of = [&](const char* what) { return measured.at(std::string(what) + object); };
    report.row({{"object", object},
                {"ACK extra ns", bench::median(bench::minus(of("ack "), of("pass ")))},
                {"ACK IPv6", bench::median(bench::minus(of("ack6 "), of("pass ")))},
                {"parse ns", bench::median(bench::minus(of("parse "), of("rewrite ")))},
                {"store ns", bench::median(bench::minus(of("table "), of("parse ")))},
                {"parse + store, 128 KiB", bench::median(bench::minus(of("cached "), of("rewrite ")))},
                {"parse + store", bench::median(bench::minus(of("table "), of("rewrite ")))},
                {"parse + held", bench::median(bench::minus(of("hold "), of("rewrite ")))}});
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::leave_network();
  bench::report report;
  if (argc > 2 && std::string(argv[1]) == "--compare") {
    compare(report, {argv + 2, argv + argc});
    return 0;
  }
  if (argc == 3 && std::string(argv[1]) == "--in-stack") {
    in_stack(report);
    report.write(argv[2]);
    return 0;
  }
  bench::require(argc == 2, "usage: syn-cost OUTPUT.json | --in-stack OUTPUT.json | --compare OBJECT ...");
  nonsyn(report);
  store(report, synfp::probe_config{}.buckets, 21);
  store(report, 512, 11);
  store(report, 65536, 5);
  in_stack(report);
  report.write(argv[1]);
}
