// SPDX-License-Identifier: MIT
// The body of a request, piece by piece.
#pragma once

#include <string_view>

#include <synfp/http/refusal.hpp>
#include <synfp/io/task.hpp>
#include <synfp/result.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// What a handler takes behind the request that wants the body while it arrives:
///
///   http::post<"/upload">([](const http::request& q, http::body_reader& body) -> task<http::response> {
///     std::uint64_t size = 0;
///     while (auto piece = co_await body.read()) size += piece->size();
///     if (!body.complete()) co_return http::status(400);
///     co_return http::text(std::to_string(size));
///   })
///
/// What it does not read is not received: TCP holds the client back. "100 Continue" is sent when it first has
/// to wait. It need not read to the end: then the connection is closed behind the response, unless the rest
/// has arrived. It may read until its response is there; request::body() is empty.
class body_reader {
 public:
  body_reader(const body_reader&) = delete;
  body_reader& operator=(const body_reader&) = delete;

  /// Awaits the next piece: result<std::string_view>, never empty, valid until the next read(). One read at a
  /// time. After the last piece, and from then on, errc::closed; complete() says whether that was the end of
  /// the body, or of the connection. Other errors are final too:
  ///   errc::timed_out  the client is too slow: serve_options::body_timeout, body_rate
  ///   errc::too_large  more than the route's limit (or than its limits of chunks): refused_for()
  ///   errc::invalid    the chunks are malformed: refused_for(); or another read waits
  ///   errc::canceled   the ring ends
  /// or the kernel's error. Then the client gets 408, or what `refusal` says, whatever the handler returns:
  /// it is never told that half a body was a success.
  io::task<result<std::string_view>> read() { return next(); }

  /// Everything was read, and the body is as its framing says.
  virtual bool complete() const noexcept = 0;
  /// Why the framing was refused, or none.
  virtual refusal refused_for() const noexcept = 0;

 protected:
  body_reader() = default;
  ~body_reader() = default;
  virtual io::task<result<std::string_view>> next() = 0;
};

}  // namespace http
SYNFP_END_NAMESPACE
