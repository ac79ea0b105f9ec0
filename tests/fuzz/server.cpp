// SPDX-License-Identifier: MIT
// The whole server on a kernel in memory. The input is what the kernel, the network, the clients and the
// memory decide: see tests/scripted/choices.hpp. SYNFP_TRACE=1 prints what happens.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "../scripted/server.hpp"

namespace scripted = synfp::test::scripted;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  // Memory that fails at some time, in one of two inputs.
  scripted::memory_plan plan;
  if ((data[0] & 1) != 0) plan = {data[1] * 4L, (data[0] & 2) != 0 ? 1 : 1'000'000};
  static const bool trace = std::getenv("SYNFP_TRACE") != nullptr;
  const auto result = scripted::run(scripted::choices(std::span(data + 2, size - 2)), plan, trace);
  if (!result.failure.empty()) {
    std::fprintf(stderr, "%s\n", result.failure.c_str());
    __builtin_trap();
  }
  return 0;
}
