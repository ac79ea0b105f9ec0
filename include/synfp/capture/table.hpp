// SPDX-License-Identifier: MIT
// The table that a probe writes, from the reader's side: a read-only mapping. No libbpf, no system call per
// lookup.
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <synfp/abi.h>
#include <synfp/capture/detail/bucket.hpp>
#include <synfp/capture/detail/hook_traits.hpp>
#include <synfp/capture/detail/mapping.hpp>
#include <synfp/capture/detail/netns_cookie.hpp>
#include <synfp/capture/detail/pins.hpp>
#include <synfp/capture/detail/slot.hpp>
#include <synfp/capture/detail/time_namespace.hpp>
#include <synfp/capture/lookup.hpp>
#include <synfp/capture/source.hpp>
#include <synfp/layout.hpp>
#include <synfp/setup_error.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// The maps of a probe. Plain numbers: a table does not close them.
struct table_fds {
  int table = -1;
  int meta = -1;
  int counts = -1;
  int pulse = -1;  ///< if a daemon keeps the probe
};

/// Finds records in a table that a probe writes. A source. It maps the table: the fds may be closed after
/// attach(), and the probe may end before this object, whose records then grow stale. find() and claim() are
/// thread-safe and wait-free: a bounded number of steps, no lock, no allocation, no system call. Move it only
/// while no other thread uses it.
class table {
 public:
  /// Maps the table and refuses one that this build does not agree with, with the reason.
  static setup_result<table> attach(const table_fds& fds) {
    table t;
    auto meta = detail::mapping::open(fds.meta, sizeof(synfp_meta), "metadata");
    if (!meta) return std::move(meta).error();
    std::memcpy(&t.meta_, meta->data(), sizeof t.meta_);
    if (t.meta_.magic != SYNFP_ABI_MAGIC)
      return refuse("these maps are not a synfp table; pass the fds of a synfp probe");
    if (t.meta_.abi != SYNFP_ABI_VERSION || t.meta_.layout != synfp::detail::layout::hash())
      return refuse("the table was made by another version of synfp (ABI " + std::to_string(t.meta_.abi) +
                    ", this is " + std::to_string(SYNFP_ABI_VERSION) +
                    "); build probe and server from the same version");
    if (t.meta_.buckets == 0 || (t.meta_.buckets & (t.meta_.buckets - 1)) != 0 || t.meta_.cpus == 0)
      return refuse("the metadata of the table is damaged; start the probe again");
    auto buckets =
        detail::mapping::open(fds.table, std::size_t{t.meta_.buckets} * sizeof(synfp_bucket), "table");
    if (!buckets) return std::move(buckets).error();
    auto counts =
        detail::mapping::open(fds.counts, std::size_t{t.meta_.cpus} * sizeof(synfp_counters), "counters");
    if (!counts) return std::move(counts).error();
    t.buckets_map_ = *std::move(buckets);
    t.counts_map_ = *std::move(counts);
    t.buckets_ = static_cast<const synfp_bucket*>(t.buckets_map_.data());
    t.counts_ = static_cast<const synfp_counters*>(t.counts_map_.data());
    if (fds.pulse >= 0) {
      auto pulse = detail::mapping::open(fds.pulse, sizeof(synfp_pulse), "pulse");
      if (!pulse) return std::move(pulse).error();
      t.pulse_map_ = *std::move(pulse);
      t.pulse_ = static_cast<const synfp_pulse*>(t.pulse_map_.data());
    }
    const std::optional<std::int64_t> offset = detail::time_namespace_offset();
    if (!offset)
      return setup_error{
          errc::system, errno,
          "no file descriptor left to read this process's clock offset; raise the limit (ulimit "
          "-n, LimitNOFILE=)"};
    t.clock_offset_ = *offset;
    if (synfp_facts_of(t.meta_.hook).namespaces != 0) {
      auto netns = detail::network_namespace_cookie();
      if (!netns) return std::move(netns).error();
      t.netns_ = *netns;
    }
    t.watch_ = std::make_unique<watch>();
    t.claimed_ = std::make_unique<marks[]>(t.meta_.buckets);
    return t;
  }

