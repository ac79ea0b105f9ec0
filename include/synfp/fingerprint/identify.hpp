// SPDX-License-Identifier: MIT
// What a SYN says about its sender, with the evidence: a label, whose it is and how well it fits, distance
// and link, and what does not fit together, in it and between it, the ClientHello and the User-Agent.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/fingerprint/hello_inconsistencies.hpp>  // IWYU pragma: export
#include <synfp/fingerprint/inconsistency.hpp>
#include <synfp/fingerprint/initial_ttl.hpp>
#include <synfp/fingerprint/os_label.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/fingerprint/p0f_database.hpp>
#include <synfp/fingerprint/user_agent.hpp>
#include <synfp/syn_record.hpp>
#include <synfp/tls/client_hello.hpp>

#if !__has_include(<synfp/fingerprint/recorded.hpp>)
#error \
    "fingerprint/identify.hpp needs the generated fingerprint/recorded.hpp: link synfp::synfp (CMake) or use pkg-config synfp"
#endif
#include <synfp/fingerprint/observed.hpp>
#include <synfp/fingerprint/recorded.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// Pointers and views point into the identifier that gave it, and are valid until that is changed, moved or
/// destroyed.
struct identification {
  const os_label* label = nullptr;               ///< null: nothing matched, or p0f_observe() sees nothing
  std::string_view database;                     ///< whose label; empty without one
  std::uint32_t line = 0;                        ///< of the signature in that database
  match_quality quality = match_quality::exact;  ///< of the label
  std::optional<evidence> known_by;              ///< of the signature; empty if its database does not say
  /// The label was found by flow_reading::aware only: p0f's own rules would not give it.
  bool flow_aware = false;
  /// Hops to the sender, from the label's TTL, or guessed from the next of 32, 64, 128, 255. Empty if that
  /// makes more than 35.
  std::optional<std::uint8_t> distance;
  bool distance_is_limit = false;    ///< the sender chooses its TTL at random: `distance` is the most
  std::optional<std::uint32_t> mtu;  ///< what the MSS stands for; empty without one
  std::string_view link;             ///< what has that MTU; empty if no database knows
  inconsistency_set inconsistencies;
};

/// Asks databases in order. Fill it, then share it: the const functions are safe from any thread.
class identifier {
 public:
  /// With the signatures that this project recorded itself, named "synfp", and after them those that it knows
  /// by other evidence, named "observed".
  explicit identifier(flow_reading reading = flow_reading::p0f) {
    // A test sees that they parse.
    if (auto own = p0f_database::parse(recorded_signatures, "synfp")) add(*std::move(own), reading);
    if (auto seen = p0f_database::parse(observed_signatures, "observed")) add(*std::move(seen), reading);
  }
  /// Without any database: add() yours.
  static identifier empty() { return identifier(nothing{}); }

  /// Asked after those that are there. Not while other threads use the identifier.
  identifier& add(p0f_database database, flow_reading reading = flow_reading::p0f) {
    databases_.push_back({std::move(database), reading});
    return *this;
  }

  /// Which system a label names, by the names that p0f's database and ours use; `unknown` for a tool. A name
  /// of two that share a TCP implementation is one of them: compare by same_tcp().
  static os_family family_of(const os_label& label) noexcept {
    if (label.is_tool()) return os_family::unknown;
    constexpr detail::os_word names[] = {
        {"Windows", os_family::windows},     {"Android", os_family::android},
        {"Linux", os_family::linux_},        {"Mac OS X", os_family::macos},
        {"macOS", os_family::macos},         {"iOS", os_family::ios},
        {"FreeBSD", os_family::freebsd},     {"OpenBSD", os_family::openbsd},
        {"NetBSD", os_family::netbsd},       {"Solaris", os_family::solaris},
        {"DragonFly", os_family::dragonfly}, {"Chrome OS", os_family::chromeos}};
    return detail::first_word_in(label.name, names);
  }

