// SPDX-License-Identifier: MIT
// A program as a filter of tc at the ingress of an interface, for kernels without tcx links. The kernel keeps
// a filter, and the queueing discipline clsact that carries it, until somebody removes them. So this removes
// what it made, recognises what a killed process left, and never touches what is somebody else's.
#pragma once

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/detail/owned_fd.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

using synfp::detail::owned_fd;

/// A request of rtnetlink about traffic control.
class tc_request {
 public:
  tc_request(std::uint16_t type, std::uint16_t flags, unsigned interface, std::uint32_t parent) noexcept {
    head().nlmsg_type = type;
    head().nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    head().nlmsg_len = NLMSG_LENGTH(sizeof(tcmsg));
    body().tcm_family = AF_UNSPEC;
    body().tcm_ifindex = static_cast<int>(interface);
    body().tcm_parent = parent;
  }

  nlmsghdr& head() noexcept { return *reinterpret_cast<nlmsghdr*>(bytes_); }
  tcmsg& body() noexcept { return *static_cast<tcmsg*>(NLMSG_DATA(&head())); }

  /// The caller adds some 100 bytes in all.
  rtattr* add(std::uint16_t type, const void* data, std::size_t size) noexcept {
    auto* const at = reinterpret_cast<rtattr*>(bytes_ + NLMSG_ALIGN(head().nlmsg_len));
    at->rta_type = type;
    at->rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
    if (size != 0) std::memcpy(RTA_DATA(at), data, size);
    head().nlmsg_len = static_cast<std::uint32_t>(NLMSG_ALIGN(head().nlmsg_len) + RTA_ALIGN(at->rta_len));
    return at;
  }
  void add(std::uint16_t type, const char* text) noexcept { add(type, text, std::strlen(text) + 1); }
  void add(std::uint16_t type, std::uint32_t value) noexcept { add(type, &value, sizeof value); }
  void end(rtattr* nest) noexcept {
    const auto* const last = bytes_ + head().nlmsg_len;
    nest->rta_len = static_cast<std::uint16_t>(last - reinterpret_cast<unsigned char*>(nest));
  }

 private:
  alignas(8) unsigned char bytes_[512] = {};
};

/// A filter of tc, as the kernel tells of it.
struct tc_filter {
  std::uint32_t handle = 0;
  std::uint32_t info = 0;     ///< priority and protocol
  std::uint32_t program = 0;  ///< its id, 0 if the filter is of another kind
};

/// A socket of rtnetlink. It stays in the network namespace in which it was made, wherever its thread goes.
class tc_socket {
 public:
  tc_socket() = default;
  /// errno, or 0.
  int open() noexcept {
    fd_ = owned_fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd_) return errno;
    // The kernel answers at once. The limit is there so that nothing could hold up a process that ends.
    const timeval limit{5, 0};
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return 0;
  }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  /// Sends a request and reads the answer to the end: each(filter, its name). errno, or 0. Allocates nothing.
  template <class F>
  int ask(tc_request& request, F&& each) {
    const bool dump = (request.head().nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    if (!dump) request.head().nlmsg_flags |= NLM_F_ACK;
    request.head().nlmsg_seq = ++sequence_;
    if (::send(fd_.get(), &request.head(), request.head().nlmsg_len, 0) < 0) return errno;
    alignas(8) unsigned char buffer[16 * 1024];  // NLMSG_GOODSIZE is at most 8 KiB
    bool changed = false;
    for (;;) {
      const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      auto left = static_cast<std::size_t>(n);
      for (const auto* m = reinterpret_cast<const nlmsghdr*>(buffer); NLMSG_OK(m, left);
           m = NLMSG_NEXT(m, left)) {
        if (m->nlmsg_seq != sequence_) continue;
        changed |= (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (m->nlmsg_type == NLMSG_DONE) return changed ? EAGAIN : 0;
        if (m->nlmsg_type == NLMSG_ERROR) return -static_cast<const nlmsgerr*>(NLMSG_DATA(m))->error;
        if (m->nlmsg_type == RTM_NEWTFILTER) read_filter(m, each);
      }
    }
  }
  int ask(tc_request& request) {
    return ask(request, [](const tc_filter&, std::string_view) {});
  }

 private:
  template <class F>
  static void for_each(const rtattr* at, std::size_t left, F&& each) {
    for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) each(at);
  }
  static std::string_view text_of(const rtattr* at) noexcept {
    const auto* const text = static_cast<const char*>(RTA_DATA(at));
    return {text, ::strnlen(text, RTA_PAYLOAD(at))};
  }
  template <class F>
  static void read_filter(const nlmsghdr* m, F&& each) {
    const auto* const body = static_cast<const tcmsg*>(NLMSG_DATA(m));
    tc_filter f;
    std::string_view name;
    f.handle = body->tcm_handle;
    f.info = body->tcm_info;
    bool bpf = false;
    for_each(TCA_RTA(body), m->nlmsg_len - NLMSG_LENGTH(sizeof *body), [&](const rtattr* at) {
      if (at->rta_type == TCA_KIND) bpf = text_of(at) == "bpf";
      if (!bpf || at->rta_type != TCA_OPTIONS) return;
      for_each(static_cast<const rtattr*>(RTA_DATA(at)), RTA_PAYLOAD(at), [&](const rtattr* option) {
        if (option->rta_type == TCA_BPF_NAME) name = text_of(option);
        if (option->rta_type == TCA_BPF_ID && RTA_PAYLOAD(option) == sizeof f.program)
          std::memcpy(&f.program, RTA_DATA(option), sizeof f.program);
      });
    });
    each(f, name);
  }

  owned_fd fd_;
  std::uint32_t sequence_ = 0;
};

