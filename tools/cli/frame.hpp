// SPDX-License-Identifier: MIT
// From a captured frame to the SYN in it. It accepts what the XDP program stores and refuses the rest for the
// same reasons (bpf/parse.bpf.h), in the same order; a test runs both on the same packets. What differs:
//
//   - link types other than Ethernet, and VLAN tags with the ethertype 0x9100, which were written to
//     files but do not reach XDP's parser;
//   - IP options and extension headers are kept as long as a syn_record holds them, which is longer
//     than a slot;
//   - a frame of which the file holds less than was on the wire is read as far as its TCP header, and
//     refused as cut_short if that is not all there.
#pragma once

#include <pcap/dlt.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <synfp/syn_record.hpp>

namespace cli {

/// Why a frame gives no SYN.
enum class refusal : std::uint8_t {
  none,        ///< it gives one
  not_a_syn,   ///< something else: not IP, not TCP, no SYN, or SYN with ACK
  cut_short,   ///< the file holds too little of the frame
  fragment,    ///< of TCP, or of IPv6 whatever is in it
  bad_ip,      ///< truncated or contradictory IP header
  bad_tcp,     ///< truncated or contradictory TCP header
  bad_flags,   ///< SYN with FIN or RST: no connection is opened by it
  mapped,      ///< native IPv6 with a v4-mapped address
  extensions,  ///< too many or too long IPv6 extension headers
  vlan,        ///< more than two VLAN tags
  count_
};

constexpr std::string_view to_string(refusal r) noexcept {
  switch (r) {
    case refusal::none: return "read";
    case refusal::not_a_syn: return "not a SYN";
    case refusal::cut_short: return "cut short by the capture";
    case refusal::fragment: return "fragment";
    case refusal::bad_ip: return "bad IP header";
    case refusal::bad_tcp: return "bad TCP header";
    case refusal::bad_flags: return "SYN with FIN or RST";
    case refusal::mapped: return "v4-mapped IPv6 address";
    case refusal::extensions: return "too many IPv6 extension headers";
    case refusal::vlan: return "more than two VLAN tags";
    case refusal::count_: break;
  }
  return "unknown";
}

/// The SYN of a frame, or why there is none.
struct frame_syn {
  std::optional<synfp::syn_record> syn;
  refusal why = refusal::none;

  constexpr frame_syn(refusal r) noexcept : why(r) {}
  constexpr frame_syn(const synfp::syn_record& record) noexcept : syn(record) {}
};

/// Whether read_frame() knows this link type, a DLT_ number of libpcap.
constexpr bool reads_link(int link) noexcept {
  switch (link) {
    case DLT_EN10MB:
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
    case DLT_NULL:
    case DLT_LOOP:
    case DLT_LINUX_SLL:
    case DLT_LINUX_SLL2: return true;
    default: return false;
  }
}

namespace detail {

using synfp::detail::load_be16;
using synfp::detail::load_be32;

/// Where IP begins in a frame, and which one the link layer promises; or a refusal.
struct network {
  refusal why = refusal::none;
  std::size_t at = 0;
  bool v6 = false;
  std::array<std::uint16_t, 2> vlan{};  ///< as in syn_record::arrival

