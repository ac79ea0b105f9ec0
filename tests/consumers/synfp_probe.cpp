// SPDX-License-Identifier: MIT
// A user's server with a probe: synfp::synfp and synfp::probe.
#include <synfp/synfp.hpp>

#include <cstdio>

int main() {
  auto source = synfp::capture::probe<>::open();
  if (!source) {  // without privileges it says so
    std::puts(source.error().message.empty() ? "broken" : "consumed");
    return 0;
  }
  auto server = synfp::net::server::open({*synfp::endpoint::parse("127.0.0.1:0")}, *source);
  std::puts(server && server->local()[0].port() != 0 ? "consumed" : "broken");
  return 0;
}
