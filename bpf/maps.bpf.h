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
} synfp_meta SEC(".maps");

/* What the slots of its key mean to a SYN that came. Slots are given as number + 1, 0 for none. volatile:
 * clang would give each version of each field a place of its own on the stack. */
struct synfp_candidates {
  volatile synfp_u64 same;   /* has this sequence number */
  volatile synfp_u64 dead;   /* is not believed any more because of its age */
  volatile synfp_u64 others; /* how many have other sequence numbers and may still be believed */
  volatile synfp_u64 oldest; /* of these, the one that no SYN has come for the longest, and its age */
  volatile synfp_u64 oldest_age;
  volatile synfp_u64 doubt; /* one of these was verified, or something of the bucket was lost since */
};

/* Where a SYN is put together and judged: too large for the stack. Per CPU: a program that looks at packets
 * is not interrupted by another one of its kind. To the verifier its bytes are always unknown, which keeps
 * the states few. */
struct synfp_scratch {
  struct synfp_slot slot;
  struct synfp_candidates candidates;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, synfp_u32);
  __type(value, struct synfp_scratch);
} synfp_work SEC(".maps");

// NULL only in the eyes of the verifier.
static __always_inline struct synfp_scratch* synfp_scratch_here(void) {
  synfp_u32 zero = 0;

  /* Map values are aligned; clang would read words byte by byte. */
  return __builtin_assume_aligned(bpf_map_lookup_elem(&synfp_work, &zero), 8);
}

// Without CAP_PERFMON the verifier wants the same unknown scalar on every path to a pointer. The value passes
// through an exclusive or with something unknown to the verifier; nothing is written.
static __always_inline synfp_u64 synfp_forget_range(synfp_u64 value, synfp_u64 unknown) {
  value ^= unknown;
  asm volatile("" : "+r"(value));
  return value ^ unknown;
}

// This CPU's counters. Counted per CPU and without atomics: a program is not interrupted by another one of
// its kind. Looked up once for a packet. NULL only in the eyes of the verifier.
static __always_inline struct synfp_counters* synfp_counters_here(void) {
  synfp_u32 cpu = bpf_get_smp_processor_id();

  return bpf_map_lookup_elem(&synfp_counts, &cpu);
}

static __always_inline void synfp_count(struct synfp_counters* counters, synfp_u64 which) {
  if (__builtin_constant_p(which)) {
    ++*(volatile synfp_u64*)&counters->value[which];
    return;
  }
  which = synfp_forget_range(which, *(volatile synfp_u64*)&counters->value[0]);
  if (which < SYNFP_MAX_COUNTERS) ++*(volatile synfp_u64*)&counters->value[which];
}

#endif
