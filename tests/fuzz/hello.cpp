// SPDX-License-Identifier: MIT
// Arbitrary bytes as the first ones of a TLS connection: the parser, the view and the fingerprints. The first
// byte chooses where they are split; the second how large the buffer is.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/fingerprint/hello_inconsistencies.hpp>
#include <synfp/json.hpp>
#include <synfp/json_hello.hpp>
#include <synfp/tls/hello_parser.hpp>

namespace {

using namespace synfp;
using tls::hello_status;

void check(bool holds) {
  if (!holds) __builtin_trap();
}

/// Bytes of its own, so that the sanitizer sees where they end.
struct own {
  std::unique_ptr<std::uint8_t[]> bytes;
  std::size_t size;
  explicit own(std::span<const std::uint8_t> from) : bytes(new std::uint8_t[from.size()]), size(from.size()) {
    std::copy(from.begin(), from.end(), bytes.get());
  }
  std::span<const std::uint8_t> span() const { return {bytes.get(), size}; }
};

void check_hashed(std::string_view text, std::string_view raw) {
  check(text.size() == 36 && text[10] == '_' && text[23] == '_' && raw.size() >= 12 && raw[10] == '_');
  check(text.substr(0, 10) == raw.substr(0, 10));
  for (const char c : text.substr(11)) check(c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
}

/// What holds between the hints under the names of three browsers.
void check_inconsistencies(const tls::client_hello& hello) {
  using fingerprint::hello_inconsistencies;
  using fingerprint::inconsistency;
  const auto chrome = hello_inconsistencies(hello,
                                            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
                                            "Gecko) Chrome/141.0.0.0 Safari/537.36");
  const auto safari = hello_inconsistencies(
      hello,
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
      "Safari/605.1.15");
  const auto firefox =
      hello_inconsistencies(hello, "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0");
  for (const auto& found : {chrome, safari, firefox}) {
    for (const inconsistency i : found)
      check(to_string(i).starts_with("hello_") && i != inconsistency::hello_system);
    check(found.contains(inconsistency::hello_library) == chrome.contains(inconsistency::hello_library));
    check(found.contains(inconsistency::hello_offer) == chrome.contains(inconsistency::hello_offer));
  }
  check(chrome.contains(inconsistency::hello_grease) == !hello.has_grease());
  check(safari.contains(inconsistency::hello_grease) == !hello.has_grease());
  check(!firefox.contains(inconsistency::hello_grease));
  check(hello_inconsistencies(hello, "").empty());
}

void check_hello(const tls::client_hello& hello, std::span<const std::uint8_t> message) {
  const auto inside = [message](std::span<const std::uint8_t> part) {
    check(part.empty() ||
          (part.data() >= message.data() && part.data() + part.size() <= message.data() + message.size()));
  };
  for (const auto part :
       {hello.random(), hello.session_id(), hello.ciphers().bytes(), hello.compression_methods(),
        hello.extensions().bytes(), hello.alpn().bytes(), hello.groups().bytes(), hello.point_formats(),
        hello.signature_algorithms().bytes(), hello.versions().bytes(), hello.key_shares().bytes()})
    inside(part);
  std::size_t extensions = 0;
  for (const tls::extension& e : hello.extensions()) {
    inside(e.data);
    ++extensions;
  }
  check(extensions <= tls::client_hello::max_extensions && !hello.ciphers().empty());
  for (const std::string_view protocol : hello.alpn()) check(!protocol.empty());
  for (const tls::key_share& share : hello.key_shares()) inside(share.key);
  if (const auto name = hello.server_name())
    check(!name->empty() && name->find('\0') == std::string_view::npos);

  check_hashed(fingerprint::ja4(hello), fingerprint::ja4_r(hello));
  check_hashed(fingerprint::ja4_o(hello), fingerprint::ja4_ro(hello));
  check(fingerprint::ja4(hello).view()[0] == 't' && fingerprint::steady(hello).view()[0] == 's');
  const auto ja3 = fingerprint::ja3_full(hello);
  check(std::count(ja3.view().begin(), ja3.view().end(), ',') == 4 && fingerprint::ja3(hello).size() == 32);
  check_inconsistencies(hello);
  std::string json;
  append_json(json, hello);
  check(json.front() == '{' && json.back() == '}');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::span<const std::uint8_t> input(data + 2, size - 2);
  const std::size_t room = data[1] < 64 ? std::size_t{data[1]} * 16 : tls::hello_parser::max_hello;
  std::vector<std::uint8_t> buffer(room), other(room);
  tls::hello_parser whole(buffer), split(other);
  whole.look(own(input).span());
  const std::size_t piece = data[0] + 1U;
  for (std::size_t at = 0; at < input.size(); at += piece)
    split.look(own(input.subspan(at, std::min(piece, input.size() - at))).span());
  check(whole.status() == split.status() && whole.refused_for() == split.refused_for());
  check(whole.seen() == split.seen() && whole.seen() <= input.size());
  check((whole.status() == hello_status::refused) == (whole.refused_for() != tls::refusal::none));
  check(whole.status() != hello_status::incomplete || whole.seen() == input.size());
  check(std::ranges::equal(whole.message(), split.message()));
  if (whole.status() == hello_status::complete) {
    check(whole.message().size() <= room && whole.seen() <= 6 * whole.message().size());
    check_hello(whole.hello(), whole.message());
  }
  // The same as a message without records.
  const own message(input);
  tls::client_hello hello;
  if (hello.assign(message.span()) == tls::refusal::none) check_hello(hello, message.span());
  return 0;
}
