// SPDX-License-Identifier: MIT
// synfp: a SYN flood into a server that it starts in a network namespace of its own, and what became of
// it.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "../flood/attack.hpp"
#include "command.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

struct settings {
  flood::options what;
  flood::limits how;
  std::vector<std::string> sources{"10.0.0.0/8"};
  bool native_xdp = false;
  std::string json;
  std::vector<std::string> command;
};

volatile sig_atomic_t interrupted = 0;

/// COMMAND and everything that it starts, in a PID namespace: however this program ends, they end too, and
/// the network namespace with them.
class contained {
 public:
  explicit contained(const std::vector<std::string>& command) {
    std::vector<char*> words;
    words.reserve(command.size() + 1);
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    // Not unshare(): after it, this process could start no threads.
    first_ = static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    if (first_ < 0)
      throw failure(fmt::format("cannot make a PID namespace ({}); run as root", std::strerror(errno)));
    if (first_ == 0) be_first(words);
  }
  contained(const contained&) = delete;
  contained& operator=(const contained&) = delete;
  ~contained() {
    if (first_ <= 0) return;
    ::kill(first_, SIGKILL);
    ::waitpid(first_, nullptr, 0);
  }

  /// COMMAND's exit status once it has ended.
  std::optional<int> ended() {
    if (first_ > 0 && ::waitpid(first_, &status_, WNOHANG) == first_) first_ = 0;
    if (first_ > 0) return std::nullopt;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }
  /// SIGTERM, and SIGKILL after `patience`.
  void end(std::chrono::milliseconds patience) {
    if (first_ > 0) ::kill(first_, SIGTERM);
    for (const auto late = clock::now() + patience; !ended() && clock::now() < late;)
      std::this_thread::sleep_for(10ms);
  }

 private:
  // Process 1 of the namespace: hands SIGTERM on, reaps, ends with COMMAND, and the kernel ends the rest.
  [[noreturn]] static void be_first(const std::vector<char*>& words) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t all, before;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t child = ::fork();
    if (child == 0) {
      sigemptyset(&before);
      ::sigprocmask(SIG_SETMASK, &before, nullptr);
      ::execvp(words[0], words.data());
      const std::string why = fmt::format("synfp: cannot run {} ({})\n", words[0], std::strerror(errno));
      (void)!::write(STDERR_FILENO, why.data(), why.size());
      ::_exit(127);
    }
    while (child > 0) {
      int number = 0;
      sigwait(&all, &number);
      if (number == SIGTERM || number == SIGINT || number == SIGHUP) ::kill(child, number);
      if (number != SIGCHLD) continue;
      int status = 0;
      for (pid_t one; (one = ::waitpid(-1, &status, WNOHANG)) > 0;) {
        if (one == child) ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
      }
    }
    ::_exit(126);
  }

  pid_t first_ = -1;
  int status_ = 0;
};

