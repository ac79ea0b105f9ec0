// SPDX-License-Identifier: MIT
// A probe whose configuration is a value: what capture::probe<C> is for every C.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <synfp/capture/attached.hpp>
#include <synfp/capture/detail/attach.hpp>
#include <synfp/capture/detail/hook_traits.hpp>
#include <synfp/capture/detail/libbpf.hpp>
#include <synfp/capture/detail/load_failure.hpp>
#include <synfp/capture/detail/netns_cookie.hpp>
#include <synfp/capture/detail/pins.hpp>
#include <synfp/capture/pin.hpp>
#include <synfp/capture/probe_options.hpp>
#include <synfp/capture/table.hpp>
#include <synfp/detail/bpf_object.hpp>
#include <synfp/detail/bpf_request_object.hpp>
#include <synfp/detail/describe.hpp>
#include <synfp/detail/owned_fd.hpp>
#include <synfp/probe_config.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

using synfp::detail::owned_fd;

/// Maps of a probe whose process is gone, for the next one to go on with; -1: none.
struct kept_maps {
  table_fds maps;
  int sockets = -1;      ///< what is kept with sockets
  int link_wanted = -1;  ///< what programs have learnt of listeners
};

/// See capture::probe for what the functions do.
class loaded_probe {
 public:
  static setup_result<loaded_probe> open(const probe_config& c, const probe_options& options) {
    return make(c, options, {}, &loaded_probe::attached);
  }
  /// open() for who attaches the programs himself and keeps the maps in pins. `kept`: from an earlier
  /// process, or none; refused (errc::incompatible) if they were made with another configuration.
  static setup_result<loaded_probe> open_detached(const probe_config& c, const probe_options& options,
                                                  const kept_maps& kept) {
    return make(c, options, kept, &loaded_probe::loaded);
  }

  /// Of a probe that open_detached() made.
  int sockops_program() const noexcept { return sockops_ == nullptr ? -1 : bpf_program__fd(sockops_); }
  int getsockopt_program() const noexcept {
    return getsockopt_ == nullptr ? -1 : bpf_program__fd(getsockopt_);
  }
  /// Whether fds().program is hook_traits::fallback.
  bool fell_back() const noexcept { return fell_back_; }
  kept_maps maps() const noexcept {
    bpf_object* const o = sockets_object_ ? sockets_object_.get() : object_.get();
    const auto fd_of = [o](const char* name) {
      const bpf_map* const map = bpf_object__find_map_by_name(o, name);
      return map == nullptr ? -1 : bpf_map__fd(map);
    };
    if (sockops_ == nullptr) return {fds_.maps, -1, -1};
    return {fds_.maps, fd_of("synfp_sockets"), fd_of(".bss.synfp")};
  }

  static setup_result<loaded_probe> share(const probe_config& c, const probe_fds& fds) {
    auto records = table::attach(fds.maps);
    if (!records) return std::move(records).error();
    const synfp_meta& theirs = records->meta();
    const synfp_meta ours = synfp::detail::describe(c);
    const char* different = nullptr;
    if (theirs.hook != ours.hook) different = "hook";
    if (theirs.scope != ours.scope) different = "key_scope";
    if (theirs.families != ours.families) different = "families";
    if (theirs.buckets != ours.buckets) different = "buckets";
    if (theirs.hold != ours.hold) different = "hold";
    if (theirs.max_age_ns != ours.max_age_ns) different = "max_age";
    if (theirs.conflict_ns != ours.conflict_ns) different = "conflict_window";
    if (c.port_count() != 0 &&
        (theirs.ports != ours.ports || std::memcmp(theirs.port, ours.port, sizeof ours.port) != 0))
      different = "ports";
    if (different != nullptr)
      return setup_error{errc::incompatible, 0,
                         std::string("the running probe has another ") + different +
                             " than this program was compiled for; use the same probe_config in both"};
    loaded_probe p(traits_of(c.hook));
    p.records_ = std::make_unique<table>(*std::move(records));
    p.fds_.maps = fds.maps;
    if (fds.program >= 0) {
      p.shared_program_ = owned_fd(::fcntl(fds.program, F_DUPFD_CLOEXEC, 0));
      if (p.shared_program_.get() < 0) {
        const int number = errno;
        return setup_error{number == EBADF ? errc::invalid : errc::system, number,
                           "cannot use the program's fd" + why(number, "pass the fds of a running probe")};
      }
      p.fds_.program = p.shared_program_.get();
    }
    return p;
  }

