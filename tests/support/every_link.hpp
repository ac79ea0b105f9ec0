// SPDX-License-Identifier: MIT
// For TYPED_TEST_SUITE: everything in http/ holds over each link, since nothing there depends on what carries
// the bytes. SYNFP_TEST_TLS: these tests are built a second time, for TLS.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <type_traits>

#ifdef SYNFP_TEST_TLS
#include "tls_link.hpp"
#else
#include "links.hpp"
#endif

namespace synfp::test {

#ifdef SYNFP_TEST_TLS
using links = testing::Types<tls_link>;
#else
using links = testing::Types<socket_link, memory_link>;
#endif

struct link_names {
  template <class Link>
  static std::string GetName(int) {
#ifdef SYNFP_TEST_TLS
    return "tls";
#else
    return std::is_same_v<Link, socket_link> ? "socket" : "memory";
#endif
  }
};

}  // namespace synfp::test
