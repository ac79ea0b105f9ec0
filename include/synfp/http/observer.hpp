// SPDX-License-Identifier: MIT
// Sees every response of serve(): for logs and metrics.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <string_view>
#include <tuple>

#include <synfp/http/method.hpp>
#include <synfp/http/refusal.hpp>
#include <synfp/http/request.hpp>
#include <synfp/net/connection_facts.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// What a response comes from.
enum class cause : std::uint8_t {
  handler,    ///< a handler returned it
  routes,     ///< no handler for it: 404, 405, 501, or 204 to OPTIONS
  refused,    ///< the request is malformed or too large: exchange::refused_for
  timed_out,  ///< the request did not arrive in time: 408
  no_room,    ///< other bodies needed the memory: 503, see limits::ring_bodies
  failed,     ///< the handler threw, or the producer of its stream: 500, or the stream was cut
};

/// One word for logs and labels, static storage.
constexpr std::string_view to_string(cause c) noexcept {
  switch (c) {
    case cause::handler: return "handler";
    case cause::routes: return "routes";
    case cause::refused: return "refused";
    case cause::timed_out: return "timed_out";
    case cause::no_room: return "no_room";
    case cause::failed: return "failed";
  }
  return "unknown";
}

/// Why a connection has ended.
enum class ending : std::uint8_t {
  done,      ///< after its last response: one that was asked to be, a refusal, or an end for another `cause`
  gone,      ///< the client closed it or reset it
  idle,      ///< no request in serve_options::idle_timeout
  not_read,  ///< the client did not take what was sent: serve_options::write_timeout, io::limits::output
  spared,    ///< descriptors were short
  stopped,   ///< the ring stops, or the coroutine was destroyed
};

/// One word for logs and labels, static storage.
constexpr std::string_view to_string(ending e) noexcept {
  switch (e) {
    case ending::done: return "done";
    case ending::gone: return "gone";
    case ending::idle: return "idle";
    case ending::not_read: return "not_read";
    case ending::spared: return "spared";
    case ending::stopped: return "stopped";
  }
  return "unknown";
}

/// A request and the response to it. Valid during the call that gets it.
struct exchange {
  const net::connection_facts& connection;
  /// Null if the head of the request is not known to be valid: it was refused, had not arrived, or is gone.
  const http::request* request = nullptr;
  /// The first line as received, or as much as has arrived of it: without its line end, otherwise with
  /// whatever bytes the client sent. Empty if it is gone (cause::no_room).
  std::string_view request_line{};
  http::method method = http::method::other;  ///< `other` also if it is not known
  int status = 0;
  http::cause cause = http::cause::handler;
  refusal refused_for = refusal::none;
  std::uint64_t bytes = 0;       ///< of the response, from its status line on
  std::uint64_t body_bytes = 0;  ///< of these, its body's
  /// False: the body of a stream was cut, since the client left or did not read, or its producer failed.
  bool complete = true;
  /// From the first byte of the request to the response's last one, handed to the connection. How long TCP
  /// and the client take for it is not in it.
  std::chrono::nanoseconds duration{};
};

/// What serve() tells about its connections and responses. With `o` of type O:
///   o.answered(exchange)   after each response, also those that no handler made
///   o.opened(facts)        optional: a connection is served from now on
///   o.closed(facts, why)   or o.closed(facts), optional: it is not any more. Always after opened()
/// All of them noexcept. Threads that serve call them at once on the same object, each for its own
/// connections, and wait until they return: an observer must not block.
template <class O>
concept observer = requires(O& o, const exchange& e) {
  { o.answered(e) }
  noexcept;
};

/// Sees nothing, costs nothing: the default.
struct no_observer {
  static void answered(const exchange&) noexcept {}
};
inline constexpr no_observer unobserved{};

/// Several observers as one: `http::observers all(log, metrics);`. They must outlive it.
template <observer... O>
class observers {
 public:
  explicit observers(O&... each) noexcept : each_(each...) {}

  void answered(const exchange& e) noexcept {
    std::apply([&e](O&... o) { (o.answered(e), ...); }, each_);
  }
  void opened(const net::connection_facts& facts) noexcept {
    const auto tell = [&facts](auto& o) {
      if constexpr (requires { o.opened(facts); }) o.opened(facts);
    };
    std::apply([&tell](O&... o) { (tell(o), ...); }, each_);
  }
  void closed(const net::connection_facts& facts, ending why) noexcept {
    const auto tell = [&facts, why](auto& o) {
      if constexpr (requires { o.closed(facts, why); }) {
        o.closed(facts, why);
      } else if constexpr (requires { o.closed(facts); }) {
        o.closed(facts);
      }
    };
    std::apply([&tell](O&... o) { (tell(o), ...); }, each_);
  }

 private:
  std::tuple<O&...> each_;
};

}  // namespace http
SYNFP_END_NAMESPACE
