// SPDX-License-Identifier: MIT
// matrix: what works on the kernel that it runs on. One real connection each for every hook, family and mode
// of SYN cookies, in network namespaces of its own. Needs root and iproute2. Prints
//   kernel RELEASE MACHINE VERSION
//   HOOK FAMILY cookies=0|2 loaded attached recorded proof=PROOF echo
// A cell ends at what did not work: "failed: WHY", or "lacks: WHY" if this kernel has no such thing.
//   loaded    the kernel took the program; attached: the listener, too, if the hook is at the listener
//   recorded  the record is the SYN that a packet socket saw
//   proof     of that record; under cookies it must be `verified` where the hook sees the ACK
//   echo      an HTTP server on io_uring answered another connection with that one's SYN
// Exit status: 1 if a cell failed, 2 if nothing could be tried. What a kernel lacks is no failure.
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <synfp/capture/detail/hook_traits.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
#include <thread>
#include <utility>

#include "../support/cgroup.hpp"
#include "../support/packet_socket.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp;
using test::bytes;
using test::fd;
using test::must;
using test::packet_socket;
using test::two_hosts;
using tools::failure;

struct family {
  const char* name;
  const char* server;
};
constexpr family all_families[] = {{"ipv4", "10.77.0.1:0"}, {"ipv6", "[fd77::1]:0"}};

/// What this kernel has not got.
struct lack : failure {
  using failure::failure;
};
void require(const setup_error& why) {
  if (why.code == errc::unsupported) throw lack(why.message);
  throw failure(why.message);
}
template <class T>
T require(setup_result<T> r) {
  if (!r) require(r.error());
  if constexpr (!std::is_void_v<T>) return *std::move(r);
}

std::string hex(const bytes& raw) {
  std::string text;
  for (const std::uint8_t byte : raw) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}
bytes bytes_of(const syn_lookup& found) { return {found->bytes().begin(), found->bytes().end()}; }

/// One column of the line, at once: what comes next may hang.
void say(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

/// Everything the other end says until it closes.
std::string answer_to(const fd& client, const std::string& request) {
  must(::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(request.size()),
       "send a request");
  std::string all;
  char part[4096];
  while (test::readable(client.get(), 20'000)) {
    const ssize_t n = ::recv(client.get(), part, sizeof part, 0);
    must(n >= 0, "receive the answer");
    if (n == 0) return all;
    all.append(part, static_cast<std::size_t>(n));
  }
  throw failure("no answer within 20 s");
}

/// The kernel's own path: bind, listen, accept, look up.
template <class Probe>
void check_record(Probe& probe, const two_hosts& hosts, const endpoint& at, bool must_verify) {
  const packet_socket wire("s0");
  const fd listener = test::bound(at);
  require(probe.prepare(listener.get(), true));
  must(::listen(listener.get(), 16) == 0, "listen");
  say(" attached");

  const endpoint to = test::local_of(listener.get());
  const fd client = hosts.client.inside([&] { return test::connected(to); });
  const fd server = test::accepted(listener, 20'000);
  must(static_cast<bool>(server), "accept");
  const capture::connection c{server.get(), test::peer_of(server.get()), test::local_of(server.get())};
  const syn_lookup found = probe.claim(c, capture::now_ns());
  if (!found) throw failure("no record: " + std::string(to_string(found.miss)));
  const bytes seen = wire.next(c.peer.port(), to.port(), test::syn);
  if (bytes_of(found) != seen)
    throw failure("the record is " + hex(bytes_of(found)) + ", the SYN was " + hex(seen));
  say(" recorded proof=" + std::string(to_string(found.proof)));
  if (must_verify && found.proof != proof::verified) throw failure("this hook proves it by the ACK");
}

/// The server of the library.
template <class Probe>
void check_echo(Probe& probe, const two_hosts& hosts, const endpoint& at) {
  const packet_socket wire("s0");
  const http::routes routes{http::get<"/">([](const http::request& q) {
    return http::text(q.syn() ? hex(bytes_of(q.syn())) : std::string(to_string(q.syn().miss)));
  })};
  net::server server = require(net::server::open({at}, probe));
  const endpoint to = server.local().front();
  setup_result<void> ended;
  std::thread runner([&] {
    ended = server.try_run(
        [&](net::listener& listener) -> task<> {
          while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
        },
        [] {});
  });
  std::string answer;
  std::exception_ptr escaped;
  bytes seen;
  try {
    const fd client = hosts.client.inside([&] { return test::connected(to); });
    answer = answer_to(client, "GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    seen = wire.next(test::local_of(client.get()).port(), to.port(), test::syn);
  } catch (...) {
    escaped = std::current_exception();
  }
  server.stop();
  runner.join();
  require(std::move(ended));
  if (escaped) std::rethrow_exception(escaped);
  if (seen.empty() || !answer.starts_with("HTTP/1.1 200 ") || !answer.ends_with("\r\n\r\n" + hex(seen)))
    throw failure("the SYN was " + hex(seen) + ", the answer " + answer.substr(answer.rfind('\n') + 1));
  say(" echo");
}

/// Whether the cell did not fail.
template <hook H>
bool check(const two_hosts& hosts, const family& f, int cookies) {
  const capture::detail::hook_traits& traits = capture::detail::traits_of(H);
  say(std::string(to_string(traits.source)) + ' ' + f.name + " cookies=" + std::to_string(cookies));
  try {
    hosts.server.sysctl("net/ipv4/tcp_syncookies", std::to_string(cookies));
    hosts.server.inside([&] {
      capture::probe_options options;
      if (capture::detail::is_of_interfaces(traits.attached_to)) options.interfaces = {"s0"};
      std::optional<test::cgroup> group;
      std::optional<test::cgroup::membership> inside;
      if (traits.attached_to == capture::detail::attachment::cgroup) {
        options.cgroups.push_back(group.emplace().path());
        inside.emplace(*group);
      }
      auto probe = require(capture::probe<probe_config{.hook = H, .buckets = 64}>::open(options));
      say(" loaded");
      const endpoint at = *endpoint::parse(f.server);
      check_record(probe, hosts, at, cookies == 2 && synfp_facts_of(static_cast<synfp_u8>(H)).acks != 0);
      check_echo(probe, hosts, at);
    });
  } catch (const lack& why) {
    say(std::string(" lacks: ") + why.what() + '\n');
    return true;
  } catch (const std::exception& why) {
    say(std::string(" failed: ") + why.what() + '\n');
    return false;
  }
  say("\n");
  return true;
}

template <hook H>
bool check_hook(const two_hosts& hosts) {
  bool good = true;
  if constexpr (capture::detail::traits_of(H).source !=
                capture_source::none) {  // else it is no hook's number
    for (const family& f : all_families) {
      for (const int cookies : {0, 2}) good = check<H>(hosts, f, cookies) && good;
    }
  }
  return good;
}

/// Every hook of abi.h, so that a new one cannot be forgotten.
template <std::size_t... I>
bool check_all(const two_hosts& hosts, std::index_sequence<I...>) {
  bool good = true;
  ((good = check_hook<static_cast<hook>(I + 1)>(hosts) && good), ...);
  return good;
}

}  // namespace

int main() try {
  utsname system{};
  ::uname(&system);
  say(std::string("kernel ") + system.release + ' ' + system.machine + ' ' + system.version + '\n');
  const two_hosts hosts;
  return check_all(hosts, std::make_index_sequence<SYNFP_HOOKS - 1>()) ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "matrix: %s\n", e.what());
  return 2;
}
