// SPDX-License-Identifier: MIT
// From captured segments to the first bytes that each client sent, in order: TCP reassembly (RFC 9293 3.10)
// as far as a capture allows, and bounded in everything. Whoever reads those bytes says when it has enough.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>  // memcpy
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <random>  // random_device
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include <synfp/endpoint.hpp>
#include <synfp/syn_record.hpp>

#include "frame.hpp"

namespace cli {

/// A TCP segment of a captured frame.
struct segment {
  synfp::endpoint from, to;
  std::uint32_t sequence = 0, acknowledgment = 0;
  std::uint16_t flags = 0;                  ///< of synfp::tcp_view::flag
  std::span<const std::uint8_t> data = {};  ///< what the file holds of it
  bool cut = false;                         ///< the file does not hold all of it
};

/// Empty for what read_frame() would not find a TCP header in, and where lengths contradict themselves.
inline std::optional<segment> read_segment(int link, std::span<const std::uint8_t> frame,
                                           std::size_t wire_length) {
  const tcp_place place = find_tcp(link, frame, wire_length);
  if (place.net.why != refusal::none) return std::nullopt;
  const synfp::ip_view ip(place.packet.data());
  const synfp::tcp_view tcp(&place.packet[place.at]);
  const std::size_t begin = place.at + tcp.header_length(), end = ip.total_length();
  if (tcp.header_length() < 20 || end < begin || place.packet.size() < begin) return std::nullopt;
  if (std::max(frame.size(), wire_length) < place.net.at + end) return std::nullopt;
  const auto address = [](std::span<const std::uint8_t> a, std::uint16_t port) {
    if (a.size() == 4) return synfp::endpoint::v4(a[0], a[1], a[2], a[3], port);
    synfp::endpoint::bytes_type bytes{};
    std::copy_n(a.begin(), 16, bytes.begin());
    return synfp::endpoint::v6(bytes, port);
  };
  segment s{address(ip.source(), tcp.source_port()), address(ip.destination(), tcp.destination_port())};
  s.sequence = tcp.sequence();
  s.acknowledgment = tcp.acknowledgment();
  s.flags = tcp.flags();
  s.data = place.packet.subspan(begin, std::min(end, place.packet.size()) - begin);
  s.cut = begin + s.data.size() < end;
  return s;
}

/// The first bytes of many connections. Reader is what is made of those of one:
///   bool take(std::span<const std::uint8_t>)   the next bytes of the client, never empty; false: enough
///
/// A connection begins with its SYN, which open() is given. Several SYNs of one tuple are told apart by their
/// ISN, and each gets the bytes that follow that ISN: a forged SYN takes none from the genuine one. Of bytes
/// that come twice, the first count. Not looked at: checksums, which a capture at the sender has not yet, and
/// whether the server took a segment.
template <class Reader>
class first_bytes {
 public:
  struct limits {
    std::size_t connections = 65536;                    ///< known at the same time; the oldest is forgotten
    std::uint32_t stream = 128 * 1024;                  ///< bytes of each; then it has ended
    std::size_t ahead = std::size_t{64} * 1024 * 1024;  ///< bytes of all that wait for earlier ones
    std::size_t pieces = 1024;                          ///< of one connection, which wait for earlier ones
  };

  class connection {
   public:
    Reader reader;

    /// The reader gets no more bytes: it has enough, or there are none that it could get.
    bool ended() const noexcept { return ended_; }

    explicit connection(std::uint32_t isn) noexcept : isn_(isn) {}

   private:
    friend class first_bytes;
    std::shared_ptr<connection> older_;                         // of the same tuple
    std::map<std::uint32_t, std::vector<std::uint8_t>> ahead_;  // by place in the stream
    std::optional<std::uint32_t> fin_;                          // its place
    std::uint32_t isn_;
    std::uint32_t next_ = 0;  // place of the next byte; 0 follows the ISN
    bool ended_ = false;
  };
  /// Stays valid when the connection is forgotten here, and is ended() then.
  using pointer = std::shared_ptr<connection>;

  explicit first_bytes(const limits& most = {}) : most_(most) {}

  /// A connection whose SYN was seen; the known one, if this is a copy of its SYN. `created` says which.
  pointer open(const synfp::endpoint& client, const synfp::endpoint& server, std::uint32_t isn,
               bool* created = nullptr) {
    pointer& newest = known_[flow{client, server}];
    if (created != nullptr) *created = false;
    std::size_t candidates = 0;
    for (pointer* c = &newest; *c; c = &(*c)->older_) {
      if ((*c)->isn_ == isn) return *c;
      if (++candidates == max_candidates_) {
        end(**c);
        c->reset();
        break;
      }
    }
    if (created != nullptr) *created = true;
    auto opened = std::make_shared<connection>(isn);
    opened->older_ = std::move(newest);
    newest = opened;
    order_.push_back({flow{client, server}, isn});
    if (order_.size() > most_.connections) forget_oldest();
    return opened;
  }

  /// Whether the segment is of a connection that was opened, whichever end sent it.
  bool knows(const segment& s) const {
    return known_.count(flow{s.from, s.to}) != 0 || known_.count(flow{s.to, s.from}) != 0;
  }

  /// Hands what the segment brings to the readers of its connection. True if one has ended by it.
  bool take(const segment& s) {
    bool any = false;
    if (const auto ours = known_.find(flow{s.from, s.to}); ours != known_.end()) {
      for (pointer c = ours->second; c; c = c->older_) any |= take(*c, s);
      return any;
    }
    if ((s.flags & synfp::tcp_view::rst) == 0) return false;
    if (const auto theirs = known_.find(flow{s.to, s.from}); theirs != known_.end()) {
      for (pointer c = theirs->second; c; c = c->older_) any |= take_reset(*c, s);
    }
    return any;
  }

