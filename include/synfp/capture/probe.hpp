// SPDX-License-Identifier: MIT
// Loads the probe and attaches it. The only public header that needs libbpf.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <synfp/capture/attached.hpp>
#include <synfp/capture/pin.hpp>
#include <synfp/capture/probe_options.hpp>
#include <synfp/capture/table.hpp>
#include <synfp/probe_config.hpp>
#include <synfp/setup_error.hpp>

#if !__has_include(<synfp/detail/bpf_object.hpp>)
#error \
    "capture/probe.hpp needs libbpf and the generated BPF object: link synfp::probe (CMake) or use pkg-config synfp-probe"
#endif
#include <synfp/capture/detail/loaded_probe.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// The probe: loaded and attached while this object lives. Nothing of it stays when the process ends, however
/// it ends, unless it was pinned; but see attach_mode::filter. A source: it must outlive the listeners that
/// use it. Movable before it is in use; find(), claim(), displaced() and records() are thread-safe.
///
/// Needs Linux 6.1 and the capabilities of its hook, see synfp::hook; they may be dropped after open().
template <probe_config C = probe_config{}>
class probe {
  static_assert(synfp::detail::checked_config<C>::value);

 public:
#if defined(__cpp_exceptions)
  /// open() that throws setup_failure.
  explicit probe(const probe_options& options = {}) : probe(value_or_throw(open(options))) {}
#endif

  /// Loads the program, makes and freezes the maps and attaches, but for hook::reuseport, which attaches in
  /// prepare().
  static setup_result<probe> open(const probe_options& options = {}) {
    return made(detail::loaded_probe::open(C, options));
  }

  /// Shares a probe that another process opened, by its fds, which stay the caller's and may be closed
  /// afterwards. Refuses one whose table or configuration is not exactly C's. `fds.program` is needed for
  /// hook::reuseport if this process makes the listen group; -1 if it only reads.
  static setup_result<probe> share(const probe_fds& fds) { return made(detail::loaded_probe::share(C, fds)); }

  /// share() with what another process pinned in `directory`: needs no privilege but the permission to open
  /// the pins.
  static setup_result<probe> share_pinned(const std::string& directory) {
    return made(detail::loaded_probe::share_pinned(C, directory));
  }

  /// Pins the maps and, for hook::reuseport, the program in `directory`, for table::open() and share_pinned()
  /// in other processes and for 'synfp watch --pinned'. They stay while the returned object lives; it may
  /// outlive the probe. See pinned::make() for what becomes of a directory that exists.
  setup_result<pinned> pin(const std::string& directory, const pin_options& options = {}) const {
    return loaded_.pin(directory, options);
  }

  /// hook::reuseport: attaches to the listen group when its first socket comes, which must have had
  /// SO_REUSEPORT set before bind().
  setup_result<void> prepare(int fd, bool first) { return loaded_.prepare(fd, first); }

  /// See table::find() and table::claim().
  syn_lookup find(const connection& c, std::uint64_t now) const noexcept { return records().find(c, now); }
  syn_lookup claim(const connection& c, std::uint64_t now) const noexcept { return records().claim(c, now); }

  /// The table, for lookups by key and for its counters.
  const table& records() const noexcept { return loaded_.records(); }
  /// hook::xdp and hook::tcx: where the probe that open() made is attached, and how, in the order of
  /// probe_options::interfaces.
  const std::vector<attached_interface>& attached() const noexcept { return loaded_.attached_to(); }
  /// See table::displaced().
  bool displaced() const noexcept { return records().displaced(); }
  /// For share(), in another process. For a probe that was itself shared, the maps are the numbers that were
  /// passed, or -1.
  const probe_fds& fds() const noexcept { return loaded_.fds(); }

 private:
  explicit probe(detail::loaded_probe&& loaded) noexcept : loaded_(std::move(loaded)) {}

  static setup_result<probe> made(setup_result<detail::loaded_probe> loaded) {
    if (!loaded) return std::move(loaded).error();
    return probe(*std::move(loaded));
  }

  detail::loaded_probe loaded_;
};

}  // namespace capture
SYNFP_END_NAMESPACE
