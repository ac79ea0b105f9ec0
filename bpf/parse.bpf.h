// SPDX-License-Identifier: MIT OR GPL-2.0-only
// From a packet to a record: Ethernet with up to eight VLAN tags, IPv4 with options, IPv6 with a bounded
// number of extension headers, TCP. The same code reads a frame (xdp), a socket buffer (reuseport, tcx) and
// the kernel's memory (kprobe).
#ifndef SYNFP_PARSE_BPF_H
#define SYNFP_PARSE_BPF_H

/* What the parser says of a packet: one of these, or -counter: refused, to be counted under it. */
enum {
  SYNFP_IS_SYN = 1, /* a SYN without ACK, FIN, RST */
  SYNFP_IS_ACK = 2, /* may complete a handshake; only if synfp_source.acks */
  /* A SYN that the stack may accept and that a record cannot hold; it has been counted. The slot says whose
   * it is (addresses, ports, sequence number) and has tcp_offset 0: older records of the key are not
   * believed. */
  SYNFP_IS_OPAQUE = 3,
  SYNFP_NOT_OURS = 0
};

enum {
  SYNFP_MAX_VLAN_TAGS = 8, /* the outer two are kept */
  SYNFP_MAX_EXTENSIONS = 24,
  /* Set in what synfp_skip_extensions returns: the rest of TCP may be elsewhere. */
  SYNFP_FIRST_FRAGMENT = 1 << 16,
  /* The stack checks the checksum of a segment up to this long before it looks for a listener, of a longer
   * one after (CHECKSUM_BREAK in include/linux/skbuff.h). */
  SYNFP_CHECKED_BYTES = 76,
  SYNFP_MAX_OFFSET = 1020, /* of the TCP header: what slot.tcp_offset can say */
  SYNFP_TCP_FIN = 0x01,
  SYNFP_TCP_SYN = 0x02,
  SYNFP_TCP_RST = 0x04,
  SYNFP_TCP_ACK = 0x10
};

/* Where bytes come from, and what it means that they are seen there. The flags are constants, so that each
 * program keeps only its own half of the parser. */
struct synfp_source {
  int is_skb;    /* a socket buffer, `skb`; or */
  int is_memory; /* `length` bytes of the kernel's memory at `memory`, from the IP header on; else a frame */
  int at_listener; /* the stack has looked at the packet and chosen a listener for it; else nobody has yet */
  int no_loops; /* the program is also loaded without CAP_PERFMON, and then loops cost too much to verify */
  int acks;     /* an ACK that may complete a handshake is wanted, too */
  int checked; /* at_listener: the stack has verified the checksum, and found the TCP header at `transport` */
  void* skb;
  struct xdp_md* frame;
  const synfp_u8* data; /* the linear part of `frame`; a large one goes on in fragments */
  const synfp_u8* end;
  synfp_u64 length; /* at_listener: of the buffer, from where the stack has got to: the TCP header, unless a
                       netfilter hook asks before TCP does */
  synfp_u64 memory;
  synfp_u64 transport; /* checked: offset of the TCP header from the IP header */
  struct synfp_counters* counters;
};

static __always_inline struct synfp_source synfp_listener_source(struct sk_reuseport_md* ctx) {
  struct synfp_source source = {.is_skb = 1,
                                .at_listener = 1,
                                .no_loops = 1,
                                .acks = synfp_facts_of(SYNFP_HOOK_REUSEPORT).acks,
                                .skb = ctx,
                                .length = ctx->len};

  return source;
}

/* Loads that claim alignment: BPF on x86 and arm64 reads packets at any alignment, but clang splits what it
 * believes to be unaligned into bytes. */
typedef synfp_u32 __attribute__((may_alias)) synfp_alias32;
typedef long long synfp_s64;

/* `n` bytes (a constant, multiple of 4) at `offset` from the network header (skb) or from the frame. Drivers
 * put all headers into the linear part; what is not there is looked for in the fragments. */
