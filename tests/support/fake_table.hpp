// SPDX-License-Identifier: MIT
// A table that a test writes by hand, in anonymous files instead of BPF maps.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <synfp/capture/table.hpp>
#include <utility>

#include "packet_builder.hpp"

namespace synfp::test {

/// An anonymous file, mapped for writing.
class shared_file {
 public:
  explicit shared_file(std::size_t size) : size_(size), fd_(::memfd_create("synfp-test", MFD_CLOEXEC)) {
    if (fd_ < 0 || ::ftruncate(fd_, static_cast<off_t>(size)) != 0) throw std::runtime_error("memfd");
    at_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (at_ == MAP_FAILED) throw std::runtime_error("mmap");
  }
  shared_file(const shared_file&) = delete;
  shared_file& operator=(const shared_file&) = delete;
  ~shared_file() {
    ::munmap(at_, size_);
    ::close(fd_);
  }
  int fd() const { return fd_; }
  void* at() const { return at_; }

 private:
  std::size_t size_;
  int fd_;
  void* at_;
};

class fake_table {
 public:
  explicit fake_table(std::uint32_t buckets = 1)
      : table_(std::size_t{buckets} * sizeof(synfp::synfp_bucket)),
        about_(sizeof(synfp::synfp_meta)),
        counts_(2 * sizeof(synfp::synfp_counters)),
        pulse_(sizeof(synfp::synfp_pulse)) {
    synfp::synfp_meta& m = meta();
    m.magic = SYNFP_ABI_MAGIC;
    m.abi = SYNFP_ABI_VERSION;
    m.hook = synfp::SYNFP_HOOK_XDP;
    m.scope = synfp::SYNFP_SCOPE_FLOW;
    m.layout = synfp::detail::layout::hash();
    m.secret[0] = 0x0706050403020100;
    m.secret[1] = 0x0f0e0d0c0b0a0908;
    m.max_age_ns = 5'000'000'000;
    m.conflict_ns = 5'000'000'000;
    m.buckets = buckets;
    m.cpus = 2;
    m.families = 3;
  }

  synfp::synfp_meta& meta() const { return *static_cast<synfp::synfp_meta*>(about_.at()); }
  synfp::synfp_bucket& bucket(std::uint32_t i = 0) const {
    return static_cast<synfp::synfp_bucket*>(table_.at())[i];
  }
  synfp::synfp_counters& counts(int cpu) const {
    return static_cast<synfp::synfp_counters*>(counts_.at())[cpu];
  }
  /// Of a daemon, for those who attach kept_fds().
  synfp::synfp_pulse& pulse() const { return *static_cast<synfp::synfp_pulse*>(pulse_.at()); }
  synfp::capture::table_fds fds() const { return {table_.fd(), about_.fd(), counts_.fd()}; }
  synfp::capture::table_fds kept_fds() const { return {table_.fd(), about_.fd(), counts_.fd(), pulse_.fd()}; }

  /// The key of `p` as the probe builds it.
  synfp::synfp_key key(const packet_builder& p, std::uint32_t ifindex = 0) const {
    const bytes b = p.ip();
    const std::uint8_t* tcp = b.data() + p.tcp_offset();
    return p.v6() ? synfp::synfp_key6(b.data(), tcp, ifindex, meta().scope, SYNFP_LITTLE)
                  : synfp::synfp_key4(b.data(), tcp, meta().scope, SYNFP_LITTLE);
  }
  std::uint64_t hash(const synfp::synfp_key& k) const {
    return synfp::synfp_hash(&k, meta().secret[0], meta().secret[1], SYNFP_LITTLE);
  }

  /// Stores `p` as a writer would, in slot `way` of its bucket. Returns the slot to meddle with.
  synfp::synfp_slot& put(const packet_builder& p, std::uint64_t time, int way = 0,
                         std::uint32_t ifindex = 0) const {
    const std::uint64_t h = hash(key(p, ifindex));
    synfp::synfp_bucket& b = bucket(synfp::synfp_bucket_of(h, meta().buckets - 1));
    b.tag[way] = synfp::synfp_tag_of(h);
    b.time32[way] = static_cast<std::uint32_t>(time >> synfp::SYNFP_TIME_SHIFT);
    synfp::synfp_slot& s = b.slot[way];
    const bytes packet = p.ip();
    const std::size_t offset = p.tcp_offset();
    const std::size_t fixed = p.v6() ? 40 : 20;
    const bool whole = offset <= synfp::SYNFP_IP_BYTES && (!p.v6() || offset == 40);
    s = {};
    s.time = time;
    s.ifindex = ifindex;
    s.lost = b.lost;
    s.flags = static_cast<std::uint8_t>(whole ? 0 : synfp::SYNFP_TRUNCATED);
    s.tcp_offset = static_cast<std::uint8_t>(offset / 4);
    s.hook = meta().hook;
    std::memcpy(s.ip, packet.data(), whole ? offset : fixed);
    std::memcpy(s.tcp, packet.data() + offset,
                std::min<std::size_t>(packet.size() - offset, synfp::SYNFP_TCP_BYTES));
    return s;
  }

 private:
  shared_file table_, about_, counts_, pulse_;
};

inline capture::table attached(const fake_table& t) {
  auto r = capture::table::attach(t.fds());
  if (!r) throw std::runtime_error(r.error().message);
  return *std::move(r);
}

inline packet_builder from_port(std::uint16_t port) {
  packet_builder p;
  p.source.set_port(port);
  return p;
}

}  // namespace synfp::test
