// SPDX-License-Identifier: MIT
// Real clients of a real listener that is being flooded: for the benchmarks of records under a SYN flood.
//
// The listener and the flood are in one network namespace (tools/flood/network.hpp), the clients in another,
// at the other end of a veth pair of their own, with addresses that the flood does not use. A witness says
// what a client really sent: an XDP program on the server's end of that pair, independent of the hook under
// test.
#pragma once

#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>
#include <vector>

#include "../tools/flood/attack.hpp"
#include "peers.hpp"
#include "report.hpp"

namespace bench {

/// How a record compares with what the client sent.
enum class verdict { own, wrong };

/// One connection: opened by connect(), then accepted.
struct client {
  synfp::tools::fd socket, accepted;
  synfp::endpoint peer;
};

class scene {
 public:
  static synfp::endpoint server() { return synfp::endpoint::v4(198, 19, 0, 1, BENCH_PORT); }

  /// The calling thread is in the clients' namespace from here on.
  explicit scene(const peers& programs) {
    network.own().connect(clients_, "s0", "c0", "address 02:00:00:00:00:01");
    clients_.enter();
    // The first packet would wait for ARP; a client's address is never asked for.
    synfp::tools::ip(
        "link set c0 address 02:00:00:00:00:02 up\n"
        "addr add 198.19.0.2/16 dev c0\n"
        "route add local 198.19.128.0/17 dev lo\n"
        "neigh add 198.19.0.1 lladdr 02:00:00:00:00:01 dev c0 nud permanent\n");
    network.inside([&] {
      synfp::tools::ip(
          "link set s0 up\n"
          "addr add 198.19.0.1/16 dev s0\n"
          "route add 198.19.128.0/17 via 198.19.0.2 dev s0\n"
          "neigh add 198.19.0.2 lladdr 02:00:00:00:00:02 dev s0 nud permanent\n");
      witness_ = synfp::tools::attach_xdp(programs.program("bench_witness"), ::if_nametoindex("s0"),
                                          XDP_FLAGS_SKB_MODE);
    });
    truth_ = programs.object().view_of<bench_truth>("bench_truth_map", 65536);
  }
  scene(const scene&) = delete;
  scene& operator=(const scene&) = delete;

