// SPDX-License-Identifier: MIT
// What a User-Agent is read by: costumes, and what its comment names.
#pragma once

#include <cstddef>
#include <string_view>

#include <synfp/fingerprint/os_family.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint::detail {

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
/// Whether a program says that it sends another's User-Agent, or is known to.
constexpr bool is_costume(std::string_view text) noexcept {
  // Robots, which give an address or are called so; "(via ": proxies that fetch images; then browsers whose
  // pages are fetched and rendered elsewhere.
  constexpr std::string_view costumes[] = {
      "://", "bot/", "Bot/", "Chrome-Lighthouse", "BingPreview", "(via ", "Opera Mini/", "UCWEB", "Puffin/"};
  for (const std::string_view costume : costumes) {
    if (holds(text, costume)) return true;
  }
  return false;
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

}  // namespace fingerprint::detail
SYNFP_END_NAMESPACE
