// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The ways to keep a SYN, side by side. For bench/lookup_flood.cpp and bench/survival.cpp, on a listener: the
// table is the library's own probe; beside it bench_listen_lru and bench_listen_hash, the same hook, parser,
// key and value. For bench/syn_cost.cpp, XDP programs. Every program but bench_pass begins with the same
// prologue, which gives the frame another peer: BPF_PROG_TEST_RUN repeats one frame, and a store of the same
// key again and again would measure the L1 cache. The parser with its clock, the key and the value (a slot of
// 128 bytes) are the project's own; only the store differs:
//   bench_pass      nothing at all, what an XDP hook costs
//   bench_rewrite   the prologue
//   bench_parse     and the parser, which reads the clock, its result discarded: what all others share
//   bench_table     the bucket table: the same calls as synfp_xdp
//   bench_probe     synfp_xdp, without the prologue
//   bench_lru       BPF_MAP_TYPE_LRU_HASH, bpf_map_update_elem: the usual design
//   bench_hash      BPF_MAP_TYPE_HASH, preallocated
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_helpers.h>

#include <synfp/abi.h>

#include "keys.h"
#include "maps.bpf.h"
#include "parse.bpf.h"
#include "table.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1);
  __type(key, struct synfp_key);
  __type(value, struct synfp_slot);
} bench_lru_map SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __type(key, struct synfp_key);
  __type(value, struct synfp_slot);
} bench_hash_map SEC(".maps");

struct bench_state bench_state SEC(".bss.bench");

// The compiler must not know what becomes of the record.
#define BENCH_USE(record) asm volatile("" ::"r"(record) : "memory")

// The ports are written as one word, as the parser reads them: a narrower store would not be forwarded to the
// load, which costs more than the parser.
static __always_inline void bench_rewrite_peer(struct xdp_md* ctx) {
  synfp_u8* data = (synfp_u8*)(long)ctx->data;
  synfp_u64 peer = bench_peer(bench_state.next++);

  if (data + BENCH_PORTS_AT + 4 > (synfp_u8*)(long)ctx->data_end) return;
  *(synfp_alias32*)(data + BENCH_SOURCE_AT) = (synfp_u32)peer;
  *(synfp_alias32*)(data + BENCH_PORTS_AT) =
      (synfp_u32)(peer >> 32) | (synfp_u32)__builtin_bswap16(BENCH_PORT) << 16;
}

static __always_inline void bench_update(void* map, struct synfp_slot* slot) {
  struct synfp_key key = synfp_key_of(slot, synfp_configuration.scope, SYNFP_LITTLE);

  if (bpf_map_update_elem(map, &key, slot, BPF_ANY) == 0) {
    ++bench_state.stored;
  } else {
    ++bench_state.refused;
  }
}

SEC("xdp")
int bench_pass(struct xdp_md* ctx) {
  (void)ctx;
  return XDP_PASS;
}

SEC("xdp")
int bench_rewrite(struct xdp_md* ctx) {
  bench_rewrite_peer(ctx);
  return XDP_PASS;
}

SEC("xdp")
int bench_parse(struct xdp_md* ctx) {
  struct synfp_counters* counters;
  struct synfp_scratch* work;

  bench_rewrite_peer(ctx);
  if (synfp_parse_frame(ctx, &work, &counters) != SYNFP_IS_SYN) return XDP_PASS;
  BENCH_USE(work);
  return XDP_PASS;
}

SEC("xdp")
int bench_table(struct xdp_md* ctx) {
  struct synfp_counters* counters;
  struct synfp_scratch* work;

  bench_rewrite_peer(ctx);
  if (synfp_parse_frame(ctx, &work, &counters) != SYNFP_IS_SYN) return XDP_PASS;
  synfp_write(work, SYNFP_IS_SYN, SYNFP_HOOK_XDP, 0, counters);
  return XDP_PASS;
}

SEC("xdp")
int bench_probe(struct xdp_md* ctx) {
  struct synfp_counters* counters;
  struct synfp_scratch* work;

  if (synfp_parse_frame(ctx, &work, &counters) == SYNFP_IS_SYN)
    synfp_write(work, SYNFP_IS_SYN, SYNFP_HOOK_XDP, 0, counters);
  return XDP_PASS;
}

SEC("xdp")
int bench_lru(struct xdp_md* ctx) {
  struct synfp_counters* counters;
  struct synfp_scratch* work;

  bench_rewrite_peer(ctx);
  if (synfp_parse_frame(ctx, &work, &counters) != SYNFP_IS_SYN) return XDP_PASS;
  bench_update(&bench_lru_map, &work->slot);
  return XDP_PASS;
}

