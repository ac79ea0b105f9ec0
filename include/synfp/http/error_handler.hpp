// SPDX-License-Identifier: MIT
// Receives the exceptions of handlers.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include <synfp/http/request.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// `[](std::exception_ptr why, const http::request& q) { ... }`: one for all connections, which share it.
class error_handler {
 public:
  error_handler() noexcept = default;
  template <class F>
  requires std::is_invocable_v<F&, std::exception_ptr, const request&> error_handler(
      F function)  // NOLINT: implicit, to write options.on_error = [] ...
      : call_(std::make_shared<const signature>(std::move(function))) {}

  explicit operator bool() const noexcept { return call_ != nullptr; }
  void operator()(std::exception_ptr why, const request& q) const { (*call_)(std::move(why), q); }

 private:
  using signature = std::function<void(std::exception_ptr, const request&)>;
  std::shared_ptr<const signature> call_;
};

}  // namespace http
SYNFP_END_NAMESPACE
