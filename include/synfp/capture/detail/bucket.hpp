// SPDX-License-Identifier: MIT
// Reads a bucket while the BPF program may be writing it. The only place that knows how: a seqlock, whose
// writer is bpf/table.bpf.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>  // memcpy
#include <optional>

#include <synfp/abi.h>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

// Loads of memory that the kernel writes meanwhile. ThreadSanitizer does not know fences, so there the loads
// order themselves.
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

/// What read_bucket() gives to its function: the bucket as it is now, which may be torn.
class bucket_view {
 public:
  explicit bucket_view(const synfp_bucket& bucket) noexcept : bucket_(bucket) {}

  synfp_u32 tag(std::size_t way) const noexcept { return load(bucket_.tag[way]); }
  synfp_u32 time32(std::size_t way) const noexcept { return load(bucket_.time32[way]); }
  /// Writes that were given up. Not guarded by the sequence: it may grow at any time.
  synfp_u32 lost() const noexcept { return load(bucket_.lost); }
  /// The first 8 bytes of the TCP header: both ports and the sequence number.
  std::uint64_t ports_isn(std::size_t way) const noexcept {
    static_assert(offsetof(synfp_slot, tcp) % sizeof(synfp_u64) == 0);
    return load(*reinterpret_cast<const synfp_u64*>(bucket_.slot[way].tcp));
  }
  void copy_slot(std::size_t way, synfp_slot& to) const noexcept {
    auto* target = reinterpret_cast<unsigned char*>(&to);
    // Shared memory made of 8-byte words; atomic_ref does not take const before C++26.
    const auto* source = reinterpret_cast<const synfp_u64*>(&bucket_.slot[way]);
    for (std::size_t i = 0; i < sizeof(synfp_slot) / sizeof(synfp_u64); ++i) {
      const synfp_u64 word = load(source[i]);
      std::memcpy(target + i * sizeof word, &word, sizeof word);
    }
  }

 private:
  template <class T>
  static T load(const T& at) noexcept {
    return __atomic_load_n(&at, payload_order);
  }

  const synfp_bucket& bucket_;
};

inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// The bucket's sequence. While it is the same, so is the bucket, except for `lost`.
inline synfp_u32 bucket_sequence(const synfp_bucket& bucket) noexcept {
  return __atomic_load_n(&bucket.sequence, __ATOMIC_ACQUIRE);
}

/// Calls f(bucket_view) until one call saw a single state of the bucket, and returns that state's sequence.
/// Empty if writers were at work in all of four tries: what f did is void then. `f` overwrites what it did
/// before and believes nothing that it reads.
template <class F>
std::optional<synfp_u32> read_bucket(const synfp_bucket& bucket, F&& f) noexcept {
  for (int attempt = 0; attempt < 4; ++attempt) {
    const synfp_u32 sequence = bucket_sequence(bucket);
    if ((sequence & 1) != 0) {
      pause();
      continue;
    }
    f(bucket_view(bucket));
    if constexpr (payload_order == __ATOMIC_RELAXED) __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&bucket.sequence, __ATOMIC_RELAXED) == sequence) return sequence;
  }
  return std::nullopt;
}

}  // namespace capture::detail
SYNFP_END_NAMESPACE
