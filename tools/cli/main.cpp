// SPDX-License-Identifier: MIT
// synfp: TCP SYNs from files and from the wire, and what they say.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string_view>

#include "command.hpp"

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);  // write() says it
  // What this program opens must not become the stdout or stderr that somebody closed.
  int fd = 0;
  while ((fd = ::open("/dev/null", O_RDONLY)) >= 0 && fd <= STDERR_FILENO) {
  }
  ::close(fd);
  CLI::App app{"TCP SYNs from files and from the wire, and what they say"};
  app.require_subcommand(1);
  app.failure_message(
      [](const CLI::App*, const CLI::Error& e) { return fmt::format("synfp: {}; see --help\n", e.what()); });
  const cli::command commands[] = {cli::add_read(app), cli::add_watch(app), cli::add_flood(app),
                                   cli::add_sizing(app)};
  char** const end = argv + argc;
  char** const dashes =
      std::find_if(argv, end, [](const char* word) { return std::string_view(word) == "--"; });
  try {
    app.parse(static_cast<int>(dashes - argv), argv);
    for (const cli::command& c : commands) {
      if (!app.got_subcommand(c.app->get_name())) continue;
      if (dashes != end && c.rest == nullptr)
        throw cli::failure("nothing goes behind -- with " + c.app->get_name());
      if (dashes != end) c.rest->assign(dashes + 1, end);
      return c.run();
    }
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const cli::reader_left&) {
    return 1;
  } catch (const cli::failure& e) {
    cli::say("synfp: {}\n", e.what());
    return e.status();
  } catch (const std::exception& e) {
    cli::say("synfp: {}\n", e.what());
  }
  return 2;
}
