// SPDX-License-Identifier: MIT
// The requests of one connection, one after the other.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <utility>

#include <synfp/http/detail/date_now.hpp>
#include <synfp/http/detail/input.hpp>
#include <synfp/http/detail/observation.hpp>
#include <synfp/http/detail/stream_answer.hpp>
#include <synfp/http/observer.hpp>
#include <synfp/http/parser.hpp>
#include <synfp/http/request.hpp>
#include <synfp/http/response.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve_options.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/net/connection_facts.hpp>
#include <synfp/net/detail/activity.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/net/transport.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// Pipelined requests that a connection has answered in a row before the others have their turn: 10 to 20 us.
inline constexpr unsigned most_in_a_row = 16;

template <class T>
concept takes_texts = requires(T& t, text_type text) {
  t.write(std::move(text));
};

/// A body that is sent from where it is: to copy it costs more than to send it apart.
template <class T>
bool sent_apart(const response& r, response_framing framing) noexcept {
  return takes_texts<T> && r.body().size() >= 16 * 1024 && !framing.head && !is_bodiless(r.status());
}

/// Ends the wait of an idle connection when the ring stops, and that of any while it is entered as spare,
/// when descriptors run short. Destroyed with the coroutine that owns it.
template <net::transport T>
class idle_watch {
 public:
  explicit idle_watch(T& s) noexcept
      : spare(&idle_watch::end, this), stream_(&s), stop_callback_(&idle_watch::stop, this) {
    s.ring().on_stop(stop_callback_);
  }
  idle_watch(const idle_watch&) = delete;
  idle_watch& operator=(const idle_watch&) = delete;

  bool idle = false;
  net::detail::spare_connection spare;

 private:
  static void end(void* self) { static_cast<idle_watch*>(self)->stream_->cancel(); }
  static void stop(void* self) {
    auto& w = *static_cast<idle_watch*>(self);
    if (w.idle) w.stream_->cancel();
  }
  T* stream_;
  io::stop_callback stop_callback_;
};

