// SPDX-License-Identifier: MIT
// Reads what clients send in hexadecimal, one connection per line; prints for each the reason why it is no
// hello, or "none" and, separated by tabs, version, ciphers, extensions, server name, protocols, groups,
// point formats, signature algorithms, versions, groups of key shares, ja3_full, ja3, ja4, ja4_r, ja4_o,
// ja4_ro, steady. Codes in decimal, names in hexadecimal; lists are joined by ','.
#include <array>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/fingerprint/ja3.hpp>
#include <synfp/fingerprint/ja4.hpp>
#include <synfp/tls/hello_parser.hpp>

namespace {

using namespace synfp;

template <class List, class Text>
std::string joined(const List& list, const Text& text) {
  std::string out;
  for (const auto& element : list) {
    if (!out.empty()) out.push_back(',');
    out.append(text(element));
  }
  return out;
}

std::string hexadecimal(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out.push_back("0123456789abcdef"[static_cast<unsigned char>(c) >> 4]);
    out.push_back("0123456789abcdef"[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}

void print(const tls::client_hello& hello) {
  const auto number = [](auto code) { return std::to_string(code); };
  const std::string fields[] = {
      number(hello.legacy_version()),
      joined(hello.ciphers(), number),
      joined(hello.extensions(), [](const tls::extension& e) { return std::to_string(e.type); }),
      hexadecimal(hello.server_name().value_or("")),
      joined(hello.alpn(), hexadecimal),
      joined(hello.groups(), number),
      joined(hello.point_formats(), number),
      joined(hello.signature_algorithms(), number),
      joined(hello.versions(), number),
      joined(hello.key_shares(), [](const tls::key_share& s) { return std::to_string(s.group); }),
      std::string(fingerprint::ja3_full(hello).view()),
      std::string(fingerprint::ja3(hello).view()),
      std::string(fingerprint::ja4(hello).view()),
      std::string(fingerprint::ja4_r(hello).view()),
      std::string(fingerprint::ja4_o(hello).view()),
      std::string(fingerprint::ja4_ro(hello).view()),
      std::string(fingerprint::steady(hello).view()),
  };
  for (const std::string& field : fields) std::cout << '\t' << field;
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i + 1 < line.size(); i += 2)
      bytes.push_back(static_cast<std::uint8_t>(std::stoul(line.substr(i, 2), nullptr, 16)));
    std::array<std::uint8_t, tls::hello_parser::max_hello> buffer;
    tls::hello_parser parser(buffer);
    const auto status = parser.look(bytes);
    std::cout << (status == tls::hello_status::incomplete ? "incomplete" : to_string(parser.refused_for()));
    if (status == tls::hello_status::complete) print(parser.hello());
    std::cout << '\n';
  }
}
