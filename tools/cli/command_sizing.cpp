// SPDX-License-Identifier: MIT
// synfp sizing: how large a table a load needs; without one, the tables of docs/guide/sizing.md.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include <synfp/sizing.hpp>

#include "command.hpp"

namespace cli {
namespace {

using synfp::probe_config;

struct settings {
  std::uint32_t rate = 0, delay = 100;
  double survival = 0.999;
};

std::string table_size(const probe_config& c) {
  const auto kib = c.buckets * (sizeof(synfp::synfp_bucket) / 1024);
  return kib < 1024 ? fmt::format("{} KiB", kib) : fmt::format("{} MiB", kib / 1024);
}

int one(const settings& s) {
  const probe_config c = synfp::sized_for({s.rate, {s.delay}, s.survival});
  if (c.buckets == 0) throw failure("that needs more than 8 GiB; lower --rate, --delay or --survival");
  fmt::print("{} buckets ({}), hold {} ms: {:.4f} % of the connections keep their record\n", c.buckets,
             table_size(c), c.hold.count, 100 * synfp::expected_survival(c, s.rate, {s.delay}));
  return 0;
}

int tables() {
  constexpr std::uint32_t delays[] = {20, 50, 100, 300};
  fmt::print("| SYN/s |");
  for (const auto delay : delays) fmt::print(" {} ms |", delay);
  fmt::print("\n|---:|---:|---:|---:|---:|\n");
  for (const std::uint32_t rate : {10'000U, 50'000U, 200'000U, 1'000'000U, 3'000'000U}) {
    fmt::print("| {} |", rate);
    for (const auto delay : delays) {
      const probe_config c = synfp::sized_for({rate, {delay}, 0.999});
      fmt::print(" {} ({}) |", c.buckets, table_size(c));
    }
    fmt::print("\n");
  }
  constexpr double fills[] = {0.25, 0.4, 0.5, 0.75, 1, 1.5, 2, 5};
  fmt::print("\n| SYN/s * delay / slots |");
  for (const double x : fills) fmt::print(" {} |", x);
  fmt::print("\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
  for (const std::uint32_t hold : {1000U, 0U}) {
    fmt::print("| hold = {} |", hold == 0 ? "0" : "delay");
    const probe_config c{.buckets = 1, .hold = {hold}};
    for (const double x : fills)
      fmt::print(" {:.4f} |", synfp::expected_survival(c, x * int{synfp::SYNFP_WAYS}, {1000}));
    fmt::print("\n");
  }
  return 0;
}

}  // namespace

command add_sizing(CLI::App& app) {
  const auto s = std::make_shared<settings>();
  CLI::App* sub =
      app.add_subcommand("sizing", "Says how large a table a load needs; without --rate, some tables");
  CLI::Option* rate = sub->add_option("--rate", s->rate, "SYN/s that reach the probe, a flood's included")
                          ->check(CLI::Range(1U, 4'000'000'000U))
                          ->type_name("SYN/S");
  sub->add_option("--delay", s->delay, "milliseconds from a client's SYN to its accept()")
      ->check(CLI::Range(1U, 60'000U))
      ->type_name("MS")
      ->capture_default_str()
      ->needs(rate);
  sub->add_option("--survival", s->survival,
                  "the wanted share of connections whose record is still there then")
      ->check(CLI::Range(0.000001, 0.999999))
      ->type_name("SHARE")
      ->capture_default_str()
      ->needs(rate);
  return {sub, [s] { return s->rate == 0 ? tables() : one(*s); }};
}

}  // namespace cli
