// SPDX-License-Identifier: MIT
// What the connections of a thread are doing, for who asks what a stop waits for.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net::detail {

enum class doing : std::uint8_t { waiting, reading_head, reading_body, answering };

/// Written by their thread alone, read by any: so a store is enough.
using activity_counts = std::array<std::atomic<std::uint32_t>, 4>;
inline constinit thread_local activity_counts activities{};

/// One connection; a member of what serves it.
class activity {
 public:
  activity() noexcept { change(now_, 1); }
  activity(const activity&) = delete;
  activity& operator=(const activity&) = delete;
  ~activity() { change(now_, static_cast<std::uint32_t>(-1)); }

  void is(doing what) noexcept {
    if (what == now_) return;
    change(now_, static_cast<std::uint32_t>(-1));
    change(what, 1);
    now_ = what;
  }

 private:
  static void change(doing what, std::uint32_t by) noexcept {
    auto& count = activities[static_cast<std::size_t>(what)];
    count.store(count.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  doing now_ = doing::waiting;
};

}  // namespace net::detail
SYNFP_END_NAMESPACE
