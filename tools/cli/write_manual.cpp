// SPDX-License-Identifier: MIT
// write_manual DIRECTORY: writes the man pages of synfp and its commands, and bash's completion, for
// installation.
#include <string>

#include "command.hpp"
#include "manual.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  CLI::App app;
  const auto commands = cli::set_up(app);
  const std::string directory = std::string(argv[1]) + '/', name = app.get_name();
  bool good = cli::write_file(directory + name + ".1", cli::man_page(app)) &&
              cli::write_file(directory + name, cli::bash_completion(app));
  for (const cli::command& command : commands)
    good = good && cli::write_file(directory + name + '-' + command.app->get_name() + ".1",
                                   cli::man_page(*command.app));
  return good ? 0 : 1;
}
