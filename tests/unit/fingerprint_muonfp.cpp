// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <synfp/fingerprint/muonfp.hpp>

#include "../support/packet_builder.hpp"
#include "../support/vectors.hpp"

namespace {

using synfp::test::bytes;

std::string of(const bytes& options, std::uint16_t window = 64240) {
  synfp::test::packet_builder p;
  p.options = options;
  p.window = window;
  const auto r = synfp::syn_record::from_bytes(p.ip());
  return r ? std::string(synfp::fingerprint::muonfp(*r).view()) : "no record";
}

TEST(muonfp, by_hand) {
  EXPECT_EQ(of(synfp::test::linux_options()), "64240:2-4-8-1-3:1460:10");
  EXPECT_EQ(of({}, 0), "0:::");
  EXPECT_EQ(of({}, 65535), "65535:::");
  EXPECT_EQ(of({1, 1, 1, 1}), "64240:1-1-1-1::");
  EXPECT_EQ(of({2, 4, 0xff, 0xff}), "64240:2:65535:");
  EXPECT_EQ(of({2, 4, 0, 0}), "64240:2:0:");
  EXPECT_EQ(of({3, 3, 0, 1}), "64240:3-1::0");
  EXPECT_EQ(of({3, 3, 255, 1}), "64240:3-1::255");
  EXPECT_EQ(of({254, 4, 0, 0}), "64240:254::");
}

TEST(muonfp, the_first_end_of_list_ends_the_kinds) {
  EXPECT_EQ(of({0, 0, 0, 0}), "64240:0::");
  EXPECT_EQ(of({4, 2, 0, 0}), "64240:4-0::");
  EXPECT_EQ(of({2, 4, 5, 180, 0, 3, 3, 7}), "64240:2-0:1460:");
}

TEST(muonfp, a_kind_is_listed_before_its_length_is_looked_at) {
  EXPECT_EQ(of({2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0}, 0), "0:2-4-8:1460:");
  EXPECT_EQ(of({2, 4, 5, 180, 254, 0, 1, 1}), "64240:2-254:1460:");
  EXPECT_EQ(of({4, 1, 1, 1}), "64240:4::");
  EXPECT_EQ(of({1, 1, 1, 8}), "64240:1-1-1-8::");
  EXPECT_EQ(of({4, 2, 34, 9}), "64240:4-34::");
  EXPECT_EQ(of({34, 250, 1, 1, 4, 2, 1, 1}), "64240:34::");
}

TEST(muonfp, mss_and_window_scale_have_their_own_size) {
  EXPECT_EQ(of({2, 0, 5, 180}), "64240:2:1460:");
  EXPECT_EQ(of({2, 9, 5, 180, 3, 0, 7, 1}), "64240:2-3-1:1460:7");
  EXPECT_EQ(of({3, 40, 7, 1}), "64240:3-1::7");
  EXPECT_EQ(of({2, 4, 1, 0, 2, 4, 0, 99, 3, 3, 1, 3, 3, 2, 1, 1}), "64240:2-2-3-3-1-1:99:2");  // the last
  EXPECT_EQ(of({1, 2, 4, 5}), "64240:1-2::");  // cut off by the end
  EXPECT_EQ(of({1, 1, 3, 3}), "64240:1-1-3::");
}

TEST(muonfp, the_longest_is_not_cut) {
  bytes longest(38, 1);
  longest.push_back(200);
  longest.push_back(2);
  std::string kinds = "1";
  for (int i = 1; i < 38; ++i) kinds += "-1";
  EXPECT_EQ(of(longest, 65535), "65535:" + kinds + "-200::");
  longest[38] = 1;
  longest[39] = 200;
  EXPECT_EQ(of(longest, 65535), "65535:" + kinds + "-1-200::");
  bytes wide;
  for (int i = 0; i < 20; ++i) synfp::test::append(wide, {255, 2});
  kinds = "255";
  for (int i = 1; i < 20; ++i) kinds += "-255";
  EXPECT_EQ(of(wide, 65535), "65535:" + kinds + "::");
}

/// ja4t is WINDOW_KINDS_MSS_WS with "00" for what is absent, computed by another tool from the same packets.
TEST(muonfp, equals_ja4t_in_other_clothes_for_all_vectors) {
  std::size_t compared = 0;
  for (const auto& v : synfp::test::vectors()) {
    std::vector<std::string> part(1);
    for (const char c : v.ja4t) {
      if (c == '_') {
        part.emplace_back();
      } else {
        part.back().push_back(c);
      }
    }
    ASSERT_EQ(part.size(), 4U) << v.ja4t;
    const std::string dashed = "-" + part[1] + "-";
    if (part[1] == "00") part[1].clear();
    if (dashed.find("-2-") == std::string::npos) part[2].clear();
    if (dashed.find("-3-") == std::string::npos) part[3].clear();
    if (part[3] == "00") part[3] = "0";
    const auto r = synfp::syn_record::from_bytes(v.packet);
    ASSERT_TRUE(r);
    EXPECT_EQ(synfp::fingerprint::muonfp(*r).view(), part[0] + ":" + part[1] + ":" + part[2] + ":" + part[3])
        << v.scenario;
    ++compared;
  }
  EXPECT_EQ(compared, 84U);
}

}  // namespace
