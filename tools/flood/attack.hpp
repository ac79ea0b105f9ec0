// SPDX-License-Identifier: MIT
// A SYN flood for tests, benchmarks and `synfp flood`: real frames into a real TCP stack, without a wire and
// without a way out. network.hpp says where it happens, sender.hpp what it sends and how, this how much and
// how fast. Needs root and Linux 5.18.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "network.hpp"
#include "sender.hpp"

namespace flood {

/// How much. Without `rate`, as fast as the machine goes; one of `count` and `duration` is not 0.
struct limits {
  static constexpr double max_duration = 3600;
  static constexpr std::uint64_t max_count = 1'000'000'000'000;

  double rate = 0;          ///< SYNs per second, over all threads
  std::uint64_t count = 0;  ///< SYNs
  double duration = 0;      ///< seconds
  unsigned threads = 1;
};

/// A flood that runs, on threads of its own, until its limit, stop(), or its end.
class attack {
 public:
  /// Throws if the limits are none or too high, or the flood cannot start.
  attack(const network& where, const options& what, const limits& how) : how_(how) {
    if (how.count == 0 && !(how.duration > 0))
      throw failure("a flood needs an end: name a count or a duration");
    if (how.count > limits::max_count || how.duration > limits::max_duration)
      throw failure("a flood ends after an hour and 10^12 SYNs at most");
    if (!(how.rate >= 0) || !(how.duration >= 0))
      throw failure("a rate and a duration are numbers from 0 on");
    if (how.threads == 0 || how.threads > 64) throw failure("a flood has 1 to 64 threads");
    std::vector<std::unique_ptr<sender>> senders;
    where.inside([&] {
      for (unsigned i = 0; i < how.threads; ++i)
        senders.push_back(std::make_unique<sender>(where, what, i, how.threads));
    });
    began_ = clock::now();
    try {
      for (unsigned i = 0; i < how.threads; ++i)
        threads_.emplace_back([this, &where, i, s = std::move(senders[i])] { run(where, *s, i); });
    } catch (...) {
      stop();
      join();
      throw failure("cannot start " + std::to_string(how.threads) + " threads; use fewer");
    }
  }
  attack(const attack&) = delete;
  attack& operator=(const attack&) = delete;
  ~attack() {
    stop();
    join();
  }

  /// Ends it soon. Thread-safe and allowed in a signal handler.
  void stop() noexcept { stopped_.store(true, std::memory_order_relaxed); }
  bool running() const noexcept { return ended_.load(std::memory_order_acquire) != how_.threads; }
  std::uint64_t sent() const noexcept { return sent_.load(std::memory_order_relaxed); }
  /// Waits for the end; throws what ended a thread early.
  void wait() {
    join();
    if (why_) std::rethrow_exception(std::exchange(why_, nullptr));
  }
  /// From the first to the last SYN, after wait().
  double seconds() const {
    return std::chrono::duration<double>(clock::duration(last_.load()) - began_.time_since_epoch()).count();
  }

 private:
  using clock = std::chrono::steady_clock;

  void join() {
    for (std::thread& t : threads_) {
      if (t.joinable()) t.join();
    }
  }
  void run(const network& where, sender& s, unsigned index) noexcept {
    try {
      where.enter();
      pace(s, index);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!why_) why_ = std::current_exception();
    }
    const auto now = clock::now().time_since_epoch().count();
    for (auto before = last_.load(); before < now && !last_.compare_exchange_weak(before, now);) {
    }
    ended_.fetch_add(1, std::memory_order_release);
  }
  // A token bucket: what the time allows minus what was sent, a millisecond's worth at a time. What a stalled
  // machine made it miss by more than 50 ms is not made up for.
  void pace(sender& s, unsigned index) {
    const double rate = how_.rate / how_.threads;
    const std::uint64_t count = how_.count / how_.threads + (index < how_.count % how_.threads ? 1 : 0);
    const auto end = began_ + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(
                                  how_.duration > 0 ? how_.duration : limits::max_duration));
    if (how_.count != 0 && count == 0) return;
    double allowed = 0;
    auto then = began_;
    while (!stopped_.load(std::memory_order_relaxed)) {
      const auto now = clock::now();
      if (now >= end) break;
      std::uint64_t wanted = full_speed;
      if (rate > 0) {
        allowed = std::min(allowed + rate * std::chrono::duration<double>(now - then).count(),
                           std::max(1.0, rate * 0.05));
        then = now;
        const double turn = std::max(1.0, rate * 0.001);
        if (allowed < turn) {
          const std::chrono::duration<double> pause((turn - allowed) / rate);
          std::this_thread::sleep_until(
              std::min(end, now + std::chrono::duration_cast<clock::duration>(pause)));
          continue;
        }
        wanted = std::min<std::uint64_t>(static_cast<std::uint64_t>(allowed), full_speed);
      }
      if (how_.count != 0) wanted = std::min(wanted, count - s.sent());
      const std::uint64_t n = s.send(static_cast<std::uint32_t>(wanted));
      allowed -= static_cast<double>(n);
      sent_.fetch_add(n, std::memory_order_relaxed);
      if (how_.count != 0 && s.sent() == count) break;
    }
  }

  static constexpr std::uint64_t full_speed = 4096;  // frames per system call: 10 ms and more

  const limits how_;
  clock::time_point began_;
  std::atomic<bool> stopped_{false};
  std::atomic<unsigned> ended_{0};
  std::atomic<std::uint64_t> sent_{0};
  std::atomic<clock::rep> last_{0};
  std::mutex mutex_;
  std::exception_ptr why_;
  std::vector<std::thread> threads_;
};
}  // namespace flood
