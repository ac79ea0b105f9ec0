// SPDX-License-Identifier: MIT
// synfp socket: the SYN of a connection that another program hands over as a descriptor.
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include <synfp/capture/first_of.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/capture/socket.hpp>
#include <synfp/json.hpp>
#include <synfp/net/detail/socket_name.hpp>

#include "command.hpp"

namespace cli {
namespace {

using namespace synfp;

struct settings {
  int fd = 0;
};

[[noreturn]] void refuse(int fd, const std::string& why) {
  throw failure(fmt::format("file descriptor {} {}; give it a connected TCP socket, such as accept() returns",
                            fd, why));
}

capture::connection connection_of(int fd) {
  capture::connection c;
  c.fd = fd;
  int type = 0;
  socklen_t length = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0)
    refuse(fd, errno == EBADF ? "is not open" : "is not a socket");
  if (!net::detail::socket_name(::getsockname, fd, c.local) || type != SOCK_STREAM)
    refuse(fd, "is not a TCP socket");
  if (!net::detail::socket_name(::getpeername, fd, c.peer)) refuse(fd, "is not connected");
  return c;
}

int show(const settings& s) {
  const capture::connection c = connection_of(s.fd);
  capture::socket with_connection;
  capture::saved_syn saved;
  const capture::first_of both(with_connection, saved);
  const syn_lookup found = both.claim(c, capture::now_ns());

  std::string out = R"({"peer":)";
  append_json(out, c.peer);
  out += R"(,"local":)";
  append_json(out, c.local);
  out += R"(,"capture":)";
  append_json(out, found);
  if (found) {
    out += R"(,"syn":)";
    append_json(out, *found);
    out += R"(,"fingerprint":)";
    append_json_fingerprints(out, *found);
    out += "}\n";
  } else {
    out += ",\"syn\":null,\"fingerprint\":null}\n";
  }
  if (std::fputs(out.c_str(), stdout) == EOF || std::fflush(stdout) != 0)
    throw failure(fmt::format("cannot write the output: {}", std::strerror(errno)));
  return found ? 0 : 1;
}

}  // namespace

command add_socket(CLI::App& app) {
  const auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand("socket", "Prints the SYN of a connected TCP socket that it was given");
  sub->add_option("--fd", s->fd,
                  "the socket's file descriptor, which the program that starts this one leaves open")
      ->check(CLI::Range(0, INT_MAX))
      ->type_name("N")
      ->capture_default_str();
  sub->footer(
      R"(For servers in languages without getsockopt(): start it with an accepted connection as its stdin. It prints
one line of JSON, named as in the echo server, and leaves the connection as it is. It asks the probe that
covers the cgroup of the listening socket, then the kernel's own copy (TCP_SAVED_SYN), which can be read
once. It needs no privilege. Without a SYN, "miss" says why, and "syn" and "fingerprint" are null.

Exit status: 0; 1 if the SYN is not known; 2 if that is no connected TCP socket.

  synfp socket <&5
  synfp socket --fd 5)");
  return {sub, [s] { return show(*s); }};
}

}  // namespace cli
