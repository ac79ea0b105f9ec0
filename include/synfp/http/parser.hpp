// SPDX-License-Identifier: MIT
// A strict HTTP/1.1 request parser over one contiguous buffer. It allocates nothing and can be used without
// the rest of synfp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>  // memchr, memmove
#include <span>
#include <string_view>
#include <utility>

#include <synfp/http/detail/grammar.hpp>
#include <synfp/http/detail/parse_state.hpp>
#include <synfp/http/limits.hpp>
#include <synfp/http/method.hpp>
#include <synfp/http/parse_status.hpp>
#include <synfp/http/refusal.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// A name and its value without the white space around it, as received.
struct header_field {
  std::string_view name;
  std::string_view value;
};

/// Parses one request at a time. Give parse() all bytes from the beginning of the request on, again and again
/// with more bytes at the end until it no longer says `incomplete`; or parse_head(), and parse() once you
/// have decided to read the body. It looks at no byte twice except for the line that is not yet complete, and
/// keeps offsets: the bytes may lie elsewhere in each call, but must be what the last call left there,
/// because a chunked body is decoded in place. The outcome depends on the bytes only, not on how they were
/// split.
///
/// What it accepts: RFC 9112 and nothing that some recipients read and others do not. CRLF is the only line
/// end. Header fields, framing and Host follow `refusal`. The target is origin-form, absolute-form with the
/// scheme http (https is refused with 421), or "*" with OPTIONS; any visible ASCII but '#', and '\' only in
/// the query; percent escapes are neither decoded nor checked. Any token is a method, but CONNECT is refused
/// with 501: its bytes would be a tunnel's. Trailer fields are checked and dropped; chunk extensions are
/// checked and ignored.
///
/// All views point into the bytes of the last call of parse() (path() may be a static "/"), and are
/// meaningful once head_complete(), body() once complete.
class request_parser : private detail::parse_state {
 public:
  explicit request_parser(const limits& bounds = {}) noexcept : limits_(bounds) {
    if (limits_.headers > limits::max_headers) limits_.headers = limits::max_headers;
    most_body_ = limits_.body;
  }

  parse_status parse(std::span<char> bytes) noexcept {
    if (begin(bytes)) {
      while (step()) {
      }
    }
    return status_;
  }
  /// The same, but it stops once head_complete(): the bytes of the body are not looked at, nor decoded. Never
  /// `complete`.
  parse_status parse_head(std::span<char> bytes) noexcept {
    if (begin(bytes)) {
      while (!head_complete() && step()) {
      }
    }
    return status_;
  }

  /// From here on `most` bytes in place of limits::body, also for the requests after reset(). Once
  /// head_complete(), before the body is looked at, a greater length is refused at once.
  parse_status limit_body(std::uint64_t most) noexcept {
    most_body_ = most;
    if (head_complete() && status_ == parse_status::incomplete && remaining_ > most)
      refuse(refusal::body_too_large);
    return status_;
  }
  /// A part of the body, decoded, and how many bytes up to its end are dealt with: drop these.
  struct piece {
    std::string_view data;
    std::size_t consumed = 0;
  };
  /// Instead of parse(), once head_complete(): takes the body piece by piece. `bytes` begin where the last
  /// call's consumed ones ended, the first ones behind the head, and may lie anywhere; the head stays where
  /// the last parse_head() saw it. Without data, more bytes are needed unless status() says otherwise. The
  /// outcome is parse()'s, and so are all bytes of the body together; body() stays empty.
  piece parse_piece(std::span<char> bytes) noexcept {
    if (status_ != parse_status::incomplete) return {};
    char* const head = std::exchange(base_, bytes.data());
    const std::size_t head_size = std::exchange(size_, bytes.size());
    scanned_ = scanned_ > pos_ ? scanned_ - pos_ : 0;
    pos_ = 0;
    piece p;
    while (p.data.empty()) {
      if (phase_ == phase::body || phase_ == phase::chunk_data) {
        p.data = {base_ + pos_, here()};
        decoded_ += p.data.size();
        pos_ += p.data.size();
        remaining_ -= p.data.size();
        if (remaining_ != 0) break;
        if (phase_ == phase::body) {
          complete();
          break;
        }
        next(phase::chunk_end);
      } else if (!step()) {
        break;
      }
    }
    p.consumed = pos_;
    base_ = head;
    size_ = head_size;
    return p;
  }

  /// Forgets the request. The next one begins consumed() bytes after the beginning of this one.
  void reset() noexcept { static_cast<detail::parse_state&>(*this) = {}; }

