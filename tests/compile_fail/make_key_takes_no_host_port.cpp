// SPDX-License-Identifier: MIT
// expect: (could not convert|no viable conversion)
#include <synfp/abi.h>

#ifdef SYNFP_MUST_FAIL
synfp::synfp_key key(synfp::synfp_address peer, synfp::synfp_address local, unsigned short port) {
  return synfp::synfp_make_key(peer, local, port, synfp::synfp_net16(80, SYNFP_LITTLE), 0,
                               synfp::SYNFP_SCOPE_FLOW, SYNFP_LITTLE);
}
#else
synfp::synfp_key key(synfp::synfp_address peer, synfp::synfp_address local, unsigned short port) {
  return synfp::synfp_make_key(peer, local, synfp::synfp_net16(port, SYNFP_LITTLE),
                               synfp::synfp_net16(80, SYNFP_LITTLE), 0, synfp::SYNFP_SCOPE_FLOW,
                               SYNFP_LITTLE);
}
#endif
