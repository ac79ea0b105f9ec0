// SPDX-License-Identifier: MIT
// What looks at new connections, a batch at a time, before accept() gives them out.
#pragma once

#include <cstdint>
#include <span>

#include <synfp/capture/source.hpp>
#include <synfp/net/connection_facts.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

/// A connection on its way from the kernel to accept(). The listener owns `fd`.
struct accepted_socket : connection_facts {
  const connection_facts& facts() const noexcept { return *this; }

  int fd = -1;
};

/// Sees every turn's new connections once, all together, before any coroutine resumes. On the ring's thread.
class batch_handler {
 public:
  virtual void on_batch(std::span<accepted_socket> batch) = 0;

 protected:
  ~batch_handler() = default;
};

/// Claims the SYNs of a batch with one reading of the clock. The source must outlive it.
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

}  // namespace net
SYNFP_END_NAMESPACE
