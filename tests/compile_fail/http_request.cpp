// SPDX-License-Identifier: MIT
#include <synfp/http/request.hpp>

// expect: use of deleted function|call to deleted constructor
namespace {

namespace http = synfp::http;

}  // namespace

int main() {
  const synfp::endpoint e;
  http::request_parser parser;
  const http::request good(parser, e, e);
#ifdef SYNFP_MUST_FAIL
  const http::request bad(http::request_parser(), e, e);  // a parser that dies before the request
#endif
}
