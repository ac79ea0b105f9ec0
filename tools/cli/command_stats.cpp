// SPDX-License-Identifier: MIT
// synfp stats: what a probe that is pinned counts, what is in its table, and how large that should be.
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/capture/census.hpp>
#include <synfp/capture/counters.hpp>
#include <synfp/capture/metrics.hpp>
#include <synfp/capture/table.hpp>
#include <synfp/json.hpp>
#include <synfp/open_metrics.hpp>
#include <synfp/privilege.hpp>
#include <synfp/sizing.hpp>

#include "../support/pin_owner.hpp"
#include "command.hpp"
#include "waiter.hpp"

namespace cli {
namespace {

using namespace synfp;
using counters = std::array<std::uint64_t, SYNFP_COUNTERS>;

struct settings {
  std::string pins = "/sys/fs/bpf/synfp";
  double interval = 1;  // seconds
  bool json = false, metrics = false, watch = false;
};

/// Whether records still come.
enum class life : std::uint8_t {
  alive,   ///< counters moved
  idle,    ///< they did not, and the probe's owner is there
  ended,   ///< they did not, and the owner has gone
  unknown  ///< they did not, and its owner cannot be seen from here
};

std::string_view to_string(life l) {
  switch (l) {
    case life::alive: return "alive";
    case life::idle: return "idle";
    case life::ended: return "ended";
    case life::unknown: break;
  }
  return "unknown";
}

/// The table for a measured load.
struct advice {
  std::uint32_t rate = 0;  ///< SYN/s that needed a slot
  std::uint32_t hold_ms = 0;
  std::uint32_t buckets = 0;  ///< for survival_wanted; 0: no table has so many
  double survival = 0;        ///< what this table keeps
};
constexpr double survival_wanted = 0.999;

/// One look at the table, with what changed since the one before.
struct sample {
  double seconds = 0;  ///< since the look before
  counters total{};
  std::array<double, SYNFP_COUNTERS> rate{};  ///< per second
  capture::census in;
  tools::pin_owner owner;
  life is = life::unknown;
  advice size;
};

std::uint32_t milliseconds_of(std::uint32_t hold) {
  return static_cast<std::uint32_t>((std::uint64_t{hold} << SYNFP_TIME_SHIFT) / 1'000'000);
}

advice advise(const synfp_meta& meta, double slots_per_second) {
  constexpr std::uint32_t usual_delay = probe_config{}.hold.count;
  advice a;
  a.rate = static_cast<std::uint32_t>(std::min(std::ceil(slots_per_second), 4e9));
  a.hold_ms = meta.hold == 0 ? usual_delay : std::min(milliseconds_of(meta.hold), 60'000U);
  if (a.rate == 0) return a;
  a.buckets = sized_for({a.rate, {a.hold_ms}, survival_wanted}).buckets;
  const probe_config here{.buckets = meta.buckets, .hold = {meta.hold == 0 ? 0 : a.hold_ms}};
  a.survival = expected_survival(here, a.rate, {a.hold_ms});
  return a;
}

class reader {
 public:
  explicit reader(const settings& s) : s_(s) {
    ::stat(s.pins.c_str(), &directory_);
    auto table = capture::table::open(s.pins);
    if (!table) throw failure(table.error().message);
    table_.emplace(*std::move(table));
    before_ = table_->counters();
    at_ = capture::now_ns();
  }

  const capture::table& table() const { return *table_; }
  std::string gone() const {
    struct stat now {};
    if (::stat(s_.pins.c_str(), &now) == 0 && now.st_ino == directory_.st_ino &&
        now.st_dev == directory_.st_dev)
      return {};
    return fmt::format("the probe pinned in {} has ended; start again to read the next one", s_.pins);
  }

  /// A daemon says itself that it lives.
  tools::pin_owner owner(std::uint64_t now) const {
    const synfp_u32 daemon = table_->keeper();
    if (daemon == 0) return tools::owner_of(s_.pins);
    if (table_->abandoned(now)) return {tools::pin_owner::state::gone, 0, {}};
    return {tools::pin_owner::state::present, static_cast<int>(daemon), "synfpd"};
  }

  sample look() {
    sample one;
    one.in = capture::census::take(*table_, capture::now_ns());
    one.total = table_->counters();
    const std::uint64_t now = capture::now_ns();
    one.seconds = static_cast<double>(now - std::exchange(at_, now)) / 1e9;
    for (std::size_t i = 0; i < one.total.size(); ++i)
      one.rate[i] = static_cast<double>(one.total[i] - before_[i]) / one.seconds;
    one.owner = owner(now);
    one.is = one.total != std::exchange(before_, one.total)     ? life::alive
             : one.owner.is == tools::pin_owner::state::present ? life::idle
             : one.owner.is == tools::pin_owner::state::gone    ? life::ended
                                                                : life::unknown;
    one.size = advise(table_->meta(), one.rate[SYNFP_COUNT_STORED] + one.rate[SYNFP_COUNT_HELD]);
    return one;
  }

 private:
  const settings& s_;
  struct stat directory_ {};
  std::optional<capture::table> table_;
  counters before_{};
  std::uint64_t at_ = 0;
};

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}
template <class Number>
std::string or_null(const std::optional<Number>& value) {
  return value ? fmt::format("{}", *value) : "null";
}

std::vector<unsigned> ports_of(const synfp_meta& meta) {
  std::vector<unsigned> ports;
  for (unsigned i = 0; i < std::min<unsigned>(meta.ports, SYNFP_MAX_PORTS); ++i)
    ports.push_back(synfp_host16(meta.port[i], SYNFP_LITTLE));
  return ports;
}

std::string joined(const std::vector<unsigned>& numbers) {
  std::string text;
  for (const unsigned one : numbers) text += fmt::format("{}{}", text.empty() ? "" : ",", one);
  return text;
}

std::string json_line(const settings& s, const synfp_meta& meta, const sample& one) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::string out = fmt::format(R"({{"time":{}.{:06},"pinned":{},)", static_cast<std::int64_t>(now.tv_sec),
                                now.tv_nsec / 1000, json_string(s.pins));
  const bool present = one.owner.is == tools::pin_owner::state::present;
  out += fmt::format(
      R"("probe":{{"state":"{}","owner":{},"hook":"{}","scope":"{}","ipv4":{},"ipv6":{},"ports":[{}],"abi":{}}},)",
      to_string(one.is), present ? fmt::format("{}", one.owner.process) : "null", capture::hook_name(meta),
      meta.scope == SYNFP_SCOPE_PEER ? "peer" : "flow", (meta.families & SYNFP_FAMILY_IPV4) != 0,
      (meta.families & SYNFP_FAMILY_IPV6) != 0, joined(ports_of(meta)), meta.abi);
  out += fmt::format(R"("interval":{:.3f},"counters":{{)", one.seconds);
  for (std::size_t i = 0; i < one.total.size(); ++i)
    out +=
        fmt::format(R"({}"{}":{})", i == 0 ? "" : ",", capture::counter_descriptions[i].name, one.total[i]);
  out += R"(},"rates":{)";
  for (std::size_t i = 0; i < one.rate.size(); ++i)
    out += fmt::format(R"({}"{}":{:.3f})", i == 0 ? "" : ",", capture::counter_descriptions[i].name,
                       one.rate[i]);
  const capture::census& in = one.in;
  out += fmt::format(
      R"(}},"table":{{"buckets":{},"full_buckets":{},"busy_buckets":{},"slots":{},"used":{},"hold_ms":{},"max_age_ms":{}}},)",
      meta.buckets, in.full_buckets, in.busy_buckets, in.slots, in.records(), milliseconds_of(meta.hold),
      meta.max_age_ns / 1'000'000);
  out += fmt::format(
      R"("records":{{"verified":{},"tuple":{},"conflict":{},"unchecked":{},"unusable":{},"stale":{}}},)",
      in.verified, in.tuple, in.conflict, in.unchecked, in.unusable, in.stale);
  out += R"("ages":[)";
  for (std::size_t i = 0; i < in.by_age.size(); ++i)
    out += fmt::format(R"({}{{"below_ms":{},"records":{}}})", i == 0 ? "" : ",",
                       i < in.age_bounds.size() ? fmt::format("{}", in.age_bounds[i]) : "null", in.by_age[i]);
  out += fmt::format(R"(],"evicted_at_ms":{},)", or_null(in.evicted_at_ms));
  const advice& a = one.size;
  if (a.rate == 0) {
    out += R"("sizing":null})";
  } else {
    out += fmt::format(R"("sizing":{{"rate":{},"hold_ms":{},"survival":{:.6f},"buckets":{}}}}})", a.rate,
                       a.hold_ms, a.survival,
                       a.buckets == 0 ? std::string("null") : fmt::format("{}", a.buckets));
  }
  return out + '\n';
}

std::string share(std::size_t part, std::size_t whole) {
  return whole == 0 ? "-"
                    : fmt::format("{:.1f} %", 100 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string size_text(std::uint32_t buckets) {
  const std::size_t kib = buckets * (sizeof(synfp_bucket) / 1024);
  return kib < 1024 ? fmt::format("{} KiB", kib) : fmt::format("{} MiB", kib / 1024);
}

std::string state_text(const sample& one) {
  const std::string who = fmt::format("process {}{}", one.owner.process,
                                      one.owner.name.empty() ? "" : " (" + one.owner.name + ")");
  const bool present = one.owner.is == tools::pin_owner::state::present;
  switch (one.is) {
    case life::alive: return "alive, its counters move" + (present ? "; owner: " + who : "");
    case life::idle: return "idle: no SYN came; owner: " + who;
    case life::ended: return "ended: its owner is gone and no SYN comes; these are its last numbers";
    case life::unknown: break;
  }
  return "unknown: no SYN came, and its owner cannot be seen from here";
}

std::string sizing_text(const synfp_meta& meta, const sample& one) {
  const advice& a = one.size;
  if (a.rate == 0) return "no new SYN in this time: nothing to size by";
  std::string text = fmt::format("{} SYN/s, held {} ms: this table keeps {:.2f} %; {:.1f} % need ", a.rate,
                                 a.hold_ms, 100 * a.survival, 100 * survival_wanted);
  if (a.buckets == 0) return text + "more than 8 GiB";
  text += fmt::format("{} buckets ({})", a.buckets, size_text(a.buckets));
  return text + (a.buckets > meta.buckets ? "; make the table larger, see synfp sizing" : "");
}

std::string report(const settings& s, const synfp_meta& meta, const sample& one) {
  const std::string ports = joined(ports_of(meta));
  std::string out = fmt::format("probe     {}, hook {}, {}\n", s.pins, capture::hook_name(meta),
                                ports.empty() ? "every port" : "ports " + ports);
  out += fmt::format("state     {}\n\n{:<14}{:>14}{:>12}  {}\n", state_text(one), "counter", "total",
                     "per second", "what");
  std::uint64_t refused = 0;
  for (std::size_t i = 0; i < one.total.size(); ++i) {
    const capture::counter_description& d = capture::counter_descriptions[i];
    if (d.refused) refused += one.total[i];
    out += fmt::format("{:<14}{:>14}{:>12.1f}  {}{}\n", d.name, one.total[i], one.rate[i],
                       d.refused ? "refused: " : "", d.what);
  }
  const capture::census& in = one.in;
  const std::size_t fresh = in.fresh();
  out += fmt::format("\nrefused   {} SYNs in all, stored {}\n", refused,
                     one.total[SYNFP_COUNT_STORED] + one.total[SYNFP_COUNT_REPLACED]);
  out += fmt::format("table     {} buckets ({}), {} of {} slots used ({}), {} buckets full\n", meta.buckets,
                     size_text(meta.buckets), in.records(), in.slots, share(in.records(), in.slots),
                     in.full_buckets);
  out += fmt::format("records   {} fresh, {} stale (older than {} ms)\n", fresh, in.stale,
                     meta.max_age_ns / 1'000'000);
  out += fmt::format("fresh     verified {}, tuple {}, conflict {}, unchecked {}, unusable {}\n",
                     share(in.verified, fresh), share(in.tuple, fresh), share(in.conflict, fresh),
                     share(in.unchecked, fresh), share(in.unusable, fresh));
  const auto below = [&in](double part) {
    const auto bound = in.age_below_ms(part);
    return bound ? fmt::format("younger than {} ms", *bound)
                 : fmt::format("up to more than {} ms", in.age_bounds.back());
  };
  out += in.records() == 0
             ? "age       no record\n"
             : fmt::format("age       half are {}, 90 % {}, 99 % {}\n", below(0.5), below(0.9), below(0.99));
  out += in.evicted_at_ms
             ? fmt::format("evicted   in full buckets, at an age of about {} ms; hold is {} ms\n",
                           *in.evicted_at_ms, milliseconds_of(meta.hold))
             : "evicted   nothing: no bucket is full\n";
  return out + fmt::format("sizing    {}\n", sizing_text(meta, one));
}

std::string metrics(const sample& one, const capture::table& table) {
  std::string out;
  open_metrics text(out);
  capture::write_metrics(text, table, one.in);
  if (one.owner.is != tools::pin_owner::state::unseen)
    text.gauge("synfp_probe_owner_present", "", "1 while the process that pinned the probe lives.",
               one.owner.is == tools::pin_owner::state::present ? 1 : 0);
  text.end();
  return out;
}

/// All of it, or throws.
void write_out(std::string_view text, const waiter& signals) {
  while (!text.empty()) {
    signals.wait_for_room();
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), std::min<std::size_t>(text.size(), 4096));
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EPIPE) {
      throw reader_left();
    } else if (errno != EINTR && errno != EAGAIN) {
      throw failure(fmt::format("cannot write the output: {}", std::strerror(errno)), 1);
    }
  }
}

