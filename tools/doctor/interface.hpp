// SPDX-License-Identifier: MIT
// What is on an interface already, and what it can carry.
#pragma once

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <synfp/capture/detail/libbpf.hpp>

#include "bpf.hpp"
#include "finding.hpp"
#include "netlink.hpp"

namespace synfp::doctor {

struct interface_state {
  bool up = false;
  std::string driver;                             ///< empty: not known
  std::optional<bool> native;                     ///< its driver runs XDP programs
  std::optional<std::uint32_t> xdp;               ///< program there; 0: none; empty: not known
  const char* xdp_mode = "";                      ///< native, generic, offload, several
  std::optional<std::vector<std::uint32_t>> tcx;  ///< programs at ingress; empty: not known
  bool tcx_absent = false;                        ///< this kernel has no tcx
};

inline interface_state look_at(const std::string& name, unsigned index) {
  interface_state found;
  const synfp::detail::owned_fd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  if (::ioctl(any.get(), SIOCGIFFLAGS, &request) == 0) found.up = (request.ifr_flags & IFF_UP) != 0;
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  request.ifr_data = reinterpret_cast<char*>(&driver);
  if (::ioctl(any.get(), SIOCETHTOOL, &request) == 0)
    found.driver.assign(driver.driver, ::strnlen(driver.driver, sizeof driver.driver));
  found.native = native_xdp(index);
  {
    const capture::detail::silence_libbpf quiet;
    auto query = capture::detail::libbpf_options<bpf_xdp_query_opts>();
    if (bpf_xdp_query(static_cast<int>(index), 0, &query) == 0) {
      found.xdp = std::max({query.prog_id, query.drv_prog_id, query.skb_prog_id, query.hw_prog_id});
      found.xdp_mode = query.attach_mode == XDP_ATTACHED_DRV   ? "native"
                       : query.attach_mode == XDP_ATTACHED_SKB ? "generic"
                       : query.attach_mode == XDP_ATTACHED_HW  ? "offload"
                                                               : "several";
    }
  }
  found.tcx = attached_programs(index, attach_tcx_ingress);
  found.tcx_absent = !found.tcx && errno == EINVAL;
  return found;
}

inline finding check_interface(const std::string& name) {
  const std::string title = "interface." + name;
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0)
    return {status::no, title, std::string("cannot be found (") + std::strerror(errno) + ")",
            "see 'ip link' for the names"};
  const interface_state at = look_at(name, index);
  std::string text = at.driver.empty() ? std::string() : at.driver + ", ";
  text += at.up ? "up" : "down";
  text += !at.native   ? "; whether XDP is native is not known"
          : *at.native ? "; XDP native"
                       : "; XDP generic only, which is slower";
  const std::string xdp_name = at.xdp.value_or(0) == 0 ? std::string() : program_name(*at.xdp);
  const bool ours = xdp_name.compare(0, 5, "synfp") == 0;
  if (!at.xdp) {
    text += ", and whether a program is there is not known";
  } else if (*at.xdp == 0) {
    text += ", no XDP program";
  } else {
    text += (ours ? ", a probe of synfp is there: " : ", taken by another program: ") +
            program_list({*at.xdp}) + ", " + at.xdp_mode;
  }
  std::optional<std::vector<std::string>> tcx;
  if (at.tcx) {
    tcx.emplace();
    for (const std::uint32_t id : *at.tcx) {
      const std::string program = program_name(id);
      tcx->push_back(program.empty() ? "id " + std::to_string(id) : program);
    }
    text += at.tcx->empty() ? "; no tcx program" : "; tcx shared with " + program_list(*at.tcx);
  } else {
    text += at.tcx_absent ? "; no tcx in this kernel (6.6)" : "; tcx not known";
  }
  const bool taken = at.xdp.value_or(0) != 0 && !ours;
  return {
      taken     ? status::warn
      : !at.xdp ? status::unknown
                : status::ok,
      title, text,
      taken ? "use another hook, or take it off if nobody needs it: ip link set dev " + name + " xdp off"
            : "",
      facts()
          .add("index", index)
          .add("up", at.up)
          .add("driver", at.driver.empty() ? std::optional<std::string>() : at.driver)
          .add("xdp_native", at.native)
          .add("xdp_program", at.xdp)
          .add("xdp_name", xdp_name.empty() ? std::optional<std::string>() : xdp_name)
          .add("xdp_mode", at.xdp.value_or(0) == 0 ? std::optional<std::string>() : std::string(at.xdp_mode))
          .add("tcx", tcx)
          .json()};
}

/// All interfaces of this network namespace; empty if the kernel does not say.
inline std::vector<std::string> interface_names() {
  std::vector<std::string> names;
  if (struct if_nameindex* const all = ::if_nameindex(); all != nullptr) {
    for (const struct if_nameindex* one = all; one->if_index != 0; ++one) names.emplace_back(one->if_name);
    ::if_freenameindex(all);
  }
  return names;
}

}  // namespace synfp::doctor
