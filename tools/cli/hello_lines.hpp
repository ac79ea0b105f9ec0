// SPDX-License-Identifier: MIT
// One line per connection, with its SYN and its ClientHello, in the order of the SYNs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/syn_record.hpp>
#include <synfp/tls/hello_parser.hpp>

#include "first_bytes.hpp"
#include "output.hpp"

namespace cli {

/// For first_bytes: the ClientHello that a connection begins with. Of one thread.
class hello_reader {
 public:
  /// Hellos of which a part is there, of all readers: what takes memory. One more is not read.
  static constexpr std::size_t most_begun = 4096;

  bool take(std::span<const std::uint8_t> bytes) {
    if (!work_) {
      if (begun_ == most_begun) {
        missing_ = "too many at once";
        return false;
      }
      work_ = std::make_unique<work>();
    }
    const auto status = work_->parser.look(bytes);
    missing_ = "incomplete";
    if (status == synfp::tls::hello_status::incomplete) return true;
    missing_ = to_string(work_->parser.refused_for());
    if (const auto m = work_->parser.message(); !m.empty())
      message_ = std::make_shared<const std::vector<std::uint8_t>>(m.begin(), m.end());
    work_.reset();
    return false;
  }
  /// There is nothing to come, or nobody to wait for it.
  void stop() noexcept { work_.reset(); }

  const std::shared_ptr<const std::vector<std::uint8_t>>& message() const noexcept { return message_; }
  /// Why there is no message, if there is none.
  std::string_view missing() const noexcept { return missing_; }

 private:
  struct work {
    std::array<std::uint8_t, synfp::tls::hello_parser::max_hello> buffer;
    synfp::tls::hello_parser parser{buffer};

    work() noexcept { ++begun_; }
    ~work() { --begun_; }
    work(const work&) = delete;
    work& operator=(const work&) = delete;
  };

  static inline std::size_t begun_ = 0;
  std::unique_ptr<work> work_;  // only while a hello is being read
  std::shared_ptr<const std::vector<std::uint8_t>> message_;
  std::string_view missing_ = "no data";
};

/// Collects lines until it is known what to print of each. A line waits for its hello, and those behind it
/// wait for it: until the client has sent it or something else, has closed, or was silent for `patience` by
/// the capture's clock; and at most so many of them wait.
class hello_lines {
 public:
  static constexpr std::int64_t patience = 10;  ///< seconds
  static constexpr std::size_t most_waiting = 65536;

  /// `once`: a copy of a SYN has no line of its own.
  hello_lines(std::function<void(sight)> print, bool once) : print_(std::move(print)), once_(once) {}

  /// A line for this SYN. False: there is none, see `once`.
  bool add(const synfp::syn_record& syn, const sighting& seen) {
    bool created = false;
    auto c = connections_.open(syn.source(), syn.destination(), syn.tcp().sequence(), &created);
    if (!created && once_) return false;
    append({syn, syn.source(), syn.destination(), seen, nullptr, {}}, std::move(c));
    return true;
  }
  /// Whether this segment begins a hello of a connection whose SYN the capture has not got.
  bool begins(const segment& s) const {
    return s.data.size() > 5 && s.data[0] == 22 && s.data[1] == 3 && s.data[5] == 1 && !connections_.knows(s);
  }
  /// A line for that one.
  void add(const segment& s, const sighting& seen) {
    append({{}, s.from, s.to, seen, nullptr, {}}, connections_.open(s.from, s.to, s.sequence - 1));
  }

  void take(const segment& s) {
    if (s.data.empty() && (s.flags & (synfp::tcp_view::fin | synfp::tcp_view::rst)) == 0) return;
    connections_.take(s);
    print_decided();
  }
  /// What the capture's clock says now.
  void at(const wall_time& now) {
    while (!lines_.empty() && lines_.front().what.seen.time &&
           lines_.front().what.seen.time->seconds + patience < now.seconds)
      print_first();
    print_decided();
  }
  /// Prints all lines with what is known.
  void finish() {
    while (!lines_.empty()) print_first();
  }
  bool empty() const noexcept { return lines_.empty(); }

 private:
  struct line {
    sight what;
    first_bytes<hello_reader>::pointer connection;
  };

  void append(sight what, first_bytes<hello_reader>::pointer connection) {
    lines_.push_back({std::move(what), std::move(connection)});
    if (lines_.size() > most_waiting) print_first();
  }
  void print_decided() {
    while (!lines_.empty() && lines_.front().connection->ended()) print_first();
  }
  void print_first() {
    line first = std::move(lines_.front());
    lines_.pop_front();
    hello_reader& reader = first.connection->reader;
    first.what.hello = reader.message();
    if (!first.what.hello) first.what.no_hello = reader.missing();
    reader.stop();
    connections_.end(*first.connection);
    print_(std::move(first.what));
  }

  std::function<void(sight)> print_;
  bool once_;
  first_bytes<hello_reader> connections_;
  std::deque<line> lines_;
};

}  // namespace cli
