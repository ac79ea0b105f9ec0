// SPDX-License-Identifier: MIT
// The capture part in an epoll loop of one's own, no io_uring and no coroutine: answers every connection with
// the fingerprint of its SYN. It shows where the calls go; what else a server needs is left out.
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include <synfp/capture/first_of.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/fingerprint/muonfp.hpp>
using namespace synfp;

static int check(int result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return result;
}

static endpoint end_of(int fd, decltype(::getpeername)* which) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (which(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};  // it was reset
  return endpoint::from_sockaddr(storage, length).value_or(endpoint());
}

int main() try {
  capture::probe<> probe;
  capture::saved_syn saved;  // the kernel's copy, where the probe has no proof
  capture::first_of source(probe, saved);

  // SO_REUSEPORT before bind(), the source between bind() and listen().
  const int listener = check(::socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  const int on = 1;
  check(::setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), "SO_REUSEPORT");
  sockaddr_storage address;
  const socklen_t length = endpoint::parse("[::]:8080")->to_sockaddr(address);
  check(::bind(listener, reinterpret_cast<const sockaddr*>(&address), length), "bind");
  value_or_throw(source.prepare(listener, true));
  check(::listen(listener, 4096), "listen");

  epoll_event event{.events = EPOLLIN, .data = {.fd = listener}};
  const int loop = check(::epoll_create1(0), "epoll_create1");
  check(::epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
  while (::epoll_wait(loop, &event, 1, -1) >= 0 || errno == EINTR) {
    for (int fd; (fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; ::close(fd)) {
      const syn_lookup syn =
          source.claim({fd, end_of(fd, ::getpeername), end_of(fd, ::getsockname)}, capture::now_ns());
      std::string line(syn ? fingerprint::muonfp(*syn).view() : to_string(syn.miss));
      line += '\n';
      (void)::send(fd, line.data(), line.size(), MSG_NOSIGNAL);  // a new socket has room for it
    }
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "epoll_server: %s\n", e.what());
  return 2;
}
