// SPDX-License-Identifier: MIT
#include <synfp/result.hpp>

// expect: result<T&> is not supported; use a pointer
// expect: value and error of a result must be different types
// expect: ignoring (returned|return) value
// expect: cannot bind rvalue reference|no matching constructor
namespace {

synfp::result<int> make() { return 1; }

struct move_only {
  move_only() = default;
  move_only(move_only&&) = default;
};

#if SYNFP_MUST_FAIL == 1
int number = 0;
synfp::result<int&> reference(number);
#elif SYNFP_MUST_FAIL == 2
synfp::result<synfp::error> ambiguous(synfp::error{});
#elif SYNFP_MUST_FAIL == 3
void forget() { make(); }
#elif SYNFP_MUST_FAIL == 4
synfp::result<move_only> one(move_only{});
synfp::result<move_only> copy(one);
#endif

}  // namespace

int main() {
  synfp::result<move_only> one(move_only{});
  synfp::result<move_only> moved(std::move(one));
  return moved && make() ? 0 : 1;
}
