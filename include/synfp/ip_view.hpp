// SPDX-License-Identifier: MIT
// An IP header in place.
#pragma once

#include <cstdint>
#include <span>

#include <synfp/detail/big_endian.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// The fields of an IP header, RFC 791 and RFC 8200. A view: valid while the bytes are, of which there must
/// be 20 for IPv4 and 40 for IPv6.
class ip_view {
 public:
  constexpr explicit ip_view(const std::uint8_t* at) noexcept : at_(at) {}

  constexpr bool is_v4() const noexcept { return at_[0] >> 4 == 4; }
  constexpr unsigned version() const noexcept { return at_[0] >> 4; }
  /// As on the wire, bytes: with options for IPv4; 40 for IPv6, without extension headers.
  constexpr unsigned header_length() const noexcept { return is_v4() ? (at_[0] & 15U) * 4U : 40U; }
  /// Bytes from the IP header to the end of the packet, as the header claims.
  constexpr unsigned total_length() const noexcept {
    return is_v4() ? detail::load_be16(at_ + 2) : 40U + detail::load_be16(at_ + 4);
  }
  /// TOS (IPv4) or traffic class (IPv6): DSCP and ECN.
  constexpr std::uint8_t tos() const noexcept {
    return is_v4() ? at_[1] : static_cast<std::uint8_t>((at_[0] & 15) << 4 | at_[1] >> 4);
  }
  constexpr std::uint16_t id() const noexcept {
    return is_v4() ? detail::load_be16(at_ + 4) : std::uint16_t{0};
  }
  constexpr bool dont_fragment() const noexcept { return is_v4() && (at_[6] & 0x40) != 0; }
  constexpr bool reserved_bit() const noexcept { return is_v4() && (at_[6] & 0x80) != 0; }
  constexpr std::uint8_t ttl() const noexcept { return is_v4() ? at_[8] : at_[7]; }
  /// Protocol (IPv4) or the first next header (IPv6).
  constexpr std::uint8_t protocol() const noexcept { return is_v4() ? at_[9] : at_[6]; }
  /// 20 bits; 0 for IPv4.
  constexpr std::uint32_t flow_label() const noexcept {
    return is_v4() ? 0 : detail::load_be32(at_) & 0xfffff;
  }
  /// Addresses, network order: 4 or 16 bytes.
  constexpr std::span<const std::uint8_t> source() const noexcept {
    return is_v4() ? std::span(at_ + 12, 4) : std::span(at_ + 8, 16);
  }
  constexpr std::span<const std::uint8_t> destination() const noexcept {
    return is_v4() ? std::span(at_ + 16, 4) : std::span(at_ + 24, 16);
  }

 private:
  const std::uint8_t* at_;
};

SYNFP_END_NAMESPACE
