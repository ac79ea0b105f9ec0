// SPDX-License-Identifier: MIT
// An operation of io_uring that the library does not know: GET /load reads a file without blocking the ring.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string_view>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/io/submit.hpp>
#include <synfp/net/server.hpp>
using namespace synfp;

namespace {

// What the kernel works on. It outlives a coroutine that is destroyed while it waits; so it holds the bytes.
struct read_at_once {
  int file;
  std::array<char, 256> bytes;
};

task<http::response> load(io::ring& ring) {
  read_at_once to{::open("/proc/loadavg", O_RDONLY | O_CLOEXEC), {}};
  const auto done = co_await io::submit(ring, to, [](io_uring_sqe* sqe, read_at_once& r) {
    io_uring_prep_read(sqe, r.file, r.bytes.data(), sizeof r.bytes, 0);
  });
  if (to.file >= 0) ::close(to.file);
  if (!done) co_return http::status(503);  // the kernel's error is in done.error()
  co_return http::text(std::string_view(done->state.bytes.data(), static_cast<std::size_t>(done->value)));
}

}  // namespace

int main() try {
  io::ring* ring = nullptr;  // of the only thread
  http::routes routes{http::get<"/">([](const http::request& q) {
                        return http::text(q.syn() ? fingerprint::muonfp(*q.syn()).view() : "no SYN record");
                      }),
                      http::get<"/load">([&](const http::request&) { return load(*ring); })};
  capture::saved_syn source;  // needs no privilege
  net::server server{"[::]:8080", source};
  server.run([&](net::listener& listener) -> task<> {
    ring = &listener.ring();
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "own_operation: %s\n", e.what());
  return 2;
}
