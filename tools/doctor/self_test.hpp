// SPDX-License-Identifier: MIT
// Whether a hook finds the SYN of a connection: one is made over loopback, and what the hook gives is
// compared, byte for byte, with what a packet socket saw and with what the kernel saved.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <synfp/capture/detail/hook_traits.hpp>
#include <synfp/capture/detail/loaded_probe.hpp>
#include <synfp/capture/probe_options.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <synfp/capture/socket.hpp>
#include <synfp/net/detail/socket_name.hpp>

#include "cgroup.hpp"
#include "finding.hpp"
#include "isolated.hpp"
#include "own_network.hpp"
#include "process.hpp"
#include "read_text.hpp"

namespace synfp::doctor {

/// What a finding says of a source that must not be used.
inline constexpr const char* wrong_record = "WRONG: the record is not the connection's SYN";

using header_bytes = std::vector<std::uint8_t>;

/// What a source is asked: prepare() between bind() and listen(), claim() for the accepted connection.
struct tested_source {
  std::function<setup_result<void>(int)> prepare;
  std::function<syn_lookup(const capture::connection&)> claim;
};

/// One connection and what everybody says of its SYN.
struct loopback_connection {
  std::string trouble;         ///< there is none, because of this
  bool absent = false;         ///< because this address family is not here
  syn_lookup answer;           ///< the source's
  header_bytes packet, saved;  ///< a packet socket's and the kernel's; empty if there is none
};

namespace detail {

/// IP and TCP header of a SYN from this port; empty if the packet is anything else.
inline header_bytes syn_headers(std::span<const std::uint8_t> packet, std::uint16_t from_port) {
  const bool v6 = !packet.empty() && packet[0] >> 4 == 6;
  const std::size_t at = v6 ? 40 : packet.empty() ? 0 : (packet[0] & 15U) * 4U;
  if (packet.size() < at + 20 || packet[v6 ? 6 : 9] != IPPROTO_TCP) return {};
  const auto tcp = packet.subspan(at);
  if ((tcp[13] & 0x12) != 2 || (tcp[0] << 8 | tcp[1]) != from_port) return {};
  const std::size_t length = at + (tcp[12] >> 4) * 4U;
  if (packet.size() < length) return {};
  return {packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(length)};
}

/// Sees what passes over lo. Not open without CAP_NET_RAW.
class wire {
 public:
  wire() : socket_(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_ll lo{};
    lo.sll_family = AF_PACKET;
    lo.sll_protocol = htons(ETH_P_ALL);
    lo.sll_ifindex = static_cast<int>(::if_nametoindex("lo"));
    if (socket_.get() >= 0 && ::bind(socket_.get(), reinterpret_cast<sockaddr*>(&lo), sizeof lo) != 0)
      socket_ = {};
  }
  header_bytes syn_from(std::uint16_t port) const {
    std::array<std::uint8_t, 2048> packet;
    // Bounded: on a lo that others use too there is no end.
    for (int i = 0; i < 1000; ++i) {
      const ssize_t n = ::recv(socket_.get(), packet.data(), packet.size(), 0);
      if (n < 0) break;
      auto found = syn_headers(std::span(packet).first(static_cast<std::size_t>(n)), port);
      if (!found.empty()) return found;
    }
    return {};
  }

 private:
  synfp::detail::owned_fd socket_;
};

inline bool ready(int fd, short events) {
  pollfd one{fd, events, 0};
  return ::poll(&one, 1, 2000) == 1 && (one.revents & events) != 0;
}

}  // namespace detail

/// Makes a connection over loopback in the network namespace of the caller. Takes 4 s at most.
inline loopback_connection connect_over_loopback(int family, const tested_source& source) {
  loopback_connection made;
  const auto failed = [&made](const char* what) {
    made.trouble = std::string("cannot ") + what + " (" + std::strerror(errno) + ")";
    made.absent = errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL;
    return made;
  };
  sockaddr_storage address{};
  const endpoint loopback = family == AF_INET
                                ? endpoint::v4(127, 0, 0, 1, 0)
                                : endpoint::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0);
  loopback.to_sockaddr(address);
  const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  const synfp::detail::owned_fd listener(
      ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  const int on = 1;
  if (listener.get() < 0 || ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
      ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) != 0)
    return failed("bind to the loopback address");
  ::setsockopt(listener.get(), IPPROTO_TCP, TCP_SAVE_SYN, &on, sizeof on);
  if (const auto prepared = source.prepare(listener.get()); !prepared) {
    made.trouble = prepared.error().message;
    return made;
  }
  socklen_t bound = sizeof address;
  if (::listen(listener.get(), 16) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &bound) != 0)
    return failed("listen");
  const detail::wire wire;
  const synfp::detail::owned_fd client(
      ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (client.get() < 0 ||
      (::connect(client.get(), reinterpret_cast<sockaddr*>(&address), bound) != 0 && errno != EINPROGRESS))
    return failed("connect to the loopback address");
  errno = ETIMEDOUT;
  if (!detail::ready(client.get(), POLLOUT) || !detail::ready(listener.get(), POLLIN))
    return failed("finish a handshake over loopback");
  const synfp::detail::owned_fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  capture::connection c;
  c.fd = accepted.get();
  if (c.fd < 0 || !net::detail::socket_name(::getpeername, c.fd, c.peer) ||
      !net::detail::socket_name(::getsockname, c.fd, c.local))
    return failed("accept a connection over loopback");
  made.answer = source.claim(c);
  made.packet = wire.syn_from(c.peer.port());
  std::array<std::uint8_t, 512> saved;
  socklen_t size = saved.size();
  // Empty under cookies, and if the source has read it.
  if (::getsockopt(c.fd, IPPROTO_TCP, TCP_SAVED_SYN, saved.data(), &size) == 0)
    made.saved.assign(saved.begin(), saved.begin() + static_cast<std::ptrdiff_t>(size));
  return made;
}

