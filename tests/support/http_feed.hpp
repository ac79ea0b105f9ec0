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

  bool same_in_pieces = true;  // parse_piece() finds the same

  bool operator==(const outcome&) const = default;

  /// 0 accepted, -1 incomplete, else the status code of the refusal.
  int code() const {
    if (status == synfp::http::parse_status::complete) return 0;
    return status == synfp::http::parse_status::refused ? synfp::http::status_of(why) : -1;
  }
};

namespace detail {

/// Exactly `bytes`, in memory of their own.
inline std::unique_ptr<char[]> copy_of(std::string_view bytes) {
  std::unique_ptr<char[]> copy(new char[bytes.size()]);
  if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
  return copy;
}

/// What the parser has found, once it is complete. Its views must lie in `bytes`.
inline void take(outcome& o, const synfp::http::request_parser& parser, std::string_view bytes) {
  const auto text = [&](std::string_view v) {
    const bool inside = v.data() >= bytes.data() && v.data() + v.size() <= bytes.data() + bytes.size();
    if (!inside && !v.empty() && v != "/") o.views_inside = false;
    return std::string(v);
  };
  o.method = text(parser.method_text());
  o.target = text(parser.target());
  o.path = text(parser.path());
  o.query = text(parser.query());
  o.host = text(parser.host());
  o.body += text(parser.body());
  for (std::size_t i = 0; i < parser.header_count(); ++i) {
    o.headers.emplace_back(text(parser.header(i).name), text(parser.header(i).value));
  }
  o.minor = parser.version_minor();
  o.keep_alive = parser.keep_alive();
}

inline outcome feed_at_once(std::string_view input, const std::vector<std::size_t>& ends,
                            const synfp::http::limits& most) {
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
  take(o, parser, {buffer.get(), size});
  return o;
}

/// The body is taken piece by piece, each time from a new place.
inline outcome feed_pieces(std::string_view input, const std::vector<std::size_t>& ends,
                           const synfp::http::limits& most) {
  using namespace synfp;
  http::request_parser parser(most);
  std::unique_ptr<char[]> head;
  std::size_t head_size = 0;
  std::size_t at = 0;
  outcome o;
  for (const std::size_t end : ends) {
    if (!parser.head_complete()) {
      head = copy_of(input.substr(0, end));
      o.status = parser.parse_head({head.get(), end});
      if (o.status != http::parse_status::incomplete) break;
      if (!parser.head_complete()) continue;
      head_size = at = parser.consumed();
      head = copy_of(input.substr(0, head_size));
      (void)parser.parse_head({head.get(), head_size});
    }
    http::request_parser::piece p;
    do {
      const auto bytes = copy_of(input.substr(at, end - at));
      p = parser.parse_piece({bytes.get(), end - at});
      at += p.consumed;
      o.body += p.data;
    } while (!p.data.empty());
    o.status = parser.status();
    if (o.status != http::parse_status::incomplete) break;
  }
  o.why = parser.refused_for();
  if (o.status != http::parse_status::complete) {
    o.body.clear();
    return o;
  }
  o.consumed = at;
  take(o, parser, {head.get(), head_size});
  return o;
}

}  // namespace detail

/// Parses `input`, handed over in pieces that end at `ends` (ascending, the last one at most input.size()).
/// If there are several pieces, parse_head() sees each first; that must make no difference. Nor must it that
/// the body is taken piece by piece.
inline outcome feed(std::string_view input, const std::vector<std::size_t>& ends,
                    const synfp::http::limits& most = {}) {
  outcome o = detail::feed_at_once(input, ends, most);
  o.same_in_pieces = detail::feed_pieces(input, ends, most) == o;
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
