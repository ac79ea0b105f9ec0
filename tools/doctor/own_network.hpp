// SPDX-License-Identifier: MIT
// A network of the calling process's own, where nothing that it attaches or sets reaches anybody.
#pragma once

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include <synfp/detail/owned_fd.hpp>

namespace synfp::doctor {

/// Moves the calling thread into a new network namespace, for good, with lo up there. Empty, or why not; then
/// it is where it was. Needs CAP_SYS_ADMIN, and no program: ip(8) may not be here.
inline std::string enter_own_network() {
  if (::unshare(CLONE_NEWNET) != 0)
    return errno == EPERM ? "a network namespace of its own needs CAP_SYS_ADMIN"
                          : std::string("no network namespace can be made (") + std::strerror(errno) + ")";
  const synfp::detail::owned_fd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq lo{};
  std::memcpy(lo.ifr_name, "lo", sizeof "lo");
  if (::ioctl(any.get(), SIOCGIFFLAGS, &lo) != 0)
    return std::string("there is no lo: ") + std::strerror(errno);
  lo.ifr_flags = static_cast<short>(lo.ifr_flags | IFF_UP);
  if (::ioctl(any.get(), SIOCSIFFLAGS, &lo) != 0)
    return std::string("lo stays down: ") + std::strerror(errno);
  return {};
}

/// Writes a sysctl of the network namespace: "net/ipv4/tcp_syncookies".
inline bool write_sysctl(const std::string& name, const std::string& value) {
  const synfp::detail::owned_fd file(::open(("/proc/sys/" + name).c_str(), O_WRONLY | O_CLOEXEC));
  return file.get() >= 0 &&
         ::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

}  // namespace synfp::doctor
