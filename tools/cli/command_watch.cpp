// SPDX-License-Identifier: MIT
// synfp watch: SYNs as they come, one line each.
#include <fmt/format.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <synfp/capture/counters.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/scan.hpp>
#include <synfp/privilege.hpp>

#include "command.hpp"
#include "output.hpp"
#include "waiter.hpp"

namespace cli {
namespace {

using namespace synfp;
using counters = std::array<std::uint64_t, SYNFP_COUNTERS>;

struct settings {
  std::string interface, pins;
  format shown = format::table;
  std::vector<std::uint16_t> ports;
  databases asked;
  std::uint64_t count = 0;  // 0: no end
};

/// Nobody asks this table for the SYN of a connection: a newcomer evicts at once.
constexpr probe_config on_interface{.hook = hook::xdp, .hold = {0}};

/// From CLOCK_MONOTONIC to the time of day; a step of that clock takes effect at once.
class calendar {
 public:
  void look() {
    timespec t{};
    ::clock_gettime(CLOCK_REALTIME, &t);
    offset_ = std::int64_t{t.tv_sec} * second + t.tv_nsec - static_cast<std::int64_t>(capture::now_ns());
  }
  wall_time at(std::uint64_t monotonic) const {
    const std::int64_t ns = offset_ + static_cast<std::int64_t>(monotonic);
    return {ns / second, static_cast<std::uint32_t>(ns % second)};
  }

 private:
  static constexpr std::int64_t second = 1'000'000'000;
  std::int64_t offset_ = 0;
};

/// What the probe saw and did not store.
std::string refusals(const counters& before, const counters& after, bool ports_chosen) {
  std::string text;
  for (std::size_t which = 0; which < after.size(); ++which) {
    const capture::counter_description& counted = capture::counter_descriptions[which];
    if (!counted.refused || after[which] == before[which] ||
        (which == SYNFP_COUNT_OTHER_PORT && ports_chosen))
      continue;
    text += fmt::format("{}{} {}", text.empty() ? "; refused: " : ", ", after[which] - before[which],
                        counted.what);
  }
  return text;
}

/// Prints what comes into `table` until a signal or --count ends it: 0, or 1 if records were missed. `gone`:
/// asked once a second; a text ends it too, with 1.
int follow(const settings& s, const waiter& signals, const capture::table& table,
           capture::scanner::from start, const std::function<std::string()>& gone) {
  constexpr int shortest = 5;
  constexpr int longest = 80;  // milliseconds; what makes a line late, and a walk cheap
  output out(STDOUT_FILENO, s.shown, s.asked);
  out.wait_before_writes([&signals] { signals.wait_for_room(); });
  out.flush();
  if (const auto dropped = drop_privileges(); !dropped) throw failure(dropped.error().message);
  const counters before = start == capture::scanner::from::beginning ? counters{} : table.counters();
  capture::scanner scanner(table, start);
  calendar day;
  std::uint64_t printed = 0;
  std::string end;
  const auto enough = [&] { return s.count != 0 && printed == s.count; };
  const auto walk = [&] {
    const auto found = scanner.walk();
    if (!found.empty()) day.look();
    for (const syn_record& syn : found) {
      if (enough()) break;
      if (!s.ports.empty() &&
          std::find(s.ports.begin(), s.ports.end(), syn.tcp().destination_port()) == s.ports.end())
        continue;
      out.print(syn, {std::nullopt, day.at(syn.arrived().time_ns)});
      ++printed;
    }
    out.flush();
    return !found.empty();
  };

  std::uint64_t next_look = capture::now_ns();
  bool stopping = false;
  for (int pause = shortest; !stopping && !enough();) {
    pause = walk() || scanner.more() ? shortest : std::min(pause * 2, longest);
    if (enough()) break;
    if (capture::now_ns() >= next_look) {
      next_look = capture::now_ns() + 1'000'000'000;
      end = gone();
    }
    stopping = !end.empty() || signals.wait(pause);
  }
  // What came meanwhile; bounded, because a flood has no end.
  for (int i = 0; i < 100 && !enough() && (walk() || scanner.more()); ++i) {
  }
  say("synfp: {} SYNs printed, {} missed{}\n", printed, scanner.missed(),
      refusals(before, table.counters(), !s.ports.empty()));
  if (!end.empty()) throw failure(end, 1);
  return scanner.missed() == 0 ? 0 : 1;
}

int watch_interface(const settings& s, const waiter& signals) {
  capture::probe_options options{.interfaces = {s.interface}};
  if (s.ports.size() <= SYNFP_MAX_PORTS) options.ports = s.ports;  // else this program filters alone
  const auto probe = capture::probe<on_interface>::open(options);
  if (!probe) throw failure(probe.error().message);
  const unsigned index = ::if_nametoindex(s.interface.c_str());
  say("synfp: watching {}\n", s.interface);
  return follow(s, signals, probe->records(), capture::scanner::from::beginning, [&]() -> std::string {
    if (::if_nametoindex(s.interface.c_str()) == index) return {};
    return fmt::format("the interface {} is gone; start again when it is back", s.interface);
  });
}

int watch_pins(const settings& s, const waiter& signals) {
  struct stat before {};
  ::stat(s.pins.c_str(), &before);
  const auto table = capture::table::open(s.pins);
  if (!table) throw failure(table.error().message);
  say("synfp: watching the probe pinned in {}\n", s.pins);
  return follow(s, signals, *table, capture::scanner::from::now, [&]() -> std::string {
    struct stat now {};
    if (::stat(s.pins.c_str(), &now) == 0 && now.st_ino == before.st_ino && now.st_dev == before.st_dev)
      return {};
    return fmt::format("the probe pinned in {} has ended; start again to watch the next one", s.pins);
  });
}

int watch(const settings& s) {
  if (s.interface.empty() == s.pins.empty())
    throw failure("watch needs one of --interface and --pinned; see synfp watch --help");
  const waiter signals;
  return s.pins.empty() ? watch_interface(s, signals) : watch_pins(s, signals);
}

}  // namespace

command add_watch(CLI::App& app) {
  const auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand("watch", "Prints SYNs as they come, one line each");
  sub->add_option("--interface", s->interface,
                  "load a probe on this interface; taken off again however this program ends")
      ->type_name("INTERFACE");
  sub->add_option("--pinned", s->pins, "watch a running probe that is pinned here; loads nothing")
      ->type_name("DIR");
  add_format(*sub, s->shown);
  add_filter_port(*sub, s->ports);
  add_databases(*sub, s->asked);
  add_count(*sub, s->count);
  sub->footer(
      R"(A line comes within a tenth of a second. Retransmissions of a SYN make no line of their own. SIGINT and
SIGTERM end it; stderr then says how many SYNs were printed, how many came too fast to be read (missed)
and what the probe refused, by reason. json is as of synfp read; frame is null.

--interface needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON and never replaces another XDP program. --pinned
needs the permission to open the pins and nothing else, see echo_server --pin and --pin-group; what a
killed server left behind shows nothing until the next one replaces it.

Exit status: 0; 1 if SYNs were missed, the probe or the interface went away or the output cannot be
written; 2 if nothing was watched.

  synfp watch --interface eth0 --filter-port 443 --format json
  synfp watch --pinned /sys/fs/bpf/synfp --count 10)");
  return {sub, [s] { return watch(*s); }};
}

}  // namespace cli
