// SPDX-License-Identifier: MIT
// A task beside the connections: prints how many requests were answered, and stops the server when a signal
// asks for it. A graceful stop waits for every spawned task, so one that goes round and round looks at
// ring.stopping().
#include <chrono>
#include <csignal>
#include <cstdio>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/server.hpp>
using namespace synfp;

namespace {

volatile std::sig_atomic_t stop_requested = 0;

// One thread: the handler and this task never run at the same time.
task<> report(io::ring& ring, net::server& server, const unsigned& answered) {
  unsigned printed = 0;
  while (!ring.stopping()) {
    co_await io::sleep_for(ring, std::chrono::milliseconds(100));
    if (answered != printed) {
      printed = answered;
      std::printf("%u answered\n", printed);
      std::fflush(stdout);
    }
    if (stop_requested != 0) server.stop(std::chrono::seconds(2));  // what is in flight has that long
  }
  std::puts("stopped");
}

}  // namespace

int main() try {
  std::signal(SIGTERM, [](int) { stop_requested = 1; });
  std::signal(SIGINT, [](int) { stop_requested = 1; });
  unsigned answered = 0;
  http::routes routes{http::get<"/">([&](const http::request& q) {
    ++answered;
    return http::text(q.syn() ? fingerprint::muonfp(*q.syn()).view() : "no SYN record");
  })};
  capture::saved_syn source;  // needs no privilege
  net::server server{"[::]:8080", source};
  server.run([&](net::listener& listener) -> task<> {
    spawn(report(listener.ring(), server, answered));
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "background_task: %s\n", e.what());
  return 2;
}