  /// attach() to what a probe has pinned in `directory` (probe::pin(), synfpd), or to what the daemon hands
  /// over that listens at the Unix socket `directory`, which needs no bpffs and no bpf(). Needs no privilege
  /// but the permission to open the pins, see pin_options. If another probe pins there later, this table
  /// stays with the first one. The pins of a process that was killed can be opened too; nobody writes new
  /// records there, and the old ones grow stale.
  static setup_result<table> open(const std::string& directory) {
    auto pins = detail::open_pins(directory, false);
    if (!pins) return std::move(pins).error();
    auto t = attach({pins->table.get(), pins->meta.get(), pins->counts.get(), pins->pulse.get()});
    if (!t) return setup_error{t.error().code, t.error().os, directory + ": " + t.error().message};
    return t;
  }

  /// The key of a connection in this table.
  synfp_key key_of(const endpoint& peer, const endpoint& local) const noexcept {
    const bool zoned = synfp_facts_of(meta_.hook).interface != 0;
    return synfp_make_key(synfp_address6(peer.address().data(), SYNFP_LITTLE),
                          synfp_address6(local.address().data(), SYNFP_LITTLE),
                          synfp_net16(peer.port(), SYNFP_LITTLE), synfp_net16(local.port(), SYNFP_LITTLE),
                          zoned ? peer.scope() : 0, meta_.scope, SYNFP_LITTLE);
  }

  /// The record of `key`, or why there is none. `now`: now_ns(). A record is returned only if the whole key
  /// matched in one consistent snapshot, no write to its bucket was lost since, no other SYN contradicts it,
  /// and it is younger than max_age.
  syn_lookup find(const synfp_key& key, std::uint64_t now) const noexcept {
    syn_lookup answer;  // filled in place: it is copied nowhere
    std::size_t slot = 0;
    answer.miss = look_up(key, now, answer, slot);
    return answer;
  }

  syn_lookup find(const connection& c, std::uint64_t now) const noexcept {
    return find(key_of(c.peer, c.local), now);
  }

  /// find() for a connection that was just accepted; call it once for each. A SYN opens one connection, so a
  /// record that this object has given to one is not given to another: a later connection from the same port,
  /// whose own SYN was not captured, would else get the SYN of the earlier one.
  syn_lookup claim(const connection& c, std::uint64_t now) const noexcept {
    syn_lookup answer;
    std::size_t slot = 0;
    answer.miss = look_up(key_of(c.peer, c.local), now, answer, slot);
    if (answer.miss != miss::none) return answer;
    // Two SYNs that follow each other in a slot have the same mark once in 2^32 times; that costs a miss.
    const tcp_view tcp = answer->tcp();
    const std::uint32_t mixed = tcp.sequence() ^ tcp.source_port() * 0x9e3779b1U;
    const std::uint32_t mark = mixed != 0 ? mixed : 1;  // 0: none was given
    auto& last = claimed_[slot / SYNFP_WAYS].of[slot % SYNFP_WAYS];
    if (last.exchange(mark, std::memory_order_relaxed) == mark) return syn_lookup::missed(miss::claimed);
    return answer;
  }

  /// As a source: the table of a probe that someone else attached.
  setup_result<void> prepare(int, bool) { return {}; }

  /// A daemon kept the probe, and does no longer, or the probe is not attached any more: what it has written
  /// is believed as long as it is young, but that nothing is there says nothing. Thread-safe.
  bool abandoned(std::uint64_t now) const noexcept {
    if (pulse_ == nullptr) return false;
    const std::uint64_t beat = __atomic_load_n(&pulse_->time, __ATOMIC_RELAXED);
    const std::uint64_t patience = std::uint64_t{pulse_->interval_ms} * 5'000'000;
    return static_cast<std::int64_t>(now - static_cast<std::uint64_t>(clock_offset_) - beat) >
           static_cast<std::int64_t>(patience);
  }

  /// The number of the daemon that keeps the probe, or that last did, in its own process namespace; 0: none.
  synfp_u32 keeper() const noexcept {
    return pulse_ == nullptr ? 0 : __atomic_load_n(&pulse_->process, __ATOMIC_RELAXED);
  }

  /// True while connections arrive and the probe does not run, because another program took its place on the
  /// listen group, or it was detached. Found out by lookups; false again once the probe runs.
  bool displaced() const noexcept {
    return watch_->misses.load(std::memory_order_relaxed) >= silence &&
           watch_->runs.load(std::memory_order_relaxed) == runs();
  }

