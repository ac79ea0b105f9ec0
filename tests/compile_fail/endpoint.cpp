// SPDX-License-Identifier: MIT
#include <synfp/endpoint.hpp>

// expect: no match for .operator<|invalid operands to binary expression
// expect: (could not convert|no viable conversion|cannot convert|conversion from).*optional
namespace {

constexpr synfp::endpoint one = synfp::endpoint::v4(192, 0, 2, 1, 80);

#if SYNFP_MUST_FAIL == 1
// Addresses have no order that means anything.
constexpr bool less = one < one;
#elif SYNFP_MUST_FAIL == 2
// Text may be malformed: the caller has to look.
synfp::endpoint parsed = synfp::endpoint::parse("192.0.2.1:80");
#endif

}  // namespace

int main() { return one.port() == 80 ? 0 : 1; }
