// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The SYN on the socket: programs of a cgroup. When a connection of one of its sockets is established, the
// SYN is found (by its sequence number, in the table; or the kernel has kept it), proven and kept with the
// socket; getsockopt() answers with it. As SYNFP_HOOK_SOCKOPS they also capture what the kernel forgets: the
// SYNs that it answers with cookies.
#ifndef SYNFP_SOCKET_BPF_H
#define SYNFP_SOCKET_BPF_H

enum {
  SYNFP_AF_INET6 = 10,
  SYNFP_SOL_SOCKET = 1,
  SYNFP_SOCK_STREAM = 1,
  SYNFP_TCP_SAVE_SYN = 27,
  SYNFP_TCP_SAVED_SYN = 28,
  SYNFP_IPPROTO_MPTCP = 262,
  SYNFP_EINVAL = 22,
  SYNFP_ENOPROTOOPT = 92,
  SYNFP_LINK_BYTES = 14,
  SYNFP_RAW_BYTES = 256, /* of a SYN with its IP header that can be read */
  SYNFP_PAGE = 4096
};

/* What is kept with a socket. */
struct synfp_socket {
  struct synfp_socket_answer syn;
  synfp_u32 save_syn; /* TCP_SAVE_SYN, as its listener had it */
  synfp_u32 taken;    /* TCP_SAVED_SYN was answered: it is answered once */
};

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct synfp_socket);
} synfp_sockets SEC(".maps");

struct synfp_socket_scratch {
  struct synfp_scratch base;
  struct synfp_slot found;
  synfp_u8 raw[SYNFP_RAW_BYTES];
  synfp_u32 option; /* where synfp_step_option() is */
  /* A connection that both ends opened at once is established on behalf of its process, which may be
   * interrupted by packets of others: these find the scratch taken. */
  synfp_u32 taken;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, synfp_u32);
  __type(value, struct synfp_socket_scratch);
} synfp_socket_work SEC(".maps");

/* Whether a listener asked for link headers (TCP_SAVE_SYN = 2): reading them costs a helper call per SYN. */
synfp_u32 synfp_link_wanted SEC(".bss.synfp");

/* A field of the context. clang would join loads of different fields into one through a computed address,
 * which the verifier refuses. */
#define SYNFP_CTX32(ctx, field)                                               \
  ({                                                                          \
    synfp_u32 value_;                                                         \
    asm volatile("%0 = *(u32 *)(%1 + %2)"                                     \
                 : "=r"(value_)                                               \
                 : "r"(ctx), "i"(__builtin_offsetof(typeof(*(ctx)), field))); \
    value_;                                                                   \
  })

static __always_inline void synfp_store32(synfp_u8* to, synfp_u32 value) {
  SYNFP_ONCE(*(synfp_alias32*)to) = value;
}

/* The cookie that goes into the hash, and whether connections of this network namespace can prove anything.
 */
static __always_inline synfp_u64 synfp_netns_of(struct bpf_sock_ops* ctx, int* ours) {
  synfp_u64 cookie = bpf_get_netns_cookie(ctx);

  *ours = synfp_configuration.netns == 0 || cookie == synfp_configuration.netns;
  return synfp_facts_of(synfp_configuration.hook).namespaces ? cookie : 0;
}

/* Other than a socket's family: a socket of IPv6 may have connections of IPv4. */
static __always_inline int synfp_is_v6(struct bpf_sock_ops* ctx) {
  if (SYNFP_CTX32(ctx, family) != SYNFP_AF_INET6) return 0;
  return (SYNFP_CTX32(ctx, remote_ip6[0]) | SYNFP_CTX32(ctx, remote_ip6[1])) != 0 ||
         SYNFP_CTX32(ctx, remote_ip6[2]) != synfp_net32(0xffff, SYNFP_LITTLE).net;
}

