// SPDX-License-Identifier: MIT
// How full a table is, how old its records are, and how sure a lookup would be of each.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <synfp/abi.h>
#include <synfp/capture/detail/bucket.hpp>
#include <synfp/capture/source.hpp>
#include <synfp/capture/table.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// What is in a table at one moment. A walk over all of it, by take(): for people and monitoring, not for
/// every connection.
struct census {
  /// Upper bounds of the ages in `by_age`, milliseconds; what is older than the last one comes behind it.
  static constexpr std::array<std::uint32_t, 15> age_bounds{1,   2,    5,    10,   20,    50,    100,   200,
                                                            500, 1000, 2000, 5000, 10000, 60000, 600000};

  std::size_t slots = 0;  ///< places for records
  std::size_t full_buckets =
      0;  ///< without an empty slot: a new key's SYN evicts a record there, or is refused
  std::size_t busy_buckets = 0;  ///< that writers kept busy; what is in them is in no other number

  // Records, each in one of these, by what a lookup would say of it.
  std::size_t verified = 0;
  std::size_t tuple = 0;
  std::size_t conflict = 0;
  std::size_t unchecked = 0;
  std::size_t unusable = 0;  ///< not whole, of an unknown link, or a write to the bucket was lost since
  std::size_t stale = 0;     ///< older than max_age

  /// Records by age, since their last copy.
  std::array<std::size_t, age_bounds.size() + 1> by_age{};
  std::uint64_t age_sum_ms = 0;
  /// How old a record gets before it is evicted: the age of the oldest one in the median of the full buckets.
  /// Empty if no bucket is full.
  std::optional<std::uint64_t> evicted_at_ms;

  std::size_t fresh() const noexcept { return verified + tuple + conflict + unchecked + unusable; }
  std::size_t records() const noexcept { return fresh() + stale; }

  /// The bound below which at least `part` of the records are; empty if there is none, or they are older than
  /// the last bound.
  std::optional<std::uint32_t> age_below_ms(double part) const noexcept {
    const double wanted = part * static_cast<double>(records());
    std::size_t sum = 0;
    for (std::size_t i = 0; i < age_bounds.size() && records() != 0; ++i) {
      sum += by_age[i];
      if (static_cast<double>(sum) >= wanted) return age_bounds[i];
    }
    return std::nullopt;
  }

  /// Counts. A few milliseconds for 4096 buckets; no system call. `now`: now_ns().
  static census take(const table& t, std::uint64_t now) {
    census all;
    all.slots = std::size_t{t.meta_.buckets} * SYNFP_WAYS;
    const std::uint64_t kernel_now = now - static_cast<std::uint64_t>(t.clock_offset_);
    std::array<synfp_slot, SYNFP_WAYS> slots;
    std::vector<std::uint64_t> oldest;  // of each full bucket
    for (std::size_t i = 0; i < t.meta_.buckets; ++i) {
      std::size_t used = 0;
      synfp_u32 lost = 0;
      const auto consistent =
          detail::read_bucket(t.buckets_[i], [&](const detail::bucket_view& seen) noexcept {
            used = 0;
            lost = seen.lost();
            for (std::size_t way = 0; way < SYNFP_WAYS; ++way) {
              if (seen.tag(way) != 0) seen.copy_slot(way, slots[used++]);
            }
          });
      if (!consistent) {
        ++all.busy_buckets;
        continue;
      }
      std::uint64_t oldest_here = 0;
      for (std::size_t k = 0; k < used; ++k)
        oldest_here = std::max(oldest_here, all.count(t, slots[k], lost, kernel_now));
      if (used != SYNFP_WAYS) continue;
      ++all.full_buckets;
      oldest.push_back(oldest_here);
    }
    if (!oldest.empty()) {
      const auto middle = oldest.begin() + static_cast<std::ptrdiff_t>(oldest.size() / 2);
      std::nth_element(oldest.begin(), middle, oldest.end());
      all.evicted_at_ms = *middle;
    }
    return all;
  }

 private:
  /// Returns the age in milliseconds.
  std::uint64_t count(const table& t, const synfp_slot& slot, synfp_u32 lost, std::uint64_t kernel_now) {
    // One that was written after `now` has no age yet.
    const std::uint64_t at = std::max(kernel_now, slot.time);
    const std::uint64_t age = (at - slot.time) / 1'000'000;
    const auto* const bound = std::upper_bound(age_bounds.begin(), age_bounds.end(), age);
    ++by_age[static_cast<std::size_t>(bound - age_bounds.begin())];
    age_sum_ms += age;
    syn_lookup found;
    miss why = t.judge(slot, at, found);
    if (why != miss::stale && slot.lost != lost) why = miss::busy;
    switch (why) {
      case miss::none: ++(found.proof == proof::verified ? verified : tuple); break;
      case miss::conflict: ++conflict; break;
      case miss::unchecked: ++unchecked; break;
      case miss::stale: ++stale; break;
      default: ++unusable; break;
    }
    return age;
  }
};

}  // namespace capture
SYNFP_END_NAMESPACE
