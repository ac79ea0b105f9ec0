// SPDX-License-Identifier: MIT
// expect: probe_config::max_age must be between 1 ms and 10 minutes
#include <synfp/probe_config.hpp>

#ifdef SYNFP_MUST_FAIL
static_assert(
    synfp::detail::checked_config<synfp::probe_config{.max_age{600001}, .conflict_window{600001}}>::value);
#else
static_assert(
    synfp::detail::checked_config<synfp::probe_config{.max_age{600000}, .conflict_window{600001}}>::value);
#endif
