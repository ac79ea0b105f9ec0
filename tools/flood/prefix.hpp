// SPDX-License-Identifier: MIT
// Where the SYNs of a flood pretend to come from.
#pragma once

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "../support/fd.hpp"

namespace flood {

using synfp::tools::failure;

/// Addresses that SYNs pretend to come from: 198.51.100.0/24, 2001:db8::/32.
struct prefix {
  std::array<std::uint8_t, 16> address{};  ///< IPv4 in the first four bytes
  unsigned bits = 0;
  bool v6 = false;

  /// Refuses text that is no prefix, and addresses that no peer has: the stack would drop their SYNs.
  static prefix parse(const std::string& text) {
    const prefix p = read(text);
    static constexpr std::array<const char*, 4> no_v4{"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3",
                                                      "198.18.0.0/24"};
    static constexpr std::array<const char*, 4> no_v6{"::/8", "fe80::/10", "ff00::/8", "fd73:796e:6670::/64"};
    for (const char* taken : p.v6 ? no_v6 : no_v4) {
      if (p.overlaps(read(taken)))
        throw failure("source " + text + ": the stack takes no SYN from " + taken +
                      "; choose other addresses");
    }
    return p;
  }
  /// The bits of byte `i` that the prefix does not fix.
  std::uint8_t free(unsigned i) const {
    const unsigned fixed = std::min(8U, bits - std::min(bits, 8 * i));
    return i < (v6 ? 16U : 4U) ? static_cast<std::uint8_t>(0xff >> fixed) : std::uint8_t{0};
  }
  bool overlaps(const prefix& other) const {
    if (v6 != other.v6) return false;
    for (unsigned i = 0; i < 16; ++i) {
      if (((address[i] ^ other.address[i]) & ~(free(i) | other.free(i)) & 0xff) != 0) return false;
    }
    return true;
  }

 private:
  static prefix read(const std::string& text) {
    prefix p;
    const std::size_t slash = text.find('/');
    const std::string address = text.substr(0, slash);
    p.v6 = address.find(':') != std::string::npos;
    const unsigned most = p.v6 ? 128 : 32;
    p.bits = most;
    if (::inet_pton(p.v6 ? AF_INET6 : AF_INET, address.c_str(), p.address.data()) != 1)
      throw failure("source " + text + ": no address; write for instance 10.0.0.0/8 or 2001:db8::/32");
    if (slash != std::string::npos) {
      const std::string length = text.substr(slash + 1);
      const bool number = !length.empty() && length.size() <= 3 &&
                          length.find_first_not_of("0123456789") == std::string::npos;
      if (!number || std::stoul(length) > most)
        throw failure("source " + text +
                      ": the length of a prefix is a number up to 32 (IPv4) or 128 (IPv6)");
      p.bits = static_cast<unsigned>(std::stoul(length));
    }
    for (unsigned i = 0; i < 16; ++i) p.address[i] &= static_cast<std::uint8_t>(~p.free(i));
    return p;
  }
};

}  // namespace flood
