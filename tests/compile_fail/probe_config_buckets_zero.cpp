// SPDX-License-Identifier: MIT
// expect: probe_config::buckets must be a power of two
#include <synfp/probe_config.hpp>

#ifdef SYNFP_MUST_FAIL
static_assert(synfp::detail::checked_config<synfp::probe_config{.buckets = 0}>::value);
#else
static_assert(synfp::detail::checked_config<synfp::probe_config{.buckets = 1}>::value);
#endif
