// SPDX-License-Identifier: MIT
// One script from its beginning to its end: the whole server, its kernel and its clients, in one thread.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <synfp/capture/fixed.hpp>
#include <synfp/http/bodies.hpp>
#include <synfp/http/body_reader.hpp>
#include <synfp/http/events.hpp>
#include <synfp/http/observer.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/http/stream.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/poll_fd.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/server.hpp>

#include "choices.hpp"
#include "clients.hpp"
#include "kernel.hpp"

namespace synfp::test::scripted {

// ---- what is served ----

/// The value of `name` in "id=1&n=2".
inline std::size_t number_in(std::string_view query, std::string_view name) {
  std::size_t value = 0;
  const std::size_t at = query.find(std::string(name) + '=');
  if (at != query.npos)
    std::from_chars(query.data() + at + name.size() + 1, query.data() + query.size(), value);
  return value;
}
inline std::string pattern_for(const http::request& q) {
  return pattern(static_cast<unsigned>(number_in(q.query(), "id")), number_in(q.query(), "n"));
}

inline http::chunks pieces_of(std::string text) {
  for (std::size_t at = 0, i = 0; at < text.size(); at += 1500, ++i) {
    if (i % 3 == 1) co_await io::sleep_for(std::chrono::milliseconds(20));
    co_yield std::string_view(text).substr(at, 1500);
  }
}

struct descriptor {
  int number = -1;
  descriptor() = default;
  explicit descriptor(int n) : number(n) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (number >= 0) ::close(number);
  }
};

inline const http::routes routes{
    http::get<"/text">([](const http::request& q) { return http::text(pattern_for(q)); }),
    http::get<"/later">([](const http::request& q) -> task<http::response> {
      const auto delay = std::chrono::milliseconds(number_in(q.query(), "id") % 7 * 30);
      co_await io::sleep_for(delay);
      co_await io::yield();
      co_return http::text(pattern_for(q));
    }),
    http::get<"/chunks">([](const http::request& q) {
      return http::stream(http::text(std::string()), pieces_of(pattern_for(q)));
    }),
    http::get<"/length">([](const http::request& q) {
      const std::string all = pattern_for(q);
      return http::stream(http::text(all.substr(0, all.size() / 2)), pieces_of(all.substr(all.size() / 2)),
                          all.size());
    }),
    http::get<"/events">([](const http::request& q) -> http::events {
      const auto id = static_cast<unsigned>(number_in(q.query(), "id"));
      for (unsigned i = 0; i != events_in_a_stream; ++i) {
        co_yield http::event(event_text(id, i));
        co_await io::sleep_for(std::chrono::milliseconds(50));
      }
    }),
    http::get<"/throws">([](const http::request&) -> http::response { throw std::runtime_error("thrown"); }),
    http::get<"/waits">([](const http::request& q) -> task<http::response> {
      const descriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
      if (event.number >= 0) {
        const auto ready = co_await io::poll_fd(io::ring::current(), event.number, POLLIN);
        if (!ready) co_return http::status(503);
      }
      co_return http::text(pattern_for(q));
    }),
    http::post<"/echo">([](const http::request& q) { return http::text(q.body()); }),
    http::post<"/pieces">([](const http::request&, http::body_reader& body) -> task<http::response> {
      std::string all;
      while (auto piece = co_await body.read()) all += *piece;
      if (!body.complete()) co_return http::status(400);
      co_return http::text(summary(all));
    })};

/// Every connection that is opened is closed.
struct open_connections {
  std::size_t now = 0;
  void answered(const http::exchange&) noexcept {}
  void opened(const net::connection_facts&) noexcept { ++now; }
  void closed(const net::connection_facts&) noexcept { --now; }
};

// ---- the script ----

/// Which allocations fail: `burst` of them, after the first `after`.
struct memory_plan {
  long after = -1;  // none
  long burst = 1;
};

