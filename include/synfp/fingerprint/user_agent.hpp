// SPDX-License-Identifier: MIT
// The operating system that a User-Agent (RFC 9110 10.1.5) names. A claim, nothing more: senders write there
// what they like.
#pragma once

#include <cstddef>
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

namespace detail {
struct os_word {
  std::string_view word;
  os_family family;
};
/// The family of the first word of the list that the text holds, case included.
template <std::size_t N>
constexpr os_family first_word_in(std::string_view text, const os_word (&words)[N]) noexcept {
  for (const os_word& w : words) {
    if (text.find(w.word) != std::string_view::npos) return w.family;
  }
  return os_family::unknown;
}
}  // namespace detail

/// The system in a User-Agent, of which the first 1,024 bytes are looked at. `unknown` for tools that name
/// none (curl, libraries) and for Apple's CFNetwork without more, which runs on several.
constexpr os_family os_in_user_agent(std::string_view user_agent) noexcept {
  // In this order, because some names come with others': Windows phones say Android and iPhone, an iPhone
  // says "like Mac OS X", Android says Linux.
  constexpr detail::os_word words[] = {
      {"Windows", os_family::windows},     {"CrOS ", os_family::chromeos},  {"Android", os_family::android},
      {"iPhone", os_family::ios},          {"iPad", os_family::ios},        {"iPod", os_family::ios},
      {"Macintosh", os_family::macos},     {"Mac OS X", os_family::macos},  {"macOS", os_family::macos},
      {"FreeBSD", os_family::freebsd},     {"OpenBSD", os_family::openbsd}, {"NetBSD", os_family::netbsd},
      {"DragonFly", os_family::dragonfly}, {"SunOS", os_family::solaris},   {"Linux", os_family::linux_}};
  return detail::first_word_in(user_agent.substr(0, 1024), words);
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
