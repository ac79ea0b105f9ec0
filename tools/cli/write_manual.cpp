// SPDX-License-Identifier: MIT
// write_manual DIRECTORY: writes the man pages of synfp and its commands, and bash's completion, for
// installation.
#include <cstdio>
#include <fstream>
#include <string>

#include "command.hpp"
#include "manual.hpp"

namespace {

bool write(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (file.flush()) return true;
  std::perror(path.c_str());
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  CLI::App app;
  const auto commands = cli::set_up(app);
  const std::string directory = std::string(argv[1]) + '/', name = app.get_name();
  bool good = write(directory + name + ".1", cli::man_page(app)) &&
              write(directory + name, cli::bash_completion(app));
  for (const cli::command& command : commands)
    good =
        good && write(directory + name + '-' + command.app->get_name() + ".1", cli::man_page(*command.app));
  return good ? 0 : 1;
}
