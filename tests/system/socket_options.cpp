// SPDX-License-Identifier: MIT
// With a probe in its cgroup, a socket answers every option as before, but for TCP_SAVED_SYN and
// SYNFP_SO_SYN: the same error, the same length, the same bytes, and nothing written beyond them.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <sys/un.h>

#include <synfp/socket.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <synfp/capture/probe.hpp>
#include <vector>

#include "../support/cgroup.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::endpoint;
using synfp::hook;
using synfp::probe_config;

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

// How the kernel is asked.
struct asking {
  const char* name;
  socklen_t length;
  enum { good, null, bad } buffer = good;
  bool bad_length = false;
};
constexpr asking askings[] = {
    {"0 bytes", 0},
    {"1 byte", 1},
    {"4 bytes", 4},
    {"8 bytes", 8},
    {"64 bytes", 64},
    {"4096 bytes", 4096},
    {"5000 bytes", 5000},
    {"100000 bytes", 100'000},
    {"a null buffer of 0 bytes", 0, asking::null},
    {"a null buffer", 64, asking::null},
    {"a bad buffer", 64, asking::bad},
    {"a bad buffer of 0 bytes", 0, asking::bad},
    {"a bad length", 64, asking::good, true},
    {"a negative length", static_cast<socklen_t>(-1)},
    {"the most negative length", 0x80000000U},
};

struct level {
  const char* name;
  int number, first, last;
};
constexpr level levels[] = {
    {"SOL_SOCKET", SOL_SOCKET, 1, 90}, {"IPPROTO_TCP", IPPROTO_TCP, 1, 45},
    {"IPPROTO_IP", IPPROTO_IP, 1, 90}, {"IPPROTO_IPV6", IPPROTO_IPV6, 1, 90},
    {"SOL_MPTCP", 284, 1, 5},          {"an unknown level", 4242, 1, 2},
};

struct reply {
  int error;
  socklen_t length;
  std::string written;  // of the buffer, up to the last byte that is not as it was
  bool operator==(const reply&) const = default;
};
/// level, option, which asking
using question = std::array<int, 3>;
using survey = std::map<question, reply>;

/// The options that differ between two moments of one socket, or that make a descriptor.
bool varies(int lev, int name) {
  return (lev == SOL_SOCKET && (name == SO_INCOMING_CPU || name == SO_COOKIE || name == SO_MEMINFO ||
                                name == 77 /* SO_PEERPIDFD */ || name == SO_INCOMING_NAPI_ID)) ||
         (lev == IPPROTO_TCP &&
          (name == TCP_INFO || name == TCP_CC_INFO || name == TCP_TIMESTAMP || name == TCP_ZEROCOPY_RECEIVE));
}

reply ask(int s, int lev, int name, const asking& a) {
  static std::string buffer;
  buffer.assign(a.length <= 100'000 ? a.length + 64 : 64, '\xa5');
  socklen_t length = a.length;
  void* to = a.buffer == asking::good   ? buffer.data()
             : a.buffer == asking::null ? nullptr
                                        : reinterpret_cast<void*>(8);
  socklen_t* n = a.bad_length ? reinterpret_cast<socklen_t*>(8) : &length;
  reply r{};
  if (::getsockopt(s, lev, name, to, n) != 0) r.error = errno;
  r.length = length;
  r.written = buffer.substr(0, buffer.find_last_not_of('\xa5') + 1);
  return r;
}

survey survey_of(int s) {
  survey all;
  for (const level& l : levels) {
    for (int name = l.first; name <= l.last; ++name) {
      for (std::size_t i = 0; i < std::size(askings); ++i) {
        reply r = ask(s, l.number, name, askings[i]);
        if (varies(l.number, name)) r.written.clear();
        all[{l.number, name, static_cast<int>(i)}] = std::move(r);
      }
    }
  }
  return all;
}

std::string text_of(const question& q, const reply& before, const reply& now) {
  std::string text;
  for (const level& l : levels) {
    if (l.number == q[0]) text = l.name;
  }
  const auto one = [](const reply& r) {
    std::string s = r.error != 0 ? std::strerror(r.error) : "success";
    s += ", length " + std::to_string(static_cast<int>(r.length)) + ", " + std::to_string(r.written.size()) +
         " bytes:";
    for (const char c : r.written.substr(0, 8)) s += ' ' + std::to_string(static_cast<unsigned char>(c));
    return s;
  };
  return text + ' ' + std::to_string(q[1]) + " with " + askings[q[2]].name + ": " + one(before) +
         "; with the probe: " + one(now) + '\n';
}

/// What any program of a cgroup changes, whatever it does: the kernel checks these before and after it.
bool changed_by_the_kernel(const question& q, const reply& now) {
  const asking& a = askings[q[2]];
  // A negative length is refused before the program runs, for options too that do not exist.
  if (static_cast<int>(a.length) < 0) return now.error == EINVAL;
  return false;
}

class socket_options : public testing::Test {
 protected:
  struct sockets {
    std::vector<std::pair<const char*, fd>> each;
    std::vector<fd> others;
  };

  static fd opened(int family, int type, int protocol) {
    fd s(::socket(family, type | SOCK_CLOEXEC, protocol));
    must(static_cast<bool>(s), "open a socket");
    return s;
  }
  static fd listening(fd s) {
    sockaddr_storage a;
    const socklen_t n = endpoint::parse("10.77.0.1:0")->to_sockaddr(a);
    must(::bind(s.get(), reinterpret_cast<sockaddr*>(&a), n) == 0 && ::listen(s.get(), 4) == 0, "listen");
    return s;
  }
  static void filter(const fd& s) {
    sock_filter pass[] = {{BPF_RET | BPF_K, 0, 0, 0xffffffff},
                          {BPF_RET | BPF_K, 0, 0, 0xffffffff},
                          {BPF_RET | BPF_K, 0, 0, 0xffffffff}};
    const sock_fprog program{3, pass};
    must(::setsockopt(s.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0,
         "attach a filter");
  }

  sockets make() const {
    return hosts_.server.inside([&] {
      const cgroup::membership inside(group_);
      sockets s;
      fd listener = listening(opened(AF_INET, SOCK_STREAM, 0));
      fd client = connected(local_of(listener.get()));
      s.each.emplace_back("accepted", accepted(listener));
      s.each.emplace_back("client", std::move(client));
      s.each.emplace_back("listening", std::move(listener));
      s.each.emplace_back("TCP", opened(AF_INET, SOCK_STREAM, 0));
      s.each.emplace_back("TCP over IPv6", opened(AF_INET6, SOCK_STREAM, 0));
      s.each.emplace_back("with a filter", opened(AF_INET, SOCK_STREAM, 0));
      filter(s.each.back().second);
      s.each.emplace_back("UDP", opened(AF_INET, SOCK_DGRAM, 0));
      s.each.emplace_back("raw", opened(AF_INET, SOCK_RAW, IPPROTO_TCP));
      // Its number is that of TCP. A module, which not every kernel has.
      if (fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 6 /* NETLINK_XFRM */)); netlink)
        s.each.emplace_back("netlink", std::move(netlink));
      int ends[2];
      must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "make a pair of sockets");
      s.each.emplace_back("Unix", ends[0]);
      s.others.emplace_back(ends[1]);
      fd mptcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP));
      if (mptcp) {
        fd l = listening(std::move(mptcp));
        fd c = opened(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
        sockaddr_storage a;
        const socklen_t n = local_of(l.get()).to_sockaddr(a);
        must(::connect(c.get(), reinterpret_cast<sockaddr*>(&a), n) == 0, "connect by MPTCP");
        s.each.emplace_back("accepted by MPTCP", accepted(l));
        s.each.emplace_back("client of MPTCP", std::move(c));
        s.each.emplace_back("listening for MPTCP", std::move(l));
      }
      return s;
    });
  }

  std::vector<survey> surveys_of(const sockets& s) const {
    return hosts_.server.inside([&] {
      std::vector<survey> all;
      for (const auto& [name, one] : s.each) all.push_back(survey_of(one.get()));
      return all;
    });
  }

  template <hook H>
  auto probe() const {
    synfp::capture::probe_options options;
    options.cgroups = {group_.path()};
    return hosts_.server.inside(
        [&] { return synfp::capture::probe<probe_config{.hook = H, .buckets = 64}>(options); });
  }

  two_hosts hosts_;
  cgroup group_;
};

