// SPDX-License-Identifier: MIT
// Everything that user space asks of a hook. A new hook is a line here, one in abi.h (synfp_facts_of(), what
// its program knows) and its enumerators in probe_config.hpp and lookup.hpp; for a new attachment also what
// attach.hpp and loaded_probe.hpp do.
#pragma once

#include <linux/capability.h>

#include <array>
#include <cstdint>
#include <string_view>

#include <synfp/abi.h>
#include <synfp/capture/lookup.hpp>
#include <synfp/probe_config.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

/// Where a program is attached.
enum class attachment : std::uint8_t {
  listen_group,  ///< in prepare(), by its first socket
  xdp,           ///< in open(), to the interfaces of probe_options, before the stack
  tcx,           ///< in open(), to the interfaces of probe_options, at the ingress of traffic control
  function,      ///< in open(), to tcp_conn_request(): by a trampoline, or else a kprobe
  cgroup,        ///< in open(), by the cgroups of probe_options
};

constexpr bool is_of_interfaces(attachment a) noexcept {
  return a == attachment::xdp || a == attachment::tcx;
}

/// A capability that setcap is told to give, and whether the hook does not work without it.
struct capability {
  int number = -1;
  std::string_view name;
  bool needed = false;
};

struct hook_traits {
  std::string_view name;           ///< of the enumerator of synfp::hook
  const char* program = "";        ///< its name in the BPF object
  const char* fallback = nullptr;  ///< where that cannot be loaded or attached
  attachment attached_to = attachment::listen_group;
  capture_source source = capture_source::none;
  std::array<capability, 3> capabilities;  ///< unused ones have no name
};

inline constexpr hook_traits hook_table[SYNFP_HOOKS] = {
    {},
    {.name = "reuseport",
     .program = "synfp_reuseport",
     .attached_to = attachment::listen_group,
     .source = capture_source::reuseport,
     .capabilities = {{{CAP_BPF, "cap_bpf", true}, {CAP_PERFMON, "cap_perfmon", false}}}},
    {.name = "xdp",
     .program = "synfp_xdp",
     .attached_to = attachment::xdp,
     .source = capture_source::xdp,
     .capabilities = {{{CAP_BPF, "cap_bpf", true},
                       {CAP_NET_ADMIN, "cap_net_admin", true},
                       {CAP_PERFMON, "cap_perfmon", true}}}},
    {.name = "tcx",
     .program = "synfp_tcx",
     .attached_to = attachment::tcx,
     .source = capture_source::tcx,
     .capabilities = {{{CAP_BPF, "cap_bpf", true},
                       {CAP_NET_ADMIN, "cap_net_admin", true},
                       {CAP_PERFMON, "cap_perfmon", true}}}},
    {.name = "kprobe",
     .program = "synfp_fentry",
     .fallback = "synfp_kprobe",
     .attached_to = attachment::function,
     .source = capture_source::kprobe,
     .capabilities = {{{CAP_BPF, "cap_bpf", true}, {CAP_PERFMON, "cap_perfmon", true}}}},
    {.name = "sockops",
     .program = "synfp_sockops",
     .attached_to = attachment::cgroup,
     .source = capture_source::sockops,
     .capabilities = {{{CAP_BPF, "cap_bpf", true},
                       {CAP_NET_ADMIN, "cap_net_admin", true},
                       {CAP_PERFMON, "cap_perfmon", false}}}},
};

/// `where`: an enum synfp_hook. Any number is allowed, for tables come from outside: nothing is known of a
/// hook without a line.
constexpr const hook_traits& traits_of(synfp_u8 where) noexcept {
  return hook_table[where < SYNFP_HOOKS ? where : 0];
}
constexpr const hook_traits& traits_of(hook where) noexcept {
  return traits_of(static_cast<synfp_u8>(where));
}
static_assert(traits_of(hook::reuseport).source == capture_source::reuseport);
static_assert(traits_of(hook::xdp).source == capture_source::xdp);
static_assert(traits_of(hook::kprobe).source == capture_source::kprobe);
static_assert(traits_of(hook::sockops).source == capture_source::sockops);
static_assert(traits_of(hook::tcx).source == capture_source::tcx);

}  // namespace capture::detail
SYNFP_END_NAMESPACE
