// SPDX-License-Identifier: MIT
// expect: probe_config::families must be ipv4, ipv6 or both
#include <synfp/probe_config.hpp>

#ifdef SYNFP_MUST_FAIL
static_assert(
    synfp::detail::checked_config<synfp::probe_config{.families = static_cast<synfp::families>(0)}>::value);
#else
static_assert(synfp::detail::checked_config<synfp::probe_config{.families = synfp::families::ipv6}>::value);
#endif
