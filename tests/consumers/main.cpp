// SPDX-License-Identifier: MIT
// A user's program: what it takes to consume synfp, in each of the ways that the documentation names.
#include <synfp/endpoint.hpp>
#include <synfp/setup_error.hpp>

#if __has_include(<synfp/synfp.hpp>)
#include <synfp/synfp.hpp>
#endif
#ifdef CONSUMER_USES_PROBE
#if __has_include(<synfp/capture/probe.hpp>)
#include <synfp/capture/probe.hpp>
#else
#include <bpf/libbpf.h>
#endif
#endif

#include <cstdio>

int main() {
  const auto endpoint = synfp::endpoint::parse("[2001:db8::1]:80");
  if (!endpoint || endpoint->port() != 80) return 1;
#ifdef CONSUMER_USES_PROBE
  libbpf_set_print(nullptr);
#endif
  std::puts(endpoint->text().view() == "[2001:db8::1]:80" ? "consumed" : "broken");
  return 0;
}
