// SPDX-License-Identifier: MIT
// Clients that want to occupy a server of HTTP, kind by kind, and the server that they meet: for tests and
// for bench/hostile.cpp.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <synfp/capture/source.hpp>
#include <synfp/http/events.hpp>
#include <synfp/http/metrics.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/http/stream.hpp>
#include <synfp/net/proxied.hpp>
#include <synfp/net/server.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "sockets.hpp"

namespace synfp::test::hostile {

using namespace std::chrono_literals;

constexpr auto give_up = 3s;  // of an honest client

// ---- what hostile clients do

enum class reading : std::uint8_t { nothing, everything, little };
enum class leaving : std::uint8_t { when_sent_away, reset, close, half_close };

struct kind {
  std::string name;
  const char* id;
  std::string bound;    ///< the limits that bound it, with their defaults
  std::string counted;  ///< what the server counts of it: a sample of its metrics, or nothing
  std::size_t clients = 1000;
  double seconds = 3;                  ///< how long it is measured
  std::string first{};                 ///< sent at once,
  std::string then{};                  ///< and this over and over,
  std::size_t piece = 0;               ///< in sends of so many bytes, 0: as large as TCP takes them,
  std::chrono::milliseconds every{0};  ///< one in this time. 0: as fast as TCP takes them
  reading reads = reading::everything;
  leaving leaves = leaving::when_sent_away;
  bool cut = false;            ///< leaves after ever more bytes sent, and then received
  bool through_proxy = false;  ///< at the address where proxies are trusted
  rlim_t descriptors = 0;      ///< that the server has, 0: many

  friend void PrintTo(const kind& what, std::ostream* to) { *to << what.name; }
};

inline std::string get(const char* path, const char* more = "") {
  return std::string("GET ") + path + " HTTP/1.1\r\nHost: a\r\n" + more + "\r\n";
}
inline std::string post(const char* path, const char* fields) {
  return std::string("POST ") + path + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}
inline std::string repeated(const std::string& text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i != times; ++i) all += text;
  return all;
}

/// What a browser that speaks TLS to the port begins with.
inline std::string client_hello() {
  std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  for (int i = 0; i != 506; ++i) hello += static_cast<char>((i * 151 + 7) % 256);
  return hello;
}

inline std::string limit(const char* name, std::size_t value) {
  return std::string(name) + " " + std::to_string(value);
}
inline std::string limit(const char* name, std::chrono::nanoseconds value) {
  return limit(name,
               static_cast<std::size_t>(std::chrono::duration_cast<std::chrono::seconds>(value).count())) +
         " s";
}

