// SPDX-License-Identifier: MIT
// What synfp read makes of a frame and what the XDP program does with it, on the same generated frames: one
// reads it if and only if the other stores it, refused for the same reason, with the same headers and the
// same fingerprints. Where they differ is listed in tools/cli/frame.hpp; a file's cut frames do not exist
// here.
//
// SYNFP_FRAMES and SYNFP_SEED in the environment: how many frames, and which.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>

#include <synfp/json.hpp>

#include "../../tools/cli/frame.hpp"
#include "../support/bpf_run.hpp"

namespace {

using namespace synfp::test;
using cli::refusal;

/// Frames that are right, odd or wrong in every field that a parser looks at. The same for a seed on every
/// machine: std::mt19937 alone, no distributions.
class generator {
 public:
  explicit generator(std::uint32_t seed) : random_(seed) {}

  bytes frame() {
    packet_builder p = chance(3) ? v6_packet() : packet_builder();
    ++index_;
    const auto host = static_cast<std::uint8_t>(1 + index_ / 60000 % 250);
    const auto port = static_cast<std::uint16_t>(1 + index_ % 60000);
    if (p.v6()) {
      auto address = p.source.address();
      address[14] = host;
      p.source = synfp::endpoint::v6(address, port);
    } else {
      p.source = synfp::endpoint::v4(192, 0, 2, host, port);
    }
    p.sequence = word();
    p.ttl = byte();
    p.tos = chance(4) ? byte() : 0;
    p.window = word16();
    if (chance(10)) p.acknowledgment = word();
    if (chance(10)) p.urgent = word16();
    if (chance(2)) p.options = options();
    if (chance(5)) p.payload = bytes(1 + below(60), 'x');
    if (chance(8)) p.flags = byte();
    if (chance(3)) p.flags |= static_cast<std::uint8_t>(word() & (psh | urg | ece | cwr));
    lower_layers(p);
    lies(p);
    bytes f = p.frame();
    if (chance(6)) f.insert(f.end(), below(40), 0xaa);  // padding
    if (chance(12)) f.resize(below(static_cast<std::uint32_t>(f.size())));
    if (chance(5)) {
      for (std::uint32_t n = 1 + below(4); n > 0; --n) {
        const std::size_t first = f.size() > 70 && chance(2) ? 12 : 0;
        if (!f.empty())
          f[first + below(static_cast<std::uint32_t>(std::min<std::size_t>(f.size() - first, 80)))] = byte();
      }
    }
    if (f.size() < 14) f.resize(14);  // the kernel runs no program on less
    return f;
  }

 private:
  std::uint32_t word() { return static_cast<std::uint32_t>(random_()); }
  std::uint16_t word16() { return static_cast<std::uint16_t>(word()); }
  std::uint8_t byte() { return static_cast<std::uint8_t>(word()); }
  std::uint32_t below(std::uint32_t n) { return word() % n; }
  bool chance(std::uint32_t one_in) { return below(one_in) == 0; }

  bytes options() {
    bytes o;
    const std::uint32_t wanted = 4 * below(11);
    while (o.size() < wanted) {
      static constexpr std::uint8_t kinds[] = {0, 1, 1, 2, 3, 4, 5, 8, 34, 254};
      const std::uint8_t kind = kinds[below(10)];
      o.push_back(kind);
      if (kind < 2) continue;
      const std::uint32_t length = kind == 2 ? 4 : kind == 3 ? 3 : kind == 4 ? 2 : kind == 8 ? 10 : below(12);
      o.push_back(static_cast<std::uint8_t>(chance(10) ? word() : length));
      for (std::uint32_t i = 2; i < length; ++i) o.push_back(byte());
    }
    o.resize(wanted);
    return o;
  }

