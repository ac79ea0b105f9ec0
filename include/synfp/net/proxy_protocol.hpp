// SPDX-License-Identifier: MIT
// The header that a proxy sends before the client's bytes: PROXY protocol, versions 1 and 2
// (haproxy.org/download/3.2/doc/proxy-protocol.txt). Reads bytes; the awaiting is in proxied.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <synfp/detail/address_text.hpp>
#include <synfp/endpoint.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

/// Why a header is refused.
enum class proxy_refusal : std::uint8_t {
  none,
  signature,  ///< it does not begin as either version does
  version,    ///< version 2's signature with another version
  command,    ///< neither LOCAL nor PROXY
  family,     ///< an address family or transport that does not exist
  text,       ///< version 1 that is not written as the specification says, an address or port included
  too_long,   ///< version 1 without an end within 107 bytes, or version 2 beyond the limit
  length,     ///< version 2: shorter than its addresses
  tlv,        ///< a type-length-value field that goes beyond the header, or that must not come twice
  checksum,   ///< its CRC32c is another
};

constexpr std::string_view to_string(proxy_refusal r) noexcept {
  switch (r) {
    case proxy_refusal::none: return "none";
    case proxy_refusal::signature: return "signature";
    case proxy_refusal::version: return "version";
    case proxy_refusal::command: return "command";
    case proxy_refusal::family: return "family";
    case proxy_refusal::text: return "text";
    case proxy_refusal::too_long: return "too_long";
    case proxy_refusal::length: return "length";
    case proxy_refusal::tlv: return "tlv";
    case proxy_refusal::checksum: return "checksum";
  }
  return "unknown";
}

/// Types of TLV fields that are read here. Others are passed over.
struct proxy_tlv {
  static constexpr std::uint8_t crc32c = 0x03;
  /// Ours, of the range for applications (0xE0 to 0xEF): the SYN of the client's connection to the proxy,
  /// raw, from the IP header to the end of the TCP options, as TCP_SAVED_SYN gives it.
  static constexpr std::uint8_t client_syn = 0xE5;
};

/// A header that is whole. Views into the bytes it was read from.
struct proxy_header {
  std::size_t size = 0;  ///< what comes after is the client's
  unsigned version = 0;
  /// LOCAL: the proxy speaks for itself, for instance to see whether we live.
  bool local = false;
  /// The client's connection to the proxy. Not there: LOCAL, UNKNOWN, an unspecified or a Unix address, a
  /// datagram.
  bool has_endpoints = false;
  endpoint source{};
  endpoint destination{};
  std::span<const std::uint8_t> tlvs{};

  /// The value of the first field of `type`.
  constexpr std::optional<std::span<const std::uint8_t>> tlv(std::uint8_t type) const noexcept {
    for (std::size_t i = 0; i + 3 <= tlvs.size();) {
      const std::size_t length = static_cast<std::size_t>(tlvs[i + 1] << 8 | tlvs[i + 2]);
      if (tlvs[i] == type) return tlvs.subspan(i + 3, length);
      i += 3 + length;
    }
    return std::nullopt;
  }
};

/// What parse_proxy_header() says: a header, a refusal, or neither: more bytes are needed.
struct proxy_parse {
  std::optional<proxy_header> header{};
  proxy_refusal refused = proxy_refusal::none;

  constexpr bool incomplete() const noexcept { return !header && refused == proxy_refusal::none; }
};

/// The longest header of version 1, with its CRLF.
inline constexpr std::size_t longest_proxy_v1 = 107;

