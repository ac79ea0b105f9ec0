// SPDX-License-Identifier: MIT
// What --help, the man pages and bash's completion say of the commands: all of it from their options and
// footers, so that there is one text.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace cli {

/// For --help. A command's footer is paragraphs; lines that begin with two spaces are examples, and what
/// begins with "Exit status:" is a section of the man page.
std::string help(const CLI::App& app);

/// man(7) of a subcommand, or of the program itself, whose subcommands it lists.
std::string man_page(const CLI::App& app);

/// A script that completes the program's command line, for /usr/share/bash-completion.
std::string bash_completion(const CLI::App& app);

}  // namespace cli
