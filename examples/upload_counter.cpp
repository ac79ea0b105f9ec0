// SPDX-License-Identifier: MIT
// A body of any length that is never in memory: POST /upload counts its bytes and lines while they arrive.
// Try `curl --data-binary @FILE http://127.0.0.1:8080/upload` with a large file: the memory stays the same.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/body_reader.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
using namespace synfp;

namespace {

task<http::response> upload(const http::request& q, http::body_reader& body) {
  std::uint64_t bytes = 0;
  std::uint64_t lines = 0;
  while (auto piece = co_await body.read()) {  // nothing more is received before the next read()
    bytes += piece->size();
    lines += static_cast<std::uint64_t>(std::count(piece->begin(), piece->end(), '\n'));
  }
  if (!body.complete()) co_return http::status(400);  // the client left, was too slow or sent nonsense
  std::string text = std::to_string(bytes) + " bytes, " + std::to_string(lines) + " lines from ";
  if (q.syn()) text += fingerprint::muonfp(*q.syn()).view();
  co_return http::text(text + '\n');
}

}  // namespace

int main() try {
  http::routes routes{http::post<"/upload">(upload).unlimited_body()};
  capture::saved_syn source;  // needs no privilege
  net::server server{"[::]:8080", source, {.threads = 2}};
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "upload_counter: %s\n", e.what());
  return 2;
}
