// SPDX-License-Identifier: MIT
// SIGINT, SIGTERM and SIGHUP of a server.
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>  // strerror
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <system_error>  // what std::thread throws
#include <thread>
#include <utility>

#include <synfp/net/server.hpp>
#include <synfp/service/notify.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

struct stop_on_signal_options {
  /// What is in flight has that long, see server::stop().
  std::chrono::nanoseconds grace = std::chrono::seconds(10);
  /// SIGHUP calls it instead of stopping: reads the configuration again, opens log files anew. On a thread of
  /// its own, beside those that serve; one call at a time. What it throws goes to server_options::on_error,
  /// and the server goes on.
  std::function<void()> reload{};
};

/// While it lives, SIGINT and SIGTERM stop the server: the first one in order, a second one at once. SIGHUP
/// does the same, unless there is something to reload, or the signal was ignored (nohup). The server must
/// outlive it.
///
/// Make it before run() and before any thread of your own: the signals are blocked for the thread that makes
/// it and for those started later, and one that finds a thread which does not block it ends the program.
/// Destroy it on the thread that made it. That gets its mask back, unless a signal has come: they stay
/// blocked then, because a program that is ending in order must not be ended by one more.
class stop_on_signal {
 public:
#if defined(__cpp_exceptions)
  /// Throws setup_failure.
  explicit stop_on_signal(server& stopped, stop_on_signal_options options = {})
      : stop_on_signal(value_or_throw(open(stopped, std::move(options)))) {}
#endif

  static setup_result<stop_on_signal> open(server& stopped, stop_on_signal_options options = {}) {
    stop_on_signal made(std::make_unique<waiter>(stopped, std::move(options)));
    if (const int number = made.waiter_->start(); number != 0)
      return setup_error{errc::system, number,
                         std::string("cannot wait for signals (") + std::strerror(number) +
                             "); raise the limit of processes"};
    return made;
  }

 private:
  class waiter {
   public:
    waiter(server& stopped, stop_on_signal_options options)
        : server_(&stopped), options_(std::move(options)) {}
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;
    ~waiter() {
      if (thread_.joinable()) {
        done_ = true;
        ::pthread_kill(thread_.native_handle(), SIGINT);  // it waits for that one in any case
        thread_.join();
      }
      if (blocked_ && !stopped_) ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

    /// 0 or an errno.
    int start() {
      sigemptyset(&signals_);
      sigaddset(&signals_, SIGINT);
      sigaddset(&signals_, SIGTERM);
      if (options_.reload || !is_ignored(SIGHUP)) sigaddset(&signals_, SIGHUP);
      if (const int number = ::pthread_sigmask(SIG_BLOCK, &signals_, &before_); number != 0) return number;
      blocked_ = true;
#if defined(__cpp_exceptions)
      try {
#endif
        thread_ = std::thread([this] { wait(); });
#if defined(__cpp_exceptions)
      } catch (const std::system_error& e) {
        return e.code().value();
      }
#endif
      return 0;
    }

   private:
    static bool is_ignored(int number) noexcept {
      struct sigaction now {};
      return ::sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
    }

    void wait() noexcept {
      while (true) {
        int number = 0;
        if (::sigwait(&signals_, &number) != 0 || done_) return;
        if (number == SIGHUP && options_.reload) {
          if (!stopped_) reload();
          continue;
        }
        server_->stop(stopped_ ? std::chrono::nanoseconds::zero() : options_.grace);
        stopped_ = true;
      }
    }

    void reload() noexcept {
#if defined(__cpp_exceptions)
      try {
#endif
        if (server_->options_.managed) service::notify_reloading();
        options_.reload();
#if defined(__cpp_exceptions)
      } catch (...) {
        server_->report(std::current_exception());
      }
#endif
      if (server_->options_.managed) service::notify("READY=1");
    }

    server* server_;
    stop_on_signal_options options_;
    sigset_t signals_{};
    sigset_t before_{};
    bool blocked_ = false;
    bool stopped_ = false;  // of the thread, until that has ended
    std::atomic<bool> done_{false};
    std::thread thread_;
  };

  explicit stop_on_signal(std::unique_ptr<waiter> w) noexcept : waiter_(std::move(w)) {}

  std::unique_ptr<waiter> waiter_;
};

}  // namespace net
SYNFP_END_NAMESPACE