class script final : public surroundings {
 public:
  script(kernel& k, const memory_plan& memory_fails) : kernel_(&k) {
    choices& choose = k.choose;
    now_.memory_fails = memory_fails.after >= 0;
    const unsigned number = 1 + choose.below(8);
    for (unsigned i = 0; i != number; ++i) {
      using habit = client::habit;
      constexpr habit habits[] = {habit::honest, habit::honest,    habit::honest,   habit::half_closes,
                                  habit::aborts, habit::reads_not, habit::sends_not};
      const habit how = choose.one_of(habits);
      clients_.push_back(std::make_unique<client>(k, i + 1, how, 1 + choose.below(5),
                                                  k.now + choose.below(400) * millisecond));
    }
    if (choose.once_in(4)) stop_at_ = k.now + choose.below(1500) * millisecond;
    constexpr nanoseconds graces[] = {10 * second, 0, 300 * millisecond};
    grace_ = choose.one_of(graces);
  }

  circumstances& now() { return now_; }
  void serve(net::server& server) { server_ = &server; }
  bool serves() const { return server_ != nullptr; }
  bool finished() const { return stopped_; }

  std::size_t ready() override {
    able_.clear();
    if (server_ == nullptr) return 0;
    for (const auto& c : clients_) {
      if (c->can_act()) able_.push_back(c.get());
    }
    events_ = kernel_->awaited_events();
    const bool stops = !stopped_ && (kernel_->now >= stop_at_ || (last_ && all_finished()));
    const bool goes_on = !stopped_ && !last_ && all_finished();
    turns_ = stops || goes_on ? 1 : 0;
    return able_.size() + events_.size() + turns_;
  }
  void act(std::size_t which) override {
    if (which < able_.size()) {
      able_[which]->act(now_);
    } else if (which < able_.size() + events_.size()) {
      events_[which - able_.size()]->count = 1;
    } else if (kernel_->now >= stop_at_ || last_) {
      stop();
    } else {
      begin_last();
    }
  }
  nanoseconds next() override {
    nanoseconds when = stopped_ ? never : stop_at_;
    for (const auto& c : clients_) when = std::min(when, c->wake());
    if (memory_until_ != never) when = std::min(when, memory_until_);
    // Those who wait for something of the server look at the clock.
    if (!all_finished() || stopped_) when = std::min(when, kernel_->now + second);
    return when;
  }
  void check() override {
    if (now_.memory_fails && memory::failed > 0 && memory_until_ == never) {
      memory_until_ = kernel_->now + 2 * second;
      now_.memory_failed = true;
    }
    if (kernel_->now >= memory_until_) memory_is_back();
    now_.descriptors_short = now_.descriptors_short || kernel_->shortages != 0;
    for (const auto& c : clients_) c->check(now_);
    if (stopped_ && kernel_->now > now_.stop_deadline + second) {
      kernel_->fail("the server does not stop");
    }
  }

 private:
  bool all_finished() const {
    return std::all_of(clients_.begin(), clients_.end(), [](const auto& c) { return c->finished(); });
  }
  void memory_is_back() {
    memory_until_ = never;
    now_.memory_fails = false;
    memory::failures = 0;
  }
  /// Whatever has happened: who comes now is served.
  void begin_last() {
    kernel_->say("-- all is well from now on");
    last_ = true;
    memory_is_back();
    kernel_->choose.calm();
    now_ = {};
    kernel_->shortages = 0;
    for (unsigned i = 0; i != 2; ++i) {
      clients_.push_back(
          std::make_unique<client>(*kernel_, 50 + i, client::habit::strict, 3, kernel_->now + millisecond));
    }
  }
  void stop() {
    kernel_->say("-- stop");
    stopped_ = true;
    now_.stopping = true;
    now_.stop_deadline = kernel_->now + grace_;
    server_->stop(std::chrono::nanoseconds(grace_));
  }

  kernel* kernel_;
  net::server* server_ = nullptr;
  circumstances now_;
  std::vector<std::unique_ptr<client>> clients_;
  nanoseconds stop_at_ = never;
  nanoseconds grace_ = 0;
  nanoseconds memory_until_ = never;
  bool last_ = false;
  bool stopped_ = false;
  std::vector<client*> able_;  // of ready(), as are the next two
  std::vector<std::shared_ptr<file>> events_;
  std::size_t turns_ = 0;
};

struct outcome {
  std::string failure;  // empty: none
  long failed_allocations = 0;
};

inline io::task<> accept_all(net::listener& listener, open_connections& open,
                             const http::serve_options& options) {
  while (auto accepted = co_await listener.accept())
    io::spawn(http::serve(std::move(*accepted), routes, options, open));
}