/// Whether somebody listens on the port, in the network namespace of this thread.
bool listening(std::uint16_t port) {
  for (const char* file : {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"}) {
    std::ifstream in(file);
    const std::string wanted = fmt::format(":{:04X}", port);
    std::string line, number, local, remote, state;
    while (std::getline(in, line)) {
      std::istringstream words(line);
      if (words >> number >> local >> remote >> state && state == "0A" && local.ends_with(wanted))
        return true;
    }
  }
  return false;
}

void wait_for_listener(contained& server, std::uint16_t port) {
  for (const auto late = clock::now() + 10s; !listening(port); std::this_thread::sleep_for(10ms)) {
    if (interrupted != 0) throw failure("interrupted before COMMAND listened");
    if (const auto status = server.ended())
      throw failure(fmt::format("COMMAND ended with status {} before it listened on port {}", *status, port));
    if (clock::now() > late)
      throw failure(
          fmt::format("COMMAND does not listen on port {} after 10 s; name its port with --port", port));
  }
}

struct outcome {
  std::uint64_t sent, syn_acks, resets;
  double seconds;
  std::vector<std::pair<const char*, std::uint64_t>> counters;
  bool reached() const { return syn_acks * 2 > sent; }
};

// What of tcp(7)'s counters says how a listener fares.
constexpr const char* interesting[] = {
    "TcpExt.SyncookiesSent",       "TcpExt.SyncookiesRecv",  "TcpExt.SyncookiesFailed",
    "TcpExt.TCPReqQFullDoCookies", "TcpExt.TCPReqQFullDrop", "TcpExt.ListenOverflows",
    "TcpExt.ListenDrops",          "Tcp.PassiveOpens",       "Tcp.InCsumErrors",
};

void describe(const outcome& o, const settings& s) {
  const auto rate = [](double r) {
    return r >= 1e5 ? fmt::format("{:.0f} k/s", r / 1e3) : fmt::format("{:.0f}/s", r);
  };
  const double per_second = o.seconds > 0 ? static_cast<double>(o.sent) / o.seconds : 0;
  say("synfp: sent {} SYNs in {:.2f} s, {}", o.sent, o.seconds, rate(per_second));
  if (s.how.rate > 0) say(" ({} asked)", rate(s.how.rate));
  say("; answered: {} SYN-ACK, {} RST\n", o.syn_acks, o.resets);
  std::string line;
  for (const auto& [name, value] : o.counters) {
    if (value != 0)
      line +=
          fmt::format(" {} {}", std::string_view(name).substr(std::string_view(name).find('.') + 1), value);
  }
  say("synfp: the stack counted{}\n", line.empty() ? " nothing" : line);
  if (o.reached()) return;
  const char* why =
      o.resets * 2 > o.sent ? "nobody listened on that address and port (0.0.0.0 takes no IPv6)"
      : o.syn_acks + o.resets == 0
          ? "no SYN was answered: something in the namespace drops them"
          : "the listener answered only some: its accept queue was full, or something drops SYNs";
  say("synfp: THE FLOOD DID NOT REACH THE LISTENER as meant: {}\n", why);
}

void write_json(const outcome& o, const settings& s) {
  std::string text = fmt::format(
      "{{\"sent\":{},\"seconds\":{:.6f},\"rate\":{:.1f},\"rate_asked\":{:.1f},\"reached\":{},\"syn_acks\":{},"
      "\"resets\":{},\"counters\":{{",
      o.sent, o.seconds, o.seconds > 0 ? static_cast<double>(o.sent) / o.seconds : 0.0, s.how.rate,
      o.reached(), o.syn_acks, o.resets);
  const char* separator = "";
  for (const auto& [name, value] : o.counters) {
    text += fmt::format("{}\"{}\":{}", separator, name, value);
    separator = ",";
  }
  text += "}}\n";
  std::ofstream file(s.json);
  file << text;
  if (!file.flush()) throw failure(s.json + ": cannot be written");
}

int run(settings& s) {
  if (s.how.count == 0 && s.how.duration == 0)
    throw failure("a flood needs an end: name --duration SECONDS or --count SYNS");
  if (s.command.empty())
    throw failure("name the server to flood behind the options: -- COMMAND ARGUMENT ...");
  s.what.sources.clear();
  for (const std::string& source : s.sources) {
    const flood::prefix parsed = flood::prefix::parse(source);
    for (const flood::prefix& other : s.what.sources) {
      if (other.v6 == parsed.v6) throw failure("name one --source per family, IPv4 and IPv6");
    }
    s.what.sources.push_back(parsed);
  }
  if (!s.json.empty() && !std::ofstream(s.json, std::ios::app)) throw failure(s.json + ": cannot be written");
  s.what.via = s.native_xdp ? flood::via::veth : flood::via::stack;
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);

  const flood::network network;
  network.enter();
  contained server(s.command);
  wait_for_listener(server, s.what.port);
  for (const flood::prefix& source : s.what.sources) {
    const auto target =
        source.v6 ? flood::network::target_v6(s.what.port) : flood::network::target_v4(s.what.port);
    say("synfp: flooding {} in a network namespace of its own\n", target.text().view());
  }

  const auto before = network.counters();
  flood::attack attack(network, s.what, s.how);
  std::optional<int> status;
  while (attack.running() && interrupted == 0 && !(status = server.ended()))
    std::this_thread::sleep_for(10ms);
  attack.stop();
  attack.wait();
  auto after = network.counters();
  // The sink counts what the listener repeats, too. Clients' own SYNs are in that counter as well: the answer
  // can only be too small.
  const std::uint64_t repeated = after["TcpExt.TCPSynRetrans"] - before.at("TcpExt.TCPSynRetrans");
  const std::uint64_t answers = network.syn_acks();
  outcome o{attack.sent(), answers - std::min(answers, repeated), network.resets(), attack.seconds(), {}};
  for (const char* name : interesting) o.counters.emplace_back(name, after[name] - before.at(name));
  if (!status) server.end(10s);
  describe(o, s);
  if (status) say("synfp: COMMAND ended first, with status {}\n", *status);
  if (!s.json.empty()) write_json(o, s);
  return o.reached() && status.value_or(0) == 0 && interrupted == 0 ? 0 : 1;
}

}  // namespace

