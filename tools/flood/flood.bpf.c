// SPDX-License-Identifier: MIT OR GPL-2.0-only
// A SYN flood from inside the kernel. tools/flood/sender.hpp runs flood_send with BPF_PROG_TEST_RUN and
// BPF_F_TEST_XDP_LIVE_FRAMES (Documentation/bpf/bpf_prog_run.rst): every run makes one frame, which then
// takes the way of a frame that was received. flood_sink ends the answers at the other end of the veth pair.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>

#include <bpf/bpf_helpers.h>

#include "flood.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile struct flood_config flood_config SEC(".rodata.flood") = {};
struct flood_counts flood_counts SEC(".bss.flood");

// Loads and stores that claim alignment; BPF on x86 and arm64 needs none.
typedef __u16 __attribute__((may_alias)) alias16;
typedef __u32 __attribute__((may_alias)) alias32;
typedef __u64 __attribute__((may_alias)) alias64;

// SplitMix64 (Steele, Lea, Flood 2014): the n-th number of a sequence, without those before it.
static __always_inline __u64 flood_random(__u64 n) {
  n = n * 0x9e3779b97f4a7c15ULL + flood_config.seed;
  n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ULL;
  n = (n ^ n >> 27) * 0x94d049bb133111ebULL;
  return n ^ n >> 31;
}

static __always_inline __u32 flood_halves(__u32 word) { return (word & 0xffff) + (word >> 16); }

static __always_inline __u16 flood_fold(__u32 sum) {
  sum = flood_halves(sum);
  return (__u16)~flood_halves(sum);
}

// Writes the whole frame: the kernel uses the pages again without restoring them.
SEC("xdp")
int flood_send(struct xdp_md* ctx) {
  __u8* frame = (__u8*)(long)ctx->data;
  const volatile struct flood_shape* shape;
  __u64 n = flood_config.first + flood_config.stride * flood_counts.sent;
  __u64 r = flood_random(3 * n), low = flood_random(3 * n + 1), high = flood_random(3 * n + 2);
  __u32 random[4] = {(__u32)low, (__u32)(low >> 32), (__u32)high, (__u32)(high >> 32)};
  __u32 which = (__u32)((r >> 48) * flood_config.shapes >> 16);
  __u32 isn = (__u32)r;
  __u16 port = __builtin_bswap16((__u16)(1024 + ((r >> 32 & 0xffff) * (65536 - 1024) >> 16)));
  __u32 tcp_sum, length;

  if (frame + FLOOD_FRAME_BYTES > (__u8*)(long)ctx->data_end) return XDP_ABORTED;
  if (which >= FLOOD_SHAPES) return XDP_ABORTED;
  shape = &flood_config.shape[which];
#pragma unroll
  for (int i = 0; i < FLOOD_FRAME_BYTES / 8; ++i)
    ((alias64*)frame)[i] = ((const volatile alias64*)shape->frame)[i];
  length = shape->length;
  tcp_sum = shape->tcp_sum + flood_halves(isn) + port;
  if (shape->v6) {
    __u8* ip = frame + ETH_HLEN;
    __u8* tcp = ip + 40;

#pragma unroll
    for (int i = 0; i < 4; ++i) {
      __u32 word = shape->source[i] | (random[i] & shape->random[i]);
      *(alias32*)(ip + 8 + 4 * i) = word;
      tcp_sum += flood_halves(word);
    }
    *(alias16*)tcp = port;
    *(alias32*)(tcp + 4) = isn;
    *(alias16*)(tcp + 16) = flood_fold(tcp_sum);
  } else {
    __u8* ip = frame + ETH_HLEN;
    __u8* tcp = ip + 20;
    __u32 word = shape->source[0] | (random[0] & shape->random[0]);

    *(alias32*)(ip + 12) = word;
    *(alias16*)(ip + 10) = flood_fold(shape->ip_sum + flood_halves(word));
    tcp_sum += flood_halves(word);
    *(alias16*)tcp = port;
    *(alias32*)(tcp + 4) = isn;
    *(alias16*)(tcp + 16) = flood_fold(tcp_sum);
  }
  if (bpf_xdp_adjust_tail(ctx, (int)length - FLOOD_FRAME_BYTES)) return XDP_ABORTED;
  ++flood_counts.sent;
  return flood_config.redirect ? (int)bpf_redirect(flood_config.redirect, 0) : XDP_PASS;
}

// Counts and drops what is sent to the spoofed sources.
SEC("xdp")
int flood_sink(struct xdp_md* ctx) {
  __u8* frame = (__u8*)(long)ctx->data;
  __u8* end = (__u8*)(long)ctx->data_end;
  __UINT64_TYPE__* counter = &flood_counts.others;
  __u32 v6, flags;

  if (frame + ETH_HLEN + 20 + 20 <= end) {
    v6 = *(alias16*)(frame + 12) == __builtin_bswap16(ETH_P_IPV6);
    if (!v6 && frame[14] == 0x45 && frame[14 + 9] == IPPROTO_TCP) {
      flags = frame[14 + 20 + 13];
    } else if (v6 && frame + ETH_HLEN + 40 + 20 <= end && frame[14 + 6] == IPPROTO_TCP) {
      flags = frame[14 + 40 + 13];
    } else {
      flags = 0;
    }
    if ((flags & 0x12) == 0x12) counter = &flood_counts.syn_acks;
    if (flags & 0x04) counter = &flood_counts.resets;
  }
  __sync_fetch_and_add(counter, 1);
  return XDP_DROP;
}