  /// A new listener in the flooded namespace: nothing of an earlier flood waits in its queue. `prepare`
  /// attaches the source, between bind and listen.
  template <class Prepare>
  synfp::tools::fd listen(int backlog, Prepare&& prepare) const {
    return network.inside([&] {
      synfp::tools::fd s(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      const int on = 1;
      sockaddr_storage any;
      const socklen_t length = synfp::endpoint::v4(0, 0, 0, 0, BENCH_PORT).to_sockaddr(any);
      require(::setsockopt(s.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
                  ::bind(s.get(), reinterpret_cast<sockaddr*>(&any), length) == 0,
              "cannot bind");
      prepare(s.get());
      require(::listen(s.get(), backlog) == 0, "cannot listen");
      return s;
    });
  }

  /// Begins to connect, from an address and port that no client had before.
  client connect() {
    if (++port_ == 0) port_ = 16384, ++host_;
    require(host_ < 0x7fff, "out of client addresses");
    client c;
    c.peer = synfp::endpoint::v4(198, 19, static_cast<std::uint8_t>(128 + (host_ >> 8)),
                                 static_cast<std::uint8_t>(host_), port_);
    c.socket = synfp::tools::fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const linger reset{1, 0};
    sockaddr_storage from, to;
    const socklen_t length = c.peer.to_sockaddr(from);
    server().to_sockaddr(to);
    ::setsockopt(c.socket.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    require(::bind(c.socket.get(), reinterpret_cast<sockaddr*>(&from), length) == 0, "a client cannot bind");
    require(::connect(c.socket.get(), reinterpret_cast<sockaddr*>(&to), length) == 0 || errno == EINPROGRESS,
            "a client cannot connect");
    return c;
  }

  /// Accepts one; gives it to the client among `waiting` that opened it. Null after `patience` ms.
  client* accept(int listener, std::span<client> waiting, int patience = 3000) {
    sockaddr_storage from;
    for (;;) {
      socklen_t length = sizeof from;
      synfp::tools::fd s(::accept4(listener, reinterpret_cast<sockaddr*>(&from), &length, SOCK_CLOEXEC));
      if (s.get() < 0) {
        require(errno == EAGAIN || errno == ECONNABORTED, "accept");
        pollfd ready{listener, POLLIN, 0};
        if (::poll(&ready, 1, patience) != 1) return nullptr;
        continue;
      }
      const auto peer = synfp::endpoint::from_sockaddr(from, length).value();
      for (client& c : waiting) {
        if (c.peer != peer) continue;
        const linger reset{1, 0};
        ::setsockopt(s.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        c.accepted = std::move(s);
        return &c;
      }
    }
  }

  /// Whether a record is this client's SYN, byte by byte.
  verdict judge(const client& c, std::span<const std::uint8_t> record) const {
    const bench_truth& t = truth_.get()[c.peer.port()];
    require(t.copies != 0, "the witness did not see a client's SYN");
    const auto same = [&](const std::uint8_t* sent) {
      return record.size() == BENCH_SYN_BYTES && std::memcmp(record.data(), sent, BENCH_SYN_BYTES) == 0;
    };
    return same(t.first) || (t.copies > 1 && same(t.last)) ? verdict::own : verdict::wrong;
  }

  std::uint64_t count(const char* counter) const { return network.counters().at(counter); }
  std::uint64_t cookies() const { return count("TcpExt.SyncookiesSent"); }

  /// For the next flood: other SYNs than those before, which would count as their copies.
  flood::options flood_options() {
    flood::options o;
    o.port = BENCH_PORT;
    o.seed = ++floods_;
    return o;
  }

  flood::network network;

 private:
  synfp::tools::network_namespace clients_;
  synfp::tools::fd witness_;
  synfp::tools::bpf_loader::view<bench_truth> truth_;
  std::uint16_t port_ = 16383;
  unsigned host_ = 1;
  std::uint64_t floods_ = 0;
};

/// One way to find the SYN of an accepted connection. `look` is what is timed: it finds or misses; `record`
/// gives what it found, from the IP header on.
class way {
 public:
  virtual ~way() = default;
  virtual const char* name() const = 0;
  virtual void prepare(int listener) = 0;
  virtual bool look(const synfp::capture::connection& c, std::uint64_t now) = 0;
  virtual std::span<const std::uint8_t> record() const = 0;
  virtual bool verified() const { return false; }
  virtual std::string missed() const { return "not in the map"; }
};

/// A source of the library.
template <class Source>
class library_way final : public way {
 public:
  library_way(const char* name, Source& source) : name_(name), source_(&source) {}
  const char* name() const override { return name_; }
  void prepare(int listener) override {
    const auto prepared = source_->prepare(listener, true);
    if (!prepared) fail(prepared.error().message);
  }
  bool look(const synfp::capture::connection& c, std::uint64_t now) override {
    found_ = source_->claim(c, now);
    return static_cast<bool>(found_);
  }
  std::span<const std::uint8_t> record() const override { return found_->bytes(); }
  bool verified() const override { return found_.proof >= synfp::proof::verified; }
  std::string missed() const override { return std::string(to_string(found_.miss)); }

 private:
  const char* name_;
  Source* source_;
  synfp::syn_lookup found_;
};

/// A hash map that bpf() looks up, the usual design.
class map_way final : public way {
 public:
  map_way(const char* name, const peers& of, const char* map, const char* program)
      : name_(name), of_(&of), map_(of.fd(map)), program_(of.program(program)) {}
  const char* name() const override { return name_; }
  void prepare(int listener) override {
    require(::setsockopt(listener, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program_, sizeof program_) == 0,
            "cannot attach a peer to the listener");
  }
  bool look(const synfp::capture::connection& c, std::uint64_t) override {
    const synfp::synfp_key key = of_->table().key_of(c.peer, c.local);
    return bpf_map_lookup_elem(map_, &key, &slot_) == 0;
  }
  std::span<const std::uint8_t> record() const override {
    static_assert(synfp::SYNFP_IP_BYTES == 40);
    std::memcpy(bytes_.data(), slot_.ip, 20);
    std::memcpy(bytes_.data() + 20, slot_.tcp, 40);
    return bytes_;
  }

 private:
  const char* name_;
  const peers* of_;
  int map_, program_;
  synfp::synfp_slot slot_{};
  mutable std::array<std::uint8_t, BENCH_SYN_BYTES> bytes_{};
};

}  // namespace bench
