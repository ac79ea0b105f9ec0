// SPDX-License-Identifier: MIT
// A coroutine that produces the body of a response, and where its pieces go.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string_view>
#include <utility>

#include <synfp/http/response.hpp>
#include <synfp/io/buffer.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// What was sent of a response.
struct sent_bytes {
  std::uint64_t all = 0;  // from its status line on
  std::uint64_t body = 0;
  bool complete = false;
};

/// Frames the pieces of one body into the output of its connection. The connection waits here for what the
/// producer does; `woken` is called for that.
class body_sink {
 public:
  /// `most`: with as much output the producer has to wait. `length`: of the body, for body_end::length.
  body_sink(io::pool_string& out, sent_bytes& sent, body_end how, std::uint64_t length, std::size_t most,
            void (*woken)(void*) noexcept, void* context) noexcept
      : out_(&out), sent_(&sent), how_(how), left_(length), most_(most), wake_(woken), context_(context) {}
  body_sink(const body_sink&) = delete;
  body_sink& operator=(const body_sink&) = delete;

  /// Appends a piece of the body, or nothing if there is no memory. An empty one is none: as a chunk it would
  /// be the last.
  void put(std::string_view piece) {
    if (piece.empty() || overrun_) return;
    if (how_ == body_end::length && piece.size() > left_) {
      overrun_ = true;
    } else {
      // The size in hexadecimal, between two line ends.
      char head[20];
      char* p = head + sizeof head;
      if (how_ == body_end::chunked) {
        *--p = '\n';
        *--p = '\r';
        for (std::size_t n = piece.size(); n != 0; n >>= 4) *--p = "0123456789abcdef"[n & 15];
      }
      const auto head_size = static_cast<std::size_t>(head + sizeof head - p);
      const std::size_t before = out_->size();
      out_->reserve(out_->size() + head_size + piece.size() + 2);
      out_->append(p, head_size).append(piece);
      if (how_ == body_end::chunked) out_->append("\r\n");
      if (how_ == body_end::length) left_ -= piece.size();
      sent_->all += out_->size() - before;
      sent_->body += piece.size();
    }
    wake_(context_);
  }
  /// Appends a piece that is sent from where it is, if the connection can: see take_by(). It is flushed
  /// before there is room again.
  void put(io::buffer piece) {
    if (take_ == nullptr || how_ != body_end::length || piece.size() > left_ || piece.size() < 16 * 1024) {
      put(piece.view());
      return;
    }
    left_ -= piece.size();
    sent_->all += piece.size();
    sent_->body += piece.size();
    take_(stream_, std::move(piece));
    taken_ = true;
    wake_(context_);
  }
  /// `take(stream, piece)` sends a piece after what is in the output.
  void take_by(void (*take)(void*, io::buffer&&), void* stream) noexcept {
    take_ = take;
    stream_ = stream;
  }
  /// A piece was taken since the last flushed().
  bool taken() const noexcept { return taken_; }
  void flushed() noexcept { taken_ = false; }
  /// The body is complete. False if it is shorter than was said.
  [[nodiscard]] bool finish() {
    if (how_ == body_end::length && left_ != 0) return false;
    if (how_ == body_end::chunked) {
      out_->append("0\r\n\r\n");
      sent_->all += 5;
    }
    return true;
  }

  /// The producer has more than it said, or less when it ends.
  bool overrun() const noexcept { return overrun_; }
  /// It may produce more before what it has produced is with TCP.
  bool has_room() const noexcept { return !flushing && !overrun_ && !taken_ && out_->size() < most_; }
  void wake() noexcept { wake_(context_); }

  bool flushing = false;  ///< the connection waits for TCP; what is appended meanwhile prolongs that

 private:
  io::pool_string* out_;
  sent_bytes* sent_;
  body_end how_;
  bool overrun_ = false;
  std::uint64_t left_;  // of the length
  std::size_t most_;
  void (*wake_)(void*) noexcept;
  void* context_;
  void (*take_)(void*, io::buffer&&) = nullptr;
  void* stream_ = nullptr;
  bool taken_ = false;
};

/// What is common to the promises of `chunks` and `events`.
class producer_promise {
 public:
  producer_promise() noexcept = default;
  producer_promise(const producer_promise&) = delete;
  producer_promise& operator=(const producer_promise&) = delete;

  // Null, and then the compiler calls get_return_object_on_allocation_failure().
  static void* operator new(std::size_t size) noexcept { return io::frame_pool::try_allocate(size); }
  static void operator delete(void* frame, std::size_t size) noexcept {
    io::frame_pool::deallocate(frame, size);
  }

  /// Suspends the producer until its connection resumes it, unless there is room for more.
  class yield_awaiter {
   public:
    explicit yield_awaiter(producer_promise& promise) noexcept : promise_(&promise) {}
    bool await_ready() const noexcept { return promise_->sink_->has_room(); }
    void await_suspend(std::coroutine_handle<>) const noexcept { promise_->pause(); }
    void await_resume() const noexcept {}

   private:
    producer_promise* promise_;
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  // Its owner sees that it is done, and destroys it.
  std::suspend_always final_suspend() noexcept {
    done_ = true;
    pause();
    return {};
  }
  void unhandled_exception() noexcept {
#if defined(__cpp_exceptions)
    exception_ = std::current_exception();
#endif
  }
  void return_void() const noexcept {}

 protected:
  body_sink& sink() const noexcept { return *sink_; }

 private:
  friend class producer;
  void pause() noexcept {
    paused_ = true;
    sink_->wake();
  }

  body_sink* sink_ = nullptr;
  bool paused_ = true;  // at its beginning, at a co_yield, or at its end
  bool done_ = false;
  std::exception_ptr exception_;
};

/// Owns a suspended producer: destroying it destroys the coroutine wherever it is.
class producer {
 public:
  producer() noexcept = default;
  template <class Promise>
  explicit producer(std::coroutine_handle<Promise> handle) noexcept
      : handle_(handle), promise_(&handle.promise()) {}
  producer(producer&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), promise_(std::exchange(other.promise_, nullptr)) {}
  producer& operator=(producer&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, nullptr);
      promise_ = std::exchange(other.promise_, nullptr);
    }
    return *this;
  }
  ~producer() { reset(); }

  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
  void reset() noexcept {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }

  /// Before the first resume().
  void connect(body_sink& sink) noexcept { promise_->sink_ = &sink; }
  /// It waits for its connection, not for something of its own.
  bool paused() const noexcept { return promise_->paused_; }
  bool done() const noexcept { return promise_->done_; }
  /// Precondition: paused() and not done().
  void resume() {
    promise_->paused_ = false;
    handle_.resume();
  }
  /// What left it, or null.
  std::exception_ptr exception() const noexcept { return promise_->exception_; }

 private:
  std::coroutine_handle<> handle_;
  producer_promise* promise_ = nullptr;
};

}  // namespace http::detail
SYNFP_END_NAMESPACE
