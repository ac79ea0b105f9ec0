// SPDX-License-Identifier: MIT
// http_server none|reuseport|strict|xdp|saved_syn|deferred PORT: the server of synfp that
// bench/http-servers.py measures, with minimal handlers and default options. `xdp` watches lo; `deferred` is
// reuseport with server_options::defer_accept.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include <synfp/capture/first_of.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>

namespace {

using namespace synfp;

template <capture::source Source>
void serve(Source& source, const std::string& address, const net::server_options& options = {}) {
  const std::string small(1024, 'x'), medium(64 * 1024, 'x'), large(1024 * 1024, 'x');
  const http::routes routes{
      http::get<"/hello.txt">([](const http::request&) { return http::text("Hello, World!"); }),
      http::get<"/1k.txt">([&](const http::request&) { return http::text(std::string_view(small)); }),
      http::get<"/64k.txt">([&](const http::request&) { return http::text(std::string_view(medium)); }),
      http::get<"/1m.txt">([&](const http::request&) { return http::text(std::string_view(large)); })};
  net::server server(address, source, options);
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  });
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string_view wanted = argc == 3 ? argv[1] : "";
  const std::string address = argc == 3 ? std::string("127.0.0.1:") + argv[2] : "";
  if (wanted == "none") {
    capture::none nothing;
    serve(nothing, address);
  } else if (wanted == "saved_syn") {
    capture::saved_syn saved;
    serve(saved, address);
  } else if (wanted == "reuseport") {
    capture::probe<probe_config{}> probe;
    serve(probe, address);
  } else if (wanted == "deferred") {
    capture::probe<probe_config{}> probe;
    net::server_options options;
    options.defer_accept = std::chrono::seconds(1);
    serve(probe, address, options);
  } else if (wanted == "strict") {
    capture::probe<probe_config{}> probe;
    capture::saved_syn saved;
    capture::first_of both(probe, saved);
    serve(both, address);
  } else if (wanted == "xdp") {
    capture::probe_options options;
    options.interfaces = {"lo"};
    options.ports = {static_cast<std::uint16_t>(std::atoi(argv[2]))};
    auto probe = value_or_throw(capture::probe<probe_config{.hook = hook::xdp}>::open(options));
    serve(probe, address);
  } else {
    std::fprintf(stderr, "usage: %s none|reuseport|strict|xdp|saved_syn|deferred PORT\n", argv[0]);
    return 2;
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "http_server: %s\n", e.what());
  return 1;
}
