// SPDX-License-Identifier: MIT
// Frames for BPF_PROG_TEST_RUN, and running them.
#pragma once

#include <bpf/bpf.h>
#include <sched.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <string>
#include <synfp/endpoint.hpp>
#include <vector>

#include "keys.h"
#include "report.hpp"

namespace bench {

using frame = std::vector<std::uint8_t>;

inline const synfp::endpoint server = synfp::endpoint::v4(198, 18, 0, 2, BENCH_PORT);

/// The connection of the n-th pretended peer.
inline synfp::endpoint peer(std::uint64_t n) {
  const std::uint64_t id = bench_peer(n);
  std::uint8_t bytes[6];  // the programs store the words as they are
  std::memcpy(bytes, &id, sizeof bytes);
  return synfp::endpoint::v4(bytes[0], bytes[1], bytes[2], bytes[3],
                             static_cast<std::uint16_t>(bytes[4] << 8 | bytes[5]));
}

enum class transport { tcp, udp };
inline constexpr std::uint8_t flag_syn = 0x02, flag_ack = 0x10;

/// Ethernet, IP, and TCP with the options of a Linux host (SYN) or its timestamps (else), or UDP.
inline frame make_frame(bool v6, transport proto, std::uint8_t flags, std::size_t payload) {
  frame f;
  const auto put = [&f](std::initializer_list<int> bytes) {
    for (const int b : bytes) f.push_back(static_cast<std::uint8_t>(b));
  };
  const bool syn = (flags & flag_syn) != 0;
  const std::size_t header = proto == transport::udp ? 8 : syn ? 40 : 32;
  const auto length = static_cast<int>(header + payload + (v6 ? 0 : 20));
  const int protocol = proto == transport::udp ? 17 : 6;
  put({2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, v6 ? 0x86 : 0x08, v6 ? 0xdd : 0x00});
  if (v6) {
    put({0x60, 0, 0, 0, length >> 8, length & 255, protocol, 64});
    put({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    put({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
  } else {
    put({0x45, 0, length >> 8, length & 255, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0});
    put({198, 18, 0, 1, 198, 18, 0, 2});
  }
  put({0xa1, 0xd4, BENCH_PORT >> 8, BENCH_PORT & 255});
  if (proto == transport::udp) {
    put({static_cast<int>(8 + payload) >> 8, static_cast<int>(8 + payload) & 255, 0, 0});
  } else {
    put({1, 2, 3, 4, 0, 0, 0, 0, static_cast<int>(header / 4) << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0});
    if (syn) put({2, 4, 0x05, 0xb4, 4, 2});
    put(syn ? std::initializer_list<int>{8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7}
            : std::initializer_list<int>{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8});
  }
  f.resize(f.size() + payload, 'x');
  return f;
}

/// Gives a SYN of make_frame(false, ...) the n-th peer.
inline void set_peer(frame& f, std::uint64_t n) {
  const std::uint64_t id = bench_peer(n);
  std::memcpy(f.data() + BENCH_SOURCE_AT, &id, 4);
  std::memcpy(f.data() + BENCH_PORTS_AT, reinterpret_cast<const char*>(&id) + 4, 2);
}

/// Processor time of this thread, ns.
inline double thread_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

/// Runs an XDP program `repeat` times on one frame inside the kernel; ns per run. In processor time: the call
/// sleeps for milliseconds while the kernel patches its XDP dispatcher, and others use the machine. (The
/// kernel's own figure is a whole number.)
inline double test_run(int program, const frame& f, std::uint32_t repeat) {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = f.data();
  options.data_size_in = static_cast<__u32>(f.size());
  options.repeat = static_cast<int>(repeat);
  const double start = thread_ns();
  const int r = bpf_prog_test_run_opts(program, &options);
  const double end = thread_ns();
  require(r == 0, std::string("BPF_PROG_TEST_RUN: ") + std::strerror(-r));
  require(options.retval == 2, "a program did not return XDP_PASS");
  return (end - start) / repeat;
}

/// To a network namespace of our own: what the probe attaches to there carries nobody's traffic.
inline void leave_network() {
  require(::unshare(CLONE_NEWNET) == 0, "cannot make a network namespace; run as root");
}

}  // namespace bench
