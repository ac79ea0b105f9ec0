// SPDX-License-Identifier: MIT
// Waiting for a descriptor of any kind.
#pragma once

#include <synfp/io/ring.hpp>
#include <synfp/io/submit.hpp>
#include <synfp/io/task.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

/// Waits until `fd` has one of `events` (POLLIN, POLLOUT, ...) and gives those that it has. The descriptor
/// stays the caller's. ring::cancel_fd(fd) ends the wait with errc::canceled; so does destroying the
/// coroutine, without a result.
inline task<result<unsigned>> poll_fd(ring& owner, int fd, unsigned events) {
  struct wanted {
    int fd;
    unsigned events;
  };
  constexpr auto prepare = [](::io_uring_sqe* sqe, wanted& w) {
    io_uring_prep_poll_add(sqe, w.fd, w.events);
  };
  const wanted these{fd, events};
  const auto done = co_await submit(owner, these, prepare);
  if (!done) co_return done.error();
  co_return static_cast<unsigned>(done->value);
}

}  // namespace io
SYNFP_END_NAMESPACE
