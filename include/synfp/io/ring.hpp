// SPDX-License-Identifier: MIT
// The event loop of one thread: an io_uring, its receive buffers, its timers and its run queue.
#pragma once

#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include <synfp/io/detail/buffer_pool.hpp>
#include <synfp/io/detail/list.hpp>
#include <synfp/io/detail/refusal.hpp>
#include <synfp/io/detail/run_queue.hpp>
#include <synfp/io/detail/timer_wheel.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/operation.hpp>
#include <synfp/io/task.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io {

/// When the kernel runs the completions of a ring.
enum class task_run : std::uint8_t {
  automatic,    ///< the first of the following that the kernel has
  deferred,     ///< SINGLE_ISSUER | DEFER_TASKRUN (Linux 6.1)
  cooperative,  ///< COOP_TASKRUN
  plain,        ///< with an interrupt per completion: about 60 % more CPU time per request
};

/// What the peers of a ring's connections can make it hold, whatever they send and however little they read.
/// What is refused is counted, see ring_counters.
struct limits {
  /// Received chunks that one connection holds unread; then it receives nothing until they are read. 32 KiB:
  /// what a burst of one round trip brings. The kernel may add what it had begun to receive, at most the
  /// buffers for multishot receives.
  std::uint32_t unread = 8;
  /// Bytes of received chunks that the ring holds outside of its buffers, since few of these are left: a full
  /// buffer for each of 8,192 readers. Beyond, readers wait for a buffer.
  std::size_t copied = std::size_t{32} * 1024 * 1024;
  /// Bytes of output in the hands of the ring that TCP has not taken yet: 16,384 connections of 16 KiB, which
  /// is what http::serve() lets pile up before it waits. Beyond, the connection that has waited longest for
  /// its peer loses its output, and its flush() fails with ENOBUFS; so does one that needs more alone.
  std::size_t output = std::size_t{256} * 1024 * 1024;
};

struct ring_options {
  std::uint32_t entries = 512;    ///< of the submission queue; halved while memory is short
  std::uint32_t completions = 0;  ///< of the completion queue; 0: eight times `entries`
  std::uint32_t buffers = 1024;   ///< receive buffers, a power of two up to 32768; a quarter for readers only
  std::uint32_t buffer_size = 4096;  ///< bytes of each
  task_run mode = task_run::automatic;
  io::limits limits{};
};

/// Since the ring was made.
struct ring_counters {
  std::uint64_t paused = 0;  ///< receives stopped, as the connection held limits::unread chunks
  std::uint64_t parked = 0;  ///< readers that waited for a buffer
  std::uint64_t copied = 0;  ///< chunks copied, as few buffers were left
  std::uint64_t shed = 0;    ///< connections that lost their output to limits::output
};

class ring;

namespace detail {

inline constinit thread_local ring* ring_of_thread = nullptr;

/// The output that the kernel sends for one connection. `shed` ends it.
class sending_output : public list_link {
 public:
  sending_output(void (*shed_function)(void*), void* shed_context) noexcept
      : shed(shed_function), context(shed_context) {}
  void (*shed)(void*);
  void* context;
  std::size_t bytes = 0;
};

}  // namespace detail

/// Called every turn after all completions have been read, before any coroutine resumes. See
/// ring::add_turn_callback().
class turn_callback {
 public:
  virtual void end_of_reap() = 0;

 protected:
  ~turn_callback() = default;
};

/// Called once when the ring begins to stop. Owners register with ring::on_stop; destroying it unregisters.
class stop_callback : private detail::list_link {
 public:
  using callback = void (*)(void* context);
  stop_callback(callback function, void* context) noexcept : function_(function), context_(context) {}
  void unregister() noexcept { unlink(); }

 private:
  friend class ring;
  callback function_;
  void* context_;
};

/// One per thread, used only on the thread that created it; post() and post_stop() are the exceptions. It
/// must outlive every stream, listener and awaiter made with it. A coroutine that waits on it resumes inside
/// run() or poll(), from the run queue, never inside the call that completed it.
class ring {
 public:
  using clock = std::chrono::steady_clock;

