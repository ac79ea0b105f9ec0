// SPDX-License-Identifier: MIT
// A certificate with its key, from files or made here, and what can be wrong with them.
#pragma once

#include <openssl/ec.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/endpoint.hpp>
#include <synfp/result.hpp>
#include <synfp/setup_error.hpp>
#include <synfp/tls/detail/openssl.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls::detail {

using ocsp_ptr = owned<::OCSP_RESPONSE, ::OCSP_RESPONSE_free>;
using ocsp_basic_ptr = owned<::OCSP_BASICRESP, ::OCSP_BASICRESP_free>;
using general_name_ptr = owned<::GENERAL_NAME, ::GENERAL_NAME_free>;

struct certificate {
  std::vector<x509_ptr> chain;  ///< the server's own first
  key_ptr key;
  std::vector<std::string> names;  ///< DNS names, lower case, sorted
  std::string ocsp;                ///< a response in DER, or empty
  std::time_t ocsp_until = 0;      ///< when the client should not believe it any more
};

inline void lower(std::string& text) noexcept {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
}

inline setup_result<bio_ptr> open_file(const std::string& name, std::string_view what) {
  errno = 0;
  bio_ptr file(::BIO_new_file(name.c_str(), "r"));
  if (file != nullptr) return file;
  const int number = errno;
  ::ERR_clear_error();
  return setup_error{errc::system, number,
                     "cannot read " + std::string(what) + " '" + name + "': " + std::strerror(number)};
}

/// The day, as "2026-11-27", or "?".
inline std::string day_of(const ::ASN1_TIME* when) {
  std::tm t{};
  if (::ASN1_TIME_to_tm(when, &t) != 1) return "?";
  std::array<char, 16> text{};
  if (std::strftime(text.data(), text.size(), "%Y-%m-%d", &t) == 0) return "?";
  return text.data();
}
inline std::time_t seconds_of(const ::ASN1_TIME* when) noexcept {
  std::tm t{};
  if (when == nullptr || ::ASN1_TIME_to_tm(when, &t) != 1) return 0;
  return ::timegm(&t);
}

/// The names that clients may ask for: dNSName of the subjectAltName, RFC 9525 6; those of a certificate
/// without any are none.
inline std::vector<std::string> names_of(::X509* leaf) {
  std::vector<std::string> names;
  owned<::GENERAL_NAMES, ::GENERAL_NAMES_free> all(
      static_cast<::GENERAL_NAMES*>(::X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; all != nullptr && i != sk_GENERAL_NAME_num(all.get()); ++i) {
    const ::GENERAL_NAME* const name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type != GEN_DNS) continue;
    const ::ASN1_STRING* const text = name->d.dNSName;
    std::string one(reinterpret_cast<const char*>(::ASN1_STRING_get0_data(text)),
                    static_cast<std::size_t>(::ASN1_STRING_length(text)));
    lower(one);
    if (one.find('\0') == std::string::npos) names.push_back(std::move(one));
  }
  std::sort(names.begin(), names.end());
  return names;
}

inline setup_result<void> read_chain(certificate& into, const std::string& name) {
  constexpr std::size_t longest = 16;
  auto file = open_file(name, "the certificate");
  if (!file) return std::move(file).error();
  while (x509_ptr one{::PEM_read_bio_X509(file->get(), nullptr, nullptr, nullptr)}) {
    if (into.chain.size() == longest)
      return setup_error{errc::too_large, 0, "'" + name + "' holds more than 16 certificates"};
    into.chain.push_back(std::move(one));
  }
  const unsigned long why = ::ERR_peek_last_error();
  ::ERR_clear_error();
  if (into.chain.empty() || ERR_GET_LIB(why) != ERR_LIB_PEM || ERR_GET_REASON(why) != PEM_R_NO_START_LINE)
    return setup_error{errc::invalid, 0,
                       "'" + name +
                           "' is not a certificate in PEM format; give a file with the server's certificate "
                           "and, after it, those that lead to its root"};
  ::X509* const leaf = into.chain.front().get();
  if (::X509_cmp_current_time(::X509_get0_notAfter(leaf)) <= 0)
    return setup_error{
        errc::invalid, 0,
        "the certificate '" + name + "' expired on " + day_of(::X509_get0_notAfter(leaf)) + "; renew it"};
  if (::X509_cmp_current_time(::X509_get0_notBefore(leaf)) > 0)
    return setup_error{errc::invalid, 0,
                       "the certificate '" + name + "' is valid from " + day_of(::X509_get0_notBefore(leaf)) +
                           " on; is the clock right?"};
  into.names = names_of(leaf);
  return {};
}

