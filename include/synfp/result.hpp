// SPDX-License-Identifier: MIT
// result<T, E>: a value or the reason why there is none. No exceptions, no allocation, no <system_error>.
#pragma once

#include <cstdint>
#include <new>
#include <optional>  // construct_at, destroy_at: <memory> brings streams, hence <system_error>
#include <string_view>
#include <type_traits>
#include <utility>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE

/// Why an operation has no value. `system` means: see error::os, an errno of the kernel.
enum class errc : std::uint8_t {
  system = 1,    ///< the kernel refused; error::os says why
  closed,        ///< the peer closed its side in order
  canceled,      ///< cancelled by its owner, or by a stopping listener or ring
  timed_out,     ///< the deadline passed
  stopped,       ///< the listener or ring has stopped: terminal
  full,          ///< a queue has no room; try again later, or refuse what asked
  too_large,     ///< more bytes than a stated limit
  invalid,       ///< an argument or input text is malformed
  unsupported,   ///< this kernel or build lacks the feature
  incompatible,  ///< shared maps were made by another version or configuration
};

/// The name of `code`, in lower case, static storage.
constexpr std::string_view to_string(errc code) noexcept {
  switch (code) {
    case errc::system: return "system error";
    case errc::closed: return "closed by peer";
    case errc::canceled: return "canceled";
    case errc::timed_out: return "timed out";
    case errc::stopped: return "stopped";
    case errc::full: return "full";
    case errc::too_large: return "too large";
    case errc::invalid: return "invalid";
    case errc::unsupported: return "unsupported";
    case errc::incompatible: return "incompatible";
  }
  return "unknown";
}

/// A small, trivially copyable error for per-connection outcomes.
struct error {
  errc code = errc::system;
  int os = 0;  ///< errno if code is errc::system, else 0

  static constexpr error from_errno(int number) noexcept { return {errc::system, number}; }
  friend constexpr bool operator==(const error&, const error&) = default;
};

/// Holds either a T or an E. Reading the side that is not there is a precondition violation.
/// Move and copy follow T and E. `result<void>` carries only success or failure.
template <class T, class E = error>
class [[nodiscard]] result {
  static_assert(!std::is_reference_v<T>, "result<T&> is not supported; use a pointer");
  static_assert(!std::is_same_v<std::remove_cv_t<T>, std::remove_cv_t<E>>,
                "value and error of a result must be different types");

 public:
  using value_type = T;
  using error_type = E;

  constexpr result(T value) noexcept(std::is_nothrow_move_constructible_v<T>)
      : ok_(true), value_(std::move(value)) {}
  constexpr result(E failure) noexcept(std::is_nothrow_move_constructible_v<E>)
      : ok_(false), error_(std::move(failure)) {}

  constexpr result(const result& other) requires(
      std::is_copy_constructible_v<T>&& std::is_copy_constructible_v<E>)
      : ok_(other.ok_) {
    if (ok_) {
      std::construct_at(&value_, other.value_);
    } else {
      std::construct_at(&error_, other.error_);
    }
  }
  constexpr result(result&& other) noexcept(
      std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_constructible_v<E>)
      : ok_(other.ok_) {
    if (ok_) {
      std::construct_at(&value_, std::move(other.value_));
    } else {
      std::construct_at(&error_, std::move(other.error_));
    }
  }
  constexpr result& operator=(const result& other) requires(
      std::is_copy_constructible_v<T>&& std::is_copy_constructible_v<E>) {
    if (this != &other) {
      result copy(other);
      destroy();
      adopt(std::move(copy));
    }
    return *this;
  }
  constexpr result& operator=(result&& other) noexcept(
      std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_constructible_v<E>) {
    if (this != &other) {
      destroy();
      adopt(std::move(other));
    }
    return *this;
  }
  constexpr ~result() { destroy(); }

  constexpr bool has_value() const noexcept { return ok_; }
  constexpr explicit operator bool() const noexcept { return ok_; }

  constexpr T& operator*() & noexcept { return value_; }
  constexpr const T& operator*() const& noexcept { return value_; }
  constexpr T&& operator*() && noexcept { return std::move(value_); }
  constexpr T* operator->() noexcept { return &value_; }
  constexpr const T* operator->() const noexcept { return &value_; }

  constexpr E& error() & noexcept { return error_; }
  constexpr const E& error() const& noexcept { return error_; }
  constexpr E&& error() && noexcept { return std::move(error_); }

 private:
  constexpr void destroy() noexcept {
    if (ok_) {
      std::destroy_at(&value_);
    } else {
      std::destroy_at(&error_);
    }
  }
  constexpr void adopt(result&& other) {
    ok_ = other.ok_;
    if (ok_) {
      std::construct_at(&value_, std::move(other.value_));
    } else {
      std::construct_at(&error_, std::move(other.error_));
    }
  }

  bool ok_;
  union {
    T value_;
    E error_;
  };
};

template <class E>
class [[nodiscard]] result<void, E> {
 public:
  using value_type = void;
  using error_type = E;

  constexpr result() noexcept : ok_(true), error_{} {}
  constexpr result(E failure) noexcept(std::is_nothrow_move_constructible_v<E>)
      : ok_(false), error_(std::move(failure)) {}

  constexpr bool has_value() const noexcept { return ok_; }
  constexpr explicit operator bool() const noexcept { return ok_; }
  constexpr E& error() & noexcept { return error_; }
  constexpr const E& error() const& noexcept { return error_; }
  constexpr E&& error() && noexcept { return std::move(error_); }

 private:
  bool ok_;
  E error_;
};

SYNFP_END_NAMESPACE
