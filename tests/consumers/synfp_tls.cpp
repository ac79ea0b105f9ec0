// SPDX-License-Identifier: MIT
// A user's HTTPS server: synfp::tls.
#include <synfp/capture/saved_syn.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
#include <synfp/tls/accept.hpp>

#include <cstdio>

int main() {
  synfp::capture::saved_syn source;
  auto context = synfp::tls::server_context::self_signed({"localhost"});
  auto server = synfp::net::server::open({*synfp::endpoint::parse("127.0.0.1:0")}, source);
  std::puts(context && server && context->fingerprint().size() == 95 ? "consumed" : "broken");
  return 0;
}
