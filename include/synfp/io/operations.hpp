// SPDX-License-Identifier: MIT
// Single operations as awaitables: poll_fd.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <coroutine>
#include <new>

#include <synfp/io/frame_pool.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

namespace detail {

class single_awaiter;

/// The kernel's side of one operation that completes once. The ring frees it at the completion; the awaiter
/// may be gone by then.
struct single_operation {
  operation op{&completed, this};
  single_awaiter* waiter = nullptr;
  sockaddr_storage address{};  // of connect
  socklen_t address_length = 0;

  static void completed(void* self, int result, unsigned flags);
};

/// Base of awaiters of one operation. Destroying it before the completion cancels the operation.
class single_awaiter {
 public:
  explicit single_awaiter(ring& owner) noexcept : ring_(&owner) {}
  single_awaiter(const single_awaiter&) = delete;
  single_awaiter& operator=(const single_awaiter&) = delete;
  ~single_awaiter() {
    if (operation_ == nullptr) return;
    operation_->waiter = nullptr;
    ring_->cancel(operation_->op);
    ring_->submit_all();  // the owner may close the descriptor next
  }

  bool await_ready() const noexcept { return false; }

 protected:
  /// The operation takes its address from `settings`; `prepare(sqe, operation)` fills in the submission.
  /// False: it could not start.
  template <class Prepare>
  bool begin(std::coroutine_handle<> self, const single_operation& settings, Prepare prepare) {
    node_.handle = self;
    auto* o = ::new (frame_pool::allocate(sizeof(single_operation))) single_operation;
    o->waiter = this;
    o->address = settings.address;
    o->address_length = settings.address_length;
    if (!ring_->start(o->op, [&](::io_uring_sqe* sqe) { prepare(sqe, *o); })) {
      frame_pool::deallocate(o, sizeof(single_operation));
      result_ = -ECANCELED;
      return false;
    }
    operation_ = o;
    return true;
  }
  error failure() const noexcept {
    if (result_ == -ECANCELED) return {errc::canceled, 0};
    return error::from_errno(-result_);
  }
  int result_ = 0;

 private:
  friend struct single_operation;
  ring* ring_;
  single_operation* operation_ = nullptr;
  run_node node_;
};

inline void single_operation::completed(void* self, int result, unsigned flags) {
  if (!is_last(flags)) return;
  auto* o = static_cast<single_operation*>(self);
  if (o->waiter != nullptr) {
    o->waiter->result_ = result;
    o->waiter->operation_ = nullptr;
    run_queue::current().push(o->waiter->node_);
  }
  o->~single_operation();
  frame_pool::deallocate(o, sizeof(single_operation));
}

class [[nodiscard]] poll_awaiter : public single_awaiter {
 public:
  poll_awaiter(ring& owner, int fd, unsigned events) noexcept
      : single_awaiter(owner), fd_(fd), events_(events) {}
  bool await_suspend(std::coroutine_handle<> self) {
    return begin(self, single_operation{}, [this](::io_uring_sqe* sqe, single_operation&) {
      io_uring_prep_poll_add(sqe, fd_, events_);
    });
  }
  result<unsigned> await_resume() const noexcept {
    if (result_ < 0) return failure();
    return static_cast<unsigned>(result_);
  }

 private:
  int fd_;
  unsigned events_;
};

}  // namespace detail

/// Waits until `fd` has one of `events` (POLLIN, POLLOUT, ...) and gives those that it has. The descriptor
/// stays the caller's. ring::cancel_fd(fd) ends the wait with errc::canceled; so does destroying the
/// coroutine, without a result.
inline detail::poll_awaiter poll_fd(ring& owner, int fd, unsigned events) noexcept {
  return {owner, fd, events};
}

}  // namespace io
SYNFP_END_NAMESPACE