static __always_inline int synfp_fetch(const struct synfp_source* source, synfp_u64 offset, void* to,
                                       const synfp_u32 n) {
  const synfp_u8* from;

  if (source->is_skb)
    return bpf_skb_load_bytes_relative(source->skb, (synfp_u32)offset, to, n, BPF_HDR_START_NET);
  if (source->is_memory) {
    if (offset + n > source->length) return -1;
    return (int)bpf_probe_read_kernel(to, n, (const void*)(source->memory + offset));
  }
  from = source->data + offset;
  if (from + n > source->end) return bpf_xdp_load_bytes(source->frame, (synfp_u32)offset, to, n);
#pragma unroll
  for (synfp_u32 i = 0; i < n / 4; ++i) ((synfp_alias32*)to)[i] = ((const synfp_alias32*)from)[i];
  return 0;
}

/* A TCP header or IP options, `n` bytes, a multiple of 4 up to 60. A linear packet is read in constant sizes,
 * because the verifier wants to see one bound per access; anything else by one call with a bounded length. */
static __always_inline int synfp_fetch_header(const struct synfp_source* source, synfp_u64 offset,
                                              synfp_u8* to, synfp_u64 n) {
  if (source->is_skb || source->is_memory || source->data + offset + n > source->end) {
    /* In 64 bits, and not known to be a multiple of 4: else clang writes the lower bound as "is not 0".
     * The 6.1 verifier learns from neither. */
    synfp_u64 size = n;

    /* First: a 6.12 verifier that compares the sum forgets the bounds of the size. */
    if (source->is_memory && offset + n > source->length) return -1;
    asm volatile("" : "+r"(size));
    if (size < 4 || size > SYNFP_TCP_BYTES) return -1;
    if (source->is_memory)
      return (int)bpf_probe_read_kernel(to, (synfp_u32)size, (const void*)(source->memory + offset));
    if (!source->is_skb) return bpf_xdp_load_bytes(source->frame, (synfp_u32)offset, to, (synfp_u32)size);
    return bpf_skb_load_bytes_relative(source->skb, (synfp_u32)offset, to, (synfp_u32)size,
                                       BPF_HDR_START_NET);
  }
  switch (n) {
    case 4: return synfp_fetch(source, offset, to, 4);
    case 8: return synfp_fetch(source, offset, to, 8);
    case 12: return synfp_fetch(source, offset, to, 12);
    case 16: return synfp_fetch(source, offset, to, 16);
    case 20: return synfp_fetch(source, offset, to, 20);
    case 24: return synfp_fetch(source, offset, to, 24);
    case 28: return synfp_fetch(source, offset, to, 28);
    case 32: return synfp_fetch(source, offset, to, 32);
    case 36: return synfp_fetch(source, offset, to, 36);
    case 40: return synfp_fetch(source, offset, to, 40);
    case 44: return synfp_fetch(source, offset, to, 44);
    case 48: return synfp_fetch(source, offset, to, 48);
    case 52: return synfp_fetch(source, offset, to, 52);
    case 56: return synfp_fetch(source, offset, to, 56);
    case 60: return synfp_fetch(source, offset, to, 60);
    default: return -1;
  }
}

/* Whether there are `n` bytes (at least 1), from where offsets count. */
static __always_inline int synfp_holds(const struct synfp_source* source, synfp_u64 n) {
  synfp_u8 last;

  if (source->is_skb)
    return bpf_skb_load_bytes_relative(source->skb, (synfp_u32)n - 1, &last, 1, BPF_HDR_START_NET) == 0;
  return (synfp_u64)(source->end - source->data) >= n || bpf_xdp_get_buff_len(source->frame) >= n;
}

static __always_inline synfp_u64 synfp_host_at(const synfp_u8* p) {
  return synfp_host16(synfp_load16(p, SYNFP_LITTLE), SYNFP_LITTLE);
}

