// SPDX-License-Identifier: MIT
// The recorded SYNs of tests/data/syn.json.
#pragma once

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace synfp::test {

struct vector {
  std::string scenario;
  std::string p0f, ja4t, haproxy, haproxy7;
  std::vector<std::uint8_t> packet;  ///< from the IP header on
};

/// What p0f 3.09b said with the database of Debian's package.
struct p0f_answer {
  std::string scenario, os, distance, params;
  std::vector<std::uint8_t> packet;
};

inline std::vector<std::uint8_t> from_hex(const std::string& hex) {
  std::vector<std::uint8_t> out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return out;
}

inline nlohmann::json vector_file() {
  std::ifstream file(SYNFP_TEST_DATA "/syn.json");
  if (!file) throw std::runtime_error("no " SYNFP_TEST_DATA "/syn.json");
  return nlohmann::json::parse(file);
}

inline std::vector<vector> vectors() {
  std::vector<vector> all;
  for (const auto& v : vector_file())
    all.push_back({v.at("scenario"), v.at("p0f_raw_sig"), v.at("ja4t"), v.at("haproxy_ip_fp"),
                   v.at("haproxy_ip_fp7"), from_hex(v.at("packet_hex"))});
  return all;
}

inline std::vector<p0f_answer> p0f_answers() {
  std::vector<p0f_answer> all;
  for (const auto& v : vector_file())
    all.push_back({v.at("scenario"), v.at("p0f_os"), v.at("p0f_dist"), v.at("p0f_params"),
                   from_hex(v.at("packet_hex"))});
  return all;
}

}  // namespace synfp::test
