// SPDX-License-Identifier: MIT
// The recorded SYNs of tests/data/syn.json.
#pragma once

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace synfp_test {

struct vector {
  std::string scenario;
  std::string p0f, ja4t, haproxy, haproxy7;
  std::vector<std::uint8_t> packet;  ///< from the IP header on
};

inline std::vector<vector> vectors() {
  std::ifstream file(SYNFP_TEST_DATA "/syn.json");
  if (!file) throw std::runtime_error("no " SYNFP_TEST_DATA "/syn.json");
  std::vector<vector> all;
  for (const auto& v : nlohmann::json::parse(file)) {
    vector one{v.at("scenario"),      v.at("p0f_raw_sig"),    v.at("ja4t"),
               v.at("haproxy_ip_fp"), v.at("haproxy_ip_fp7"), {}};
    const std::string hex = v.at("packet_hex");
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
      one.packet.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    all.push_back(one);
  }
  return all;
}

}  // namespace synfp_test