  void lower_layers(packet_builder& p) {
    if (chance(4)) {
      for (std::uint32_t n = chance(4) ? 7 + below(4) : 1 + below(3); n > 0; --n)
        p.vlan.emplace_back(static_cast<std::uint16_t>(chance(2) ? 0x8100 : 0x88a8), word16());
    }
    if (p.v6() && chance(3)) {
      for (std::uint32_t n = chance(10) ? 20 + below(8) : 1 + below(8); n > 0; --n) {
        const auto units = static_cast<std::uint8_t>(chance(12) ? word() : below(3));
        switch (below(9)) {
          case 0: p.extensions.push_back(authentication(static_cast<std::uint8_t>(below(6)))); break;
          case 1:
            if (chance(3)) p.extensions.push_back(fragment_header(chance(3) ? below(3) : 0, chance(2)));
            break;
          case 2: p.extensions.push_back(routing(units)); break;
          case 3: p.extensions.push_back(hop_by_hop(units)); break;
          default: p.extensions.push_back(destination_options(units));
        }
      }
    }
    if (!p.v6() && chance(4)) p.ip_options = bytes(4 * (1 + below(10)), 1);
    if (chance(40)) {  // a v4-mapped address behind an IPv6 header
      p.force_v6 = true;
      (chance(2) ? p.source : p.destination) = synfp::endpoint::v4(10, 1, 2, 3, 77);
    }
  }

  void lies(packet_builder& p) {
    if (chance(20)) p.fragment = word16();
    if (chance(20)) p.ihl = static_cast<std::uint8_t>(below(16));
    if (chance(20)) p.data_offset = static_cast<std::uint8_t>(below(16));
    if (chance(30)) p.ip_version = static_cast<std::uint8_t>(below(16));
    if (chance(30)) p.protocol = byte();
    if (chance(30)) p.ethertype = static_cast<std::uint16_t>(chance(2) ? (p.v6() ? 0x0800 : 0x86dd) : word());
    if (chance(10)) {
      const std::uint32_t real = static_cast<std::uint32_t>(p.ip().size()) - (p.v6() ? 40 : 0);
      p.total_length = static_cast<std::uint16_t>(chance(3) ? word() : real + below(30) - 20);
    }
  }

