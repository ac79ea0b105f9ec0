// SPDX-License-Identifier: MIT
// A captured TCP SYN: its raw IP and TCP headers with views on them, and what a lookup of one says.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>  // memcpy
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>  // is_constant_evaluated

#include <synfp/endpoint.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// Who caught a SYN.
enum class capture_source : std::uint8_t { none, reuseport, xdp, saved_syn, fixed };

/// How sure it is that the SYN is this connection's.
enum class proof : std::uint8_t {
  none,
  tuple,     ///< addresses, ports and age match
  verified,  ///< and the ACK that completed the handshake carried its sequence number + 1
  exact,     ///< the kernel kept it with this very connection (TCP_SAVED_SYN)
};

/// Why there is no record.
enum class miss : std::uint8_t {
  none,          ///< there is one
  not_captured,  ///< the probe never stored it
  overwritten,   ///< the bucket was so busy that it may have been stored and evicted, or refused by `hold`
  stale,         ///< the record is older than max_age
  busy,          ///< writers kept the bucket busy, or a write was lost after the record was made
  conflict,      ///< several different SYNs claimed this connection
  unchecked,     ///< the SYN's checksum was not checked when it was stored, and no ACK has confirmed it
  claimed,       ///< the record was given to an earlier connection; this one's SYN was not captured
  displaced,     ///< someone else's program took the probe's place
  cookie,        ///< TCP_SAVED_SYN is empty: the connection came by a SYN cookie, or it was read before
  no_probe,      ///< no source is configured
  truncated,     ///< a SYN came, and its headers could not be kept whole
  unsupported,   ///< this kind of socket has no TCP_SAVED_SYN (MPTCP)
  ambiguous,     ///< of a link-local peer: the listener's probe does not know on which link its SYN came
};

constexpr std::string_view to_string(capture_source s) noexcept {
  switch (s) {
    case capture_source::none: return "none";
    case capture_source::reuseport: return "reuseport";
    case capture_source::xdp: return "xdp";
    case capture_source::saved_syn: return "saved_syn";
    case capture_source::fixed: return "fixed";
  }
  return "unknown";
}
constexpr std::string_view to_string(proof p) noexcept {
  switch (p) {
    case proof::none: return "none";
    case proof::tuple: return "tuple";
    case proof::verified: return "verified";
    case proof::exact: return "exact";
  }
  return "unknown";
}
constexpr std::string_view to_string(miss m) noexcept {
  switch (m) {
    case miss::none: return "none";
    case miss::not_captured: return "not_captured";
    case miss::overwritten: return "overwritten";
    case miss::stale: return "stale";
    case miss::busy: return "busy";
    case miss::conflict: return "conflict";
    case miss::unchecked: return "unchecked";
    case miss::claimed: return "claimed";
    case miss::displaced: return "displaced";
    case miss::cookie: return "cookie";
    case miss::no_probe: return "no_probe";
    case miss::truncated: return "truncated";
    case miss::unsupported: return "unsupported";
    case miss::ambiguous: return "ambiguous";
  }
  return "unknown";
}

namespace detail {
constexpr std::uint16_t load_be16(const std::uint8_t* p) noexcept {
  return static_cast<std::uint16_t>(p[0] << 8 | p[1]);
}
constexpr std::uint32_t load_be32(const std::uint8_t* p) noexcept {
  return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 |
         static_cast<std::uint32_t>(p[2]) << 8 | static_cast<std::uint32_t>(p[3]);
}
}  // namespace detail

/// The fields of an IP header, RFC 791 and RFC 8200. A view: valid while the bytes are.
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

/// One TCP option. `data` is what follows kind and length.
struct tcp_option {
  std::uint8_t kind = 0;
  std::span<const std::uint8_t> data;
};

/// Walks TCP options, RFC 9293 3.2: NOP is yielded, EOL ends the walk without being yielded, a length below 2
/// or past the end ends it and sets malformed().
class tcp_option_walk {
 public:
  constexpr explicit tcp_option_walk(std::span<const std::uint8_t> bytes) noexcept : rest_(bytes) {}

