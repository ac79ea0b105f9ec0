// SPDX-License-Identifier: MIT
// expect: (cannot convert|no viable conversion)
#include <synfp/abi.h>

#ifdef SYNFP_MUST_FAIL
unsigned short get(const synfp::synfp_key& key) { return key.peer_port; }
#else
unsigned short get(const synfp::synfp_key& key) { return synfp::synfp_host16(key.peer_port, SYNFP_LITTLE); }
#endif
