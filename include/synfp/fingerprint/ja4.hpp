// SPDX-License-Identifier: MIT AND BSD-3-Clause
// JA4 of a TLS client, after FoxIO's description (github.com/FoxIO-LLC/ja4, technical_details/JA4.md). The
// text is ours; the method is FoxIO's, under the BSD 3-Clause licence in NOTICE, unlike the other JA4+
// methods (see ja4t.hpp). And steady(), after JA4, which stays the same when a session is resumed.
#pragma once

#include <algorithm>  // copy_n, sort
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <synfp/fingerprint/detail/sha256.hpp>
#include <synfp/fixed_text.hpp>
#include <synfp/tls/client_hello.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

namespace detail {

enum class ja4_order : std::uint8_t { sorted, wire };
enum class ja4_extensions : std::uint8_t { all, steady };

inline constexpr auto hex_pairs = [] {
  std::array<char, 512> pairs{};
  for (std::size_t i = 0; i < 256; ++i) {
    pairs[2 * i] = "0123456789abcdef"[i / 16];
    pairs[2 * i + 1] = "0123456789abcdef"[i % 16];
  }
  return pairs;
}();

/// Writes "1301,", and returns the place behind.
constexpr char* put_code(char* to, std::uint16_t code) noexcept {
  std::copy_n(&hex_pairs[2U * (code >> 8)], 2, to);
  std::copy_n(&hex_pairs[2U * (code & 0xff)], 2, to + 2);
  to[4] = ',';
  return to + 5;
}

/// The three parts of JA4 before they are hashed.
class ja4_parts {
 public:
  constexpr ja4_parts(const tls::client_hello& hello, ja4_order order, ja4_extensions which) noexcept {
    std::size_t n = 0;
    for (const std::uint16_t code : hello.ciphers()) {
      if (!tls::is_grease(code)) codes_[n++] = code;
    }
    const std::size_t cipher_count = n;
    cipher_size_ = size(cipher_text_.data(), put_codes(cipher_text_.data(), n, order));

    n = 0;
    std::size_t extension_count = 0;
    for (const tls::extension& e : hello.extensions()) {
      if (tls::is_grease(e.type) || (which == ja4_extensions::steady && comes_and_goes(e.type))) continue;
      ++extension_count;
      // The first part says whether they are there.
      const bool told = e.type == tls::extension::server_name || e.type == tls::extension::alpn;
      if (order == ja4_order::wire || !told) codes_[n++] = e.type;
    }
    char* const signatures = put_codes(extension_text_.data(), n, order);
    char* end = signatures;
    for (const std::uint16_t code : hello.signature_algorithms()) {
      if (!tls::is_grease(code)) end = put_code(end, code);
    }
    if (end != signatures) signatures[-1] = '_';  // they are an extension themselves, so there is one
    extension_size_ = size(extension_text_.data(), end);

    put_first_part(hello, which, cipher_count, extension_count);
  }
  ja4_parts(const ja4_parts&) = delete;
  ja4_parts& operator=(const ja4_parts&) = delete;

  constexpr std::string_view first() const noexcept { return {first_.data(), first_.size()}; }
  constexpr std::string_view ciphers() const noexcept { return {cipher_text_.data(), cipher_size_}; }
  constexpr std::string_view extensions() const noexcept { return {extension_text_.data(), extension_size_}; }
  /// Padded where they are.
  constexpr sha256_message ciphers_to_hash() noexcept { return padded(cipher_text_.data(), ciphers()); }
  constexpr sha256_message extensions_to_hash() noexcept {
    return padded(extension_text_.data(), extensions());
  }

 private:
  /// What a client sends or leaves out as its state has it: a ticket, a session to resume, data with it; and
  /// padding, which follows from the length of all that.
  static constexpr bool comes_and_goes(std::uint16_t type) noexcept {
    return type == tls::extension::padding || type == tls::extension::session_ticket ||
           type == tls::extension::pre_shared_key || type == tls::extension::early_data;
  }

  static constexpr sha256_message padded(char* place, std::string_view text) noexcept {
    return {place, sha256_pad(place + text.size() / 64 * 64, text.size())};
  }

  /// The first `n` of codes_.
  constexpr char* put_codes(char* to, std::size_t n, ja4_order order) noexcept {
    if (order == ja4_order::sorted) std::sort(codes_.data(), codes_.data() + n);
    for (std::size_t i = 0; i < n; ++i) to = put_code(to, codes_[i]);
    return to;
  }
  /// Without the last ','.
  static constexpr std::size_t size(const char* begin, const char* end) noexcept {
    return end == begin ? 0 : static_cast<std::size_t>(end - begin) - 1;
  }

