// SPDX-License-Identifier: MIT
// Work that blocks, beside the ring: co_await io::offload(pool, f).
#pragma once

#include <coroutine>
#include <exception>
#include <functional>  // invoke
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <synfp/io/detail/run_queue.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/thread_pool.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

namespace detail {

/// Calls `work` on a thread of the pool, and wakes a coroutine on its ring's thread.
template <class Work, class T>
class offloaded final : public pool_job {
 public:
  offloaded(ring& owner, run_node& waiter, Work work)
      : ring_(&owner), waiter_(&waiter), work_(std::move(work)) {
    acquire();  // of what is posted
    wake_up_ = ring::prepare_post(waking(*this));
  }

  void run() noexcept override {
#if defined(__cpp_exceptions)
    try {
#endif
      if constexpr (std::is_void_v<T>) {
        (*work_)();
        value_.emplace();
      } else {
        value_.emplace((*work_)());
      }
#if defined(__cpp_exceptions)
    } catch (...) {
      exception_ = std::current_exception();
    }
#endif
    work_.reset();
    wake();
  }
  void drop() noexcept override {
    work_.reset();
    wake();
  }

  /// The coroutine does not wait any more. Afterwards nothing is posted to its ring.
  void leave() noexcept {
    ring::posting unused;
    const std::lock_guard lock(mutex_);
    waiter_ = nullptr;
    std::swap(unused, wake_up_);  // destroyed after the lock is given back: it holds a reference
  }

  /// After the wake-up, on the ring's thread.
  result<T> get() {
#if defined(__cpp_exceptions)
    if (exception_) std::rethrow_exception(exception_);
#endif
    if (!value_) return error{errc::stopped, 0};
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      return std::move(*value_);
    }
  }

 private:
  struct nothing {};

  class waking {
   public:
    explicit waking(offloaded& job) noexcept : job_(&job) {}
    waking(waking&& other) noexcept : job_(std::exchange(other.job_, nullptr)) {}
    waking& operator=(waking&&) = delete;
    ~waking() {
      if (job_ != nullptr) job_->release();
    }
    void operator()() const noexcept {
      // Changed on this thread only, so it needs no lock here.
      if (job_->waiter_ != nullptr) run_queue::current().push(*job_->waiter_);
    }

   private:
    offloaded* job_;
  };

  // Under the lock: as long as the coroutine waits, its ring exists.
  void wake() noexcept {
    const std::lock_guard lock(mutex_);
    if (waiter_ != nullptr) ring_->post(std::exchange(wake_up_, ring::posting()));
  }

  ring* ring_;
  std::mutex mutex_;
  run_node* waiter_;
  ring::posting wake_up_;
  std::optional<Work> work_;
  std::optional<std::conditional_t<std::is_void_v<T>, nothing, T>> value_;
#if defined(__cpp_exceptions)
  std::exception_ptr exception_;
#endif
};

template <class F, class... Args>
class [[nodiscard]] offload_awaiter {
 public:
  using value_type = std::invoke_result_t<F, Args...>;
  static_assert(!std::is_reference_v<value_type>, "offload(): return a value, or a pointer");

  explicit offload_awaiter(std::shared_ptr<pool_queue> queue, F f, Args... args)
      : queue_(std::move(queue)), work_(std::in_place, std::move(f), std::move(args)...) {}
  offload_awaiter(const offload_awaiter&) = delete;
  offload_awaiter& operator=(const offload_awaiter&) = delete;
  ~offload_awaiter() {
    if (job_ == nullptr) return;
    queue_->remove(*job_);
    job_->leave();
    job_->release();
  }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> self) {
    ring* const owner = ring_of_thread;
    if (owner == nullptr) {
      refused_ = errc::invalid;
      return false;
    }
    node_.handle = self;
    job_ = new job(*owner, node_, *std::move(work_));
    work_.reset();
    const auto taken = queue_->push(*job_);
    if (taken) return true;
    refused_ = taken.error().code;
    return false;
  }
  result<value_type> await_resume() {
    if (refused_) return error{*refused_, 0};
    return job_->get();
  }

 private:
  struct call {
    call(F f, Args... args) : function(std::move(f)), arguments(std::move(args)...) {}
    value_type operator()() { return std::apply(std::move(function), std::move(arguments)); }
    F function;
    std::tuple<Args...> arguments;
  };
  using job = offloaded<call, value_type>;

  std::shared_ptr<pool_queue> queue_;
  std::optional<call> work_;
  run_node node_;
  job* job_ = nullptr;
  std::optional<errc> refused_;
};

}  // namespace detail

/// Calls `f(args...)` on a thread of `pool` and resumes the caller on its ring's thread with what f returned:
/// result<T>. An exception of f is rethrown there. `f` and copies of the arguments live until f has returned,
/// and are destroyed on the pool's thread.
///
/// errc::full: so many wait already (thread_pool_options::queue), f was not called: answer 503, or try again
/// later. errc::stopped: the pool was destroyed before a thread began it. errc::invalid: this thread has no
/// ring.
///
/// If the coroutine is destroyed while it waits (a stop's deadline), f is not called if no thread has begun
/// it; else it runs to its end and its result is dropped. So f must own what it uses, or use what outlives
/// the pool: nothing of the coroutine, whose frame may be gone. A handler that calls what blocks, without
/// this, blocks every connection of its thread.
///
/// g++ 12.2 destroys a lambda that is written inside of a co_await expression twice: give one that captures
/// objects a name first, or pass them as arguments.
template <class F, class... Args>
detail::offload_awaiter<std::decay_t<F>, std::decay_t<Args>...> offload(thread_pool& pool, F&& f,
                                                                        Args&&... args) {
  static_assert(std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>,
                "offload(pool, f, args...): f(args...) must be callable");
  return detail::offload_awaiter<std::decay_t<F>, std::decay_t<Args>...>(pool.queue(), std::forward<F>(f),
                                                                         std::forward<Args>(args)...);
}

}  // namespace io
SYNFP_END_NAMESPACE
