// SPDX-License-Identifier: MIT
// expect: probe_config::conflict_window must not be shorter than max_age
#include <synfp/probe_config.hpp>

#ifdef SYNFP_MUST_FAIL
static_assert(synfp::detail::checked_config<synfp::probe_config{.conflict_window{4999}}>::value);
#else
static_assert(synfp::detail::checked_config<synfp::probe_config{.conflict_window{5000}}>::value);
#endif
