// SPDX-License-Identifier: MIT
// The part of a listener that outlives its handle.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <utility>
#include <vector>

#include <synfp/endpoint.hpp>
#include <synfp/io/operation.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/wait.hpp>
#include <synfp/net/accepted.hpp>
#include <synfp/net/batch.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/net/detail/socket_name.hpp>
#include <synfp/net/detail/stream_state.hpp>
#include <synfp/net/listener_options.hpp>
#include <synfp/net/stream.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net::detail {

/// The kernel's side of a listener: its operation may complete after the handle is gone.
class listener_state final : public io::turn_callback {
 public:
  listener_state(io::ring& owner, int fd, const endpoint& local, batch_handler* handler,
                 const listener_options& options)
      : ring_(&owner),
        fd_(fd),
        local_(local),
        handler_(handler),
        options_(options),
        few_from_(few_descriptors_from(descriptor_limit())),
        accept_{&completed, this},
        pause_{&pause_over, this},
        back_off_(&back_off_over, this),
        more_memory_(&look_for_memory, this),
        stop_callback_(&ring_stops, this),
        slot_(owner) {
    ring_->add_turn_callback(*this);
    ring_->on_stop(stop_callback_);
    if (ring_->stopping()) stop();
    arm_if_wanted();
  }
  listener_state(const listener_state&) = delete;
  listener_state& operator=(const listener_state&) = delete;

  /// The handle is gone.
  void abandon() noexcept {
    abandoned_ = true;
    closing_ = true;
    stop_callback_.unregister();
    ring_->disarm(back_off_);
    ring_->disarm(more_memory_);
    ring_->remove_turn_callback(*this);
    for (int fd : fresh_) ::close(fd);
    for (std::size_t i = next_ready_; i != ready_.size(); ++i) ::close(ready_[i].fd);
    if (armed_) ring_->cancel(accept_);
    destroy_when_idle();
  }

  void stop() {
    if (closing_) return;
    closing_ = true;
    ring_->disarm(back_off_);
    if (armed_) {
      pause();
    } else {
      drain();
    }
  }

  io::ring& ring() const noexcept { return *ring_; }
  int fd() const noexcept { return fd_; }
  const endpoint& local() const noexcept { return local_; }
  const listener_counters& counters() const noexcept { return counters_; }
  std::size_t ready() const noexcept { return ready_.size() - next_ready_; }

  bool stopped() const noexcept { return stopped_ && ready() == 0; }
  int failure() const noexcept { return terminal_errno_; }

  /// Where a coroutine waits for can_pop().
  io::wait_slot& slot() noexcept { return slot_; }
  /// accept() would not wait.
  bool can_pop() const noexcept { return ready() != 0 ? memory_.reserved() : stopped_; }