  /// On the thread that will run it. The message of a failure says what to change.
  static setup_result<std::unique_ptr<ring>> create(const ring_options& options = {});

  /// That of this thread, which must have one: what runs in its run() or poll() does not have to be told.
  static ring& current() noexcept { return *detail::ring_of_thread; }

  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  /// Destroys the spawned coroutines of this thread and waits until no operation is in flight.
  ~ring();

  /// Turns until stop(). Afterwards no operation is in flight, every coroutine spawned on this thread has
  /// ended or was destroyed, and no buffer is leased unless something outside of them holds one. May be
  /// called again. Fails only if the kernel refuses the ring, for instance on a wrong thread.
  result<void> run();

  /// One turn that does not block, for a foreign loop: call it when event_fd() is readable or poll_timeout()
  /// has passed. Also submits what the resumed coroutines queued. False once a stop() is complete.
  bool poll();

  /// Readable when poll() has completions to read: add it to epoll, and let poll() reset it. (The ring's own
  /// descriptor does not wake an epoll with deferred completions.) Owned by the ring.
  setup_result<int> event_fd();

  /// How long a foreign loop may wait before the next poll(), as epoll_wait takes it: -1 is for ever.
  int poll_timeout() const noexcept;

  /// Runs `work` on the ring's thread, in order. For other threads, like post_stop(); they must know by other
  /// means that the ring still exists. What was posted to a stopped ring runs in its next run(), or is
  /// destroyed with the ring.
  template <class F>
  void post(F work) {
    enqueue(std::unique_ptr<posted>(new posted_function<F>(std::move(work))));
  }

  /// What post() takes, made beforehand: posting it needs no memory and cannot fail. Move-only.
  class posting;
  template <class F>
  static posting prepare_post(F work);
  void post(posting prepared) noexcept;

  /// Begins a graceful stop: listeners stop accepting and serve what the kernel has accepted, stop callbacks
  /// run. run() returns when no spawned coroutine is left. At the deadline it destroys those that are.
  void stop(std::chrono::nanoseconds grace = std::chrono::nanoseconds::zero());
  /// stop() from any thread, which must know that the ring still exists; it happens in run() or poll(). Needs
  /// no memory.
  void post_stop(std::chrono::nanoseconds grace = std::chrono::nanoseconds::zero()) noexcept;
  bool stopping() const noexcept { return stopping_; }

  /// Operations that the kernel has not finished, cancellations and the wake-up for post() included.
  std::size_t in_flight() const noexcept { return in_flight_; }
  /// Receive buffers that are not with the kernel, and copies of what was in some.
  std::size_t leased() const noexcept { return buffers_->leased(); }
  const ring_counters& counters() const noexcept { return counters_; }
  /// The flags that the kernel granted.
  task_run mode() const noexcept { return mode_; }

  /// The clock at the beginning of this turn's resumptions.
  clock::time_point now() const noexcept { return now_; }

  /// Fires `entry` after `delay`, counted from now().
  void arm(timeout& entry, std::chrono::nanoseconds delay) noexcept { wheel_.arm(entry, after(now_, delay)); }
  void arm_at(timeout& entry, clock::time_point deadline) noexcept { wheel_.arm(entry, deadline); }
  void disarm(timeout& entry) noexcept { wheel_.disarm(entry); }

  /// `start` plus `delay`, or a year when that is less: a caller's "for ever" must not overflow.
  static clock::time_point after(clock::time_point start, std::chrono::nanoseconds delay) noexcept {
    constexpr std::chrono::nanoseconds longest = std::chrono::hours(24 * 365);
    return start + (delay < longest ? delay : longest);
  }

  /// `callback` runs once when the ring begins to stop; not at all if it already does.
  void on_stop(stop_callback& callback) noexcept {
    callback.unlink();
    stop_callbacks_.push_back(callback);
  }

