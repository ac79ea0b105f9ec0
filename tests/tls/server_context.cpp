// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <synfp/tls/server_context.hpp>

#include "../support/tls_files.hpp"

namespace {

using namespace std::chrono_literals;
using namespace synfp;
using testing::HasSubstr;

std::string why_not(const tls::certificate_files& files) {
  const auto made = tls::server_context::open({.certificates = {files}});
  return made ? "" : made.error().message;
}

TEST(tls_server_context, says_what_is_wrong_with_files) {
  test::tls_files files;
  const auto good = files.make("good", {"a.example"});
  const auto other = files.make("other", {"a.example"});
  EXPECT_EQ(why_not(good), "");
  EXPECT_THAT(why_not({files.path("none"), good.key}), HasSubstr("none': No such file or directory"));
  EXPECT_THAT(why_not({good.chain, files.path("none")}), HasSubstr("cannot read the key"));
  EXPECT_THAT(why_not({good.chain, other.key}), HasSubstr("does not belong to the certificate"));
  EXPECT_THAT(why_not(files.make("old", {"a.example"}, -60)), HasSubstr("expired on 20"));
  EXPECT_THAT(why_not({files.write("text", "no certificate\n"), good.key}),
              HasSubstr("is not a certificate in PEM format"));
  EXPECT_THAT(why_not({files.path(""), good.key}), HasSubstr("is not a certificate in PEM format"));
  EXPECT_THAT(why_not({files.write("half", "-----BEGIN CERTIFICATE-----\nMIIB\n"), good.key}),
              HasSubstr("is not a certificate in PEM format"));
  EXPECT_THAT(why_not({good.chain, good.chain}), HasSubstr("is not a private key in PEM format"));
  EXPECT_THAT(why_not({good.chain, good.key, good.chain}), HasSubstr("is not a successful OCSP response"));
  EXPECT_THAT(tls::server_context::open({.certificates = {good, other}}).error().message,
              HasSubstr("two certificates are for the same names (a.example, ...)"));
  EXPECT_THAT(tls::server_context::open({}).error().message, HasSubstr("at least one certificate"));

  std::FILE* const encrypted = std::fopen(files.path("encrypted.key").c_str(), "w");
  std::FILE* const plain = std::fopen(good.key.c_str(), "r");
  const tls::detail::key_ptr key(PEM_read_PrivateKey(plain, nullptr, nullptr, nullptr));
  char word[] = "word";
  PEM_write_PrivateKey(encrypted, key.get(), ::EVP_aes_128_cbc(), nullptr, 0, nullptr, word);
  std::fclose(encrypted);
  std::fclose(plain);
  EXPECT_THAT(why_not({good.chain, files.path("encrypted.key")}), HasSubstr("without a passphrase"));
}

TEST(tls_server_context, a_reload_that_fails_changes_nothing) {
  test::tls_files files;
  auto context =
      value_or_throw(tls::server_context::open({.certificates = {files.make("a", {"a.example"})}}));
  const std::string before = context.fingerprint();
  files.write("a.key", "nonsense");
  const auto refused = context.reload();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("is not a private key"));
  EXPECT_EQ(context.fingerprint(), before);
  files.make("a", {"a.example"});
  EXPECT_TRUE(context.reload());
  EXPECT_NE(context.fingerprint(), before);
}

TEST(tls_server_context, a_name_chooses) {
  test::tls_files files;
  auto context = value_or_throw(tls::server_context::open(
      {.certificates = {files.make("a", {"a.example"}), files.make("b", {"B.example", "*.b.example"}),
                        files.make("b-rsa", {"b.example", "*.b.example"}, 3600, true)}}));
  const auto all = context.state().certificates();
  ASSERT_EQ(all->hosts.size(), 2U) << "the third is of the second's host";
  const auto chosen = [&](std::string_view name) {
    bool known = false;
    const auto& host = all->choose(name, known);
    return std::pair(host.names.front(), known);
  };
  EXPECT_EQ(chosen("a.example"), std::pair(std::string("a.example"), true));
  EXPECT_EQ(chosen("B.Example"), std::pair(std::string("*.b.example"), true));
  EXPECT_EQ(chosen("x.b.example"), std::pair(std::string("*.b.example"), true));
  EXPECT_EQ(chosen("y.x.b.example"), std::pair(std::string("a.example"), false)) << "one label";
  EXPECT_EQ(chosen(".b.example"), std::pair(std::string("a.example"), false));
  EXPECT_EQ(chosen(""), std::pair(std::string("a.example"), false));
}

TEST(tls_server_context, self_signed) {
  const auto made = tls::server_context::self_signed({"localhost", "127.0.0.1", "::1"});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->fingerprint().size(), 95U);
  EXPECT_FALSE(tls::server_context::self_signed({}));
  EXPECT_FALSE(tls::server_context::self_signed({"a"}, {.certificates = {{"b", "c"}}}));
}

TEST(tls_ticket_keys, change_with_time) {
  tls::detail::ticket_keys keys(1h);
  const tls::detail::ticket_keys::clock::time_point start{};
  const auto first = keys.newest(start);
  ASSERT_TRUE(first);
  EXPECT_EQ(keys.newest(start + 59min)->name, first->name);
  const auto second = keys.newest(start + 60min);
  EXPECT_NE(second->name, first->name);
  EXPECT_NE(second->aes, first->aes);
  EXPECT_TRUE(keys.find(first->name.data(), start + 119min)) << "tickets of the old key still open";
  EXPECT_FALSE(keys.find(first->name.data(), start + 120min));
  EXPECT_TRUE(keys.find(second->name.data(), start + 120min));
  (void)keys.newest(start + 121min);
  EXPECT_FALSE(keys.find(first->name.data(), start + 90min)) << "only two are kept";
  const unsigned char unknown[16] = {};
  EXPECT_FALSE(keys.find(unknown, start));
}

}  // namespace
