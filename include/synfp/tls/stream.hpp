// SPDX-License-Identifier: MIT
// A TLS connection on a ring. Needs OpenSSL 3 (synfp::tls).
#pragma once

#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/io/wait.hpp>
#include <synfp/net/stream.hpp>
#include <synfp/net/transport.hpp>
#include <synfp/result.hpp>
#include <synfp/tls/client_hello.hpp>
#include <synfp/tls/detail/session.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls {

/// A TLS connection whose handshake is done; accept() and connect() make one. It is used as net::stream is,
/// and http::serve() takes it as that. Move-only, on its ring's thread; the ring must outlive it.
///
/// What one flush sends leaves in one system call, in records of up to 16 KiB.
class stream {
 public:
  /// For accept() and connect().
  explicit stream(std::unique_ptr<detail::session> established) noexcept : s_(std::move(established)) {}
  stream(stream&&) noexcept = default;
  stream& operator=(stream&& other) noexcept {
    if (this != &other) {
      close();
      s_ = std::move(other.s_);
    }
    return *this;
  }
  /// close().
  ~stream() { close(); }

  io::ring& ring() const noexcept { return s_->inner.ring(); }

  /// Awaits the next bytes: result<io::buffer>. errc::closed after the peer's close_notify, which says that
  /// it was all; ECONNRESET if the peer just closed the connection, EPROTO if it broke the protocol; else as
  /// net::stream::read(). The task refers to this object, which must not be moved meanwhile.
  io::task<result<io::buffer>> read(std::chrono::nanoseconds limit = io::for_ever) { return s_->read(limit); }

  /// What the next flush sends. Append freely, also while a flush waits: that is for the next one.
  io::pool_string& out() noexcept { return s_->out; }
  void write(std::string_view text) { out().append(text); }

  /// Encrypts everything in out(), and awaits that it is handed to TCP: result<void>, as
  /// net::stream::flush().
  io::wait_awaiter<net::detail::sent_output> flush(std::chrono::nanoseconds limit = io::for_ever) {
    s_->encrypt();
    return s_->inner.flush(limit);
  }

  /// Ends the waiting read and flush with errc::canceled.
  void cancel() noexcept { s_->inner.cancel(); }

  /// Sends close_notify and FIN after what is flushed; reading stays possible.
  result<void> shutdown_write() noexcept {
    s_->close_notify();
    return s_->inner.shutdown_write();
  }

  /// Ends everything at once. The peer gets close_notify, unless output was not sent: then it can tell that
  /// it did not get all.
  void close() noexcept {
    if (s_ == nullptr) return;
    s_->close_notify();
    s_->inner.close();
  }
  /// The same without close_notify, and with RST.
  void abort() noexcept {
    s_->failed = true;
    s_->inner.abort();
  }

  /// What the client offered. Of a connection that connect() made, it is empty.
  const client_hello& hello() const noexcept { return s_->hello; }
  /// "TLSv1.3" or "TLSv1.2".
  std::string_view version() const noexcept { return ::SSL_get_version(s_->ssl.get()); }
  /// As OpenSSL names it: "TLS_AES_128_GCM_SHA256".
  std::string_view cipher() const noexcept { return ::SSL_get_cipher_name(s_->ssl.get()); }
  /// What ALPN has chosen, or nothing.
  std::string_view protocol() const noexcept {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    ::SSL_get0_alpn_selected(s_->ssl.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  /// The client came back with a ticket.
  bool resumed() const noexcept { return ::SSL_session_reused(s_->ssl.get()) == 1; }

 private:
  std::unique_ptr<detail::session> s_;
};
static_assert(net::transport<stream>);

}  // namespace tls
SYNFP_END_NAMESPACE
