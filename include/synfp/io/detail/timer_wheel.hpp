// SPDX-License-Identifier: MIT
// Timeouts of a ring: two wheels of 256 slots, 8 ms and 2 s wide. No system call and no SQE per timer.
#pragma once

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <synfp/io/detail/list.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

namespace detail {
class timer_wheel;
}

/// A timeout that its owner arms on a ring (ring::arm) again and again. Moving the deadline back or disarming
/// is one store: the entry stays where it is in the wheel and is looked at when its slot comes up. The
/// callback runs on the ring's thread between completions and resumptions; it may arm, disarm or destroy any
/// timeout. Destroying an entry disarms it.
class timeout : private detail::list_link {
 public:
  using callback = void (*)(void* context);

  timeout(callback function, void* context) noexcept : function_(function), context_(context) {}

  bool armed() const noexcept { return deadline_ != never; }

 private:
  friend class detail::timer_wheel;
  static constexpr std::uint64_t never = ~std::uint64_t{0};

  std::uint64_t deadline_ = never;  // in ticks
  std::uint64_t slot_ = 0;          // the tick at which the wheel looks at this entry
  callback function_;
  void* context_;
};

namespace detail {

class timer_wheel {
 public:
  using clock = std::chrono::steady_clock;
  using tick = std::uint64_t;
  static constexpr std::chrono::nanoseconds tick_length = std::chrono::milliseconds(8);
  static constexpr tick never = timeout::never;

  explicit timer_wheel(clock::time_point now) noexcept : epoch_(now) {}

  /// Never fires before `deadline`, at most one tick and one turn of the loop after it.
  void arm(timeout& entry, clock::time_point deadline) noexcept {
    tick t = current_ + 1;
    if (deadline > epoch_) {
      const auto since = static_cast<tick>((deadline - epoch_).count());
      const auto length = static_cast<tick>(tick_length.count());
      const tick rounded_up = since / length + (since % length != 0);
      if (rounded_up > t) t = rounded_up;
    }
    entry.deadline_ = t;
    if (entry.linked() && entry.slot_ <= t) return;
    entry.unlink();
    link(entry);
  }
  void disarm(timeout& entry) noexcept { entry.deadline_ = never; }

  /// Fires what is due.
  void advance(clock::time_point now) {
    const auto target = static_cast<tick>((now - epoch_) / tick_length);
    while (current_ < target) {
      const tick n = next();
      if (n > target) {
        current_ = target;
        return;
      }
      current_ = n;
      if (n % slots == 0) visit(coarse_, static_cast<std::size_t>(n / slots % slots));
      visit(fine_, static_cast<std::size_t>(n % slots));
    }
  }

  /// When advance() may next have something to do; time_point::max() if never.
  clock::time_point next_time() const noexcept {
    const tick n = next();
    if (n == never) return clock::time_point::max();
    return epoch_ + static_cast<std::int64_t>(n) * tick_length;
  }

 private:
  static constexpr std::size_t slots = 256;

  struct wheel {
    list slot[slots];
    std::uint64_t used[slots / 64] = {};  // a set bit may be out of date, a clear one is not

    /// Distance from slot `from` to the next used slot after it, 1 to slots; 0: none.
    std::size_t distance(std::size_t from) const noexcept {
      for (std::size_t d = 1; d <= slots;) {
        const std::size_t i = (from + d) % slots;
        const std::uint64_t word = used[i / 64] >> (i % 64);
        if (word != 0) {
          d += static_cast<std::size_t>(std::countr_zero(word));
          return d <= slots ? d : 0;
        }
        d += 64 - i % 64;
      }
      return 0;
    }
  };

  tick next() const noexcept {
    tick n = never;
    if (const std::size_t d = fine_.distance(static_cast<std::size_t>(current_ % slots)); d != 0)
      n = current_ + d;
    if (const std::size_t d = coarse_.distance(static_cast<std::size_t>(current_ / slots % slots)); d != 0) {
      const tick coarse = (current_ / slots + d) * slots;
      if (coarse < n) n = coarse;
    }
    return n;
  }

  void link(timeout& entry) noexcept {
    const tick t = entry.deadline_;
    if (t - current_ < slots) {
      entry.slot_ = t;
      put(fine_, static_cast<std::size_t>(t % slots), entry);
      return;
    }
    tick group = t / slots;
    const tick last = current_ / slots + slots - 1;
    if (group > last) group = last;  // far away: looked at once in about nine minutes
    entry.slot_ = group * slots;
    put(coarse_, static_cast<std::size_t>(group % slots), entry);
  }

  static void put(wheel& w, std::size_t i, timeout& entry) noexcept {
    w.slot[i].push_back(entry);
    w.used[i / 64] |= std::uint64_t{1} << (i % 64);
  }

  void visit(wheel& w, std::size_t i) {
    w.used[i / 64] &= ~(std::uint64_t{1} << (i % 64));
    list due;  // callbacks may take entries out of it, or put new ones into the slot
    due.splice(w.slot[i]);
    while (list_link* l = due.pop_front()) {
      timeout& entry = *static_cast<timeout*>(l);
      if (entry.deadline_ == never) continue;
      if (entry.deadline_ > current_ || &w == &coarse_) {
        link(entry);
        continue;
      }
      entry.deadline_ = never;
      entry.function_(entry.context_);
    }
  }

  clock::time_point epoch_;
  tick current_ = 0;
  wheel fine_;
  wheel coarse_;
};

}  // namespace detail
}  // namespace io
SYNFP_END_NAMESPACE
