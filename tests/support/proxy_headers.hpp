// SPDX-License-Identifier: MIT
// Headers of the PROXY protocol, version 2, as a proxy writes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace synfp::test {

using namespace std::string_view_literals;

inline std::string proxy_tlv_field(std::uint8_t type, std::string_view value) {
  std::string out{static_cast<char>(type), static_cast<char>(value.size() >> 8),
                  static_cast<char>(value.size() & 0xff)};
  return out.append(value);
}

/// `command`: 0x20 LOCAL, 0x21 PROXY; `family`: 0x11 TCP over IPv4, ...
inline std::string proxy_v2(std::uint8_t command, std::uint8_t family, std::string_view rest) {
  std::string out("\r\n\r\n\0\r\nQUIT\n"sv);
  for (const auto each : {std::size_t{command}, std::size_t{family}, rest.size() >> 8, rest.size() & 0xff})
    out.push_back(static_cast<char>(each));
  return out.append(rest);
}

/// 192.0.2.1:1234 to 198.51.100.7:443.
inline constexpr std::string_view proxy_v4_addresses = "\xc0\x00\x02\x01\xc6\x33\x64\x07\x04\xd2\x01\xbb"sv;

}  // namespace synfp::test
