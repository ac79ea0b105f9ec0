// SPDX-License-Identifier: MIT
// expect: probe_config::buckets must be at most 2\^22
#include <synfp/probe_config.hpp>

#ifdef SYNFP_MUST_FAIL
static_assert(synfp::detail::checked_config<synfp::probe_config{.buckets = 1U << 23}>::value);
#else
static_assert(synfp::detail::checked_config<synfp::probe_config{.buckets = 1U << 22}>::value);
#endif
