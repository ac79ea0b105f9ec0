// SPDX-License-Identifier: MIT
// expect: probe_config::hook must be hook::reuseport, hook::xdp or hook::tcx
#include <synfp/probe_config.hpp>

#ifdef SYNFP_MUST_FAIL
static_assert(synfp::detail::checked_config<synfp::probe_config{.hook = static_cast<synfp::hook>(7)}>::value);
#else
static_assert(synfp::detail::checked_config<synfp::probe_config{.hook = synfp::hook::xdp}>::value);
#endif
