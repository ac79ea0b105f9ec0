// SPDX-License-Identifier: MIT
// The other half of probe_process.cpp: a server of a user in its GROUP, without any capability, that attaches
// the probe which is pinned there to its own socket. It goes on if that process ends. Usage:
// unprivileged_server DIRECTORY
#include <cstdio>

#include <synfp/synfp.hpp>
using namespace synfp;

int main(int argc, char** argv) try {
  auto probe = value_or_throw(capture::probe<>::share_pinned(argc == 2 ? argv[1] : "/sys/fs/bpf/synfp"));
  http::routes routes{http::get<"/">([](const http::request& q) {
    return http::text(q.syn() ? fingerprint::muonfp(*q.syn()).view() : to_string(q.syn().miss));
  })};
  net::server server{"[::]:8080", probe};
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "unprivileged_server: %s\n", e.what());
  return 2;
}
