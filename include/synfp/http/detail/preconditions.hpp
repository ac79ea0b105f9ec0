// SPDX-License-Identifier: MIT
// Whether a client has a representation already, and which part of it it wants (RFC 9110 13 and 14).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <synfp/http/date.hpp>
#include <synfp/http/detail/grammar.hpp>
#include <synfp/http/percent.hpp>
#include <synfp/http/request.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// What tells one state of a resource from another. Weak: it may change without becoming another one.
struct validators {
  std::string_view tag;  ///< with its quotes, without W/
  bool weak = false;
  std::int64_t modified = 0;  ///< seconds since 1970
};

/// Whether `list`, one value of If-Match or If-None-Match, names the tag, or any by "*". What is malformed
/// names nothing.
constexpr bool names_tag(std::string_view list, const validators& v, bool strongly) noexcept {
  if (trim(list) == "*") return true;
  while (true) {
    while (!list.empty() && (list[0] == ' ' || list[0] == '\t' || list[0] == ',')) list.remove_prefix(1);
    const bool weak = list.starts_with("W/");
    if (weak) list.remove_prefix(2);
    if (!list.starts_with('"')) return false;
    const std::size_t end = list.find('"', 1);
    if (end == list.npos) return false;
    if (list.substr(0, end + 1) == v.tag && !(strongly && (weak || v.weak))) return true;
    list.remove_prefix(end + 1);
  }
}

/// Of all fields of the name; empty if there is none.
inline std::optional<bool> any_names_tag(const request& q, std::string_view name, const validators& v,
                                         bool strongly) noexcept {
  std::optional<bool> found;
  for (const header_field f : q.headers()) {
    if (equal(f.name, name)) found = found.value_or(false) || names_tag(f.value, v, strongly);
  }
  return found;
}

inline std::optional<std::int64_t> date_of(const request& q, std::string_view name) noexcept {
  const auto value = q.header(name);
  return value ? parse_date(*value) : std::nullopt;
}

/// 304 or 412 in place of the representation, or 0; for GET and HEAD (RFC 9110 13.2.2).
inline int check_preconditions(const request& q, const validators& v) noexcept {
  if (const auto matches = any_names_tag(q, "if-match", v, true)) {
    if (!*matches) return 412;
  } else if (const auto date = date_of(q, "if-unmodified-since")) {
    if (v.modified > *date) return 412;
  }
  if (const auto matches = any_names_tag(q, "if-none-match", v, false)) {
    if (*matches) return 304;
  } else if (const auto date = date_of(q, "if-modified-since")) {
    if (v.modified <= *date) return 304;
  }
  return 0;
}

/// `length` bytes from `first` on.
struct byte_range {
  std::uint64_t first = 0;
  std::uint64_t length = 0;
};
enum class range_kind : std::uint8_t { whole, part, unsatisfiable };

/// What a Range field says of `size` bytes. Several ranges, other units and what is malformed are ignored, as
/// a server may.
inline range_kind read_range(std::string_view field, std::uint64_t size, byte_range& to) noexcept {
  constexpr std::string_view unit = "bytes=";
  const std::size_t dash = field.find('-');
  if (!equal(field.substr(0, unit.size()), unit) || dash == field.npos) return range_kind::whole;
  const std::string_view from = field.substr(unit.size(), dash - unit.size());
  const std::string_view until = field.substr(dash + 1);
  std::uint64_t first = 0;
  std::uint64_t last = UINT64_MAX;
  if (!until.empty() && !read_number(until, last)) return range_kind::whole;
  if (from.empty()) {  // the last bytes
    if (until.empty()) return range_kind::whole;
    if (last == 0 || size == 0) return range_kind::unsatisfiable;
    to.length = last < size ? last : size;
    to.first = size - to.length;
    return range_kind::part;
  }
  if (!read_number(from, first) || first > last) return range_kind::whole;
  if (first >= size) return range_kind::unsatisfiable;
  to.first = first;
  to.length = (last < size ? last + 1 : size) - first;
  return range_kind::part;
}

/// The part of `size` bytes that a GET asks for, unless If-Range says that the client has another state.
inline range_kind requested_range(const request& q, const validators& v, std::uint64_t size,
                                  byte_range& to) noexcept {
  const auto field = q.header("range");
  if (!field || q.method() != method::get) return range_kind::whole;
  if (const auto condition = q.header("if-range")) {
    if (v.weak) return range_kind::whole;
    const bool same =
        condition->starts_with('"') ? *condition == v.tag : parse_date(*condition) == v.modified;
    if (!same) return range_kind::whole;
  }
  return read_range(*field, size, to);
}

}  // namespace http::detail
SYNFP_END_NAMESPACE
