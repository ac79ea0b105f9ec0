// SPDX-License-Identifier: MIT
// The browser that a User-Agent (RFC 9110 10.1.5) names. A claim, nothing more.
#pragma once

#include <algorithm>  // min
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <synfp/fingerprint/detail/user_agent_comment.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// By whose TLS a browser speaks.
enum class browser : std::uint8_t {
  unknown,
  chromium,  ///< Chromium, Chrome, Edge since 79, and what sends the same User-Agent
  firefox,
  safari,  ///< Apple's own
};

constexpr std::string_view to_string(browser b) noexcept {
  switch (b) {
    case browser::unknown: return "unknown";
    case browser::chromium: return "chromium";
    case browser::firefox: return "firefox";
    case browser::safari: return "safari";
  }
  return "unknown";
}

struct browser_claim {
  browser family = browser::unknown;
  std::uint32_t version = 0;  ///< the first number of it; 0 if unknown

  friend constexpr bool operator==(const browser_claim&, const browser_claim&) = default;
};

namespace detail {

/// Takes what User-Agents are made of from the front of one.
class product_reader {
 public:
  constexpr explicit product_reader(std::string_view text) noexcept : rest_(text) {}

  constexpr bool take(std::string_view word) noexcept {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  constexpr void skip(std::size_t n) noexcept { rest_.remove_prefix(std::min(n, rest_.size())); }
  /// The first number of "120.0.6099.71", of which everything is taken; none is 0.
  constexpr std::uint32_t take_version() noexcept {
    std::uint32_t first = 0;
    std::size_t n = 0;
    for (; n < rest_.size() && is_digit(rest_[n]) && first < 100'000; ++n)
      first = first * 10 + static_cast<std::uint32_t>(rest_[n] - '0');
    while (n < rest_.size() && (is_digit(rest_[n]) || rest_[n] == '.')) ++n;
    rest_.remove_prefix(n);
    return first;
  }
  /// Up to the next space.
  constexpr void take_word() noexcept { skip(std::min(rest_.find(' '), rest_.size())); }
  constexpr bool at_end() const noexcept { return rest_.empty(); }

 private:
  static constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

  std::string_view rest_;
};

}  // namespace detail

/// The browser in a User-Agent that is, from beginning to end, what this browser sends. `unknown` for all
/// others: tools, robots, web views and apps, browsers for iOS that are not Safari, and those that add a name
/// of their own (Opera, Samsung Internet, and others with the engine of another), because part of what they
/// send comes from elsewhere or was not looked at.
constexpr browser_claim browser_in_user_agent(std::string_view user_agent) noexcept {
  constexpr std::string_view begin = "Mozilla/5.0 (";
  if (user_agent.size() > 1024 || detail::is_costume(user_agent)) return {};
  detail::product_reader rest(user_agent);
  if (!rest.take(begin)) return {};
  const std::string_view comment = detail::comment_at(user_agent, begin.size() - 1);
  rest.skip(comment.size() + 1);

  browser_claim claim;
  if (rest.take(" Gecko/")) {
    rest.take_version();
    if (!rest.take(" Firefox/")) return {};
    claim = {browser::firefox, rest.take_version()};
    return rest.at_end() ? claim : browser_claim{};
  }
  if (!rest.take(" AppleWebKit/")) return {};
  rest.take_version();
  if (!rest.take(" (KHTML, like Gecko) ")) return {};
  if (rest.take("Version/")) {
    // Other systems have browsers made of WebKit, too, with another TLS.
    const os_family system = detail::os_in_comment(comment);
    if (system != os_family::macos && system != os_family::ios) return {};
    claim = {browser::safari, rest.take_version()};
    if (rest.take(" Mobile/")) rest.take_word();
  } else {
    if (!rest.take("Chrome/") && !rest.take("HeadlessChrome/")) return {};
    claim = {browser::chromium, rest.take_version()};
    rest.take(" Mobile");
  }
  if (!rest.take(" Safari/")) return {};
  rest.take_version();
  if (claim.family == browser::chromium && rest.take(" Edg/")) rest.take_version();
  return rest.at_end() ? claim : browser_claim{};
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
