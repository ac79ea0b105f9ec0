/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the benchmarks' BPF programs and their user space share: the sequence of pretended peers, and the
 * state of a run. */
#ifndef SYNFP_BENCH_KEYS_H
#define SYNFP_BENCH_KEYS_H

#include <synfp/abi.h>

enum {
  BENCH_SOURCE_AT = 26, /* in an untagged IPv4 frame: the source address ... */
  BENCH_PORTS_AT = 34,  /* ... and both TCP ports of a header without options */
  BENCH_PORT = 8080,
  BENCH_LANES = 64,      /* CPUs that can make up peers at once ... */
  BENCH_LANE_SHIFT = 40, /* ... so many each: the n-th of a CPU is bench_peer(cpu << shift | n) */
  BENCH_SYN_BYTES = 60   /* a SYN of Linux over IPv4, from the IP header on */
};

/* A client's SYN: its first copy, its last if there were several, how many. */
struct bench_truth {
#ifdef __cplusplus
  synfp::synfp_u32 copies, reserved;
  synfp::synfp_u8 first[BENCH_SYN_BYTES], last[BENCH_SYN_BYTES];
#else
  synfp_u32 copies, reserved;
  synfp_u8 first[BENCH_SYN_BYTES], last[BENCH_SYN_BYTES];
#endif
};

/* A program's global data. */
struct bench_state {
#ifdef __cplusplus
  synfp::synfp_u64 next, stored, refused;
#else
  synfp_u64 next, stored, refused;
#endif
};

/* What one CPU makes up; a cache line. */
struct bench_lane {
#ifdef __cplusplus
  alignas(64) synfp::synfp_u64 next;
#else
  _Alignas(64) synfp_u64 next;
#endif
};

/* The n-th pretended peer: 32 bits of address, 16 of port. No order, practically no repetition, and user
 * space can say which peers the programs made up. The finaliser of MurmurHash3 with one multiplication left
 * out. */
static inline __attribute__((always_inline)) __UINT64_TYPE__ bench_peer(__UINT64_TYPE__ n) {
  n *= 0x9e3779b97f4a7c15ULL;
  n ^= n >> 33;
  n *= 0xff51afd7ed558ccdULL;
  n ^= n >> 33;
  return n & 0xffffffffffffULL;
}

#endif
