// SPDX-License-Identifier: MIT
// What Prometheus and others read from a monitored program: OpenMetrics text 1.0, or the older text format.
#pragma once

#include <charconv>  // to_chars
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <type_traits>

#include <synfp/fixed_text.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// The two texts. A scraper that takes OpenMetrics says so in Accept.
enum class metrics_format : std::uint8_t {
  open_metrics,  ///< application/openmetrics-text 1.0
  text,          ///< Prometheus' text/plain 0.0.4, also for promtool and node_exporter's textfile
};

/// The Content-Type over HTTP.
constexpr std::string_view content_type_of(metrics_format f) noexcept {
  return f == metrics_format::open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                           : "text/plain; version=0.0.4; charset=utf-8";
}

/// A number as metrics write it: the shortest text that reads back as it.
template <class Number>
fixed_text<32> metric_number(Number value) noexcept {
  static_assert(std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>);
  char digits[32] = {};  // the longest double has 24. g++ 12 does not see that to_chars() fills it
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  fixed_text<32> text;
  text.append(std::string_view(digits, static_cast<std::size_t>(end - digits)));
  return text;
}

/// Appends metric families to `out`: std::string, http::text_type. Each begins with family() and is followed
/// by its samples; end() ends the text, and nothing may follow. Names are the caller's affair:
/// [a-z_:][a-z0-9_:]*. Values of labels and help may be any UTF-8.
template <class Text>
class open_metrics {
 public:
  struct label {
    std::string_view name, value;
  };
  using labels = std::initializer_list<label>;

  explicit open_metrics(Text& out, metrics_format format = metrics_format::open_metrics)
      : out_(out), format_(format) {}

  /// `type`: counter, gauge, histogram. `unit`: empty, or what the name ends with.
  void family(std::string_view name, std::string_view type, std::string_view unit, std::string_view help) {
    family_.assign(name);
    const bool older = format_ == metrics_format::text;
    const std::string_view suffix = older && type == "counter" ? "_total" : "";
    put("# TYPE ", name, suffix, " ", type, "\n");
    if (!unit.empty() && !older) put("# UNIT ", name, " ", unit, "\n");
    put("# HELP ", name, suffix, " ");
    escaped(help, older ? "\\\n" : "\\\"\n");
    put("\n");
  }
  /// A sample of the family. `suffix`: "_total" for a counter, "_bucket", "_sum" and "_count" for a
  /// histogram, else empty.
  template <class Number>
  void sample(std::string_view suffix, labels with, Number value) {
    put(family_, suffix);
    std::string_view before = "{";
    for (const label& one : with) {
      put(before, one.name, "=\"");
      escaped(one.value);
      put("\"");
      before = ",";
    }
    if (with.size() != 0) put("}");
    put(" ", metric_number(value), "\n");
  }
  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, "counter", "", help);
    sample("_total", {}, value);
  }
  template <class Number>
  void gauge(std::string_view name, std::string_view unit, std::string_view help, Number value) {
    family(name, "gauge", unit, help);
    sample("", {}, value);
  }
  void end() {
    if (format_ == metrics_format::open_metrics) put("# EOF\n");
  }

 private:
  template <class... Part>
  void put(const Part&... parts) {
    (out_.append(std::string_view(parts)), ...);
  }
  void escaped(std::string_view text, std::string_view special = "\\\"\n") {
    while (!text.empty()) {
      const std::size_t run = text.find_first_of(special);
      put(text.substr(0, run));
      if (run == text.npos) return;
      put(text[run] == '\n' ? "\\n" : text[run] == '"' ? "\\\"" : "\\\\");
      text.remove_prefix(run + 1);
    }
  }

  Text& out_;
  Text family_;
  metrics_format format_;
};

SYNFP_END_NAMESPACE
