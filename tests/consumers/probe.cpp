// SPDX-License-Identifier: MIT
// A user's program that opens a probe and shows it to others: synfp::probe.
#include <synfp/capture/probe.hpp>

#include <cstdio>

int main() {
  const auto probe = synfp::capture::probe<>::open();
  // Without privileges it says so.
  std::puts(!probe && probe.error().message.empty() ? "broken" : "consumed");
  return 0;
}
