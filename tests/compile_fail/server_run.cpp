// SPDX-License-Identifier: MIT
// The handler of run() makes one task per listener.
// expect: the handler of run\(\) must be callable as
// expect: the handler of run\(\) must be callable as
#include <synfp/capture/saved_syn.hpp>
#include <synfp/net/server.hpp>

void serve(synfp::net::server& server) {
#if SYNFP_MUST_FAIL == 1
  server.run([](int) -> synfp::task<> { co_return; });
#elif SYNFP_MUST_FAIL == 2
  server.run([](synfp::net::listener&) {});
#else
  server.run([](synfp::net::listener& listener) -> synfp::task<> {
    while (auto accepted = co_await listener.accept()) {
    }
  });
#endif
}