  /// Precondition: can_pop().
  result<accepted> pop() {
    if (ready() == 0) return error{errc::stopped, terminal_errno_};
    accepted_socket& next = ready_[next_ready_];
    result<accepted> a{accepted(stream(*ring_, std::exchange(next.fd, -1), memory_), next.facts())};
    ++next_ready_;
    if (next_ready_ == ready_.size()) {
      ready_.clear();
      next_ready_ = 0;
    } else if (next_ready_ >= 1024 && next_ready_ * 2 >= ready_.size()) {
      ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(next_ready_));
      next_ready_ = 0;
    }
    reserve();
    arm_if_wanted();
    return a;
  }

  void end_of_reap() override {
    queue_fresh();
    if (armed_ && (closing_ || ready() > options_.high_water)) pause();
    if (enough_closed_ != 0 && closed_descriptors >= enough_closed_ && !closing_) {
      enough_closed_ = 0;
      ring_->disarm(back_off_);
    }
    arm_if_wanted();
  }

 private:
  ~listener_state() = default;

  void destroy_when_idle() noexcept {
    if (!abandoned_ || armed_ || pausing_) return;
    if (fd_ >= 0) ::close(fd_);
    delete this;
  }

  /// The kernel may not find the accept: between two states, or just ended. If it goes on, the next turn asks
  /// again.
  void pause() {
    if (pausing_) return;
    pausing_ = ring_->start(pause_, [this](::io_uring_sqe* sqe) {
      io_uring_prep_cancel64(sqe, reinterpret_cast<std::uintptr_t>(&accept_), 0);
    });
  }
  static void pause_over(void* self, int, unsigned) {
    auto& s = *static_cast<listener_state*>(self);
    s.pausing_ = false;
    s.destroy_when_idle();
  }

  // The condition is asked at the end of every turn and at every pop: the last completion of a cancelled
  // accept may come after the queue has drained, or before.
  void arm_if_wanted() {
    if (armed_ || closing_ || back_off_.armed() || ready() > options_.low_water) return;
    armed_ = ring_->start(accept_, [this](::io_uring_sqe* sqe) {
      // No address: the kernel has one slot for all connections of a multishot, so it would name a wrong
      // peer.
      io_uring_prep_multishot_accept(sqe, fd_, nullptr, nullptr, SOCK_CLOEXEC);
    });
    if (armed_) {
      ++counters_.rearmed;
    } else {
      finish(0);
    }
  }

  static void completed(void* self, int result, unsigned flags) {
    static_cast<listener_state*>(self)->on_accept(result, flags);
  }

  void on_accept(int result, unsigned flags) {
    if (abandoned_) {
      if (result >= 0) ::close(result);
      if (io::is_last(flags)) {
        armed_ = false;
        destroy_when_idle();
      } else {
        ring_->cancel(accept_);  // it was not found: see pause()
      }
      return;
    }
    if (result >= 0) add_fresh(result);  // also when it is the last
    if (!io::is_last(flags)) return;
    armed_ = false;
    if (result < 0) on_error(-result);
    if (closing_) {
      drain();
    } else if (ring_->closing()) {
      finish(0);
    }
  }

  // Decides when to try again, or that it is no use.
  void on_error(int number) {
    switch (number) {
      case ECANCELED:
      case EINTR:
      case EAGAIN: break;
      case EMFILE:
      case ENFILE:
        ++counters_.out_of_resources;
        // As soon as those that were spared have closed theirs, or anybody one; at the latest after a while,
        // since others may close some, too.
        {
          const std::size_t ended = spare(number);
          if (ended != 0) back_off_time_ = shortest_back_off;
          enough_closed_ = closed_descriptors + std::max<std::size_t>(ended, 1);
        }
        back_off();
        break;
      case ENOBUFS:
      case ENOMEM:
        ++counters_.out_of_resources;
        back_off();
        break;
      case ECONNABORTED: ++counters_.aborted; break;
      case EBADF:
      case EINVAL:
      case ENOTSOCK:
      case EOPNOTSUPP: finish(number); break;
      default:  // accept() passes on errors of the network; should one stay, this must not spin
        ++counters_.aborted;
        back_off();
        break;
    }
  }

  /// Ends connections that have waited for long. Returns how many.
  std::size_t spare(int number) noexcept {
    const std::size_t wanted = descriptors_to_spare(descriptor_limit());
    const std::size_t ended = spare_connection::end_longest(wanted);
    counters_.spared += ended;
#if defined(__cpp_exceptions)
    try {
#endif
      if (options_.on_shortage) options_.on_shortage(number, number == 0 ? 0 : wanted - ended);
#if defined(__cpp_exceptions)
    } catch (...) {
      io::detail::escape(std::current_exception());
    }
#endif
    return ended;
  }

  void spare_if_few_left() {
    const int highest = *std::max_element(fresh_.begin(), fresh_.end());
    if (highest < few_from_) return;
    few_from_ = few_descriptors_from(descriptor_limit());  // the limit may have changed
    if (highest >= few_from_) spare(0);
  }

  void back_off() noexcept {
    ring_->arm(back_off_, back_off_time_);
    back_off_time_ = std::min(back_off_time_ * 2, longest_back_off);
  }

  static void back_off_over(void* self) {
    auto& s = *static_cast<listener_state*>(self);
    s.enough_closed_ = 0;
    if (s.closing_) {
      s.drain();
    } else {
      s.arm_if_wanted();
    }
  }

  // The end of a stop. close() resets what the kernel has accepted and nobody has taken: take it all first.
  void drain() {
    if (stopped_ || fd_ < 0) return;
    // One that others accept on, too, does not block by itself (listening_sockets): they would be in the way
    // of one another.
    const int flags = ::fcntl(fd_, F_GETFL);
    const bool blocks = (flags & O_NONBLOCK) == 0;
    if (blocks) ::fcntl(fd_, F_SETFL, flags | O_NONBLOCK);
    int failure = 0;
    while (true) {
      const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) {
        add_fresh(fd);
        continue;
      }
      failure = errno;
      if (failure != ECONNABORTED && failure != EINTR) break;
      if (failure == ECONNABORTED) ++counters_.aborted;
    }
    if (blocks) ::fcntl(fd_, F_SETFL, flags);  // others may share the open file
    if (failure == EMFILE || failure == ENFILE || failure == ENOBUFS || failure == ENOMEM) {
      on_error(failure);
      return;  // back_off_ drains again
    }
    finish(0);
  }

  void finish(int number) {
    closing_ = true;
    stop_callback_.unregister();
    terminal_errno_ = number;
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    queue_fresh();
    stopped_ = true;
    wake();
  }

  static void ring_stops(void* self) { static_cast<listener_state*>(self)->stop(); }

  // Completions must not throw, since the kernel's news would be lost. Without memory the connection is.
  template <class T>
  void add(std::vector<T>& to, const T& one, int fd) noexcept {
#if defined(__cpp_exceptions)
    try {
#endif
      to.push_back(one);
#if defined(__cpp_exceptions)
    } catch (...) {
      ++counters_.out_of_resources;
      ::close(fd);
    }
#else
    (void)fd;
#endif
  }
  void add_fresh(int fd) noexcept { add(fresh_, fd, fd); }

  // The memory of the connection that accept() gives next. While there is none, that one waits.
  void reserve() noexcept {
    if (ready() == 0 || memory_.reserve()) return;
    ++counters_.out_of_resources;
    ring_->arm(more_memory_, std::chrono::milliseconds(50));
  }
  static void look_for_memory(void* self) {
    auto& s = *static_cast<listener_state*>(self);
    s.reserve();
    s.wake();
  }

  void queue_fresh() {
    if (fresh_.empty()) return;
    spare_if_few_left();
    const std::size_t old = ready_.size();
    for (int fd : fresh_) {
      accepted_socket a;
      a.fd = fd;
      if (!socket_name(::getpeername, fd, a.peer)) {
        ++counters_.gone;
        ::close(fd);
        continue;
      }
      // Asked of every connection: one that was steered here (sk_lookup, TPROXY) has an address of its own.
      if (!socket_name(::getsockname, fd, a.local)) {
        ++counters_.gone;
        ::close(fd);
        continue;
      }
      add(ready_, a, fd);
    }
    fresh_.clear();
    if (ready_.size() == old) return;
    reserve();
    back_off_time_ = shortest_back_off;
    counters_.accepted += ready_.size() - old;
    if (handler_ != nullptr) handler_->on_batch(std::span(ready_).subspan(old));
    wake();
  }

  void wake() noexcept {
    if (can_pop()) slot_.wake();
  }

  static constexpr std::chrono::nanoseconds shortest_back_off = std::chrono::milliseconds(10);
  static constexpr std::chrono::nanoseconds longest_back_off = std::chrono::milliseconds(500);

  io::ring* ring_;
  int fd_;
  endpoint local_;
  batch_handler* handler_;
  listener_options options_;
  listener_counters counters_;
  int few_from_;  // a descriptor of this number or above: few are left

  io::operation accept_;
  io::operation pause_;
  io::timeout back_off_;
  io::timeout more_memory_;
  io::stop_callback stop_callback_;
  std::chrono::nanoseconds back_off_time_ = shortest_back_off;
  std::uint64_t enough_closed_ =
      0;  // with so many closed_descriptors the back-off is over; 0: only with time

  std::vector<int> fresh_;              // accepted in this turn
  std::vector<accepted_socket> ready_;  // from next_ready_ on: waiting for accept()
  std::size_t next_ready_ = 0;
  stream_memory memory_;
  io::wait_slot slot_;
  int terminal_errno_ = 0;
  bool armed_ = false;
  bool pausing_ = false;  // the accept is being cancelled: the ready queue is full, or this is the end
  bool closing_ = false;  // never arm again
  bool stopped_ = false;  // nothing comes after the ready queue
  bool abandoned_ = false;
};

/// What listener::accept() waits for.
class next_accepted {
 public:
  explicit next_accepted(listener_state& state) noexcept : state_(&state) {}
  io::wait_slot& slot() noexcept { return state_->slot(); }
  bool ready() const noexcept { return state_->can_pop(); }
  void begin() noexcept {}
  void left() noexcept {}
  result<accepted> get() { return state_->pop(); }

 private:
  listener_state* state_;
};

}  // namespace net::detail
SYNFP_END_NAMESPACE
