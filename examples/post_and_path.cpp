// SPDX-License-Identifier: MIT
// Paths, a query and a body: POST /notes keeps a note with its sender's fingerprint, GET /notes?last=N
// returns the last N. Several threads call the handlers, so what they share has a lock. What clients send is
// limited.
#include <cstdio>
#include <deque>
#include <mutex>
#include <string>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
using namespace synfp;

int main() try {
  std::mutex mutex;
  std::deque<std::string> notes;
  const auto add = [&](const http::request& q) {
    if (q.body().empty() || q.body().size() > 1000) return http::status(422);
    std::string who = "unknown";
    if (q.syn()) who = fingerprint::muonfp(*q.syn()).view();
    const std::lock_guard lock(mutex);
    if (notes.size() == 100) notes.pop_front();
    notes.push_back(who + ' ' + std::string(q.body()) + '\n');
    return http::status(201);
  };
  const auto list = [&](const http::request& q) {
    std::size_t n = 10;
    if (const auto last = q.query_value("last")) {
      const auto number = last->number<std::size_t>();
      if (!number) return http::status(400);
      n = *number;
    }
    std::string text;
    const std::lock_guard lock(mutex);
    for (std::size_t i = notes.size() < n ? 0 : notes.size() - n; i < notes.size(); ++i) text += notes[i];
    return http::text(text);
  };
  http::routes routes{http::post<"/notes">(add), http::get<"/notes">(list)};
  capture::saved_syn source;  // needs no privilege
  net::server server{"[::]:8080", source, {.threads = 2}};
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "post_and_path: %s\n", e.what());
  return 2;
}
