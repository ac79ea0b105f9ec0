// SPDX-License-Identifier: MIT
#include <synfp/http/serve.hpp>

// expect: use of deleted function|call to deleted function
namespace {

namespace http = synfp::http;

http::response handler(const http::request&) { return http::text("x"); }

}  // namespace

synfp::task<> serve_one(synfp::net::accepted a) {
  static const http::routes routes{http::get<"/">(handler)};
#ifdef SYNFP_MUST_FAIL
  return http::serve(std::move(a),
                     http::routes{http::get<"/">(handler)});  // gone before the coroutine starts
#else
  return http::serve(std::move(a), routes);
#endif
}

int main() {}
