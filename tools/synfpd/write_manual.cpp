// SPDX-License-Identifier: MIT
// write_synfpd_manual FILE: writes the man page of synfpd, for installation.
#include "command_line.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  CLI::App app;
  synfp::tools::daemon_settings settings;
  synfp::tools::set_up(app, settings);
  const std::string page = cli::man_page(app, 8, {"synfp", "synfp-doctor", "synfp-sizing", "synfp-stats"});
  return cli::write_file(argv[1], page) ? 0 : 1;
}
