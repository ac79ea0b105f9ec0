// SPDX-License-Identifier: MIT
// The SYN that the kernel itself kept with the connection: TCP_SAVE_SYN and TCP_SAVED_SYN (tcp(7),
// Linux 4.3). Needs no privilege and is exact; it is empty under SYN cookies and can be read once.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include <synfp/capture/source.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture {

/// One getsockopt per lookup. Stateless. The kernel keeps the headers (60 to 120 bytes) with every connection
/// until they are read or the connection is closed, also if another source answered.
class saved_syn {
 public:
  setup_result<void> prepare(int fd, bool) {
    const int on = 1;
    if (::setsockopt(fd, IPPROTO_TCP, TCP_SAVE_SYN, &on, sizeof on) == 0) return {};
    const int number = errno;
    return setup_error{errc::unsupported, number,
                       std::string("the listening socket refuses TCP_SAVE_SYN (") + std::strerror(number) +
                           "); use a plain TCP socket, MPTCP has no saved SYN"};
  }

  syn_lookup claim(const connection& c, std::uint64_t) const noexcept {
    // Room for all the extension headers of a packet that was not put together from fragments: from_bytes()
    // keeps what a record can hold.
    std::array<std::uint8_t, 4096> bytes;
    socklen_t length = bytes.size();
    if (::getsockopt(c.fd, IPPROTO_TCP, TCP_SAVED_SYN, bytes.data(), &length) != 0)
      return syn_lookup::missed(errno == EINVAL ? miss::truncated : miss::unsupported);
    if (length == 0) return syn_lookup::missed(miss::cookie);
    const auto record = syn_record::from_bytes({bytes.data(), length});
    if (!record) return syn_lookup::missed(miss::truncated);
    syn_lookup found;
    found.record = *record;
    found.source = capture_source::saved_syn;
    found.proof = proof::exact;
    found.miss = miss::none;
    return found;
  }
};
static_assert(source<saved_syn>);

}  // namespace capture
SYNFP_END_NAMESPACE
