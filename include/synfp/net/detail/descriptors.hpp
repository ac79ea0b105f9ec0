// SPDX-License-Identifier: MIT
// The limit of open files, and which connections can be spared when it is near.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>

#include <synfp/io/detail/list.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net::detail {

/// The usual soft limit, 1,024, is for programs that call select().
inline void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// How many of `limit` should be left free: a sixteenth, between 8 and 1,024.
constexpr rlim_t descriptor_reserve(rlim_t limit) noexcept {
  return std::min(std::clamp<rlim_t>(limit / 16, 8, 1024), limit / 2);
}

/// The kernel gives out the lowest free number. So a new descriptor of this number or above says that the
/// reserve is being used; one below it does not say the contrary, for it may have filled a gap.
constexpr int few_descriptors_from(rlim_t limit) noexcept {
  return static_cast<int>(std::min<rlim_t>(limit - descriptor_reserve(limit), INT_MAX));
}

/// How many connections to end then. More than twice the reserve: those that are left have ended too before
/// so many of them have come to lie above the gaps that the reserve is used up. One number less is enough for
/// Linux 6.1, whose accept takes the next number before there is a connection for it.
constexpr std::size_t descriptors_to_spare(rlim_t limit) noexcept {
  return static_cast<std::size_t>(descriptor_reserve(limit) * 5 / 2);
}

inline rlim_t descriptor_limit() noexcept {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

/// Descriptors of connections that this thread has closed. See listener_state.
inline constinit thread_local std::uint64_t closed_descriptors = 0;

/// What a peer loses when its connection is ended.
enum class loss : std::uint8_t {
  none,     ///< nothing but a new connection: it has asked nothing, or has its last answer
  request,  ///< one that it is slow with: it does not send the body, or does not take the response
};

/// A connection that waits for its peer and can be ended while descriptors are short. Those of a thread are
/// in the order in which they began to wait.
class spare_connection : private io::detail::list_link {
 public:
  using callback = void (*)(void* context);

  /// `end`: ends the connection soon; not called again unless it enters again.
  spare_connection(callback end, void* context) noexcept : end_(end), context_(context) {}

  spare_connection(const spare_connection&) = delete;
  spare_connection& operator=(const spare_connection&) = delete;
  ~spare_connection() { leave(); }

  /// To the end of the list.
  void enter(loss of = loss::none) noexcept {
    leave();
    loss_ = of;
    all_[index(of)].push_back(*this);
    ++entered_[index(of)];
  }
  void leave() noexcept {
    if (!linked()) return;
    unlink();
    --entered_[index(loss_)];
  }
  bool entered() const noexcept { return linked(); }
  /// It was ended although its peer loses something. It may have gone on waiting at that moment: then it has
  /// to end before it waits again, or those that are served fast would keep all descriptors.
  bool ended() const noexcept { return ended_; }

  /// Ends those of this thread that have waited for longest, at most `n`. First those that lose nothing, but
  /// at most half of them, since the youngest may have asked by now: not the last one of them while many
  /// others wait. Then at most half of the others. Returns how many.
  static std::size_t end_longest(std::size_t n) {
    const std::size_t idle = entered_[index(loss::none)];
    const std::size_t slow = entered_[index(loss::request)];
    const std::size_t first = std::min(n, idle >= slow ? (idle + 1) / 2 : idle / 2);
    const std::size_t second = std::min(n - first, (slow + 1) / 2);
    end_oldest(loss::none, first);
    end_oldest(loss::request, second);
    return first + second;
  }

 private:
  static constexpr std::size_t index(loss of) noexcept { return static_cast<std::size_t>(of); }
  static void end_oldest(loss of, std::size_t n) {
    for (; n != 0; --n) {
      auto& connection = *static_cast<spare_connection*>(all_[index(of)].front());
      connection.leave();
      connection.ended_ = of == loss::request;
      connection.end_(connection.context_);
    }
  }

  callback end_;
  void* context_;
  loss loss_ = loss::none;
  bool ended_ = false;

  static thread_local io::detail::thread_list all_[2];
  static thread_local std::size_t entered_[2];
};

inline constinit thread_local io::detail::thread_list spare_connection::all_[2];
inline constinit thread_local std::size_t spare_connection::entered_[2] = {};

}  // namespace net::detail
SYNFP_END_NAMESPACE
