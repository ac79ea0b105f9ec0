// SPDX-License-Identifier: MIT
// Attaches a program that is loaded.
#pragma once

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>  // atoi
#include <cstring>
#include <string>

#include <synfp/capture/attached.hpp>
#include <synfp/capture/detail/clsact.hpp>
#include <synfp/capture/detail/hook_traits.hpp>
#include <synfp/capture/detail/libbpf.hpp>
#include <synfp/capture/detail/load_failure.hpp>
#include <synfp/detail/owned_fd.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

using synfp::detail::owned_fd;

/// Attaches to the listen group of a socket that is bound and does not listen yet.
inline setup_result<void> attach_to_listen_group(int program, int fd) {
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof program) == 0) return {};
  const int number = errno;
  const char* advice = number == EINVAL       ? "set SO_REUSEPORT on the socket before bind()"
                       : number == EOPNOTSUPP ? "use a plain TCP socket, MPTCP listeners take no program"
                       : number == ENOMEM     ? "raise net.core.optmem_max"
                                              : "see setsockopt(2), SO_ATTACH_REUSEPORT_EBPF";
  return setup_error{errc::system, number,
                     std::string("cannot attach the probe to the listening socket (") +
                         std::strerror(number) + "); " + advice};
}

/// One interface with a program on it, until this ends.
struct interface_attachment {
  attached_interface what;
  owned_fd link;
  clsact_filter filter;
};

/// Id and name of a program, "?" if it may not be asked for.
inline std::string name_of_program(std::uint32_t id) {
  const owned_fd program(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  __u32 length = sizeof info;
  if (program && bpf_obj_get_info_by_fd(program.get(), &info, &length) == 0 && info.name[0] != '\0')
    return info.name;
  return "?";
}

/// Where libxdp pins the programs of the dispatcher `id`, by its protocol for sharing an interface.
inline std::string dispatcher_directory(unsigned interface, std::uint32_t id) {
  return "/sys/fs/bpf/xdp/dispatch-" + std::to_string(interface) + '-' + std::to_string(id);
}
/// Names of these programs; "?" if they may not be asked for.
inline std::string names_of_dispatched(const std::string& directory) {
  constexpr int most = 10;
  std::string names;
  for (int i = 0; i < most; ++i) {
    const owned_fd program(bpf_obj_get((directory + "/prog" + std::to_string(i) + "-prog").c_str()));
    bpf_prog_info info{};
    __u32 length = sizeof info;
    if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &length) != 0) continue;
    names += (names.empty() ? "" : ", ") + std::string(info.name);
  }
  return names.empty() ? "?" : names;
}

/// Attaches to an interface that carries no other XDP program: native if the driver can, else generic.
inline setup_result<interface_attachment> attach_xdp(int program, const std::string& interface,
                                                     unsigned index) {
  auto query = libbpf_options<bpf_xdp_query_opts>();
  if (bpf_xdp_query(static_cast<int>(index), 0, &query) == 0 && query.attach_mode != XDP_ATTACHED_NONE) {
    std::uint32_t id = query.prog_id;
    for (const std::uint32_t one : {query.drv_prog_id, query.skb_prog_id, query.hw_prog_id}) {
      if (id == 0) id = one;
    }
    const std::string name = name_of_program(id);
    const std::string pins = dispatcher_directory(index, id);
    // Without CAP_SYS_ADMIN the pins may say what the name does not. To take it off takes off what it runs.
    if (name == "xdp_dispatcher" || ::access(pins.c_str(), F_OK) == 0)
      return setup_error{errc::system, EBUSY,
                         "interface " + interface + " carries libxdp's dispatcher, id " + std::to_string(id) +
                             " (" + names_of_dispatched(pins) +
                             "), which this probe does not join; use hook::tcx, which sees what that lets "
                             "pass, or hook::reuseport"};
    return setup_error{errc::system, EBUSY,
                       "interface " + interface + " already carries an XDP program, id " +
                           std::to_string(id) + " (" + name +
                           "), which is not replaced; take it off (ip link set dev " + interface +
                           " xdp off), or use another interface, hook::tcx or hook::reuseport"};
  }
  int number = 0;
  for (const __u32 flag : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    auto options = libbpf_options<bpf_link_create_opts>();
    options.flags = flag;
    const int fd = bpf_link_create(program, static_cast<int>(index), BPF_XDP, &options);
    const attach_mode mode = flag == XDP_FLAGS_DRV_MODE ? attach_mode::native : attach_mode::generic;
    if (fd >= 0) return interface_attachment{{interface, mode}, owned_fd(fd), {}};
    number = -fd;
    if (number == EBUSY || number == EEXIST || number == EPERM) break;
  }
  return setup_error{errc::system, number,
                     "cannot attach to interface " + interface +
                         why(number, number == EBUSY || number == EEXIST
                                         ? "another XDP program took it meanwhile, or its bridge or bond "
                                           "carries one: use hook::tcx or hook::reuseport"
                                         : "it needs CAP_NET_ADMIN and a kernel with XDP links (5.9)")};
}

// Not in the headers of Debian 12: BPF_TCX_INGRESS and BPF_F_BEFORE of linux/bpf.h.
constexpr auto tcx_ingress = static_cast<bpf_attach_type>(46);
constexpr __u32 before_all_others = 1U << 3;

/// Attaches at the ingress of an interface, before what is there already: so it sees each SYN, whatever the
/// others make of it. They all run as before. A link, or a negative errno; -EINVAL, also with an index that
/// no interface has: Linux 6.5 and older know no such link.
inline int attach_tcx_link(int program, unsigned index) noexcept {
  auto options = libbpf_options<bpf_link_create_opts>();
  options.flags = before_all_others;
  return bpf_link_create(program, static_cast<int>(index), tcx_ingress, &options);
}

