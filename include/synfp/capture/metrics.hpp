// SPDX-License-Identifier: MIT
// A probe's table as metrics: the same lines from 'synfp stats', from a daemon and from a server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <synfp/abi.h>
#include <synfp/capture/census.hpp>
#include <synfp/capture/counters.hpp>
#include <synfp/capture/detail/hook_traits.hpp>
#include <synfp/capture/table.hpp>
#include <synfp/open_metrics.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// The name of the hook that made a table, as --capture names it; "unknown" for one of another version.
inline std::string_view hook_name(const synfp_meta& meta) {
  const capture_source source = detail::traits_of(meta.hook).source;
  return source == capture_source::none ? "unknown" : to_string(source);
}

/// The counters, and what is in the table: synfp_*. Does not end the text.
template <class Text>
void write_metrics(open_metrics<Text>& out, const table& records, const census& in) {
  const auto counters = records.counters();
  for (std::size_t i = 0; i < counters.size(); ++i) {
    const counter_description& d = counter_descriptions[i];
    out.counter("synfp_" + std::string(d.name), (d.refused ? "Refused: " : "") + std::string(d.what) + ".",
                counters[i]);
  }
  const synfp_meta& meta = records.meta();
  out.family("synfp_probe_info", "gauge", "", "How the probe was made.");
  out.sample("",
             {{"hook", hook_name(meta)},
              {"scope", meta.scope == SYNFP_SCOPE_PEER ? "peer" : "flow"},
              {"abi", std::to_string(meta.abi)}},
             1);
  out.gauge("synfp_buckets", "", "Buckets of the table.", meta.buckets);
  out.gauge("synfp_full_buckets", "", "Buckets without an empty slot.", in.full_buckets);
  out.gauge("synfp_busy_buckets", "", "Buckets that were being written and are not counted below.",
            in.busy_buckets);
  out.gauge("synfp_slots", "", "Places for records.", in.slots);
  out.gauge("synfp_hold_seconds", "seconds", "Records younger than this are not evicted.",
            static_cast<double>(std::uint64_t{meta.hold} << SYNFP_TIME_SHIFT) / 1e9);
  out.gauge("synfp_max_age_seconds", "seconds", "Records older than this are not believed.",
            static_cast<double>(meta.max_age_ns) / 1e9);
  out.family("synfp_records", "gauge", "", "Records in the table, by what a lookup says of them.");
  out.sample("", {{"state", "verified"}}, in.verified);
  out.sample("", {{"state", "tuple"}}, in.tuple);
  out.sample("", {{"state", "conflict"}}, in.conflict);
  out.sample("", {{"state", "unchecked"}}, in.unchecked);
  out.sample("", {{"state", "unusable"}}, in.unusable);
  out.sample("", {{"state", "stale"}}, in.stale);
  // No gauge histogram: only parsers of OpenMetrics know that type.
  out.family("synfp_records_younger_than", "gauge", "",
             "Records in the table whose SYN, or its last copy, came less than so many seconds ago.");
  std::size_t sum = 0;
  for (std::size_t i = 0; i < census::age_bounds.size(); ++i) {
    sum += in.by_age[i];
    out.sample("", {{"seconds", metric_number(census::age_bounds[i] / 1e3)}}, sum);
  }
  if (in.evicted_at_ms)
    out.gauge("synfp_evicted_age_seconds", "seconds",
              "Age of the oldest record in the median of the full buckets: how long a record lasts.",
              static_cast<double>(*in.evicted_at_ms) / 1e3);
}

}  // namespace capture
SYNFP_END_NAMESPACE
