// SPDX-License-Identifier: MIT
// From a probe_config to what the maps hold: the metadata that readers check and the program's
// configuration.
#pragma once

#include <cstdint>
#include <span>

#include <synfp/abi.h>
#include <synfp/layout.hpp>
#include <synfp/probe_config.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace detail {

/// The metadata for `c`, without the secret and the number of CPUs. `more`: ports besides those of `c`,
/// together at most 8.
constexpr synfp_meta describe(const probe_config& c, std::span<const std::uint16_t> more = {}) noexcept {
  synfp_meta m{};
  m.magic = SYNFP_ABI_MAGIC;
  m.abi = SYNFP_ABI_VERSION;
  m.hook = static_cast<synfp_u8>(c.hook);
  m.scope = static_cast<synfp_u8>(c.key_scope);
  m.layout = layout::hash();
  m.max_age_ns = c.max_age.ns();
  m.conflict_ns = c.conflict_window.ns();
  m.buckets = c.buckets;
  m.hold = static_cast<synfp_u32>((c.hold.ns() + (1U << SYNFP_TIME_SHIFT) - 1) >> SYNFP_TIME_SHIFT);
  m.families = static_cast<synfp_u8>(c.families);
  const auto use = [&m](std::span<const std::uint16_t> ports) {
    for (const std::uint16_t port : ports) m.port[m.ports++] = synfp_net16(port, SYNFP_LITTLE);
  };
  use(std::span(c.ports).first(c.port_count()));
  use(more);
  return m;
}

constexpr synfp_config configure(const synfp_meta& m) noexcept {
  synfp_config c{};
  c.secret[0] = m.secret[0];
  c.secret[1] = m.secret[1];
  c.conflict_ns = m.conflict_ns;
  c.bucket_mask = m.buckets - 1;
  c.hold = m.hold;
  for (int i = 0; i < SYNFP_MAX_PORTS; ++i) c.port[i] = m.port[i];
  c.ports = m.ports;
  c.families = m.families;
  c.scope = m.scope;
  c.hook = m.hook;
#if defined(__x86_64__) || defined(__i386__)
  c.publish = SYNFP_PUBLISH_STORE;
#else
  c.publish = SYNFP_PUBLISH_EXCHANGE;
#endif
  return c;
}

}  // namespace detail
SYNFP_END_NAMESPACE
