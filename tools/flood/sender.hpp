// SPDX-License-Identifier: MIT
// What a flood sends, and one thread's sending.
//
// SYNs are made by flood.bpf.c, run by BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES, and valid:
// checksums too. They enter the stack as if flood0 had received them, on the CPU and in the time of the
// calling thread, so the scheduler can share the machine. Native XDP programs on flood0 do not see them that
// way; generic XDP, tc and everything after them do. With via::veth the frames go through the receive ring of
// flood0 instead, where native XDP runs. That costs more, and the softirq handles them.
#pragma once

#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "../support/bpf_loader.hpp"
#include "flood.h"
#include "network.hpp"
#include "prefix.hpp"
#include "program.hpp"

namespace flood {

/// What the SYNs look like, after operating systems of today. All are valid.
struct shape {
  std::string_view name;
  std::uint8_t ttl;
  std::uint16_t window;
  std::uint8_t length;  ///< of the options
  std::array<std::uint8_t, 40> options;
};
inline constexpr std::array<shape, 4> shapes{{
    {"none", 64, 64240, 0, {}},
    {"linux", 64, 64240, 20, {2, 4, 5, 180, 4, 2, 8, 10, 0x59, 0x26, 0x84, 0xe1, 0, 0, 0, 0, 1, 3, 3, 7}},
    {"windows", 128, 64240, 12, {2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2}},
    {"macos", 64, 65535, 24, {2,    4,    5,    180,  1, 3, 3, 6, 1, 1, 8, 10,
                              0x35, 0x9b, 0x11, 0x70, 0, 0, 0, 0, 4, 2, 0, 0}},
}};

/// How frames reach flood0.
enum class via {
  stack,  ///< as if its driver had received them: protocol taps, tc, the IP stack
  veth,   ///< through its receive ring: native XDP first
};

struct options {
  std::uint16_t port = 8080;    ///< of the server, on the addresses of network::target_*()
  std::string shape = "mixed";  ///< of `shapes`, or "mixed": every frame one of them at random
  std::vector<prefix> sources{prefix::parse("10.0.0.0/8")};  ///< at most one per family
  std::uint64_t seed = 1;                                    ///< the same seed, the same SYNs
  flood::via via = flood::via::stack;
};

/// What one thread sends. Made and used by one thread at a time, in the namespace of `network`.
class sender {
 public:
  /// The sender's n-th frame is frame `first` + n * `stride` of the flood.
  sender(const network& where, const options& what, std::uint64_t first = 0, std::uint64_t stride = 1)
      : where_(&where), program_("flood_send", configure(where, what, first, stride)) {
    where.check();
    keep_in_dispatcher();
  }

  sender(const sender&) = delete;
  sender& operator=(const sender&) = delete;
  ~sender() {
    try {
      where_->inside([this] { synfp::tools::ip("link del " + idle_ + "\n"); });
    } catch (const failure&) {  // it ends with the namespace
    }
  }

  /// Sends `count` frames; returns how many. Fewer after a signal. Not interrupted between batches by
  /// anything else, but the scheduler may run others.
  std::uint64_t send(std::uint32_t count) {
    if (count == 0) return 0;
    where_->check_thread();
    std::array<std::uint8_t, FLOOD_FRAME_BYTES> frame{};
    xdp_md context{};
    context.ingress_ifindex = where_->inside_index();
    context.data_end = FLOOD_FRAME_BYTES;
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    run.data_in = frame.data();
    run.data_size_in = FLOOD_FRAME_BYTES;
    run.ctx_in = &context;
    run.ctx_size_in = sizeof context;
    run.repeat = static_cast<int>(count);
    run.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    run.batch_size = batch;
    const std::uint64_t before = program_.sent();
    const int result = bpf_prog_test_run_opts(program_.fd(), &run);
    if (result != 0 && result != -EINTR)
      synfp::tools::fail("send SYNs: BPF_PROG_TEST_RUN with live frames", -result);
    return program_.sent() - before;
  }
  std::uint64_t sent() const { return program_.sent(); }

 private:
  static constexpr __u32 batch = 64;  // frames between two points where the kernel lets others run

