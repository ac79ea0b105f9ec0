// SPDX-License-Identifier: MIT
// A probe whose configuration is a value: what capture::probe<C> is for every C.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
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
#include <synfp/capture/detail/owned_fd.hpp>
#include <synfp/capture/detail/pins.hpp>
#include <synfp/capture/pin.hpp>
#include <synfp/capture/probe_options.hpp>
#include <synfp/capture/table.hpp>
#include <synfp/detail/bpf_object.hpp>
#include <synfp/detail/describe.hpp>
#include <synfp/probe_config.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

/// See capture::probe for what the functions do.
class loaded_probe {
 public:
  static setup_result<loaded_probe> open(const probe_config& c, const probe_options& options) {
    const hook_traits& traits = traits_of(c.hook);
    const auto& interfaces = options.interfaces;
    if (is_of_interfaces(traits.attached_to) && interfaces.empty())
      return setup_error{errc::invalid, 0,
                         "hook::" + std::string(traits.name) +
                             " needs the names of interfaces in probe_options; see 'ip link'"};
    if (!is_of_interfaces(traits.attached_to) && !interfaces.empty())
      return setup_error{errc::invalid, 0,
                         "hook::" + std::string(traits.name) + " is not attached to an interface; leave '" +
                             interfaces.front() + "' out"};
    for (auto one = interfaces.begin(); one != interfaces.end(); ++one) {
      if (std::find(interfaces.begin(), one, *one) != one)
        return setup_error{errc::invalid, 0, "interface " + *one + " is named twice; name it once"};
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

    namespace object = synfp::detail::bpf_object;
    auto open_options = libbpf_options<bpf_object_open_opts>();
    open_options.object_name = "synfp";
    loaded_probe p(traits);
    p.object_.reset(bpf_object__open_mem(object::words, object::size, &open_options));
    if (!p.object_) {
      const int number = errno;
      return setup_error{errc::system, number,
                         "cannot open the embedded BPF object" + why(number, "build synfp again")};
    }
    bpf_object* o = p.object_.get();

    std::vector<char> log(1 << 16);
    bpf_program* wanted = nullptr;
    bpf_program* each = nullptr;
    bpf_object__for_each_program(each, o) {
      const bool mine = std::strcmp(bpf_program__name(each), traits.program) == 0;
      bpf_program__set_autoload(each, mine);
      if (!mine) continue;
      wanted = each;
      bpf_program__set_log_buf(each, log.data(), log.size());
    }
    const synfp_config config = synfp::detail::configure(meta);
    bpf_map* const rodata = bpf_object__find_map_by_name(o, ".rodata.synfp");
    bpf_map* const table_map = bpf_object__find_map_by_name(o, "synfp_table");
    bpf_map* const meta_map = bpf_object__find_map_by_name(o, "synfp_meta");
    bpf_map* const counts_map = bpf_object__find_map_by_name(o, "synfp_counts");
    if (wanted == nullptr || rodata == nullptr || table_map == nullptr || meta_map == nullptr ||
        counts_map == nullptr || bpf_map__set_initial_value(rodata, &config, sizeof config) != 0 ||
        bpf_map__set_max_entries(table_map, c.buckets) != 0 ||
        bpf_map__set_max_entries(counts_map, meta.cpus) != 0)
      return setup_error{errc::incompatible, 0,
                         "the embedded BPF object does not fit this header; build synfp again"};

    if (const int r = bpf_object__load(o); r != 0) {
      p.object_.reset();
      return load_failure(traits, -r, log);
    }
    p.fds_ = {{bpf_map__fd(table_map), bpf_map__fd(meta_map), bpf_map__fd(counts_map)},
              bpf_program__fd(wanted)};

    // From here on no process can write the maps, not even root; the program still can.
    const synfp_u32 zero = 0;
    int r = bpf_map_update_elem(p.fds_.maps.meta, &zero, &meta, BPF_ANY);
    for (const int fd : {p.fds_.maps.meta, p.fds_.maps.table, p.fds_.maps.counts}) {
      if (r == 0) r = bpf_map_freeze(fd);
    }
    if (r != 0)
      return setup_error{errc::system, -r, std::string("cannot freeze the maps: ") + std::strerror(-r)};

    auto records = table::attach(p.fds_.maps);
    if (!records) return std::move(records).error();
    p.records_ = std::make_unique<table>(*std::move(records));

    for (const std::string& interface : interfaces) {
      auto attached = attach_to_interface(traits.attached_to, p.fds_.program, interface);
      if (!attached) return std::move(attached).error();
      p.attached_.push_back(std::move(attached->what));
      p.attachments_.push_back(*std::move(attached));
    }
    return p;
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
    auto p = share(c, {{pins->table.get(), pins->meta.get(), pins->counts.get()}, pins->program.get()});
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
  const std::vector<attached_interface>& attached() const noexcept { return attached_; }

 private:
  explicit loaded_probe(const hook_traits& traits) noexcept : traits_(&traits) {}

  /// Whether a process that makes a listen group needs the program.
  static constexpr bool takes_part_in_listening(const hook_traits& traits) noexcept {
    return traits.attached_to == attachment::listen_group;
  }

  const hook_traits* traits_;
  object_ptr object_;
  std::vector<interface_attachment> attachments_;
  std::vector<attached_interface> attached_;
  owned_fd shared_program_;
  probe_fds fds_;
  std::unique_ptr<table> records_;
};

}  // namespace capture::detail
SYNFP_END_NAMESPACE
