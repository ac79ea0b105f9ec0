// SPDX-License-Identifier: MIT
// A user's program that asks who opened a connection that its own loop accepted, and looks into records:
// synfp::core.
#include <synfp/capture/first_of.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/capture/table.hpp>
#include <synfp/fingerprint/identify.hpp>
#include <synfp/http/parser.hpp>
#include <synfp/json.hpp>

#include <cstdio>
#include <string>

int main() {
  // The generated header with the recorded signatures came along.
  if (synfp::fingerprint::identifier{}.identify({}).label != nullptr ||
      synfp::fingerprint::recorded_signatures.empty())
    return 1;
  const auto nothing_pinned = synfp::capture::table::open("/nowhere");
  synfp::capture::saved_syn source;
  const auto not_a_socket = source.prepare(-1, true);
  std::puts(nothing_pinned || not_a_socket ? "broken" : "consumed");
  return 0;
}
