// SPDX-License-Identifier: MIT
// Answers one request with a response that is sent while it is produced.
#pragma once

#include <algorithm>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

#include <synfp/http/detail/connection_body.hpp>
#include <synfp/http/detail/date_now.hpp>
#include <synfp/http/detail/input.hpp>
#include <synfp/http/detail/observation.hpp>
#include <synfp/http/detail/producer.hpp>
#include <synfp/http/observer.hpp>
#include <synfp/http/parser.hpp>
#include <synfp/http/refusal.hpp>
#include <synfp/http/request.hpp>
#include <synfp/http/response.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve_options.hpp>
#include <synfp/http/stream.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/io/wait.hpp>
#include <synfp/net/connection_facts.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/net/transport.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// Where a connection waits while its stream needs nothing of it. Whatever happens to the stream rings; the
/// connection then looks what it was.
class bell {
 public:
  explicit bell(io::ring& owner) noexcept : slot_(owner) {}

  void ring() noexcept {
    rung_ = true;
    slot_.wake();
  }
  void silence() noexcept { rung_ = false; }

  /// For wait_awaiter.
  class rings {
   public:
    explicit rings(bell& of) noexcept : bell_(&of) {}
    io::wait_slot& slot() const noexcept { return bell_->slot_; }
    bool ready() const noexcept { return bell_->rung_; }
    void begin() const noexcept {}
    void left() const noexcept {}
    result<void> get() const noexcept { return {}; }

   private:
    bell* bell_;
  };
  io::wait_awaiter<rings> wait(std::chrono::nanoseconds limit) noexcept {
    return io::wait_awaiter(rings(*this), limit);
  }

 private:
  io::wait_slot slot_;
  bool rung_ = false;
};

/// Whether the client still is there, seen by reading on while a stream is sent.
struct client_state {
  explicit client_state(bell& to) noexcept : told(&to) {}
  client_state(const client_state&) = delete;
  client_state& operator=(const client_state&) = delete;
  ~client_state() = default;
  bell* told;
  bool gone = false;
  ending how = ending::gone;
};

/// Keeps the requests that follow, as far as a connection keeps bytes at all.
template <net::transport T>
io::task<> watch_client(T& s, input& in, client_state& state, bool half_close_is_gone) {
  struct at_end {
    explicit at_end(client_state& of) noexcept : state(&of) {}
    at_end(const at_end&) = delete;
    at_end& operator=(const at_end&) = delete;
    ~at_end() { state->told->ring(); }
    client_state* state;
  };
  const at_end tell(state);
  while (in.bytes().size() < most_kept_input) {
    auto chunk = co_await s.read();
    if (!chunk) {
      state.gone = half_close_is_gone || chunk.error().code != errc::closed;
      if (chunk.error().code == errc::canceled) state.how = ending::spared;  // a stop is seen before
      co_return;
    }
    state.gone = true;  // if there is no memory: the bytes are lost
    if (!in.empty()) in.keep();
    in.add(*std::move(chunk));
    in.keep();
    state.gone = false;
  }
}

/// A coroutine that runs beside its owner and ends with it.
class companion {
 public:
  companion() noexcept = default;
  companion(const companion&) = delete;
  companion& operator=(const companion&) = delete;
  ~companion() {
    if (handle_) handle_.destroy();
  }

  /// Nothing runs if there was no memory for it.
  void start(io::task<> work) {
    started_ = true;
    handle_ = work.release();
    if (handle_) handle_.resume();
  }
  bool started() const noexcept { return started_; }

 private:
  std::coroutine_handle<> handle_;
  bool started_ = false;
};

/// How a stream ended.
struct stream_end {
  enum class kind : std::uint8_t { complete, client_gone, failed };
  kind what = kind::client_gone;
  std::exception_ptr why{};      // if it failed
  ending client = ending::gone;  // if the client is gone: how
};

