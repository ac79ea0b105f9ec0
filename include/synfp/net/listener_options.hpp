// SPDX-License-Identifier: MIT
// What a listener can be told, and what it counts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

struct listener_options {
  std::size_t high_water = 1024;  ///< with more waiting for accept(), the kernel's backlog fills instead
  std::size_t low_water = 512;    ///< at this many the kernel is asked again
  /// A connection is accepted when its first bytes or its end are there, or after about this time
  /// (TCP_DEFER_ACCEPT): one of a client that speaks first costs a fifth less. A client that does not speak
  /// waits as a half-open connection meanwhile, and is never seen if it resets; under SYN cookies it does not
  /// wait. In whole seconds, less than the time for which a probe keeps a SYN (probe_config::max_age). Zero:
  /// the socket stays as it is.
  std::chrono::seconds defer_accept{0};
  /// Descriptors run short. `number`: EMFILE or ENFILE if accept() failed for it, 0 if few are left;
  /// `missing`: how many more connections should end than this thread could spare. On the ring's thread.
  /// What it throws goes to io::on_escape().
  std::function<void(int number, std::size_t missing)> on_shortage{};
};

/// Since the listener was made. Not an error of accept(): each was handled.
struct listener_counters {
  std::uint64_t accepted = 0;          ///< handed to the ready queue
  std::uint64_t gone = 0;              ///< the peer had reset before its address could be asked for: closed
  std::uint64_t aborted = 0;           ///< ECONNABORTED and other errors of one connection
  std::uint64_t out_of_resources = 0;  ///< EMFILE, ENFILE, ENOBUFS, ENOMEM, bad_alloc: tried again later
  std::uint64_t spared = 0;            ///< idle connections told to end because descriptors ran short
  std::uint64_t rearmed = 0;           ///< submissions of the multishot accept
};

}  // namespace net
SYNFP_END_NAMESPACE
