// SPDX-License-Identifier: MIT
// lookup-flood: finding the SYN of a connection that was just accepted, while its listener is flooded; ns per
// lookup. Clients connect through the flooded listener, which answers with SYN cookies (checked); a batch of
// them is accepted, as a turn of an event loop does, the clock is read once, and every connection is looked
// up:
//
//   table      synfp::capture::probe, hook reuseport: claim(), a whole record out of the mapping
//   LRU_HASH   bpf_map_lookup_elem(), a system call; the same hook, parser, key, value and capacity
//   HASH       the same; nobody deletes, so it is full after the first moments of a flood
//   saved SYN  getsockopt(TCP_SAVED_SYN)
//
// Ways take turns at every rate, in random order, several rounds, on a new listener each; samples of all
// rounds together. What was found is compared, byte by byte, with what the client sent; "wrong" is another
// SYN than its own. The time of two readings of the timer is a row of its own and not subtracted.
#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "flooded.hpp"

namespace {

constexpr unsigned batch = 32, batches = 220;  // connections per turn, turns
constexpr int rounds = 3;
constexpr int backlog = 1024;
constexpr double slot_seconds = 8;  // at most, for one way at one rate in one round

struct speed {
  const char* name;
  double rate;  ///< SYN/s; 0: none, below: as fast as it goes
};
constexpr speed speeds[] = {{"none", 0}, {"50 k/s", 50e3}, {"200 k/s", 200e3}, {"full speed", -1}};

/// A point in time for differences of nanoseconds.
inline std::uint64_t ticks() {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
  const std::uint64_t t = __builtin_ia32_rdtsc();
  __builtin_ia32_lfence();
  return t;
#else
  return synfp::capture::now_ns();
#endif
}
double ns_per_tick() {
  const std::uint64_t t0 = ticks(), n0 = synfp::capture::now_ns();
  std::uint64_t n1 = n0;
  while (n1 - n0 < 50'000'000) n1 = synfp::capture::now_ns();
  return static_cast<double>(n1 - n0) / static_cast<double>(ticks() - t0);
}

struct result {
  std::vector<double> ns;
  std::uint64_t found = 0, wrong = 0, verified = 0, sent = 0, lost_clients = 0, cookies = 0, by_cookie = 0;
  std::map<std::string, std::uint64_t> missed;
  double seconds = 0;
};

void measure(bench::scene& scene, bench::way& way, const speed& how, double tick, result& to) {
  const auto listener = scene.listen(backlog, [&](int fd) { way.prepare(fd); });
  // What an earlier flood left is held for a while, and then no more.
  std::this_thread::sleep_for(std::chrono::milliseconds(synfp::probe_config{}.hold.count + 50));
  const std::uint64_t cookies = scene.cookies();
  std::unique_ptr<flood::attack> attack;
  if (how.rate != 0) {
    flood::limits limits;
    limits.rate = std::max(how.rate, 0.0);
    limits.duration = slot_seconds + 10;
    attack = std::make_unique<flood::attack>(scene.network, scene.flood_options(), limits);
    for (const std::uint64_t end = synfp::capture::now_ns() + 5'000'000'000;
         scene.cookies() < cookies + 2000;)
      bench::require(synfp::capture::now_ns() < end, "the flood does not bring the listener to SYN cookies");
  }
  const std::uint64_t sent = attack ? attack->sent() : 0, begun = synfp::capture::now_ns();
  const std::uint64_t late = begun + static_cast<std::uint64_t>(slot_seconds * 1e9);
  const std::uint64_t cookies_begun = scene.cookies(), opened = scene.count("TcpExt.SyncookiesRecv");
  for (unsigned turn = 0; turn < batches && synfp::capture::now_ns() < late; ++turn) {
    std::vector<bench::client> clients;
    clients.reserve(batch);
    for (unsigned i = 0; i < batch; ++i) clients.push_back(scene.connect());
    std::vector<bench::client*> accepted;
    while (accepted.size() < batch) {
      bench::client* c = scene.accept(listener.get(), clients);
      if (c == nullptr) break;
      accepted.push_back(c);
    }
    to.lost_clients += batch - accepted.size();
    const std::uint64_t now = synfp::capture::now_ns();
    for (bench::client* c : accepted) {
      const synfp::capture::connection connection{c->accepted.get(), c->peer, bench::scene::server()};
      const std::uint64_t before = ticks();
      const bool found = way.look(connection, now);
      const std::uint64_t after = ticks();
      to.ns.push_back(static_cast<double>(after - before) * tick);
      if (!found) ++to.missed[way.missed()];
      if (!found) continue;
      ++to.found;
      to.wrong += scene.judge(*c, way.record()) == bench::verdict::wrong;
      to.verified += way.verified();
    }
  }
  to.seconds += static_cast<double>(synfp::capture::now_ns() - begun) / 1e9;
  if (attack) {
    to.sent += attack->sent() - sent;
    to.cookies += scene.cookies() - cookies_begun;
    to.by_cookie += scene.count("TcpExt.SyncookiesRecv") - opened;
    attack->stop();
    attack->wait();
  }
}

double timer_overhead(double tick) {
  std::vector<double> ns;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t before = ticks();
    ns.push_back(static_cast<double>(ticks() - before) * tick);
  }
  return bench::median(ns);
}

}  // namespace

