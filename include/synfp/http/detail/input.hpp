// SPDX-License-Identifier: MIT
// What a connection has received and not used up yet.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <synfp/http/bodies.hpp>
#include <synfp/io/buffer.hpp>
#include <synfp/io/detail/list.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/net/transport.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// What a connection may keep allocated between requests.
inline constexpr std::size_t most_kept_input = 16 * 1024;

// Oldest first. Without braces: see run_queue::current_.
inline constinit thread_local io::detail::thread_list unfinished_bodies;

/// The received bytes of a connection that no request has used up yet. They stay in the ring's buffer while
/// requests fit into it, and are copied together when one does not.
class input : io::detail::list_link {
 public:
  /// `from` is cancelled when the bytes are dropped, and must outlive this.
  template <net::transport T>
  explicit input(T& from) noexcept : cancel_([](void* t) { static_cast<T*>(t)->cancel(); }), from_(&from) {}
  ~input() { release(); }

  /// From the beginning of the current request on.
  std::span<char> bytes() noexcept {
    if (!chunk_.empty()) return {chunk_.data() + begin_, chunk_.size() - begin_};
    return {kept_.data() + begin_, kept_.size() - begin_};
  }
  bool empty() const noexcept { return (chunk_.empty() ? kept_.size() : chunk_.size()) == begin_; }

  /// The current request is answered.
  void consume(std::size_t n) {
    release();
    begin_ += n;
    if (!empty()) {
      if (chunk_.empty() &&
          kept_.capacity() > most_kept_input) {      // what follows a body is less than a buffer
        io::pool_string(kept_, begin_).swap(kept_);  // assigning a short string would keep the memory
        begin_ = 0;
      }
      return;
    }
    begin_ = 0;
    chunk_.reset();
    io::release(kept_);  // the next request may be long in coming; the pool has it for whom it is not
  }
  /// Gives the ring's buffer back.
  void keep() {
    if (chunk_.empty()) {
      kept_.erase(0, begin_);
    } else {
      kept_.assign(chunk_.data() + begin_, chunk_.size() - begin_);
      chunk_.reset();
    }
    begin_ = 0;
  }
  /// Moves the first `n` bytes into `to`, so that what follows them may come and go meanwhile, and gives
  /// them. They count as they did until the next consume().
  std::span<char> detach(std::size_t n, io::pool_string& to) {
    if (!chunk_.empty()) {
      to.assign(chunk_.data() + begin_, n);
      begin_ += n;
      if (empty()) {
        begin_ = 0;
        chunk_.reset();
      }
      return to;
    }
    io::pool_string rest(kept_, begin_ + n);
    const std::size_t begin = std::exchange(begin_, 0);
    to = std::move(kept_);
    kept_ = std::move(rest);
    return std::span(to).subspan(begin, n);
  }
  /// Precondition: empty() or keep().
  void add(io::buffer chunk) {
    if (kept_.empty()) {
      chunk_ = std::move(chunk);
    } else {
      // As large as a block of frame_pool, with the byte behind the text: doubled, it would be one byte more.
      const std::size_t size = kept_.size() + chunk.size();
      if (size > kept_.capacity()) kept_.reserve(std::bit_ceil(size + 1) - 1);
      kept_.append(chunk.view());
    }
  }

  // ---- the budget of bodies ----

  /// The current request has an unfinished body, of which more is to come. If all bodies of the thread are
  /// more than `most` with it, the oldest unfinished ones are dropped. False if this is one of them.
  ///
  /// The oldest, because that is what a flood of unfinished bodies consists of: one that arrives in less time
  /// than the flood needs to send `most` bytes is not touched. Refusing the newest would shut out everybody.
  bool hold(std::size_t most) {
    if (dropped_) return false;
    keep();
    if (!linked()) unfinished_bodies.push_back(*this);
    count();
    while (bodies.held > most && !dropped_) static_cast<input*>(unfinished_bodies.front())->drop();
    return !dropped_;
  }
  /// The body is complete: it counts until the request is answered, but is not dropped any more.
  void finished() noexcept {
    if (linked()) count();
    unlink();
  }
  /// Another body needed the room. The bytes are gone, and a waiting read or flush ends with errc::canceled.
  bool dropped() const noexcept { return dropped_; }

 private:
  void count() noexcept { bodies.held += kept_.capacity() - std::exchange(held_, kept_.capacity()); }
  void release() noexcept {
    unlink();
    bodies.held -= std::exchange(held_, 0);
  }
  void drop() noexcept {
    release();
    ++bodies.dropped;
    dropped_ = true;
    begin_ = 0;
    io::pool_string().swap(kept_);
    cancel_(from_);
  }

  void (*cancel_)(void*);
  void* from_;
  io::buffer chunk_;       // either this holds the bytes
  io::pool_string kept_;   // or this
  std::size_t begin_ = 0;  // of the current request
  std::size_t held_ = 0;   // the memory of kept_, as counted in `bodies`
  bool dropped_ = false;
};

}  // namespace http::detail
SYNFP_END_NAMESPACE
