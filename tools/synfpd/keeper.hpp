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
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <synfp/capture/census.hpp>
#include <synfp/capture/detail/loaded_probe.hpp>

#include "../support/cgroup_root.hpp"
#include "../support/fd.hpp"
#include "kept_filter.hpp"
#include "listeners.hpp"
#include "pin_directory.hpp"
#include "settings.hpp"

namespace synfp::tools {

class keeper {
 public:
  /// A link, and what it is attached to.
  struct attachment {
    std::string what;  ///< "sockops on /sys/fs/cgroup"
    std::string pin;
    int program = -1;
    std::function<setup_result<fd>()> make;
    fd link;
    std::unique_ptr<kept_filter> filter;  // of tc, where there are no links
    bool taken_over = false;  ///< from an earlier process: the program is put in place, nothing is missed
    bool attached = true;     ///< as of the last beat
  };

  static constexpr std::uint32_t interval_ms = 1000;

  /// Loads and attaches what an earlier process has not attached, and pins nothing yet: without commit() it
  /// is detached at the end. Throws why not; what was attached before stays as it was.
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
      for (const std::string& one : s.interfaces) {
        if (::if_nametoindex(one.c_str()) == 0)
          throw failure("there is no interface '" + one + "'; see 'ip link'");
      }
      options.interfaces = s.interfaces;
    } else if (!s.interfaces.empty()) {
      throw failure("--interface goes with --hook xdp or tcx; leave it out");
    }
    load({.hook = where, .buckets = s.buckets}, options);
    make_pulse();
    covers_ = where == hook::sockops;
    attach(traits, options);
  }
  keeper(const keeper&) = delete;
  keeper& operator=(const keeper&) = delete;
  ~keeper() { ::munmap(const_cast<synfp_pulse*>(pulse_), static_cast<std::size_t>(::getpagesize())); }

  /// Pins, and puts the programs into the links of an earlier process. If that fails, what the constructor
  /// attached is detached again.
  void commit() try {
    pin_maps();
    for (attachment& one : attachments_) {
      if (one.filter) {
        one.filter->commit(one.program);
        continue;
      }
      if (one.taken_over && bpf_link_update(one.link.get(), one.program, nullptr) != 0) {
        // Not every kind of link can get another program.
        bpf_link_detach(one.link.get());
        directory_.remove(one.pin);
        one.link = made_by(one);
        one.taken_over = false;
      }
      if (!one.taken_over) {
        directory_.remove(one.pin);
        directory_.put_new(one.pin, one.link.get());
      }
    }
    if (for_listeners_) directory_.put("program", probe_->fds().program, 0660);
    remove_others();
    if (covers_) older_ = cover_older_listeners();
    beat();
  } catch (...) {
    for (const attachment& one : attachments_) {
      if (!one.taken_over) directory_.remove(one.pin);
    }
    throw;
  }

  /// Says that the probe is alive, if it is. Every interval_ms.
  void beat() {
    bool any = attachments_.empty();  // hook::reuseport: servers attach it
    for (attachment& one : attachments_) {
      one.attached = one.filter ? one.filter->is_attached() : is_attached(one.link);
      any = any || one.attached;
    }
    if (!any) return;
    // A frame that the program does not look at.
    char frame[64]{};
    auto run = capture::detail::libbpf_options<bpf_test_run_opts>();
    run.data_in = frame;
    run.data_size_in = sizeof frame;
    (void)bpf_prog_test_run_opts(beat_.get(), &run);
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
    if (!covers_) return {};
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
                         pulse_map_.get()};
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
             counts = directory_.open("counts"), pulse = directory_.open("pulse");
    const fd sockets = directory_.open("sockets"), flags = directory_.open("flags");
    if (is_array(table, sizeof(synfp_bucket)) && is_array(meta, sizeof(synfp_meta)) &&
        is_array(counts, sizeof(synfp_counters)) && is_array(pulse, sizeof(synfp_pulse))) {
      refuse_damage(table, meta, counts);
      auto again = capture::detail::loaded_probe::open_detached(
          config, options, {{table.get(), meta.get(), counts.get()}, sockets.get(), flags.get()});
      if (again) {
        probe_.emplace(*std::move(again));
        kept_ = true;
        return;
      }
      if (again.error().code != errc::incompatible) throw failure(again.error().message);
    }
    // What is there is of another configuration or version, or left by a process that was killed on its way.
    auto fresh = capture::detail::loaded_probe::open_detached(config, options, {});
    if (!fresh) throw failure(fresh.error().message);
    probe_.emplace(*std::move(fresh));
  }

  static bpf_map_info info_of(const fd& map) {
    bpf_map_info info{};
    __u32 length = sizeof info;
    if (!map || bpf_obj_get_info_by_fd(map.get(), &info, &length) != 0) return {};
    return info;
  }
  /// Whose elements have the size that this version gives them.
  static bool is_array(const fd& map, std::size_t element) {
    const bpf_map_info info = info_of(map);
    return info.type == BPF_MAP_TYPE_ARRAY && info.key_size == sizeof(synfp_u32) &&
           info.value_size == element;
  }
  /// Maps of sizes that no synfpd leaves, whenever it is killed, are not taken for another configuration's.
  void refuse_damage(const fd& table, const fd& meta, const fd& counts) const {
    const synfp_u32 zero = 0;
    synfp_meta says{};
    if (bpf_map_lookup_elem(meta.get(), &zero, &says) == 0 && says.magic == SYNFP_ABI_MAGIC &&
        (says.layout != synfp::detail::layout::hash() ||
         (info_of(table).max_entries == says.buckets && info_of(counts).max_entries == says.cpus)))
      return;
    throw failure("the maps in " + directory_.path() +
                  " are damaged: their sizes are not those that 'meta' says; remove them: synfpd --remove");
  }

  /// Also what was kept: for the group of now. Readers open table, meta, counts and pulse in this order: see
  /// open_pins().
  void pin_maps() const {
    const capture::detail::kept_maps maps = probe_->maps();
    if (!kept_) directory_.remove("meta");  // until everything is replaced it is no whole probe
    directory_.put("table", maps.maps.table, 0660);
    directory_.put("counts", maps.maps.counts, 0660);
    directory_.put("pulse", pulse_map_.get(), 0660);
    if (maps.sockets >= 0) directory_.put("sockets", maps.sockets, 0600);
    if (maps.link_wanted >= 0) directory_.put("flags", maps.link_wanted, 0600);
    directory_.put("meta", maps.maps.meta, 0660);
  }

  static fd made_by(const attachment& one) {
    auto made = one.make();
    if (!made) throw failure(made.error().message);
    return *std::move(made);
  }

  void attach(const capture::detail::hook_traits& traits, const capture::probe_options& options) {
    namespace detail = capture::detail;
    const int program = probe_->fds().program;
    const auto refuse_twice = [&](const std::string& pin, const std::string& what) {
      for (const attachment& other : attachments_) {
        if (other.pin == pin) throw failure(what + " is asked for twice");
      }
    };
    const auto add = [&](std::string pin, std::string what, int its_program,
                         std::function<setup_result<fd>()> make) {
      refuse_twice(pin, what);
      attachment one{std::move(what), std::move(pin), its_program, std::move(make), {}, {}};
      one.link = directory_.open(one.pin);
      one.taken_over = one.link && is_attached(one.link);
      if (!one.taken_over) one.link = made_by(one);
      attachments_.push_back(std::move(one));
    };
    for (const std::string& path : options.cgroups) {
      auto opened = detail::open_cgroup(path);
      if (!opened) throw failure(opened.error().message);
      const auto cgroup = std::make_shared<const fd>(*std::move(opened));
      struct stat status {};
      must(::fstat(cgroup->get(), &status) == 0, "look at " + path);
      const auto on = [&](const char* name, int its_program, bpf_attach_type type) {
        add(fmt::format("{}-cgroup-{}", name, status.st_ino), fmt::format("{} on {}", name, path),
            its_program, [=] { return detail::attach_to_cgroup(its_program, type, *cgroup, path); });
      };
      on("sockops", probe_->sockops_program(), BPF_CGROUP_SOCK_OPS);
      on("getsockopt", probe_->getsockopt_program(), BPF_CGROUP_GETSOCKOPT);
    }
    const bool tcx = traits.attached_to == detail::attachment::tcx;
    const bool by_filter = tcx && detail::attach_tcx_link(program, 0) == -EINVAL;
    for (const std::string& interface : options.interfaces) {
      const unsigned index = ::if_nametoindex(interface.c_str());
      std::string pin = fmt::format("{}-interface-{}", hook_, index),
                  what = fmt::format("{} on {}", hook_, interface);
      if (by_filter) {
        refuse_twice(pin, what);
        auto filter = std::make_unique<kept_filter>(directory_, pin, interface, index, program);
        const bool found = filter->taken_over();
        attachments_.push_back({std::move(what), std::move(pin), program, {}, {}, std::move(filter), found});
      } else {
        add(std::move(pin), std::move(what), program,
            [program, interface, how = traits.attached_to]() -> setup_result<fd> {
              auto made = detail::attach_to_interface(how, program, interface);
              if (!made) return std::move(made).error();
              return std::move(made->link);
            });
      }
    }
    if (traits.attached_to == detail::attachment::function)
      add(hook_, hook_ + " on tcp_conn_request()", program, [program, trampoline = !probe_->fell_back()] {
        return detail::attach_to_function(program, trampoline);
      });
    for_listeners_ = traits.attached_to == detail::attachment::listen_group;
  }

  /// What an earlier process attached elsewhere, or has not put into its place.
  void remove_others() const {
    std::vector<std::string> wanted{"table", "meta", "counts", "pulse"};
    if (probe_->maps().sockets >= 0) wanted.emplace_back("sockets");
    if (probe_->maps().link_wanted >= 0) wanted.emplace_back("flags");
    if (for_listeners_) wanted.emplace_back("program");
    for (const attachment& one : attachments_) wanted.push_back(one.pin);
    for (const std::string& name : directory_.names()) {
      if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) directory_.remove(name);
    }
  }

  /// Not after the cgroup or interface was removed.
  static bool is_attached(const fd& link) {
    bpf_link_info info{};
    __u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(link.get(), &info, &length) != 0) return false;
    constexpr __u32 tcx = 11;  // BPF_LINK_TYPE_TCX, which begins with the interface as xdp does
    if (info.type == BPF_LINK_TYPE_CGROUP) return info.cgroup.cgroup_id != 0;
    if (info.type == BPF_LINK_TYPE_XDP || info.type == tcx) return info.xdp.ifindex != 0;
    return true;
  }

  /// With the table: whoever reads one that was replaced sees its pulse stand still. It is frozen as the
  /// table is, so that those who may read it cannot keep it alive; hence a program writes it, which beat()
  /// runs. (A map whose descriptor is read-only cannot be mapped.)
  void make_pulse() {
    if (kept_) pulse_map_ = directory_.open("pulse");
    if (!pulse_map_) {
      auto options = capture::detail::libbpf_options<bpf_map_create_opts>();
      options.map_flags = BPF_F_MMAPABLE;
      pulse_map_ = fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "synfp_pulse", sizeof(synfp_u32),
                                     sizeof(synfp_pulse), 1, &options));
      must(pulse_map_ && bpf_map_freeze(pulse_map_.get()) == 0, "make the map of the pulse");
    }
    const auto store = [](unsigned size, std::size_t offset, int value) {
      return bpf_insn{static_cast<__u8>(BPF_ST | BPF_MEM | size), BPF_REG_1, 0, static_cast<__s16>(offset),
                      value};
    };
    const bpf_insn program[] = {
        {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_ns},
        {BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, pulse_map_.get()},
        {},
        {BPF_STX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_0, offsetof(synfp_pulse, time), 0},
        store(BPF_W, offsetof(synfp_pulse, process), ::getpid()),
        store(BPF_W, offsetof(synfp_pulse, interval_ms), interval_ms),
        {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    };
    beat_ = fd(bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "synfp_beat", "GPL", program, std::size(program),
                             nullptr));
    must(static_cast<bool>(beat_), "load the program of the pulse");
    void* const at = ::mmap(nullptr, static_cast<std::size_t>(::getpagesize()), PROT_READ, MAP_SHARED,
                            pulse_map_.get(), 0);
    must(at != MAP_FAILED, "map the pulse");
    pulse_ = static_cast<const synfp_pulse*>(at);
  }

  pin_directory directory_;
  std::string hook_;
  std::optional<capture::detail::loaded_probe> probe_;
  std::vector<attachment> attachments_;
  bool kept_ = false, for_listeners_ = false, covers_ = false;
  std::optional<older_listeners> older_;
  const synfp_pulse* pulse_ = nullptr;
  fd pulse_map_, beat_;
  std::int64_t clock_offset_ = capture::detail::time_namespace_offset().value_or(0);
};

}  // namespace synfp::tools
