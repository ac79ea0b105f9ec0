// SPDX-License-Identifier: MIT
// Follows a table: every SYN that a probe stores, soon after it came.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <synfp/abi.h>
#include <synfp/capture/detail/bucket.hpp>
#include <synfp/capture/detail/slot.hpp>
#include <synfp/capture/source.hpp>
#include <synfp/capture/table.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// Walks over a table and gives each SYN once. It remembers the last record of every slot (16 bytes each, an
/// eighth of the table's size) and nothing else.
///
/// Belongs to one thread at a time; other threads and processes may use the table meanwhile. A walk takes a
/// bounded number of steps and no system call. While nothing new is stored it reads the counters only; then
/// of buckets without news one word each.
///
/// What comes faster than it is walked is overwritten unseen, and counted: missed(). What the probe did not
/// store (a full bucket, a malformed header, a second SYN of the same connection) is in the table's counters.
class scanner {
 public:
  enum class from : std::uint8_t {
    now,       ///< SYNs that come from now on
    beginning  ///< also what is in the table
  };

  /// A walk stops at the first bucket after so many records, so it may give 14 more.
  static constexpr std::size_t batch = 16384;

  /// `t` must outlive it.
  explicit scanner(const table& t, from start = from::now)
      : table_(t),
        sequence_(t.meta_.buckets),
        seen_(std::size_t{t.meta_.buckets} * SYNFP_WAYS),
        since_(start == from::now ? now_ns() - static_cast<std::uint64_t>(t.clock_offset_) : 0),
        base_(start == from::now ? written() : 0) {}

  /// The SYNs that were stored since the last walk, in the order of their arrival; valid until the next walk.
  /// A copy of a SYN that was given (a retransmission, up to 70 s after the one before) is not given again. A
  /// bucket that writers keep busy, and what is beyond `batch`, is left to the next walk: more().
  std::span<const syn_record> walk() {
    found_.clear();
    if (next_ == 0) {
      // Read before the buckets are: a record is counted after it was published.
      const std::uint64_t now = written();
      if (walked_ && now == written_ && busy_ == 0) return {};
      written_ = now;
      busy_ = 0;
    }
    while (next_ < sequence_.size() && found_.size() < batch) visit(next_++);
    if (next_ == sequence_.size()) {
      next_ = 0;
      walked_ = true;
      if (busy_ == 0 && written_ - base_ > accounted_)
        missed_ = std::max(missed_, written_ - base_ - accounted_);
    }
    std::sort(found_.begin(), found_.end(), [](const syn_record& a, const syn_record& b) {
      return a.arrived().time_ns < b.arrived().time_ns;
    });
    return found_;
  }

  /// True if the last walk left something to the next one.
  bool more() const noexcept { return next_ != 0 || busy_ != 0; }

  /// Records that the probe stored and that no walk found any more. As of the last walk that left nothing;
  /// exact when the probe was idle meanwhile, else it may lag behind by what is being written, one record per
  /// CPU.
  std::uint64_t missed() const noexcept { return missed_; }

 private:
  /// What tells one record of a slot from the next.
  struct identity {
    std::uint64_t ports_isn = 0;  // the first 8 bytes of the TCP header
    std::uint32_t tag = 0;        // of the whole key
    std::uint32_t time32 = 0;     // of its insertion
    friend bool operator==(const identity&, const identity&) = default;
  };
  /// Linux sends a SYN again after at most 64 s.
  static constexpr std::uint32_t copy_within = std::uint32_t{70'000'000'000 >> SYNFP_TIME_SHIFT};

  std::uint64_t written() const noexcept {
    const auto c = table_.counters();
    return c[SYNFP_COUNT_STORED] + c[SYNFP_COUNT_REPLACED];
  }

  void visit(std::size_t index) {
    const synfp_bucket& bucket = table_.buckets_[index];
    if (detail::bucket_sequence(bucket) == sequence_[index]) return;
    identity* const before = &seen_[index * SYNFP_WAYS];
    std::size_t changed = 0;
    const auto sequence = detail::read_bucket(bucket, [&](const detail::bucket_view& seen) noexcept {
      changed = 0;
      for (std::uint8_t way = 0; way < SYNFP_WAYS; ++way) {
        news& n = news_[changed];
        n.now = {.ports_isn = seen.ports_isn(way), .tag = seen.tag(way), .time32 = seen.time32(way)};
        if (n.now.tag == 0 || n.now == before[way]) continue;
        seen.copy_slot(way, n.slot);
        n.way = way;
        ++changed;
      }
    });
    if (!sequence) {
      ++busy_;
      return;
    }
    sequence_[index] = *sequence;
    for (const news& n : std::span(news_).first(changed)) {
      note(n.slot, n.now, before[n.way]);
      before[n.way] = n.now;
    }
  }

  void note(const synfp_slot& slot, const identity& now, const identity& before) {
    if (now.tag == before.tag && now.ports_isn == before.ports_isn &&
        now.time32 - before.time32 <= copy_within) {
      ++accounted_;
      return;
    }
    // When it was inserted: the slot's time is that of the last copy.
    const std::uint64_t last = slot.time >> SYNFP_TIME_SHIFT;
    const auto age = static_cast<std::int32_t>(static_cast<synfp_u32>(last) - now.time32);
    const std::uint64_t inserted = last - static_cast<std::uint64_t>(static_cast<std::int64_t>(age));
    const std::uint64_t since = since_ >> SYNFP_TIME_SHIFT;
    if (inserted < since || (inserted == since && slot.time < since_)) return;
    syn_record record;
    if (!detail::to_record(slot, table_.clock_offset_, record)) return;
    found_.push_back(record);
    ++accounted_;
  }

  struct news {
    synfp_slot slot;
    identity now;
    std::uint8_t way;
  };

  const table& table_;
  std::vector<synfp_u32> sequence_;
  std::vector<identity> seen_;
  std::vector<syn_record> found_;
  std::array<news, SYNFP_WAYS> news_{};
  std::uint64_t since_;  // kernel's clock, read before base_
  std::uint64_t base_;
  std::uint64_t written_ = 0;
  std::uint64_t accounted_ = 0;
  std::uint64_t missed_ = 0;
  std::size_t next_ = 0;
  std::size_t busy_ = 0;
  bool walked_ = false;
};

}  // namespace capture
SYNFP_END_NAMESPACE