SEC("xdp")
int bench_hash(struct xdp_md* ctx) {
  struct synfp_counters* counters;
  struct synfp_scratch* work;

  bench_rewrite_peer(ctx);
  if (synfp_parse_frame(ctx, &work, &counters) != SYNFP_IS_SYN) return XDP_PASS;
  bench_update(&bench_hash_map, &work->slot);
  return XDP_PASS;
}

// For several writers at once: each CPU makes up peers of its own, in a cache line of its own.
struct bench_lane bench_lanes[BENCH_LANES] SEC(".bss.lanes");

static __always_inline void bench_rewrite_lane(struct xdp_md* ctx) {
  synfp_u8* data = (synfp_u8*)(long)ctx->data;
  synfp_u64 cpu = bpf_get_smp_processor_id() & (BENCH_LANES - 1);
  synfp_u64 peer = bench_peer(cpu << BENCH_LANE_SHIFT | bench_lanes[cpu].next++);

  if (data + BENCH_PORTS_AT + 4 > (synfp_u8*)(long)ctx->data_end) return;
  *(synfp_alias32*)(data + BENCH_SOURCE_AT) = (synfp_u32)peer;
  *(synfp_alias32*)(data + BENCH_PORTS_AT) =
      (synfp_u32)(peer >> 32) | (synfp_u32)__builtin_bswap16(BENCH_PORT) << 16;
}

SEC("xdp")
int bench_lane_parse(struct xdp_md* ctx) {
  struct synfp_counters* counters;
  struct synfp_scratch* work;

  bench_rewrite_lane(ctx);
  if (synfp_parse_frame(ctx, &work, &counters) != SYNFP_IS_SYN) return XDP_PASS;
  BENCH_USE(work);
  return XDP_PASS;
}

SEC("xdp")
int bench_lane_table(struct xdp_md* ctx) {
  struct synfp_counters* counters;
  struct synfp_scratch* work;

  bench_rewrite_lane(ctx);
  if (synfp_parse_frame(ctx, &work, &counters) != SYNFP_IS_SYN) return XDP_PASS;
  synfp_write(work, SYNFP_IS_SYN, SYNFP_HOOK_XDP, 0, counters);
  return XDP_PASS;
}

// Keeps the SYNs of a listener in another map. Without the proof that an ACK gives: these maps have none.
static __always_inline int bench_listen(struct sk_reuseport_md* ctx, void* map) {
  struct synfp_source source = synfp_listener_source(ctx);
  struct synfp_scratch* work;

  if (ctx->ip_protocol != IPPROTO_TCP) return SK_PASS;
  source.counters = synfp_counters_here();
  work = synfp_scratch_here();
  if (!source.counters || !work) return SK_PASS;
  if (synfp_parse(&source, 0, ctx->eth_protocol == __builtin_bswap16(ETH_P_IPV6), &work->slot) !=
      SYNFP_IS_SYN)
    return SK_PASS;
  bench_update(map, &work->slot);
  return SK_PASS;
}

SEC("sk_reuseport")
int bench_listen_lru(struct sk_reuseport_md* ctx) { return bench_listen(ctx, &bench_lru_map); }

SEC("sk_reuseport")
int bench_listen_hash(struct sk_reuseport_md* ctx) { return bench_listen(ctx, &bench_hash_map); }

// What the clients really sent, as it was on their wire: IPv4 without options, TCP with 20 bytes of them,
// which is what Linux sends. By client port; benchmarks never have two clients of one port at a time.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 65536);
  __type(key, synfp_u32);
  __type(value, struct bench_truth);
} bench_truth_map SEC(".maps");

SEC("xdp")
int bench_witness(struct xdp_md* ctx) {
  synfp_u8* ip = (synfp_u8*)(long)ctx->data + ETH_HLEN;
  struct bench_truth* truth;
  synfp_u32 port, isn;
  synfp_u8* to;

  if (ip + BENCH_SYN_BYTES > (synfp_u8*)(long)ctx->data_end) return XDP_PASS;
  if (ip[0] != 0x45 || ip[9] != IPPROTO_TCP || ip[20 + 12] != 0xa0 || (ip[20 + 13] & 0x12) != 0x02)
    return XDP_PASS;
  port = (synfp_u32)ip[20] << 8 | ip[21];
  isn = *(synfp_alias32*)(ip + 24);
  truth = bpf_map_lookup_elem(&bench_truth_map, &port);
  if (!truth) return XDP_PASS;
  if (truth->copies == 0 || *(synfp_alias32*)(truth->first + 24) != isn ||
      *(synfp_alias32*)(truth->first + 12) != *(synfp_alias32*)(ip + 12)) {
    truth->copies = 0;
    to = truth->first;
  } else {
    to = truth->last;
  }
#pragma unroll
  for (int i = 0; i < BENCH_SYN_BYTES / 4; ++i) ((synfp_alias32*)to)[i] = ((synfp_alias32*)ip)[i];
  ++truth->copies;
  return XDP_PASS;
}
