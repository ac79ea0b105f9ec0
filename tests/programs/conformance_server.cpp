// SPDX-License-Identifier: MIT
// The server that tests/programs/conformance.py and tests/oracle/http_peers.py talk to. Prints its port and
// serves until its standard input ends. "routes": those that Http11Probe asks for. "streams": as "saw", by
// handlers that read the body piece by piece. "saw": every path, and what the handler saw goes into a field
// of the response. A refusal of the parser has the content type text/refused, so that it cannot be taken for
// an answer.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>

#include <synfp/capture/source.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
using namespace synfp;

namespace {

http::response echo(const http::request& q) {
  std::string lines;
  for (const http::header_field f : q.headers()) {
    lines.append(f.name).append(": ").append(f.value).append("\n");
  }
  return http::text(lines);
}

http::response cookie(const http::request& q) {
  std::string pairs;
  for (const http::header_field f : q.headers()) {
    if (http::detail::equal(f.name, "cookie")) pairs.append(f.value).append("\n");
  }
  return http::text(pairs);
}

/// FNV-1a, which each of the peers computes as well.
std::uint32_t hash(std::string_view bytes, std::uint32_t h = 2166136261U) {
  for (const char c : bytes) h = (h ^ static_cast<unsigned char>(c)) * 16777619U;
  return h;
}

http::response saw(const http::request& q, std::size_t length, std::uint32_t hash) {
  char text[64];
  std::snprintf(text, sizeof text, "%zu %08x", length, static_cast<unsigned>(hash));
  http::response r = http::text("");
  (void)r.add_header("X-Saw", std::string(q.method_text()) + " " + text);
  return r;
}

http::response saw_whole(const http::request& q) { return saw(q, q.body().size(), hash(q.body())); }

task<http::response> saw_pieces(const http::request& q, http::body_reader& body) {
  std::size_t length = 0;
  std::uint32_t h = hash("");
  while (true) {
    const auto piece = co_await body.read();
    if (!piece) break;
    length += piece->size();
    h = hash(*piece, h);
  }
  if (!body.complete()) co_return http::status(400);
  co_return saw(q, length, h);
}

http::response refused(int, http::refusal why, const http::request*) {
  http::response r = http::text(std::string(to_string(why)) + "\n");
  if (why != http::refusal::none) (void)r.set_content_type("text/refused");
  return r;
}

template <class Routes>
void run(const Routes& routes) {
  http::serve_options serving;
  serving.error_response = refused;
  // Everything ends by what the client does, never by a clock: a loaded machine gives the same answers.
  serving.header_timeout = serving.body_timeout = std::chrono::minutes(10);
  capture::none source;
  net::server server{"127.0.0.1:0", source};
  std::printf("%u\n", static_cast<unsigned>(server.local().front().port()));
  std::fflush(stdout);
  std::thread watch([&server] {
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
    server.stop(std::chrono::seconds(1));
  });
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) {
      spawn(http::serve(std::move(*accepted), routes, serving));
    }
  });
  watch.join();
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string_view mode = argc == 2 ? argv[1] : "";
  if (mode == "routes") {
    const http::routes routes{
        http::get<"/">([](const http::request&) { return http::text("OK\n"); }),
        http::post<"/">([](const http::request& q) { return http::text(q.body()); }),
        http::get<"/echo">(echo),
        http::post<"/echo">(echo),
        http::get<"/cookie">(cookie),
    };
    run(routes);
  } else if (mode == "saw") {
    const http::routes routes{http::get<"/{path...}">(saw_whole), http::post<"/{path...}">(saw_whole),
                              http::put<"/{path...}">(saw_whole), http::patch<"/{path...}">(saw_whole),
                              http::del<"/{path...}">(saw_whole)};
    run(routes);
  } else if (mode == "streams") {
    const http::routes routes{http::get<"/{path...}">(saw_whole), http::post<"/{path...}">(saw_pieces),
                              http::put<"/{path...}">(saw_pieces), http::patch<"/{path...}">(saw_pieces),
                              http::del<"/{path...}">(saw_pieces)};
    run(routes);
  } else {
    std::fputs("usage: conformance_server routes|saw|streams\n", stderr);
    return 2;
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "conformance_server: %s\n", e.what());
  return 1;
}