int main(int argc, char** argv) {
  bench::require(argc == 2, "usage: lookup-flood OUTPUT.json");
  constexpr synfp::probe_config config{};
  const bench::peers peers(config);
  bench::scene scene(peers);
  auto probe = synfp::capture::probe<config>::open();
  if (!probe) bench::fail(probe.error().message);
  synfp::capture::saved_syn saved;

  std::vector<std::unique_ptr<bench::way>> ways;
  ways.push_back(std::make_unique<bench::library_way<synfp::capture::probe<config>>>("table", *probe));
  ways.push_back(std::make_unique<bench::map_way>("LRU_HASH", peers, "bench_lru_map", "bench_listen_lru"));
  ways.push_back(std::make_unique<bench::map_way>("HASH", peers, "bench_hash_map", "bench_listen_hash"));
  ways.push_back(std::make_unique<bench::library_way<synfp::capture::saved_syn>>("saved SYN", saved));

  const double tick = ns_per_tick();
  std::map<std::string, std::map<std::string, result>> results;
  std::minstd_rand random(1);
  std::vector<bench::way*> order;
  for (const auto& w : ways) order.push_back(w.get());
  for (int round = 0; round < rounds; ++round) {
    for (const speed& s : speeds) {
      std::shuffle(order.begin(), order.end(), random);
      for (bench::way* w : order) measure(scene, *w, s, tick, results[s.name][w->name()]);
    }
  }

  bench::report report;
  std::uint64_t compared = 0, wrong = 0, verified = 0, own = 0;
  for (const speed& s : speeds) {
    for (const auto& w : ways) {
      const result& r = results[s.name][w->name()];
      const auto rate = r.seconds > 0 ? static_cast<double>(r.sent) / r.seconds : 0.0;
      report.row({{"lookup", w->name()},
                  {"flood", s.name},
                  {"asked SYN/s", s.rate < 0 ? bench::report::json(nullptr) : bench::report::json(s.rate)},
                  {"SYN/s", rate},
                  {"cookies/s", r.seconds > 0 ? static_cast<double>(r.cookies) / r.seconds : 0.0},
                  {"connections", r.ns.size()},
                  {"by cookie", r.by_cookie},
                  {"found", r.found},
                  {"wrong", r.wrong},
                  {"verified", r.verified},
                  {"p50 ns", bench::quantile(r.ns, 0.5)},
                  {"p99 ns", bench::quantile(r.ns, 0.99)},
                  {"p99.9 ns", bench::quantile(r.ns, 0.999)},
                  {"max ns", bench::quantile(r.ns, 1)},
                  {"clients lost", r.lost_clients}});
      wrong += r.wrong;
      if (s.rate == 0) continue;
      compared += r.found;
      if (w == ways.front()) {
        own += std::min(r.found, r.by_cookie);
        verified += r.verified;
      }
    }
  }
  for (const speed& s : speeds) {
    for (const auto& [why, times] : results[s.name]["table"].missed)
      report.row({{"table missed, because", why}, {"flood", s.name}, {"times", times}});
  }
  const auto at = [&](const char* of, double q) { return bench::quantile(results["full speed"][of].ns, q); };
  report.row({{"timer", "two readings"}, {"ns", timer_overhead(tick)}});
  report.figure("flood_lookup_p50_lru_over_table", at("LRU_HASH", 0.5) / at("table", 0.5));
  report.figure("flood_lookup_p99_lru_over_table", at("LRU_HASH", 0.99) / at("table", 0.99));
  report.figure("flood_lookup_table_p50_ns", at("table", 0.5));
  report.figure("flood_lookup_table_p99_ns", at("table", 0.99));
  report.figure("flooded_connections", static_cast<double>(compared));
  report.figure("wrong_attributions", static_cast<double>(wrong));
  report.figure("flood_verified_share",
                own != 0 ? static_cast<double>(verified) / static_cast<double>(own) : 0);
  report.write(argv[1]);
}
