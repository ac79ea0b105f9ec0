// SPDX-License-Identifier: MIT
// Waiting for time. io::timeout itself is in the ring's timer wheel.
#pragma once

#include <chrono>
#include <coroutine>

#include <synfp/io/ring.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

namespace detail {

class [[nodiscard]] sleep_awaiter {
 public:
  sleep_awaiter(ring& owner, ring::clock::time_point deadline) noexcept
      : ring_(&owner), deadline_(deadline), timeout_(&sleep_awaiter::expired, this) {}
  sleep_awaiter(const sleep_awaiter&) = delete;
  sleep_awaiter& operator=(const sleep_awaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    node_.handle = self;
    ring_->arm_at(timeout_, deadline_);
  }
  void await_resume() const noexcept {}

 private:
  static void expired(void* self) { run_queue::current().push(static_cast<sleep_awaiter*>(self)->node_); }

  ring* ring_;
  ring::clock::time_point deadline_;
  timeout timeout_;
  run_node node_;
};

class [[nodiscard]] stoppable_sleep_awaiter {
 public:
  stoppable_sleep_awaiter(ring& owner, ring::clock::time_point deadline) noexcept
      : ring_(&owner),
        deadline_(deadline),
        timeout_(&stoppable_sleep_awaiter::over, this),
        stop_callback_(&stoppable_sleep_awaiter::over, this) {}
  stoppable_sleep_awaiter(const stoppable_sleep_awaiter&) = delete;
  stoppable_sleep_awaiter& operator=(const stoppable_sleep_awaiter&) = delete;

  bool await_ready() const noexcept { return ring_->stopping(); }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    node_.handle = self;
    ring_->arm_at(timeout_, deadline_);
    ring_->on_stop(stop_callback_);
  }
  result<void> await_resume() const noexcept {
    if (ring_->stopping()) return error{errc::stopped, 0};
    return {};
  }

 private:
  static void over(void* self) {
    run_queue::current().push(static_cast<stoppable_sleep_awaiter*>(self)->node_);
  }

  ring* ring_;
  ring::clock::time_point deadline_;
  timeout timeout_;
  stop_callback stop_callback_;
  run_node node_;
};

}  // namespace detail

/// Resumes the caller after at least `delay`, at most 8 ms and a turn of the loop later. Destroying the
/// suspended coroutine ends the wait.
inline detail::sleep_awaiter sleep_for(ring& owner, std::chrono::nanoseconds delay) noexcept {
  return {owner, ring::after(ring::clock::now(), delay)};
}

/// The same on the ring of this thread: for handlers, which all threads share.
inline detail::sleep_awaiter sleep_for(std::chrono::nanoseconds delay) noexcept {
  return sleep_for(ring::current(), delay);
}

/// The same for work in the background, which must not hold up a stop: result<void>, errc::stopped as soon as
/// the ring stops. `while (auto slept = co_await io::sleep(ring, 1min)) { ... }` ends with it.
inline detail::stoppable_sleep_awaiter sleep(ring& owner, std::chrono::nanoseconds delay) noexcept {
  return {owner, ring::after(ring::clock::now(), delay)};
}

}  // namespace io
SYNFP_END_NAMESPACE