/* Finds the IP header of a frame. Returns its offset, or what synfp_parse returns. */
static __always_inline int synfp_parse_ethernet(const struct synfp_source* source, synfp_u16* vlan, int* v6) {
  const synfp_u8* at = source->data + 12;
  synfp_u16 type;
  int offset = 14;

  vlan[0] = vlan[1] = 0;
  if (at + 2 > source->end) return SYNFP_NOT_OURS;
  type = *(const synfp_u16*)at;
#pragma unroll
  for (int i = 0; i < SYNFP_MAX_VLAN_TAGS; ++i) {
    if (type != __builtin_bswap16(ETH_P_8021Q) && type != __builtin_bswap16(ETH_P_8021AD)) break;
    if (at + 6 > source->end) return SYNFP_NOT_OURS;
    if (i < 2) vlan[i] = 0x8000 | (__builtin_bswap16(*(const synfp_u16*)(at + 2)) & 0x0fff);
    type = *(const synfp_u16*)(at + 4);
    at += 4;
    offset += 4;
  }
  if (type == __builtin_bswap16(ETH_P_IP)) {
    *v6 = 0;
    return offset;
  }
  if (type == __builtin_bswap16(ETH_P_IPV6)) {
    *v6 = 1;
    return offset;
  }
  if (type == __builtin_bswap16(ETH_P_8021Q) || type == __builtin_bswap16(ETH_P_8021AD))
    return -SYNFP_COUNT_VLAN;
  return SYNFP_NOT_OURS;
}

/* A walk over IPv6 extension headers. */
struct synfp_walk {
  synfp_u64 next;           /* kind of the header at `offset` */
  synfp_u64 offset;         /* from the IP header */
  synfp_u64 first_fragment; /* 1 if the packet is one */
  synfp_u64 unknown;        /* something that the verifier does not know */
};

/* Steps over one extension header, if TCP is not reached. Returns 0, 1 if this is none, or -counter. An
 * atomic fragment (offset 0 and nothing more, RFC 6946) is a whole packet; RFC 8200 4.5 has all headers in
 * the first fragment of others. */
static __always_inline int synfp_step(const struct synfp_source* source, synfp_u64 start,
                                      struct synfp_walk* w) {
  synfp_u8 head[4] __attribute__((aligned(4))) = {};
  synfp_u64 step;

  if (w->next == IPPROTO_TCP) return 0;
  if (w->next != IPPROTO_HOPOPTS && w->next != IPPROTO_ROUTING && w->next != IPPROTO_DSTOPTS &&
      w->next != IPPROTO_AH && w->next != IPPROTO_FRAGMENT)
    return 1;
  if (synfp_fetch(source, start + w->offset, head, 4)) return -SYNFP_COUNT_BAD_IP;
  if (w->next == IPPROTO_FRAGMENT) {
    synfp_u64 fragment = synfp_host_at(head + 2);

    if (fragment & 0xfff8) return -SYNFP_COUNT_FRAGMENT;
    step = 8;
    w->first_fragment |= fragment & 1;
  } else {
    /* RFC 8200 4: in units of 8 bytes, not counting the first; RFC 4302 2.2: units of 4, minus 2 */
    step = w->next == IPPROTO_AH ? (head[1] + 2) * 4 : (head[1] + 1) * 8;
  }
  w->next = head[0];
  /* One state for the verifier, whatever the header was. */
  w->first_fragment = synfp_forget_range(w->first_fragment, w->unknown) & 1;
  w->offset = synfp_forget_range(w->offset + step, w->unknown);
  return w->offset > SYNFP_MAX_OFFSET ? -SYNFP_COUNT_EXTENSIONS : 0;
}

/* Returns the offset of the TCP header from the IP header, with SYNFP_FIRST_FRAGMENT if it is a fragment's,
 * or what synfp_parse returns. */
