// SPDX-License-Identifier: MIT
// The reader's side of the table: an fd, a read-only mapping and a seqlock. No libbpf, no system call per
// lookup.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>  // strtoll
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <synfp/abi.h>
#include <synfp/capture/detail/pins.hpp>
#include <synfp/capture/source.hpp>
#include <synfp/layout.hpp>
#include <synfp/setup_error.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// The three maps of a probe. Plain numbers: whoever opened them closes them.
struct table_fds {
  int table = -1;
  int meta = -1;
  int counts = -1;
};

namespace detail {

/// A read-only shared mapping of a map.
class mapping {
 public:
  mapping() = default;
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;
  mapping(mapping&& other) noexcept
      : at_(std::exchange(other.at_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  mapping& operator=(mapping&& other) noexcept {
    std::swap(at_, other.at_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~mapping() {
    if (at_ != nullptr) ::munmap(at_, size_);
  }

  static setup_result<mapping> open(int fd, std::size_t size, const char* what) {
    mapping m;
    void* at = MAP_FAILED;
    // The kernel refuses to map more than a map has; of a plain file it would map pages that are not there.
    struct stat status {};
    if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        static_cast<std::uint64_t>(status.st_size) < size) {
      errno = EINVAL;
    } else {
      at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    }
    if (at == MAP_FAILED) {
      const int number = errno;
      std::string text =
          std::string("cannot map the ") + what + " of the probe (" + std::strerror(number) + "); ";
      text += number == EINVAL
                  ? "it is smaller than its metadata says, or the fd was opened read-only: open it O_RDWR, "
                    "the map is frozen and cannot be written"
                  : "pass the fds of a synfp probe";
      return setup_error{errc::incompatible, number, std::move(text)};
    }
    m.at_ = at;
    m.size_ = size;
    return m;
  }
  const void* data() const noexcept { return at_; }

 private:
  void* at_ = nullptr;
  std::size_t size_ = 0;
};

/// What this process adds to CLOCK_MONOTONIC of the initial time namespace, ns (time_namespaces(7)).
/// The file speaks of the namespace of children to come; after unshare() and before fork() that is not ours.
/// Nothing, and errno, if no file descriptor is left to look: a wrong offset would make a wrong age.
inline std::optional<std::int64_t> time_namespace_offset() noexcept {
  struct stat own {};
  struct stat children {};
  if (::stat("/proc/self/ns/time", &own) == 0 && ::stat("/proc/self/ns/time_for_children", &children) == 0 &&
      own.st_ino != children.st_ino)
    return 0;
  const int fd = ::open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE) return std::nullopt;
    return 0;  // the kernel has no time namespaces
  }
  char text[256];
  const ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (n <= 0) return 0;
  text[n] = '\0';
  const char* line = std::strstr(text, "monotonic");
  if (line == nullptr) return 0;
  char* end = nullptr;
  const long long seconds = std::strtoll(line + std::strlen("monotonic"), &end, 10);
  const long long nanoseconds = std::strtoll(end, nullptr, 10);
  return seconds * 1'000'000'000 + nanoseconds;
}

// Loads of memory that the kernel writes meanwhile. ThreadSanitizer does not know fences, so there the
// payload loads order themselves.
#if defined(__SANITIZE_THREAD__)
inline constexpr int payload_order = __ATOMIC_ACQUIRE;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr int payload_order = __ATOMIC_ACQUIRE;
#else
inline constexpr int payload_order = __ATOMIC_RELAXED;
#endif
#else
inline constexpr int payload_order = __ATOMIC_RELAXED;
#endif

template <class T>
T load_payload(const T& at) noexcept {
  return __atomic_load_n(&at, payload_order);
}
inline void payload_fence() noexcept {
  if constexpr (payload_order == __ATOMIC_RELAXED) __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

}  // namespace detail

/// Finds records in a table that a probe writes. The mapping lives as long as the object; the fds may be
/// closed after attach(). find() is thread-safe and wait-free: a bounded number of steps, no lock, no
/// allocation, no system call.
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
    const std::optional<std::int64_t> offset = detail::time_namespace_offset();
    if (!offset)
      return setup_error{
          errc::system, errno,
          "no file descriptor left to read this process's clock offset; raise the limit (ulimit "
          "-n, LimitNOFILE=)"};
    t.clock_offset_ = *offset;
    t.watch_ = std::make_unique<watch>();
    t.claimed_ = std::make_unique<marks[]>(t.meta_.buckets);
    return t;
  }

  /// Attaches to what a probe pinned in `directory` (probe::pin()), now; pins that replace it later are not
  /// followed. Needs no privilege but the permission to open the pins, see pin_options. Those of a process
  /// that was killed can be opened too: their records grow stale.
  static setup_result<table> open(const std::string& directory) {
    auto pins = detail::open_pins(directory, false);
    if (!pins) return std::move(pins).error();
    auto t = attach({pins->table.get(), pins->meta.get(), pins->counts.get()});
    if (!t) return setup_error{t.error().code, t.error().os, directory + ": " + t.error().message};
    return t;
  }

