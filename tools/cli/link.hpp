// SPDX-License-Identifier: MIT
// From the link layer of a captured frame to the IP packet in it. Ethernet with up to eight VLAN tags, MPLS,
// PPPoE and SNAP, raw IP, BSD loopback, Linux cooked, PPP, Cisco HDLC, 802.11 and NFLOG are read. Whatever
// else may hold a packet has a name or a number here, so that the user is told; what cannot hold one (ARP,
// LLDP, control protocols) has not.
#pragma once

#include <pcap/dlt.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <synfp/detail/big_endian.hpp>

namespace cli {

/// Why a frame gives no SYN.
enum class refusal : std::uint8_t {
  none,        ///< it gives one
  not_a_syn,   ///< something else: not IP, not TCP, no SYN, or SYN with ACK
  unread,      ///< an encapsulation that is not read; its name says which
  cut_short,   ///< the file holds too little of the frame
  fragment,    ///< of TCP, of IPv6 whatever is in it, or of an 802.11 frame
  bad_ip,      ///< truncated or contradictory IP header
  bad_tcp,     ///< truncated or contradictory TCP header
  bad_flags,   ///< SYN with FIN or RST: no connection is opened by it
  mapped,      ///< native IPv6 with a v4-mapped address
  extensions,  ///< too many or too long IPv6 extension headers
  vlan,        ///< more than eight VLAN tags
  count_
};

constexpr std::string_view to_string(refusal r) noexcept {
  switch (r) {
    case refusal::none: return "read";
    case refusal::not_a_syn: return "not a SYN";
    case refusal::unread: return "not read";
    case refusal::cut_short: return "cut short by the capture";
    case refusal::fragment: return "fragment";
    case refusal::bad_ip: return "bad IP header";
    case refusal::bad_tcp: return "bad TCP header";
    case refusal::bad_flags: return "SYN with FIN or RST";
    case refusal::mapped: return "v4-mapped IPv6 address";
    case refusal::extensions: return "too many IPv6 extension headers";
    case refusal::vlan: return "more than eight VLAN tags";
    case refusal::count_: break;
  }
  return "unknown";
}

/// What was not read: a text in the syntax of {fmt}, with at most one place, for the number.
struct encapsulation {
  std::string_view text;
  std::uint32_t number = 0;
};

/// The encapsulation of a frame whose link type, a DLT_ number of libpcap, is not read.
constexpr std::string_view unread_link = "link type {}";

/// Whether find_network() knows this link type.
constexpr bool reads_link(int link) noexcept {
  switch (link) {
    case DLT_EN10MB:
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
    case DLT_NULL:
    case DLT_LOOP:
    case DLT_LINUX_SLL:
    case DLT_LINUX_SLL2:
    case DLT_PPP:
    case DLT_PPP_SERIAL:
    case DLT_PPP_ETHER:
    case DLT_C_HDLC:
    case DLT_IEEE802_11:
    case DLT_IEEE802_11_RADIO:
    case DLT_NFLOG: return true;
    default: return false;
  }
}

/// reads_link() in words.
constexpr std::string_view links_read =
    "Ethernet, raw IP, BSD loopback, Linux cooked, PPP, Cisco HDLC, 802.11 and NFLOG";

/// Where IP begins in a frame, and which one the link layer promises; or why it is not found.
struct network {
  refusal why = refusal::none;
  encapsulation unread;
  std::size_t at = 0;
  bool v6 = false;
  std::array<std::uint16_t, 2> vlan{};  ///< the outer ones, as in syn_record::arrival

  constexpr network(refusal r) noexcept : why(r) {}
  constexpr network(std::string_view text, std::uint32_t number = 0) noexcept
      : why(refusal::unread), unread{text, number} {}
  constexpr network(const char* text, std::uint32_t number = 0) noexcept
      : network(std::string_view(text), number) {}
  constexpr network(std::size_t offset, bool is_v6, std::array<std::uint16_t, 2> tags = {}) noexcept
      : at(offset), v6(is_v6), vlan(tags) {}
};

namespace detail {

using synfp::detail::load_be16;
using synfp::detail::load_be32;

constexpr unsigned load_le16(const std::uint8_t* p) noexcept { return p[0] | unsigned{p[1]} << 8; }

/// Walks the headers below IP. Each step moves on in the frame or ends, and none is taken more often than the
/// frame has bytes.
class link_walk {
 public:
  /// `too_short`: what to say of a frame that ends before IP begins.
  constexpr link_walk(std::span<const std::uint8_t> frame, refusal too_short) noexcept
      : frame_(frame), too_short_(too_short) {}

