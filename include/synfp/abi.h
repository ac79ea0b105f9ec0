/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the BPF program in the kernel and the reader in user space share: the layout of the table, the key and
 * its hash. One text, compiled as BPF C, as C11 and as C++20; it includes nothing. layout.hpp proves that all
 * of them, and the BPF object that was built, agree.
 *
 * Byte order: addresses and ports are in network order and have types of their own (synfp_be16, synfp_be32),
 * so that a host integer cannot be assigned to one. Functions that touch byte order take `little` (is the
 * host little-endian?) as a value, so that both answers can be evaluated at compile time on one machine;
 * callers pass SYNFP_LITTLE. */
#ifndef SYNFP_ABI_H
#define SYNFP_ABI_H

#define SYNFP_ABI_MAGIC 0x53594e46U /* "SYNF" */
#define SYNFP_ABI_VERSION 3

#define SYNFP_LITTLE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

#ifdef __cplusplus
#define SYNFP_ABI_FN constexpr
#define SYNFP_ABI_ALIGN8 alignas(8)
namespace synfp {
inline namespace abi_v3 {
#else
#define SYNFP_ABI_FN static inline __attribute__((always_inline, unused))
#define SYNFP_ABI_ALIGN8 _Alignas(8)
#endif

typedef __UINT8_TYPE__ synfp_u8;
typedef __UINT16_TYPE__ synfp_u16;
typedef __UINT32_TYPE__ synfp_u32;
typedef __UINT64_TYPE__ synfp_u64;

/* Integers whose bytes in memory are in network order. */
struct synfp_be16 {
  synfp_u16 net;
};
struct synfp_be32 {
  synfp_u32 net;
};

/* IPv4 is held v4-mapped, ::ffff:a.b.c.d (RFC 4291 2.5.5.2). */
struct synfp_address {
  struct synfp_be32 word[4];
};

/* A connection as the listener sees it. With SYNFP_SCOPE_PEER, `local` is all zero. `zone` is the interface
 * index if `peer` is link-local and the hook knows the interface, else 0. */
struct synfp_key {
  SYNFP_ABI_ALIGN8 struct synfp_address peer;
  struct synfp_address local;
  struct synfp_be16 peer_port;
  struct synfp_be16 local_port;
  synfp_u32 zone;
};

enum {
  SYNFP_WAYS = 15,       /* slots of a bucket */
  SYNFP_CANDIDATES = 4,  /* slots of one key: SYNs with different sequence numbers */
  SYNFP_IP_BYTES = 40,   /* stored of the IP header */
  SYNFP_TCP_BYTES = 60,  /* stored of the TCP header: all a data offset of 15 can name */
  SYNFP_TIME_SHIFT = 20, /* the unit of time32: 2^20 ns, about a millisecond; wraps after 52 days */
  SYNFP_MAX_PORTS = 8,
  SYNFP_MAX_COUNTERS = 32
};

/* flags of a slot */
enum {
  SYNFP_TRUNCATED = 1, /* IP options or extension headers did not fit: `ip` holds the fixed header only */
  SYNFP_CONFLICT = 2,  /* another SYN or ACK of this key contradicts it: believed only if verified */
  SYNFP_VERIFIED = 4,  /* the ACK that completed the handshake carried this SYN's sequence number + 1 */
  SYNFP_UNCHECKED = 8, /* stored before the stack had checked the TCP checksum: believed only if verified */
  /* A connection was established whose first byte has this SYN's sequence number + 1: as good as verified. Of
   * the copies of the SYN it says nothing. */
  SYNFP_ESTABLISHED = 16,
  SYNFP_LATE = 32, /* stored when its connection was established: `time` is not that of its arrival */
  SYNFP_LINK = 64, /* the last 14 bytes of `tcp` are the Ethernet header */
  SYNFP_PROVEN = SYNFP_VERIFIED | SYNFP_ESTABLISHED
};

/* `differs` of a slot: what was not the same in a copy of the SYN. Addresses, ports, sequence number,
 * checksums, the IPv4 identification and the IPv6 flow label are not compared (of the last two, only whether
 * they are 0). */
enum {
  SYNFP_DIFFERS_OPTION = 0x3ff,          /* bit i: word i of the TCP options; its timestamp may be in there */
  SYNFP_DIFFERS_HEADER = (int)0x40000000 /* anything else; also a word that was 0 in one of the two */
};

enum synfp_hook {
  SYNFP_HOOK_NONE = 0,
  SYNFP_HOOK_REUSEPORT = 1,
  SYNFP_HOOK_XDP = 2,
  SYNFP_HOOK_TCX = 3,
  SYNFP_HOOK_KPROBE = 4,
  SYNFP_HOOK_SOCKOPS = 5,
  SYNFP_HOOKS /* one more than the last */
};

/* What a hook knows of the SYNs that it sees, each 0 or 1. Nothing else asks which hook it is. */
struct synfp_hook_facts {
  /* Where a SYN arrived: it is in the record, and the zone of link-local keys. */
  synfp_u8 interface;
  /* It also sees the ACK that completes a handshake with a cookie. */
  synfp_u8 acks;
  /* The stack has neither a connection nor a request for a SYN that gets here. So it has dropped those of the
   * same key that came before, unless it answered them with cookies. */
  synfp_u8 last_copy_counts;
  /* It sees all copies of a SYN; else only those that the stack answers with a cookie. */
  synfp_u8 every_copy;
  /* It sees several network namespaces. Each has its own addresses, so its cookie goes into the hash. */
  synfp_u8 namespaces;
};
SYNFP_ABI_FN struct synfp_hook_facts synfp_facts_of(synfp_u8 hook) {
  struct synfp_hook_facts none = {0, 0, 0, 0, 0}, reuseport = {0, 1, 1, 0, 0}, interface = {1, 0, 0, 1, 0},
                          sockops = {0, 0, 0, 0, 1};
  /* Not last_copy_counts: with cookies the stack answers every SYN, and no ACK is seen that chooses. */
  struct synfp_hook_facts kprobe = {1, 0, 0, 0, 1};
  return hook == SYNFP_HOOK_REUSEPORT                          ? reuseport
         : hook == SYNFP_HOOK_XDP || hook == SYNFP_HOOK_TCX ? interface
         : hook == SYNFP_HOOK_KPROBE                           ? kprobe
         : hook == SYNFP_HOOK_SOCKOPS                          ? sockops
                                      : none;
}

enum synfp_key_scope { SYNFP_SCOPE_FLOW = 0, SYNFP_SCOPE_PEER = 1 };

/* bits of families */
enum { SYNFP_FAMILY_IPV4 = 1, SYNFP_FAMILY_IPV6 = 2 };

/* How the writer publishes a bucket: a plain store where stores are ordered (x86), else an exchange, which is
 * a full barrier in every JIT. */
enum synfp_publish { SYNFP_PUBLISH_STORE = 0, SYNFP_PUBLISH_EXCHANGE = 1 };

/* One SYN. `ip` and `tcp` are the headers as they were on the wire. The TCP header begins `tcp_offset` * 4
 * bytes after the first byte of the IP header on the wire; in the slot it is always in `tcp`, and its own
 * data offset says how much of it is valid. A tcp_offset of 0: the probe could not keep this SYN's headers;
 * only addresses, ports and sequence number are valid. */
struct synfp_slot {
  synfp_u64 time;       /* CLOCK_MONOTONIC of the initial time namespace, ns, of the last copy */
  synfp_u32 ifindex;    /* where it arrived, 0 if the hook does not know */
  synfp_u32 lost;       /* of the bucket, read before this record was written */
  synfp_u16 vlan[2];    /* the outer two, outermost first: 0x8000 | VLAN id, or 0 for no tag */
  synfp_u8 flags;       /* SYNFP_TRUNCATED, ... */
  synfp_u8 retransmits; /* further copies seen, saturates at 255 */
  synfp_u8 tcp_offset;  /* in units of 4 bytes */
  synfp_u8 hook;        /* enum synfp_hook */
  synfp_u8 ip[SYNFP_IP_BYTES];
  synfp_u8 tcp[SYNFP_TCP_BYTES];
  synfp_u32 differs; /* SYNFP_DIFFERS_... */
};

/* A bucket of the table is one element of the map. A key may have up to SYNFP_CANDIDATES slots, one for each
 * sequence number that its SYNs had; at most one of them can be believed.
 *
 * `sequence` guards all of it but `lost`:
 * - bit 0: a writer is at work;
 * - bits 1 to 4: the slot at which the next new key begins to look for room (round robin);
 * - bits 5 to 31: number of writes.
 *
 * `lost` counts writes that were given up because another writer was at work. A record that was written
 * before such a loss may have been replaced by the lost one: it is not believed any more. */
struct synfp_bucket {
  SYNFP_ABI_ALIGN8 synfp_u32 sequence;
  synfp_u32 lost;
  synfp_u32 tag[SYNFP_WAYS];    /* upper half of the key's hash, never 0; 0: empty */
  synfp_u32 time32[SYNFP_WAYS]; /* time >> SYNFP_TIME_SHIFT */
  struct synfp_slot slot[SYNFP_WAYS];
};

/* Compile-time and load-time configuration of the program, its .rodata.synfp. */
struct synfp_config {
  synfp_u64 secret[2];
  synfp_u64 conflict_ns;
  synfp_u32 bucket_mask;
  synfp_u32 hold; /* records younger than this (unit of time32) are not evicted by another key; 0: no hold */
  struct synfp_be16 port[SYNFP_MAX_PORTS];
  synfp_u8 ports; /* used of port[]; 0: every port */
  synfp_u8 families;
  synfp_u8 scope;   /* enum synfp_key_scope */
  synfp_u8 publish; /* enum synfp_publish */
  synfp_u8 hook;    /* enum synfp_hook: what captures */
  synfp_u8 reserved[3];
  /* Cookie of the network namespace in which the hook captures; connections of others prove nothing. 0: all.
   */
  synfp_u64 netns;
};

/* Element 0 of the meta map, frozen: how the table was made. A reader refuses a table it does not agree with.
 */
struct synfp_meta {
  synfp_u32 magic;
  synfp_u16 abi;
  synfp_u8 hook;
  synfp_u8 scope;
  synfp_u64 layout; /* hash of offsets and sizes in this header, see layout.hpp */
  synfp_u64 secret[2];
  synfp_u64 max_age_ns;
  synfp_u64 conflict_ns;
  synfp_u32 buckets; /* a power of two */
  synfp_u32 hold;
  synfp_u32 cpus; /* elements of the counters map */
  synfp_u8 families;
  synfp_u8 ports;
  struct synfp_be16 port[SYNFP_MAX_PORTS];
  synfp_u16 reserved;
};

/* Element 0 of a map of its own, where a daemon keeps the probe: it writes the time again and again as long
 * as the probe is attached. */
struct synfp_pulse {
  synfp_u64 time;        /* CLOCK_MONOTONIC of the initial time namespace, ns */
  synfp_u32 process;     /* its number, in its own process namespace */
  synfp_u32 interval_ms; /* from one time to the next */
};

/* The counters, one per reason and CPU, in the order of their numbers: X(NAME, name, refused, what).
 * `refused`: 1 if the SYN was seen and has no record because of it. */
#define SYNFP_FOR_EACH_COUNTER(X)                                                                  \
  X(RUNS, runs, 0, "SYN, or ACK that may complete a cookie handshake, that reached the probe")     \
  X(STORED, stored, 0, "record stored, of a new key or of another sequence number of a known one") \
  X(REPLACED, replaced, 0, "new connection of a known key")                                        \
  X(RETRANSMIT, retransmit, 0, "copy of a known SYN")                                              \
  /* within the conflict window; kept beside the first, and neither is believed without an ACK */  \
  X(CONFLICT, conflict, 1, "other SYN of a known connection")                                      \
  /* everything that could be evicted is younger than hold */                                      \
  X(HELD, held, 1, "no room (hold)")                                                               \
  /* another CPU was writing it */                                                                 \
  X(BUSY, busy, 1, "bucket busy")                                                                  \
  X(VERIFIED, verified, 0, "ACK that confirmed a record")                                          \
  X(UNVERIFIED, unverified, 0, "ACK that fits no record of its key")                               \
  X(FRAGMENT, fragment, 1, "fragment")                                                             \
  /* truncated or contradictory */                                                                 \
  X(BAD_IP, bad_ip, 1, "bad IP header")                                                            \
  X(BAD_TCP, bad_tcp, 1, "bad TCP header")                                                         \
  X(BAD_FLAGS, bad_flags, 1, "SYN with FIN or RST")                                                \
  /* would forge an IPv4 client's key */                                                           \
  X(MAPPED, mapped, 1, "v4-mapped IPv6 address")                                                   \
  /* too many, too long or of an unknown kind */                                                   \
  X(EXTENSIONS, extensions, 1, "too many IPv6 extension headers")                                  \
  X(OTHER_PORT, other_port, 1, "other port")                                                       \
  X(OTHER_FAMILY, other_family, 1, "other address family")                                         \
  X(TRUNCATED, truncated, 0, "record stored without IP options or extension headers")              \
  X(VLAN, vlan, 1, "more than eight VLAN tags")                                                    \
  /* it is believed once an ACK has confirmed it */                                                \
  X(UNCHECKED, unchecked, 0, "record stored before the stack had checked its checksum")            \
  X(ALTERED, altered, 0, "copy of a known SYN with other headers")                                 \
  /* of the sockets in a cgroup */                                                                 \
  X(PROVEN, proven, 0, "connection established whose SYN is known")                                \
  X(UNKNOWN, unknown, 0, "connection established whose SYN is not known")                          \
  X(TOO_LONG, too_long, 1, "headers longer than the probe can read")                               \
  X(NO_STORAGE, no_storage, 0, "no memory to keep a SYN with its socket")

#define SYNFP_COUNTER_NUMBER(NAME, name, refused, what) SYNFP_COUNT_##NAME,
enum synfp_counter { SYNFP_FOR_EACH_COUNTER(SYNFP_COUNTER_NUMBER) SYNFP_COUNTERS /* how many there are */ };
#undef SYNFP_COUNTER_NUMBER

struct synfp_counters {
  synfp_u64 value[SYNFP_MAX_COUNTERS];
};

/* -- byte order --------------------------------------------------------------------------------------- */

SYNFP_ABI_FN synfp_u16 synfp_swap16(synfp_u16 v) { return (synfp_u16)((v >> 8) | (v << 8)); }
SYNFP_ABI_FN synfp_u32 synfp_swap32(synfp_u32 v) {
  return (v >> 24) | ((v >> 8) & 0xff00U) | ((v << 8) & 0xff0000U) | (v << 24);
}

SYNFP_ABI_FN synfp_u16 synfp_host16(struct synfp_be16 v, int little) {
  return little ? synfp_swap16(v.net) : v.net;
}
SYNFP_ABI_FN synfp_u32 synfp_host32(struct synfp_be32 v, int little) {
  return little ? synfp_swap32(v.net) : v.net;
}

SYNFP_ABI_FN struct synfp_be16 synfp_net16(synfp_u16 host, int little) {
  struct synfp_be16 v = {little ? synfp_swap16(host) : host};
  return v;
}
SYNFP_ABI_FN struct synfp_be32 synfp_net32(synfp_u32 host, int little) {
  struct synfp_be32 v = {little ? synfp_swap32(host) : host};
  return v;
}

/* Byte `i` of the memory image of `value` on a host of the given byte order. */
SYNFP_ABI_FN synfp_u8 synfp_image16(synfp_u16 value, int little, int i) {
  return (synfp_u8)(value >> (8 * (little ? i : 1 - i)));
}
SYNFP_ABI_FN synfp_u8 synfp_image32(synfp_u32 value, int little, int i) {
  return (synfp_u8)(value >> (8 * (little ? i : 3 - i)));
}

/* Fields from header bytes of any alignment. C++ assembles them so that this is constexpr and both byte
 * orders can be tried; C copies them, because clang for BPF does not merge byte loads. */
SYNFP_ABI_FN struct synfp_be16 synfp_load16(const synfp_u8* p, int little) {
#ifdef __cplusplus
  struct synfp_be16 v = {(synfp_u16)(little ? p[0] | p[1] << 8 : p[0] << 8 | p[1])};
#else
  struct synfp_be16 v;
  (void)little;
  __builtin_memcpy(&v, p, 2);
#endif
  return v;
}
SYNFP_ABI_FN struct synfp_be32 synfp_load32(const synfp_u8* p, int little) {
#ifdef __cplusplus
  struct synfp_be32 v = {
      little ? (synfp_u32)p[0] | (synfp_u32)p[1] << 8 | (synfp_u32)p[2] << 16 | (synfp_u32)p[3] << 24
             : (synfp_u32)p[0] << 24 | (synfp_u32)p[1] << 16 | (synfp_u32)p[2] << 8 | (synfp_u32)p[3]};
#else
  struct synfp_be32 v;
  (void)little;
  __builtin_memcpy(&v, p, 4);
#endif
  return v;
}

/* -- key ---------------------------------------------------------------------------------------------- */

SYNFP_ABI_FN struct synfp_address synfp_address4(const synfp_u8* four, int little) {
  struct synfp_address a = {{{0}, {0}, synfp_net32(0xffff, little), synfp_load32(four, little)}};
  return a;
}
SYNFP_ABI_FN struct synfp_address synfp_address6(const synfp_u8* sixteen, int little) {
  struct synfp_address a = {{synfp_load32(sixteen, little), synfp_load32(sixteen + 4, little),
                             synfp_load32(sixteen + 8, little), synfp_load32(sixteen + 12, little)}};
  return a;
}

SYNFP_ABI_FN int synfp_is_mapped(const struct synfp_address* a, int little) {
  return a->word[0].net == 0 && a->word[1].net == 0 && a->word[2].net == synfp_net32(0xffff, little).net;
}
/* fe80::/10 */
SYNFP_ABI_FN int synfp_is_link_local(const struct synfp_address* a, int little) {
  return (a->word[0].net & synfp_net32(0xffc00000U, little).net) == synfp_net32(0xfe800000U, little).net;
}

/* From the four values that make a key. `zone` is dropped unless the peer is link-local. */
SYNFP_ABI_FN struct synfp_key synfp_make_key(struct synfp_address peer, struct synfp_address local,
                                             struct synfp_be16 peer_port, struct synfp_be16 local_port,
                                             synfp_u32 zone, int scope, int little) {
  struct synfp_address none = {{{0}, {0}, {0}, {0}}};
  struct synfp_key k = {peer, scope == SYNFP_SCOPE_FLOW ? local : none, peer_port, local_port,
                        synfp_is_link_local(&peer, little) ? zone : 0};
  return k;
}

/* From raw headers: `ip` at the IP header, `tcp` at the TCP header (its first four bytes are read). */
SYNFP_ABI_FN struct synfp_key synfp_key4(const synfp_u8* ip, const synfp_u8* tcp, int scope, int little) {
  return synfp_make_key(synfp_address4(ip + 12, little), synfp_address4(ip + 16, little),
                        synfp_load16(tcp, little), synfp_load16(tcp + 2, little), 0, scope, little);
}
SYNFP_ABI_FN struct synfp_key synfp_key6(const synfp_u8* ip, const synfp_u8* tcp, synfp_u32 zone, int scope,
                                         int little) {
  return synfp_make_key(synfp_address6(ip + 8, little), synfp_address6(ip + 24, little),
                        synfp_load16(tcp, little), synfp_load16(tcp + 2, little), zone, scope, little);
}

/* The key of the record in a slot. */
SYNFP_ABI_FN struct synfp_key synfp_key_of(const struct synfp_slot* slot, int scope, int little) {
  return slot->ip[0] >> 4 == 4 ? synfp_key4(slot->ip, slot->tcp, scope, little)
                               : synfp_key6(slot->ip, slot->tcp, slot->ifindex, scope, little);
}

/* -- hash --------------------------------------------------------------------------------------------- */

/* SipHash-1-3 (Aumasson and Bernstein) of whole 64-bit words and a last partial one, keyed by the table's
 * secret, so that nobody outside can aim at a bucket. */
struct synfp_sip {
  synfp_u64 v0, v1, v2, v3;
};
SYNFP_ABI_FN synfp_u64 synfp_rotate(synfp_u64 x, int n) { return (x << n) | (x >> (64 - n)); }
SYNFP_ABI_FN struct synfp_sip synfp_sip_round(struct synfp_sip s) {
  s.v0 += s.v1;
  s.v1 = synfp_rotate(s.v1, 13) ^ s.v0;
  s.v0 = synfp_rotate(s.v0, 32);
  s.v2 += s.v3;
  s.v3 = synfp_rotate(s.v3, 16) ^ s.v2;
  s.v0 += s.v3;
  s.v3 = synfp_rotate(s.v3, 21) ^ s.v0;
  s.v2 += s.v1;
  s.v1 = synfp_rotate(s.v1, 17) ^ s.v2;
  s.v2 = synfp_rotate(s.v2, 32);
  return s;
}
SYNFP_ABI_FN struct synfp_sip synfp_sip_start(synfp_u64 k0, synfp_u64 k1) {
  struct synfp_sip s = {k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL, k0 ^ 0x6c7967656e657261ULL,
                        k1 ^ 0x7465646279746573ULL};
  return s;
}
SYNFP_ABI_FN struct synfp_sip synfp_sip_word(struct synfp_sip s, synfp_u64 m) {
  s.v3 ^= m;
  s = synfp_sip_round(s);
  s.v0 ^= m;
  return s;
}
SYNFP_ABI_FN synfp_u64 synfp_sip_end(struct synfp_sip s) {
  s.v2 ^= 0xff;
  s = synfp_sip_round(synfp_sip_round(synfp_sip_round(s)));
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* The little-endian 64-bit word whose bytes in memory are those of a, then b. */
SYNFP_ABI_FN synfp_u64 synfp_word(struct synfp_be32 a, struct synfp_be32 b, int little) {
  synfp_u32 low = little ? a.net : synfp_swap32(a.net);
  synfp_u32 high = little ? b.net : synfp_swap32(b.net);
  return low | (synfp_u64)high << 32;
}
SYNFP_ABI_FN synfp_u32 synfp_ports_word(struct synfp_be16 a, struct synfp_be16 b, int little) {
  synfp_u16 low = little ? a.net : synfp_swap16(a.net);
  synfp_u16 high = little ? b.net : synfp_swap16(b.net);
  return low | (synfp_u32)high << 16;
}

/* SipHash-1-3 of an IPv4 key as 12 bytes (peer, local, peer port, local port) or of an IPv6 key as 40 bytes
 * (peer, local, ports, zone little-endian). The same number on every host. */
SYNFP_ABI_FN synfp_u64 synfp_hash(const struct synfp_key* k, synfp_u64 k0, synfp_u64 k1, int little) {
  struct synfp_sip s = synfp_sip_start(k0, k1);
  synfp_u32 ports = synfp_ports_word(k->peer_port, k->local_port, little);
  if (synfp_is_mapped(&k->peer, little)) {
    s = synfp_sip_word(s, synfp_word(k->peer.word[3], k->local.word[3], little));
    s = synfp_sip_word(s, ports | (synfp_u64)12 << 56);
    return synfp_sip_end(s);
  }
  s = synfp_sip_word(s, synfp_word(k->peer.word[0], k->peer.word[1], little));
  s = synfp_sip_word(s, synfp_word(k->peer.word[2], k->peer.word[3], little));
  s = synfp_sip_word(s, synfp_word(k->local.word[0], k->local.word[1], little));
  s = synfp_sip_word(s, synfp_word(k->local.word[2], k->local.word[3], little));
  s = synfp_sip_word(s, ports | (synfp_u64)k->zone << 32);
  s = synfp_sip_word(s, (synfp_u64)40 << 56);
  return synfp_sip_end(s);
}

/* Where a hash leads. The two use different bits. */
SYNFP_ABI_FN synfp_u32 synfp_bucket_of(synfp_u64 hash, synfp_u32 mask) { return (synfp_u32)hash & mask; }
SYNFP_ABI_FN synfp_u32 synfp_tag_of(synfp_u64 hash) {
  synfp_u32 tag = (synfp_u32)(hash >> 32);
  return tag != 0 ? tag : 1;
}

/* What the BPF object's self-test program takes and fills in, so that the tests can compare the hash of the
 * program as it runs in the kernel. */
struct synfp_selftest {
  struct synfp_key key;
  synfp_u64 secret[2];
  synfp_u64 hash;
};

#ifdef __cplusplus
}  // namespace abi_v3
}  // namespace synfp
#endif

#undef SYNFP_ABI_FN
#undef SYNFP_ABI_ALIGN8

#endif
