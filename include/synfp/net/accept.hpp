// SPDX-License-Identifier: MIT
// What accept() returns, and what looks at a batch of connections before it does.
#pragma once

#include <span>
#include <utility>

#include <synfp/endpoint.hpp>
#include <synfp/net/stream.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

/// A connection on its way from the kernel to accept(). The listener owns `fd`.
struct accepted_socket {
  int fd = -1;
  endpoint peer;
  endpoint local;
  // What a batch handler finds out about the connection goes here, and moves on to `accepted` below.
};

/// Sees every turn's new connections once, all together, before any coroutine resumes. On the ring's thread.
class batch_handler {
 public:
  virtual void on_batch(std::span<accepted_socket> batch) = 0;

 protected:
  ~batch_handler() = default;
};

/// What `co_await listener.accept()` gives.
struct accepted {
  accepted(io::ring& owner, accepted_socket&& from)
      : connection(owner, std::exchange(from.fd, -1)), peer(from.peer), local(from.local) {}

  stream connection;
  endpoint peer;
  endpoint local;
};

}  // namespace net
SYNFP_END_NAMESPACE
