// SPDX-License-Identifier: MIT
// What accept() returns, and what looks at a batch of connections before it does.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include <synfp/capture/lookup.hpp>
#include <synfp/capture/source.hpp>
#include <synfp/endpoint.hpp>
#include <synfp/net/stream.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

/// A connection on its way from the kernel to accept(). The listener owns `fd`.
struct accepted_socket {
  int fd = -1;
  endpoint peer;
  endpoint local;
  syn_lookup syn{};
};

/// Sees every turn's new connections once, all together, before any coroutine resumes. On the ring's thread.
class batch_handler {
 public:
  virtual void on_batch(std::span<accepted_socket> batch) = 0;

 protected:
  ~batch_handler() = default;
};

/// Looks up the SYNs of a batch with one reading of the clock. The source must outlive it.
template <capture::source Source>
class lookup_handler final : public batch_handler {
 public:
  explicit lookup_handler(Source& source) noexcept : source_(&source) {}
  void on_batch(std::span<accepted_socket> batch) override {
    const std::uint64_t now = capture::now_ns();
    for (accepted_socket& a : batch) a.syn = source_->claim({a.fd, a.peer, a.local}, now);
  }

 private:
  Source* source_;
};

/// What `co_await listener.accept()` gives.
struct accepted {
  accepted(io::ring& owner, accepted_socket&& from)
      : connection(owner, std::exchange(from.fd, -1)), peer(from.peer), local(from.local), syn(from.syn) {}
  accepted(io::ring& owner, accepted_socket&& from, detail::stream_memory& memory) noexcept
      : connection(owner, std::exchange(from.fd, -1), memory),
        peer(from.peer),
        local(from.local),
        syn(from.syn) {}

  stream connection;
  endpoint peer;
  endpoint local;
  syn_lookup syn;  ///< the SYN that opened it, or why there is none
};

}  // namespace net
SYNFP_END_NAMESPACE
