// SPDX-License-Identifier: MIT
// expect: syn_load::syn_rate must be given: SYN/s that reach the probe
// expect: syn_load::delay must be between 1 ms and 1 minute
// expect: syn_load::survival must be more than 0 and less than 1
// expect: syn_load::survival must be more than 0 and less than 1
// expect: syn_load asks for more than 2\^22 buckets, a table of 8 GiB: lower
#include <synfp/sizing.hpp>

using namespace synfp;

#if SYNFP_MUST_FAIL == 1
constexpr auto c = sized<syn_load{.delay = {100}}>;
#elif SYNFP_MUST_FAIL == 2
constexpr auto c = sized<syn_load{.syn_rate = 1000, .delay = {60'001}}>;
#elif SYNFP_MUST_FAIL == 3
constexpr auto c = sized<syn_load{.syn_rate = 1000, .delay = {100}, .survival = 1}>;
#elif SYNFP_MUST_FAIL == 4
constexpr auto c = sized<syn_load{.syn_rate = 1000, .delay = {100}, .survival = 99.9}>;
#elif SYNFP_MUST_FAIL == 5
constexpr auto c = sized<syn_load{.syn_rate = 4'000'000'000, .delay = {60'000}}>;
#else
constexpr auto c = sized<syn_load{.syn_rate = 200'000, .delay = {100}, .survival = 0.999}>;
#endif
static_assert(c.buckets != 1);
