// SPDX-License-Identifier: MIT
// Descriptors of a probe over a Unix socket (unix(7), SCM_RIGHTS): for processes without a bpffs, in
// containers.
#pragma once

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include <synfp/abi.h>
#include <synfp/capture/detail/owned_fd.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

/// The descriptors of a probe, from its pins or from the process that keeps it.
struct opened_pins {
  owned_fd table, meta, counts, program, pulse;
};

/// The one message that a client gets, and with it the descriptors: table, meta, counts, pulse, and the
/// program if there is one for listeners.
struct handover_message {
  std::uint32_t magic = SYNFP_ABI_MAGIC;
  std::uint16_t abi = SYNFP_ABI_VERSION;
  std::uint16_t descriptors = 0;
};
inline constexpr std::size_t handover_most = 5;

/// Sends without waiting. False if the client is gone or does not read.
inline bool hand_over(int client, const int* fds, std::size_t count) noexcept {
  handover_message message;
  message.descriptors = static_cast<std::uint16_t>(count);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * handover_most)]{};
  iovec bytes{&message, sizeof message};
  msghdr header{};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
  cmsghdr* const rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
  std::memcpy(CMSG_DATA(rights), fds, sizeof(int) * count);
  return ::sendmsg(client, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(sizeof message);
}

inline setup_error no_handover(const std::string& path, int number) {
  const char* advice = number == ECONNREFUSED ? "nobody listens there: start synfpd"
                       : number == EACCES     ? "it is for a group that this user is not in: synfpd --group"
                       : number == EAGAIN     ? "synfpd does not answer: see its log"
                       : number == EMFILE || number == ENFILE ? "raise the limit of open files: ulimit -n"
                                                              : "see unix(7)";
  return {errc::system, number,
          "cannot get the probe from the socket " + path + " (" + std::strerror(number) + "); " + advice};
}

/// Waits two seconds at most.
inline setup_result<opened_pins> receive_pins(const std::string& path, bool with_program) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return no_handover(path, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const owned_fd s(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const timeval patience{2, 0};
  if (s.get() < 0 || ::setsockopt(s.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
      ::setsockopt(s.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
      ::connect(s.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return no_handover(path, errno);

  handover_message message{};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * handover_most)];
  iovec bytes{&message, sizeof message};
  msghdr header{};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t n = 0;
  do {
    n = ::recvmsg(s.get(), &header, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return no_handover(path, errno);
  if (n == 0)
    return setup_error{errc::system, 0,
                       path +
                           " was closed without an answer; it is not the socket of synfpd, or too many "
                           "processes of this user have connected there and not read: see ss -xp"};
  owned_fd received[handover_most];
  std::size_t count = 0;
  const cmsghdr* const rights = CMSG_FIRSTHDR(&header);
  if (rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
    for (; count < handover_most && CMSG_LEN(sizeof(int) * (count + 1)) <= rights->cmsg_len; ++count) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(rights) + sizeof fd * count, sizeof fd);
      received[count] = owned_fd(fd);
    }
  }
  if (n != static_cast<ssize_t>(sizeof message) || message.magic != SYNFP_ABI_MAGIC)
    return setup_error{errc::incompatible, 0,
                       path + " is not the socket of synfpd; name the one that it prints"};
  if (message.abi == SYNFP_ABI_VERSION && (header.msg_flags & MSG_CTRUNC) != 0)
    return no_handover(path, EMFILE);
  if (message.abi != SYNFP_ABI_VERSION || count < 4)
    return setup_error{errc::incompatible, 0,
                       path + ": synfpd is of another version (ABI " + std::to_string(message.abi) +
                           ", this is " + std::to_string(SYNFP_ABI_VERSION) +
                           "); build both from the same version"};
  if (with_program && count < 5)
    return setup_error{
        errc::incompatible, 0,
        path + ": this probe has no program for listeners; start synfpd with --hook reuseport"};
  opened_pins pins;
  owned_fd* const wanted[] = {&pins.table, &pins.meta, &pins.counts, &pins.pulse, &pins.program};
  for (std::size_t i = 0; i < count; ++i) *wanted[i] = std::move(received[i]);
  return pins;
}

}  // namespace capture::detail
SYNFP_END_NAMESPACE