/* Addresses, ports and the sequence number of the first byte that an established connection expects. */
static __always_inline void synfp_read_connection(struct bpf_sock_ops* ctx, struct synfp_slot* slot) {
  const int mapped = SYNFP_CTX32(ctx, family) == SYNFP_AF_INET6, v6 = synfp_is_v6(ctx);

  synfp_begin(slot);
  if (v6) {
    synfp_store32(slot->ip + 8, SYNFP_CTX32(ctx, remote_ip6[0]));
    synfp_store32(slot->ip + 12, SYNFP_CTX32(ctx, remote_ip6[1]));
    synfp_store32(slot->ip + 16, SYNFP_CTX32(ctx, remote_ip6[2]));
    synfp_store32(slot->ip + 20, SYNFP_CTX32(ctx, remote_ip6[3]));
    synfp_store32(slot->ip + 24, SYNFP_CTX32(ctx, local_ip6[0]));
    synfp_store32(slot->ip + 28, SYNFP_CTX32(ctx, local_ip6[1]));
    synfp_store32(slot->ip + 32, SYNFP_CTX32(ctx, local_ip6[2]));
    synfp_store32(slot->ip + 36, SYNFP_CTX32(ctx, local_ip6[3]));
  } else {
    synfp_store32(slot->ip + 12, mapped ? SYNFP_CTX32(ctx, remote_ip6[3]) : SYNFP_CTX32(ctx, remote_ip4));
    synfp_store32(slot->ip + 16, mapped ? SYNFP_CTX32(ctx, local_ip6[3]) : SYNFP_CTX32(ctx, local_ip4));
  }
  SYNFP_ONCE(slot->ip[0]) = v6 ? 0x60 : 0x45;
  /* remote_port is in network order in the upper half on a little-endian host; local_port is in host order.
   */
  synfp_store32(
      slot->tcp,
      synfp_net32((SYNFP_LITTLE ? synfp_swap32(SYNFP_CTX32(ctx, remote_port)) : SYNFP_CTX32(ctx, remote_port))
                          << 16 |
                      SYNFP_CTX32(ctx, local_port),
                  SYNFP_LITTLE)
          .net);
  synfp_store32(slot->tcp + 4, synfp_net32(SYNFP_CTX32(ctx, rcv_nxt), SYNFP_LITTLE).net);
}

/* 1 if two slots have the same addresses and ports. */
static __always_inline synfp_u64 synfp_same_ends(const struct synfp_slot* a, const struct synfp_slot* b) {
  synfp_u32 differ = synfp_word_at(a->tcp) ^ synfp_word_at(b->tcp);
  synfp_u32 v6 = 0, v4;

  differ |= (SYNFP_ONCE(a->ip[0]) ^ SYNFP_ONCE(b->ip[0])) >> 4;
  v4 = (synfp_word_at(a->ip + 12) ^ synfp_word_at(b->ip + 12)) |
       (synfp_word_at(a->ip + 16) ^ synfp_word_at(b->ip + 16));
#pragma unroll
  for (int i = 2; i < 10; ++i) v6 |= synfp_word_at(a->ip + 4 * i) ^ synfp_word_at(b->ip + 4 * i);
  return synfp_equal(differ | (SYNFP_ONCE(a->ip[0]) >> 4 == 4 ? v4 : v6), 0);
}

static __always_inline struct synfp_socket_scratch* synfp_socket_scratch_here(void) {
  synfp_u32 zero = 0;

  return __builtin_assume_aligned(bpf_map_lookup_elem(&synfp_socket_work, &zero), 8);
}

/* Functions of their own, not inlined: each has room on the stack for itself, and the verifier looks at it
 * once. */

