// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include <synfp/service/notify.hpp>

#include "../support/notify_socket.hpp"

namespace {

namespace service = synfp::service;
using std::chrono::microseconds;

TEST(service_notify, reaches_the_manager_and_says_whether_there_is_one) {
  EXPECT_FALSE(service::notify("READY=1"));
  {
    synfp::test::notify_socket manager;
    EXPECT_TRUE(service::notify("READY=1\nSTATUS=ok"));
    EXPECT_EQ(manager.next(), "READY=1\nSTATUS=ok");
    EXPECT_TRUE(service::notify_reloading());
    const std::string reloading = manager.next();
    EXPECT_EQ(reloading.rfind("RELOADING=1\nMONOTONIC_USEC=", 0), 0u) << reloading;
    EXPECT_GT(std::stoll(reloading.substr(reloading.rfind('=') + 1)), 0);
  }
  for (const char* nowhere : {"relative", "", "/nowhere/at/all"}) {
    ::setenv("NOTIFY_SOCKET", nowhere, 1);
    EXPECT_FALSE(service::notify("READY=1")) << nowhere;
  }
  ::setenv("NOTIFY_SOCKET", ("/" + std::string(200, 'x')).c_str(), 1);
  EXPECT_FALSE(service::notify("READY=1"));
  ::unsetenv("NOTIFY_SOCKET");
}

TEST(service_notify, the_watchdog_is_wanted_of_this_process_only) {
  EXPECT_EQ(service::watchdog_interval(), microseconds(0));
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  EXPECT_EQ(service::watchdog_interval(), microseconds(30'000'000));
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(service::watchdog_interval(), microseconds(30'000'000));
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(service::watchdog_interval(), microseconds(0));
  ::unsetenv("WATCHDOG_PID");
  for (const char* odd : {"", "x", "1x", "-1", "99999999999999999999999", "18446744073709551615"}) {
    ::setenv("WATCHDOG_USEC", odd, 1);
    EXPECT_EQ(service::watchdog_interval(), microseconds(0)) << odd;
  }
  ::unsetenv("WATCHDOG_USEC");
}

}  // namespace
