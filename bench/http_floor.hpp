// SPDX-License-Identifier: MIT
// What the bare loops of the http benchmark share: the response, and the end of a request's header.
//
// They are the floor under a server on this machine: no parser, no routes, no timeouts, no limits. They take
// no body and look at no field but, if told to, for the "close" of "Connection: close".
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace floor_of {

[[noreturn]] inline void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// PORT BODY_BYTES keep|close: `close` looks for "close" in each header.
struct settings {
  std::uint16_t port = 0;
  std::size_t body = 0;
  bool closes = false;
};

inline settings read_settings(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s PORT BODY_BYTES keep|close\n", argv[0]);
    std::exit(2);
  }
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  return {static_cast<std::uint16_t>(std::atoi(argv[1])), static_cast<std::size_t>(std::atoll(argv[2])),
          std::string_view(argv[3]) == "close"};
}

/// Listens on 127.0.0.1.
inline int listen_on(std::uint16_t port, int type) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | type, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 || ::listen(fd, 4096) != 0)
    fail("listen");
  return fd;
}

/// The same bytes for every request, several times in a row, so that pipelined ones are answered by one send.
class responses {
 public:
  responses(std::size_t body, bool close) {
    std::string one =
        "HTTP/1.1 200 OK\r\nDate: Fri, 27 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain; "
        "charset=utf-8\r\n"
        "Content-Length: " +
        std::to_string(body) + "\r\n" + (close ? "Connection: close\r\n" : "") + "\r\n";
    one += body == 13 ? std::string("Hello, World!") : std::string(body, 'x');
    size_ = one.size();
    do {
      row_ += one;
    } while (row_.size() + size_ <= 16'384);
  }
  std::size_t size() const { return size_; }
  /// What comes next when `owed` bytes, the end of some response last, are still to be sent.
  std::string_view next(std::size_t owed) const {
    const std::size_t begun = (size_ - owed % size_) % size_;  // of a response that went out in part
    return std::string_view(row_).substr(begun, owed);
  }

 private:
  std::size_t size_ = 0;
  std::string row_;
};

/// Finds the ends of headers in what one connection sends, in pieces of any size.
class header_ends {
 public:
  /// How many headers end in `piece`.
  unsigned count(std::string_view piece) {
    static constexpr std::string_view end = "\r\n\r\n";
    unsigned found = 0;
    while (seen_ != 0 && !piece.empty()) {  // an end that began in the piece before
      seen_ = piece.front() == end[seen_] ? seen_ + 1 : piece.front() == '\r' ? 1 : 0;
      piece.remove_prefix(1);
      if (seen_ == end.size()) {
        ++found;
        seen_ = 0;
      }
    }
    while (const void* at = ::memmem(piece.data(), piece.size(), end.data(), end.size())) {
      ++found;
      piece.remove_prefix(static_cast<std::size_t>(static_cast<const char*>(at) - piece.data()) + end.size());
    }
    for (std::size_t n = std::min(piece.size(), end.size() - 1); n != 0 && seen_ == 0; --n) {
      if (piece.ends_with(end.substr(0, n))) seen_ = n;
    }
    return found;
  }

 private:
  std::size_t seen_ = 0;
};

inline bool asks_for_close(std::string_view piece) {
  return ::memmem(piece.data(), piece.size(), "close", 5) != nullptr;
}

}  // namespace floor_of
