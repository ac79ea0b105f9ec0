// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The maps, the configuration and the counters.
#ifndef SYNFP_MAPS_BPF_H
#define SYNFP_MAPS_BPF_H

// Written whole by the loader before the object is loaded, then frozen: the verifier knows every value and
// removes the code of what is off.
const volatile struct synfp_config synfp_configuration SEC(".rodata.synfp") = {};

// All maps are arrays, so that user space can map them; max_entries of table and counters are set by the
// loader.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, synfp_u32);
  __type(value, struct synfp_bucket);
} synfp_table SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, synfp_u32);
  __type(value, struct synfp_counters);
} synfp_counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, synfp_u32);
  __type(value, struct synfp_meta);
} synfp_about SEC(".maps");

// Without CAP_PERFMON the verifier wants the same unknown scalar on every path to a pointer. The value passes
// through an exclusive or with something unknown to the verifier; nothing is written.
static __always_inline synfp_u64 synfp_forget_range(synfp_u64 value, synfp_u64 unknown) {
  value ^= unknown;
  asm volatile("" : "+r"(value));
  return value ^ unknown;
}

// Counted per CPU and without atomics: a program is not interrupted by another one of its kind. Inline,
// because in a program with functions the 6.1 verifier tracks every scalar precisely and runs into its limit.
static __always_inline void synfp_count(synfp_u32 which) {
  synfp_u32 cpu = bpf_get_smp_processor_id();
  struct synfp_counters* counters = bpf_map_lookup_elem(&synfp_counts, &cpu);
  synfp_u64 index;

  if (!counters) return;
  index = synfp_forget_range(which, *(volatile synfp_u32*)&counters->value[0]);
  if (index < SYNFP_MAX_COUNTERS) ++*(volatile synfp_u64*)&counters->value[index];
}

#endif
