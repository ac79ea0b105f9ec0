// SPDX-License-Identifier: MIT
// HAProxy's ip.fp converter, 3.4-dev of February 2026 (docs.haproxy.org): a binary fingerprint of IP and TCP.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <synfp/endpoint.hpp>  // fixed_text
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// 8 bytes, and what the mode adds: 1 for the TTL, 40 for option kinds, 16 for an address.
class haproxy_bytes_type {
 public:
  static constexpr std::size_t capacity() noexcept { return 65; }
  constexpr std::span<const std::uint8_t> bytes() const noexcept { return {data_.data(), size_}; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr void push_back(std::uint8_t byte) noexcept {
    if (size_ < data_.size()) data_[size_++] = byte;
  }
  constexpr std::uint8_t& operator[](std::size_t i) noexcept { return data_[i]; }

 private:
  std::array<std::uint8_t, 65> data_{};
  std::size_t size_ = 0;
};

/// ip.fp(mode): `mode` is a sum of 1 (adds the TTL), 2 (adds the option kinds) and 4 (adds the source
/// address). Defined for every record, whatever its TCP flags. Of a malformed option, and of what is behind
/// it or behind EOL, nothing is told; an MSS or window scale option of the wrong length is named but has no
/// value. Records that are truncated() lose nothing. HAProxy gives nothing for IPv6 with an authentication
/// header, which it measures wrongly; this does.
constexpr haproxy_bytes_type haproxy_bytes(const syn_record& syn, unsigned mode = 0) noexcept {
  const ip_view ip = syn.ip();
  const tcp_view tcp = syn.tcp();
  const bool v6 = !ip.is_v4();
  const unsigned ttl = ip.ttl();
  const unsigned ttl_class = ttl <= 32 ? 0U : ttl <= 64 ? 1U : ttl <= 128 ? 2U : 3U;
  const bool extended = v6 ? ip.protocol() != 6 && ip.protocol() != 17 : ip.header_length() != 20;

  haproxy_bytes_type out;
  out.push_back(ip.tos());
  out.push_back(static_cast<std::uint8_t>(
      (v6 ? 0x80U : 0U) | (v6 || ip.dont_fragment() ? 0x40U : 0U) | ttl_class << 4 | (extended ? 8U : 0U) |
      (syn.has_payload() ? 4U : 0U) | ((tcp.flags() & tcp_view::cwr) != 0 ? 2U : 0U) |
      ((tcp.flags() & tcp_view::ece) != 0 ? 1U : 0U)));
  const auto known = tcp.known();
  unsigned scale = 0;
  if (known.window_scale) scale = *known.window_scale > 14 ? 15U : *known.window_scale + 1U;
  out.push_back(static_cast<std::uint8_t>(tcp.header_length() / 4 << 4 | scale));
  const unsigned mss = known.mss.value_or(0);
  out.push_back(static_cast<std::uint8_t>(tcp.window() >> 8));
  out.push_back(static_cast<std::uint8_t>(tcp.window() & 0xff));
  out.push_back(static_cast<std::uint8_t>(mss >> 8));
  out.push_back(static_cast<std::uint8_t>(mss & 0xff));
  out.push_back(0);  // kinds: bit 0 is kind 2, bit 7 is kind 9 and all above
  if ((mode & 1) != 0) out.push_back(ip.ttl());
  for (tcp_option_walk walk = tcp.options(); const auto option = walk.next();) {
    const unsigned kind = option->kind;
    if (kind >= 2) out[7] = static_cast<std::uint8_t>(out[7] | 1U << (kind > 9 ? 7 : kind - 2));
    if ((mode & 2) != 0) out.push_back(option->kind);
  }
  if ((mode & 4) != 0) {
    for (const std::uint8_t byte : ip.source()) out.push_back(byte);
  }
  return out;
}

/// The same in lower-case hexadecimal. (HAProxy's own converter `hex` writes capitals.)
constexpr fixed_text<130> haproxy(const syn_record& syn, unsigned mode = 0) noexcept {
  fixed_text<130> out;
  const haproxy_bytes_type fingerprint = haproxy_bytes(syn, mode);
  for (const unsigned byte : fingerprint.bytes()) {
    out.append_number(byte >> 4, 16);
    out.append_number(byte & 15U, 16);
  }
  return out;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
