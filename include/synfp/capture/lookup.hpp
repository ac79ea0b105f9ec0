// SPDX-License-Identifier: MIT
// What a lookup says: the record of a connection's SYN with where it comes from and how sure it is, or why
// there is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <synfp/syn_record.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// What caught a SYN.
enum class capture_source : std::uint8_t {
  none,
  reuseport,
  xdp,
  tcx,
  kprobe,
  sockops,
  saved_syn,
  fixed,
  proxy
};

/// Whose connection the SYN opened.
enum class syn_of : std::uint8_t {
  client,  ///< the peer's
  proxy,   ///< that of the proxy in front, which named the peer: every client of the proxy has its SYN
};

/// How sure it is that the SYN is this connection's.
enum class proof : std::uint8_t {
  none,
  tuple,     ///< addresses, ports and age match
  verified,  ///< and the connection began with its sequence number + 1: by the ACK, or by the socket itself
  exact,     ///< the kernel kept it with this very connection (TCP_SAVED_SYN)
};

/// Why there is no record.
enum class miss : std::uint8_t {
  none,          ///< there is one
  not_captured,  ///< the probe never stored it
  overwritten,   ///< the bucket was so busy that it may have been stored and evicted, or refused by `hold`
  stale,         ///< the record is older than max_age
  busy,          ///< writers kept the bucket busy, or a write was lost after the record was made
  conflict,      ///< several different SYNs claimed this connection
  unchecked,     ///< the SYN's checksum was not checked when it was stored, and no ACK has confirmed it
  claimed,       ///< the record was given to an earlier connection; this one's SYN was not captured
  displaced,     ///< another program took the probe's place
  cookie,        ///< TCP_SAVED_SYN is empty: the connection came by a SYN cookie, or it was read before
  no_probe,      ///< no source is configured, or the daemon that keeps the probe is gone
  truncated,     ///< a SYN came, and its headers could not be kept whole
  unsupported,   ///< this kind of socket has no TCP_SAVED_SYN (MPTCP)
  ambiguous,     ///< a link-local peer, and the probe does not know on which link its SYN came
};

/// The answer to "which SYN opened this connection?": a record with its source and proof, or the reason for a
/// miss. Tests true if there is a record; `*` and `->` give it then, and an empty record else.
struct syn_lookup {
  syn_record record;
  capture_source source = capture_source::none;
  synfp::proof proof = synfp::proof::none;
  synfp::miss miss = synfp::miss::no_probe;
  syn_of of = syn_of::client;
  /// From the SYN's arrival to the lookup; empty if the source does not know.
  std::optional<std::uint64_t> age_ns;

  constexpr explicit operator bool() const noexcept { return miss == synfp::miss::none; }
  constexpr const syn_record& operator*() const noexcept { return record; }
  constexpr const syn_record* operator->() const noexcept { return &record; }

  static constexpr syn_lookup missed(synfp::miss why) noexcept {
    syn_lookup l;
    l.miss = why;
    return l;
  }
};

constexpr std::string_view to_string(capture_source s) noexcept {
  switch (s) {
    case capture_source::none: return "none";
    case capture_source::reuseport: return "reuseport";
    case capture_source::xdp: return "xdp";
    case capture_source::tcx: return "tcx";
    case capture_source::kprobe: return "kprobe";
    case capture_source::sockops: return "sockops";
    case capture_source::saved_syn: return "saved_syn";
    case capture_source::fixed: return "fixed";
    case capture_source::proxy: return "proxy";
  }
  return "unknown";
}
constexpr std::string_view to_string(syn_of o) noexcept {
  switch (o) {
    case syn_of::client: return "client";
    case syn_of::proxy: return "proxy";
  }
  return "unknown";
}
constexpr std::string_view to_string(proof p) noexcept {
  switch (p) {
    case proof::none: return "none";
    case proof::tuple: return "tuple";
    case proof::verified: return "verified";
    case proof::exact: return "exact";
  }
  return "unknown";
}
constexpr std::string_view to_string(miss m) noexcept {
  switch (m) {
    case miss::none: return "none";
    case miss::not_captured: return "not_captured";
    case miss::overwritten: return "overwritten";
    case miss::stale: return "stale";
    case miss::busy: return "busy";
    case miss::conflict: return "conflict";
    case miss::unchecked: return "unchecked";
    case miss::claimed: return "claimed";
    case miss::displaced: return "displaced";
    case miss::cookie: return "cookie";
    case miss::no_probe: return "no_probe";
    case miss::truncated: return "truncated";
    case miss::unsupported: return "unsupported";
    case miss::ambiguous: return "ambiguous";
  }
  return "unknown";
}

SYNFP_END_NAMESPACE
