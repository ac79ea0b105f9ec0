// SPDX-License-Identifier: MIT
// What receives the completions of a submission, and the object that must live until the last of them.
#pragma once

#include <liburing.h>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

/// One operation in the kernel's hands: its address is the submission's user_data. ring::start() submits it;
/// then the ring calls `complete(owner, result, flags)` for every completion, `result` and `flags` being the
/// CQE's. On the ring's thread, while completions are read: it must not throw, and it must not resume a
/// coroutine itself; wait_slot::wake() queues one.
///
/// It must live until its last completion (is_last()), also if it was cancelled. So it is a member of an
/// object that counts its operations (operation_owner), never of a coroutine's frame, which may be destroyed
/// earlier. After the last completion it can be started again.
struct operation {
  using handler = void (*)(void* owner, int result, unsigned flags);
  handler complete;
  void* owner;
};

/// No completion of this operation follows: the CQE has no IORING_CQE_F_MORE.
constexpr bool is_last(unsigned flags) noexcept { return (flags & IORING_CQE_F_MORE) == 0; }

/// Base of an object that its handle and its operations share, and that ends with the last of them. One
/// thread.
class operation_owner {
 public:
  operation_owner(const operation_owner&) = delete;
  operation_owner& operator=(const operation_owner&) = delete;

  /// One more handle or operation. It begins with one.
  void acquire() noexcept { ++references_; }
  /// The last one destroys the object.
  void release() noexcept {
    if (--references_ == 0) destroy_(*this);
  }
  /// For the last completion of an operation: says so, then releases.
  void end_operation() noexcept {
    operation_ended_(*this);
    release();
  }

 protected:
  using function = void (*)(operation_owner&) noexcept;

  /// `operation_ended` is called after the last completion of an operation, `destroy` for the last release().
  operation_owner(function operation_ended, function destroy) noexcept
      : operation_ended_(operation_ended), destroy_(destroy) {}
  ~operation_owner() = default;

 private:
  function operation_ended_;
  function destroy_;
  unsigned references_ = 1;
};

}  // namespace io
SYNFP_END_NAMESPACE
