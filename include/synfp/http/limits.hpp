// SPDX-License-Identifier: MIT
// How much of a server a client can occupy.
#pragma once

#include <cstddef>
#include <cstdint>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// What a connection may make the server hold, in bytes unless said otherwise: how much of a request the
/// parser accepts, and how much output may pile up. total() bounds what one request can occupy in the
/// caller's buffer, whatever the client sends. What all connections of a ring may, see io::limits.
struct limits {
  /// The array of fields is part of the parser: 1.6 KiB at 100, what Apache and Node allow (100, 2000).
  static constexpr std::size_t max_headers = 100;

  /// The request line with its CRLF. RFC 9112 3 recommends at least 8000. Beyond: 414
  std::uint32_t request_line = 8 * 1024;
  /// The number of header and trailer fields, at most max_headers. Beyond: 431
  std::uint32_t headers = max_headers;
  /// All header and trailer lines, with the empty ones; Node's default. Beyond: 431
  std::uint32_t header_block = 16 * 1024;
  /// The decoded body. It is held in memory, hence small: nginx's default. A route may have another limit,
  /// see route::body_limit(). Beyond: 413
  std::uint32_t body = 1024 * 1024;
  /// All chunk extensions of a request together; clients do not send any. Beyond: 413
  std::uint32_t chunk_extensions = 1024;
  /// All chunk-size lines and the CRLFs after chunks: 1 MiB in chunks of 128 bytes fits, and in one-byte
  /// chunks (six bytes received for one kept) does not. Where a route takes more than `body`, a sixteenth of
  /// what is beyond that is added. Beyond: 413
  std::uint32_t chunk_framing = 64 * 1024;
  /// Responses to pipelined requests leave together. With this much of them, serve() reads no further request
  /// of the connection before TCP has taken them; so a client that does not read makes it hold this and one
  /// response. A hundred small ones: more in one send gains nothing.
  std::uint32_t output = 16 * 1024;
  /// Of serve(): memory for bodies that all connections of a ring hold together, but never less than one
  /// needs (twice total(), as it grows by doubling). Beyond: the oldest unfinished ones are answered with
  /// 503.
  std::size_t ring_bodies = 64 * 1024 * 1024;

  constexpr std::size_t total() const noexcept {
    return std::size_t{2} + request_line + header_block + body + chunk_framing;
  }
  constexpr std::size_t most_ring_bodies() const noexcept {
    return ring_bodies > 2 * total() ? ring_bodies : 2 * total();
  }
};

}  // namespace http
SYNFP_END_NAMESPACE
