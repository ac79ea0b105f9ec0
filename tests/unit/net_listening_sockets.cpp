// SPDX-License-Identifier: MIT
#include <synfp/net/listening_sockets.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <synfp/capture/saved_syn.hpp>
#include <synfp/net/server.hpp>

#include "../support/loopback.hpp"

namespace {

using synfp::endpoint;
using synfp::task;
using synfp::test::connect_to;
using synfp::test::fd;
using synfp::test::listen_on;
namespace capture = synfp::capture;
namespace net = synfp::net;
namespace test = synfp::test;

int copy_of(const fd& d) { return ::dup(d.get()); }

TEST(net_listening_sockets, refuses_what_no_server_can_accept_on_and_says_what_to_write) {
  net::listening_sockets sockets;
  const auto refused = [&sockets](int number) {
    const auto added = sockets.add(number, "http.socket");
    EXPECT_EQ(::fcntl(number, F_GETFD), -1);  // it took it over
    return added ? std::string() : added.error().message;
  };
  int pipes[2];
  ASSERT_EQ(::pipe(pipes), 0);
  ::close(pipes[1]);
  EXPECT_NE(refused(pipes[0]).find("(http.socket) is not a socket"), std::string::npos);
  EXPECT_NE(refused(::socket(AF_INET, SOCK_DGRAM, 0)).find("ListenDatagram="), std::string::npos);
  EXPECT_NE(refused(::socket(AF_UNIX, SOCK_STREAM, 0)).find("is not an IP socket"), std::string::npos);
  EXPECT_NE(refused(::socket(AF_INET, SOCK_STREAM, 0)).find("does not listen: write Accept=no"),
            std::string::npos);
  EXPECT_TRUE(sockets.empty());

  const fd listens = test::listen_on_loopback();
  EXPECT_TRUE(sockets.add(copy_of(listens), ""));
  EXPECT_EQ(sockets.addresses(), std::vector{test::name_of(listens.get(), false)});
  EXPECT_TRUE(sockets.take(endpoint::v4(127, 0, 0, 1, 1)).empty());
  const auto taken = sockets.take(test::name_of(listens.get(), false));
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_TRUE(sockets.empty());
  ::close(taken[0]);
}

/// Runs `test` in a process of its own, in which descriptors from 3 on are those of `hand_in`.
void with_descriptors(const std::vector<int>& hand_in, const std::function<bool()>& test) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<int> high;
    for (const int each : hand_in) high.push_back(::fcntl(each, F_DUPFD, 100));
    for (std::size_t i = 0; i != high.size(); ++i) ::dup2(high[i], 3 + static_cast<int>(i));
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(hand_in.size()).c_str(), 1);
    ::_exit(test() ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(net_listening_sockets, takes_what_the_manager_hands_in_once) {
  const fd one = test::listen_on_loopback();
  const fd two = test::listen_on_loopback();
  with_descriptors({one.get(), two.get()}, [] {
    ::setenv("LISTEN_FDNAMES", "http.socket:admin", 1);
    const auto taken = synfp::service::take_inherited();
    const auto again = synfp::service::take_inherited();
    return taken && taken->size() == 2 && (*taken)[0].fd == 3 && (*taken)[0].name == "http.socket" &&
           (*taken)[1].fd == 4 && (*taken)[1].name == "admin" && (::fcntl(4, F_GETFD) & FD_CLOEXEC) != 0 &&
           std::getenv("LISTEN_FDS") == nullptr && again && again->empty();
  });
  with_descriptors({one.get()}, [] {
    ::setenv("LISTEN_PID", "1", 1);  // meant for the parent, for instance a shell
    const auto taken = synfp::service::take_inherited();
    return taken && taken->empty() && std::getenv("LISTEN_FDS") != nullptr;
  });
  with_descriptors({one.get()}, [] {
    for (const char* odd : {"x", "", "-1", "99999"}) {
      ::setenv("LISTEN_FDS", odd, 1);
      if (synfp::service::take_inherited()) return false;
    }
    ::close(4);
    ::setenv("LISTEN_FDS", "2", 1);
    const auto taken = synfp::service::take_inherited();
    return !taken && taken.error().message.find("descriptor 4 is not open") != std::string::npos;
  });
}

task<> tell(net::accepted a, const char* who) {
  a.connection.write(who);
  (void)co_await a.connection.flush();
}
auto tell_all(const char* who) {
  return [who](net::listener& listener) -> task<> {
    while (auto accepted = co_await listener.accept()) synfp::spawn(tell(std::move(*accepted), who));
  };
}
std::string answer(const endpoint& where) { return test::receive(connect_to(where).get(), 64); }

TEST(net_listening_sockets, a_managed_server_listens_where_the_manager_says) {
  // More threads than sockets, and more sockets than threads.
  for (const unsigned threads : {1u, 3u}) {
    const fd one = test::listen_on_loopback();
    const fd two = test::listen_on_loopback();
    with_descriptors({one.get(), two.get()}, [&] {
      capture::saved_syn source;
      const endpoint first = test::name_of(3, false);
      const endpoint second = test::name_of(4, false);
      net::server server{"127.0.0.1:1", source, {.threads = threads, .managed = true}};
      if (server.local() != std::vector{first, second}) return false;
      std::thread runner([&] { server.run(tell_all("hello")); });
      bool right = true;
      for (int i = 0; i < 30; ++i) right = right && answer(i % 2 == 0 ? first : second) == "hello";
      server.stop();
      runner.join();
      return right;
    });
    // The manager has the socket still: a connection waits for the next process.
    const fd waiting = connect_to(test::name_of(one.get(), false));
    EXPECT_TRUE(static_cast<bool>(waiting));
  }
}

TEST(net_listening_sockets, a_managed_server_refuses_what_it_cannot_serve) {
  with_descriptors({::socket(AF_UNIX, SOCK_STREAM, 0)}, [] {
    capture::saved_syn source;
    const auto server =
        net::server::open({endpoint::v4(127, 0, 0, 1, 0)}, source, net::server_options{.managed = true});
    return !server && server.error().message.find("is not an IP socket") != std::string::npos;
  });
}

/// A directory that is removed with what is in it.
struct directory {
  directory() {
    char name[] = "/tmp/synfp-handover-XXXXXX";
    EXPECT_NE(::mkdtemp(name), nullptr);
    path = name;
  }
  ~directory() {
    ::unlink((path + "/socket").c_str());
    ::rmdir(path.c_str());
  }
  std::string socket() const { return path + "/socket"; }
  std::string path;
};

/// A server on a thread of its own, which has said that it is ready.
class running {
 public:
  template <class Source>
  running(const endpoint& where, Source& source, const net::server_options& options, const char* who)
      : before_(file_at(options.handover)),
        server(value_or_throw(net::server::open({where}, source, options))) {
    thread_ = std::thread([this, who] {
      const auto ended = server.try_run(tell_all(who), [] {});
      EXPECT_TRUE(ended) << ended.error().message;
      ended_ = true;
    });
    while (file_at(options.handover) == before_) std::this_thread::yield();
  }
  running(const running&) = delete;
  running& operator=(const running&) = delete;
  ~running() {
    server.stop();
    if (thread_.joinable()) thread_.join();
  }
  void join() { thread_.join(); }
  bool ended() const { return ended_; }

 private:
  static ino_t file_at(const std::string& path) {
    struct stat file {};
    return ::stat(path.c_str(), &file) == 0 ? file.st_ino : 0;
  }
  ino_t before_;

 public:
  net::server server;

 private:
  std::thread thread_;
  std::atomic<bool> ended_{false};
};

/// Counts how often it was attached.
struct counting_source : capture::none {
  synfp::setup_result<void> prepare(int, bool first) {
    attached += first ? 1 : 0;
    return {};
  }
  std::atomic<int> attached{0};
};

TEST(net_handover, the_next_server_takes_the_sockets_and_ends_the_one_before) {
  const directory place;
  const net::server_options options{.threads = 2, .handover = place.socket()};
  counting_source source;
  running first(endpoint::v4(127, 0, 0, 1, 0), source, options, "first");
  const endpoint where = first.server.local()[0];
  EXPECT_EQ(answer(where), "first");

  std::atomic<bool> done{false};
  std::atomic<int> asked{0};
  std::thread load([&] {
    while (!done) {
      const std::string got = answer(where);
      EXPECT_TRUE(got == "first" || got == "second" || got == "third") << got;
      ++asked;
    }
  });
  running second(where, source, options, "second");
  first.join();
  EXPECT_EQ(answer(where), "second");
  running third(where, source, {.threads = 3, .handover = place.socket()}, "third");
  second.join();
  const int now = asked;
  while (asked < now + 20) std::this_thread::yield();
  done = true;
  load.join();
  EXPECT_EQ(answer(where), "third");
  EXPECT_EQ(source.attached, 3);
}

TEST(net_handover, a_next_server_that_fails_leaves_the_one_before_as_it_was) {
  const directory place;
  const net::server_options options{.handover = place.socket()};
  counting_source source;
  running first(endpoint::v4(127, 0, 0, 1, 0), source, options, "first");
  const endpoint where = first.server.local()[0];
  for (int i = 1; i <= 3; ++i) {
    const int before = source.attached;
    {
      auto next = net::server::open({where}, source, options);
      ASSERT_TRUE(next) << next.error().message;
      EXPECT_EQ(source.attached, before + 1);
      if (i == 2) {  // it may also fail later
        EXPECT_THROW((void)next->try_run(tell_all("second"), [] { throw std::runtime_error("no"); }),
                     std::runtime_error);
      }
    }
    while (source.attached != before + 2) std::this_thread::yield();  // the first one's probe again
    EXPECT_EQ(answer(where), "first");
    EXPECT_FALSE(first.ended());
  }
}

TEST(net_handover, an_address_that_is_not_handed_over_is_bound) {
  const directory place;
  const net::server_options options{.handover = place.socket()};
  capture::saved_syn source;
  running first(endpoint::v4(127, 0, 0, 1, 0), source, options, "first");
  running second(endpoint::v4(127, 0, 0, 2, 0), source, options, "second");
  first.join();
  EXPECT_EQ(answer(second.server.local()[0]), "second");
  sockaddr_storage s{};
  const socklen_t n = first.server.local()[0].to_sockaddr(s);
  const fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_NE(::connect(client.get(), reinterpret_cast<sockaddr*>(&s), n), 0);  // nobody wants it any more
}

TEST(net_handover, refuses_a_path_that_is_something_else) {
  capture::saved_syn source;
  const auto refused = [&source](const std::string& path) {
    const auto server =
        net::server::open({endpoint::v4(127, 0, 0, 1, 0)}, source, net::server_options{.handover = path});
    return server ? std::string() : server.error().message;
  };
  EXPECT_NE(refused("/proc/self/status").find("is no Unix socket"), std::string::npos);
  EXPECT_NE(refused("/tmp/" + std::string(200, 'x')).find("is no path of a Unix socket"), std::string::npos);
  EXPECT_NE(refused("/nowhere/at/all").find("cannot listen for the next process"), std::string::npos);

  const directory place;  // somebody who says something else
  const fd other(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = net::detail::unix_address(place.socket());
  ASSERT_TRUE(address);
  ASSERT_EQ(::bind(other.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address), 0);
  ASSERT_EQ(::listen(other.get(), 4), 0);
  for (const std::string say : {"", "hello\n", "synfp hand-over 2\n"}) {
    std::thread speaker([&] {
      const fd to(::accept(other.get(), nullptr, nullptr));
      (void)!::send(to.get(), say.data(), say.size(), MSG_NOSIGNAL);
    });
    const std::string why = refused(place.socket());
    speaker.join();
    if (say.empty()) {
      EXPECT_EQ(why, "");  // it was stopping
    } else {
      EXPECT_NE(why.find("does not hand over sockets as this version does"), std::string::npos);
    }
  }
}

// What does not fit is lost for good: to go on with the rest would be to refuse connections in silence.
TEST(net_handover, a_process_that_cannot_take_all_sockets_does_not_start) {
  const directory place;
  const fd other(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = synfp::detail::unix_address(place.socket());
  ASSERT_TRUE(address);
  ASSERT_EQ(::bind(other.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address), 0);
  ASSERT_EQ(::listen(other.get(), 4), 0);
  const fd listener = test::listen_on_loopback();
  const std::vector<int> three(3, listener.get());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const fd next_number(copy_of(listener));
  rlimit few = before;
  few.rlim_cur =
      static_cast<rlim_t>(next_number.get()) + 1 + 3;  // both ends of the connection, and one socket
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::thread speaker([&] {
    const fd to(::accept(other.get(), nullptr, nullptr));
    EXPECT_TRUE(net::detail::send_sockets(to.get(), three));
  });
  const auto asked = net::detail::ask_predecessor(place.socket());
  speaker.join();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(asked);
  EXPECT_NE(asked.error().message.find("raise the limit of open files"), std::string::npos)
      << asked.error().message;
}

}  // namespace
