// SPDX-License-Identifier: MIT
// The smallest server: answers with the MuonFP fingerprint of the visitor's SYN. The README's first program.
#include <cstdio>

#include <synfp/synfp.hpp>
using namespace synfp;

int main() try {
  http::routes routes{http::get<"/">([&](const http::request& q) -> task<http::response> {
    if (!q.syn()) co_return http::text("no SYN record\n");
    co_return http::text(fingerprint::muonfp(*q.syn()));
  })};
  capture::probe<probe_config{}> probe;
  net::server server{"[::]:8080", probe};
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept())  // connection, peer, local, syn
      spawn(http::serve(std::move(*accepted), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "minimal: %s\n", e.what());
  return 2;
}
