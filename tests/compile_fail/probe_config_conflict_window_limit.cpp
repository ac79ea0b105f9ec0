// SPDX-License-Identifier: MIT
// expect: probe_config::conflict_window must be at most an hour
#include <synfp/probe_config.hpp>

#ifdef SYNFP_MUST_FAIL
static_assert(synfp::detail::checked_config<synfp::probe_config{.conflict_window{3600001}}>::value);
#else
static_assert(synfp::detail::checked_config<synfp::probe_config{.conflict_window{3600000}}>::value);
#endif
