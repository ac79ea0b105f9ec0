// SPDX-License-Identifier: MIT
// Arbitrary bytes as a captured frame: what synfp read makes of them, and the JSON of it. The first byte
// chooses the link type, the second how much more was on the wire.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <synfp/json.hpp>

#include "../../tools/cli/first_bytes.hpp"
#include "../../tools/cli/frame.hpp"

namespace {

using namespace synfp;
using cli::refusal;

void check(bool holds) {
  if (!holds) __builtin_trap();
}

// Their order is that of the seeds: new ones go to the end.
constexpr std::array links{
    DLT_EN10MB,           DLT_RAW,  DLT_IPV4, DLT_IPV6,       DLT_NULL,      DLT_LOOP,   DLT_LINUX_SLL,
    DLT_LINUX_SLL2,       DLT_PPP,  DLT_FDDI, DLT_PPP_SERIAL, DLT_PPP_ETHER, DLT_C_HDLC, DLT_IEEE802_11,
    DLT_IEEE802_11_RADIO, DLT_NFLOG};

/// One object without control characters, whose quotes and braces pair.
void check_json(const std::string& text) {
  check(text.front() == '{' && text.back() == '}' && text.size() <= 1024);
  check(std::count(text.begin(), text.end(), '"') % 2 == 0);
  check(std::count(text.begin(), text.end(), '{') == std::count(text.begin(), text.end(), '}'));
  for (const char c : text) check(c >= 0x20 && c < 0x7f && c != '\\');
}

void check_syn(const syn_record& syn, const std::vector<std::uint8_t>& frame, std::size_t wire) {
  constexpr unsigned four = tcp_view::syn | tcp_view::ack | tcp_view::fin | tcp_view::rst;
  check((syn.tcp().flags() & four) == tcp_view::syn);
  check(syn.tcp_offset() <= 1020 && syn.ip().total_length() <= wire);
  if (!syn.truncated())
    check(std::search(frame.begin(), frame.end(), syn.bytes().begin(), syn.bytes().end()) != frame.end());
  std::string text;
  append_json(text, syn);
  check_json(text);
  text.clear();
  append_json_fingerprints(text, syn);
  check_json(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const int link = links[data[0] % links.size()];
  // Bytes of its own, so that the sanitizer sees where they end.
  const std::vector<std::uint8_t> frame(data + 2, data + size);
  const std::size_t wire = frame.size() + data[1];
  const cli::frame_syn found = cli::read_frame(link, frame, wire);
  check(found.syn.has_value() == (found.why == refusal::none) && found.why < refusal::count_);
  check((found.why == refusal::unread) != found.unread.text.empty());
  check(cli::reads_link(link) == (found.unread.text != cli::unread_link));
  if (found.syn) check_syn(*found.syn, frame, wire);
  if (const auto segment = cli::read_segment(link, frame, wire)) {
    check(segment->data.data() >= frame.data() &&
          segment->data.data() + segment->data.size() <= frame.data() + frame.size());
    check(!segment->cut || frame.size() < wire);
    if (found.syn) check(found.syn->source() == segment->from && found.syn->destination() == segment->to);
  } else {
    check(!found.syn);
  }

  // Nothing behind the packet has a say in it, and nothing is cut short that is whole.
  const cli::frame_syn whole = cli::read_frame(link, frame, frame.size());
  check(whole.why != refusal::cut_short);
  if (!whole.syn) return 0;
  check(found.syn.has_value());
  std::vector<std::uint8_t> longer = frame;
  longer.insert(longer.end(), 3, 0xaa);
  const cli::frame_syn padded = cli::read_frame(link, longer, longer.size());
  check(padded.syn && std::ranges::equal(padded.syn->bytes(), whole.syn->bytes()));
  return 0;
}