  constexpr network from(int link) noexcept {
    switch (link) {
      case DLT_EN10MB: return has(0, 14) ? from_type_or_length(load_be16(at(12)), 14) : too_short_;
      case DLT_LINUX_SLL:
        return has(0, 16) ? from_cooked(load_be16(at(2)), load_be16(at(14)), 16) : too_short_;
      case DLT_LINUX_SLL2:
        return has(0, 20) ? from_cooked(load_be16(at(8)), load_be16(at(0)), 20) : too_short_;
      case DLT_NULL: return from_family(true);
      case DLT_LOOP: return from_family(false);
      case DLT_IPV4: return {0, false};
      case DLT_IPV6: return {0, true};
      case DLT_RAW:
        if (frame_.empty()) return too_short_;
        if (frame_[0] >> 4 != 4 && frame_[0] >> 4 != 6) return refusal::not_a_syn;
        return {0, frame_[0] >> 4 == 6};
      case DLT_PPP:
      case DLT_PPP_SERIAL:
      case DLT_C_HDLC: return from_hdlc();
      case DLT_PPP_ETHER: return from_pppoe(0);
      case DLT_IEEE802_11: return from_wireless(0, false);
      case DLT_IEEE802_11_RADIO: return from_radiotap();
      case DLT_NFLOG: return from_nflog();
      default: return {unread_link, static_cast<std::uint32_t>(link)};
    }
  }

 private:
  static constexpr std::size_t max_tags = 8;

  constexpr bool has(std::size_t offset, std::size_t n) const noexcept {
    return offset <= frame_.size() && n <= frame_.size() - offset;
  }
  constexpr const std::uint8_t* at(std::size_t offset) const noexcept { return frame_.data() + offset; }
  constexpr network found(std::size_t offset, bool v6) const noexcept { return {offset, v6, vlan_}; }

  /// Ethernet: up to 1535 it is a length, and 802.2 follows.
  constexpr network from_type_or_length(unsigned type, std::size_t behind) noexcept {
    if (!skip_tags(type, behind)) return tagged_out_;
    return type < 0x600 ? from_llc(behind) : from_type(type, behind);
  }

  /// VLAN tags. False, with the reason in tagged_out_, if there are too many or the frame ends in one.
  constexpr bool skip_tags(unsigned& type, std::size_t& behind) noexcept {
    while (type == 0x8100 || type == 0x88a8 || type == 0x9100) {
      tagged_out_ = tags_ == max_tags ? refusal::vlan : too_short_;
      if (tags_ == max_tags || !has(behind, 4)) return false;
      if (tags_ < vlan_.size())
        vlan_[tags_] = static_cast<std::uint16_t>(0x8000 | (load_be16(at(behind)) & 0x0fff));
      ++tags_;
      type = load_be16(at(behind + 2));
      behind += 4;
    }
    return true;
  }

  constexpr network from_type(unsigned type, std::size_t behind) noexcept {
    if (!skip_tags(type, behind)) return tagged_out_;
    switch (type) {
      case 0x0800: return found(behind, false);
      case 0x86dd: return found(behind, true);
      case 0x8847:
      case 0x8848: return from_mpls(behind);
      case 0x8864: return from_pppoe(behind);
      case 0x22eb:
      case 0x88be: return "ERSPAN";
      case 0x22f3: return "TRILL";
      case 0x4305: return "batman-adv";
      case 0x6558: return "bridged Ethernet";
      case 0x880b: return "PPP in Ethernet";
      case 0x88e5: return "MACsec";
      case 0x88e7: return "PBB";
      case 0x88fb: return "PRP";
      case 0x8926: return "VN-Tag";
      case 0x892f: return "HSR";
      case 0x893f: return "802.1BR";
      case 0x894f: return "NSH";
      default: break;
    }
    // ARP and others that carry no IP: IEEE's list, those that networks really have.
    constexpr std::uint16_t silent[] = {
        0x0806, 0x0842, 0x2000, 0x22ea, 0x22f0, 0x6000, 0x6001, 0x6002, 0x6003, 0x6004, 0x6005,
        0x6006, 0x6007, 0x8035, 0x809b, 0x80f3, 0x8137, 0x8138, 0x8808, 0x8809, 0x8863, 0x887b,
        0x888e, 0x8892, 0x8899, 0x88a2, 0x88a4, 0x88b8, 0x88b9, 0x88ba, 0x88cc, 0x88cd, 0x88d9,
        0x88e1, 0x88e3, 0x88f5, 0x88f6, 0x88f7, 0x8902, 0x8906, 0x8914, 0x8915, 0x9000, 0xfefe};
    if (std::find(std::begin(silent), std::end(silent), type) != std::end(silent)) return refusal::not_a_syn;
    return {"ethertype 0x{:04x}", type};
  }

