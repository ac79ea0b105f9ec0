// SPDX-License-Identifier: MIT
// The server's side of a handshake: what accept() returned becomes a TLS connection with its ClientHello.
// Needs OpenSSL 3 (synfp::tls).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/detail/list.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/net/accepted.hpp>
#include <synfp/net/detail/activity.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/net/lingering_close.hpp>
#include <synfp/result.hpp>
#include <synfp/tls/detail/session.hpp>
#include <synfp/tls/hello_parser.hpp>
#include <synfp/tls/refusal.hpp>
#include <synfp/tls/server_context.hpp>
#include <synfp/tls/stream.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls {

/// A TLS connection with what is known of it: facts().syn is the SYN, facts().hello the ClientHello.
using accepted = net::basic_accepted<stream>;

namespace detail {

/// A handshake that has begun and not ended. Destroyed with the coroutine that owns it; on one thread.
class unfinished : io::detail::list_link {
 public:
  unfinished(net::stream& connection, std::size_t most) noexcept
      : spare_(&unfinished::spare, this), stop_(&unfinished::stop, this), connection_(&connection) {
    connection.ring().on_stop(stop_);
    spare_.enter();
    all_.push_back(*this);
    for (++count_; count_ > most && !displaced_;) static_cast<unfinished*>(all_.front())->displace();
  }
  unfinished(const unfinished&) = delete;
  unfinished& operator=(const unfinished&) = delete;
  ~unfinished() { leave(); }

  /// Others needed the room; a wait ends with errc::canceled.
  bool displaced() const noexcept { return displaced_; }

 private:
  void leave() noexcept {
    if (!linked()) return;
    unlink();
    --count_;
  }
  void displace() noexcept {
    leave();
    displaced_ = true;
    connection_->cancel();
  }
  static void spare(void* self) { static_cast<unfinished*>(self)->displace(); }
  static void stop(void* self) { static_cast<unfinished*>(self)->connection_->cancel(); }

  net::detail::spare_connection spare_;
  io::stop_callback stop_;
  net::stream* connection_;
  bool displaced_ = false;

  static thread_local io::detail::thread_list all_;
  static thread_local std::size_t count_;
};
inline constinit thread_local io::detail::thread_list unfinished::all_;
inline constinit thread_local std::size_t unfinished::count_ = 0;

/// Whether one more handshake may begin in this turn of the thread's ring.
class turn_share {
 public:
  static bool take(const io::ring& ring, unsigned most) noexcept {
    if (turn_ != ring.now()) {
      turn_ = ring.now();
      taken_ = 0;
    }
    if (taken_ >= (most != 0 ? most : 1)) return false;
    ++taken_;
    return true;
  }

 private:
  static thread_local io::ring::clock::time_point turn_;
  static thread_local unsigned taken_;
};
inline constinit thread_local io::ring::clock::time_point turn_share::turn_{};
inline constinit thread_local unsigned turn_share::taken_ = 0;

/// What a client is told whose bytes are no hello. Static storage.
inline std::string_view answer_to(refusal why) noexcept {
  using namespace std::string_view_literals;
  // Fatal alerts, RFC 8446 6: protocol_version, unexpected_message, record_overflow, decode_error.
  switch (why) {
    case refusal::plain_text:
      return "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 59\r\n"
             "Connection: close\r\n\r\nThis port speaks TLS. Write https:// in place of http://.\r\n"sv;
    case refusal::ssl2:
    case refusal::record_version: return "\x15\x03\x01\x00\x02\x02\x46"sv;
    case refusal::not_tls:
    case refusal::not_handshake:
    case refusal::record_interleaved:
    case refusal::not_client_hello: return "\x15\x03\x01\x00\x02\x02\x0a"sv;
    case refusal::record_too_long: return "\x15\x03\x01\x00\x02\x02\x16"sv;
    default: return "\x15\x03\x01\x00\x02\x02\x32"sv;
  }
}

/// The records of a hello that came in pieces, as one or more whole ones.
inline void append_records(io::pool_string& to, std::span<const std::uint8_t> message) {
  constexpr std::size_t largest = session::largest_record;
  while (!message.empty()) {
    const auto part = message.first(std::min(message.size(), largest));
    const char header[] = {0x16, 0x03, 0x01, static_cast<char>(part.size() >> 8),
                           static_cast<char>(part.size() & 0xff)};
    to.append(header, sizeof header);
    to.append(reinterpret_cast<const char*>(part.data()), part.size());
    message = message.subspan(part.size());
  }
}

inline std::span<const std::uint8_t> bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// What a client whose handshake has begun gets when the ring stops.
inline constexpr std::chrono::seconds last_chance(2);

/// Waits for the hello. What is in the session then: the hello, and in its pipe what OpenSSL is to read.
/// errc::invalid: it is none, and `why` says the reason.
inline io::task<result<void>> receive_hello(session& s, time_left& left, refusal& why) {
  const io::ring& ring = s.inner.ring();
  io::buffer storage = io::buffer::allocate(static_cast<std::uint32_t>(hello_parser::max_hello));
  hello_parser parser({reinterpret_cast<std::uint8_t*>(storage.data()), storage.size()});
  bool in_pieces = false;
  bool warned = false;  // the ring stops
  if (ring.stopping()) left.shorten(last_chance);
  io::buffer chunk;
  while (true) {
    auto next = co_await s.inner.read(left.now());
    if (!next) {
      if (next.error().code == errc::canceled && ring.stopping() && !warned) {
        warned = true;  // the hello may be on its way: a short time more
        left.shorten(last_chance);
        continue;
      }
      co_return next.error();
    }
    chunk = *std::move(next);
    const std::size_t before = parser.seen();
    const hello_status status = parser.look(bytes_of(chunk.view()));
    if (status == hello_status::refused) {
      why = parser.refused_for();
      co_return error{errc::invalid, 0};
    }
    if (status == hello_status::incomplete) {
      in_pieces = true;
      chunk.reset();
      continue;
    }
    if (in_pieces) {
      // Keys change after a hello, so nothing may follow it in its record: RFC 8446 5.1.
      if (parser.left_in_record() != 0) {
        why = refusal::record_interleaved;
        co_return error{errc::invalid, 0};
      }
      io::pool_string whole;
      append_records(whole, parser.message());
      whole.append(chunk.view().substr(parser.seen() - before));
      chunk = io::buffer::copy_of(whole);
    }
    const auto message = parser.message();
    s.hello_bytes = io::buffer::copy_of({reinterpret_cast<const char*>(message.data()), message.size()});
    (void)s.hello.assign(bytes_of(s.hello_bytes.view()));  // it was good above
    s.fed = chunk.size();
    s.pipe.feed(std::move(chunk));
    co_return result<void>();
  }
}

}  // namespace detail

