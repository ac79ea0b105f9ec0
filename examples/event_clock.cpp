// SPDX-License-Identifier: MIT
// Server-sent events: GET / is a page that shows the time and the fingerprint of its connection's SYN, GET
// /clock sends both.
#include <chrono>
#include <cstdio>
#include <ctime>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/events.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/server.hpp>
using namespace synfp;

namespace {

// One for each client. It is destroyed where it waits when the client is gone or the server stops.
http::events clock_of(const http::request& q) {
  co_yield http::event(q.syn() ? fingerprint::muonfp(*q.syn()).view() : "no SYN record").name("syn");
  while (true) {
    char text[9];
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    std::strftime(text, sizeof text, "%H:%M:%S", ::gmtime_r(&now, &parts));
    co_yield http::event(text);
    co_await io::sleep_for(std::chrono::seconds(1));
  }
}

constexpr const char* page = R"(<!doctype html><title>clock</title><p id=time></p><p id=syn></p>
<script>
const events = new EventSource("/clock");
events.onmessage = e => document.getElementById("time").textContent = e.data;
events.addEventListener("syn", e => document.getElementById("syn").textContent = e.data);
</script>
)";

}  // namespace

int main() try {
  http::routes routes{http::get<"/">([](const http::request&) { return http::html(page); }),
                      http::get<"/clock">(clock_of)};
  capture::saved_syn source;  // needs no privilege
  net::server server{"[::]:8080", source, {.threads = 2}};
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "event_clock: %s\n", e.what());
  return 2;
}
