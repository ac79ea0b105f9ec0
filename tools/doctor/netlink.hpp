// SPDX-License-Identifier: MIT
// What the driver of an interface can do with XDP: generic netlink's family "netdev" (Linux 6.3).
#pragma once

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/detail/owned_fd.hpp>

namespace synfp::doctor {
namespace detail {

/// One request with one attribute, and the attributes of its first answer.
class generic_netlink {
 public:
  generic_netlink() : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)) {
    const timeval limit{1, 0};
    if (socket_.get() >= 0) ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }

  bool ask(std::uint16_t family, std::uint8_t command, std::uint16_t attribute, const void* value,
           std::size_t size) {
    struct {
      nlmsghdr head;
      genlmsghdr command;
      nlattr attribute;
      char value[32];
    } request{};
    if (socket_.get() < 0 || size > sizeof request.value) return false;
    request.attribute = {static_cast<__u16>(NLA_HDRLEN + size), attribute};
    std::memcpy(request.value, value, size);
    request.command.cmd = command;
    request.command.version = 1;
    request.head.nlmsg_len = static_cast<__u32>(NLMSG_LENGTH(GENL_HDRLEN) + NLA_HDRLEN + NLA_ALIGN(size));
    request.head.nlmsg_type = family;
    request.head.nlmsg_flags = NLM_F_REQUEST;
    if (::send(socket_.get(), &request, request.head.nlmsg_len, 0) < 0) return false;
    answer_.resize(16384);
    const ssize_t n = ::recv(socket_.get(), answer_.data(), answer_.size(), 0);
    nlmsghdr head{};
    if (n < static_cast<ssize_t>(NLMSG_LENGTH(GENL_HDRLEN))) return false;
    std::memcpy(&head, answer_.data(), sizeof head);
    if (head.nlmsg_type != family || head.nlmsg_len > static_cast<std::size_t>(n) ||
        head.nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN))
      return false;
    answer_.resize(head.nlmsg_len);
    return true;
  }

  /// Of the answer: the value of a number of so many bytes.
  template <class T>
  std::optional<T> find(std::uint16_t attribute) const {
    for (std::size_t at = NLMSG_LENGTH(GENL_HDRLEN); at + NLA_HDRLEN <= answer_.size();) {
      nlattr head{};
      std::memcpy(&head, answer_.data() + at, sizeof head);
      if (head.nla_len < NLA_HDRLEN || at + head.nla_len > answer_.size()) break;
      if ((head.nla_type & NLA_TYPE_MASK) == attribute && head.nla_len >= NLA_HDRLEN + sizeof(T)) {
        T value;
        std::memcpy(&value, answer_.data() + at + NLA_HDRLEN, sizeof value);
        return value;
      }
      at += NLA_ALIGN(head.nla_len);
    }
    return std::nullopt;
  }

 private:
  synfp::detail::owned_fd socket_;
  std::vector<char> answer_;
};

}  // namespace detail

/// Whether its driver runs XDP programs itself. Empty if the kernel does not say.
inline std::optional<bool> native_xdp(unsigned interface) {
  constexpr std::uint8_t dev_get = 1;
  constexpr std::uint16_t dev_ifindex = 1, dev_xdp_features = 3;
  constexpr std::uint64_t xdp_basic = 1;
  static constexpr char family_name[] = "netdev";
  detail::generic_netlink netlink;
  if (!netlink.ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, family_name, sizeof family_name))
    return std::nullopt;
  const auto family = netlink.find<std::uint16_t>(CTRL_ATTR_FAMILY_ID);
  const std::uint32_t index = interface;
  if (!family || !netlink.ask(*family, dev_get, dev_ifindex, &index, sizeof index)) return std::nullopt;
  const auto features = netlink.find<std::uint64_t>(dev_xdp_features);
  if (!features) return std::nullopt;
  return (*features & xdp_basic) != 0;
}

}  // namespace synfp::doctor
