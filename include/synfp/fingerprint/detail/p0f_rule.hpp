// SPDX-License-Identifier: MIT
// A signature of a p0f database, and whether a SYN agrees with it, as p0f 3.09b decides. Written from a
// description of the rules; holds no text of p0f.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <synfp/fingerprint/evidence.hpp>
#include <synfp/fingerprint/p0f.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint::detail {

/// The option kinds of a SYN in their order; those after the last are 0. Rules are searched by it.
struct p0f_layout {
  std::array<std::uint8_t, p0f_signature::max_options> kind{};
  std::uint8_t kinds = 0;

  constexpr std::span<const std::uint8_t> used() const noexcept { return std::span(kind).first(kinds); }
  friend constexpr bool operator==(const p0f_layout&, const p0f_layout&) = default;
};

/// FNV-1a. Nothing an attacker sends enters a table: only layouts of the database are in it.
constexpr std::uint32_t hash_of(std::span<const std::uint8_t> kinds) noexcept {
  std::uint32_t h = 0x811c9dc5U;
  for (const std::uint8_t kind : kinds) h = (h ^ kind) * 0x01000193U;
  return h ^ h >> 15;
}

/// The fields in which most signatures of a layout differ, in one word.
constexpr std::uint64_t p0f_word(std::uint16_t mss, std::uint16_t window, std::uint16_t multiplier,
                                 std::uint8_t scale, p0f_signature::window_unit unit) noexcept {
  return std::uint64_t{mss} | std::uint64_t{window} << 16 | std::uint64_t{multiplier} << 32 |
         std::uint64_t{scale} << 48 | static_cast<std::uint64_t>(unit) << 56;
}
constexpr std::uint64_t p0f_word(const p0f_signature& s) noexcept {
  return p0f_word(s.mss, s.window, s.multiplier, s.scale, s.unit);
}

struct p0f_rule {
  enum class window_rule : std::uint8_t { literal, any, modulo, mss, mtu };
  static constexpr std::int8_t any = -1;

  std::uint64_t word = 0, word_mask = 0;  ///< what p0f_word() must be; set by prepare()
  std::uint32_t quirks = 0;
  std::int32_t mss = any;
  std::uint32_t line = 0;
  std::uint32_t label = 0;   ///< index
  std::uint16_t window = 0;  ///< or what it is a multiple of, or the multiplier
  std::int16_t scale = any;
  window_rule window_is = window_rule::any;
  std::int8_t payload = any;
  std::uint8_t version = 0;  ///< 4 or 6; 0 for both
  std::uint8_t ttl = 0;
  bool random_ttl = false;  ///< `ttl` is the most that is sent
  bool generic = false;
  bool tool = false;
  std::uint8_t ip_option_length = 0;
  std::uint8_t eol_padding = 0;
  std::optional<evidence> known_by;

  /// From the other fields. Only saves time: compare() looks at everything.
  constexpr void prepare() noexcept {
    using unit = p0f_signature::window_unit;
    const bool in_units = window_is == window_rule::mss || window_is == window_rule::mtu;
    const bool literal = window_is == window_rule::literal;
    word_mask = p0f_word(mss != any ? 0xffff : 0, literal ? 0xffff : 0, in_units ? 0xffff : 0,
                         scale != any ? 0xff : 0, in_units ? unit{0xff} : unit::none);
    word = word_mask & p0f_word(static_cast<std::uint16_t>(mss), window, window,
                                static_cast<std::uint8_t>(scale),
                                window_is == window_rule::mss ? unit::mss : unit::mtu);
  }
  constexpr bool may_match(std::uint64_t of_syn) const noexcept { return ((of_syn ^ word) & word_mask) == 0; }
};

/// How far a SYN is from a rule.
struct p0f_difference {
  bool hard = false;    ///< no match
  bool ttl = false;     ///< fuzzy: above the rule's, or more than 35 below
  bool quirks = false;  ///< fuzzy: DF or a nonzero id is missing, or a zero id or ECN was added
};

