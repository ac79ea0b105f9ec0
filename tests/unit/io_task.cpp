// SPDX-License-Identifier: MIT
#include <synfp/io/task.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using synfp::task;
using synfp::io::detail::run_queue;

/// Counts constructions minus destructions; a double destruction makes it negative.
struct live {
  inline static int count = 0;
  live() noexcept { ++count; }
  live(const live&) noexcept { ++count; }
  live(live&&) noexcept { ++count; }
  live& operator=(const live&) = default;
  live& operator=(live&&) = default;
  ~live() { --count; }
};

void run(task<> work) {
  synfp::spawn(std::move(work));
  run_queue::current().drain();
}

task<int> ready(int value) { co_return value; }

task<> sum_ready(int n, long long& sum) {
  for (int i = 0; i < n; ++i) sum += co_await ready(i);
}

TEST(io_task, is_lazy) {
  bool ran = false;
  {
    auto body = [&]() -> task<> {
      ran = true;
      co_return;
    };
    const task<> never = body();
    EXPECT_FALSE(ran);
  }
  EXPECT_FALSE(ran);
}

TEST(io_task, two_million_ready_awaits_do_not_grow_the_stack) {
  long long sum = 0;
  run(sum_ready(2'000'000, sum));
  EXPECT_EQ(sum, 2'000'000LL * 1'999'999 / 2);
}

task<int> after_yield(int value) {
  co_await synfp::io::yield();
  co_return value;
}

task<> sum_yielding(int n, long long& sum) {
  for (int i = 0; i < n; ++i) sum += co_await after_yield(i);
}

TEST(io_task, many_suspended_children_do_not_grow_the_stack) {
  long long sum = 0;
  run(sum_yielding(300'000, sum));
  EXPECT_EQ(sum, 300'000LL * 299'999 / 2);
}

task<int> deep(int depth) {
  if (depth == 0) co_return co_await after_yield(0);
  const int below = co_await deep(depth - 1);
  co_return below + 1;
}

task<> store(task<int> work, int& out) { out = co_await std::move(work); }

TEST(io_task, completions_unwind_through_the_queue) {
  int out = 0;
  run(store(deep(1000), out));
  EXPECT_EQ(out, 1000);
}

task<live> make_live(live by_value) {
  co_await synfp::io::yield();
  co_return by_value;
}

task<std::unique_ptr<int>> move_only() { co_return std::make_unique<int>(7); }

task<> use_live(int& seen) {
  for (int i = 0; i < 10; ++i) {
    const live l;
    live r = co_await make_live(l);
    co_await make_live(r);
    co_await make_live({});
    seen = *co_await move_only();
  }
}

TEST(io_task, destroys_each_object_once) {
  int seen = 0;
  live::count = 0;
  run(use_live(seen));
  EXPECT_EQ(live::count, 0);
  EXPECT_EQ(seen, 7);
}

task<> waits_with(live, bool& finished) {
  co_await synfp::io::yield();
  finished = true;
}

task<> parent_of(bool& finished) {
  const live l;
  co_await waits_with(l, finished);
}

TEST(io_task, destroying_a_suspended_coroutine_takes_it_out_of_the_queue) {
  live::count = 0;
  bool finished = false;
  synfp::spawn(parent_of(finished));
  EXPECT_EQ(synfp::io::spawned(), 1u);
  EXPECT_EQ(run_queue::current().run(1), 1u);  // parent and child start, the child is queued
  EXPECT_GT(live::count, 0);
  synfp::io::detail::destroy_roots();
  EXPECT_EQ(live::count, 0);
  EXPECT_EQ(synfp::io::spawned(), 0u);
  run_queue::current().drain();
  EXPECT_FALSE(finished);
}

TEST(io_task, run_is_bounded_and_in_order) {
  std::vector<int> order;
  auto body = [&order](int id) -> task<> {
    order.push_back(id);
    co_await synfp::io::yield();
    order.push_back(10 + id);
  };
  synfp::spawn(body(1));
  synfp::spawn(body(2));
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(run_queue::current().run(3), 3u);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 11}));
  run_queue::current().drain();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 11, 12}));
}

// What a capturing lambda refers to through itself must be there when the coroutine runs, and until it ends.
TEST(io_task, spawn_keeps_the_callable_and_its_arguments) {
  live::count = 0;
  std::string seen;
  {
    auto text = std::make_shared<std::string>(1000, 'x');
    std::weak_ptr<std::string> watch = text;
    synfp::spawn([text = std::move(text), watch, l = live(), &seen]() -> task<> {
      EXPECT_FALSE(watch.expired());
      co_await synfp::io::yield();
      EXPECT_FALSE(watch.expired());
      seen = *text;
      (void)l;
    });
  }
  EXPECT_EQ(seen, "");
  EXPECT_EQ(live::count, 1);
  run_queue::current().drain();
  EXPECT_EQ(seen, std::string(1000, 'x'));
  EXPECT_EQ(live::count, 0);
}

struct adder {
  task<> by_reference(const std::string& one, std::unique_ptr<int> two, int& sum) const {
    co_await synfp::io::yield();
    sum = static_cast<int>(one.size()) + *two + base;
  }
  int base;
};

