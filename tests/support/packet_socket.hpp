// SPDX-License-Identifier: MIT
// Packet sockets: what was on the wire, and a client made by hand.
#pragma once

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <time.h>

#include <string>

#include "packet_builder.hpp"
#include "sockets.hpp"

namespace synfp::test {

/// On one interface of the calling thread's network namespace; packets from the IP header on.
class packet_socket {
 public:
  explicit packet_socket(const std::string& interface)
      : index_(::if_nametoindex(interface.c_str())),
        socket_(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
    must(index_ != 0 && socket_, "open a packet socket");
    sockaddr_ll a{};
    a.sll_family = AF_PACKET;
    a.sll_protocol = htons(ETH_P_ALL);
    a.sll_ifindex = static_cast<int>(index_);
    must(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0, "bind a packet socket");
  }
  unsigned index() const { return index_; }

  /// The next incoming TCP packet with these ports and flags; empty after five seconds.
  bytes next(std::uint16_t from_port, std::uint16_t to_port, std::uint8_t flags) const {
    while (readable(socket_.get())) {
      bytes b(65536);
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      const ssize_t n =
          ::recvfrom(socket_.get(), b.data(), b.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (n < 40 || from.sll_pkttype == PACKET_OUTGOING) continue;
      b.resize(static_cast<std::size_t>(n));
      const std::size_t tcp = b[0] >> 4 == 4 ? (b[0] & 15U) * 4U : 40;
      if (b.size() < tcp + 20) continue;
      if (b[tcp] * 256 + b[tcp + 1] == from_port && b[tcp + 2] * 256 + b[tcp + 3] == to_port &&
          b[tcp + 13] == flags)
        return b;
    }
    return {};
  }
  /// Sends a whole Ethernet frame.
  void send(const bytes& frame) const {
    const fd raw(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    sockaddr_ll a{};
    a.sll_family = AF_PACKET;
    a.sll_ifindex = static_cast<int>(index_);
    a.sll_halen = 6;
    must(::sendto(raw.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&a), sizeof a) ==
             static_cast<ssize_t>(frame.size()),
         "send a frame");
  }

 private:
  unsigned index_;
  fd socket_;
};

}  // namespace synfp::test
