// SPDX-License-Identifier: MIT
// Shows each visitor what their TCP handshake says about them: GET / answers with the SYN that opened the
// connection, as JSON, and as a page if that is what is asked for. What it shows: a probe chosen at run time,
// sources composed, routes, server-sent events, graceful stop, an access log, metrics, HTTPS. What it leaves
// out: access control.
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <synfp/capture/first_of.hpp>
#include <synfp/capture/metrics.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/identify.hpp>
#include <synfp/http/access_log.hpp>
#include <synfp/http/health.hpp>
#include <synfp/http/metrics.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/json.hpp>
#include <synfp/json_hello.hpp>
#include <synfp/net/proxied.hpp>
#include <synfp/net/server.hpp>
#include <synfp/net/stop_on_signal.hpp>
#include <synfp/privilege.hpp>
#include <synfp/tls/accept.hpp>
#include <synfp/tls/metrics.hpp>

#include "visitor/assets.hpp"
#include "visitor/page.hpp"
#include "visitor/recent.hpp"

#ifdef SYNFP_JA4T  // not free for every use, see the header
#include <synfp/fingerprint/ja4t.hpp>
#endif

namespace {

using namespace synfp;

struct settings {
  std::vector<std::string> listen{"[::]:8080"};
  std::string capture = "auto";
  std::vector<std::string> interfaces;
  unsigned threads = 1;
  std::vector<std::string> p0f_db;
  bool flow_aware = false;
  std::string pins;
  std::string pin_group;
  std::string access_log;
  http::log_format access_log_format = http::log_format::combined;
  bool metrics = false;
  std::string metrics_at;  // empty: beside GET /
  std::string hand_over;
  std::vector<std::string> proxies;
  std::vector<std::string> tls_cert;
  std::vector<std::string> tls_key;
  std::vector<std::string> tls_ocsp;
  bool tls_self_signed = false;
};

/// GET /: everything that is known of the connection's SYN, and of its ClientHello.
http::response describe(const http::request& request, const fingerprint::identifier& who) {
  const syn_lookup& syn = request.syn();
  http::text_type out;
  out.reserve(request.hello() != nullptr ? 4400 : 2200);
  const auto put = [&out](std::string_view text) { out.append(text); };
  const auto put_hello = [&] {
    put(R"(,"hello":)");
    if (request.hello() != nullptr) {
      append_json(out, *request.hello());
    } else {
      put("null");
    }
  };
  put(R"({"peer":)");
  append_json(out, request.peer());
  put(R"(,"local":)");
  append_json(out, request.local());
  put(R"(,"capture":)");
  append_json(out, syn);
  if (!syn) {
    put(R"(,"syn":null)");
    put_hello();
    put(R"(,"fingerprint":null,"os":null})");
  } else {
    put(R"(,"syn":)");
    append_json(out, *syn);
    put_hello();
    put(R"(,"fingerprint":)");
#ifdef SYNFP_JA4T
    append_json_fingerprints(out, *syn, json_member{"ja4t", fingerprint::ja4t(*syn)});
#else
    append_json_fingerprints(out, *syn);
#endif
    put(R"(,"os":)");
    append_json_os(out, who.identify(*syn, request.header("user-agent").value_or(""), request.hello()));
    put("}");
  }
  put("\n");
  http::response r = http::json(std::move(out));
  (void)r.add_header("Vary", "Accept");  // a valid field
  return r;
}

// ---- serving ----

/// To stderr; never fails: with nobody there, it is lost.
template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  const std::string text = fmt::format(format, std::forward<Args>(args)...);
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

/// From a thread that serves: it must not wait for who reads our stderr.
template <class... Args>
void say_if_read(fmt::format_string<Args...> format, Args&&... args) {
  pollfd room{STDERR_FILENO, POLLOUT, 0};  // of PIPE_BUF bytes, more than a line
  if (::poll(&room, 1, 0) == 1) say(format, std::forward<Args>(args)...);
}
/// What was thrown while it served: to stderr, at most once a second. Needs no memory, since that may be why.
class complaints {
 public:
  void add(const std::exception_ptr& why) noexcept {
    const unsigned long so_far = ++count_;
    const auto now = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::seconds(1);
    if (last_.exchange(now) == now) return;
    try {
      std::rethrow_exception(why);
    } catch (const std::exception& e) {
      (void)std::fprintf(stderr, "echo_server: a request or connection failed: %s (%lu so far)\n", e.what(),
                         so_far);
    } catch (...) {  // ours throws nothing else
    }
  }