TEST_F(socket_options, others_are_as_without_a_probe) {
  const sockets plain = make(), again = make();
  const auto first = surveys_of(plain), second = surveys_of(again);
  const auto p = probe<hook::sockops>();
  for (const bool older : {true, false}) {
    const sockets covered = older ? sockets{} : make();
    const sockets& asked = older ? plain : covered;
    const auto with = surveys_of(asked);
    ASSERT_EQ(with.size(), first.size());
    for (std::size_t i = 0; i < with.size(); ++i) {
      std::string text;
      int same = 0;
      for (const auto& [q, now] : with[i]) {
        reply before = first[i].at(q), after = now;
        // What no two sockets have alike: their ports, for instance.
        if (before.written != second[i].at(q).written) before.written = after.written = "";
        // Read by themselves, below and in other tests.
        if (q[0] == IPPROTO_TCP && (q[1] == TCP_SAVED_SYN || (!older && q[1] == TCP_SAVE_SYN))) continue;
        if (before == after) {
          ++same;
        } else if (!changed_by_the_kernel(q, after)) {
          text += text_of(q, before, after);
        }
      }
      EXPECT_EQ(text, "") << asked.each[i].first << (older ? ", older than the probe" : "");
      EXPECT_GT(same, 3000);
    }
  }
}

// The private option is there for connections alone.
TEST_F(socket_options, the_private_option_is_of_tcp_alone) {
  const auto p = probe<hook::sockops>();
  const sockets covered = make();
  hosts_.server.inside([&] {
    for (const auto& [name, s] : covered.each) {
      const std::string kind = name;
      synfp_socket_answer answer{};
      const int result = synfp_socket_syn(s.get(), &answer), error = errno;
      if (kind == "UDP" || kind == "raw" || kind == "netlink" || kind == "Unix") {
        EXPECT_NE(result, 0) << kind;
        EXPECT_EQ(error, ENOPROTOOPT) << kind;
      } else {
        EXPECT_EQ(result, 0) << kind << ": " << std::strerror(error);
        EXPECT_EQ(answer.status, kind == "accepted" ? SYNFP_SOCKET_FOUND : SYNFP_SOCKET_UNKNOWN) << kind;
      }
      // The length that is given is that of the buffer, and nothing behind it is written.
      for (const socklen_t room : {0U, 1U, 4U, static_cast<socklen_t>(sizeof answer) - 1}) {
        std::array<unsigned char, sizeof answer> b;
        b.fill(0xa5);
        socklen_t n = room;
        EXPECT_NE(::getsockopt(s.get(), SOL_SOCKET, SYNFP_SO_SYN, b.data(), &n), 0) << kind;
        EXPECT_EQ(errno, result == 0 ? EINVAL : ENOPROTOOPT) << kind;
        EXPECT_EQ(n, room);
        EXPECT_EQ(std::count(b.begin(), b.end(), 0xa5), static_cast<int>(b.size())) << kind;
      }
    }
  });
}

}  // namespace
