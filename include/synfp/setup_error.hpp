// SPDX-License-Identifier: MIT
// The error of set-up functions: a whole sentence that says what failed and what to do.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE

/// Returned by everything that prepares (open a probe, bind, create a ring); never on a per-connection path.
struct setup_error {
  errc code = errc::system;
  int os = 0;           ///< errno, or 0
  std::string message;  ///< one line: what failed; what to do about it
};

/// result<T> of a set-up function.
template <class T>
using setup_result = result<T, setup_error>;

#if defined(__cpp_exceptions)
/// Thrown only by the constructors and functions documented to throw; each has a twin that returns
/// setup_result.
class SYNFP_VISIBLE setup_failure : public std::exception {
 public:
  explicit setup_failure(setup_error reason) : reason_(std::move(reason)) {}
  const char* what() const noexcept override { return reason_.message.c_str(); }
  const setup_error& reason() const noexcept { return reason_; }

 private:
  setup_error reason_;
};

/// The value of `r`, or throws setup_failure.
template <class T>
T value_or_throw(setup_result<T> r) {
  if (!r) throw setup_failure(std::move(r).error());
  if constexpr (!std::is_void_v<T>) return *std::move(r);
}
#endif

SYNFP_END_NAMESPACE
