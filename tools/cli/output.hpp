// SPDX-License-Identifier: MIT
// What the subcommands print of SYNs: one line each, in one of the formats, to a descriptor.
#pragma once

#include <CLI/CLI.hpp>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/endpoint.hpp>
#include <synfp/fingerprint/identify.hpp>
#include <synfp/syn_record.hpp>

#include "packet.hpp"

namespace cli {

enum class format : std::uint8_t {
  table,
  json,
  p0f,
  muonfp,
  haproxy,
  satori,
  ndpi,
  pfos,
  ja3,
  ja4,
#ifdef SYNFP_JA4T
  ja4t,
#endif
};

/// Whether a line of this format says something of the connection's ClientHello.
constexpr bool shows_hello(format f) noexcept {
  return f == format::table || f == format::json || f == format::ja3 || f == format::ja4;
}

/// The option --format, into `chosen`, which holds the default. `chosen` must outlive the parsing, which
/// throws failure for a format that this program was built without. `hellos`: with the formats of a hello
/// alone.
void add_format(CLI::App& sub, format& chosen, bool hellos = false);

/// The option --filter-port, repeatable, into `ports`: SYNs to one of these; none: every port. `ports` must
/// outlive the parsing.
void add_filter_port(CLI::App& sub, std::vector<std::uint16_t>& ports);

/// The option --count, into `count`: end after so many lines; 0, without it: no end. `count` must outlive the
/// parsing.
void add_count(CLI::App& sub, std::uint64_t& count);

/// Who is asked for the operating system.
struct databases {
  std::vector<std::string> files;  ///< in p0f's grammar, besides our own
  bool flow_aware = false;

  /// Reads the files. Throws failure for one that cannot be read or is wrong.
  synfp::fingerprint::identifier open() const;
};

/// The options --p0f-db and --flow-aware, into `asked`, which must outlive the parsing.
void add_databases(CLI::App& sub, databases& asked);

/// All of `text`. Throws reader_left if nobody reads any more, and failure with status 1 if writing fails
/// otherwise. `wait`, if there is one, is called before each write, which is then as small as a pipe takes at
/// once.
void write_all(int fd, std::string_view text, const std::function<void()>& wait = {});

/// How a SYN came to us. Empty: not known, which is null in JSON.
struct sighting {
  std::optional<std::uint64_t> frame;  ///< its number in the file, from 1
  std::optional<wall_time> time;
};

/// A connection: what opened it, and what its client said first.
struct sight {
  std::optional<synfp::syn_record> syn;  ///< empty: the capture has not got it
  synfp::endpoint peer, local;
  sighting seen;  ///< of the SYN; without one, of the hello
  /// The handshake message; null: there is none, and `no_hello` says why, unless nobody looked.
  std::shared_ptr<const std::vector<std::uint8_t>> hello;
  std::string_view no_hello;
};

/// Lines of SYNs, collected into large writes. What a format cannot say of a SYN is "-", so that there is one
/// line per SYN; `table` begins with a head if the descriptor is a terminal, and has at most 120 columns.
/// JSON of many SYNs is made by several threads.
class output {
 public:
  /// Throws failure for databases that cannot be read. `before_write` runs before each write: a line that is
  /// not ours may have to leave the terminal. `hellos`: json and table have a place for a hello.
  output(int fd, format f, const databases& asked, std::function<void()> before_write = {},
         bool hellos = false);

  /// `wait` is called before each write, which is then so small that a pipe which has room takes it at once:
  /// a reader who pauses stops whoever waits here, and nobody else. Ends a flush() by throwing.
  void wait_before_writes(std::function<void()> wait) { wait_ = std::move(wait); }
  output(const output&) = delete;
  output& operator=(const output&) = delete;

  void print(const synfp::syn_record& syn, const sighting& seen = {});
  void print(sight one);

  /// Writes what was collected. For the end, and before waiting for more SYNs. Throws reader_left if nobody
  /// reads any more, and failure with status 1 if writing fails otherwise; so does print(). What was not
  /// written is lost then.
  void flush();

 private:
  /// Threads turn what is waiting into JSON, and whoever prints goes on meanwhile.
  void start_json();
  void finish_json();
  void append_json_line(std::string& text, const sight& one) const;
  void append_row(const sight& one);
  void append_fingerprint(const synfp::syn_record& syn);
  void end_line();
  void append_system(const synfp::syn_record& syn, std::size_t room);
  void append_cell(std::string_view text, std::size_t width);
  void write(std::string& text);

  int fd_;
  format format_;
  bool hellos_;
  synfp::fingerprint::identifier who_;
  std::function<void()> before_write_, wait_;
  std::string text_;                      // lines of the other formats
  std::vector<sight> waiting_, working_;  // to become JSON; on the way to it
  std::vector<std::string> json_;         // what each thread makes of its share
  std::vector<std::future<void>> making_;
  std::array<std::size_t, 2> width_{21, 21};  // of the addresses; grows, see append_row()
};

}  // namespace cli
