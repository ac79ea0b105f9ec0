// SPDX-License-Identifier: MIT
// How many records a bucket loses: two textbook formulas, at compile time.
#pragma once

#include <cstdint>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace detail {

/// `n` is not negative. std::lround is not constexpr.
constexpr std::uint32_t rounded(double n) noexcept {
  const auto whole = static_cast<std::uint32_t>(n);
  return n - whole < 0.5 ? whole : whole + 1;
}

/// Erlang's B: the share of newcomers that finds all servers taken, at an offered load of `a`.
constexpr double erlang_b(unsigned servers, double a) noexcept {
  double b = 1;
  for (unsigned n = 1; n <= servers; ++n) b = a * b / (n + a * b);
  return b;
}

/// P(N < n), N Poisson with mean `a`.
constexpr double poisson_below(unsigned n, double a) noexcept {
  if (a > 500)
    return 0;  // less than 1e-100 for every n that is a number of slots; exp(a) would overflow later
  double below = 0, all = 0, term = 1;
  for (unsigned k = 0; k < a || term > all * 1e-18; ++k) {
    if (k < n) below += term;
    all += term;
    term *= a / (k + 1);
  }
  return below / all;
}

}  // namespace detail

SYNFP_END_NAMESPACE
