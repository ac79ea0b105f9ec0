// SPDX-License-Identifier: MIT
// synfpd: loads the probe, attaches it, keeps it in pins, and hands it to servers that have no privilege. It
// has no work on any connection's path: if it dies, the probe works on.
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include <synfp/service/notify.hpp>

#include "../support/fd.hpp"
#include "capabilities.hpp"
#include "clients.hpp"
#include "command_line.hpp"
#include "keeper.hpp"
#include "metrics.hpp"
#include "settings.hpp"

namespace {

using namespace synfp;
using namespace synfp::tools;

/// By name, or by number where there is no such name: in a container, of a group of the machine.
std::optional<gid_t> group_of(const std::string& name) {
  if (name.empty()) return std::nullopt;
  if (const group* const found = ::getgrnam(name.c_str())) return found->gr_gid;
  gid_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size() && number != static_cast<gid_t>(-1))
    return number;
  throw failure("there is no group '" + name + "'; see 'getent group'");
}

std::string description(const keeper& k, const daemon_settings& s) {
  std::string text = "synfpd: ";
  if (k.attachments().empty()) text += k.hook_name() + ", which servers attach to their listeners";
  const char* before = "";
  for (const keeper::attachment& one : k.attachments()) {
    text += before + one.what + (one.taken_over ? " (taken over)" : "");
    before = ", ";
  }
  text += fmt::format("; table in {}{}", k.directory().path(), k.kept_table() ? " (kept)" : "");
  text += "; socket " + s.socket;
  if (!s.metrics.empty()) text += "; metrics on http://" + s.metrics + "/metrics";
  return text;
}

int keep(const daemon_settings& s, char** argv) {
  const std::optional<gid_t> group = group_of(s.group);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, one);
  must(::pthread_sigmask(SIG_SETMASK, &signals, nullptr) == 0, "block signals");
  const fd signal(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  const fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  must(signal && timer, "make a timer");

  keeper k(s, group);
  client_socket clients(s.socket, group);
  std::optional<metrics_server> metrics;
  if (!s.metrics.empty()) metrics.emplace(s.metrics, k);
  k.commit();
  put_capabilities_away();
  if (metrics) metrics->start();

  const itimerspec every{{keeper::interval_ms / 1000, 0}, {keeper::interval_ms / 1000, 0}};
  must(::timerfd_settime(timer.get(), 0, &every, nullptr) == 0, "set the timer");
  const std::string text = description(k, s);
  fmt::print("{}\n", text);
  std::fflush(stdout);
  if (const std::string left = k.older_listeners_left(); !left.empty())
    fmt::print(stderr, "synfpd: {}\n", left);
  service::notify("READY=1\nSTATUS=" + text.substr(8));

  std::vector<bool> attached(k.attachments().size(), true);
  for (;;) {
    pollfd ready[] = {{signal.get(), POLLIN, 0}, {timer.get(), POLLIN, 0}, {clients.get(), POLLIN, 0}};
    if (::poll(ready, 3, -1) < 0 && errno != EINTR) fail("wait", errno);
    if ((ready[1].revents & POLLIN) != 0) {
      std::uint64_t times = 0;
      (void)!::read(timer.get(), &times, sizeof times);
      k.beat();
      service::notify("WATCHDOG=1");
      for (std::size_t i = 0; i < attached.size(); ++i) {
        const keeper::attachment& one = k.attachments()[i];
        if (attached[i] && !one.attached)
          fmt::print(stderr, "synfpd: {} is gone; attach it again when it is back: kill -HUP {}\n", one.what,
                     ::getpid());
        attached[i] = one.attached;
      }
    }
    if ((ready[2].revents & POLLIN) != 0) clients.serve(k.descriptors());
    if ((ready[0].revents & POLLIN) == 0) continue;
    signalfd_siginfo what{};
    if (::read(signal.get(), &what, sizeof what) != sizeof what) continue;
    if (what.ssi_signo != SIGHUP) {
      service::notify("STOPPING=1");
      return 0;
    }
    service::notify_reloading();
    metrics.reset();
    hand_on_capabilities();
    ::execv("/proc/self/exe", argv);
    fail("start again", errno);
  }
}

int remove(const daemon_settings& s) {
  const pin_directory directory(s.pin, std::nullopt);
  directory.remove_all();
  ::unlink(s.socket.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  std::signal(SIGPIPE, SIG_IGN);
  daemon_settings s;
  CLI::App app;
  set_up(app, s);
  app.failure_message(
      [](const CLI::App*, const CLI::Error& e) { return fmt::format("synfpd: {}; see --help\n", e.what()); });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (s.buckets == 0 || (s.buckets & (s.buckets - 1)) != 0 || s.buckets > 1U << 22)
    throw failure("--buckets must be a power of two up to 4194304");
  if (s.ports.size() > SYNFP_MAX_PORTS) throw failure("at most 8 times --port");
  return s.remove ? remove(s) : keep(s, argv);
} catch (const std::exception& e) {
  fmt::print(stderr, "synfpd: {}\n", e.what());
  return 2;
}
