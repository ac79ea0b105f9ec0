// SPDX-License-Identifier: MIT
// What a parser says of the bytes so far.
#pragma once

#include <cstdint>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

enum class parse_status : std::uint8_t {
  incomplete,  ///< everything so far is a prefix of some valid request; call again with more bytes
  complete,
  refused,  ///< see refused_for(); answer it and close: where the next request begins is not known
};

}  // namespace http
SYNFP_END_NAMESPACE
