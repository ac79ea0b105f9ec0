// SPDX-License-Identifier: MIT
// A SYN flood for tests, benchmarks and `synfp flood`: real frames into a real TCP stack, without a wire and
// without a way out. `network` is a network namespace made for it, `flood` runs in one. Needs root and
// Linux 5.18.
//
//   flood0 198.18.0.1/24 fd73:796e:6670::1/64   receives the SYNs; route of every answer to a spoofed source
//   flood1 (its veth peer)                      counts and drops the answers
//
// SYNs are made by flood.bpf.c, run by BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES, and valid:
// checksums too. They enter the stack as if flood0 had received them, on the CPU and in the time of the
// calling thread, so the scheduler can share the machine. Native XDP programs on flood0 are passed by that
// way (generic ones, tc and everything behind are not); with via::veth the frames go through the receive ring
// of flood0 instead, where native XDP runs, which costs more and leaves them to the softirq.
#pragma once

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <synfp/endpoint.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "flood.h"
#include "flood_object.hpp"

namespace flood {

/// What went wrong and what to do.
struct failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {

[[noreturn]] inline void fail(const std::string& what, int number) {
  std::string text = "cannot " + what + " (" + std::strerror(number) + ")";
  if (number == EPERM || number == EACCES) text += "; run as root";
  throw failure(text);
}
inline void must(bool held, const char* what) {
  if (!held) fail(what, errno);
}

class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int fd) : fd_(fd) {}
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

/// The number that identifies the network namespace of the calling thread; names prove nothing.
inline ino_t own_namespace() {
  struct stat status {};
  must(::stat("/proc/thread-self/ns/net", &status) == 0, "read /proc/thread-self/ns/net");
  return status.st_ino;
}

/// One program of flood.bpf.c and its counters.
class program {
 public:
  program(const char* name, const flood_config& config) {
    const libbpf_print_fn_t before = libbpf_set_print(nullptr);
    bpf_object_open_opts options{};
    options.sz = sizeof options;
    options.object_name = "synfp_flood";
    object_.reset(bpf_object__open_mem(object::words, object::size, &options));
    int result = object_ ? 0 : -EINVAL;
    if (object_) {
      bpf_program* each = nullptr;
      bpf_object__for_each_program(each, object_.get()) {
        bpf_program__set_autoload(each, std::strcmp(bpf_program__name(each), name) == 0);
      }
      bpf_map* rodata = bpf_object__find_map_by_name(object_.get(), ".rodata.flood");
      result = bpf_map__set_initial_value(rodata, &config, sizeof config);
      if (result == 0) result = bpf_object__load(object_.get());
    }
    libbpf_set_print(before);
    if (result != 0) fail("load the BPF program of the flood", -result);
    fd_ = bpf_program__fd(bpf_object__find_program_by_name(object_.get(), name));
    const int counts = bpf_map__fd(bpf_object__find_map_by_name(object_.get(), ".bss.flood"));
    void* at = ::mmap(nullptr, sizeof(flood_counts), PROT_READ, MAP_SHARED, counts, 0);
    must(at != MAP_FAILED, "map the counters of the flood");
    counts_.reset(static_cast<const flood_counts*>(at));
  }
  int fd() const { return fd_; }
  std::uint64_t sent() const { return __atomic_load_n(&counts_->sent, __ATOMIC_RELAXED); }
  std::uint64_t syn_acks() const { return __atomic_load_n(&counts_->syn_acks, __ATOMIC_RELAXED); }
  std::uint64_t resets() const { return __atomic_load_n(&counts_->resets, __ATOMIC_RELAXED); }

