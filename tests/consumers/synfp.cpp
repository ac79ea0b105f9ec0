// SPDX-License-Identifier: MIT
// A user's server without a probe: synfp::synfp.
#include <synfp/capture/saved_syn.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>

#include <cstdio>

int main() {
  synfp::capture::saved_syn source;
  auto server = synfp::net::server::open({*synfp::endpoint::parse("127.0.0.1:0")}, source);
  std::puts(server && server->local()[0].port() != 0 ? "consumed" : "broken");
  return 0;
}
