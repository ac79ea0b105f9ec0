// SPDX-License-Identifier: MIT
// What the kernel's verifier has to do before it lets a program in. It gives up at 1,000,000 instructions,
// and how many it takes depends on the configuration, the compiler that built the object and the kernel:
// small changes of the source have multiplied it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <string>
#include <vector>

#include <synfp/capture/detail/hook_traits.hpp>

#include "../support/bpf_run.hpp"
#include "../support/hooks.hpp"
#include "../support/kprobes.hpp"
#include "../support/process.hpp"
#include "../support/sockets.hpp"

namespace {

using namespace synfp::test;
using synfp::families;
using synfp::hook;
using synfp::key_scope;
using synfp::probe_config;
using synfp::capture::detail::traits_of;

/// A quarter of what the kernel takes: the rest is for the compilers and kernels to come.
constexpr std::uint32_t budget = 250'000;
/// Without CAP_PERFMON the verifier also follows what the CPU may do in speculation. The 6.1 needs 390,000
/// for what the 6.18 does in 42,000.
constexpr std::uint32_t speculative_budget = 500'000;

std::string name_of(const probe_config& c) {
  return std::string(synfp::capture::detail::traits_of(c.hook).program) +
         (c.families == families::ipv4   ? " ipv4"
          : c.families == families::ipv6 ? " ipv6"
                                         : " both") +
         (c.key_scope == key_scope::flow ? " flow" : " peer") + ' ' + std::to_string(c.buckets) +
         (c.buckets == 1 ? " bucket, " : " buckets, ") + std::to_string(c.port_count()) + " ports";
}

/// How many instructions the verifier looked at when it was loaded.
std::uint32_t verified(const probe_config& c, const char* program) {
  const raw_object object(program, c, c.conflict_window.ns());
  bpf_prog_info info{};
  __u32 length = sizeof info;
  must(bpf_obj_get_info_by_fd(object.program(), &info, &length) == 0, "ask about a program");
  return info.verified_insns;
}

/// Loads the programs of these families with every scope, with one bucket and with many, with and without
/// ports. What was not good, a line each.
std::string excesses(hook where, std::initializer_list<families> wanted, std::uint32_t most = budget,
                     const char* program = nullptr) {
  if (program == nullptr) program = synfp::capture::detail::traits_of(where).program;
  std::string text;
  std::uint32_t largest = 0;
  probe_config c{.hook = where};
  for (const families f : wanted) {
    c.families = f;
    for (const key_scope scope : {key_scope::flow, key_scope::peer}) {
      c.key_scope = scope;
      for (const std::uint32_t buckets : {1U, 4096U}) {
        c.buckets = buckets;
        for (const std::uint16_t port : {std::uint16_t{0}, std::uint16_t{80}}) {
          c.ports.fill(port);  // none, and as many as there can be
          try {
            const std::uint32_t n = verified(c, program);
            largest = std::max(largest, n);
            if (n == 0 || n > most) text += name_of(c) + ": " + std::to_string(n) + " instructions\n";
          } catch (const std::exception& e) {
            text += name_of(c) + ": " + e.what() + '\n';
          }
        }
      }
    }
  }
  std::fprintf(stderr, "%s: at most %u of %u instructions\n", program, largest, most);
  return text;
}

std::string excesses_with_cap_bpf_alone(std::initializer_list<families> wanted) {
  return in_child([&] {
    keep_capabilities({CAP_BPF});
    return excesses(hook::reuseport, wanted, speculative_budget);
  });
}

/// The hooks whose program every kernel has a place for.
std::vector<hook> hooks_of_every_kernel() {
  std::vector<hook> all = all_hooks();
  std::erase(all, hook::kprobe);
  return all;
}

TEST(verifier, both_families_within_the_budget) {
  for (const hook where : hooks_of_every_kernel()) EXPECT_EQ(excesses(where, {families::both}), "");
}

TEST(verifier, getsockopt_within_the_budget) {
  EXPECT_EQ(excesses(hook::sockops, {families::both}, budget, "synfp_getsockopt"), "");
}

// A kernel without kprobes loads the program all the same; it cannot attach it.
TEST(verifier, a_kprobe_within_the_budget) {
  EXPECT_EQ(excesses(hook::kprobe, {families::both, families::ipv4, families::ipv6}, budget, "synfp_kprobe"),
            "");
}
TEST(verifier, a_trampoline_within_the_budget) {
  SYNFP_NEEDS_KPROBES();
  EXPECT_EQ(excesses(hook::kprobe, {families::both, families::ipv4, families::ipv6}, budget, "synfp_fentry"),
            "");
}

TEST(verifier, one_family_within_the_budget) {
  for (const hook where : hooks_of_every_kernel())
    EXPECT_EQ(excesses(where, {families::ipv4, families::ipv6}), "");
}

// One family is a part of both, and in a virtual machine each load takes seconds.
TEST(verifier, both_families_within_the_budget_without_cap_perfmon) {
  EXPECT_EQ(excesses_with_cap_bpf_alone({families::both}), "");
}

}  // namespace
