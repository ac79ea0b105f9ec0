// SPDX-License-Identifier: MIT
// synfp read: the SYNs of a capture file, one line each.
#include <fmt/format.h>
#include <pcap/pcap.h>

#include <cstdio>
#include <memory>
#include <span>

#include <synfp/fingerprint/p0f.hpp>

#include "command.hpp"

namespace cli {
namespace {

struct settings {
  std::string file;
};

int read(const settings& s) {
  char why[PCAP_ERRBUF_SIZE];
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> file(pcap_open_offline(s.file.c_str(), why),
                                                            &pcap_close);
  if (!file) throw failure(why);
  if (pcap_datalink(file.get()) != DLT_EN10MB) throw failure(s.file + ": only Ethernet is read");
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  int status = 0;
  while ((status = pcap_next_ex(file.get(), &header, &data)) == 1) {
    if (header->caplen < 14) continue;
    const auto record = synfp::syn_record::from_bytes(std::span(data, header->caplen).subspan(14));
    if (!record) continue;
    if (const auto text = synfp::fingerprint::p0f(*record)) fmt::print("{}\n", text->view());
  }
  if (status == PCAP_ERROR) throw failure(s.file + ": " + pcap_geterr(file.get()));
  return 0;
}

}  // namespace

command add_read(CLI::App& app) {
  const auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand("read", "Prints the SYNs of a capture file, one line each");
  sub->add_option("FILE", s->file, "a pcap or pcapng file")->required();
  return {sub, [s] { return read(*s); }};
}

}  // namespace cli
