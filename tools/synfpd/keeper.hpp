// SPDX-License-Identifier: MIT
// A probe whose maps and links are pinned, so that it works on while no process of ours lives.
#pragma once

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>  // join
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <synfp/capture/census.hpp>
#include <synfp/capture/detail/loaded_probe.hpp>

#include "../support/fd.hpp"
#include "listeners.hpp"
#include "pin_directory.hpp"
#include "settings.hpp"

namespace synfp::tools {

/// Where cgroup version 2 is mounted; empty if nowhere.
inline std::string cgroup_root() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string device, where, type;
    words >> device >> where >> type;
    if (type == "cgroup2") return where;
  }
  return {};
}

class keeper {
 public:
  /// A link, and what it is attached to.
  struct attachment {
    std::string what;  ///< "sockops on /sys/fs/cgroup"
    fd link;
    bool taken_over = false;  ///< from an earlier process: the program was put in place, nothing was missed
    bool attached = true;     ///< as of the last beat
  };

  static constexpr std::uint32_t interval_ms = 1000;

  /// Loads, attaches and pins, or takes over what an earlier process pinned. Throws why not; then what was
  /// attached before stays as it was.
  keeper(const daemon_settings& s, std::optional<gid_t> group) : directory_(s.pin, group) {
    capture::probe_options options;
    options.ports = s.ports;
    options.cgroups = s.cgroups;
    if (options.cgroups.empty()) {
      if (const std::string root = cgroup_root(); !root.empty()) options.cgroups = {root};
    }
    const hook where = choose(s, options);
    const capture::detail::hook_traits& traits = capture::detail::traits_of(where);
    hook_ = to_string(traits.source);
    if (traits.attached_to == capture::detail::attachment::xdp ||
        traits.attached_to == capture::detail::attachment::tcx) {
      if (s.interfaces.empty())
        throw failure("--hook " + s.hook + " needs --interface; see 'ip link' for names");
      options.interfaces = s.interfaces;
    } else if (!s.interfaces.empty()) {
      throw failure("--interface goes with --hook xdp or tcx; leave it out");
    }
    load({.hook = where, .buckets = s.buckets}, options);
    pin_maps();
    attach(traits, options);
    if (where == hook::sockops) older_ = cover_older_listeners();
    asked_older_ = where == hook::sockops;
    start_pulse();
    beat();
  }

  /// Says that the probe is alive, if it is. Every interval_ms.
  void beat() {
    bool any = attachments_.empty();  // hook::reuseport: servers attach it
    for (attachment& one : attachments_) {
      one.attached = is_attached(one.link);
      any = any || one.attached;
    }
    if (!any) return;
    const std::uint64_t now = capture::now_ns() - static_cast<std::uint64_t>(clock_offset_);
    __atomic_store_n(&pulse_->time, now, __ATOMIC_RELAXED);
  }

  /// Whether it was attached of late. From any thread.
  bool alive() const {
    const std::uint64_t now = capture::now_ns() - static_cast<std::uint64_t>(clock_offset_);
    return now - __atomic_load_n(&pulse_->time, __ATOMIC_RELAXED) <
           std::uint64_t{5} * interval_ms * 1'000'000;
  }

  /// Listeners that were there before the probe, in one line; empty if there is nothing to say.
  std::string older_listeners_left() const {
    static constexpr const char* advice =
        ": their connections that come by a SYN cookie have no SYN; start them again, or let --hook xdp "
        "capture";
    if (!asked_older_) return {};
    if (!older_) return std::string("this kernel shows no listeners that are older than the probe") + advice;
    if (older_->left.empty()) return {};
    return fmt::format(
        "this kernel (before 6.2) does not cover listeners that are older than the probe, on the ports {}{}",
        fmt::join(older_->left, ", "), advice);
  }

  const capture::table& records() const { return probe_->records(); }
  const std::vector<attachment>& attachments() const { return attachments_; }
  const pin_directory& directory() const { return directory_; }
  bool kept_table() const { return kept_; }
  const std::string& hook_name() const { return hook_; }

  /// For hand_over().
  std::vector<int> descriptors() const {
    std::vector<int> all{probe_->fds().maps.table, probe_->fds().maps.meta, probe_->fds().maps.counts,
                         readable_pulse_.get()};
    if (for_listeners_) all.push_back(probe_->fds().program);
    return all;
  }

 private:
  static hook choose(const daemon_settings& s, const capture::probe_options& options) {
    for (synfp_u8 i = 1; i < SYNFP_HOOKS; ++i) {
      const capture_source source = capture::detail::traits_of(i).source;
      if (source != capture_source::none && s.hook == to_string(source)) return static_cast<hook>(i);
    }
    if (s.hook != "auto") throw failure("this build has no hook '" + s.hook + "'");
    if (!s.interfaces.empty()) return hook::xdp;
    return options.cgroups.empty() ? hook::reuseport : hook::sockops;
  }

  void load(const probe_config& config, const capture::probe_options& options) {
    const fd table = directory_.open("table"), meta = directory_.open("meta"),
             counts = directory_.open("counts");
    const fd sockets = directory_.open("sockets"), flags = directory_.open("flags");
    const bool whole = table && meta && counts;
    if (whole) {
      auto again = capture::detail::loaded_probe::open_detached(
          config, options, {{table.get(), meta.get(), counts.get()}, sockets.get(), flags.get()});
      if (again) {
        probe_.emplace(*std::move(again));
        kept_ = true;
        return;
      }
      if (again.error().code != errc::incompatible) throw failure(again.error().message);
    }
    auto fresh = capture::detail::loaded_probe::open_detached(config, options, {});
    if (!fresh) throw failure(fresh.error().message);
    directory_.clear();  // of another configuration, or left by a process that was killed on its way
    probe_.emplace(*std::move(fresh));
  }

