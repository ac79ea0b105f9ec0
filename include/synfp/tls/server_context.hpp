// SPDX-License-Identifier: MIT
// What a server needs to speak TLS: certificates, tickets, limits. Needs OpenSSL 3 (synfp::tls).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <synfp/net/connection_facts.hpp>
#include <synfp/result.hpp>
#include <synfp/setup_error.hpp>
#include <synfp/tls/detail/certificate.hpp>
#include <synfp/tls/detail/openssl.hpp>
#include <synfp/tls/detail/session.hpp>
#include <synfp/tls/detail/ticket_keys.hpp>
#include <synfp/tls/refusal.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls {

/// Files in PEM format.
struct certificate_files {
  std::string chain;   ///< the server's certificate and, after it, those that lead to its root
  std::string key;     ///< its private key, without a passphrase
  std::string ocsp{};  ///< an OCSP response in DER that is stapled until it is out of date; empty: none
};

struct context_options {
  /// The first one is for clients that ask for no name, or for one that no certificate has. Two with the same
  /// names and keys of different kinds (ECDSA and RSA) are one: the client's algorithms decide.
  std::vector<certificate_files> certificates{};
  /// What ALPN may choose (RFC 7301), best first. A client that offers others only is refused.
  std::vector<std::string> protocols{"http/1.1"};
  /// For the whole handshake, from accept() on. Then the connection is closed.
  std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(10);
  /// Handshakes that a thread may have begun and not ended. One more ends the oldest: a client whose
  /// handshake takes less time than a flood needs to send so many is not touched.
  std::size_t handshakes = 1024;
  /// Handshakes that a thread begins in one turn of its ring: while one is computed,
  /// nobody else is served.
  unsigned handshakes_per_turn = 4;
  /// How long a key seals session tickets (RFC 5077, RFC 8446 4.6.1). Clients may come back with one for up
  /// to twice that, to any thread. 0: no tickets.
  std::chrono::seconds ticket_lifetime = std::chrono::hours(1);
  /// Gets a sentence for each connection that did not get through the handshake. On the threads of the
  /// server, several at a time; must not wait or throw.
  std::function<void(const net::connection_facts&, std::string_view why)> on_refused{};
};

/// Since the context was made.
struct handshake_counters {
  std::uint64_t completed = 0;  ///< of these
  std::uint64_t resumed = 0;    ///< those with a ticket
  std::uint64_t no_hello = 0;   ///< what came was no ClientHello: see server_context::refusals()
  std::uint64_t refused = 0;  ///< by OpenSSL, or by the client: nothing in common, a broken message, an alert
  std::uint64_t late = 0;     ///< not done within context_options::handshake_timeout
  std::uint64_t left = 0;     ///< the client closed, or the server stopped
  std::uint64_t displaced = 0;  ///< made room for others: context_options::handshakes
};

namespace detail {

/// One SSL_CTX for certificates with the same names.
struct virtual_host {
  struct stapled {
    const ::X509* certificate;  // of `context`: one of several gets no other's response
    std::string response;
    std::time_t until;
  };

  ssl_ctx_ptr context;
  std::vector<std::string> names;
  std::vector<int> key_kinds;
  std::vector<stapled> ocsp;
};

/// What files hold; connections keep the one with which they began.
struct loaded_certificates {
  std::vector<std::unique_ptr<virtual_host>> hosts;
  std::unordered_map<std::string, const virtual_host*> by_name;
  std::string protocols;    // as ALPN sends them
  std::string fingerprint;  // of the first certificate

  /// `known`: the name is in a certificate.
  const virtual_host& choose(std::string_view name, bool& known) const {
    std::string asked(name);
    lower(asked);
    auto found = by_name.find(asked);
    if (found == by_name.end()) {
      if (const auto dot = asked.find('.'); dot != std::string::npos && dot != 0)
        found = by_name.find("*" + asked.substr(dot));  // one label, RFC 9525 6.3
    }
    known = found != by_name.end();
    return known ? *found->second : *hosts.front();
  }
};

struct atomic_handshake_counters {
  std::atomic<std::uint64_t> completed{0}, resumed{0}, no_hello{0}, refused{0}, late{0}, left{0},
      displaced{0};
};

inline void count(std::atomic<std::uint64_t>& c) noexcept { c.fetch_add(1, std::memory_order_relaxed); }

struct server_state {
  explicit server_state(context_options o) : options(std::move(o)), tickets(options.ticket_lifetime) {}

  std::shared_ptr<const loaded_certificates> certificates() const {
    const std::lock_guard lock(mutex);
    return current;
  }

