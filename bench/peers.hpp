// SPDX-License-Identifier: MIT
// Loads bench/peers.bpf.c the way synfp::capture::probe loads the probe: the configuration in .rodata.synfp,
// the geometry in max_entries.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <synfp/capture/table.hpp>
#include <synfp/detail/describe.hpp>
#include <synfp/probe_config.hpp>

#include "keys.h"
#include "report.hpp"

namespace bench {

class peers {
 public:
  /// All maps hold config.buckets * 15 records; with table_only, those of the peers one.
  explicit peers(const synfp::probe_config& config, const char* path = BENCH_PEERS_OBJECT,
                 bool table_only = false) {
    synfp::synfp_meta meta = synfp::detail::describe(config);
    meta.cpus = static_cast<synfp::synfp_u32>(libbpf_num_possible_cpus());
    require(::getrandom(meta.secret, sizeof meta.secret, 0) == sizeof meta.secret, "getrandom");
    const synfp::synfp_config rodata = synfp::detail::configure(meta);

    object_.reset(bpf_object__open_file(path, nullptr));
    require(object_ != nullptr, std::string("cannot open ") + path);
    const auto resize = [&](const char* name, unsigned entries) {
      require(bpf_map__set_max_entries(map(name), entries) == 0, name);
    };
    capacity_ = meta.buckets * synfp::SYNFP_WAYS;
    resize("synfp_table", meta.buckets);
    resize("synfp_counts", meta.cpus);
    resize("bench_lru_map", table_only ? 1 : capacity_);
    resize("bench_hash_map", table_only ? 1 : capacity_);
    require(bpf_map__set_initial_value(map(".rodata.synfp"), &rodata, sizeof rodata) == 0, ".rodata.synfp");
    require(bpf_object__load(object_.get()) == 0, std::string("cannot load ") + path + "; run as root");

    const synfp::synfp_u32 zero = 0;
    require(bpf_map_update_elem(fd("synfp_meta"), &zero, &meta, BPF_ANY) == 0, "synfp_meta");
    auto attached = synfp::capture::table::attach({fd("synfp_table"), fd("synfp_meta"), fd("synfp_counts")});
    if (!attached) fail(attached.error().message);
    table_.emplace(*std::move(attached));
    void* at = ::mmap(nullptr, sizeof(bench_state), PROT_READ, MAP_SHARED, fd(".bss.bench"), 0);
    require(at != MAP_FAILED, "cannot map .bss.bench");
    state_.reset(static_cast<const bench_state*>(at));
    at = ::mmap(nullptr, sizeof(lanes), PROT_READ, MAP_SHARED, fd(".bss.lanes"), 0);
    require(at != MAP_FAILED, "cannot map .bss.lanes");
    lanes_.reset(static_cast<const lanes*>(at));
  }

  int program(const char* name) const {
    const bpf_program* p = bpf_object__find_program_by_name(object_.get(), name);
    require(p != nullptr, name);
    return bpf_program__fd(p);
  }
  int fd(const char* name) const { return bpf_map__fd(map(name)); }
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
  std::uint64_t made_up(int cpu) const {
    return __atomic_load_n(&(*lanes_)[static_cast<std::size_t>(cpu)].next, __ATOMIC_RELAXED);
  }

 private:
  using lanes = std::array<bench_lane, BENCH_LANES>;
  struct closer {
    void operator()(bpf_object* o) const { bpf_object__close(o); }
  };
  struct unmapper {
    template <class T>
    void operator()(const T* s) const {
      ::munmap(const_cast<T*>(s), sizeof *s);
    }
  };
  bpf_map* map(const char* name) const {
    bpf_map* m = bpf_object__find_map_by_name(object_.get(), name);
    require(m != nullptr, name);
    return m;
  }

  std::unique_ptr<bpf_object, closer> object_;
  std::optional<synfp::capture::table> table_;
  std::unique_ptr<const bench_state, unmapper> state_;
  std::unique_ptr<const lanes, unmapper> lanes_;
  unsigned capacity_ = 0;
};

}  // namespace bench
