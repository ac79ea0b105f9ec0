// SPDX-License-Identifier: MIT
// Dates (RFC 9110 5.6.7), without the C library's locale and time zone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// "Sun, 06 Nov 1994 08:49:37 GMT"; what a date of the years 0 to 9999 looks like.
using date_text = std::array<char, 29>;

/// Writes the date of `seconds` since 1970-01-01 00:00:00 UTC, clamped to the years 0 to 9999.
constexpr void format_date(std::int64_t seconds, date_text& out) noexcept {
  constexpr std::int64_t first = -62167219200;  // 0000-01-01 00:00:00
  constexpr std::int64_t last = 253402300799;   // 9999-12-31 23:59:59
  if (seconds < first) seconds = first;
  if (seconds > last) seconds = last;
  // Counted from a 1 March: a leap day is then the last day of its year, and a month's number gives its first
  // day.
  const auto since = static_cast<std::uint64_t>(seconds - first);
  const auto in_day = static_cast<unsigned>(since % 86400);
  const auto day_number = static_cast<unsigned>(since / 86400);  // 0000-01-01 is 0
  const unsigned day = day_number + 146097 - 60;  // since -0400-03-01; 400 years have 146097 days
  const unsigned era_day = day % 146097;
  const unsigned era_year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
  const unsigned year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
  const unsigned march_month = (5 * year_day + 2) / 153;  // 0 is March
  const unsigned month_day = year_day - (153 * march_month + 2) / 5 + 1;
  const unsigned month = march_month < 10 ? march_month + 2 : march_month - 10;  // 0 is January
  const unsigned year = day / 146097 * 400 + era_year + (month < 2 ? 1 : 0) - 400;
  const unsigned week_day = (day_number + 6) % 7;  // 0000-01-01 was a Saturday

  constexpr std::string_view days = "SunMonTueWedThuFriSat";
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::size_t at = 0;
  const auto put = [&](std::string_view text) {
    for (const char c : text) out[at++] = c;
  };
  const auto two = [&](unsigned value) {
    out[at++] = static_cast<char>('0' + value / 10);
    out[at++] = static_cast<char>('0' + value % 10);
  };
  put(days.substr(std::size_t{3} * week_day, 3));
  put(", ");
  two(month_day);
  put(" ");
  put(months.substr(std::size_t{3} * month, 3));
  put(" ");
  two(year / 100);
  two(year % 100);
  put(" ");
  two(in_day / 3600);
  put(":");
  two(in_day / 60 % 60);
  put(":");
  two(in_day % 60);
  put(" GMT");
}

namespace detail {

/// Seconds since 1970 of a date whose fields are digits; month "Jan" to "Dec".
constexpr std::optional<std::int64_t> seconds_of(std::string_view year, std::string_view month,
                                                 std::string_view day, std::string_view time) noexcept {
  bool digits = true;
  const auto number = [&digits](std::string_view text) {
    int value = 0;
    for (const char c : text) {
      digits = digits && c >= '0' && c <= '9';
      value = value * 10 + (c - '0');
    }
    return value;
  };
  if (day[0] == ' ') day.remove_prefix(1);  // of asctime()
  if (time[2] != ':' || time[5] != ':') return std::nullopt;
  int y = number(year);
  const int d = number(day);
  const int hour = number(time.substr(0, 2));
  const int minute = number(time.substr(3, 2));
  const int second = number(time.substr(6, 2));
  const std::size_t at = std::string_view("JanFebMarAprMayJunJulAugSepOctNovDec").find(month);
  if (!digits || at == std::string_view::npos || at % 3 != 0) return std::nullopt;
  if (d < 1 || d > 31 || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  if (year.size() == 2) y += y < 70 ? 2000 : 1900;
  // Counted from a 1 March, as in format_date().
  const int m = static_cast<int>(at / 3);
  if (m < 2) --y;
  const int march_month = m < 2 ? m + 10 : m - 2;
  const int era_year = y + 400;
  const int days = 365 * era_year + era_year / 4 - era_year / 100 + era_year / 400 +
                   (153 * march_month + 2) / 5 + d - 1 - (146097 + 719468);
  return std::int64_t{days} * 86400 + hour * 3600 + minute * 60 + second;
}

}  // namespace detail

/// Seconds since 1970-01-01 00:00:00 UTC. All three formats of HTTP; of "Sunday, 06-Nov-94 08:49:37 GMT" a
/// year below 70 is one of this century. The day of the week is not compared.
constexpr std::optional<std::int64_t> parse_date(std::string_view text) noexcept {
  // "Sun, 06 Nov 1994 08:49:37 GMT"
  if (text.size() == 29 && text.substr(3, 2) == ", " && text[7] == ' ' && text[11] == ' ' &&
      text[16] == ' ' && text.ends_with(" GMT"))
    return detail::seconds_of(text.substr(12, 4), text.substr(8, 3), text.substr(5, 2), text.substr(17, 8));
  // "Sun Nov  6 08:49:37 1994"
  if (text.size() == 24 && text[3] == ' ' && text[7] == ' ' && text[10] == ' ' && text[19] == ' ')
    return detail::seconds_of(text.substr(20, 4), text.substr(4, 3), text.substr(8, 2), text.substr(11, 8));
  // "Sunday, 06-Nov-94 08:49:37 GMT"
  const std::size_t comma = text.find(", ");
  if (comma == text.npos) return std::nullopt;
  text.remove_prefix(comma + 2);
  if (text.size() == 22 && text[2] == '-' && text[6] == '-' && text[9] == ' ' && text.ends_with(" GMT"))
    return detail::seconds_of(text.substr(7, 2), text.substr(3, 3), text.substr(0, 2), text.substr(10, 8));
  return std::nullopt;
}

/// Formats a second once. One per thread.
class date_cache {
 public:
  /// The text of `seconds` since 1970, valid until the next call.
  constexpr std::string_view at(std::int64_t seconds) noexcept {
    if (seconds != seconds_) {
      format_date(seconds, text_);
      seconds_ = seconds;
    }
    return {text_.data(), text_.size()};
  }

 private:
  std::int64_t seconds_ = INT64_MIN;
  date_text text_{};
};

}  // namespace http
SYNFP_END_NAMESPACE
