// SPDX-License-Identifier: MIT
// From a slot of the table to a record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <synfp/abi.h>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

/// Whether a copy of this SYN looked different. A timestamp may: every copy has its own.
inline bool altered(const synfp_slot& slot, const tcp_view& tcp) noexcept {
  if (slot.differs == 0) return false;
  synfp_u32 timestamp = 0;
  const auto options = tcp.option_bytes();
  for (tcp_option_walk walk = tcp.options(); const auto o = walk.next();) {
    if (o->kind != tcp_option::timestamps || o->data.size() != 8) continue;
    const auto at = static_cast<std::size_t>(o->data.data() - options.data());
    if (at % 4 == 0) timestamp |= synfp_u32{1} << at / 4;
  }
  return (slot.differs & ~timestamp) != 0;
}

/// The record in a slot that was read consistently. `clock_offset`: time_namespace_offset(). False, and
/// `record` is unchanged, if the slot does not hold whole headers.
inline bool to_record(const synfp_slot& slot, std::int64_t clock_offset, syn_record& record) noexcept {
  const unsigned tcp_length = (slot.tcp[12] >> 4) * 4U;
  const unsigned offset = slot.tcp_offset * 4U;  // 0 where no headers were kept, which no parts fit
  const unsigned fixed = slot.ip[0] >> 4 == 4 ? 20 : 40;
  const unsigned kept = (slot.flags & SYNFP_TRUNCATED) != 0 ? fixed : offset;
  if (tcp_length < 20 || kept > SYNFP_IP_BYTES) return false;
  if (!record.assign_parts(std::span(slot.ip).first(kept), std::span(slot.tcp).first(tcp_length), offset))
    return false;

  syn_record::arrival arrival;
  if ((slot.flags & SYNFP_LATE) == 0) arrival.time_ns = slot.time + static_cast<std::uint64_t>(clock_offset);
  arrival.ifindex = slot.ifindex;
  arrival.vlan = {slot.vlan[0], slot.vlan[1]};
  // Else the half-open connection has taken copies before the hook could see them.
  if (synfp_facts_of(slot.hook).every_copy != 0 || (slot.flags & SYNFP_VERIFIED) != 0)
    arrival.retransmits = slot.retransmits;
  record.set_arrived(arrival);
  return true;
}

}  // namespace capture::detail
SYNFP_END_NAMESPACE
