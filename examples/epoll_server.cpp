// SPDX-License-Identifier: MIT
// The pieces stand alone: a plain epoll loop of one's own that uses only capture/ and fingerprint/, neither
// io_uring nor coroutines. Answers every connection with one line: peer, source, proof and MuonFP of its SYN,
// then closes. It shows where the calls go; it leaves out everything else that a server needs. Usage:
// epoll_server ADDRESS:PORT
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>

#include <synfp/capture/first_of.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/privilege.hpp>

namespace {

using namespace synfp;

int fail(std::string_view why) {
  fmt::print(stderr, "epoll_server: {}\n", why);
  return 2;
}

template <capture::source Source>
void answer(int fd, const Source& source) {
  sockaddr_storage peer;
  sockaddr_storage local;
  socklen_t peer_length = sizeof peer;
  socklen_t local_length = sizeof local;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_length) != 0) return;  // reset meanwhile
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_length) != 0) return;
  const auto from = endpoint::from_sockaddr(peer, peer_length);
  const auto to = endpoint::from_sockaddr(local, local_length);
  if (!from || !to) return;
  const syn_lookup syn = source.claim({fd, *from, *to}, capture::now_ns());
  const std::string line = syn ? fmt::format("{} {} {} {}\n", from->text().view(), to_string(syn.source),
                                             to_string(syn.proof), fingerprint::muonfp(*syn).view())
                               : fmt::format("{} miss {}\n", from->text().view(), to_string(syn.miss));
  if (::send(fd, line.data(), line.size(), MSG_NOSIGNAL) < 0) return;
}

}  // namespace

int main(int argc, char** argv) try {
  const auto address = endpoint::parse(argc == 2 ? argv[1] : "");
  if (!address) return fail("usage: epoll_server ADDRESS:PORT, for instance 127.0.0.1:8081");

  auto probe = capture::probe<>::open();
  if (!probe) return fail(probe.error().message);
  capture::saved_syn saved;
  capture::first_of source(*probe, saved);

  // SO_REUSEPORT before bind(), the source between bind() and listen().
  const int listener =
      ::socket(address->is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  sockaddr_storage storage;
  const socklen_t length = address->to_sockaddr(storage);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&storage), length) != 0)
    return fail(fmt::format("cannot bind to {}: {}; choose another address or port", address->text().view(),
                            std::strerror(errno)));
  if (auto ready = source.prepare(listener, true); !ready) return fail(ready.error().message);
  if (::listen(listener, 4096) != 0) return fail(fmt::format("cannot listen: {}", std::strerror(errno)));
  if (auto dropped = drop_privileges(); !dropped) return fail(dropped.error().message);

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int stop = ::signalfd(-1, &signals, SFD_CLOEXEC);

  const int loop = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener;
  ::epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);
  event.data.fd = stop;
  ::epoll_ctl(loop, EPOLL_CTL_ADD, stop, &event);

  fmt::print("listening on {} capture=reuseport+saved_syn\n", address->text().view());
  std::fflush(stdout);
  while (true) {
    const int n = ::epoll_wait(loop, &event, 1, -1);
    if (n < 0 && errno != EINTR) return fail(std::strerror(errno));
    if (n <= 0) continue;
    if (event.data.fd == stop) return 0;
    while (true) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) break;
      answer(fd, source);
      ::close(fd);
    }
  }
} catch (const std::exception& e) {
  (void)std::fprintf(stderr, "epoll_server: %s\n", e.what());
  return 2;
}
