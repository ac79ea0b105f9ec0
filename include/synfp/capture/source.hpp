// SPDX-License-Identifier: MIT
// What a source of SYN records is.
#pragma once

#include <concepts>
#include <cstdint>
#include <ctime>  // clock_gettime

#include <synfp/capture/lookup.hpp>
#include <synfp/endpoint.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// An accepted connection whose SYN is wanted. `local` always needs its port; its address does not matter
/// to a probe with key_scope::peer.
struct connection {
  int fd = -1;
  endpoint peer;
  endpoint local;
};

/// CLOCK_MONOTONIC, ns. One reading serves a batch of lookups.
inline std::uint64_t now_ns() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(t.tv_nsec);
}

/// A source of SYN records. It must outlive the listeners that use it.
/// - prepare(fd, first): once per listening socket, in order, between bind() and listen(); `first`: it is the
///   first of its listen group. Not thread-safe.
/// - claim(c, now): the SYN that opened `c`, once per connection. `now`: now_ns(), read after the connection
///   was accepted. Thread-safe, does not block, does not allocate.
template <class S>
concept source = requires(S& s, const S& cs, const connection& c, int fd, bool first, std::uint64_t now) {
  { s.prepare(fd, first) } -> std::same_as<setup_result<void>>;
  { cs.claim(c, now) }
  noexcept->std::same_as<syn_lookup>;
};

/// The source for a server that wants no SYN: every lookup misses with no_probe.
struct none {
  setup_result<void> prepare(int, bool) { return {}; }
  syn_lookup claim(const connection&, std::uint64_t) const noexcept {
    return syn_lookup::missed(miss::no_probe);
  }
};

}  // namespace capture
SYNFP_END_NAMESPACE
