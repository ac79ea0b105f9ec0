// SPDX-License-Identifier: MIT
// A file or a pipe from its beginning to its end, seen through a window of bounded size.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace cli {

class window {
 public:
  static constexpr std::size_t usual_capacity = std::size_t{512} << 10;

  /// `read`: at least one byte into this place, and how many; 0 at the end. What it throws goes through.
  explicit window(std::function<std::size_t(std::span<std::uint8_t>)> read,
                  std::size_t capacity = usual_capacity)
      : read_(std::move(read)),
        capacity_(capacity),
        bytes_(std::make_unique_for_overwrite<std::uint8_t[]>(capacity)) {}

  /// peek() shows at most so many bytes.
  std::size_t capacity() const noexcept { return capacity_; }

  /// The next `n` bytes, up to capacity(); fewer where the file ends. Waits for no more than that.
  /// Valid until the next call.
  std::span<const std::uint8_t> peek(std::size_t n) {
    if (end_ - begin_ < n) fill(std::min(n, capacity_));
    return {bytes_.get() + begin_, std::min(n, end_ - begin_)};
  }

  /// What is there without waiting; if that is nothing, what comes first. Empty at the end of the file.
  std::span<const std::uint8_t> peek_some() {
    if (begin_ == end_) fill(1);
    return {bytes_.get() + begin_, end_ - begin_};
  }

  /// Moves on by `n` bytes, or to the end; false if it came to the end before.
  bool skip(std::uint64_t n) {
    for (;;) {
      const std::size_t step = static_cast<std::size_t>(std::min<std::uint64_t>(n, end_ - begin_));
      begin_ += step;
      n -= step;
      if (n == 0) return true;
      if (peek(1).empty()) return false;
    }
  }

 private:
  void fill(std::size_t n) {
    if (begin_ == end_ || begin_ + n > capacity_) {
      std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    while (end_ - begin_ < n) {
      const std::size_t got = read_({bytes_.get() + end_, capacity_ - end_});
      if (got == 0) return;
      end_ += got;
    }
  }

  std::function<std::size_t(std::span<std::uint8_t>)> read_;
  std::size_t capacity_;
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace cli