static __always_inline synfp_s64 synfp_skip_extensions(const struct synfp_source* source, synfp_u64 start,
                                                       synfp_u64 next, synfp_u64 unknown) {
  struct synfp_walk w = {.next = next, .offset = SYNFP_IP_BYTES, .unknown = unknown};
  int refused = 0;

  if (source->no_loops) {
    /* Without CAP_PERFMON the verifier follows a loop beyond its end. Where these steps end, the stack says
     * where TCP is. */
    refused = synfp_step(source, start, &w);
    if (refused == 0) refused = synfp_step(source, start, &w);
    if (refused == 0) refused = synfp_step(source, start, &w);
    if (refused == 0) refused = synfp_step(source, start, &w);
    if (refused == 0) refused = synfp_step(source, start, &w);
    if (refused == 0) refused = synfp_step(source, start, &w);
  } else {
#pragma nounroll
    for (int i = 0; i < SYNFP_MAX_EXTENSIONS && w.next != IPPROTO_TCP && refused == 0; ++i)
      refused = synfp_step(source, start, &w);
  }
  if (refused != 0) return refused < 0 ? refused : SYNFP_NOT_OURS;
  if (w.next != IPPROTO_TCP) return -SYNFP_COUNT_EXTENSIONS;
  w.offset = synfp_forget_range(w.offset, unknown);
  if (w.offset > SYNFP_MAX_OFFSET) return -SYNFP_COUNT_EXTENSIONS;
  return (synfp_s64)(w.offset | (w.first_fragment ? SYNFP_FIRST_FRAGMENT : 0));
}

/* An empty record of now. It is zeroed in a way that the verifier takes for unknown bytes: bytes it knows to
 * be zero make a state of their own for every length of header that is copied over them, and 6.1 then runs
 * into its limit. */
static __always_inline void synfp_begin(struct synfp_slot* slot) {
  synfp_u64 now = bpf_ktime_get_ns();
  synfp_u64 zero = now;

  asm volatile("%0 ^= %0" : "+r"(zero));
#pragma unroll
  for (int i = 1; i < (int)(sizeof *slot / 8); ++i) ((volatile synfp_u64*)slot)[i] = zero;
  slot->time = now;
}

static __always_inline int synfp_port_wanted(struct synfp_be16 port) {
  if (synfp_configuration.ports == 0) return 1;
#pragma unroll
  for (int i = 0; i < SYNFP_MAX_PORTS; ++i) {
    if (i < synfp_configuration.ports && synfp_configuration.port[i].net == port.net) return 1;
  }
  return 0;
}

/* A fragment that TCP begins in. Its SYN may be accepted once it has been put together, which an interface's
 * program does not see. */
static __always_inline int synfp_parse_fragment(const struct synfp_source* source, synfp_u64 start,
                                                synfp_u64 offset, struct synfp_slot* slot) {
  synfp_u8* tcp = slot->tcp;

  if (synfp_fetch(source, start + offset, tcp, 8)) return -SYNFP_COUNT_FRAGMENT;
  if (!synfp_fetch(source, start + offset + 12, tcp + 12, 4) &&
      (tcp[13] & (SYNFP_TCP_SYN | SYNFP_TCP_ACK)) != SYNFP_TCP_SYN)
    return -SYNFP_COUNT_FRAGMENT;
  if (!synfp_port_wanted(synfp_load16(tcp + 2, SYNFP_LITTLE))) return -SYNFP_COUNT_FRAGMENT;
  synfp_count(source->counters, SYNFP_COUNT_FRAGMENT);
  return SYNFP_IS_OPAQUE;
}

/* Reads the IP header at `start` and the TCP header after it into `slot`. What is not a SYN (or, of a
 * listener, an ACK that may complete a handshake) leaves as early as possible. What is refused here is
 * refused by the stack too, or becomes SYNFP_IS_OPAQUE. Locals are 64 bits wide where a spill could matter:
 * without CAP_PERFMON the 6.1 verifier refuses a 32-bit spill where a 64-bit one was. */
