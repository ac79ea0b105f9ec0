// SPDX-License-Identifier: MIT
// hostile: what an honest client and the server feel of clients that want to occupy it, kind by kind.
//
// For every kind a server of synfp's own, new, in a process of its own: one thread, default limits of bytes
// and numbers. Its limits of time are a tenth of the defaults, so that each of them acts within a run; who is
// sent away comes again at once, so there is never less hostility than with the longer ones. The hostile
// clients are one thread with one epoll: each sends a text, whole or in pieces, reads or does not, and leaves
// as its kind says. Beside them one honest client connects, asks, reads the response to its end and closes,
// over and over, 2 ms apart; its time is from connect() on; after 3 s it gives up, which counts as failed and
// as 3 s. It does the same before the hostile ones come and after they have gone: these times, of the same
// seconds of the same machine, are what its time among them is to be compared with.
//
// All over loopback in a network namespace. The server has one CPU, the clients another if there is one, and
// the honest client goes before the hostile ones there: the server is measured, not the load. The hostile
// clients have small socket buffers, or the kernel's memory for TCP would be what runs out first.
//
// "recovered": how long after the hostile clients have left the honest one begins the first twenty requests
// in a row that take what they took before. "counted": what the server says on its page of metrics.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "../tests/support/hostile.hpp"
#include "../tests/support/two_hosts.hpp"
#include "report.hpp"

