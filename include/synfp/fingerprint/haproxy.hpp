// SPDX-License-Identifier: MIT
// The converter ip.fp of HAProxy 3.4 (docs.haproxy.org): a binary fingerprint of IP and TCP.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <synfp/fingerprint/initial_ttl.hpp>
#include <synfp/fixed_text.hpp>
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
/// address). Defined for every record, whatever its TCP flags. The walk is HAProxy's: it ends at EOL and at
/// an option whose length is missing, below 2 or beyond the header, which is not told. The last MSS and
/// window scale count, and are the bytes after their length byte whatever that says, those of the next
/// option included, if the header has them. Development versions before 3.4 had 7 bytes, or looped on a
/// length of 0. Records that are truncated() lose nothing. HAProxy gives nothing for IPv6 with an
/// authentication header, which it measures wrongly; this does.
constexpr haproxy_bytes_type haproxy_bytes(const syn_record& syn, unsigned mode = 0) noexcept {
  const ip_view ip = syn.ip();
  const tcp_view tcp = syn.tcp();
  const bool v6 = !ip.is_v4();
  const unsigned sent = initial_ttl(syn);
  const unsigned ttl_class = sent == 32 ? 0U : sent == 64 ? 1U : sent == 128 ? 2U : 3U;
  const bool extended =
      v6 ? ip.protocol() != synfp::detail::protocol_tcp && ip.protocol() != synfp::detail::protocol_udp
         : ip.header_length() != 20;

  haproxy_bytes_type out;
  out.push_back(ip.tos());
  out.push_back(static_cast<std::uint8_t>(
      (v6 ? 0x80U : 0U) | (v6 || ip.dont_fragment() ? 0x40U : 0U) | ttl_class << 4 | (extended ? 8U : 0U) |
      (syn.has_payload() ? 4U : 0U) | ((tcp.flags() & tcp_view::cwr) != 0 ? 2U : 0U) |
      ((tcp.flags() & tcp_view::ece) != 0 ? 1U : 0U)));
  out.push_back(static_cast<std::uint8_t>(tcp.header_length() / 4 << 4));  // and the window scale, see below
  out.push_back(static_cast<std::uint8_t>(tcp.window() >> 8));
  out.push_back(static_cast<std::uint8_t>(tcp.window() & 0xff));
  out.push_back(0);  // MSS
  out.push_back(0);
  out.push_back(0);  // kinds: bit 0 is kind 2, bit 7 is kind 9 and all above
  if ((mode & 1) != 0) out.push_back(ip.ttl());
  const auto options = tcp.option_bytes();
  for (std::size_t at = 0; at < options.size() && options[at] != tcp_option::eol;) {
    const std::size_t left = options.size() - at;
    const std::uint8_t kind = options[at];
    const std::size_t length = kind == tcp_option::nop ? 1 : left > 1 ? options[at + 1] : 0;
    if (length == 0 || (kind != tcp_option::nop && length < 2) || length > left) break;
    if ((mode & 2) != 0) out.push_back(kind);
    if (kind >= 2) out[7] = static_cast<std::uint8_t>(out[7] | 1U << (kind > 9 ? 7 : kind - 2));
    if (kind == tcp_option::mss && left >= 4) {
      out[5] = options[at + 2];
      out[6] = options[at + 3];
    }
    if (kind == tcp_option::window_scale && left >= 3) {
      const unsigned scale = options[at + 2] > 14 ? 15U : options[at + 2] + 1U;
      out[2] = static_cast<std::uint8_t>((out[2] & 0xf0U) | scale);
    }
    at += length;
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
