// SPDX-License-Identifier: MIT
// Memory that a load has used goes back to the system. See io_task.cpp for the rest of the pool.
#include <synfp/io/frame_pool.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include <synfp/io/ring.hpp>

// Sanitizers bring their own malloc.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_OWN_MALLOC 1
#endif
#endif
#if defined(__GLIBC__) && !SYNFP_POOL_BYPASS && !defined(TEST_OWN_MALLOC)

namespace {

std::size_t resident_bytes() {
  std::size_t size = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// 64 MiB in small blocks, of which a few stay.
class past_load {
 public:
  past_load() {
    for (auto& b : blocks_) std::memset(b = synfp::io::frame_pool::allocate(4000), 1, 4000);
    for (std::size_t i = 0; i != blocks_.size(); ++i) {
      if (i % 64 != 0) synfp::io::frame_pool::deallocate(blocks_[i], 4000);
    }
  }
  ~past_load() {
    for (std::size_t i = 0; i < blocks_.size(); i += 64) synfp::io::frame_pool::deallocate(blocks_[i], 4000);
  }

 private:
  std::vector<void*> blocks_ = std::vector<void*>(16'384);
};

TEST(io_frame_pool, trim_gives_memory_back) {
  std::thread([] {  // whose pool has no past
    using synfp::io::frame_pool;
    const past_load load;
    EXPECT_TRUE(frame_pool::worth_trimming());
    {  // what comes again within the second that a ring waits is seen
      EXPECT_GE(frame_pool::restart_peak(), 64'000'000);
      EXPECT_EQ(frame_pool::peak(), frame_pool::in_use());
      const past_load again;
    }
    EXPECT_GE(frame_pool::peak(), 64'000'000);
    EXPECT_TRUE(frame_pool::worth_trimming());
    const auto before = resident_bytes();
    frame_pool::trim();
    EXPECT_GT(before, resident_bytes() + 32 * 1024 * 1024);
    EXPECT_FALSE(frame_pool::worth_trimming());
    const auto in_use = frame_pool::in_use();
    std::vector<void*> few(100);  // is not worth it
    for (auto& b : few) b = frame_pool::allocate(4000);
    for (auto* b : few) frame_pool::deallocate(b, 4000);
    EXPECT_FALSE(frame_pool::worth_trimming());
    EXPECT_EQ(frame_pool::in_use(), in_use);
  })
      .join();
}

TEST(io_frame_pool, a_ring_trims_after_a_load) {
  std::thread([] {
    auto r = synfp::io::ring::create();
    ASSERT_TRUE(r);
    const past_load load;
    const auto before = resident_bytes();
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (resident_bytes() + 32 * 1024 * 1024 > before && std::chrono::steady_clock::now() < limit) {
      (*r)->poll();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_GT(before, resident_bytes() + 32 * 1024 * 1024);
  }).join();
}

}  // namespace
#endif
