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

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// Text of fixed capacity; converts to string_view. Returned where a std::string would allocate.
template <std::size_t Capacity>
class fixed_text {
 public:
  constexpr void push_back(char c) noexcept {
    if (size_ < Capacity) data_[size_++] = c;
  }
  constexpr void append(std::string_view text) noexcept {
    for (char c : text) push_back(c);
  }
  /// Appends `value` in `base` 10 or 16 (lower case).
  constexpr void append_number(std::uint64_t value, unsigned base = 10) noexcept {
    char digits[20] = {};
    std::size_t n = 0;
    do {
      digits[n++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (n != 0) push_back(digits[--n]);
  }
  constexpr std::string_view view() const noexcept { return {data_.data(), size_}; }
  constexpr operator std::string_view() const noexcept { return view(); }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr void clear() noexcept { size_ = 0; }
  static constexpr std::size_t capacity() noexcept { return Capacity; }
  friend constexpr bool operator==(const fixed_text& a, std::string_view b) noexcept { return a.view() == b; }

 private:
  std::array<char, Capacity> data_{};
  std::size_t size_ = 0;
};

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

namespace detail {

/// Reads a decimal number without sign or leading zeros from the front of `text`, at most `max`.
constexpr std::optional<std::uint32_t> parse_number(std::string_view& text, std::uint32_t max) noexcept {
  std::size_t n = 0;
  std::uint64_t value = 0;
  while (n < text.size() && text[n] >= '0' && text[n] <= '9') {
    value = value * 10 + static_cast<std::uint64_t>(text[n] - '0');
    if (value > max) return std::nullopt;
    ++n;
  }
  if (n == 0 || (n > 1 && text[0] == '0')) return std::nullopt;
  text.remove_prefix(n);
  return static_cast<std::uint32_t>(value);
}

constexpr bool parse_char(std::string_view& text, char c) noexcept {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

/// a.b.c.d from the front of `text` into out[0..3].
constexpr bool parse_v4(std::string_view& text, std::uint8_t* out) noexcept {
  for (int i = 0; i < 4; ++i) {
    if (i != 0 && !parse_char(text, '.')) return false;
    auto part = parse_number(text, 255);
    if (!part) return false;
    out[i] = static_cast<std::uint8_t>(*part);
  }
  return true;
}

/// An IPv6 address (RFC 4291 2.2, with :: and a dotted tail) that fills `text` to its end.
constexpr bool parse_v6(std::string_view text, endpoint::bytes_type& out) noexcept {
  std::uint16_t groups[8] = {};
  std::size_t count = 0;
  std::size_t gap = 9;  // where :: stands, 9: nowhere
  if (text.size() >= 2 && text[0] == ':' && text[1] == ':') {
    gap = 0;
    text.remove_prefix(2);
  }
  bool want_group = gap == 9;
  while (!text.empty()) {
    if (count == 8) return false;
    const std::size_t colon = text.find(':');
    const std::size_t dot = text.find('.');
    if (dot != std::string_view::npos && colon == std::string_view::npos) {
      if (count > 6) return false;
      std::uint8_t v4[4] = {};
      if (!parse_v4(text, v4) || !text.empty()) return false;
      groups[count++] = static_cast<std::uint16_t>(v4[0] << 8 | v4[1]);
      groups[count++] = static_cast<std::uint16_t>(v4[2] << 8 | v4[3]);
      want_group = false;
      break;
    }
    unsigned value = 0;
    std::size_t n = 0;
    for (; n < text.size() && n < 4; ++n) {
      const char c = text[n];
      unsigned digit = 16;
      if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
      if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a' + 10);
      if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A' + 10);
      if (digit == 16) break;
      value = value << 4 | digit;
    }
    if (n == 0) return false;
    text.remove_prefix(n);
    groups[count++] = static_cast<std::uint16_t>(value);
    want_group = false;
    if (text.empty()) break;
    if (!parse_char(text, ':')) return false;
    want_group = true;
    if (parse_char(text, ':')) {
      if (gap != 9) return false;
      gap = count;
      want_group = false;
    }
  }
  if (want_group) return false;
  if (gap == 9 ? count != 8 : count > 7) return false;
  const std::size_t tail = gap == 9 ? 0 : count - gap;
  const std::size_t head = count - tail;
  for (std::size_t i = 0; i < 8; ++i) {
    std::uint16_t g = 0;
    if (i < head) g = groups[i];
    if (i >= 8 - tail) g = groups[head + i - (8 - tail)];
    out[2 * i] = static_cast<std::uint8_t>(g >> 8);
    out[2 * i + 1] = static_cast<std::uint8_t>(g & 0xff);
  }
  return true;
}

}  // namespace detail

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
    for (std::size_t i = 12; i < 16; ++i) {
      if (i != 12) out.push_back('.');
      out.append_number(address_[i]);
    }
    return out;
  }
  auto group = [this](std::size_t i) {
    return static_cast<unsigned>(address_[2 * i] << 8 | address_[2 * i + 1]);
  };
  std::size_t best = 8;
  std::size_t best_length = 1;  // RFC 5952 4.2.2: one zero group is not shortened
  for (std::size_t i = 0; i < 8;) {
    std::size_t n = 0;
    while (i + n < 8 && group(i + n) == 0) ++n;
    if (n > best_length) {
      best = i;
      best_length = n;
    }
    i += n == 0 ? 1 : n;
  }
  for (std::size_t i = 0; i < 8;) {
    if (i == best) {
      out.append("::");
      i += best_length;
      continue;
    }
    if (i != 0 && i != best + best_length) out.push_back(':');
    out.append_number(group(i), 16);
    ++i;
  }
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
