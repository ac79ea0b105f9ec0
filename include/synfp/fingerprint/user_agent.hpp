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

/// Whether the text begins with this word, or with it and then no letter: "Windows NT" and "Android4" do,
/// "WindowsCE" does not.
constexpr bool begins_with_word(std::string_view text, std::string_view word) noexcept {
  if (!text.starts_with(word)) return false;
  if (text.size() == word.size()) return true;
  const char next = text[word.size()];
  return !((next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z'));
}
constexpr bool holds(std::string_view text, std::string_view word) noexcept {
  return text.find(word) != std::string_view::npos;
}
/// What is between the parenthesis at `open` and the one that closes it, or the end; comments nest.
constexpr std::string_view comment_at(std::string_view text, std::size_t open) noexcept {
  std::size_t depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (text[i] == '(') ++depth;
    if (text[i] == ')' && --depth == 0) return text.substr(open + 1, i - open - 1);
  }
  return text.substr(open + 1);
}

/// The system in the items of a comment, "X11; Linux x86_64". An item counts by how it begins: what comes
/// later in it ("CPU OS 9 like Mac OS X") says what the sender is not.
constexpr os_family os_in_comment(std::string_view comment) noexcept {
  // These name another system, too, for the sake of old web sites; their TCP is not that system's.
  constexpr std::string_view others[] = {
      "Windows CE", "WindowsCE", "Windows Mobile", "Windows Phone OS", "Windows Phone 6", "XBLWP7", "Xbox"};
  constexpr os_word systems[] = {
      {"Windows", os_family::windows}, {"CrOS", os_family::chromeos},   {"Android", os_family::android},
      {"iPhone", os_family::ios},      {"iPad", os_family::ios},        {"iPod", os_family::ios},
      {"iOS", os_family::ios},         {"Macintosh", os_family::macos}, {"Intel Mac OS X", os_family::macos},
      {"Mac OS X", os_family::macos},  {"macOS", os_family::macos},     {"FreeBSD", os_family::freebsd},
      {"OpenBSD", os_family::openbsd}, {"NetBSD", os_family::netbsd},   {"DragonFly", os_family::dragonfly},
      {"SunOS", os_family::solaris},
  };
  os_family found = os_family::unknown;
  bool linux_kernel = false;  // the last resort: Android, Tizen and webOS say so as well
  bool x11 = false;
  for (std::size_t at = 0; at < comment.size();) {
    std::string_view item = comment.substr(at, comment.find(';', at) - at);
    at += item.size() + 1;
    while (item.starts_with(' ')) item.remove_prefix(1);
    for (const std::string_view other : others) {
      if (begins_with_word(item, other)) return os_family::unknown;
    }
    if (begins_with_word(item, "Linux")) linux_kernel = true;
    if (item == "X11") x11 = true;
    for (const os_word& system : systems) {
      if (found == os_family::unknown && begins_with_word(item, system.word)) found = system.family;
    }
  }
  if (found == os_family::windows && x11) return os_family::unknown;  // no such browser
  if (found == os_family::unknown && linux_kernel) return os_family::linux_;
  return found;
}
}  // namespace detail

/// The system in a User-Agent, of which the first 1,024 bytes are looked at: the one in its first comment
/// (the first parentheses), where browsers and most apps have it. `unknown` where nobody can tell: for tools
/// that name none (curl, libraries), for names outside of comments ("Outlook-iOS-Android/1.0"), for Apple's
/// CFNetwork without more, which runs on several; for systems that are not listed (consoles, Symbian,
/// OpenHarmony); and for who uses a User-Agent as a costume and says so: robots, proxies that render for
/// their users. Linux stands for what is made of its kernel and not listed: Tizen, webOS, KaiOS.
/// An iPad that asks for the desktop site says Macintosh.
constexpr os_family os_in_user_agent(std::string_view user_agent) noexcept {
  using detail::holds;
  const std::string_view text = user_agent.substr(0, 1024);
  // Robots, which give an address or are called so; "(via ": proxies that fetch images; then browsers whose
  // pages are fetched and rendered elsewhere.
  constexpr std::string_view costumes[] = {
      "://", "bot/", "Bot/", "Chrome-Lighthouse", "BingPreview", "(via ", "Opera Mini/", "UCWEB", "Puffin/"};
  for (const std::string_view costume : costumes) {
    if (holds(text, costume)) return os_family::unknown;
  }
  // These do not say so in the comment.
  if (holds(text, " CitrixChromeApp")) return os_family::chromeos;
  if (holds(text, " KAIOS/")) return os_family::linux_;

  const std::size_t first = text.find('(');
  if (first == std::string_view::npos) return os_family::unknown;
  const std::string_view comment = detail::comment_at(text, first);
  for (std::size_t at = text.find('(', first + comment.size()); at != std::string_view::npos;
       at = text.find('(', at + 1)) {
    if (text.substr(at).starts_with("(compatible;"))
      return os_family::unknown;  // a robot in a browser's clothes
  }
  const os_family family = detail::os_in_comment(comment);
  // Browsers that ask for the desktop site, and one that the ports of FreeBSD build.
  if (family == os_family::macos &&
      (holds(text, " CriOS/") || holds(text, " FxiOS/") || holds(text, " EdgiOS/")))
    return os_family::ios;
  if (family == os_family::macos && holds(text, "Silk/")) return os_family::android;
  if (family == os_family::linux_ && holds(text, " FreeBSD/")) return os_family::freebsd;
  return family;
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
