// SPDX-License-Identifier: MIT
// A whole service: routes, a parameter, work in the background, an access log, an orderly stop, systemd.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/access_log.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/stop_on_signal.hpp>
using namespace synfp;

int main() try {
  std::atomic<unsigned> asked = 0, rate = 0;
  const http::routes routes{
      http::get<"/">([&](const http::request& q) {
        ++asked;
        return http::text(q.syn() ? fingerprint::muonfp(*q.syn()).view() : "no SYN record");
      }),
      http::get<"/rate/{times}">(
          [&](const http::request&, unsigned times) { return http::text(std::to_string(times * rate)); })};
  http::access_log log{"-"};  // stderr
  capture::saved_syn source;
  net::server server{"[::]:8080", source, {.threads = 2, .managed = true}};
  server.background([&](io::ring& ring) -> task<> {
    while (const auto slept = co_await io::sleep(ring, std::chrono::seconds(1))) rate = asked.exchange(0);
  });
  const net::stop_on_signal stopper(server);
  server.run([&](net::listener& listener) -> task<> {
    while (auto a = co_await listener.accept()) spawn(http::serve(std::move(*a), routes, {}, log));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "small_service: %s\n", e.what());
  return 2;
}