/// The mark of a process that owns a filter: a name among the Unix sockets of its network namespace, which
/// the kernel takes back when the process ends. errno, or 0. Somebody who takes the name of a filter whose
/// owner is gone can only make it stay.
inline int mark_alive(std::uint32_t program, unsigned interface, owned_fd& mark) noexcept {
  mark = owned_fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!mark) return errno;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  // The leading 0: not in the file system.
  const int length =
      std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "synfp_tcx/%u/%u", program, interface);
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length));
  return ::bind(mark.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0 ? 0 : errno;
}

/// The filters of an interface, in the network namespace in which this was opened. Functions return errno, or
/// 0.
class clsact {
 public:
  int open(unsigned interface) noexcept {
    interface_ = interface;
    return socket_.open();
  }
  explicit operator bool() const noexcept { return static_cast<bool>(socket_); }
  unsigned interface() const noexcept { return interface_; }

  /// `made`: nothing was there.
  int make(bool& made) {
    tc_request request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, interface_, TC_H_CLSACT);
    request.body().tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
    request.add(TCA_KIND, "clsact");
    const int error = socket_.ask(request);
    made = error == 0;
    return error == EEXIST ? 0 : error;
  }
  /// Neither at the ingress nor at the egress is a filter.
  bool empty() { return empty(ingress) && empty(egress); }
  /// Itself.
  void remove_if_empty() {
    if (!empty()) return;
    tc_request request(RTM_DELQDISC, 0, interface_, TC_H_CLSACT);
    request.body().tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
    (void)socket_.ask(request);
  }

  /// Adds a program as the first filter of the ingress. EBUSY: the first priority is taken by a filter of
  /// another kind or for one protocol alone, and nothing comes before it.
  int add(int program, std::uint32_t id, const char* name, tc_filter& added) {
    std::uint32_t first = 0;
    const int error = each([&first](const tc_filter& f, std::string_view) {
      const std::uint32_t priority = f.info >> 16;
      if (priority != 0 && (first == 0 || priority < first)) first = priority;
    });
    if (error != 0) return error;
    // 0: the kernel chooses, from the higher half. The newest of one priority is its first.
    const std::uint32_t own = first > 1 ? first - 1 : first;
    const tc_filter where{.info = TC_H_MAKE(own << 16, static_cast<std::uint32_t>(htons(ETH_P_ALL)))};
    const int refused = change(NLM_F_CREATE | NLM_F_EXCL, where, program, id, name, added);
    return refused == EINVAL && first == 1 ? EBUSY : refused;
  }
  /// Puts another program into the place of that of `f`, in one step.
  int replace(tc_filter& f, int program, std::uint32_t id, const char* name) {
    return change(0, f, program, id, name, f);
  }
  int remove(const tc_filter& f) {
    tc_request request(RTM_DELTFILTER, 0, interface_, ingress);
    request.body().tcm_handle = f.handle;
    request.body().tcm_info = f.info;
    request.add(TCA_KIND, "bpf");
    return socket_.ask(request);
  }
  /// each(filter, its name), of the ingress. Allocates nothing.
  template <class F>
  int each(F&& function) {
    return each_of(ingress, function);
  }

 private:
  static constexpr std::uint32_t ingress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
  static constexpr std::uint32_t egress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);

  int change(std::uint16_t flags, const tc_filter& where, int program, std::uint32_t id, const char* name,
             tc_filter& changed) {
    tc_request request(RTM_NEWTFILTER, static_cast<std::uint16_t>(flags | NLM_F_ECHO), interface_, ingress);
    request.body().tcm_handle = where.handle;
    request.body().tcm_info = where.info;
    request.add(TCA_KIND, "bpf");
    rtattr* const options = request.add(TCA_OPTIONS | NLA_F_NESTED, nullptr, 0);
    request.add(TCA_BPF_FD, static_cast<std::uint32_t>(program));
    request.add(TCA_BPF_NAME, name);
    request.add(TCA_BPF_FLAGS, std::uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
    request.end(options);
    tc_filter told;
    const int error = socket_.ask(request, [&told, id](const tc_filter& f, std::string_view) {
      if (f.program == id) told = f;
    });
    if (error != 0) return error;
    if (told.program == 0) return EPROTO;
    changed = told;
    return 0;
  }
  template <class F>
  int each_of(std::uint32_t parent, F&& function) {
    tc_request dump(RTM_GETTFILTER, NLM_F_DUMP, interface_, parent);
    return socket_.ask(dump, function);
  }
  bool empty(std::uint32_t parent) {
    bool found = false;
    return each_of(parent, [&found](const tc_filter&, std::string_view) { found = true; }) == 0 && !found;
  }

  tc_socket socket_;
  unsigned interface_ = 0;
};

