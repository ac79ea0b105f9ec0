// SPDX-License-Identifier: MIT
// synfp doctor: what works here, and what to do about what does not.
#include <fmt/format.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "../doctor/cgroup.hpp"
#include "../doctor/finding.hpp"
#include "../doctor/interface.hpp"
#include "../doctor/io_uring.hpp"
#include "../doctor/isolated.hpp"
#include "../doctor/machine.hpp"
#include "../doctor/process.hpp"
#include "../doctor/self_test.hpp"
#include "command.hpp"

namespace cli {
namespace {

namespace doctor = synfp::doctor;
using doctor::finding;
using doctor::status;
using namespace std::chrono_literals;

struct settings {
  std::string interface;
  bool json = false;
};

std::vector<finding> examine(const settings& s) {
  std::vector<finding> all;
  const auto add = [&all](const std::string& name, std::chrono::milliseconds limit,
                          const doctor::check& one) {
    for (finding& f : doctor::isolated(name, limit, one)) all.push_back(std::move(f));
  };
  struct simple {
    const char* name;
    finding (*check)();
  };
  for (const simple& one : {simple{"kernel", doctor::check_kernel},
                            {"btf", doctor::check_btf},
                            {"jit", doctor::check_jit},
                            {"lockdown", doctor::check_lockdown},
                            {"unprivileged_bpf", doctor::check_unprivileged_bpf},
                            {"user_namespace", doctor::check_user_namespace},
                            {"capabilities", doctor::check_capabilities},
                            {"seccomp", doctor::check_seccomp},
                            {"memlock", doctor::check_memlock},
                            {"open_files", doctor::check_open_files},
                            {"io_uring", doctor::check_io_uring},
                            {"cgroup", doctor::check_cgroup},
                            {"syn_cookies", doctor::check_syn_cookies},
                            {"backlog", doctor::check_backlog}}) {
    add(one.name, 3s, [&one](const doctor::report& say) { say(one.check()); });
  }
  constexpr std::size_t most = 32;  // lines; a host of containers has thousands of interfaces
  std::vector<std::string> interfaces = doctor::interface_names();
  if (!s.interface.empty()) interfaces = {s.interface};
  if (interfaces.empty())
    all.push_back({status::unknown, "interface",
                   "the kernel does not name the interfaces (" + std::string(std::strerror(errno)) + ")"});
  for (std::size_t i = 0; i < interfaces.size() && i < most; ++i) {
    add("interface." + interfaces[i], 3s,
        [&](const doctor::report& say) { say(doctor::check_interface(interfaces[i])); });
  }
  if (interfaces.size() > most)
    all.push_back({status::unknown, "interface",
                   fmt::format("{} more, not looked at", interfaces.size() - most),
                   "name one with --interface"});
  add("self_test.saved_syn", 10s, doctor::test_saved_syn);
  const std::string cgroup = doctor::own_cgroup::unused_directory();
  for (const synfp::synfp_u8 which : doctor::all_hooks()) {
    add("self_test." + doctor::hook_name(which), 20s,
        [&](const doctor::report& say) { doctor::test_hook(which, cgroup, say); });
    if (!cgroup.empty()) ::rmdir(cgroup.c_str());  // of a check that was killed
  }
  return all;
}

/// "xdp" of "self_test.xdp.ipv4"; empty for other findings.
std::string tested(const finding& f) {
  constexpr std::string_view prefix = "self_test.";
  if (f.name.compare(0, prefix.size(), prefix) != 0) return {};
  return f.name.substr(prefix.size(), f.name.find('.', prefix.size()) - prefix.size());
}

struct verdict {
  bool io_uring = false, wrong = false;
  std::vector<std::string> sources;  ///< of which every test that could be made went well

