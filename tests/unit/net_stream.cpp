// SPDX-License-Identifier: MIT
#include <synfp/net/connect.hpp>
#include <synfp/net/lingering_close.hpp>
#include <synfp/net/stream.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <synfp/io/timer.hpp>
#include <synfp/net/listener.hpp>

#include "../support/loopback.hpp"

namespace {

namespace test = synfp::test;

using namespace std::chrono_literals;
using synfp::errc;
using synfp::io::ring;
using synfp::io::task;
using synfp::net::stream;

/// A connected pair of loopback sockets.
struct pair {
  test::fd client;
  test::fd server;
  pair() {
    auto listening = test::listen_on_loopback();
    client = test::connect_to(test::name_of(listening.get(), false));
    server = test::fd(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_GE(server.get(), 0);
  }
};

task<> echo(stream s) {
  while (true) {
    auto chunk = co_await s.read();
    if (!chunk) co_return;
    s.write(chunk->view());
    chunk->reset();
    const auto sent = co_await s.flush();
    if (!sent) co_return;
  }
}

/// Runs `work`, then stops the ring.
task<> then_stop(ring& r, task<> work) {
  co_await std::move(work);
  r.stop();
}

/// Appends what arrives to `out` until something other than bytes comes, and says what.
task<> read_all(stream& s, std::string& out, synfp::error& end) {
  while (true) {
    const auto chunk = co_await s.read();
    if (!chunk) {
      end = chunk.error();
      co_return;
    }
    out.append(chunk->view());
  }
}

TEST(net_stream, echoes_and_sees_the_end) {
  auto r = test::make_ring();
  pair p;
  test::send_all(p.client.get(), "hello");
  ::shutdown(p.client.get(), SHUT_WR);
  synfp::spawn(then_stop(*r, echo(stream(*r, p.server.release()))));
  test::run_to_end(*r);
  EXPECT_EQ(test::receive(p.client.get(), 100), "hello");
}

TEST(net_stream, large_transfer_both_ways) {
  auto r = test::make_ring();
  pair p;
  std::string text;
  for (int i = 0; text.size() < 3'000'000; ++i) text += std::to_string(i) + ' ';
  std::string back;
  std::thread client([&] {
    std::thread sender([&] {
      test::send_all(p.client.get(), text);
      ::shutdown(p.client.get(), SHUT_WR);
    });
    back = test::receive(p.client.get(), text.size());
    sender.join();
  });
  synfp::spawn(then_stop(*r, echo(stream(*r, p.server.release()))));
  test::run_to_end(*r);
  client.join();
  EXPECT_TRUE(back == text);
}

// Most connections that ask once are closed then: nothing is left in the kernel that would have to be
// cancelled. From the second read on receiving goes on by itself.
TEST(net_stream, the_first_receive_ends_with_what_it_brings) {
  auto r = test::make_ring();
  pair p;
  const std::size_t without = r->in_flight();
  auto serve = [&](stream s) -> task<> {
    test::send_all(p.client.get(), "one");
    const auto first = co_await s.read();
    EXPECT_TRUE(first && first->view() == "one");
    EXPECT_EQ(r->in_flight(), without);
    test::send_all(p.client.get(), "two");
    const auto second = co_await s.read();
    EXPECT_TRUE(second && second->view() == "two");
    EXPECT_EQ(r->in_flight(), without + 1);
    r->stop();
  };
  synfp::spawn(serve(stream(*r, p.server.release())));
  test::run_to_end(*r);
}

// The descriptor is closed with the next submission, also when that is the last, and by the ring's end.
TEST(net_stream, closes_its_descriptor) {
  auto r = test::make_ring();
  const auto is_open = [](int fd) { return ::fcntl(fd, F_GETFD) >= 0; };
  pair here, at_the_end, outside;
  const int kept = outside.server.get();
  const int early = here.server.get();
  const int late = at_the_end.server.get();
  stream left(*r, outside.server.release());
  auto close_two = [&]() -> task<> {
    { const stream s(*r, here.server.release()); }
    co_await synfp::io::sleep_for(*r, 1ms);
    EXPECT_FALSE(is_open(early));
    const stream s(*r, at_the_end.server.release());
    r->stop();
  };
  synfp::spawn(close_two());
  test::run_to_end(*r);
  EXPECT_FALSE(is_open(late));
  EXPECT_TRUE(is_open(kept));
  left.close();  // no turn follows
  EXPECT_FALSE(is_open(kept));
  EXPECT_EQ(test::receive(outside.client.get(), 1), "");
}

task<> timed_reads(ring& r, stream s, int client, std::vector<std::string>& log) {
  auto chunk = co_await s.read(20ms);
  log.push_back(chunk ? "data" : std::string(synfp::to_string(chunk.error().code)));
  test::send_all(client, "later");
  chunk = co_await s.read(10s);
  log.push_back(chunk ? std::string(chunk->view()) : "?");
  r.stop();
}

TEST(net_stream, read_times_out_and_stays_usable) {
  auto r = test::make_ring();
  pair p;
  std::vector<std::string> log;
  synfp::spawn(timed_reads(*r, stream(*r, p.server.release()), p.client.get(), log));
  test::run_to_end(*r);
  EXPECT_EQ(log, (std::vector<std::string>{"timed out", "later"}));
}

task<> slow_reader(ring& r, stream s, int client, std::string& got, std::vector<std::string>& log) {
  const std::string block(1 << 20, 'x');
  for (int i = 0; i != 16; ++i) s.write(block);
  auto sent = co_await s.flush(30ms);
  log.push_back(sent ? "sent" : std::string(synfp::to_string(sent.error().code)));
  s.write("end");
  std::thread reader([&got, client] { got = test::receive(client, (16 << 20) + 3); });
  sent = co_await s.flush(20s);
  log.push_back(sent ? "sent" : std::string(synfp::to_string(sent.error().code)));
  reader.join();
  r.stop();
}

TEST(net_stream, flush_to_a_slow_reader_times_out_and_goes_on) {
  auto r = test::make_ring();
  pair p;
  std::vector<std::string> log;
  std::string got;
  synfp::spawn(slow_reader(*r, stream(*r, p.server.release()), p.client.get(), got, log));
  test::run_to_end(*r);
  EXPECT_EQ(log, (std::vector<std::string>{"timed out", "sent"}));
  EXPECT_EQ(got.size(), (16u << 20) + 3);
  EXPECT_TRUE(got.ends_with("xend"));
}

task<> abandons_flush(ring& r, stream s) {
  s.write(std::string(8 << 20, 'y'));
  const auto sent = co_await s.flush(20ms);
  EXPECT_FALSE(sent);
  r.stop();
}  // the stream closes with a send in flight: the kernel must not read freed memory (ASan)

// What another coroutine appends between the completion of a send and the resumption of the one that waited
// for it is for another flush.
TEST(net_stream, a_flush_that_is_done_stays_done_whatever_is_appended) {
  auto r = test::make_ring();
  pair p;
  stream s(*r, p.server.release());
  struct appender final : synfp::io::turn_callback {
    appender(stream& to, int from) : s(&to), client(from) {}
    void end_of_reap() override {
      char c = 0;
      if (appended || ::recv(client, &c, 1, MSG_DONTWAIT) != 1) return;
      appended = true;
      s->write("y");
    }
    stream* s;
    int client;
    bool appended = false;
  };
  appender late(s, p.client.get());
  r->add_turn_callback(late);
  bool first = false;
  bool second = false;
  const auto work = [&]() -> task<> {
    s.write("x");
    const auto one = co_await s.flush(20s);
    first = static_cast<bool>(one);
    const auto two = co_await s.flush(20s);
    second = static_cast<bool>(two);
  };
  synfp::spawn(then_stop(*r, work()));
  test::run_to_end(*r);
  r->remove_turn_callback(late);
  EXPECT_TRUE(late.appended);
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_EQ(test::receive(p.client.get(), 1), "y");
}

TEST(net_stream, close_with_a_send_in_flight) {
  auto r = test::make_ring();
  pair p;
  synfp::spawn(abandons_flush(*r, stream(*r, p.server.release())));
  test::run_to_end(*r);
}

task<> write_until_error(ring& r, stream s, synfp::error& e) {
  while (true) {
    s.write("more");
    const auto sent = co_await s.flush();
    if (!sent) {
      e = sent.error();
      break;
    }
    co_await synfp::io::yield();
  }
  r.stop();
}

TEST(net_stream, peer_gone_is_an_error_not_a_signal) {
  auto r = test::make_ring();
  pair p;
  test::reset_on_close(p.client.get());
  p.client = {};
  synfp::error e;
  synfp::spawn(write_until_error(*r, stream(*r, p.server.release()), e));
  test::run_to_end(*r);
  EXPECT_EQ(e.code, errc::system);
  EXPECT_TRUE(e.os == EPIPE || e.os == ECONNRESET) << e.os;
}

TEST(net_stream, reset_is_a_read_error) {
  auto r = test::make_ring();
  pair p;
  test::reset_on_close(p.client.get());
  p.client = {};
  stream s(*r, p.server.release());
  std::string out;
  synfp::error e;
  synfp::spawn(then_stop(*r, read_all(s, out, e)));
  test::run_to_end(*r);
  EXPECT_EQ(e, synfp::error::from_errno(ECONNRESET));
}

task<> read_into(stream& s, std::vector<std::string>& log) {
  const auto chunk = co_await s.read();
  log.push_back(chunk ? std::string(chunk->view()) : std::string(synfp::to_string(chunk.error().code)));
}

task<> cancels(ring& r, stream& s, std::vector<std::string>& log, bool close) {
  co_await synfp::io::yield();  // the reader waits now
  if (close) {
    s.close();
  } else {
    s.cancel();
  }
  log.push_back("called");
  co_await synfp::io::yield();
  co_await synfp::io::yield();
  r.stop();
}

TEST(net_stream, cancel_ends_a_waiting_read) {
  auto r = test::make_ring();
  pair p;
  stream s(*r, p.server.release());
  std::vector<std::string> log;
  synfp::spawn(read_into(s, log));
  synfp::spawn(cancels(*r, s, log, false));
  test::run_to_end(*r);
  EXPECT_EQ(log, (std::vector<std::string>{"called", "canceled"}));
}

TEST(net_stream, close_ends_a_waiting_read) {
  auto r = test::make_ring();
  pair p;
  stream s(*r, p.server.release());
  std::vector<std::string> log;
  synfp::spawn(read_into(s, log));
  synfp::spawn(cancels(*r, s, log, true));
  test::run_to_end(*r);
  EXPECT_EQ(log, (std::vector<std::string>{"called", "canceled"}));
  EXPECT_EQ(s.fd(), -1);
  s.close();  // idempotent
}

TEST(net_stream, a_second_reader_is_refused) {
  auto r = test::make_ring();
  pair p;
  stream s(*r, p.server.release());
  std::vector<std::string> log;
  synfp::spawn(read_into(s, log));
  synfp::spawn(read_into(s, log));
  synfp::spawn(cancels(*r, s, log, false));
  test::run_to_end(*r);
  EXPECT_EQ(log, (std::vector<std::string>{"invalid", "called", "canceled"}));
}

task<> drop_reads(ring& r, stream s, int client, std::string& got) {
  for (int i = 0; i != 3; ++i) {
    {
      // Starts a read in a child that is destroyed while it waits.
      auto dropped = [](stream& from, std::string& into) -> task<> {
        const auto chunk = co_await from.read();
        if (chunk) into.append("WRONG");
      };
      auto child = dropped(s, got);
      auto handle = child.release();
      handle.resume();
      handle.destroy();
    }
    test::send_all(client, std::to_string(i));
    const auto chunk = co_await s.read();
    if (chunk) got.append(chunk->view());
  }
  r.stop();
}

TEST(net_stream, a_dropped_read_loses_nothing) {
  auto r = test::make_ring();
  pair p;
  std::string got;
  synfp::spawn(drop_reads(*r, stream(*r, p.server.release()), p.client.get(), got));
  test::run_to_end(*r);
  EXPECT_EQ(got, "012");
}

// Unread data is bounded: the receive is cancelled and taken up again, and the order is kept.
task<> reads_late(ring& r, stream s, std::size_t& most, std::string& got) {
  auto chunk = co_await s.read();
  while (chunk) {
    got.append(chunk->view());
    chunk->reset();
    for (int i = 0; i != 20; ++i) {
      co_await synfp::io::yield();
      most = std::max(most, r.leased());
    }
    chunk = co_await s.read();
  }
  r.stop();
}

TEST(net_stream, backpressure_bounds_unread_chunks) {
  synfp::io::ring_options o;
  o.buffers = 1024;
  o.buffer_size = 256;
  auto r = test::make_ring(o);
  pair p;
  // Linux 6.1 takes all that the socket holds before a cancellation gets through: let it hold little.
  const int small = 32 * 1024;
  ::setsockopt(p.server.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  std::string text;
  for (int i = 0; text.size() < 400'000; ++i) text += std::to_string(i) + ' ';
  std::thread client([&] {
    test::send_all(p.client.get(), text);
    ::shutdown(p.client.get(), SHUT_WR);
  });
  std::size_t most = 0;
  std::string got;
  synfp::spawn(reads_late(*r, stream(*r, p.server.release()), most, got));
  test::run_to_end(*r);
  client.join();
  EXPECT_TRUE(got == text);
  // What the kernel had begun to receive when it was asked to stop comes too, on a slow machine all that the
  // group for multishot receives holds. Not more, and nothing of the other group.
  EXPECT_LE(most, 768u);
  EXPECT_GT(r->counters().paused, 0u);
}

// 2 buffers, 20 connections that all have data at once: ENOBUFS parks them; nothing is lost or mixed up.
TEST(net_stream, few_buffers_many_connections) {
  synfp::io::ring_options o;
  o.buffers = 2;
  o.buffer_size = 64;
  auto r = test::make_ring(o);
  constexpr int n = 20;
  std::vector<pair> pairs(n);
  std::vector<std::string> sent(n);
  std::vector<std::string> got(n);
  int open = n;
  auto serve = [&](stream s, std::string& into) -> task<> {
    synfp::error end;
    co_await read_all(s, into, end);
    EXPECT_EQ(end.code, errc::closed);
    if (--open == 0) r->stop();
  };
  for (std::size_t i = 0; i != n; ++i) {
    for (int k = 0; k != 300; ++k) sent[i] += "c" + std::to_string(i) + ":" + std::to_string(k) + ";";
    test::send_all(pairs[i].client.get(), sent[i]);
    ::shutdown(pairs[i].client.get(), SHUT_WR);
    synfp::spawn(serve(stream(*r, pairs[i].server.release()), got[i]));
  }
  test::run_to_end(*r);
  for (std::size_t i = 0; i != n; ++i) EXPECT_TRUE(got[i] == sent[i]) << i;
}

// Somebody holds all buffers for a while, and there is no memory for copies: the others wait and are woken by
// the return.
TEST(net_stream, parked_connections_wake_when_buffers_come_back) {
  synfp::io::ring_options o;
  o.buffers = 2;
  o.buffer_size = 64;
  o.limits.copied = 0;
  auto r = test::make_ring(o);
  std::vector<pair> pairs(6);
  std::vector<synfp::io::buffer> held;
  std::string got;
  int waiting = 4;
  auto hold = [&](stream s) -> task<> {
    auto chunk = co_await s.read();
    EXPECT_TRUE(chunk);
    if (chunk) held.push_back(std::move(*chunk));
    if (held.size() != 2) co_return;
    co_await synfp::io::sleep_for(*r, 20ms);  // the others have got ENOBUFS by now, or will
    EXPECT_TRUE(got.empty());
    held.clear();
  };
  auto wait = [&](stream s) -> task<> {
    const auto chunk = co_await s.read();
    EXPECT_TRUE(chunk);
    if (chunk) got.append(chunk->view());
    if (--waiting == 0) r->stop();
  };
  for (std::size_t i = 0; i != 2; ++i) {
    test::send_all(pairs[i].client.get(), "h");
    synfp::spawn(hold(stream(*r, pairs[i].server.release())));
  }
  auto start_rest = [&]() -> task<> {
    while (held.size() != 2) co_await synfp::io::yield();
    for (std::size_t i = 2; i != 6; ++i) {
      test::send_all(pairs[i].client.get(), "w");
      synfp::spawn(wait(stream(*r, pairs[i].server.release())));
    }
  };
  synfp::spawn(start_rest());
  test::run_to_end(*r);
  EXPECT_EQ(got, "wwww");
  EXPECT_GE(r->counters().parked, 4u);
}

// Two connections whose owner keeps every chunk that it reads: all buffers that there are, if `copied` is 0.
struct hoard {
  std::unique_ptr<ring> r;
  std::vector<pair> peers = std::vector<pair>(2);
  std::vector<stream> streams;
  std::vector<synfp::io::buffer> held;

  explicit hoard(std::size_t copied) {
    synfp::io::ring_options o;
    o.buffers = 2;
    o.buffer_size = 64;
    o.limits.copied = copied;
    r = test::make_ring(o);
    for (auto& p : peers) streams.emplace_back(*r, p.server.release());
  }
  /// The next chunk of connection `i`, which is then held as well.
  task<> take(std::size_t i) {
    test::send_all(peers[i].client.get(), "h");
    auto chunk = co_await streams[i].read(2s);
    EXPECT_TRUE(chunk);
    if (chunk) held.push_back(*std::move(chunk));
  }
  void end() {
    held.clear();
    streams.clear();
    r->stop();
  }
};

// An adversary with as many connections as it likes cannot hold what a newcomer needs.
TEST(net_stream, held_buffers_do_not_starve_a_newcomer) {
  hoard h(1 << 20);
  pair newcomer;
  auto body = [&]() -> task<> {
    for (std::size_t i = 0; i != 100 && h.held.size() == i; ++i) co_await h.take(i % 2);
    test::send_all(newcomer.client.get(), "hello");
    stream s(*h.r, newcomer.server.release());
    const auto chunk = co_await s.read(2s);
    EXPECT_TRUE(chunk);
    if (chunk) {
      EXPECT_EQ(chunk->view(), "hello");
    }
    h.end();
  };
  synfp::spawn(body());
  test::run_to_end(*h.r);
  EXPECT_GE(h.r->counters().copied, 98u);
  EXPECT_EQ(h.r->counters().parked, 0u);
}

// Who has waited longest for a buffer gets the first one; who has stopped to wait gets none.
TEST(net_stream, parked_readers_take_turns) {
  hoard h(0);
  std::vector<pair> pairs(4);
  std::vector<stream> idle;
  std::vector<synfp::io::buffer> got;
  std::string order;
  auto read = [&](stream s, std::chrono::nanoseconds limit) -> task<> {
    auto chunk = co_await s.read(limit);
    if (!chunk) {
      EXPECT_EQ(chunk.error().code, errc::timed_out);
      order += "-";
      idle.push_back(std::move(s));
      co_return;
    }
    order += chunk->view();
    got.push_back(*std::move(chunk));
  };
  auto parked = [&](std::size_t i, std::chrono::nanoseconds limit) -> task<> {
    const auto before = h.r->counters().parked;
    test::send_all(pairs[i].client.get(), std::to_string(i));
    synfp::spawn(read(stream(*h.r, pairs[i].server.release()), limit));
    for (int tries = 0; h.r->counters().parked == before && tries != 2000; ++tries)
      co_await synfp::io::sleep_for(*h.r, 1ms);
  };
  auto until = [&](std::string_view wanted) -> task<> {
    for (int tries = 0; order != wanted && tries != 2000; ++tries) co_await synfp::io::sleep_for(*h.r, 1ms);
    EXPECT_EQ(order, wanted);
  };
  auto body = [&]() -> task<> {
    co_await h.take(0);
    co_await h.take(1);
    co_await parked(0, 20s);
    co_await parked(1, 20ms);
    co_await parked(2, 20s);
    co_await parked(3, 20s);
    co_await until("-");
    h.held.pop_back();  // one buffer, which its reader keeps
    co_await until("-0");
    if (!got.empty()) got.pop_back();
    co_await until("-02");
    if (!got.empty()) got.pop_back();
    co_await until("-023");
    got.clear();
    idle.clear();
    h.end();
  };
  synfp::spawn(body());
  test::run_to_end(*h.r);
  EXPECT_EQ(order, "-023");
}

// A reader that was tried and found no buffer again keeps its place.
TEST(io_buffer, a_retried_reader_keeps_its_place) {
  using synfp::io::detail::buffer_pool;
  using synfp::io::detail::parked_reader;
  auto* pool = buffer_pool::create(2, 64, 0);
  ASSERT_NE(pool, nullptr);
  auto* first = pool->received(0, 1);
  auto* second = pool->received(1, 1);
  ASSERT_TRUE(first != nullptr && second != nullptr);
  std::string tried;
  struct reader : parked_reader {
    reader(std::string& l, char n) : parked_reader(&reader::note, this), log(&l), name(n) {}
    static void note(void* self) {
      const auto& r = *static_cast<reader*>(self);
      r.log->push_back(r.name);
    }
    std::string* log;
    char name;
  };
  reader a(tried, 'a');
  reader b(tried, 'b');
  pool->park(a);
  pool->park(b);
  pool->recycle(second);
  EXPECT_EQ(tried, "a");
  pool->park(a);
  second = pool->received(1, 1);
  pool->recycle(second);
  EXPECT_EQ(tried, "aa");
  pool->retry_parked();
  EXPECT_EQ(tried, "aab");
  pool->recycle(first);
  EXPECT_EQ(pool->leased(), 0u);
  pool->abandon();
}

// Peers that send for ever while nobody reads: the ring holds a part of its buffers, no copies, and takes no
// more from them until they are read. Others are served meanwhile.
TEST(net_stream, unread_chunks_stay_below_the_limits) {
  synfp::io::ring_options o;
  o.buffers = 64;
  o.buffer_size = 256;
  auto r = test::make_ring(o);
  std::vector<pair> pairs(20);
  pair newcomer;
  std::size_t sitting = 0;
  std::size_t most = 0;
  bool over = false;
  auto sit = [&](stream s, int client) -> task<> {
    for (int i = 0; i != 2; ++i) {  // the second receive is the one that goes on by itself
      test::send_all(client, "x");
      const auto chunk = co_await s.read();
      EXPECT_TRUE(chunk);
    }
    ++sitting;
    while (!over) co_await synfp::io::yield();
    --sitting;
  };
  auto flood = [&]() -> task<> {
    while (sitting != pairs.size()) co_await synfp::io::yield();
    const std::string block(4096, 'b');
    std::size_t sent = 0;
    for (int idle = 0; idle != 50; ++idle) {  // until nothing more is taken
      for (const auto& p : pairs) {
        const auto n = ::send(p.client.get(), block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) idle = 0;
        if (n > 0) sent += static_cast<std::size_t>(n);
      }
      co_await synfp::io::yield();
      most = std::max(most, r->leased());
    }
    EXPECT_GT(sent, 64u * 256u * 10);
    test::send_all(newcomer.client.get(), "hello");
    stream s(*r, newcomer.server.release());
    const auto chunk = co_await s.read(2s);
    EXPECT_TRUE(chunk && chunk->view() == "hello");
    over = true;
    while (sitting != 0) co_await synfp::io::yield();
    r->stop();
  };
  for (auto& p : pairs) synfp::spawn(sit(stream(*r, p.server.release()), p.client.get()));
  synfp::spawn(flood());
  test::run_to_end(*r);
  EXPECT_LE(most, 48u);  // three quarters
  EXPECT_GT(r->counters().paused, 0u);
}

// Connections that are read once and then sit, as one that waits for its peer to take a response does: what
// their peers send meanwhile must not take the buffers from those who read.
TEST(net_stream, unread_connections_do_not_starve_the_others) {
  synfp::io::ring_options o;
  o.buffers = 8;
  o.buffer_size = 64;
  auto r = test::make_ring(o);
  std::vector<pair> pairs(o.buffers * 2);
  pair last;
  std::vector<std::string> got(pairs.size());
  std::size_t sitting = 0;
  bool over = false;
  auto sit = [&](stream s, int client, std::string& into) -> task<> {
    for (int k = 0; k != 2; ++k) {  // the second receive is the one that goes on by itself
      test::send_all(client, "x");
      const auto chunk = co_await s.read();
      EXPECT_TRUE(chunk);
    }
    ++sitting;
    while (!over) co_await synfp::io::sleep_for(*r, 1ms);
    synfp::error end;
    co_await read_all(s, into, end);
    EXPECT_EQ(end.code, errc::closed);
    if (--sitting == 0) r->stop();
  };
  auto check = [&](stream s) -> task<> {
    while (sitting != pairs.size()) co_await synfp::io::yield();
    for (std::size_t i = 0; i != pairs.size(); ++i) {
      test::send_all(pairs[i].client.get(), std::string(200, static_cast<char>('a' + i)));
      ::shutdown(pairs[i].client.get(), SHUT_WR);
    }
    co_await synfp::io::sleep_for(*r, 20ms);
    test::send_all(last.client.get(), "hello");
    const auto chunk = co_await s.read(2s);
    EXPECT_TRUE(chunk && chunk->view() == "hello");
    over = true;
  };
  for (std::size_t i = 0; i != pairs.size(); ++i) {
    const int client = pairs[i].client.get();
    synfp::spawn(sit(stream(*r, pairs[i].server.release()), client, got[i]));
  }
  synfp::spawn(check(stream(*r, last.server.release())));
  test::run_to_end(*r);
  for (std::size_t i = 0; i != pairs.size(); ++i)
    EXPECT_EQ(got[i], std::string(200, static_cast<char>('a' + i))) << i;
}

/// A connection whose peer does not read, with socket buffers as small as they get.
struct deaf_peer : pair {
  deaf_peer() {
    const int small = 1;
    ::setsockopt(client.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ::setsockopt(server.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  }
};

// A long text goes out from where it is, behind what was written before, and does not overtake what follows.
TEST(net_stream, sends_long_texts_without_copying_them) {
  using synfp::io::frame_pool;
  using synfp::io::pool_string;
  auto r = test::make_ring();
  pair p;
  const std::size_t size = 1'000'000;
  std::string got;
  std::thread client([&] { got = test::receive(p.client.get(), 3 * size + 12); });
  auto send = [&](stream s) -> task<> {
    pool_string first(size, 'a'), second(size, 'b'), third(size, 'c');
    s.write("one ");
    const auto before = frame_pool::in_use();
    (void)frame_pool::restart_peak();
    s.write(std::move(first));
    EXPECT_LT(frame_pool::peak(), before + 10'000);
    const auto all = co_await s.flush(10s);
    EXPECT_TRUE(all);
    EXPECT_TRUE(s.out().empty());
    EXPECT_LT(frame_pool::in_use(), before - 900'000);
    s.write("two ");
    s.write(std::move(second));
    s.write(std::move(third));  // and a copy where that is not possible
    s.write(" end");
    const auto rest = co_await s.flush(10s);
    EXPECT_TRUE(rest);
    r->stop();
  };
  synfp::spawn(send(stream(*r, p.server.release())));
  test::run_to_end(*r);
  client.join();
  EXPECT_TRUE(got == "one " + std::string(size, 'a') + "two " + std::string(size, 'b') +
                         std::string(size, 'c') + " end");
}

// It counts as output like any other, whether it is being sent or not.
TEST(net_stream, long_texts_are_bounded_and_go_with_their_connection) {
  using synfp::io::frame_pool;
  using synfp::io::pool_string;
  synfp::io::ring_options o;
  o.limits.output = 500'000;
  auto r = test::make_ring(o);
  pair p, q;
  const auto before = frame_pool::in_use();
  auto send = [&]() -> task<> {
    stream s(*r, p.server.release());
    s.write(pool_string(1'000'000, 'a'));
    const auto sent = co_await s.flush(10s);
    EXPECT_TRUE(!sent && sent.error().os == ENOBUFS);
    stream never(*r, q.server.release());
    never.write(pool_string(100'000, 'a'));
    r->stop();
  };
  synfp::spawn(send());
  test::run_to_end(*r);
  EXPECT_EQ(r->counters().shed, 1u);
  EXPECT_LT(frame_pool::in_use(), before + 10'000);
}

// Output that nobody takes is bounded for the ring: who has waited longest loses it.
TEST(net_stream, unsent_output_is_bounded) {
  synfp::io::ring_options o;
  o.limits.output = 1 << 20;
  auto r = test::make_ring(o);
  std::vector<deaf_peer> peers(4);
  std::string log;
  auto send = [&](std::size_t i, std::size_t size) -> task<> {
    stream s(*r, peers[i].server.release());
    s.write(std::string(size, 'o'));
    const auto sent = co_await s.flush(20s);
    EXPECT_FALSE(sent);
    log += std::to_string(i);
    if (!sent) log += sent.error() == synfp::error::from_errno(ENOBUFS) ? "shed " : "other ";
    EXPECT_LE(s.out().capacity(), 1024u);
  };
  auto body = [&]() -> task<> {
    synfp::spawn(send(0, 300'000));
    synfp::spawn(send(1, 300'000));
    synfp::spawn(send(2, 300'000));
    for (int i = 0; i != 10; ++i) co_await synfp::io::yield();
    EXPECT_EQ(log, "");
    synfp::spawn(send(3, 600'000));  // needs the place of two
    while (log.size() < 12) co_await synfp::io::yield();
    EXPECT_EQ(log, "0shed 1shed ");
    EXPECT_EQ(r->counters().shed, 2u);
    log.clear();
    pair hearing;
    stream s(*r, hearing.server.release());
    s.write(std::string(2'000'000, 'x'));  // more than the limit alone: the others keep theirs
    const auto sent = co_await s.flush(20s);
    EXPECT_TRUE(!sent && sent.error() == synfp::error::from_errno(ENOBUFS));
    EXPECT_EQ(log, "");
    r->stop();
  };
  synfp::spawn(body());
  test::run_to_end(*r);
  EXPECT_EQ(r->counters().shed, 3u);
}

TEST(net_stream, sent_output_gives_its_memory_back) {
  auto r = test::make_ring();
  pair p;
  auto body = [&](stream s) -> task<> {
    const auto before = synfp::io::frame_pool::in_use();
    for (int i = 0; i != 2; ++i) {  // both of the two strings that take turns
      s.write(std::string(50'000, 'x'));
      const auto sent = co_await s.flush();
      EXPECT_TRUE(sent);
      EXPECT_EQ(test::receive(p.client.get(), 50'000).size(), 50'000u);
    }
    EXPECT_LT(synfp::io::frame_pool::in_use() - before, 4096);
    r->stop();
  };
  synfp::spawn(body(stream(*r, p.server.release())));
  test::run_to_end(*r);
}

// close() while a receive is armed, then a new socket gets the same number: nothing of the old one touches
// it.
TEST(net_stream, close_does_not_hit_a_reused_descriptor) {
  auto r = test::make_ring();
  int reused = 0;
  auto body = [&](ring& on) -> task<> {
    for (int i = 0; i != 200; ++i) {
      pair p;
      const int number = p.server.get();
      {
        stream old(on, p.server.release());
        const auto nothing = co_await old.read(std::chrono::nanoseconds(1));
        EXPECT_FALSE(nothing);
      }
      pair q;  // may take over the number as soon as it is free
      if (q.server.get() == number || q.client.get() == number) ++reused;
      test::send_all(q.client.get(), "new");
      stream fresh(on, q.server.release());
      const auto chunk = co_await fresh.read(10s);
      EXPECT_TRUE(chunk);
      if (chunk) {
        EXPECT_EQ(chunk->view(), "new");
      }
      co_await synfp::io::yield();
    }
    on.stop();
  };
  synfp::spawn(body(*r));
  test::run_to_end(*r);
}

// The peer sends at the same time as the owner cancels or closes; every interleaving must add up.
TEST(net_stream, cancel_against_completion) {
  auto r = test::make_ring();
  int data = 0;
  int canceled = 0;
  auto reader = [&](stream& s) -> task<> {
    const auto chunk = co_await s.read();
    if (chunk) {
      ++data;
    } else {
      EXPECT_EQ(chunk.error().code, errc::canceled);
      ++canceled;
    }
  };
  auto body = [&]() -> task<> {
    for (int i = 0; i != 300; ++i) {
      pair p;
      stream s(*r, p.server.release());
      synfp::spawn(reader(s));
      for (int k = 0; k != i % 4; ++k) co_await synfp::io::yield();
      test::send_all(p.client.get(), "x");
      for (int k = 0; k != i / 4 % 4; ++k) co_await synfp::io::yield();
      if (i % 2 == 0) {
        s.cancel();
      } else {
        s.close();
      }
      while (synfp::io::spawned() != 1) co_await synfp::io::yield();
    }
    r->stop();
  };
  synfp::spawn(body());
  test::run_to_end(*r);
  EXPECT_EQ(data + canceled, 300);
}

task<> respond_and_linger(ring& r, stream s) {
  const auto first = co_await s.read();
  EXPECT_TRUE(first);
  s.write("HTTP/1.1 413 Content Too Large\r\n\r\n");
  co_await synfp::net::lingering_close(std::move(s), 64 << 20, 10s);
  r.stop();
}

TEST(net_stream, lingering_close_delivers_the_last_response) {
  auto r = test::make_ring();
  pair p;
  std::string answer;
  std::thread client([&] {
    // Larger than all socket buffers: without lingering the rest of it would be answered with RST.
    test::send_all(p.client.get(), std::string(12 << 20, 'b'));
    ::shutdown(p.client.get(), SHUT_WR);
    answer = test::receive(p.client.get(), 1000);
  });
  synfp::spawn(respond_and_linger(*r, stream(*r, p.server.release())));
  test::run_to_end(*r);
  client.join();
  EXPECT_EQ(answer, "HTTP/1.1 413 Content Too Large\r\n\r\n");
}

task<> connects(ring& r, synfp::endpoint to, std::string& got) {
  auto s = co_await synfp::net::connect(r, to);
  EXPECT_TRUE(s);
  if (s) {
    s->write("ping");
    const auto sent = co_await s->flush();
    EXPECT_TRUE(sent);
    const auto chunk = co_await s->read();
    if (chunk) got = std::string(chunk->view());
  }
  r.stop();
}

TEST(net_stream, connects) {
  auto r = test::make_ring();
  auto listening = test::listen_on_loopback();
  const auto where = test::name_of(listening.get(), false);
  std::thread server([&] {
    test::fd d(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_EQ(test::receive(d.get(), 4), "ping");
    test::send_all(d.get(), "pong");
  });
  std::string got;
  synfp::spawn(connects(*r, where, got));
  test::run_to_end(*r);
  server.join();
  EXPECT_EQ(got, "pong");
}

task<> fails_to_connect(ring& r, synfp::endpoint to, synfp::error& e) {
  const auto s = co_await synfp::net::connect(r, to);
  if (!s) e = s.error();
  r.stop();
}

TEST(net_stream, connect_is_refused) {
  auto r = test::make_ring();
  auto listening = test::listen_on_loopback();
  const auto where = test::name_of(listening.get(), false);
  listening = {};
  synfp::error e;
  synfp::spawn(fails_to_connect(*r, where, e));
  test::run_to_end(*r);
  EXPECT_EQ(e, synfp::error::from_errno(ECONNREFUSED));
}

// Who gets or gives much data waits for who does not.
TEST(net_stream, little_data_goes_before_much) {
  auto r = test::make_ring();
  std::vector<pair> pairs(50);
  std::string order;
  auto read = [&](stream s) -> task<> {
    const auto chunk = co_await s.read();
    EXPECT_TRUE(chunk);
    if (chunk) order.push_back(chunk->data()[0]);
    if (order.size() == pairs.size()) r->stop();
  };
  for (auto& p : pairs) synfp::spawn(read(stream(*r, p.server.release())));
  r->poll();  // all wait
  for (std::size_t i = 0; i != pairs.size() - 1; ++i)
    test::send_all(pairs[i].client.get(), std::string(5000, 'm'));
  test::send_all(pairs.back().client.get(), "l");
  test::run_to_end(*r);
  EXPECT_LE(order.find('l'),
            32u);  // a turn or two of 16 of the others: the kernel completes some of them first
}

// A coroutine that always finds data must not keep the others from running.
TEST(net_stream, ready_reads_yield_now_and_then) {
  synfp::io::ring_options o;
  o.buffer_size = 64;
  o.buffers = 4096;
  auto r = test::make_ring(o);
  pair p;
  test::send_all(p.client.get(), std::string(100'000, 'z'));
  ::shutdown(p.client.get(), SHUT_WR);
  bool done = false;
  int turns = 0;
  auto greedy = [&](stream s) -> task<> {
    while (true) {
      const auto chunk = co_await s.read();
      if (!chunk) break;
    }
    done = true;
    r->stop();
  };
  auto other = [&]() -> task<> {
    while (!done) {
      ++turns;
      co_await synfp::io::yield();
    }
  };
  synfp::spawn(greedy(stream(*r, p.server.release())));
  synfp::spawn(other());
  test::run_to_end(*r);
  EXPECT_GT(turns, 20);
}

}  // namespace