  parse_status status() const noexcept { return status_; }
  refusal refused_for() const noexcept { return refusal_; }
  /// How many bytes the complete request took, with the empty line tolerated before it.
  std::size_t consumed() const noexcept { return pos_; }
  /// A byte of the request itself has arrived: not a mere idle connection.
  bool started() const noexcept { return phase_ != phase::start; }
  /// Request line and fields are known and valid; only the body may be missing.
  bool head_complete() const noexcept { return phase_ >= phase::body; }
  /// The request has a body that is not empty by its length. Once head_complete().
  bool has_body() const noexcept { return coding_ == coding::chunked || (length_seen_ && remaining_ != 0); }
  /// The client waits for "100 Continue" before it sends the body (RFC 9110 10.1.1): it asked for it, the
  /// request has a body and none of it has arrived.
  bool expects_continue() const noexcept {
    return continue_ && head_complete() && status_ == parse_status::incomplete && size_ == body_start_;
  }

  http::method method() const noexcept { return method_; }
  std::string_view method_text() const noexcept { return view(method_text_); }
  int version_minor() const noexcept { return minor_; }  ///< 0 or 1
  std::string_view target() const noexcept { return view(target_); }
  /// Up to the '?', not decoded; "/" for an absolute target without a path; "*" for OPTIONS *.
  std::string_view path() const noexcept { return path_.length == 0 ? std::string_view("/") : view(path_); }
  /// Behind the first '?', not decoded; empty if there is none.
  std::string_view query() const noexcept { return view(query_); }
  /// The authority the request is for: the target's in absolute form (RFC 9112 3.2.2), else the Host field.
  /// Empty on HTTP/1.0 without one.
  std::string_view host() const noexcept { return view(host_); }
  std::size_t header_count() const noexcept { return header_count_; }
  header_field header(std::size_t i) const noexcept {
    return {view(headers_[i].name), view(headers_[i].value)};
  }
  std::string_view body() const noexcept { return {base_ + body_start_, body_length_}; }
  /// The connection may be used for another request (RFC 9112 9.3).
  bool keep_alive() const noexcept { return !close_ && (minor_ == 1 || keep_alive_); }

 private:
  std::string_view view(slot s) const noexcept { return {base_ + s.offset, s.length}; }
  slot slot_of(std::string_view text) const noexcept {
    return {static_cast<std::uint32_t>(text.data() - base_), static_cast<std::uint32_t>(text.size())};
  }

  /// False if nothing is to be done any more.
  bool begin(std::span<char> bytes) noexcept {
    base_ = bytes.data();
    if (status_ != parse_status::incomplete) return false;
    size_ = bytes.size();
    return true;
  }

  /// Each step returns whether another one may follow.
  bool step() noexcept {
    switch (phase_) {
      case phase::start: return parse_start();
      case phase::request_line: return parse_request_line();
      case phase::fields: return parse_field();
      case phase::body: return parse_body();
      case phase::chunk_size: return parse_chunk_size();
      case phase::chunk_data: return parse_chunk_data();
      case phase::chunk_end: return parse_chunk_end();
      case phase::trailers: return parse_trailer();
      case phase::done: break;
    }
    return false;
  }
  bool next(phase p) noexcept {
    phase_ = p;
    return true;
  }
  bool refuse(refusal why) noexcept {
    refusal_ = why;
    status_ = parse_status::refused;
    return false;
  }
  bool complete() noexcept {
    status_ = parse_status::complete;
    phase_ = phase::done;
    return false;
  }
  static constexpr refusal unless_cr(char c, refusal why) noexcept {
    return c == '\r' ? refusal::bare_cr : why;
  }

  /// The line at pos_ into `line`, without its CRLF, if it is there; else false, and refused with `too_long`
  /// if it cannot end within `budget` bytes. Leaves pos_ after the line.
  bool read_line(std::size_t budget, refusal too_long, std::string_view& line) noexcept {
    const std::size_t there = size_ - pos_;
    const std::size_t window = there < budget ? there : budget;
    if (scanned_ < pos_) scanned_ = pos_;
    const std::size_t unseen = pos_ + window - scanned_;
    const char* lf =
        unseen == 0 ? nullptr : static_cast<const char*>(std::memchr(base_ + scanned_, '\n', unseen));
    if (lf == nullptr) {
      scanned_ = pos_ + window;
      return window == budget ? refuse(too_long) : false;
    }
    const char* begin = base_ + pos_;
    if (lf == begin || lf[-1] != '\r') return refuse(refusal::bare_lf);
    line = {begin, static_cast<std::size_t>(lf - begin) - 1};
    pos_ += line.size() + 2;
    return true;
  }