  /// Cancels what waits on `fd` in this ring: their awaiters get errc::canceled. Takes effect before this
  /// returns, so `fd` may be closed then.
  void cancel_fd(int fd);

  // ---- for operations of one's own; submit() is easier where it is enough ----

  /// Queues an SQE that `prepare(io_uring_sqe*)` fills in, its user_data excepted; it is submitted with the
  /// turn's others. False if the ring is shutting down or cannot take it: `op` is then not in flight and will
  /// not complete.
  template <class F>
  bool start(operation& op, F prepare) {
    if (closing_) return false;
    ::io_uring_sqe* sqe = next_sqe();
    if (sqe == nullptr) return false;
    prepare(sqe);
    io_uring_sqe_set_data(sqe, &op);
    ++in_flight_;
    return true;
  }
  /// Asks for the end of `op`, which is in flight. Its last completion still comes, with whatever result; the
  /// kernel may not find an operation that is between two states.
  ///
  /// The address of an operation may be used again at once: submissions are in order, so a cancellation that
  /// names it cannot meet what is started later.
  void cancel(operation& op) noexcept {
    ::io_uring_sqe* sqe = next_sqe();
    if (sqe == nullptr) return;
    io_uring_prep_cancel64(sqe, reinterpret_cast<std::uintptr_t>(&op), 0);
    io_uring_sqe_set_data(sqe, nullptr);
    ++in_flight_;
  }
  /// Closes `fd`, of which no operation is in flight: within a turn together with what is submitted next,
  /// which saves a system call.
  void close_fd(int fd) noexcept {
    ::io_uring_sqe* sqe = turning_ ? next_sqe() : nullptr;
    if (sqe == nullptr) {
      ::close(fd);
      return;
    }
    io_uring_prep_close(sqe, fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = not_counted;
  }
  /// Hands over what is queued. An SQE names a descriptor by number: before that number may be closed and
  /// used again by code that does not wait for the last completion, the kernel must have looked it up.
  void submit_all() noexcept;
  /// The ring refuses operations: it is at the end of run() or being destroyed.
  bool closing() const noexcept { return closing_; }

  /// `callback` must outlive the ring or be removed; on the ring's thread.
  void add_turn_callback(turn_callback& callback) { turn_callbacks_.push_back(&callback); }
  void remove_turn_callback(turn_callback& callback) noexcept {
    for (auto i = turn_callbacks_.begin(); i != turn_callbacks_.end(); ++i) {
      if (*i == &callback) {
        turn_callbacks_.erase(i);
        return;
      }
    }
  }

 private:
  friend class receiver;
  friend class sender;

  static constexpr std::size_t resumptions_per_turn = 256;
  // What is not in in_flight_: the timeout of a wait on old kernels, a close that failed.
  static constexpr std::uint64_t not_counted = LIBURING_UDATA_TIMEOUT;
  // Load that returns within this time finds the memory still here.
  static constexpr std::chrono::nanoseconds trim_after = std::chrono::seconds(1);

  struct completion {
    std::uint64_t user_data;
    int result;
    unsigned flags;
  };

  struct posted {
    posted* next = nullptr;
    virtual ~posted() = default;
    virtual void run() = 0;
  };
  template <class F>
  struct posted_function final : posted {
    explicit posted_function(F f) : function(std::move(f)) {}
    void run() override { function(); }
    F function;
  };

  explicit ring(const io::limits& limits) noexcept
      : limits_(limits),
        wheel_(clock::now()),
        trim_(&trim_if_over, this),
        wake_{&woken, this},
        now_(clock::now()) {}

  int set_up(const ring_options& options, unsigned flags) noexcept;
  void enqueue(std::unique_ptr<posted> work);
  void notify() noexcept;
  static void woken(void* self, int result, unsigned flags);
  void arm_wake();
  void run_posted();
  ::io_uring_sqe* next_sqe() noexcept;
  void stash_completions() noexcept;
  int enter(bool wait) noexcept;
  void dispatch(const completion& c);
  void reap();
  int turn(bool wait);
  bool finished() const noexcept;
  int close_down() noexcept;
  // Large bodies come and go within milliseconds: that the load was over once does not mean that it is.
  static void trim_if_over(void* self) {
    if (frame_pool::peak() <= static_cast<ring*>(self)->load_ / 2) frame_pool::trim();
  }

  // Counts `bytes` for `output` until output_ends(). Makes room by taking from those that began first. False
  // if it alone is more than the limit.
  bool output_begins(detail::sending_output& output, std::size_t bytes) noexcept;
  void output_ends(detail::sending_output& output) noexcept {
    if (!output.linked()) return;
    output.unlink();
    output_bytes_ -= output.bytes;
  }

  ::io_uring ring_{};
  bool initialised_ = false;
  bool complete_ = false;
  bool stopping_ = false;
  bool closing_ = false;
  bool wake_armed_ = false;
  bool turning_ = false;  // what is queued now will be submitted
  task_run mode_ = task_run::plain;
  std::size_t in_flight_ = 0;
  io::limits limits_;
  ring_counters counters_;
  detail::buffer_pool* buffers_ = nullptr;
  detail::list outputs_;  // what is being sent, the oldest first
  std::size_t output_bytes_ = 0;
  detail::timer_wheel wheel_;
  timeout trim_;
  std::ptrdiff_t load_ = 0;  // what was in use at most before trim_ was armed
  detail::list stop_callbacks_;
  std::vector<turn_callback*> turn_callbacks_;
  std::vector<completion> stash_;  // never grows
  std::size_t next_stashed_ = 0;

  operation wake_;
  int wake_fd_ = -1;
  int event_fd_ = -1;
  std::uint64_t wake_value_ = 0;  // the kernel writes here while wake_ is in flight
  std::mutex mutex_;              // guards the four that follow
  posted* first_posted_ = nullptr;
  posted* last_posted_ = nullptr;
  bool stop_posted_ = false;
  std::chrono::nanoseconds posted_grace_{};

  clock::time_point now_;
  clock::time_point deadline_ = clock::time_point::max();
};

inline int ring::set_up(const ring_options& options, unsigned flags) noexcept {
  for (std::uint32_t entries = options.entries;; entries /= 2) {
    ::io_uring_params p{};
    p.flags = flags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
    p.cq_entries = options.completions != 0 ? options.completions : entries * 8;
    const int r = io_uring_queue_init_params(entries, &ring_, &p);
    if (r != -ENOMEM || entries <= 8) return r;
  }
}

inline setup_result<std::unique_ptr<ring>> ring::create(const ring_options& options) {
  if (options.entries == 0 || options.buffers == 0 || options.buffers > 32768 ||
      (options.buffers & (options.buffers - 1)) != 0 || options.buffer_size == 0) {
    return setup_error{errc::invalid, 0,
                       "ring_options: buffers must be a power of two up to 32768, sizes not zero"};
  }
  if (detail::ring_of_thread != nullptr)
    return setup_error{errc::invalid, 0, "this thread already has a ring; use that one"};
  std::unique_ptr<ring> self(new ring(options.limits));
  struct attempt {
    task_run mode;
    unsigned flags;
  };
  constexpr attempt attempts[] = {
      {task_run::deferred, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN},
      {task_run::cooperative, IORING_SETUP_COOP_TASKRUN},
      {task_run::plain, 0},
  };
  int r = -EINVAL;
  for (const attempt& a : attempts) {
    if (options.mode != task_run::automatic && options.mode != a.mode) continue;
    r = self->set_up(options, a.flags);
    self->mode_ = a.mode;
    if (r != -EINVAL) break;
  }
  if (r < 0) return detail::explain_refusal(-r);
  self->initialised_ = true;
  self->stash_.reserve(self->ring_.cq.ring_entries);
  io_uring_register_ring_fd(&self->ring_);  // an optimisation: may fail
  io_uring_ring_dontfork(&self->ring_);
  self->buffers_ = detail::buffer_pool::create(options.buffers, options.buffer_size, options.limits.copied);
  if (self->buffers_ == nullptr) return detail::explain_refusal(errno);
  r = self->buffers_->attach(self->ring_);
  if (r < 0) return detail::explain_refusal(-r);
  // Blocking on purpose: io_uring fails a read of a non-blocking one instead of waiting.
  self->wake_fd_ = ::eventfd(0, EFD_CLOEXEC);
  if (self->wake_fd_ < 0) return detail::explain_refusal(errno);
  self->complete_ = true;
  detail::ring_of_thread = self.get();
  self->arm_wake();
  return self;
}

inline ring::~ring() {
  if (complete_) {
    close_down();
    detail::ring_of_thread = nullptr;
  }
  if (initialised_) io_uring_queue_exit(&ring_);
  if (buffers_ != nullptr) buffers_->abandon();
  if (wake_fd_ >= 0) ::close(wake_fd_);
  if (event_fd_ >= 0) ::close(event_fd_);
  while (first_posted_ != nullptr) delete std::exchange(first_posted_, first_posted_->next);
}

inline void ring::enqueue(std::unique_ptr<posted> work) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = first_posted_ == nullptr;
    posted* p = work.release();
    (first ? first_posted_ : last_posted_->next) = p;
    last_posted_ = p;
  }
  if (first) notify();
}

