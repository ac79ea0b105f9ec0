// SPDX-License-Identifier: MIT
// TCP clients made by hand, whose handshakes take as long as asked: they send a SYN, wait before they send
// the ACK, read one segment of data and reset. Each has an address and port that no client had before, and a
// SYN of its own: what the server says of it can only be right by chance once in 2^64.
//
// They are frames on one end of a veth pair. The namespace that holds that end has no address there, so its
// kernel answers nothing.
#pragma once

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <synfp/capture/source.hpp>
#include <synfp/endpoint.hpp>

#include "../tools/flood/network.hpp"
#include "../tools/support/fd.hpp"
#include "../tools/support/network_namespace.hpp"
#include "report.hpp"

namespace bench {

class raw_clients {
 public:
  static constexpr std::size_t syn_bytes = 60;
  struct result {
    unsigned answered = 0, failed = 0, again = 0;  ///< `again`: SYNs and ACKs that had to be repeated
  };

  /// Joins `net` to a namespace of the clients, which are 198.19.128.0/17 there.
  explicit raw_clients(const flood::network& net) {
    net.own().connect(space_, "s0", "c0", "address 02:00:00:00:00:01");
    space_.inside([&] {
      synfp::tools::ip("link set c0 address 02:00:00:00:00:02 addrgenmode none up\n");
      socket_ = synfp::tools::fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      sockaddr_ll at{};
      at.sll_family = AF_PACKET;
      at.sll_protocol = htons(ETH_P_IP);
      at.sll_ifindex = static_cast<int>(::if_nametoindex("c0"));
      const int room = 32 << 20;
      require(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) == 0 &&
                  ::bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0,
              "cannot open a packet socket");
    });
    net.inside([&] {
      synfp::tools::ip(
          "link set s0 addrgenmode none up\n"
          "addr add 198.19.0.1/16 dev s0\n"
          "neigh add 198.19.0.2 lladdr 02:00:00:00:00:02 dev s0 nud permanent\n"
          "route add 198.19.128.0/17 via 198.19.0.2 dev s0\n");
    });
  }

  /// `count` clients of 198.19.0.1:8080, `together` at once; the ACK follows the SYN-ACK after `delay_ms`.
  /// judge(syn, payload) is called for each that was answered, with its SYN from the IP header on.
  template <class Judge>
  result run(unsigned count, unsigned together, unsigned delay_ms, Judge&& judge) {
    result out;
    std::map<std::uint16_t, client> flying;  // by port
    std::deque<std::pair<std::uint64_t, std::uint16_t>> due;
    const std::uint64_t delay = std::uint64_t{delay_ms} * 1'000'000;
    std::uint64_t next_look = synfp::capture::now_ns() + look_every;
    for (unsigned begun = 0; begun < count || !flying.empty();) {
      for (; begun < count && flying.size() < together; ++begun) {
        client c = make();
        const std::uint16_t port = c.port;
        send_syn(c);
        flying.insert_or_assign(port, c);
      }
      std::uint64_t now = synfp::capture::now_ns();
      for (; !due.empty() && due.front().first <= now; due.pop_front()) {
        const auto found = flying.find(due.front().second);
        if (found == flying.end() || found->second.acked) continue;
        found->second.acked = true;
        found->second.sent = now;
        send_segment(found->second, 0x10);
      }
      if (now >= next_look) {
        next_look = now + look_every;
        for (auto at = flying.begin(); at != flying.end();) {
          client& c = at->second;
          if (now - c.begun > give_up + delay) {
            ++out.failed;
            at = flying.erase(at);
            continue;
          }
          if (now - c.sent > repeat_after && (!c.synced || c.acked)) {
            ++out.again;
            c.sent = now;
            if (c.acked) {
              send_segment(c, 0x10);
            } else {
              send_syn(c);
            }
          }
          ++at;
        }
      }
      std::array<std::uint8_t, 2048> in;
      bool any = false;
      for (int i = 0; i < 256; ++i) {
        const ssize_t n = ::recv(socket_.get(), in.data(), in.size(), 0);
        if (n < 0) break;
        any = true;
        if (n < 14 + 40) continue;
        const std::uint8_t* ip = in.data() + 14;
        const std::size_t header = std::size_t{4} * (ip[0] & 15U);
        const std::uint8_t* tcp = ip + header;
        const std::size_t offset = std::size_t{4} * (tcp[12] >> 4U), total = get16(ip + 2);
        if (ip[0] >> 4 != 4 || ip[9] != 6 || 14 + total > static_cast<std::size_t>(n) ||
            header + offset > total)
          continue;
        const auto found = flying.find(static_cast<std::uint16_t>(get16(tcp + 2)));
        if (found == flying.end() || std::memcmp(ip + 16, found->second.syn.data() + 12, 4) != 0) continue;
        client& c = found->second;
        if (get32(tcp + 8) != c.isn + 1) continue;
        if ((tcp[13] & 0x12) == 0x12 && !c.synced) {
          c.synced = true;
          c.expected = get32(tcp + 4) + 1;
          c.echo = timestamp({tcp + 20, offset - 20});
          c.sent = synfp::capture::now_ns();
          due.emplace_back(c.sent + delay, c.port);
        } else if (c.acked && total > header + offset && get32(tcp + 4) == c.expected) {
          judge(std::span<const std::uint8_t>(c.syn),
                std::string_view(reinterpret_cast<const char*>(tcp) + offset, total - header - offset));
          ++out.answered;
          c.expected += static_cast<std::uint32_t>(total - header - offset);
          send_segment(c, 0x14);
          flying.erase(found);
        }
      }
      if (any) continue;
      now = synfp::capture::now_ns();
      const std::uint64_t until = due.empty() ? next_look : std::min(next_look, due.front().first);
      const std::uint64_t rest = until > now ? until - now : 0;
      pollfd ready{socket_.get(), POLLIN, 0};
      const timespec wait{static_cast<time_t>(rest / 1'000'000'000), static_cast<long>(rest % 1'000'000'000)};
      ::ppoll(&ready, 1, &wait, nullptr);
    }
    return out;
  }