  bool parse_start() noexcept {
    if (pos_ == size_) return false;
    const char first = base_[pos_];
    if (first == '\r') {
      if (pos_ != 0) return refuse(refusal::empty_lines);
      if (size_ - pos_ < 2) return false;
      if (base_[pos_ + 1] != '\n') return refuse(refusal::bare_cr);
      pos_ += 2;
      return true;
    }
    // Seen at once, so that a TLS client is told and not waited for.
    if (!detail::is(first, detail::token_char)) {
      return refuse(first == '\n' ? refusal::bare_lf : refusal::method_invalid);
    }
    return next(phase::request_line);
  }

  bool parse_request_line() noexcept {
    std::string_view line;
    if (!read_line(limits_.request_line, refusal::target_too_long, line)) return false;
    std::size_t i = 0;
    while (i < line.size() && detail::is(line[i], detail::token_char)) ++i;
    if (i == line.size() || line[i] != ' ') {
      return refuse(unless_cr(i == line.size() ? ' ' : line[i], refusal::method_invalid));
    }
    const std::string_view name = line.substr(0, i);
    line.remove_prefix(i + 1);
    i = 0;
    while (i < line.size() && detail::is(line[i], detail::target_char)) ++i;
    if (i == 0 && line.substr(0, 1) != "#" && line.substr(0, 1) != "\r")
      return refuse(refusal::target_invalid);
    if (i == line.size()) return refuse(refusal::version_invalid);
    if (line[i] == '#') return refuse(refusal::target_fragment);
    if (line[i] != ' ') return refuse(unless_cr(line[i], refusal::target_invalid));
    const std::string_view target = line.substr(0, i);
    line.remove_prefix(i + 1);
    if (line.size() != 8 || !line.starts_with("HTTP/") || line[6] != '.' ||
        !detail::is(line[5], detail::digit_char) || !detail::is(line[7], detail::digit_char)) {
      return refuse(line.find('\r') != line.npos ? refusal::bare_cr : refusal::version_invalid);
    }
    if (line[5] != '1' || line[7] > '1') return refuse(refusal::version_unsupported);
    minor_ = line[7] - '0';
    method_ = method_from(name);
    method_text_ = slot_of(name);
    target_ = slot_of(target);
    return parse_target(target) && next(phase::fields);
  }

  /// RFC 9112 3.2.
  bool parse_target(std::string_view target) noexcept {
    if (method_ == http::method::connect) {
      return refuse(detail::valid_authority(target, true) ? refusal::connect_unsupported
                                                          : refusal::target_invalid);
    }
    if (target == "*") {
      if (method_ != http::method::options) return refuse(refusal::target_invalid);
      path_ = target_;
      return true;
    }
    std::string_view rest = target;
    if (target[0] != '/') {
      constexpr std::string_view scheme = "http://";
      constexpr std::string_view secure_scheme = "https://";
      const bool secure = detail::equal(target.substr(0, secure_scheme.size()), secure_scheme);
      if (!secure && !detail::equal(target.substr(0, scheme.size()), scheme)) {
        return refuse(refusal::target_invalid);
      }
      rest.remove_prefix(secure ? secure_scheme.size() : scheme.size());
      const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
      if (!detail::valid_authority(authority)) return refuse(refusal::target_invalid);
      // Not to be had over a connection that nothing has secured (RFC 9110 7.4).
      if (secure) return refuse(refusal::target_misdirected);
      host_ = slot_of(authority);
      absolute_ = true;
      rest.remove_prefix(authority.size());
    }
    const std::size_t mark = rest.find('?');
    const std::string_view path = rest.substr(0, mark);
    // Some recipients take it for '/'. Not a path character, and no browser sends it.
    if (path.find('\\') != path.npos) return refuse(refusal::target_invalid);
    path_ = slot_of(path);
    if (mark != rest.npos) query_ = slot_of(rest.substr(mark + 1));
    return true;
  }

