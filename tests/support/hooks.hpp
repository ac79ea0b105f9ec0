// SPDX-License-Identifier: MIT
// Every hook there is, for tests that hold for all of them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <synfp/abi.h>
#include <synfp/capture/detail/hook_traits.hpp>
#include <synfp/capture/probe_options.hpp>
#include <synfp/probe_config.hpp>

namespace synfp::test {

inline std::vector<hook> all_hooks() {
  std::vector<hook> all;
  for (int i = SYNFP_HOOK_NONE + 1; i < SYNFP_HOOKS; ++i) all.push_back(static_cast<hook>(i));
  return all;
}
/// Those that look at packets: open() needs no cgroup for them.
inline std::vector<hook> packet_hooks() {
  std::vector<hook> all = all_hooks();
  std::erase_if(all, [](hook h) {
    return capture::detail::traits_of(h).attached_to == capture::detail::attachment::cgroup;
  });
  return all;
}
inline std::string hook_name(hook where) { return std::string(capture::detail::traits_of(where).name); }
constexpr synfp_hook_facts facts_of(hook where) { return synfp_facts_of(static_cast<synfp_u8>(where)); }

/// Calls f<H>() where H is `where`, a template argument then.
template <class F>
void with_hook(hook where, F&& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) {
    ((static_cast<int>(where) == I + 1 ? f.template operator()<static_cast<hook>(I + 1)>() : void()), ...);
  }
  (std::make_integer_sequence<int, SYNFP_HOOKS - 1>());
}

/// What open() takes: the interface, if the hook is attached to one.
inline capture::probe_options watching(hook where, const std::string& interface) {
  capture::probe_options options;
  if (capture::detail::is_of_interfaces(capture::detail::traits_of(where).attached_to))
    options.interfaces = {interface};
  return options;
}

}  // namespace synfp::test
