// SPDX-License-Identifier: MIT
// The packets of a pcapng file (draft-ietf-opsawg-pcapng). Interfaces may differ in link type, snaplen and
// resolution, sections in byte order; docs/decisions says why libpcap does not do it. Total: any bytes end in
// packets, the end of the file or an exception, in time that is linear in the bytes and in bounded memory.
#pragma once

#include <pcap/dlt.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>  // INT64_MAX
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "packet.hpp"
#include "window.hpp"

namespace cli {

/// The file contradicts itself, or ends too early.
struct damage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class pcapng_reader {
 public:
  static constexpr std::uint8_t magic[] = {0x0a, 0x0d, 0x0d, 0x0a};
  /// mergecap makes one interface of each input.
  static constexpr std::size_t max_interfaces = 1 << 16;

  /// Reads up to the first interface. `in` must live longer, and show at least 64 bytes. Throws as next()
  /// does.
  explicit pcapng_reader(window& in) : in_(in) {
    while (interfaces_.empty() && next_block()) {
      if (is_packet()) throw damage("a packet before the first interface");
      read_other();
    }
  }

  /// The next packet; empty at the end of the file. Of a packet that is longer than the window, `bytes` is
  /// what fits into it. Throws `damage`, and what reading throws.
  std::optional<packet> next() {
    while (next_block()) {
      if (is_packet()) return read_packet();
      read_other();
    }
    return std::nullopt;
  }

 private:
  enum block_type : std::uint32_t {
    interface_description = 1,
    old_packet = 2,
    simple_packet = 3,
    enhanced_packet = 6,
    section_header = 0x0a0d0d0a
  };
  struct interface {
    int link = 0;
    std::uint32_t snaplen = 0;  // 0: no limit
    std::uint8_t resolution = 6;
    std::int64_t offset = 0;
  };

  static std::string text(std::uint64_t number) { return std::to_string(number); }

  // In the byte order of the section, at an offset in the block that is known to be there.
  std::uint32_t half(std::size_t at) const noexcept {
    return static_cast<std::uint32_t>(big_ ? block_[at] << 8 | block_[at + 1]
                                           : block_[at + 1] << 8 | block_[at]);
  }
  std::uint32_t word(std::size_t at) const noexcept {
    return big_ ? half(at) << 16 | half(at + 2) : half(at + 2) << 16 | half(at);
  }

  /// Moves on to the next block, checks that it is all there and says its length twice. False at the end.
  bool next_block() {
    in_.skip(pending_);
    pending_ = 0;
    block_ = in_.peek(12);
    if (block_.empty()) return false;
    if (block_.size() < 12) throw damage("the file ends within a block");
    if (word(0) == section_header) {  // a palindrome
      big_ = false;
      if (word(8) != byte_order_mark) big_ = true;
      if (word(8) != byte_order_mark) throw damage("a section without a byte order");
    } else if (!in_section_) {
      throw damage("no section");
    }
    const std::uint32_t length = word(4);
    if (length < 12 || length % 4 != 0) throw damage("a block of " + text(length) + " bytes");
    block_ = in_.peek(length);
    if (block_.size() < std::min<std::size_t>(length, in_.capacity()))
      throw damage("the file ends within a block");
    std::uint32_t repeated = 0;
    if (length <= in_.capacity()) {
      pending_ = length;
      repeated = word(length - 4);
    } else {
      large_.assign(block_.begin(), block_.end());
      in_.skip(length - 4);
      block_ = in_.peek(4);
      if (block_.size() < 4) throw damage("the file ends within a block");
      pending_ = 4;
      repeated = word(0);
      block_ = large_;
    }
    if (repeated != length)
      throw damage("a block of " + text(length) + " bytes that ends with " + text(repeated));
    length_ = length;
    return true;
  }

  /// The block has `n` bytes and the length after them.
  void require(std::uint32_t n) const {
    if (length_ < n + 4)
      throw damage("a block of type " + text(word(0)) + " with " + text(length_) + " bytes");
  }

  bool is_packet() const noexcept {
    return word(0) == simple_packet || word(0) == enhanced_packet || word(0) == old_packet;
  }
  packet read_packet() const {
    if (word(0) == simple_packet) return simple();
    require(28);
    return enhanced(word(0) == old_packet ? half(8) : word(8));
  }
  /// Names, statistics, secrets, and what is not known yet, are passed over.
  void read_other() {
    if (word(0) == section_header) read_section();
    if (word(0) == interface_description) read_interface();
  }