 private:
  std::atomic<unsigned long> count_{0};
  std::atomic<std::int64_t> last_{-1};
};

int fail(const setup_error& why) {
  say("echo_server: {}\n", why.message);
  return 2;
}

// ---- observing ----

/// What --access-log and --metrics ask for.
class watcher {
 public:
  /// `records`: of the probe, if there is one.
  explicit watcher(const capture::table* records) : records_(records) {}

  /// Null, or what must outlive it: its handshakes are counted.
  void look_at(const tls::server_context* context) { tls_ = context; }

  setup_result<void> listen(const settings& s) {
    metrics_wanted_ = s.metrics;
    if (s.metrics_at.empty()) return {};
    const auto address = net::server::parse(s.metrics_at);
    if (!address) return address.error();
    auto server = net::server::open({*address}, none_);
    if (!server) return std::move(server).error();
    own_.emplace(*std::move(server));
    return {};
  }
  /// With the privileges that SIGHUP will find, which are none. Starts a thread, which would keep others.
  setup_result<void> open_log(const settings& s) {
    if (s.access_log.empty()) return {};
    http::access_log_options options;
    options.format = s.access_log_format;
    options.notice = [](std::string_view text) { say_if_read("echo_server: {}\n", text); };
    auto log = http::access_log::open(s.access_log, options);
    if (!log) return std::move(log).error();
    log_.emplace(*std::move(log));
    return {};
  }
  watcher(const watcher&) = delete;
  watcher& operator=(const watcher&) = delete;
  ~watcher() {
    if (!thread_.joinable()) return;
    own_->stop(std::chrono::seconds(1));
    thread_.join();
  }

  bool needed() const { return log_ || metrics_wanted_; }
  bool pages_beside() const { return metrics_wanted_ && !own_; }
  auto metrics_route() const {
    return http::get<"/metrics">(metrics_.page([this](auto& out) {
      if (records_ != nullptr)
        capture::write_metrics(out, *records_, capture::census::take(*records_, capture::now_ns()));
      if (tls_ != nullptr) tls::write_metrics(out, *tls_);
      if (log_) out.counter("synfp_access_log_dropped", "Lines that the access log lost.", log_->dropped());
    }));
  }
  auto health_route() const { return http::get<"/healthz">(health_.page()); }

  /// Serves the pages on an address of their own, until the server has ended: also while that stops.
  void start() {
    if (!own_) return;
    say("echo_server: metrics on http://{}/metrics\n", own_->local().front().text().view());
    thread_ = std::thread([this] {
      const http::routes routes{metrics_route(), health_route()};
      const auto ended = own_->try_run(
          [&routes](net::listener& listener) -> task<> {
            while (auto accepted = co_await listener.accept())
              spawn(http::serve(std::move(*accepted), routes));
          },
          [] {});
      if (!ended) say_if_read("echo_server: no metrics any more: {}\n", ended.error().message);
    });
  }

  http::metrics& metrics() { return metrics_; }
  /// The server accepts nobody any more.
  void stopping() { health_.stop(); }
  void reopen() {
    const auto done = log_->reopen();
    if (!done) say_if_read("echo_server: {}; the old one goes on\n", done.error().message);
  }

