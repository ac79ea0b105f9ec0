// SPDX-License-Identifier: MIT
// The Date field of a response that is written now.
#pragma once

#include <ctime>
#include <string_view>

#include <synfp/http/date.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

inline std::string_view date_now() noexcept {
  static thread_local date_cache cache;
  return cache.at(std::time(nullptr));
}

}  // namespace http::detail
SYNFP_END_NAMESPACE
