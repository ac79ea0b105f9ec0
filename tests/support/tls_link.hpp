// SPDX-License-Identifier: MIT
// A link as those in links.hpp, over TLS: OpenSSL as the client, which never blocks.
#pragma once

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/net/accepted.hpp>
#include <synfp/tls/accept.hpp>

#include "links.hpp"

namespace synfp::test {

/// One for the process: making keys takes time.
inline tls::server_context& self_signed_context() {
  static tls::server_context made = value_or_throw(tls::server_context::self_signed({"localhost"}));
  return made;
}

/// A client of OpenSSL on a socket. Trusts everybody.
class tls_client {
 public:
  explicit tls_client(int fd, int highest = TLS1_3_VERSION) : context_(::SSL_CTX_new(::TLS_client_method())) {
    ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets with write()
    ::SSL_CTX_set_max_proto_version(context_.get(), highest);
    SSL_CTX_set_mode(context_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    ssl_.reset(::SSL_new(context_.get()));
    ::SSL_set_fd(ssl_.get(), fd);
    ::SSL_set_connect_state(ssl_.get());
  }
  ::SSL* ssl() const { return ssl_.get(); }
  /// The handshake is over; else it goes on, or has failed.
  bool connected() {
    ::ERR_clear_error();
    return ::SSL_do_handshake(ssl_.get()) == 1;
  }

 private:
  tls::detail::ssl_ctx_ptr context_;
  tls::detail::ssl_ptr ssl_;
};

/// The client's end of a socket pair with TLS on it.
class tls_link {
 public:
  explicit tls_link(io::ring& ring) : ring_(&ring) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends_) != 0)
      throw std::runtime_error("socketpair");
    client_.emplace(ends_[0]);
  }
  tls_link(tls_link&& other) noexcept
      : ring_(other.ring_),
        ends_{std::exchange(other.ends_[0], -1), std::exchange(other.ends_[1], -1)},
        client_(std::move(other.client_)),
        gone_(other.gone_),
        ended_(other.ended_),
        reset_(other.reset_) {}
  tls_link& operator=(tls_link&&) = delete;
  ~tls_link() {
    close();
    if (ends_[1] >= 0) ::close(ends_[1]);
  }

  /// The server's end, once, with the handshake done.
  tls::stream server() {
    std::optional<tls::stream> made;
    bool failed = false;
    io::spawn([&]() -> io::task<> {
      net::accepted a(net::stream(*ring_, std::exchange(ends_[1], -1)), {});
      auto handshake = tls::accept(std::move(a), self_signed_context());
      auto done = co_await std::move(handshake);
      if (done) {
        made.emplace(std::move(done->connection));
      } else {
        failed = true;
      }
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!(client_->connected() && made) && !failed) {
      if (std::chrono::steady_clock::now() > deadline) failed = true;
      ring_->poll();
    }
    if (failed) throw std::runtime_error("no handshake");
    return *std::move(made);
  }

  std::size_t send(std::string_view bytes) {
    if (ends_[0] < 0 || bytes.empty()) return 0;
    std::size_t n = 0;
    ::ERR_clear_error();
    const int ok = ::SSL_write_ex(client_->ssl(), bytes.data(), bytes.size(), &n);
    if (ok == 1) return n;
    const int why = ::SSL_get_error(client_->ssl(), ok);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) gone_ = true;
    return 0;
  }
  bool gone() const { return gone_; }
  void receive(std::string& into) {
    char bytes[65536];
    while (ends_[0] >= 0 && !ended_) {
      std::size_t n = 0;
      ::ERR_clear_error();
      const int ok = ::SSL_read_ex(client_->ssl(), bytes, sizeof bytes, &n);
      into.append(bytes, n);
      if (ok == 1) continue;
      const int why = ::SSL_get_error(client_->ssl(), ok);
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return;
      ended_ = true;
      reset_ = why != SSL_ERROR_ZERO_RETURN;
      return;
    }
  }
  bool ended() const { return ended_; }
  /// It ended without close_notify.
  bool reset() const { return reset_; }
  void half_close() {
    ::ERR_clear_error();
    (void)::SSL_shutdown(client_->ssl());
    ::shutdown(ends_[0], SHUT_WR);
  }
  void close() {
    if (ends_[0] < 0) return;
    half_close();
    ::close(std::exchange(ends_[0], -1));
  }

 private:
  io::ring* ring_;
  int ends_[2] = {-1, -1};
  std::optional<tls_client> client_;
  bool gone_ = false;
  bool ended_ = false;
  bool reset_ = false;
};

}  // namespace synfp::test