  /// Takes a field line of the header or trailer section; `end` if it is the empty line.
  bool read_field(header_field& field, bool& end) noexcept {
    std::string_view line;
    if (!read_line(limits_.header_block - block_, refusal::fields_too_large, line)) return false;
    block_ += static_cast<std::uint32_t>(line.size()) + 2;
    end = line.empty();
    if (end) return true;
    if (field_count_++ == limits_.headers) return refuse(refusal::fields_too_many);
    if (line[0] == ' ' || line[0] == '\t') return refuse(refusal::field_folded);
    std::size_t i = 0;
    while (i < line.size() && detail::is(line[i], detail::token_char)) ++i;
    if (i == 0 || i == line.size() || line[i] != ':') {
      return refuse(unless_cr(i == line.size() ? ' ' : line[i], refusal::field_name_invalid));
    }
    field.name = line.substr(0, i);
    const std::string_view value = line.substr(i + 1);
    if (const char* bad = detail::find_control(value); bad != nullptr) {
      return refuse(unless_cr(*bad, refusal::field_value_invalid));
    }
    field.value = detail::trim(value);
    return true;
  }

  bool parse_field() noexcept {
    header_field field;
    bool end = false;
    if (!read_field(field, end)) return false;
    if (end) return end_of_head();
    headers_[header_count_++] = {slot_of(field.name), slot_of(field.value)};
    switch (field.name.size()) {  // the five fields that decide about the message itself
      case 4: return detail::equal(field.name, "host") ? host_field(field.value) : true;
      case 6:
        if (detail::equal(field.name, "expect")) {
          const bool known = detail::equal(field.value, "100-continue");
          (known ? continue_ : expectation_unknown_) = true;
        }
        return true;
      case 10: return detail::equal(field.name, "connection") ? connection_field(field.value) : true;
      case 14: return detail::equal(field.name, "content-length") ? length_field(field.value) : true;
      case 17: return detail::equal(field.name, "transfer-encoding") ? coding_field(field.value) : true;
      default: return true;
    }
  }

  bool host_field(std::string_view value) noexcept {
    if (host_seen_) return refuse(refusal::host_repeated);
    host_seen_ = true;
    if (!detail::valid_authority(value)) return refuse(refusal::host_invalid);
    if (!absolute_) host_ = slot_of(value);
    return true;
  }

  /// RFC 9110 7.6.1. Empty elements are read over, as 5.6.1.2 asks for.
  bool connection_field(std::string_view list) noexcept {
    bool more = true;
    while (more) {
      const std::string_view option = detail::next_element(list, more);
      if (option.empty()) continue;
      if (!detail::is_token(option)) return refuse(refusal::connection_invalid);
      if (detail::equal(option, "close")) close_ = true;
      if (detail::equal(option, "keep-alive")) keep_alive_ = true;
    }
    return true;
  }

  /// RFC 9112 6.3 and RFC 9110 8.6, without the leniency for equal repetitions.
  bool length_field(std::string_view value) noexcept {
    if (length_seen_) return refuse(refusal::length_repeated);
    length_seen_ = true;
    if (value.empty()) return refuse(refusal::length_invalid);
    for (const char c : value) {
      const auto digit = static_cast<unsigned>(c - '0');
      if (!detail::is(c, detail::digit_char) || remaining_ > (UINT64_MAX - digit) / 10) {
        return refuse(refusal::length_invalid);
      }
      remaining_ = remaining_ * 10 + digit;
    }
    return true;
  }

  /// RFC 9112 6.1. Codings that exist but are not implemented are judged at the end of the head.
  bool coding_field(std::string_view list) noexcept {
    if (coding_ != coding::none) return refuse(refusal::coding_invalid);
    coding_ = coding::other;
    bool more = true;
    bool chunked = false;
    bool only = true;
    while (more) {
      const std::string_view element = detail::next_element(list, more);
      if (!detail::is_token(element)) return refuse(refusal::coding_invalid);
      if (chunked) return refuse(refusal::coding_invalid);  // chunked, but not last
      chunked = detail::equal(element, "chunked");
      if (!chunked) only = false;
    }
    if (chunked && only) coding_ = coding::chunked;
    return true;
  }

  bool end_of_head() noexcept {
    body_start_ = pos_;
    if (minor_ == 1 && !host_seen_) return refuse(refusal::host_missing);
    if (coding_ != coding::none) {
      if (minor_ == 0) return refuse(refusal::coding_on_http10);
      if (length_seen_) return refuse(refusal::length_with_coding);
      if (coding_ != coding::chunked) return refuse(refusal::coding_unsupported);
    }
    if (remaining_ > most_body_) return refuse(refusal::body_too_large);
    if (expectation_unknown_) return refuse(refusal::expectation_unknown);
    if (minor_ == 0) continue_ = false;  // RFC 9110 10.1.1: to be ignored
    return next(coding_ == coding::chunked ? phase::chunk_size : phase::body);
  }

