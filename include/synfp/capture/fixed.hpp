// SPDX-License-Identifier: MIT
// A source for tests of programs that use synfp: always the same answer.
#pragma once

#include <synfp/capture/source.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// Answers every lookup with the record (source `fixed`, proof `exact`) or the miss it was made with.
class fixed {
 public:
  explicit fixed(const syn_record& record) noexcept {
    answer_.record = record;
    answer_.source = capture_source::fixed;
    answer_.proof = proof::exact;
    answer_.miss = miss::none;
  }
  explicit fixed(miss why) noexcept : answer_(syn_lookup::missed(why)) {}

  setup_result<void> prepare(int, bool) { return {}; }
  syn_lookup claim(const connection&, std::uint64_t) const noexcept { return answer_; }

 private:
  syn_lookup answer_;
};
static_assert(source<fixed>);

}  // namespace capture
SYNFP_END_NAMESPACE
