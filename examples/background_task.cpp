// SPDX-License-Identifier: MIT
// Work beside the connections: once for the server, and it ends when the server stops. What blocks is handed
// to a thread pool: printing does, when nobody reads what we print.
#include <chrono>
#include <cstdio>
#include <exception>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/io/offload.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/server.hpp>
#include <synfp/net/stop_on_signal.hpp>
using namespace synfp;

namespace {

void print(unsigned answered) {
  std::printf("%u answered\n", answered);
  std::fflush(stdout);
}

}  // namespace

int main() try {
  unsigned answered = 0;  // one thread: the handler and the task never run at the same time
  http::routes routes{http::get<"/">([&](const http::request& q) {
    ++answered;
    return http::text(q.syn() ? fingerprint::muonfp(*q.syn()).view() : "no SYN record");
  })};
  io::thread_pool pool({.threads = 1});
  capture::saved_syn source;  // needs no privilege
  net::server server{"[::]:8080", source};
  server.background([&](io::ring& ring) -> task<> {
    unsigned printed = 0;
    for (bool going_on = true; going_on;) {
      const auto slept = co_await io::sleep(ring, std::chrono::milliseconds(100));
      going_on = static_cast<bool>(slept);  // else the server stops: once more
      if (answered == printed) continue;
      printed = answered;
      (void)co_await io::offload(pool, print, printed);  // refused if too much waits already: printed later
    }
    std::puts("stopped");
  });
  const net::stop_on_signal stopper(server, {.grace = std::chrono::seconds(2)});
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "background_task: %s\n", e.what());
  return 2;
}