  /// How often each `synfp_counter` was counted, over all CPUs.
  std::array<std::uint64_t, SYNFP_COUNTERS> counters() const noexcept {
    std::array<std::uint64_t, SYNFP_COUNTERS> sum{};
    for (unsigned cpu = 0; cpu < meta_.cpus; ++cpu) {
      for (unsigned i = 0; i < sum.size(); ++i) sum[i] += count(cpu, i);
    }
    return sum;
  }

  const synfp_meta& meta() const noexcept { return meta_; }

 private:
  friend class scanner;
  friend struct census;

  static constexpr int no_slot = -2;  // below every rank
  /// Lookups in a row that found nothing while the probe did not run.
  static constexpr std::uint32_t silence = 8;

  struct watch {
    std::atomic<std::uint64_t> runs{0};
    std::atomic<std::uint32_t> misses{0};
  };

  table() = default;

  static setup_error refuse(std::string why) { return {errc::incompatible, 0, std::move(why)}; }

  /// A slot of a key, as it was in one consistent snapshot.
  struct candidate {
    synfp_slot slot;
    std::size_t place;  // the number of the slot in the table
    int rank;
  };

  // How much a slot of the right key is worth: at most one of a key's slots has a rank above 0. The writer
  // keeps it so, see bpf/table.bpf.h.
  int rank(const synfp_slot& slot, std::uint64_t kernel_now) const noexcept {
    if (!fresh(slot, kernel_now)) return -1;
    if ((slot.flags & SYNFP_PROVEN) != 0) return 2;
    return (slot.flags & (SYNFP_CONFLICT | SYNFP_UNCHECKED)) == 0 ? 1 : 0;
  }
  bool fresh(const synfp_slot& slot, std::uint64_t kernel_now) const noexcept {
    const auto age = static_cast<std::int64_t>(kernel_now - slot.time);
    return age >= 0 && static_cast<std::uint64_t>(age) <= meta_.max_age_ns;
  }

  /// `place`: the number of the record's slot in the table.
  miss look_up(const synfp_key& key, std::uint64_t now, syn_lookup& answer,
               std::size_t& place) const noexcept {
    const synfp_u64 hash = synfp_hash(&key, meta_.secret[0] ^ netns_, meta_.secret[1], SYNFP_LITTLE);
    const synfp_u32 index = synfp_bucket_of(hash, meta_.buckets - 1);
    const synfp_bucket& bucket = buckets_[index];
    // For claim(); else its cache miss would begin only after those of bucket and slot.
    __builtin_prefetch(&claimed_[index], 1);
    const synfp_u32 tag = synfp_tag_of(hash);
    const std::uint64_t kernel_now = now - static_cast<std::uint64_t>(clock_offset_);
    candidate found[2];  // the best so far, and one to look at
    std::size_t best = 0;
    miss absent = miss::none;
    synfp_u32 lost = 0;
    const bool consistent = detail::read_bucket(bucket, [&](const detail::bucket_view& seen) noexcept {
                              found[0].rank = no_slot;
                              best = 0;
                              for (std::size_t way = 0; way < SYNFP_WAYS; ++way) {
                                if (seen.tag(way) != tag) continue;
                                candidate& one = found[found[best].rank == no_slot ? best : 1 - best];
                                seen.copy_slot(way, one.slot);
                                if (!same_key(one.slot, key))
                                  continue;  // another key of the same tag, or torn
                                const int worth = rank(one.slot, kernel_now);
                                if (worth <= found[best].rank) continue;
                                one.rank = worth;
                                one.place = std::size_t{index} * SYNFP_WAYS + way;
                                best = static_cast<std::size_t>(&one - found);
                              }
                              absent =
                                  found[best].rank != no_slot ? miss::none : why_absent(seen, kernel_now);
                              lost = seen.lost();
                            }).has_value();
    if (!consistent) return miss::busy;
    if (absent == miss::not_captured) return abandoned(now) ? miss::no_probe : watch_silence();
    if (absent != miss::none) return absent;
    if (found[best].slot.lost != lost) return miss::busy;
    place = found[best].place;
    return judge(found[best].slot, kernel_now, answer);
  }

  bool same_key(const synfp_slot& slot, const synfp_key& key) const noexcept {
    const synfp_key own = synfp_key_of(&slot, meta_.scope, SYNFP_LITTLE);
    return std::memcmp(&own, &key, sizeof own) == 0;
  }

