// SPDX-License-Identifier: MIT
// http_server none|reuseport|strict|xdp|saved_syn|deferred PORT [CERTIFICATE KEY]: the server of synfp that
// bench/http-servers.py measures, and bench/tls-servers.py with a certificate; with minimal handlers and
// default options. `xdp` watches lo; `deferred` is reuseport with server_options::defer_accept.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include <synfp/capture/first_of.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
#include <synfp/tls/accept.hpp>

namespace {

using namespace synfp;

template <capture::source Source>
void serve(Source& source, const std::string& address, std::optional<tls::server_context>& secure,
           const net::server_options& options = {}) {
  const std::string small(1024, 'x'), medium(64 * 1024, 'x'), large(1024 * 1024, 'x');
  const http::routes routes{
      http::get<"/hello.txt">([](const http::request&) { return http::text("Hello, World!"); }),
      http::get<"/1k.txt">([&](const http::request&) { return http::text(std::string_view(small)); }),
      http::get<"/64k.txt">([&](const http::request&) { return http::text(std::string_view(medium)); }),
      http::get<"/1m.txt">([&](const http::request&) { return http::text(std::string_view(large)); })};
  net::server server(address, source, options);
  server.run([&](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) {
      if (secure) {
        spawn(http::serve(tls::accept(std::move(*accepted), *secure), routes));
      } else {
        spawn(http::serve(std::move(*accepted), routes));
      }
    }
  });
}

}  // namespace

int main(int argc, char** argv) try {
  const bool understood = argc == 3 || argc == 5;
  const std::string_view wanted = understood ? argv[1] : "";
  const std::string address = understood ? std::string("127.0.0.1:") + argv[2] : "";
  std::optional<tls::server_context> secure;
  if (argc == 5) secure.emplace(tls::context_options{.certificates = {{argv[3], argv[4]}}});
  if (wanted == "none") {
    capture::none nothing;
    serve(nothing, address, secure);
  } else if (wanted == "saved_syn") {
    capture::saved_syn saved;
    serve(saved, address, secure);
  } else if (wanted == "reuseport") {
    capture::probe<probe_config{}> probe;
    serve(probe, address, secure);
  } else if (wanted == "deferred") {
    capture::probe<probe_config{}> probe;
    net::server_options options;
    options.defer_accept = std::chrono::seconds(1);
    serve(probe, address, secure, options);
  } else if (wanted == "strict") {
    capture::probe<probe_config{}> probe;
    capture::saved_syn saved;
    capture::first_of both(probe, saved);
    serve(both, address, secure);
  } else if (wanted == "xdp") {
    capture::probe_options options;
    options.interfaces = {"lo"};
    options.ports = {static_cast<std::uint16_t>(std::atoi(argv[2]))};
    auto probe = value_or_throw(capture::probe<probe_config{.hook = hook::xdp}>::open(options));
    serve(probe, address, secure);
  } else {
    std::fprintf(stderr, "usage: %s none|reuseport|strict|xdp|saved_syn|deferred PORT [CERTIFICATE KEY]\n",
                 argv[0]);
    return 2;
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "http_server: %s\n", e.what());
  return 1;
}