  /// Bytes of the body with a length, or of the chunk, that have arrived.
  std::size_t here() const noexcept {
    const std::size_t there = size_ - pos_;
    return there < remaining_ ? there : static_cast<std::size_t>(remaining_);
  }

  bool parse_body() noexcept {
    if (size_ - pos_ < remaining_) return false;
    body_length_ = static_cast<std::size_t>(remaining_);
    pos_ += body_length_;
    return complete();
  }

  /// Of `n` bytes from pos_ on, which are there.
  bool has_digits(std::size_t n) const noexcept {
    for (std::size_t i = 0; i != n; ++i) {
      if (!detail::is(base_[pos_ + i], detail::hex_char)) return false;
    }
    return true;
  }

  bool parse_chunk_size() noexcept {
    std::string_view line;
    // More for a body that may be larger than most are; one line is no longer for that.
    const std::uint64_t more = decoded_ > limits_.body ? (decoded_ - limits_.body) / 16 : 0;
    const std::uint64_t left =
        limits_.chunk_framing + more > framing_ ? limits_.chunk_framing + more - framing_ : 0;
    const auto budget = static_cast<std::size_t>(left < limits_.chunk_framing ? left : limits_.chunk_framing);
    // An extension that does not end is waited for no longer than the longest one.
    constexpr std::size_t digits = 16;
    const std::size_t longest = digits + (limits_.chunk_extensions - extensions_) + 2;
    if (longest >= budget) {
      if (!read_line(budget, refusal::chunk_framing_too_large, line)) return false;
    } else if (!read_line(longest, refusal::chunk_extensions_too_large, line)) {
      if (refusal_ == refusal::chunk_extensions_too_large && has_digits(digits + 1))
        refusal_ = refusal::chunk_framing_too_large;
      return false;
    }
    framing_ += line.size() + 2;
    remaining_ = 0;
    std::size_t i = 0;
    for (; i < line.size() && detail::is(line[i], detail::hex_char); ++i) {
      if (remaining_ >> 60 != 0) return refuse(refusal::chunk_size_invalid);
      const char c = detail::lower(line[i]);
      remaining_ = remaining_ << 4 | static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    const std::string_view extensions = line.substr(i);
    if (i == 0 || (!extensions.empty() && !detail::trim(extensions).starts_with(';'))) {
      return refuse(unless_cr(extensions.empty() ? ' ' : extensions[0], refusal::chunk_size_invalid));
    }
    if (!detail::valid_chunk_extensions(extensions)) return refuse(refusal::chunk_extension_invalid);
    extensions_ += static_cast<std::uint32_t>(extensions.size());
    if (extensions_ > limits_.chunk_extensions) return refuse(refusal::chunk_extensions_too_large);
    if (remaining_ > most_body_ - decoded_) return refuse(refusal::body_too_large);
    return next(remaining_ == 0 ? phase::trailers : phase::chunk_data);
  }

  /// Moves what there is of the chunk down to the end of the body.
  bool parse_chunk_data() noexcept {
    const std::size_t n = here();
    if (n != 0) std::memmove(base_ + body_start_ + body_length_, base_ + pos_, n);
    decoded_ += n;
    body_length_ += n;
    pos_ += n;
    remaining_ -= n;
    return remaining_ == 0 && next(phase::chunk_end);
  }

  bool parse_chunk_end() noexcept {
    const std::size_t there = size_ - pos_;
    if (there >= 1 && base_[pos_] != '\r') return refuse(refusal::chunk_end_missing);
    if (there < 2) return false;
    if (base_[pos_ + 1] != '\n') return refuse(refusal::chunk_end_missing);
    pos_ += 2;
    framing_ += 2;
    return next(phase::chunk_size);
  }

  /// RFC 9110 6.5.1: fields that frame or route come before the content or not at all.
  bool parse_trailer() noexcept {
    header_field field;
    bool end = false;
    if (!read_field(field, end)) return false;
    if (end) return complete();
    if (detail::equal(field.name, "content-length") || detail::equal(field.name, "transfer-encoding") ||
        detail::equal(field.name, "host")) {
      return refuse(refusal::trailer_forbidden);
    }
    return true;
  }

  limits limits_;
  std::uint64_t most_body_;
  std::array<field_slots, limits::max_headers> headers_;  // the first header_count_ are set
};

}  // namespace http
SYNFP_END_NAMESPACE
