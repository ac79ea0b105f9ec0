// SPDX-License-Identifier: MIT
// JA3 of a TLS client (github.com/salesforce/ja3): an MD5 of what its ClientHello lists.
#pragma once

#include <cstddef>
#include <cstdint>

#include <synfp/fingerprint/detail/md5.hpp>
#include <synfp/fixed_text.hpp>
#include <synfp/tls/client_hello.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

namespace detail {

/// Decimal numbers joined by '-', GREASE left out.
template <class Out>
class ja3_list {
 public:
  constexpr explicit ja3_list(Out& out) noexcept : out_(out) {}
  constexpr void add(std::uint16_t code) noexcept {
    if (tls::is_grease(code)) return;
    if (!first_) out_.append("-");
    first_ = false;
    out_.append_number(code);
  }

 private:
  Out& out_;
  bool first_ = true;
};

template <class Out>
constexpr void append_ja3(Out& out, const tls::client_hello& hello) noexcept {
  const auto codes = [&out](const tls::code_list& all) {
    out.append(",");
    ja3_list list(out);
    for (const std::uint16_t code : all) list.add(code);
  };
  out.append_number(hello.legacy_version());
  codes(hello.ciphers());
  out.append(",");
  ja3_list types(out);
  for (const tls::extension& e : hello.extensions()) types.add(e.type);
  codes(hello.groups());
  out.append(",");
  ja3_list formats(out);
  for (const std::uint8_t format : hello.point_formats()) formats.add(format);
}

class md5_text {
 public:
  constexpr void append(std::string_view text) noexcept { state_.put(text); }
  constexpr void append_number(std::uint16_t value) noexcept {
    fixed_text<5> digits;
    digits.append_number(value);
    state_.put(digits);
  }
  constexpr auto digest() noexcept { return state_.digest(); }

 private:
  md5_state state_;
};

}  // namespace detail

/// Version, cipher suites, extensions, groups and point formats, in wire order and decimal, as Wireshark's
/// tls.handshake.ja3_full. Longest: "65535" 5; three lists of 512, 256 and 512 codes at 6 characters each;
/// 255 formats at 4 each.
constexpr fixed_text<8705> ja3_full(const tls::client_hello& hello) noexcept {
  fixed_text<8705> out;
  detail::append_ja3(out, hello);
  return out;
}

/// The MD5 of ja3_full() in hexadecimal. Browsers shuffle their extensions, so that each of their connections
/// has another one: see ja4.hpp.
constexpr fixed_text<32> ja3(const tls::client_hello& hello) noexcept {
  detail::md5_text text;
  detail::append_ja3(text, hello);
  fixed_text<32> out;
  for (const unsigned byte : text.digest()) {
    out.append_number(byte >> 4, 16);
    out.append_number(byte & 15, 16);
  }
  return out;
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
