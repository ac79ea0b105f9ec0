// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <synfp/fingerprint/ja4t.hpp>

#include "../support/syns.hpp"
#include "../support/vectors.hpp"

namespace {

using synfp::fingerprint::ja4t;
using synfp::test::bytes;
using synfp::test::packet_builder;

static_assert(ja4t(synfp::test::linux_record) == "64240_2-4-8-1-3_1460_10");

std::string of(const packet_builder& p) { return std::string(ja4t(synfp::test::record_of(p)).view()); }
std::string of(const bytes& options) {
  packet_builder p;
  p.options = options;
  p.window = 1;
  return of(p);
}

TEST(ja4t, all_vectors) {
  std::size_t compared = 0;
  for (const auto& v : synfp::test::vectors()) {
    EXPECT_EQ(ja4t(synfp::test::record_of(v.packet)), v.ja4t) << v.scenario;
    ++compared;
  }
  EXPECT_EQ(compared, 84U);
}

TEST(ja4t, sample_signatures) {
  EXPECT_EQ(of(synfp::test::windows_packet()), "64240_2-1-3-1-1-4_1460_8");
  packet_builder p = synfp::test::macos_packet();
  EXPECT_EQ(of(p), "65535_2-1-3-1-1-8-4-0-0_1460_6");
  p.flags = 0xc2;
  EXPECT_EQ(of(p), "65535_2-1-3-1-1-8-4-0-0_1460_6");
  packet_builder v6 = synfp::test::v6_packet();
  v6.window = 65535;
  v6.options = synfp::test::macos_options();
  v6.options[3] = 0xa0;
  EXPECT_EQ(of(v6), "65535_2-1-3-1-1-8-4-0-0_1440_6");
}

TEST(ja4t, zeros) {
  EXPECT_EQ(of(bytes{}), "1_00_00_00");
  EXPECT_EQ(of({2, 4, 0, 0}), "1_2_00_00");
  EXPECT_EQ(of({2, 4, 0, 7}), "1_2_07_00");
  EXPECT_EQ(of({2, 4, 0, 10}), "1_2_10_00");
  EXPECT_EQ(of({3, 3, 0, 1}), "1_3-1_00_00");
  EXPECT_EQ(of({3, 3, 7, 1}), "1_3-1_00_7");
  EXPECT_EQ(of({0, 0, 0, 0}), "1_0-0-0-0_00_00");
}

TEST(ja4t, the_walk) {
  EXPECT_EQ(of({2, 4, 5, 180, 0, 3, 3, 7}), "1_2-0_1460_00");  // behind EOL zeros only
  EXPECT_EQ(of({0, 0, 0, 1}), "1_0-0-0_00_00");
  EXPECT_EQ(of({2, 4, 5, 180, 0, 0, 1, 0}), "1_2-0-0_1460_00");
  EXPECT_EQ(of({2, 4, 1, 0, 2, 4, 0, 99, 3, 3, 1, 3, 3, 2, 1, 1}), "1_2-2-3-3-1-1_99_2");
  EXPECT_EQ(of({2, 3, 9, 1}), "1_2-1_00_00");
  EXPECT_EQ(of({1, 34, 0, 1}), "1_1_00_00");
  EXPECT_EQ(of({1, 34, 4, 1}), "1_1_00_00");
  EXPECT_EQ(of({34, 1, 1, 1}), "1_00_00_00");
  EXPECT_EQ(of({1, 1, 1, 34}), "1_1-1-1_00_00");
  EXPECT_EQ(of({2, 6, 5, 180, 0, 0, 3, 2}), "1_2-3_00_00");  // named, without a value
  EXPECT_EQ(of({30, 2, 34, 2}), "1_30-34_00_00");
}

TEST(ja4t, the_longest_is_not_cut) {
  packet_builder p;
  p.window = 65535;
  p.options.clear();
  for (int i = 0; i < 20; ++i) synfp::test::append(p.options, {255, 2});
  std::string kinds = "255";
  for (int i = 1; i < 20; ++i) kinds += "-255";
  EXPECT_EQ(of(p), "65535_" + kinds + "_00_00");
  p.options = bytes(33, 1);
  synfp::test::append(p.options, {2, 4, 255, 255, 3, 3, 255});
  kinds = "1";
  for (int i = 1; i < 33; ++i) kinds += "-1";
  EXPECT_EQ(of(p), "65535_" + kinds + "-2-3_65535_255");
}

}  // namespace
