// SPDX-License-Identifier: MIT
// The fields of a query or of a form: "name=value&name=value".
#pragma once

#include <cstddef>
#include <iterator>  // default_sentinel
#include <optional>
#include <string_view>

#include <synfp/http/percent.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// One of query_fields. '+' is a space.
struct query_field {
  encoded_text name;
  encoded_text value;  ///< empty without '='
};

/// The fields of `text` in their order: `for (http::query_field f : q.query_fields())`. `text` is a query, or
/// a body of the type application/x-www-form-urlencoded, and is read as browsers write it (the URL Standard):
/// fields end at '&', empty ones do not count, and a name ends at its first '='. A view that owns nothing and
/// takes no memory: it reads `text` anew each time.
class query_fields {
 public:
  class iterator {
   public:
    using value_type = query_field;
    using difference_type = std::ptrdiff_t;

    constexpr iterator() noexcept = default;
    constexpr explicit iterator(std::string_view text) noexcept : rest_(text) { skip_empty(); }

    constexpr query_field operator*() const noexcept {
      const std::string_view field = rest_.substr(0, rest_.find('&'));
      const std::size_t equals = field.find('=');
      const std::string_view value =
          equals == field.npos ? field.substr(field.size()) : field.substr(equals + 1);
      return {encoded_text(field.substr(0, equals), plus_sign::space), encoded_text(value, plus_sign::space)};
    }
    constexpr iterator& operator++() noexcept {
      const std::size_t end = rest_.find('&');
      rest_.remove_prefix(end == rest_.npos ? rest_.size() : end);
      skip_empty();
      return *this;
    }
    constexpr iterator operator++(int) noexcept {
      const iterator before = *this;
      ++*this;
      return before;
    }
    /// Of the same text.
    friend constexpr bool operator==(const iterator& a, const iterator& b) noexcept {
      return a.rest_.size() == b.rest_.size();
    }
    friend constexpr bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
      return i.rest_.empty();
    }

   private:
    constexpr void skip_empty() noexcept {
      while (rest_.starts_with('&')) rest_.remove_prefix(1);
    }
    std::string_view rest_;  // from the field on
  };

  constexpr explicit query_fields(std::string_view text) noexcept : text_(text) {}
  constexpr iterator begin() const noexcept { return iterator(text_); }
  constexpr std::default_sentinel_t end() const noexcept { return {}; }

  /// The value of the first field whose decoded name is `name`.
  constexpr std::optional<encoded_text> find(std::string_view name) const noexcept {
    for (const query_field field : *this) {
      if (field.name == name) return field.value;
    }
    return std::nullopt;
  }

 private:
  std::string_view text_;
};

}  // namespace http
SYNFP_END_NAMESPACE
