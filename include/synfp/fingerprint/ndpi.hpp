// SPDX-License-Identifier: MIT
// nDPI's TCP fingerprint (github.com/ntop/nDPI): flags_ttl_window_hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <synfp/endpoint.hpp>  // fixed_text
#include <synfp/fingerprint/detail/sha256.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// What an EOL does to the hash. Versions of nDPI differ, and its table of systems holds hashes of both ways:
/// macOS with its two bytes of padding ends in dd5737e4fedb or in d29295416479.
enum class ndpi_padding : std::uint8_t {
  stop,  ///< the first EOL is listed and ends the list
  list,  ///< every byte of padding is listed (nDPI of 2025)
};

/// The 12 bits of flags; the TTL rounded up to 32, 64, 128, 192 or 255; the window; and the first 12 digits
/// of the SHA-256 of the options written in hexadecimal, kinds and values without lengths, timestamps without
/// values. What is cut off by the end of the header is listed as far as it goes; an option of length 0 ends
/// the list. Empty where nDPI has none: none of SYN, ECE and CWR is set, or ACK is. Longest:
/// "4095_255_65535_" 15 and 12.
template <ndpi_padding Padding = ndpi_padding::stop>
constexpr std::optional<fixed_text<27>> ndpi(const syn_record& syn) noexcept {
  const tcp_view tcp = syn.tcp();
  if ((tcp.flags() & (tcp_view::syn | tcp_view::ece | tcp_view::cwr)) == 0 ||
      (tcp.flags() & tcp_view::ack) != 0)
    return std::nullopt;

  fixed_text<80> list;  // two digits for each of at most 40 bytes
  auto put = [&list](unsigned byte) {
    list.append_number(byte >> 4, 16);
    list.append_number(byte & 15U, 16);
  };
  const auto options = tcp.option_bytes();
  for (std::size_t at = 0; at < options.size();) {
    const std::uint8_t kind = options[at];
    put(kind);
    if (kind == 0 && Padding == ndpi_padding::stop) break;
    if (kind <= 1) {
      ++at;
      continue;
    }
    if (at + 1 == options.size() || options[at + 1] == 0) break;
    const std::size_t end = at + options[at + 1];
    if (kind != 8) {
      for (std::size_t i = at + 2; i < end && i < options.size(); ++i) put(options[i]);
    }
    at = end;
  }

  const auto bytes = syn.bytes();
  const auto header = bytes.last(tcp.header_length());
  fixed_text<27> out;
  out.append_number((header[12] & 15U) << 8 | header[13]);
  out.push_back('_');
  const unsigned ttl = syn.ip().ttl();
  out.append_number(ttl <= 32 ? 32 : ttl <= 64 ? 64 : ttl <= 128 ? 128 : ttl <= 192 ? 192 : 255);
  out.push_back('_');
  out.append_number(tcp.window());
  out.push_back('_');
  const auto digest = detail::sha256(list.view());
  for (std::size_t i = 0; i < 6; ++i) {
    out.append_number(digest[i] >> 4, 16);
    out.append_number(digest[i] & 15U, 16);
  }
  return out;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