  static setup_result<loaded_probe> share_pinned(const probe_config& c, const std::string& directory) {
    auto pins = open_pins(directory, takes_part_in_listening(traits_of(c.hook)));
    if (!pins) return std::move(pins).error();
    auto p = share(c, {{pins->table.get(), pins->meta.get(), pins->counts.get(), pins->pulse.get()},
                       pins->program.get()});
    if (!p) return setup_error{p.error().code, p.error().os, directory + ": " + p.error().message};
    p->fds_.maps = {};
    return p;
  }

  setup_result<pinned> pin(const std::string& directory, const pin_options& options) const {
    return pinned::make(directory, fds_.maps, takes_part_in_listening(*traits_) ? fds_.program : -1, options);
  }

  setup_result<void> prepare(int fd, bool first) {
    if (!takes_part_in_listening(*traits_) || !first || fds_.program < 0) return {};
    return attach_to_listen_group(fds_.program, fd);
  }

  const table& records() const noexcept { return *records_; }
  const probe_fds& fds() const noexcept { return fds_; }
  const std::vector<attached_interface>& attached_to() const noexcept { return attached_; }

 private:
  explicit loaded_probe(const hook_traits& traits) noexcept : traits_(&traits) {}

  using finisher = setup_result<loaded_probe> (*)(const hook_traits&, const char*, const synfp_meta&,
                                                  const synfp_config&, const probe_options&,
                                                  const std::vector<owned_fd>&, const kept_maps&);

  static setup_result<loaded_probe> make(const probe_config& c, const probe_options& options,
                                         const kept_maps& kept, finisher finish) {
    const hook_traits& traits = traits_of(c.hook);
    const bool on_interfaces = is_of_interfaces(traits.attached_to);
    const bool on_function = traits.attached_to == attachment::function;
    const auto& interfaces = options.interfaces;
    if (on_interfaces && interfaces.empty())
      return setup_error{errc::invalid, 0,
                         "hook::" + std::string(traits.name) +
                             " needs the names of interfaces in probe_options; see 'ip link'"};
    if (!on_interfaces && !interfaces.empty())
      return setup_error{errc::invalid, 0,
                         "hook::" + std::string(traits.name) + " is not attached to an interface; leave '" +
                             interfaces.front() + "' out"};
    for (auto one = interfaces.begin(); one != interfaces.end(); ++one) {
      if (std::find(interfaces.begin(), one, *one) != one)
        return setup_error{errc::invalid, 0, "interface " + *one + " is named twice; name it once"};
    }
    if (!on_function && options.all_network_namespaces)
      return setup_error{errc::invalid, 0,
                         "all_network_namespaces is only used with hook::kprobe; leave it out"};
    if (traits.attached_to == attachment::cgroup && options.cgroups.empty())
      return setup_error{errc::invalid, 0,
                         "hook::sockops needs a cgroup in probe_options, for instance /sys/fs/cgroup"};
    std::vector<owned_fd> cgroups;
    for (const std::string& path : options.cgroups) {
      auto opened = open_cgroup(path);
      if (!opened) return std::move(opened).error();
      cgroups.push_back(*std::move(opened));
    }
    if (options.ports.size() > SYNFP_MAX_PORTS || (c.port_count() != 0 && !options.ports.empty()))
      return setup_error{errc::invalid, 0,
                         "at most 8 ports, given either in probe_config or in probe_options"};

    const silence_libbpf quiet;
    const int cpus = libbpf_num_possible_cpus();
    if (cpus <= 0)
      return setup_error{errc::system, -cpus, "cannot count the CPUs" + why(-cpus, "mount /sys")};
    synfp_meta meta = synfp::detail::describe(c, options.ports);
    meta.cpus = static_cast<synfp_u32>(cpus);
    if (::getrandom(meta.secret, sizeof meta.secret, 0) != static_cast<ssize_t>(sizeof meta.secret))
      return setup_error{errc::system, errno,
                         "cannot get random bytes for the table's secret; see getrandom(2)"};

    if (kept.maps.meta >= 0) {
      const synfp_u32 zero = 0;
      synfp_meta before{};
      const int r = bpf_map_lookup_elem(kept.maps.meta, &zero, &before);
      std::memcpy(meta.secret, before.secret, sizeof meta.secret);
      if (r != 0 || std::memcmp(&meta, &before, sizeof meta) != 0)
        return setup_error{errc::incompatible, -r, "the maps were made with another configuration"};
    }
    synfp_config config = synfp::detail::configure(meta);
    const bool everywhere = traits.attached_to == attachment::cgroup || options.all_network_namespaces;
    if ((on_function || !cgroups.empty()) && !everywhere) {
      auto netns = network_namespace_cookie();
      if (!netns) return std::move(netns).error();
      config.netns = *netns;
    }

    auto p = finish(traits, traits.program, meta, config, options, cgroups, kept);
    if (!p && traits.fallback != nullptr) {
      p = finish(traits, traits.fallback, meta, config, options, cgroups, kept);
      if (p) p->fell_back_ = true;
    }
    return p;
  }

