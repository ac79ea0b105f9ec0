// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The probe of hook kprobe: looks at the arguments of tcp_conn_request(), which the stack calls for each SYN
// that gets to a listener. An object of its own: it needs the kernel's BTF, which the other hooks do without.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include <synfp/abi.h>

#include "maps.bpf.h"
#include "parse.bpf.h"
#include "request.bpf.h"
#include "table.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline void synfp_record_request(struct sock* sk, struct sk_buff* skb, const int typed) {
  struct synfp_source source = synfp_request_source(skb, typed);
  const synfp_u64 netns = synfp_netns_of_sock(sk, typed);
  const int v6 = synfp_request_is_v6(skb, typed);
  struct synfp_scratch* work;
  struct synfp_slot* slot;
  int verdict;

  if (synfp_configuration.netns != 0 && synfp_configuration.netns != netns) return;
  source.counters = synfp_counters_here();
  work = synfp_scratch_here();
  if (!source.counters || !work) return;
  slot = &work->slot;
  verdict = synfp_parse(&source, 0, v6, slot);
  if (verdict > 0) {
    slot->ifindex = synfp_request_interface(skb, v6, typed);
    synfp_write(work, verdict, SYNFP_HOOK_KPROBE, netns, source.counters);
  } else if (verdict < 0) {
    synfp_count(source.counters, (synfp_u32)-verdict);
  }
}

// int tcp_conn_request(struct request_sock_ops*, const struct tcp_request_sock_ops*, struct sock* listener,
// struct sk_buff*), the same from 6.1 to 6.18. It is called with bottom halves off, so that one run is not
// interrupted by another.
SEC("?fentry/tcp_conn_request")
int synfp_fentry(unsigned long long* ctx) {
  synfp_record_request((struct sock*)ctx[2], (struct sk_buff*)ctx[3], 1);
  return 0;
}

// Where there are no trampolines. The kernel skips it if it hits while another tracing program runs on this
// CPU, and counts that nowhere.
SEC("?kprobe/tcp_conn_request")
int synfp_kprobe(struct pt_regs* ctx) {
  struct synfp_arguments args;

  if (synfp_arguments_of(ctx, &args)) synfp_record_request(args.third, args.fourth, 0);
  return 0;
}
