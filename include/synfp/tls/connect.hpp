// SPDX-License-Identifier: MIT
// The client's side of a handshake. Needs OpenSSL 3 (synfp::tls).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/io/task.hpp>
#include <synfp/net/stream.hpp>
#include <synfp/result.hpp>
#include <synfp/setup_error.hpp>
#include <synfp/tls/detail/session.hpp>
#include <synfp/tls/server_context.hpp>
#include <synfp/tls/stream.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls {

struct client_options {
  /// Certificates in PEM format that are trusted; empty: those of the system.
  std::string authorities{};
  /// What ALPN offers, best first.
  std::vector<std::string> protocols{"http/1.1"};
};

/// What a client needs to speak TLS. Thread-safe; it must outlive connect().
class client_context {
 public:
#if defined(__cpp_exceptions)
  /// Throws setup_failure.
  explicit client_context(const client_options& options = {})
      : client_context(value_or_throw(open(options))) {}
#endif
  static setup_result<client_context> open(const client_options& options = {}) {
    client_context made(detail::make_context(::TLS_client_method()));
    ::SSL_CTX* const c = made.context_.get();
    std::string protocols;
    for (const std::string& protocol : options.protocols) {
      protocols += static_cast<char>(protocol.size());
      protocols += protocol;
    }
    if (c == nullptr || ::SSL_CTX_set_alpn_protos(c, reinterpret_cast<const unsigned char*>(protocols.data()),
                                                  static_cast<unsigned>(protocols.size())) != 0)
      return setup_error{errc::system, 0, "OpenSSL refuses: " + detail::take_error("no reason was given")};
    ::SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
    const bool trusted = options.authorities.empty()
                             ? ::SSL_CTX_set_default_verify_paths(c) == 1
                             : ::SSL_CTX_load_verify_file(c, options.authorities.c_str()) == 1;
    ::ERR_clear_error();
    if (!trusted)
      return setup_error{
          errc::invalid, 0,
          "'" + options.authorities + "' holds no certificates in PEM format that can be read"};
    return made;
  }

 private:
  friend io::task<result<stream>> connect(net::stream, const client_context&, std::string, std::string*,
                                          std::chrono::nanoseconds);
  explicit client_context(detail::ssl_ctx_ptr c) noexcept : context_(std::move(c)) {}

  detail::ssl_ctx_ptr context_;
};

/// Awaits the handshake with the server that `connection` leads to, whose certificate must be for `name` and
/// trusted: the TLS connection; errc::invalid if TLS fails, of which `why`, if it is not null, gets the
/// reason; or what net::stream::read() says.
inline io::task<result<stream>> connect(net::stream connection, const client_context& context,
                                        std::string name, std::string* why = nullptr,
                                        std::chrono::nanoseconds limit = std::chrono::seconds(10)) {
  auto s = std::make_unique<detail::session>(std::move(connection));
  result<void> done = error{errc::invalid, 0};
  if (s->attach(context.context_.get()) && SSL_set_tlsext_host_name(s->ssl.get(), name.c_str()) == 1 &&
      ::SSL_set1_host(s->ssl.get(), name.c_str()) == 1) {
    ::SSL_set_connect_state(s->ssl.get());
    auto handshake = s->handshake(detail::time_left(limit));
    done = co_await std::move(handshake);
  } else {
    s->refused("OpenSSL refuses");
  }
  if (done) co_return stream(std::move(s));
  if (why != nullptr) *why = s->why;
  s->send_now();  // the alert
  co_return done.error();
}

}  // namespace tls
SYNFP_END_NAMESPACE