class ring::posting {
 public:
  posting() noexcept = default;

 private:
  friend class ring;
  explicit posting(std::unique_ptr<posted> work) noexcept : work_(std::move(work)) {}
  std::unique_ptr<posted> work_;
};

template <class F>
ring::posting ring::prepare_post(F work) {
  return posting(std::unique_ptr<posted>(new posted_function<F>(std::move(work))));
}

inline void ring::post(posting prepared) noexcept {
  if (prepared.work_) enqueue(std::move(prepared.work_));
}

inline void ring::notify() noexcept {
  const std::uint64_t one = 1;
  // Fails only if the counter is full, and then the ring has been woken.
  [[maybe_unused]] const auto n = ::write(wake_fd_, &one, sizeof one);
}

inline void ring::post_stop(std::chrono::nanoseconds grace) noexcept {
  {
    const std::lock_guard lock(mutex_);
    posted_grace_ = stop_posted_ ? std::min(posted_grace_, grace) : grace;
    stop_posted_ = true;
  }
  notify();
}

inline void ring::woken(void* self, int, unsigned flags) {
  ring& r = *static_cast<ring*>(self);
  if (is_last(flags)) r.wake_armed_ = false;
  if (!r.closing_) r.arm_wake();
}

// Also runs what is posted: at the end of a run() the wake-up may have been consumed without running it.
inline void ring::arm_wake() {
  if (wake_armed_) return;
  wake_armed_ = start(wake_, [this](::io_uring_sqe* sqe) {
    io_uring_prep_read(sqe, wake_fd_, &wake_value_, sizeof wake_value_, 0);
  });
  run_posted();
}

