// SPDX-License-Identifier: MIT
// "WATCHDOG=1" for the service manager, while every thread's ring turns.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include <synfp/io/ring.hpp>
#include <synfp/service/notify.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net::detail {

/// Collects a beat of each thread; the last one of a round tells the manager. Thread-safe.
class watchdog {
 public:
  /// `interval`: within what time the manager wants to hear; zero: not at all.
  watchdog(std::size_t threads, std::chrono::nanoseconds interval)
      : threads_(interval.count() > 0 ? threads : 0, state::awaited), interval_(interval) {}

  bool wanted() const noexcept { return !threads_.empty(); }
  /// How often a thread has to beat: a round is over within half of the interval, whatever the threads'
  /// phases.
  std::chrono::nanoseconds period() const noexcept { return interval_ / 4; }

  void beat(std::size_t thread) noexcept { becomes(thread, state::heard); }
  /// The thread has ended in order: nobody waits for it any more.
  void over(std::size_t thread) noexcept { becomes(thread, state::over); }

 private:
  enum class state : std::uint8_t { awaited, heard, over };

  void becomes(std::size_t thread, state now) noexcept {
    const std::lock_guard lock(mutex_);
    threads_[thread] = now;
    if (std::find(threads_.begin(), threads_.end(), state::awaited) != threads_.end()) return;
    service::notify("WATCHDOG=1");
    std::replace(threads_.begin(), threads_.end(), state::heard, state::awaited);
  }

  std::mutex mutex_;
  std::vector<state> threads_;
  std::chrono::nanoseconds interval_;
};

/// Beats for one thread, from the timers of its ring.
class heartbeat {
 public:
  heartbeat(watchdog& to, std::size_t thread, io::ring& ring) noexcept
      : to_(&to), thread_(thread), ring_(&ring), timeout_(&heartbeat::due, this) {
    if (to.wanted()) ring.arm(timeout_, to.period());
  }
  heartbeat(const heartbeat&) = delete;
  heartbeat& operator=(const heartbeat&) = delete;
  ~heartbeat() {
    ring_->disarm(timeout_);
    if (to_->wanted()) to_->over(thread_);
  }

 private:
  static void due(void* self) {
    auto& h = *static_cast<heartbeat*>(self);
    h.to_->beat(h.thread_);
    h.ring_->arm(h.timeout_, h.to_->period());
  }

  watchdog* to_;
  std::size_t thread_;
  io::ring* ring_;
  io::timeout timeout_;
};

}  // namespace net::detail
SYNFP_END_NAMESPACE