/* Reads the SYN that `ctx` knows of into the scratch. Returns 1, 0 if there is none, or -counter. */
__attribute__((noinline)) int synfp_read_syn(struct bpf_sock_ops* ctx, int link) {
  struct synfp_socket_scratch* work = synfp_socket_scratch_here();
  synfp_u64 ip_length, tcp_length, kept, v6;
  struct synfp_slot* slot;
  long total;

  if (!work) return 0;
  slot = &work->base.slot;
  synfp_begin(slot);
  total = bpf_getsockopt(ctx, IPPROTO_TCP, TCP_BPF_SYN_IP, work->raw, SYNFP_RAW_BYTES);
  if (total <= 0) return total == -28 /* ENOSPC */ ? -SYNFP_COUNT_TOO_LONG : 0;
  if (bpf_getsockopt(ctx, IPPROTO_TCP, TCP_BPF_SYN, slot->tcp, SYNFP_TCP_BYTES) < 20)
    return -SYNFP_COUNT_BAD_TCP;
  v6 = synfp_equal(work->raw[0] >> 4, 6);
  tcp_length = ((synfp_u64)slot->tcp[12] >> 4) * 4;
  ip_length = (synfp_u64)total - tcp_length;
  if (tcp_length < 20 || ip_length < 20 || ip_length > SYNFP_RAW_BYTES) return -SYNFP_COUNT_BAD_TCP;
  slot->tcp_offset = (synfp_u8)(ip_length / 4);
  /* Of IPv6 only the fixed header is kept, of IPv4 also options that fit. */
  kept = synfp_select(v6, SYNFP_IP_BYTES, ip_length);
  if (ip_length > SYNFP_IP_BYTES) {
    slot->flags |= SYNFP_TRUNCATED;
    kept = synfp_select(v6, SYNFP_IP_BYTES, 20);
  }
#pragma unroll
  for (int i = 0; i < SYNFP_IP_BYTES / 4; ++i)
    synfp_store32(slot->ip + 4 * i,
                  synfp_word_at(work->raw + 4 * i) * (synfp_u32)synfp_below((synfp_u64)4 * i, kept));
  if (link && tcp_length + SYNFP_LINK_BYTES <= SYNFP_TCP_BYTES) {
    long with_link = bpf_getsockopt(ctx, IPPROTO_TCP, TCP_BPF_SYN_MAC, work->raw, SYNFP_RAW_BYTES);

    if (with_link == total + SYNFP_LINK_BYTES) {
      slot->flags |= SYNFP_LINK;
#pragma unroll
      for (int i = 0; i < SYNFP_LINK_BYTES; i += 2)
        SYNFP_ONCE(*(synfp_u16*)(slot->tcp + SYNFP_TCP_BYTES - SYNFP_LINK_BYTES + i)) =
            SYNFP_ONCE(*(const synfp_u16*)(work->raw + i));
    }
  }
  return 1;
}

/* Stores the SYN in the scratch. */
__attribute__((noinline)) int synfp_store_socket_syn(synfp_u64 netns) {
  struct synfp_counters* counters = synfp_counters_here();
  struct synfp_socket_scratch* work = synfp_socket_scratch_here();

  if (!counters || !work) return 0;
  synfp_write(&work->base, SYNFP_IS_SYN, SYNFP_HOOK_SOCKOPS, netns, counters);
  return 0;
}

/* Whether the two slots in the scratch hold different headers. */
__attribute__((noinline)) int synfp_slots_differ(void) {
  struct synfp_socket_scratch* work = synfp_socket_scratch_here();

  return !work || synfp_compare(&work->base.slot, &work->found) != 0;
}

/* Looks for the SYN of the connection in the scratch. 1 if it was found. */
__attribute__((noinline)) int synfp_establish_socket(synfp_u64 netns) {
  struct synfp_counters* counters = synfp_counters_here();
  struct synfp_socket_scratch* work = synfp_socket_scratch_here();

  if (!counters || !work) return 0;
  return synfp_establish(&work->base, &work->found, netns, counters) &&
         synfp_same_ends(&work->base.slot, &work->found);
}

/* One option of the SYN that was found; 1 to end the walk. */
static long synfp_step_option(synfp_u32 unused, void* none) {
  struct synfp_socket_scratch* work = synfp_socket_scratch_here();
  synfp_u64 at, end, kind, length;
  const synfp_u8* option;

  (void)unused;
  (void)none;
  if (!work) return 1;
  at = SYNFP_ONCE(work->option);
  end = ((synfp_u64)SYNFP_ONCE(work->found.tcp[12]) >> 4) * 4;
  if (at + 1 >= end || at > SYNFP_TCP_BYTES - 2) return 1;
  option = work->found.tcp + at;
  asm volatile("" : "+r"(option));
  kind = SYNFP_ONCE(option[0]);
  length = SYNFP_ONCE(option[1]);
  if (kind == 0) return 1;
  if (kind == 1) length = 1;
  if (length == 0 || at + length > end) return 1;
  if (kind == 8 && length == 10 && ((at + 2) & 3) == 0) work->found.differs &= ~(1U << ((at - 18) / 4 & 15));
  work->option = (synfp_u32)(at + length);
  return 0;
}

/* Whether copies of the SYN that was found differ in more than the value of their timestamp, if that is in a
 * word of its own. As altered() in capture/detail/slot.hpp. */