 private:
  static constexpr std::uint64_t look_every = 50'000'000, repeat_after = 1'000'000'000,
                                 give_up = 10'000'000'000;

  struct client {
    std::array<std::uint8_t, syn_bytes> syn;
    std::uint32_t isn = 0, expected = 0, echo = 0, stamp = 0;
    std::uint16_t port = 0;
    bool synced = false, acked = false;
    std::uint64_t begun = 0, sent = 0;
  };

  static std::uint32_t get16(const std::uint8_t* at) {
    return static_cast<std::uint32_t>(at[0]) << 8 | at[1];
  }
  static std::uint32_t get32(const std::uint8_t* at) { return get16(at) << 16 | get16(at + 2); }
  static void put16(std::uint8_t* at, std::uint32_t value) {
    at[0] = static_cast<std::uint8_t>(value >> 8);
    at[1] = static_cast<std::uint8_t>(value);
  }
  static void put32(std::uint8_t* at, std::uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
  }
  static std::uint32_t sum(std::span<const std::uint8_t> bytes) {
    std::uint32_t total = 0;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) total += get16(bytes.data() + i);
    return total;
  }
  static std::uint32_t folded(std::uint32_t total) {
    while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
    return ~total & 0xffff;
  }

  /// Of a packet whose lengths are set.
  static void checksum(std::span<std::uint8_t> packet) {
    put16(&packet[10], 0);
    put16(&packet[10], folded(sum(packet.first(20))));
    put16(&packet[36], 0);
    const auto length = static_cast<std::uint32_t>(packet.size() - 20);
    put16(&packet[36], folded(sum(packet.subspan(12)) + 6 + length));
  }

  static std::uint32_t timestamp(std::span<const std::uint8_t> options) {
    for (std::size_t at = 0; at + 1 < options.size();) {
      if (options[at] == 0) break;
      if (options[at] == 1) {
        ++at;
        continue;
      }
      if (options[at] == 8 && at + 10 <= options.size()) return get32(&options[at + 2]);
      if (options[at + 1] < 2) break;
      at += options[at + 1];
    }
    return 0;
  }

  std::uint32_t number() { return static_cast<std::uint32_t>(random_()); }

  client make() {
    client c;
    if (++port_ == 0) port_ = 1024, ++host_;
    require(host_ < 0x7fff, "out of client addresses");
    c.port = port_;
    c.isn = number();
    c.stamp = number();
    c.begun = synfp::capture::now_ns();
    std::uint8_t* p = c.syn.data();
    const std::uint8_t ip[20] = {0x45, 0, 0, syn_bytes, 0, 0, 0x40, 0, 64, 6};
    std::memcpy(p, ip, 20);
    put16(p + 4, number() & 0xffff);
    put32(p + 12, 0xc6138000U + host_);  // 198.19.128.0
    put32(p + 16, 0xc6130001U);
    put16(p + 20, c.port);
    put16(p + 22, 8080);
    put32(p + 24, c.isn);
    put32(p + 28, 0);
    const std::uint8_t rest[28] = {
        0xa0, 2,  0xfa, 0xf0, 0, 0, 0, 0, 2, 4, 5, 0xb4, 4, 2,
        8,    10, 0,    0,    0, 0, 0, 0, 0, 0, 1, 3,    3, static_cast<std::uint8_t>(number() % 15)};
    std::memcpy(p + 32, rest, 28);
    put16(p + 42, 536 + number() % 925);
    put32(p + 48, c.stamp);
    checksum(c.syn);
    return c;
  }

  void send_frame(std::span<const std::uint8_t> packet) {
    std::array<std::uint8_t, 14 + syn_bytes> out{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    std::memcpy(out.data() + 14, packet.data(), packet.size());
    (void)!::send(socket_.get(), out.data(), 14 + packet.size(), 0);  // what is lost is repeated
  }
  void send_syn(client& c) {
    c.sent = synfp::capture::now_ns();
    send_frame(c.syn);
  }
  void send_segment(const client& c, std::uint8_t flags) {
    std::array<std::uint8_t, 52> packet{};
    std::uint8_t* p = packet.data();
    std::memcpy(p, c.syn.data(), 24);
    put16(p + 2, packet.size());
    put32(p + 24, c.isn + 1);
    put32(p + 28, c.expected);
    p[32] = 0x80;
    p[33] = flags;
    put16(p + 34, 0xfaf0);
    p[40] = 1, p[41] = 1, p[42] = 8, p[43] = 10;
    put32(p + 44, c.stamp + 1);
    put32(p + 48, c.echo);
    checksum(packet);
    send_frame(packet);
  }

  synfp::tools::network_namespace space_;
  synfp::tools::fd socket_;
  std::mt19937 random_{20'261'127};
  std::uint16_t port_ = 1023;
  std::uint32_t host_ = 1;
};

}  // namespace bench
