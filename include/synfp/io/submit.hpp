// SPDX-License-Identifier: MIT
// Any operation of io_uring that completes once, as an awaitable.
#pragma once

#include <cerrno>
#include <coroutine>
#include <new>
#include <type_traits>
#include <utility>

#include <synfp/io/detail/run_queue.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/operation.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

/// What submit() gives: the CQE's result, not negative, and the state that the operation worked on.
template <class State>
struct submitted {
  int value = 0;
  State state;
};

/// The awaiter of submit().
template <class State, class Prepare>
class [[nodiscard]] submit_awaiter {
 public:
  submit_awaiter(ring& owner, State state, Prepare prepare)
      : ring_(&owner), state_(std::move(state)), prepare_(std::move(prepare)) {}
  submit_awaiter(const submit_awaiter&) = delete;
  submit_awaiter& operator=(const submit_awaiter&) = delete;
  ~submit_awaiter() {
    if (in_kernel_ == nullptr) return;
    in_kernel_->waiter = nullptr;
    ring_->cancel(in_kernel_->op);
    ring_->submit_all();  // the owner may close the descriptor next
  }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> self) {
    node_.handle = self;
    auto* o = ::new (frame_pool::allocate(sizeof(flight)))
        flight{{&flight::completed, nullptr}, this, std::move(state_)};
    o->op.owner = o;
    if (!ring_->start(o->op, [&](::io_uring_sqe* sqe) { prepare_(sqe, o->state); })) {
      state_ = std::move(o->state);
      flight::destroy(o);
      result_ = -ECANCELED;
      return false;
    }
    in_kernel_ = o;
    return true;
  }
  result<submitted<State>> await_resume() {
    if (result_ == -ECANCELED) return error{errc::canceled, 0};
    if (result_ < 0) return error::from_errno(-result_);
    return submitted<State>{result_, std::move(state_)};
  }

 private:
  /// The kernel's side: it lives until the completion; the awaiter may be gone by then.
  struct flight {
    operation op;
    submit_awaiter* waiter;
    State state;

    static void completed(void* self, int result, unsigned flags) {
      if (!is_last(flags)) return;
      auto* o = static_cast<flight*>(self);
      if (o->waiter != nullptr) {
        o->waiter->result_ = result;
        o->waiter->state_ = std::move(o->state);
        o->waiter->in_kernel_ = nullptr;
        detail::run_queue::current().push(o->waiter->node_);
      } else if constexpr (requires { o->state.abandoned(result); }) {
        o->state.abandoned(result);
      }
      destroy(o);
    }
    static void destroy(flight* o) noexcept {
      o->~flight();
      frame_pool::deallocate(o, sizeof(flight));
    }
  };

  ring* ring_;
  flight* in_kernel_ = nullptr;
  State state_;
  Prepare prepare_;
  int result_ = 0;
  detail::run_node node_;
};

/// Submits an operation that completes once and awaits it, on the ring's thread: result<submitted<State>>.
/// `prepare(sqe, state)` fills in the SQE, with liburing's io_uring_prep_...(). The kernel may use memory
/// until the operation completes, which is later than the end of a coroutine that is destroyed while it
/// waits: so everything that the SQE points to belongs into `state`, which is moved to a place of its own,
/// lives until the completion and comes back with the result. Its move must not throw. Descriptors stay the
/// caller's; when the wait is over, the kernel does not look them up any more.
///
/// Gives the kernel's error, or errc::canceled: after ring::cancel_fd(), and at the end of the ring. `state`
/// is destroyed with the awaiter then. Destroying the coroutine cancels the operation. Linked and multishot
/// submissions are not for this: see ring::start(). If the coroutine is gone when the operation completes,
/// and State has `void abandoned(int result) noexcept`, that is called: an operation that opens a file closes
/// it.
///
///     struct block { int fd; std::array<char, 4096> bytes; };
///     block b{fd, {}};  // not inside the co_await: g++ 12 would destroy a temporary twice, or never
///     auto done = co_await io::submit(ring, std::move(b), [](io_uring_sqe* sqe, block& b) {
///       io_uring_prep_read(sqe, b.fd, b.bytes.data(), sizeof b.bytes, 0);
///     });
///     if (done) use(done->state.bytes.data(), done->value);
template <class State, class Prepare>
submit_awaiter<State, Prepare> submit(ring& owner, State state, Prepare prepare) {
  static_assert(std::is_nothrow_move_constructible_v<State> && std::is_nothrow_move_assignable_v<State>,
                "the state of io::submit() must be movable without exceptions");
  static_assert(std::is_invocable_v<Prepare&, ::io_uring_sqe*, State&>,
                "io::submit() calls prepare(io_uring_sqe*, State&)");
  return {owner, std::move(state), std::move(prepare)};
}

}  // namespace io
SYNFP_END_NAMESPACE
