// SPDX-License-Identifier: MIT
// The string type of everything that http/ builds per request.
#pragma once

#include <string>

#include <synfp/version.hpp>

#if __has_include(<synfp/io/frame_pool.hpp>)
#include <synfp/io/frame_pool.hpp>  // pool_string

SYNFP_BEGIN_NAMESPACE
namespace http {
using text_type = io::pool_string;
}  // namespace http
SYNFP_END_NAMESPACE
#else
SYNFP_BEGIN_NAMESPACE
namespace http {
using text_type = std::string;
}  // namespace http
SYNFP_END_NAMESPACE
#endif
