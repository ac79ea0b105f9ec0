// SPDX-License-Identifier: MIT
// bench/peers.bpf.c, loaded, and what its programs count.
#pragma once

#include <sys/random.h>

#include <array>
#include <cstdint>
#include <optional>
#include <synfp/capture/table.hpp>
#include <synfp/probe_config.hpp>
#include <utility>

#include "../tools/support/bpf_loader.hpp"
#include "keys.h"
#include "report.hpp"

namespace bench {

class peers {
 public:
  /// All maps hold config.buckets * 15 records; with table_only, those of the peers one.
  explicit peers(const synfp::probe_config& config, const char* path = BENCH_PEERS_OBJECT,
                 bool table_only = false)
      : object_(path) {
    std::array<std::uint64_t, 2> secret{};
    require(::getrandom(secret.data(), sizeof secret, 0) == sizeof secret, "getrandom");
    capacity_ = config.buckets * synfp::SYNFP_WAYS;
    object_.set_entries("bench_lru_map", table_only ? 1 : capacity_);
    object_.set_entries("bench_hash_map", table_only ? 1 : capacity_);
    object_.load_with_table(config, secret, config.conflict_window.ns());

    auto attached = synfp::capture::table::attach(object_.table());
    if (!attached) fail(attached.error().message);
    table_.emplace(*std::move(attached));
    state_ = object_.view_of<bench_state>(".bss.bench");
    lanes_ = object_.view_of<bench_lane>(".bss.lanes", BENCH_LANES);
  }

  int program(const char* name) const { return object_.program(name); }
  int fd(const char* map) const { return object_.map(map); }
  const synfp::tools::bpf_loader& object() const { return object_; }
  unsigned capacity() const { return capacity_; }
  const synfp::capture::table& table() const { return *table_; }
  /// As the programs left it.
  bench_state state() const {
    bench_state s;
    s.next = __atomic_load_n(&state_->next, __ATOMIC_RELAXED);
    s.stored = __atomic_load_n(&state_->stored, __ATOMIC_RELAXED);
    s.refused = __atomic_load_n(&state_->refused, __ATOMIC_RELAXED);
    return s;
  }
  /// How many peers a CPU made up for the programs bench_lane_*.
  std::uint64_t made_up(int cpu) const { return __atomic_load_n(&lanes_.get()[cpu].next, __ATOMIC_RELAXED); }

 private:
  synfp::tools::bpf_loader object_;
  std::optional<synfp::capture::table> table_;
  synfp::tools::bpf_loader::view<bench_state> state_;
  synfp::tools::bpf_loader::view<bench_lane> lanes_;
  unsigned capacity_ = 0;
};

}  // namespace bench
