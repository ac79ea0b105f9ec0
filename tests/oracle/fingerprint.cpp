// SPDX-License-Identifier: MIT
// Reads packets in hexadecimal, one per line, from the IP header on; prints for each p0f's signature in the
// compatible reading, the strict one, and the MTU, separated by tabs. "-": empty. "no record": that alone.
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include <synfp/fingerprint/p0f.hpp>

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
    const auto compatible = fingerprint::p0f(*record);
    const auto strict = fingerprint::p0f<fingerprint::p0f_reading::strict>(*record);
    const auto mtu = fingerprint::mtu(*record);
    std::cout << (compatible ? compatible->view() : "-") << '\t' << (strict ? strict->view() : "-") << '\t'
              << (mtu ? std::to_string(*mtu) : "-") << '\n';
  }
}
