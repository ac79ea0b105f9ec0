// SPDX-License-Identifier: MIT
// Where a flood happens: a network namespace that was made for it.
//
//   flood0 198.18.0.1/24 fd73:796e:6670::1/64   receives the SYNs; route of every answer to a spoofed source
//   flood1 (its veth peer)                      counts and drops the answers
#pragma once

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <synfp/endpoint.hpp>

#include "../support/bpf_loader.hpp"
#include "../support/network_namespace.hpp"
#include "program.hpp"

namespace flood {

using synfp::tools::failure;

/// A network namespace with the veth pair flood0/flood1. It has no name: it ends with this object and with
/// whoever is in it.
class network {
 public:
  static constexpr const char* inside_name = "flood0";
  static constexpr const char* outside_name = "flood1";

  /// Where servers are flooded: addresses of flood0.
  static synfp::endpoint target_v4(std::uint16_t port) { return synfp::endpoint::v4(198, 18, 0, 1, port); }
  static synfp::endpoint target_v6(std::uint16_t port) {
    return synfp::endpoint::v6({0xfd, 0x73, 0x79, 0x6e, 0x66, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port);
  }

  /// The calling thread stays where it is.
  network() {
    own_.inside([this] { set_up(); });
  }
  network(const network&) = delete;
  network& operator=(const network&) = delete;

  /// Takes the calling thread into the namespace, for good. Every flooding thread does it before its first
  /// frame: the kernel looks for the interface in the namespace of the thread.
  void enter() const {
    own_.enter();
    check();
  }
  /// Runs `what` with the calling thread in the namespace.
  template <class F>
  auto inside(F&& what) const {
    return own_.inside([&] {
      check();
      return what();
    });
  }
  /// Throws unless the calling thread is in the namespace that this object made and flood0 is what it was.
  void check() const {
    check_thread();
    if (::if_nametoindex(inside_name) != inside_index_ || ::if_nametoindex(outside_name) != outside_index_)
      throw failure("the flood's interfaces were removed or renamed; leave flood0 and flood1 alone");
  }

  /// The part of check() that is cheap enough for every batch.
  void check_thread() const {
    if (!own_.is_current())
      throw failure(
          "the flood runs in the network namespace that it made and nowhere else; this thread is in another");
  }

  const synfp::tools::network_namespace& own() const { return own_; }
  unsigned inside_index() const { return inside_index_; }
  unsigned outside_index() const { return outside_index_; }
  /// Answers to spoofed sources, repeated ones included.
  std::uint64_t syn_acks() const { return sink_->syn_acks(); }
  std::uint64_t resets() const { return sink_->resets(); }

  /// The counters of /proc/net/netstat and snmp (nstat(8)), by name, "TcpExt.SyncookiesSent" for instance.
  std::map<std::string, std::uint64_t> counters() const {
    return inside([] {
      std::map<std::string, std::uint64_t> all;
      for (const char* file : {"/proc/thread-self/net/netstat", "/proc/thread-self/net/snmp"}) {
        std::ifstream in(file);
        for (std::string names, values; std::getline(in, names) && std::getline(in, values);) {
          std::istringstream name(names), value(values);
          std::string group, skipped, one;
          name >> group;
          value >> skipped;
          group.back() = '.';
          for (long long number = 0; name >> one && value >> number;)
            all[group + one] = static_cast<std::uint64_t>(number);
        }
      }
      return all;
    });
  }
  /// Writes `value` to /proc/sys/`name` in the namespace.
  void sysctl(const std::string& name, const std::string& value) const { own_.sysctl(name, value); }

 private:
  void set_up() {
    // The answers find a way back, to one neighbour: without a route the stack drops a SYN before the
    // listener.
    synfp::tools::ip(
        "link add flood0 address 02:73:79:6e:66:00 type veth peer name flood1 address 02:73:79:6e:66:01\n"
        "link set flood0 addrgenmode none\nlink set flood1 addrgenmode none\n"
        "link set flood0 up\nlink set flood1 up\n"
        "addr add 198.18.0.1/24 dev flood0\n"
        "neigh add 198.18.0.2 lladdr 02:73:79:6e:66:01 dev flood0 nud permanent\n"
        "route add default via 198.18.0.2 dev flood0\n");
    if (synfp::tools::network_namespace::has_v6())
      synfp::tools::ip(
          "addr add fd73:796e:6670::1/64 dev flood0 nodad\n"
          "neigh add fd73:796e:6670::2 lladdr 02:73:79:6e:66:01 dev flood0 nud permanent\n"
          "route add ::/0 via fd73:796e:6670::2 dev flood0\n");
    deliver_redirected();
    inside_index_ = ::if_nametoindex(inside_name);
    outside_index_ = ::if_nametoindex(outside_name);
    synfp::tools::must(inside_index_ != 0 && outside_index_ != 0, "find flood0 and flood1");
    sink_.emplace("flood_sink", flood_config{});
    sink_link_ = synfp::tools::attach_xdp(sink_->fd(), outside_index_, XDP_FLAGS_DRV_MODE);
  }
  // veth takes redirected frames only while it polls (NAPI): with an XDP program of its own, or with GRO on.
  static void deliver_redirected() {
    const synfp::tools::fd s(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ethtool_value on{ETHTOOL_SGRO, 1};
    ifreq request{};
    std::memcpy(request.ifr_name, inside_name, std::strlen(inside_name));
    request.ifr_data = reinterpret_cast<char*>(&on);
    synfp::tools::must(::ioctl(s.get(), SIOCETHTOOL, &request) == 0, "switch on GRO of flood0");
  }

  synfp::tools::network_namespace own_;
  unsigned inside_index_ = 0, outside_index_ = 0;
  std::optional<detail::program> sink_;
  synfp::tools::fd sink_link_;
};

}  // namespace flood
