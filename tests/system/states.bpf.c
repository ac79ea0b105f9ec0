// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Counts what the tracepoint sock:inet_sock_set_state and a cgroup's sock_ops say of TCP connections. For
// tracepoint.cpp.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct seen {
  __u64 states[16];    /* events, by the new state */
  __u64 callbacks[16]; /* of sock_ops, by op */
  __u32 sequence;      /* of the last connection that a listener got: the client's initial sequence number */
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct seen);
} seen SEC(".maps");

/* As the format file of the tracepoint says. */
struct set_state {
  __u64 common;
  const void* socket;
  int old_state, new_state;
};

SEC("tracepoint/sock/inet_sock_set_state")
int on_state(struct set_state* ctx) {
  const __u32 zero = 0;
  struct seen* s = bpf_map_lookup_elem(&seen, &zero);
  int state = ctx->new_state;

  if (s && state >= 0 && state < 16) __sync_fetch_and_add(&s->states[state], 1);
  return 0;
}

SEC("sockops")
int on_sock_ops(struct bpf_sock_ops* ctx) {
  const __u32 zero = 0;
  struct seen* s = bpf_map_lookup_elem(&seen, &zero);
  __u32 op = ctx->op;

  if (s && op < 16) __sync_fetch_and_add(&s->callbacks[op], 1);
  if (s && op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) s->sequence = ctx->rcv_nxt - 1;
  return 1;
}