static __always_inline int synfp_parse(const struct synfp_source* source, synfp_u64 start, int v6,
                                       struct synfp_slot* slot) {
  synfp_u8* ip = slot->ip;
  synfp_u8* tcp = slot->tcp;
  synfp_u64 length; /* of the packet, from the IP header on, as the IP header says */
  synfp_u64 offset; /* of the TCP header from the IP header; 0: the walk did not find it, the stack did */
  synfp_u64 header; /* length of the TCP header */
  synfp_u64 options;
  synfp_u64 refusal = 0; /* why a record cannot hold it */
  int is_fragment = 0;
  synfp_u8 flags;
  int is_syn;

  synfp_begin(slot);
  if (v6) {
    synfp_s64 walked;

    if (synfp_fetch(source, start, ip, 40) || ip[0] >> 4 != 6) return -SYNFP_COUNT_BAD_IP;
    length = 40 + synfp_host_at(ip + 4);
    if (source->checked) {
      walked = (synfp_s64)source->transport;
      if (source->transport > SYNFP_MAX_OFFSET) refusal = SYNFP_COUNT_EXTENSIONS;
    } else {
      walked = synfp_skip_extensions(source, start, ip[6], slot->time);
    }
    if (!source->checked && walked <= 0) {
      /* The stack got to TCP on a way that this walk does not know. If it is there now (not in a netfilter
       * hook before, where the buffer begins with the IP header), that is where TCP is. */
      if (!source->at_listener || source->length == length) return (int)walked;
      walked = 0;
      refusal = SYNFP_COUNT_EXTENSIONS;
    }
    is_fragment = !source->checked && (walked & SYNFP_FIRST_FRAGMENT) != 0;
    offset = (synfp_u64)walked & (SYNFP_FIRST_FRAGMENT - 1);
    if (!source->checked && offset > SYNFP_MAX_OFFSET)
      return -SYNFP_COUNT_EXTENSIONS; /* only the verifier does not know */
  } else {
    synfp_u64 fragment;

    if (synfp_fetch(source, start, ip, 20) || ip[0] >> 4 != 4 || (ip[0] & 15) < 5) return -SYNFP_COUNT_BAD_IP;
    if (ip[9] != IPPROTO_TCP) return SYNFP_NOT_OURS;
    offset = ((synfp_u64)ip[0] & 15) * 4;
    length = synfp_host_at(ip + 2);
    fragment = synfp_host_at(ip + 6) & 0x3fff; /* MF or an offset */
    if (fragment & 0x1fff) return -SYNFP_COUNT_FRAGMENT;
    is_fragment = fragment != 0;
  }
  if (is_fragment) return synfp_parse_fragment(source, start, offset, slot);

  if (source->is_skb && offset == 0 ? bpf_skb_load_bytes(source->skb, 0, tcp, 20)
                                    : synfp_fetch(source, start + offset, tcp, 20))
    return -SYNFP_COUNT_BAD_TCP;
  flags = tcp[13];
  is_syn = (flags & (SYNFP_TCP_SYN | SYNFP_TCP_ACK)) == SYNFP_TCP_SYN;
  if (!is_syn &&
      !(source->acks && (flags & (SYNFP_TCP_SYN | SYNFP_TCP_ACK | SYNFP_TCP_RST)) == SYNFP_TCP_ACK))
    return SYNFP_NOT_OURS;

  if (!synfp_port_wanted(synfp_load16(tcp + 2, SYNFP_LITTLE))) return -SYNFP_COUNT_OTHER_PORT;
  synfp_count(source->counters, SYNFP_COUNT_RUNS);
  if (!(synfp_configuration.families & (v6 ? SYNFP_FAMILY_IPV6 : SYNFP_FAMILY_IPV4)))
    return -SYNFP_COUNT_OTHER_FAMILY;
  /* tcp_rcv_state_process() discards both. */
  if (flags & (SYNFP_TCP_FIN | SYNFP_TCP_RST) && is_syn) return -SYNFP_COUNT_BAD_FLAGS;
  if (v6) {
    struct synfp_address from = synfp_address6(ip + 8, SYNFP_LITTLE);
    struct synfp_address to = synfp_address6(ip + 24, SYNFP_LITTLE);

    /* tcp_v6_conn_request() drops the first; no address of a host is the second. */
    if (synfp_is_mapped(&from, SYNFP_LITTLE) || synfp_is_mapped(&to, SYNFP_LITTLE))
      return -SYNFP_COUNT_MAPPED;
  }
  if (!source->at_listener && !synfp_holds(source, start + length)) return -SYNFP_COUNT_BAD_IP;
  header = ((synfp_u64)tcp[12] >> 4) * 4;
  if (refusal == 0 && (length < offset + 20 || offset + header > length)) {
    /* The stack has checked that a header is whole. It believes the buffer and not the IP header where that
     * says 0, before a hop-by-hop header (ip6_rcv_core()). */
    if (source->at_listener || (v6 && length == 40 && ip[6] == IPPROTO_HOPOPTS)) {
      refusal = SYNFP_COUNT_BAD_IP;
    } else {
      return length < offset + 20 ? -SYNFP_COUNT_BAD_IP : -SYNFP_COUNT_BAD_TCP;
    }
  }
  if (header < 20) return -SYNFP_COUNT_BAD_TCP;

  if (!is_syn) return SYNFP_IS_ACK;
  if (refusal != 0) {
    synfp_count(source->counters, refusal);
    return SYNFP_IS_OPAQUE;
  }

  slot->tcp_offset = (synfp_u8)(offset / 4);
  if (synfp_fetch_header(source, start + offset, slot->tcp, header)) return -SYNFP_COUNT_BAD_TCP;
  if (source->at_listener && !source->checked &&
      (source->length != length - offset || source->length > SYNFP_CHECKED_BYTES)) {
    slot->flags |= SYNFP_UNCHECKED;
    synfp_count(source->counters, SYNFP_COUNT_UNCHECKED);
  }

  options = offset - (v6 ? 40 : 20);
  if (options != 0) {
    if (v6 || options > SYNFP_IP_BYTES - 20) {
      slot->flags |= SYNFP_TRUNCATED;
    } else if (synfp_fetch_header(source, start + 20, slot->ip + 20, options)) {
      return -SYNFP_COUNT_BAD_IP;
    }
  }
  return SYNFP_IS_SYN;
}