/// Serves until the connection is to be closed. True: with lingering, since the client may still be sending.
template <net::transport T, class... Routes, observer O>
io::task<bool> serve_requests(T& s, const net::connection_facts& facts, const routes<Routes...>& all,
                              const serve_options& options, O& observer) {
  enum class waiting { idle, head, body };
  io::ring& ring = s.ring();
  idle_watch<T> watch(s);
  net::detail::activity activity;
  request_parser parser(options.limits);
  parser.limit_body(UINT64_MAX);  // until it is known whose body it is
  const std::size_t most_bodies = options.limits.most_ring_bodies();
  input in(s);
  observation<O> seen(observer, ring, facts);
  waiting stage = waiting::idle;
  io::ring::clock::time_point deadline{};  // of the stage, unless idle
  bool routed = false;                     // of this request: it is known what answers it,
  bool ignores_body = false;               // and that this does not depend on the body it has,
  bool in_pieces = false;                  // or its handler takes it piece by piece,
  bool continued = false;                  // and "100 Continue" was sent
  bool served = false;
  bool warned = false;  // the ring stops
  unsigned in_a_row = 0;

  while (true) {
    if (watch.spare.ended()) {
      seen.ends(give_up(s, watch.spare, error{errc::canceled, 0}));
      co_return false;
    }
    parse_status parsed = parse_status::incomplete;
    if (!in.empty()) {
      seen.has_bytes();
      if (!routed) {
        parsed = parser.parse_head(in.bytes());
        routed = parser.head_complete();
        if (routed && parser.has_body()) {
          const auto use = all.use_of_body(parser.method(), parser.path());
          parsed = parser.limit_body(use.most.value_or(options.limits.body));
          ignores_body = !use.taken && parsed != parse_status::refused;
          in_pieces = use.in_pieces && parsed != parse_status::refused;
        }
      }
      if (routed && !ignores_body && !in_pieces) parsed = parser.parse(in.bytes());
    }

    if (parsed == parse_status::complete || ignores_body || in_pieces) {
      in.finished();
      watch.spare.leave();
      activity.is(net::detail::doing::answering);
      bool asked_to_close = false;
      bool keep_alive = false;
      bool whole = true;
      bool apart = false;  // the body is not in out(), and is sent at once
      typename routes<Routes...>::maybe_stream stream;
      {  // nothing of the response but its text is there while that waits to be sent
        const request q(parser, facts.peer, facts.local, facts.syn, facts.hello);
        response r(500);
        cause why = cause::failed;
#if defined(__cpp_exceptions)
        try {
#endif
          auto answer = all.find(q);
          const bool handled = answer.handled();
          stream = answer.stream();
          if (stream) {
            // below, as it keeps the request longer
          } else if (answer.immediate()) {
            r = std::move(answer.ready());
          } else {
            io::task<response> work = answer.pending();
            if (!s.out().empty()) {  // earlier responses do not wait for this one
              watch.spare.enter(net::detail::loss::request);
              const auto flushed = co_await s.flush(options.write_timeout);
              watch.spare.leave();
              if (!flushed) {
                seen.ends(give_up(s, watch.spare, flushed.error()));
                co_return false;
              }
            }
            r = co_await std::move(work);
          }
          why = handled ? cause::handler : cause::routes;
#if defined(__cpp_exceptions)
        } catch (...) {
          if (options.on_error) options.on_error(std::current_exception(), q);
          r = status(500);
        }
#endif
        if (!stream) {
          if (why != cause::handler && r.status() >= 400 && options.error_response)
            r = options.error_response(r, refusal::none, &q);
          // An ignored body is passed over if it is here. Else the connection ends: nobody waits for it.
          whole = !ignores_body || parser.parse(in.bytes()) == parse_status::complete;
          asked_to_close = !q.keep_alive();
          keep_alive = why != cause::failed && whole && !asked_to_close && !ring.stopping();
          const response_framing framing{
              .head = q.method() == method::head, .keep_alive = keep_alive, .http10 = q.version_minor() == 0};
          const std::size_t before = s.out().size();
          apart = sent_apart<T>(r, framing);
          if (apart) {
            write_head(s.out(), r, framing, date_now(), body_end::length, r.body().size(), 0);
          } else {
            write_response(s.out(), r, framing, date_now());
          }
          const std::size_t written = s.out().size() - before + (apart ? r.body().size() : 0);
          seen.answered(&q, parser, in.bytes(), r, framing, why, written);
          if constexpr (takes_texts<T>) {
            if (apart) s.write(r.take_body());
          }
          in.consume(parser.consumed());
        }
      }
      if constexpr (routes<Routes...>::streams) {
        if (stream) {
          io::task<after> work = stream_answer(s, facts, parser, in, options, seen, watch.spare, stream);
          const after then = co_await std::move(work);
          if (then != after::next) co_return then == after::linger;
          keep_alive = true;
        }
      }
      parser.reset();
      stage = waiting::idle;
      parser.limit_body(UINT64_MAX);
      routed = ignores_body = in_pieces = continued = false;
      served = true;
      if (!keep_alive || apart || s.out().size() >= options.limits.output) {
        if (!in.empty()) in.keep();  // the ring's buffer is not held while the client does not read
        watch.spare.enter(net::detail::loss::request);
        const auto flushed = co_await s.flush(options.write_timeout);
        watch.spare.leave();
        if (!flushed) {
          seen.ends(give_up(s, watch.spare, flushed.error()));
          co_return false;
        }
      }
      if (!keep_alive) {
        seen.ends(ending::done);
        co_return !asked_to_close || !whole || !in.empty();
      }
      in_a_row = in.empty() ? 0 : in_a_row + 1;
      if (in_a_row == most_in_a_row) {
        in_a_row = 0;
        co_await io::yield();
      }
      continue;
    }

    cause why = cause::refused;
    if (parsed == parse_status::incomplete && routed && !in.hold(most_bodies)) {
      why = cause::no_room;
    } else if (parsed == parse_status::incomplete) {
      if (parser.expects_continue() && !continued) {
        continued = true;
        s.out().append(continue_line);
      }
      if (!in.empty()) in.keep();  // the ring's buffer is not held through a wait
      if (!s.out().empty()) {
        watch.spare.enter(net::detail::loss::request);
        const auto flushed = co_await s.flush(options.write_timeout);
        watch.spare.leave();
        if (in.dropped()) continue;
        if (!flushed) {
          seen.ends(give_up(s, watch.spare, flushed.error()));
          co_return false;
        }
      }
      std::chrono::nanoseconds left = options.idle_timeout;
      watch.idle = !parser.started();
      if (watch.idle) {
        activity.is(net::detail::doing::waiting);
        if (!watch.spare.entered()) watch.spare.enter();
        if (ring.stopping()) {  // a client that has not asked yet gets a short time to do so
          if (served) co_return true;
          if (left > options.linger_timeout) left = options.linger_timeout;
        }
      } else {
        const waiting now = parser.head_complete() ? waiting::body : waiting::head;
        activity.is(now == waiting::body ? net::detail::doing::reading_body
                                         : net::detail::doing::reading_head);
        if (stage != now) {
          stage = now;
          watch.spare.leave();
          deadline = io::ring::after(ring.now(),
                                     now == waiting::body ? options.body_timeout : options.header_timeout);
        }
        // It stays in its place while bytes trickle in.
        if (!watch.spare.entered())
          watch.spare.enter(now == waiting::body ? net::detail::loss::request : net::detail::loss::none);
        left = deadline - ring.now();
      }
      bool expired = left <= left.zero();
      if (!expired) {
        auto chunk = co_await s.read(left);
        watch.idle = false;
        if (in.dropped()) continue;
        if (chunk) {
          in.add(*std::move(chunk));
          continue;
        }
        expired = chunk.error().code == errc::timed_out;
        // The stop ended the wait for a first request, which may be on its way: a short time more, as above.
        if (!expired && ring.stopping() && !served && !parser.started() && watch.spare.entered() &&
            !std::exchange(warned, true))
          continue;
        if (!expired) {
          seen.ends(give_up(s, watch.spare, chunk.error()));
          co_return false;
        }
      }
      if (!parser.started()) {
        seen.ends(ending::idle);
        co_return false;
      }
      why = cause::timed_out;
    }

    // Where the next request would begin is not known any more.
    response r = status(503);
    if (why == cause::no_room) {
      (void)r.add_header("Retry-After", "1");  // a valid field
    } else {
      r = refusal_response(parser.refused_for());
    }
    follow(parser, in.bytes());
    const request q(parser, facts.peer, facts.local, facts.syn, facts.hello);
    const request* const known = parser.head_complete() && !in.empty() ? &q : nullptr;
    if (options.error_response) r = options.error_response(r, parser.refused_for(), known);
    const response_framing framing{.head = parser.method() == method::head, .keep_alive = false};
    const std::size_t before = s.out().size();
    write_response(s.out(), r, framing, date_now());
    seen.answered(known, parser, in.bytes(), r, framing, why, s.out().size() - before);
    if (!in.empty()) in.keep();  // as above; the request is not looked at any more
    watch.spare.enter(net::detail::loss::request);
    const auto flushed = co_await s.flush(options.write_timeout);
    seen.ends(flushed ? ending::done : give_up(s, watch.spare, flushed.error()));
    co_return static_cast<bool>(flushed);
  }
}

}  // namespace http::detail
SYNFP_END_NAMESPACE
