// SPDX-License-Identifier: MIT
// What the subcommands of synfp share: how they are registered, how they fail.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cli {

/// Ends the program with this text, which says what to do, on stderr after "synfp: ". `status`: 2 if nothing
/// was done, 1 if what was printed is not all there was.
class failure : public std::runtime_error {
 public:
  explicit failure(const std::string& text, int status = 2) : std::runtime_error(text), status_(status) {}
  int status() const noexcept { return status_; }

 private:
  int status_;
};

/// To stderr, in one write; never fails: with nobody there, it is lost.
template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  const std::string text = fmt::format(format, std::forward<Args>(args)...);
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

/// Whoever read stdout has left. Ends the program with status 1 and without a word.
struct reader_left {};

/// A subcommand. `run` is called after the command line was parsed, if it was named, and returns the
/// program's exit status: 0, or 1 if what it printed is not all there was.
struct command {
  const CLI::App* app;
  std::function<int()> run;
  /// Takes what follows "--" on the command line; without it, nothing may follow.
  std::vector<std::string>* rest = nullptr;
};

/// The program's name, its texts and all its subcommands, in the order in which they are listed.
std::vector<command> set_up(CLI::App& app);

/// Each registers its subcommand with the options.
command add_doctor(CLI::App& app);
command add_flood(CLI::App& app);
command add_read(CLI::App& app);
command add_sizing(CLI::App& app);
command add_socket(CLI::App& app);
command add_stats(CLI::App& app);
command add_watch(CLI::App& app);

}  // namespace cli