  void read_section() {
    require(24);
    if (half(12) != 1) throw damage("version " + text(half(12)) + " of pcapng");
    in_section_ = true;
    interfaces_.clear();
  }

  void read_interface() {
    require(16);
    if (interfaces_.size() == max_interfaces)
      throw damage("more than " + text(max_interfaces) + " interfaces in a section");
    interface one;
    one.link = static_cast<int>(half(8));
    if (one.link == 101) one.link = DLT_RAW;  // the one number of those we read that differs in files
    one.snaplen = word(12);
    const std::size_t end = std::min<std::size_t>(length_ - 4, block_.size());
    for (std::size_t at = 16; at + 4 <= end;) {
      const std::uint32_t code = half(at), size = half(at + 2);
      at += 4;
      if (code == 0) break;
      if (size > end - at) {
        if (end < length_ - 4) break;  // beyond the window
        throw damage("an option of an interface that is longer than its block");
      }
      if (code == 9 && size == 1) one.resolution = block_[at];
      if (code == 14 && size == 8) {
        const std::uint64_t high = word(big_ ? at : at + 4), low = word(big_ ? at + 4 : at);
        one.offset = static_cast<std::int64_t>(high << 32 | low);
      }
      at += (size + 3) / 4 * 4;
    }
    interfaces_.push_back(one);
  }

  const interface& on(std::uint32_t number) const {
    if (number >= interfaces_.size())
      throw damage("a packet of interface " + text(number) + " of " + text(interfaces_.size()));
    return interfaces_[number];
  }

  /// `kept` bytes at `at`, of which the window may show less.
  packet made(const interface& from, std::size_t at, std::uint32_t kept, std::uint32_t wire) const {
    if (kept > length_ - 4 - at)
      throw damage("a packet of " + text(kept) + " bytes in a block of " + text(length_));
    return {from.link, block_.subspan(at, std::min<std::size_t>(kept, block_.size() - at)), wire,
            std::nullopt};
  }

  packet simple() const {
    require(12);
    const interface& from = on(0);
    const std::uint32_t wire = word(8);
    const std::uint32_t most = from.snaplen == 0 ? length_ - 16 : std::min(from.snaplen, length_ - 16);
    return made(from, 12, std::min(wire, most), wire);
  }

  packet enhanced(std::uint32_t number) const {
    const interface& from = on(number);
    packet p = made(from, 28, word(20), word(24));
    p.time = time_of(from, std::uint64_t{word(12)} << 32 | word(16));
    return p;
  }

  /// if_tsresol: a negative power of 10, or of 2 with the highest bit.
  static std::optional<wall_time> time_of(const interface& from, std::uint64_t ticks) noexcept {
    constexpr std::uint64_t billion = 1'000'000'000;
    const unsigned power = from.resolution & 0x7f;
    std::uint64_t seconds = 0, rest = ticks, nanoseconds = 0;
    if ((from.resolution & 0x80) != 0) {
      if (power < 64) {
        seconds = ticks >> power;
        rest = ticks & ((std::uint64_t{1} << power) - 1);
      }
      // 34 bits of it: what times a billion fits into 64
      if (power > 34) rest = power - 34 < 64 ? rest >> (power - 34) : 0;
      nanoseconds = rest * billion >> std::min(power, 34U);
    } else {
      std::uint64_t second = 1;
      unsigned digits = 0;
      for (; digits < power && digits < 19; ++digits) second *= 10;
      if (digits == power) {
        seconds = ticks / second;
        rest = ticks % second;
      }
      for (; digits < power && rest != 0; ++digits) rest /= 10;
      // now in units of 10^-min(power, 19), or 0
      nanoseconds = power <= 9 ? rest * (billion / second) : rest / (second / billion);
    }
    std::int64_t since = 0;
    if (seconds > static_cast<std::uint64_t>(INT64_MAX) ||
        __builtin_add_overflow(static_cast<std::int64_t>(seconds), from.offset, &since) || since < 0)
      return std::nullopt;
    return wall_time{since, static_cast<std::uint32_t>(nanoseconds)};
  }

  static constexpr std::uint32_t byte_order_mark = 0x1a2b3c4d;

  window& in_;
  std::vector<std::uint8_t> large_;
  std::vector<interface> interfaces_;
  std::span<const std::uint8_t> block_;  // all of it, or what the window shows
  std::uint32_t length_ = 0;             // of the block
  std::uint32_t pending_ = 0;            // bytes of it that are still to be skipped
  bool big_ = false, in_section_ = false;
};

}  // namespace cli
