// SPDX-License-Identifier: MIT
// expect: (no match for .operator=|no viable overloaded .=)
#include <synfp/abi.h>

#ifdef SYNFP_MUST_FAIL
void set(synfp::synfp_address& a, unsigned word) { a.word[3] = word; }
#else
void set(synfp::synfp_address& a, unsigned word) { a.word[3] = synfp::synfp_net32(word, SYNFP_LITTLE); }
#endif
