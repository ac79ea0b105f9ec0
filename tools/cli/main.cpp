// SPDX-License-Identifier: MIT
// synfp: TCP SYNs from files and from the wire, and what they say.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>  // join
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"

namespace {

/// {CLI11} would only say that a command is missing.
void check_command(const std::vector<cli::command>& commands, const char* word) {
  std::vector<std::string> names;
  names.reserve(commands.size());
  for (const cli::command& c : commands) names.push_back(c.app->get_name());
  const auto known = fmt::format("{}", fmt::join(names, ", "));
  if (word == nullptr) throw cli::failure(fmt::format("name a command: {}; see synfp --help", known));
  if (*word != '-' && std::find(names.begin(), names.end(), word) == names.end())
    throw cli::failure(fmt::format("there is no command '{}', only {}; see synfp --help", word, known));
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);  // write() says it
  // What this program opens must not become the stdout or stderr that somebody closed.
  int fd = 0;
  while ((fd = ::open("/dev/null", O_RDONLY)) >= 0 && fd <= STDERR_FILENO) {
  }
  ::close(fd);
  CLI::App app;
  app.failure_message(
      [](const CLI::App*, const CLI::Error& e) { return fmt::format("synfp: {}; see --help\n", e.what()); });
  char** const end = argv + argc;
  char** const dashes =
      std::find_if(argv, end, [](const char* word) { return std::string_view(word) == "--"; });
  try {
    const std::vector<cli::command> commands = cli::set_up(app);
    check_command(commands, argc > 1 ? argv[1] : nullptr);
    app.parse(static_cast<int>(dashes - argv), argv);
    for (const cli::command& c : commands) {
      if (!app.got_subcommand(c.app->get_name())) continue;
      if (dashes != end && c.rest == nullptr)
        throw cli::failure("nothing goes behind -- with " + c.app->get_name());
      if (dashes != end) c.rest->assign(dashes + 1, end);
      return c.run();
    }
    throw cli::failure("name a command; see synfp --help");
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
