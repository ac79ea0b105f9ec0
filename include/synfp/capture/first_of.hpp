// SPDX-License-Identifier: MIT
// Several sources as one, asked in turn.
#pragma once

#include <algorithm>
#include <tuple>
#include <utility>

#include <synfp/capture/source.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// Whether a record that only matches by tuple is good enough while a later source may be exact.
enum class trust : bool { tuple, strict };

/// Asks its sources in order; cheapest first. With trust::strict, the default, a record whose proof is
/// `tuple` is returned only if no later source knows better. One that a later source has too, to the byte,
/// takes on that source's proof and keeps what the first knows of its arrival. A miss carries the first
/// source's reason. Holds references: the sources outlive it.
///
/// For a probe and saved_syn, strict costs one getsockopt for each connection that came without a SYN cookie;
/// one that came with a cookie is verified by the probe already.
template <source... Sources>
requires(sizeof...(Sources) >= 2) class first_of {
 public:
  explicit first_of(Sources&... sources) : first_of(trust::strict, sources...) {}
  explicit first_of(trust wanted, Sources&... sources) : trust_(wanted), sources_(sources...) {}

  setup_result<void> prepare(int fd, bool first) {
    setup_result<void> done;
    std::apply([&](auto&... s) { (void)((done = s.prepare(fd, first), done.has_value()) && ...); }, sources_);
    return done;
  }

  syn_lookup claim(const connection& c, std::uint64_t now) const noexcept {
    syn_lookup best;
    bool any = false;
    const auto ask = [&](const auto& s) {
      const syn_lookup answer = s.claim(c, now);
      // truncated: there was another SYN than the one that was found
      const bool better =
          !any || (answer ? !best || answer.proof > best.proof : best && answer.miss == miss::truncated);
      if (any && answer && best && same_syn(*answer, *best)) {
        if (answer.proof > best.proof) best.proof = answer.proof;
      } else if (better) {
        best = answer;
      }
      any = true;
      return best && (trust_ == trust::tuple || best.proof > proof::tuple);
    };
    std::apply([&](const auto&... s) { (void)(ask(s) || ...); }, sources_);
    return best;
  }

 private:
  static bool same_syn(const syn_record& a, const syn_record& b) noexcept {
    return std::ranges::equal(a.bytes(), b.bytes()) && a.tcp_offset() == b.tcp_offset();
  }

  trust trust_;
  std::tuple<Sources&...> sources_;
};

}  // namespace capture
SYNFP_END_NAMESPACE
