// SPDX-License-Identifier: MIT
// Paths with parameters: "/hosts/{id}" and "/files/{path...}".
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <synfp/http/detail/grammar.hpp>
#include <synfp/http/method.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// In the order in which they are tried.
enum class segment_kind : unsigned char {
  literal,
  parameter,  ///< "{name}": one segment that is not empty
  rest,       ///< "{name...}": all that follows, which may be empty
};

/// What is between two '/' of a path.
struct segment {
  segment_kind kind = segment_kind::literal;
  std::string_view text;  ///< of a parameter its name
};

constexpr segment read_segment(std::string_view text) noexcept {
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return {segment_kind::literal, text};
  text = text.substr(1, text.size() - 2);
  if (!text.ends_with("...")) return {segment_kind::parameter, text};
  return {segment_kind::rest, text.substr(0, text.size() - 3)};
}

/// Takes the first segment from `path`, which begins with '/'; nothing remains behind the last one.
constexpr std::string_view take_segment(std::string_view& path) noexcept {
  const std::size_t end = path.find('/', 1);
  const std::string_view text = path.substr(1, end == path.npos ? path.npos : end - 1);
  path.remove_prefix(end == path.npos ? path.size() : end);
  return text;
}

constexpr std::size_t count_segments(std::string_view path) noexcept {
  std::size_t n = 0;
  for (const char c : path) n += c == '/';
  return n;
}

/// `path` is a valid_route_path() of N segments.
template <std::size_t N>
constexpr std::array<segment, N> split(std::string_view path) noexcept {
  std::array<segment, N> all{};
  for (segment& s : all) s = read_segment(take_segment(path));
  return all;
}

constexpr bool valid_name(std::string_view name) noexcept {
  if (name.empty() || is(name[0], digit_char)) return false;
  for (const char c : name) {
    if (c != '_' && !(is(c, digit_char) || (lower(c) >= 'a' && lower(c) <= 'z'))) return false;
  }
  return true;
}

template <std::size_t N>
constexpr bool valid_braces(const std::array<segment, N>& segments) noexcept {
  for (const segment& s : segments) {
    if (s.kind == segment_kind::literal ? s.text.find_first_of("{}") != s.text.npos : !valid_name(s.text))
      return false;
  }
  return true;
}

template <std::size_t N>
constexpr bool rest_is_last(const std::array<segment, N>& segments) noexcept {
  for (std::size_t i = 0; i + 1 < N; ++i) {
    if (segments[i].kind == segment_kind::rest) return false;
  }
  return true;
}

template <std::size_t N>
constexpr bool names_differ(const std::array<segment, N>& segments) noexcept {
  for (std::size_t i = 0; i < N; ++i) {
    for (std::size_t k = i + 1; k < N; ++k) {
      if (segments[i].kind != segment_kind::literal && segments[k].kind != segment_kind::literal &&
          segments[i].text == segments[k].text)
        return false;
    }
  }
  return true;
}

template <std::size_t N>
constexpr std::size_t count_parameters(const std::array<segment, N>& segments) noexcept {
  std::size_t n = 0;
  for (const segment& s : segments) n += s.kind != segment_kind::literal;
  return n;
}

/// Where the text of a parameter is in a path that matches.
struct path_parameter {
  std::string_view name;
  std::size_t segment = 0;
  bool rest = false;
};

template <std::size_t Parameters, std::size_t N>
constexpr std::array<path_parameter, Parameters> find_parameters(
    const std::array<segment, N>& segments) noexcept {
  std::array<path_parameter, Parameters> found{};
  std::size_t n = 0;
  for (std::size_t i = 0; i < N; ++i) {
    if (segments[i].kind != segment_kind::literal)
      found[n++] = {segments[i].text, i, segments[i].kind == segment_kind::rest};
  }
  return found;
}

/// As received.
constexpr std::string_view text_of(const path_parameter& p, std::string_view path) noexcept {
  path.remove_prefix(1);
  for (std::size_t i = 0; i < p.segment; ++i) path.remove_prefix(path.find('/') + 1);
  return p.rest ? path : path.substr(0, path.find('/'));
}

/// Parameters are alike, whatever their names: the same paths match.
constexpr bool segment_less(const segment& a, const segment& b) noexcept {
  if (a.kind != b.kind) return a.kind < b.kind;
  if (a.kind != segment_kind::literal) return false;
  return a.text.size() != b.text.size() ? a.text.size() < b.text.size() : a.text < b.text;
}

/// What the table of patterns knows of a route. Sorted, the more specific one comes first: at the first
/// segment that differs, a literal before a parameter before a rest.
struct pattern_entry {
  const segment* segments = nullptr;
  std::size_t count = 0;
  http::method method = http::method::other;
  std::size_t index = 0;

  friend constexpr bool operator<(const pattern_entry& a, const pattern_entry& b) noexcept {
    const std::size_t shorter = a.count < b.count ? a.count : b.count;
    for (std::size_t i = 0; i < shorter; ++i) {
      if (segment_less(a.segments[i], b.segments[i])) return true;
      if (segment_less(b.segments[i], a.segments[i])) return false;
    }
    return a.count != b.count ? a.count < b.count : a.method < b.method;
  }
};

/// The first of the sorted entries that is not `before`.
template <class Before>
constexpr const pattern_entry* skip(const pattern_entry* begin, const pattern_entry* end,
                                    const Before& before) noexcept {
  for (auto n = static_cast<std::size_t>(end - begin); n > 0;) {
    const std::size_t half = n / 2;
    if (before(begin[half])) {
      begin += half + 1;
      n -= half + 1;
    } else {
      n = half;
    }
  }
  return begin;
}

/// Calls `visit(entry)` for each of the sorted entries that match, until it returns true, which is returned.
/// `rest` is the path behind the '/' before segment `depth`; up to there all entries are the same and match.
/// No entry is in two branches, so the table bounds the work, whatever the path.
template <class Visit>
constexpr bool match(const pattern_entry* begin, const pattern_entry* end, std::size_t depth,
                     std::string_view rest, const Visit& visit) {
  if (begin == end) return false;
  const std::size_t slash = rest.find('/');
  const segment text{segment_kind::literal, rest.substr(0, slash)};
  const auto follow = [&](const pattern_entry* first, const pattern_entry* last) {
    for (; first != last && first->count == depth + 1; ++first) {  // those that end here come first
      if (slash == rest.npos && visit(*first)) return true;
    }
    return slash != rest.npos && match(first, last, depth + 1, rest.substr(slash + 1), visit);
  };
  const auto of = [depth](const pattern_entry& e) -> const segment& { return e.segments[depth]; };
  const auto behind = [&](segment_kind kind, const pattern_entry* from) {
    if (of(end[-1]).kind <= kind) return end;  // mostly
    return skip(from, end, [&](const pattern_entry& e) { return of(e).kind <= kind; });
  };
  const auto* const parameters = behind(segment_kind::literal, begin);
  const auto* const rests = behind(segment_kind::parameter, parameters);
  const auto* const literals =
      skip(begin, parameters, [&](const pattern_entry& e) { return segment_less(of(e), text); });
  const auto* const literals_end =
      skip(literals, parameters, [&](const pattern_entry& e) { return !segment_less(text, of(e)); });
  if (follow(literals, literals_end)) return true;
  if (!text.text.empty() && follow(parameters, rests)) return true;
  for (const auto* entry = rests; entry != end; ++entry) {
    if (visit(*entry)) return true;
  }
  return false;
}

}  // namespace http::detail
SYNFP_END_NAMESPACE
