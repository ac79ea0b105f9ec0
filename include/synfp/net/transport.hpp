// SPDX-License-Identifier: MIT
// What carries the bytes of a connection.
#pragma once

#include <chrono>
#include <concepts>
#include <type_traits>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

namespace detail {

template <class A>
decltype(auto) awaiter_of(A&& a) {
  if constexpr (requires { std::forward<A>(a).operator co_await(); }) {
    return std::forward<A>(a).operator co_await();
  } else {
    return std::forward<A>(a);
  }
}
template <class A>
using awaited = decltype(awaiter_of(std::declval<A>()).await_resume());

}  // namespace detail

/// A connection that protocols are served on: net::stream, or what looks like it (TLS over one, a test's
/// bytes in memory). Move-only or copyable, destroying it closes; used on the thread of ring(). With `t` of
/// type T:
///   t.ring()          the ring that its coroutines resume on
///   t.read(limit)     awaits bytes: result<io::buffer>, errc::closed after the last, as stream::read()
///   t.out()           the io::pool_string that the next flush sends
///   t.flush(limit)    awaits that out() is handed over: result<void>, as stream::flush()
///   t.cancel()        ends the waiting read and flush with errc::canceled
///   t.shutdown_write()  says to the peer that nothing follows: result<void>
///   t.close()         ends everything at once
///   t.write(bytes)    optional, of io::pool_string&& and io::buffer&&: sent after out(), long ones uncopied
///   t.abort()         optional: the same, and the peer can tell that what it has got is not all
template <class T>
concept transport = std::movable<T> && requires(T& t, std::chrono::nanoseconds limit) {
  { t.ring() } -> std::same_as<io::ring&>;
  { t.out() } -> std::same_as<io::pool_string&>;
  requires std::same_as<detail::awaited<decltype(t.read(limit))>, result<io::buffer>>;
  requires std::same_as<detail::awaited<decltype(t.flush(limit))>, result<void>>;
  { t.shutdown_write() } -> std::same_as<result<void>>;
  t.cancel();
  t.close();
};

}  // namespace net
SYNFP_END_NAMESPACE
