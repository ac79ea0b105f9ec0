// SPDX-License-Identifier: MIT
// GET /healthz for load balancers.
#pragma once

#include <atomic>

#include <synfp/http/request.hpp>
#include <synfp/http/response.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// Whether somebody should send requests here: 200, and 503 once stop() was called. Call that before
/// net::server::stop(), as early as load balancers need to notice. It must outlive its handlers.
class health {
 public:
  health() noexcept = default;
  health(const health&) = delete;
  health& operator=(const health&) = delete;

  /// From any thread, also from a signal handler.
  void stop() noexcept { stopping_.store(true, std::memory_order_relaxed); }

  /// `http::get<"/healthz">(health.page())`
  auto page() const noexcept {
    return [this](const request&) {
      const bool stopping = stopping_.load(std::memory_order_relaxed);
      response r = text(stopping ? "stopping\n" : "ok\n");
      r.set_status(stopping ? 503 : 200);
      (void)r.add_header("Cache-Control", "no-store");  // a valid field
      return r;
    };
  }

 private:
  std::atomic<bool> stopping_{false};
};

}  // namespace http
SYNFP_END_NAMESPACE
