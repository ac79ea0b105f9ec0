// SPDX-License-Identifier: MIT
// Feeds arbitrary text to what reads paths, queries and the fields of conditional requests, and checks what
// must hold for every input.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/http/date.hpp>
#include <synfp/http/detail/file_path.hpp>
#include <synfp/http/detail/pattern.hpp>
#include <synfp/http/detail/preconditions.hpp>
#include <synfp/http/query.hpp>

namespace {

using namespace synfp;

void check(bool holds) {
  if (!holds) __builtin_trap();
}

void check_encoded(http::encoded_text text) {
  const auto decoded = text.decode();
  check(decoded.has_value() == text.valid());
  if (!decoded) return;
  check(decoded->view().size() <= text.raw().size());
  check(text == decoded->view());
}

void check_query(std::string_view text) {
  std::size_t size = 0;
  for (const http::query_field f : http::query_fields(text)) {
    check(f.name.raw().find_first_of("&=") == std::string_view::npos);
    check(f.value.raw().find('&') == std::string_view::npos);
    check(!f.name.empty() || !f.value.empty() || text.find('=') != text.npos);
    size += f.name.raw().size() + f.value.raw().size();
    check_encoded(f.name);
    check_encoded(f.value);
  }
  check(size <= text.size());
}

void check_file_path(std::string_view text, bool dotfiles) {
  http::text_type name;
  if (http::detail::append_file_path(name, text, dotfiles) != 0) return;
  check(name.find('\0') == name.npos && (name.empty() || name[0] != '/'));
  const std::string whole = "/" + std::string(name) + "/";
  check(whole.find("/../") == whole.npos && whole.find("/./") == whole.npos);
  check(dotfiles || whole.find("/.") == whole.npos);
  check(http::detail::content_type_of(name).find('/') != std::string_view::npos);
}

// The rule, one pattern at a time.
bool matches(std::string_view pattern, std::string_view path) {
  while (!pattern.empty()) {
    if (path.empty()) return false;
    const auto p = http::detail::read_segment(http::detail::take_segment(pattern));
    if (p.kind == http::detail::segment_kind::rest) return true;
    const std::string_view s = http::detail::take_segment(path);
    if (p.kind == http::detail::segment_kind::parameter ? s.empty() : p.text != s) return false;
  }
  return path.empty();
}

void check_match(std::string_view text) {
  static constexpr std::array<std::string_view, 10> patterns = {
      "/{x}",    "/a/{x}",    "/{x}/a",        "/a/{x}/b",       "/a/a/{x}",
      "/{x...}", "/a/{x...}", "/a/{x}/{y...}", "/{x}/{y}/b/{z}", "/{x}/"};
  static const auto segments = [] {
    std::array<std::vector<http::detail::segment>, patterns.size()> all;
    for (std::size_t i = 0; i != all.size(); ++i) {
      for (std::string_view rest = patterns[i]; !rest.empty();)
        all[i].push_back(http::detail::read_segment(http::detail::take_segment(rest)));
    }
    return all;
  }();
  static const auto table = [] {
    std::array<http::detail::pattern_entry, patterns.size()> all;
    for (std::size_t i = 0; i != all.size(); ++i)
      all[i] = {segments[i].data(), segments[i].size(), http::method::get, i};
    std::sort(all.begin(), all.end());
    return all;
  }();
  std::vector<std::size_t> visited;
  http::detail::match(table.data(), table.data() + table.size(), 0, text,
                      [&](const http::detail::pattern_entry& e) {
                        visited.push_back(e.index);
                        return false;
                      });
  std::vector<std::size_t> expected;
  const std::string path = "/" + std::string(text);
  for (const auto& e : table) {
    if (matches(patterns[e.index], path)) expected.push_back(e.index);
  }
  check(visited == expected);
}

void check_conditions(std::string_view text, std::uint64_t size) {
  http::detail::byte_range part;
  if (http::detail::read_range(text, size, part) == http::detail::range_kind::part)
    check(part.length != 0 && part.first < size && part.length <= size - part.first);
  if (const auto date = http::parse_date(text)) {
    http::date_text formatted;
    http::format_date(*date, formatted);
    check(http::parse_date({formatted.data(), formatted.size()}) == date);
  }
  const http::detail::validators v{"\"tag\"", size % 2 != 0, 0};
  if (http::detail::names_tag(text, v, true)) check(http::detail::names_tag(text, v, false));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  check_encoded(http::encoded_text(text));
  check_encoded(http::encoded_text(text, http::plus_sign::space));
  check_query(text);
  check_file_path(text, data[0] % 2 != 0);
  check_match(text);
  check_conditions(text, data[0]);
  return 0;
}
