// SPDX-License-Identifier: MIT
// OpenMetrics text 1.0: what Prometheus and others read from a monitored program. With the types counter and
// gauge alone, parsers of the older Prometheus text (promtool, node_exporter's textfile) take it too.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace synfp::tools {

/// Appends metric families to a text. Each begins with family() and is followed by its samples; end() ends
/// the text, and nothing may follow. Names are the caller's affair: [a-z_:][a-z0-9_:]*.
class open_metrics {
 public:
  /// The Content-Type of the text over HTTP.
  static constexpr std::string_view content_type =
      "application/openmetrics-text; version=1.0.0; charset=utf-8";

  struct label {
    std::string_view name, value;
  };
  using labels = std::initializer_list<label>;

  explicit open_metrics(std::string& out) : out_(out) {}

  /// `type`: counter, gauge. `unit`: empty, or what the name ends with.
  void family(std::string_view name, std::string_view type, std::string_view unit, std::string_view help) {
    family_ = name;
    out_ += fmt::format("# TYPE {} {}\n", name, type);
    if (!unit.empty()) out_ += fmt::format("# UNIT {} {}\n", name, unit);
    out_ += fmt::format("# HELP {} {}\n", name, escaped(help));
  }
  /// A sample of the family. `suffix`: "_total" for a counter, else empty.
  template <class Number>
  void sample(std::string_view suffix, labels with, Number value) {
    out_ += family_;
    out_ += suffix;
    char before = '{';
    for (const label& one : with) {
      out_ += fmt::format("{}{}=\"{}\"", before, one.name, escaped(one.value));
      before = ',';
    }
    if (with.size() != 0) out_ += '}';
    out_ += fmt::format(" {}\n", value);
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
  void end() { out_ += "# EOF\n"; }

 private:
  static std::string escaped(std::string_view text) {
    std::string safe;
    for (const char c : text) {
      if (c == '\\' || c == '"') safe += '\\';
      if (c == '\n') {
        safe += "\\n";
      } else {
        safe += c;
      }
    }
    return safe;
  }

  std::string& out_;
  std::string family_;
};

}  // namespace synfp::tools
