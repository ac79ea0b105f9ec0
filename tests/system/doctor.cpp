// SPDX-License-Identifier: MIT
// tools/doctor/self_test.hpp: a source whose record is not the connection's SYN is found out.
#include "../../tools/doctor/self_test.hpp"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../../tools/support/network_namespace.hpp"

namespace {

using namespace synfp::doctor;

/// What test_source() says in a network of its own.
finding test(int family, const tested_source& source) {
  const synfp::tools::network_namespace network;
  return network.inside([&] { return test_source("test", family, source); });
}

/// The saved SYN with one bit of byte `changed` turned.
finding test_changed(int family, std::size_t changed) {
  synfp::capture::saved_syn saved;
  return test(family, {[&](int fd) { return saved.prepare(fd, true); },
                       [&](const synfp::capture::connection& c) {
                         auto answer = saved.claim(c, synfp::capture::now_ns());
                         if (!answer) return answer;
                         std::vector<std::uint8_t> bytes(answer->bytes().begin(), answer->bytes().end());
                         bytes[changed] ^= 1;
                         answer.record = *synfp::syn_record::from_bytes(bytes);
                         return answer;
                       }});
}

TEST(doctor, a_record_that_differs_in_any_byte_is_called_wrong) {
  for (const auto& [family, offset] : {std::pair{AF_INET, 20U}, std::pair{AF_INET6, 40U}}) {
    for (const std::size_t in_tcp : {4U, 7U, 14U, 20U, 39U}) {
      const finding f = test_changed(family, offset + in_tcp);
      EXPECT_EQ(f.status, status::no) << f.what;
      EXPECT_EQ(f.what.rfind("WRONG", 0), 0U) << f.what;
      EXPECT_NE(f.values.find(R"("equal":false)"), std::string::npos) << f.values;
    }
  }
}

TEST(doctor, a_source_that_has_nothing_says_why) {
  const finding f = test(AF_INET, {[](int) { return synfp::setup_result<void>(); },
                                   [](const synfp::capture::connection&) {
                                     return synfp::syn_lookup::missed(synfp::miss::overwritten);
                                   }});
  EXPECT_EQ(f.status, status::no);
  EXPECT_EQ(f.what, "no record: overwritten");
  EXPECT_NE(f.values.find(R"("miss":"overwritten")"), std::string::npos) << f.values;
}

}  // namespace