  static object_ptr open_object(bool request) {
    namespace objects = synfp::detail;
    auto options = libbpf_options<bpf_object_open_opts>();
    options.object_name = "synfp";
    return object_ptr(
        request ? bpf_object__open_mem(objects::bpf_request_object::words, objects::bpf_request_object::size,
                                       &options)
                : bpf_object__open_mem(objects::bpf_object::words, objects::bpf_object::size, &options));
  }

  /// Before an object is loaded. False if it does not fit the headers.
  static bool configure(bpf_object* o, const synfp_meta& meta, const synfp_config& config) {
    bpf_map* const rodata = bpf_object__find_map_by_name(o, ".rodata.synfp");
    bpf_map* const table_map = bpf_object__find_map_by_name(o, "synfp_table");
    bpf_map* const counts_map = bpf_object__find_map_by_name(o, "synfp_counts");
    return rodata != nullptr && table_map != nullptr && counts_map != nullptr &&
           bpf_object__find_map_by_name(o, "synfp_meta") != nullptr &&
           bpf_map__set_initial_value(rodata, &config, sizeof config) == 0 &&
           bpf_map__set_max_entries(table_map, meta.buckets) == 0 &&
           bpf_map__set_max_entries(counts_map, meta.cpus) == 0;
  }

  /// Loads `program` and, if `sockets`, those of a cgroup, and makes the maps. The program of
  /// tcp_conn_request() is in an object of its own, and then two objects share the maps.
  static setup_result<loaded_probe> load(const hook_traits& traits, const char* program,
                                         const synfp_meta& meta, const synfp_config& config, bool sockets,
                                         const kept_maps& kept) {
    const bool apart = traits.attached_to == attachment::function;
    loaded_probe p(traits);
    p.object_ = open_object(apart);
    if (p.object_ && apart && sockets) p.sockets_object_ = open_object(false);
    if (!p.object_ || (apart && sockets && !p.sockets_object_)) {
      const int number = errno;
      return setup_error{errc::system, number,
                         "cannot open the embedded BPF object" + why(number, "build synfp again")};
    }
    bpf_object* const o = p.object_.get();
    bpf_object* const s = apart ? p.sockets_object_.get() : o;

    std::vector<char> log(1 << 16);
    bpf_program* const wanted = bpf_object__find_program_by_name(o, program);
    if (sockets) {
      p.sockops_ = bpf_object__find_program_by_name(s, "synfp_sockops");
      p.getsockopt_ = bpf_object__find_program_by_name(s, "synfp_getsockopt");
    }
    bool fits = wanted != nullptr && (!sockets || (p.sockops_ != nullptr && p.getsockopt_ != nullptr));
    for (bpf_object* const object : {o, s == o ? nullptr : s}) {
      if (object == nullptr) continue;
      bpf_program* each = nullptr;
      bpf_object__for_each_program(each, object) {
        const bool mine = each == wanted || each == p.sockops_ || each == p.getsockopt_;
        bpf_program__set_autoload(each, mine);
        if (mine) bpf_program__set_log_buf(each, log.data(), log.size());
      }
      for (const char* const name : {"synfp_sockets", "synfp_socket_work", ".bss.synfp"}) {
        bpf_map* const map = bpf_object__find_map_by_name(object, name);
        if (map != nullptr) bpf_map__set_autocreate(map, sockets);
      }
      fits = fits && configure(object, meta, config);
      for (const auto& [name, fd] :
           {std::pair("synfp_table", kept.maps.table), std::pair("synfp_meta", kept.maps.meta),
            std::pair("synfp_counts", kept.maps.counts), std::pair("synfp_sockets", kept.sockets),
            std::pair(".bss.synfp", kept.link_wanted)}) {
        bpf_map* const map = fd < 0 ? nullptr : bpf_object__find_map_by_name(object, name);
        if (map != nullptr) fits = fits && bpf_map__reuse_fd(map, fd) == 0;
      }
    }
    if (!fits)
      return setup_error{errc::incompatible, 0,
                         "the embedded BPF object does not fit this header; build synfp again"};

    int r = bpf_object__load(o);
    const auto fd_of = [&](const char* name) { return bpf_map__fd(bpf_object__find_map_by_name(o, name)); };
    if (r == 0 && s != nullptr && s != o) {
      for (const char* const name : {"synfp_table", "synfp_meta", "synfp_counts"}) {
        if (r == 0) r = bpf_map__reuse_fd(bpf_object__find_map_by_name(s, name), fd_of(name));
      }
      if (r == 0) r = bpf_object__load(s);
    }
    if (r != 0) {
      p.object_.reset();
      p.sockets_object_.reset();
      return load_failure(traits, -r, log);
    }
    p.fds_ = {{fd_of("synfp_table"), fd_of("synfp_meta"), fd_of("synfp_counts")}, bpf_program__fd(wanted)};

    // From here on no process can write the maps, not even root; the program still can.
    const synfp_u32 zero = 0;
    if (kept.maps.meta >= 0) return std::move(p).with_records();
    r = bpf_map_update_elem(p.fds_.maps.meta, &zero, &meta, BPF_ANY);
    for (const int fd : {p.fds_.maps.meta, p.fds_.maps.table, p.fds_.maps.counts}) {
      if (r == 0) r = bpf_map_freeze(fd);
    }
    if (r != 0)
      return setup_error{errc::system, -r, std::string("cannot freeze the maps: ") + std::strerror(-r)};

    return std::move(p).with_records();
  }

