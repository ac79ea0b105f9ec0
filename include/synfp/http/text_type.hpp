// SPDX-License-Identifier: MIT
// The string type of everything that http/ builds per request.
#pragma once

#include <synfp/io/frame_pool.hpp>  // pool_string
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {
using text_type = io::pool_string;
}  // namespace http
SYNFP_END_NAMESPACE