__attribute__((noinline)) int synfp_copies_differ(void) {
  struct synfp_socket_scratch* work = synfp_socket_scratch_here();

  if (!work) return 1;
  work->option = 20;
  bpf_loop(SYNFP_TCP_BYTES - 20, synfp_step_option, NULL, 0); /* a loop would need CAP_PERFMON */
  return SYNFP_ONCE(work->found.differs) != 0;
}

/* Fills in what is kept with a socket from the slot of its SYN. */
static __always_inline void synfp_keep(struct synfp_socket_answer* syn, const struct synfp_slot* slot,
                                       int exact) {
  synfp_u64 flags = SYNFP_ONCE(slot->flags), offset = (synfp_u64)SYNFP_ONCE(slot->tcp_offset) * 4;
  synfp_u64 ip_length = offset, tcp_length = ((synfp_u64)SYNFP_ONCE(slot->tcp[12]) >> 4) * 4;

  if (flags & SYNFP_TRUNCATED) ip_length = SYNFP_ONCE(slot->ip[0]) >> 4 == 4 ? 20 : 40;
  if (tcp_length < 20 || ip_length < 20 || ip_length > SYNFP_IP_BYTES) {
    syn->status = SYNFP_SOCKET_TOO_LONG;
    return;
  }
  syn->status = SYNFP_SOCKET_FOUND;
  syn->proof = exact ? SYNFP_SOCKET_EXACT : SYNFP_SOCKET_VERIFIED;
  syn->source = SYNFP_ONCE(slot->hook);
  syn->retransmits = SYNFP_ONCE(slot->retransmits);
  syn->flags =
      (flags & SYNFP_TRUNCATED ? SYNFP_SOCKET_TRUNCATED : 0) | (flags & SYNFP_LATE ? 0 : SYNFP_SOCKET_TIME) |
      (flags & SYNFP_VERIFIED || synfp_facts_of(syn->source).every_copy ? SYNFP_SOCKET_RETRANSMITS : 0) |
      (flags & SYNFP_LINK ? SYNFP_SOCKET_LINK : 0);
  syn->tcp_offset = (synfp_u8)(offset / 4);
  syn->time_ns = flags & SYNFP_LATE ? 0 : SYNFP_ONCE(slot->time);
  syn->ifindex = SYNFP_ONCE(slot->ifindex);
  syn->vlan[0] = SYNFP_ONCE(slot->vlan[0]);
  syn->vlan[1] = SYNFP_ONCE(slot->vlan[1]);
  syn->ip_length = (synfp_u8)ip_length;
  syn->tcp_length = (synfp_u8)tcp_length;
#pragma unroll
  for (int i = 0; i < SYNFP_LINK_BYTES; i += 2)
    SYNFP_ONCE(*(synfp_u16*)(syn->link + i)) =
        SYNFP_ONCE(*(const synfp_u16*)(slot->tcp + SYNFP_TCP_BYTES - SYNFP_LINK_BYTES + i));
#pragma unroll
  for (int i = 0; i < SYNFP_IP_BYTES / 4; ++i)
    synfp_store32(syn->headers + 4 * i, synfp_word_at(slot->ip + 4 * i));
    /* Each length at a constant offset: one that varies needs CAP_PERFMON. */
#pragma unroll
  for (int at = 20; at <= SYNFP_IP_BYTES; at += 4) {
    if (ip_length != (synfp_u64)at) continue;
#pragma unroll
    for (int i = 0; i < SYNFP_TCP_BYTES / 4; ++i)
      synfp_store32(syn->headers + at + 4 * i, synfp_word_at(slot->tcp + 4 * i));
  }
}

/* 1 if connections of this family to this port of ours are looked at, else -counter. */
static __always_inline int synfp_connection_wanted(int v6, struct synfp_be16 port) {
  if (!synfp_port_wanted(port)) return -SYNFP_COUNT_OTHER_PORT;
  if (!(synfp_configuration.families & (v6 ? SYNFP_FAMILY_IPV6 : SYNFP_FAMILY_IPV4)))
    return -SYNFP_COUNT_OTHER_FAMILY;
  return 1;
}

