// SPDX-License-Identifier: MIT
// drop_privileges(): what is gone, for whom, and that it does not come back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <fstream>
#include <sstream>
#include <synfp/privilege.hpp>
#include <thread>

#include "../support/process.hpp"
#include "../support/sockets.hpp"

namespace {

using namespace synfp::test;
using synfp::drop_privileges;

/// The lines of a status file that tell of privileges, without tabs.
std::string privileges(const std::string& status) {
  std::ifstream file(status);
  std::string text, line;
  while (std::getline(file, line)) {
    if (!line.starts_with("Cap") && !line.starts_with("NoNewPrivs")) continue;
    line.replace(line.find('\t'), 1, "");
    text += line + '\n';
  }
  return text;
}

constexpr const char* nothing =
    "CapInh:0000000000000000\nCapPrm:0000000000000000\nCapEff:0000000000000000\nCapBnd:0000000000000000\n"
    "CapAmb:0000000000000000\nNoNewPrivs:1\n";

std::string in_words(const synfp::setup_result<void>& r) { return r ? "dropped" : r.error().message; }

/// One capability that an executed program would keep even without being root's.
void make_ambient(int cap) {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct data[2]{};
  must(::syscall(SYS_capget, &header, data) == 0, "read the capabilities");
  data[cap / 32].inheritable |= 1U << (cap % 32);
  must(::syscall(SYS_capset, &header, data) == 0, "set the capabilities");
  must(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0, "set PR_CAP_AMBIENT_RAISE");
}

TEST(privilege, is_gone_from_every_set_and_for_threads_to_come) {
  EXPECT_EQ(in_child([] {
              make_ambient(CAP_NET_ADMIN);
              if (auto done = drop_privileges(); !done) return done.error().message;
              std::string of_thread;
              std::thread([&] { of_thread = privileges("/proc/thread-self/status"); }).join();
              if (of_thread != nothing) return "thread: " + of_thread;
              return privileges("/proc/self/status");
            }),
            nothing);
}

TEST(privilege, does_not_come_back_with_a_program_that_root_executes) {
  EXPECT_EQ(in_child([] {
              if (auto done = drop_privileges(); !done) return done.error().message;
              command("grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr -d '\\t' > /tmp/synfp-privileges." +
                      std::to_string(::getppid()));
              return std::string("ran");
            }),
            "ran");
  const std::string file = "/tmp/synfp-privileges." + std::to_string(::getpid());
  EXPECT_EQ(privileges("/dev/null"), "");
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  ::unlink(file.c_str());
  EXPECT_EQ(text.str(), nothing);
}

TEST(privilege, goes_without_the_right_to_empty_the_bounding_set) {
  EXPECT_THAT(in_child([] {
                must(::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && ::setresuid(12345, 12345, 12345) == 0,
                     "setresuid");
                __user_cap_header_struct header{};
                header.version = _LINUX_CAPABILITY_VERSION_3;
                __user_cap_data_struct data[2]{};
                data[0].permitted = data[0].effective = 1U << CAP_NET_ADMIN;
                must(::syscall(SYS_capset, &header, data) == 0, "set the capabilities");
                if (auto done = drop_privileges(); !done) return done.error().message;
                return privileges("/proc/self/status");
              }),
              testing::AllOf(testing::HasSubstr("CapPrm:0000000000000000\nCapEff:0000000000000000\n"),
                             testing::HasSubstr("CapAmb:0000000000000000\nNoNewPrivs:1\n")));
}

TEST(privilege, of_another_thread_would_stay_so_it_is_refused) {
  EXPECT_THAT(in_child([] {
                std::string answer;
                std::thread([&] { answer = in_words(drop_privileges()); }).join();
                return answer;
              }),
              testing::HasSubstr("before the first other thread"));
}

}  // namespace
