// SPDX-License-Identifier: MIT
// The BIO between OpenSSL and a stream: it reads what the ring has received where that is, and writes into
// the output that the next flush sends.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/tls/detail/openssl.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls::detail {

/// Records in both directions. Never blocks: without bytes it says "retry".
class record_pipe {
 public:
  /// `out`: where records are appended. Must outlive this.
  explicit record_pipe(io::pool_string& out) noexcept : out_(&out) {}
  record_pipe(const record_pipe&) = delete;
  record_pipe& operator=(const record_pipe&) = delete;

  /// A BIO on this, which must outlive it. Null without memory.
  bio_ptr make_bio() noexcept {
    bio_ptr bio(method() != nullptr ? ::BIO_new(method()) : nullptr);
    if (bio != nullptr) {
      ::BIO_set_data(bio.get(), this);
      ::BIO_set_init(bio.get(), 1);
    }
    return bio;
  }

  /// Precondition: empty().
  void feed(io::buffer received) noexcept {
    chunk_ = std::move(received);
    begin_ = 0;
    own_ = false;
  }
  bool empty() const noexcept { return begin_ == chunk_.size(); }
  /// The peer sends nothing more.
  void end() noexcept { ended_ = true; }
  bool ended() const noexcept { return ended_; }
  /// Gives the ring's buffer back: what is left moves into a block of its own.
  void keep() {
    if (empty() || own_) return;
    chunk_ = io::buffer::copy_of(chunk_.view().substr(begin_));
    begin_ = 0;
    own_ = true;
  }

  /// What kept the last call from appending its output, which is incomplete then: std::bad_alloc.
  std::exception_ptr take_failure() noexcept { return std::exchange(failure_, nullptr); }

 private:
  static record_pipe& of(::BIO* bio) noexcept { return *static_cast<record_pipe*>(::BIO_get_data(bio)); }

  static int read(::BIO* bio, char* to, std::size_t size, std::size_t* moved) noexcept {
    record_pipe& p = of(bio);
    ::BIO_clear_retry_flags(bio);
    *moved = 0;
    if (p.empty()) {
      if (!p.ended_) ::BIO_set_retry_read(bio);
      return 0;
    }
    *moved = std::min(size, p.chunk_.size() - p.begin_);
    std::memcpy(to, p.chunk_.data() + p.begin_, *moved);
    p.begin_ += *moved;
    if (p.empty()) {
      p.chunk_.reset();
      p.begin_ = 0;
    }
    return 1;
  }
  static int write(::BIO* bio, const char* from, std::size_t size, std::size_t* moved) noexcept {
    record_pipe& p = of(bio);
    ::BIO_clear_retry_flags(bio);
    *moved = 0;
#if defined(__cpp_exceptions)
    try {
#endif
      p.out_->append(from, size);
#if defined(__cpp_exceptions)
    } catch (...) {
      p.failure_ = std::current_exception();
      return 0;
    }
#endif
    *moved = size;
    return 1;
  }
  static long control(::BIO* bio, int command, long, void*) noexcept {
    switch (command) {
      case BIO_CTRL_FLUSH: return 1;
      case BIO_CTRL_EOF: return of(bio).ended_ && of(bio).empty() ? 1 : 0;
      default: return 0;
    }
  }

  // One for the process, made when it is first needed and never freed: connections of other threads use it.
  static const ::BIO_METHOD* method() noexcept {
    static const ::BIO_METHOD* const made = [] {
      ::BIO_METHOD* m = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "synfp");
      if (m == nullptr) return m;
      ::BIO_meth_set_read_ex(m, &record_pipe::read);
      ::BIO_meth_set_write_ex(m, &record_pipe::write);
      ::BIO_meth_set_ctrl(m, &record_pipe::control);
      return m;
    }();
    return made;
  }

  io::pool_string* out_;
  io::buffer chunk_;
  std::size_t begin_ = 0;  // of what was not read, in chunk_
  bool own_ = false;
  bool ended_ = false;
  std::exception_ptr failure_;
};

}  // namespace tls::detail
SYNFP_END_NAMESPACE
