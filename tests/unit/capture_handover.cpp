// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <synfp/capture/detail/handover.hpp>
#include <synfp/capture/table.hpp>
#include <thread>
#include <vector>

#include "../support/fake_table.hpp"

namespace {

using namespace synfp::capture::detail;
using synfp::errc;
using synfp::capture::table;
using synfp::test::fake_table;
using testing::HasSubstr;

/// A Unix socket in a directory of its own, which serves one client.
class server {
 public:
  explicit server(int type = SOCK_SEQPACKET) {
    char name[] = "/tmp/synfp-handover-XXXXXX";
    directory_ = ::mkdtemp(name);
    address_.sun_family = AF_UNIX;
    std::strcpy(address_.sun_path, path().c_str());
    socket_ = owned_fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0 ||
        ::listen(socket_.get(), 4) != 0)
      throw std::runtime_error("listen");
  }
  ~server() {
    end();
    std::filesystem::remove_all(directory_);
  }
  std::string path() const { return directory_ + "/socket"; }

  void serve(std::function<void(int)> answer) {
    thread_ = std::thread([this, answer = std::move(answer)] {
      const owned_fd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      answer(client.get());
    });
  }
  void end() {
    if (thread_.joinable()) thread_.join();
  }
  void stop_listening() { socket_ = owned_fd(); }

 private:
  std::string directory_;
  sockaddr_un address_{};
  owned_fd socket_;
  std::thread thread_;
};

void send_plain(int client, const void* bytes, std::size_t size) {
  (void)!::send(client, bytes, size, MSG_NOSIGNAL);
}

std::size_t open_descriptors() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

std::string refusal(server& s, std::function<void(int)> answer, errc code, bool with_program = false) {
  const std::size_t before = open_descriptors();
  s.serve(std::move(answer));
  const auto r = receive_pins(s.path(), with_program);
  s.end();
  EXPECT_FALSE(r);
  if (r) return "accepted";
  EXPECT_EQ(open_descriptors(), before) << "what came with it is closed";
  EXPECT_EQ(r.error().code, code);
  return r.error().message;
}

TEST(capture_handover, a_table_comes_over_a_socket) {
  const fake_table fake(4);
  const auto fds = fake.kept_fds();
  const int all[] = {fds.table, fds.meta, fds.counts, fds.pulse};
  server s;
  s.serve([&](int client) { EXPECT_TRUE(hand_over(client, all, 4)); });
  const auto t = table::open(s.path());
  ASSERT_TRUE(t) << t.error().message;
  EXPECT_EQ(t->meta().buckets, 4U);
  EXPECT_TRUE(t->abandoned(synfp::capture::now_ns())) << "the pulse is there";
}

TEST(capture_handover, bad_answers_are_refused_and_their_descriptors_closed) {
  const fake_table fake;
  const auto fds = fake.kept_fds();
  const int all[] = {fds.table, fds.meta, fds.counts, fds.pulse};
  {
    server s;
    EXPECT_THAT(refusal(
                    s, [](int) {}, errc::system),
                HasSubstr("without an answer"));
  }
  {
    server s;
    EXPECT_THAT(refusal(
                    s, [](int client) { send_plain(client, "hello, you", 10); }, errc::incompatible),
                HasSubstr("not the socket of synfpd"));
  }
  for (const std::uint32_t magic : {0U, SYNFP_ABI_MAGIC + 1U}) {
    server s;
    const handover_message m{magic, SYNFP_ABI_VERSION, 4};
    EXPECT_THAT(refusal(
                    s, [&](int client) { send_plain(client, &m, sizeof m); }, errc::incompatible),
                HasSubstr("not the socket of synfpd"));
  }
  {
    server s;
    const handover_message m{SYNFP_ABI_MAGIC, SYNFP_ABI_VERSION + 1, 4};
    EXPECT_THAT(refusal(
                    s, [&](int client) { send_plain(client, &m, sizeof m); }, errc::incompatible),
                HasSubstr("of another version (ABI " + std::to_string(SYNFP_ABI_VERSION + 1)));
  }
  for (std::size_t few = 1; few < 4; ++few) {
    server s;
    EXPECT_THAT(refusal(
                    s, [&](int client) { (void)hand_over(client, all, few); }, errc::incompatible),
                HasSubstr("another version"));
  }
  {
    server s;
    EXPECT_THAT(refusal(
                    s, [&](int client) { (void)hand_over(client, all, 4); }, errc::incompatible, true),
                HasSubstr("--hook reuseport"));
  }
}

TEST(capture_handover, descriptors_of_other_files_are_no_table) {
  int pipes[2];
  ASSERT_EQ(::pipe2(pipes, O_CLOEXEC), 0);
  const owned_fd read_end(pipes[0]), write_end(pipes[1]);
  const int all[] = {pipes[0], pipes[0], pipes[1], pipes[1]};
  server s;
  s.serve([&](int client) { (void)hand_over(client, all, 4); });
  const auto t = table::open(s.path());
  ASSERT_FALSE(t);
  EXPECT_EQ(t.error().code, errc::incompatible);
  EXPECT_THAT(t.error().message, HasSubstr("cannot map the metadata"));
}

TEST(capture_handover, a_server_that_says_nothing_is_not_waited_for_without_end) {
  server s;
  bool done = false;
  s.serve([&](int client) {
    char byte = 0;
    done = ::recv(client, &byte, 1, 0) == 0;  // until the client gives up
  });
  const auto r = receive_pins(s.path(), false);
  s.end();
  ASSERT_FALSE(r);
  EXPECT_TRUE(done);
  EXPECT_THAT(r.error().message, HasSubstr("synfpd does not answer"));
}

TEST(capture_handover, what_is_no_such_socket_is_named) {
  server stream(SOCK_STREAM);
  const auto other = receive_pins(stream.path(), false);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().os, EPROTOTYPE);
  server gone;
  gone.stop_listening();
  const auto nobody = receive_pins(gone.path(), false);
  ASSERT_FALSE(nobody);
  EXPECT_THAT(nobody.error().message, HasSubstr("start synfpd"));
  const auto missing = receive_pins(gone.path() + "-not", false);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().os, ENOENT);
  const auto long_name = receive_pins("/" + std::string(200, 'x'), false);
  ASSERT_FALSE(long_name);
  EXPECT_EQ(long_name.error().os, ENAMETOOLONG);
}

TEST(capture_handover, a_client_that_does_not_read_does_not_stop_the_sender) {
  const fake_table fake;
  const auto fds = fake.kept_fds();
  const int all[] = {fds.table, fds.meta, fds.counts, fds.pulse};
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  const owned_fd sender(ends[0]);
  owned_fd client(ends[1]);
  int sent = 0;
  while (sent < 100'000 && hand_over(sender.get(), all, 4)) ++sent;
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, 100'000);
  client = owned_fd();
  EXPECT_FALSE(hand_over(sender.get(), all, 4)) << "gone, and no SIGPIPE";
}

}  // namespace
