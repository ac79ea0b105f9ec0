// SPDX-License-Identifier: MIT
// Every kind of hostile client that bench/hostile.cpp measures, in a shorter form: an honest client is always
// answered beside them, the server counts what it does against them, and when they have gone it holds no more
// than before. Its times are a fiftieth of the defaults.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "../support/hostile.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace std::chrono_literals;
using namespace synfp::test::hostile;

class http_hostile : public testing::TestWithParam<kind> {};

double value(const std::map<std::string, double>& all, const std::string& name) {
  const auto found = all.find(name);
  return found == all.end() ? 0 : found->second;
}

TEST_P(http_hostile, is_bounded_counted_and_survived) {
  kind how = GetParam();
  if (how.clients > 300) how.clients = 300;
  const synfp::test::network_namespace net;
  net.sysctl("net/ipv4/ip_local_port_range", "1024 65535");
  net.inside([&] {
    const server at(how.descriptors, 50);
    ASSERT_EQ(ask(at).substr(0, 12), "HTTP/1.1 200");
    const int descriptors = at.descriptors();
    {
      crowd hostile(at, how);
      // Long enough that all have come, more than once if they are sent away, and that it is counted.
      const auto deadline = std::chrono::steady_clock::now() + 30s;
      double counted = 0;
      for (int answers = 0; answers < 20 || hostile.connections() < how.clients || counted == 0;) {
        ASSERT_LT(std::chrono::steady_clock::now(), deadline)
            << answers << " answers, " << hostile.connections()
            << " connections, not counted: " << how.counted;
        ASSERT_TRUE(ask(at).ends_with("hello\n")) << "after " << answers;
        ++answers;
        EXPECT_LT(at.resident(), 200);
        if (how.descriptors != 0) {
          EXPECT_LE(at.descriptors(), static_cast<int>(how.descriptors));
        }
        const auto now = metrics_of(at);
        ASSERT_FALSE(now.empty());
        counted = how.counted.empty() ? 1 : value(now, how.counted);
      }
    }
    // What they had is closed.
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (at.descriptors() != descriptors && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(10ms);
    EXPECT_EQ(at.descriptors(), descriptors);
    const auto after = metrics_of(at);
    EXPECT_EQ(value(after, "synfp_http_open_connections"), 1) << "that of this question";
    EXPECT_EQ(value(after, "synfp_ring_shed_total"), 0) << "of the limits that they meet this is not one";
  });
}

INSTANTIATE_TEST_SUITE_P(all, http_hostile, testing::ValuesIn(kinds()),
                         [](const testing::TestParamInfo<kind>& one) { return std::string(one.param.id); });

}  // namespace
