// SPDX-License-Identifier: MIT
// expect: probe_config::ports must have no gap
#include <synfp/probe_config.hpp>

#ifdef SYNFP_MUST_FAIL
static_assert(synfp::detail::checked_config<synfp::probe_config{.ports{80, 0, 443}}>::value);
#else
static_assert(synfp::detail::checked_config<synfp::probe_config{.ports{80, 443}}>::value);
#endif
