// SPDX-License-Identifier: MIT
// The hash as the BPF program computes it in the kernel, against the same text compiled as C++.
#include <gtest/gtest.h>

#include <random>

#include "../support/bpf_run.hpp"

namespace {

TEST(hash, in_the_kernel_equals_the_one_in_user_space) {
  const synfp::test::raw_object object("synfp_selftest", 1, 0);
  std::mt19937_64 random(3);
  int v4 = 0;
  for (int i = 0; i < 10'000; ++i) {
    synfp::synfp_selftest s{};
    auto* bytes = reinterpret_cast<unsigned char*>(&s.key);
    for (std::size_t n = 0; n < sizeof s.key; ++n) bytes[n] = static_cast<unsigned char>(random());
    if (i % 2 == 0) {
      ++v4;
      const std::uint8_t a[8] = {bytes[0], bytes[1], bytes[2], bytes[3],
                                 bytes[4], bytes[5], bytes[6], bytes[7]};
      s.key.peer = synfp::synfp_address4(a, SYNFP_LITTLE);
      s.key.local = synfp::synfp_address4(a + 4, SYNFP_LITTLE);
      s.key.zone = 0;
    }
    s.secret[0] = random();
    s.secret[1] = random();
    s.hash = 0;
    const std::uint64_t expected = synfp::synfp_hash(&s.key, s.secret[0], s.secret[1], SYNFP_LITTLE);
    bpf_test_run_opts o{};
    o.sz = sizeof o;
    o.ctx_in = &s;
    o.ctx_size_in = sizeof s;
    ASSERT_EQ(bpf_prog_test_run_opts(object.program(), &o), 0);
    ASSERT_EQ(s.hash, expected) << "key " << i;
  }
  EXPECT_EQ(v4, 5000);
}

}  // namespace
