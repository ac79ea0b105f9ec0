// SPDX-License-Identifier: MIT
// Shows each visitor what their TCP handshake says about them: GET / answers with the SYN that opened the
// connection. What it shows: a probe chosen at run time, sources composed, routes, graceful stop. What it
// leaves out: TLS, logging, access control.
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <CLI/CLI.hpp>

#include <atomic>
#include <cstdio>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <synfp/capture/first_of.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/haproxy.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/fingerprint/ndpi.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/fingerprint/pfos.hpp>
#include <synfp/fingerprint/satori.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>

#ifdef SYNFP_JA4T  // not free for every use, see the header
#include <synfp/fingerprint/ja4t.hpp>
#endif

namespace {

using namespace synfp;

struct settings {
  std::vector<std::string> listen{"[::]:8080"};
  std::string capture = "auto";
  std::string interface;
  unsigned threads = 1;
};

// ---- JSON ----
// Only numbers, fixed names and characters of fingerprints and addresses: nothing needs escaping.

using json_text = http::text_type;

template <class... Args>
void put(json_text& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

template <class T>
void put_or_null(json_text& out, const std::optional<T>& value) {
  if (value) {
    put(out, "{}", *value);
  } else {
    put(out, "null");
  }
}

template <std::size_t N>
void put_or_null(json_text& out, const std::optional<fixed_text<N>>& text) {
  if (text) {
    put(out, "\"{}\"", text->view());
  } else {
    put(out, "null");
  }
}

void put_endpoint(json_text& out, const endpoint& e) {
  put(out, R"({{"address":"{}","port":{}}})", e.address_text().view(), e.port());
}

void put_option_name(json_text& out, unsigned kind) {
  switch (kind) {
    case 1: put(out, "\"nop\""); break;
    case 2: put(out, "\"mss\""); break;
    case 3: put(out, "\"ws\""); break;
    case 4: put(out, "\"sok\""); break;
    case 5: put(out, "\"sack\""); break;
    case 8: put(out, "\"ts\""); break;
    default: put(out, "\"?{}\"", kind); break;
  }
}

void put_ip(json_text& out, const ip_view& ip) {
  put(out, R"({{"version":{},"header_length":{},"tos":{},)", ip.version(), ip.header_length(), ip.tos());
  if (ip.is_v4()) {
    put(out, R"("id":{},"dont_fragment":{},"ttl":{},"flow_label":null}})", ip.id(), ip.dont_fragment(),
        ip.ttl());
  } else {
    put(out, R"("id":null,"dont_fragment":null,"ttl":{},"flow_label":{}}})", ip.ttl(), ip.flow_label());
  }
}

void put_tcp(json_text& out, const syn_record& syn) {
  const tcp_view tcp = syn.tcp();
  put(out, R"({{"sequence":{},"acknowledgment":{},"flags":[)", tcp.sequence(), tcp.acknowledgment());
  const char* separator = "";
  static constexpr const char* names[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"};
  for (unsigned i = 0; i < std::size(names); ++i) {
    if ((tcp.flags() >> i & 1U) == 0) continue;
    put(out, "{}\"{}\"", separator, names[i]);
    separator = ",";
  }
  const auto known = tcp.known();
  put(out, R"(],"window":{},"urgent_pointer":{},"mss":)", tcp.window(), tcp.urgent_pointer());
  put_or_null(out, known.mss);
  put(out, R"(,"window_scale":)");
  put_or_null(out, known.window_scale);
  put(out, R"(,"sack_permitted":{},"timestamp":)", known.sack_permitted);
  if (known.timestamp) {
    put(out, R"({{"value":{},"echo":{}}})", known.timestamp->value, known.timestamp->echo);
  } else {
    put(out, "null");
  }
  put(out, R"(,"options":[)");
  separator = "";
  tcp_option_walk walk = tcp.options();
  while (const auto option = walk.next()) {
    put(out, "{}", separator);
    put_option_name(out, option->kind);
    separator = ",";
  }
  if (walk.end_of_list()) put(out, "{}\"eol\"", separator);
  put(out, R"(],"payload":{}}})", syn.has_payload());
}

/// null: the format has nothing to say about this SYN.
void put_fingerprints(json_text& out, const syn_record& syn) {
  put(out, R"({{"p0f":)");
  put_or_null(out, fingerprint::p0f(syn));
  put(out, R"(,"muonfp":"{}","haproxy":"{}","satori":)", fingerprint::muonfp(syn).view(),
      fingerprint::haproxy(syn).view());
  put_or_null(out, fingerprint::satori(syn));
  put(out, R"(,"ndpi":)");
  put_or_null(out, fingerprint::ndpi(syn));
  put(out, R"(,"pfos":)");
  put_or_null(out, fingerprint::pfos(syn));
#ifdef SYNFP_JA4T
  put(out, R"(,"ja4t":"{}")", fingerprint::ja4t(syn).view());
#endif
  put(out, "}}");
}

http::response describe(const http::request& request) {
  const syn_lookup& syn = request.syn();
  json_text out;
  out.reserve(2200);
  put(out, R"({{"peer":)");
  put_endpoint(out, request.peer());
  put(out, R"(,"local":)");
  put_endpoint(out, request.local());
  if (!syn) {
    put(out,
        R"(,"capture":{{"source":null,"proof":null,"age_us":null,"retransmits":null,"miss":"{}"}},"syn":null,)"
        R"("fingerprint":null,"os":null}})",
        to_string(syn.miss));
    out.push_back('\n');
    return http::json(std::move(out));
  }
  put(out, R"(,"capture":{{"source":"{}","proof":"{}","age_us":)", to_string(syn.source),
      to_string(syn.proof));
  put_or_null(out, syn.age_ns ? std::optional(*syn.age_ns / 1000) : std::nullopt);
  put(out, R"(,"retransmits":)");
  put_or_null(out, syn->arrived().retransmits);
  put(out, R"(,"miss":null}},"syn":{{"ip":)");
  put_ip(out, syn->ip());
  put(out, R"(,"tcp":)");
  put_tcp(out, *syn);
  put(out, R"(,"raw":")");
  for (const unsigned byte : syn->bytes()) put(out, "{:02x}", byte);
  put(out, R"("}},"fingerprint":)");
  put_fingerprints(out, *syn);
  put(out, R"(,"os":null}})");
  out.push_back('\n');
  return http::json(std::move(out));
}

// ---- serving ----

int fail(const setup_error& why) {
  fmt::print(stderr, "echo_server: {}\n", why.message);
  return 2;
}

// SIGINT and SIGTERM stop the server: the first in order, a second one at once. Blocked in every thread but
// this one's.
class stop_on_signal {
 public:
  explicit stop_on_signal(net::server& server) {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGUSR1);  // from the destructor
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    waiter_ = std::thread([this, &server] {
      bool again = false;
      for (int number = 0; sigwait(&signals_, &number) == 0 && !done_;) {
        if (number == SIGUSR1) continue;
        server.stop(again ? std::chrono::seconds(0) : std::chrono::seconds(10));
        again = true;
      }
    });
  }
  ~stop_on_signal() {
    done_ = true;
    pthread_kill(waiter_.native_handle(), SIGUSR1);
    waiter_.join();
  }
  stop_on_signal(const stop_on_signal&) = delete;
  stop_on_signal& operator=(const stop_on_signal&) = delete;

