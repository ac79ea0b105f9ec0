// SPDX-License-Identifier: MIT
// expect: (no match for .operator=|no viable overloaded .=)
#include <synfp/abi.h>

#ifdef SYNFP_MUST_FAIL
void set(synfp::synfp_key& key, unsigned short port) { key.peer_port = port; }
#else
void set(synfp::synfp_key& key, unsigned short port) {
  key.peer_port = synfp::synfp_net16(port, SYNFP_LITTLE);
}
#endif
