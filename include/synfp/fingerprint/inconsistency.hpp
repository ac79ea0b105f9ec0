// SPDX-License-Identifier: MIT
// What in a SYN, a ClientHello and a User-Agent does not fit together: hints that something was forged,
// changed on its way, or comes from something else than it seems. Each has innocent causes, which are named;
// none is a proof.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

enum class inconsistency : std::uint8_t {
  /// The label and the User-Agent name systems that do not share a TCP implementation; the label is no tool
  /// and no fuzzy match. Innocent: a proxy, a VPN or a relay that opens connections of its own, or a
  /// carrier's
  /// NAT with a transparent proxy (the SYN is theirs); a virtual machine or container behind NAT of its
  /// host's
  /// stack, Wine and WSL 1, a browser set to "desktop site" or made to hide its system (Tor Browser).
  user_agent,
  /// The best match is fuzzy because the TTL (hop limit) is above the label's, or more than 35 below.
  /// Innocent: a changed default TTL (operators, tethering, some VPNs).
  ttl,
  /// The best match is fuzzy because DF or a nonzero IP id is missing, or a zero id or ECN was added. Weak.
  /// Innocent: ECN is switched on, a middlebox cleared DF, path MTU discovery is off.
  quirks,
  /// No signature fits without a difference, and the options are those of Windows (mss, nop, ws, nop, nop,
  /// sok) while no initial TTL (hop limit) of 128 explains the one of arrival: programs that imitate Windows
  /// on another system forget it, above all for IPv6. Innocent: a changed default TTL, a system that is not
  /// in the databases.
  windows_ttl,
  /// The label is Linux, its match generic or fuzzy, and the window, neither below the MSS nor 65535, is not
  /// a multiple of what Linux rounds it down to. Innocent: a router that rewrote the MSS of a link that is no
  /// Ethernet, sockets with a window clamp.
  window,
  /// IPv6 with an MSS of 1460, IPv4's over Ethernet: for IPv6 it means an MTU of 1520. Raw packet tools fill
  /// it in for both families. Innocent: a link with that very MTU.
  mss,
  /// IP id 54321 with an initial TTL of 255: the mark of ZMap and of what was made of it, and the label is no
  /// tool. Innocent: one SYN in 65,536 of a system that sends 255 and counts or randomises the id.
  scanner_id,
  /// No signature fits without a difference, and the SYN has what TCP implementations do not send: a sequence
  /// number 0, an acknowledgment number, URG, PSH, an urgent pointer, the reserved bit of IP, an echoed
  /// timestamp, data after EOL, a window scale above 14, malformed options. Innocent: a middlebox that
  /// overwrites options; a sequence number is 0 once in 2^32.
  crafted,
  /// The User-Agent names Chrome, Edge or Safari, which send GREASE (RFC 8701) in every hello; this one has
  /// none. Seen in Chromium 70 to 156 and Safari 16 to 26. Innocent, here and for the three that follow: not
  /// the browser speaks TLS, but a company's proxy, a virus scanner or a filter on its way, or a CDN or load
  /// balancer before the server; an app or a robot sends requests of its own under a browser's name.
  hello_grease,
  /// The User-Agent names a browser, and the hello has what TLS libraries send and no browser does:
  /// encrypt_then_mac (OpenSSL, GnuTLS), point formats other than uncompressed, the cipher suite 0x00ff (both
  /// OpenSSL). Innocent: see hello_grease.
  hello_library,
  /// The User-Agent names a browser, and the hello is another's: Firefox without record_size_limit, which it
  /// sends since 63; Safari with application settings, which only Chromium has; Chrome or Edge with suites
  /// that only Apple's TLS has. Innocent: see hello_grease; a browser that calls itself another one, as the
  /// tools of web developers do to show a page as on a phone, and WebKit on Linux for some sites.
  hello_browser,
  /// The User-Agent names a browser that always offers TLS 1.3 with a key share, and an application protocol;
  /// the hello lacks one of these. Innocent: see hello_grease; TLS 1.3 was switched off, by a user or by a
  /// company's policy.
  hello_offer,
  /// The label names a system that does not share Apple's TCP implementation, and is no tool and no fuzzy
  /// match; the hello is that of Apple's TLS. Innocent: the connection was relayed below TLS, and the SYN is
  /// the relay's: a proxy by CONNECT or SOCKS, a VPN that ends TCP, Apple's private relay, a carrier's proxy.
  hello_system,
};

constexpr std::string_view to_string(inconsistency i) noexcept {
  switch (i) {
    case inconsistency::user_agent: return "user_agent";
    case inconsistency::ttl: return "ttl";
    case inconsistency::quirks: return "quirks";
    case inconsistency::windows_ttl: return "windows_ttl";
    case inconsistency::window: return "window";
    case inconsistency::mss: return "mss";
    case inconsistency::scanner_id: return "scanner_id";
    case inconsistency::crafted: return "crafted";
    case inconsistency::hello_grease: return "hello_grease";
    case inconsistency::hello_library: return "hello_library";
    case inconsistency::hello_browser: return "hello_browser";
    case inconsistency::hello_offer: return "hello_offer";
    case inconsistency::hello_system: return "hello_system";
  }
  return "unknown";
}

/// A set; iterates in the order of the enumeration.
class inconsistency_set {
 public:
  class iterator {
   public:
    using value_type = inconsistency;
    using difference_type = std::ptrdiff_t;

    constexpr iterator() noexcept = default;
    constexpr explicit iterator(std::uint32_t rest) noexcept : rest_(rest) {}
    constexpr inconsistency operator*() const noexcept {
      return static_cast<inconsistency>(std::countr_zero(rest_));
    }
    constexpr iterator& operator++() noexcept {
      rest_ &= rest_ - 1;
      return *this;
    }
    constexpr iterator operator++(int) noexcept {
      const iterator before = *this;
      ++*this;
      return before;
    }
    friend constexpr bool operator==(iterator, iterator) = default;

   private:
    std::uint32_t rest_ = 0;
  };

  constexpr void insert(inconsistency i) noexcept { bits_ |= bit(i); }
  constexpr void insert(inconsistency_set others) noexcept { bits_ |= others.bits_; }
  constexpr bool contains(inconsistency i) const noexcept { return (bits_ & bit(i)) != 0; }
  constexpr bool empty() const noexcept { return bits_ == 0; }
  constexpr std::size_t size() const noexcept { return static_cast<std::size_t>(std::popcount(bits_)); }
  constexpr iterator begin() const noexcept { return iterator(bits_); }
  constexpr iterator end() const noexcept { return iterator(0); }
  friend constexpr bool operator==(inconsistency_set, inconsistency_set) = default;

 private:
  static constexpr std::uint32_t bit(inconsistency i) noexcept {
    return std::uint32_t{1} << static_cast<unsigned>(i);
  }
  std::uint32_t bits_ = 0;
};

}  // namespace fingerprint
SYNFP_END_NAMESPACE
