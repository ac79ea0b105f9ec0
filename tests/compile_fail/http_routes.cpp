// SPDX-License-Identifier: MIT
#include <synfp/http/routes.hpp>

// expect: two routes have the same method and path
// expect: the handler of a route must be callable as `handler\(const http::request&\) const` and return
// expect: the handler of a route must be callable as .*a lambda must not be mutable
// expect: the handler of a route must be callable as
// expect: the path of a route begins with '/'
// expect: the path of a route begins with '/' and consists of visible ASCII characters without '\?'
// expect: two routes have the same method and match the same paths, whatever their parameters are called
// expect: the handler of a route takes, behind the request, nothing or each parameter of the path
// expect: the handler of a route takes, behind the request, nothing or each parameter of the path
// expect: a parameter of a path arrives, by value, as std::string_view, http::encoded_text or an integer
// expect: a parameter of a path arrives, by value, as std::string_view, http::encoded_text or an integer
// expect: a parameter of a route is a whole segment of its path
// expect: a parameter of a route is a whole segment of its path
// expect: a parameter of a route is a whole segment of its path
// expect: takes all that follows: it is the last segment
// expect: two parameters of a route have the same name
// expect: the handler of a route must be callable as .* return http::response, http::stream_response
// expect: there is more than one fallback
// expect: the fallback must be callable as `handler\(const http::request&\) const`
namespace {

namespace http = synfp::http;

http::response handler(const http::request& q) { return http::text(q.path()); }
http::response number(const http::request&, unsigned) { return http::text(""); }

}  // namespace

int main() {
  const http::routes good{http::get<"/">(handler),
                          http::post<"/">(handler),
                          http::get<"/a/{id}">(handler),
                          http::post<"/a/{name}">(number),
                          http::get<"/a/{id}/{rest...}">(handler),
                          http::fallback(handler),
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
#elif SYNFP_MUST_FAIL == 7
  const http::routes bad{http::get<"/a/{id}">(handler), http::get<"/b">(handler),
                         http::get<"/a/{name}">(handler)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 8
  const http::routes bad{http::get<"/a/{id}/{name}">(number)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 9
  const http::routes bad{http::get<"/a">(number)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 10
  const http::routes bad{http::get<"/{id}">([](const http::request&, bool) { return http::text(""); })};
  (void)bad;
#elif SYNFP_MUST_FAIL == 11
  const http::routes bad{
      http::get<"/{id}">([](const http::request&, const std::string_view&) { return http::text(""); })};
  (void)bad;
#elif SYNFP_MUST_FAIL == 12
  const http::routes bad{http::get<"/file-{id}">(handler)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 13
  const http::routes bad{http::get<"/{}">(handler)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 14
  const http::routes bad{http::get<"/{an-id}">(handler)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 15
  const http::routes bad{http::get<"/{path...}/end">(handler)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 16
  const http::routes bad{http::get<"/{id}/{id}">(handler)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 17
  const http::routes bad{http::get<"/{id}">([](const http::request&, int) { return "text"; })};
  (void)bad;
#elif SYNFP_MUST_FAIL == 18
  const http::routes bad{http::fallback(handler), http::fallback(handler)};
  (void)bad;
#elif SYNFP_MUST_FAIL == 19
  const http::routes bad{http::fallback(number)};
  (void)bad;
#endif
}
