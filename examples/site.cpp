// SPDX-License-Identifier: MIT
// A small site: GET /static/... are the files of a directory, GET /hosts/{name}?last=N the last N
// fingerprints that a host of this name (a label that clients choose) has shown, and any other path leads to
// the start page.
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <string>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/files.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
using namespace synfp;

int main(int argc, char** argv) try {
  if (argc != 2) return std::fputs("usage: site DIRECTORY\n", stderr), 2;
  std::mutex mutex;
  std::map<std::string, std::deque<std::string>, std::less<>> seen;
  const auto add = [&](const http::request& q, std::string_view name) {
    if (!q.syn() || name.size() > 100) return http::status(422);
    const std::lock_guard lock(mutex);
    if (seen.size() == 1000 && !seen.contains(name)) return http::status(503);
    auto& fingerprints = seen[std::string(name)];
    if (fingerprints.size() == 10) fingerprints.pop_front();
    fingerprints.emplace_back(fingerprint::muonfp(*q.syn()).view());
    return http::status(201);
  };
  const auto list = [&](const http::request& q, std::string_view name) {
    const auto last = q.query_value("last");
    const auto n = last ? last->number<std::size_t>() : 10;
    if (!n) return http::status(400);
    const std::lock_guard lock(mutex);
    const auto found = seen.find(name);
    if (found == seen.end()) return http::status(404);
    std::string text;
    const auto& all = found->second;
    for (std::size_t i = all.size() < *n ? 0 : all.size() - *n; i < all.size(); ++i) text += all[i] + '\n';
    return http::text(text);
  };
  const auto start = [](const http::request&) {
    http::response r = http::status(302);
    (void)r.add_header("Location", "/static/");
    return r;
  };
  http::routes routes{http::get<"/static/{path...}">(http::files(argv[1])), http::put<"/hosts/{name}">(add),
                      http::get<"/hosts/{name}">(list), http::fallback(start)};
  capture::saved_syn source;  // needs no privilege
  net::server server{"[::]:8080", source, {.threads = 2}};
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "site: %s\n", e.what());
  return 2;
}
