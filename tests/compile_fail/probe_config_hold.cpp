// SPDX-License-Identifier: MIT
// expect: probe_config::hold must not exceed max_age
#include <synfp/probe_config.hpp>

#ifdef SYNFP_MUST_FAIL
static_assert(synfp::detail::checked_config<synfp::probe_config{.hold{5001}}>::value);
#else
static_assert(synfp::detail::checked_config<synfp::probe_config{.hold{5000}}>::value);
#endif
