// SPDX-License-Identifier: MIT
// Why bytes are no ClientHello.
#pragma once

#include <cstdint>
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls {

/// Why the bytes of a connection do not begin with a ClientHello that can be read; stable, for counters.
enum class refusal : std::uint8_t {
  none,
  plain_text,       ///< begins with an upper case letter: a request in plain HTTP, or another text protocol
  ssl2,             ///< a hello in SSL 2.0's format
  not_tls,          ///< begins with a byte that no TLS record begins with
  not_handshake,    ///< a TLS record of another kind: an alert, application data
  record_version,   ///< the record's version does not begin with 3
  record_empty,     ///< a handshake record without a byte in it, RFC 8446 5.1
  record_too_long,  ///< a record of more than 2^14 bytes, RFC 8446 5.1
  record_interleaved,   ///< a record of another kind between the fragments of the hello, RFC 8446 5.1
  not_client_hello,     ///< another handshake message
  too_large,            ///< larger than the buffer
  truncated,            ///< the message ends inside of a field
  session_id_invalid,   ///< longer than 32 bytes
  ciphers_invalid,      ///< no cipher suite, or half of one
  ciphers_too_many,     ///< more than client_hello::max_codes
  compression_invalid,  ///< no compression method
  extensions_invalid,   ///< their length is not what is left of the message
  extensions_too_many,  ///< more than client_hello::max_extensions
  extension_truncated,  ///< an extension is longer than what is left
  extension_repeated,   ///< two extensions of one type, RFC 8446 4.2
  server_name_invalid,  ///< not a list of one host name without NUL
  alpn_invalid,         ///< not a list of protocol names that are not empty
  groups_invalid,       ///< not a list of 1 to client_hello::max_codes codes; so the next two
  signature_algorithms_invalid,
  versions_invalid,
  point_formats_invalid,  ///< not a list of one byte or more
  key_shares_invalid,     ///< not a list of groups with keys that are not empty
};

/// A few words for logs and answers, static storage.
constexpr std::string_view to_string(refusal why) noexcept {
  switch (why) {
    case refusal::none: return "none";
    case refusal::plain_text: return "plain text instead of TLS";
    case refusal::ssl2: return "SSL 2.0";
    case refusal::not_tls: return "not TLS";
    case refusal::not_handshake: return "a TLS record that is no handshake";
    case refusal::record_version: return "invalid version of a TLS record";
    case refusal::record_empty: return "empty TLS record";
    case refusal::record_too_long: return "TLS record too long";
    case refusal::record_interleaved: return "another TLS record inside of the hello";
    case refusal::not_client_hello: return "a handshake message that is no ClientHello";
    case refusal::too_large: return "ClientHello too large";
    case refusal::truncated: return "ClientHello ends inside of a field";
    case refusal::session_id_invalid: return "invalid session id";
    case refusal::ciphers_invalid: return "invalid list of cipher suites";
    case refusal::ciphers_too_many: return "too many cipher suites";
    case refusal::compression_invalid: return "no compression method";
    case refusal::extensions_invalid: return "invalid length of the extensions";
    case refusal::extensions_too_many: return "too many extensions";
    case refusal::extension_truncated: return "extension longer than the ClientHello";
    case refusal::extension_repeated: return "repeated extension";
    case refusal::server_name_invalid: return "invalid server name";
    case refusal::alpn_invalid: return "invalid list of application protocols";
    case refusal::groups_invalid: return "invalid list of groups";
    case refusal::signature_algorithms_invalid: return "invalid list of signature algorithms";
    case refusal::versions_invalid: return "invalid list of versions";
    case refusal::point_formats_invalid: return "invalid list of point formats";
    case refusal::key_shares_invalid: return "invalid list of key shares";
  }
  return "unknown";
}

}  // namespace tls
SYNFP_END_NAMESPACE
