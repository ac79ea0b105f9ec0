// SPDX-License-Identifier: MIT
// A call does nothing if its co_await is forgotten. With every co_await, this file compiles.
// expect: ignoring (returned|return) value.*nodiscard
// expect: ignoring (returned|return) value.*nodiscard
// expect: ignoring (returned|return) value.*nodiscard
// expect: ignoring (returned|return) value.*nodiscard
// expect: ignoring (returned|return) value.*nodiscard
// expect: ignoring (returned|return) value.*nodiscard
// expect: ignoring (returned|return) value.*nodiscard
// expect: ignoring (returned|return) value.*nodiscard
// expect: ignoring (returned|return) value.*nodiscard
// expect: ignoring (returned|return) value.*nodiscard
#include <poll.h>

#include <chrono>
#include <utility>

#include <synfp/http/routes.hpp>
#include <synfp/io/poll_fd.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/connect.hpp>
#include <synfp/net/lingering_close.hpp>
#include <synfp/net/listener.hpp>
#include <synfp/net/stream.hpp>

using namespace std::chrono_literals;
using synfp::task;
namespace http = synfp::http;
namespace io = synfp::io;
namespace net = synfp::net;

#if !defined(SYNFP_MUST_FAIL)
#define SYNFP_MUST_FAIL 0
#endif

task<> child() { co_return; }

task<> all_of_them(io::ring& ring, net::listener& l, net::stream s, const http::routes<>& all,
                   const http::request& q) {
#if SYNFP_MUST_FAIL == 1
  io::yield();
#else
  co_await io::yield();
#endif
#if SYNFP_MUST_FAIL == 2
  io::sleep_for(ring, 1ms);
#else
  co_await io::sleep_for(ring, 1ms);
#endif
#if SYNFP_MUST_FAIL == 3
  io::poll_fd(ring, 0, POLLIN);
#else
  (void)co_await io::poll_fd(ring, 0, POLLIN);
#endif
#if SYNFP_MUST_FAIL == 4
  s.read();
#else
  (void)co_await s.read();
#endif
#if SYNFP_MUST_FAIL == 5
  s.flush();
#else
  (void)co_await s.flush();
#endif
#if SYNFP_MUST_FAIL == 6
  l.accept();
#else
  (void)co_await l.accept();
#endif
#if SYNFP_MUST_FAIL == 7
  child();
#else
  co_await child();
#endif
#if SYNFP_MUST_FAIL == 8
  net::lingering_close(std::move(s), 1, 1s);
#else
  co_await net::lingering_close(std::move(s), 1, 1s);
#endif
#if SYNFP_MUST_FAIL == 9
  net::connect(ring, {});
#else
  (void)co_await net::connect(ring, {});
#endif
#if SYNFP_MUST_FAIL == 10
  all.dispatch(q);
#else
  (void)co_await all.dispatch(q);
#endif
}

int main() {}