namespace detail {

inline constexpr std::array<std::uint8_t, 12> proxy_v2_signature{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                                 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
inline constexpr std::string_view proxy_v1_signature = "PROXY ";

/// `bytes` begin as `signature` does, as far as they go.
template <class Signature>
constexpr bool begins_as(std::span<const std::uint8_t> bytes, const Signature& signature) noexcept {
  for (std::size_t i = 0; i != bytes.size() && i != signature.size(); ++i) {
    if (bytes[i] != static_cast<std::uint8_t>(signature[i])) return false;
  }
  return true;
}

constexpr proxy_parse refuse(proxy_refusal why) noexcept { return {std::nullopt, why}; }

/// An address of version 1, in the family that was said: IPv6 text has a colon. Nothing if it is malformed.
constexpr std::optional<endpoint> proxy_v1_address(std::string_view text, bool v6) noexcept {
  endpoint::bytes_type bytes{};
  if (v6) {
    if (text.find(':') == std::string_view::npos || !synfp::detail::parse_v6(text, bytes))
      return std::nullopt;
  } else {
    bytes[10] = bytes[11] = 0xff;
    if (!synfp::detail::parse_v4(text, bytes.data() + 12) || !text.empty()) return std::nullopt;
  }
  return endpoint::v6(bytes, 0);
}

constexpr proxy_parse parse_proxy_v1(std::span<const std::uint8_t> bytes) noexcept {
  std::array<char, longest_proxy_v1> text{};
  std::size_t size = 0;
  while (size != bytes.size() && size != text.size()) {
    const std::uint8_t b = bytes[size];
    text[size++] = static_cast<char>(b);
    if (b == '\n') break;
  }
  if (size == 0 || text[size - 1] != '\n')
    return size == text.size() ? refuse(proxy_refusal::too_long) : proxy_parse{};
  std::string_view line(text.data(), size);
  if (line.size() < 2 || line[line.size() - 2] != '\r') return refuse(proxy_refusal::text);
  line = line.substr(proxy_v1_signature.size(), line.size() - proxy_v1_signature.size() - 2);
  proxy_header header;
  header.size = size;
  header.version = 1;
  // What follows UNKNOWN is to be ignored, whatever it is.
  if (line == "UNKNOWN" || line.substr(0, 8) == "UNKNOWN ") return {header, proxy_refusal::none};
  std::array<std::string_view, 5> words;  // family, source, destination, and their ports
  for (std::size_t i = 0; i != words.size(); ++i) {
    const std::size_t space = line.find(' ');
    if ((space == std::string_view::npos) != (i + 1 == words.size())) return refuse(proxy_refusal::text);
    words[i] = line.substr(0, space);
    line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  }
  if (words[0] != "TCP4" && words[0] != "TCP6") return refuse(proxy_refusal::text);
  const auto source = proxy_v1_address(words[1], words[0] == "TCP6");
  const auto destination = proxy_v1_address(words[2], words[0] == "TCP6");
  const auto source_port = synfp::detail::parse_number(words[3], 65535);
  const auto destination_port = synfp::detail::parse_number(words[4], 65535);
  if (!source || !destination || !source_port || !destination_port || !words[3].empty() || !words[4].empty())
    return refuse(proxy_refusal::text);
  header.source = *source;
  header.destination = *destination;
  header.source.set_port(static_cast<std::uint16_t>(*source_port));
  header.destination.set_port(static_cast<std::uint16_t>(*destination_port));
  header.has_endpoints = true;
  return {header, proxy_refusal::none};
}

/// The CRC of RFC 3720 B.4, continued from `crc`.
constexpr std::uint32_t crc32c_step(std::uint32_t crc, std::uint8_t byte) noexcept {
  crc ^= byte;
  for (int i = 0; i != 8; ++i) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
  return crc;
}

/// Every field lies within the header, and the checksum, if there is one, is right.
constexpr proxy_refusal check_tlvs(std::span<const std::uint8_t> all, std::size_t first) noexcept {
  std::size_t checksum_at = 0;
  for (std::size_t i = first; i != all.size();) {
    if (all.size() - i < 3) return proxy_refusal::tlv;
    const std::size_t length = static_cast<std::size_t>(all[i + 1] << 8 | all[i + 2]);
    if (all.size() - i - 3 < length) return proxy_refusal::tlv;
    if (all[i] == proxy_tlv::crc32c) {
      if (length != 4 || checksum_at != 0) return proxy_refusal::tlv;
      checksum_at = i + 3;
    }
    i += 3 + length;
  }
  if (checksum_at == 0) return proxy_refusal::none;
  std::uint32_t crc = 0xffffffffU;
  std::uint32_t said = 0;
  for (std::size_t i = 0; i != all.size(); ++i) {
    const bool own = i >= checksum_at && i < checksum_at + 4;  // counted as zeros
    if (own) said = said << 8 | all[i];
    crc = crc32c_step(crc, own ? std::uint8_t{0} : all[i]);
  }
  return said == (crc ^ 0xffffffffU) ? proxy_refusal::none : proxy_refusal::checksum;
}

constexpr proxy_parse parse_proxy_v2(std::span<const std::uint8_t> bytes, std::size_t most) noexcept {
  constexpr std::size_t fixed = 16;
  if (bytes.size() > 12 && bytes[12] >> 4 != 2) return refuse(proxy_refusal::version);
  if (bytes.size() > 12 && (bytes[12] & 0xf) > 1) return refuse(proxy_refusal::command);
  if (bytes.size() < fixed) return {};
  proxy_header header;
  header.version = 2;
  header.local = (bytes[12] & 0xf) == 0;
  header.size = fixed + static_cast<std::size_t>(bytes[14] << 8 | bytes[15]);
  if (header.size > most) return refuse(proxy_refusal::too_long);
  const unsigned family = bytes[13] >> 4;
  const unsigned transport = bytes[13] & 0xf;
  // Of LOCAL everything else is to be passed over.
  if (!header.local && (family > 3 || transport > 2 || (family == 0) != (transport == 0)))
    return refuse(proxy_refusal::family);
  constexpr std::size_t sizes[] = {0, 12, 36, 216};
  if (!header.local && header.size - fixed < sizes[family]) return refuse(proxy_refusal::length);
  if (bytes.size() < header.size) return {};
  if (header.local || family == 0) return {header, proxy_refusal::none};
  const auto all = bytes.first(header.size);
  if (const auto wrong = check_tlvs(all, fixed + sizes[family]); wrong != proxy_refusal::none)
    return refuse(wrong);
  header.tlvs = all.subspan(fixed + sizes[family]);
  if (family == 3 || transport != 1) return {header, proxy_refusal::none};
  const std::size_t length = family == 1 ? 4 : 16;
  const auto read = [all, length](std::size_t address, std::size_t port) {
    endpoint::bytes_type out{};
    if (length == 4) out[10] = out[11] = 0xff;
    for (std::size_t i = 0; i != length; ++i) out[16 - length + i] = all[address + i];
    return endpoint::v6(out, static_cast<std::uint16_t>(all[port] << 8 | all[port + 1]));
  };
  header.source = read(fixed, fixed + 2 * length);
  header.destination = read(fixed + length, fixed + 2 * length + 2);
  header.has_endpoints = true;
  return {header, proxy_refusal::none};
}

}  // namespace detail

/// Reads a header of either version from the front of `bytes`: all that has been received. One of version 2
/// that is longer than `most` is refused before it is there. Allocates nothing; at most one pass over the
/// header.
constexpr proxy_parse parse_proxy_header(std::span<const std::uint8_t> bytes,
                                         std::size_t most = 4096) noexcept {
  if (bytes.empty()) return {};
  if (detail::begins_as(bytes, detail::proxy_v2_signature))
    return bytes.size() < detail::proxy_v2_signature.size() ? proxy_parse{}
                                                            : detail::parse_proxy_v2(bytes, most);
  if (!detail::begins_as(bytes, detail::proxy_v1_signature)) return detail::refuse(proxy_refusal::signature);
  return bytes.size() < detail::proxy_v1_signature.size() ? proxy_parse{} : detail::parse_proxy_v1(bytes);
}

/// Addresses that begin with the same bits: "10.0.0.0/8", "2001:db8::/32", "192.0.2.1".
class address_prefix {
 public:
  /// Nothing unless it is an address, IPv6 without brackets, with or without a length. Bits beyond the length
  /// must be zero: else one of both is a mistake.
  static constexpr std::optional<address_prefix> parse(std::string_view text) noexcept {
    const std::size_t slash = text.find('/');
    std::string_view address = text.substr(0, slash);
    address_prefix p;
    const bool v6 = address.find(':') != std::string_view::npos;
    const auto first = detail::proxy_v1_address(address, v6);
    if (!first) return std::nullopt;
    p.first_ = first->address();
    p.bits_ = 128;
    if (slash != std::string_view::npos) {
      std::string_view length = text.substr(slash + 1);
      const auto bits = synfp::detail::parse_number(length, v6 ? 128 : 32);
      if (!bits || !length.empty()) return std::nullopt;
      p.bits_ = v6 ? *bits : 96 + *bits;
    }
    for (unsigned bit = p.bits_; bit != 128; ++bit) {
      if ((p.first_[bit / 8] >> (7 - bit % 8) & 1) != 0) return std::nullopt;
    }
    return p;
  }

  constexpr bool contains(const endpoint& e) const noexcept {
    for (unsigned i = 0; i != 16; ++i) {
      const unsigned here = bits_ <= 8 * i ? 0 : bits_ - 8 * i < 8 ? bits_ - 8 * i : 8;
      const unsigned mask = 0xff00U >> here & 0xffU;
      if (((e.address()[i] ^ first_[i]) & mask) != 0) return false;
    }
    return true;
  }

 private:
  constexpr address_prefix() noexcept = default;
  endpoint::bytes_type first_{};
  unsigned bits_ = 0;
};

}  // namespace net
SYNFP_END_NAMESPACE
