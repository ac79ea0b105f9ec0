// SPDX-License-Identifier: MIT
// Arbitrary bytes as a pcapng file: they end in packets, the end or a reason, whatever pieces they come in.
// libpcap is the judge: what it reads before it stops, we read too.
#include <pcap/pcap.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "../../tools/cli/frame.hpp"
#include "../../tools/cli/pcapng.hpp"

namespace {

void check(bool holds) {
  if (!holds) __builtin_trap();
}

struct seen {
  std::vector<std::uint8_t> bytes;
  std::uint32_t wire;
  int link;
  bool operator==(const seen&) const = default;
};

struct result {
  std::vector<seen> packets;
  std::string why;
  bool opened = false;  // it has an interface, or ends before
  bool operator==(const result&) const = default;
};

result read_by_us(const std::uint8_t* data, std::size_t size, std::size_t piece, std::size_t capacity) {
  result all;
  cli::window in(
      [&](std::span<std::uint8_t> to) {
        const std::size_t n = std::min({piece, to.size(), size});
        std::copy_n(data, n, to.begin());
        data += n;
        size -= n;
        return n;
      },
      capacity);
  try {
    cli::pcapng_reader reader(in);
    all.opened = true;
    while (const auto p = reader.next()) {
      check(!p->time || (p->time->seconds >= 0 && p->time->nanoseconds < 1'000'000'000));
      (void)cli::read_frame(p->link, p->bytes, p->wire_length);
      all.packets.push_back({{p->bytes.begin(), p->bytes.end()}, p->wire_length, p->link});
    }
  } catch (const cli::damage& e) {
    all.why = e.what();
    check(!all.why.empty());
  }
  return all;
}

std::vector<seen> read_by_libpcap(const std::uint8_t* data, std::size_t size) {
  std::vector<seen> all;
  char why[PCAP_ERRBUF_SIZE];
  std::FILE* file = ::fmemopen(const_cast<std::uint8_t*>(data), size, "rb");
  check(file != nullptr);
  pcap_t* p = pcap_fopen_offline(file, why);
  if (p == nullptr) {
    std::fclose(file);
    return all;
  }
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  while (pcap_next_ex(p, &header, &bytes) == 1)
    all.push_back({{bytes, bytes + header->caplen}, header->len, pcap_datalink(p)});
  pcap_close(p);
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4 || !std::equal(data, data + 4, cli::pcapng_reader::magic)) return 0;
  const result whole = read_by_us(data, size, size, 4096);
  check(whole == read_by_us(data, size, 13, 4096));
  // Of what is longer than the window, the beginning is read; options beyond it are not looked at.
  const result narrow = read_by_us(data, size, 29, 64);
  check(narrow.packets.size() >= whole.packets.size());
  for (std::size_t i = 0; i < whole.packets.size(); ++i) {
    const seen &all = whole.packets[i], &some = narrow.packets[i];
    check(all.wire == some.wire && all.link == some.link && some.bytes.size() <= all.bytes.size());
    check(some.bytes.size() >= std::min<std::size_t>(all.bytes.size(), 64 - 28));
    check(std::equal(some.bytes.begin(), some.bytes.end(), all.bytes.begin()));
  }
  if (!whole.opened) return 0;  // libpcap looks at the head of the file less closely
  const std::vector<seen> judge = read_by_libpcap(data, size);
  check(judge.size() <= whole.packets.size());
  for (std::size_t i = 0; i < judge.size(); ++i) {
    const seen &ours = whole.packets[i], &theirs = judge[i];
    check(ours.wire == theirs.wire && ours.bytes.size() == theirs.bytes.size());
    // It turns numbers of the host's order in the headers of some link types.
    if (!cli::reads_link(theirs.link) || theirs.link == DLT_NFLOG) continue;
    check(ours.link == theirs.link && ours.bytes == theirs.bytes);
  }
  return 0;
}
