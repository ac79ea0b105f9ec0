// SPDX-License-Identifier: MIT
// A ClientHello in place: what a TLS client offers, as it was on the wire. hello_parser.hpp finds it in the
// bytes of a connection.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>  // and forward_iterator_tag: <iterator> itself costs more than all of this

#include <synfp/detail/big_endian.hpp>
#include <synfp/tls/refusal.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls {

/// Whether a code is one of those that clients send at random, so that servers keep on ignoring what they do
/// not know: 0x0a0a, 0x1a1a, ... 0xfafa (RFC 8701 2). Cipher suites, extensions, groups, versions and
/// signature algorithms have them.
constexpr bool is_grease(std::uint16_t code) noexcept {
  return (code & 0x0f0f) == 0x0a0a && code >> 8 == (code & 0xff);
}

struct extension {
  /// Types that synfp reads or names (IANA's list of TLS ExtensionType values); `type` may be any number.
  enum known_type : std::uint16_t {
    server_name = 0,                   // RFC 6066 3
    groups = 10,                       // RFC 8446 4.2.7
    point_formats = 11,                // RFC 8422 5.1.2
    signature_algorithms = 13,         // RFC 8446 4.2.3
    alpn = 16,                         // RFC 7301
    padding = 21,                      // RFC 7685
    encrypt_then_mac = 22,             // RFC 7366
    record_size_limit = 28,            // RFC 8449
    session_ticket = 35,               // RFC 5077
    pre_shared_key = 41,               // RFC 8446 4.2.11
    early_data = 42,                   // RFC 8446 4.2.10
    versions = 43,                     // RFC 8446 4.2.1
    key_share = 51,                    // RFC 8446 4.2.8
    application_settings_old = 17513,  // draft-vvv-tls-alps with its first code,
    application_settings = 17613,      // and with its second
  };

  std::uint16_t type = 0;
  std::span<const std::uint8_t> data;
};

struct key_share {
  std::uint16_t group = 0;
  std::span<const std::uint8_t> key;
};

/// The elements of a list where they are; a range. Format says how one is read. Only client_hello makes lists
/// that are not empty, of bytes that it has checked.
template <class Format>
class hello_list {
 public:
  class iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = decltype(Format::value(nullptr));
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = value_type;

    constexpr iterator() noexcept = default;
    constexpr explicit iterator(const std::uint8_t* at) noexcept : at_(at) {}
    constexpr value_type operator*() const noexcept { return Format::value(at_); }
    constexpr iterator& operator++() noexcept {
      at_ += Format::length(at_);
      return *this;
    }
    constexpr iterator operator++(int) noexcept {
      const iterator before = *this;
      ++*this;
      return before;
    }
    constexpr bool operator==(const iterator&) const noexcept = default;

   private:
    const std::uint8_t* at_ = nullptr;
  };

  constexpr hello_list() noexcept = default;
  constexpr iterator begin() const noexcept { return iterator(bytes_.data()); }
  constexpr iterator end() const noexcept { return iterator(bytes_.data() + bytes_.size()); }
  constexpr bool empty() const noexcept { return bytes_.empty(); }
  /// As on the wire, without the length before them.
  constexpr std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }

 private:
  friend class client_hello;
  constexpr explicit hello_list(std::span<const std::uint8_t> bytes) noexcept : bytes_(bytes) {}

  std::span<const std::uint8_t> bytes_;
};

namespace detail {

using synfp::detail::load_be16;

struct code_format {
  static constexpr std::size_t length(const std::uint8_t*) noexcept { return 2; }
  static constexpr std::uint16_t value(const std::uint8_t* at) noexcept { return load_be16(at); }
};
struct extension_format {
  static constexpr std::size_t length(const std::uint8_t* at) noexcept { return 4U + load_be16(at + 2); }
  static constexpr extension value(const std::uint8_t* at) noexcept {
    return {load_be16(at), {at + 4, load_be16(at + 2)}};
  }
};
struct protocol_format {
  static constexpr std::size_t length(const std::uint8_t* at) noexcept { return 1U + *at; }
  static std::string_view value(const std::uint8_t* at) noexcept {
    return {reinterpret_cast<const char*>(at + 1), *at};
  }
};
struct key_share_format {
  static constexpr std::size_t length(const std::uint8_t* at) noexcept { return 4U + load_be16(at + 2); }
  static constexpr key_share value(const std::uint8_t* at) noexcept {
    return {load_be16(at), {at + 4, load_be16(at + 2)}};
  }
};

/// Takes fields from the front of bytes. What is not there makes it fail, and it stays failed.
class field_reader {
 public:
  constexpr explicit field_reader(std::span<const std::uint8_t> bytes) noexcept : rest_(bytes) {}