constexpr bool p0f_window_agrees(const p0f_rule& rule, const p0f_signature& s) noexcept {
  using window_rule = p0f_rule::window_rule;
  using unit = p0f_signature::window_unit;
  switch (rule.window_is) {
    case window_rule::literal: return rule.window == s.window;
    case window_rule::any: return true;
    case window_rule::modulo: return s.window % rule.window == 0;
    case window_rule::mss: return s.unit == unit::mss && rule.window == s.multiplier;
    case window_rule::mtu: return s.unit == unit::mtu && rule.window == s.multiplier;
  }
  return false;
}

/// The quirks of a rule that a packet of the family can have. p0f compares no version beyond that: a rule for
/// IPv4 also applies to IPv6 if the rest agrees, and the other way round.
constexpr std::uint32_t p0f_quirks_for(const p0f_rule& rule, bool v4) noexcept {
  using q = p0f_signature;
  if (rule.version != 0) return rule.quirks;
  return v4 ? rule.quirks & ~std::uint32_t{q::flow}
            : rule.quirks & ~std::uint32_t{q::df | q::id_nz | q::id_z};
}

/// The layouts are equal. `ignored`: quirks that make no difference.
constexpr p0f_difference compare(const p0f_rule& rule, const p0f_signature& s,
                                 std::uint32_t ignored) noexcept {
  using q = p0f_signature;
  constexpr p0f_difference no{.hard = true};
  p0f_difference d;
  const std::uint32_t theirs = p0f_quirks_for(rule, !s.v6);
  if (const std::uint32_t differ = (theirs ^ s.quirks) & ~ignored; differ != 0) {
    if ((differ & theirs & ~std::uint32_t{q::df | q::id_nz}) != 0) return no;
    if ((differ & s.quirks & ~std::uint32_t{q::id_z | q::ecn}) != 0) return no;
    d.quirks = true;
  }
  if (rule.eol_padding != s.eol_padding || rule.ip_option_length != s.ip_option_length) return no;
  if (rule.mss != p0f_rule::any && rule.mss != s.mss) return no;
  if (rule.scale != p0f_rule::any && rule.scale != s.scale) return no;
  if (rule.payload != p0f_rule::any && (rule.payload != 0) != s.payload) return no;
  if (!p0f_window_agrees(rule, s)) return no;
  if (rule.random_ttl) {
    if (rule.ttl < s.ttl) return no;
  } else {
    d.ttl = rule.ttl < s.ttl || rule.ttl - s.ttl > 35;
  }
  return d;
}

/// Whether `earlier` takes every SYN that `later` describes, by p0f's test, which knows some cases only. p0f
/// refuses a database where a rule that is not generic does.
constexpr bool p0f_covers(const p0f_rule& earlier, const p0f_rule& later) noexcept {
  using window_rule = p0f_rule::window_rule;
  if (earlier.generic) return false;
  if (p0f_quirks_for(earlier, later.version == 4) != later.quirks) return false;
  if (earlier.eol_padding != later.eol_padding || earlier.ip_option_length != later.ip_option_length)
    return false;
  if (earlier.ttl < later.ttl || (!earlier.random_ttl && earlier.ttl - later.ttl > 35)) return false;
  if (earlier.mss != p0f_rule::any && earlier.mss != later.mss) return false;
  if (earlier.scale != p0f_rule::any && earlier.scale != later.scale) return false;
  if (earlier.payload != p0f_rule::any && earlier.payload != later.payload) return false;
  if (later.window_is != window_rule::literal)
    return earlier.window_is == later.window_is && earlier.window == later.window;
  p0f_signature as_packet;
  as_packet.v6 = later.version == 6;
  as_packet.window = later.window;
  as_packet.mss = later.mss == p0f_rule::any ? std::uint16_t{0} : static_cast<std::uint16_t>(later.mss);
  p0f_window(as_packet, 0, 0);
  return p0f_window_agrees(earlier, as_packet);
}

}  // namespace fingerprint::detail
SYNFP_END_NAMESPACE
