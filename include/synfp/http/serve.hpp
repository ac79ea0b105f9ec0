// SPDX-License-Identifier: MIT
// Serves HTTP/1.1 on one connection.
#pragma once

#include <utility>

#include <synfp/http/bodies.hpp>
#include <synfp/http/detail/connection.hpp>
#include <synfp/http/observer.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve_options.hpp>
#include <synfp/io/task.hpp>
#include <synfp/net/accepted.hpp>
#include <synfp/net/connection_facts.hpp>
#include <synfp/net/lingering_close.hpp>
#include <synfp/net/transport.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// Serves HTTP/1.1 (RFC 9112) on `connection` until either side closes it. `facts` is what the handlers see
/// of it. For what accept() gives: spawn(http::serve(std::move(*a), routes)). Responses go out in the order
/// of the requests, those of pipelined requests together. A request is parsed where it was received if it
/// fits into one buffer of the ring. A body is read, and "100 Continue" sent, only if there is a route that
/// takes it: see routes::takes_body(); see body_reader for a handler that takes it piece by piece, and
/// `chunks` and `events` for one whose response is sent while it is produced. Closes after: a request that
/// asks for it, a malformed one (4xx or 5xx as `refusal` says), one whose body was not read and had not
/// arrived, a body for which there is no room (503, see limits::ring_bodies), a timeout, an exception of a
/// handler (500), a stream that was cut, and, when the ring stops, as soon as the current request is
/// answered. `watch` is told of every response: see observer. It and `all` must outlive the connection: keep
/// them where run() is called.
template <net::transport T, class... Routes, observer O = const no_observer>
io::task<> serve(T connection, net::connection_facts facts, const routes<Routes...>& all,
                 serve_options options = {}, O& watch = unobserved) {
  const bool linger = co_await detail::serve_requests(connection, facts, all, options, watch);
  if (!linger) co_return;
  co_await net::lingering_close(std::move(connection), options.linger_bytes, options.linger_timeout);
}
template <net::transport T, class... Routes, observer O = const no_observer>
io::task<> serve(T connection, net::connection_facts facts, const routes<Routes...>&& all,
                 serve_options options = {}, O& watch = unobserved) = delete;

/// The same for what accept() gives.
template <net::transport T, class... Routes, observer O = const no_observer>
io::task<> serve(net::basic_accepted<T> a, const routes<Routes...>& all, serve_options options = {},
                 O& watch = unobserved) {
  return serve(std::move(a.connection), a.facts(), all, std::move(options), watch);
}
template <net::transport T, class... Routes, observer O = const no_observer>
io::task<> serve(net::basic_accepted<T> a, const routes<Routes...>&& all, serve_options options = {},
                 O& watch = unobserved) = delete;

/// The same for what `accepting` will give, as tls::accept() does: a connection that is not ready to be
/// served yet. If that fails there is nothing to serve.
template <net::transport T, class... Routes, observer O = const no_observer>
io::task<> serve(io::task<result<net::basic_accepted<T>>> accepting, const routes<Routes...>& all,
                 serve_options options = {}, O& watch = unobserved) {
  // NOLINTNEXTLINE(bugprone-use-after-move): clang-tidy 14 takes the move into the frame for one of `options`
  auto accepted = co_await std::move(accepting);
  accepting = {};  // its frame
  if (!accepted) co_return;
  auto work = serve(*std::move(accepted), all, std::move(options), watch);
  co_await std::move(work);
}
template <net::transport T, class... Routes, observer O = const no_observer>
io::task<> serve(io::task<result<net::basic_accepted<T>>> accepting, const routes<Routes...>&& all,
                 serve_options options = {}, O& watch = unobserved) = delete;

}  // namespace http
SYNFP_END_NAMESPACE
