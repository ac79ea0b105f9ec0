// SPDX-License-Identifier: MIT
// The TCP fingerprint of nDPI 5.0 (November 2025, github.com/ntop/nDPI): flags_ttl_window_hash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>  // is_constant_evaluated

#include <synfp/fingerprint/detail/sha256.hpp>
#include <synfp/fingerprint/initial_ttl.hpp>
#include <synfp/fixed_text.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

namespace detail {

using ndpi_list = fixed_text<126>;  // two digits for each byte; more are dropped

constexpr fixed_text<12> ndpi_hash(const ndpi_list& list) noexcept {
  fixed_text<12> out;
  const auto digest = sha256(list.view());
  for (std::size_t i = 0; i < 6; ++i) {
    out.append_number(digest[i] >> 4, 16);
    out.append_number(digest[i] & 15U, 16);
  }
  return out;
}

/// The same. This thread remembers its last ones, because a few stacks write most of the SYNs of the world:
/// the hash costs more than any other fingerprint does as a whole.
inline fixed_text<12> remembered_ndpi_hash(const ndpi_list& list) noexcept {
  struct known {
    ndpi_list list;
    fixed_text<12> hash;  // empty: none yet
  };
  thread_local constinit std::array<known, 64> memory{};
  std::size_t sum = 0;
  for (const char c : list.view()) sum = sum * 31 + static_cast<unsigned char>(c);
  known& one = memory[sum % memory.size()];
  if (one.hash.size() == 0 || one.list.view() != list.view()) one = {list, ndpi_hash(list)};
  return one.hash;
}

}  // namespace detail

/// The 12 bits of flags; the TTL rounded up to 32, 64, 128, 192 or 255; the window; and the first 12 digits
/// of the SHA-256 of the options written in hexadecimal, kinds and values without lengths, timestamps without
/// values. The walk is nDPI's: EOL, and what is after it, is listed like NOP; an option without a length
/// ends the list, one that goes beyond the header is listed as far as it goes; one of length 0 is listed
/// again and again until nDPI's buffer of 63 bytes is full; positions wrap at 256. Empty where nDPI has none:
/// none of SYN, ECE and CWR is set, or ACK is. Longest: "4095_255_65535_" 15 and 12.
///
/// Other versions differ: 4.12 (2024) stops at EOL and has nothing for a SYN without options; the development
/// branch leaves the MSS and more out of the hash since September 2026.
constexpr std::optional<fixed_text<27>> ndpi(const syn_record& syn) noexcept {
  const tcp_view tcp = syn.tcp();
  if ((tcp.flags() & (tcp_view::syn | tcp_view::ece | tcp_view::cwr)) == 0 ||
      (tcp.flags() & tcp_view::ack) != 0)
    return std::nullopt;

  detail::ndpi_list list;
  auto put = [&list](unsigned byte) {
    list.append_number(byte >> 4, 16);
    list.append_number(byte & 15U, 16);
  };
  const auto options = tcp.option_bytes();
  std::uint8_t at = 0;
  while (at < options.size() && list.size() < list.capacity()) {
    const std::uint8_t kind = options[at];
    put(kind);
    if (kind <= tcp_option::nop) {
      ++at;
      continue;
    }
    if (at + 1U == options.size()) break;
    const std::uint8_t length = options[at + 1U];
    if (kind != tcp_option::timestamps) {
      for (std::size_t i = at + 2U; i < std::size_t{at} + length && i < options.size(); ++i) put(options[i]);
    }
    at = static_cast<std::uint8_t>(at + length);
  }

  const auto bytes = syn.bytes();
  const auto header = bytes.last(tcp.header_length());
  fixed_text<27> out;
  out.append_number((header[12] & 15U) << 8 | header[13]);
  out.push_back('_');
  out.append_number(ttl_ceiling(syn.ip().ttl(), {32, 64, 128, 192}));
  out.push_back('_');
  out.append_number(tcp.window());
  out.push_back('_');
  out.append(std::is_constant_evaluated() ? detail::ndpi_hash(list) : detail::remembered_ndpi_hash(list));
  return out;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
