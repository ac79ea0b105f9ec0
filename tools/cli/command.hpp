// SPDX-License-Identifier: MIT
// What the subcommands of synfp share: how they are registered, how they fail.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace cli {

/// Ends the program with status 2 and this text, which says what to do, on stderr behind "synfp: ".
struct failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A subcommand. `run` is called after the command line was parsed, if it was named, and returns the
/// program's exit status: 0, or 1 if what it printed is not all there was.
struct command {
  const CLI::App* app;
  std::function<int()> run;
  /// Takes what follows "--" on the command line; without it, nothing may follow.
  std::vector<std::string>* rest = nullptr;
};

/// Each registers its subcommand with the options.
command add_flood(CLI::App& app);
command add_read(CLI::App& app);

}  // namespace cli