 private:
  sigset_t signals_{};
  std::atomic<bool> done_{false};
  std::thread waiter_;
};

template <capture::source Source>
int serve(const std::vector<endpoint>& addresses, Source& source, std::string_view name, unsigned threads) {
  net::server_options options;
  options.threads = threads;
  auto server = net::server::open(addresses, source, options);
  if (!server) return fail(server.error());

  const http::routes routes{http::get<"/">(describe)};
  const stop_on_signal stopper(*server);
  const auto accept_all = [&routes](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) spawn(http::serve(std::move(*accepted), routes));
  };
  const auto announce = [&] {
    std::string where;
    for (const endpoint& e : server->local()) {
      if (!where.empty()) where += ',';
      where += e.text().view();
    }
    fmt::print("listening on {} capture={}\n", where, name);
    std::fflush(stdout);
  };
  const auto ended = server->try_run(accept_all, announce);
  return ended ? 0 : fail(ended.error());
}

template <hook Hook>
int serve_probe(const std::vector<endpoint>& addresses, const settings& s) {
  capture::probe_options options;
  if constexpr (Hook == hook::xdp) {
    options.interface = s.interface;
    for (const endpoint& e : addresses) {
      if (e.port() != 0 && options.ports.size() < SYNFP_MAX_PORTS) options.ports.push_back(e.port());
    }
    if (options.ports.size() != addresses.size())
      options.ports.clear();  // cannot name them all: capture every port
  }
  auto probe = capture::probe<probe_config{.hook = Hook}>::open(options);
  if (!probe) return fail(probe.error());
  return serve(addresses, *probe, Hook == hook::xdp ? "xdp" : "reuseport", s.threads);
}

int serve_auto(const std::vector<endpoint>& addresses, const settings& s) {
  capture::saved_syn saved;
  auto probe = capture::probe<>::open();
  if (!probe) {
    fmt::print(stderr, "echo_server: {}; going on with TCP_SAVED_SYN alone\n", probe.error().message);
    return serve(addresses, saved, "saved_syn", s.threads);
  }
  capture::first_of both(*probe, saved);
  return serve(addresses, both, "reuseport+saved_syn", s.threads);
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"An HTTP server that answers with the TCP SYN of the connection"};
  app.add_option("--listen", s.listen, "address and port; repeatable")->capture_default_str();
  app.add_option("--capture", s.capture,
                 "where SYNs come from; auto is reuseport, then saved-syn where it misses")
      ->check(CLI::IsMember({"auto", "reuseport", "xdp", "saved-syn"}))
      ->capture_default_str();
  app.add_option("--interface", s.interface, "the interface that xdp watches");
  app.add_option("--threads", s.threads, "how many serve")->check(CLI::Range(1, 1024))->capture_default_str();
  app.failure_message([](const CLI::App*, const CLI::Error& e) {
    return fmt::format("echo_server: {}; see --help\n", e.what());
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (!s.interface.empty() && s.capture != "xdp")
    return fail({errc::invalid, 0, "--interface goes with --capture xdp; leave it out"});

  std::vector<endpoint> addresses;
  for (const std::string& text : s.listen) {
    auto address = net::server::parse(text);
    if (!address) return fail(address.error());
    addresses.push_back(*address);
  }
  if (s.capture == "saved-syn") {
    capture::saved_syn saved;
    return serve(addresses, saved, "saved_syn", s.threads);
  }
  if (s.capture == "reuseport") return serve_probe<hook::reuseport>(addresses, s);
  if (s.capture == "xdp") return serve_probe<hook::xdp>(addresses, s);
  return serve_auto(addresses, s);
}
