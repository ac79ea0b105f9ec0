// SPDX-License-Identifier: MIT
// Loads the probe and attaches it. The only header that needs libbpf.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <synfp/capture/pin.hpp>
#include <synfp/capture/table.hpp>
#include <synfp/detail/describe.hpp>
#include <synfp/probe_config.hpp>
#include <synfp/setup_error.hpp>

#if !__has_include(<synfp/detail/bpf_object.hpp>)
#error \
    "capture/probe.hpp needs libbpf and the generated BPF object: link synfp::probe (CMake) or use pkg-config synfp-probe"
#endif
#include <synfp/detail/bpf_object.hpp>

#ifndef SO_ATTACH_REUSEPORT_EBPF
#define SO_ATTACH_REUSEPORT_EBPF 52
#endif

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// What open() takes besides the compile-time configuration.
struct probe_options {
  std::string interface;  ///< hook::xdp: the interface to watch
  std::vector<std::uint16_t>
      ports{};  ///< local ports of interest, at most 8; only if probe_config::ports is empty
};

/// The file descriptors that another process needs to share a probe (by inheritance or SCM_RIGHTS). Plain
/// numbers, owned by the probe.
struct probe_fds {
  table_fds maps;
  int program = -1;
};

namespace detail {

/// An options struct of libbpf, zeroed, with its size; LIBBPF_OPTS is not standard C++.
template <class Options>
Options libbpf_options() noexcept {
  Options options{};
  options.sz = sizeof options;
  return options;
}

struct object_closer {
  void operator()(bpf_object* object) const noexcept { bpf_object__close(object); }
};
using object_ptr = std::unique_ptr<bpf_object, object_closer>;

/// libbpf prints through one global callback; it is silenced while we call into it.
class silence_libbpf {
 public:
  silence_libbpf() : lock_(mutex()), before_(libbpf_set_print(nullptr)) {}
  ~silence_libbpf() { libbpf_set_print(before_); }
  silence_libbpf(const silence_libbpf&) = delete;
  silence_libbpf& operator=(const silence_libbpf&) = delete;

 private:
  static std::mutex& mutex() {
    static std::mutex m;
    return m;
  }
  std::lock_guard<std::mutex> lock_;
  libbpf_print_fn_t before_;
};

/// Those of `wanted` that this thread does not have, comma separated; empty if none is missing.
inline std::string missing_capabilities(std::initializer_list<int> wanted) {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct data[2]{};
  std::string missing;
  if (::syscall(SYS_capget, &header, data) != 0) return missing;
  for (const int cap : wanted) {
    if ((data[cap / 32].effective >> (cap % 32) & 1U) != 0) continue;
    if (!missing.empty()) missing += ',';
    missing += cap == CAP_NET_ADMIN ? "cap_net_admin" : cap == CAP_PERFMON ? "cap_perfmon" : "cap_bpf";
  }
  return missing;
}

/// Whether this process is in a user namespace of its own. Its capabilities count there, but not for bpf().
inline bool in_user_namespace() noexcept {
  constexpr ino_t initial = 0xeffffffd;  // on every Linux, see USER_NS_INIT_INO in linux/nsfs.h
  struct stat own {};
  return ::stat("/proc/self/ns/user", &own) == 0 && own.st_ino != initial;
}

/// Whether fewer file descriptors are left than opening a probe takes. libbpf needs some to ask the kernel
/// what it can do, and takes it for a kernel that cannot if there are none; so this is asked afterwards, with
/// the object closed.
inline bool few_descriptors_left() noexcept {
  owned_fd taken[16];
  for (owned_fd& one : taken) {
    one = owned_fd(::open("/", O_PATH | O_CLOEXEC));
    if (one.get() < 0) return errno == EMFILE || errno == ENFILE;
  }
  return false;
}

/// Of a call that failed with `number`: why, in brackets, and what to do, which is `otherwise` unless
/// descriptors ran out.
inline std::string why(int number, const std::string& otherwise) {
  std::string text = std::string(" (") + std::strerror(number) + "); ";
  if (number == EMFILE) return text + "no file descriptor left; raise the limit (ulimit -n, LimitNOFILE=)";
  if (number == ENFILE) return text + "no file descriptor left on this machine; raise the sysctl fs.file-max";
  return text + otherwise;
}

/// The last line of a verifier log that says something.
inline std::string log_reason(const std::vector<char>& log) {
  std::string_view text(log.data());
  std::string_view reason;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (!line.empty() && !line.starts_with("processed ")) reason = line;
  }
  return std::string(reason.substr(0, 200));
}

