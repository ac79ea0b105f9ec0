// SPDX-License-Identifier: MIT
// What --help, the man pages and bash's completion say of a program and its commands: all of it from their
// options and footers, so that there is one text.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace cli {

/// "0.1.0"
std::string version();

/// For --help. A command's footer is paragraphs; lines that begin with two spaces are examples, and what
/// begins with "Exit status:" is a section of the man page.
std::string help(const CLI::App& app);

/// man(7) of a subcommand, or of the program itself, whose subcommands it lists. `section`: 1, or 8 for who
/// administers a machine. `see_also`: more pages of section 1.
std::string man_page(const CLI::App& app, int section = 1, const std::vector<std::string>& see_also = {});

bool write_file(const std::string& path, const std::string& text);

/// A script that completes the program's command line, for /usr/share/bash-completion.
std::string bash_completion(const CLI::App& app);

}  // namespace cli