  /// The best match of all databases: exact before generic before fuzzy; among equals the first database's.
  /// `user_agent`: of a request on the connection, if there is one; `hello`: with which the client began TLS,
  /// null without. Does not allocate. Without a SYN there is still hello_inconsistencies().
  identification identify(const syn_record& syn, std::string_view user_agent = {},
                          const tls::client_hello* hello = nullptr) const noexcept {
    identification id;
    if (hello != nullptr) id.inconsistencies = hello_inconsistencies(*hello, user_agent);
    id.distance = fingerprint::distance(syn);
    const auto seen = p0f_observe(syn);
    if (!seen) return id;
    if (seen->mss != 0) id.mtu = seen->mss + (seen->v6 ? 60U : 40U);
    std::optional<p0f_match> best;
    for (const auto& [database, reading] : databases_) {
      if (id.mtu && id.link.empty()) id.link = database.link(*id.mtu);
      if (best && best->quality == match_quality::exact) continue;
      const auto match = database.find(*seen, reading);
      if (!match || (best && match->quality >= best->quality)) continue;
      best = match;
      id.database = database.name();
    }
    if (best) {
      id.label = best->label;
      id.line = best->line;
      id.quality = best->quality;
      id.known_by = best->known_by;
      id.flow_aware = best->flow_ignored;
      id.distance_is_limit = best->random_ttl;
      id.distance = best->excess_distance ? std::nullopt : std::optional<std::uint8_t>(best->distance);
    }
    id.inconsistencies.insert(contradictions(syn, *seen, best, user_agent, hello));
    return id;
  }

 private:
  struct nothing {};
  struct entry {
    p0f_database database;
    flow_reading reading;
  };

  explicit identifier(nothing) noexcept {}

  static inconsistency_set contradictions(const syn_record& syn, const p0f_signature& seen,
                                          const std::optional<p0f_match>& match, std::string_view user_agent,
                                          const tls::client_hello* hello) noexcept {
    using q = p0f_signature;
    const bool fits = match && match->quality != match_quality::fuzzy;
    const bool tool = match && match->label->is_tool();
    const os_family family = match ? family_of(*match->label) : os_family::unknown;
    inconsistency_set found;
    auto insert_if = [&found](bool holds, inconsistency what) {
      if (holds) found.insert(what);
    };
    const os_family claimed = os_in_user_agent(user_agent);
    insert_if(
        fits && family != os_family::unknown && claimed != os_family::unknown && !same_tcp(family, claimed),
        inconsistency::user_agent);
    insert_if(match && match->ttl_differs, inconsistency::ttl);
    insert_if(match && match->quirks_differ, inconsistency::quirks);
    insert_if(!fits && has_windows_options(seen) && initial_ttl(syn) != 128, inconsistency::windows_ttl);
    insert_if(same_tcp(family, os_family::linux_) && match->quality != match_quality::exact &&
                  seen.unit == q::window_unit::none && seen.mss >= 100 && seen.window >= seen.mss &&
                  seen.window != 65535,
              inconsistency::window);
    insert_if(seen.v6 && seen.mss == 1460 && !tool, inconsistency::mss);
    insert_if(!seen.v6 && syn.ip().id() == 54321 && initial_ttl(syn) == 255 && !tool,
              inconsistency::scanner_id);
    constexpr std::uint32_t unheard_of =
        q::ip_nz | q::seq_z | q::urg_nz | q::urg | q::push | q::ts2_nz | q::opt_nz | q::exws | q::bad;
    insert_if(!fits && ((seen.quirks & unheard_of) != 0 || syn.tcp().acknowledgment() != 0),
              inconsistency::crafted);
    insert_if(fits && family != os_family::unknown && !same_tcp(family, os_family::macos) &&
                  hello != nullptr && detail::is_hello_of_apple(*hello),
              inconsistency::hello_system);
    return found;
  }

  static bool has_windows_options(const p0f_signature& s) noexcept {
    constexpr std::array<std::uint8_t, 6> kinds{tcp_option::mss, tcp_option::nop, tcp_option::window_scale,
                                                tcp_option::nop, tcp_option::nop, tcp_option::sack_permitted};
    return s.kinds == kinds.size() && std::equal(kinds.begin(), kinds.end(), s.kind.begin());
  }

  std::vector<entry> databases_;
};

}  // namespace fingerprint
SYNFP_END_NAMESPACE
