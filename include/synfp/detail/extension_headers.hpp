// SPDX-License-Identifier: MIT
// From an IPv6 header to what the packet carries: the walk over extension headers (RFC 8200 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <synfp/detail/big_endian.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace detail {

/// Numbers of the protocol field and of next headers (IANA's list of protocol numbers).
enum ip_protocol : std::uint8_t {
  protocol_hop_by_hop = 0,
  protocol_tcp = 6,
  protocol_udp = 17,
  protocol_routing = 43,
  protocol_fragment = 44,
  protocol_authentication = 51,
  protocol_destination = 60,
};

/// Where a walk gives up.
struct extension_limits {
  std::size_t headers;
  std::size_t offset;
};

/// What is after the extension headers, or why nobody can say.
struct transport_header {
  enum class end : std::uint8_t {
    reached,    ///< at the first header that is none of the known extension headers
    truncated,  ///< the bytes end before
    fragment,   ///< a fragment that is not the first
    limit,      ///< of extension_limits
  };
  end why = end::reached;
  std::uint8_t protocol = 0;    ///< of the header at `offset`
  bool first_fragment = false;  ///< the packet is one, and more of them follow
  std::size_t offset = 0;       ///< from the IPv6 header; may be beyond the bytes
};

/// `packet` begins with an IPv6 header, whole. Steps over hop-by-hop options, routing, destination options,
/// authentication and fragment headers. A fragment header with offset 0 and nothing more to come is that of a
/// whole packet (RFC 6946).
constexpr transport_header skip_extension_headers(std::span<const std::uint8_t> packet,
                                                  extension_limits limits) noexcept {
  using end = transport_header::end;
  transport_header at{.protocol = packet[6], .offset = 40};
  for (std::size_t walked = 0; at.protocol != protocol_tcp; ++walked) {
    const auto give_up = [&at](end why) {
      at.why = why;
      return at;
    };
    if (walked == limits.headers) return give_up(end::limit);
    const bool fragment = at.protocol == protocol_fragment;
    const bool authentication = at.protocol == protocol_authentication;
    if (!fragment && !authentication && at.protocol != protocol_hop_by_hop &&
        at.protocol != protocol_routing && at.protocol != protocol_destination)
      break;
    if (packet.size() < at.offset + 4) return give_up(end::truncated);
    if (fragment) {
      const unsigned field = load_be16(&packet[at.offset + 2]);
      if ((field & 0xfff8) != 0) return give_up(end::fragment);
      if ((field & 1) != 0) at.first_fragment = true;
    }
    // RFC 8200 4: in units of 8 bytes, not counting the first; RFC 4302 2.2: units of 4, minus 2
    const std::size_t units = packet[at.offset + 1];
    at.protocol = packet[at.offset];
    at.offset += fragment ? 8 : authentication ? (units + 2) * 4 : (units + 1) * 8;
    if (at.offset > limits.offset) return give_up(end::limit);
  }
  return at;
}

}  // namespace detail
SYNFP_END_NAMESPACE
