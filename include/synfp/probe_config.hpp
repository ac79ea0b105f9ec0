// SPDX-License-Identifier: MIT
// The compile-time configuration of a probe and the rules it must obey.
#pragma once

#include <array>
#include <cstdint>

#include <synfp/abi.h>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// Where the probe sits.
enum class hook : std::uint8_t {
  /// On the server's own listen group. Needs CAP_BPF; with CAP_PERFMON it runs faster.
  reuseport = SYNFP_HOOK_REUSEPORT,
  /// On interfaces, before the stack, natively where the driver can. Needs CAP_BPF, CAP_NET_ADMIN and
  /// CAP_PERFMON.
  xdp = SYNFP_HOOK_XDP,
  /// On interfaces, after the driver and before the stack, beside the programs of others: by a link (Linux
  /// 6.6), before that by a filter of tc. Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.
  tcx = SYNFP_HOOK_TCX,
  /// In the stack, on tcp_conn_request(): every SYN that gets to any listener of the host. Needs a kernel
  /// with
  /// BTF and BPF trampolines or kprobes, CAP_BPF and CAP_PERFMON.
  kprobe = SYNFP_HOOK_KPROBE,
  /// On the sockets of cgroups (version 2), whoever makes them: what the kernel keeps with a connection, and
  /// what it answers with a cookie. It needs no interface and no listener of ours. Needs CAP_BPF and
  /// CAP_NET_ADMIN; with CAP_PERFMON it runs faster.
  sockops = SYNFP_HOOK_SOCKOPS,
};

enum class families : std::uint8_t {
  ipv4 = SYNFP_FAMILY_IPV4,
  ipv6 = SYNFP_FAMILY_IPV6,
  both = SYNFP_FAMILY_IPV4 | SYNFP_FAMILY_IPV6,
};

/// What identifies a connection in the table.
enum class key_scope : std::uint8_t {
  /// Peer address and port, local address and port.
  flow = SYNFP_SCOPE_FLOW,
  /// Peer address and port, local port: for an interface where the address is not yet the socket's (DNAT).
  peer = SYNFP_SCOPE_PEER,
};

/// Milliseconds; std::chrono's types cannot be template arguments.
struct milliseconds {
  std::uint32_t count = 0;
  constexpr std::uint64_t ns() const noexcept { return std::uint64_t{count} * 1'000'000; }
  friend constexpr bool operator==(const milliseconds&, const milliseconds&) = default;
};

/// `capture::probe<probe_config{.hook = hook::xdp}>`. What is only known at run time is an argument of
/// open().
struct probe_config {
  synfp::hook hook = synfp::hook::reuseport;
  synfp::families families = synfp::families::both;
  synfp::key_scope key_scope = synfp::key_scope::flow;
  /// 15 records and 2 KiB each; a power of two. 4096 are 8 MiB.
  std::uint32_t buckets = 4096;
  /// A record younger than this is not evicted for another connection's: in a flood the new SYN is refused
  /// instead. Choose about the time from a SYN to its accept(), but no more than the table can bear at the
  /// rate at which handshakes still complete: 100 ms are enough for 200,000 SYN/s in 4096 buckets, see
  /// sizing.hpp. 0 turns it off.
  milliseconds hold{100};
  /// An older record is not believed.
  milliseconds max_age{5000};
  /// A second, different SYN for the same connection within this time makes it a conflict.
  milliseconds conflict_window{5000};
  /// Local ports of interest; 0 ends the list, an empty list means all.
  std::array<std::uint16_t, SYNFP_MAX_PORTS> ports{};

  constexpr unsigned port_count() const noexcept {
    unsigned n = 0;
    while (n < ports.size() && ports[n] != 0) ++n;
    return n;
  }
};

namespace detail {
template <probe_config C>
struct checked_config {
  static_assert(static_cast<int>(C.hook) > int{SYNFP_HOOK_NONE} &&
                    static_cast<int>(C.hook) < int{SYNFP_HOOKS},
                "probe_config::hook must be one of enum hook");
  static_assert(C.families == families::ipv4 || C.families == families::ipv6 || C.families == families::both,
                "probe_config::families must be ipv4, ipv6 or both");
  static_assert(C.key_scope == key_scope::flow || C.key_scope == key_scope::peer,
                "probe_config::key_scope must be flow or peer");
  static_assert(
      C.hook != hook::sockops || C.key_scope == key_scope::flow,
      "probe_config::key_scope must be flow with hook::sockops, which sees the socket's own addresses");
  static_assert(C.buckets != 0 && (C.buckets & (C.buckets - 1)) == 0,
                "probe_config::buckets must be a power of two");
  static_assert(C.buckets <= (1U << 22), "probe_config::buckets must be at most 2^22, a table of 8 GiB");
  static_assert(C.max_age.count >= 1 && C.max_age.count <= 600'000,
                "probe_config::max_age must be between 1 ms and 10 minutes");
  static_assert(C.hold.count <= C.max_age.count, "probe_config::hold must not exceed max_age");
  static_assert(
      C.conflict_window.count >= C.max_age.count,
      "probe_config::conflict_window must not be shorter than max_age: a second SYN would replace a record "
      "that is still believed");
  static_assert(C.conflict_window.count <= 3'600'000,
                "probe_config::conflict_window must be at most an hour");
  static constexpr bool ports_are_dense() {
    for (unsigned i = C.port_count(); i < C.ports.size(); ++i) {
      if (C.ports[i] != 0) return false;
    }
    return true;
  }
  static_assert(ports_are_dense(), "probe_config::ports must have no gap: a 0 ends the list");
  static constexpr bool value = true;
};
}  // namespace detail

SYNFP_END_NAMESPACE