  // Slots are filled in turn, those that hold protects are passed over: a key that was written within max_age
  // is still there unless younger ones have filled the whole bucket.
  miss why_absent(const detail::bucket_view& bucket, std::uint64_t kernel_now) const noexcept {
    const auto now32 = static_cast<synfp_u32>(kernel_now >> SYNFP_TIME_SHIFT);
    const auto max32 = static_cast<synfp_u32>(meta_.max_age_ns >> SYNFP_TIME_SHIFT);
    for (std::size_t way = 0; way < SYNFP_WAYS; ++way) {
      if (bucket.tag(way) == 0) return miss::not_captured;
      if (now32 - bucket.time32(way) > max32) return miss::not_captured;
    }
    return miss::overwritten;
  }

  std::uint64_t count(unsigned cpu, unsigned which) const noexcept {
    return __atomic_load_n(&counts_[cpu].value[which], __ATOMIC_RELAXED);
  }
  std::uint64_t runs() const noexcept {
    std::uint64_t sum = 0;
    for (unsigned cpu = 0; cpu < meta_.cpus; ++cpu) sum += count(cpu, SYNFP_COUNT_RUNS);
    return sum;
  }

  miss watch_silence() const noexcept {
    const std::uint64_t now = runs();
    if (watch_->runs.exchange(now, std::memory_order_relaxed) != now) {
      watch_->misses.store(0, std::memory_order_relaxed);
      return miss::not_captured;
    }
    if (watch_->misses.load(std::memory_order_relaxed) < silence)
      watch_->misses.fetch_add(1, std::memory_order_relaxed);
    return watch_->misses.load(std::memory_order_relaxed) < silence ? miss::not_captured : miss::displaced;
  }

  miss judge(const synfp_slot& slot, std::uint64_t kernel_now, syn_lookup& found) const noexcept {
    if (!fresh(slot, kernel_now)) return miss::stale;
    const bool verified = (slot.flags & SYNFP_PROVEN) != 0;
    if (!verified && (slot.flags & SYNFP_CONFLICT) != 0) return miss::conflict;
    if (!detail::to_record(slot, clock_offset_, found.record)) return miss::truncated;
    if (!verified && (slot.flags & SYNFP_UNCHECKED) != 0) return miss::unchecked;
    // Copies had other headers. Where the last copy counts it is the one in the slot, unless the stack has
    // answered several of them, with cookies. Elsewhere nobody knows which one the stack took.
    const bool last_counts =
        synfp_facts_of(slot.hook).last_copy_counts != 0 && (slot.flags & SYNFP_VERIFIED) == 0;
    if (!last_counts && detail::altered(slot, found->tcp())) return miss::conflict;
    // Another host may have the same address on another link, and a connection at the same time. The stack
    // tells them apart by the interface, which not every hook knows.
    if (synfp_facts_of(slot.hook).interface == 0 && found->source().is_link_local()) return miss::ambiguous;
    found.source = detail::traits_of(slot.hook).source;
    found.proof = verified ? proof::verified : proof::tuple;
    if ((slot.flags & SYNFP_LATE) == 0) found.age_ns = kernel_now - slot.time;
    return miss::none;
  }

  synfp_meta meta_{};
  const synfp_bucket* buckets_ = nullptr;
  const synfp_counters* counts_ = nullptr;
  const synfp_pulse* pulse_ = nullptr;  // of a daemon
  std::int64_t clock_offset_ = 0;
  std::uint64_t netns_ = 0;  // cookie of this one, where a table serves several
  detail::mapping buckets_map_;
  detail::mapping counts_map_;
  detail::mapping pulse_map_;
  std::unique_ptr<watch> watch_;
  /// Which record claim() gave last, per slot of a bucket; one cache line, so that one miss finds them all. A
  /// mark here and not in the table, which is read-only, so that processes which share a table do not see
  /// each other's.
  struct alignas(64) marks {
    std::array<std::atomic<std::uint32_t>, SYNFP_WAYS> of{};
  };
  static_assert(sizeof(marks) == 64);
  std::unique_ptr<marks[]> claimed_;
};
static_assert(source<table>);

}  // namespace capture
SYNFP_END_NAMESPACE
