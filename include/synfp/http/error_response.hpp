// SPDX-License-Identifier: MIT
// Makes the responses that no handler makes look like the service's own.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include <synfp/http/refusal.hpp>
#include <synfp/http/request.hpp>
#include <synfp/http/response.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// `[](int status, http::refusal why, const http::request* q) -> http::response { ... }`: one for all
/// connections, which share it. `why` is none and `q` is null unless there is one: see exchange.
class error_response {
 public:
  error_response() noexcept = default;
  template <class F>
  requires std::is_invocable_r_v<response, F&, int, refusal, const request*> error_response(
      F function)  // NOLINT: implicit, to write options.error_response = [] ...
      : call_(std::make_shared<const signature>(std::move(function))) {}

  explicit operator bool() const noexcept { return call_ != nullptr; }

  /// What replaces `ours`: its status and its fields (Allow, Retry-After) stay, whatever the function says.
  response operator()(const response& ours, refusal why, const request* q) const {
    response r = (*call_)(ours.status(), why, q);
    r.set_status(ours.status());
    std::string_view lines = ours.header_lines();
    while (!lines.empty()) {
      const std::string_view line = lines.substr(0, lines.find("\r\n"));
      lines.remove_prefix(line.size() + 2);
      const auto colon = line.find(": ");
      (void)r.add_header(line.substr(0, colon), line.substr(colon + 2));  // it was valid before
    }
    return r;
  }

 private:
  using signature = std::function<response(int, refusal, const request*)>;
  std::shared_ptr<const signature> call_;
};

}  // namespace http
SYNFP_END_NAMESPACE
