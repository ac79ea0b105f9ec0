// SPDX-License-Identifier: MIT
// A whole service: two routes, work in the background, an orderly stop, and systemd is told how it is.
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/stop_on_signal.hpp>
using namespace synfp;

int main() try {
  unsigned asked = 0, per_second = 0;
  const http::routes routes{
      http::get<"/">([&](const http::request& q) {
        ++asked;
        return http::text(q.syn() ? fingerprint::muonfp(*q.syn()).view() : "no SYN record");
      }),
      http::get<"/rate">([&](const http::request&) { return http::text(std::to_string(per_second)); })};
  capture::saved_syn source;
  net::server server{"[::]:8080", source, {.managed = true}};
  server.background([&](io::ring& ring) -> task<> {
    while (const auto slept = co_await io::sleep(ring, std::chrono::seconds(1)))
      per_second = std::exchange(asked, 0);
  });
  const net::stop_on_signal stopper(server);
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "small_service: %s\n", e.what());
  return 2;
}