  constexpr std::span<const std::uint8_t> take(std::size_t n) noexcept {
    if (n > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const auto taken = rest_.first(n);
    rest_ = rest_.subspan(n);
    return taken;
  }
  constexpr std::uint8_t take_8() noexcept {
    const auto taken = take(1);
    return taken.empty() ? std::uint8_t{0} : taken[0];
  }
  constexpr std::uint16_t take_16() noexcept {
    const auto taken = take(2);
    return taken.empty() ? std::uint16_t{0} : load_be16(taken.data());
  }
  /// What a length of one byte, or of two, announces.
  constexpr std::span<const std::uint8_t> take_list_8() noexcept { return take(take_8()); }
  constexpr std::span<const std::uint8_t> take_list_16() noexcept { return take(take_16()); }
  constexpr bool failed() const noexcept { return failed_; }
  constexpr bool at_end() const noexcept { return rest_.empty(); }
  constexpr std::size_t left() const noexcept { return rest_.size(); }

 private:
  std::span<const std::uint8_t> rest_;
  bool failed_ = false;
};

}  // namespace detail

/// Elements are std::uint16_t, extension, std::string_view, key_share.
using code_list = hello_list<detail::code_format>;
using extension_list = hello_list<detail::extension_format>;
using protocol_list = hello_list<detail::protocol_format>;
using key_share_list = hello_list<detail::key_share_format>;

/// A ClientHello, RFC 8446 4.1.2 and RFC 5246 7.4.1.2: a view, valid while the bytes are. All is as the
/// client sent it: in its order, unknown codes and GREASE included. An extension that the client did not send
/// has an empty list. Empty of everything until assign() has succeeded.
class client_hello {
 public:
  /// More is no client's, but would be work: fingerprints sort. IANA has assigned some 350 cipher suites and
  /// 60 extensions.
  static constexpr std::size_t max_codes = 512;
  static constexpr std::size_t max_extensions = 256;

  constexpr client_hello() noexcept = default;

  /// From a handshake message with its header of four bytes, as QUIC carries it, too. Anything but
  /// refusal::none says why it is no ClientHello; the view is empty then. Lengths must fit into each other to
  /// the byte, and what RFCs do not allow to be empty is not.
  constexpr refusal assign(std::span<const std::uint8_t> message) noexcept {
    *this = client_hello();
    const refusal why = read(message);
    if (why != refusal::none) *this = client_hello();
    return why;
  }

  /// The field of the hello itself, which TLS 1.3 fixed to 0x0303; see versions().
  constexpr std::uint16_t legacy_version() const noexcept { return version_; }
  constexpr std::span<const std::uint8_t> random() const noexcept { return random_; }
  constexpr std::span<const std::uint8_t> session_id() const noexcept { return session_id_; }
  constexpr code_list ciphers() const noexcept { return code_list(ciphers_); }
  constexpr std::span<const std::uint8_t> compression_methods() const noexcept { return compression_; }
  constexpr extension_list extensions() const noexcept { return extension_list(extensions_); }

  /// The host name, without NUL but with any other byte. Empty optional: no such extension.
  std::optional<std::string_view> server_name() const noexcept {
    if (name_.empty()) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(name_.data()), name_.size());
  }
  constexpr bool has_server_name() const noexcept { return !name_.empty(); }
  constexpr protocol_list alpn() const noexcept { return protocol_list(alpn_); }
  constexpr code_list groups() const noexcept { return code_list(groups_); }
  constexpr std::span<const std::uint8_t> point_formats() const noexcept { return formats_; }
  constexpr code_list signature_algorithms() const noexcept { return code_list(algorithms_); }
  constexpr code_list versions() const noexcept { return code_list(versions_); }
  constexpr key_share_list key_shares() const noexcept { return key_share_list(shares_); }

  /// The highest version that the client offers, GREASE left out; legacy_version() without versions().
  constexpr std::uint16_t highest_version() const noexcept {
    if (versions_.empty()) return version_;
    std::uint16_t highest = 0;
    for (const std::uint16_t v : versions()) {
      if (!is_grease(v) && v > highest) highest = v;
    }
    return highest;
  }
  /// Whether any cipher suite, extension, group, version or signature algorithm is GREASE.
  constexpr bool has_grease() const noexcept {
    for (const auto& list : {ciphers(), groups(), versions(), signature_algorithms()}) {
      for (const std::uint16_t code : list) {
        if (is_grease(code)) return true;
      }
    }
    for (const extension& e : extensions()) {
      if (is_grease(e.type)) return true;
    }
    return false;
  }

 private:
  using bytes = std::span<const std::uint8_t>;

  static constexpr bool whole(const detail::field_reader& reader) noexcept {
    return !reader.failed() && reader.at_end();
  }

