// SPDX-License-Identifier: MIT
// The most frequent of many texts, in bounded memory.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <thread>  // yield

#include <synfp/fixed_text.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// Space-Saving (Metwally, Agrawal, El Abbadi 2005): a text that is not kept takes the place of the one with
/// the lowest count and goes on counting from there. A text that makes up more than 1/Size of all is kept for
/// sure, whatever else comes. One thread counts, another may read.
template <std::size_t Size, std::size_t Longest>
class space_saving {
 public:
  /// False if it was not counted: somebody reads just now.
  bool count(std::string_view text) noexcept {
    if (busy_.exchange(true, std::memory_order_acquire)) return false;
    const std::uint64_t hash = hash_of(text);
    std::size_t i = 0;
    while (i < used_ && (hashes_[i] != hash || entries_[i].text.view() != text)) ++i;
    if (i == used_) {
      if (used_ < Size) {
        ++used_;
      } else {
        i = 0;
        for (std::size_t k = 1; k < Size; ++k) {
          if (entries_[k].count < entries_[i].count) i = k;
        }
        entries_[i].too_much = entries_[i].count;
      }
      hashes_[i] = hash;
      entries_[i].text.clear();
      entries_[i].text.append(text);
    }
    ++entries_[i].count;
    busy_.store(false, std::memory_order_release);
    return true;
  }

  /// Calls f(text, least) for each, where `least` is how often it came at least. `f` is quick.
  template <class F>
  void for_each(F f) const {
    while (busy_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
    for (std::size_t i = 0; i < used_; ++i)
      f(entries_[i].text.view(), entries_[i].count - entries_[i].too_much);
    busy_.store(false, std::memory_order_release);
  }

 private:
  struct entry {
    std::uint64_t count = 0;
    std::uint64_t too_much = 0;  // of these, at most so many are another's
    fixed_text<Longest> text;
  };

  static std::uint64_t hash_of(std::string_view text) noexcept {  // FNV-1a; a collision costs time only
    std::uint64_t hash = 14695981039346656037U;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return hash;
  }

  mutable std::atomic<bool> busy_{false};
  std::size_t used_ = 0;
  std::array<std::uint64_t, Size> hashes_;
  std::array<entry, Size> entries_;
};

}  // namespace http::detail
SYNFP_END_NAMESPACE