  // An observer.
  void opened(const net::connection_facts& facts) noexcept {
    if (metrics_wanted_) metrics_.opened(facts);
  }
  void closed(const net::connection_facts& facts, http::ending why) noexcept {
    if (metrics_wanted_) metrics_.closed(facts, why);
  }
  void answered(const http::exchange& e) noexcept {
    if (log_) log_->answered(e);
    if (metrics_wanted_) metrics_.answered(e);
  }

 private:
  const capture::table* records_;
  const tls::server_context* tls_ = nullptr;
  bool metrics_wanted_ = false;
  std::optional<http::access_log> log_;
  http::metrics metrics_;
  http::health health_;
  capture::none none_;
  std::optional<net::server> own_;
  std::thread thread_;
};

/// A connection of a proxy: its header says who the client is.
template <class Seen, class Serve>
task<> serve_proxied(net::accepted a, net::listener& listener, net::proxies& known, const Seen& seen,
                     const Serve& serve) {
  // NOLINTNEXTLINE(bugprone-use-after-move): clang-tidy 14 takes the move into the frame for one of `a`
  const auto header = co_await known.read_header(a);
  if (!header) co_return;
  seen(a, listener);
  co_await serve(std::move(a));
}

template <class Seen, class Serve>
void admit(net::accepted a, net::listener& listener, net::proxies* known, const Seen& seen,
           const Serve& serve) {
  if (known != nullptr) {
    spawn(serve_proxied(std::move(a), listener, *known, seen, serve));
    return;
  }
  seen(a, listener);
  spawn(serve(std::move(a)));
}

/// What may be between a connection and its requests; each may be null.
struct layers {
  net::proxies* proxies;
  tls::server_context* tls;
};

/// Accepts and serves until it is stopped. `seen` gets each connection first.
template <class Seen, class... Routes>
setup_result<void> run(net::server& server, const http::routes<Routes...>& routes,
                       const http::serve_options& serving, watcher& watch, const layers& between,
                       const Seen& seen, const std::function<void()>& announce) {
  net::proxies* const known = between.proxies;
  if (!watch.needed() && between.tls == nullptr) {
    const auto serve = [&](net::accepted a) { return http::serve(std::move(a), routes, serving); };
    return server.try_run(
        [&](net::listener& listener) -> task<> {
          while (auto accepted = co_await listener.accept())
            admit(*std::move(accepted), listener, known, seen, serve);
        },
        announce);
  }
  const auto serve = [&, tls = between.tls](net::accepted a) {
    return tls != nullptr ? http::serve(tls::accept(std::move(a), *tls), routes, serving, watch)
                          : http::serve(std::move(a), routes, serving, watch);
  };
  return server.try_run(
      [&](net::listener& listener) -> task<> {
        const http::metrics::watch counted(watch.metrics(), listener);
        while (auto accepted = co_await listener.accept())
          admit(*std::move(accepted), listener, known, seen, serve);
        watch.stopping();
      },
      announce);
}

/// HTTPS, as the options say; nothing for HTTP.
setup_result<std::optional<tls::server_context>> open_tls(const settings& s) {
  std::optional<tls::server_context> none;
  if (s.tls_cert.empty() && !s.tls_self_signed) return none;
  auto made = [&]() -> setup_result<tls::server_context> {
    if (!s.tls_self_signed) {
      tls::context_options options;
      for (std::size_t i = 0; i != s.tls_cert.size(); ++i)
        options.certificates.push_back(
            {s.tls_cert[i], s.tls_key[i], i < s.tls_ocsp.size() ? s.tls_ocsp[i] : std::string()});
      return tls::server_context::open(std::move(options));
    }
    std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) == 0 && host[0] != '\0') names.emplace_back(host.data());
    return tls::server_context::self_signed(names);
  }();
  if (!made) return std::move(made).error();
  return std::optional(*std::move(made));
}