/// Awaits the handshake on `a`, which net::listener::accept() returned: the TLS connection with what was
/// known of `a`, and its ClientHello, as it was on the wire, beside the SYN. If it fails, the connection was
/// closed, told why where TLS can say it (who sends plain HTTP gets a 400), counted, and
/// context_options::on_refused was called: errc::invalid, errc::timed_out, errc::canceled if others needed
/// the room or the ring stops, or what net::stream::read() says. `context` must outlive the connection.
inline io::task<result<accepted>> accept(net::accepted a, server_context& context) {
  using namespace detail;
  server_state& shared = context.state();
  const context_options& options = shared.options;
  net::connection_facts facts = a.facts();
  io::ring& ring = a.connection.ring();
  auto s = std::make_unique<session>(std::move(a.connection));
  time_left left(options.handshake_timeout);
  refusal no_hello = refusal::none;
  result<void> done;
  bool displaced = false;
  {
    const net::detail::activity activity;
    const unfinished place(s->inner, options.handshakes);
    if (place.displaced()) {
      done = error{errc::canceled, 0};
    } else {
      auto hello = receive_hello(*s, left, no_hello);
      done = co_await std::move(hello);
    }
    if (done) {
      // NOLINTNEXTLINE(bugprone-infinite-loop): the clock of the ring goes on with each turn
      while (!turn_share::take(ring, options.handshakes_per_turn)) co_await io::yield();
      if (place.displaced()) done = error{errc::canceled, 0};
    }
    if (done) {
      const auto certificates = shared.certificates();
      const virtual_host& host =
          certificates->choose(s->hello.server_name().value_or(std::string_view()), s->name_known);
      s->keep = certificates;
      if (s->attach(host.context.get())) {
        ::SSL_set_accept_state(s->ssl.get());
        auto handshake = s->handshake(left);
        done = co_await std::move(handshake);
        if (!done && done.error().code == errc::canceled && ring.stopping() && !place.displaced()) {
          left.shorten(last_chance);  // who has begun may end it, and ask
          auto rest = s->handshake(left);
          done = co_await std::move(rest);
        }
      } else {
        s->refused("there is no memory for a connection");
        done = error{errc::invalid, 0};
      }
    }
    displaced = place.displaced();
  }
  if (done) {
    count(shared.counts.completed);
    if (::SSL_session_reused(s->ssl.get()) == 1) count(shared.counts.resumed);
    facts.hello = &s->hello;
    co_return accepted(stream(std::move(s)), std::move(facts));
  }

  std::string why;
  if (no_hello != refusal::none) {
    count(shared.counts.no_hello);
    count(shared.refusals[static_cast<std::size_t>(no_hello)]);
    if (options.on_refused) why = to_string(no_hello);
    s->inner.out().append(answer_to(no_hello));
  } else if (done.error().code == errc::invalid) {
    count(shared.counts.refused);
    why = s->why;
  } else if (done.error().code == errc::timed_out) {
    count(shared.counts.late);
    why = "the handshake was not done in time";
  } else if (displaced) {
    count(shared.counts.displaced);
    why = "others needed the room";
  } else {
    count(shared.counts.left);
    why = "the connection ended during the handshake";
  }
  if (options.on_refused) options.on_refused(facts, why);
  if (done.error().code == errc::invalid) {  // the client is to get the alert, though it may still be sending
    net::stream rest = std::move(s->inner);
    s.reset();
    auto closing = net::lingering_close(std::move(rest), std::size_t{64} * 1024, std::chrono::seconds(1));
    co_await std::move(closing);
  }
  co_return done.error();
}

}  // namespace tls
SYNFP_END_NAMESPACE
