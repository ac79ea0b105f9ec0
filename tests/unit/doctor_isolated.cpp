// SPDX-License-Identifier: MIT
// tools/doctor/isolated.hpp: a check that does not come back.
#include "../../tools/doctor/isolated.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace {

using namespace synfp::doctor;
using namespace std::chrono_literals;

const finding first{status::warn, "one", "what \"it\" says", "do", R"({"a":1})"};

void expect_first(const std::vector<finding>& found) {
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].status, first.status);
  EXPECT_EQ(found[0].name, first.name);
  EXPECT_EQ(found[0].what, first.what);
  EXPECT_EQ(found[0].todo, first.todo);
  EXPECT_EQ(found[0].values, first.values);
}

TEST(doctor_isolated, what_a_check_finds_comes_back) {
  const auto found = isolated("check", 10s, [](const report& say) {
    say(first);
    say({status::ok, "two", std::string(100'000, 'x'), ""});  // more than a pipe holds
    say({status::no, "", ""});
  });
  expect_first(found);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[1].what.size(), 100'000U);
  EXPECT_EQ(found[2].status, status::no);
  EXPECT_EQ(found[2].values, "{}");
}

TEST(doctor_isolated, one_that_hangs_is_given_up_and_what_it_found_is_kept) {
  const auto found = isolated("check", 50ms, [](const report& say) {
    say(first);
    while (true) ::pause();
  });
  expect_first(found);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[1].status, status::unknown);
  EXPECT_EQ(found[1].name, "check");
  EXPECT_NE(found[1].what.find("given up"), std::string::npos);
}

TEST(doctor_isolated, one_that_is_killed_says_so) {
  auto found = isolated("check", 10s, [](const report& say) {
    say(first);
    ::raise(SIGKILL);
  });
  expect_first(found);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[1].status, status::unknown);
  EXPECT_EQ(found[1].what, "the check was ended by signal 9");
  found = isolated("check", 10s, [](const report&) {
    const rlimit none{};
    ::setrlimit(RLIMIT_CORE, &none);
    ::raise(SIGSYS);
  });
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].status, status::no);
  EXPECT_NE(found[0].what.find("seccomp"), std::string::npos);
}

TEST(doctor_isolated, one_that_throws_says_why) {
  const auto found = isolated("check", 10s, [](const report&) { throw std::runtime_error("reason"); });
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].status, status::unknown);
  EXPECT_EQ(found[0].what, "the check failed: reason");
}

TEST(doctor_isolated, without_a_process_or_a_descriptor_it_runs_here) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto found = isolated("check", 10s, [](const report& say) { say(first); });
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  expect_first(found);
  EXPECT_EQ(found.size(), 1U);
}

TEST(doctor_isolated, facts_are_json) {
  const std::string json = facts()
                               .add("a", 1)
                               .add("b", true)
                               .add("c", std::string("\"\n"))
                               .add("d", std::optional<int>())
                               .add("e", std::vector<std::string>{"x", "y"})
                               .add("f", facts().add("g", std::optional<bool>(false)))
                               .json();
  EXPECT_EQ(json, R"({"a":1,"b":true,"c":"\"\u000a","d":null,"e":["x","y"],"f":{"g":false}})");
  EXPECT_EQ(facts().json(), "{}");
}

}  // namespace
