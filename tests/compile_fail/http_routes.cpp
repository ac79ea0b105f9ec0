// SPDX-License-Identifier: MIT
#include <synfp/http/routes.hpp>

// expect: two routes have the same method and path
// expect: the handler of a route must be callable as `handler\(const http::request&\) const` and return
// expect: the handler of a route must be callable as .*a lambda must not be mutable
// expect: the handler of a route must be callable as
// expect: the path of a route begins with '/'
// expect: the path of a route begins with '/' and consists of visible ASCII characters without '\?'
namespace {

namespace http = synfp::http;

http::response handler(const http::request& q) { return http::text(q.path()); }

}  // namespace

int main() {
  const http::routes good{http::get<"/">(handler), http::post<"/">(handler),
                          http::get<"/task">([](const http::request&) -> synfp::task<http::response> {
                            co_return http::text("later");
                          })};
  (void)good;
#if SYNFP_MUST_FAIL == 1
  const http::routes bad{http::get<"/a">(handler), http::get<"/b">(handler), http::get<"/a">(handler)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 2
  const http::routes bad{http::get<"/">([](int) { return http::text(""); })};
  (void)bad;
#elif SYNFP_MUST_FAIL == 3
  const http::routes bad{
      http::get<"/">([n = 0](const http::request&) mutable { return http::status(200 + ++n); })};
  (void)bad;
#elif SYNFP_MUST_FAIL == 4
  const http::routes bad{http::get<"/">([](const http::request&) { return "text"; })};
  (void)bad;
#elif SYNFP_MUST_FAIL == 5
  const http::routes bad{http::get<"index.html">(handler)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 6
  const http::routes bad{http::get<"/search?q=x">(handler)};
  (void)bad;
#endif
}