  // BPF_PROG_TEST_RUN enters a program that is attached nowhere into the kernel's XDP dispatcher, and takes
  // it out again, which takes milliseconds per call. An idle interface keeps it there.
  void keep_in_dispatcher() {
    static std::atomic<unsigned> number{0};
    idle_ = "idle" + std::to_string(number.fetch_add(1, std::memory_order_relaxed));
    synfp::tools::ip("link add " + idle_ + " type veth peer name " + idle_ + "p\n");
    idle_link_ = synfp::tools::attach_xdp(program_.fd(), ::if_nametoindex(idle_.c_str()), XDP_FLAGS_DRV_MODE);
  }
  static std::uint32_t sum(const std::uint8_t* from, std::size_t size) {
    std::uint32_t total = 0;
    for (std::size_t i = 0; i < size; i += 2) {
      std::uint16_t word;
      std::memcpy(&word, from + i, 2);
      total += word;
    }
    return total;
  }
  static std::uint32_t halves(std::uint32_t sum) { return (sum & 0xffff) + (sum >> 16); }

  static flood_shape make(const flood::shape& s, const prefix& source, std::uint16_t port) {
    flood_shape f{};
    const std::size_t ip = 14, tcp = ip + (source.v6 ? 40U : 20U), header = 20U + s.length;
    const auto put16 = [&f](std::size_t at, std::size_t value) {
      f.frame[at] = static_cast<std::uint8_t>(value >> 8);
      f.frame[at + 1] = static_cast<std::uint8_t>(value);
    };
    const std::array<std::uint8_t, 12> macs{2, 0x73, 0x79, 0x6e, 0x66, 0, 2, 0x73, 0x79, 0x6e, 0x66, 1};
    std::copy(macs.begin(), macs.end(), f.frame);
    put16(12, source.v6 ? 0x86dd : 0x0800);
    const auto target = source.v6 ? network::target_v6(port) : network::target_v4(port);
    if (source.v6) {
      f.frame[ip] = 0x60;
      put16(ip + 4, header);
      f.frame[ip + 6] = 6;
      f.frame[ip + 7] = s.ttl;
      std::copy(target.address().begin(), target.address().end(), f.frame + ip + 24);
    } else {
      f.frame[ip] = 0x45;
      put16(ip + 2, 20 + header);
      put16(ip + 4, 0x1234);
      put16(ip + 6, 0x4000);
      f.frame[ip + 8] = s.ttl;
      f.frame[ip + 9] = 6;
      std::copy(target.address().begin() + 12, target.address().end(), f.frame + ip + 16);
    }
    put16(tcp + 2, port);
    f.frame[tcp + 12] = static_cast<std::uint8_t>(header / 4 << 4);
    f.frame[tcp + 13] = 2;
    put16(tcp + 14, s.window);
    std::copy_n(s.options.begin(), s.length, f.frame + tcp + 20);
    f.length = static_cast<std::uint32_t>(tcp + header);
    f.v6 = source.v6;
    // RFC 9293 3.1 and RFC 8200 8.1: destination (the source is the program's), protocol, length.
    const std::array<std::uint8_t, 4> pseudo{0, 6, 0, static_cast<std::uint8_t>(header)};
    f.tcp_sum = halves(sum(f.frame + tcp, header) + sum(pseudo.data(), pseudo.size()) +
                       (source.v6 ? sum(f.frame + ip + 24, 16) : sum(f.frame + ip + 16, 4)));
    f.ip_sum = halves(sum(f.frame + ip, 20));
    for (unsigned i = 0; i < 4; ++i) {
      std::array<std::uint8_t, 4> free{source.free(4 * i), source.free(4 * i + 1), source.free(4 * i + 2),
                                       source.free(4 * i + 3)};
      std::memcpy(&f.source[i], source.address.data() + 4 * i, 4);
      std::memcpy(&f.random[i], free.data(), 4);
    }
    return f;
  }
  static flood_config configure(const network& where, const options& what, std::uint64_t first,
                                std::uint64_t stride) {
    flood_config c{};
    c.seed = what.seed;
    c.first = first;
    c.stride = stride;
    c.redirect = what.via == via::veth ? where.outside_index() : 0;
    for (const flood::shape& s : shapes) {
      if (what.shape != "mixed" && what.shape != s.name) continue;
      for (const prefix& source : what.sources) {
        if (c.shapes == FLOOD_SHAPES) throw failure("name one source prefix per family");
        c.shape[c.shapes++] = make(s, source, what.port);
      }
    }
    if (c.shapes == 0)
      throw failure("a flood needs a source prefix and a shape: none, linux, windows, macos, mixed");
    return c;
  }

  const network* where_;
  detail::program program_;
  std::string idle_;
  synfp::tools::fd idle_link_;
};
}  // namespace flood
