// SPDX-License-Identifier: MIT
// hostile: what an honest client and the server's memory feel of 1,000 hostile clients.
//
// A server of synfp's own with one thread and default limits, in a process of its own that is new for every
// kind of hostility; 1,000 connections that behave as `clients` says, on one thread; and one honest client
// that connects, asks once, reads the response to its end and closes, over and over, 2 ms apart. Its time is
// from connect() on; after 3 s it gives up, which counts as failed and as 3 s. All over loopback in a network
// namespace. The server has one CPU, the clients another if there is one, and the honest client goes before
// the hostile ones there: the server is measured, not the load. The hostile clients have small socket
// buffers, or the kernel's memory for TCP would be what runs out first on one machine.
//
// Memory is the server's resident set: before, the most while they are there, and two seconds after they have
// gone.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
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
#include <chrono>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <synfp/capture/source.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
#include <thread>
#include <vector>

#include "../tests/support/sockets.hpp"
#include "../tests/support/two_hosts.hpp"
#include "report.hpp"

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;
using synfp::task;
namespace http = synfp::http;

constexpr std::size_t hostile_clients = 1000;
constexpr auto give_up = 3s;

void move_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu % std::max(1U, std::thread::hardware_concurrency()), &set);
  (void)::sched_setaffinity(0, sizeof set, &set);  // a container may refuse; then it is measured without
}

