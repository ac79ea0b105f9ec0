// SPDX-License-Identifier: MIT
// Builds ClientHellos, right and wrong ones.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace synfp::test {

using hello_bytes = std::vector<std::uint8_t>;

inline void put_16(hello_bytes& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
/// The bytes behind a length of one byte, or of two.
inline hello_bytes list_8(const hello_bytes& content) {
  hello_bytes out;
  out.reserve(content.size() + 1);  // and g++ 12 at -O3 sees that it is large enough
  out.push_back(static_cast<std::uint8_t>(content.size()));
  out.insert(out.end(), content.begin(), content.end());
  return out;
}
inline hello_bytes list_16(const hello_bytes& content) {
  hello_bytes out;
  out.reserve(content.size() + 2);
  put_16(out, content.size());
  out.insert(out.end(), content.begin(), content.end());
  return out;
}
inline hello_bytes codes(const std::vector<std::uint16_t>& values) {
  hello_bytes out;
  for (const std::uint16_t v : values) put_16(out, v);
  return out;
}
inline hello_bytes text(std::string_view t) { return {t.begin(), t.end()}; }
inline hello_bytes join(std::initializer_list<hello_bytes> parts) {
  hello_bytes out;
  for (const auto& p : parts) out.insert(out.end(), p.begin(), p.end());
  return out;
}
inline hello_bytes server_name(std::string_view name) { return list_16(join({{0}, list_16(text(name))})); }

/// As it is, what a Chromium of 2025 sends, with GREASE, but for its length: 15 cipher suites and 16
/// extensions.
struct hello_builder {
  std::uint16_t version = 0x0303;
  hello_bytes session_id = hello_bytes(32, 0x5e);
  hello_bytes ciphers = codes({0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                               0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035});
  hello_bytes compression{0};
  std::vector<std::pair<std::uint16_t, hello_bytes>> extensions{
      {0x2a2a, {}},
      {0x002d, {1, 1}},
      {0x0010, list_16(join({list_8(text("h2")), list_8(text("http/1.1"))}))},
      {0x0033, list_16(join({codes({0x3a3a}), list_16({0}), codes({0x11ec}), list_16(hello_bytes(1216, 7)),
                             codes({0x001d}), list_16(hello_bytes(32, 8))}))},
      {0x0000, server_name("example.org")},
      {0xfe0d, hello_bytes(186, 9)},
      {0x0017, {}},
      {0x44cd, {0, 3, 2, 'h', '2'}},
      {0x000a, list_16(codes({0x3a3a, 0x11ec, 0x001d, 0x0017, 0x0018}))},
      {0x000b, {1, 0}},
      {0x0005, {1, 0, 0, 0, 0}},
      {0x002b, list_8(codes({0x4a4a, 0x0304, 0x0303}))},
      {0xff01, {0}},
      {0x0012, {}},
      {0x0023, {}},
      {0x001b, {2, 0, 2}},
      {0x000d, list_16(codes({0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601}))},
      {0xdada, {0}},
  };
  bool extension_block = true;

  hello_bytes& data(std::uint16_t type) {
    for (auto& [t, d] : extensions) {
      if (t == type) return d;
    }
    return extensions.emplace_back(type, hello_bytes()).second;
  }
  void remove(std::uint16_t type) {
    std::erase_if(extensions, [type](const auto& e) { return e.first == type; });
  }

  hello_bytes extension_bytes() const {
    hello_bytes out;
    for (const auto& [type, data] : extensions) {
      put_16(out, type);
      const hello_bytes with_length = list_16(data);
      out.insert(out.end(), with_length.begin(), with_length.end());
    }
    return out;
  }
  hello_bytes body() const {
    hello_bytes out;
    put_16(out, version);
    for (std::size_t i = 0; i < 32; ++i) out.push_back(static_cast<std::uint8_t>(i));
    out = join({out, list_8(session_id), list_16(ciphers), list_8(compression)});
    return extension_block ? join({out, list_16(extension_bytes())}) : out;
  }
  static hello_bytes message_of(const hello_bytes& body, std::uint8_t type = 1) {
    return join({{type, static_cast<std::uint8_t>(body.size() >> 16)}, list_16(body)});
  }
  hello_bytes message() const { return message_of(body()); }
  /// In records of `fragment` bytes at most.
  static hello_bytes records_of(const hello_bytes& message, std::size_t fragment = 16384) {
    hello_bytes out;
    for (std::size_t at = 0; at < message.size(); at += fragment) {
      const auto first = message.begin() + static_cast<std::ptrdiff_t>(at);
      const auto n = static_cast<std::ptrdiff_t>(std::min(fragment, message.size() - at));
      out = join({out, {22, 3, 1}, list_16(hello_bytes(first, first + n))});
    }
    return out;
  }
  hello_bytes records(std::size_t fragment = 16384) const { return records_of(message(), fragment); }
};

}  // namespace synfp::test
