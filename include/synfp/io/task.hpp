// SPDX-License-Identifier: MIT
// task<T>: a lazy coroutine; spawn(): a detached one.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>  // invoke
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <synfp/io/detail/run_queue.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

template <class T = void>
class task;

/// Receives an exception that no code caught. It runs where the coroutine ends, so it must return soon.
using escape_handler = void (*)(void* context, std::exception_ptr why) noexcept;

namespace detail {

class promise_base;

/// The detached coroutines of this thread that have not finished, newest first.
struct root_list {
  promise_base* newest = nullptr;
  std::size_t count = 0;
  std::uint64_t escaped = 0;
  escape_handler handler = nullptr;
  void* context = nullptr;
};
inline constinit thread_local root_list roots{};

inline void escape(std::exception_ptr why) noexcept {
  ++roots.escaped;
  if (roots.handler != nullptr) roots.handler(roots.context, std::move(why));
}

[[noreturn]] inline void throw_bad_alloc() {
#if defined(__cpp_exceptions)
  throw std::bad_alloc();
#else
  std::terminate();  // as operator new does in such a program
#endif
}

/// What is common to the promises of all task<T>.
class promise_base {
 public:
  promise_base() noexcept = default;
  promise_base(const promise_base&) = delete;
  promise_base& operator=(const promise_base&) = delete;
  ~promise_base() {
    if (!detached_) return;
    (newer_ != nullptr ? newer_->older_ : roots.newest) = older_;
    if (older_ != nullptr) older_->newer_ = newer_;
    --roots.count;
  }

  // Null, and then the compiler calls get_return_object_on_allocation_failure().
  static void* operator new(std::size_t size) noexcept { return frame_pool::try_allocate(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { frame_pool::deallocate(frame, size); }

  std::suspend_always initial_suspend() const noexcept { return {}; }

  // A detached coroutine runs off its end and frees its frame. An awaited one stops here, and the parent goes
  // through the run queue instead of being resumed from here: with g++ that would not be a tail call below
  // -O2 or with sanitizers, and the stack would grow with every completion.
  class final_awaiter {
   public:
    explicit final_awaiter(promise_base& promise) noexcept : promise_(&promise) {}
    bool await_ready() const noexcept { return promise_->detached_; }
    void await_suspend(std::coroutine_handle<>) const noexcept {
      if (promise_->next_.handle) run_queue::current().push(promise_->next_);
    }
    void await_resume() const noexcept {}

   private:
    promise_base* promise_;
  };
  final_awaiter final_suspend() noexcept { return final_awaiter(*this); }

  void unhandled_exception() noexcept {
#if defined(__cpp_exceptions)
    if (detached_) {
      escape(std::current_exception());
    } else {
      exception_ = std::current_exception();
    }
#endif
  }

  void set_parent(std::coroutine_handle<> parent) noexcept { next_.handle = parent; }

  void detach(std::coroutine_handle<> self) noexcept {
    detached_ = true;
    older_ = roots.newest;
    if (older_ != nullptr) older_->newer_ = this;
    roots.newest = this;
    ++roots.count;
    next_.handle = self;
    run_queue::current().push(next_);
  }

  std::coroutine_handle<> self() const noexcept { return next_.handle; }

 protected:
  void rethrow() const {
#if defined(__cpp_exceptions)
    if (exception_) std::rethrow_exception(exception_);
#endif
  }

 private:
  // Of a detached coroutine: itself, to start it. Of an awaited one: its parent, which cannot go away without
  // destroying this frame, and so leaves the queue with it.
  run_node next_;
  promise_base* newer_ = nullptr;
  promise_base* older_ = nullptr;
#if defined(__cpp_exceptions)
  std::exception_ptr exception_;
#endif
  bool detached_ = false;
};

/// Destroys every detached coroutine of this thread, newest first, wherever it is suspended. Not from inside
/// a coroutine.
inline void destroy_roots() noexcept {
  while (roots.newest != nullptr) roots.newest->self().destroy();
}

template <class T>
class promise final : public promise_base {
 public:
  static_assert(!std::is_reference_v<T>, "task<T&> is not supported; return a pointer");
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__, "frames are aligned as by operator new");

  task<T> get_return_object() noexcept;
  static task<T> get_return_object_on_allocation_failure() noexcept;
  template <class U = T>
  requires std::is_constructible_v<T, U>
  void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<T, U>) {
    value_.emplace(std::forward<U>(value));
  }
  T take() {
    rethrow();
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class promise<void> final : public promise_base {
 public:
  inline task<void> get_return_object() noexcept;
  inline static task<void> get_return_object_on_allocation_failure() noexcept;
  void return_void() const noexcept {}
  void take() const { rethrow(); }
};

template <class T>
class [[nodiscard]] task_awaiter {
 public:
  explicit task_awaiter(std::coroutine_handle<promise<T>> child) noexcept : child_(child) {}

  bool await_ready() const noexcept { return !child_; }
  bool await_suspend(std::coroutine_handle<> parent) {
    child_.resume();
    if (child_.done()) return false;  // it never waited: the parent goes on, on this stack frame
    child_.promise().set_parent(parent);
    return true;
  }
  T await_resume() {
    if (!child_) throw_bad_alloc();
    return child_.promise().take();
  }

 private:
  std::coroutine_handle<promise<T>> child_;
};

}  // namespace detail

/// A coroutine that starts when it is awaited and runs on the awaiting thread. The object owns the frame:
/// destroying a task destroys the coroutine wherever it is suspended (its pending operations are cancelled).
/// Await it once, as an rvalue: the parent resumes from the thread's run queue after the child has finished,
/// or at once if the child never waited. An exception of the child is rethrown in the parent. Calling the
/// coroutine never fails: if there is no memory for its frame, awaiting the task throws std::bad_alloc, and
/// spawn() treats it as a coroutine that threw that.
///
/// The frame holds copies of the parameters and nothing else. What a parameter refers to must outlive the
/// coroutine, and so must the object it is a member of. A lambda is such an object: its captures are in the
/// lambda, not in the frame. `spawn([&x]() -> task<> { co_await f(x); }());` destroys the lambda before the
/// coroutine starts, and no compiler says so. Write `spawn([&x]() -> task<> { co_await f(x); });`, which
/// keeps the lambda, or pass what it needs as parameters.
///
/// g++ 12.2 compiles a coroutine wrongly, without a word, if a condition contains co_await and its body
/// declares no variable at all (GCC PR 106188): write `while (auto x = co_await f())` or give the result a
/// name first.
template <class T>
class [[nodiscard]] task {
 public:
  using promise_type = detail::promise<T>;
  using value_type = T;

