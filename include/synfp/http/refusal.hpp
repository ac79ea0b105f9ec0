// SPDX-License-Identifier: MIT
// Why a request is refused, and with what.
#pragma once

#include <cstdint>
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// Why a request was refused; stable, for counters.
enum class refusal : std::uint8_t {
  none,
  bare_cr,              ///< CR that no LF follows
  bare_lf,              ///< LF that no CR precedes
  empty_lines,          ///< more than the one empty line that RFC 9112 2.2 tolerates before a request
  method_invalid,       ///< not a token, or not followed by SP
  target_invalid,       ///< empty, or a character or form that no request target has
  target_fragment,      ///< '#'
  target_too_long,      ///< limits::request_line
  version_invalid,      ///< not HTTP/DIGIT.DIGIT
  version_unsupported,  ///< neither 1.0 nor 1.1
  connect_unsupported,  ///< a well-formed CONNECT
  field_folded,         ///< a field line that begins with white space (obs-fold)
  field_name_invalid,   ///< empty, not a token, no colon, or white space before the colon
  field_value_invalid,  ///< a control character
  fields_too_many,      ///< limits::headers
  fields_too_large,     ///< limits::header_block
  host_missing,         ///< HTTP/1.1 without Host
  host_repeated,
  host_invalid,        ///< not host [":" port]
  connection_invalid,  ///< not a list of tokens
  length_invalid,      ///< Content-Length is not 1*DIGIT, or beyond 64 bits
  length_repeated,     ///< more than one Content-Length, equal or not
  length_with_coding,  ///< Content-Length and Transfer-Encoding
  coding_invalid,  ///< Transfer-Encoding is malformed, repeated, or names chunked anywhere but once and last
  coding_unsupported,   ///< a transfer coding other than chunked
  coding_on_http10,     ///< HTTP/1.0 has no Transfer-Encoding
  expectation_unknown,  ///< Expect is not 100-continue
  body_too_large,       ///< limits::body
  chunk_size_invalid,   ///< not 1*HEXDIG, beyond 64 bits, or followed by anything but an extension
  chunk_extension_invalid,
  chunk_extensions_too_large,  ///< limits::chunk_extensions
  chunk_framing_too_large,     ///< limits::chunk_framing
  chunk_end_missing,           ///< chunk data that no CRLF follows
  trailer_forbidden,           ///< Content-Length, Transfer-Encoding or Host after the body
  target_misdirected,          ///< a well-formed target with the scheme https
};

/// The status code to answer a refusal with (0 for none). The connection cannot be used any more.
constexpr int status_of(refusal why) noexcept {
  switch (why) {
    case refusal::none: return 0;
    case refusal::body_too_large:
    case refusal::chunk_extensions_too_large:
    case refusal::chunk_framing_too_large: return 413;
    case refusal::target_too_long: return 414;
    case refusal::expectation_unknown: return 417;
    case refusal::target_misdirected: return 421;
    case refusal::fields_too_many:
    case refusal::fields_too_large: return 431;
    case refusal::coding_unsupported:
    case refusal::connect_unsupported: return 501;
    case refusal::version_unsupported: return 505;
    default: return 400;
  }
}

/// A few words for logs and bodies, static storage.
constexpr std::string_view to_string(refusal why) noexcept {
  switch (why) {
    case refusal::none: return "none";
    case refusal::bare_cr: return "CR without LF";
    case refusal::bare_lf: return "LF without CR";
    case refusal::empty_lines: return "empty lines before the request";
    case refusal::method_invalid: return "invalid method";
    case refusal::target_invalid: return "invalid request target";
    case refusal::target_fragment: return "fragment in the request target";
    case refusal::target_too_long: return "request line too long";
    case refusal::version_invalid: return "invalid HTTP version";
    case refusal::version_unsupported: return "unsupported HTTP version";
    case refusal::connect_unsupported: return "CONNECT is not supported";
    case refusal::field_folded: return "folded header field";
    case refusal::field_name_invalid: return "invalid field name";
    case refusal::field_value_invalid: return "invalid field value";
    case refusal::fields_too_many: return "too many header fields";
    case refusal::fields_too_large: return "header fields too large";
    case refusal::host_missing: return "no Host";
    case refusal::host_repeated: return "more than one Host";
    case refusal::host_invalid: return "invalid Host";
    case refusal::connection_invalid: return "invalid Connection";
    case refusal::length_invalid: return "invalid Content-Length";
    case refusal::length_repeated: return "more than one Content-Length";
    case refusal::length_with_coding: return "both Content-Length and Transfer-Encoding";
    case refusal::coding_invalid: return "invalid Transfer-Encoding";
    case refusal::coding_unsupported: return "unsupported transfer coding";
    case refusal::coding_on_http10: return "Transfer-Encoding with HTTP/1.0";
    case refusal::expectation_unknown: return "unknown expectation";
    case refusal::body_too_large: return "body too large";
    case refusal::chunk_size_invalid: return "invalid chunk size";
    case refusal::chunk_extension_invalid: return "invalid chunk extension";
    case refusal::chunk_extensions_too_large: return "chunk extensions too large";
    case refusal::chunk_framing_too_large: return "chunks too small";
    case refusal::chunk_end_missing: return "chunk without its end";
    case refusal::trailer_forbidden: return "forbidden trailer field";
    case refusal::target_misdirected: return "https target on a plain connection";
  }
  return "unknown";
}

}  // namespace http
SYNFP_END_NAMESPACE
