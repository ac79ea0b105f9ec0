// SPDX-License-Identifier: MIT
// What is ready to resume on this thread. Needs no ring: a test or a foreign loop can drain it itself.
#pragma once

#include <coroutine>
#include <cstddef>
#include <utility>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io::detail {

class run_queue;

/// A place in the run queue. It lives in an awaiter or a promise, so queueing never allocates, and destroying
/// a suspended coroutine takes it out of the queue.
class run_node {
 public:
  run_node() noexcept = default;
  explicit run_node(std::coroutine_handle<> h) noexcept : handle(h) {}
  run_node(const run_node&) = delete;
  run_node& operator=(const run_node&) = delete;
  ~run_node() { unlink(); }

  bool queued() const noexcept { return queue_ != nullptr; }
  inline void unlink() noexcept;

  std::coroutine_handle<> handle;

 private:
  friend class run_queue;
  run_queue* queue_ = nullptr;
  run_node* next_ = nullptr;
  run_node* prev_ = nullptr;
};

/// First in, first out. One per thread; a node is resumed by the thread that queued it.
class run_queue {
 public:
  constexpr run_queue() noexcept = default;
  run_queue(const run_queue&) = delete;
  run_queue& operator=(const run_queue&) = delete;

  static run_queue& current() noexcept { return current_; }

  bool empty() const noexcept { return head_ == nullptr; }

  void push(run_node& node) noexcept {
    if (node.queue_ != nullptr) return;
    node.queue_ = this;
    node.next_ = nullptr;
    node.prev_ = tail_;
    (tail_ != nullptr ? tail_->next_ : head_) = &node;
    tail_ = &node;
  }

  /// Resumes at most `max` coroutines, also those queued meanwhile. Returns how many.
  std::size_t run(std::size_t max) {
    std::size_t n = 0;
    for (; n != max && head_ != nullptr; ++n) {
      run_node& node = *head_;
      const std::coroutine_handle<> handle = node.handle;
      node.unlink();  // resuming may destroy the node
      handle.resume();
    }
    return n;
  }
  void drain() {
    while (run(1) != 0) {
    }
  }

 private:
  friend class run_node;
  void remove(run_node& node) noexcept {
    (node.prev_ != nullptr ? node.prev_->next_ : head_) = node.next_;
    (node.next_ != nullptr ? node.next_->prev_ : tail_) = node.prev_;
    node.queue_ = nullptr;
  }

  run_node* head_ = nullptr;
  run_node* tail_ = nullptr;

  static thread_local run_queue current_;
};

inline constinit thread_local run_queue run_queue::current_{};

inline void run_node::unlink() noexcept {
  if (queue_ != nullptr) queue_->remove(*this);
}

}  // namespace io::detail
SYNFP_END_NAMESPACE
