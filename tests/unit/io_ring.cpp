// SPDX-License-Identifier: MIT
#include <synfp/io/ring.hpp>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <synfp/io/poll_fd.hpp>
#include <synfp/io/timer.hpp>

#include "../support/loopback.hpp"

namespace {

namespace test = synfp::test;

using namespace std::chrono_literals;
using synfp::errc;
using synfp::io::ring;
using synfp::io::ring_options;
using synfp::io::task;
using synfp::io::task_run;
using clock_type = ring::clock;

struct pipe_pair {
  test::fd read_end;
  test::fd write_end;
  pipe_pair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::pipe(fds), 0);
    read_end = test::fd(fds[0]);
    write_end = test::fd(fds[1]);
  }
};

TEST(io_ring, stops_with_nothing_in_flight) {
  auto r = test::make_ring();
  r->stop();
  test::run_to_end(*r);
  r->stop();
  test::run_to_end(*r);  // and once more
}

TEST(io_ring, every_mode_works) {
  for (const task_run mode : {task_run::deferred, task_run::cooperative, task_run::plain}) {
    ring_options o;
    o.mode = mode;
    auto r = test::make_ring(o);
    ASSERT_TRUE(r);
    EXPECT_EQ(r->mode(), mode);
    auto body = [&]() -> task<> {
      pipe_pair p;
      EXPECT_EQ(::write(p.write_end.get(), "x", 1), 1);
      const auto events = co_await synfp::io::poll_fd(*r, p.read_end.get(), POLLIN);
      EXPECT_TRUE(events);
      co_await synfp::io::sleep_for(*r, 1ms);
      r->stop();
    };
    synfp::spawn(body());
    test::run_to_end(*r);
  }
}

TEST(io_ring, one_per_thread) {
  auto r = test::make_ring();
  const auto second = ring::create();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::invalid);
  std::thread([] { EXPECT_TRUE(test::make_ring()); }).join();
}

TEST(io_ring, rejects_bad_options) {
  ring_options o;
  o.buffers = 3;
  EXPECT_FALSE(ring::create(o));
}

// Fails io_uring_setup with `error` in a child process and returns its setup_error's message.
std::string refused_with(unsigned error) {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::pipe(fds), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{4, code};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    const auto r = ring::create();
    const std::string message = r ? "created" : r.error().message;
    const auto n = ::write(fds[1], message.data(), message.size());
    ::_exit(n > 0 ? 0 : 1);
  }
  ::close(fds[1]);
  const std::string message = test::receive_file(fds[0]);
  ::close(fds[0]);
  ::waitpid(child, nullptr, 0);
  return message;
}

TEST(io_ring, refusals_say_what_to_do) {
  EXPECT_NE(refused_with(EPERM).find("seccomp"), std::string::npos);
  EXPECT_NE(refused_with(ENOSYS).find("Linux 6.1"), std::string::npos);
  EXPECT_NE(refused_with(ENOMEM).find("RLIMIT_MEMLOCK"), std::string::npos);
  EXPECT_NE(refused_with(EINVAL).find("too old"), std::string::npos);
}

TEST(io_ring, post_from_other_threads) {
  auto r = test::make_ring();
  static constexpr int threads = 4;
  static constexpr int each = 2000;
  std::vector<int> seen;
  std::vector<std::thread> senders;
  for (int t = 0; t != threads; ++t) {
    senders.emplace_back([&, t] {
      for (int i = 0; i != each; ++i) {
        r->post([&seen, &r, t, i] {
          seen.push_back(t * each + i);
          if (seen.size() == threads * each) r->stop();
        });
      }
    });
  }
  test::run_to_end(*r);
  for (auto& s : senders) s.join();
  std::vector<int> last(threads, -1);
  for (const int v : seen) {
    auto& l = last[static_cast<std::size_t>(v / each)];
    EXPECT_LT(l, v % each);
    l = v % each;
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(threads * each));
}

TEST(io_ring, post_takes_move_only_callables_and_survives_a_stop) {
  auto r = test::make_ring();
  r->stop();
  int got = 0;
  auto value = std::make_unique<int>(5);
  test::run_to_end(*r);
  r->post([&got, &r, v = std::move(value)] {
    got = *v;
    r->stop();
  });
  test::run_to_end(*r);
  EXPECT_EQ(got, 5);
  r->post([] { FAIL() << "destroyed, not run"; });
}

