// SPDX-License-Identifier: MIT
// Threads for work that blocks, with a queue that is bounded. See io::offload().
#pragma once

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>  // what std::thread throws
#include <thread>
#include <utility>
#include <vector>

#include <synfp/io/detail/list.hpp>
#include <synfp/result.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

struct thread_pool_options {
  unsigned threads = 4;
  /// Jobs that wait for a thread. Beyond, offload() fails at once with errc::full.
  std::size_t queue = 256;
};

namespace detail {

/// One piece of work. The pool and whoever waits for it hold a reference each.
class pool_job : public list_link {
 public:
  pool_job() noexcept = default;
  pool_job(const pool_job&) = delete;
  pool_job& operator=(const pool_job&) = delete;

  virtual void run() noexcept = 0;   ///< on a thread of the pool
  virtual void drop() noexcept = 0;  ///< instead of run(): the pool ends

  void acquire() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 protected:
  virtual ~pool_job() = default;

 private:
  std::atomic<unsigned> references_{1};
};

/// What the threads share. Jobs keep it alive. Thread-safe.
class pool_queue {
 public:
  explicit pool_queue(std::size_t most) noexcept : most_(most) {}
  pool_queue(const pool_queue&) = delete;
  pool_queue& operator=(const pool_queue&) = delete;

  /// Takes a reference, unless it fails: errc::full, errc::stopped.
  result<void> push(pool_job& job) noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (ended_) return error{errc::stopped, 0};
      if (size_ == most_) return error{errc::full, 0};
      job.acquire();
      jobs_.push_back(job);
      ++size_;
    }
    changed_.notify_one();
    return {};
  }

  /// Nobody wants it any more. If it was still queued, it is not run.
  void remove(pool_job& job) noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (!job.linked()) return;
      job.unlink();
      --size_;
    }
    job.release();
  }

  /// Runs jobs until end().
  void work() noexcept {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return ended_ || size_ != 0; });
      if (ended_) return;
      auto& job = *static_cast<pool_job*>(jobs_.pop_front());
      --size_;
      lock.unlock();
      job.run();
      job.release();
      lock.lock();
    }
  }

  void end() noexcept {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    while (pool_job* job = pop()) {
      job->drop();
      job->release();
    }
  }

  std::size_t size() const noexcept {
    const std::lock_guard lock(mutex_);
    return size_;
  }

 private:
  pool_job* pop() noexcept {
    const std::lock_guard lock(mutex_);
    if (size_ == 0) return nullptr;
    --size_;
    return static_cast<pool_job*>(jobs_.pop_front());
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  list jobs_;
  std::size_t size_ = 0;
  std::size_t most_;
  bool ended_ = false;
};

}  // namespace detail

/// Threads that run what io::offload() hands them, in the order in which it came. They block every signal, so
/// that a signal finds the thread that waits for it. Thread-safe: one pool serves all rings. Move-only.
///
/// Destroying it drops the jobs that no thread has begun, whose coroutines get errc::stopped, and waits for
/// those that run, since a thread cannot be ended from outside: a job must end by itself.
class thread_pool {
 public:
#if defined(__cpp_exceptions)
  /// Throws setup_failure.
  explicit thread_pool(const thread_pool_options& options = {})
      : thread_pool(value_or_throw(create(options))) {}
#endif

  static setup_result<thread_pool> create(const thread_pool_options& options = {}) {
    if (options.threads == 0 || options.queue == 0)
      return setup_error{errc::invalid, 0, "a thread_pool needs at least one thread and room for one job"};
    thread_pool pool(std::make_shared<detail::pool_queue>(options.queue));
    pool.threads_.reserve(options.threads);
    const all_signals_blocked while_they_start;
#if defined(__cpp_exceptions)
    try {
#endif
      for (unsigned i = 0; i != options.threads; ++i)
        pool.threads_.emplace_back([queue = pool.queue_.get()] { queue->work(); });
#if defined(__cpp_exceptions)
    } catch (const std::system_error& e) {
      return setup_error{errc::system, e.code().value(),
                         "cannot start a thread of the pool (" + e.code().message() +
                             "); use fewer, or raise the limit of processes or of memory"};
    }
#endif
    return pool;
  }

  thread_pool(thread_pool&&) noexcept = default;
  thread_pool& operator=(thread_pool&& other) noexcept {
    if (this != &other) {
      end();
      queue_ = std::move(other.queue_);
      threads_ = std::move(other.threads_);
    }
    return *this;
  }
  ~thread_pool() { end(); }

  std::size_t threads() const noexcept { return threads_.size(); }
  /// Jobs that wait for a thread.
  std::size_t queued() const noexcept { return queue_->size(); }

  /// For offload().
  const std::shared_ptr<detail::pool_queue>& queue() const noexcept { return queue_; }

 private:
  class all_signals_blocked {
   public:
    all_signals_blocked() noexcept {
      sigset_t all;
      sigfillset(&all);
      ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    all_signals_blocked(const all_signals_blocked&) = delete;
    all_signals_blocked& operator=(const all_signals_blocked&) = delete;
    ~all_signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

   private:
    sigset_t before_{};
  };

  explicit thread_pool(std::shared_ptr<detail::pool_queue> queue) noexcept : queue_(std::move(queue)) {}

  void end() noexcept {
    if (!queue_) return;
    queue_->end();
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }

  std::shared_ptr<detail::pool_queue> queue_;
  std::vector<std::thread> threads_;
};

}  // namespace io
SYNFP_END_NAMESPACE
