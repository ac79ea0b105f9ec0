// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The probe, but for hook kprobe: one object, one program per hook. Programs look at SYNs (and, on the
// listener, at the ACK that completes a cookie handshake), write records into the table and let every packet
// pass untouched.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include <synfp/abi.h>
#include <synfp/socket.h>

#include "maps.bpf.h"
#include "parse.bpf.h"
#include "table.bpf.h"

#include "socket.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

// Once per SYN to our own listener, after DNAT and reassembly, also when SYN cookies are on; then once more
// for the ACK of a cookie handshake. ctx->data is not always the TCP header (nft socket match, TPROXY):
// everything is read relative to the network header.
SEC("sk_reuseport")
int synfp_reuseport(struct sk_reuseport_md* ctx) {
  struct synfp_source source = synfp_listener_source(ctx);
  struct synfp_scratch* work;
  int verdict;

  if (ctx->ip_protocol != IPPROTO_TCP) return SK_PASS;
  source.counters = synfp_counters_here();
  work = synfp_scratch_here();
  if (!source.counters || !work) return SK_PASS;
  verdict = synfp_parse(&source, 0, ctx->eth_protocol == __builtin_bswap16(ETH_P_IPV6), &work->slot);
  if (verdict > 0) {
    synfp_write(work, verdict, SYNFP_HOOK_REUSEPORT, 0, source.counters);
  } else if (verdict < 0) {
    synfp_count(source.counters, (synfp_u32)-verdict);
  }
  return SK_PASS;
}

// Every packet of an interface, before the stack. It can read frames of several buffers, without which some
// drivers refuse it when the MTU is large.
SEC("xdp.frags")
int synfp_xdp(struct xdp_md* ctx) {
  struct synfp_counters* counters;
  struct synfp_scratch* work;
  int verdict = synfp_parse_frame(ctx, &work, &counters);

  if (verdict > 0) {
    synfp_write(work, verdict, SYNFP_HOOK_XDP, 0, counters);
  } else if (verdict < 0) {
    synfp_count(counters, (synfp_u32)-verdict);
  }
  return XDP_PASS;
}

// Every packet that comes in over an interface, after its driver and before the stack. "Next": the programs
// and filters after this one decide. TCX_NEXT and TC_ACT_UNSPEC are the same number.
SEC("tc")
int synfp_tcx(struct __sk_buff* ctx) {
  struct synfp_counters* counters;
  struct synfp_scratch* work;
  int verdict = synfp_parse_ingress(ctx, &work, &counters);

  if (verdict > 0) {
    synfp_write(work, verdict, SYNFP_HOOK_TCX, 0, counters);
  } else if (verdict < 0) {
    synfp_count(counters, (synfp_u32)-verdict);
  }
  return TC_ACT_UNSPEC;
}

// Never loaded by the library: makes the key reachable in the object's BTF, and lets a test run the hash
// inside the kernel.
SEC("?syscall")
int synfp_selftest(struct synfp_selftest* ctx) {
  struct synfp_key key = ctx->key;
  ctx->hash = synfp_hash(&key, ctx->secret[0], ctx->secret[1], SYNFP_LITTLE);
  return 0;
}