/* The SYN-ACK of a cookie: the kernel forgets the SYN now. */
static __always_inline void synfp_capture_cookie(struct bpf_sock_ops* ctx, struct synfp_counters* counters,
                                                 struct synfp_socket_scratch* work) {
  struct synfp_slot* slot = &work->base.slot;
  int ours, read;
  synfp_u64 netns = synfp_netns_of(ctx, &ours);

  synfp_count(counters, SYNFP_COUNT_RUNS);
  read = synfp_read_syn(ctx, SYNFP_ONCE(synfp_link_wanted) != 0);
  if (read > 0)
    read =
        synfp_connection_wanted(SYNFP_ONCE(slot->ip[0]) >> 4 == 6, synfp_load16(slot->tcp + 2, SYNFP_LITTLE));
  if (read < 0) synfp_count(counters, (synfp_u32)-read);
  if (read > 0) synfp_store_socket_syn(netns);
}

/* Whether the table has the SYN of an established connection; then it is in the scratch as `found`. */
static __always_inline int synfp_find_connection(struct bpf_sock_ops* ctx, struct bpf_sock* sk,
                                                 synfp_u64 netns) {
  struct synfp_socket_scratch* work = synfp_socket_scratch_here();

  if (!work) return 0;
  synfp_read_connection(ctx, &work->base.slot);
  /* The zone of link-local addresses. */
  if (synfp_facts_of(synfp_configuration.hook).interface) work->base.slot.ifindex = sk->bound_dev_if;
  return synfp_establish_socket(netns);
}