/// `how`: lines about the capture, said once it listens.
int serve(net::server& server, watcher& watch, complaints& wrong, std::string_view name, const settings& s,
          std::string_view how) {
  // Read by every thread, changed by none.
  const fingerprint::flow_reading flow =
      s.flow_aware ? fingerprint::flow_reading::aware : fingerprint::flow_reading::p0f;
  fingerprint::identifier who(flow);
  for (const std::string& file : s.p0f_db) {
    auto database = fingerprint::p0f_database::load(file);
    if (!database) return fail(database.error());
    who.add(*std::move(database), flow);
  }
  std::vector<net::address_prefix> trusted;
  for (const std::string& text : s.proxies) {
    const auto prefix = net::address_prefix::parse(text);
    if (!prefix)
      return fail({errc::invalid, 0,
                   "--proxy-protocol " + text +
                       ": write an address, or a prefix without further bits, as 10.0.0.0/8"});
    trusted.push_back(*prefix);
  }
  std::optional<net::proxies> proxies;
  if (!trusted.empty()) proxies.emplace(std::move(trusted));
  if (const auto listens = watch.listen(s); !listens) return fail(listens.error());
  auto tls = open_tls(s);
  if (!tls) return fail(tls.error());
  tls::server_context* const secure = *tls ? &**tls : nullptr;
  watch.look_at(secure);
  if (const auto dropped = drop_privileges(); !dropped) return fail(dropped.error());
  if (const auto opened = watch.open_log(s); !opened) return fail(opened.error());

  visitor::recent recent;
  const auto seen = [&](const net::accepted& a, net::listener& listener) {
    recent.add(a.peer, a.syn, who, listener.ring().now());
  };
  const auto index = http::get<"/">([&who](const http::request& request) {
    return visitor::wants_page(request) ? visitor::respond(request, who) : describe(request, who);
  });
  const auto events =
      http::get<"/events">([&recent](const http::request&) { return visitor::follow(recent); });
  const auto style = http::get<"/visitor.css">(
      [](const http::request&) { return visitor::asset("text/css; charset=utf-8", visitor::style_sheet); });
  const auto script = http::get<"/visitor.js">(
      [](const http::request&) { return visitor::asset("text/javascript; charset=utf-8", visitor::script); });
  http::serve_options serving;
  serving.on_error = [&wrong](const std::exception_ptr& why, const http::request&) { wrong.add(why); };
  std::function<void()> reload;
  const bool log_in_file = !s.access_log.empty() && s.access_log != "-";
  if (log_in_file || !s.tls_cert.empty())
    reload = [&watch, log_in_file, secure] {
      if (log_in_file) watch.reopen();
      if (secure == nullptr) return;
      const auto done = secure->reload();
      if (!done) say_if_read("echo_server: {}; the certificates stay as they were\n", done.error().message);
    };
  const net::stop_on_signal stopper(server, {.reload = std::move(reload)});
  const auto announce = [&] {
    std::string where;
    for (const endpoint& e : server.local()) {
      if (!where.empty()) where += ',';
      where += e.text().view();
    }
    if (!how.empty()) say("{}", how);
    if (s.tls_self_signed)
      say("echo_server: HTTPS with a certificate of its own, SHA-256 {}\n", secure->fingerprint());
    watch.start();
    fmt::print("listening on {} capture={}\n", where, name);
    std::fflush(stdout);
  };
  const layers between{proxies ? &*proxies : nullptr, secure};
  setup_result<void> ended;
  if (watch.pages_beside()) {
    const http::routes routes{index, events, style, script, watch.metrics_route(), watch.health_route()};
    ended = run(server, routes, serving, watch, between, seen, announce);
  } else {
    const http::routes routes{index, events, style, script};
    ended = run(server, routes, serving, watch, between, seen, announce);
  }
  return ended ? 0 : fail(ended.error());
}

