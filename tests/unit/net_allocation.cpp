// SPDX-License-Identifier: MIT
// In the steady state a request costs no allocation. Exact numbers of frames are the compiler's business.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>

#include <synfp/net/listener.hpp>

#include "../net_fixture.hpp"

// Sanitizers bring their own operator new, and under ASan the pool is bypassed.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_COUNTS_ALLOCATIONS 0
#endif
#endif
#if !defined(TEST_COUNTS_ALLOCATIONS) && !SYNFP_POOL_BYPASS
#define TEST_COUNTS_ALLOCATIONS 1
#endif

#if TEST_COUNTS_ALLOCATIONS
namespace {
thread_local std::size_t allocations = 0;
}

// The whole test binary counts; only this file asks.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size != 0 ? size : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

using synfp::io::task;
using synfp::net::listener;
using synfp::net::stream;

task<std::size_t> answer(stream& s) {
  const auto chunk = co_await s.read(std::chrono::seconds(20));
  if (!chunk) co_return 0;
  s.write(chunk->view());
  const auto sent = co_await s.flush(std::chrono::seconds(20));
  co_return sent ? chunk->size() : 0;
}

task<> serve(stream s) {
  while (true) {
    const auto n = co_await answer(s);
    if (n == 0) co_return;
  }
}

task<> accept_loop(listener& l) {
  while (auto a = co_await l.accept()) synfp::spawn(serve(std::move(a->connection)));
}

TEST(Allocation, NoneInTheSteadyState) {
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  auto made = listener::create(*r, fd.release());
  ASSERT_TRUE(made);
  auto& l = *made;
  synfp::spawn(accept_loop(l));
  const std::string text(200, 'q');
  char back[200];
  auto requests = [&](int connections, int each) {
    for (int c = 0; c != connections; ++c) {
      const auto client = test::connect_to(where);
      for (int i = 0; i != each; ++i) {
        ASSERT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL), 200);
        while (::recv(client.get(), back, sizeof back, MSG_DONTWAIT) != 200) r->poll();
      }
    }
    while (synfp::io::spawned() != 1) r->poll();  // all have seen the end
  };
  requests(5, 20);  // fills the pool
  const auto before = allocations;
  requests(50, 100);
  EXPECT_EQ(allocations - before, 0u);
  r->stop();
  test::run_to_end(*r);
}

}  // namespace
#endif
