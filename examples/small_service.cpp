// SPDX-License-Identifier: MIT
// A whole service: two routes, one with a parameter, work in the background, an access log, an orderly stop,
// and systemd is told how it is.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/synfp.hpp>
using namespace synfp;

int main() try {
  std::atomic<unsigned> asked = 0, per_second = 0;
  const http::routes routes{
      http::get<"/">([&](const http::request& q) {
        ++asked;
        return http::text(q.syn() ? fingerprint::muonfp(*q.syn()).view() : "no SYN record");
      }),
      http::get<"/rate/{times}">([&](const http::request&, unsigned times) {
        return http::text(std::to_string(times * per_second));
      })};
  http::access_log log{"-"};  // stderr
  capture::saved_syn source;
  net::server server{"[::]:8080", source, {.threads = 2, .managed = true}};
  server.background([&](io::ring& ring) -> task<> {
    while (const auto slept = co_await io::sleep(ring, std::chrono::seconds(1)))
      per_second = asked.exchange(0);
  });
  const net::stop_on_signal stopper(server);
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept())
      spawn(http::serve(std::move(*accepted), routes, {}, log));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "small_service: %s\n", e.what());
  return 2;
}