  /// The key of a connection in this table.
  synfp_key key_of(const endpoint& peer, const endpoint& local) const noexcept {
    const bool zoned = meta_.hook == SYNFP_HOOK_XDP;  // a socket filter does not know the interface
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

  /// find() for the connection that was just accepted: a SYN opens one connection, so a record that this
  /// object has given to one before is not given to another. Without it, an earlier connection's record would
  /// be believed for a later one from the same port whose own SYN was not captured.
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

  /// True while connections arrive and the probe does not run: another program took its place on the listen
  /// group, or it was detached. Judged from lookups; becomes false again when the probe runs.
  bool displaced() const noexcept {
    return watch_->misses.load(std::memory_order_relaxed) >= silence &&
           watch_->runs.load(std::memory_order_relaxed) == runs();
  }

  /// How often each `synfp_counter` was counted, over all CPUs.
  std::array<std::uint64_t, SYNFP_COUNTERS> counters() const noexcept {
    std::array<std::uint64_t, SYNFP_COUNTERS> sum{};
    for (unsigned cpu = 0; cpu < meta_.cpus; ++cpu) {
      for (unsigned i = 0; i < sum.size(); ++i) sum[i] += detail::load_payload(counts_[cpu].value[i]);
    }
    return sum;
  }

  const synfp_meta& meta() const noexcept { return meta_; }

 private:
  friend class scanner;

  static constexpr int no_slot = -2;  // below every rank
  static constexpr int attempts = 4;
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
    if ((slot.flags & SYNFP_VERIFIED) != 0) return 2;
    return (slot.flags & (SYNFP_CONFLICT | SYNFP_UNCHECKED)) == 0 ? 1 : 0;
  }
  bool fresh(const synfp_slot& slot, std::uint64_t kernel_now) const noexcept {
    const auto age = static_cast<std::int64_t>(kernel_now - slot.time);
    return age >= 0 && static_cast<std::uint64_t>(age) <= meta_.max_age_ns;
  }

  /// `place`: the number of the record's slot in the table.
  miss look_up(const synfp_key& key, std::uint64_t now, syn_lookup& answer,
               std::size_t& place) const noexcept {
    const synfp_u64 hash = synfp_hash(&key, meta_.secret[0], meta_.secret[1], SYNFP_LITTLE);
    const synfp_u32 index = synfp_bucket_of(hash, meta_.buckets - 1);
    const synfp_bucket& bucket = buckets_[index];
    __builtin_prefetch(&claimed_[index],
                       1);  // for claim(); else its miss would wait for those of bucket and slot
    const synfp_u32 tag = synfp_tag_of(hash);
    const std::uint64_t kernel_now = now - static_cast<std::uint64_t>(clock_offset_);
    for (int attempt = 0; attempt < attempts; ++attempt) {
      const synfp_u32 sequence = __atomic_load_n(&bucket.sequence, __ATOMIC_ACQUIRE);
      if ((sequence & 1) != 0) {
        pause();
        continue;
      }
      candidate found[2];  // the best so far, and one to look at
      found[0].rank = no_slot;
      std::size_t best = 0;
      for (std::size_t way = 0; way < SYNFP_WAYS; ++way) {
        if (detail::load_payload(bucket.tag[way]) != tag) continue;
        candidate& one = found[found[best].rank == no_slot ? best : 1 - best];
        copy(bucket.slot[way], one.slot);
        if (!same_key(one.slot, key))
          continue;  // another key of the same tag, or torn: the check below tells
        const int worth = rank(one.slot, kernel_now);
        if (worth <= found[best].rank) continue;
        one.rank = worth;
        one.place = std::size_t{index} * SYNFP_WAYS + way;
        best = static_cast<std::size_t>(&one - found);
      }
      const bool any = found[best].rank != no_slot;
      const miss absent = any ? miss::none : why_absent(bucket, kernel_now);
      const synfp_u32 lost = detail::load_payload(bucket.lost);
      detail::payload_fence();
      if (__atomic_load_n(&bucket.sequence, __ATOMIC_RELAXED) != sequence) continue;
      if (!any) return absent == miss::not_captured ? watch_silence() : absent;
      if (found[best].slot.lost != lost) return miss::busy;
      place = found[best].place;
      return judge(found[best].slot, kernel_now, answer);
    }
    return miss::busy;
  }