  constexpr std::optional<tcp_option> next() noexcept {
    if (rest_.empty()) return std::nullopt;
    const std::uint8_t kind = rest_[0];
    if (kind == 0) {
      end_ = true;
      rest_ = {};
      return std::nullopt;
    }
    if (kind == 1) {
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
  constexpr bool end_of_list() const noexcept { return end_; }  ///< an EOL was met

 private:
  std::span<const std::uint8_t> rest_;
  bool malformed_ = false;
  bool end_ = false;
};

/// The fields of a TCP header with its options, RFC 9293 3.1. A view: valid while the bytes are.
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
    ns = 256
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
  constexpr unsigned header_length() const noexcept { return (at_[12] >> 4) * 4U; }  ///< bytes, with options
  /// A combination of `flag`.
  constexpr std::uint16_t flags() const noexcept {
    return static_cast<std::uint16_t>((at_[12] & 1) << 8 | at_[13]);
  }
  constexpr std::uint16_t window() const noexcept { return detail::load_be16(at_ + 14); }  ///< unscaled
  constexpr std::uint16_t urgent_pointer() const noexcept { return detail::load_be16(at_ + 18); }
  constexpr std::span<const std::uint8_t> option_bytes() const noexcept {
    return {at_ + 20, header_length() - 20};
  }
  constexpr tcp_option_walk options() const noexcept { return tcp_option_walk(option_bytes()); }

  constexpr known_options known() const noexcept {
    known_options k;
    for (tcp_option_walk walk = options(); const auto o = walk.next();) {
      const auto& d = o->data;
      if (o->kind == 2 && d.size() == 2) k.mss = detail::load_be16(d.data());
      if (o->kind == 3 && d.size() == 1) k.window_scale = d[0];
      if (o->kind == 4 && d.empty()) k.sack_permitted = true;
      if (o->kind == 8 && d.size() == 8)
        k.timestamp = known_options::timestamps{detail::load_be32(d.data()), detail::load_be32(d.data() + 4)};
    }
    return k;
  }

 private:
  const std::uint8_t* at_;
};

/// A SYN as it was on the wire, from the IP header to the end of the TCP header, laid out as TCP_SAVED_SYN
/// does; and how it arrived. A value: copy it freely. Made only by from_bytes() and the capture sources, so
/// every view on it is within bounds whatever the sender put into it.
class syn_record {
 public:
  static constexpr std::size_t max_bytes = 120;  ///< 60 of IPv4 with options + 60 of TCP

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

  /// from_parts() in place, for those who count nanoseconds. False, and unchanged, if the parts do not fit.
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
      if (length < 20 || b[9] != 6 || (detail::load_be16(b.data() + 6) & 0x3fff) != 0) return std::nullopt;
      return length;
    }
    if (b[0] >> 4 != 6 || b.size() < 40) return std::nullopt;
    std::uint8_t next = b[6];
    unsigned offset = 40;
    while (next != 6) {  // ends: the offset grows
      const bool known = next == 0 || next == 43 || next == 60 || next == 51 || next == 44;
      if (!known || b.size() < offset + 4) return std::nullopt;
      const unsigned units = b[offset + 1];
      unsigned length = (units + 1) * 8;
      if (next == 51) length = (units + 2) * 4;
      if (next == 44) {
        // An atomic fragment, RFC 6946, is a whole packet: offset 0 and no more to come.
        if ((detail::load_be16(b.data() + offset + 2) & 0xfff9) != 0) return std::nullopt;
        length = 8;
      }
      next = b[offset];
      offset += length;
      if (offset > 0xffff) return std::nullopt;  // more than tcp_offset_ can say
    }
    return offset;
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

/// The answer to "which SYN opened this connection?": a record with its source and proof, or the reason for a
/// miss. Tests true if there is a record; `*` and `->` give it then.
struct syn_lookup {
  syn_record record;
  capture_source source = capture_source::none;
  synfp::proof proof = synfp::proof::none;
  synfp::miss miss = synfp::miss::no_probe;
  std::optional<std::uint64_t>
      age_ns;  ///< from the SYN's arrival to the lookup; empty if the source does not know

  constexpr explicit operator bool() const noexcept { return miss == synfp::miss::none; }
  constexpr const syn_record& operator*() const noexcept { return record; }
  constexpr const syn_record* operator->() const noexcept { return &record; }

  static constexpr syn_lookup missed(synfp::miss why) noexcept {
    syn_lookup l;
    l.miss = why;
    return l;
  }
};

SYNFP_END_NAMESPACE
