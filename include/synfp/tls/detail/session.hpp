// SPDX-License-Identifier: MIT
// One TLS connection: OpenSSL's state between a net::stream and plain text.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/io/wait.hpp>
#include <synfp/net/stream.hpp>
#include <synfp/result.hpp>
#include <synfp/tls/client_hello.hpp>
#include <synfp/tls/detail/openssl.hpp>
#include <synfp/tls/detail/transport_bio.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls::detail {

/// What is left of `limit` at each step.
class time_left {
 public:
  explicit time_left(std::chrono::nanoseconds limit) noexcept
      : for_ever_(limit == io::for_ever), deadline_(io::ring::after(io::ring::clock::now(), limit)) {}
  std::chrono::nanoseconds now() const noexcept {
    if (for_ever_) return io::for_ever;
    const auto left = deadline_ - io::ring::clock::now();
    return std::max(std::chrono::nanoseconds(left), std::chrono::nanoseconds(0));
  }
  /// At most `limit` from now on.
  void shorten(std::chrono::nanoseconds limit) noexcept {
    const auto sooner = io::ring::after(io::ring::clock::now(), limit);
    if (for_ever_ || sooner < deadline_) deadline_ = sooner;
    for_ever_ = false;
  }

 private:
  bool for_ever_;
  io::ring::clock::time_point deadline_;
};

/// Lives where it was made: OpenSSL has its address. On the ring's thread.
class session {
 public:
  /// Largest plain text of a record, RFC 8446 5.1.
  static constexpr std::size_t largest_record = 16 * 1024;

  explicit session(net::stream connection) noexcept : inner(std::move(connection)), pipe(inner.out()) {}
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  ~session() = default;

  /// Frames' memory: connections come and go.
  static void* operator new(std::size_t size) { return io::frame_pool::allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    io::frame_pool::deallocate(memory, size);
  }

  /// False without memory.
  bool attach(::SSL_CTX* context) noexcept {
    ssl.reset(::SSL_new(context));
    if (ssl == nullptr) return false;
    bio_ptr bio = pipe.make_bio();
    if (bio == nullptr) return false;
    ::SSL_set_bio(ssl.get(), bio.get(), bio.get());
    (void)bio.release();  // both are this one, which takes one reference
    ::SSL_set_ex_data(ssl.get(), index(), this);
    return true;
  }
  static session& of(const ::SSL* ssl) noexcept {
    return *static_cast<session*>(::SSL_get_ex_data(ssl, index()));
  }

  /// Reads and writes until the handshake is over: result<void>. errc::invalid if OpenSSL refuses it: why()
  /// says the reason, and its alert is in the connection's output. Else what stream::read() says.
  io::task<result<void>> handshake(time_left limit) {
    while (true) {
      ::ERR_clear_error();
      const int done = ::SSL_do_handshake(ssl.get());
      rethrow();
      if (done == 1) break;
      if (::SSL_get_error(ssl.get(), done) != SSL_ERROR_WANT_READ) {
        if (pipe.ended()) co_return error{errc::closed, 0};
        refused("the handshake failed");
        co_return error{errc::invalid, 0};
      }
      auto more = receive(limit.now());
      const auto received = co_await std::move(more);
      if (!received) co_return received.error();
    }
    established = true;
    // Before TLS 1.3 the client may wait for what we say last. After it there are tickets, which go out with
    // the first response.
    if (!inner.out().empty() && ::SSL_version(ssl.get()) != TLS1_3_VERSION) {
      const auto sent = co_await inner.flush(limit.now());
      if (!sent) co_return sent.error();
    }
    co_return result<void>();
  }

  io::task<result<io::buffer>> read(std::chrono::nanoseconds limit) {
    const time_left left(limit);
    while (true) {
      if (ssl == nullptr || failed) co_return error{errc::canceled, 0};
      if (fed != 0 || pipe.ended()) {
        // Plain text is never longer than the records that it was in.
        const std::size_t most = std::clamp<std::size_t>(fed, 1, largest_record);
        io::buffer text = io::buffer::allocate(static_cast<std::uint32_t>(most));
        std::size_t size = 0;
        ::ERR_clear_error();
        const int ok = ::SSL_read_ex(ssl.get(), text.data(), most, &size);
        rethrow();
        if (ok == 1) {
          text.shrink(static_cast<std::uint32_t>(size));
          decrypted += size;
          if (pipe.empty() && ::SSL_has_pending(ssl.get()) == 0) fed = 0;
          pipe.keep();  // the ring's buffer is not held through a wait of who reads
          co_return text;
        }
        const int state = ::SSL_get_error(ssl.get(), ok);
        if (state == SSL_ERROR_ZERO_RETURN) co_return error{errc::closed, 0};  // close_notify
        if (state != SSL_ERROR_WANT_READ || updates > most_updates + decrypted / (1024 * 1024)) {
          refused(state == SSL_ERROR_WANT_READ ? "too many changes of keys" : "the connection is broken");
          send_now();  // the alert
          // Without close_notify nobody knows whether more was to come, RFC 8446 6.1.
          co_return error::from_errno(pipe.ended() ? ECONNRESET : EPROTO);
        }
      }
      auto chunk = co_await inner.read(left.now());
      if (!take(chunk)) co_return chunk.error();
    }
  }

