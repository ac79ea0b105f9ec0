// SPDX-License-Identifier: MIT
// A filter of tc that outlives its process, for kernels without tcx links (before 6.6). The kernel keeps the
// filter; the pin of its program tells the next process which one it is. The pin is made before the filter,
// so that one who is killed never leaves a filter that nobody finds again.
#pragma once

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <synfp/capture/detail/clsact.hpp>

#include "../support/fd.hpp"
#include "pin_directory.hpp"

namespace synfp::tools {

class kept_filter {
 public:
  /// Finds the filter that an earlier process left, else adds `program`; removed again at the end unless
  /// commit() was called. Throws if the kernel refuses.
  kept_filter(const pin_directory& directory, std::string pin, std::string interface, unsigned index,
              int program)
      : directory_(&directory), pin_(std::move(pin)), interface_(std::move(interface)) {
    check(at_.open(index));
    for (const std::string& name : {pin_, pin_directory::next_of(pin_)}) {
      if (!find_filter(at_, id_of_program(directory.open(name)), own_, made_clsact_)) continue;
      if (name != pin_) directory.settle(pin_);
      taken_over_ = true;
      return;
    }
    const bool begun = static_cast<bool>(directory.open(pin_directory::next_of(pin_)));
    directory.put_next(pin_, program, 0600);
    if (const int error = at_.make(made_clsact_); error != 0) {
      take_away();
      check(error);
    }
    // By one who was killed here.
    made_clsact_ = made_clsact_ || (begun && at_.empty());
    const int error =
        at_.add(program, id_of_program(program), made_clsact_ ? filter_in_own_clsact : filter_name, own_);
    if (error != 0) take_away();
    check(error);
  }
  kept_filter(const kept_filter&) = delete;
  kept_filter& operator=(const kept_filter&) = delete;
  ~kept_filter() {
    if (!taken_over_ && !committed_) take_away();
  }

  bool taken_over() const noexcept { return taken_over_; }

  /// From now on it stays, with `program` in one step.
  void commit(int program) {
    if (taken_over_) {
      directory_->put_next(pin_, program, 0600);
      check(at_.replace(own_, program, id_of_program(program),
                        made_clsact_ ? filter_in_own_clsact : filter_name));
    }
    directory_->settle(pin_);
    committed_ = true;
  }

  bool is_attached() {
    capture::detail::tc_filter found;
    bool made = false;
    return find_filter(at_, own_.program, found, made);
  }

 private:
  void check(int error) const {
    if (error != 0) throw failure(capture::detail::no_ingress(interface_, error).message);
  }
  void take_away() noexcept try { directory_->remove(pin_directory::next_of(pin_)); } catch (const failure&) {
    // It is found again by its pin.
  }

  const pin_directory* directory_;
  std::string pin_, interface_;
  capture::detail::clsact at_;
  capture::detail::tc_filter own_;
  bool made_clsact_ = false, taken_over_ = false, committed_ = false;
};

}  // namespace synfp::tools
