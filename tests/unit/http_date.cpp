// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <ctime>
#include <optional>
#include <random>
#include <string>

#include <synfp/http/date.hpp>

namespace {

constexpr synfp::http::date_text date(std::int64_t seconds) {
  synfp::http::date_text text{};
  synfp::http::format_date(seconds, text);
  return text;
}
std::string text(std::int64_t seconds) {
  const auto d = date(seconds);
  return {d.data(), d.size()};
}

static_assert(date(0)[0] == 'T' && date(0)[28] == 'T');

TEST(http_date, known_dates) {
  EXPECT_EQ(text(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110's example
  EXPECT_EQ(text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(text(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
  EXPECT_EQ(text(951782399), "Mon, 28 Feb 2000 23:59:59 GMT");
  EXPECT_EQ(text(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(text(4107542400), "Mon, 01 Mar 2100 00:00:00 GMT");
  EXPECT_EQ(text(4107542399), "Sun, 28 Feb 2100 23:59:59 GMT");
  EXPECT_EQ(text(2147483648), "Tue, 19 Jan 2038 03:14:08 GMT");
  EXPECT_EQ(text(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(text(INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(text(INT64_MIN), "Sat, 01 Jan 0000 00:00:00 GMT");
}

TEST(http_date, agrees_with_the_c_library) {
  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::int64_t> any(-62135596800, 253402300799);  // years 1 to 9999
  for (int i = 0; i < 200000; ++i) {
    const std::int64_t seconds = any(random);
    const std::time_t t = seconds;
    std::tm tm{};
    ASSERT_NE(gmtime_r(&t, &tm), nullptr);
    char expected[64];
    static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::snprintf(expected, sizeof expected, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                  tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    ASSERT_EQ(text(seconds), expected) << seconds;
  }
}

TEST(http_date, parses_the_three_formats_of_http) {
  using synfp::http::parse_date;
  EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_date("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_date("Sun Nov  6 08:49:37 1994"), 784111777);
  EXPECT_EQ(parse_date("Tuesday, 19-Jan-38 03:14:08 GMT"), 2147483648);
  for (const auto* const bad :
       {"", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 ovD 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov -994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08-49-37 GMT", "Sun, 06 Nov 1994 08:4 :37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov  6 08:49:37 94", "1994-11-06"})
    EXPECT_EQ(parse_date(bad), std::nullopt) << bad;
}

TEST(http_date, parses_what_it_formats) {
  std::mt19937_64 random(2);
  std::uniform_int_distribution<std::int64_t> any(-62167219200, 253402300799);
  for (int i = 0; i < 200000; ++i) {
    const std::int64_t seconds = any(random);
    ASSERT_EQ(synfp::http::parse_date(text(seconds)), seconds);
  }
}

TEST(http_date, the_cache_formats_each_second_anew) {
  synfp::http::date_cache cache;
  EXPECT_EQ(cache.at(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(cache.at(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(cache.at(784111778), "Sun, 06 Nov 1994 08:49:38 GMT");
  EXPECT_EQ(cache.at(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
}

}  // namespace
