// SPDX-License-Identifier: MIT
// What serve() can be told.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <synfp/http/error_handler.hpp>
#include <synfp/http/error_response.hpp>
#include <synfp/http/limits.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// How long serve() waits, and for how much.
struct serve_options {
  http::limits limits{};
  /// For the first byte of a request. Then the connection is closed without a word; earlier while descriptors
  /// run short, as is one with half a header block.
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(60);
  /// For a whole request line and header block, from their first byte. Then 408. Against clients that send a
  /// byte now and then.
  std::chrono::nanoseconds header_timeout = std::chrono::seconds(10);
  /// For a whole body, from the end of the header block. Then 408. A handler that takes the body piece by
  /// piece waits so long for bytes that do not come: see body_rate.
  std::chrono::nanoseconds body_timeout = std::chrono::seconds(60);
  /// Of a body that is taken piece by piece, bytes per second over its length; Apache's 500. What body_reader
  /// has to wait for the client is taken from body_timeout, and what arrives gives it back at this rate, up
  /// to the whole of it. Time that the handler takes does not count. 0: any byte gives all of it back.
  std::uint32_t body_rate = 500;
  /// For TCP to take the responses that are ready. Then the connection is closed.
  std::chrono::nanoseconds write_timeout = std::chrono::seconds(30);
  /// How long a stream of events may be silent; then a comment is sent. See `events`. io::for_ever: for ever.
  std::chrono::nanoseconds heartbeat = std::chrono::seconds(15);
  /// How long, and for how many bytes, to go on reading after the last response of a connection that the
  /// server closes: a close with unread bytes resets the connection, and the client may lose that response.
  /// The default is more than limits::body, since a body that no route takes is met here.
  std::chrono::nanoseconds linger_timeout = std::chrono::seconds(2);
  std::size_t linger_bytes = 2 * 1024 * 1024;
  /// Gets what a handler threw, before the client gets its 500. It is called on the thread of the connection,
  /// which waits for it, and the request is valid inside. What it throws itself ends the connection, and then
  /// goes where the exceptions of spawned coroutines go: io::on_escape(), net::server_options::on_error.
  error_handler on_error{};
  /// Makes the body and the type of the responses from 400 on that no handler makes, refusals included; the
  /// status, the framing and what HTTP demands (Allow) stay the server's. Called as on_error is, and what it
  /// throws goes the same way.
  http::error_response error_response{};
};

}  // namespace http
SYNFP_END_NAMESPACE