inline std::vector<kind> kinds() {
  constexpr auto tick = 50ms;
  constexpr std::size_t few = 256;
  const http::serve_options o;
  const http::limits& l = o.limits;
  const std::string header_time = limit("header_timeout", o.header_timeout);
  const std::string body_time = limit("body_timeout", o.body_timeout);
  const std::string unread = limit("output", l.output) + ", " + limit("write_timeout", o.write_timeout);
  const std::string turns = limit("requests in a row", http::detail::most_in_a_row);
  const std::string waiting = limit("high_water", net::listener_options{}.high_water);
  const std::string descriptors = "RLIMIT_NOFILE";
  const std::string page = repeated(get("/page"), 1000), large = repeated(get("/large"), 1000);
  const std::string half = "GET / HTTP/1.1\r\nHost: a\r\nX: ", chunked = "Transfer-Encoding: chunked\r\n";
  const auto cause = [](const char* what) {
    return std::string("synfp_http_responses_total{cause=\"") + what + "\"}";
  };
  const auto refused = [](http::refusal why) {
    return "synfp_http_refusals_total{reason=\"" + std::string(to_string(why)) + "\"}";
  };
  const auto closed = [](http::ending why) {
    return "synfp_http_closed_total{reason=\"" + std::string(to_string(why)) + "\"}";
  };
  const std::string spared = "synfp_server_spared_total";
  const std::string timed_out = cause("timed_out"), not_read = closed(http::ending::not_read);
  return {
      // Slow to ask.
      {.name = "a header, a byte at a time",
       .id = "slow_header",
       .bound = header_time,
       .counted = timed_out,
       .first = half,
       .then = "x",
       .piece = 1,
       .every = tick},
      {.name = "half a header, then nothing",
       .id = "half",
       .bound = header_time,
       .counted = timed_out,
       .first = half},
      {.name = "a body, a byte at a time",
       .id = "slow_body",
       .bound = body_time,
       .counted = timed_out,
       .seconds = 7,
       .first = post("/whole", "Content-Length: 100000\r\n"),
       .then = "x",
       .piece = 1,
       .every = tick},
      {.name = "the same, to a handler that takes pieces",
       .id = "slow_pieces",
       .bound = body_time + ", " + limit("body_rate", o.body_rate),
       .counted = timed_out,
       .seconds = 7,
       .first = post("/pieces", "Content-Length: 100000\r\n"),
       .then = "x",
       .piece = 1,
       .every = tick},
      {.name = "Expect: 100-continue, then no body",
       .id = "expect",
       .bound = body_time,
       .counted = timed_out,
       .seconds = 7,
       .first = post("/whole", "Content-Length: 100000\r\nExpect: 100-continue\r\n")},
      {.name = "a PROXY header, a byte at a time",
       .id = "slow_proxy",
       .bound = limit("proxies_options::limit", net::proxies_options{}.limit),
       .counted = "late_proxy_headers_total",
       .first = "PROXY TCP4 ",
       .then = "1",
       .piece = 1,
       .every = tick,
       .through_proxy = true},
      // Too much.
      {.name = "bodies of 1 MB that never end",
       .id = "bodies",
       .bound = limit("ring_bodies", l.ring_bodies),
       .counted = cause("no_room"),
       .clients = 200,
       .first = post("/whole", "Content-Length: 1000001\r\n") + std::string(1'000'000, 'b')},
      {.name = "a body that is refused, for ever",
       .id = "refused_body",
       .bound = limit("body", l.body) + ", " + limit("linger_bytes", o.linger_bytes),
       .counted = refused(http::refusal::body_too_large),
       .clients = 100,
       .first = post("/whole", "Content-Length: 100000000000\r\n"),
       .then = std::string(65'536, 'b')},
      {.name = "a chunk extension without end",
       .id = "extension",
       .bound = limit("chunk_extensions", l.chunk_extensions),
       .counted = refused(http::refusal::chunk_extensions_too_large),
       .clients = 100,
       .first = post("/whole", chunked.c_str()) + "1;a=",
       .then = std::string(512, 'e')},
      {.name = "chunks of one byte",
       .id = "tiny_chunks",
       .bound = limit("chunk_framing", l.chunk_framing),
       .counted = refused(http::refusal::chunk_framing_too_large),
       .clients = 100,
       .first = post("/whole", chunked.c_str()),
       .then = repeated("1\r\nx\r\n", 500)},
      {.name = "a header block of 1 MB",
       .id = "header_block",
       .bound = limit("header_block", l.header_block),
       .counted = refused(http::refusal::fields_too_large),
       .clients = 100,
       .first = "GET / HTTP/1.1\r\nHost: a\r\n" + repeated("X: " + std::string(1000, 'x') + "\r\n", 1000)},
      {.name = "10,000 header fields",
       .id = "fields",
       .bound = limit("headers", l.headers),
       .counted = refused(http::refusal::fields_too_many),
       .clients = 100,
       .first = "GET / HTTP/1.1\r\nHost: a\r\n" + repeated("X: 1\r\n", 10'000)},
      {.name = "a request line of 1 MB",
       .id = "request_line",
       .bound = limit("request_line", l.request_line),
       .counted = refused(http::refusal::target_too_long),
       .clients = 100,
       .first = "GET /" + std::string(1'000'000, 'p')},
      {.name = "TLS on the plain port",
       .id = "tls",
       .bound = "refused by its first byte",
       .counted = refused(http::refusal::method_invalid),
       .clients = 100,
       .first = client_hello()},
      // Slow to read.
      {.name = "pipeline, never read",
       .id = "never",
       .bound = unread,
       .counted = not_read,
       .seconds = 7,
       .then = page,
       .reads = reading::nothing},
      {.name = "the same, 60 kB responses",
       .id = "never_large",
       .bound = unread,
       .counted = not_read,
       .seconds = 7,
       .then = large,
       .reads = reading::nothing},
      {.name = "a stream, never read",
       .id = "never_stream",
       .bound = unread,
       .counted = not_read,
       .seconds = 7,
       .first = get("/stream"),
       .reads = reading::nothing},
      {.name = "server-sent events, never read",
       .id = "never_events",
       .bound = unread,
       .counted = not_read,
       .seconds = 7,
       .first = get("/events"),
       .reads = reading::nothing},
      {.name = "pipeline, read 64 bytes at a time",
       .id = "slow_read",
       .bound = unread,
       .counted = not_read,
       .seconds = 7,
       .then = large,
       .every = tick,
       .reads = reading::little},
      {.name = "half-close behind 8 requests, never read",
       .id = "half_close",
       .bound = unread,
       .counted = "",
       .first = repeated(get("/large"), 8),
       .reads = reading::nothing,
       .leaves = leaving::half_close},
      // Busy.
      {.name = "pipeline and read", .id = "read", .bound = turns, .counted = "", .seconds = 5, .then = page},
      {.name = "pipeline, in pieces",
       .id = "drip",
       .bound = turns + ", " + header_time,
       .counted = "",
       .then = page,
       .piece = 997,
       .every = tick},
      {.name = "requests in segments of 1 byte",
       .id = "bytes",
       .bound = turns + ", " + header_time,
       .counted = "",
       .clients = 100,
       .then = get("/"),
       .piece = 1},
      // Come and go.
      {.name = "RST at every point",
       .id = "resets",
       .bound = waiting,
       .counted = "",
       .clients = 100,
       .first = get("/large"),
       .leaves = leaving::reset,
       .cut = true},
      {.name = "RST before accept",
       .id = "reset_at_once",
       .bound = waiting,
       .counted = "synfp_server_gone_total",
       .clients = 100,
       .leaves = leaving::reset},
      {.name = "connect and close",
       .id = "close_at_once",
       .bound = waiting,
       .counted = "",
       .clients = 100,
       .leaves = leaving::close},
      // All descriptors.
      {.name = "256 descriptors, idle",
       .id = "churn_idle",
       .bound = descriptors,
       .counted = spared,
       .descriptors = few},
      {.name = "256 descriptors, half headers",
       .id = "churn_half",
       .bound = descriptors,
       .counted = spared,
       .first = "GET / HT",
       .descriptors = few},
      {.name = "256 descriptors, half PROXY headers",
       .id = "churn_proxy",
       .bound = descriptors,
       .counted = spared,
       .first = "PROXY TCP4 1",
       .through_proxy = true,
       .descriptors = few},
      {.name = "256 descriptors, refused and kept",
       .id = "churn_refused",
       .bound = descriptors,
       .counted = spared,
       .first = "G@T / HTTP/1.1\r\n\r\n",
       .reads = reading::nothing,
       .descriptors = few},
      {.name = "256 descriptors, unfinished bodies",
       .id = "churn_bodies",
       .bound = descriptors,
       .counted = spared,
       .first = post("/whole", "Content-Length: 10\r\n"),
       .descriptors = few},
      {.name = "256 descriptors, nothing read",
       .id = "churn_unread",
       .bound = descriptors,
       .counted = spared,
       .then = large,
       .reads = reading::nothing,
       .descriptors = few},
      {.name = "256 descriptors, event streams",
       .id = "churn_events",
       .bound = descriptors,
       .counted = spared,
       .first = get("/silence"),
       .descriptors = few},
      {.name = "15,000 idle",
       .id = "idle",
       .bound = descriptors + ", " + limit("idle_timeout", o.idle_timeout),
       .counted = closed(http::ending::idle),
       .clients = 15'000,
       .seconds = 8},
  };
}

// ---- the server

inline void move_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu % std::max(1U, std::thread::hardware_concurrency()), &set);
  (void)::sched_setaffinity(0, sizeof set, &set);  // a container may refuse; then it is measured without
}

inline http::chunks endless() {
  const std::string piece(4096, 's');
  while (true) co_yield piece;
}
inline http::events silence() {
  while (true) co_await io::sleep_for(1h);
  co_yield http::event();
}
inline http::events endless_events() {
  const http::event one(std::string(8000, 'e'));
  while (true) co_yield one;
}

/// The server process: one thread, default limits, its times divided by `faster`. It ends with its parent, or
/// by SIGKILL.
class server {
 public:
  server(rlim_t descriptors, int faster) {
    int line[2];
    must(::pipe2(line, O_CLOEXEC) == 0, "pipe");
    pid_ = ::fork();
    must(pid_ >= 0, "fork");
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (descriptors != 0) {
        const rlimit few{descriptors, descriptors};
        ::setrlimit(RLIMIT_NOFILE, &few);
      }
      serve(line[1], faster);
    }
    ::close(line[1]);
    must(::read(line[0], ports_, sizeof ports_) == sizeof ports_, "the server did not start");
    ::close(line[0]);
  }
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  /// MB.
  double resident() const {
    std::ifstream statm("/proc/" + std::to_string(pid_) + "/statm");
    double size = 0, pages = 0;
    must(static_cast<bool>(statm >> size >> pages), "the server has ended");
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
  }
  int descriptors() const {
    DIR* const all = ::opendir(("/proc/" + std::to_string(pid_) + "/fd").c_str());
    must(all != nullptr, "the server has ended");
    int count = 0;
    while (const dirent* one = ::readdir(all)) count += *one->d_name != '.';
    ::closedir(all);
    return count;
  }
  /// Seconds of processor time.
  double processor() const {
    std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 2)));
    std::string skipped;
    for (int i = 0; i != 11; ++i) fields >> skipped;
    double user = 0, kernel = 0;
    must(static_cast<bool>(fields >> user >> kernel), "the server has ended");
    return (user + kernel) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  sockaddr_in address(bool through_proxy) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(ports_[through_proxy]);
    return to;
  }

 private:
  [[noreturn]] static void serve(int line, int faster) {
    move_to(0);
    http::serve_options serving;
    serving.idle_timeout /= faster;
    serving.header_timeout /= faster;
    serving.body_timeout /= faster;
    serving.write_timeout /= faster;
    serving.heartbeat /= faster;
    serving.linger_timeout /= faster;
    net::proxies trusted({*net::address_prefix::parse("127.0.0.0/8")},
                         {.limit = net::proxies_options{}.limit / faster});
    http::metrics metrics;
    const http::routes routes{
        http::get<"/">([](const http::request&) { return http::text("hello\n"); }),
        http::get<"/page">([](const http::request&) { return http::text(http::text_type(2200, 'p')); }),
        http::get<"/large">([](const http::request&) { return http::text(http::text_type(60'000, 'l')); }),
        http::get<"/stream">([](const http::request&) -> http::stream_response {
          return http::stream(http::text(""), endless());
        }),
        http::get<"/silence">([](const http::request&) -> http::stream_response { return silence(); }),
        http::get<"/events">([](const http::request&) -> http::stream_response { return endless_events(); }),
        http::post<"/whole">([](const http::request&) { return http::text("taken\n"); }),
        http::post<"/pieces">([](const http::request&, http::body_reader& body) -> task<http::response> {
          while (true) {
            auto piece = co_await body.read();
            if (!piece) break;
          }
          co_return http::text("taken\n");
        }),
        http::get<"/metrics">(metrics.page(
            [&trusted](auto& out) { out.counter("late_proxy_headers", "", trusted.counters().late); }))};
    synfp::capture::none nothing;
    const auto at = *synfp::endpoint::parse("127.0.0.1:0");
    auto server = net::server::open({at, at}, nothing);
    if (!server) throw tools::failure(server.error().message);
    std::uint16_t ports[2] = {server->local()[0].port(), server->local()[1].port()};
    const auto proxied = [&](net::accepted connection) -> task<> {
      const auto named = co_await trusted.read_header(connection);
      if (!named) co_return;
      co_await http::serve(std::move(connection), routes, serving, metrics);
    };
    const auto done = server->try_run(
        [&](net::listener& listener) -> task<> {
          const http::metrics::watch counted(metrics, listener);
          while (auto accepted = co_await listener.accept()) {
            if (listener.local().port() == ports[1]) {
              synfp::spawn(proxied(*std::move(accepted)));
            } else {
              synfp::spawn(http::serve(*std::move(accepted), routes, serving, metrics));
            }
          }
        },
        [&] { (void)!::write(line, ports, sizeof ports); });
    ::_exit(done ? 0 : 1);
  }

  pid_t pid_ = -1;
  std::uint16_t ports_[2] = {};
};

// ---- an honest client

/// The response to one request on a connection of its own, or "".
inline std::string ask(const server& at, const char* path = "/") {
  const fd s(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{std::chrono::seconds(give_up).count(), 0};
  ::setsockopt(s.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(s.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // of connect() as well
  const sockaddr_in to = at.address(false);
  const std::string request = get(path, "Connection: close\r\n");
  if (::connect(s.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 ||
      ::send(s.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return {};
  std::string response;
  char part[16 * 1024];
  ssize_t n = 0;
  while ((n = ::recv(s.get(), part, sizeof part, 0)) > 0) response.append(part, static_cast<std::size_t>(n));
  return n == 0 && response.starts_with("HTTP/1.1 200") ? response : std::string();
}

/// Samples of the server's page.
inline std::map<std::string, double> metrics_of(const server& at) {
  std::istringstream page(ask(at, "/metrics"));
  std::map<std::string, double> all;
  for (std::string line; std::getline(page, line);) {
    const auto space = line.rfind(' ');
    if (!line.starts_with("synfp_") && !line.starts_with("late_")) continue;
    all[line.substr(0, space)] = std::strtod(line.c_str() + space, nullptr);
  }
  return all;
}

// ---- the hostile clients

class crowd {
 public:
  crowd(const server& at, const kind& how) : how_(how), to_(at.address(how.through_proxy)) {
    thread_ = std::thread([this] { run(); });
  }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;
  ~crowd() { leave(); }

  /// They close what they have.
  void leave() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::uint64_t connections() const { return connections_; }

 private:
  struct client {
    fd s;
    std::size_t sent = 0;
    std::size_t received = 0;
    std::size_t most_sent = SIZE_MAX;              // then it leaves,
    std::size_t most_received = SIZE_MAX;          // or then
    std::chrono::steady_clock::time_point next{};  // that it may send, or read a little
  };

  void run() {
    move_to(1);
    (void)::setpriority(PRIO_PROCESS, 0, 19);  // of this thread
    events_ = fd(::epoll_create1(EPOLL_CLOEXEC));
    then_ = how_.then;
    while (how_.piece == 0 && !then_.empty() && then_.size() < 65'000) then_ += how_.then;
    std::vector<client> clients(how_.clients);
    std::vector<epoll_event> ready(512);
    std::size_t begun = 0;
    while (!over_) {
      // A few at a time: who is there goes on meanwhile.
      for (std::size_t i = 0; i != 64 && begun != clients.size(); ++i) begin(clients[begun++]);
      const int wait = begun != clients.size() ? 0 : 10;
      const int n = ::epoll_wait(events_.get(), ready.data(), static_cast<int>(ready.size()), wait);
      for (int i = 0; i < n && !over_; ++i) {
        const epoll_event& e = ready[static_cast<std::size_t>(i)];
        turn(*static_cast<client*>(e.data.ptr), e.events);
      }
      if (how_.every == 0ms && how_.piece == 0) continue;
      const auto now = std::chrono::steady_clock::now();
      for (client& c : clients) {
        if (c.s && now >= c.next) turn(c, 0);
      }
    }
  }

  void begin(client& c) {
    c = client();
    c.s = fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int buffers = 32 * 1024, on = 1;
    ::setsockopt(c.s.get(), SOL_SOCKET, SO_RCVBUF, &buffers, sizeof buffers);
    ::setsockopt(c.s.get(), SOL_SOCKET, SO_SNDBUF, &buffers, sizeof buffers);
    ::setsockopt(c.s.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(c.s.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    sockaddr_in from{};  // many addresses, or the ports would run out
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(0x7f000100 + static_cast<std::uint32_t>(connections_ % 200));
    (void)::bind(c.s.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from);
    ++connections_;
    if (how_.cut) {
      const std::size_t point = cuts_++ % (how_.first.size() + 40);
      c.most_sent = std::min(point, how_.first.size());
      if (point > how_.first.size()) c.most_received = (point - how_.first.size()) * 1500;
    }
    (void)::connect(c.s.get(), reinterpret_cast<const sockaddr*>(&to_), sizeof to_);
    epoll_event wanted{};
    wanted.events =
        EPOLLOUT | EPOLLET | EPOLLRDHUP | (how_.reads == reading::everything || how_.cut ? EPOLLIN : 0U);
    wanted.data.ptr = &c;
    (void)::epoll_ctl(events_.get(), EPOLL_CTL_ADD, c.s.get(), &wanted);
  }

  void turn(client& c, std::uint32_t events) {
    static char sink[256 * 1024];
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return begin(c);
    if ((events & EPOLLRDHUP) != 0 && how_.leaves != leaving::half_close) return begin(c);
    const bool paced = how_.every != 0ms || how_.piece != 0;
    const bool due = !paced || std::chrono::steady_clock::now() >= c.next;
    if (how_.reads == reading::everything || how_.cut) {
      ssize_t n = 0;
      while (c.received < c.most_received && (n = ::recv(c.s.get(), sink, sizeof sink, 0)) > 0)
        c.received += static_cast<std::size_t>(n);
      if (n == 0 && c.received < c.most_received) return begin(c);
    } else if (how_.reads == reading::little && due) {
      (void)::recv(c.s.get(), sink, 64, 0);
    }
    if (!due) return;
    c.next = std::chrono::steady_clock::now() + how_.every;
    const std::size_t before = c.sent;
    while (c.sent < c.most_sent) {
      const bool beginning = c.sent < how_.first.size();
      if (!beginning && then_.empty()) break;
      const std::string& text = beginning ? how_.first : then_;
      const std::size_t at = beginning ? c.sent : (c.sent - how_.first.size()) % then_.size();
      std::size_t n = std::min(text.size() - at, c.most_sent - c.sent);
      if (how_.piece != 0 && !beginning) n = std::min(n, how_.piece);
      const ssize_t moved = ::send(c.s.get(), text.data() + at, n, MSG_NOSIGNAL);
      if (moved <= 0) {
        if (moved < 0 && errno != EAGAIN && errno != ENOTCONN) return begin(c);
        if (c.sent != before || errno == EAGAIN) break;
        return;  // it is not connected yet
      }
      c.sent += static_cast<std::size_t>(moved);
      if (how_.piece != 0 && !beginning && (how_.every != 0ms || c.sent - before >= 64)) break;
    }
    const bool done = c.sent >= c.most_sent || (then_.empty() && c.sent >= how_.first.size());
    if (!done || (c.most_received != SIZE_MAX && c.received < c.most_received)) return;
    if (how_.leaves == leaving::half_close) {
      ::shutdown(c.s.get(), SHUT_WR);
    } else if (how_.leaves == leaving::reset || how_.leaves == leaving::close) {
      if (how_.leaves == leaving::reset) reset(std::move(c.s));
      begin(c);
    }
  }

  const kind& how_;
  const sockaddr_in to_;
  std::string then_;
  fd events_;
  std::size_t cuts_ = 0;
  std::atomic<std::uint64_t> connections_{0};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

}  // namespace synfp::test::hostile