inline setup_result<void> read_key(certificate& into, const std::string& name, const std::string& chain) {
  auto file = open_file(name, "the key");
  if (!file) return std::move(file).error();
  bool asked = false;
  const auto no_passphrase = [](char*, int, int, void* was_asked) {
    *static_cast<bool*>(was_asked) = true;
    return -1;
  };
  into.key.reset(::PEM_read_bio_PrivateKey(file->get(), nullptr, no_passphrase, &asked));
  ::ERR_clear_error();
  if (asked)
    return setup_error{errc::invalid, 0,
                       "the key '" + name +
                           "' is encrypted; write it without a passphrase (openssl pkey -in KEY -out FILE), "
                           "readable for the server alone"};
  if (into.key == nullptr)
    return setup_error{errc::invalid, 0, "'" + name + "' is not a private key in PEM format"};
  const int same = ::X509_check_private_key(into.chain.front().get(), into.key.get());
  ::ERR_clear_error();
  if (same != 1)
    return setup_error{errc::invalid, 0,
                       "the key '" + name + "' does not belong to the certificate '" + chain +
                           "', whose first certificate must be the server's own"};
  return {};
}

/// A response in DER, as `openssl ocsp -respout` writes it.
inline setup_result<void> read_ocsp(certificate& into, const std::string& name) {
  auto file = open_file(name, "the OCSP response");
  if (!file) return std::move(file).error();
  const ocsp_ptr response(d2i_OCSP_RESPONSE_bio(file->get(), nullptr));
  const ocsp_basic_ptr basic(response != nullptr ? ::OCSP_response_get1_basic(response.get()) : nullptr);
  ::ERR_clear_error();
  if (basic == nullptr || ::OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
    return setup_error{errc::invalid, 0, "'" + name + "' is not a successful OCSP response in DER format"};
  const ::ASN1_INTEGER* const serial = ::X509_get0_serialNumber(into.chain.front().get());
  for (int i = 0; i != OCSP_resp_count(basic.get()); ++i) {
    ::OCSP_SINGLERESP* const one = ::OCSP_resp_get0(basic.get(), i);
    ::ASN1_INTEGER* its_serial = nullptr;
    ::OCSP_id_get0_info(nullptr, nullptr, nullptr, &its_serial,
                        const_cast<::OCSP_CERTID*>(::OCSP_SINGLERESP_get0_id(one)));
    if (its_serial == nullptr || ::ASN1_INTEGER_cmp(its_serial, serial) != 0) continue;
    ::ASN1_GENERALIZEDTIME* until = nullptr;
    (void)::OCSP_single_get0_status(one, nullptr, nullptr, nullptr, &until);
    into.ocsp_until = until != nullptr ? seconds_of(until) : std::numeric_limits<std::time_t>::max();
    if (into.ocsp_until <= std::time(nullptr))
      return setup_error{
          errc::invalid, 0,
          "the OCSP response '" + name + "' is out of date since " + day_of(until) + "; fetch a new one"};
    unsigned char* der = nullptr;
    const int size = i2d_OCSP_RESPONSE(response.get(), &der);
    if (size > 0) into.ocsp.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    ::OPENSSL_free(der);
    return {};
  }
  return setup_error{errc::invalid, 0, "the OCSP response '" + name + "' is about another certificate"};
}

/// ECDSA P-256, for `names` (DNS names and addresses), valid for 30 days.
inline setup_result<certificate> make_self_signed(const std::vector<std::string>& names) {
  const auto failed = [] {
    return setup_error{errc::system, 0,
                       "OpenSSL cannot make a certificate: " + take_error("no reason was given")};
  };
  certificate made;
  made.key.reset(EVP_EC_gen("P-256"));
  x509_ptr x(::X509_new());
  if (made.key == nullptr || x == nullptr) return failed();
  std::array<unsigned char, 16> serial{};
  if (::RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) return failed();
  serial[0] = static_cast<unsigned char>((serial[0] & 0x3f) | 0x40);  // positive, of constant length
  const owned<::BIGNUM, ::BN_free> number(
      ::BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  ::X509_NAME* const subject = ::X509_get_subject_name(x.get());
  const auto* const title = reinterpret_cast<const unsigned char*>("synfp self-signed");
  bool good = number != nullptr && ::X509_set_version(x.get(), 2) == 1 &&
              ::BN_to_ASN1_INTEGER(number.get(), ::X509_get_serialNumber(x.get())) != nullptr &&
              // Clocks differ.
              ::X509_gmtime_adj(::X509_getm_notBefore(x.get()), -24L * 60 * 60) != nullptr &&
              ::X509_gmtime_adj(::X509_getm_notAfter(x.get()), 30L * 24 * 60 * 60) != nullptr &&
              ::X509_set_pubkey(x.get(), made.key.get()) == 1 &&
              ::X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, title, -1, -1, 0) == 1 &&
              ::X509_set_issuer_name(x.get(), subject) == 1;
  const owned<::GENERAL_NAMES, ::GENERAL_NAMES_free> all(sk_GENERAL_NAME_new_null());
  good = good && all != nullptr;
  for (const std::string& name : names) {
    if (!good) break;
    const bool is_address =
        endpoint::parse(name.find(':') == std::string::npos ? name + ":1" : "[" + name + "]:1").has_value();
    general_name_ptr one(
        ::a2i_GENERAL_NAME(nullptr, nullptr, nullptr, is_address ? GEN_IPADD : GEN_DNS, name.c_str(), 0));
    good = one != nullptr && sk_GENERAL_NAME_push(all.get(), one.get()) > 0;
    if (good) (void)one.release();
  }
  good = good && ::X509_add1_ext_i2d(x.get(), NID_subject_alt_name, all.get(), 0, X509V3_ADD_DEFAULT) == 1;
  for (const auto& [nid, value] :
       {std::pair(NID_basic_constraints, "critical,CA:FALSE"), std::pair(NID_ext_key_usage, "serverAuth")}) {
    const owned<::X509_EXTENSION, ::X509_EXTENSION_free> extension(
        good ? ::X509V3_EXT_conf_nid(nullptr, nullptr, nid, value) : nullptr);
    good = extension != nullptr && ::X509_add_ext(x.get(), extension.get(), -1) == 1;
  }
  if (!good || ::X509_sign(x.get(), made.key.get(), ::EVP_sha256()) == 0) return failed();
  made.names = names_of(x.get());
  made.chain.push_back(std::move(x));
  return made;
}

/// SHA-256 of the certificate, as browsers show it: "12:AB:...".
inline std::string fingerprint_of(::X509* x) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (::X509_digest(x, ::EVP_sha256(), digest.data(), &size) != 1) return {};
  std::string text;
  for (unsigned i = 0; i != size; ++i) {
    constexpr char digits[] = "0123456789ABCDEF";
    if (i != 0) text += ':';
    text += digits[digest[i] >> 4];
    text += digits[digest[i] & 15];
  }
  return text;
}

}  // namespace tls::detail
SYNFP_END_NAMESPACE
