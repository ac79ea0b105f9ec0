// SPDX-License-Identifier: MIT
// Families of operating systems, as far as a User-Agent tells them apart.
#pragma once

#include <cstdint>
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// Systems that people tell apart. (`linux_` because GNU dialects of C++ define linux as a macro.)
enum class os_family : std::uint8_t {
  unknown,
  windows,
  linux_,
  android,
  chromeos,
  macos,
  ios,
  freebsd,
  openbsd,
  netbsd,
  dragonfly,
  solaris,
};

constexpr std::string_view to_string(os_family f) noexcept {
  switch (f) {
    case os_family::unknown: return "unknown";
    case os_family::windows: return "windows";
    case os_family::linux_: return "linux";
    case os_family::android: return "android";
    case os_family::chromeos: return "chromeos";
    case os_family::macos: return "macos";
    case os_family::ios: return "ios";
    case os_family::freebsd: return "freebsd";
    case os_family::openbsd: return "openbsd";
    case os_family::netbsd: return "netbsd";
    case os_family::dragonfly: return "dragonfly";
    case os_family::solaris: return "solaris";
  }
  return "unknown";
}

/// Whether systems of these families can share a TCP implementation, so that a SYN cannot tell them apart:
/// those with the Linux kernel, and Apple's. Two unknown ones cannot be told apart either.
constexpr bool same_tcp(os_family a, os_family b) noexcept {
  auto representative = [](os_family f) {
    if (f == os_family::android || f == os_family::chromeos) return os_family::linux_;
    return f == os_family::ios ? os_family::macos : f;
  };
  return representative(a) == representative(b);
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