 private:
  struct closer {
    void operator()(bpf_object* o) const { bpf_object__close(o); }
  };
  struct unmapper {
    void operator()(const flood_counts* c) const { ::munmap(const_cast<flood_counts*>(c), sizeof *c); }
  };
  std::unique_ptr<bpf_object, closer> object_;
  std::unique_ptr<const flood_counts, unmapper> counts_;
  int fd_ = -1;
};

inline descriptor attach_native(int program, unsigned index) {
  bpf_link_create_opts options{};
  options.sz = sizeof options;
  options.flags = XDP_FLAGS_DRV_MODE;
  const int link = bpf_link_create(program, static_cast<int>(index), BPF_XDP, &options);
  if (link < 0) fail("attach to the flood's veth pair", -link);
  return descriptor(link);
}

}  // namespace detail

/// A network namespace with the veth pair flood0/flood1. It has no name: it ends with this object and with
/// whoever is in it.
class network {
  friend class sender;

 public:
  static constexpr const char* inside_name = "flood0";
  static constexpr const char* outside_name = "flood1";

  /// Where servers are flooded: addresses of flood0.
  static synfp::endpoint target_v4(std::uint16_t port) { return synfp::endpoint::v4(198, 18, 0, 1, port); }
  static synfp::endpoint target_v6(std::uint16_t port) {
    return synfp::endpoint::v6({0xfd, 0x73, 0x79, 0x6e, 0x66, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port);
  }

  /// Leaves the calling thread where it was.
  network() : home_(open_own()), before_(detail::own_namespace()) {
    detail::must(::unshare(CLONE_NEWNET) == 0, "make a network namespace");
    own_ = open_own();
    inode_ = detail::own_namespace();
    std::exception_ptr why;
    try {
      set_up();
    } catch (...) {
      why = std::current_exception();
    }
    detail::must(::setns(home_.get(), CLONE_NEWNET) == 0, "return from a network namespace");
    if (why) std::rethrow_exception(why);
  }
  network(const network&) = delete;
  network& operator=(const network&) = delete;

  /// Takes the calling thread into the namespace, for good. Every flooding thread does it before its first
  /// frame: the kernel looks for the interface in the namespace of the thread.
  void enter() const {
    detail::must(::setns(own_.get(), CLONE_NEWNET) == 0, "enter a network namespace");
    check();
  }
  /// Runs `what` with the calling thread in the namespace.
  template <class F>
  auto inside(F&& what) const {
    struct visit {
      // In two steps, because check() may throw: from then on the destructor returns.
      visit() : back(open_own()) {}
      ~visit() { (void)!::setns(back.get(), CLONE_NEWNET); }
      visit(const visit&) = delete;
      visit& operator=(const visit&) = delete;
      detail::descriptor back;
    } const there;
    enter();
    return what();
  }
  /// Throws unless the calling thread is in the namespace that this object made and flood0 is what it was.
  void check() const {
    check_thread();
    if (::if_nametoindex(inside_name) != inside_index_ || ::if_nametoindex(outside_name) != outside_index_)
      throw failure("the flood's interfaces were removed or renamed; leave flood0 and flood1 alone");
  }

  /// The part of check() that is cheap enough for every batch.
  void check_thread() const {
    if (detail::own_namespace() != inode_ || inode_ == before_)
      throw failure(
          "the flood runs in the network namespace that it made and nowhere else; this thread is in another");
  }

  int fd() const { return own_.get(); }  ///< of the namespace, for setns()
  unsigned inside_index() const { return inside_index_; }
  unsigned outside_index() const { return outside_index_; }
  /// Answers to spoofed sources, repeated ones included.
  std::uint64_t syn_acks() const { return sink_->syn_acks(); }
  std::uint64_t resets() const { return sink_->resets(); }

  /// The counters of /proc/net/netstat and snmp (nstat(8)), by name, "TcpExt.SyncookiesSent" for instance.
  std::map<std::string, std::uint64_t> counters() const {
    return inside([] {
      std::map<std::string, std::uint64_t> all;
      for (const char* file : {"/proc/thread-self/net/netstat", "/proc/thread-self/net/snmp"}) {
        std::ifstream in(file);
        for (std::string names, values; std::getline(in, names) && std::getline(in, values);) {
          std::istringstream name(names), value(values);
          std::string group, skipped, one;
          name >> group;
          value >> skipped;
          group.back() = '.';
          for (long long number = 0; name >> one && value >> number;)
            all[group + one] = static_cast<std::uint64_t>(number);
        }
      }
      return all;
    });
  }
  /// Writes `value` to /proc/sys/`name` in the namespace.
  void sysctl(const std::string& name, const std::string& value) const {
    inside([&] { set_sysctl(name, value); });
  }

 private:
  static detail::descriptor open_own() {
    detail::descriptor own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    detail::must(own.get() >= 0, "open /proc/thread-self/ns/net");
    return own;
  }
  static void set_sysctl(const std::string& name, const std::string& value) {
    const detail::descriptor file(::open(("/proc/sys/" + name).c_str(), O_WRONLY | O_CLOEXEC));
    if (file.get() < 0 ||
        ::write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
      detail::fail("set " + name, errno);
  }
  void set_up() {
    if (::access("/proc/sys/net/ipv6", F_OK) == 0) {
      set_sysctl("net/ipv6/conf/default/accept_dad", "0");
      set_sysctl("net/ipv6/conf/default/accept_ra", "0");
      v6_ = true;
    }
    // The answers find a way back, to one neighbour: without a route the stack drops a SYN before the
    // listener.
    ip("link set lo up\n"
       "link add flood0 address 02:73:79:6e:66:00 type veth peer name flood1 address 02:73:79:6e:66:01\n"
       "link set flood0 addrgenmode none\nlink set flood1 addrgenmode none\n"
       "link set flood0 up\nlink set flood1 up\n"
       "addr add 198.18.0.1/24 dev flood0\n"
       "neigh add 198.18.0.2 lladdr 02:73:79:6e:66:01 dev flood0 nud permanent\n"
       "route add default via 198.18.0.2 dev flood0\n");
    if (v6_)
      ip("addr add fd73:796e:6670::1/64 dev flood0 nodad\n"
         "neigh add fd73:796e:6670::2 lladdr 02:73:79:6e:66:01 dev flood0 nud permanent\n"
         "route add ::/0 via fd73:796e:6670::2 dev flood0\n");
    deliver_redirected();
    inside_index_ = ::if_nametoindex(inside_name);
    outside_index_ = ::if_nametoindex(outside_name);
    detail::must(inside_index_ != 0 && outside_index_ != 0, "find flood0 and flood1");
    sink_.emplace("flood_sink", flood_config{});
    sink_link_ = detail::attach_native(sink_->fd(), outside_index_);
  }
  // veth takes redirected frames only while it polls (NAPI): with an XDP program of its own, or with GRO on.
  static void deliver_redirected() {
    const detail::descriptor s(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ethtool_value on{ETHTOOL_SGRO, 1};
    ifreq request{};
    std::memcpy(request.ifr_name, inside_name, std::strlen(inside_name));
    request.ifr_data = reinterpret_cast<char*>(&on);
    detail::must(::ioctl(s.get(), SIOCETHTOOL, &request) == 0, "switch on GRO of flood0");
  }
  static void ip(const char* batch) {
    FILE* pipe = ::popen("ip -batch -", "we");
    detail::must(pipe != nullptr, "run ip");
    std::fputs(batch, pipe);
    if (::pclose(pipe) != 0)
      throw failure("ip could not set up the flood's network; it needs iproute2 and a kernel with veth");
  }

  detail::descriptor home_, own_;
  ino_t before_, inode_ = 0;
  unsigned inside_index_ = 0, outside_index_ = 0;
  bool v6_ = false;
  std::optional<detail::program> sink_;
  detail::descriptor sink_link_;
};

/// Addresses that SYNs pretend to come from: 198.51.100.0/24, 2001:db8::/32.
struct prefix {
  std::array<std::uint8_t, 16> address{};  ///< IPv4 in the first four bytes
  unsigned bits = 0;
  bool v6 = false;

  /// Refuses text that is no prefix, and addresses that no peer has: the stack would drop their SYNs.
  static prefix parse(const std::string& text) {
    const prefix p = read(text);
    static constexpr std::array<const char*, 4> no_v4{"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3",
                                                      "198.18.0.0/24"};
    static constexpr std::array<const char*, 4> no_v6{"::/8", "fe80::/10", "ff00::/8", "fd73:796e:6670::/64"};
    for (const char* taken : p.v6 ? no_v6 : no_v4) {
      if (p.overlaps(read(taken)))
        throw failure("source " + text + ": the stack takes no SYN from " + taken +
                      "; choose other addresses");
    }
    return p;
  }
  /// The bits of byte `i` that the prefix does not fix.
  std::uint8_t free(unsigned i) const {
    const unsigned fixed = std::min(8U, bits - std::min(bits, 8 * i));
    return i < (v6 ? 16U : 4U) ? static_cast<std::uint8_t>(0xff >> fixed) : std::uint8_t{0};
  }
  bool overlaps(const prefix& other) const {
    if (v6 != other.v6) return false;
    for (unsigned i = 0; i < 16; ++i) {
      if (((address[i] ^ other.address[i]) & ~(free(i) | other.free(i)) & 0xff) != 0) return false;
    }
    return true;
  }

 private:
  static prefix read(const std::string& text) {
    prefix p;
    const std::size_t slash = text.find('/');
    const std::string address = text.substr(0, slash);
    p.v6 = address.find(':') != std::string::npos;
    const unsigned most = p.v6 ? 128 : 32;
    p.bits = most;
    if (::inet_pton(p.v6 ? AF_INET6 : AF_INET, address.c_str(), p.address.data()) != 1)
      throw failure("source " + text + ": no address; write for instance 10.0.0.0/8 or 2001:db8::/32");
    if (slash != std::string::npos) {
      const std::string length = text.substr(slash + 1);
      const bool number = !length.empty() && length.size() <= 3 &&
                          length.find_first_not_of("0123456789") == std::string::npos;
      if (!number || std::stoul(length) > most)
        throw failure("source " + text +
                      ": the length of a prefix is a number up to 32 (IPv4) or 128 (IPv6)");
      p.bits = static_cast<unsigned>(std::stoul(length));
    }
    for (unsigned i = 0; i < 16; ++i) p.address[i] &= static_cast<std::uint8_t>(~p.free(i));
    return p;
  }
};

/// What the SYNs look like, after operating systems of today. All are valid.
struct shape {
  std::string_view name;
  std::uint8_t ttl;
  std::uint16_t window;
  std::uint8_t length;  ///< of the options
  std::array<std::uint8_t, 40> options;
};
inline constexpr std::array<shape, 4> shapes{{
    {"none", 64, 64240, 0, {}},
    {"linux", 64, 64240, 20, {2, 4, 5, 180, 4, 2, 8, 10, 0x59, 0x26, 0x84, 0xe1, 0, 0, 0, 0, 1, 3, 3, 7}},
    {"windows", 128, 64240, 12, {2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2}},
    {"macos", 64, 65535, 24, {2,    4,    5,    180,  1, 3, 3, 6, 1, 1, 8, 10,
                              0x35, 0x9b, 0x11, 0x70, 0, 0, 0, 0, 4, 2, 0, 0}},
}};

/// How frames reach flood0.
enum class via {
  stack,  ///< as if its driver had received them: protocol taps, tc, the IP stack
  veth,   ///< through its receive ring: native XDP first
};

struct options {
  std::uint16_t port = 8080;    ///< of the server, on the addresses of network::target_*()
  std::string shape = "mixed";  ///< of `shapes`, or "mixed": every frame one of them at random
  std::vector<prefix> sources{prefix::parse("10.0.0.0/8")};  ///< at most one per family
  std::uint64_t seed = 1;                                    ///< the same seed, the same SYNs
  flood::via via = flood::via::stack;
};

/// What one thread sends. Made and used by one thread at a time, in the namespace of `network`.
class sender {
 public:
  /// The sender's n-th frame is frame `first` + n * `stride` of the flood.
  sender(const network& where, const options& what, std::uint64_t first = 0, std::uint64_t stride = 1)
      : where_(&where), program_("flood_send", configure(where, what, first, stride)) {
    where.check();
    keep_in_dispatcher();
  }

  sender(const sender&) = delete;
  sender& operator=(const sender&) = delete;
  ~sender() {
    try {
      where_->inside([this] { network::ip(("link del " + idle_ + "\n").c_str()); });
    } catch (const failure&) {  // it ends with the namespace
    }
  }

  /// Sends `count` frames; returns how many. Fewer after a signal. Not interrupted between batches by
  /// anything else, but the scheduler may run others.
  std::uint64_t send(std::uint32_t count) {
    if (count == 0) return 0;
    where_->check_thread();
    std::array<std::uint8_t, FLOOD_FRAME_BYTES> frame{};
    xdp_md context{};
    context.ingress_ifindex = where_->inside_index();
    context.data_end = FLOOD_FRAME_BYTES;
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    run.data_in = frame.data();
    run.data_size_in = FLOOD_FRAME_BYTES;
    run.ctx_in = &context;
    run.ctx_size_in = sizeof context;
    run.repeat = static_cast<int>(count);
    run.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    run.batch_size = batch;
    const std::uint64_t before = program_.sent();
    const int result = bpf_prog_test_run_opts(program_.fd(), &run);
    if (result != 0 && result != -EINTR)
      detail::fail("send SYNs: BPF_PROG_TEST_RUN with live frames", -result);
    return program_.sent() - before;
  }
  std::uint64_t sent() const { return program_.sent(); }

 private:
  static constexpr __u32 batch = 64;  // frames between two points where the kernel lets others run

  // BPF_PROG_TEST_RUN enters a program that is attached nowhere into the kernel's XDP dispatcher, and takes
  // it out again, which takes milliseconds per call. An idle interface keeps it there.
  void keep_in_dispatcher() {
    static std::atomic<unsigned> number{0};
    idle_ = "idle" + std::to_string(number.fetch_add(1, std::memory_order_relaxed));
    network::ip(("link add " + idle_ + " type veth peer name " + idle_ + "p\n").c_str());
    idle_link_ = detail::attach_native(program_.fd(), ::if_nametoindex(idle_.c_str()));
  }
  static std::uint32_t sum(const std::uint8_t* from, std::size_t size) {
    std::uint32_t total = 0;
    for (std::size_t i = 0; i < size; i += 2) {
      std::uint16_t word;
      std::memcpy(&word, from + i, 2);
      total += word;
    }
    return total;
  }
  static std::uint32_t halves(std::uint32_t sum) { return (sum & 0xffff) + (sum >> 16); }

  static flood_shape make(const flood::shape& s, const prefix& source, std::uint16_t port) {
    flood_shape f{};
    const std::size_t ip = 14, tcp = ip + (source.v6 ? 40U : 20U), header = 20U + s.length;
    const auto put16 = [&f](std::size_t at, std::size_t value) {
      f.frame[at] = static_cast<std::uint8_t>(value >> 8);
      f.frame[at + 1] = static_cast<std::uint8_t>(value);
    };
    const std::array<std::uint8_t, 12> macs{2, 0x73, 0x79, 0x6e, 0x66, 0, 2, 0x73, 0x79, 0x6e, 0x66, 1};
    std::copy(macs.begin(), macs.end(), f.frame);
    put16(12, source.v6 ? 0x86dd : 0x0800);
    const auto target = source.v6 ? network::target_v6(port) : network::target_v4(port);
    if (source.v6) {
      f.frame[ip] = 0x60;
      put16(ip + 4, header);
      f.frame[ip + 6] = 6;
      f.frame[ip + 7] = s.ttl;
      std::copy(target.address().begin(), target.address().end(), f.frame + ip + 24);
    } else {
      f.frame[ip] = 0x45;
      put16(ip + 2, 20 + header);
      put16(ip + 4, 0x1234);
      put16(ip + 6, 0x4000);
      f.frame[ip + 8] = s.ttl;
      f.frame[ip + 9] = 6;
      std::copy(target.address().begin() + 12, target.address().end(), f.frame + ip + 16);
    }
    put16(tcp + 2, port);
    f.frame[tcp + 12] = static_cast<std::uint8_t>(header / 4 << 4);
    f.frame[tcp + 13] = 2;
    put16(tcp + 14, s.window);
    std::copy_n(s.options.begin(), s.length, f.frame + tcp + 20);
    f.length = static_cast<std::uint32_t>(tcp + header);
    f.v6 = source.v6;
    // RFC 9293 3.1 and RFC 8200 8.1: destination (the source is the program's), protocol, length.
    const std::array<std::uint8_t, 4> pseudo{0, 6, 0, static_cast<std::uint8_t>(header)};
    f.tcp_sum = halves(sum(f.frame + tcp, header) + sum(pseudo.data(), pseudo.size()) +
                       (source.v6 ? sum(f.frame + ip + 24, 16) : sum(f.frame + ip + 16, 4)));
    f.ip_sum = halves(sum(f.frame + ip, 20));
    for (unsigned i = 0; i < 4; ++i) {
      std::array<std::uint8_t, 4> free{source.free(4 * i), source.free(4 * i + 1), source.free(4 * i + 2),
                                       source.free(4 * i + 3)};
      std::memcpy(&f.source[i], source.address.data() + 4 * i, 4);
      std::memcpy(&f.random[i], free.data(), 4);
    }
    return f;
  }
  static flood_config configure(const network& where, const options& what, std::uint64_t first,
                                std::uint64_t stride) {
    flood_config c{};
    c.seed = what.seed;
    c.first = first;
    c.stride = stride;
    c.redirect = what.via == via::veth ? where.outside_index() : 0;
    for (const flood::shape& s : shapes) {
      if (what.shape != "mixed" && what.shape != s.name) continue;
      for (const prefix& source : what.sources) {
        if (c.shapes == FLOOD_SHAPES) throw failure("name one source prefix per family");
        c.shape[c.shapes++] = make(s, source, what.port);
      }
    }
    if (c.shapes == 0)
      throw failure("a flood needs a source prefix and a shape: none, linux, windows, macos, mixed");
    return c;
  }

  const network* where_;
  detail::program program_;
  std::string idle_;
  detail::descriptor idle_link_;
};

/// How much. Without `rate`, as fast as the machine goes; one of `count` and `duration` is not 0.
struct limits {
  static constexpr double max_duration = 3600;
  static constexpr std::uint64_t max_count = 1'000'000'000'000;

  double rate = 0;          ///< SYNs per second, over all threads
  std::uint64_t count = 0;  ///< SYNs
  double duration = 0;      ///< seconds
  unsigned threads = 1;
};

/// A flood that runs, on threads of its own, until its limit, stop(), or its end.
class attack {
 public:
  /// Throws if the limits are none or too high, or the flood cannot start.
  attack(const network& where, const options& what, const limits& how) : how_(how) {
    if (how.count == 0 && !(how.duration > 0))
      throw failure("a flood needs an end: name a count or a duration");
    if (how.count > limits::max_count || how.duration > limits::max_duration)
      throw failure("a flood ends after an hour and 10^12 SYNs at most");
    if (!(how.rate >= 0) || !(how.duration >= 0))
      throw failure("a rate and a duration are numbers from 0 on");
    if (how.threads == 0 || how.threads > 64) throw failure("a flood has 1 to 64 threads");
    std::vector<std::unique_ptr<sender>> senders;
    where.inside([&] {
      for (unsigned i = 0; i < how.threads; ++i)
        senders.push_back(std::make_unique<sender>(where, what, i, how.threads));
    });
    began_ = clock::now();
    try {
      for (unsigned i = 0; i < how.threads; ++i)
        threads_.emplace_back([this, &where, i, s = std::move(senders[i])] { run(where, *s, i); });
    } catch (...) {
      stop();
      join();
      throw failure("cannot start " + std::to_string(how.threads) + " threads; use fewer");
    }
  }
  attack(const attack&) = delete;
  attack& operator=(const attack&) = delete;
  ~attack() {
    stop();
    join();
  }

  /// Ends it soon. Thread-safe and allowed in a signal handler.
  void stop() noexcept { stopped_.store(true, std::memory_order_relaxed); }
  bool running() const noexcept { return ended_.load(std::memory_order_acquire) != how_.threads; }
  std::uint64_t sent() const noexcept { return sent_.load(std::memory_order_relaxed); }
  /// Waits for the end; throws what ended a thread early.
  void wait() {
    join();
    if (why_) std::rethrow_exception(std::exchange(why_, nullptr));
  }
  /// From the first to the last SYN, after wait().
  double seconds() const {
    return std::chrono::duration<double>(clock::duration(last_.load()) - began_.time_since_epoch()).count();
  }

 private:
  using clock = std::chrono::steady_clock;

  void join() {
    for (std::thread& t : threads_) {
      if (t.joinable()) t.join();
    }
  }
  void run(const network& where, sender& s, unsigned index) noexcept {
    try {
      where.enter();
      pace(s, index);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!why_) why_ = std::current_exception();
    }
    const auto now = clock::now().time_since_epoch().count();
    for (auto before = last_.load(); before < now && !last_.compare_exchange_weak(before, now);) {
    }
    ended_.fetch_add(1, std::memory_order_release);
  }
  // A token bucket: what the time allows minus what was sent, a millisecond's worth at a time. What a stalled
  // machine made it miss by more than 50 ms is not made up for.
  void pace(sender& s, unsigned index) {
    const double rate = how_.rate / how_.threads;
    const std::uint64_t count = how_.count / how_.threads + (index < how_.count % how_.threads ? 1 : 0);
    const auto end = began_ + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(
                                  how_.duration > 0 ? how_.duration : limits::max_duration));
    if (how_.count != 0 && count == 0) return;
    double allowed = 0;
    auto then = began_;
    while (!stopped_.load(std::memory_order_relaxed)) {
      const auto now = clock::now();
      if (now >= end) break;
      std::uint64_t wanted = full_speed;
      if (rate > 0) {
        allowed = std::min(allowed + rate * std::chrono::duration<double>(now - then).count(),
                           std::max(1.0, rate * 0.05));
        then = now;
        const double turn = std::max(1.0, rate * 0.001);
        if (allowed < turn) {
          const std::chrono::duration<double> pause((turn - allowed) / rate);
          std::this_thread::sleep_until(
              std::min(end, now + std::chrono::duration_cast<clock::duration>(pause)));
          continue;
        }
        wanted = std::min<std::uint64_t>(static_cast<std::uint64_t>(allowed), full_speed);
      }
      if (how_.count != 0) wanted = std::min(wanted, count - s.sent());
      const std::uint64_t n = s.send(static_cast<std::uint32_t>(wanted));
      allowed -= static_cast<double>(n);
      sent_.fetch_add(n, std::memory_order_relaxed);
      if (how_.count != 0 && s.sent() == count) break;
    }
  }

  static constexpr std::uint64_t full_speed = 4096;  // frames per system call: 10 ms and more

  const limits how_;
  clock::time_point began_;
  std::atomic<bool> stopped_{false};
  std::atomic<unsigned> ended_{0};
  std::atomic<std::uint64_t> sent_{0};
  std::atomic<clock::rep> last_{0};
  std::mutex mutex_;
  std::exception_ptr why_;
  std::vector<std::thread> threads_;
};

}  // namespace flood