/// Why bpf() does not permit what this process asks, and what to do; empty if it was not EPERM or EACCES for
/// want of permission.
inline std::string not_permitted(hook where, int number) {
  const bool xdp = where == hook::xdp;
  if (number != EPERM && number != EACCES) return {};
  if (in_user_namespace())
    return "this process is in a user namespace (unshare -U, a rootless container), where no capability lets "
           "it load BPF programs; run it outside, share a probe that another process opened, or use "
           "saved_syn";
  const std::string missing =
      xdp ? missing_capabilities({CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON}) : missing_capabilities({CAP_BPF});
  if (!missing.empty() && ::geteuid() == 0)
    return "missing " + missing +
           "; a container or service took it from root: give it back (docker run "
           "--cap-add, systemd: CapabilityBoundingSet=)";
  if (!missing.empty())
    return "missing " + missing + "; run as root, or give the program the capability: setcap " +
           (xdp ? "cap_bpf,cap_net_admin,cap_perfmon" : "cap_bpf,cap_perfmon") + "+ep PROGRAM";
  if (number == EACCES) return {};  // the verifier refuses the program
  if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER)
    return "the capabilities are there, but a seccomp filter (of a container or service) refuses bpf(); "
           "allow "
           "this system call";
  return "the capabilities are there, but a security module or lockdown refuses bpf(); see the kernel's log";
}

inline setup_error load_failure(hook where, int number, const std::vector<char>& log) {
  if (number != EPERM && number != EACCES && number != ENFILE && few_descriptors_left()) number = EMFILE;
  std::string text = "cannot load the BPF probe";
  if (const std::string refused = not_permitted(where, number); !refused.empty()) {
    text += ": " + refused;
  } else if (number == ENOMEM) {
    text += ": out of memory; use fewer buckets, or raise the memory limit of this cgroup";
  } else if (number == ENOSYS) {
    text += ": this kernel has no bpf(); it needs Linux 6.1 or newer with CONFIG_BPF_SYSCALL";
  } else {
    const std::string reason = log_reason(log);
    text +=
        why(number, "it needs Linux 6.1 or newer" + (reason.empty() ? "" : "; the verifier says: " + reason));
  }
  return {number == ENOSYS ? errc::unsupported : errc::system, number, std::move(text)};
}

/// Attaches to an interface that carries no other XDP program: native if the driver can, else generic.
inline setup_result<owned_fd> attach_xdp(int program, const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0 && (errno == EMFILE || errno == ENFILE)) {
    const int number = errno;
    return setup_error{errc::system, number, "cannot look for interface " + interface + why(number, {})};
  }
  if (index == 0)
    return setup_error{errc::invalid, errno,
                       "there is no interface '" + interface + "'; see 'ip link' for their names"};
  auto query = libbpf_options<bpf_xdp_query_opts>();
  if (bpf_xdp_query(static_cast<int>(index), 0, &query) == 0 && query.attach_mode != XDP_ATTACHED_NONE) {
    std::uint32_t id = query.prog_id;
    for (const std::uint32_t one : {query.drv_prog_id, query.skb_prog_id, query.hw_prog_id}) {
      if (id == 0) id = one;
    }
    std::string name = "?";
    const owned_fd other(bpf_prog_get_fd_by_id(id));
    if (other.get() >= 0) {
      bpf_prog_info info{};
      __u32 length = sizeof info;
      if (bpf_obj_get_info_by_fd(other.get(), &info, &length) == 0 && info.name[0] != '\0') name = info.name;
    }
    return setup_error{errc::system, EBUSY,
                       "interface " + interface + " already carries an XDP program, id " +
                           std::to_string(id) + " (" + name +
                           "), which is not replaced; take it off (ip link set dev " + interface +
                           " xdp off), or use another interface or hook::reuseport"};
  }
  int number = 0;
  for (const __u32 mode : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    auto options = libbpf_options<bpf_link_create_opts>();
    options.flags = mode;
    const int fd = bpf_link_create(program, static_cast<int>(index), BPF_XDP, &options);
    if (fd >= 0) return owned_fd(fd);
    number = -fd;
    if (number == EBUSY || number == EEXIST || number == EPERM) break;
  }
  return setup_error{errc::system, number,
                     "cannot attach to interface " + interface +
                         why(number, number == EBUSY || number == EEXIST
                                         ? "another XDP program took it meanwhile, or its bridge or bond "
                                           "carries one: use hook::reuseport"
                                         : "it needs CAP_NET_ADMIN and a kernel with XDP links (5.9)")};
}

}  // namespace detail

