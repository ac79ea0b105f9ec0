// SPDX-License-Identifier: MIT
// A database of signatures in the grammar of p0f's p0f.fp (p0f 3.09b, docs/README 5), and what it says of a
// SYN by p0f's own rules. No database of p0f's is part of this project: load the one on your disk, Debian's
// is /etc/p0f/p0f.fp.
#pragma once

#include <fcntl.h>
#include <sys/types.h>  // ssize_t
#include <unistd.h>

#include <algorithm>  // lower_bound
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>  // strerror
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <synfp/fingerprint/detail/p0f_parser.hpp>
#include <synfp/fingerprint/detail/p0f_rule.hpp>
#include <synfp/fingerprint/evidence.hpp>  // IWYU pragma: export
#include <synfp/fingerprint/os_label.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint {

/// How well a signature fits. A fuzzy one may be of a generic label too: see os_label::generic.
enum class match_quality : std::uint8_t {
  exact,    ///< a specific signature, without a difference
  generic,  ///< a generic signature, without a difference
  fuzzy,    ///< the TTL is out of reach, or DF, the IP id or ECN differ in a way that p0f forgives
};

constexpr std::string_view to_string(match_quality q) noexcept {
  switch (q) {
    case match_quality::exact: return "exact";
    case match_quality::generic: return "generic";
    case match_quality::fuzzy: return "fuzzy";
  }
  return "unknown";
}

/// What an IPv6 flow label means. p0f takes it for a quirk, and its signatures are older than the systems
/// that always send one: it names none of those. `aware`: its presence or absence is no difference, the rest
/// of p0f's rules stays; an answer that p0f would not give says so (p0f_match::flow_ignored).
enum class flow_reading : std::uint8_t { p0f, aware };

/// The answer of a database.
struct p0f_match {
  const os_label* label;  ///< in the database, or in what that was moved to
  match_quality quality;
  std::uint32_t line;     ///< of the signature in the database
  std::uint8_t distance;  ///< hops; with `random_ttl` the most there can be; a guess if `ttl_differs`
  bool random_ttl;        ///< the sender chooses its TTL at random
  bool excess_distance;   ///< more than 35 hops, which p0f does not believe
  bool ttl_differs;       ///< fuzzy: above the signature's TTL, or more than 35 below
  bool quirks_differ;     ///< fuzzy: in DF, IP id or ECN
  bool flow_ignored;      ///< the signature differs in the flow label: by flow_reading::aware only
  /// From the database: a comment "; evidence: WORD" holds for the signatures below it, up to the next such
  /// comment or section. p0f's own has none.
  std::optional<evidence> known_by;
};

/// A value. The const functions are safe from any thread. What was moved from knows nothing.
class p0f_database {
 public:
  /// Reads all of a database. Sections other than [tcp:request] and [mtu] are checked (but not for signatures
  /// that cover each other) and not kept. `name` is for messages, mostly the path. Refuses what p0f refuses,
  /// with "NAME:LINE: what; what to do", and beyond that control characters, numbers above 65535, "N-"
  /// followed by a number, more than 4 MiB, 8,192 bytes in a line, or 8,192 signatures, labels or names
  /// (errc::too_large).
  static setup_result<p0f_database> parse(std::string_view text, std::string name) {
    auto content = detail::p0f_parser::parse(text, std::move(name));
    if (!content) return std::move(content).error();
    return p0f_database(*std::move(content));
  }

  /// parse() of a file; its path is the name. Reads no more than parse() takes.
  static setup_result<p0f_database> load(const std::string& path) {
    std::string text(detail::p0f_parser::max_bytes + 1, '\0');
    std::size_t size = 0;
    ssize_t n = -1;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
      do {
        n = ::read(fd, text.data() + size, text.size() - size);
        if (n > 0) size += static_cast<std::size_t>(n);
      } while (n > 0 || (n < 0 && errno == EINTR));
    }
    const int number = errno;
    if (fd >= 0) ::close(fd);
    if (n < 0)
      return setup_error{errc::system, number,
                         "cannot read the signature database " + path + " (" + std::strerror(number) +
                             "); it is a text file like the p0f.fp that p0f brings"};
    text.resize(size);
    return parse(text, path);
  }

  /// p0f's answer: the first specific signature without a difference, else the first generic one, else the
  /// first with a difference of match_quality::fuzzy, unless that one is of a tool. Like p0f, compares no IP
  /// version: a signature for the other family fits if its quirks do. The time grows with the number of
  /// signatures of the SYN's option layout. Does not allocate.
  std::optional<p0f_match> find(const p0f_signature& s,
                                flow_reading reading = flow_reading::p0f) const noexcept {
    const std::uint32_t ignored = reading == flow_reading::aware ? std::uint32_t{p0f_signature::flow} : 0U;
    const detail::p0f_rule* generic = nullptr;
    const detail::p0f_rule* fuzzy = nullptr;
    detail::p0f_difference of_fuzzy;
    const std::uint64_t word = detail::p0f_word(s);
    for (const detail::p0f_rule& rule : content_.rules_of(s)) {
      if (!rule.may_match(word)) continue;
      const detail::p0f_difference d = detail::compare(rule, s, ignored);
      if (d.hard) continue;
      if (d.ttl || d.quirks) {
        if (fuzzy != nullptr) continue;
        fuzzy = &rule;
        of_fuzzy = d;
      } else if (!rule.generic) {
        return answer(rule, s, match_quality::exact, d);
      } else if (generic == nullptr) {
        generic = &rule;
      }
    }
    if (generic != nullptr) return answer(*generic, s, match_quality::generic, {});
    if (fuzzy == nullptr || fuzzy->tool) return std::nullopt;
    return answer(*fuzzy, s, match_quality::fuzzy, of_fuzzy);
  }

  /// The [mtu] label; empty if there is none. Valid as long as the database stays where it is.
  std::string_view link(std::uint32_t mtu) const noexcept {
    const auto& links = content_.links;
    const auto at = std::lower_bound(links.begin(), links.end(), mtu,
                                     [](const auto& l, std::uint32_t wanted) { return l.mtu < wanted; });
    return at != links.end() && at->mtu == mtu ? std::string_view(at->label) : std::string_view();
  }

  const std::string& name() const noexcept { return content_.name; }
  /// Signatures of [tcp:request].
  std::size_t size() const noexcept { return content_.rules.size(); }

 private:
  explicit p0f_database(detail::p0f_content content) noexcept : content_(std::move(content)) {}

  p0f_match answer(const detail::p0f_rule& rule, const p0f_signature& s, match_quality quality,
                   detail::p0f_difference d) const noexcept {
    const unsigned ttl = s.ttl;
    const unsigned hops = (d.ttl ? ttl_ceiling(ttl) : rule.ttl) - ttl;
    return {.label = &content_.labels[rule.label],
            .quality = quality,
            .line = rule.line,
            .distance = static_cast<std::uint8_t>(hops),
            .random_ttl = rule.random_ttl,
            .excess_distance = hops > 35,
            .ttl_differs = d.ttl,
            .quirks_differ = d.quirks,
            .flow_ignored = ((detail::p0f_quirks_for(rule, !s.v6) ^ s.quirks) & p0f_signature::flow) != 0,
            .known_by = rule.known_by};
  }

  detail::p0f_content content_;
};

}  // namespace fingerprint
SYNFP_END_NAMESPACE