/// Sends the body of `r`; what is in out() goes with it. `committed` once that has begun.
template <net::transport T>
io::task<stream_end> send_body(T& s, input& in, stream_response& r, body_end how,
                               const serve_options& options, net::detail::spare_connection& spare,
                               sent_bytes& sent, bool& committed) {
  using kind = stream_end::kind;
  const bool events = r.what() == stream_response::kind::events;
  bell wakes(s.ring());
  struct stopper {
    T* stream;
    bell* wakes;
  };
  stopper stopping{&s, &wakes};
  io::stop_callback on_stop(
      [](void* to) {
        static_cast<stopper*>(to)->wakes->ring();
        static_cast<stopper*>(to)->stream->cancel();  // whatever it waits for
      },
      &stopping);
  if (events) s.ring().on_stop(on_stop);
  body_sink sink(
      s.out(), sent, how, r.length().value_or(0), std::max<std::size_t>(options.limits.output, 1),
      [](void* to) noexcept { static_cast<bell*>(to)->ring(); }, &wakes);
  if constexpr (requires(T & t, io::buffer piece) { t.write(std::move(piece)); }) {
    sink.take_by([](void* to, io::buffer&& piece) { static_cast<T*>(to)->write(std::move(piece)); }, &s);
  }
  producer work = r.take_producer();
  if (!work) co_return stream_end{kind::failed, std::make_exception_ptr(std::bad_alloc())};
  work.connect(sink);
  sink.put(r.head().body());
  client_state client(wakes);
  companion watch;

  while (true) {
    wakes.silence();
    if (work.paused() && !work.done() && sink.has_room()) work.resume();
    if (work.done() && work.exception()) co_return stream_end{kind::failed, work.exception()};
    const bool stopped = events && s.ring().stopping();
    const bool over = (work.done() && !sink.taken()) || stopped;
    if (!over && spare.ended())
      co_return stream_end{.what = kind::client_gone, .client = give_up(s, spare, error{errc::canceled, 0})};
    if (sink.overrun() || (over && !sink.finish())) {
      co_return stream_end{kind::failed, std::make_exception_ptr(std::length_error(
                                             "the body of a stream has not the length that was said"))};
    }
    if (over) co_return stream_end{kind::complete};
    if (client.gone) co_return stream_end{.what = kind::client_gone, .client = client.how};
    if (sink.taken() || !s.out().empty()) {  // out() would copy what was taken
      committed = true;
      if (!in.empty()) in.keep();  // the ring's buffer is not held while the client does not read
      sink.flushing = true;
      spare.enter(net::detail::loss::request);
      const auto flushed = co_await s.flush(options.write_timeout);
      spare.leave();
      sink.flushing = false;
      sink.flushed();
      const bool canceled = events && s.ring().stopping();  // and goes on
      if (!flushed && !canceled)
        co_return stream_end{.what = kind::client_gone, .client = give_up(s, spare, flushed.error())};
      continue;
    }
    if (work.paused()) continue;  // nothing is to be flushed: now there is room
    if (!watch.started()) {
      if (!in.empty()) in.keep();  // the ring's buffer is not held through a wait
      watch.start(watch_client(s, in, client, events));
      continue;
    }
    std::chrono::nanoseconds limit = io::for_ever;
    if (events) {
      limit = options.heartbeat;
      spare.enter(net::detail::loss::request);  // its browser connects again by itself
    }
    const auto rung = co_await wakes.wait(limit);
    spare.leave();
    if (!rung && rung.error().code == errc::timed_out) sink.put(":\n\n");
  }
}

/// What the connection does after a streamed answer.
enum class after : std::uint8_t { next, close, linger };

/// The response to a request that is refused, or, with `none`, did not come in time.
inline response refusal_response(refusal why) {
  if (why == refusal::none) return status(408);
  response r = status(status_of(why));
  text_type reason(to_string(why));
  reason.push_back('\n');
  r.set_body(std::move(reason));
  return r;
}