/// The probe: loaded and attached while this object lives; nothing of it stays when the process ends, however
/// it ends, unless it was pinned. A source. Movable before it is in use; find(), displaced() and records()
/// are thread-safe. Needs Linux 6.1; hook::reuseport CAP_BPF (with CAP_PERFMON it runs faster), hook::xdp
/// CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON. The capabilities may be dropped after open().
template <probe_config C = probe_config{}>
class probe {
  static_assert(synfp::detail::checked_config<C>::value);

 public:
#if defined(__cpp_exceptions)
  /// open() that throws setup_failure.
  explicit probe(const probe_options& options = {}) : probe(value_or_throw(open(options))) {}
#endif

  /// Loads the program, makes and freezes the maps and, for hook::xdp, attaches. hook::reuseport attaches in
  /// prepare().
  static setup_result<probe> open(const probe_options& options = {}) {
    if (C.hook == hook::xdp && options.interface.empty())
      return setup_error{errc::invalid, 0,
                         "hook::xdp needs the name of an interface in probe_options; see 'ip link'"};
    if (C.hook != hook::xdp && !options.interface.empty())
      return setup_error{errc::invalid, 0, "an interface is only used with hook::xdp; leave it out"};
    if (options.ports.size() > SYNFP_MAX_PORTS || (C.port_count() != 0 && !options.ports.empty()))
      return setup_error{errc::invalid, 0,
                         "at most 8 ports, given either in probe_config or in probe_options"};

    const detail::silence_libbpf quiet;
    const int cpus = libbpf_num_possible_cpus();
    if (cpus <= 0)
      return setup_error{errc::system, -cpus, "cannot count the CPUs" + detail::why(-cpus, "mount /sys")};
    synfp_meta meta = synfp::detail::describe(C, options.ports);
    meta.cpus = static_cast<synfp_u32>(cpus);
    if (::getrandom(meta.secret, sizeof meta.secret, 0) != static_cast<ssize_t>(sizeof meta.secret))
      return setup_error{errc::system, errno,
                         "cannot get random bytes for the table's secret; see getrandom(2)"};

    namespace object = synfp::detail::bpf_object;
    auto open_options = detail::libbpf_options<bpf_object_open_opts>();
    open_options.object_name = "synfp";
    probe p{unopened{}};
    p.object_.reset(bpf_object__open_mem(object::words, object::size, &open_options));
    if (!p.object_) {
      const int number = errno;
      return setup_error{errc::system, number,
                         "cannot open the embedded BPF object" + detail::why(number, "build synfp again")};
    }
    bpf_object* o = p.object_.get();

    std::vector<char> log(1 << 16);
    bpf_program* wanted = nullptr;
    bpf_program* each = nullptr;
    bpf_object__for_each_program(each, o) {
      const bool mine = std::strcmp(bpf_program__name(each), program_name) == 0;
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
        bpf_map__set_max_entries(table_map, C.buckets) != 0 ||
        bpf_map__set_max_entries(counts_map, meta.cpus) != 0)
      return setup_error{errc::incompatible, 0,
                         "the embedded BPF object does not fit this header; build synfp again"};

    if (const int r = bpf_object__load(o); r != 0) {
      p.object_.reset();
      return detail::load_failure(C.hook, -r, log);
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

    if constexpr (C.hook == hook::xdp) {
      auto link = detail::attach_xdp(p.fds_.program, options.interface);
      if (!link) return std::move(link).error();
      p.link_ = *std::move(link);
    }
    return p;
  }

  /// Shares a probe that another process opened, by its fds, which stay the caller's and may be closed
  /// afterwards. Refuses one whose table or configuration is not exactly C's. `fds.program` is needed for
  /// hook::reuseport if this process makes the listen group; -1 if it only reads.
  static setup_result<probe> share(const probe_fds& fds) {
    auto records = table::attach(fds.maps);
    if (!records) return std::move(records).error();
    const synfp_meta& theirs = records->meta();
    const synfp_meta ours = synfp::detail::describe(C);
    const char* different = nullptr;
    if (theirs.hook != ours.hook) different = "hook";
    if (theirs.scope != ours.scope) different = "key_scope";
    if (theirs.families != ours.families) different = "families";
    if (theirs.buckets != ours.buckets) different = "buckets";
    if (theirs.hold != ours.hold) different = "hold";
    if (theirs.max_age_ns != ours.max_age_ns) different = "max_age";
    if (theirs.conflict_ns != ours.conflict_ns) different = "conflict_window";
    if (C.port_count() != 0 &&
        (theirs.ports != ours.ports || std::memcmp(theirs.port, ours.port, sizeof ours.port) != 0))
      different = "ports";
    if (different != nullptr)
      return setup_error{errc::incompatible, 0,
                         std::string("the running probe has another ") + different +
                             " than this program was compiled for; use the same probe_config in both"};
    probe p{unopened{}};
    p.records_ = std::make_unique<table>(*std::move(records));
    p.fds_.maps = fds.maps;
    if (fds.program >= 0) {
      p.shared_program_ = detail::owned_fd(::fcntl(fds.program, F_DUPFD_CLOEXEC, 0));
      if (p.shared_program_.get() < 0) {
        const int number = errno;
        return setup_error{
            number == EBADF ? errc::invalid : errc::system, number,
            "cannot use the program's fd" + detail::why(number, "pass the fds of a running probe")};
      }
      p.fds_.program = p.shared_program_.get();
    }
    return p;
  }

  /// share() with what another process pinned in `directory`: needs no privilege but the permission to open
  /// the pins.
  static setup_result<probe> share_pinned(const std::string& directory) {
    auto pins = detail::open_pins(directory, C.hook == hook::reuseport);
    if (!pins) return std::move(pins).error();
    auto p = share({{pins->table.get(), pins->meta.get(), pins->counts.get()}, pins->program.get()});
    if (!p) return setup_error{p.error().code, p.error().os, directory + ": " + p.error().message};
    p->fds_.maps = {};
    return p;
  }

  /// Pins the maps and, for hook::reuseport, the program in `directory`, for table::open() and share_pinned()
  /// in other processes and for 'synfp watch --pinned'. They stay while the returned object lives; it may
  /// outlive the probe. See pinned::make() for what becomes of a directory that exists.
  setup_result<pinned> pin(const std::string& directory, const pin_options& options = {}) const {
    return pinned::make(directory, fds_.maps, C.hook == hook::reuseport ? fds_.program : -1, options);
  }

  /// hook::reuseport: attaches to the listen group of its first socket, which must have SO_REUSEPORT set
  /// before bind().
  setup_result<void> prepare(int fd, bool first) {
    if (C.hook != hook::reuseport || !first || fds_.program < 0) return {};
    if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &fds_.program, sizeof fds_.program) == 0)
      return {};
    const int number = errno;
    const char* advice = number == EINVAL       ? "set SO_REUSEPORT on the socket before bind()"
                         : number == EOPNOTSUPP ? "use a plain TCP socket, MPTCP listeners take no program"
                         : number == ENOMEM     ? "raise net.core.optmem_max"
                                                : "see setsockopt(2), SO_ATTACH_REUSEPORT_EBPF";
    return setup_error{errc::system, number,
                       std::string("cannot attach the probe to the listening socket (") +
                           std::strerror(number) + "); " + advice};
  }

  /// See table::find() and table::claim().
  syn_lookup find(const connection& c, std::uint64_t now) const noexcept { return records_->find(c, now); }
  syn_lookup claim(const connection& c, std::uint64_t now) const noexcept { return records_->claim(c, now); }

  /// The table, for lookups by key and for its counters.
  const table& records() const noexcept { return *records_; }
  /// See table::displaced().
  bool displaced() const noexcept { return records_->displaced(); }
  /// For share(). Of a probe that was itself shared, the maps are the numbers that were passed, or -1.
  const probe_fds& fds() const noexcept { return fds_; }

 private:
  static constexpr const char* program_name = C.hook == hook::xdp ? "synfp_xdp" : "synfp_reuseport";

  struct unopened {};
  explicit probe(unopened) noexcept {}

  detail::object_ptr object_;
  detail::owned_fd link_;
  detail::owned_fd shared_program_;
  probe_fds fds_;
  std::unique_ptr<table> records_;
};

}  // namespace capture
SYNFP_END_NAMESPACE