int stats(const settings& s) {
  const waiter signals;
  reader probe(s);
  // What follows only reads memory and /proc. A failure is no reason to show nothing: there is no /proc here.
  (void)drop_privileges();
  const synfp_meta& meta = probe.table().meta();
  if (s.metrics) {
    write_out(metrics(probe.look(), probe.table()), signals);
    return 0;
  }
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  life last = life::unknown;
  do {
    if (signals.wait(static_cast<int>(s.interval * 1000))) return 0;
    const sample one = probe.look();
    if (s.json) {
      write_out(json_line(s, meta, one), signals);
    } else {
      write_out((s.watch && terminal ? "\033[H\033[J" : "") + report(s, meta, one) +
                    (s.watch && !terminal ? "\n" : ""),
                signals);
    }
    if (const std::string gone = probe.gone(); !gone.empty()) throw failure(gone, 1);
    last = one.is;
  } while (s.watch);
  return last == life::ended ? 1 : 0;
}

}  // namespace

command add_stats(CLI::App& app) {
  const auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand(
      "stats", "Says what a running probe counts, how full its table is, and how large that should be");
  sub->add_option("--pinned", s->pins, "where the probe is pinned")->type_name("DIR")->capture_default_str();
  CLI::Option* json = sub->add_flag("--json", s->json, "one JSON object per line");
  CLI::Option* metrics =
      sub->add_flag("--prometheus", s->metrics, "OpenMetrics text, at once")->excludes(json);
  sub->add_option("--interval", s->interval, "seconds over which rates are measured")
      ->check(CLI::Range(0.01, 3600.0))
      ->type_name("SECONDS")
      ->capture_default_str();
  sub->add_flag("--watch", s->watch, "go on, a report after each interval")->excludes(metrics);
  sub->footer(
      R"(It waits one interval, for the rates. It loads nothing and needs the permission to open the pins, see
echo_server --pin and --pin-group.

state is alive (counters moved), idle (they did not, and the probe's owner is there), ended (they did not,
and it is gone: what a killed server left behind) or unknown (they did not, and /proc does not show who is
there). A lookup of a server that found nothing is not counted here: the table does not know of it.

evicted says how old a record gets in a full bucket. If that is less than the time from a SYN to its
accept(), records are lost. sizing takes the SYNs of this interval that needed a slot, and the table's hold.

Exit status: 0; 1 if the probe has ended or the output cannot be written; 2 if nothing was read.

  synfp stats
  synfp stats --json --watch --interval 10
  synfp stats --prometheus > /var/lib/prometheus/node-exporter/synfp.prom)");
  return {sub, [s] { return stats(*s); }};
}

}  // namespace cli