inline void ring::run_posted() {
  posted* p = nullptr;
  bool stops = false;
  std::chrono::nanoseconds grace{};
  {
    const std::lock_guard lock(mutex_);
    p = std::exchange(first_posted_, nullptr);
    stops = std::exchange(stop_posted_, false);
    grace = posted_grace_;
  }
  struct rest {  // if one throws, the others are not leaked
    posted*& p;
    ~rest() {
      while (p != nullptr) delete std::exchange(p, p->next);
    }
  } guard{p};
  if (stops) stop(grace);
  while (p != nullptr) {
    const std::unique_ptr<posted> work(std::exchange(p, p->next));
    work->run();
  }
}

inline void ring::stop(std::chrono::nanoseconds grace) {
  const auto deadline = after(clock::now(), grace);
  if (deadline < deadline_) deadline_ = deadline;
  if (stopping_) return;
  stopping_ = true;
  detail::list callbacks;
  callbacks.splice(stop_callbacks_);
  while (detail::list_link* l = callbacks.pop_front()) {
    auto& one = *static_cast<stop_callback*>(l);
    one.function_(one.context_);
  }
}

inline void ring::cancel_fd(int fd) {
  ::io_uring_sqe* sqe = next_sqe();
  if (sqe == nullptr) return;
  io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
  io_uring_sqe_set_data(sqe, nullptr);
  ++in_flight_;
  submit_all();
}

