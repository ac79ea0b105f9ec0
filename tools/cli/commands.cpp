// SPDX-License-Identifier: MIT
#include "command.hpp"
#include "manual.hpp"

namespace cli {

std::vector<command> set_up(CLI::App& app) {
  app.name("synfp");
  app.description("TCP SYNs from files and from the wire, and what they say");
  app.formatter_fn([](const CLI::App* of, const std::string&, CLI::AppFormatMode) { return help(*of); });
  app.set_help_flag("-h,--help", "say what there is, and end");
  app.set_version_flag("--version", "synfp " + version(), "say the version, and end");
  return {add_read(app),   add_watch(app), add_flood(app), add_sizing(app),
          add_socket(app), add_stats(app), add_doctor(app)};
}

}  // namespace cli
