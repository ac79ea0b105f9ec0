// SPDX-License-Identifier: MIT
// What is known of a connection besides its bytes.
#pragma once

#include <synfp/capture/lookup.hpp>
#include <synfp/endpoint.hpp>

SYNFP_BEGIN_NAMESPACE

namespace tls {
class client_hello;  // <synfp/tls/client_hello.hpp>
}

namespace net {

/// What is known of a connection, whatever carries its bytes.
struct connection_facts {
  endpoint peer{};   ///< the client's end
  endpoint local{};  ///< ours, as the client sees it
  syn_lookup syn{};  ///< the SYN that opened it, or why there is none
  /// What the client offered, if the connection is TLS. It belongs to the connection, and lives as long.
  const tls::client_hello* hello = nullptr;
};

}  // namespace net
SYNFP_END_NAMESPACE