inline bool ring::output_begins(detail::sending_output& output, std::size_t bytes) noexcept {
  if (bytes > limits_.output) {
    ++counters_.shed;
    return false;
  }
  output.bytes = bytes;
  output_bytes_ += bytes;
  outputs_.push_back(output);
  while (output_bytes_ > limits_.output) {
    auto& oldest = *static_cast<detail::sending_output*>(outputs_.front());
    output_ends(oldest);
    ++counters_.shed;
    oldest.shed(oldest.context);
  }
  return true;
}

inline void ring::submit_all() noexcept {
  for (int tries = 0; io_uring_sq_ready(&ring_) != 0 && tries != 1000; ++tries) {
    const int r = io_uring_submit(&ring_);
    if (r >= 0 || r == -EINTR) continue;
    if (r != -EBUSY && r != -EAGAIN) return;
    stash_completions();
    io_uring_get_events(&ring_);
  }
}

inline ::io_uring_sqe* ring::next_sqe() noexcept {
  ::io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  // Full: hand it over. EBUSY and EAGAIN want completions to be read first, but no handler may run in here.
  for (int tries = 0; sqe == nullptr && tries != 1000; ++tries) {
    const int r = io_uring_submit(&ring_);
    if (r == -EBUSY || r == -EAGAIN) {
      stash_completions();
      io_uring_get_events(&ring_);
    } else if (r < 0 && r != -EINTR) {
      return nullptr;
    }
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

inline void ring::stash_completions() noexcept {
  unsigned head = 0;
  unsigned n = 0;
  ::io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if (stash_.size() == stash_.capacity()) break;  // the rest stays in the ring until the next reap
    stash_.push_back({cqe->user_data, cqe->res, cqe->flags});
    ++n;
  }
  io_uring_cq_advance(&ring_, n);
}

inline int ring::enter(bool wait) noexcept {
  if (!wait) return io_uring_submit_and_get_events(&ring_);
  auto until = wheel_.next_time();
  if (closing_) {  // past the deadline, or without one
    until = std::min(until, clock::now() + std::chrono::milliseconds(20));  // then cancel again
  } else if (stopping_ && deadline_ < until) {
    until = deadline_;
  }
  ::io_uring_cqe* cqe = nullptr;
  if (until == clock::time_point::max()) {
    return io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, nullptr, nullptr);
  }
  auto left = (until - clock::now()).count();
  if (left <= 0) return io_uring_submit_and_get_events(&ring_);
  ::__kernel_timespec ts{};
  ts.tv_sec = left / 1'000'000'000;
  ts.tv_nsec = left % 1'000'000'000;
  return io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &ts, nullptr);
}

inline void ring::dispatch(const completion& c) {
  if (c.user_data == not_counted) return;
  if (is_last(c.flags)) --in_flight_;
  if (c.user_data == 0) return;
  auto& op = *reinterpret_cast<operation*>(static_cast<std::uintptr_t>(c.user_data));
  op.complete(op.owner, c.result, c.flags);
}

inline void ring::reap() {
  // A handler may come to stash_completions(), and what one that throws leaves here is for the next turn.
  while (!stash_.empty()) {
    const completion c = stash_[next_stashed_++];
    if (next_stashed_ == stash_.size()) {
      stash_.clear();
      next_stashed_ = 0;
    }
    dispatch(c);
  }
  // Each is consumed before its handler runs: a handler may need an SQE and so come to stash_completions().
  // What was stashed is older than what the ring holds then.
  for (unsigned n = io_uring_cq_ready(&ring_); n != 0 && stash_.empty(); --n) {
    unsigned head = 0;
    ::io_uring_cqe* cqe = nullptr;
    completion c{};
    bool found = false;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      c = {cqe->user_data, cqe->res, cqe->flags};
      found = true;
      break;
    }
    if (!found) break;
    io_uring_cq_advance(&ring_, 1);
    dispatch(c);
  }
}

