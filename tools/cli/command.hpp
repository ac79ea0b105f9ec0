// SPDX-License-Identifier: MIT
// What the subcommands of synfp share: how they are registered, how they fail.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <stdexcept>
#include <string>

namespace cli {

/// Ends the program with this text, which says what to do, on stderr behind "synfp: ". `status`: 2 if nothing
/// was done, 1 if what was printed is not all there was.
class failure : public std::runtime_error {
 public:
  explicit failure(const std::string& text, int status = 2) : std::runtime_error(text), status_(status) {}
  int status() const noexcept { return status_; }

 private:
  int status_;
};

/// Whoever read stdout has left. Ends the program with status 1 and without a word.
struct reader_left {};

/// A subcommand. `run` is called after the command line was parsed, if it was named, and returns the
/// program's exit status: 0, or 1 if what it printed is not all there was.
struct command {
  const CLI::App* app;
  std::function<int()> run;
};

/// Each registers its subcommand with the options.
command add_read(CLI::App& app);
command add_watch(CLI::App& app);

}  // namespace cli
