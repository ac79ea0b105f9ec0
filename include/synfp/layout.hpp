// SPDX-License-Identifier: MIT
// The proof that abi.h means the same to every compiler that reads it: sizes and literal offsets, byte order
// on both kinds of host, known answers of the hash. The generated detail/bpf_object.hpp adds what the BTF of
// the BPF object says. A failing assertion here means: the layout changed; raise SYNFP_ABI_VERSION.
#pragma once

#include <synfp/abi.h>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

namespace detail::layout {

/// Every field of every struct that crosses the border, once: F(struct, field, offset, size), and each
/// struct, S(struct, size).
#define SYNFP_LAYOUT(S, F)            \
  S(synfp_key, 40)                    \
  F(synfp_key, peer, 0, 16)           \
  F(synfp_key, local, 16, 16)         \
  F(synfp_key, peer_port, 32, 2)      \
  F(synfp_key, local_port, 34, 2)     \
  F(synfp_key, zone, 36, 4)           \
  S(synfp_slot, 128)                  \
  F(synfp_slot, time, 0, 8)           \
  F(synfp_slot, ifindex, 8, 4)        \
  F(synfp_slot, lost, 12, 4)          \
  F(synfp_slot, vlan, 16, 4)          \
  F(synfp_slot, flags, 20, 1)         \
  F(synfp_slot, retransmits, 21, 1)   \
  F(synfp_slot, tcp_offset, 22, 1)    \
  F(synfp_slot, hook, 23, 1)          \
  F(synfp_slot, ip, 24, 40)           \
  F(synfp_slot, tcp, 64, 60)          \
  F(synfp_slot, differs, 124, 4)      \
  S(synfp_bucket, 2048)               \
  F(synfp_bucket, sequence, 0, 4)     \
  F(synfp_bucket, lost, 4, 4)         \
  F(synfp_bucket, tag, 8, 60)         \
  F(synfp_bucket, time32, 68, 60)     \
  F(synfp_bucket, slot, 128, 1920)    \
  S(synfp_config, 64)                 \
  F(synfp_config, secret, 0, 16)      \
  F(synfp_config, conflict_ns, 16, 8) \
  F(synfp_config, bucket_mask, 24, 4) \
  F(synfp_config, hold, 28, 4)        \
  F(synfp_config, port, 32, 16)       \
  F(synfp_config, ports, 48, 1)       \
  F(synfp_config, families, 49, 1)    \
  F(synfp_config, scope, 50, 1)       \
  F(synfp_config, publish, 51, 1)     \
  F(synfp_config, hook, 52, 1)        \
  F(synfp_config, reserved, 53, 3)    \
  F(synfp_config, netns, 56, 8)       \
  S(synfp_meta, 80)                   \
  F(synfp_meta, magic, 0, 4)          \
  F(synfp_meta, abi, 4, 2)            \
  F(synfp_meta, hook, 6, 1)           \
  F(synfp_meta, scope, 7, 1)          \
  F(synfp_meta, layout, 8, 8)         \
  F(synfp_meta, secret, 16, 16)       \
  F(synfp_meta, max_age_ns, 32, 8)    \
  F(synfp_meta, conflict_ns, 40, 8)   \
  F(synfp_meta, buckets, 48, 4)       \
  F(synfp_meta, hold, 52, 4)          \
  F(synfp_meta, cpus, 56, 4)          \
  F(synfp_meta, families, 60, 1)      \
  F(synfp_meta, ports, 61, 1)         \
  F(synfp_meta, port, 62, 16)         \
  F(synfp_meta, reserved, 78, 2)      \
  S(synfp_pulse, 16)                  \
  F(synfp_pulse, time, 0, 8)          \
  F(synfp_pulse, process, 8, 4)       \
  F(synfp_pulse, interval_ms, 12, 4)  \
  S(synfp_counters, 256)

#define SYNFP_SIZE_HOLDS(type, size) \
  static_assert(sizeof(type) == (size), "abi.h: " #type " has another size than on the kernel side");
#define SYNFP_FIELD_HOLDS(type, field, offset, size)                                          \
  static_assert(__builtin_offsetof(type, field) == (offset) && sizeof(type::field) == (size), \
                "abi.h: " #type "::" #field " is not where the kernel side has it");
SYNFP_LAYOUT(SYNFP_SIZE_HOLDS, SYNFP_FIELD_HOLDS)
#undef SYNFP_SIZE_HOLDS
#undef SYNFP_FIELD_HOLDS

static_assert(alignof(synfp_key) == 8 && alignof(synfp_slot) == 8 && alignof(synfp_bucket) == 8);
static_assert(sizeof(synfp_be16) == 2 && sizeof(synfp_be32) == 4 && sizeof(synfp_address) == 16);
static_assert(int{SYNFP_COUNTERS} <= int{SYNFP_MAX_COUNTERS});

/// One number for the layout: readers and tables with different numbers refuse each other.
constexpr synfp_u64 hash() noexcept {
#define SYNFP_SIZE_FACT(type, size) sizeof(type),
#define SYNFP_FIELD_FACTS(type, field, offset, size) __builtin_offsetof(type, field), sizeof(type::field),
  constexpr decltype(sizeof(0)) facts[] = {SYNFP_LAYOUT(SYNFP_SIZE_FACT, SYNFP_FIELD_FACTS)  //
                                           SYNFP_WAYS,
                                           SYNFP_TIME_SHIFT, SYNFP_COUNTERS, SYNFP_ABI_VERSION};
#undef SYNFP_SIZE_FACT
#undef SYNFP_FIELD_FACTS
  synfp_u64 h = 0xcbf29ce484222325U;  // FNV-1a
  for (const auto fact : facts) h = (h ^ fact) * 0x100000001b3U;
  return h;
}
#undef SYNFP_LAYOUT

// Byte order, for a little-endian (1) and a big-endian (0) host: what the builders put into memory is what
// was on the wire, and the host value of a port is the number people know.
struct wire {
  synfp_u8 ip4[20] = {0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2};
  synfp_u8 ip6[40] = {0x60, 0, 0, 0, 0, 40, 6, 64,   0x20, 0x01, 0x0d, 0xb8, 0,    0,
                      0,    0, 0, 0, 0, 1,  0, 0x12, 0x34, 0x56, 0x20, 1,    0x0d, 0xb8,
                      0,    0, 0, 0, 0, 0,  0, 0,    0,    0,    0,    2};
  synfp_u8 tcp[4] = {0xc0, 0x01, 0x1f, 0x90};  // 49153 -> 8080
};

constexpr bool same_bytes(const synfp_address& a, const synfp_u8* bytes, int little) {
  for (int i = 0; i < 16; ++i) {
    if (synfp_image32(a.word[i / 4].net, little, i % 4) != bytes[i]) return false;
  }
  return true;
}

constexpr bool byte_order_holds(int little) {
  const wire w{};
  const synfp_u8 mapped_peer[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  const synfp_u8 mapped_local[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 2};
  const synfp_key k4 = synfp_key4(w.ip4, w.tcp, SYNFP_SCOPE_FLOW, little);
  const synfp_key k6 = synfp_key6(w.ip6, w.tcp, 7, SYNFP_SCOPE_FLOW, little);
  for (int i = 0; i < 2; ++i) {
    if (synfp_image16(k4.peer_port.net, little, i) != w.tcp[i]) return false;
    if (synfp_image16(k4.local_port.net, little, i) != w.tcp[2 + i]) return false;
  }
  return same_bytes(k4.peer, mapped_peer, little) && same_bytes(k4.local, mapped_local, little) &&
         same_bytes(k6.peer, w.ip6 + 8, little) && same_bytes(k6.local, w.ip6 + 24, little) &&
         synfp_host16(k4.peer_port, little) == 49153 && synfp_host16(k4.local_port, little) == 8080 &&
         synfp_net16(8080, little).net == k4.local_port.net && synfp_is_mapped(&k4.peer, little) &&
         !synfp_is_mapped(&k6.peer, little) && k6.zone == 0;
}
static_assert(byte_order_holds(1), "abi.h: byte order is wrong for a little-endian host");
static_assert(byte_order_holds(0), "abi.h: byte order is wrong for a big-endian host");

// Known answers, from an independent SipHash-1-3 (tests/oracle/siphash.py) over the same bytes.
constexpr synfp_u64 known_hash(bool v6, int little) {
  const wire w{};
  const synfp_key k = v6 ? synfp_key6(w.ip6, w.tcp, 0, SYNFP_SCOPE_FLOW, little)
                         : synfp_key4(w.ip4, w.tcp, SYNFP_SCOPE_FLOW, little);
  return synfp_hash(&k, 0x0706050403020100U, 0x0f0e0d0c0b0a0908U, little);
}
static_assert(known_hash(false, 1) == 0x4c4549c3b3c47288U && known_hash(false, 0) == known_hash(false, 1),
              "abi.h: the hash of an IPv4 key changed");
static_assert(known_hash(true, 1) == 0x2f7f362d132df954U && known_hash(true, 0) == known_hash(true, 1),
              "abi.h: the hash of an IPv6 key changed");

}  // namespace detail::layout

SYNFP_END_NAMESPACE
