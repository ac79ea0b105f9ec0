// SPDX-License-Identifier: MIT
// The option walk of tools that do not stop at the end of the list.
#pragma once

#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint::detail {

/// Like tcp_option_walk, but EOL is an option of one byte, yielded with kind 0, and the walk goes on behind
/// it: every byte of padding is one more option.
class padded_option_walk {
 public:
  constexpr explicit padded_option_walk(std::span<const std::uint8_t> bytes) noexcept : rest_(bytes) {}

  constexpr std::optional<tcp_option> next() noexcept {
    if (rest_.empty()) return std::nullopt;
    const std::uint8_t kind = rest_[0];
    std::size_t length = 1;
    if (kind > 1) {
      if (rest_.size() < 2 || rest_[1] < 2 || rest_[1] > rest_.size()) {
        malformed_ = true;
        rest_ = {};
        return std::nullopt;
      }
      length = rest_[1];
    }
    const std::size_t head = kind > 1 ? 2 : 1;
    const tcp_option option{kind, rest_.subspan(head, length - head)};
    rest_ = rest_.subspan(length);
    return option;
  }
  constexpr bool malformed() const noexcept { return malformed_; }

 private:
  std::span<const std::uint8_t> rest_;
  bool malformed_ = false;
};

}  // namespace fingerprint::detail
SYNFP_END_NAMESPACE