/* Nearly every packet of an interface is TCP without SYN. This knows one, and IPv4 that is not TCP, in their
 * usual shape (no IP options, no extension headers, no fragment) from a few bytes, so that it leaves before
 * anything is copied. False if it may be a SYN, and for everything that the parser has to judge or to count.
 */
static __always_inline int synfp_no_syn(const struct synfp_source* source, synfp_u64 start, int v6) {
  const synfp_u8* ip = source->data + start;
  const synfp_u8* tcp;

  if (v6) {
    tcp = ip + 40;
    if (tcp + 20 > source->end || ip[0] >> 4 != 6 || ip[6] != IPPROTO_TCP) return 0;
  } else {
    tcp = ip + 20;
    if (tcp + 20 > source->end || ip[0] != 0x45) return 0;
    if (ip[9] != IPPROTO_TCP) return 1;
    if (*(const synfp_u16*)(ip + 6) & __builtin_bswap16(0x3fff)) return 0;
  }
  return (tcp[13] & (SYNFP_TCP_SYN | SYNFP_TCP_ACK)) != SYNFP_TCP_SYN;
}

/* A whole frame, from XDP. */
static __always_inline int synfp_parse_frame(struct xdp_md* ctx, struct synfp_scratch** work,
                                             struct synfp_counters** counters) {
  struct synfp_source source = {
      .frame = ctx, .data = (const synfp_u8*)(long)ctx->data, .end = (const synfp_u8*)(long)ctx->data_end};
  synfp_u16 vlan[2];
  struct synfp_slot* slot;
  synfp_u64 start = 0;
  int offset, verdict, v6;

  offset = synfp_parse_ethernet(&source, vlan, &v6);
  if (offset > 0) {
    /* One state for the verifier, however many tags there were. */
    start = synfp_forget_range((synfp_u64)offset, ctx->ingress_ifindex);
    if (start > ETH_HLEN + 4 * SYNFP_MAX_VLAN_TAGS) return SYNFP_NOT_OURS;
    asm volatile("" : "+r"(start)); /* what is spilled has the bound: 6.1 does not give it one later */
    if (synfp_no_syn(&source, start, v6)) return SYNFP_NOT_OURS;
  }
  if (offset == SYNFP_NOT_OURS) return SYNFP_NOT_OURS;
  source.counters = *counters = synfp_counters_here();
  *work = synfp_scratch_here();
  if (!source.counters || !*work) return SYNFP_NOT_OURS;
  slot = &(*work)->slot;
  if (offset < 0) return offset;
  verdict = synfp_parse(&source, start, v6, slot);
  if (verdict <= 0) return verdict;
  slot->ifindex = ctx->ingress_ifindex;
  slot->vlan[0] = vlan[0];
  slot->vlan[1] = vlan[1];
  return verdict;
}

