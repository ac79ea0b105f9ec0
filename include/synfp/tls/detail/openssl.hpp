// SPDX-License-Identifier: MIT
// OpenSSL's objects with owners, and its errors as text.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include <synfp/version.hpp>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "synfp::tls needs OpenSSL 3 (Debian: libssl-dev)"
#endif

SYNFP_BEGIN_NAMESPACE
namespace tls::detail {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
template <class T, auto Free>
using owned = std::unique_ptr<T, freed_by<Free>>;

using ssl_ptr = owned<::SSL, ::SSL_free>;
using ssl_ctx_ptr = owned<::SSL_CTX, ::SSL_CTX_free>;
using bio_ptr = owned<::BIO, ::BIO_free_all>;
using x509_ptr = owned<::X509, ::X509_free>;
using key_ptr = owned<::EVP_PKEY, ::EVP_PKEY_free>;

/// What OpenSSL noted first of what went wrong in this thread, which it forgets; `otherwise` if that is
/// nothing.
inline std::string take_error(const char* otherwise) {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  if (code == 0) return otherwise;
  if (const char* const reason = ::ERR_reason_error_string(code); reason != nullptr) return reason;
  return otherwise;
}

}  // namespace tls::detail
SYNFP_END_NAMESPACE
