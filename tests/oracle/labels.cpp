// SPDX-License-Identifier: MIT
// Usage: labels DATABASE [aware]. Reads packets in hexadecimal, one per line, from the IP header on; prints
// for each what p0f logs of it with that database, separated by tabs: os or app, dist, params, link; and the
// line of the signature, 0 for none. "no record", "no signature": that alone. A database that is refused: the
// message, and exit status 1.
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <synfp/fingerprint/p0f_database.hpp>

namespace {

using namespace synfp;
using namespace synfp::fingerprint;

std::string answer(const syn_record& record, const p0f_database& database, flow_reading reading) {
  const auto seen = p0f_observe(record);
  if (!seen) return "no signature";
  const auto match = database.find(*seen, reading);
  const unsigned hops = match ? match->distance : initial_ttl(record) - unsigned{record.ip().ttl()};
  std::string params;
  if (match && match->label->generic) params += " generic";
  if (match && match->quality == match_quality::fuzzy) params += " fuzzy";
  if (match && match->random_ttl) params += " random_ttl";
  if (match ? match->excess_distance : hops > 35) params += " excess_dist";
  if (const unsigned dscp = record.ip().tos() >> 2; dscp != 0) {
    params += " tos:0x";
    params += "0123456789abcdef"[dscp >> 4];
    params += "0123456789abcdef"[dscp & 15];
  }
  const std::string_view link = database.link(mtu(record).value_or(0));
  std::string out = match ? match->label->title() : "???";
  out += match && match->random_ttl ? "\t<= " : "\t";
  out += std::to_string(hops) + '\t' + (params.empty() ? "none" : params.substr(1)) + '\t';
  out += link.empty() ? "???" : link;
  return out + '\t' + std::to_string(match ? match->line : 0);
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  if (argc < 2) return 2;
  std::ifstream file(argv[1], std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto database = p0f_database::parse(text, argv[1]);
  if (!database) {
    std::cout << database.error().message << '\n';
    return 1;
  }
  const auto reading = argc > 2 ? flow_reading::aware : flow_reading::p0f;
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<std::uint8_t> packet;
    for (std::size_t i = 0; i + 1 < line.size(); i += 2)
      packet.push_back(static_cast<std::uint8_t>(std::stoul(line.substr(i, 2), nullptr, 16)));
    const auto record = syn_record::from_bytes(packet);
    std::cout << (record ? answer(*record, *database, reading) : "no record") << '\n';
  }
}