/// A filter that lets every packet go on to those after it, until this ends. It is the first one of its
/// interface when it is added. Movable; removes it with the rights that the process has then.
class clsact_filter {
 public:
  clsact_filter() = default;
  clsact_filter(clsact_filter&&) noexcept = default;
  clsact_filter& operator=(clsact_filter&& other) noexcept {
    std::swap(at_, other.at_);
    std::swap(mark_, other.mark_);
    std::swap(own_, other.own_);
    std::swap(made_clsact_, other.made_clsact_);
    std::swap(replaced_, other.replaced_);
    return *this;
  }
  ~clsact_filter() { remove(); }

  /// Adds the program with this id and name. errno, or 0; then nothing of it is there.
  int add(int program, std::uint32_t id, const char* name, unsigned interface) {
    int error = at_.open(interface);
    if (error == 0) error = mark_alive(id, interface, mark_);
    if (error == 0) error = at_.make(made_clsact_);
    if (error != 0) return error;
    error = at_.add(program, id, name, own_);
    if (error != 0) {
      if (made_clsact_) at_.remove_if_empty();
      return error;
    }

    // Only now, so that no SYN is missed.
    std::vector<tc_filter> left_behind;
    (void)at_.each([&](const tc_filter& f, std::string_view its_name) {
      owned_fd free;
      if (f.program != id && its_name == name && mark_alive(f.program, interface, free) == 0)
        left_behind.push_back(f);
    });
    for (const tc_filter& f : left_behind) replaced_ |= at_.remove(f) == 0;
    return 0;
  }

  bool replaced() const noexcept { return replaced_; }

 private:
  void remove() noexcept {
    if (!at_ || own_.program == 0) return;
    // Somebody may have removed it, and another have got its handle.
    bool there = false;
    (void)at_.each([&](const tc_filter& f, std::string_view) {
      there |= f.program == own_.program && f.handle == own_.handle && f.info == own_.info;
    });
    if (there && at_.remove(own_) == 0 && made_clsact_) at_.remove_if_empty();
  }

  clsact at_;
  owned_fd mark_;
  tc_filter own_;
  bool made_clsact_ = false;
  bool replaced_ = false;
};

}  // namespace capture::detail
SYNFP_END_NAMESPACE
