// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What the kernel knows of a SYN when tcp_conn_request() is called. The structs are the kernel's, reduced to
// what is read; where a field is in the running kernel, libbpf finds out when it loads the program.
#ifndef SYNFP_REQUEST_BPF_H
#define SYNFP_REQUEST_BPF_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net {
  synfp_u64 net_cookie;
};
struct sock_common {
  struct {
    struct net* net;
  } skc_net;
};
struct sock {
  struct sock_common __sk_common;
};

struct sk_buff {
  char cb[48];
  int skb_iif;
  unsigned short protocol;
  unsigned short transport_header; /* offsets from head */
  unsigned short network_header;
  unsigned int tail;
  unsigned char* head;
};
struct inet6_skb_parm {
  int iif;
};
struct tcp_skb_cb { /* what TCP keeps in sk_buff.cb */
  union {
    struct inet6_skb_parm h6;
  } header;
};

/* Arguments of a function, by architecture. */
struct pt_regs___x86 {
  unsigned long dx, cx;
};
struct pt_regs___arm64 {
  unsigned long long regs[31];
};
struct pt_regs___s390 {
  unsigned long gprs[16];
};
struct pt_regs___riscv {
  unsigned long a2, a3;
};

#pragma clang attribute pop

struct synfp_arguments {
  struct sock* third;
  struct sk_buff* fourth;
};

/* False on an architecture that is not listed. Read as memory: clang would add the offset to the context
 * first, which the verifier refuses. */
static __always_inline int synfp_arguments_of(struct pt_regs* ctx, struct synfp_arguments* args) {
  struct pt_regs___x86* x86 = (void*)ctx;
  struct pt_regs___arm64* arm64 = (void*)ctx;
  struct pt_regs___s390* s390 = (void*)ctx;
  struct pt_regs___riscv* riscv = (void*)ctx;

  if (bpf_core_field_exists(x86->dx)) {
    args->third = (void*)BPF_CORE_READ(x86, dx);
    args->fourth = (void*)BPF_CORE_READ(x86, cx);
  } else if (bpf_core_field_exists(arm64->regs)) {
    args->third = (void*)BPF_CORE_READ(arm64, regs[2]);
    args->fourth = (void*)BPF_CORE_READ(arm64, regs[3]);
  } else if (bpf_core_field_exists(s390->gprs)) {
    args->third = (void*)BPF_CORE_READ(s390, gprs[4]);
    args->fourth = (void*)BPF_CORE_READ(s390, gprs[5]);
  } else if (bpf_core_field_exists(riscv->a2)) {
    args->third = (void*)BPF_CORE_READ(riscv, a2);
    args->fourth = (void*)BPF_CORE_READ(riscv, a3);
  } else {
    return 0;
  }
  return 1;
}

/* A field of a struct of the kernel. A trampoline's arguments are `typed`: the verifier knows what they point
 * to, and the load needs no helper. */
#define SYNFP_KERNEL(typed, pointer, field) ((typed) ? (pointer)->field : BPF_CORE_READ(pointer, field))

/* The cookie of its network namespace. */
static __always_inline synfp_u64 synfp_netns_of_sock(struct sock* sk, const int typed) {
  struct net* net = SYNFP_KERNEL(typed, sk, __sk_common.skc_net.net);

  return SYNFP_KERNEL(typed, net, net_cookie);
}

/* The headers of a SYN that TCP has looked at are in one piece, from the IP header on: a datagram was put
 * together, tcp_v4_rcv() has pulled the TCP header, and tcp_v4_do_rcv() has verified the checksum (the same
 * for IPv6). No frame is parsed. Addresses and ports of the connection will be those of these headers. */
static __always_inline struct synfp_source synfp_request_source(struct sk_buff* skb, const int typed) {
  synfp_u64 head = (synfp_u64)SYNFP_KERNEL(typed, skb, head);
  synfp_u64 network = SYNFP_KERNEL(typed, skb, network_header);
  synfp_u64 transport = SYNFP_KERNEL(typed, skb, transport_header);
  synfp_u64 tail = SYNFP_KERNEL(typed, skb, tail);
  struct synfp_source source = {.is_memory = 1,
                                .at_listener = 1,
                                .checked = 1,
                                .acks = synfp_facts_of(SYNFP_HOOK_KPROBE).acks,
                                .memory = head + network,
                                .transport = transport - network,
                                .length = tail > network ? tail - network : 0};

  return source;
}

static __always_inline int synfp_request_is_v6(struct sk_buff* skb, const int typed) {
  return SYNFP_KERNEL(typed, skb, protocol) == __builtin_bswap16(ETH_P_IPV6);
}

/* Where the stack believes it arrived: for a link-local peer that is the zone of the accepted socket's
 * address. A packet to an own address comes over lo, but counts as arrived at the interface of that address.
 */
static __always_inline synfp_u32 synfp_request_interface(struct sk_buff* skb, int v6, const int typed) {
  struct tcp_skb_cb* cb = (void*)skb->cb;

  return (synfp_u32)(v6 ? BPF_CORE_READ(cb, header.h6.iif) : SYNFP_KERNEL(typed, skb, skb_iif));
}

#endif
