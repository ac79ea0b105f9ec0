// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/submit.hpp>
#include <synfp/io/task.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/io/wait.hpp>

#include "../support/loopback.hpp"

namespace {

using namespace std::chrono_literals;
using synfp::errc;
using synfp::task;
namespace io = synfp::io;
namespace test = synfp::test;

struct pipe_ends {
  test::fd out, in;
};
pipe_ends make_pipe() {
  int fds[2];
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  return {test::fd(fds[0]), test::fd(fds[1])};
}

/// Bytes that the kernel fills, with a witness of how long they live.
struct block {
  int fd;
  std::shared_ptr<int> alive;
  std::array<char, 64> bytes{};
};
void read_block(::io_uring_sqe* sqe, block& b) {
  io_uring_prep_read(sqe, b.fd, b.bytes.data(), sizeof b.bytes, 0);
}

TEST(io_submit, gives_the_result_and_the_state) {
  const auto ring = test::make_ring();
  const pipe_ends p = make_pipe();
  std::string got;
  const auto read = [&]() -> task<> {
    block b{p.out.get(), nullptr, {}};
    auto done = co_await io::submit(*ring, std::move(b), read_block);
    if (done) got.assign(done->state.bytes.data(), static_cast<std::size_t>(done->value));
    ring->stop();
  };
  synfp::spawn(read());
  ASSERT_EQ(::write(p.in.get(), "hello", 5), 5);
  test::run_to_end(*ring);
  EXPECT_EQ(got, "hello");
}

TEST(io_submit, gives_the_kernels_error) {
  const auto ring = test::make_ring();
  synfp::error why;
  const auto read = [&]() -> task<> {
    block b{-1, nullptr, {}};
    const auto done = co_await io::submit(*ring, std::move(b), read_block);
    if (!done) why = done.error();
    ring->stop();
  };
  synfp::spawn(read());
  test::run_to_end(*ring);
  EXPECT_EQ(why.os, EBADF);
}

TEST(io_submit, ends_when_its_descriptor_is_cancelled) {
  const auto ring = test::make_ring();
  const pipe_ends p = make_pipe();
  errc why{};
  const auto read = [&]() -> task<> {
    block b{p.out.get(), nullptr, {}};
    const auto done = co_await io::submit(*ring, std::move(b), read_block);
    if (!done) why = done.error().code;
    ring->stop();
  };
  synfp::spawn(read());
  ring->poll();
  ring->cancel_fd(p.out.get());
  test::run_to_end(*ring);
  EXPECT_EQ(why, errc::canceled);
}

// The kernel may write into the state after the coroutine is gone: it lives until the completion.
TEST(io_submit, the_state_outlives_a_destroyed_coroutine) {
  const auto ring = test::make_ring();
  const pipe_ends p = make_pipe();
  auto witness = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = witness;
  const auto read = [&](std::shared_ptr<int> w) -> task<> {
    block b{p.out.get(), std::move(w), {}};
    (void)co_await io::submit(*ring, std::move(b), read_block);
  };
  const auto outer = [&]() -> task<> {
    {
      auto reading = read(std::move(witness));
      synfp::spawn(std::move(reading));
    }
    co_return;
  };
  synfp::spawn(outer());
  ring->poll();
  EXPECT_FALSE(alive.expired());
  EXPECT_GE(ring->in_flight(), 1U);
  ring->stop(0s);  // destroys the coroutine that waits
  test::run_to_end(*ring);
  EXPECT_TRUE(alive.expired());
}

TEST(io_buffer, can_own_bytes_that_no_ring_received) {
  const auto before = io::frame_pool::in_use();
  {
    auto b = io::buffer::copy_of("abcdef");
    EXPECT_EQ(b.view(), "abcdef");
    b.data()[0] = 'A';
    b.shrink(3);
    EXPECT_EQ(b.view(), "Abc");
    b.shrink(100);
    EXPECT_EQ(b.size(), 3U);
    const io::buffer moved = std::move(b);
    EXPECT_EQ(moved.view(), "Abc");
    EXPECT_TRUE(b.empty());  // NOLINT: what a moved-from buffer is
  }
  EXPECT_EQ(io::frame_pool::in_use(), before);
}

/// A mailbox: what a user would write with wait_slot.
class mailbox {
 public:
  explicit mailbox(io::ring& ring) : slot_(ring) {}
  void put(int value) {
    value_ = value;
    slot_.wake();
  }
  void cancel() { slot_.cancel(); }

  struct mail {
    mailbox* box;
    io::wait_slot& slot() noexcept { return box->slot_; }
    bool ready() const noexcept { return box->value_ != 0; }
    void begin() noexcept {}
    void left() noexcept {}
    synfp::result<int> get() noexcept { return std::exchange(box->value_, 0); }
  };
  io::wait_awaiter<mail> next(std::chrono::nanoseconds limit = io::for_ever) {
    return io::wait_awaiter(mail{this}, limit);
  }

 private:
  io::wait_slot slot_;
  int value_ = 0;
};

TEST(io_wait, gives_what_comes_in_time_and_says_why_not) {
  const auto ring = test::make_ring();
  mailbox box(*ring);
  std::string log;
  const auto reader = [&]() -> task<> {
    auto got = co_await box.next();
    log += got ? std::to_string(*got) : "?";
    got = co_await box.next(10ms);
    log += got ? "?" : std::string(synfp::to_string(got.error().code));
    got = co_await box.next();
    log += got ? "?" : std::string(synfp::to_string(got.error().code));
    ring->stop();
  };
  const auto second = [&]() -> task<> {
    const auto got = co_await box.next();
    EXPECT_EQ(got.error().code, errc::invalid) << "one may wait";
  };
  const auto writer = [&]() -> task<> {
    co_await io::sleep_for(*ring, 5ms);
    box.put(7);
    co_await io::sleep_for(*ring, 100ms);
    box.cancel();
  };
  synfp::spawn(reader());
  synfp::spawn(second());
  synfp::spawn(writer());
  test::run_to_end(*ring);
  EXPECT_EQ(log, "7" + std::string(synfp::to_string(errc::timed_out)) +
                     std::string(synfp::to_string(errc::canceled)));
}

// A coroutine that always finds something lets others run now and then.
TEST(io_wait, ready_waits_take_turns) {
  const auto ring = test::make_ring();
  mailbox box(*ring);
  int reads = 0;
  int others = 0;
  const auto greedy = [&]() -> task<> {
    for (; reads < 1000; ++reads) {
      box.put(1);
      (void)co_await box.next();
    }
    ring->stop();
  };
  const auto other = [&]() -> task<> {
    while (reads < 1000) {
      ++others;
      co_await io::yield();
    }
  };
  synfp::spawn(greedy());
  synfp::spawn(other());
  test::run_to_end(*ring);
  EXPECT_GE(others, 1000 / 32 / 2);
}

}  // namespace
