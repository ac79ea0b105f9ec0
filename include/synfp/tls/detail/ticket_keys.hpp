// SPDX-License-Identifier: MIT
// The keys that session tickets are sealed with.
#pragma once

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <optional>

#include <synfp/tls/detail/openssl.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls::detail {

/// Keys that change with time. A new one seals; those before it open what they have sealed for `lifetime`
/// more. Thread-safe: the threads of a server share them, so that a client may come back to any.
class ticket_keys {
 public:
  using clock = std::chrono::steady_clock;

  struct key {
    std::array<std::uint8_t, 16> name;
    std::array<std::uint8_t, 32> aes;
    std::array<std::uint8_t, 32> hmac;
    clock::time_point made;

    /// 1, or -1 if OpenSSL refuses.
    int prepare(unsigned char* its_name, unsigned char* iv, ::EVP_CIPHER_CTX* cipher, ::EVP_MAC_CTX* mac,
                int seal) noexcept {
      if (seal == 1) {
        if (::RAND_bytes(iv, 16) != 1) return -1;
        std::memcpy(its_name, name.data(), name.size());
      }
      char digest[] = "SHA256";
      ::OSSL_PARAM parameters[] = {
          ::OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, hmac.data(), hmac.size()),
          ::OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), ::OSSL_PARAM_construct_end()};
      if (::EVP_MAC_CTX_set_params(mac, parameters) != 1) return -1;
      return ::EVP_CipherInit_ex2(cipher, aes_256_cbc(), aes.data(), iv, seal, nullptr) == 1 ? 1 : -1;
    }
  };

  explicit ticket_keys(std::chrono::seconds lifetime) noexcept : lifetime_(lifetime) {}
  ticket_keys(const ticket_keys&) = delete;
  ticket_keys& operator=(const ticket_keys&) = delete;
  ~ticket_keys() { ::OPENSSL_cleanse(keys_.data(), sizeof keys_); }

  /// To seal with. Nothing if there is no randomness.
  std::optional<key> newest(clock::time_point now = clock::now()) noexcept {
    const std::lock_guard lock(mutex_);
    if (count_ == 0 || now - keys_[0].made >= lifetime_) {
      key fresh;
      fresh.made = now;
      if (::RAND_bytes(fresh.name.data(), static_cast<int>(fresh.name.size())) != 1 ||
          ::RAND_priv_bytes(fresh.aes.data(), static_cast<int>(fresh.aes.size())) != 1 ||
          ::RAND_priv_bytes(fresh.hmac.data(), static_cast<int>(fresh.hmac.size())) != 1)
        return std::nullopt;
      keys_[1] = keys_[0];
      keys_[0] = fresh;
      count_ = count_ == 0 ? 1 : 2;
    }
    return keys_[0];
  }
  /// That a ticket was sealed with, unless it is too old.
  std::optional<key> find(const unsigned char* name, clock::time_point now = clock::now()) const noexcept {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i != count_; ++i) {
      const key& k = keys_[i];
      if (now - k.made < 2 * lifetime_ && std::memcmp(k.name.data(), name, k.name.size()) == 0) return k;
    }
    return std::nullopt;
  }

  /// OpenSSL's callback: prepares `cipher` and `mac` to seal or to open a ticket. SSL_CTX_get_app_data() of
  /// the connection's context is the ticket_keys.
  static int use(::SSL* ssl, unsigned char* name, unsigned char* iv, ::EVP_CIPHER_CTX* cipher,
                 ::EVP_MAC_CTX* mac, int seal) noexcept {
    auto* const keys = static_cast<ticket_keys*>(SSL_CTX_get_app_data(::SSL_get_SSL_CTX(ssl)));
    if (keys == nullptr) return 0;
    std::optional<key> k = seal == 1 ? keys->newest() : keys->find(name);
    if (!k) return seal == 1 ? -1 : 0;  // 0: a full handshake
    const int done = k->prepare(name, iv, cipher, mac, seal);
    ::OPENSSL_cleanse(&*k, sizeof *k);
    // 2: a new ticket, too. With TLS 1.3 clients use each once, RFC 8446 C.4.
    return done == 1 && seal == 0 && ::SSL_version(ssl) == TLS1_3_VERSION ? 2 : done;
  }

 private:
  // Looked up once: OpenSSL's implicit lookup costs more than the encryption.
  static const ::EVP_CIPHER* aes_256_cbc() noexcept {
    static const ::EVP_CIPHER* const found = ::EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
    return found;
  }

  mutable std::mutex mutex_;
  std::chrono::seconds lifetime_;
  std::array<key, 2> keys_{};
  std::size_t count_ = 0;
};

}  // namespace tls::detail
SYNFP_END_NAMESPACE
