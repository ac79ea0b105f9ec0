// SPDX-License-Identifier: MIT
// What the kernel's verifier has to do before it lets in the programs of a cgroup. See verifier.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>

#include "../support/bpf_run.hpp"
#include "../support/process.hpp"
#include "../support/sockets.hpp"

namespace {

using namespace synfp::test;
using synfp::hook;
using synfp::key_scope;
using synfp::probe_config;

/// A quarter of what the kernel takes.
constexpr std::uint32_t budget = 250'000;

/// What was not good, a line each.
std::string excesses(std::uint32_t most) {
  std::string text;
  for (const char* program : {"synfp_sockops", "synfp_getsockopt"}) {
    std::uint32_t largest = 0;
    for (const hook h : {hook::sockops, hook::reuseport, hook::xdp}) {
      for (const key_scope scope : {key_scope::flow, key_scope::peer}) {
        for (const std::uint32_t buckets : {1U, 4096U}) {
          for (const std::uint16_t port : {std::uint16_t{0}, std::uint16_t{80}}) {
            probe_config c{.hook = h, .key_scope = scope, .buckets = buckets};
            c.ports.fill(port);
            try {
              const raw_object object(program, c, c.conflict_window.ns());
              bpf_prog_info info{};
              __u32 length = sizeof info;
              must(bpf_obj_get_info_by_fd(object.program(), &info, &length) == 0, "ask about a program");
              largest = std::max(largest, info.verified_insns);
              if (info.verified_insns == 0 || info.verified_insns > most)
                text += std::string(program) + ": " + std::to_string(info.verified_insns) + " instructions\n";
            } catch (const std::exception& e) {
              text += std::string(program) + ": " + e.what() + '\n';
            }
          }
        }
      }
    }
    std::fprintf(stderr, "%s: at most %u of %u instructions\n", program, largest, most);
  }
  return text;
}

TEST(verifier, programs_of_a_cgroup_within_the_budget) { EXPECT_EQ(excesses(budget), ""); }

TEST(verifier, programs_of_a_cgroup_within_the_budget_without_cap_perfmon) {
  EXPECT_EQ(in_child([] {
              keep_capabilities({CAP_BPF, CAP_NET_ADMIN});
              return excesses(budget);
            }),
            "");
}

}  // namespace
