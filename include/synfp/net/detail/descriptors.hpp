// SPDX-License-Identifier: MIT
// The limit of open files, and which connections can be spared when it is near.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <climits>
#include <cstddef>

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

/// A connection that can be ended without a loss to its peer but that of a new connection: nothing whole was
/// asked on it. Those of a thread are in the order in which they became so.
class spare_connection : private io::detail::list_link {
 public:
  using callback = void (*)(void* context);

  /// `end`: ends the connection soon; not called again unless it enters again.
  spare_connection(callback end, void* context) noexcept : end_(end), context_(context) {}

  spare_connection(const spare_connection&) = delete;
  spare_connection& operator=(const spare_connection&) = delete;
  ~spare_connection() { leave(); }

  /// To the end of the list.
  void enter() noexcept {
    leave();
    all_.push_back(*this);
    ++entered_;
  }
  void leave() noexcept {
    if (!linked()) return;
    unlink();
    --entered_;
  }
  bool entered() const noexcept { return linked(); }

  /// Ends those of this thread that have been in the list for longest: at most `n`, and at most half of them,
  /// since the youngest may have asked by now. Returns how many.
  static std::size_t end_longest(std::size_t n) {
    n = std::min(n, (entered_ + 1) / 2);
    for (std::size_t i = 0; i != n; ++i) {
      auto& connection = *static_cast<spare_connection*>(all_.front());
      connection.leave();
      connection.end_(connection.context_);
    }
    return n;
  }

 private:
  callback end_;
  void* context_;

  static thread_local io::detail::thread_list all_;
  static thread_local std::size_t entered_;
};

inline constinit thread_local io::detail::thread_list spare_connection::all_;
inline constinit thread_local std::size_t spare_connection::entered_ = 0;

}  // namespace net::detail
SYNFP_END_NAMESPACE
