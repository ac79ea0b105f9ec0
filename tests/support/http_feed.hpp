// SPDX-License-Identifier: MIT
// Feeds a request parser in pieces, from a new exactly sized buffer each time: the sanitizer sees a byte read
// too many, and a pointer kept from the last call.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/http/parser.hpp>

namespace synfp::test {

struct outcome {
  synfp::http::parse_status status = synfp::http::parse_status::incomplete;
  synfp::http::refusal why = synfp::http::refusal::none;
  std::size_t consumed = 0;
  std::string method, target, path, query, host, body;
  std::vector<std::pair<std::string, std::string>> headers;
  int minor = 1;
  bool keep_alive = false;
  bool views_inside = true;  // every view lies in the last buffer, or is the static "/"

  bool operator==(const outcome&) const = default;

  /// 0 accepted, -1 incomplete, else the status code of the refusal.
  int code() const {
    if (status == synfp::http::parse_status::complete) return 0;
    return status == synfp::http::parse_status::refused ? synfp::http::status_of(why) : -1;
  }
};

/// Parses `input`, handed over in pieces that end at `ends` (ascending, the last one at most input.size()).
/// If there are several pieces, parse_head() sees each first; that must make no difference.
inline outcome feed(std::string_view input, const std::vector<std::size_t>& ends,
                    const synfp::http::limits& most = {}) {
  using namespace synfp;
  http::request_parser parser(most);
  std::unique_ptr<char[]> buffer;
  std::size_t size = 0;
  outcome o;
  for (const std::size_t end : ends) {
    std::unique_ptr<char[]> larger(new char[end]);
    if (size != 0) std::memcpy(larger.get(), buffer.get(), size);
    if (end != size) std::memcpy(larger.get() + size, input.data() + size, end - size);
    buffer = std::move(larger);
    size = end;
    if (ends.size() > 1) o.status = parser.parse_head({buffer.get(), size});
    if (o.status != http::parse_status::incomplete) break;
    o.status = parser.parse({buffer.get(), size});
    if (o.status != http::parse_status::incomplete) break;
  }
  o.why = parser.refused_for();
  if (o.status != http::parse_status::complete) return o;
  o.consumed = parser.consumed();
  const auto text = [&](std::string_view v) {
    const bool inside = v.data() >= buffer.get() && v.data() + v.size() <= buffer.get() + size;
    if (!inside && !v.empty() && v != "/") o.views_inside = false;
    return std::string(v);
  };
  o.method = text(parser.method_text());
  o.target = text(parser.target());
  o.path = text(parser.path());
  o.query = text(parser.query());
  o.host = text(parser.host());
  o.body = text(parser.body());
  for (std::size_t i = 0; i < parser.header_count(); ++i) {
    o.headers.emplace_back(text(parser.header(i).name), text(parser.header(i).value));
  }
  o.minor = parser.version_minor();
  o.keep_alive = parser.keep_alive();
  return o;
}

inline outcome feed_whole(std::string_view input, const synfp::http::limits& most = {}) {
  return feed(input, {input.size()}, most);
}

inline outcome feed_bytes(std::string_view input, const synfp::http::limits& most = {}) {
  std::vector<std::size_t> ends;
  for (std::size_t i = 1; i <= input.size(); ++i) ends.push_back(i);
  return feed(input, ends, most);
}

}  // namespace synfp::test