static __always_inline int synfp_is_vlan(synfp_u16 type) {
  return type == __builtin_bswap16(ETH_P_8021Q) || type == __builtin_bswap16(ETH_P_8021AD);
}

/* As synfp_no_syn, of a socket buffer. */
static __always_inline int synfp_skb_no_syn(const struct synfp_source* source, synfp_u64 start, int v6) {
  /* Up to the flags of TCP. */
  synfp_u8 head[SYNFP_IP_BYTES + 16] __attribute__((aligned(8)));

  if (v6) {
    if (synfp_fetch(source, start, head, 40 + 16)) return 0;
    if (head[0] >> 4 != 6 || head[6] != IPPROTO_TCP) return 0;
    return (head[40 + 13] & (SYNFP_TCP_SYN | SYNFP_TCP_ACK)) != SYNFP_TCP_SYN;
  }
  if (synfp_fetch(source, start, head, 20 + 16) || head[0] != 0x45) return 0;
  if (head[9] != IPPROTO_TCP) return 1;
  if (*(const synfp_u16*)(head + 6) & __builtin_bswap16(0x3fff)) return 0;
  return (head[20 + 13] & (SYNFP_TCP_SYN | SYNFP_TCP_ACK)) != SYNFP_TCP_SYN;
}

/* A packet that comes in over an interface, from tc. The kernel has taken off the outermost VLAN tag; others
 * are between the network header and the IP header. Devices without Ethernet work, too: nothing is read
 * before the network header. */
static __always_inline int synfp_parse_ingress(struct __sk_buff* ctx, struct synfp_scratch** work,
                                               struct synfp_counters** counters) {
  struct synfp_source source = {.is_skb = 1, .skb = ctx};
  synfp_u16 type = (synfp_u16)ctx->protocol;
  synfp_u16 vlan[2] = {0, 0};
  struct synfp_slot* slot;
  synfp_u64 start;
  int inner = 0, verdict, v6;

  if (ctx->vlan_present) vlan[0] = 0x8000 | (ctx->vlan_tci & 0x0fff);
#pragma unroll
  for (int i = 0; i < SYNFP_MAX_VLAN_TAGS; ++i) {
    synfp_u16 tag[2] __attribute__((aligned(4)));

    if (!synfp_is_vlan(type) || (i == SYNFP_MAX_VLAN_TAGS - 1 && ctx->vlan_present)) break;
    if (synfp_fetch(&source, (synfp_u64)inner, tag, 4)) return SYNFP_NOT_OURS;
    if (i < 2) {
      synfp_u16 id = 0x8000 | (__builtin_bswap16(tag[0]) & 0x0fff);

      if (vlan[0] == 0) {
        vlan[0] = id;
      } else if (vlan[1] == 0) {
        vlan[1] = id;
      }
    }
    type = tag[1];
    inner += 4;
  }
  v6 = type == __builtin_bswap16(ETH_P_IPV6);
  if (!v6 && type != __builtin_bswap16(ETH_P_IP) && !synfp_is_vlan(type)) return SYNFP_NOT_OURS;
  /* One state for the verifier, however many tags there were. */
  start = synfp_forget_range((synfp_u64)inner, ctx->ifindex);
  if (start > 4 * SYNFP_MAX_VLAN_TAGS) return SYNFP_NOT_OURS;
  if (!synfp_is_vlan(type) && synfp_skb_no_syn(&source, start, v6)) return SYNFP_NOT_OURS;
  source.counters = *counters = synfp_counters_here();
  *work = synfp_scratch_here();
  if (!source.counters || !*work) return SYNFP_NOT_OURS;
  slot = &(*work)->slot;
  if (synfp_is_vlan(type)) return -SYNFP_COUNT_VLAN;
  verdict = synfp_parse(&source, start, v6, slot);
  if (verdict <= 0) return verdict;
  slot->ifindex = ctx->ifindex;
  slot->vlan[0] = vlan[0];
  slot->vlan[1] = vlan[1];
  return verdict;
}

#endif