inline setup_error no_ingress(const std::string& interface, int number) {
  return {
      errc::system, number,
      "cannot attach to the ingress of interface " + interface +
          why(number, number == EBUSY
                          ? "a filter there has the first priority, 1, and may take packets away; give it "
                            "another, see tc-filter(8)"
                          : "it needs CAP_NET_ADMIN and a kernel with tcx (6.6), or with CONFIG_NET_CLS_BPF "
                            "and CONFIG_NET_SCH_INGRESS (modprobe cls_bpf sch_ingress)")};
}

/// By a link, or else by a filter.
inline setup_result<interface_attachment> attach_tcx(int program, const std::string& interface,
                                                     unsigned index) {
  const int fd = attach_tcx_link(program, index);
  if (fd >= 0) return interface_attachment{{interface, attach_mode::link}, owned_fd(fd), {}};
  int number = -fd;
  if (number == EINVAL) {
    bpf_prog_info info{};
    __u32 length = sizeof info;
    interface_attachment made{{interface, attach_mode::filter}, {}, {}};
    number = -bpf_obj_get_info_by_fd(program, &info, &length);
    if (number == 0) number = made.filter.add(program, info.id, info.name, index);
    if (number == 0) {
      made.what.replaced = made.filter.replaced();
      return made;
    }
  }
  return no_ingress(interface, number);
}

inline setup_result<interface_attachment> attach_to_interface(attachment how, int program,
                                                              const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0 && (errno == EMFILE || errno == ENFILE)) {
    const int number = errno;
    return setup_error{errc::system, number, "cannot look for interface " + interface + why(number, {})};
  }
  if (index == 0)
    return setup_error{errc::invalid, errno,
                       "there is no interface '" + interface + "'; see 'ip link' for their names"};
  return how == attachment::xdp ? attach_xdp(program, interface, index)
                                : attach_tcx(program, interface, index);
}

/// A directory of cgroup v2, open.
inline setup_result<owned_fd> open_cgroup(const std::string& path) {
  owned_fd opened(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0) {
    const int number = errno;
    return setup_error{
        errc::invalid, number,
        "cannot open the cgroup " + path +
            why(number, "name a directory of cgroup v2, for instance /sys/fs/cgroup/system.slice")};
  }
  struct statfs status {};
  if (::fstatfs(opened.get(), &status) != 0 ||
      static_cast<std::uint32_t>(status.f_type) != CGROUP2_SUPER_MAGIC)
    return setup_error{
        errc::invalid, 0,
        path +
            " is not a cgroup of version 2; see 'findmnt -t cgroup2', or mount one beside version "
            "1: mount -t cgroup2 none DIRECTORY"};
  return opened;
}

/// Attaches to a cgroup, for all sockets that are made in it and below from now on. Other programs there
/// stay.
inline setup_result<owned_fd> attach_to_cgroup(int program, bpf_attach_type type, const owned_fd& cgroup,
                                               const std::string& path) {
  const int fd = bpf_link_create(program, cgroup.get(), type, nullptr);
  if (fd >= 0) return owned_fd(fd);
  const int number = -fd;
  return setup_error{
      errc::system, number,
      "cannot attach to the cgroup " + path +
          why(number, number == EPERM
                          ? "a program is attached there that allows no other; see 'bpftool cgroup show'"
                      : number == EINVAL ? "this kernel has no CONFIG_CGROUP_BPF"
                      : number == E2BIG  ? "64 programs are attached there already"
                                         : "it needs CAP_NET_ADMIN")};
}

/// The kprobe of a function as a perf event, counting in no process and on every CPU. A negative errno if
/// there is none.
inline int open_kprobe(const char* function) noexcept {
  const owned_fd types(::open("/sys/bus/event_source/devices/kprobe/type", O_RDONLY | O_CLOEXEC));
  if (types.get() < 0) return -errno;
  char type[16]{};
  if (::read(types.get(), type, sizeof type - 1) <= 0) return -EINVAL;
  perf_event_attr event{};
  event.size = sizeof event;
  event.type = static_cast<__u32>(std::atoi(type));
  event.config1 = reinterpret_cast<std::uintptr_t>(function);
  const long fd = ::syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

/// Attaches to tcp_conn_request(), a `trampoline` program or one for a kprobe. It is attached as long as the
/// returned fd is open.
inline setup_result<owned_fd> attach_to_function(int program, bool trampoline) {
  int link = -EINVAL;
  if (trampoline) {
    link = bpf_raw_tracepoint_open(nullptr, program);
  } else if (const int event = open_kprobe("tcp_conn_request"); event < 0) {
    link = event;
  } else {
    const owned_fd held(event);  // the link holds it, too
    link = bpf_link_create(program, event, BPF_PERF_EVENT, nullptr);
    if (link >= 0 && ::ioctl(event, PERF_EVENT_IOC_ENABLE, 0) != 0) {
      const int number = errno;
      ::close(link);
      link = -number;
    }
  }
  if (link >= 0) return owned_fd(link);
  return setup_error{
      link == -ENOENT ? errc::unsupported : errc::system, -link,
      "cannot attach to tcp_conn_request()" +
          why(-link, link == -EPERM || link == -EACCES
                         ? "a security module, lockdown or kernel.perf_event_paranoid forbids it"
                         : "this kernel has neither BPF trampolines nor kprobes; use hook::reuseport")};
}

}  // namespace capture::detail
SYNFP_END_NAMESPACE