command add_flood(CLI::App& app) {
  const auto s = std::make_shared<settings>();
  CLI::App* sub =
      app.add_subcommand("flood", "Floods a server with SYNs, in a network namespace of their own");
  sub->add_option("--duration", s->how.duration, "how long; this or --count is required")
      ->check(CLI::Range(0.001, flood::limits::max_duration))
      ->type_name("SECONDS");
  sub->add_option("--count", s->how.count, "how many SYNs")
      ->check(CLI::Range(std::uint64_t{1}, flood::limits::max_count))
      ->type_name("N");
  sub->add_option("--rate", s->how.rate, "without it, as fast as the machine goes")
      ->check(CLI::Range(1.0, 1e9))
      ->type_name("SYN/S");
  sub->add_option("--port", s->what.port, "the server's")
      ->check(CLI::Range(1, 65535))
      ->type_name("PORT")
      ->capture_default_str();
  sub->add_option("--source", s->sources,
                  "prefix of the spoofed addresses; one per family; its family is the flood's")
      ->expected(1)
      ->type_name("PREFIX")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->default_str(s->sources[0]);
  sub->add_option("--shape", s->what.shape, "whose SYNs; those of none have no options")
      ->check(CLI::IsMember({"none", "linux", "windows", "macos", "mixed"}))
      ->type_name("SHAPE")
      ->capture_default_str();
  sub->add_option("--seed", s->what.seed, "the same seed, the same SYNs")
      ->type_name("N")
      ->capture_default_str();
  sub->add_option("--threads", s->how.threads, "that send")
      ->check(CLI::Range(1, 64))
      ->type_name("N")
      ->capture_default_str();
  sub->add_flag("--native-xdp", s->native_xdp,
                "send through the receive ring of flood0, so that a native XDP program there sees the SYNs");
  sub->add_option("--json", s->json, "for a summary")->type_name("FILE");
  sub->footer(
      R"(After the options: -- COMMAND ARGUMENT ..., the server. It and the flood run in a network namespace made
for them, which no packet leaves; both end with this program. Servers are reached at 198.18.0.1 and
fd73:796e:6670::1, also by clients that COMMAND starts. Needs root.

Exit status: 0; 1 if the flood did not reach the listener, COMMAND failed or it was interrupted; 2 if
nothing was flooded.

  synfp flood --duration 10 --rate 100000 --port 8080 -- ./server --listen '[::]:8080')");
  return {sub, [s] { return run(*s); }, &s->command};
}

}  // namespace cli
