// SPDX-License-Identifier: MIT
// A response, and how it looks on the wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <synfp/http/detail/grammar.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// The string type of everything that http/ builds per request; its memory comes from the thread's pool. Who
/// has a std::string gives that: it is copied once.
using text_type = io::pool_string;

/// The reason phrase of a final status code (RFC 9110 15, 6585); empty for a code without one.
constexpr std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return {};
  }
}

/// A final response: status, content type, further fields and body. Nothing that a handler puts into it can
/// break the framing of the connection: names and values are checked, and the fields that belong to the
/// server cannot be set.
class response {
 public:
  /// `status`: 200 to 599. Anything else becomes 500: a handler cannot send an interim response or a code
  /// that ends the protocol.
  explicit response(int status = 200) noexcept : status_(status < 200 || status > 599 ? 500 : status) {}

  int status() const noexcept { return status_; }
  void set_status(int status) noexcept { status_ = response(status).status_; }

  std::string_view body() const noexcept { return body_; }
  void set_body(text_type body) noexcept { body_ = std::move(body); }
  /// A copy: of std::string, a literal, and whatever else is text.
  void set_body(std::string_view body) { body_.assign(body); }
  void set_body(const char* body) { body_.assign(body); }

  text_type take_body() noexcept { return std::exchange(body_, {}); }

  std::string_view content_type() const noexcept {
    return type_.empty() ? std::string_view(static_type_) : type_;
  }
  /// False, and nothing is changed, if `type` is not a field value. Empty: no Content-Type.
  [[nodiscard]] bool set_content_type(std::string_view type) {
    if (!valid_value(type)) return false;
    static_type_ = {};
    type_.assign(type);
    return true;
  }

  /// Adds a field. False, and nothing is changed, if `name` is not a token, if `value` has control characters
  /// or white space at its ends, or if the server writes the field itself: Connection, Content-Length, Date,
  /// Keep-Alive, Trailer, Transfer-Encoding, Upgrade. Content-Type is set_content_type().
  [[nodiscard]] bool add_header(std::string_view name, std::string_view value) {
    if (detail::equal(name, "content-type")) return set_content_type(value);
    if (!detail::is_token(name) || !valid_value(value) || is_reserved(name)) return false;
    fields_.append(name).append(": ").append(value).append("\r\n");
    return true;
  }

  /// All fields that add_header() took, each with its CRLF.
  std::string_view header_lines() const noexcept { return fields_; }

 private:
  friend response text(text_type body);
  friend response html(text_type body);
  friend response json(text_type body);

  response(std::string_view static_type, text_type body) noexcept
      : status_(200), static_type_(static_type), body_(std::move(body)) {}

  static constexpr bool valid_value(std::string_view value) noexcept {
    return detail::all(value, detail::value_char) && detail::trim(value).size() == value.size();
  }
  static constexpr bool is_reserved(std::string_view name) noexcept {
    for (const std::string_view own :
         {"connection", "content-length", "date", "keep-alive", "trailer", "transfer-encoding", "upgrade"}) {
      if (detail::equal(name, own)) return true;
    }
    return false;
  }

  int status_;
  std::string_view static_type_;  // a literal of the factories below; type_ comes first
  text_type type_;
  text_type fields_;
  text_type body_;
};

inline response text(text_type body) { return {"text/plain; charset=utf-8", std::move(body)}; }
inline response html(text_type body) { return {"text/html; charset=utf-8", std::move(body)}; }
inline response json(text_type body) { return {"application/json", std::move(body)}; }

/// 200 with a copy of `body`, which is anything that converts to string_view; the overloads above take a
/// text_type over.
inline response text(std::string_view body) { return text(text_type(body)); }
inline response text(const char* body) { return text(text_type(body)); }
inline response html(std::string_view body) { return html(text_type(body)); }
inline response html(const char* body) { return html(text_type(body)); }
inline response json(std::string_view body) { return json(text_type(body)); }
inline response json(const char* body) { return json(text_type(body)); }

/// `code` with its reason phrase as a line of text; without a body for 204, 205 and 304.
inline response status(int code) {
  response r(code);
  code = r.status();
  if (code == 204 || code == 205 || code == 304) return r;
  text_type line;
  line.append(reason_phrase(code)).push_back('\n');
  r = text(std::move(line));
  r.set_status(code);
  return r;
}

namespace detail {
constexpr bool is_bodiless(int status) noexcept { return status == 204 || status == 205 || status == 304; }
}  // namespace detail

/// What goes out before the body of a request that expects it (RFC 9110 15.2.1).
inline constexpr std::string_view continue_line = "HTTP/1.1 100 Continue\r\n\r\n";

/// How a response is framed.
struct response_framing {
  bool head = false;       ///< answers HEAD: everything but the body
  bool keep_alive = true;  ///< false: Connection: close
  bool http10 = false;     ///< the client must be told that the connection stays open
};

namespace detail {

/// How a recipient finds the end of a body.
enum class body_end : std::uint8_t { length, chunked, close };

/// Appends everything but the body, and makes room for `room` bytes more.
template <class Out>
void write_head(Out& out, const response& r, response_framing framing, std::string_view date, body_end end,
                std::uint64_t length, std::size_t room) {
  const auto number = [&out](std::uint64_t value) {
    char digits[20];
    std::size_t n = sizeof digits;
    do {
      digits[--n] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    out.append(digits + n, sizeof digits - n);
  };
  const auto put = [&out](std::string_view text) { out.append(text.data(), text.size()); };
  out.reserve(out.size() + 256 + r.header_lines().size() + room);  // once, not as it grows
  const bool bodiless = is_bodiless(r.status());
  put("HTTP/1.1 ");
  number(static_cast<std::uint64_t>(r.status()));
  put(" ");
  put(reason_phrase(r.status()));
  if (!date.empty()) {
    put("\r\nDate: ");
    put(date);
  }
  if (!r.content_type().empty() && !bodiless) {
    put("\r\nContent-Type: ");
    put(r.content_type());
  }
  if (r.status() == 205) {
    put("\r\nContent-Length: 0");
  } else if (!bodiless && end == body_end::length) {
    put("\r\nContent-Length: ");
    number(length);
  } else if (!bodiless && end == body_end::chunked) {
    put("\r\nTransfer-Encoding: chunked");
  }
  if (!framing.keep_alive) {
    put("\r\nConnection: close");
  } else if (framing.http10) {
    put("\r\nConnection: keep-alive");
  }
  put("\r\n");
  put(r.header_lines());
  put("\r\n");
}

}  // namespace detail

/// Appends the response to `out` (a string): RFC 9112 4 to 6, with Content-Length always where it is allowed
/// (not with 204 and 304). `date`: IMF-fixdate, see date_cache; empty: no Date.
template <class Out>
void write_response(Out& out, const response& r, response_framing framing, std::string_view date) {
  const std::string_view body = r.body();
  detail::write_head(out, r, framing, date, detail::body_end::length, body.size(), body.size());
  if (!framing.head && !detail::is_bodiless(r.status())) out.append(body.data(), body.size());
}

}  // namespace http
SYNFP_END_NAMESPACE
