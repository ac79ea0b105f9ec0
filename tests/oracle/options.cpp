// SPDX-License-Identifier: MIT
// Reads packets in hexadecimal, one per line, from the IP header on; prints for each MuonFP, HAProxy's mode 0
// and 7, nDPI, Satori, pf.os and JA4T, separated by tabs. "-": empty. "no record": that alone.
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include <synfp/fingerprint/haproxy.hpp>
#include <synfp/fingerprint/ja4t.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/fingerprint/ndpi.hpp>
#include <synfp/fingerprint/pfos.hpp>
#include <synfp/fingerprint/satori.hpp>

namespace {

template <class Text>
std::string_view or_dash(const std::optional<Text>& text) {
  return text ? text->view() : "-";
}

}  // namespace

int main() {
  using namespace synfp;
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<std::uint8_t> packet;
    for (std::size_t i = 0; i + 1 < line.size(); i += 2)
      packet.push_back(static_cast<std::uint8_t>(std::stoul(line.substr(i, 2), nullptr, 16)));
    const auto record = syn_record::from_bytes(packet);
    if (!record) {
      std::cout << "no record\n";
      continue;
    }
    const auto ndpi = fingerprint::ndpi(*record);
    const auto satori = fingerprint::satori(*record);
    const auto pfos = fingerprint::pfos(*record);
    std::cout << fingerprint::muonfp(*record).view() << '\t' << fingerprint::haproxy(*record).view() << '\t'
              << fingerprint::haproxy(*record, 7).view() << '\t' << or_dash(ndpi) << '\t' << or_dash(satori)
              << '\t' << or_dash(pfos) << '\t' << fingerprint::ja4t(*record).view() << '\n';
  }
}