inline int ring::turn(bool wait) {
  struct flag {
    bool& on;
    explicit flag(bool& b) noexcept : on(b) { on = true; }
    ~flag() { on = false; }
  } const turning(turning_);
  auto& queue = detail::run_queue::current();
  const int r = enter(wait && queue.empty() && stash_.empty());
  now_ = clock::now();
  reap();
  for (std::size_t i = turn_callbacks_.size(); i-- != 0;) {
    if (i < turn_callbacks_.size()) turn_callbacks_[i]->end_of_reap();
  }
  if (!closing_) buffers_->retry_parked();
  wheel_.advance(now_);
  queue.run(resumptions_per_turn);
  if (!trim_.armed() && frame_pool::worth_trimming()) {
    load_ = frame_pool::restart_peak();
    arm(trim_, trim_after);
  }
  // These pass by themselves: a signal, the wait's timeout, completions to read first, a lost completion.
  if (r >= 0 || r == -EINTR || r == -ETIME || r == -EBUSY || r == -EAGAIN || r == -EBADR) return 0;
  return r;
}

inline bool ring::finished() const noexcept {
  return stopping_ && (spawned() == 0 || clock::now() >= deadline_);
}

// Ends everything: the coroutines first, since only they could start anew, then what the kernel still holds.
inline int ring::close_down() noexcept {
  closing_ = true;
  int r = 0;
  detail::destroy_roots();
  while (in_flight_ != 0 && r == 0) {
    if (::io_uring_sqe* sqe = io_uring_get_sqe(&ring_); sqe != nullptr) {
      io_uring_prep_cancel(sqe, nullptr, IORING_ASYNC_CANCEL_ANY);
      io_uring_sqe_set_data(sqe, nullptr);
      ++in_flight_;
    }
    // A few turns per cancellation: an operation may have been between two states when it was looked for.
    for (int i = 0; i != 8 && in_flight_ != 0 && r == 0; ++i) r = turn(true);
  }
  detail::run_queue::current().drain();
  submit_all();  // the last turn may have closed descriptors
  closing_ = false;
  stopping_ = false;
  deadline_ = clock::time_point::max();
  return r;
}

inline result<void> ring::run() {
  arm_wake();
  while (!finished()) {
    if (const int r = turn(true); r < 0) return error::from_errno(-r);
  }
  if (const int r = close_down(); r < 0) return error::from_errno(-r);
  return {};
}

inline bool ring::poll() {
  arm_wake();
  if (event_fd_ >= 0) {
    std::uint64_t value = 0;
    [[maybe_unused]] const auto n = ::read(event_fd_, &value, sizeof value);
  }
  turn(false);
  if (finished()) {
    close_down();
    return false;
  }
  io_uring_submit(&ring_);
  return true;
}

inline setup_result<int> ring::event_fd() {
  if (event_fd_ < 0) {
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return detail::explain_refusal(errno);
    if (const int r = io_uring_register_eventfd(&ring_, fd); r < 0) {
      ::close(fd);
      return detail::explain_refusal(-r);
    }
    event_fd_ = fd;
    io_uring_submit(&ring_);  // the wake-up for post() must be armed before the first wait
  }
  return event_fd_;
}

inline int ring::poll_timeout() const noexcept {
  if (!detail::run_queue::current().empty() || !stash_.empty() || io_uring_cq_ready(&ring_) != 0) return 0;
  auto until = wheel_.next_time();
  if (stopping_ && deadline_ < until) until = deadline_;
  if (until == clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
  if (left <= 0) return 0;
  return left > 1'000'000'000 ? 1'000'000'000 : static_cast<int>(left);
}

}  // namespace io
SYNFP_END_NAMESPACE