  static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
  }

  static void copy(const synfp_slot& from, synfp_slot& to) noexcept {
    constexpr std::size_t words = sizeof(synfp_slot) / sizeof(synfp_u64);
    auto* target = reinterpret_cast<unsigned char*>(&to);
    // Shared memory made of 8-byte words; atomic_ref does not take const before C++26.
    const auto* source = reinterpret_cast<const synfp_u64*>(&from);
    for (std::size_t i = 0; i < words; ++i) {
      const synfp_u64 word = __atomic_load_n(source + i, detail::payload_order);
      std::memcpy(target + i * sizeof word, &word, sizeof word);
    }
  }

  bool same_key(const synfp_slot& slot, const synfp_key& key) const noexcept {
    const synfp_key own = synfp_key_of(&slot, meta_.scope, SYNFP_LITTLE);
    return std::memcmp(&own, &key, sizeof own) == 0;
  }

  // Slots are filled in turn: a key that was written within max_age is still there unless 15 younger ones
  // followed.
  miss why_absent(const synfp_bucket& bucket, std::uint64_t kernel_now) const noexcept {
    const auto now32 = static_cast<synfp_u32>(kernel_now >> SYNFP_TIME_SHIFT);
    const auto max32 = static_cast<synfp_u32>(meta_.max_age_ns >> SYNFP_TIME_SHIFT);
    for (int i = 0; i < SYNFP_WAYS; ++i) {
      if (detail::load_payload(bucket.tag[i]) == 0) return miss::not_captured;
      if (now32 - detail::load_payload(bucket.time32[i]) > max32) return miss::not_captured;
    }
    return miss::overwritten;
  }

  std::uint64_t runs() const noexcept {
    std::uint64_t sum = 0;
    for (unsigned cpu = 0; cpu < meta_.cpus; ++cpu)
      sum += detail::load_payload(counts_[cpu].value[SYNFP_COUNT_RUNS]);
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
    const bool verified = (slot.flags & SYNFP_VERIFIED) != 0;
    if (!verified && (slot.flags & SYNFP_CONFLICT) != 0) return miss::conflict;
    if (!to_record(slot, found.record)) return miss::truncated;
    if (!verified && (slot.flags & SYNFP_UNCHECKED) != 0) return miss::unchecked;
    // Copies with other headers: of a listener the last one counts, unless the stack has answered several of
    // them, with cookies. An interface does not know which one the stack took.
    if ((verified || slot.hook != SYNFP_HOOK_REUSEPORT) && altered(slot, found->tcp())) return miss::conflict;
    // Somebody on another link may have the same address, and a connection beside this one. The stack tells
    // them apart by the interface, which a listener's program does not know.
    if (slot.hook == SYNFP_HOOK_REUSEPORT && found->source().is_link_local()) return miss::ambiguous;
    found.source = slot.hook == SYNFP_HOOK_XDP ? capture_source::xdp : capture_source::reuseport;
    found.proof = verified ? proof::verified : proof::tuple;
    found.age_ns = kernel_now - slot.time;
    return miss::none;
  }

  /// Whether a copy of this SYN looked different. A timestamp may: every copy has its own.
  static bool altered(const synfp_slot& slot, const tcp_view& tcp) noexcept {
    if (slot.differs == 0) return false;
    synfp_u32 timestamp = 0;
    const auto options = tcp.option_bytes();
    for (tcp_option_walk walk = tcp.options(); const auto o = walk.next();) {
      if (o->kind != 8 || o->data.size() != 8) continue;
      const auto at = static_cast<std::size_t>(o->data.data() - options.data());
      if (at % 4 == 0) timestamp |= synfp_u32{1} << at / 4;
    }
    return (slot.differs & ~timestamp) != 0;
  }

  /// False if the slot does not hold whole headers.
  bool to_record(const synfp_slot& slot, syn_record& record) const noexcept {
    const unsigned tcp_length = (slot.tcp[12] >> 4) * 4U;
    const unsigned offset = slot.tcp_offset * 4U;
    if (offset == 0) return false;
    const unsigned fixed = slot.ip[0] >> 4 == 4 ? 20 : 40;
    const unsigned kept = (slot.flags & SYNFP_TRUNCATED) != 0 ? fixed : offset;
    if (tcp_length < 20 || kept > SYNFP_IP_BYTES) return false;
    if (!record.assign_parts(std::span(slot.ip).first(kept), std::span(slot.tcp).first(tcp_length), offset))
      return false;

    syn_record::arrival arrival;
    arrival.time_ns = slot.time + static_cast<std::uint64_t>(clock_offset_);
    arrival.ifindex = slot.ifindex;
    arrival.vlan = {slot.vlan[0], slot.vlan[1]};
    // Without cookies a listener's program does not see copies: the half-open connection takes them.
    if (slot.hook != SYNFP_HOOK_REUSEPORT || (slot.flags & SYNFP_VERIFIED) != 0)
      arrival.retransmits = slot.retransmits;
    record.set_arrived(arrival);
    return true;
  }

  synfp_meta meta_{};
  const synfp_bucket* buckets_ = nullptr;
  const synfp_counters* counts_ = nullptr;
  std::int64_t clock_offset_ = 0;
  detail::mapping buckets_map_;
  detail::mapping counts_map_;
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