task<> poll_once(ring& r, int fd, std::string& out) {
  const auto events = co_await synfp::io::poll_fd(r, fd, POLLIN);
  out = events ? "ready" : std::string(synfp::to_string(events.error().code));
}

TEST(io_ring, poll_fd_is_cancelled_by_descriptor) {
  auto r = test::make_ring();
  pipe_pair p;
  std::string a;
  std::string b;
  auto body = [&]() -> task<> {
    co_await synfp::io::yield();
    r->cancel_fd(p.read_end.get());
    p.read_end = {};
    while (a.empty() || b.empty()) co_await synfp::io::yield();
    r->stop();
  };
  synfp::spawn(poll_once(*r, p.read_end.get(), a));
  synfp::spawn(poll_once(*r, p.read_end.get(), b));
  synfp::spawn(body());
  test::run_to_end(*r);
  EXPECT_EQ(a, "canceled");
  EXPECT_EQ(b, "canceled");
}

TEST(io_ring, a_dropped_poll_is_cancelled_and_its_descriptor_may_be_closed) {
  auto r = test::make_ring();
  std::string out;
  auto body = [&]() -> task<> {
    for (int i = 0; i != 50; ++i) {
      pipe_pair p;
      auto handle = poll_once(*r, p.read_end.get(), out).release();
      handle.resume();
      handle.destroy();
      // The number is free and becomes another pipe's; the dropped poll must not see that.
      p.read_end = {};
      pipe_pair q;
      EXPECT_EQ(::write(q.write_end.get(), "x", 1), 1);
      std::string fresh;
      co_await poll_once(*r, q.read_end.get(), fresh);
      EXPECT_EQ(fresh, "ready");
    }
    r->stop();
  };
  synfp::spawn(body());
  test::run_to_end(*r);
  EXPECT_EQ(out, "");
}

TEST(io_ring, the_deadline_destroys_what_will_not_end) {
  auto r = test::make_ring();
  pipe_pair p;
  std::string out;
  synfp::spawn(poll_once(*r, p.read_end.get(), out));
  const auto begin = clock_type::now();
  r->stop(50ms);
  test::run_to_end(*r);
  EXPECT_GE(clock_type::now() - begin, 50ms);
  EXPECT_EQ(out, "");
}

TEST(io_ring, stop_hooks_run_once) {
  auto r = test::make_ring();
  int calls = 0;
  synfp::io::stop_callback hook([](void* n) { ++*static_cast<int*>(n); }, &calls);
  r->on_stop(hook);
  {
    synfp::io::stop_callback gone([](void* n) { ++*static_cast<int*>(n); }, &calls);
    r->on_stop(gone);
  }
  r->stop();
  r->stop();
  test::run_to_end(*r);
  EXPECT_EQ(calls, 1);
}

TEST(io_ring, destruction_with_pending_operations) {
  pipe_pair p;
  std::string out;
  {
    auto r = test::make_ring();
    synfp::spawn(poll_once(*r, p.read_end.get(), out));
    r->post([&r] { r->stop(1h); });
    for (int i = 0; i != 10; ++i) EXPECT_TRUE(r->poll());
    EXPECT_NE(r->in_flight(), 0u);
  }
  EXPECT_EQ(synfp::io::spawned(), 0u);
  EXPECT_EQ(out, "");
}

// More operations in one turn than the submission queue holds, more completions than the completion queue.
TEST(io_ring, full_queues_are_not_fatal) {
  ring_options o;
  o.entries = 8;
  o.completions = 16;
  auto r = test::make_ring(o);
  pipe_pair p;
  std::vector<std::string> out(500);
  std::size_t started = 0;
  auto body = [&](std::string& into) -> task<> {
    ++started;
    co_await poll_once(*r, p.read_end.get(), into);
    if (--started == 0) r->stop();
  };
  for (auto& s : out) synfp::spawn(body(s));
  auto writer = [&]() -> task<> {
    while (started != out.size()) co_await synfp::io::yield();
    EXPECT_EQ(::write(p.write_end.get(), "x", 1), 1);
  };
  synfp::spawn(writer());
  test::run_to_end(*r);
  for (const auto& s : out) EXPECT_EQ(s, "ready");
}

