// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include <synfp/result.hpp>
#include <synfp/setup_error.hpp>

namespace {

using synfp::errc;
using synfp::error;
using synfp::result;

TEST(result, holds_a_value_or_an_error) {
  result<std::string> good(std::string(40, 'x'));
  ASSERT_TRUE(good);
  EXPECT_EQ(good->size(), 40U);
  result<std::string> bad(error{errc::closed, 0});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, errc::closed);
  bad = good;
  ASSERT_TRUE(bad);
  EXPECT_EQ(*bad, std::string(40, 'x'));
  good = error::from_errno(5);
  ASSERT_FALSE(good);
  EXPECT_EQ(good.error().os, 5);
}

TEST(result, moves_what_cannot_be_copied_and_destroys_it_once) {
  auto shared = std::make_shared<int>(1);
  std::weak_ptr<int> watch = shared;
  {
    result<std::shared_ptr<int>> r(std::move(shared));
    result<std::shared_ptr<int>> other(std::move(r));
    EXPECT_EQ(watch.use_count(), 1);
    other = error{errc::canceled, 0};
    EXPECT_TRUE(watch.expired());
  }
  result<std::unique_ptr<int>> unique(std::make_unique<int>(3));
  std::unique_ptr<int> taken = *std::move(unique);
  EXPECT_EQ(*taken, 3);
}

TEST(result, of_void_carries_success_or_failure) {
  result<void> ok;
  EXPECT_TRUE(ok);
  result<void> bad(error{errc::timed_out, 0});
  EXPECT_FALSE(bad);
  EXPECT_EQ(synfp::to_string(bad.error().code), "timed out");
}

TEST(result, setup_failures_throw_with_their_sentence) {
  synfp::setup_result<int> bad(synfp::setup_error{errc::invalid, 0, "no such thing; try another"});
  try {
    synfp::value_or_throw(std::move(bad));
    FAIL();
  } catch (const synfp::setup_failure& failure) {
    EXPECT_STREQ(failure.what(), "no such thing; try another");
    EXPECT_EQ(failure.reason().code, errc::invalid);
  }
  EXPECT_EQ(synfp::value_or_throw(synfp::setup_result<int>(7)), 7);
}

}  // namespace