TEST(io_task, spawn_takes_what_thread_takes) {
  int sum = 0;
  const adder a{1};
  synfp::spawn(&adder::by_reference, a, std::string(100, 'a'), std::make_unique<int>(10), std::ref(sum));
  run_queue::current().drain();
  EXPECT_EQ(sum, 111);
  const auto add = [](int& to, int n) -> task<> {
    to += n;
    co_return;
  };
  synfp::spawn(add, std::ref(sum), 9);
  run_queue::current().drain();
  EXPECT_EQ(sum, 120);
}

TEST(io_task, destroying_a_spawned_callable_destroys_what_it_keeps) {
  live::count = 0;
  synfp::spawn(
      [l = live()](live) -> task<> {
        co_await synfp::io::yield();
        ADD_FAILURE();
        (void)l;
      },
      live());
  EXPECT_EQ(run_queue::current().run(1), 1u);
  EXPECT_EQ(live::count, 3);
  synfp::io::detail::destroy_roots();
  EXPECT_EQ(live::count, 0);
}

#if defined(__cpp_exceptions)
task<int> throws() {
  co_await synfp::io::yield();
  throw std::runtime_error("child");
}

task<> catches(std::string& what) {
  try {
    (void)co_await throws();
  } catch (const std::runtime_error& e) {
    what = e.what();
  }
}

task<> lets_escape() { (void)co_await throws(); }

// Who has had its turn waits for who has not, but not for ever.
TEST(io_task, run_gives_bulk_the_rest) {
  std::string order;
  bool over = false;
  auto busy = [&](char name) -> task<> {
    while (!over) {
      order.push_back(name);
      co_await synfp::io::yield();
    }
  };
  auto light = [&](auto& self, int left) -> task<> {  // always one that is new
    order.push_back('l');
    if (left != 0) synfp::spawn(self(self, left - 1));
    co_return;
  };
  synfp::spawn(busy('a'));
  synfp::spawn(busy('b'));
  run_queue::current().run(2);
  EXPECT_EQ(order, "ab");
  order.clear();
  synfp::spawn(light(light, 0));
  run_queue::current().run(16);
  EXPECT_EQ(order, "la");
  order.clear();
  synfp::spawn(light(light, 100));
  EXPECT_EQ(run_queue::current().run(64), 64u);
  EXPECT_EQ(order, std::string(60, 'l') + "baba");
  over = true;
  run_queue::current().drain();
}

TEST(io_task, exceptions_reach_the_parent) {
  std::string what;
  run(catches(what));
  EXPECT_EQ(what, "child");
}

TEST(io_task, escaped_exceptions_reach_the_program) {
  std::vector<std::string> seen;
  const auto handler = [](void* to, std::exception_ptr why) noexcept {
    try {
      std::rethrow_exception(why);
    } catch (const std::runtime_error& e) {
      static_cast<std::vector<std::string>*>(to)->push_back(e.what());
    }
  };
  EXPECT_EQ(synfp::io::on_escape(handler, &seen).first, nullptr);
  run(lets_escape());
  synfp::spawn(lets_escape);
  synfp::spawn([]() -> task<> { throw std::runtime_error("not even a coroutine"); });
  run_queue::current().drain();
  const auto was = synfp::io::on_escape(nullptr, nullptr);
  EXPECT_TRUE(was.first == handler && was.second == &seen);
  run(lets_escape());
  EXPECT_EQ(seen, (std::vector<std::string>{"child", "not even a coroutine", "child"}));
}

TEST(io_task, escaped_exceptions_are_counted) {
  const auto before = synfp::io::escaped_exceptions();
  run(lets_escape());
  EXPECT_EQ(synfp::io::escaped_exceptions(), before + 1);
  EXPECT_EQ(synfp::io::spawned(), 0u);
}
#endif

#if !SYNFP_POOL_BYPASS
TEST(io_frame_pool, reuses_without_the_heap) {
  using synfp::io::frame_pool;
  void* a = frame_pool::allocate(100);
  frame_pool::deallocate(a, 100);
  EXPECT_EQ(frame_pool::allocate(128), a);  // the same class
  frame_pool::deallocate(a, 128);
  void* big = frame_pool::allocate(frame_pool::largest + 1);
  frame_pool::deallocate(big, frame_pool::largest + 1);
}
#endif

TEST(io_frame_pool, blocks_may_be_freed_on_another_thread) {
  using synfp::io::frame_pool;
  std::array<void*, 1000> blocks{};
  std::thread([&] {
    for (auto& b : blocks) b = frame_pool::allocate(4000);
  }).join();
  for (auto* b : blocks) frame_pool::deallocate(b, 4000);
  std::thread([&] {
    for (auto*& b : blocks) b = frame_pool::allocate(200);
    for (auto* b : blocks) frame_pool::deallocate(b, 200);
  }).join();
}

TEST(io_frame_pool, string) {
  synfp::io::pool_string s;
  for (int i = 0; i < 100'000; ++i) s.push_back(static_cast<char>('a' + i % 26));
  EXPECT_EQ(s.size(), 100'000u);
  EXPECT_EQ(s.substr(26, 3), "abc");
}

}  // namespace
