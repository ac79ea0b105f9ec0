// SPDX-License-Identifier: MIT
// Connections that come through a proxy: who the client is, by the PROXY protocol.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/capture/lookup.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/net/accepted.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/net/proxy_protocol.hpp>
#include <synfp/net/stream.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

struct proxies_options {
  /// The whole header must be there within this time after the connection was accepted: proxies send it at
  /// once.
  std::chrono::nanoseconds limit = std::chrono::seconds(3);
  /// The longest header, fields included. At least 232, which the specification wants, with 4096 for TLS
  /// fields and a SYN.
  std::size_t longest = 4096;
};

/// Since the object was made; from any thread.
struct proxies_counters {
  std::uint64_t proxied = 0;    ///< connections whose client the proxy named
  std::uint64_t unnamed = 0;    ///< LOCAL, or a client without an IP address: served as the proxy's own
  std::uint64_t untrusted = 0;  ///< from elsewhere: served as they are
  std::uint64_t refused = 0;    ///< a header that is malformed: closed
  std::uint64_t late = 0;       ///< no whole header in time, or the connection ended or was spared: closed
  std::uint64_t syns = 0;       ///< clients' SYNs that came in the header
  std::uint64_t bad_syns = 0;   ///< those that are malformed or of another connection: not believed
};

/// The proxies that are trusted to say who the client is. Thread-safe: one object for all threads; it must
/// outlive the connections.
///
/// A connection from a trusted address must begin with a header. One from any other address is served as it
/// is: nothing is read, so a header that it sends is a malformed request. Nobody but a trusted proxy can name
/// another peer than itself.
class proxies {
 public:
  explicit proxies(std::vector<address_prefix> trusted, const proxies_options& options = {})
      : trusted_(std::move(trusted)), options_(options) {}
  proxies(const proxies&) = delete;
  proxies& operator=(const proxies&) = delete;

  bool trusts(const endpoint& e) const noexcept {
    for (const address_prefix& each : trusted_) {
      if (each.contains(e)) return true;
    }
    return false;
  }

  /// Awaits the header, if `a` comes from a trusted address, and takes it off the connection. Afterwards
  /// a.peer is the client's end and a.local the proxy's, as the client sees it. a.syn is the client's SYN if
  /// the header brings it (proxy_tlv::client_syn) and it is of this connection; else it is the proxy's, and
  /// a.syn.of says so. errc::invalid: refused; errc::timed_out, errc::closed or what stream::read() says: no
  /// whole header came. The connection is to be closed then. `a` must outlive the task.
  io::task<result<void>> read_header(accepted& a) {
    if (!trusts(a.peer)) {
      count(counts_.untrusted);
      co_return result<void>();
    }
    const auto deadline = io::ring::after(io::ring::clock::now(), options_.limit);
    detail::spare_connection spare([](void* c) { static_cast<stream*>(c)->cancel(); }, &a.connection);
    spare.enter();
    io::pool_string held;  // of a header that comes in pieces
    while (true) {
      const auto left = deadline - io::ring::clock::now();
      auto chunk = co_await a.connection.read(left.count() > 0 ? left : std::chrono::nanoseconds(1));
      if (!chunk) {
        count(counts_.late);
        co_return chunk.error();
      }
      const std::size_t before = held.size();
      std::string_view bytes = chunk->view();
      if (before != 0) {
        held.append(bytes);
        bytes = held;
      }
      const auto parsed = parse_proxy_header(
          {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, options_.longest);
      if (parsed.refused != proxy_refusal::none) {
        count(counts_.refused);
        count(refusals_[static_cast<std::size_t>(parsed.refused)]);
        co_return error{errc::invalid, 0};
      }
      if (parsed.header) {
        apply(*parsed.header, a);
        chunk->remove_prefix(parsed.header->size - before);
        if (!chunk->empty()) a.connection.unread(*std::move(chunk));
        co_return result<void>();
      }
      if (before == 0) held.append(bytes);
    }
  }

  proxies_counters counters() const noexcept {
    const auto now = [](const std::atomic<std::uint64_t>& c) { return c.load(std::memory_order_relaxed); };
    return {now(counts_.proxied), now(counts_.unnamed), now(counts_.untrusted), now(counts_.refused),
            now(counts_.late),    now(counts_.syns),    now(counts_.bad_syns)};
  }
  /// Of counters().refused, those for this reason.
  std::uint64_t refusals(proxy_refusal why) const noexcept {
    return refusals_[static_cast<std::size_t>(why)].load(std::memory_order_relaxed);
  }

 private:
  struct atomic_counters {
    std::atomic<std::uint64_t> proxied{0}, unnamed{0}, untrusted{0}, refused{0}, late{0}, syns{0},
        bad_syns{0};
  };

  static void count(std::atomic<std::uint64_t>& c) noexcept { c.fetch_add(1, std::memory_order_relaxed); }

  void apply(const proxy_header& header, accepted& a) noexcept {
    if (header.local) {  // the proxy is the client
      count(counts_.unnamed);
      return;
    }
    a.syn.of = syn_of::proxy;
    if (!header.has_endpoints) {
      count(counts_.unnamed);
      return;
    }
    count(counts_.proxied);
    a.peer = header.source;
    a.local = header.destination;
    const auto raw = header.tlv(proxy_tlv::client_syn);
    if (!raw) return;
    const auto record = syn_record::from_bytes(*raw);
    if (!record || record->source() != a.peer || record->destination() != a.local ||
        (record->tcp().flags() & (tcp_view::syn | tcp_view::ack)) != tcp_view::syn) {
      count(counts_.bad_syns);
      return;
    }
    count(counts_.syns);
    syn_lookup said;
    said.record = *record;
    said.source = capture_source::proxy;
    said.proof = proof::tuple;
    said.miss = miss::none;
    a.syn = said;
  }

  std::vector<address_prefix> trusted_;
  proxies_options options_;
  atomic_counters counts_;
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(proxy_refusal::checksum) + 1> refusals_{};
};

}  // namespace net
SYNFP_END_NAMESPACE
