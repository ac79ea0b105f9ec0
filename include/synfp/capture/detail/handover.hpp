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
#include <span>
#include <string>
#include <utility>

#include <synfp/abi.h>
#include <synfp/detail/owned_fd.hpp>
#include <synfp/detail/unix_socket.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

using synfp::detail::owned_fd;
using synfp::detail::receive_descriptors;
using synfp::detail::send_descriptors;
using synfp::detail::unix_address;

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
  return send_descriptors(client, std::as_bytes(std::span(&message, 1)), {fds, count});
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
  const auto address = unix_address(path);
  if (!address) return no_handover(path, ENAMETOOLONG);
  const owned_fd s(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const timeval patience{2, 0};
  if (s.get() < 0 || ::setsockopt(s.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
      ::setsockopt(s.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
      ::connect(s.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return no_handover(path, errno);

  handover_message message{};
  auto received = receive_descriptors(s.get(), std::as_writable_bytes(std::span(&message, 1)), 0);
  const ssize_t n = received.bytes;
  const std::size_t count = received.fds.size();
  if (n < 0) return no_handover(path, errno);
  if (n == 0)
    return setup_error{errc::system, 0,
                       path +
                           " was closed without an answer; it is not the socket of synfpd, or too many "
                           "processes of this user have connected there and not read: see ss -xp"};
  if (n != static_cast<ssize_t>(sizeof message) || message.magic != SYNFP_ABI_MAGIC)
    return setup_error{errc::incompatible, 0,
                       path + " is not the socket of synfpd; name the one that it prints"};
  if (message.abi == SYNFP_ABI_VERSION && received.truncated) return no_handover(path, EMFILE);
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
  for (std::size_t i = 0; i < count && i < handover_most; ++i) *wanted[i] = std::move(received.fds[i]);
  return pins;
}

}  // namespace capture::detail
SYNFP_END_NAMESPACE