  /// 802.2, and SNAP in it (RFC 1042).
  constexpr network from_llc(std::size_t here) noexcept {
    if (!has(here, 3)) return too_short_;
    const unsigned sap = frame_[here];
    if (sap == 0xaa && frame_[here + 1] == 0xaa) {
      if (!has(here, 8)) return too_short_;
      const std::uint32_t organisation = load_be32(at(here + 2)) & 0xffffff;
      if (organisation == 0 || organisation == 0x0000f8) return from_type(load_be16(at(here + 6)), here + 8);
      if (organisation == 0x00000c) return refusal::not_a_syn;  // Cisco's control protocols
      return {"SNAP of 0x{:06x}", organisation};
    }
    if (sap == 0x06) return found(here + 3, false);  // RFC 948
    // Spanning tree, IPX, NetBIOS, OSI, SNA and their kind
    constexpr std::uint8_t silent[] = {0x00, 0x04, 0x05, 0x08, 0x0c, 0x42, 0x80,
                                       0xe0, 0xf0, 0xf4, 0xf8, 0xfc, 0xfe, 0xff};
    if (std::find(std::begin(silent), std::end(silent), sap) != std::end(silent)) return refusal::not_a_syn;
    return {"802.2 of 0x{:02x}", sap};
  }

  /// RFC 3032. Nobody says what follows the labels; a router in the middle guesses by the version, too.
  constexpr network from_mpls(std::size_t here) noexcept {
    for (bool bottom = false; !bottom; here += 4) {
      if (!has(here, 4)) return too_short_;
      bottom = (frame_[here + 2] & 1) != 0;
    }
    if (!has(here, 1)) return too_short_;
    if (frame_[here] >> 4 == 4) return found(here, false);
    if (frame_[here] >> 4 == 6) return found(here, true);
    return "MPLS without IP";
  }

  /// RFC 2516; code 0 is data.
  constexpr network from_pppoe(std::size_t here) noexcept {
    if (!has(here, 6)) return too_short_;
    return frame_[here + 1] == 0 ? from_ppp(here + 6) : refusal::not_a_syn;
  }

  /// From the protocol number on, RFC 1661 2; an odd first byte is the whole number (RFC 1662 6.5).
  constexpr network from_ppp(std::size_t here) noexcept {
    if (!has(here, 1)) return too_short_;
    const std::size_t size = (frame_[here] & 1) != 0 ? 1 : 2;
    if (!has(here, size)) return too_short_;
    const unsigned protocol = size == 1 ? frame_[here] : load_be16(at(here));
    here += size;
    switch (protocol) {
      case 0x0021: return found(here, false);
      case 0x0057: return found(here, true);
      case 0x0281:
      case 0x0283: return from_mpls(here);
      case 0x0031: return "bridged PPP";
      case 0x003d: return "PPP multilink";
      case 0x0053:
      case 0x0055: return "encrypted PPP";
      case 0x00fb:
      case 0x00fd: return "compressed PPP";
      // Other network layers, and RFC 1144, which sends SYNs as they are.
      case 0x0023:
      case 0x0025:
      case 0x0027:
      case 0x0029:
      case 0x002b:
      case 0x002d:
      case 0x002f:
      case 0x003f: return refusal::not_a_syn;
      default: break;
    }
    if (protocol >= 0x4000) return refusal::not_a_syn;  // control
    return {"PPP protocol 0x{:04x}", protocol};
  }