// A busy coroutine must not keep the kernel's completions from being read.
TEST(io_ring, busy_coroutines_do_not_starve_operations) {
  auto r = test::make_ring();
  pipe_pair p;
  std::string out;
  auto busy = [&]() -> task<> {
    while (out.empty()) co_await synfp::io::yield();
    r->stop();
  };
  synfp::spawn(busy());
  synfp::spawn(poll_once(*r, p.read_end.get(), out));
  std::thread writer([&] { EXPECT_EQ(::write(p.write_end.get(), "x", 1), 1); });
  test::run_to_end(*r);
  writer.join();
  EXPECT_EQ(out, "ready");
}

TEST(io_ring, a_foreign_epoll_is_woken_every_time) {
  auto r = test::make_ring();
  const auto event = r->event_fd();
  ASSERT_TRUE(event);
  test::fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event e{};
  e.events = EPOLLIN;
  ASSERT_EQ(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, *event, &e), 0);
  std::vector<pipe_pair> pipes(20);
  int woken = 0;
  auto wait = [&](int fd) -> task<> {
    std::string out;
    co_await poll_once(*r, fd, out);
    EXPECT_EQ(out, "ready");
    ++woken;
  };
  for (auto& p : pipes) synfp::spawn(wait(p.read_end.get()));
  for (std::size_t i = 0; i != pipes.size(); ++i) {
    const auto before = woken;
    while (true) {  // until idle
      EXPECT_TRUE(r->poll());
      if (r->poll_timeout() != 0) break;
    }
    EXPECT_EQ(woken, before);
    EXPECT_EQ(::write(pipes[i].write_end.get(), "x", 1), 1);
    while (woken == before) {
      ASSERT_EQ(::epoll_wait(epoll.get(), &e, 1, 20'000), 1) << i;
      r->poll();
    }
  }
  EXPECT_EQ(woken, 20);
  // post() wakes it as well, and stop() ends it.
  std::thread([&] { r->post([&] { r->stop(); }); }).join();
  do {
    ASSERT_EQ(::epoll_wait(epoll.get(), &e, 1, 20'000), 1);
  } while (r->poll());
  EXPECT_EQ(r->in_flight(), 0u);
}

TEST(io_timer, sleeps_end_in_order_and_never_early) {
  auto r = test::make_ring();
  std::vector<int> order;
  auto body = [&](int ms) -> task<> {
    const auto begin = clock_type::now();
    co_await synfp::io::sleep_for(*r, std::chrono::milliseconds(ms));
    EXPECT_GE(clock_type::now() - begin, std::chrono::milliseconds(ms));
    order.push_back(ms);
    if (order.size() == 5) r->stop();
  };
  for (const int ms : {90, 30, 150, 0, 60}) synfp::spawn(body(ms));
  test::run_to_end(*r);
  EXPECT_EQ(order, (std::vector<int>{0, 30, 60, 90, 150}));
}

TEST(io_timer, foreign_loops_know_how_long_to_wait) {
  auto r = test::make_ring();
  while (r->poll_timeout() == 0) r->poll();
  EXPECT_EQ(r->poll_timeout(), -1);
  int fired = 0;
  synfp::io::timeout t([](void* n) { ++*static_cast<int*>(n); }, &fired);
  r->arm(t, 5s);
  EXPECT_GT(r->poll_timeout(), 1000);
  EXPECT_LE(r->poll_timeout(), 5100);
  r->disarm(t);
  r->arm(t, 0s);
  while (fired == 0) {
    EXPECT_LE(r->poll_timeout(), 100);
    r->poll();
  }
}

// The wheel itself, with invented time.
class wheel_test {
 public:
  using wheel = synfp::io::detail::timer_wheel;
  static constexpr auto tick = wheel::tick_length;
  const clock_type::time_point epoch{1h};
  wheel w{epoch};
  clock_type::time_point now = epoch;

  struct entry {
    wheel_test* owner;
    clock_type::time_point deadline;
    int fired = 0;
    bool late = false;
    synfp::io::timeout t{&entry::on_fire, this};
    explicit entry(wheel_test* o) : owner(o) {}
    static void on_fire(void* self) {
      auto& e = *static_cast<entry*>(self);
      ++e.fired;
      EXPECT_GE(e.owner->now, e.deadline);
      if (e.owner->now > e.deadline + 2 * tick) e.late = true;
    }
  };
  void arm(entry& e, std::chrono::nanoseconds in) {
    e.deadline = now + in;
    w.arm(e.t, e.deadline);
  }
};

TEST(io_timer_wheel, fires_every_deadline_on_time) {
  wheel_test x;
  std::vector<std::unique_ptr<wheel_test::entry>> entries;
  std::chrono::nanoseconds in = 1us;
  while (in < 40min) {
    entries.push_back(std::make_unique<wheel_test::entry>(&x));
    x.arm(*entries.back(), in);
    in += in / 7 + 1us;
  }
  int steps = 0;
  while (true) {
    const auto next = x.w.next_time();
    if (next == clock_type::time_point::max()) break;
    EXPECT_GT(next, x.now);
    x.now = next;
    x.w.advance(x.now);
    ++steps;
  }
  for (const auto& e : entries) {
    EXPECT_EQ(e->fired, 1);
    EXPECT_FALSE(e->late);
    EXPECT_FALSE(e->t.armed());
  }
  EXPECT_LT(steps, 5000);
}

TEST(io_timer_wheel, rearming_is_lazy_but_right) {
  wheel_test x;
  wheel_test::entry e(&x);
  for (int i = 0; i != 10'000; ++i) {  // always moved back before it fires
    x.arm(e, 1s);
    x.now += 500ms;
    x.w.advance(x.now);
  }
  EXPECT_EQ(e.fired, 0);
  x.arm(e, 100ms);  // forward
  x.now += 108ms;
  x.w.advance(x.now);
  EXPECT_EQ(e.fired, 1);
  x.arm(e, 10s);
  x.w.disarm(e.t);
  x.now += 1min;
  x.w.advance(x.now);
  EXPECT_EQ(e.fired, 1);
  EXPECT_EQ(x.w.next_time(), clock_type::time_point::max());
}

TEST(io_timer_wheel, randomised_against_a_simple_model) {
  wheel_test x;
  std::vector<std::unique_ptr<wheel_test::entry>> entries;
  std::vector<int> expected(100, 0);
  for (int i = 0; i != 100; ++i) entries.push_back(std::make_unique<wheel_test::entry>(&x));
  unsigned seed = 1;
  auto random = [&seed] { return seed = seed * 1664525u + 1013904223u, seed >> 8; };
  for (int i = 0; i != 200'000; ++i) {
    auto& e = *entries[random() % 100];
    const auto scale = std::chrono::milliseconds(1 << (random() % 20));
    if (random() % 4 == 0) {
      x.w.disarm(e.t);
    } else {
      x.arm(e, scale * (random() % 8) / 4);
    }
    if (random() % 8 == 0) {
      x.now += std::chrono::milliseconds(random() % 3000);
      x.w.advance(x.now);
      for (const auto& other : entries) {
        if (other->t.armed()) {
          EXPECT_GT(other->deadline + wheel_test::tick, x.now);
        }
      }
    }
  }
}

TEST(io_timer_wheel, callbacks_may_destroy_others_of_the_same_slot) {
  wheel_test x;
  struct killer {
    std::unique_ptr<synfp::io::timeout> victim;
    int fired = 0;
  } k;
  auto kill = [](void* self) {
    auto& me = *static_cast<killer*>(self);
    ++me.fired;
    me.victim.reset();
  };
  synfp::io::timeout first(kill, &k);
  k.victim = std::make_unique<synfp::io::timeout>(kill, &k);
  x.w.arm(first, x.epoch + 80ms);
  x.w.arm(*k.victim, x.epoch + 80ms);
  x.w.advance(x.epoch + 1s);
  EXPECT_EQ(k.fired, 1);
}

}  // namespace
