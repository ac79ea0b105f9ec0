// SPDX-License-Identifier: MIT
// A captured TCP SYN: its raw IP and TCP headers with views on them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>  // memcpy
#include <optional>
#include <span>
#include <type_traits>  // is_constant_evaluated

#include <synfp/detail/big_endian.hpp>
#include <synfp/detail/extension_headers.hpp>
#include <synfp/endpoint.hpp>
#include <synfp/ip_view.hpp>   // IWYU pragma: export
#include <synfp/tcp_view.hpp>  // IWYU pragma: export
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// A SYN as it was on the wire, from the IP header to the end of the TCP header, as TCP_SAVED_SYN gives it;
/// and how it arrived. A value: copy it freely; ip() and tcp() look into it and are valid while it is. Only
/// from_bytes(), from_parts() and the capture sources fill it, so every view on it is within bounds whatever
/// the sender put into it.
class syn_record {
 public:
  /// 60 of IPv4 with options + 60 of TCP.
  static constexpr std::size_t max_bytes = 120;

  /// How the SYN arrived. 0 or empty: the source does not know.
  struct arrival {
    std::uint64_t time_ns = 0;  ///< CLOCK_MONOTONIC of this time namespace, of the last copy
    std::uint32_t ifindex = 0;
    std::array<std::uint16_t, 2> vlan{};      ///< outer, inner: 0x8000 | id, or 0 for no tag
    std::optional<std::uint8_t> retransmits;  ///< further copies; 255 means 255 or more
  };

  /// From raw bytes that begin with an IP header; what follows the TCP header is ignored. IPv6 extension
  /// headers are walked (hop-by-hop, routing, destination, authentication, atomic fragment). Headers longer
  /// than max_bytes are stored without IP options and extension headers (truncated()). Empty if it is not
  /// TCP, is a fragment, or a length does not fit.
  static constexpr std::optional<syn_record> from_bytes(std::span<const std::uint8_t> bytes) noexcept {
    const auto offset = tcp_offset_of(bytes);
    if (!offset || bytes.size() < *offset + 20) return std::nullopt;
    const unsigned tcp_length = (bytes[*offset + 12] >> 4) * 4U;
    if (tcp_length < 20 || bytes.size() < *offset + tcp_length) return std::nullopt;
    if (ip_view(bytes.data()).total_length() < *offset + tcp_length) return std::nullopt;
    const unsigned fixed = bytes[0] >> 4 == 4 ? 20 : 40;
    const unsigned kept = *offset + tcp_length <= max_bytes ? *offset : fixed;
    syn_record record;
    record.assign(bytes.first(kept), bytes.subspan(*offset, tcp_length), *offset);
    return record;
  }

  /// From an IP header (`ip`: all that was kept of it) and a TCP header that is complete. `tcp_offset`: where
  /// TCP began on the wire, bytes from the IP header. Empty if the parts do not fit together.
  static constexpr std::optional<syn_record> from_parts(std::span<const std::uint8_t> ip,
                                                        std::span<const std::uint8_t> tcp,
                                                        unsigned tcp_offset) noexcept {
    syn_record record;
    if (!record.assign_parts(ip, tcp, tcp_offset)) return std::nullopt;
    return record;
  }

  /// from_parts() in place, which saves a copy. False, and the record is unchanged, if the parts do not fit.
  constexpr bool assign_parts(std::span<const std::uint8_t> ip, std::span<const std::uint8_t> tcp,
                              unsigned tcp_offset) noexcept {
    if (ip.size() < 20 || (ip[0] >> 4 != 4 && ip[0] >> 4 != 6)) return false;
    const unsigned fixed = ip[0] >> 4 == 4 ? 20 : 40;
    if (ip.size() != tcp_offset && ip.size() != fixed) return false;
    if (ip.size() < fixed || tcp_offset < fixed || tcp.size() < 20 || tcp.size() != (tcp[12] >> 4) * 4U)
      return false;
    if (ip.size() + tcp.size() > max_bytes) return false;
    if (ip_view(ip.data()).total_length() < tcp_offset + tcp.size()) return false;
    assign(ip, tcp, tcp_offset);
    return true;
  }

