// SPDX-License-Identifier: MIT
// A response whose body a coroutine produces.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <synfp/http/detail/producer.hpp>
#include <synfp/http/response.hpp>
#include <synfp/io/buffer.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// A coroutine that produces a body, piece by piece:
///
///   http::chunks rows(const http::request& q) {
///     for (int i = 0; i < 1000; ++i) co_yield std::to_string(i) + "\n";
///   }
///
/// It runs on the thread of the connection, from its first piece on when the response is sent; never for
/// HEAD. A piece is anything that converts to string_view; it is copied before co_yield suspends. co_yield
/// resumes when TCP has taken what was produced, or at once while that is less than limits::output: a client
/// that reads slowly makes the server hold that much and one piece. So pieces of some kilobytes are best. It
/// may await whatever runs on its thread.
///
/// If the client is gone, or does not read for serve_options::write_timeout, the coroutine is destroyed where
/// it is suspended: it needs no code for that, and its destructors run. If it throws, the client sees that
/// the body is not complete.
///
/// It keeps copies of its parameters. The request, and a reference to it, are valid until it ends. A lambda
/// that captures must live as long: that of a route does, one inside a handler does not.
class [[nodiscard]] chunks {
 public:
  class promise_type final : public detail::producer_promise {
   public:
    chunks get_return_object() noexcept {
      return chunks(detail::producer(std::coroutine_handle<promise_type>::from_promise(*this)));
    }
    static chunks get_return_object_on_allocation_failure() noexcept { return chunks({}); }
    yield_awaiter yield_value(std::string_view piece) {
      sink().put(piece);
      return yield_awaiter(*this);
    }
    /// With Content-Length a piece of 16 KiB or more is sent from where it is.
    yield_awaiter yield_value(io::buffer piece) {
      sink().put(std::move(piece));
      return yield_awaiter(*this);
    }
  };

 private:
  friend class stream_response;
  explicit chunks(detail::producer coroutine) noexcept : coroutine_(std::move(coroutine)) {}
  detail::producer coroutine_;
};

/// A response with a body that is sent while it is produced, or an ordinary one: what a handler returns that
/// decides between them. Made by stream(), from `events`, or from a response.
class stream_response {
 public:
  /// An ordinary one.
  stream_response(response whole) noexcept : head_(std::move(whole)) {}  // NOLINT: implicit
  stream_response(response first, chunks rest) noexcept
      : head_(std::move(first)), kind_(kind::chunks), coroutine_(std::move(rest.coroutine_)) {}
  stream_response(response first, chunks rest, std::uint64_t length) noexcept
      : stream_response(std::move(first), std::move(rest)) {
    length_ = length;
  }

  /// Status and fields; its body goes first.
  response& head() noexcept { return head_; }
  const response& head() const noexcept { return head_; }
  /// Of the whole body, if it was said.
  std::optional<std::uint64_t> length() const noexcept { return length_; }

  // ---- for the connection that sends it ----

  enum class kind : std::uint8_t { ordinary, chunks, events };
  kind what() const noexcept { return kind_; }
  /// Once.
  detail::producer take_producer() noexcept { return std::move(coroutine_); }

 private:
  friend class events;
  stream_response(response first, detail::producer events) noexcept
      : head_(std::move(first)), kind_(kind::events), coroutine_(std::move(events)) {}

  response head_;
  kind kind_ = kind::ordinary;
  std::optional<std::uint64_t> length_;
  detail::producer coroutine_;
};

/// `first`, whose body (often empty) is followed by what `rest` produces:
/// `return http::stream(http::text("id,name\n"), rows(q));`. On HTTP/1.1 it is chunked; on HTTP/1.0 the end
/// of the connection ends it. A status that has no body (204, 205, 304) has none.
inline stream_response stream(response first, chunks rest) { return {std::move(first), std::move(rest)}; }
/// The same with Content-Length: `length` bytes with those of `first`. If there are more or fewer, the
/// connection is closed, and serve_options::on_error gets std::length_error; nothing beyond `length` is sent.
inline stream_response stream(response first, chunks rest, std::uint64_t length) {
  return {std::move(first), std::move(rest), length};
}

}  // namespace http
SYNFP_END_NAMESPACE
