// SPDX-License-Identifier: MIT
// A server inside a loop that is not ours: the ring has a descriptor that wakes the loop and says how long it
// may sleep. Here the loop is poll(2), and its other work is to stop at a signal.
#include <poll.h>
#include <sys/signalfd.h>

#include <chrono>
#include <csignal>
#include <cstdio>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/listen_group.hpp>
#include <synfp/net/listener.hpp>
using namespace synfp;

namespace {

template <class Routes>
task<> accept_all(net::listener& listener, const Routes& routes) {
  while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
}

int signal_descriptor() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

}  // namespace

int main() try {
  http::routes routes{http::get<"/">([](const http::request& q) {
    return http::text(q.syn() ? fingerprint::muonfp(*q.syn()).view() : "no SYN record");
  })};
  capture::saved_syn source;  // needs no privilege
  net::lookup_handler lookups(source);
  auto sockets = value_or_throw(net::listen_group::open(*endpoint::parse("[::]:8080"), 1, source));
  const auto ring = value_or_throw(io::ring::create());  // outlives what uses it
  auto listener = value_or_throw(net::listener::create(*ring, sockets.release(0), &lookups));
  spawn(accept_all(listener, routes));

  pollfd watched[] = {{value_or_throw(ring->event_fd()), POLLIN, 0}, {signal_descriptor(), POLLIN, 0}};
  while (ring->poll()) {  // false once a stop is complete
    if (::poll(watched, 2, ring->poll_timeout()) < 0) continue;
    if (watched[1].revents != 0) ring->stop(std::chrono::seconds(2));  // what is in flight has that long
  }
  std::puts("stopped");
} catch (const std::exception& e) {
  std::fprintf(stderr, "foreign_loop: %s\n", e.what());
  return 2;
}
