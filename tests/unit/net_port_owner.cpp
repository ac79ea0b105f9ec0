// SPDX-License-Identifier: MIT
// A port that is taken: by whom, and whether waiting helps.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include <synfp/capture/source.hpp>
#include <synfp/net/listen_group.hpp>

#include "../support/loopback.hpp"

namespace {

namespace test = synfp::test;

using synfp::endpoint;
using synfp::net::listen_group;
using synfp::net::detail::find_port_owner;
using testing::HasSubstr;

synfp::capture::none no_source;

/// listen() on a port that the kernel chooses, unless `at` has one.
test::fd listen_on(const char* at, bool reuseport = false) {
  const auto where = *endpoint::parse(at);
  sockaddr_storage s{};
  const socklen_t n = where.to_sockaddr(s);
  test::fd d(::socket(s.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(d.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (reuseport) ::setsockopt(d.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  EXPECT_EQ(::bind(d.get(), reinterpret_cast<sockaddr*>(&s), n), 0) << std::strerror(errno);
  EXPECT_EQ(::listen(d.get(), 16), 0);
  return d;
}

/// A process that only holds what it was forked with.
class holder {
 public:
  holder() : pid_(::fork()) {
    if (pid_ == 0) {
      while (true) ::pause();
    }
  }
  ~holder() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  holder(const holder&) = delete;
  holder& operator=(const holder&) = delete;
  int pid() const { return pid_; }

 private:
  int pid_;
};

/// A socket that no process holds: it is on its way in a message, as a killed server's is in its ring.
class between_processes {
 public:
  explicit between_processes(test::fd socket) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    for (int i = 0; i != 2; ++i) end_[i] = test::fd(ends[i]);
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = socket.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    EXPECT_EQ(::sendmsg(end_[0].get(), &message, 0), 1);
  }
  void close() {
    for (auto& end : end_) end = {};
  }

 private:
  test::fd end_[2];
};

std::string refusal(const synfp::setup_result<listen_group>& g) { return g ? "open" : g.error().message; }

TEST(net_port_owner, that_another_process_listens_on_is_refused_at_once_and_names_it) {
  for (const bool reuseport : {false, true}) {
    auto socket = listen_on("127.0.0.1:0", reuseport);
    const endpoint where = test::name_of(socket.get(), false);
    const holder other;
    socket = {};
    bool waited = false;
    const auto group = listen_group::open(where, 1, no_source, 16, [&](std::string_view) { waited = true; });
    EXPECT_THAT(refusal(group),
                HasSubstr("process " + std::to_string(other.pid()) + " (unit_tests) listens"));
    EXPECT_FALSE(waited);
  }
}

TEST(net_port_owner, that_this_process_listens_on_is_told_so) {
  const auto first = listen_group::open(endpoint::v4(127, 0, 0, 1, 0), 2, no_source);
  ASSERT_TRUE(first);
  EXPECT_THAT(refusal(listen_group::open(first->local(), 1, no_source)), HasSubstr("this process itself"));
}

TEST(net_port_owner, of_a_killed_server_is_waited_for) {
  auto socket = listen_on("127.0.0.1:0", true);
  const endpoint where = test::name_of(socket.get(), false);
  between_processes left(std::move(socket));
  socket = {};
  std::vector<std::string> told;
  const auto group = listen_group::open(where, 1, no_source, 16, [&](std::string_view text) {
    told.emplace_back(text);
    left.close();
  });
  EXPECT_EQ(refusal(group), "open");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(told[0], HasSubstr("waiting for " + std::string(where.text().view())));
}

TEST(net_port_owner, that_nobody_gives_back_is_not_waited_for_for_ever) {
  auto socket = listen_on("[::1]:0");
  const endpoint where = test::name_of(socket.get(), false);
  const between_processes left(std::move(socket));
  socket = {};
  EXPECT_THAT(refusal(listen_group::open(where, 1, no_source)),
              HasSubstr("a process of user " + std::to_string(::geteuid()) + " that is not to be seen"));
}

TEST(net_port_owner, of_a_socket_that_does_not_listen_is_named_as_such) {
  sockaddr_storage s{};
  const socklen_t n = endpoint::v4(127, 0, 0, 1, 0).to_sockaddr(s);
  const test::fd d(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(d.get(), reinterpret_cast<sockaddr*>(&s), n), 0);
  EXPECT_THAT(refusal(listen_group::open(test::name_of(d.get(), false), 1, no_source)),
              HasSubstr("a socket that does not listen uses the port"));
}

/// It gives its descriptors back after its memory, which takes a while.
TEST(net_port_owner, of_a_process_that_is_being_killed_is_waited_for) {
  auto socket = listen_on("127.0.0.1:0");
  const endpoint where = test::name_of(socket.get(), false);
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t owner = ::fork();
  if (owner == 0) {
    constexpr std::size_t size = std::size_t{256} << 20;
    void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ::madvise(memory, size, MADV_NOHUGEPAGE);
    ::madvise(memory, size, MADV_POPULATE_WRITE);
    (void)!::write(ready[1], "", 1);
    while (true) ::pause();
  }
  socket = {};
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  ::kill(owner, SIGKILL);
  EXPECT_EQ(refusal(listen_group::open(where, 1, no_source)), "open");
  ::waitpid(owner, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(net_port_owner, owner_is_found_for_the_addresses_that_are_in_the_way) {
  struct pair {
    const char* theirs;
    const char* ours;
    bool found;
  };
  for (const pair& p : {pair{"127.0.0.1:0", "127.0.0.1:0", true}, pair{"127.0.0.2:0", "127.0.0.1:0", false},
                        pair{"0.0.0.0:0", "127.0.0.1:0", true}, pair{"127.0.0.1:0", "0.0.0.0:0", true},
                        pair{"127.0.0.1:0", "[::]:0", true}, pair{"[::]:0", "127.0.0.1:0", true},
                        pair{"[::1]:0", "[::]:0", true}, pair{"[::1]:0", "127.0.0.1:0", false},
                        pair{"0.0.0.0:0", "[::1]:0", false}, pair{"[::1]:0", "[::1]:0", true}}) {
    const auto socket = listen_on(p.theirs);
    auto ours = *endpoint::parse(p.ours);
    ours.set_port(test::name_of(socket.get(), false).port());
    const auto owner = find_port_owner(ours);
    EXPECT_EQ(owner.listens, p.found) << p.theirs << " for " << p.ours;
    EXPECT_EQ(owner.pid, p.found ? ::getpid() : 0) << p.theirs << " for " << p.ours;
  }
}

}  // namespace
