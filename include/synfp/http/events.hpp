// SPDX-License-Identifier: MIT
// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <synfp/http/detail/producer.hpp>
#include <synfp/http/response.hpp>
#include <synfp/http/stream.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// One event, as it goes to an EventSource: `http::event(text).name("tick").id("7")`.
class event {
 public:
  /// The data may have any lines, ended by CRLF, LF or CR; the browser sees LF between them. It is UTF-8.
  /// Without data the browser dispatches nothing, but takes over id() and retry().
  event() = default;
  explicit event(std::string_view data) { this->data(data); }
  /// A line that the browser ignores.
  static event comment(std::string_view text) {
    event e;
    e.lines(": ", text);
    return e;
  }

  /// What the page listens for; "message" without it. A name ends before its first line end.
  event& name(std::string_view text) & { return line("event: ", text); }
  event&& name(std::string_view text) && { return std::move(name(text)); }
  /// Comes back as the field Last-Event-ID when the browser connects again. It ends before its first line
  /// end; browsers ignore one with NUL.
  event& id(std::string_view text) & { return line("id: ", text); }
  event&& id(std::string_view text) && { return std::move(id(text)); }
  /// How long the browser waits before it connects again.
  event& retry(std::chrono::milliseconds delay) & {
    char digits[20];
    char* p = digits + sizeof digits;
    auto n = static_cast<std::uint64_t>(delay.count() < 0 ? 0 : delay.count());
    do {
      *--p = static_cast<char>('0' + n % 10);
      n /= 10;
    } while (n != 0);
    return line("retry: ", {p, static_cast<std::size_t>(digits + sizeof digits - p)});
  }
  event&& retry(std::chrono::milliseconds delay) && { return std::move(retry(delay)); }
  /// More lines of data.
  event& data(std::string_view text) & {
    lines("data: ", text);
    return *this;
  }
  event&& data(std::string_view text) && { return std::move(data(text)); }

  /// The lines of it, each with its LF, without the empty one that ends an event.
  std::string_view text() const noexcept { return text_; }

 private:
  event& line(std::string_view field, std::string_view value) {
    text_.append(field).append(value.substr(0, value.find_first_of("\r\n"))).push_back('\n');
    return *this;
  }
  void lines(std::string_view field, std::string_view value) {
    while (true) {
      const std::size_t end = value.find_first_of("\r\n");
      text_.append(field).append(value.substr(0, end)).push_back('\n');
      if (end == value.npos) return;
      value.remove_prefix(end + (value.substr(end, 2) == "\r\n" ? 2 : 1));
    }
  }

  text_type text_;
};

/// A coroutine that produces events; a handler may be one:
///
///   http::get<"/clock">([](const http::request&) -> http::events {
///     while (true) {
///       co_yield http::event(now());
///       co_await wait_for_the_next_second();
///     }
///   })
///
/// It is a stream like that of `chunks` (where it runs, what it may refer to, a client that reads slowly),
/// with what events need: the fields of an event stream, a comment every serve_options::heartbeat without an
/// event, so that proxies and the server notice a client that is gone, and an end as soon as the client
/// closes its side or the ring begins to stop, whatever the coroutine waits for. Then it is destroyed where
/// it is suspended; the browser connects again by itself. It may also just end.
class [[nodiscard]] events {
 public:
  class promise_type final : public detail::producer_promise {
   public:
    events get_return_object() noexcept {
      return events(detail::producer(std::coroutine_handle<promise_type>::from_promise(*this)));
    }
    static events get_return_object_on_allocation_failure() noexcept { return events({}); }
    yield_awaiter yield_value(const event& e) {
      text_type whole;
      whole.reserve(e.text().size() + 1);
      whole.append(e.text()).push_back('\n');
      sink().put(whole);
      return yield_awaiter(*this);
    }
  };

  /// With 200 and the fields of an event stream. X-Accel-Buffering: nginx would hold the events back.
  operator stream_response() && {  // NOLINT: implicit
    response head;
    (void)head.set_content_type("text/event-stream");
    (void)head.add_header("Cache-Control", "no-store");
    (void)head.add_header("X-Accel-Buffering", "no");
    return {std::move(head), std::move(coroutine_)};
  }

 private:
  explicit events(detail::producer coroutine) noexcept : coroutine_(std::move(coroutine)) {}
  detail::producer coroutine_;
};

}  // namespace http
SYNFP_END_NAMESPACE
