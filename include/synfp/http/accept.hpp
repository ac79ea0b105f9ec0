// SPDX-License-Identifier: MIT
// Which representation a client asks for.
#pragma once

#include <algorithm>
#include <string_view>

#include <synfp/http/detail/grammar.hpp>
#include <synfp/http/request.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

namespace detail {

/// Of an element of Accept, in thousandths (RFC 9110 12.4.2); 0 if it is malformed.
constexpr unsigned accept_weight_of(std::string_view range) noexcept {
  while (true) {
    const auto semicolon = range.find(';');
    if (semicolon == range.npos) return 1000;
    range.remove_prefix(semicolon + 1);
    std::string_view parameter = trim(range.substr(0, range.find(';')));
    if (parameter.size() < 3 || lower(parameter[0]) != 'q' || parameter[1] != '=') continue;
    parameter.remove_prefix(2);
    unsigned weight = 0, unit = 1000;
    for (const char c : parameter) {
      if (c == '.' && unit == 100) continue;
      if (c < '0' || c > '9' || unit == 0) return 0;
      weight += static_cast<unsigned>(c - '0') * unit;
      unit /= 10;
    }
    return weight <= 1000 ? weight : 0;
  }
}

}  // namespace detail

/// How much the client wants `type` ("text/html"), in thousandths: the largest weight with which its Accept
/// (RFC 9110 12.5.1) names that very type, whatever its parameters; 0 if it does not. A wildcard names
/// nothing: who takes anything has not asked for this.
inline unsigned accept_weight(const request& q, std::string_view type) noexcept {
  unsigned most = 0;
  for (const header_field field : q.headers()) {
    if (!detail::equal(field.name, "accept")) continue;
    std::string_view rest = field.value;
    for (bool more = true; more;) {
      const std::string_view range = detail::next_element(rest, more);
      if (detail::equal(detail::trim(range.substr(0, range.find(';'))), type))
        most = std::max(most, detail::accept_weight_of(range));
    }
  }
  return most;
}

}  // namespace http
SYNFP_END_NAMESPACE
