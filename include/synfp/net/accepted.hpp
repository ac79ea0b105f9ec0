// SPDX-License-Identifier: MIT
// What accept() returns.
#pragma once

#include <utility>

#include <synfp/net/connection_facts.hpp>
#include <synfp/net/stream.hpp>
#include <synfp/net/transport.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

/// A connection with what is known of it: `a.connection`, `a.peer`, `a.local`, `a.syn`.
template <transport T>
struct basic_accepted : connection_facts {
  basic_accepted(T c, connection_facts facts) noexcept
      : connection_facts(std::move(facts)), connection(std::move(c)) {}

  const connection_facts& facts() const noexcept { return *this; }

  T connection;
};

/// What `co_await listener.accept()` gives.
using accepted = basic_accepted<stream>;

}  // namespace net
SYNFP_END_NAMESPACE