/// One line of the self-test.
inline finding test_source(const std::string& name, int family, const tested_source& source) {
  const loopback_connection made = connect_over_loopback(family, source);
  std::vector<std::string> references;
  std::optional<bool> equal;
  const auto finish = [&](status s, std::string what, std::string todo = "") {
    return finding{s, name, std::move(what), std::move(todo),
                   facts()
                       .add("references", references)
                       .add("equal", equal)
                       .add("proof", made.answer ? std::optional<std::string>(to_string(made.answer.proof))
                                                 : std::optional<std::string>())
                       .add("miss", made.answer || !made.trouble.empty()
                                        ? std::optional<std::string>()
                                        : std::optional<std::string>(to_string(made.answer.miss)))
                       .json()};
  };
  if (made.absent)
    return finish(status::unknown, family == AF_INET6 ? "there is no IPv6 here" : "there is no IPv4 here");
  if (!made.trouble.empty()) return finish(status::unknown, made.trouble);
  if (!made.answer)
    return finish(status::no, "no record: " + std::string(to_string(made.answer.miss)),
                  "see docs/guide/misses.md");
  const auto bytes = made.answer->bytes();
  for (const auto& [reference, is] :
       {std::pair{"packet", &made.packet}, std::pair{"saved_syn", &made.saved}}) {
    if (is->empty()) continue;
    references.emplace_back(reference);
    equal = equal.value_or(true) && std::equal(is->begin(), is->end(), bytes.begin(), bytes.end());
  }
  if (!equal)
    return finish(status::unknown, "a record, and nothing to compare it with: that needs CAP_NET_RAW");
  if (!*equal)
    return finish(status::no, wrong_record,
                  "do not use this hook, and report it with the output of synfp doctor --json");
  std::string against = references.front();
  if (references.size() > 1) against += " and " + references.back();
  return finish(status::ok, std::to_string(bytes.size()) + " bytes, equal to " + against + "; proof " +
                                std::string(to_string(made.answer.proof)));
}

/// IPv4 and IPv6, with cookies as they are and for every connection. `own`: in a network of the caller's own.
inline void test_families(const std::string& name, bool own, const tested_source& source, const report& say) {
  for (const bool cookies : {false, true}) {
    for (const int family : {AF_INET, AF_INET6}) {
      const std::string title = name + (family == AF_INET ? ".ipv4" : ".ipv6") + (cookies ? ".cookies" : "");
      if (cookies && (!own || !write_sysctl("net/ipv4/tcp_syncookies", "2"))) {
        say({status::unknown, title,
             own ? "net.ipv4.tcp_syncookies cannot be set here"
                 : "cookies are not switched on for others: it needs a network namespace of its own"});
      } else {
        say(test_source(title, family, source));
      }
    }
  }
}

/// The kernel's own copy. Under cookies there is none, so only without.
inline void test_saved_syn(const report& say) {
  const bool own = enter_own_network().empty();
  capture::saved_syn saved;
  const tested_source source{[&](int fd) { return saved.prepare(fd, true); },
                             [&](const capture::connection& c) { return saved.claim(c, capture::now_ns()); }};
  if (own) write_sysctl("net/ipv4/tcp_syncookies", "1");
  for (const int family : {AF_INET, AF_INET6}) {
    finding one = test_source(family == AF_INET ? "self_test.saved_syn.ipv4" : "self_test.saved_syn.ipv6",
                              family, source);
    // Without a packet socket nothing else knows it; but it is the kernel's own.
    if (one.status == status::unknown && one.values.find(R"("proof":"exact")") != std::string::npos) {
      one.status = status::ok;
      one.what = "the kernel's own copy; not compared with the packet, which needs CAP_NET_RAW";
    }
    say(std::move(one));
  }
}

