// SPDX-License-Identifier: MIT
// What the subcommands print of SYNs: one line each, in one of the formats, to a descriptor.
#pragma once

#include <CLI/CLI.hpp>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/fingerprint/identify.hpp>
#include <synfp/syn_record.hpp>

namespace cli {

enum class format : std::uint8_t { table, json, p0f, muonfp, haproxy, satori, ndpi, pfos, ja4t };

/// The option --format, into `chosen`, which holds the default. `chosen` must outlive the parsing.
void add_format(CLI::App& sub, format& chosen);

/// The option --filter-port, repeatable, into `ports`: SYNs to one of these; none: every port. `ports` must
/// outlive the parsing.
void add_filter_port(CLI::App& sub, std::vector<std::uint16_t>& ports);

/// Who is asked for the operating system.
struct databases {
  std::vector<std::string> files;  ///< in p0f's grammar, besides our own
  bool flow_aware = false;

  /// Reads the files. Throws failure for one that cannot be read or is wrong.
  synfp::fingerprint::identifier open() const;
};

/// The options --p0f-db and --flow-aware, into `asked`, which must outlive the parsing.
void add_databases(CLI::App& sub, databases& asked);

/// Since 1970, UTC.
struct wall_time {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;  ///< below 1,000,000,000
};

/// How a SYN came to us. Empty: not known, which is null in JSON.
struct sighting {
  std::optional<std::uint64_t> frame;  ///< its number in the file, from 1
  std::optional<wall_time> time;
};

/// Lines of SYNs, collected into large writes. What a format cannot say of a SYN is "-", so that there is one
/// line per SYN; `table` begins with a head if the descriptor is a terminal.
class output {
 public:
  /// Throws failure for a format that this program was built without, and for databases that cannot be read.
  /// `before_write` runs before each write: a line that is not ours may have to leave the terminal.
  output(int fd, format f, const databases& asked, std::function<void()> before_write = {});

  /// `wait` is called before each write, which is then so small that a pipe which has room takes it at once:
  /// a reader who pauses stops whoever waits here, and nobody else. Ends a flush() by throwing.
  void wait_before_writes(std::function<void()> wait) { wait_ = std::move(wait); }
  output(const output&) = delete;
  output& operator=(const output&) = delete;

  void print(const synfp::syn_record& syn, const sighting& seen = {});

  /// Writes what was collected. For the end, and before waiting for more SYNs. Throws reader_left if nobody
  /// reads any more, and failure with status 1 if writing fails otherwise; so does print(). What was not
  /// written is lost then.
  void flush();

 private:
  void append_json_line(const synfp::syn_record& syn, const sighting& seen);
  void append_row(const synfp::syn_record& syn);
  void append_cell(std::size_t column, std::string_view text, bool right);

  int fd_;
  format format_;
  synfp::fingerprint::identifier who_;
  std::function<void()> before_write_, wait_;
  std::string text_;
  std::array<std::size_t, 6> width_{21, 21, 3, 5, 5, 56};  // grows: IPv6 is as long as it is
};

}  // namespace cli