  constexpr refusal read(bytes message) noexcept {
    detail::field_reader all(message);
    if (all.take_8() != 1) return message.empty() ? refusal::truncated : refusal::not_client_hello;
    const std::size_t high = all.take_8(), low = all.take_16();
    if (all.failed() || all.left() != (high << 16 | low)) return refusal::truncated;

    version_ = all.take_16();
    random_ = all.take(32);
    session_id_ = all.take_list_8();
    if (session_id_.size() > 32) return refusal::session_id_invalid;
    ciphers_ = all.take_list_16();
    if (all.failed()) return refusal::truncated;
    if (ciphers_.empty() || ciphers_.size() % 2 != 0) return refusal::ciphers_invalid;
    if (ciphers_.size() > 2 * max_codes) return refusal::ciphers_too_many;
    compression_ = all.take_list_8();
    if (all.failed()) return refusal::truncated;
    if (compression_.empty()) return refusal::compression_invalid;
    if (all.at_end()) return refusal::none;  // before TLS had extensions
    extensions_ = all.take_list_16();
    if (!whole(all)) return refusal::extensions_invalid;
    return read_extensions();
  }

  constexpr refusal read_extensions() noexcept {
    std::array<std::uint16_t, max_extensions> seen;  // NOLINT: the first `count` are written
    std::size_t count = 0;
    std::uint64_t seen_low = 0;  // of the types below 64, which most are
    detail::field_reader all(extensions_);
    while (!all.at_end()) {
      const std::uint16_t type = all.take_16();
      const bytes data = all.take_list_16();
      if (all.failed()) return refusal::extension_truncated;
      if (count == max_extensions) return refusal::extensions_too_many;
      if (type < 64) {
        if ((seen_low >> type & 1) != 0) return refusal::extension_repeated;
        seen_low |= std::uint64_t{1} << type;
      } else {
        for (std::size_t i = 0; i < count; ++i) {
          if (seen[i] == type) return refusal::extension_repeated;
        }
      }
      seen[count++] = type;
      if (const refusal why = read_extension(type, data); why != refusal::none) return why;
    }
    return refusal::none;
  }

  constexpr refusal read_extension(std::uint16_t type, bytes data) noexcept {
    switch (type) {
      case extension::server_name: return read_name(data) ? refusal::none : refusal::server_name_invalid;
      case extension::alpn: return read_alpn(data) ? refusal::none : refusal::alpn_invalid;
      case extension::groups: return read_codes(data, groups_) ? refusal::none : refusal::groups_invalid;
      case extension::signature_algorithms:
        return read_codes(data, algorithms_) ? refusal::none : refusal::signature_algorithms_invalid;
      case extension::versions: return read_versions(data) ? refusal::none : refusal::versions_invalid;
      case extension::point_formats:
        return read_formats(data) ? refusal::none : refusal::point_formats_invalid;
      case extension::key_share: return read_shares(data) ? refusal::none : refusal::key_shares_invalid;
      default: return refusal::none;
    }
  }

  constexpr bool read_name(bytes data) noexcept {
    detail::field_reader outer(data);
    detail::field_reader list(outer.take_list_16());
    const bool is_host_name = list.take_8() == 0;
    const bytes name = list.take_list_16();
    if (!whole(outer) || !whole(list) || !is_host_name || name.empty()) return false;
    for (const std::uint8_t byte : name) {
      if (byte == 0) return false;
    }
    name_ = name;
    return true;
  }
  constexpr bool read_alpn(bytes data) noexcept {
    detail::field_reader outer(data);
    const bytes list = outer.take_list_16();
    if (!whole(outer) || list.empty()) return false;
    for (detail::field_reader names(list); !names.at_end();) {
      if (names.take_list_8().empty()) return false;
    }
    alpn_ = list;
    return true;
  }
  static constexpr bool read_codes(bytes data, bytes& into) noexcept {
    detail::field_reader outer(data);
    const bytes list = outer.take_list_16();
    if (!whole(outer) || !are_codes(list)) return false;
    into = list;
    return true;
  }
  constexpr bool read_versions(bytes data) noexcept {
    detail::field_reader outer(data);
    const bytes list = outer.take_list_8();
    if (!whole(outer) || !are_codes(list)) return false;
    versions_ = list;
    return true;
  }
  constexpr bool read_formats(bytes data) noexcept {
    detail::field_reader outer(data);
    formats_ = outer.take_list_8();
    return whole(outer) && !formats_.empty();
  }
  constexpr bool read_shares(bytes data) noexcept {
    detail::field_reader outer(data);
    const bytes list = outer.take_list_16();
    if (!whole(outer)) return false;
    for (detail::field_reader shares(list); !shares.at_end();) {
      (void)shares.take_16();
      if (shares.take_list_16().empty()) return false;
    }
    shares_ = list;
    return true;
  }
  static constexpr bool are_codes(bytes list) noexcept {
    return !list.empty() && list.size() % 2 == 0 && list.size() <= 2 * max_codes;
  }

  std::uint16_t version_ = 0;
  bytes random_, session_id_, ciphers_, compression_, extensions_;
  bytes name_, alpn_, groups_, formats_, algorithms_, versions_, shares_;
};

}  // namespace tls
SYNFP_END_NAMESPACE