  /// PPP with or without address and control (RFC 1662 3.1), or Cisco's HDLC, which has other addresses.
  constexpr network from_hdlc() noexcept {
    if (!has(0, 2)) return too_short_;
    if (frame_[0] == 0xff && frame_[1] == 0x03) return from_ppp(2);
    if ((frame_[0] != 0x0f && frame_[0] != 0x8f) || frame_[1] != 0) return from_ppp(0);
    return has(0, 4) ? from_type(load_be16(at(2)), 4) : too_short_;
  }

  /// `hardware`: an ARPHRD_ number. Frames of netlink have no ethertype.
  constexpr network from_cooked(unsigned hardware, unsigned type, std::size_t behind) noexcept {
    if (hardware == 824 || type == 1) return refusal::not_a_syn;  // netlink; Novell's raw 802.3
    return type == 4 ? from_llc(behind) : from_type(type, behind);
  }

  /// The address family in four bytes, with the numbers of the system that captured; DLT_NULL in its byte
  /// order, which nobody says.
  constexpr network from_family(bool any_order) noexcept {
    if (!has(0, 4)) return too_short_;
    std::uint32_t family = load_be32(at(0));
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

  /// radiotap.org: the length of all of it; of its fields, only whether 802.11's header is padded.
  constexpr network from_radiotap() noexcept {
    if (!has(0, 8)) return too_short_;
    const std::size_t length = load_le16(at(2));
    if (length < 8) return "802.11 with a bad radiotap header";
    if (!has(0, length)) return too_short_;
    std::size_t field = 4;
    for (bool more = true; more; field += 4) {
      if (field + 4 > length) return "802.11 with a bad radiotap header";
      more = (frame_[field + 3] & 0x80) != 0;
    }
    if ((frame_[4] & 1) != 0) field = (field + 7) / 8 * 8 + 8;  // the time, aligned
    const bool padded = (frame_[4] & 2) != 0 && field < length && (frame_[field] & 0x20) != 0;
    return from_wireless(length, padded);
  }

  constexpr network from_wireless(std::size_t here, bool padded) noexcept {
    if (!has(here, 2)) return too_short_;
    const unsigned type = frame_[here] >> 2 & 3, subtype = frame_[here] >> 4, flags = frame_[here + 1];
    if (type != 2 || (subtype & 4) != 0) return refusal::not_a_syn;  // no data
    if ((flags & 0x40) != 0) return "encrypted 802.11";
    std::size_t length = (flags & 3) == 3 ? 30 : 24;
    const std::size_t quality = length;
    if ((subtype & 8) != 0) length += (flags & 0x80) != 0 ? 6 : 2;
    if (!has(here, length)) return too_short_;
    if ((flags & 4) != 0 || (frame_[here + 22] & 15) != 0) return refusal::fragment;
    if ((subtype & 8) != 0 && (frame_[here + quality] & 0x80) != 0) return "802.11 A-MSDU";
    return from_llc(here + (padded ? (length + 3) / 4 * 4 : length));
  }

  /// The address family, then fields of length, type and value in the byte order of who captured; types are
  /// below 256, so they show which it was.
  constexpr network from_nflog() noexcept {
    if (!has(0, 4)) return too_short_;
    const unsigned family = frame_[0];
    std::size_t here = 4;
    while (has(here, 4)) {
      const bool little = frame_[here + 3] == 0;
      const std::size_t length = little ? load_le16(at(here)) : load_be16(at(here));
      const unsigned type = little ? load_le16(at(here + 2)) : load_be16(at(here + 2));
      if (length < 4) return "NFLOG with a bad field";
      if (type == 9) {
        if (family == 2) return found(here + 4, false);
        if (family == 10) return found(here + 4, true);
        return {"NFLOG of address family {}", family};
      }
      here += (length + 3) / 4 * 4;
    }
    return too_short_;
  }

  std::span<const std::uint8_t> frame_;
  refusal too_short_;
  refusal tagged_out_ = refusal::none;
  std::array<std::uint16_t, 2> vlan_{};
  std::size_t tags_ = 0;
};

}  // namespace detail

/// `too_short`: what to say of a frame that ends before IP begins. Total: any bytes, any link type.
constexpr network find_network(int link, std::span<const std::uint8_t> frame, refusal too_short) noexcept {
  return detail::link_walk(frame, too_short).from(link);
}

}  // namespace cli
