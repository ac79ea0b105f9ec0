// SPDX-License-Identifier: MIT
// The flood's BPF programs and their counters.
#pragma once

#include <cstdint>

#include "../support/bpf_loader.hpp"
#include "flood.h"
#include "flood_object.hpp"

namespace flood::detail {

/// One program of flood.bpf.c and its counters.
class program {
 public:
  program(const char* name, const flood_config& config)
      : loader_(object::words, object::size, "synfp_flood") {
    const synfp::tools::quiet_libbpf quiet;
    loader_.load_only(name);
    loader_.set_value(".rodata.flood", config);
    loader_.load();
    fd_ = loader_.program(name);
    counts_ = loader_.view_of<flood_counts>(".bss.flood");
  }
  int fd() const { return fd_; }
  std::uint64_t sent() const { return __atomic_load_n(&counts_->sent, __ATOMIC_RELAXED); }
  std::uint64_t syn_acks() const { return __atomic_load_n(&counts_->syn_acks, __ATOMIC_RELAXED); }
  std::uint64_t resets() const { return __atomic_load_n(&counts_->resets, __ATOMIC_RELAXED); }

 private:
  synfp::tools::bpf_loader loader_;
  synfp::tools::bpf_loader::view<flood_counts> counts_;
  int fd_ = -1;
};

}  // namespace flood::detail
