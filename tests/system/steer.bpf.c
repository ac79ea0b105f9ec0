// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Hands TCP connections to any address and to one port to a listener that is bound elsewhere
// (Documentation/bpf/prog_sk_lookup.rst). For steered.cpp.
#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

// Element 0: the listener.
struct {
  __uint(type, BPF_MAP_TYPE_SOCKMAP);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} listener SEC(".maps");

SEC("sk_lookup")
int steer(struct bpf_sk_lookup* ctx) {
  const __u32 zero = 0;
  struct bpf_sock* to;

  if (ctx->protocol != IPPROTO_TCP || ctx->local_port != 80) return SK_PASS;
  to = bpf_map_lookup_elem(&listener, &zero);
  if (!to) return SK_PASS;
  bpf_sk_assign(ctx, to, 0);
  bpf_sk_release(to);
  return SK_PASS;
}