  void pin_maps() {
    const capture::detail::kept_maps maps = probe_->maps();
    if (!kept_) {
      directory_.put("table", maps.maps.table, 0660);
      directory_.put("meta", maps.maps.meta, 0660);
      directory_.put("counts", maps.maps.counts, 0660);
    }
    if (maps.sockets >= 0) directory_.put("sockets", maps.sockets, 0600);
    if (maps.link_wanted >= 0) directory_.put("flags", maps.link_wanted, 0600);
  }

  void attach(const capture::detail::hook_traits& traits, const capture::probe_options& options) {
    namespace detail = capture::detail;
    std::vector<std::string> wanted;
    const int program = probe_->fds().program;
    const auto add = [&](const std::string& pin, std::string what, int its_program, const auto& make) {
      wanted.push_back(pin);
      attachment one{std::move(what), directory_.open(pin)};
      one.taken_over =
          one.link && bpf_link_update(one.link.get(), its_program, nullptr) == 0 && is_attached(one.link);
      if (!one.taken_over) {
        one.link = fd();
        directory_.remove(pin);
        auto made = make();
        if (!made) throw failure(made.error().message);
        one.link = *std::move(made);
        if (one.link) directory_.put(pin, one.link.get(), 0600);
      }
      attachments_.push_back(std::move(one));
    };
    for (const std::string& path : options.cgroups) {
      auto cgroup = detail::open_cgroup(path);
      if (!cgroup) throw failure(cgroup.error().message);
      struct stat status {};
      must(::fstat(cgroup->get(), &status) == 0, "look at " + path);
      const auto on = [&](const char* name, int its_program, bpf_attach_type type) {
        add(fmt::format("{}-cgroup-{}", name, status.st_ino), fmt::format("{} on {}", name, path),
            its_program, [&] { return detail::attach_to_cgroup(its_program, type, *cgroup, path); });
      };
      on("sockops", probe_->sockops_program(), BPF_CGROUP_SOCK_OPS);
      on("getsockopt", probe_->getsockopt_program(), BPF_CGROUP_GETSOCKOPT);
    }
    for (const std::string& interface : options.interfaces) {
      add(fmt::format("{}-interface-{}", hook_, ::if_nametoindex(interface.c_str())),
          fmt::format("{} on {}", hook_, interface), program, [&]() -> setup_result<detail::owned_fd> {
            auto made = detail::attach_to_interface(traits.attached_to, program, interface);
            if (!made) return std::move(made).error();
            detail::owned_fd link = std::move(made->link);
            filters_.push_back(*std::move(made));
            return link;
          });
    }
    if (traits.attached_to == detail::attachment::function)
      add(hook_, hook_ + " on tcp_conn_request()", program,
          [&] { return detail::attach_to_function(program, !probe_->fell_back()); });
    for_listeners_ = traits.attached_to == detail::attachment::listen_group;
    if (for_listeners_) {
      directory_.put("program", program, 0660);
      wanted.emplace_back("program");
    }
    // What an earlier process attached elsewhere.
    for (const char* const name : {"table", "meta", "counts", "sockets", "flags", "pulse"})
      wanted.emplace_back(name);
    for (const std::string& name : directory_.names()) {
      if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) directory_.remove(name);
    }
  }

  /// Not after the cgroup or interface was removed.
  static bool is_attached(const fd& link) {
    if (!link) return true;  // a filter of tc, which has no link
    bpf_link_info info{};
    __u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(link.get(), &info, &length) != 0) return false;
    switch (info.type) {
      case BPF_LINK_TYPE_CGROUP: return info.cgroup.cgroup_id != 0;
      case BPF_LINK_TYPE_XDP: return info.xdp.ifindex != 0;
      case 11: /* BPF_LINK_TYPE_TCX */ return info.xdp.ifindex != 0;
      default: return true;
    }
  }

  void start_pulse() {
    fd map = directory_.open("pulse");
    if (!map) {
      auto options = capture::detail::libbpf_options<bpf_map_create_opts>();
      options.map_flags = BPF_F_MMAPABLE;
      map = fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "synfp_pulse", sizeof(synfp_u32), sizeof(synfp_pulse), 1,
                              &options));
      must(static_cast<bool>(map), "make the map of the pulse");
      directory_.put("pulse", map.get(), 0640);
    }
    void* const at = ::mmap(nullptr, static_cast<std::size_t>(::getpagesize()), PROT_READ | PROT_WRITE,
                            MAP_SHARED, map.get(), 0);
    must(at != MAP_FAILED, "map the pulse");
    pulse_ = static_cast<synfp_pulse*>(at);
    __atomic_store_n(&pulse_->process, static_cast<synfp_u32>(::getpid()), __ATOMIC_RELAXED);
    __atomic_store_n(&pulse_->interval_ms, interval_ms, __ATOMIC_RELAXED);
    readable_pulse_ =
        fd(capture::detail::bpf_path(BPF_OBJ_GET, directory_.path_of("pulse"), 0, BPF_F_RDONLY));
    must(static_cast<bool>(readable_pulse_), "open the pulse");
  }

  pin_directory directory_;
  std::string hook_;
  std::optional<capture::detail::loaded_probe> probe_;
  std::vector<attachment> attachments_;
  std::vector<capture::detail::interface_attachment> filters_;  // of tc, where there are no links
  bool kept_ = false, for_listeners_ = false, asked_older_ = false;
  std::optional<older_listeners> older_;
  synfp_pulse* pulse_ = nullptr;
  fd readable_pulse_;
  std::int64_t clock_offset_ = capture::detail::time_namespace_offset().value_or(0);
};

}  // namespace synfp::tools
