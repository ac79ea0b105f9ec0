// SPDX-License-Identifier: MIT
// No server at all: prints p0f's signature of every SYN in a capture file. It knows Ethernet, Linux cooked
// captures and raw IP; the program synfp knows the rest (VLANs, tunnels, pcapng with several interfaces):
// tools/cli. Usage: pcap_reader FILE
#include <pcap/pcap.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

#include <synfp/fingerprint/p0f.hpp>
#include <synfp/syn_record.hpp>
using namespace synfp;

namespace {

std::size_t bytes_before_ip(int link_type) {
  switch (link_type) {
    case DLT_EN10MB: return 14;
    case DLT_LINUX_SLL: return 16;
    case DLT_LINUX_SLL2: return 20;
    case DLT_RAW: return 0;
    default: throw std::runtime_error("this example does not know the link type; try tools/synfp read");
  }
}

}  // namespace

int main(int argc, char** argv) try {
  char why[PCAP_ERRBUF_SIZE] = "usage: pcap_reader FILE";
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> file(
      argc == 2 ? pcap_open_offline(argv[1], why) : nullptr, &pcap_close);
  if (!file) throw std::runtime_error(why);
  const std::size_t offset = bytes_before_ip(pcap_datalink(file.get()));

  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  int read = 0;
  while ((read = pcap_next_ex(file.get(), &header, &bytes)) == 1) {
    if (header->caplen < offset) continue;
    // Empty for everything but whole TCP headers behind IP headers; of those, the first packet of a
    // connection.
    const auto record = syn_record::from_bytes({bytes + offset, header->caplen - offset});
    if (!record || (record->tcp().flags() & (tcp_view::syn | tcp_view::ack)) != tcp_view::syn) continue;
    if (const auto signature = fingerprint::p0f(*record)) std::puts(std::string(signature->view()).c_str());
  }
  if (read == PCAP_ERROR) throw std::runtime_error(pcap_geterr(file.get()));
} catch (const std::exception& e) {
  std::fprintf(stderr, "pcap_reader: %s\n", e.what());
  return 2;
}
