// SPDX-License-Identifier: MIT
// What is ready to resume on this thread. Needs no ring: a test or a foreign loop can drain it itself.
#pragma once

#include <coroutine>
#include <cstddef>

#include <synfp/io/detail/list.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io::detail {

/// A place in the run queue. It lives in an awaiter or a promise, so queueing never allocates, and destroying
/// a suspended coroutine takes it out of the queue.
class run_node : public list_link {
 public:
  run_node() noexcept = default;
  explicit run_node(std::coroutine_handle<> h) noexcept : handle(h) {}

  std::coroutine_handle<> handle;
};

/// First in, first out. One per thread; a node is resumed by the thread that queued it.
class run_queue {
 public:
  constexpr run_queue() noexcept = default;

  static run_queue& current() noexcept { return current_; }

  bool empty() const noexcept { return nodes_.empty(); }

  /// Queues `node` unless it already is.
  void push(run_node& node) noexcept {
    if (!node.linked()) nodes_.push_back(node);
  }

  /// Resumes at most `max` coroutines, also those queued meanwhile. Returns how many.
  std::size_t run(std::size_t max) {
    std::size_t n = 0;
    for (; n != max; ++n) {
      list_link* link = nodes_.pop_front();  // out before it resumes: that may destroy the node
      if (link == nullptr) break;
      static_cast<run_node*>(link)->handle.resume();
    }
    return n;
  }
  void drain() {
    while (run(1) != 0) {
    }
  }

 private:
  list nodes_;

  static thread_local run_queue current_;
};

// Without braces: g++ 14 takes `{}` for a temporary of a type that a constant expression cannot destroy.
inline constinit thread_local run_queue run_queue::current_;

}  // namespace io::detail
SYNFP_END_NAMESPACE
