// SPDX-License-Identifier: MIT
// From a captured frame to the SYN in it. It accepts what the XDP program stores and refuses the rest for the
// same reasons (bpf/parse.bpf.h), in the same order; a test runs both on the same packets. What differs:
//
//   - link types and encapsulations other than Ethernet with VLAN tags, and VLAN tags with the ethertype
//     0x9100, which were written to files but do not reach XDP's parser (link.hpp);
//   - what may hold a SYN and is not read, tunnels above all, has a name;
//   - IP options and extension headers are kept as long as a syn_record holds them, which is longer
//     than a slot;
//   - a frame of which the file holds less than was on the wire is read as far as its TCP header, and
//     refused as cut_short if that is not all there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <synfp/detail/extension_headers.hpp>
#include <synfp/syn_record.hpp>

#include "link.hpp"

namespace cli {

/// The SYN of a frame, or why there is none.
struct frame_syn {
  std::optional<synfp::syn_record> syn;
  refusal why = refusal::none;
  encapsulation unread;  ///< of refusal::unread

  constexpr frame_syn(refusal r) noexcept : why(r) {}
  constexpr frame_syn(const network& n) noexcept : why(n.why), unread(n.unread) {}
  constexpr frame_syn(const synfp::syn_record& record) noexcept : syn(record) {}
};

namespace detail {

/// What is in UDP, by a port of either side and the first 32 bits, as far as they are fixed; the first line
/// that fits counts.
struct udp_content {
  std::uint16_t port;
  std::uint32_t mask, value;
  const char* name;  ///< null: no tunnel
};
constexpr udp_content udp_contents[] = {
    {1701, 0x800f0000, 0x00020000, "L2TP"},        // RFC 2661: data
    {1701, 0x800f0000, 0x00030000, "L2TP"},        // RFC 3931
    {2152, 0xf0ff0000, 0x30ff0000, "GTP-U"},       // 3GPP TS 29.281: G-PDU
    {3544, 0xf0000000, 0x60000000, "Teredo"},      // RFC 4380: IPv6
    {3544, 0xfffe0000, 0x00000000, "Teredo"},      //   after what proves or names the sender
    {4341, 0, 0, "LISP"},                          // RFC 9300
    {4500, 0xffffffff, 0x00000000, nullptr},       // RFC 3948: IKE
    {4500, 0, 0, "ESP in UDP"},                    //
    {4789, 0x08000000, 0x08000000, "VXLAN"},       // RFC 7348
    {4790, 0x0c000000, 0x0c000000, "VXLAN-GPE"},   //
    {5247, 0xfe000000, 0x00000000, "CAPWAP"},      // RFC 5415
    {6080, 0, 0, "GUE"},                           //
    {6081, 0xc0000000, 0x00000000, "Geneve"},      // RFC 8926
    {6635, 0, 0, "MPLS in UDP"},                   // RFC 7510
    {8472, 0x08000000, 0x08000000, "VXLAN"},       // Linux, before there was a number
    {37008, 0xff000000, 0x01000000, "TZSP"},       //
    {51820, 0xffffffff, 0x04000000, "WireGuard"},  // data
};

/// Whether a packet that is not TCP may hold a SYN. `payload`: what the file has after the IP header; `cut`:
/// that this is not all.
constexpr network not_tcp(std::uint8_t protocol, std::span<const std::uint8_t> payload, bool cut) noexcept {
  switch (protocol) {
    case 4: return "IPv4 in IP";
    case 41: return "IPv6 in IP";
    case 47: return "GRE";
    case 50: return "ESP";
    case 51: return "AH";
    case 55: return "minimal encapsulation";
    case 97: return "EtherIP";
    case 108: return "IPComp";
    case 115: return "L2TP";
    case 137: return "MPLS in IP";
    case 143: return "Ethernet in IP";
    case 17: break;
    // ICMP, IGMP, EGP, IGRP, DCCP, RSVP, ICMPv6, none, EIGRP, OSPF, PIM, VRRP, PGM, SCTP, UDP-Lite
    case 1:
    case 2:
    case 8:
    case 9:
    case 33:
    case 46:
    case 58:
    case 59:
    case 88:
    case 89:
    case 103:
    case 112:
    case 113:
    case 132:
    case 136: return refusal::not_a_syn;
    default: return {"IP protocol {}", protocol};
  }
  if (payload.size() < 4) return cut ? refusal::cut_short : refusal::not_a_syn;
  const unsigned from = load_be16(payload.data()), to = load_be16(payload.data() + 2);
  for (const udp_content& one : udp_contents) {
    if (one.port != from && one.port != to) continue;
    const bool fits = payload.size() >= 12 ? (load_be32(payload.data() + 8) & one.mask) == one.value
                                           : cut && one.name != nullptr;
    if (!fits) continue;
    if (one.name == nullptr) break;
    return one.name;
  }
  return refusal::not_a_syn;
}

/// As the XDP program walks: bpf/parse.bpf.h.
constexpr synfp::detail::extension_limits extension_limits{.headers = 24, .offset = 1020};

constexpr bool is_mapped(std::span<const std::uint8_t> address) noexcept {
  for (std::size_t i = 0; i < 10; ++i) {
    if (address[i] != 0) return false;
  }
  return address[10] == 0xff && address[11] == 0xff;
}

}  // namespace detail

/// Where the TCP header of a frame is; or why there is none to be found.
struct tcp_place {
  network net;                                ///< why, unread; IP's place and its VLAN tags
  std::span<const std::uint8_t> packet = {};  ///< what the file has from the IP header on
  std::size_t at = 0;                         ///< of the TCP header in it; 20 bytes are there

