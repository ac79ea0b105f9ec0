// SPDX-License-Identifier: MIT
// expect: probe_config::key_scope must be flow or peer
#include <synfp/probe_config.hpp>

#ifdef SYNFP_MUST_FAIL
static_assert(
    synfp::detail::checked_config<synfp::probe_config{.key_scope = static_cast<synfp::key_scope>(2)}>::value);
#else
static_assert(synfp::detail::checked_config<synfp::probe_config{.key_scope = synfp::key_scope::peer}>::value);
#endif
