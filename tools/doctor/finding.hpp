// SPDX-License-Identifier: MIT
// What a check says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <synfp/json.hpp>

namespace synfp::doctor {

enum class status : std::uint8_t {
  ok,
  warn,    ///< it works, with a limit
  no,      ///< it does not
  unknown  ///< it cannot be told from here
};

constexpr std::string_view to_string(status s) noexcept {
  switch (s) {
    case status::ok: return "ok";
    case status::warn: return "warn";
    case status::no: return "no";
    case status::unknown: break;
  }
  return "unknown";
}

/// The numbers behind a finding, as the members of a JSON object. Names are stable.
class facts {
 public:
  template <class T>
  facts& add(std::string_view name, const T& value) {
    if (!json_.empty()) json_ += ',';
    append_json_string(json_, name);
    json_ += ':';
    write(value);
    return *this;
  }
  /// "{...}"
  std::string json() const { return '{' + json_ + '}'; }

 private:
  void write(const facts& value) { json_ += value.json(); }
  void write(bool value) { json_ += value ? "true" : "false"; }
  void write(std::string_view value) { append_json_string(json_, value); }
  void write(const std::string& value) { write(std::string_view(value)); }
  void write(const char* value) { write(std::string_view(value)); }
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) void write(T value) {
    json_ += std::to_string(value);
  }
  template <class T>
  void write(const std::optional<T>& value) {
    if (value) {
      write(*value);
    } else {
      json_ += "null";
    }
  }
  template <class T>
  void write(const std::vector<T>& values) {
    json_ += '[';
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i != 0) json_ += ',';
      write(values[i]);
    }
    json_ += ']';
  }

  std::string json_;
};

struct finding {
  doctor::status status = doctor::status::unknown;
  std::string name;           ///< of the check, stable
  std::string what;           ///< one line
  std::string todo{};         ///< one line; empty if there is nothing to do
  std::string values = "{}";  ///< facts::json()
};

}  // namespace synfp::doctor
