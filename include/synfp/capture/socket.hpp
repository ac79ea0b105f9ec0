// SPDX-License-Identifier: MIT
// The SYN that a probe in the socket's cgroup keeps with the connection: synfp/socket.h as a source.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include <synfp/socket.h>
#include <synfp/capture/detail/hook_traits.hpp>
#include <synfp/capture/detail/time_namespace.hpp>
#include <synfp/capture/lookup.hpp>
#include <synfp/capture/source.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// One getsockopt per lookup; needs no privilege, no map and no descriptor. The probe that covers the cgroup
/// of the listening socket (synfpd, or probe_options::cgroups) may come and go: without one every lookup
/// misses with no_probe. Unlike the table's, a record is never evicted, too old or another connection's: it
/// lives as long as the connection. Thread-safe.
class socket {
 public:
  setup_result<void> prepare(int, bool) { return {}; }

  syn_lookup claim(const connection& c, std::uint64_t now) const noexcept {
    synfp_socket_answer answer{};
    if (::synfp_socket_syn(c.fd, &answer) != 0)
      return syn_lookup::missed(errno == ENOPROTOOPT || errno == EOPNOTSUPP ? miss::no_probe
                                                                            : miss::unsupported);
    return read(answer, now);
  }

 private:
  syn_lookup read(const synfp_socket_answer& answer, std::uint64_t now) const noexcept {
    if (answer.size < sizeof answer) return syn_lookup::missed(miss::no_probe);  // an older one's
    switch (answer.status) {
      case SYNFP_SOCKET_FOUND: break;
      case SYNFP_SOCKET_CONFLICT: return syn_lookup::missed(miss::conflict);
      case SYNFP_SOCKET_TOO_LONG: return syn_lookup::missed(miss::truncated);
      default: return syn_lookup::missed(miss::not_captured);
    }
    const std::span<const std::uint8_t> headers(answer.headers);
    if (std::size_t{answer.ip_length} + answer.tcp_length > headers.size())
      return syn_lookup::missed(miss::truncated);
    syn_lookup found;
    if (!found.record.assign_parts(headers.first(answer.ip_length),
                                   headers.subspan(answer.ip_length, answer.tcp_length),
                                   answer.tcp_offset * 4U))
      return syn_lookup::missed(miss::truncated);
    syn_record::arrival arrival;
    if ((answer.flags & SYNFP_SOCKET_TIME) != 0 && clock_offset_) {
      arrival.time_ns = answer.time_ns + static_cast<std::uint64_t>(*clock_offset_);
      const auto age = static_cast<std::int64_t>(now - arrival.time_ns);
      if (age >= 0) found.age_ns = static_cast<std::uint64_t>(age);
    }
    arrival.ifindex = answer.ifindex;
    arrival.vlan = {answer.vlan[0], answer.vlan[1]};
    if ((answer.flags & SYNFP_SOCKET_RETRANSMITS) != 0) arrival.retransmits = answer.retransmits;
    found.record.set_arrived(arrival);
    found.source = answer.source == SYNFP_HOOK_NONE ? capture_source::saved_syn
                                                    : detail::traits_of(answer.source).source;
    found.proof = answer.proof == SYNFP_SOCKET_EXACT ? proof::exact : proof::verified;
    found.miss = miss::none;
    return found;
  }

  /// Empty: it cannot be read, and no time is known.
  std::optional<std::int64_t> clock_offset_ = detail::time_namespace_offset();
};
static_assert(source<socket>);

}  // namespace capture
SYNFP_END_NAMESPACE