  std::mt19937 random_;
  std::uint32_t index_ = 0;
};

/// What the program counted of one frame, in the words of synfp read.
refusal reason(const auto& before, const auto& after) {
  constexpr std::pair<int, refusal> names[] = {
      {synfp::SYNFP_COUNT_FRAGMENT, refusal::fragment}, {synfp::SYNFP_COUNT_BAD_IP, refusal::bad_ip},
      {synfp::SYNFP_COUNT_BAD_TCP, refusal::bad_tcp},   {synfp::SYNFP_COUNT_BAD_FLAGS, refusal::bad_flags},
      {synfp::SYNFP_COUNT_MAPPED, refusal::mapped},     {synfp::SYNFP_COUNT_EXTENSIONS, refusal::extensions},
      {synfp::SYNFP_COUNT_VLAN, refusal::vlan},         {synfp::SYNFP_COUNT_STORED, refusal::none},
      {synfp::SYNFP_COUNT_REPLACED, refusal::none},     {synfp::SYNFP_COUNT_RETRANSMIT, refusal::none},
      {synfp::SYNFP_COUNT_CONFLICT, refusal::none}};
  for (const auto& [counter, r] : names) {
    const auto i = static_cast<std::size_t>(counter);
    if (after[i] != before[i]) return r;
  }
  return refusal::not_a_syn;
}

std::string hex(const bytes& b) {
  std::string text;
  for (const unsigned byte : b) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::uint32_t from_environment(const char* name, std::uint32_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
}

/// The records say the same. A slot keeps less of long IP headers than a record can hold.
void expect_same(const synfp::syn_record& live, const synfp::syn_record& file) {
  const auto tcp_of = [](const synfp::syn_record& r) { return r.bytes().last(r.tcp().header_length()); };
  EXPECT_TRUE(std::ranges::equal(tcp_of(live), tcp_of(file)));
  const std::size_t ip = live.truncated() ? (live.ip().is_v4() ? 20 : 40) : live.tcp_offset();
  EXPECT_TRUE(std::ranges::equal(live.bytes().first(ip), file.bytes().first(ip)));
  EXPECT_TRUE(live.truncated() || !file.truncated());
  EXPECT_EQ(live.tcp_offset(), file.tcp_offset());
  EXPECT_EQ(live.has_payload(), file.has_payload());
  EXPECT_EQ(live.arrived().vlan, file.arrived().vlan);
  std::string of_live, of_file;
  append_json_fingerprints(of_live, live);
  append_json_fingerprints(of_file, file);
  EXPECT_EQ(of_live, of_file);
}

/// Has a tag or an encapsulation that only files are searched for. (Chance makes some.)
bool is_for_files_only(const bytes& frame) {
  for (std::size_t at = 12; at + 2 <= frame.size() && at <= 12 + 4 * 8; at += 4) {
    const unsigned type = frame[at] * 256U + frame[at + 1];
    for (const unsigned other : {0x9100U, 0x8847U, 0x8848U, 0x8864U}) {
      if (type == other) return true;
    }
    if (type < 0x600) return true;
    if (type != 0x8100 && type != 0x88a8) return false;
  }
  return false;
}

TEST(read_and_live, agree_on_every_frame) {
  const std::uint32_t frames = from_environment("SYNFP_FRAMES", 20'000);
  generator generate(from_environment("SYNFP_SEED", 1));
  const raw_object object("synfp_xdp", 64, 0);
  auto table = synfp::capture::table::attach(object.fds());
  ASSERT_TRUE(table) << table.error().message;

  std::map<refusal, std::uint32_t> seen;
  std::uint32_t compared = 0, copies = 0, truncated = 0;
  auto before = table->counters();
  for (std::uint32_t n = 0; n < frames && !HasFailure(); ++n) {
    const bytes frame = generate.frame();
    SCOPED_TRACE(hex(frame));
    if (is_for_files_only(frame)) continue;
    const auto file = cli::read_frame(DLT_EN10MB, frame, frame.size());
    ASSERT_EQ(run_frame(object.program(), frame).error, 0);
    const auto after = table->counters();
    // What is not read is nothing to the program.
    const refusal why = file.why == refusal::unread ? refusal::not_a_syn : file.why;
    ASSERT_EQ(to_string(reason(before, after)), to_string(why));
    ++seen[file.why];
    copies += after[synfp::SYNFP_COUNT_RETRANSMIT] != before[synfp::SYNFP_COUNT_RETRANSMIT];
    const bool is_new = after[synfp::SYNFP_COUNT_STORED] != before[synfp::SYNFP_COUNT_STORED] ||
                        after[synfp::SYNFP_COUNT_REPLACED] != before[synfp::SYNFP_COUNT_REPLACED];
    before = after;
    if (!is_new) continue;
    auto source = file.syn->source();
    if (source.is_link_local()) source = synfp::endpoint::v6(source.address(), source.port(), 1);
    auto destination = file.syn->destination();
    if (destination.is_link_local())
      destination = synfp::endpoint::v6(destination.address(), destination.port(), 1);
    const auto live =
        table->find(synfp::capture::connection{-1, source, destination}, synfp::capture::now_ns());
    ASSERT_TRUE(live) << to_string(live.miss);
    expect_same(*live, *file.syn);
    truncated += live->truncated();
    ++compared;
  }
  for (const auto& [why, n] : seen) RecordProperty(std::string(to_string(why)), static_cast<int>(n));
  // The frames were of every kind.
  for (int i = 0; i < static_cast<int>(refusal::count_); ++i) {
    if (static_cast<refusal>(i) == refusal::cut_short) continue;
    EXPECT_GE(seen[static_cast<refusal>(i)], frames / 1000) << to_string(static_cast<refusal>(i));
  }
  EXPECT_GE(compared, frames / 4);
  EXPECT_LE(copies, frames / 100);
  EXPECT_GE(truncated, frames / 100);
}

// The ethertype 0x9100 is the one that files have and the program does not know.
TEST(read_and_live, differ_on_old_q_in_q) {
  packet_builder p;
  p.vlan = {{0x9100, 1}};
  const raw_object object("synfp_xdp", 4, 0);
  auto table = synfp::capture::table::attach(object.fds());
  ASSERT_TRUE(table) << table.error().message;
  ASSERT_EQ(run_frame(object.program(), p.frame()).error, 0);
  EXPECT_EQ(table->counters()[synfp::SYNFP_COUNT_STORED], 0U);
  EXPECT_TRUE(cli::read_frame(DLT_EN10MB, p.frame(), p.frame().size()).syn);
}

}  // namespace
