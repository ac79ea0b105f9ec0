// SPDX-License-Identifier: MIT
// tls_client PORT PATH CONNECTIONS SECONDS full|resumed: the clients of bench/tls-servers.py where each
// request has a connection of its own. wrk resumes sessions wherever it gets a ticket; here it is a matter of
// choice. One thread; all connections offer TLS 1.3 with one cipher suite and one group, so that every server
// works with the same.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;

struct counts {
  std::uint64_t requests = 0, bytes = 0, failed = 0, resumed = 0, tickets = 0;
  std::vector<std::uint32_t> latencies;  // us
};

void must(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

class client {
 public:
  client(::SSL_CTX* context, int epoll, const ::sockaddr_in& server, std::string_view request, bool resume,
         counts& found)
      : context_(context),
        epoll_(epoll),
        server_(server),
        request_(request),
        resume_(resume),
        found_(found) {}
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  ~client() {
    close();
    ::SSL_SESSION_free(session_);
  }

  void begin() {
    began_ = clock_type::now();
    said_ = false;
    response_ = 0;
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd_ >= 0, "socket");
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(fd_, reinterpret_cast<const ::sockaddr*>(&server_), sizeof server_) != 0)
      must(errno == EINPROGRESS, "connect");
    ::epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = this;
    must(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event) == 0, "epoll_ctl");
    ssl_ = ::SSL_new(context_);
    must(ssl_ != nullptr && ::SSL_set_fd(ssl_, fd_) == 1, "SSL_new");
    SSL_set_app_data(ssl_, this);
    SSL_set_tlsext_host_name(ssl_, "localhost");
    if (session_ == nullptr) return;
    ::SSL_SESSION* const copy = ::SSL_SESSION_dup(session_);  // OpenSSL takes each for one connection only
    must(copy != nullptr && ::SSL_set_session(ssl_, copy) == 1, "SSL_set_session");
    ::SSL_SESSION_free(copy);
  }

  /// Goes on as far as it can; begins anew at the end of a connection.
  void go_on() {
    ::ERR_clear_error();
    if (!said_) {
      if (const int n = ::SSL_connect(ssl_); n != 1) return wait_or_fail(n);
      if (::SSL_session_reused(ssl_) == 1) ++found_.resumed;
      if (const int n = ::SSL_write(ssl_, request_.data(), static_cast<int>(request_.size())); n <= 0)
        return wait_or_fail(n);
      said_ = true;
    }
    for (;;) {
      const int n = ::SSL_read(ssl_, buffer_.data(), static_cast<int>(buffer_.size()));
      if (n > 0) {
        constexpr std::string_view good = "HTTP/1.1 200 ";
        if (response_ == 0 &&
            std::string_view(buffer_.data(), static_cast<std::size_t>(n)).substr(0, good.size()) != good)
          return end(false);
        response_ += static_cast<std::size_t>(n);
        continue;
      }
      const int why = ::SSL_get_error(ssl_, n);
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return;
      return end(response_ != 0 && why == SSL_ERROR_ZERO_RETURN);
    }
  }

  /// Owns the session. The last ticket of the first connection is for all that follow: not every server gives
  /// another one to a connection that was resumed.
  void keep(::SSL_SESSION* session) {
    ++found_.tickets;
    if (!resume_ || ::SSL_session_reused(ssl_) == 1) return ::SSL_SESSION_free(session);
    ::SSL_SESSION_free(session_);
    session_ = session;
  }

 private:
  void wait_or_fail(int result) {
    const int why = ::SSL_get_error(ssl_, result);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) end(false);
  }
  void end(bool good) {
    if (good) {
      const auto us = std::chrono::duration_cast<std::chrono::microseconds>(clock_type::now() - began_);
      ++found_.requests;
      found_.bytes += response_;
      found_.latencies.push_back(static_cast<std::uint32_t>(us.count()));
    } else {
      ++found_.failed;
    }
    close();
    begin();
  }
  void close() {
    if (ssl_ == nullptr) return;
    ::SSL_set_quiet_shutdown(ssl_, 1);  // or OpenSSL takes the session for a bad one
    ::SSL_shutdown(ssl_);
    ::SSL_free(ssl_);
    ::close(fd_);
    ssl_ = nullptr;
  }

  ::SSL_CTX* context_;
  int epoll_;
  ::sockaddr_in server_;
  std::string_view request_;
  bool resume_;
  counts& found_;
  int fd_ = -1;
  ::SSL* ssl_ = nullptr;
  ::SSL_SESSION* session_ = nullptr;
  bool said_ = false;
  std::size_t response_ = 0;
  clock_type::time_point began_;
  std::array<char, 16384> buffer_;
};

int keep_session(::SSL* ssl, ::SSL_SESSION* session) {
  static_cast<client*>(SSL_get_app_data(ssl))->keep(session);
  return 1;
}

::SSL_CTX* make_context() {
  ::SSL_CTX* const c = ::SSL_CTX_new(::TLS_client_method());
  must(c != nullptr && SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1 &&
           ::SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") == 1 &&
           SSL_CTX_set1_groups_list(c, "X25519") == 1,
       "SSL_CTX_new");
  constexpr unsigned char alpn[] = "\x08http/1.1";
  must(::SSL_CTX_set_alpn_protos(c, alpn, sizeof alpn - 1) == 0, "SSL_CTX_set_alpn_protos");
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  ::SSL_CTX_sess_set_new_cb(c, &keep_session);
  ::SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF);
  return c;
}

std::uint32_t percentile(std::vector<std::uint32_t>& sorted, std::size_t of_100) {
  return sorted.empty() ? 0 : sorted[std::min(sorted.size() - 1, sorted.size() * of_100 / 100)];
}

void run(int port, const std::string& path, int connections, int seconds, bool resume) {
  ::sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(static_cast<std::uint16_t>(port));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  counts found;
  ::SSL_CTX* const context = make_context();
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  must(epoll >= 0, "epoll_create1");
  std::vector<std::unique_ptr<client>> clients;
  for (int i = 0; i < connections; ++i) {
    clients.push_back(std::make_unique<client>(context, epoll, server, request, resume, found));
    clients.back()->begin();
  }
  const auto begin = clock_type::now(), end = begin + std::chrono::seconds(seconds);
  std::array<::epoll_event, 256> events;
  while (clock_type::now() < end) {
    const int n = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 100);
    for (int i = 0; i < n; ++i) static_cast<client*>(events[static_cast<std::size_t>(i)].data.ptr)->go_on();
  }
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(clock_type::now() - begin).count();
  std::sort(found.latencies.begin(), found.latencies.end());
  std::printf("RESULT %" PRIu64 " %lld %" PRIu64 " %" PRIu64 " %u %u %" PRIu64 " %" PRIu64 "\n",
              found.requests, static_cast<long long>(us), found.bytes, found.failed,
              percentile(found.latencies, 50), percentile(found.latencies, 99), found.resumed, found.tickets);
  clients.clear();
  ::close(epoll);
  ::SSL_CTX_free(context);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string_view how = argc == 6 ? argv[5] : "";
  if (how != "full" && how != "resumed") {
    std::fprintf(stderr, "usage: %s PORT PATH CONNECTIONS SECONDS full|resumed\n", argv[0]);
    return 2;
  }
  run(std::atoi(argv[1]), argv[2], std::atoi(argv[3]), std::atoi(argv[4]), how == "resumed");
} catch (const std::exception& e) {
  std::fprintf(stderr, "tls_client: %s: %s\n", e.what(), std::strerror(errno));
  return 1;
}