  /// Moves what is to be sent into the connection's output, encrypted.
  void encrypt() {
    if (failed) inner.close();  // a flush must not say that this was sent
    if (out.empty() || failed || ssl == nullptr) return;
    constexpr std::size_t overhead = 64;  // at least that of any record
    inner.out().reserve(inner.out().size() + out.size() + (out.size() / largest_record + 1) * overhead);
    std::size_t size = 0;
    ::ERR_clear_error();
    const int ok = ::SSL_write_ex(ssl.get(), out.data(), out.size(), &size);
    rethrow();
    if (ok != 1) {
      refused("the connection is broken");
      inner.close();
    }
    if (out.capacity() > kept_output) {
      io::release(out);
    } else {
      out.clear();
    }
  }

  /// Says close_notify, without waiting: it is lost if TCP takes nothing now. Not if what was to be sent
  /// before it was not: then the peer is to see that something is missing.
  void close_notify() noexcept {
    if (!established || failed || notified || ssl == nullptr) return;
    notified = true;
    if (inner.fd() < 0 || !out.empty() || inner.sending()) return;
    ::ERR_clear_error();
    (void)::SSL_shutdown(ssl.get());
    (void)pipe.take_failure();
    send_now();  // tickets that no response took along may be before it
  }

  /// Hands the connection's output to TCP as far as that takes it now, and forgets it.
  void send_now() noexcept {
    if (inner.fd() >= 0 && !inner.sending())
      (void)::send(inner.fd(), inner.out().data(), inner.out().size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    inner.out().clear();
  }

  /// Awaits more of the peer's records, what is to be sent having been sent first.
  io::task<result<void>> receive(std::chrono::nanoseconds limit) {
    const time_left left(limit);
    if (!inner.out().empty()) {
      const auto sent = co_await inner.flush(left.now());
      if (!sent) co_return sent.error();
    }
    auto chunk = co_await inner.read(left.now());
    if (!take(chunk)) co_return chunk.error();
    co_return result<void>();
  }

  void refused(const char* otherwise) {
    failed = true;
    if (why.empty()) why = take_error(otherwise);
  }

  net::stream inner;
  record_pipe pipe;
  std::shared_ptr<const void> keep;  // what the callbacks of `ssl` look at
  ssl_ptr ssl;
  io::pool_string out;  // plain text to be sent
  std::string why;
  io::buffer hello_bytes;
  client_hello hello;   // a view of them
  std::size_t fed = 0;  // bytes of records that may hold plain text
  std::uint64_t decrypted = 0;
  std::uint32_t updates = 0;  // KeyUpdate messages of the peer
  bool name_known = false;    // a certificate has the name that the client asked for
  bool established = false;
  bool failed = false;
  bool notified = false;

 private:
  static constexpr std::size_t kept_output = 1024;
  // Each costs us as much as hundreds of small requests. Peers need one in 2^24 records.
  static constexpr std::uint32_t most_updates = 16;

  // False if nothing came, and never will.
  bool take(result<io::buffer>& chunk) noexcept {
    if (chunk) {
      fed += chunk->size();
      pipe.feed(*std::move(chunk));
      return true;
    }
    if (chunk.error().code != errc::closed || pipe.ended()) return false;
    pipe.end();  // OpenSSL knows whether it may
    return true;
  }
  void rethrow() {
#if defined(__cpp_exceptions)
    if (auto failure = pipe.take_failure()) {
      failed = true;
      std::rethrow_exception(std::move(failure));
    }
#endif
  }
  static int index() noexcept {
    static const int made = ::SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return made;
  }
};

}  // namespace tls::detail
SYNFP_END_NAMESPACE