/// `records`: of the source, if it has any.
template <capture::source Source>
int serve(const std::vector<endpoint>& addresses, Source& source, std::string_view name, const settings& s,
          std::string_view how = {}, const capture::table* records = nullptr) {
  complaints wrong;
  net::server_options options;
  options.threads = s.threads;
  options.notice = [](std::string_view text) { say_if_read("echo_server: {}\n", text); };
  options.on_error = [&wrong](const std::exception_ptr& why) { wrong.add(why); };
  options.managed = true;
  options.handover = s.hand_over;
  watcher watch(records);  // outlives the server
  auto server = net::server::open(addresses, source, options);
  return server ? serve(*server, watch, wrong, name, s, how) : fail(server.error());
}

/// --pin: nothing, the pins while they live, or why not.
template <class Probe>
setup_result<std::optional<capture::pinned>> pin(const Probe& probe, const settings& s) {
  if (s.pins.empty()) return std::optional<capture::pinned>();
  capture::pin_options options;
  if (!s.pin_group.empty()) {
    const group* const found = ::getgrnam(s.pin_group.c_str());
    if (found == nullptr)
      return setup_error{errc::invalid, 0, "there is no group '" + s.pin_group + "'; see 'getent group'"};
    options.group = found->gr_gid;
  }
  auto pins = probe.pin(s.pins, options);
  if (!pins) return std::move(pins).error();
  if (pins->replaced()) say("echo_server: {} held the pins of a process that is gone; replaced\n", s.pins);
  return std::optional(*std::move(pins));
}

template <hook Hook>
using probe_at = capture::probe<probe_config{.hook = Hook}>;

template <hook Hook>
setup_result<probe_at<Hook>> open_probe(const std::vector<endpoint>& addresses, const settings& s) {
  capture::probe_options options;
  if constexpr (Hook != hook::reuseport) {
    if constexpr (Hook != hook::kprobe) options.interfaces = s.interfaces;
    for (const endpoint& e : addresses) {
      if (e.port() != 0 && options.ports.size() < SYNFP_MAX_PORTS) options.ports.push_back(e.port());
    }
    if (options.ports.size() != addresses.size() || std::getenv("LISTEN_FDS") != nullptr)
      options.ports.clear();  // cannot name them all: capture every port
  }
  return probe_at<Hook>::open(options);
}

/// With TCP_SAVED_SYN where the probe misses, if `why` says why this source was chosen.
template <class Probe>
int serve_with(const std::vector<endpoint>& addresses, Probe& probe, std::string name, const settings& s,
               std::string_view why = {}) {
  const auto pins = pin(probe, s);
  if (!pins) return fail(pins.error());
  std::string how;
  if (!why.empty()) how += fmt::format("echo_server: capture by {}: {}\n", name, why);
  for (const capture::attached_interface& one : probe.attached())
    how += fmt::format("echo_server: attached to {} ({}{})\n", one.name, to_string(one.mode),
                       one.replaced ? ", in place of what a killed process had left there" : "");
  if (why.empty()) return serve(addresses, probe, name, s, how, &probe.records());
  capture::saved_syn saved;
  capture::first_of both(probe, saved);
  return serve(addresses, both, name + "+saved_syn", s, how, &probe.records());
}

template <hook Hook>
int serve_probe(const std::vector<endpoint>& addresses, const char* name, const settings& s) {
  auto probe = open_probe<Hook>(addresses, s);
  return probe ? serve_with(addresses, *probe, name, s) : fail(probe.error());
}

