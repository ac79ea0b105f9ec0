// SPDX-License-Identifier: MIT
// Builds frames for tests: every length and header field can be made to lie.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <synfp/endpoint.hpp>

namespace synfp::test {

using bytes = std::vector<std::uint8_t>;

inline void put16(bytes& to, std::size_t value) {
  to.push_back(static_cast<std::uint8_t>(value >> 8));
  to.push_back(static_cast<std::uint8_t>(value));
}
inline void put32(bytes& to, std::uint32_t value) {
  put16(to, value >> 16);
  put16(to, value & 0xffff);
}
inline void append(bytes& to, const bytes& what) { to.insert(to.end(), what.begin(), what.end()); }

/// The internet checksum (RFC 1071) of `data`, added to `sum`.
inline std::uint16_t checksum(const bytes& data, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < data.size(); ++i) sum += i % 2 == 0 ? data[i] * 256U : data[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

inline constexpr std::uint8_t fin = 1, syn = 2, rst = 4, psh = 8, ack = 16, urg = 32, ece = 64, cwr = 128;

/// An IPv6 extension header: its protocol number and its bytes; the first byte is overwritten with the next
/// one.
struct extension {
  std::uint8_t protocol;
  bytes data;
};
inline extension hop_by_hop(std::uint8_t units = 0) {
  bytes b(8U * (units + 1U), 0);
  b[1] = units;
  return {0, b};
}
inline extension destination_options(std::uint8_t units = 0) {
  extension e = hop_by_hop(units);
  e.protocol = 60;
  return e;
}
inline extension routing(std::uint8_t units = 0) {
  extension e = hop_by_hop(units);
  e.protocol = 43;
  return e;
}
/// RFC 4302: the length is in units of 4 bytes, minus 2.
inline extension authentication(std::uint8_t units = 4) {
  bytes b(4U * (units + 2U), 0xa5);
  b[1] = units;
  return {51, b};
}
/// RFC 8200 4.5: `offset` in units of 8 bytes; the first fragment of several, by default.
inline extension fragment_header(unsigned offset = 0, bool more = true) {
  const unsigned place = offset << 3 | (more ? 1U : 0U);
  return {44, {0, 0, static_cast<std::uint8_t>(place >> 8), static_cast<std::uint8_t>(place), 0, 0, 0, 7}};
}
inline extension atomic_fragment() { return fragment_header(0, false); }

/// The options of a Linux SYN: mss, sackOK, timestamp, nop, window scale.
inline bytes linux_options(std::uint32_t timestamp = 0x01020304) {
  bytes o{2, 4, 0x05, 0xb4, 4, 2, 8, 10};
  put32(o, timestamp);
  append(o, {0, 0, 0, 0, 1, 3, 3, 10});
  return o;
}

struct packet_builder {
  synfp::endpoint source = synfp::endpoint::v4(192, 0, 2, 1, 49153);
  synfp::endpoint destination = synfp::endpoint::v4(198, 51, 100, 2, 8080);
  bool force_v6 = false;  ///< also with v4-mapped addresses
  std::array<std::uint8_t, 6> to_mac{2, 0, 0, 0, 0, 2}, from_mac{2, 0, 0, 0, 0, 1};
  std::vector<std::pair<std::uint16_t, std::uint16_t>> vlan;  ///< ethertype and TCI, outer first
  std::optional<std::uint16_t> ethertype;
  bytes ip_options;  ///< IPv4, a multiple of 4
  std::vector<extension> extensions;
  std::uint8_t ttl = 64, tos = 0;
  std::uint16_t id = 0x1234, fragment = 0x4000;
  std::optional<std::uint8_t> ip_version, ihl;
  std::optional<std::uint16_t> total_length;  ///< IPv6: payload length
  std::uint8_t protocol = 6;
  std::uint32_t sequence = 1000, acknowledgment = 0;
  std::uint8_t flags = syn;
  std::uint16_t window = 64240, urgent = 0;
  bytes options = linux_options();
  std::optional<std::uint8_t> data_offset;
  bytes payload;
  bool bad_checksum = false;  ///< of TCP

  bool v6() const { return force_v6 || !source.is_v4(); }

  bytes tcp() const {
    bytes t;
    put16(t, source.port());
    put16(t, destination.port());
    put32(t, sequence);
    put32(t, acknowledgment);
    t.push_back(static_cast<std::uint8_t>(
        data_offset.value_or(static_cast<std::uint8_t>(5 + (options.size() + 3) / 4)) << 4));
    t.push_back(flags);
    put16(t, window);
    put16(t, 0);
    put16(t, urgent);
    append(t, options);
    append(t, payload);
    bytes pseudo = addresses();
    put32(pseudo, static_cast<std::uint32_t>(t.size()));
    put32(pseudo, 6);
    append(pseudo, t);
    const auto sum = static_cast<std::uint16_t>(checksum(pseudo) ^ (bad_checksum ? 0x5555 : 0));
    t[16] = static_cast<std::uint8_t>(sum >> 8);
    t[17] = static_cast<std::uint8_t>(sum);
    return t;
  }

  /// From the IP header on.
  bytes ip() const {
    const bytes segment = tcp();
    bytes p;
    if (v6()) {
      bytes chain;
      for (std::size_t i = 0; i < extensions.size(); ++i) {
        bytes one = extensions[i].data;
        one[0] = i + 1 < extensions.size() ? extensions[i + 1].protocol : protocol;
        append(chain, one);
      }
      p.push_back(static_cast<std::uint8_t>(ip_version.value_or(6) << 4 | tos >> 4));
      p.push_back(static_cast<std::uint8_t>(tos << 4));
      put16(p, 0);
      put16(p, total_length.value_or(static_cast<std::uint16_t>(chain.size() + segment.size())));
      p.push_back(extensions.empty() ? protocol : extensions[0].protocol);
      p.push_back(ttl);
      append(p, addresses());
      append(p, chain);
    } else {
      const std::size_t length = 20 + ip_options.size();
      p.push_back(static_cast<std::uint8_t>(ip_version.value_or(4) << 4 |
                                            ihl.value_or(static_cast<std::uint8_t>(length / 4))));
      p.push_back(tos);
      put16(p, total_length.value_or(static_cast<std::uint16_t>(length + segment.size())));
      put16(p, id);
      put16(p, fragment);
      p.push_back(ttl);
      p.push_back(protocol);
      put16(p, 0);
      append(p, addresses());
      append(p, ip_options);
      const std::uint16_t sum = checksum(p);
      p[10] = static_cast<std::uint8_t>(sum >> 8);
      p[11] = static_cast<std::uint8_t>(sum);
    }
    append(p, segment);
    return p;
  }

  bytes frame() const { return framed(ip()); }

  /// `packet` after this builder's Ethernet header.
  bytes framed(const bytes& packet) const {
    bytes f(to_mac.begin(), to_mac.end());
    f.insert(f.end(), from_mac.begin(), from_mac.end());
    for (const auto& [type, tci] : vlan) {
      put16(f, type);
      put16(f, tci);
    }
    put16(f, ethertype.value_or(static_cast<std::uint16_t>(v6() ? 0x86dd : 0x0800)));
    append(f, packet);
    return f;
  }

  /// Bytes from the IP header to the TCP header.
  std::size_t tcp_offset() const {
    if (!v6()) return 20 + ip_options.size();
    std::size_t n = 40;
    for (const auto& e : extensions) n += e.data.size();
    return n;
  }

 private:
  bytes addresses() const {
    const std::size_t skip = v6() ? 0 : 12;
    bytes a(source.address().begin() + static_cast<std::ptrdiff_t>(skip), source.address().end());
    a.insert(a.end(), destination.address().begin() + static_cast<std::ptrdiff_t>(skip),
             destination.address().end());
    return a;
  }
};

/// Between two documentation addresses of IPv6.
inline packet_builder v6_packet() {
  packet_builder p;
  p.source = *synfp::endpoint::parse("[2001:db8::1]:49153");
  p.destination = *synfp::endpoint::parse("[2001:db8::2]:8080");
  return p;
}

}  // namespace synfp::test