  task() noexcept = default;
  task(task&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)),
        out_of_memory_(std::exchange(other.out_of_memory_, false)) {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, nullptr);
      out_of_memory_ = std::exchange(other.out_of_memory_, false);
    }
    return *this;
  }
  ~task() { reset(); }

  /// False after a move or spawn(), and if there was no memory for the frame.
  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
  /// There was no memory for the frame.
  bool out_of_memory() const noexcept { return out_of_memory_; }

  detail::task_awaiter<T> operator co_await() && noexcept { return detail::task_awaiter<T>(handle_); }

  /// For spawn() and other starters: the caller owns the frame from here on.
  std::coroutine_handle<promise_type> release() noexcept { return std::exchange(handle_, nullptr); }

 private:
  friend promise_type;
  explicit task(std::coroutine_handle<promise_type> handle) noexcept
      : handle_(handle), out_of_memory_(!handle) {}
  void reset() noexcept {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }

  std::coroutine_handle<promise_type> handle_;
  bool out_of_memory_ = false;
};

namespace detail {

template <class T>
task<T> promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<promise>::from_promise(*this));
}
template <class T>
task<T> promise<T>::get_return_object_on_allocation_failure() noexcept {
  return task<T>(nullptr);
}
inline task<void> promise<void>::get_return_object() noexcept {
  return task<void>(std::coroutine_handle<promise>::from_promise(*this));
}
inline task<void> promise<void>::get_return_object_on_allocation_failure() noexcept {
  return task<void>(nullptr);
}

/// Keeps `function` and its arguments in its frame.
template <class F, class... Args>
task<> call_and_keep(F function, Args... args) {
  task<> work = std::invoke(std::move(function), std::move(args)...);
  co_await std::move(work);
}

class [[nodiscard]] yield_awaiter {
 public:
  yield_awaiter() noexcept = default;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    node_.handle = self;
    node_.bulk = true;
    run_queue::current().push(node_);
  }
  void await_resume() const noexcept {}

 private:
  run_node node_;
};

}  // namespace detail

/// Runs `work` detached, on this thread: it starts from the run queue, not inside this call. A ring that
/// stops destroys what has not finished by its deadline. An exception that leaves it, or std::bad_alloc if
/// there was no memory for its frame, goes to on_escape() and is counted.
inline void spawn(task<> work) noexcept {
  if (work) {
    const auto handle = work.release();
    handle.promise().detach(handle);
  } else if (work.out_of_memory()) {
    detail::escape(std::make_exception_ptr(std::bad_alloc()));
  }
}

/// The same for the task that `function(args...)` makes. The function object and copies of the arguments live
/// until it has ended, so the lambda of `spawn([&x]() -> task<> { co_await f(x); });` may capture; what it
/// captures by reference, and what std::ref passes, must live as long. The function is called when the work
/// starts, not inside this call.
template <class F, class... Args>
requires(!std::is_same_v<std::remove_cvref_t<F>, task<>>) void spawn(F&& function, Args&&... args) {
  static_assert(std::is_invocable_r_v<task<>, std::decay_t<F>, std::decay_t<Args>...>,
                "spawn(function, args...): function(args...) must be a coroutine that returns io::task<>");
  spawn(detail::call_and_keep<std::decay_t<F>, std::decay_t<Args>...>(std::forward<F>(function),
                                                                      std::forward<Args>(args)...));
}

/// From now on `handler` gets the exceptions that leave spawned coroutines of this thread, each at the end of
/// its coroutine, with `context`; null: they are only counted. Returns what was set before.
inline std::pair<escape_handler, void*> on_escape(escape_handler handler, void* context) noexcept {
  return {std::exchange(detail::roots.handler, handler), std::exchange(detail::roots.context, context)};
}

/// Lets everything that is ready on this thread run first: `co_await io::yield();`.
inline detail::yield_awaiter yield() noexcept { return {}; }

/// Exceptions that left a spawned coroutine of this thread since the thread began, and those for which there
/// was no memory.
inline std::uint64_t escaped_exceptions() noexcept { return detail::roots.escaped; }

/// Spawned coroutines of this thread that have not finished.
inline std::size_t spawned() noexcept { return detail::roots.count; }

}  // namespace io

using io::spawn;
using io::task;
SYNFP_END_NAMESPACE