  setup_result<loaded_probe> with_records() && {
    auto records = table::attach(fds_.maps);
    if (!records) return std::move(records).error();
    records_ = std::make_unique<table>(*std::move(records));
    return std::move(*this);
  }

  static setup_result<loaded_probe> loaded(const hook_traits& traits, const char* program,
                                           const synfp_meta& meta, const synfp_config& config,
                                           const probe_options&, const std::vector<owned_fd>& cgroups,
                                           const kept_maps& kept) {
    return load(traits, program, meta, config, !cgroups.empty(), kept);
  }

  /// Loads `program` and attaches it, unless prepare() does, and those of `cgroups`.
  static setup_result<loaded_probe> attached(const hook_traits& traits, const char* program,
                                             const synfp_meta& meta, const synfp_config& config,
                                             const probe_options& options,
                                             const std::vector<owned_fd>& cgroups, const kept_maps& kept) {
    auto p = load(traits, program, meta, config, !cgroups.empty(), kept);
    if (!p) return p;
    for (const std::string& interface : options.interfaces) {
      auto attached = attach_to_interface(traits.attached_to, p->fds_.program, interface);
      if (!attached) return std::move(attached).error();
      p->attached_.push_back(std::move(attached->what));
      p->attachments_.push_back(*std::move(attached));
    }
    if (traits.attached_to == attachment::function) {
      auto link = attach_to_function(p->fds_.program, program == traits.program);
      if (!link) return std::move(link).error();
      p->link_ = *std::move(link);
    }
    for (std::size_t i = 0; i < cgroups.size(); ++i) {
      for (const auto& [one, type] : {std::pair(p->sockops_, BPF_CGROUP_SOCK_OPS),  //
                                      std::pair(p->getsockopt_, BPF_CGROUP_GETSOCKOPT)}) {
        auto link = attach_to_cgroup(bpf_program__fd(one), type, cgroups[i], options.cgroups[i]);
        if (!link) return std::move(link).error();
        p->cgroup_links_.push_back(*std::move(link));
      }
    }
    return p;
  }

  /// Whether a process that makes a listen group needs the program.
  static constexpr bool takes_part_in_listening(const hook_traits& traits) noexcept {
    return traits.attached_to == attachment::listen_group;
  }

  const hook_traits* traits_;
  object_ptr object_;
  object_ptr sockets_object_;       // if the programs of cgroups are not in object_
  bpf_program* sockops_ = nullptr;  // of one of the two
  bpf_program* getsockopt_ = nullptr;
  owned_fd link_;
  std::vector<owned_fd> cgroup_links_;
  std::vector<interface_attachment> attachments_;
  std::vector<attached_interface> attached_;
  owned_fd shared_program_;
  bool fell_back_ = false;
  probe_fds fds_;
  std::unique_ptr<table> records_;
};

}  // namespace capture::detail
SYNFP_END_NAMESPACE
