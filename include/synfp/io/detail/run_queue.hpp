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
  bool bulk = false;  // how it is queued next: after coroutines that need little
};

/// First in, first out, in two classes. A coroutine that moves much data, or that has had its turn and wants
/// to go on, is `bulk`: it waits for the others. They leave the bulk class a sixteenth of the resumptions,
/// which is also the most it gets while they have work. So with a thousand connections that always have work,
/// the little work of one more does not wait for theirs.
///
/// One per thread; a node is resumed by the thread that queued it.
class run_queue {
 public:
  constexpr run_queue() noexcept = default;

  static run_queue& current() noexcept { return current_; }

  bool empty() const noexcept { return prompt_.empty() && bulk_.empty(); }

  /// Queues `node` unless it already is.
  void push(run_node& node) noexcept {
    if (!node.linked()) (node.bulk ? bulk_ : prompt_).push_back(node);
  }

  /// Resumes at most `max` coroutines, also those queued meanwhile. Returns how many.
  std::size_t run(std::size_t max) {
    const std::size_t most_bulk = max < 16 ? 1 : max / 16;
    const std::size_t most_prompt = max - max / 16;
    std::size_t prompt = 0;
    std::size_t bulk = 0;
    while (prompt + bulk != max) {
      list_link* link = nullptr;  // out before it resumes: that may destroy the node
      if (prompt < most_prompt || bulk_.empty()) link = prompt_.pop_front();
      if (link != nullptr) {
        ++prompt;
      } else {
        if (bulk == most_bulk) break;
        link = bulk_.pop_front();
        if (link == nullptr) break;
        ++bulk;
      }
      static_cast<run_node*>(link)->handle.resume();
    }
    return prompt + bulk;
  }
  void drain() {
    while (run(1) != 0) {
    }
  }

 private:
  thread_list prompt_;
  thread_list bulk_;

  static thread_local run_queue current_;
};

// Without braces: g++ 14 takes `{}` for a temporary of a type that a constant expression cannot destroy.
inline constinit thread_local run_queue run_queue::current_;

}  // namespace io::detail
SYNFP_END_NAMESPACE
