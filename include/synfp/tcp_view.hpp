// SPDX-License-Identifier: MIT
// A TCP header in place, and its options.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <synfp/detail/big_endian.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// One TCP option. `data` is what follows kind and length.
struct tcp_option {
  /// Kinds that synfp knows (IANA's list of TCP option kind numbers); `kind` may be any number.
  enum known_kind : std::uint8_t {
    eol = 0,                      // end of option list, RFC 9293 3.2
    nop = 1,                      // no operation, RFC 9293 3.2
    mss = 2,                      // maximum segment size, RFC 9293 3.7.1
    window_scale = 3,             // RFC 7323 2.2
    sack_permitted = 4,           // RFC 2018 2
    sack = 5,                     // RFC 2018 3
    echo = 6,                     // RFC 1072, obsolete
    echo_reply = 7,               // RFC 1072, obsolete
    timestamps = 8,               // RFC 7323 3.2
    partial_order_permitted = 9,  // RFC 1693, obsolete
    partial_order_profile = 10,   // RFC 1693, obsolete
  };

  std::uint8_t kind = 0;
  std::span<const std::uint8_t> data;
};

/// p0f's name of an option kind, which JSON and synfp's tools use too: eol, nop, mss, ws, sok, sack, ts.
/// Empty for every other kind, which is written as "?" and its number.
constexpr std::string_view tcp_option_name(std::uint8_t kind) noexcept {
  constexpr std::array<std::string_view, 9> names{"eol", "nop", "mss", "ws", "sok", "sack", "", "", "ts"};
  return kind < names.size() ? names[kind] : std::string_view();
}

/// Walks TCP options, RFC 9293 3.2: NOP is yielded, EOL ends the walk without being yielded, a length below 2
/// or past the end ends it and sets malformed().
class tcp_option_walk {
 public:
  constexpr explicit tcp_option_walk(std::span<const std::uint8_t> bytes) noexcept : rest_(bytes) {}

  constexpr std::optional<tcp_option> next() noexcept {
    if (rest_.empty()) return std::nullopt;
    const std::uint8_t kind = rest_[0];
    if (kind == tcp_option::eol) {
      end_ = true;
      rest_ = {};
      return std::nullopt;
    }
    if (kind == tcp_option::nop) {
      rest_ = rest_.subspan(1);
      return tcp_option{kind, {}};
    }
    if (rest_.size() < 2 || rest_[1] < 2 || rest_[1] > rest_.size()) {
      malformed_ = true;
      rest_ = {};
      return std::nullopt;
    }
    const std::size_t length = rest_[1];
    const tcp_option option{kind, rest_.subspan(2, length - 2)};
    rest_ = rest_.subspan(length);
    return option;
  }
  constexpr bool malformed() const noexcept { return malformed_; }
  /// An EOL was met.
  constexpr bool end_of_list() const noexcept { return end_; }

 private:
  std::span<const std::uint8_t> rest_;
  bool malformed_ = false;
  bool end_ = false;
};

/// The fields of a TCP header with its options, RFC 9293 3.1. A view: valid while the bytes are, of which
/// there must be header_length(), at least 20.
class tcp_view {
 public:
  enum flag : std::uint16_t {
    fin = 1,
    syn = 2,
    rst = 4,
    psh = 8,
    ack = 16,
    urg = 32,
    ece = 64,
    cwr = 128,
    ns = 256,
  };

  /// What the well-known options say. An option of the wrong length is ignored; the last of a kind wins.
  struct known_options {
    std::optional<std::uint16_t> mss;          // kind 2, RFC 9293 3.7.1
    std::optional<std::uint8_t> window_scale;  // kind 3, RFC 7323 2.2
    bool sack_permitted = false;               // kind 4, RFC 2018 2
    struct timestamps {
      std::uint32_t value, echo;
    };
    std::optional<timestamps> timestamp;  // kind 8, RFC 7323 3.2
  };

  constexpr explicit tcp_view(const std::uint8_t* at) noexcept : at_(at) {}

  constexpr std::uint16_t source_port() const noexcept { return detail::load_be16(at_); }
  constexpr std::uint16_t destination_port() const noexcept { return detail::load_be16(at_ + 2); }
  constexpr std::uint32_t sequence() const noexcept { return detail::load_be32(at_ + 4); }
  constexpr std::uint32_t acknowledgment() const noexcept { return detail::load_be32(at_ + 8); }
  /// In bytes, with options.
  constexpr unsigned header_length() const noexcept { return (at_[12] >> 4) * 4U; }
  /// A combination of `flag`.
  constexpr std::uint16_t flags() const noexcept {
    return static_cast<std::uint16_t>((at_[12] & 1) << 8 | at_[13]);
  }
  /// Unscaled, as it is in every SYN.
  constexpr std::uint16_t window() const noexcept { return detail::load_be16(at_ + 14); }
  constexpr std::uint16_t urgent_pointer() const noexcept { return detail::load_be16(at_ + 18); }
  constexpr std::span<const std::uint8_t> option_bytes() const noexcept {
    return {at_ + 20, header_length() - 20};
  }
  constexpr tcp_option_walk options() const noexcept { return tcp_option_walk(option_bytes()); }

  constexpr known_options known() const noexcept {
    known_options k;
    for (tcp_option_walk walk = options(); const auto o = walk.next();) {
      const auto& d = o->data;
      if (o->kind == tcp_option::mss && d.size() == 2) k.mss = detail::load_be16(d.data());
      if (o->kind == tcp_option::window_scale && d.size() == 1) k.window_scale = d[0];
      if (o->kind == tcp_option::sack_permitted && d.empty()) k.sack_permitted = true;
      if (o->kind == tcp_option::timestamps && d.size() == 8)
        k.timestamp = known_options::timestamps{detail::load_be32(d.data()), detail::load_be32(d.data() + 4)};
    }
    return k;
  }

 private:
  const std::uint8_t* at_;
};

SYNFP_END_NAMESPACE