/// A cgroup for this process alone, below its own, as long as this lives.
class own_cgroup {
 public:
  /// `directory`: where it is to be; empty: nowhere.
  explicit own_cgroup(std::string directory) : directory_(std::move(directory)) {
    if (directory_.empty() || ::mkdir(directory_.c_str(), 0755) != 0) return;
    before_ = directory_.substr(0, directory_.rfind('/'));
    entered_ = enter(directory_);
  }
  ~own_cgroup() {
    if (entered_) enter(before_);
    if (!before_.empty()) ::rmdir(directory_.c_str());
  }
  own_cgroup(const own_cgroup&) = delete;
  own_cgroup& operator=(const own_cgroup&) = delete;

  bool entered() const { return entered_; }
  const std::string& directory() const { return directory_; }

  /// A name that nobody else uses; empty where none can be made. If a check is killed, whoever started it
  /// removes the directory.
  static std::string unused_directory() {
    const cgroup_place at = find_cgroup();
    if (!at.mount || !at.path || at.outside) return {};
    return at.directory() + "/synfp-doctor-" + std::to_string(::getpid());
  }

 private:
  static bool enter(const std::string& directory) {
    const synfp::detail::owned_fd file(::open((directory + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    return file.get() >= 0 && ::write(file.get(), "0", 1) == 1;
  }
  std::string directory_, before_;
  bool entered_ = false;
};

inline void test_hook(synfp_u8 which, const std::string& cgroup_directory, const report& say) {
  using capture::detail::attachment;
  const auto& traits = capture::detail::traits_of(which);
  const std::string name = hook_name(which);
  const std::string missing = capture::detail::missing_capabilities(traits);
  // What this attaches is seen by nobody else: it is in a network and a cgroup of this process's own, or on
  // a listener of its own.
  const bool in_cgroup = traits.attached_to == attachment::cgroup;
  const own_cgroup cgroup(in_cgroup ? cgroup_directory : std::string());
  const std::string trouble = enter_own_network();
  const bool own = trouble.empty();
  if (own) write_sysctl("net/ipv4/tcp_syncookies", "1");
  capture::probe_options options;
  // No interface has a name with a slash: the program is loaded, and attaching fails for that reason.
  const bool on_interface = capture::detail::is_of_interfaces(traits.attached_to);
  if (on_interface) options.interfaces = {own ? "lo" : "/"};
  if (in_cgroup) {
    if (!cgroup.entered()) {
      say({missing.empty() ? status::unknown : status::no, "hook." + name,
           missing.empty() ? "not tried: no cgroup of version 2 can be made below that of this process"
                           : "missing " + missing,
           "see the line of the cgroup",
           facts()
               .add("loads", std::optional<bool>())
               .add("missing", missing.empty() ? std::optional<std::string>() : missing)
               .add("attaches_to", "cgroup")
               .json()});
      return;
    }
    options.cgroups = {cgroup.directory()};
  }
  auto opened =
      capture::detail::loaded_probe::open({.hook = static_cast<hook>(which), .buckets = 256}, options);
  const bool only_loaded =
      !opened && on_interface && !own && opened.error().code == errc::invalid && opened.error().os == ENODEV;
  say({opened || only_loaded ? status::ok : status::no, "hook." + name,
       opened || only_loaded ? "loads" : opened.error().message, "",
       facts()
           .add("loads", opened || only_loaded)
           .add("missing", missing.empty() ? std::optional<std::string>() : missing)
           .add("attaches_to", on_interface ? "interface"
                               : in_cgroup  ? "cgroup"
                                            : "listener")
           .json()});
  if (!opened && !only_loaded) return;
  if (!opened) {
    say({status::unknown, "self_test." + name, "not tried: " + trouble, "run it as root"});
    return;
  }
  const capture::socket socket;
  const tested_source source{[&](int fd) { return opened->prepare(fd, true); },
                             [&](const capture::connection& c) {
                               return in_cgroup ? socket.claim(c, capture::now_ns())
                                                : opened->records().claim(c, capture::now_ns());
                             }};
  test_families("self_test." + name, own, source, say);
}

}  // namespace synfp::doctor