  context_options options;
  ticket_keys tickets;
  mutable std::mutex mutex;
  std::shared_ptr<const loaded_certificates> current;
  atomic_handshake_counters counts;
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(refusal::key_shares_invalid) + 1>
      refusals{};
};

inline int choose_protocol(::SSL*, const unsigned char** chosen, unsigned char* size,
                           const unsigned char* offered, unsigned offered_size, void* all) noexcept {
  const auto& ours = static_cast<const loaded_certificates*>(all)->protocols;
  unsigned char* found = nullptr;
  if (::SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(ours.data()),
                              static_cast<unsigned>(ours.size()), offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}
inline int staple(::SSL* ssl, void* host) noexcept {
  const ::X509* const chosen = ::SSL_get_certificate(ssl);
  for (const virtual_host::stapled& each : static_cast<const virtual_host*>(host)->ocsp) {
    if (each.certificate != chosen || each.until <= std::time(nullptr)) continue;
    void* const copy = ::OPENSSL_memdup(each.response.data(), each.response.size());
    if (copy == nullptr) break;
    ::SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(each.response.size()));  // owns it now
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}
inline int acknowledge_name(::SSL* ssl, int*, void*) noexcept {
  return session::of(ssl).name_known ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}
inline void watch_messages(int written, int, int type, const void* data, std::size_t size, ::SSL* ssl,
                           void*) noexcept {
  if (written == 0 && type == SSL3_RT_HANDSHAKE && size != 0 &&
      *static_cast<const unsigned char*>(data) == SSL3_MT_KEY_UPDATE)
    ++session::of(ssl).updates;
}

/// What client and server have in common. Null if OpenSSL refuses.
inline ssl_ctx_ptr make_context(const ::SSL_METHOD* method) noexcept {
  ssl_ctx_ptr made(::SSL_CTX_new(method));
  ::SSL_CTX* const c = made.get();
  if (c == nullptr || ::SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1 ||
      // Forward secrecy and authenticated encryption. Those of TLS 1.3 all are.
      ::SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
      SSL_CTX_set1_groups_list(c, "X25519:P-256:P-384") != 1)
    return nullptr;
  ::SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_PRIORITIZE_CHACHA);
  // Records go into one output, so a write is never partial. An idle connection keeps no record's buffer.
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  ::SSL_CTX_set_read_ahead(c, 1);
  ::SSL_CTX_set_msg_callback(c, &watch_messages);
  return made;
}

inline setup_result<std::shared_ptr<const loaded_certificates>> prepare(std::vector<certificate> all,
                                                                        server_state& state) {
  auto made = std::make_shared<loaded_certificates>();
  const context_options& options = state.options;
  for (const std::string& protocol : options.protocols) {
    if (protocol.empty() || protocol.size() > 255)
      return setup_error{errc::invalid, 0, "a protocol of ALPN has 1 to 255 bytes"};
    made->protocols += static_cast<char>(protocol.size());
    made->protocols += protocol;
  }
  made->fingerprint = fingerprint_of(all.front().chain.front().get());
  for (certificate& each : all) {
    virtual_host* host = nullptr;
    for (const auto& before : made->hosts) {
      if (before->names == each.names) host = before.get();
    }
    if (host == nullptr) {
      host = made->hosts.emplace_back(std::make_unique<virtual_host>()).get();
      host->names = each.names;
      host->context = make_context(::TLS_server_method());
    }
    // OpenSSL would take the later one in place of the earlier.
    const int kind = ::EVP_PKEY_get_base_id(each.key.get());
    if (std::find(host->key_kinds.begin(), host->key_kinds.end(), kind) != host->key_kinds.end())
      return setup_error{errc::invalid, 0,
                         "two certificates are for the same names (" +
                             (each.names.empty() ? std::string("none") : each.names.front()) +
                             ", ...) and have keys of one kind; leave one of them out"};
    host->key_kinds.push_back(kind);
    ::SSL_CTX* const c = host->context.get();
    bool good = c != nullptr && ::SSL_CTX_use_certificate(c, each.chain.front().get()) == 1 &&
                ::SSL_CTX_use_PrivateKey(c, each.key.get()) == 1;
    if (good) (void)SSL_CTX_clear_chain_certs(c);
    for (std::size_t i = 1; good && i != each.chain.size(); ++i)
      good = SSL_CTX_add1_chain_cert(c, each.chain[i].get()) == 1;
    if (!good)
      return setup_error{errc::invalid, 0,
                         "OpenSSL refuses a certificate: " + take_error("no reason was given")};
    if (!each.ocsp.empty()) {
      host->ocsp.push_back({each.chain.front().get(), std::move(each.ocsp), each.ocsp_until});
      SSL_CTX_set_tlsext_status_cb(c, &staple);
      SSL_CTX_set_tlsext_status_arg(c, host);
    }
    ::SSL_CTX_set_alpn_select_cb(c, &choose_protocol, made.get());
    SSL_CTX_set_tlsext_servername_callback(c, &acknowledge_name);
    // Tickets only: no session is kept here. A ticket of one host is not for another.
    std::string id;
    for (const std::string& name : host->names) id += name + ' ';
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (::EVP_Digest(id.data(), id.size(), digest.data(), &size, ::EVP_sha256(), nullptr) != 1 ||
        ::SSL_CTX_set_session_id_context(c, digest.data(), size) != 1)
      return setup_error{errc::system, 0, "OpenSSL refuses: " + take_error("no reason was given")};
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    if (options.ticket_lifetime.count() > 0) {
      SSL_CTX_set_app_data(c, &state.tickets);
      ::SSL_CTX_set_tlsext_ticket_key_evp_cb(c, &ticket_keys::use);
      ::SSL_CTX_set_timeout(c, static_cast<long>(options.ticket_lifetime.count()));
    } else {
      ::SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
      (void)::SSL_CTX_set_num_tickets(c, 0);
    }
  }
  for (const auto& host : made->hosts) {
    for (const std::string& name : host->names) made->by_name.try_emplace(name, host.get());
  }
  return std::shared_ptr<const loaded_certificates>(std::move(made));
}

inline setup_result<std::shared_ptr<const loaded_certificates>> load(server_state& state) {
  std::vector<certificate> all;
  for (const certificate_files& files : state.options.certificates) {
    certificate& each = all.emplace_back();
    if (auto done = read_chain(each, files.chain); !done) return std::move(done).error();
    if (auto done = read_key(each, files.key, files.chain); !done) return std::move(done).error();
    if (files.ocsp.empty()) continue;
    if (auto done = read_ocsp(each, files.ocsp); !done) return std::move(done).error();
  }
  return prepare(std::move(all), state);
}

}  // namespace detail