/// Answers the request in `parser`, whose bytes are at the beginning of `in`: all of them, or the head if its
/// body is ignored or taken piece by piece. `call` makes the response; `seen` is told of it.
template <net::transport T, class Seen, class Call>
io::task<after> stream_answer(T& s, const net::connection_facts& facts, request_parser& parser, input& in,
                              const serve_options& options, Seen& seen, net::detail::spare_connection& spare,
                              Call call) {
  io::ring& ring = s.ring();
  io::pool_string kept;  // the request lives as long as the stream,
  text_type decoded;     // and so do texts of its path
  const std::span<char> bytes = in.detach(parser.consumed(), kept);
  (void)parser.parse_head(bytes);
  const request q(parser, facts.peer, facts.local, facts.syn, facts.hello);
  const bool asked_to_close = !q.keep_alive();
  if (!s.out().empty()) {        // earlier responses do not wait for this one
    if (!in.empty()) in.keep();  // the ring's buffer is not held while the client does not read
    spare.enter(net::detail::loss::request);
    const auto flushed = co_await s.flush(options.write_timeout);
    spare.leave();
    if (!flushed) {
      seen.ends(give_up(s, spare, flushed.error()));
      co_return after::close;
    }
  }

  connection_body<T> body(s, parser, in, options, spare);
  stream_response r = status(500);
  cause why = cause::failed;
#if defined(__cpp_exceptions)
  try {
#endif
    io::task<stream_response> work = call(q, body, decoded);
    r = co_await std::move(work);
    why = cause::handler;
#if defined(__cpp_exceptions)
  } catch (...) {
    if (options.on_error) options.on_error(std::current_exception(), q);
  }
#endif

  if (body.failure()) {
    const bool late = body.failure()->code == errc::timed_out;
    if (!late && body.refused_for() == refusal::none) {  // the client is gone
      seen.ends(give_up(s, spare, *body.failure()));
      co_return after::close;
    }
    if (why == cause::handler) {
      r = refusal_response(body.refused_for());
      why = late ? cause::timed_out : cause::refused;
    }
  }
  spare.leave();
  const bool whole = body.pass_over();
  bool keep_alive = why == cause::handler && whole && !asked_to_close && !ring.stopping();
  body_end how = body_end::length;
  if (r.what() != stream_response::kind::ordinary && !r.length()) {
    how = q.version_minor() == 0 ? body_end::close : body_end::chunked;
    if (how == body_end::close) keep_alive = false;
  }
  const response_framing framing{
      .head = q.method() == method::head, .keep_alive = keep_alive, .http10 = q.version_minor() == 0};
  bool answered = false;
  if (why == cause::handler && r.what() != stream_response::kind::ordinary) {
    sent_bytes sent;
    bool committed = false;
    stream_end end{.what = stream_end::kind::complete};
#if defined(__cpp_exceptions)
    try {
#endif
      write_head(s.out(), r.head(), framing, date_now(), how, r.length().value_or(0), 0);
      sent.all = s.out().size();
      if (!framing.head && !is_bodiless(r.head().status())) {
        io::task<stream_end> sending = send_body(s, in, r, how, options, spare, sent, committed);
        end = co_await std::move(sending);
      }
#if defined(__cpp_exceptions)
    } catch (...) {  // no memory
      end = {stream_end::kind::failed, std::current_exception()};
    }
#endif
    if (end.what == stream_end::kind::failed) {
      why = cause::failed;
      if (options.on_error) options.on_error(end.why, q);
    }
    if (end.what != stream_end::kind::complete) s.out().clear();
    answered = committed || why != cause::failed;  // else nobody has seen it begin
    if (answered) {
      sent.complete = end.what == stream_end::kind::complete;
      seen.answered(&q, parser, bytes, r.head(), why, sent);
      if (!sent.complete) {
        // Where the client finds the end of the body by that of the connection, only a reset says that it is
        // not the end of the body.
        if constexpr (requires { s.abort(); }) {
          if (how == body_end::close) s.abort();
        }
        seen.ends(end.what == stream_end::kind::failed ? ending::done : end.client);
        co_return after::close;
      }
    }
  }
  if (!answered) {
    if (why == cause::failed) r = status(500);
    if (why != cause::handler) {
      keep_alive = false;
      if (options.error_response) r = options.error_response(r.head(), body.refused_for(), &q);
    }
    const response_framing whole_framing{
        .head = framing.head, .keep_alive = keep_alive, .http10 = framing.http10};
    write_response(s.out(), r.head(), whole_framing, date_now());
    seen.answered(&q, parser, bytes, r.head(), whole_framing, why, s.out().size());
  }
  in.consume(0);
  if (keep_alive && !ring.stopping()) co_return after::next;
  std::chrono::nanoseconds limit = options.write_timeout;
  if (ring.stopping() && r.what() == stream_response::kind::events && limit > options.linger_timeout)
    limit = options.linger_timeout;  // a client that reads slowly does not delay the stop
  if (!in.empty()) in.keep();
  spare.enter(net::detail::loss::request);
  const auto flushed = co_await s.flush(limit);
  spare.leave();
  if (!flushed) {
    seen.ends(give_up(s, spare, flushed.error()));
    co_return after::close;
  }
  seen.ends(ending::done);
  if (asked_to_close && whole && in.empty()) co_return after::close;
  co_return after::linger;
}

}  // namespace http::detail
SYNFP_END_NAMESPACE
