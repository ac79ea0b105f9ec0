// SPDX-License-Identifier: MIT
// Reads packets in hexadecimal, one per line, from the IP header on, then a tab and a User-Agent. Prints for
// each a line of JSON: what identify() says, and the family of its label and of the User-Agent.
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/fingerprint/identify.hpp>
#include <synfp/json.hpp>

namespace {

/// Families whose SYNs cannot be told apart have one name.
std::string_view family(synfp::fingerprint::os_family f) {
  using synfp::fingerprint::os_family;
  for (const os_family one : {os_family::linux_, os_family::macos}) {
    if (same_tcp(f, one)) return to_string(one);
  }
  return to_string(f);
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  const synfp::fingerprint::identifier who;
  for (std::string line; std::getline(std::cin, line);) {
    const std::size_t tab = line.find('\t');
    std::vector<std::uint8_t> packet;
    for (std::size_t i = 0; i + 1 < tab; i += 2)
      packet.push_back(static_cast<std::uint8_t>(std::stoul(line.substr(i, 2), nullptr, 16)));
    const std::string_view user_agent = std::string_view(line).substr(tab + 1);
    const auto record = synfp::syn_record::from_bytes(packet);
    if (!record) return 1;
    const auto id = who.identify(*record, user_agent);
    std::string out = R"({"os":)";
    synfp::append_json_os(out, id);
    out.append(R"(,"p0f":")").append(synfp::fingerprint::p0f(*record).value().view());
    out.append(R"(","family":")");
    out.append(id.label != nullptr ? family(who.family_of(*id.label)) : "unknown");
    out.append(R"(","claimed":")").append(family(synfp::fingerprint::os_in_user_agent(user_agent)));
    std::cout << out << "\"}\n";
  }
}
