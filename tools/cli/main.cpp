// SPDX-License-Identifier: MIT
// synfp: TCP SYNs from files and from the wire, and what they say.
#include <fmt/format.h>
#include <signal.h>

#include <cstdio>
#include <exception>

#include "command.hpp"

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);  // write() says it
  CLI::App app{"TCP SYNs from files and from the wire, and what they say"};
  app.require_subcommand(1);
  app.failure_message(
      [](const CLI::App*, const CLI::Error& e) { return fmt::format("synfp: {}; see --help\n", e.what()); });
  const cli::command commands[] = {cli::add_read(app), cli::add_watch(app)};
  try {
    app.parse(argc, argv);
    for (const cli::command& c : commands) {
      if (app.got_subcommand(c.app->get_name())) return c.run();
    }
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const cli::reader_left&) {
    return 1;
  } catch (const cli::failure& e) {
    fmt::print(stderr, "synfp: {}\n", e.what());
    return e.status();
  } catch (const std::exception& e) {
    fmt::print(stderr, "synfp: {}\n", e.what());
  }
  return 2;
}