  constexpr ip_view ip() const noexcept { return ip_view(bytes_.data()); }
  constexpr tcp_view tcp() const noexcept { return tcp_view(bytes_.data() + tcp_at_); }
  /// From the IP header on. Whole unless truncated().
  constexpr std::span<const std::uint8_t> bytes() const noexcept { return {bytes_.data(), length_}; }
  /// IPv4 options as on the wire (empty if truncated()); always empty for IPv6.
  constexpr std::span<const std::uint8_t> ip_options() const noexcept {
    return ip().is_v4() ? std::span(bytes_.data() + 20, tcp_at_ - 20U) : std::span<const std::uint8_t>();
  }
  /// Where the TCP header began on the wire, bytes from the IP header.
  constexpr unsigned tcp_offset() const noexcept { return tcp_offset_; }
  /// IP options or extension headers were not kept: the stored IP header is the fixed part only.
  constexpr bool truncated() const noexcept { return tcp_at_ != tcp_offset_; }
  /// Data followed the TCP header (TCP Fast Open, or a prober).
  constexpr bool has_payload() const noexcept {
    return ip().total_length() > tcp_offset_ + tcp().header_length();
  }

  constexpr endpoint source() const noexcept { return end(ip().source(), tcp().source_port()); }
  constexpr endpoint destination() const noexcept {
    return end(ip().destination(), tcp().destination_port());
  }

  constexpr const arrival& arrived() const noexcept { return arrival_; }
  constexpr void set_arrived(const arrival& a) noexcept { arrival_ = a; }

  /// An empty record: an IPv4 header and a TCP header of zeros. For lookups that found nothing.
  constexpr syn_record() noexcept {
    bytes_[0] = 0x45;
    bytes_[20 + 12] = 0x50;
  }

 private:
  constexpr void assign(std::span<const std::uint8_t> ip, std::span<const std::uint8_t> tcp,
                        unsigned offset) noexcept {
    const auto old_end = length_;
    length_ = static_cast<std::uint8_t>(ip.size() + tcp.size());
    tcp_at_ = static_cast<std::uint8_t>(ip.size());
    tcp_offset_ = static_cast<std::uint16_t>(offset);
    copy(ip, bytes_.data());
    copy(tcp, bytes_.data() + ip.size());
    for (std::size_t i = length_; i < old_end; ++i) bytes_[i] = 0;
  }

  // Headers are whole words. Blocks of a fixed size, because compilers make a call or a string instruction of
  // a copy whose length they do not know, which costs more than a lookup's cache misses.
  static constexpr void copy(std::span<const std::uint8_t> from, std::uint8_t* to) noexcept {
    std::size_t i = 0;
    if (!std::is_constant_evaluated()) {
      for (; i + 20 <= from.size(); i += 20) std::memcpy(to + i, from.data() + i, 20);
      for (; i + 4 <= from.size(); i += 4) std::memcpy(to + i, from.data() + i, 4);
    }
    for (; i < from.size(); ++i) to[i] = from[i];
  }

  static constexpr std::optional<unsigned> tcp_offset_of(std::span<const std::uint8_t> b) noexcept {
    if (b.size() < 20) return std::nullopt;
    if (b[0] >> 4 == 4) {
      const unsigned length = (b[0] & 15U) * 4U;
      if (length < 20 || b[9] != detail::protocol_tcp || (detail::load_be16(b.data() + 6) & 0x3fff) != 0)
        return std::nullopt;
      return length;
    }
    if (b[0] >> 4 != 6 || b.size() < 40) return std::nullopt;
    // Each header has at least 8 bytes, so the offset, which tcp_offset_ must be able to say, bounds the
    // walk.
    const auto at = detail::skip_extension_headers(b, {.headers = b.size(), .offset = 0xffff});
    if (at.why != detail::transport_header::end::reached || at.protocol != detail::protocol_tcp ||
        at.first_fragment)
      return std::nullopt;
    return static_cast<unsigned>(at.offset);
  }

  constexpr endpoint end(std::span<const std::uint8_t> a, std::uint16_t port) const noexcept {
    if (a.size() == 4) return endpoint::v4(a[0], a[1], a[2], a[3], port);
    endpoint::bytes_type bytes{};
    for (std::size_t i = 0; i < 16; ++i) bytes[i] = a[i];
    return endpoint::v6(bytes, port, arrival_.ifindex);
  }

  std::array<std::uint8_t, max_bytes> bytes_{};
  std::uint8_t length_ = 40;
  std::uint8_t tcp_at_ = 20;
  std::uint16_t tcp_offset_ = 20;
  arrival arrival_;
};
static_assert(alignof(syn_record) <= 16, "coroutine frames do not align more strictly");

SYNFP_END_NAMESPACE