/* A listener's connection is established. */
static __always_inline void synfp_established(struct bpf_sock_ops* ctx, struct synfp_counters* counters,
                                              struct synfp_socket_scratch* work) {
  struct synfp_slot* slot = &work->base.slot;
  struct synfp_slot* found = &work->found;
  struct synfp_socket* kept;
  struct bpf_sock* sk;
  synfp_u32 save_syn = 0;
  int ours, read;
  synfp_u64 exact = 0, known = 0; /* 6.1 without CAP_PERFMON lets nothing overwrite a spill of 32 bits */
  synfp_u64 netns = synfp_netns_of(ctx, &ours);

  read = synfp_connection_wanted(synfp_is_v6(ctx),
                                 synfp_net16((synfp_u16)SYNFP_CTX32(ctx, local_port), SYNFP_LITTLE));
  if (read < 0) {
    /* What has no cookie comes here first. */
    if (synfp_configuration.hook == SYNFP_HOOK_SOCKOPS) synfp_count(counters, (synfp_u32)-read);
    return;
  }
  sk = ctx->sk;
  if (!sk) return;
  bpf_getsockopt(ctx, IPPROTO_TCP, SYNFP_TCP_SAVE_SYN, &save_syn, sizeof save_syn);
  if (synfp_configuration.hook != SYNFP_HOOK_SOCKOPS) known = ours && synfp_find_connection(ctx, sk, netns);
  read = synfp_read_syn(ctx, save_syn == 2);
  if (read > 0) {
    /* The kernel has kept it: this connection's, without doubt. What the table knows of its arrival is kept.
     */
    exact = 1;
    if (synfp_configuration.hook == SYNFP_HOOK_SOCKOPS) {
      slot->flags |= SYNFP_LATE | SYNFP_ESTABLISHED;
      synfp_store_socket_syn(netns);
    }
    if (!known || synfp_slots_differ()) {
#pragma unroll
      for (int i = 0; i < (int)(sizeof(struct synfp_slot) / 8); ++i)
        ((volatile synfp_u64*)found)[i] = ((const volatile synfp_u64*)slot)[i];
      SYNFP_ONCE(found->hook) = SYNFP_HOOK_NONE;
      SYNFP_ONCE(found->flags) = SYNFP_ONCE(found->flags) | SYNFP_LATE;
    }
    known = 1;
  } else if (synfp_configuration.hook == SYNFP_HOOK_SOCKOPS) {
    known = synfp_find_connection(ctx, sk, netns);
  }
  synfp_count(counters, known ? SYNFP_COUNT_PROVEN : SYNFP_COUNT_UNKNOWN);
  kept = bpf_sk_storage_get(&synfp_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
  if (!kept) {
    synfp_count(counters, SYNFP_COUNT_NO_STORAGE);
    return;
  }
  kept->save_syn = save_syn;
  kept->syn.size = sizeof kept->syn;
  kept->syn.status = read < 0 ? SYNFP_SOCKET_TOO_LONG : SYNFP_SOCKET_UNKNOWN;
  if (!known) return;
  if (!exact && found->differs != 0 &&
      (found->flags & SYNFP_VERIFIED || !synfp_facts_of(found->hook).last_copy_counts) &&
      synfp_copies_differ()) {
    kept->syn.status = SYNFP_SOCKET_CONFLICT;
    return;
  }
  synfp_keep(&kept->syn, found, exact);
}

/* A socket begins to listen, or listens already. */
static __always_inline void synfp_listening(struct bpf_sock_ops* ctx) {
  int save_syn = 0; /* alone on its part of the stack, or 6.1 wants CAP_PERFMON */

  if (synfp_configuration.hook == SYNFP_HOOK_SOCKOPS)
    bpf_sock_ops_cb_flags_set(
        ctx, (int)(SYNFP_CTX32(ctx, bpf_sock_ops_cb_flags) | BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG));
  bpf_getsockopt(ctx, IPPROTO_TCP, SYNFP_TCP_SAVE_SYN, &save_syn, sizeof save_syn);
  if (save_syn == 2) SYNFP_ONCE(synfp_link_wanted) = 1;
  if (save_syn != 0) return;
  save_syn = 1;
  bpf_setsockopt(ctx, IPPROTO_TCP, SYNFP_TCP_SAVE_SYN, &save_syn, sizeof save_syn);
}

SEC("sockops")
int synfp_sockops(struct bpf_sock_ops* ctx) {
  synfp_u32 op = SYNFP_CTX32(ctx, op);
  struct synfp_counters* counters;
  struct synfp_socket_scratch* work;

  if (op == BPF_SOCK_OPS_TCP_LISTEN_CB) {
    synfp_listening(ctx);
    return 1;
  }
  if (op == BPF_SOCK_OPS_HDR_OPT_LEN_CB) {
    if (synfp_configuration.hook != SYNFP_HOOK_SOCKOPS ||
        SYNFP_CTX32(ctx, args[0]) != BPF_WRITE_HDR_TCP_SYNACK_COOKIE)
      return 1;
  } else if (op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
    return 1;
  }
  counters = synfp_counters_here();
  work = synfp_socket_scratch_here();
  if (!counters || !work) return 1;
  if (op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
    /* Inherited from the listener; each segment of the connection would run the program. */
    synfp_u32 flags = SYNFP_CTX32(ctx, bpf_sock_ops_cb_flags);

    if (flags & BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG && synfp_configuration.hook == SYNFP_HOOK_SOCKOPS)
      bpf_sock_ops_cb_flags_set(ctx, (int)(flags & ~(synfp_u32)BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG));
  }
  if (__sync_lock_test_and_set(&work->taken, 1) != 0) {
    synfp_count(counters, SYNFP_COUNT_BUSY);
    return 1;
  }
  if (op == BPF_SOCK_OPS_HDR_OPT_LEN_CB) {
    synfp_capture_cookie(ctx, counters, work);
  } else {
    synfp_established(ctx, counters, work);
  }
  asm volatile("" ::: "memory");
  SYNFP_ONCE(work->taken) = 0;
  return 1;
}

/* Copies `n` bytes, a multiple of 4 up to 120. False if the buffer is too short; nothing is written then. At
 * constant offsets, since others need CAP_PERFMON, and each with its own check, or 6.1 loses it. */
static __always_inline synfp_u64 synfp_copy_out(synfp_u8* to, synfp_u8* end, const synfp_u8* from,
                                                synfp_u64 n) {
#pragma unroll
  for (int i = 4; i <= (int)sizeof(((struct synfp_socket_answer*)0)->headers); i += 4) {
    if (n == (synfp_u64)i && to + i > end) return 0;
  }
#pragma unroll
  for (int i = 0; i < (int)sizeof(((struct synfp_socket_answer*)0)->headers); i += 4) {
    synfp_u8* at = to + i;

    if ((synfp_u64)i >= n) return 1;
    asm volatile("" : "+r"(at));
    if (at + 4 > end) return 1; /* never: it was checked */
    *(synfp_alias32*)at = synfp_word_at(from + i);
  }
  return 1;
}

/* TCP_SAVED_SYN of a socket for which the kernel has none. */
static __always_inline void synfp_answer_saved_syn(struct bpf_sockopt* ctx, struct synfp_socket* kept) {
  synfp_u8* end = ctx->optval_end;
  synfp_u64 n = (synfp_u64)kept->syn.ip_length + kept->syn.tcp_length, fits;

  /* What the kernel has kept, it gives itself. */
  if (kept->syn.status != SYNFP_SOCKET_FOUND || kept->syn.proof == SYNFP_SOCKET_EXACT || kept->taken) return;
  /* The kernel would answer with all of them. */
  if (kept->syn.flags & SYNFP_SOCKET_TRUNCATED || n < 40 || n > sizeof kept->syn.headers) return;
  if (kept->save_syn == 2) {
    synfp_u8* link = ctx->optval;

    if (!(kept->syn.flags & SYNFP_SOCKET_LINK)) return;
    if (link + SYNFP_LINK_BYTES + 40 > end) {
      SYNFP_ONCE(ctx->retval) = -SYNFP_EINVAL;
      return;
    }
#pragma unroll
    for (int i = 0; i < SYNFP_LINK_BYTES; i += 2)
      SYNFP_ONCE(*(synfp_u16*)(link + i)) = SYNFP_ONCE(*(synfp_u16*)(kept->syn.link + i));
    fits = synfp_copy_out(link + SYNFP_LINK_BYTES, end, kept->syn.headers, n);
    n += SYNFP_LINK_BYTES;
    asm volatile("" : "+r"(n), "+r"(fits)); /* the two ways stay apart: each has an offset of its own */
  } else {
    fits = synfp_copy_out(ctx->optval, end, kept->syn.headers, n);
  }
  if (!fits) {
    SYNFP_ONCE(ctx->retval) = -SYNFP_EINVAL;
  } else if (__sync_lock_test_and_set(&kept->taken, 1) == 0) {
    SYNFP_ONCE(ctx->optlen) = (int)n;
  }
}

SEC("cgroup/getsockopt")
int synfp_getsockopt(struct bpf_sockopt* ctx) {
  synfp_u32 level = SYNFP_CTX32(ctx, level), name = SYNFP_CTX32(ctx, optname);
  synfp_u32 length = SYNFP_CTX32(ctx, optlen), answered = SYNFP_CTX32(ctx, retval);
  synfp_u8 *first, *end;
  struct synfp_socket* kept;

  if (level == IPPROTO_TCP && name == SYNFP_TCP_SAVED_SYN) {
    if (answered != 0 || length != 0 || !ctx->sk) return 1;
    kept = bpf_sk_storage_get(&synfp_sockets, ctx->sk, NULL, 0);
    if (kept) synfp_answer_saved_syn(ctx, kept);
    return 1;
  }
  if (level == SYNFP_SOL_SOCKET && name == SYNFP_SO_SYN) {
    struct synfp_socket_answer* to = ctx->optval;

    if (answered != (synfp_u32)-SYNFP_ENOPROTOOPT || !ctx->sk) return 1;
    if (ctx->sk->type != SYNFP_SOCK_STREAM) return 1; /* raw and netlink sockets have other protocols */
    if (ctx->sk->protocol != IPPROTO_TCP && ctx->sk->protocol != SYNFP_IPPROTO_MPTCP) return 1;
    if ((void*)(to + 1) > ctx->optval_end) {
      SYNFP_ONCE(ctx->retval) = -SYNFP_EINVAL;
      return 1;
    }
    kept = bpf_sk_storage_get(&synfp_sockets, ctx->sk, NULL, 0);
    if (kept) {
#pragma unroll
      for (int i = 0; i < (int)sizeof *to / 8; ++i)
        ((synfp_u64*)to)[i] = ((const volatile synfp_u64*)&kept->syn)[i];
    } else {
      __builtin_memset(to, 0, sizeof *to);
      to->size = sizeof *to;
      to->status = SYNFP_SOCKET_UNKNOWN;
    }
    SYNFP_ONCE(ctx->optlen) = sizeof *to;
    SYNFP_ONCE(ctx->retval) = 0;
    return 1;
  }
  /* What is longer than the kernel lets a program see would fail, and so would a length for which there is no
   * buffer (SO_GET_FILTER tells it). 0: all stays as the kernel wrote it. */
  first = ctx->optval;
  end = ctx->optval_end;
  if ((int)length > SYNFP_PAGE || ((int)length > 0 && first + 1 > end)) SYNFP_ONCE(ctx->optlen) = 0;
  return 1;
}

#endif
