// SPDX-License-Identifier: MIT
// What using libbpf from C++ takes.
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <mutex>

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

/// An options struct of libbpf, zeroed, with its size; LIBBPF_OPTS is not standard C++.
template <class Options>
Options libbpf_options() noexcept {
  Options options{};
  options.sz = sizeof options;
  return options;
}

struct object_closer {
  void operator()(bpf_object* object) const noexcept { bpf_object__close(object); }
};
using object_ptr = std::unique_ptr<bpf_object, object_closer>;

/// libbpf prints through one global callback; it is silenced while we call into it.
class silence_libbpf {
 public:
  silence_libbpf() : lock_(mutex()), before_(libbpf_set_print(nullptr)) {}
  ~silence_libbpf() { libbpf_set_print(before_); }
  silence_libbpf(const silence_libbpf&) = delete;
  silence_libbpf& operator=(const silence_libbpf&) = delete;

 private:
  static std::mutex& mutex() {
    static std::mutex m;
    return m;
  }
  std::lock_guard<std::mutex> lock_;
  libbpf_print_fn_t before_;
};

}  // namespace capture::detail
SYNFP_END_NAMESPACE