namespace {

using namespace std::chrono_literals;
using namespace synfp::test::hostile;
using steady = std::chrono::steady_clock;
using seconds = std::chrono::duration<double>;

constexpr auto quiet_before = 600ms;
constexpr auto watched_after = 1300ms;

// ---- the honest client

struct asked {
  std::vector<double> us;
  std::vector<double> begun;  // seconds after the first
  int failed = 0;
};

/// Asks until `end`; `look` is called now and then.
template <class Look>
asked ask_until(const server& at, steady::time_point end, Look look) {
  asked all;
  const auto first = steady::now();
  auto looked = first - 1h;
  while (steady::now() < end) {
    const auto begun = steady::now();
    const bool answered = ask(at).ends_with("hello\n");
    const std::chrono::duration<double, std::micro> took = steady::now() - begun;
    all.us.push_back(answered ? took.count() : std::chrono::duration<double, std::micro>(give_up).count());
    all.begun.push_back(seconds(begun - first).count());
    all.failed += !answered;
    if (steady::now() - looked > 20ms) {
      look();
      looked = steady::now();
    }
    std::this_thread::sleep_for(2ms);
  }
  return all;
}

/// When the first twenty requests in a row begin of which none fails and half are not slower, by half, than
/// half of `quiet`; watched_after if none do.
double recovered(const asked& after, const asked& quiet) {
  constexpr std::size_t in_a_row = 20;
  const double usual = 1.5 * bench::median(quiet.us);
  for (std::size_t i = 0; i + in_a_row <= after.us.size(); ++i) {
    const std::vector<double> some(after.us.begin() + static_cast<std::ptrdiff_t>(i),
                                   after.us.begin() + static_cast<std::ptrdiff_t>(i + in_a_row));
    const bool answered =
        bench::quantile(some, 1) < std::chrono::duration<double, std::micro>(give_up).count();
    if (answered && bench::median(some) <= usual) return after.begun[i];
  }
  return seconds(watched_after).count();
}

struct measured {
  asked quiet, among;
  double before = 0, most = 0, after = 0;  // MB
  int descriptors_before = 0, descriptors_most = 0, descriptors_after = 0;
  double processor = 0;  // share of one
  double recovered = 0;  // s
  std::uint64_t connections = 0;
  std::map<std::string, double> counted;
};

measured measure(const kind& how) {
  const server at(how.descriptors, 10);
  move_to(1);
  measured m;
  bench::require(ask(at).ends_with("hello\n"), "the server does not answer");
  m.before = at.resident();
  m.descriptors_before = at.descriptors();
  m.quiet = ask_until(at, steady::now() + quiet_before, [] {});
  {
    const double processor = at.processor();
    const auto begun = steady::now();
    crowd hostile(at, how);
    m.among = ask_until(at, begun + std::chrono::duration_cast<steady::duration>(seconds(how.seconds)), [&] {
      m.most = std::max(m.most, at.resident());
      m.descriptors_most = std::max(m.descriptors_most, at.descriptors());
    });
    m.processor = (at.processor() - processor) / seconds(steady::now() - begun).count();
    hostile.leave();
    m.connections = hostile.connections();
  }
  const asked after = ask_until(at, steady::now() + watched_after, [] {});
  m.recovered = std::round(recovered(after, m.quiet) * 1000) / 1000;
  m.after = at.resident();
  m.descriptors_after = at.descriptors() - m.descriptors_before;
  m.counted = metrics_of(at);
  bench::require(!m.counted.empty(), "the server's page of metrics does not come");
  return m;
}

/// What is worth telling of what the server counted.
std::string told(const std::map<std::string, double>& counted) {
  std::string text;
  for (const auto& [name, n] : counted) {
    const bool of_interest =
        name.starts_with("synfp_http_responses_total{") || name.starts_with("synfp_http_refusals_total{") ||
        name.starts_with("synfp_http_closed_total{") || name.starts_with("synfp_http_cut_") ||
        name.starts_with("synfp_server_gone") || name.starts_with("synfp_server_spared") ||
        name.starts_with("synfp_server_shortages") || name.starts_with("synfp_ring_") ||
        name.starts_with("late_");
    if (!of_interest || n == 0 || name.find("\"handler\"") != name.npos) continue;
    std::string shorter = name.substr(name.starts_with("synfp_") ? 6 : 0);
    if (const auto quote = shorter.find('"'); quote != shorter.npos)
      shorter = shorter.substr(quote + 1, shorter.rfind('"') - quote - 1);
    if (const auto total = shorter.rfind("_total"); total != shorter.npos) shorter.resize(total);
    text += (text.empty() ? "" : ", ") + shorter + " " + std::to_string(static_cast<std::uint64_t>(n));
  }
  return text;
}

void run(const char* output, const std::vector<std::string>& wanted) {
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = std::min<rlim_t>(descriptors.rlim_max, 16'384);
  descriptors.rlim_max = descriptors.rlim_cur;  // the server's, too
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  const synfp::test::network_namespace netns;
  netns.sysctl("net/ipv4/ip_local_port_range", "1024 65535");
  bench::report report;
  double most_mb = 0, most_after = 0, longest = 0, worst_p99 = 0;
  int failed = 0, left = 0, not_counted = 0, measured_kinds = 0;
  for (const kind& how : kinds()) {
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), how.id) == wanted.end()) continue;
    bench::require(descriptors.rlim_cur > how.clients + 100, "the limit of descriptors is too low");
    const measured m = netns.inside([&] { return measure(how); });  // whose threads and processes stay there
    const double p99 = bench::quantile(m.among.us, 0.99);
    const auto count = m.counted.find(how.counted);
    const bool is_counted = how.counted.empty() || (count != m.counted.end() && count->second > 0);
    report.row({{"hostile clients", how.name},
                {"limits", how.bound},
                {"clients", how.clients},
                {"connections", m.connections},
                {"honest requests", m.among.us.size()},
                {"p50 us", bench::median(m.among.us)},
                {"without, p50 us", bench::median(m.quiet.us)},
                {"p99 us", p99},
                {"without, p99 us", bench::quantile(m.quiet.us, 0.99)},
                {"failed", m.among.failed},
                {"recovered s", m.recovered},
                {"MB before", m.before},
                {"MB most", m.most},
                {"MB after", m.after},
                {"descriptors most", m.descriptors_most},
                {"more after", m.descriptors_after},
                {"CPU %", m.processor * 100},
                {"counted", told(m.counted)}});
    if (!is_counted) std::printf("not counted as %s\n", how.counted.c_str());
    const std::string id = how.id;
    if (id.starts_with("never")) {
      report.figure("hostile_p99_us_" + id, p99);
      report.figure("hostile_mb_" + id, m.most);
    }
    ++measured_kinds;
    most_mb = std::max(most_mb, m.most);
    most_after = std::max(most_after, m.after);
    longest = std::max(longest, m.recovered);
    worst_p99 = std::max(worst_p99, p99);
    failed += m.among.failed;
    left = std::max(left, m.descriptors_after);
    not_counted += !is_counted;
  }
  bench::require(measured_kinds != 0, "there is no such kind");
  report.figure("hostile_kinds", measured_kinds);
  report.figure("hostile_failed", failed);
  report.figure("hostile_kinds_not_counted", not_counted);
  report.figure("hostile_recovered_s", longest);
  report.figure("hostile_p99_us", worst_p99);
  report.figure("hostile_mb", most_mb);
  report.figure("hostile_mb_after", most_after);
  report.figure("hostile_descriptors_after", left);
  report.write(output);
}

}  // namespace

int main(int argc, char** argv) try {
  bench::require(argc >= 2, "usage: hostile OUTPUT.json [KIND...]");
  run(argv[1], {argv + 2, argv + argc});
} catch (const std::exception& e) {
  bench::fail(e.what());
}
