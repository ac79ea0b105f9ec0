// SPDX-License-Identifier: MIT
// The operating system that a User-Agent (RFC 9110 10.1.5) names. A claim, nothing more: senders write there
// what they like.
#pragma once

#include <cstddef>
#include <string_view>

#include <synfp/fingerprint/detail/user_agent_comment.hpp>
#include <synfp/fingerprint/os_family.hpp>  // IWYU pragma: export
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// The system in a User-Agent, of which the first 1,024 bytes are looked at: the one in its first comment
/// (the first parentheses), where browsers and most apps have it. `unknown` where nobody can tell: tools
/// that name none (curl, libraries); names outside of comments ("Outlook-iOS-Android/1.0"); Apple's CFNetwork
/// alone, which runs on several systems; systems that are not listed (consoles, Symbian, OpenHarmony); and
/// programs that send another system's User-Agent and say so: robots, proxies that render for their users.
/// Linux stands for what is made of its kernel and not listed: Tizen, webOS, KaiOS. An iPad that asks for the
/// desktop site says Macintosh.
constexpr os_family os_in_user_agent(std::string_view user_agent) noexcept {
  using detail::holds;
  const std::string_view text = user_agent.substr(0, 1024);
  if (detail::is_costume(text)) return os_family::unknown;
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

}  // namespace fingerprint
SYNFP_END_NAMESPACE
