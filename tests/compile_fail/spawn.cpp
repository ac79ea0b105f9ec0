// SPDX-License-Identifier: MIT
// spawn() starts tasks that nobody waits for, or callables that make them.
// expect: function\(args...\) must be a coroutine that returns io::task<>
// expect: function\(args...\) must be a coroutine that returns io::task<>
// expect: function\(args...\) must be a coroutine that returns io::task<>
// expect: deleted
#include <synfp/io/task.hpp>

using synfp::spawn;
using synfp::task;

task<int> has_a_result() { co_return 1; }
task<> takes_a_number(int) { co_return; }

void spawn_them(int& x) {
#if SYNFP_MUST_FAIL == 1
  spawn(has_a_result());
#elif SYNFP_MUST_FAIL == 2
  spawn([&x] { ++x; });
#elif SYNFP_MUST_FAIL == 3
  spawn(takes_a_number, "no number");
#elif SYNFP_MUST_FAIL == 4
  task<> work = takes_a_number(1);
  spawn(work);
#else
  spawn([](task<int> work) -> task<> { (void)co_await std::move(work); }, has_a_result());
  spawn([&x]() -> task<> {
    ++x;
    co_return;
  });
  spawn(takes_a_number, 1);
  task<> work = takes_a_number(1);
  spawn(std::move(work));
#endif
}

int main() {}