/// The server process. It ends with its parent, or by SIGKILL.
class server {
 public:
  server() {
    int line[2];
    bench::require(::pipe2(line, O_CLOEXEC) == 0, "pipe");
    pid_ = ::fork();
    bench::require(pid_ >= 0, "fork");
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      serve(line[1]);
    }
    ::close(line[1]);
    bench::require(::read(line[0], &port_, sizeof port_) == sizeof port_, "the server did not start");
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
    bench::require(static_cast<bool>(statm >> size >> pages), "the server has ended");
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
  }
  /// A blocking connection, or an invalid one.
  synfp::test::fd connect(int buffers) const {
    synfp::test::fd s(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (buffers != 0) {
      ::setsockopt(s.get(), SOL_SOCKET, SO_RCVBUF, &buffers, sizeof buffers);
      ::setsockopt(s.get(), SOL_SOCKET, SO_SNDBUF, &buffers, sizeof buffers);
    }
    const timeval limit{std::chrono::seconds(give_up).count(), 0};
    ::setsockopt(s.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(s.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // of connect() as well
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port_);
    if (::connect(s.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return {};
    return s;
  }

 private:
  [[noreturn]] static void serve(int line) {
    move_to(0);
    const http::routes routes{
        http::get<"/">([](const http::request&) { return http::text("hello\n"); }),
        http::get<"/page">([](const http::request&) { return http::text(http::text_type(2200, 'p')); }),
        http::get<"/large">([](const http::request&) { return http::text(http::text_type(60'000, 'l')); })};
    synfp::capture::none nothing;
    synfp::net::server server("127.0.0.1:0", nothing);
    const auto done = server.try_run(
        [&](synfp::net::listener& listener) -> task<> {
          while (auto accepted = co_await listener.accept())
            synfp::spawn(http::serve(std::move(*accepted), routes));
        },
        [&] {
          const std::uint16_t port = server.local()[0].port();
          (void)!::write(line, &port, sizeof port);
        });
    ::_exit(done ? 0 : 1);
  }

  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

/// How hostile clients behave: each sends `text`, for ever or once, and reads what comes or nothing.
struct behaviour {
  const char* name;
  const char* id;
  const char* text;
  bool repeats, reads;
  double seconds;
};

constexpr behaviour behaviours[] = {
    {"none", "quiet", "", false, false, 4},
    {"pipeline, never read", "never", "GET /page HTTP/1.1\r\nHost: a\r\n\r\n", true, false, 12},
    {"the same, 60 kB responses", "never_large", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n", true, false, 12},
    {"pipeline and read", "read", "GET /page HTTP/1.1\r\nHost: a\r\n\r\n", true, true, 12},
    {"send half a request", "half", "GET /page HTTP/1.1\r\nHost: a\r\nX: ", false, true, 8},
};

/// The hostile clients, until `over`; then they leave.
void be_hostile(const server& at, const behaviour& how, const std::atomic<bool>& over,
                std::atomic<bool>& connected) {
  move_to(1);
  (void)::setpriority(PRIO_PROCESS, 0, 19);
  std::string text;
  do {
    text += how.text;
  } while (how.repeats && text.size() < 65'000);
  struct client {
    synfp::test::fd s;
    std::size_t sent = 0;
  };
  std::vector<client> clients(*how.text != 0 ? hostile_clients : 0);
  const synfp::test::fd events(::epoll_create1(EPOLL_CLOEXEC));
  for (client& c : clients) {
    c.s = at.connect(32 * 1024);
    bench::require(static_cast<bool>(c.s), "a hostile client cannot connect");
    (void)::fcntl(c.s.get(), F_SETFL, O_NONBLOCK);
    epoll_event wanted{};
    wanted.events = EPOLLOUT | EPOLLET | (how.reads ? EPOLLIN : 0U);
    wanted.data.ptr = &c;
    (void)::epoll_ctl(events.get(), EPOLL_CTL_ADD, c.s.get(), &wanted);
  }
  connected = true;
  std::vector<epoll_event> ready(256);
  std::vector<char> sink(256 * 1024);
  while (!over) {
    const int n = ::epoll_wait(events.get(), ready.data(), static_cast<int>(ready.size()), 50);
    for (int i = 0; i < n; ++i) {
      client& c = *static_cast<client*>(ready[static_cast<std::size_t>(i)].data.ptr);
      ssize_t moved = 1;
      while (how.reads && moved > 0) moved = ::recv(c.s.get(), sink.data(), sink.size(), 0);
      while (c.sent != text.size()) {
        moved = ::send(c.s.get(), text.data() + c.sent, text.size() - c.sent, MSG_NOSIGNAL);
        if (moved <= 0) break;
        c.sent += static_cast<std::size_t>(moved);
        if (how.repeats && c.sent == text.size()) c.sent = 0;
      }
    }
  }
}

struct measured {
  std::vector<double> us;
  int failed = 0;
  double before = 0, most = 0, after = 0;  // MB
};

/// One request on a connection of its own; whether it was answered.
bool ask(const server& at) {
  static constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  const synfp::test::fd s = at.connect(0);
  if (!s || ::send(s.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return false;
  std::string response;
  char part[1024];
  ssize_t n = 0;
  while ((n = ::recv(s.get(), part, sizeof part, 0)) > 0) response.append(part, static_cast<std::size_t>(n));
  return n == 0 && response.starts_with("HTTP/1.1 200") && response.ends_with("hello\n");
}

measured measure(const behaviour& how) {
  const server at;
  measured m;
  bench::require(ask(at), "the server does not answer");
  m.before = at.resident();
  std::atomic<bool> over = false, connected = false;
  std::thread hostile(be_hostile, std::cref(at), std::cref(how), std::cref(over), std::ref(connected));
  move_to(1);
  while (!connected) std::this_thread::sleep_for(1ms);
  const auto end = steady::now() + std::chrono::duration<double>(how.seconds);
  while (steady::now() < end) {
    const auto begun = steady::now();
    const bool answered = ask(at);
    const std::chrono::duration<double, std::micro> took = steady::now() - begun;
    m.us.push_back(answered ? took.count() : std::chrono::duration<double, std::micro>(give_up).count());
    m.failed += !answered;
    m.most = std::max(m.most, at.resident());
    std::this_thread::sleep_for(2ms);
  }
  over = true;
  hostile.join();
  std::this_thread::sleep_for(2s);
  m.after = at.resident();
  return m;
}

}  // namespace

int main(int argc, char** argv) {
  bench::require(argc == 2, "usage: hostile OUTPUT.json");
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = std::min<rlim_t>(descriptors.rlim_max, 16'384);
  bench::require(descriptors.rlim_cur > hostile_clients + 100, "the limit of descriptors is too low");
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  const synfp::test::network_namespace net;
  bench::report report;
  for (const behaviour& how : behaviours) {
    const measured m = net.inside([&] { return measure(how); });  // whose threads and processes stay there
    const double p99 = bench::quantile(m.us, 0.99);
    report.row({{"1,000 clients", how.name},
                {"honest requests", m.us.size()},
                {"p50 us", bench::median(m.us)},
                {"p99 us", p99},
                {"max us", bench::quantile(m.us, 1)},
                {"failed", m.failed},
                {"MB before", m.before},
                {"MB most", m.most},
                {"MB after", m.after}});
    const std::string id = how.id;
    report.figure("hostile_p99_us_" + id, p99);
    report.figure("hostile_failed_" + id, m.failed);
    report.figure("hostile_mb_" + id, m.most);
    report.figure("hostile_mb_after_" + id, m.after);
  }
  report.write(argv[1]);
}