  constexpr void put_first_part(const tls::client_hello& hello, ja4_extensions which, std::size_t ciphers,
                                std::size_t extensions) noexcept {
    first_[0] = which == ja4_extensions::steady ? 's' : 't';
    const std::string_view version = version_text(hello.highest_version());
    first_[1] = version[0];
    first_[2] = version[1];
    first_[3] = hello.has_server_name() ? 'd' : 'i';
    put_count(4, ciphers);
    put_count(6, extensions);
    first_[8] = first_[9] = '0';
    if (const auto alpn = hello.alpn().bytes(); !alpn.empty()) {
      const std::uint8_t begin = alpn[1], end = alpn[alpn[0]];
      const bool plain = is_alphanumeric(begin) && is_alphanumeric(end);
      first_[8] = plain ? static_cast<char>(begin) : hex_pairs[2U * begin];
      first_[9] = plain ? static_cast<char>(end) : hex_pairs[2U * end + 1];
    }
  }
  constexpr void put_count(std::size_t at, std::size_t count) noexcept {
    count = std::min<std::size_t>(count, 99);
    first_[at] = static_cast<char>('0' + count / 10);
    first_[at + 1] = static_cast<char>('0' + count % 10);
  }
  static constexpr bool is_alphanumeric(std::uint8_t c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  }
  static constexpr std::string_view version_text(std::uint16_t version) noexcept {
    switch (version) {
      case 0x0304: return "13";
      case 0x0303: return "12";
      case 0x0302: return "11";
      case 0x0301: return "10";
      case 0x0300: return "s3";
      case 0x0002: return "s2";
      case 0xfeff: return "d1";
      case 0xfefd: return "d2";
      case 0xfefc: return "d3";
      default: return "00";
    }
  }

  static constexpr std::size_t max_codes_ = tls::client_hello::max_codes;
  static constexpr std::size_t max_extensions_ = tls::client_hello::max_extensions;

  // Not initialized: only what was written is read.
  std::array<std::uint16_t, max_codes_> codes_;
  static constexpr std::size_t padding_ = 128;
  std::array<char, 5 * max_codes_ + padding_> cipher_text_;
  std::array<char, 5 * (max_extensions_ + max_codes_) + padding_> extension_text_;
  std::array<char, 10> first_;
  std::size_t cipher_size_ = 0, extension_size_ = 0;
};

/// Of each SHA-256, the first 12 hexadecimal digits; zeros of an empty list.
constexpr fixed_text<36> ja4_hashed(ja4_parts& parts) noexcept {
  const bool ciphers = !parts.ciphers().empty(), extensions = !parts.extensions().empty();
  sha256_message of_ciphers = parts.ciphers_to_hash(), of_extensions = parts.extensions_to_hash();
  sha256_finish(of_ciphers, of_extensions);
  std::array<char, 36> out{};
  std::copy_n(parts.first().data(), 10, out.data());
  const auto put = [](bool any, const sha256_words& hash, char* to) {
    to[0] = '_';
    for (std::size_t i = 0; i < 6; ++i) {
      const std::size_t byte = any ? hash[i / 4] >> (24 - 8 * (i % 4)) & 0xff : 0;
      std::copy_n(&hex_pairs[2 * byte], 2, to + 1 + 2 * i);
    }
  };
  put(ciphers, of_ciphers.hash, &out[10]);
  put(extensions, of_extensions.hash, &out[23]);
  fixed_text<36> text;
  text.append({out.data(), out.size()});
  return text;
}

/// Longest: 10 of the first part, three '_', lists of 512, 256 and 512 codes at 5 characters but for the last
/// of each.
using ja4_raw_text = fixed_text<6410>;

constexpr ja4_raw_text ja4_raw(const ja4_parts& parts) noexcept {
  ja4_raw_text out;
  out.append(parts.first());
  out.push_back('_');
  out.append(parts.ciphers());
  out.push_back('_');
  out.append(parts.extensions());
  return out;
}

}  // namespace detail

/// t13d1516h2_8daaf6152771_e5627efa2ab1: TLS over TCP; the highest version offered; whether a server name is;
/// how many cipher suites and extensions; the first and last character of the first application protocol. The
/// hash of the cipher suites. The hash of the extensions but server name and ALPN, with the signature
/// algorithms. Codes are sorted but for the signature algorithms, so that shuffling makes no difference;
/// GREASE counts nowhere. A protocol whose first or last character is neither letter nor digit is shown by
/// its hexadecimal form, as FoxIO has it since 2024.
constexpr fixed_text<36> ja4(const tls::client_hello& hello) noexcept {
  using namespace detail;
  ja4_parts parts(hello, ja4_order::sorted, ja4_extensions::all);
  return ja4_hashed(parts);
}
/// The same in wire order, with server name and ALPN among the extensions.
constexpr fixed_text<36> ja4_o(const tls::client_hello& hello) noexcept {
  using namespace detail;
  ja4_parts parts(hello, ja4_order::wire, ja4_extensions::all);
  return ja4_hashed(parts);
}
/// ja4() with the lists instead of their hashes.
constexpr detail::ja4_raw_text ja4_r(const tls::client_hello& hello) noexcept {
  using namespace detail;
  return ja4_raw(ja4_parts(hello, ja4_order::sorted, ja4_extensions::all));
}
/// ja4_o() with the lists instead of their hashes.
constexpr detail::ja4_raw_text ja4_ro(const tls::client_hello& hello) noexcept {
  using namespace detail;
  return ja4_raw(ja4_parts(hello, ja4_order::wire, ja4_extensions::all));
}

/// What stays of ja4() when a client resumes a session: the extensions padding (21), session_ticket (35),
/// pre_shared_key (41) and early_data (42) neither count nor are hashed. It begins with 's', so that it is
/// not taken for a JA4, and is ours: no other tool has it.
constexpr fixed_text<36> steady(const tls::client_hello& hello) noexcept {
  using namespace detail;
  ja4_parts parts(hello, ja4_order::sorted, ja4_extensions::steady);
  return ja4_hashed(parts);
}

}  // namespace fingerprint
SYNFP_END_NAMESPACE
