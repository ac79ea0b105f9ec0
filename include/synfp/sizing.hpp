// SPDX-License-Identifier: MIT
// How large a table has to be: from the SYNs that arrive and the time a record has to last, to buckets and
// hold.
//
// A bucket fills its 15 slots in turn. With `hold`, slots whose record is younger than that are passed over,
// so a new SYN is refused exactly if all 15 are younger, and a record that was stored lasts for at least
// `hold`. This is a loss system with 15 servers and a constant holding time: new SYNs are rejected at the
// rate that Erlang's B formula predicts, B(15, a) with a = rate * hold / buckets (Erlang 1917; B does not
// depend on how holding times are distributed). Without hold no SYN is refused, and a record lasts if fewer
// than 15 others follow it into its bucket in time: Poisson. tests/unit/sizing.cpp compares both with a
// simulation.
#pragma once

#include <cstdint>

#include <synfp/abi.h>
#include <synfp/detail/loss.hpp>
#include <synfp/probe_config.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// A part of a whole, from a number between 0 and 1. In millionths, because floating-point numbers are no
/// template arguments before clang 18.
struct fraction {
  std::uint32_t millionths;
  constexpr fraction(double part) noexcept  // NOLINT(google-explicit-constructor): .survival = 0.999
      : millionths(part >= 0 && part <= 1 ? detail::rounded(part * 1e6) : ~0U) {}
  constexpr double value() const noexcept { return millionths / 1e6; }
};

/// What a table is to bear.
struct syn_load {
  std::uint32_t syn_rate = 0;  ///< SYN/s that reach the probe, a flood's included
  milliseconds delay{};        ///< from a client's SYN to its accept(), in all but rare cases
  fraction survival = 0.999;   ///< the share of connections whose record is still there at accept()
};

/// The share of connections whose record is still in the table `delay` after their SYN, if `syn_rate` SYNs of
/// other connections arrive per second. A hold shorter than the delay counts as none, because it gains about
/// nothing. Two CPUs that write one bucket at once, and conflicts, cost records too and are not in this
/// number.
constexpr double expected_survival(const probe_config& c, double syn_rate, milliseconds delay) noexcept {
  const double per_bucket = syn_rate / c.buckets / 1000;
  return c.hold.count < delay.count ? detail::poisson_below(SYNFP_WAYS, per_bucket * delay.count)
                                    : 1 - detail::erlang_b(SYNFP_WAYS, per_bucket * c.hold.count);
}

namespace detail {
constexpr std::uint32_t max_buckets = 1U << 22;
/// With fewer, writers on several CPUs would often meet in one bucket, where all but one give up. 512 KiB.
constexpr std::uint32_t min_sized_buckets = 256;
}  // namespace detail

/// `base` with the smallest table that bears `load`, and the hold for it. max_age and conflict_window grow
/// where they must. buckets is 0 if no table does.
constexpr probe_config sized_for(const syn_load& load, probe_config base = {}) noexcept {
  // time32 counts whole units of about a millisecond, which may shorten a hold by one of them.
  base.hold = {load.delay.count + 2};
  if (base.max_age.count < base.hold.count) base.max_age = base.hold;
  if (base.conflict_window.count < base.max_age.count) base.conflict_window = base.max_age;
  for (base.buckets = detail::min_sized_buckets; base.buckets <= detail::max_buckets; base.buckets *= 2) {
    if (expected_survival(base, load.syn_rate, load.delay) >= load.survival.value()) return base;
  }
  base.buckets = 0;
  return base;
}

namespace detail {
template <syn_load L, probe_config C>
struct checked_load;
}  // namespace detail

/// The configuration of a table that bears L, at compile time:
/// `capture::probe<sized<syn_load{.syn_rate = 200'000, .delay = {100}, .survival = 0.999}>>`. What is not a
/// matter of size comes from C.
template <syn_load L, probe_config C = probe_config{}>
inline constexpr probe_config sized = detail::checked_load<L, C>::result;

namespace detail {
template <syn_load L, probe_config C>
struct checked_load {
  static constexpr probe_config result = sized_for(L, C);
  static_assert(L.syn_rate != 0,
                "syn_load::syn_rate must be given: SYN/s that reach the probe, a flood's included");
  static_assert(L.delay.count >= 1 && L.delay.count <= 60'000,
                "syn_load::delay must be between 1 ms and 1 minute: from a client's SYN to its accept()");
  static_assert(
      L.survival.millionths >= 1 && L.survival.millionths < 1'000'000,
      "syn_load::survival must be more than 0 and less than 1: no table keeps every record of every flood");
  static_assert(
      result.buckets != 0 || L.survival.millionths >= 1'000'000,
      "syn_load asks for more than 2^22 buckets, a table of 8 GiB: lower syn_rate, delay or survival");
};
}  // namespace detail

SYNFP_END_NAMESPACE