/// The first that works here: reuseport, which is not touched by other traffic; on the interfaces, if some
/// are named, tcx, which goes beside others' programs, then xdp; the kernel's own copy alone.
int serve_auto(const std::vector<endpoint>& addresses, const settings& s) {
  auto listening = open_probe<hook::reuseport>(addresses, s);
  if (listening)
    return serve_with(addresses, *listening, "reuseport", s,
                      "this process may load a program for its listeners");
  std::string why = "no reuseport: " + listening.error().message;
  if (!s.interfaces.empty()) {
    auto beside = open_probe<hook::tcx>(addresses, s);
    if (beside) return serve_with(addresses, *beside, "tcx", s, why);
    auto before = open_probe<hook::xdp>(addresses, s);
    why += "; no tcx: " + beside.error().message;
    if (before) return serve_with(addresses, *before, "xdp", s, why);
    why += "; no xdp: " + before.error().message;
  }
  if (!s.pins.empty()) return fail(listening.error());
  say("echo_server: {}; going on with TCP_SAVED_SYN alone\n", why);
  capture::saved_syn saved;
  return serve(addresses, saved, "saved_syn", s);
}

}  // namespace

int main(int argc, char** argv) try {
  ::signal(SIGPIPE, SIG_IGN);  // who started us may not read our line
  int fd = 0;                  // and no socket of ours must become the stdout that somebody closed
  while ((fd = ::open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && fd <= STDERR_FILENO) {
  }
  ::close(fd);
  settings s;
  CLI::App app{"An HTTP server that answers with the TCP SYN of the connection"};
  app.add_option("--listen", s.listen, "address and port; repeatable")
      ->type_name("ADDR:PORT")
      ->capture_default_str();
  app.add_option(
         "--capture", s.capture,
         "where SYNs come from; auto is the first that works of reuseport, tcx and xdp (with --interface), "
         "then saved-syn where it misses")
      ->check(CLI::IsMember({"auto", "reuseport", "xdp", "tcx", "kprobe", "saved-syn"}))
      ->type_name("SOURCE")
      ->capture_default_str();
  app.add_option("--interface", s.interfaces, "an interface that xdp or tcx watches; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app.add_option("--threads", s.threads, "how many serve")
      ->check(CLI::Range(1, 1024))
      ->type_name("N")
      ->capture_default_str();
  app.add_option(
         "--p0f-db", s.p0f_db,
         "a signature database in p0f's grammar, asked after our own; repeatable (Debian's p0f brings "
         "/etc/p0f/p0f.fp)")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_flag("--flow-aware", s.flow_aware,
               "an IPv6 flow label is no difference to a signature; p0f says it is");
  app.add_option("--pin", s.pins,
                 "a directory below a bpffs in which the probe is pinned while the server runs, for 'synfp "
                 "watch --pinned'; what a killed server left there is replaced")
      ->type_name("DIR");
  app.add_option("--pin-group", s.pin_group, "who may open the pins besides their owner")->type_name("GROUP");
  app.add_option("--access-log", s.access_log,
                 "a line for each response: a file, which SIGHUP opens anew, or - for stderr")
      ->type_name("FILE|-");
  const std::map<std::string, http::log_format> formats{{"common", http::log_format::common},
                                                        {"combined", http::log_format::combined},
                                                        {"json", http::log_format::json}};
  const CLI::Option* const format =
      app.add_option("--access-log-format", s.access_log_format,
                     "how a line looks: common, combined or json; p0f's signature is in each")
          ->transform(CLI::CheckedTransformer(formats).description(""))
          ->type_name("FORMAT")
          ->default_str("combined");
  const CLI::Option* const metrics =
      app.add_option(
             "--metrics", s.metrics_at,
             "GET /metrics and GET /healthz, on an address of their own or, without one, beside GET /")
          ->expected(0, 1)
          ->type_name("[ADDR:PORT]");
  app.add_option(
         "--hand-over", s.hand_over,
         "a Unix socket at which this process gives its listening sockets to the next one started with "
         "the same PATH, and stops when that one serves: no connection is refused")
      ->type_name("PATH");
  app.add_option(
         "--proxy-protocol", s.proxies,
         "addresses of proxies (10.0.0.0/8, 2001:db8::1), whose connections must begin with a header of "
         "the PROXY protocol, which names the client; repeatable")
      ->type_name("PREFIX")
      ->allow_extra_args(false);
  CLI::Option* const tls_cert =
      app.add_option("--tls-cert", s.tls_cert,
                     "HTTPS: a certificate in PEM format, followed by those that lead to its root; "
                     "repeatable, the client's name and algorithms choose; SIGHUP reads the files again")
          ->type_name("FILE")
          ->allow_extra_args(false);
  app.add_option("--tls-key", s.tls_key, "its private key, without a passphrase; one for each --tls-cert")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->needs(tls_cert);
  app.add_option("--tls-ocsp", s.tls_ocsp, "an OCSP response in DER to staple, for each --tls-cert")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->needs(tls_cert);
  app.add_flag("--tls-self-signed", s.tls_self_signed,
               "HTTPS for trying it: a certificate made in memory, whose fingerprint is printed")
      ->excludes(tls_cert);
  app.footer(
      R"(SIGINT, SIGTERM, SIGHUP: no more connections, what is in flight is finished within 10 s; a second one ends it
at once. With an access log in a file or --tls-cert, SIGHUP reads those anew instead. Sockets that systemd hands in (LISTEN_FDS)
are served in place of --listen. Once it listens it has given up every capability. Exit status: 0; 2 if it could not start or an error ended it.)");
  app.failure_message([](const CLI::App*, const CLI::Error& e) {
    return fmt::format("echo_server: {}; see --help\n", e.what());
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  const bool on_interfaces = s.capture == "xdp" || s.capture == "tcx";
  s.metrics = metrics->count() != 0;
  if (format->count() != 0 && s.access_log.empty())
    return fail({errc::invalid, 0, "--access-log-format goes with --access-log; add it"});
  if (s.interfaces.empty() && on_interfaces)
    return fail({errc::invalid, 0,
                 "--capture " + s.capture + " needs --interface NAME; see 'ip link' for their names"});
  if (!s.interfaces.empty() && !on_interfaces && s.capture != "auto")
    return fail({errc::invalid, 0, "--interface goes with --capture xdp, tcx or auto; leave it out"});

  if (s.tls_cert.size() != s.tls_key.size() || s.tls_ocsp.size() > s.tls_cert.size())
    return fail({errc::invalid, 0,
                 "each --tls-cert FILE needs its --tls-key FILE, in the same order, and at most one "
                 "--tls-ocsp FILE"});
  if (!s.pins.empty() && s.capture == "saved-syn")
    return fail({errc::invalid, 0, "--pin needs a probe, and saved-syn has none; leave one of them out"});
  if (!s.pin_group.empty() && s.pins.empty())
    return fail({errc::invalid, 0, "--pin-group goes with --pin; add it"});

  std::vector<endpoint> addresses;
  for (const std::string& text : s.listen) {
    auto address = net::server::parse(text);
    if (!address) return fail(address.error());
    addresses.push_back(*address);
  }
  if (s.capture == "saved-syn") {
    capture::saved_syn saved;
    return serve(addresses, saved, "saved_syn", s);
  }
  if (s.capture == "reuseport") return serve_probe<hook::reuseport>(addresses, "reuseport", s);
  if (s.capture == "xdp") return serve_probe<hook::xdp>(addresses, "xdp", s);
  if (s.capture == "tcx") return serve_probe<hook::tcx>(addresses, "tcx", s);
  if (s.capture == "kprobe") return serve_probe<hook::kprobe>(addresses, "kprobe", s);
  return serve_auto(addresses, s);
} catch (const std::bad_alloc&) {
  (void)std::fputs("echo_server: there is no memory left to go on with; allow it more\n", stderr);
  return 2;
} catch (const std::system_error& e) {
  (void)std::fprintf(stderr,
                     "echo_server: cannot start a thread (%s); raise the limit of processes or of memory\n",
                     e.code().message().c_str());
  return 2;
} catch (const std::exception& e) {
  (void)std::fprintf(stderr, "echo_server: %s\n", e.what());
  return 2;
}
