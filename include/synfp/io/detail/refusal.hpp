// SPDX-License-Identifier: MIT
// Why io_uring is not available, and what to do about it.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io::detail {

/// The value of kernel.io_uring_disabled; 0 where the kernel has no such switch.
inline char disabled_by_sysctl() noexcept {
  char value = '0';
  const int fd = ::open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    if (::read(fd, &value, 1) != 1) value = '0';
    ::close(fd);
  }
  return value;
}

/// `number`: a positive errno of io_uring_setup or io_uring_register.
inline setup_error explain_refusal(int number) {
  setup_error e;
  e.os = number;
  switch (number) {
    case EPERM:
    case EACCES: {
      const char value = disabled_by_sysctl();
      if (value != '0') {
        e.message = std::string("io_uring is switched off by kernel.io_uring_disabled=") + value +
                    "; set the sysctl to 0, or to 1 with this process in the group kernel.io_uring_group";
      } else {
        e.message =
            "io_uring is not permitted, most likely by a seccomp profile (the default of Docker and "
            "containerd); "
            "allow io_uring_setup, io_uring_enter and io_uring_register";
      }
      break;
    }
    case ENOSYS:
      e.code = errc::unsupported;
      e.message =
          "there is no io_uring here: the kernel was built without it or a seccomp profile hides it; run "
          "Linux 6.1 "
          "or newer and allow io_uring_setup, io_uring_enter and io_uring_register";
      break;
    case EINVAL:
      e.code = errc::unsupported;
      e.message = "this kernel's io_uring is too old; run Linux 6.1 or newer";
      break;
    case ENOMEM: {
      rlimit limit{};
      ::getrlimit(RLIMIT_MEMLOCK, &limit);
      e.message = "not enough memory for an io_uring";
      if (limit.rlim_cur != RLIM_INFINITY) {
        e.message += ": RLIMIT_MEMLOCK is " + std::to_string(limit.rlim_cur / 1024) + " KiB";
      }
      e.message += "; raise it (ulimit -l, LimitMEMLOCK=) or ask for fewer entries and buffers";
      break;
    }
    case EMFILE:
    case ENFILE:
      e.message = "no file descriptor left for an io_uring; raise the limit (ulimit -n, LimitNOFILE=)";
      break;
    default: e.message = std::string("io_uring could not be set up: ") + std::strerror(number); break;
  }
  return e;
}

}  // namespace io::detail
SYNFP_END_NAMESPACE
