// SPDX-License-Identifier: MIT
// A user's program: what it takes to consume synfp, in each of the ways that the documentation names. Without
// the probe it must neither find nor need libbpf.
#ifdef CONSUMER_USES_PROBE
#include <synfp/synfp.hpp>
#else
#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/identify.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
#endif

#include <cstdio>

int main() {
  // The generated header with the recorded signatures came along.
  if (synfp::fingerprint::identifier{}.identify({}).label != nullptr ||
      synfp::fingerprint::recorded_signatures.empty())
    return 1;
#ifdef CONSUMER_USES_PROBE
  auto source = synfp::capture::probe<>::open();
  if (!source) {  // without privileges it says so
    std::puts(source.error().message.empty() ? "broken" : "consumed");
    return 0;
  }
  auto server = synfp::net::server::open({*synfp::endpoint::parse("127.0.0.1:0")}, *source);
#else
  synfp::capture::saved_syn source;
  auto server = synfp::net::server::open({*synfp::endpoint::parse("127.0.0.1:0")}, source);
#endif
  std::puts(server && server->local()[0].port() != 0 ? "consumed" : "broken");
  return 0;
}
