// SPDX-License-Identifier: MIT
// Closing a connection without losing what was sent last.
#pragma once

#include <chrono>
#include <cstddef>

#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/net/transport.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

/// Flushes, says that nothing follows, reads and discards until the peer closes, then closes: so the peer
/// gets the last response although it was still sending. (TCP resets a connection that is closed with unread
/// bytes, and the reset may overtake what was sent: RFC 9112 9.6.) It takes at most `limit`, and reads at
/// most about `bytes`, and ends early while descriptors are short. If the task is destroyed, the connection
/// is closed at once.
template <transport T>
io::task<> lingering_close(T connection, std::size_t bytes, std::chrono::nanoseconds limit) {
  using clock = io::ring::clock;
  const auto deadline = io::ring::after(clock::now(), limit);
  detail::spare_connection spare([](void* c) { static_cast<T*>(c)->cancel(); }, &connection);
  spare.enter();
  const auto flushed = co_await connection.flush(limit);
  if (!flushed || !connection.shutdown_write()) co_return;
  while (spare.entered()) {
    const auto left = deadline - clock::now();
    if (left <= left.zero()) co_return;
    const auto chunk = co_await connection.read(left);
    if (!chunk || chunk->size() >= bytes) co_return;
    bytes -= chunk->size();
  }
}

}  // namespace net
SYNFP_END_NAMESPACE
