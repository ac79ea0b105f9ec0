// SPDX-License-Identifier: MIT
// What a benchmark says: tables of rows on stdout, and one JSON file {"rows": [...], "figures": {...}}.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// Ends the benchmark: what was measured is not what was meant.
[[noreturn]] inline void fail(const std::string& why) {
  std::fprintf(stderr, "bench: %s\n", why.c_str());
  std::exit(1);
}
inline void require(bool held, const std::string& why) {
  if (!held) fail(why);
}

/// The q-quantile of some samples, 0 <= q <= 1.
inline double quantile(std::vector<double> samples, double q) {
  require(!samples.empty(), "no samples");
  std::sort(samples.begin(), samples.end());
  const double at = q * static_cast<double>(samples.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const auto high = std::min(low + 1, samples.size() - 1);
  return samples[low] + (at - static_cast<double>(low)) * (samples[high] - samples[low]);
}
inline double median(std::vector<double> samples) { return quantile(std::move(samples), 0.5); }

/// The differences of samples that were taken in the same rounds.
inline std::vector<double> minus(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference(a.size());
  std::transform(a.begin(), a.end(), b.begin(), difference.begin(), [](double x, double y) { return x - y; });
  return difference;
}

class report {
 public:
  using json = nlohmann::ordered_json;

  /// Prints one line of a table; a head first if the columns are others than those of the row before.
  void row(const json& cells) {
    if (rows_.empty() || !same_columns(rows_.back(), cells)) {
      std::string head = "\n", rule;
      std::size_t column = 0;
      for (const auto& [name, value] : cells.items()) {
        head += pad("| " + name + " ", width(column), false);
        rule += "|" + std::string(width(column) - (value.is_number() ? 2 : 1), '-') +
                (value.is_number() ? ":" : "");
        ++column;
      }
      std::printf("%s|\n%s|\n", head.c_str(), rule.c_str());
    }
    std::string line;
    std::size_t column = 0;
    for (const auto& [name, value] : cells.items()) {
      const std::string shown = value.is_string() ? value.get<std::string>() : number(value);
      line += value.is_string() ? pad("| " + shown, width(column), false)
                                : "|" + pad(shown + " ", width(column) - 1, true);
      ++column;
    }
    std::printf("%s|\n", line.c_str());
    std::fflush(stdout);
    rows_.push_back(cells);
  }

  void figure(const std::string& name, double value) { figures_[name] = value; }

  void write(const char* path) const {
    std::puts("");
    for (const auto& [name, value] : figures_.items())
      std::printf("%s = %s\n", name.c_str(), number(value).c_str());
    std::ofstream file(path);
    file << json{{"rows", rows_}, {"figures", figures_}}.dump(1) << '\n';
    require(static_cast<bool>(file.flush()), std::string("cannot write ") + path);
  }

 private:
  static std::size_t width(std::size_t column) { return column == 0 ? 34 : column == 1 ? 24 : 17; }
  static std::string pad(std::string text, std::size_t to, bool left) {
    if (text.size() < to) text.insert(left ? 0 : text.size(), to - text.size(), ' ');
    return text;
  }
  static std::string number(const json& value) {
    if (value.is_number_integer()) return std::to_string(value.get<long long>());
    if (value.is_null()) return "";
    const double v = value.get<double>();
    char text[32];
    std::snprintf(text, sizeof text, v < 10 && v > -10 ? "%.2f" : "%.1f", v);
    return text;
  }
  static bool same_columns(const json& a, const json& b) {
    return a.size() == b.size() &&
           std::equal(a.items().begin(), a.items().end(), b.items().begin(),
                      [](const auto& x, const auto& y) { return x.key() == y.key(); });
  }

  json rows_ = json::array();
  json figures_ = json::object();
};

}  // namespace bench