  constexpr tcp_place(const network& n) noexcept : net(n) {}
  constexpr tcp_place(refusal why) noexcept : net(why) {}
  constexpr tcp_place(const network& n, std::span<const std::uint8_t> p, std::size_t tcp) noexcept
      : net(n), packet(p), at(tcp) {}
};

/// In `frame`, which is what the file holds of a frame of `wire_length` bytes. Total: any bytes, any link
/// type.
constexpr tcp_place find_tcp(int link, std::span<const std::uint8_t> frame,
                             std::size_t wire_length) noexcept {
  using namespace detail;
  const bool cut = frame.size() < wire_length;
  const network network = find_network(link, frame, cut ? refusal::cut_short : refusal::not_a_syn);
  if (network.why != refusal::none) return network;
  const auto packet = frame.subspan(network.at);
  const std::size_t fixed = network.v6 ? 40 : 20;
  if (packet.size() < fixed) return cut ? refusal::cut_short : refusal::bad_ip;
  const synfp::ip_view ip(packet.data());
  if (ip.version() != (network.v6 ? 6U : 4U)) return refusal::bad_ip;

  std::size_t at = ip.header_length();
  std::uint8_t protocol = ip.protocol();
  bool fragment = false;
  if (network.v6) {
    using end = synfp::detail::transport_header::end;
    const auto found = synfp::detail::skip_extension_headers(packet, extension_limits);
    switch (found.why) {
      case end::reached: break;
      case end::truncated: return cut ? refusal::cut_short : refusal::bad_ip;
      case end::fragment: return refusal::fragment;
      case end::limit: return refusal::extensions;
    }
    at = found.offset;
    protocol = found.protocol;
    fragment = found.first_fragment;
  } else {
    if (at < 20) return refusal::bad_ip;
    const unsigned field = load_be16(&packet[6]);
    fragment = (field & 0x3fff) != 0;
    if (protocol == synfp::detail::protocol_udp && (field & 0x1fff) != 0)
      return refusal::not_a_syn;  // the first one is looked at
  }
  if (protocol != synfp::detail::protocol_tcp)
    return not_tcp(protocol, packet.subspan(std::min(at, packet.size())), cut);
  if (fragment) return refusal::fragment;

  if (packet.size() < at + 20) return cut ? refusal::cut_short : refusal::bad_tcp;
  return {network, packet, at};
}

/// The SYN of `frame`, which is what the file holds of a frame of `wire_length` bytes. arrived() has the VLAN
/// tags. Total: any bytes, any link type.
constexpr frame_syn read_frame(int link, std::span<const std::uint8_t> frame,
                               std::size_t wire_length) noexcept {
  using namespace detail;
  using synfp::tcp_view;
  const auto [network, packet, at] = find_tcp(link, frame, wire_length);
  if (network.why != refusal::none) return network;
  const bool cut = frame.size() < wire_length;
  const std::size_t fixed = network.v6 ? 40 : 20;
  const synfp::ip_view ip(packet.data());
  const tcp_view tcp(&packet[at]);
  const unsigned flags = tcp.flags();
  if ((flags & (tcp_view::syn | tcp_view::ack)) != tcp_view::syn) return refusal::not_a_syn;
  if ((flags & (tcp_view::fin | tcp_view::rst)) != 0) return refusal::bad_flags;
  if (network.v6 && (is_mapped(ip.source()) || is_mapped(ip.destination()))) return refusal::mapped;

  const std::size_t length = ip.total_length();
  if (length < at + 20 || (cut ? wire_length : frame.size()) < network.at + length) return refusal::bad_ip;
  const std::size_t header = tcp.header_length();
  if (header < 20 || at + header > length) return refusal::bad_tcp;
  if (packet.size() < at + header) return refusal::cut_short;  // all else is excluded by now
  const std::size_t kept = at + header <= synfp::syn_record::max_bytes ? at : fixed;
  auto record = synfp::syn_record::from_parts(packet.first(kept), packet.subspan(at, header),
                                              static_cast<unsigned>(at));
  if (!record) return refusal::bad_ip;
  synfp::syn_record::arrival arrival;
  arrival.vlan = network.vlan;
  record->set_arrived(arrival);
  return *record;
}

}  // namespace cli
