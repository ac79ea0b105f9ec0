// SPDX-License-Identifier: MIT
// Whether hook::kprobe can be tried on this kernel; those of tests/kernel61 can.
#pragma once

#include <unistd.h>

namespace synfp::test {

/// A kernel that has trampolines without kprobes is taken for one that has neither.
inline bool kernel_has_kprobes() { return ::access("/sys/bus/event_source/devices/kprobe/type", R_OK) == 0; }

}  // namespace synfp::test

/// Skips the test; for a function that returns void.
#define SYNFP_NEEDS_KPROBES() \
  if (!synfp::test::kernel_has_kprobes()) GTEST_SKIP() << "kernel lacks kprobes"
