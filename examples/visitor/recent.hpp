// SPDX-License-Identifier: MIT
// The last handshakes, for whoever looks at the page.
#pragma once

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <synfp/capture/lookup.hpp>
#include <synfp/endpoint.hpp>
#include <synfp/fingerprint/identify.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/http/events.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/json.hpp>

namespace visitor {

/// Enough to see the network, not the person: an IPv4 address without its last byte, of IPv6 the first 48
/// bits.
inline std::string shortened(const synfp::endpoint& peer) {
  const auto a = peer.address();
  if (peer.is_v4()) return fmt::format("{}.{}.{}.x", a[12], a[13], a[14]);
  const auto group = [&a](std::size_t i) { return unsigned{a[2 * i]} << 8 | a[2 * i + 1]; };
  return fmt::format("{:x}:{:x}:{:x}::x", group(0), group(1), group(2));
}

/// Threads may share it. It takes at most 20 handshakes a second, so that a flood of connections costs a look
/// at the clock each, and holds 32.
class recent {
 public:
  static constexpr std::size_t most = 32;
  static constexpr unsigned most_readers = 256;

  void add(const synfp::endpoint& peer, const synfp::syn_lookup& syn,
           const synfp::fingerprint::identifier& who, std::chrono::steady_clock::time_point now) {
    const std::int64_t then = now.time_since_epoch() / std::chrono::milliseconds(50);
    if (last_.load(std::memory_order_relaxed) == then || last_.exchange(then) == then) return;
    std::string line = R"({"address":)";
    synfp::append_json_string(line, shortened(peer));
    line += R"(,"os":)";
    const auto put = [&line](const std::optional<std::string>& value) {
      if (value) {
        synfp::append_json_string(line, *value);
      } else {
        line += "null";
      }
    };
    const auto* const label = syn ? who.identify(*syn).label : nullptr;
    put(label != nullptr ? std::optional(label->title()) : std::nullopt);
    const auto p0f = syn ? synfp::fingerprint::p0f(*syn) : std::nullopt;
    line += R"(,"p0f":)";
    put(p0f ? std::optional(std::string(p0f->view())) : std::nullopt);
    line += '}';
    const std::lock_guard lock(mutex_);
    lines_[next_++ % most] = std::move(line);
  }

  /// What came after the first `from` ones, as far as it is still there; `from` moves on.
  std::vector<std::string> since(std::uint64_t& from) const {
    const std::lock_guard lock(mutex_);
    if (next_ - from > most) from = next_ - most;
    std::vector<std::string> all;
    for (; from != next_; ++from) all.push_back(lines_[from % most]);
    return all;
  }

  /// One more reader until it is destroyed; false if there are enough.
  class reader {
   public:
    explicit reader(recent& r) noexcept : of_(r), there_(r.readers_.fetch_add(1) < most_readers) {}
    ~reader() { of_.readers_.fetch_sub(1); }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    explicit operator bool() const noexcept { return there_; }

   private:
    recent& of_;
    bool there_;
  };

 private:
  mutable std::mutex mutex_;
  std::array<std::string, most> lines_;
  std::uint64_t next_ = 0;
  std::atomic<std::int64_t> last_{-1};
  std::atomic<unsigned> readers_{0};
};

/// GET /events. Until the browser goes away; the library writes a comment now and then.
inline synfp::http::events follow(recent& all) {
  using namespace std::chrono_literals;
  const recent::reader one(all);
  if (!one) co_return;  // the browser asks again in a minute
  std::uint64_t from = 0;
  while (true) {
    for (const std::string& line : all.since(from)) co_yield synfp::http::event(line).name("handshake");
    co_await synfp::io::sleep_for(500ms);
  }
}

}  // namespace visitor
