// SPDX-License-Identifier: MIT
// What SYNs that no database names look like, and what the same connections said: entries for
// data/observed.fp that a person judges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <synfp/fingerprint/identify.hpp>
#include <synfp/syn_record.hpp>

#include "first_bytes.hpp"
#include "hello_lines.hpp"

namespace cli {

/// The part of a User-Agent that says which system sent it: up to the end of its first comment, at most 120
/// characters, all of them printable. What looks like an address is "...".
std::string system_part(std::string_view user_agent);

/// For first_bytes: what a client says first, in clear text as far as it is HTTP, or its ClientHello.
class opening {
 public:
  static constexpr std::size_t max_bytes = 2048;  ///< of HTTP

  bool take(std::span<const std::uint8_t> bytes);
  /// In a few words, without an address.
  std::string said() const;

 private:
  std::string text_;  // the bytes; after the end of a hello what is said
  hello_reader hello_;
  bool tls_ = false;
};

/// Bounded in what it remembers: so many signatures, so many connections at a time, so many first bytes of
/// each. Beyond that it counts. No address gets into what it says.
class proposals {
 public:
  static constexpr std::size_t max_signatures = 4096, max_said = 16, max_connections = 8192;

  /// `who` must outlive it.
  explicit proposals(const synfp::fingerprint::identifier& who) : who_(who) {}
  proposals(const proposals&) = delete;
  proposals& operator=(const proposals&) = delete;

  void add(const synfp::syn_record& syn);
  /// Of any connection.
  void add(const segment& part) { connections_.take(part); }

  /// Ends all connections. The entries, the most frequent first, to be completed by hand.
  std::string text();

  std::uint64_t syns() const noexcept { return syns_; }
  std::uint64_t unnamed() const noexcept { return unnamed_; }
  /// SYNs beyond max_signatures, and those that p0f does not describe.
  std::uint64_t left_out() const noexcept { return left_out_; }

 private:
  struct candidate {
    std::string mss, example;  // of the first one
    bool mss_varies = false;
    std::uint64_t count = 0, said_more = 0;
    std::map<std::string, std::uint64_t> said;
  };
  struct followed {
    candidate* of;  // a node of a map stays where it is
    first_bytes<opening>::pointer connection;
  };

  /// The entry for what this SYN looks like; null if there are too many, or p0f has no words for it.
  candidate* candidate_of(const synfp::syn_record& syn);
  void end_oldest();

  const synfp::fingerprint::identifier& who_;
  std::map<std::pair<std::string, std::string>, candidate> candidates_;  // what is before and behind the MSS
  first_bytes<opening> connections_{{.connections = 2 * max_connections, .ahead = std::size_t{16} << 20}};
  std::deque<followed> open_;
  std::uint64_t syns_ = 0, unnamed_ = 0, left_out_ = 0;
};

}  // namespace cli
