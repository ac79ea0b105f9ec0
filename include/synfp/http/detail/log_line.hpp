// SPDX-License-Identifier: MIT
// The lines of an access log.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>  // clock_gettime
#include <optional>
#include <string_view>

#include <synfp/detail/json_writer.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/fixed_text.hpp>
#include <synfp/http/date.hpp>
#include <synfp/http/observer.hpp>
#include <synfp/json.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// More of a field is cut off, so that no client makes a line long.
inline constexpr std::size_t most_of_a_logged_field = 2048;

/// The time as access logs write it, UTC. Formats a second once.
class log_time {
 public:
  void set(std::int64_t seconds) noexcept {
    if (seconds == seconds_) return;
    seconds_ = seconds;
    date_text date;
    format_date(seconds, date);
    const std::string_view d(date.data(), date.size());  // "Sun, 06 Nov 1994 08:49:37 GMT"
    common_.clear();
    for (const std::string_view part :
         {d.substr(5, 2), std::string_view("/"), d.substr(8, 3), std::string_view("/"), d.substr(12, 4),
          std::string_view(":"), d.substr(17, 8), std::string_view(" +0000")})
      common_.append(part);
    const std::size_t month =
        std::string_view("JanFebMarAprMayJunJulAugSepOctNovDec").find(d.substr(8, 3)) / 3 + 1;
    iso_.clear();
    iso_.append(d.substr(12, 4));
    iso_.append(month < 10 ? "-0" : "-");
    iso_.append_number(month);
    iso_.append("-");
    iso_.append(d.substr(5, 2));
    iso_.append("T");
    iso_.append(d.substr(17, 8));
  }
  std::string_view common() const noexcept { return common_; }  ///< 06/Nov/1994:08:49:37 +0000
  std::string_view iso() const noexcept { return iso_; }        ///< 1994-11-06T08:49:37

 private:
  std::int64_t seconds_ = INT64_MIN;
  fixed_text<26> common_;
  fixed_text<19> iso_;
};

/// As nginx escapes: a quote, a backslash, and all but visible ASCII and blanks in hexadecimal.
template <class Text>
void write_escaped(synfp::detail::json_writer<Text>& out, std::string_view text) {
  static constexpr auto usual = [] {
    std::array<bool, 256> table{};
    for (std::size_t c = 0x20; c < 0x7f; ++c) table[c] = c != '"' && c != '\\';
    return table;
  }();
  while (!text.empty()) {
    std::size_t run = 0;
    while (run < text.size() && usual[static_cast<unsigned char>(text[run])]) ++run;
    out.text(text.substr(0, run));
    text.remove_prefix(run);
    if (text.empty()) return;
    constexpr const char* digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(text[0]);
    out.put("\\x");
    out.put(digits[byte >> 4]);
    out.put(digits[byte & 15]);
    text.remove_prefix(1);
  }
}

/// `"text"` and a blank in front; "-" if it is empty.
template <class Text>
void write_log_field(synfp::detail::json_writer<Text>& out, std::string_view text) {
  out.put(" \"");
  if (text.empty()) out.put('-');
  write_escaped(out, text.substr(0, most_of_a_logged_field));
  if (text.size() > most_of_a_logged_field) out.put("...");
  out.put('"');
}

inline std::string_view field_of(const exchange& e, std::string_view name) noexcept {
  return e.request != nullptr ? e.request->header(name).value_or("") : std::string_view();
}

inline std::optional<fixed_text<234>> fingerprint_of(const exchange& e) noexcept {
  if (!e.connection.syn) return std::nullopt;
  return fingerprint::p0f(*e.connection.syn);
}

/// NCSA's common log format, or with Referer and User-Agent the combined one, and p0f's signature behind
/// either.
template <class Text>
void append_common_line(Text& out, log_time& time, const exchange& e, bool combined) {
  time.set(std::time(nullptr));
  synfp::detail::json_writer writer(out);  // which writes any text in large pieces
  writer.text(e.connection.peer.address_text().view());
  writer.put(" - - [");
  writer.text(time.common());
  writer.put(']');
  write_log_field(writer, e.request_line);
  writer.put(' ');
  writer.number(static_cast<std::uint64_t>(e.status));
  writer.put(' ');
  writer.number(e.body_bytes);
  if (combined) {
    write_log_field(writer, field_of(e, "referer"));
    write_log_field(writer, field_of(e, "user-agent"));
  }
  const auto signature = fingerprint_of(e);
  write_log_field(writer, signature ? signature->view() : std::string_view());
  writer.put('\n');
  writer.flush();
}

template <class Text>
void append_json_time(Text& out, log_time& time) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  time.set(now.tv_sec);
  const auto ms = static_cast<unsigned>(now.tv_nsec / 1'000'000);
  fixed_text<8> fraction;
  fraction.append(ms < 10 ? ".00" : ms < 100 ? ".0" : ".");
  fraction.append_number(ms);
  fraction.append("Z\"");
  out.append(R"({"time":")");
  out.append(time.iso());
  out.append(fraction.view());
}

template <class Text>
void append_json_line(Text& out, log_time& time, const exchange& e) {
  append_json_time(out, time);
  out.append(R"(,"peer":)");
  append_json(out, e.connection.peer);
  out.append(R"(,"local":)");
  append_json(out, e.connection.local);
  synfp::detail::json_writer writer(out);
  const auto text = [&writer](std::string_view value) {
    if (value.empty()) {
      writer.put("null");
      return;
    }
    writer.put('"');
    writer.escaped(value.substr(0, most_of_a_logged_field));
    if (value.size() > most_of_a_logged_field) writer.put("...");
    writer.put('"');
  };
  writer.put(R"(,"request":)");
  text(e.request_line);
  writer.put(R"(,"host":)");
  text(e.request != nullptr ? e.request->host() : std::string_view());
  writer.put(R"(,"referer":)");
  text(field_of(e, "referer"));
  writer.put(R"(,"user_agent":)");
  text(field_of(e, "user-agent"));
  writer.put(R"(,"status":)");
  writer.number(static_cast<std::uint64_t>(e.status));
  writer.put(R"(,"cause":)");
  writer.plain(to_string(e.cause));
  writer.put(R"(,"refusal":)");
  text(e.refused_for == refusal::none ? std::string_view() : to_string(e.refused_for));
  writer.put(R"(,"bytes":)");
  writer.number(e.bytes);
  writer.put(R"(,"body_bytes":)");
  writer.number(e.body_bytes);
  writer.put(R"(,"complete":)");
  writer.boolean(e.complete);
  writer.put(R"(,"duration_us":)");
  const auto spent = std::chrono::duration_cast<std::chrono::microseconds>(e.duration).count();
  writer.number(static_cast<std::uint64_t>(spent < 0 ? 0 : spent));
  writer.put(R"(,"capture":)");
  writer.flush();
  append_json(out, e.connection.syn);
  writer.put(R"(,"p0f":)");
  writer.plain(fingerprint_of(e));
  writer.put("}\n");
  writer.flush();
}

}  // namespace http::detail
SYNFP_END_NAMESPACE