  /// Nobody waits for it any more. It is still known, so that its later segments are not taken for another's.
  void end(connection& c) noexcept {
    c.ended_ = true;
    for (const auto& [place, bytes] : c.ahead_) ahead_ -= cost(bytes.size());
    c.ahead_.clear();
  }

 private:
  struct flow {
    synfp::endpoint client, server;
    bool operator==(const flow&) const = default;
  };
  struct flow_hash {
    std::uint64_t odd = std::random_device{}() * std::uint64_t{0x9e3779b97f4a7c15} | 1;

    /// Differs with each run: no file can be made to be slow.
    std::size_t operator()(const flow& f) const noexcept {
      std::uint64_t h = odd;
      for (const synfp::endpoint* e : {&f.client, &f.server}) {
        std::uint64_t half[2];
        std::memcpy(half, e->address().data(), 16);
        for (const std::uint64_t word : {half[0], half[1], std::uint64_t{e->port()}}) {
          h = (h ^ word) * odd;
          h ^= h >> 29;
        }
      }
      return static_cast<std::size_t>(h);
    }
  };
  struct entry {
    flow of;
    std::uint32_t isn;
  };

  static constexpr std::size_t max_candidates_ = 4;
  static constexpr std::size_t cost(std::size_t bytes) noexcept { return bytes + 96; }  // with its node

  /// True if it has ended by this.
  bool take(connection& c, const segment& s) {
    using synfp::tcp_view;
    if (c.ended_) return false;
    // Where the data begins, counted from the byte behind the ISN; negative: older bytes.
    const std::uint32_t first = s.sequence + ((s.flags & tcp_view::syn) != 0 ? 1 : 0);
    const std::int64_t place = static_cast<std::int32_t>(first - (c.isn_ + 1));
    const std::int64_t behind = place + static_cast<std::int64_t>(s.data.size());
    if (behind < 0 || place > most_.stream) return false;
    if ((s.flags & tcp_view::rst) != 0) {
      if (place == c.next_) end(c);  // RFC 5961 3.2
      return c.ended_;
    }
    const auto skipped = static_cast<std::size_t>(place < 0 ? -place : 0);
    if (skipped < s.data.size()) {
      keep(c, static_cast<std::uint32_t>(place < 0 ? 0 : place), s.data.subspan(skipped));
      deliver(c);
    }
    if ((s.flags & tcp_view::fin) != 0 && !s.cut) c.fin_ = static_cast<std::uint32_t>(behind);
    if (c.ended_) return true;
    // What the capture cut off comes no more.
    if (c.fin_ == c.next_ || c.next_ >= most_.stream || (s.cut && behind == c.next_)) end(c);
    return c.ended_;
  }

  /// The server's answer to the SYN, or to something behind it (RFC 9293 3.10.7.3).
  bool take_reset(connection& c, const segment& s) {
    if (c.ended_ || (s.flags & synfp::tcp_view::ack) == 0 || s.acknowledgment - (c.isn_ + 1) > c.next_)
      return false;
    end(c);
    return true;
  }

  /// Puts bytes where they belong; those that are there already stay.
  void keep(connection& c, std::uint32_t place, std::span<const std::uint8_t> data) {
    const auto skip = [&](std::size_t n) {
      n = std::min(n, data.size());
      data = data.subspan(n);
      place += static_cast<std::uint32_t>(n);
    };
    if (place < c.next_) skip(c.next_ - place);
    auto later = c.ahead_.upper_bound(place);
    if (later != c.ahead_.begin()) {
      const auto& [before, bytes] = *std::prev(later);
      if (before + bytes.size() > place) skip(before + bytes.size() - place);
    }
    while (!data.empty()) {
      const std::size_t room = later == c.ahead_.end() ? data.size() : later->first - place;
      if (const auto fits = data.first(std::min(data.size(), room)); !fits.empty()) {
        if (place != c.next_ && (c.ahead_.size() >= most_.pieces || ahead_ + cost(fits.size()) > most_.ahead))
          return;
        c.ahead_.emplace_hint(later, place, std::vector<std::uint8_t>(fits.begin(), fits.end()));
        ahead_ += cost(fits.size());
        skip(fits.size());
      }
      if (later == c.ahead_.end()) return;
      skip(later->second.size());
      ++later;
    }
  }

  void deliver(connection& c) {
    while (!c.ended_ && !c.ahead_.empty() && c.ahead_.begin()->first == c.next_) {
      const auto node = c.ahead_.extract(c.ahead_.begin());
      ahead_ -= cost(node.mapped().size());
      c.next_ += static_cast<std::uint32_t>(node.mapped().size());
      if (!c.reader.take(node.mapped())) end(c);
    }
  }

  void forget_oldest() {
    const entry oldest = order_.front();
    order_.pop_front();
    const auto found = known_.find(oldest.of);
    if (found == known_.end()) return;
    for (pointer* c = &found->second; *c; c = &(*c)->older_) {
      if ((*c)->isn_ != oldest.isn) continue;
      end(**c);
      *c = pointer((*c)->older_);
      break;
    }
    if (!found->second) known_.erase(found);
  }

  limits most_;
  std::unordered_map<flow, pointer, flow_hash> known_;  // the newest of each tuple
  std::deque<entry> order_;
  std::size_t ahead_ = 0;
};

}  // namespace cli
