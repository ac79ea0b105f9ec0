// SPDX-License-Identifier: MIT
// Network namespaces for system tests.
#pragma once

#include <string>

#include "../../tools/support/network_namespace.hpp"

namespace synfp::test {

using tools::network_namespace;

/// A server and a client, joined by veth: s0 (10.77.0.1, fd77::1, fe80::1) and c0 (10.77.0.2, fd77::2,
/// fe80::2).
struct two_hosts {
  two_hosts() {
    server.connect(client, "s0", "c0");
    set_up(server, "s0", "1");
    set_up(client, "c0", "2");
  }
  static void set_up(const network_namespace& ns, const std::string& name, const std::string& host) {
    ns.inside([&] {
      tools::ip("link set " + name + " addrgenmode none address 02:00:00:00:00:0" + host +  //
                "\nlink set " + name + " up" +                                              //
                "\naddr add 10.77.0." + host + "/24 dev " + name +                          //
                "\naddr add fd77::" + host + "/64 dev " + name + " nodad" +                 //
                "\naddr add fe80::" + host + "/64 dev " + name + " nodad\n");
    });
  }
  network_namespace server, client;
};

}  // namespace synfp::test
