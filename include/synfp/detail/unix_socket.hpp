// SPDX-License-Identifier: MIT
// Descriptors that go from a process to another over a Unix socket (unix(7), SCM_RIGHTS).
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <synfp/detail/owned_fd.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace detail {

inline constexpr std::size_t most_passed = 253;  ///< descriptors in a message: SCM_MAX_FD

/// Empty if `path` is too long.
inline std::optional<sockaddr_un> unix_address(const std::string& path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

/// Sends `bytes` with `fds`, without waiting. False if the other end is gone, has no room, or there are too
/// many.
inline bool send_descriptors(int to, std::span<const std::byte> bytes, std::span<const int> fds) noexcept {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(most_passed * sizeof(int))> control{};
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};  // sendmsg() only reads
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fds.size() > most_passed) return false;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  return ::sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(bytes.size());
}

/// What came with a message.
struct received_descriptors {
  ssize_t bytes = 0;  ///< as recvmsg() says; errno if it is negative
  std::vector<owned_fd> fds;
  bool truncated = false;  ///< there were more, and this process could not take them
};

/// Reads one message into `bytes`. `flags`: of recvmsg(); the descriptors are close-on-exec.
inline received_descriptors receive_descriptors(int from, std::span<std::byte> bytes, int flags) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(most_passed * sizeof(int))> control{};
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  received_descriptors got;
  got.fds.reserve(most_passed);  // before there is any: nothing below may throw
  do {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    got.bytes = ::recvmsg(from, &message, flags | MSG_CMSG_CLOEXEC);
  } while (got.bytes < 0 && errno == EINTR);
  if (got.bytes <= 0) return got;
  got.truncated = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); h != nullptr; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= h->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(h) + at, sizeof fd);
      got.fds.emplace_back(fd);
    }
  }
  return got;
}

}  // namespace detail
SYNFP_END_NAMESPACE