  constexpr network(refusal r) noexcept : why(r) {}
  constexpr network(std::size_t offset, bool is_v6, std::array<std::uint16_t, 2> tags = {}) noexcept
      : at(offset), v6(is_v6), vlan(tags) {}
};

/// From an ethertype on, the one at `at`: 0 to 2 VLAN tags, then IP. `too_short`: what to say of a frame that
/// ends before.
constexpr network behind_ethertype(std::span<const std::uint8_t> frame, std::size_t at, std::size_t behind,
                                   refusal too_short) noexcept {
  constexpr auto is_tag = [](unsigned type) { return type == 0x8100 || type == 0x88a8 || type == 0x9100; };
  std::array<std::uint16_t, 2> vlan{};
  if (frame.size() < behind) return too_short;
  unsigned type = load_be16(&frame[at]);
  for (std::uint16_t& tag : vlan) {
    if (!is_tag(type)) break;
    if (frame.size() < behind + 4) return too_short;
    tag = static_cast<std::uint16_t>(0x8000 | (load_be16(&frame[behind]) & 0x0fff));
    type = load_be16(&frame[behind + 2]);
    behind += 4;
  }
  if (type == 0x0800) return {behind, false, vlan};
  if (type == 0x86dd) return {behind, true, vlan};
  return is_tag(type) ? refusal::vlan : refusal::not_a_syn;
}

/// DLT_NULL and DLT_LOOP: the address family in four bytes, with the numbers of the system that captured;
/// DLT_NULL in its byte order, which nobody says.
constexpr network behind_family(std::span<const std::uint8_t> frame, bool any_order,
                                refusal too_short) noexcept {
  if (frame.size() < 4) return too_short;
  std::uint32_t family = load_be32(frame.data());
  if (any_order && family > 0xffff)
    family = family >> 24 | (family >> 8 & 0xff00) | (family << 8 & 0xff0000) | family << 24;
  switch (family) {
    case 2: return {4, false};
    case 10:  // Linux
    case 23:  // Windows
    case 24:  // NetBSD, OpenBSD
    case 28:  // FreeBSD
    case 30:  // macOS
      return {4, true};
    default: return refusal::not_a_syn;
  }
}

constexpr network find_network(int link, std::span<const std::uint8_t> frame, refusal too_short) noexcept {
  switch (link) {
    case DLT_EN10MB: return behind_ethertype(frame, 12, 14, too_short);
    case DLT_LINUX_SLL: return behind_ethertype(frame, 14, 16, too_short);
    case DLT_LINUX_SLL2: return behind_ethertype(frame, 0, 20, too_short);
    case DLT_NULL: return behind_family(frame, true, too_short);
    case DLT_LOOP: return behind_family(frame, false, too_short);
    case DLT_IPV4: return {0, false};
    case DLT_IPV6: return {0, true};
    case DLT_RAW:
      if (frame.empty()) return too_short;
      if ((frame[0] >> 4 != 4 && frame[0] >> 4 != 6)) return refusal::not_a_syn;
      return {0, frame[0] >> 4 == 6};
    default: return refusal::not_a_syn;
  }
}

/// Where TCP begins, bytes from the IP header; or a refusal.
struct transport {
  refusal why = refusal::none;
  std::size_t at = 0;
  constexpr transport(refusal r) noexcept : why(r) {}
  constexpr transport(std::size_t offset) noexcept : at(offset) {}
};

/// Walks IPv6 extension headers. `truncated`: what to say of a packet that ends too early.
constexpr transport skip_extensions(std::span<const std::uint8_t> packet, refusal truncated) noexcept {
  std::uint8_t next = packet[6];
  std::size_t at = 40;
  for (int walked = 0;; ++walked) {
    if (next == 6) return at;
    if (next == 44) return refusal::fragment;
    if (next != 0 && next != 43 && next != 60 && next != 51) return refusal::not_a_syn;
    if (walked == 6) return refusal::extensions;
    if (packet.size() < at + 4) return truncated;
    // RFC 8200 4: in units of 8 bytes, not counting the first; RFC 4302 2.2: units of 4, minus 2
    const std::size_t units = packet[at + 1];
    const std::size_t more = next == 51 ? (units + 2) * 4 : (units + 1) * 8;
    next = packet[at];
    at += more;
    if (at > 1020) return refusal::extensions;
  }
}

constexpr bool is_mapped(std::span<const std::uint8_t> address) noexcept {
  for (std::size_t i = 0; i < 10; ++i) {
    if (address[i] != 0) return false;
  }
  return address[10] == 0xff && address[11] == 0xff;
}

}  // namespace detail

/// The SYN of `frame`, which is what the file holds of a frame of `wire_length` bytes. arrived() has the VLAN
/// tags. Total: any bytes, any link type.
constexpr frame_syn read_frame(int link, std::span<const std::uint8_t> frame,
                               std::size_t wire_length) noexcept {
  using namespace detail;
  const bool cut = frame.size() < wire_length;
  const network network = find_network(link, frame, cut ? refusal::cut_short : refusal::not_a_syn);
  if (network.why != refusal::none) return network.why;
  const auto packet = frame.subspan(network.at);
  const std::size_t fixed = network.v6 ? 40 : 20;
  if (packet.size() < fixed) return cut ? refusal::cut_short : refusal::bad_ip;
  const synfp::ip_view ip(packet.data());
  if (ip.version() != (network.v6 ? 6U : 4U)) return refusal::bad_ip;

  std::size_t at = ip.header_length();
  if (network.v6) {
    const transport found = skip_extensions(packet, cut ? refusal::cut_short : refusal::bad_ip);
    if (found.why != refusal::none) return found.why;
    at = found.at;
  } else {
    if (at < 20) return refusal::bad_ip;
    if (ip.protocol() != 6) return refusal::not_a_syn;
    if ((load_be16(&packet[6]) & 0x3fff) != 0) return refusal::fragment;
  }

  if (packet.size() < at + 20) return cut ? refusal::cut_short : refusal::bad_tcp;
  using synfp::tcp_view;
  const tcp_view tcp(&packet[at]);
  const unsigned flags = tcp.flags();
  if ((flags & (tcp_view::syn | tcp_view::ack)) != tcp_view::syn) return refusal::not_a_syn;
  if ((flags & (tcp_view::fin | tcp_view::rst)) != 0) return refusal::bad_flags;
  if (network.v6 && (is_mapped(ip.source()) || is_mapped(ip.destination()))) return refusal::mapped;

  const std::size_t length = ip.total_length();
  if (length < at + 20 || (cut ? wire_length : frame.size()) < network.at + length) return refusal::bad_ip;
  if (tcp.header_length() < 20 || at + tcp.header_length() > length) return refusal::bad_tcp;
  auto record = synfp::syn_record::from_bytes(packet);
  if (!record) return refusal::cut_short;  // all else is excluded by now
  synfp::syn_record::arrival arrival;
  arrival.vlan = network.vlan;
  record->set_arrived(arrival);
  return *record;
}

}  // namespace cli
