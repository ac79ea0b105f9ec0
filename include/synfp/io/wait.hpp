// SPDX-License-Identifier: MIT
// How a coroutine waits for something that an object will have: wait_slot in the object, wait_awaiter in the
// coroutine.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <utility>

#include <synfp/io/detail/run_queue.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

/// A wait without a limit.
inline constexpr std::chrono::nanoseconds for_ever = std::chrono::nanoseconds::max();

/// Where at most one coroutine waits for what an object will have (received bytes, an accepted connection).
/// A member of that object. Used on the ring's thread.
class wait_slot {
 public:
  explicit wait_slot(ring& owner) noexcept : ring_(&owner), timeout_(&expired, this) {}
  wait_slot(const wait_slot&) = delete;
  wait_slot& operator=(const wait_slot&) = delete;

  /// A coroutine waits here.
  bool taken() const noexcept { return waiting_ != nullptr; }

  /// Queues the waiting coroutine, if there is one; it resumes from the ring's loop, never inside this call,
  /// and then asks whether what it waits for is there. `bulk`: it has moved much data, and gives precedence
  /// to coroutines that have not.
  void wake(bool bulk = false) noexcept { end(reason::none, bulk); }
  /// The same, but it does not ask: what it waited for has happened, and need not be so any more when it
  /// resumes.
  void finish(bool bulk = false) noexcept { end(reason::finished, bulk); }
  /// The same, and the wait ends with errc::canceled unless what it waits for is there.
  void cancel() noexcept { end(reason::canceled, false); }

 private:
  template <class>
  friend class wait_awaiter;

  enum class reason : std::uint8_t { none, finished, canceled, timed_out };
  struct waiting {
    detail::run_node node;
    reason why = reason::none;
  };

  void end(reason why, bool bulk) noexcept {
    if (waiting_ == nullptr || waiting_->node.linked()) return;
    waiting_->why = why;
    waiting_->node.bulk = bulk;
    detail::run_queue::current().push(waiting_->node);
  }
  static void expired(void* self) { static_cast<wait_slot*>(self)->end(reason::timed_out, false); }

  ring* ring_;
  timeout timeout_;
  waiting* waiting_ = nullptr;
  unsigned ready_in_a_row_ = 0;
};

/// Awaits what `What` describes: result<T>, where What has
///   wait_slot& slot()   where to wait
///   bool ready()        what is waited for is there, or never will be
///   void begin()        nothing is there: start what brings it, if it has not been started. May call wake()
///   void left()         the coroutine does not wait any more
///   result<T> get()     takes it. Precondition: ready(), or wait_slot::finish() was called
/// It keeps What alive, and What the object that the slot is in. Gives errc::invalid if another coroutine
/// waits there, errc::timed_out after `limit`, errc::canceled after wait_slot::cancel(). If the coroutine is
/// destroyed while it waits, the wait ends without a result; nothing is lost, a later wait gets what comes.
///
/// After 32 waits in a row that had nothing to wait for, the coroutine lets others run first.
template <class What>
class [[nodiscard]] wait_awaiter {
 public:
  explicit wait_awaiter(What what, std::chrono::nanoseconds limit = for_ever) noexcept
      : what_(std::move(what)), limit_(limit) {}
  wait_awaiter(const wait_awaiter&) = delete;
  wait_awaiter& operator=(const wait_awaiter&) = delete;
  ~wait_awaiter() { leave(); }

  bool await_ready() noexcept {
    wait_slot& slot = what_.slot();
    busy_ = slot.taken();
    if (busy_) return true;
    if (!what_.ready()) return false;
    if (++slot.ready_in_a_row_ < 32) return true;
    slot.ready_in_a_row_ = 0;
    return false;
  }
  void await_suspend(std::coroutine_handle<> self) {
    wait_slot& slot = what_.slot();
    waiting_.node.handle = self;
    slot.waiting_ = &waiting_;
    entered_ = true;
    if (what_.ready()) {
      slot.wake(true);
      return;
    }
    slot.ready_in_a_row_ = 0;
    what_.begin();
    if (limit_ != for_ever && !waiting_.node.linked()) slot.ring_->arm(slot.timeout_, limit_);
  }
  auto await_resume() -> decltype(std::declval<What&>().get()) {
    leave();
    if (busy_) return error{errc::invalid, 0};
    if (waiting_.why == wait_slot::reason::finished || what_.ready()) return what_.get();
    return error{waiting_.why == wait_slot::reason::timed_out ? errc::timed_out : errc::canceled, 0};
  }

 private:
  void leave() noexcept {
    if (!entered_) return;
    entered_ = false;
    wait_slot& slot = what_.slot();
    slot.waiting_ = nullptr;
    if (limit_ != for_ever) slot.ring_->disarm(slot.timeout_);
    what_.left();
  }

  What what_;
  std::chrono::nanoseconds limit_;
  wait_slot::waiting waiting_;
  bool entered_ = false;
  bool busy_ = false;
};

}  // namespace io
SYNFP_END_NAMESPACE
