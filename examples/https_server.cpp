// SPDX-License-Identifier: MIT
// HTTPS: what a client's TLS says of it (JA4), beside what its TCP says (MuonFP). Two files, a certificate
// and its key, or none for trying.
#include <cstdio>
#include <exception>
#include <string>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/ja4.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
#include <synfp/net/stop_on_signal.hpp>
#include <synfp/tls/accept.hpp>
using namespace synfp;

int main(int argc, char** argv) try {
  auto context = argc == 3 ? tls::server_context({.certificates = {{argv[1], argv[2]}}})
                           : value_or_throw(tls::server_context::self_signed({"localhost", "127.0.0.1"}));
  const http::routes routes{http::get<"/">([](const http::request& q) {
    std::string text(fingerprint::ja4(*q.hello()).view());
    if (q.syn()) text.append(" ").append(fingerprint::muonfp(*q.syn()).view());
    return http::text(text + "\n");
  })};
  capture::saved_syn source;
  net::server server{"[::]:8443", source};
  const net::stop_on_signal stopper(server, {.reload = [&] {
                                      const auto done = context.reload();
                                      if (!done)
                                        std::fprintf(stderr, "https_server: %s\n",
                                                     done.error().message.c_str());
                                    }});
  server.run([&](net::listener& listener) -> task<> {
    while (auto a = co_await listener.accept())
      spawn(http::serve(tls::accept(std::move(*a), context), routes));
  });
} catch (const std::exception& e) {
  std::fprintf(stderr, "https_server: %s\n", e.what());
  return 2;
}
