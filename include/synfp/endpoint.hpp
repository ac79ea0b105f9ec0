// SPDX-License-Identifier: MIT
// An IP address with a port, the way a socket names its two ends.
#pragma once

#include <netinet/in.h>  // sockaddr_in, sockaddr_in6
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include <synfp/detail/address_text.hpp>
#include <synfp/fixed_text.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// Address, port and zone. IPv4 is held v4-mapped (RFC 4291 2.5.5.2) in 16 bytes of network order, so an IPv4
/// peer of a dual-stack listener and one of an IPv4 listener are equal. `scope` is the interface index of a
/// link-local IPv6 address and 0 for every other address.
class endpoint {
 public:
  using bytes_type = std::array<std::uint8_t, 16>;

  /// The unspecified IPv6 endpoint, [::]:0.
  constexpr endpoint() = default;

  /// `address`: network order. A v4-mapped address is an IPv4 endpoint. `port`: host order.
  static constexpr endpoint v6(const bytes_type& address, std::uint16_t port,
                               std::uint32_t scope = 0) noexcept {
    endpoint e;
    e.address_ = address;
    e.port_ = port;
    if (e.is_link_local()) e.scope_ = scope;
    return e;
  }
  static constexpr endpoint v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d,
                               std::uint16_t port) noexcept {
    return v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, port);
  }

  /// From what the kernel filled in. Empty if the family is neither AF_INET nor AF_INET6 or `length` is
  /// short.
  static std::optional<endpoint> from_sockaddr(const sockaddr_storage& storage, socklen_t length) noexcept {
    if (storage.ss_family == AF_INET && length >= sizeof(sockaddr_in)) {
      sockaddr_in in;
      std::memcpy(&in, &storage, sizeof in);
      std::uint8_t a[4];
      std::memcpy(a, &in.sin_addr, 4);
      return v4(a[0], a[1], a[2], a[3], ntohs(in.sin_port));
    }
    if (storage.ss_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
      sockaddr_in6 in;
      std::memcpy(&in, &storage, sizeof in);
      bytes_type a;
      std::memcpy(a.data(), &in.sin6_addr, 16);
      return v6(a, ntohs(in.sin6_port), in.sin6_scope_id);
    }
    return std::nullopt;
  }

  /// For bind() and connect(): AF_INET for an IPv4 endpoint, else AF_INET6. Returns the length used.
  socklen_t to_sockaddr(sockaddr_storage& storage) const noexcept {
    std::memset(&storage, 0, sizeof storage);
    if (is_v4()) {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(port_);
      std::memcpy(&in.sin_addr, address_.data() + 12, 4);
      std::memcpy(&storage, &in, sizeof in);
      return sizeof in;
    }
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port_);
    in.sin6_scope_id = scope_;
    std::memcpy(&in.sin6_addr, address_.data(), 16);
    std::memcpy(&storage, &in, sizeof in);
    return sizeof in;
  }

  /// "192.0.2.1:80", "[2001:db8::1]:80" or "[fe80::1%3]:80" (a zone is an interface index; resolve names with
  /// if_nametoindex first). Empty on anything else: no names, no missing port, no leading zeros.
  static constexpr std::optional<endpoint> parse(std::string_view text) noexcept;

  constexpr const bytes_type& address() const noexcept { return address_; }
  constexpr std::uint16_t port() const noexcept { return port_; }  ///< host order
  constexpr std::uint32_t scope() const noexcept { return scope_; }
  constexpr void set_port(std::uint16_t port) noexcept { port_ = port; }

  constexpr bool is_v4() const noexcept {
    for (std::size_t i = 0; i < 10; ++i) {
      if (address_[i] != 0) return false;
    }
    return address_[10] == 0xff && address_[11] == 0xff;
  }
  constexpr bool is_link_local() const noexcept {
    return address_[0] == 0xfe && (address_[1] & 0xc0) == 0x80;
  }
  /// 0.0.0.0 or ::
  constexpr bool is_unspecified() const noexcept {
    for (std::size_t i = is_v4() ? 12 : 0; i < 16; ++i) {
      if (address_[i] != 0) return false;
    }
    return true;
  }

  /// The address alone, RFC 5952 for IPv6, with %zone if link-local and known.
  constexpr fixed_text<56> address_text() const noexcept;
  /// What parse() reads.
  constexpr fixed_text<64> text() const noexcept;

  friend constexpr bool operator==(const endpoint&, const endpoint&) = default;

 private:
  bytes_type address_{};
  std::uint32_t scope_ = 0;
  std::uint16_t port_ = 0;
};

constexpr std::optional<endpoint> endpoint::parse(std::string_view text) noexcept {
  endpoint e;
  if (detail::parse_char(text, '[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, close);
    text.remove_prefix(close + 1);
    std::uint32_t scope = 0;
    if (const std::size_t percent = host.find('%'); percent != std::string_view::npos) {
      std::string_view zone = host.substr(percent + 1);
      const auto number = detail::parse_number(zone, 0xffffffffU);
      if (!number || !zone.empty()) return std::nullopt;
      scope = *number;
      host = host.substr(0, percent);
    }
    bytes_type address{};
    if (!detail::parse_v6(host, address)) return std::nullopt;
    e = v6(address, 0, scope);
    if (scope != 0 && e.scope_ == 0) return std::nullopt;  // a zone on an address that has none
  } else {
    std::uint8_t a[4] = {};
    if (!detail::parse_v4(text, a)) return std::nullopt;
    e = v4(a[0], a[1], a[2], a[3], 0);
  }
  if (!detail::parse_char(text, ':')) return std::nullopt;
  const auto port = detail::parse_number(text, 65535);
  if (!port || !text.empty()) return std::nullopt;
  e.port_ = static_cast<std::uint16_t>(*port);
  return e;
}

constexpr fixed_text<56> endpoint::address_text() const noexcept {
  fixed_text<56> out;
  if (is_v4()) {
    detail::append_v4(out, address_.data() + 12);
    return out;
  }
  detail::append_v6(out, address_);
  if (scope_ != 0) {
    out.push_back('%');
    out.append_number(scope_);
  }
  return out;
}

constexpr fixed_text<64> endpoint::text() const noexcept {
  fixed_text<64> out;
  if (!is_v4()) out.push_back('[');
  out.append(address_text());
  if (!is_v4()) out.push_back(']');
  out.push_back(':');
  out.append_number(port_);
  return out;
}

SYNFP_END_NAMESPACE