  int status() const {
    if (wrong || (!io_uring && sources.empty())) return 2;
    return io_uring && !sources.empty() ? 0 : 1;
  }
};

verdict judge(const std::vector<finding>& all) {
  verdict v;
  std::set<std::string> failed;
  for (const finding& f : all) {
    const std::string source = tested(f);
    if (f.name == "io_uring") v.io_uring = f.status == status::ok || f.status == status::warn;
    if (!source.empty() && f.status == status::no) failed.insert(source);
    if (f.what == doctor::wrong_record) v.wrong = true;
    if (!source.empty() && f.status == status::ok &&
        std::find(v.sources.begin(), v.sources.end(), source) == v.sources.end())
      v.sources.push_back(source);
  }
  v.sources.erase(std::remove_if(v.sources.begin(), v.sources.end(),
                                 [&](const std::string& source) { return failed.count(source) != 0; }),
                  v.sources.end());
  return v;
}

std::string sentence(const verdict& v) {
  const bool cookies =
      std::any_of(v.sources.begin(), v.sources.end(), [](const std::string& s) { return s != "saved_syn"; });
  std::string sources;
  for (const std::string& one : v.sources) sources += (sources.empty() ? "" : ", ") + one;
  if (v.wrong) return "a source gives wrong records: do not use it";
  if (v.sources.empty())
    return v.io_uring ? "a server runs here, and knows no SYN"
                      : "neither a server nor a source of SYNs works here";
  return fmt::format(
      "{}; sources of SYNs: {}{}",
      v.io_uring ? "a server runs here" : "no io_uring: only servers with a loop of their own run here",
      sources, cookies ? "" : ", which has none under SYN cookies");
}

/// One write, so that a reader gets all or nothing of a line.
void write_out(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EPIPE) {
      throw reader_left();
    } else if (errno != EINTR && errno != EAGAIN) {
      throw failure(fmt::format("cannot write the output: {}", std::strerror(errno)), 2);
    }
  }
}

int examine_and_say(const settings& s) {
  if (!s.interface.empty() && ::if_nametoindex(s.interface.c_str()) == 0 && errno == ENODEV)
    throw failure(fmt::format("there is no interface '{}'; see 'ip link' for their names", s.interface));
  const std::vector<finding> all = examine(s);
  const verdict v = judge(all);
  std::string out;
  if (s.json) {
    doctor::facts text;
    text.add("status", v.status())
        .add("verdict", sentence(v))
        .add("io_uring", v.io_uring)
        .add("sources", v.sources);
    out = text.json();
    out.back() = ',';
    out += R"("checks":[)";
    for (const finding& f : all) {
      std::string one = doctor::facts()
                            .add("name", f.name)
                            .add("status", to_string(f.status))
                            .add("what", f.what)
                            .add("todo", f.todo.empty() ? std::optional<std::string>() : f.todo)
                            .json();
      one.back() = ',';
      out += fmt::format("{}{}\"values\":{}}}", &f == &all.front() ? "" : ",", one, f.values);
    }
    out += "]}\n";
  } else {
    for (const finding& f : all)
      out += fmt::format("{:<8}{:<34}{}{}{}\n", to_string(f.status), f.name, f.what,
                         f.todo.empty() ? "" : "; ", f.todo);
    const std::string_view word = v.status() == 0 ? "ok" : v.status() == 1 ? "warn" : "no";
    out += fmt::format("{:<8}{:<34}{}\n", word, "verdict", sentence(v));
  }
  write_out(out);
  return v.status();
}

}  // namespace

command add_doctor(CLI::App& app) {
  const auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand("doctor", "Says what works here, and what to do about what does not");
  sub->add_flag("--json", s->json, "one JSON object");
  sub->add_option("--interface", s->interface, "look at this interface only")->type_name("INTERFACE");
  sub->footer(
      R"(One line for each check: ok, warn (it works, with a limit), no or unknown (it cannot be told from here);
its name; what was found; what to do. The last line is the verdict.

The self-test loads each hook and makes connections over loopback, IPv4 and IPv6, with SYN cookies and
without. What the hook says must equal, byte for byte, what a packet socket saw and what the kernel saved. As
root it does so in a network namespace and a cgroup of its own, so nothing is attached where traffic is.
Without CAP_SYS_ADMIN it uses this one's loopback, attaches only to its own listener and leaves cookies as
they are.

Each check runs in a process of its own and is given up after some seconds, so that a filter that kills or a
file system that hangs ends the check and not the report.

Exit status: 0 if a server works with io_uring and a source of SYNs; 1 if one of these two is missing; 2 if
both are, a source gives wrong records, or nothing was looked at.

  synfp doctor
  synfp doctor --json --interface eth0)");
  return {sub, [s] { return examine_and_say(*s); }};
}

}  // namespace cli