/// On a thread of its own.
inline outcome run_here(choices choose, memory_plan plan, bool trace) {
  memory::immune = true;
  outcome result;
  {
    const bool few_descriptors = choose.once_in(5);
    kernel k(choose,
             kernel::first_descriptor + (few_descriptors ? 12 + static_cast<int>(choose.below(12)) : 1000),
             trace);
    script all(k, plan);
    k.world = &all;
    constexpr unsigned sizes[] = {512, 4, 8, 64};
    constexpr unsigned most[] = {32768, 8, 64};
    k.waits_only = choose.once_in(8);
    k.configure(choose.once_in(6), choose.one_of(most));
    net::server_options options;
    options.ring.entries = choose.one_of(sizes);
    constexpr unsigned completions[] = {0, 8, 16, 64};
    options.ring.completions = choose.one_of(completions);
    constexpr unsigned buffers[] = {64, 1, 2, 4, 8, 32};
    options.ring.buffers = choose.one_of(buffers);
    constexpr unsigned buffer_sizes[] = {4096, 64, 300};
    options.ring.buffer_size = choose.one_of(buffer_sizes);
    options.ring.limits.unread = choose.one_of<unsigned, 3>({8, 1, 2});
    options.ring.limits.copied = choose.one_of<std::size_t, 3>({1 << 20, 0, 600});
    http::serve_options serving;
    serving.limits.output = choose.one_of<std::uint32_t, 3>({16 * 1024, 1, 2000});
    if (choose.once_in(8)) {
      options.ring.limits.output = 50'000;
      all.now().output_short = true;
    }
    all.now().descriptors_short = few_descriptors;
    k.say(
        "%u buffers of %u bytes, %zu bytes of copies, %u chunks unread, %zu and %u bytes of output, %d "
        "descriptors",
        options.ring.buffers, options.ring.buffer_size, options.ring.limits.copied,
        options.ring.limits.unread, options.ring.limits.output, serving.limits.output, k.limit());
    open_connections open;
    capture::fixed source(miss::not_captured);

    current_kernel = &k;
    memory::immune = false;
    if (plan.after >= 0) memory::arm(plan.after, plan.burst);
    std::string ended;
    try {
      auto server = net::server::open({endpoint::v4(127, 0, 0, 1, 0)}, source, options);
      if (server) {
        const auto handler = [&](net::listener& l) { return accept_all(l, open, serving); };
        const auto done = server->try_run(handler, [&] { all.serve(*server); });
        if (!done) ended = done.error().message;
      } else {
        ended = server.error().message;
      }
    } catch (const std::exception& e) {
      ended = e.what();
    }
    result.failed_allocations = memory::disarm();
    memory::immune = true;
    current_kernel = nullptr;

    if (!ended.empty() && (all.serves() || result.failed_allocations == 0))
      k.fail("the server ended: " + ended);
    if (ended.empty() && !all.finished()) k.fail("the server ended");
    if (!k.broken()) {
      if (k.open_descriptors() != 0)
        k.fail(std::to_string(k.open_descriptors()) + " descriptors are left open");
      if (open.now != 0) k.fail("the observer was not told of the end of a connection");
    }
    if (io::spawned() != 0) k.fail("a coroutine is left");
    if (http::bodies().held != 0) k.fail("bodies are counted that are not there");
    if (io::frame_pool::in_use() != 0)
      k.fail(std::to_string(io::frame_pool::in_use()) + " bytes of the pool are not given back");
    result.failure = k.failure();
  }
  return result;
}

/// With an empty frame pool, and a look at whether all memory comes back.
inline outcome run(const choices& choose, const memory_plan& plan = {}, bool trace = false) {
  outcome result;
  const std::size_t before = memory::in_use;
  std::thread([&] { result = run_here(choose, plan, trace); }).join();
  const std::size_t text = result.failure.capacity() > 15 ? malloc_usable_size(result.failure.data()) : 0;
  if (memory::in_use != before + text && result.failure.empty())
    result.failure = std::to_string(memory::in_use - before) + " bytes are lost";
  return result;
}

}  // namespace synfp::test::scripted