/// Thread-safe: one object for all threads and listeners; it must outlive the connections. TLS 1.2 and 1.3,
/// without renegotiation, compression or early data. Move-only.
class server_context {
 public:
#if defined(__cpp_exceptions)
  /// Reads the files; throws setup_failure.
  explicit server_context(context_options options)
      : server_context(value_or_throw(open(std::move(options)))) {}
#endif
  static setup_result<server_context> open(context_options options) {
    if (options.certificates.empty())
      return setup_error{errc::invalid, 0, "TLS needs at least one certificate with its key"};
    server_context made(std::make_unique<detail::server_state>(std::move(options)));
    auto loaded = detail::load(*made.state_);
    if (!loaded) return std::move(loaded).error();
    made.state_->current = *std::move(loaded);
    return made;
  }
  /// For trying things: a certificate that nobody trusts, for `names` (DNS names and addresses), which is
  /// made here, in memory, and lasts 30 days. context_options::certificates must be empty.
  static setup_result<server_context> self_signed(const std::vector<std::string>& names,
                                                  context_options options = {}) {
    if (!options.certificates.empty() || names.empty())
      return setup_error{errc::invalid, 0, "a self-signed certificate takes names, and no files"};
    auto certificate = detail::make_self_signed(names);
    if (!certificate) return std::move(certificate).error();
    server_context made(std::make_unique<detail::server_state>(std::move(options)));
    std::vector<detail::certificate> all;
    all.push_back(*std::move(certificate));
    auto ready = detail::prepare(std::move(all), *made.state_);
    if (!ready) return std::move(ready).error();
    made.state_->current = *std::move(ready);
    return made;
  }

  /// Reads the files again, for the connections that come after it. If one of them is not good, everything
  /// stays as it was. From any thread; it reads files.
  setup_result<void> reload() {
    if (state_->options.certificates.empty()) return {};
    auto loaded = detail::load(*state_);
    if (!loaded) return std::move(loaded).error();
    const std::lock_guard lock(state_->mutex);
    state_->current = *std::move(loaded);
    return {};
  }

  /// SHA-256 of the first certificate, as browsers show it: "12:AB:...".
  std::string fingerprint() const { return state_->certificates()->fingerprint; }

  handshake_counters counters() const noexcept {
    const auto now = [](const std::atomic<std::uint64_t>& c) { return c.load(std::memory_order_relaxed); };
    const auto& c = state_->counts;
    return {now(c.completed), now(c.resumed), now(c.no_hello), now(c.refused),
            now(c.late),      now(c.left),    now(c.displaced)};
  }
  /// Of counters().no_hello, those for this reason.
  std::uint64_t refusals(refusal why) const noexcept {
    return state_->refusals[static_cast<std::size_t>(why)].load(std::memory_order_relaxed);
  }

  /// For tls::accept().
  detail::server_state& state() noexcept { return *state_; }

 private:
  explicit server_context(std::unique_ptr<detail::server_state> state) noexcept : state_(std::move(state)) {}

  std::unique_ptr<detail::server_state> state_;
};

}  // namespace tls
SYNFP_END_NAMESPACE
