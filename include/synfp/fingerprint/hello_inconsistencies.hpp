// SPDX-License-Identifier: MIT
// What in a ClientHello does not fit the browser that a User-Agent names. Hints, as inconsistency.hpp says.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include <synfp/fingerprint/browser.hpp>        // IWYU pragma: export
#include <synfp/fingerprint/inconsistency.hpp>  // IWYU pragma: export
#include <synfp/tls/client_hello.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

namespace detail {

constexpr bool offers(const tls::client_hello& hello, std::uint16_t extension) noexcept {
  for (const tls::extension& e : hello.extensions()) {
    if (e.type == extension) return true;
  }
  return false;
}
constexpr bool offers_cipher(const tls::client_hello& hello, std::uint16_t cipher) noexcept {
  for (const std::uint16_t c : hello.ciphers()) {
    if (c == cipher) return true;
  }
  return false;
}

/// Of Apple's own TLS: GREASE, and triple DES with elliptic curves. Others that send GREASE, all of them made
/// of BoringSSL, do not have these suites. Safari 14 to 26.
constexpr bool is_hello_of_apple(const tls::client_hello& hello) noexcept {
  return hello.has_grease() && offers_cipher(hello, 0xc008) && offers_cipher(hello, 0xc012);
}
/// Only Chromium offers application settings (ALPS), on most of its connections.
constexpr bool is_hello_of_chromium(const tls::client_hello& hello) noexcept {
  return offers(hello, tls::extension::application_settings_old) ||
         offers(hello, tls::extension::application_settings);
}
/// Encrypt-then-MAC, point formats other than uncompressed, renegotiation told by a cipher suite: OpenSSL,
/// GnuTLS, Mbed TLS and others send some of these; no browser does.
constexpr bool is_hello_of_library(const tls::client_hello& hello) noexcept {
  for (const std::uint8_t format : hello.point_formats()) {
    if (format != 0) return true;
  }
  return offers(hello, tls::extension::encrypt_then_mac) || offers_cipher(hello, 0x00ff);
}

/// From the first version whose hellos are known to be as hello_inconsistencies() says.
constexpr bool is_known(const browser_claim& claim) noexcept {
  switch (claim.family) {
    case browser::chromium: return claim.version >= 70;
    case browser::firefox: return claim.version >= 65;
    case browser::safari: return claim.version >= 16;  // 15 also runs on systems with an older TLS
    case browser::unknown: break;
  }
  return false;
}

}  // namespace detail

/// The members whose names begin with "hello_", but hello_system, which needs the SYN: see
/// identifier::identify(), which calls this. Nothing for a User-Agent in which browser_in_user_agent() finds
/// no browser, or an old one. `user_agent`: of a request on the connection that began with the hello.
constexpr inconsistency_set hello_inconsistencies(const tls::client_hello& hello,
                                                  std::string_view user_agent) noexcept {
  inconsistency_set found;
  const browser_claim claim = browser_in_user_agent(user_agent);
  if (!detail::is_known(claim)) return found;
  const bool firefox = claim.family == browser::firefox, safari = claim.family == browser::safari;
  if (!firefox && !hello.has_grease()) found.insert(inconsistency::hello_grease);
  if (detail::is_hello_of_library(hello)) found.insert(inconsistency::hello_library);
  if (firefox  ? !detail::offers(hello, tls::extension::record_size_limit)
      : safari ? detail::is_hello_of_chromium(hello)
               : detail::is_hello_of_apple(hello))
    found.insert(inconsistency::hello_browser);
  if (hello.highest_version() < 0x0304 || hello.key_shares().empty() || hello.alpn().empty())
    found.insert(inconsistency::hello_offer);
  return found;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
