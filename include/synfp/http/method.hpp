// SPDX-License-Identifier: MIT
// The request methods HTTP itself defines.
#pragma once

#include <cstdint>
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// The methods of RFC 9110 section 9 and PATCH (RFC 5789). `other` is any other token: its text is kept by
/// the request, and routes answer it with 501.
enum class method : std::uint8_t { get, head, post, put, delete_, connect, options, trace, patch, other };

/// The name on the wire, static storage; empty for `other`.
constexpr std::string_view to_string(method m) noexcept {
  constexpr std::string_view names[] = {"GET",     "HEAD",    "POST",  "PUT",   "DELETE",
                                        "CONNECT", "OPTIONS", "TRACE", "PATCH", ""};
  return names[static_cast<std::size_t>(m)];
}

/// Methods are case-sensitive (RFC 9110 9.1): "get" is `other`.
constexpr method method_from(std::string_view name) noexcept {
  for (std::uint8_t i = 0; i < static_cast<std::uint8_t>(method::other); ++i) {
    if (to_string(static_cast<method>(i)) == name) return static_cast<method>(i);
  }
  return method::other;
}

}  // namespace http
SYNFP_END_NAMESPACE
