// SPDX-License-Identifier: MIT
// Certificates and keys in files, for tests of those who read them.
#pragma once

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/tls/server_context.hpp>

namespace synfp::test {

/// A directory that is gone with the object.
class tls_files {
 public:
  tls_files() {
    char name[] = "/tmp/synfp-tls-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
  }
  tls_files(const tls_files&) = delete;
  tls_files& operator=(const tls_files&) = delete;
  ~tls_files() { std::filesystem::remove_all(directory_); }

  std::string path(std::string_view name) const { return directory_ + "/" + std::string(name); }

  /// NAME.pem and NAME.key. `until`: seconds from now. `rsa`: the key's kind.
  tls::certificate_files make(const std::string& name, const std::vector<std::string>& hosts,
                              long until = 24L * 60 * 60, bool rsa = false) {
    auto made = value_or_throw(tls::detail::make_self_signed(hosts));
    ::X509* const x = made.chain.front().get();
    if (rsa) made.key.reset(EVP_RSA_gen(2048));
    ::X509_set_pubkey(x, made.key.get());
    ::X509_gmtime_adj(::X509_getm_notBefore(x), -48L * 60 * 60);
    ::X509_gmtime_adj(::X509_getm_notAfter(x), until);
    EXPECT_NE(::X509_sign(x, made.key.get(), ::EVP_sha256()), 0);
    tls::certificate_files files{path(name + ".pem"), path(name + ".key")};
    std::FILE* const chain = std::fopen(files.chain.c_str(), "w");
    EXPECT_EQ(PEM_write_X509(chain, x), 1);
    std::fclose(chain);
    std::FILE* const key = std::fopen(files.key.c_str(), "w");
    EXPECT_EQ(PEM_write_PrivateKey(key, made.key.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
    std::fclose(key);
    return files;
  }
  std::string write(std::string_view name, std::string_view content) {
    std::ofstream(path(name)) << content;
    return path(name);
  }

 private:
  std::string directory_;
};

}  // namespace synfp::test
