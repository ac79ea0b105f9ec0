// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <synfp/fingerprint/ndpi.hpp>
#include <vector>

#include "../support/syns.hpp"

namespace {

using synfp::fingerprint::ndpi;
using synfp::test::bytes;
using synfp::test::packet_builder;

constexpr synfp::fixed_text<64> hex(std::string_view text) {
  synfp::fixed_text<64> out;
  for (const unsigned byte : synfp::fingerprint::detail::sha256(text)) {
    out.append_number(byte >> 4, 16);
    out.append_number(byte & 15, 16);
  }
  return out;
}

// FIPS 180-4 and the examples of NIST; the block boundaries and a million letters by sha256sum.
static_assert(hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
static_assert(hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

TEST(sha256, known_answers) {
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmno"
                "pqrsmno"
                "pqrstnopqrstu"),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(hex(std::string(55, 'a')), "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  EXPECT_EQ(hex(std::string(56, 'a')), "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
  EXPECT_EQ(hex(std::string(63, 'a')), "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34");
  EXPECT_EQ(hex(std::string(64, 'a')), "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
  EXPECT_EQ(hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static_assert(ndpi(synfp::test::linux_record) == "2_64_64240_d876f498b09e");

std::string of(const packet_builder& p) {
  const auto text = ndpi(synfp::test::record_of(p));
  return text ? std::string(text->view()) : "none";
}
/// That the hash is the one of this list.
void expect_list(const bytes& options, std::string_view list) {
  packet_builder p;
  p.options = options;
  EXPECT_EQ(of(p), "2_64_64240_" + std::string(hex(list).view().substr(0, 12))) << list;
}

/// What a thread remembers is what it would have computed: more lists than it has places, each several times,
/// among them those that differ in one digit only.
TEST(ndpi, hashes_that_are_remembered) {
  using synfp::fingerprint::detail::ndpi_hash;
  using synfp::fingerprint::detail::ndpi_list;
  std::vector<ndpi_list> lists(1);  // the empty one first
  for (unsigned i = 0; i < 500; ++i) {
    ndpi_list list;
    for (unsigned n = 0; n <= i % 126; ++n) list.append_number(n == i % 7 ? i & 15U : n & 15U, 16);
    lists.push_back(list);
  }
  const std::vector<std::string> expected = [&] {
    std::vector<std::string> all;
    for (const ndpi_list& list : lists) all.emplace_back(ndpi_hash(list).view());
    return all;
  }();
  for (std::size_t step : {1U, 1U, 7U, 64U, 499U}) {
    for (std::size_t i = 0; i < lists.size(); ++i) {
      const std::size_t at = i * step % lists.size();
      ASSERT_EQ(synfp::fingerprint::detail::remembered_ndpi_hash(lists[at]).view(), expected[at]) << at;
      ASSERT_EQ(synfp::fingerprint::detail::remembered_ndpi_hash(lists[at]).view(), expected[at]) << at;
    }
  }
}

TEST(ndpi, sample_signatures) {
  EXPECT_EQ(of(synfp::test::windows_packet()), "2_128_64240_6bb88f5575fd");
  packet_builder p;
  p.options.back() = 7;
  EXPECT_EQ(of(p), "2_64_64240_2e3cee914fc1");
  p.window = 29200;
  EXPECT_EQ(of(p), "2_64_29200_2e3cee914fc1");
  p.options.back() = 10;
  p.window = 65535;
  EXPECT_EQ(of(p), "2_64_65535_d876f498b09e");  // what nDPI's table calls Android
  p = synfp::test::macos_packet();
  p.flags = 0xc2;
  EXPECT_EQ(of(p), "194_64_65535_d29295416479");
}

TEST(ndpi, flags_ttl_and_window) {
  packet_builder p;
  p.options.clear();
  p.window = 0;
  EXPECT_EQ(of(p), "2_64_0_e3b0c44298fc");
  bytes raw = p.ip();
  raw[32] = 0x5f;
  raw[33] = 0xef;
  EXPECT_EQ(ndpi(synfp::test::record_of(raw))->view(), "4079_64_0_e3b0c44298fc");
  for (const auto& [ttl, text] : {std::pair{0, "32"},
                                  {32, "32"},
                                  {33, "64"},
                                  {64, "64"},
                                  {65, "128"},
                                  {128, "128"},
                                  {129, "192"},
                                  {192, "192"},
                                  {193, "255"},
                                  {255, "255"}}) {
    p.ttl = static_cast<std::uint8_t>(ttl);
    EXPECT_EQ(of(p), std::string("2_") + text + "_0_e3b0c44298fc");
  }
  p = synfp::test::v6_packet();
  EXPECT_EQ(of(p), of(packet_builder{}));
  EXPECT_EQ(of(synfp::test::truncated_v6()), of(packet_builder{}));
}

TEST(ndpi, the_list) {
  expect_list({2, 4, 5, 180}, "0205b4");
  expect_list({1, 1, 4, 2}, "010104");
  expect_list({8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1}, "080101");
  expect_list({254, 4, 0xf9, 0x89}, "fef989");
  expect_list({4, 2, 0, 0}, "040000");  // every byte of padding
  expect_list({0, 3, 3, 7}, "000307");
  expect_list({1, 1, 1, 3}, "01010103");
  expect_list({2, 40, 5, 180}, "0205b4");
  expect_list({1, 1, 8, 10}, "010108");
  expect_list({34, 1, 1, 1}, "22010101");
}

std::string repeated(std::size_t times, const std::string& text) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(ndpi, its_loop_ends_when_its_buffer_is_full) {
  expect_list({2, 0, 5, 180}, repeated(63, "02"));
  expect_list({1, 34, 0, 1}, "01" + repeated(62, "22"));
  // A length that leads from 2 to 256, which is 0.
  expect_list({1, 1, 254, 254}, repeated(21, "0101fe"));
}

TEST(ndpi, what_it_has_nothing_for) {
  packet_builder p;
  for (const int flags : {0x12, 0x10, 0x01, 0x04, 0x00}) {
    p.flags = static_cast<std::uint8_t>(flags);
    EXPECT_EQ(of(p), "none");
  }
  p.flags = 0x40;
  EXPECT_NE(of(p), "none");
}

TEST(ndpi, the_longest_is_not_cut) {
  packet_builder p;
  p.ttl = 255;
  p.window = 65535;
  p.options = bytes(40, 1);
  bytes raw = p.ip();
  raw[32] = 0xff;
  raw[33] = 0xef;
  std::string list;
  for (int i = 0; i < 40; ++i) list += "01";
  EXPECT_EQ(ndpi(synfp::test::record_of(raw))->view(),
            "4079_255_65535_" + std::string(hex(list).view().substr(0, 12)));
  EXPECT_EQ(ndpi(synfp::test::record_of(raw))->size(), ndpi(synfp::test::record_of(raw))->capacity());
}

}  // namespace
