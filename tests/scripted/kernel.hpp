// SPDX-License-Identifier: MIT
// A kernel in memory: io_uring, TCP, eventfds and the clock, for one thread, driven by choices. The server is
// compiled with liburing's own header; what is defined here are the functions behind it, liburing's and
// libc's, which the linker takes in place of the real ones. Include it in one source file of a program.
#pragma once

#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../support/failing_new.hpp"
#include "choices.hpp"

namespace synfp::test::scripted {

using nanoseconds = std::int64_t;
inline constexpr nanoseconds millisecond = 1'000'000;
inline constexpr nanoseconds second = 1'000 * millisecond;
inline constexpr nanoseconds never = INT64_MAX;

/// A TCP connection, both ends of it.
struct connection {
  std::uint16_t client_port = 0;
  std::string to_server;  // received and not read
  std::string to_client;  // sent and not read
  std::size_t room = 0;   // how much to_client takes
  bool linger_zero = false;
  bool accepted = false;      // the server has a descriptor of it
  bool client_ended = false;  // FIN
  bool client_reset = false;
  bool reset_reported = false;
  bool server_ended = false;  // FIN
  bool server_closed = false;
  bool server_reset = false;  // the client gets RST
  bool broken = false;        // the network failed, not one of the two

  /// By the client.
  void send(std::string_view bytes) {
    if (server_closed) {
      reset_client();
    } else if (!client_reset) {
      to_server.append(bytes);
    }
  }
  void reset_client() {
    server_reset = true;
    to_client.clear();  // what was on its way is lost
  }
  void close_server() {
    server_closed = true;
    if (linger_zero || !to_server.empty()) {
      reset_client();
    } else {
      server_ended = true;
    }
    to_server.clear();
  }
};

/// What a descriptor stands for.
struct file {
  enum class kind : std::uint8_t { socket, listener, connected, event } what = kind::socket;
  std::shared_ptr<connection> tcp;
  std::uint64_t count = 0;  // of an event
  bool signalled = false;   // an event that somebody outside of the server will write to
  int flags = 0;
};

/// What else happens in the world of a script: the clients.
class surroundings {
 public:
  virtual ~surroundings() = default;
  /// How many can do something now.
  virtual std::size_t ready() = 0;
  /// One of them does something.
  virtual void act(std::size_t which) = 0;
  /// When one of them will, if none can now; or never.
  virtual nanoseconds next() = 0;
  /// Time has passed.
  virtual void check() = 0;
};

class kernel {
 public:
  kernel(choices& from, int descriptors, bool trace) : choose(from), limit_(descriptors), trace_(trace) {}
  kernel(const kernel&) = delete;
  kernel& operator=(const kernel&) = delete;

  choices& choose;
  surroundings* world = nullptr;
  nanoseconds now = 1'000 * second;
  std::deque<std::shared_ptr<connection>> backlog;  // of the one port that there is
  bool listening = false;
  bool waits_only = false;  // nothing happens but while the server waits
  unsigned shortages = 0;   // accepts for which there was no descriptor

  /// The first thing that must not be.
  const std::string& failure() const { return failure_; }
  /// From then on the kernel refuses everything, which ends the server.
  void fail(std::string what) {
    say("FAILED: %s", what.c_str());
    if (failure_.empty()) failure_ = std::move(what);
    broken_ = true;
  }
  void say(const char* format, ...) const __attribute__((format(printf, 2, 3))) {
    if (!trace_) return;
    std::fprintf(stderr, "%11.6f  ", static_cast<double>(now) / static_cast<double>(second));
    std::va_list arguments;
    va_start(arguments, format);
    std::vfprintf(stderr, format, arguments);
    va_end(arguments);
    std::fputc('\n', stderr);
  }

  int limit() const { return limit_; }
  bool is_full() const { return open_descriptors() + first_descriptor >= limit_; }
  int open_descriptors() const {
    return static_cast<int>(
        std::count_if(files_.begin(), files_.end(), [](const auto& f) { return f != nullptr; }));
  }

  // ---- descriptors ----

  int open(std::shared_ptr<file> f) {
    std::size_t fd = 0;
    while (fd != files_.size() && files_[fd] != nullptr) ++fd;
    if (static_cast<int>(fd) + first_descriptor >= limit_) return -EMFILE;
    if (fd == files_.size()) files_.emplace_back();
    files_[fd] = std::move(f);
    return static_cast<int>(fd) + first_descriptor;
  }
  std::shared_ptr<file> at(int fd) const {
    const int i = fd - first_descriptor;
    return i >= 0 && i < static_cast<int>(files_.size()) ? files_[static_cast<std::size_t>(i)] : nullptr;
  }
  int close(int fd) {
    const auto f = at(fd);
    say("close(%d)", fd);
    if (f == nullptr) {
      fail("close(" + std::to_string(fd) + ") of what is not open");
      return -EBADF;
    }
    for (unsigned i = *sq_head_; ring_ != nullptr && i != ring_->sq.sqe_tail; ++i) {
      const io_uring_sqe& sqe = sqes_[i & (ring_->sq.ring_entries - 1)];
      if (sqe.opcode != IORING_OP_ASYNC_CANCEL && sqe.fd == fd)
        fail("close(" + std::to_string(fd) + ") before the submission that names it");
    }
    for (const auto& op : operations_) {
      // A wait for an event may still be there, cancelled: it holds the file, not the number.
      if (op->target == f && op->sqe.opcode != IORING_OP_POLL_ADD)
        fail("close(" + std::to_string(fd) + ") while the kernel works on it");
    }
    if (f->what == file::kind::connected) f->tcp->close_server();
    if (f->what == file::kind::listener) {
      listening = false;
      for (const auto& c : backlog) {
        c->server_closed = true;
        c->reset_client();
      }
      backlog.clear();
    }
    files_[static_cast<std::size_t>(fd - first_descriptor)] = nullptr;
    return 0;
  }
  /// Or a negative errno.
  int accept() {
    if (backlog.empty()) return -EAGAIN;
    auto f = std::make_shared<file>();
    f->what = file::kind::connected;
    f->tcp = backlog.front();
    const int fd = open(f);
    if (fd < 0) {
      ++shortages;
      return fd;
    }
    f->tcp->accepted = true;
    backlog.pop_front();
    return fd;
  }

  // ---- io_uring ----

  int init(unsigned entries, io_uring* ring, io_uring_params* p) {
    if (ring_ != nullptr) fail("a second ring");
    if (refuse_flags_ && (p->flags & IORING_SETUP_DEFER_TASKRUN) != 0) return -EINVAL;
    if (entries > most_entries_) return -ENOMEM;
    unsigned sq = 1;
    while (sq < entries) sq *= 2;
    unsigned cq = 1;
    while (cq < p->cq_entries) cq *= 2;
    sqes_.assign(sq, io_uring_sqe{});
    cqes_.assign(cq, io_uring_cqe{});
    *ring = io_uring{};
    ring->sq.khead = sq_head_;
    ring->sq.ktail = &sq_tail_;
    ring->sq.kflags = &sq_flags_;
    ring->sq.sqes = sqes_.data();
    ring->sq.ring_mask = sq - 1;
    ring->sq.ring_entries = sq;
    ring->cq.khead = &cq_head_;
    ring->cq.ktail = &cq_tail_;
    ring->cq.koverflow = &overflowed_;
    ring->cq.cqes = cqes_.data();
    ring->cq.ring_mask = cq - 1;
    ring->cq.ring_entries = cq;
    ring->ring_fd = ring->enter_ring_fd = -1;  // what is not here is no use to it
    ring->flags = p->flags;
    ring->features = p->features = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;
    ring_ = ring;
    say("io_uring: %u submissions, %u completions, flags %#x", sq, cq, p->flags);
    return 0;
  }
  void exit() {
    scan_buffers();
    if (!broken_) {
      if (!operations_.empty()) fail(std::to_string(operations_.size()) + " operations in flight at the end");
      if (cq_head_ != cq_tail_ || !overflow_.empty() || !late_.empty())
        fail("completions that nobody has read");
      for (const buffer_group& g : groups_) {
        for (const buffer& b : g.buffers) {
          if (b.known && !b.with_kernel) fail("a buffer was not given back");
        }
      }
    }
    ring_ = nullptr;
  }
  int register_buffers(const io_uring_buf_reg& r) {
    if (r.bgid >= 2) return -EINVAL;
    buffer_group& g = groups_[r.bgid];
    g = {};
    g.ring = reinterpret_cast<io_uring_buf_ring*>(static_cast<std::uintptr_t>(r.ring_addr));
    g.entries = r.ring_entries;
    return 0;
  }

  int submit() {
    if (broken_) return -ENXIO;
    scan_buffers();
    const int r = submit_all();
    flush_overflow();
    return broken_ ? -ENXIO : r;
  }
  int get_events() {
    if (broken_) return -ENXIO;
    scan_buffers();
    flush_overflow();
    return 0;
  }
  int submit_and_get_events() {
    if (!turn()) return -ENXIO;
    const int r = submit_all();
    if (r < 0) return r;
    for (unsigned n = waits_only ? 0 : choose.below(6); n != 0 && step(); --n) {
    }
    flush_overflow();
    return r;
  }
  int submit_and_wait(const __kernel_timespec* limit) {
    if (!turn()) return -ENXIO;
    const int r = submit_all();
    if (r < 0 || ring_->sq.sqe_tail != *sq_head_) return r;  // it does not wait then
    if (choose.happens(fault::interrupted)) return -EINTR;
    const nanoseconds until = limit == nullptr ? never : now + limit->tv_sec * second + limit->tv_nsec;
    while (true) {
      flush_overflow();
      if (broken_) return -ENXIO;
      if (cq_head_ != cq_tail_) break;
      if (step()) continue;
      const nanoseconds next = std::min(until, world->next());
      if (next == never) fail("the server waits for ever");
      if (broken_) return -ENXIO;
      now = std::max(now, next);
      count_turn();
      world->check();
      if (now >= until) return -ETIME;
    }
    for (unsigned n = choose.below(6); n != 0 && step(); --n) {
    }
    flush_overflow();
    return r;
  }

  /// Somebody outside writes to an event that the server waits for.
  std::vector<std::shared_ptr<file>> awaited_events() const {
    std::vector<std::shared_ptr<file>> some;
    for (const auto& f : files_) {
      if (f != nullptr && f->signalled && f->count == 0) some.push_back(f);
    }
    return some;
  }

  bool broken() const { return broken_; }

  void configure(bool old_kernel, unsigned most_entries) {
    refuse_flags_ = old_kernel;
    most_entries_ = most_entries;
  }

  static constexpr int first_descriptor = 10;

 private:
  static constexpr unsigned most_turns = 300'000;

  struct buffer {
    bool known = false;
    bool with_kernel = false;
    std::uint64_t address = 0;
    std::uint32_t length = 0;
  };
  struct buffer_group {
    io_uring_buf_ring* ring = nullptr;
    std::uint32_t entries = 0;
    std::uint16_t head = 0;  // the next for the kernel
    std::uint16_t seen = 0;  // the tail, at the last look
    std::vector<buffer> buffers;
  };
  /// Of an SQE what is used. (g++ does not like its last member inside of other structures.)
  struct submission {
    explicit submission(const io_uring_sqe& s)
        : opcode(s.opcode),
          flags(s.flags),
          ioprio(s.ioprio),
          fd(s.fd),
          addr(s.addr),
          len(s.len),
          cancel_flags(s.cancel_flags),
          user_data(s.user_data),
          buf_group(s.buf_group) {}
    std::uint8_t opcode;
    std::uint8_t flags;
    std::uint16_t ioprio;
    int fd;
    std::uint64_t addr;
    std::uint32_t len;
    std::uint32_t cancel_flags;
    std::uint64_t user_data;
    std::uint16_t buf_group;
  };
  struct operation {
    explicit operation(const submission& s) : sqe(s) {}
    submission sqe;
    std::shared_ptr<file> target;
    std::string copy;      // of what is to be sent
    std::size_t done = 0;  // of it
    bool canceled = false;
    bool ending = false;  // EALREADY
  };

  static const char* name_of(const submission& sqe) {
    switch (sqe.opcode) {
      case IORING_OP_ACCEPT: return "accept";
      case IORING_OP_RECV: return (sqe.ioprio & IORING_RECV_MULTISHOT) != 0 ? "receive*" : "receive";
      case IORING_OP_SEND:
      case IORING_OP_SENDMSG: return "send";
      case IORING_OP_CLOSE: return "close";
      case IORING_OP_READ: return "read";
      case IORING_OP_POLL_ADD: return "poll";
      case IORING_OP_ASYNC_CANCEL: return "cancel";
      default: return "?";
    }
  }
  /// What is there to be sent, now.
  static std::string output_of(const submission& sqe) {
    const auto address = static_cast<std::uintptr_t>(sqe.addr);
    if (sqe.opcode == IORING_OP_SEND) return {reinterpret_cast<const char*>(address), sqe.len};
    const auto& message = *reinterpret_cast<const msghdr*>(address);
    std::string all;
    for (std::size_t i = 0; i != message.msg_iovlen; ++i)
      all.append(static_cast<const char*>(message.msg_iov[i].iov_base), message.msg_iov[i].iov_len);
    return all;
  }
  static bool is_multishot(const submission& sqe) {
    return (sqe.opcode == IORING_OP_RECV && (sqe.ioprio & IORING_RECV_MULTISHOT) != 0) ||
           (sqe.opcode == IORING_OP_ACCEPT && (sqe.ioprio & IORING_ACCEPT_MULTISHOT) != 0);
  }

  void count_turn() {
    if (++turns_ == most_turns) fail("the script does not end");
  }
  bool turn() {
    if (broken_) return false;
    count_turn();
    scan_buffers();
    if (broken_) return false;
    now += choose.below(200) * 1000;
    world->check();
    return true;
  }

  // The buffers that were given back since the last look.
  void scan_buffers() {
    for (buffer_group& g : groups_) {
      if (g.ring == nullptr) continue;
      const std::uint16_t tail = g.ring->tail;
      for (; g.seen != tail; ++g.seen) {
        const io_uring_buf& given = entry(g, g.seen);
        if (given.bid >= g.buffers.size()) g.buffers.resize(given.bid + 1U);
        buffer& b = g.buffers[given.bid];
        if (b.with_kernel) fail("buffer " + std::to_string(given.bid) + " was given back twice");
        if (b.known && (b.address != given.addr || b.length != given.len))
          fail("buffer " + std::to_string(given.bid) + " has another place");
        b = {true, true, given.addr, given.len};
        // Whoever reads it now reads this.
        std::memset(reinterpret_cast<void*>(static_cast<std::uintptr_t>(given.addr)), 0xdb, given.len);
      }
      if (static_cast<std::uint16_t>(g.seen - g.head) > g.entries)
        fail("more buffers than there is room for");
    }
  }
  static io_uring_buf& entry(const buffer_group& g, std::uint16_t i) {
    return reinterpret_cast<io_uring_buf*>(g.ring)[i & (g.entries - 1)];
  }
  bool has_buffer(const buffer_group& g) const { return g.head != g.seen; }
  /// Takes one, and says its number.
  buffer& take_buffer(buffer_group& g, std::uint16_t& id) {
    id = entry(g, g.head++).bid;
    g.buffers[id].with_kernel = false;
    return g.buffers[id];
  }

  // ---- completions ----

  bool has_room() const { return overflow_.empty() && cq_tail_ - cq_head_ < cqes_.size(); }
  void post(std::uint64_t user_data, int result, unsigned flags) {
    io_uring_cqe cqe{};
    cqe.user_data = user_data;
    cqe.res = result;
    cqe.flags = flags;
    if (has_room()) {
      cqes_[cq_tail_ & (cqes_.size() - 1)] = cqe;
      __atomic_store_n(&cq_tail_, cq_tail_ + 1, __ATOMIC_RELEASE);
    } else {
      say("  the completion queue is full");
      overflow_.push_back(cqe);
      sq_flags_ |= IORING_SQ_CQ_OVERFLOW;
    }
  }
  void flush_overflow() {
    while (!overflow_.empty() && cq_tail_ - cq_head_ < cqes_.size()) {
      cqes_[cq_tail_ & (cqes_.size() - 1)] = overflow_.front();
      __atomic_store_n(&cq_tail_, cq_tail_ + 1, __ATOMIC_RELEASE);
      overflow_.pop_front();
    }
    if (overflow_.empty()) sq_flags_ &= ~static_cast<unsigned>(IORING_SQ_CQ_OVERFLOW);
  }
  void finish(const std::shared_ptr<operation>& op, int result, unsigned flags = 0) {
    say("%s(%d) = %d%s", name_of(op->sqe), op->sqe.fd, result,
        (flags & IORING_CQE_F_BUFFER) != 0 ? " +buffer" : "");
    std::erase(operations_, op);
    post(op->sqe.user_data, result, flags);
  }
  void more(const operation& op, int result, unsigned flags) {
    say("%s(%d) = %d, more", name_of(op.sqe), op.sqe.fd, result);
    post(op.sqe.user_data, result, flags | IORING_CQE_F_MORE);
  }

  // ---- submissions ----

  int submit_all() {
    unsigned n = ring_->sq.sqe_tail - *sq_head_;
    if (n == 0) return 0;
    if (!overflow_.empty() && choose.below(2) == 1) return -EBUSY;
    if (choose.happens(fault::busy)) {
      constexpr int reasons[] = {EAGAIN, EBUSY, EINTR};
      return -choose.one_of(reasons);
    }
    if (n > 1 && choose.happens(fault::part_submitted)) n = 1 + choose.below(n - 1);
    for (unsigned i = 0; i != n; ++i) {
      const submission sqe(sqes_[*sq_head_ & ring_->sq.ring_mask]);
      __atomic_store_n(sq_head_, *sq_head_ + 1, __ATOMIC_RELEASE);
      begin(sqe);
    }
    return static_cast<int>(n);
  }

  void begin(const submission& sqe) {
    say("%s(%d) begins, for %llx", name_of(sqe), sqe.fd, static_cast<unsigned long long>(sqe.user_data));
    if (sqe.opcode == IORING_OP_ASYNC_CANCEL) {
      cancel(sqe);
      return;
    }
    if (sqe.opcode == IORING_OP_CLOSE) {
      const int r = close(sqe.fd);
      if (r < 0 || (sqe.flags & IOSQE_CQE_SKIP_SUCCESS) == 0) post(sqe.user_data, r, 0);
      return;
    }
    for (const auto& other : operations_) {
      if (other->sqe.user_data == sqe.user_data) fail("an operation was begun twice");
    }
    auto op = std::make_shared<operation>(sqe);
    op->target = at(sqe.fd);
    operations_.push_back(op);
    if (op->target == nullptr) {
      fail(std::string(name_of(sqe)) + " on a descriptor that is not open");
      finish(op, -EBADF);
      return;
    }
    switch (sqe.opcode) {
      case IORING_OP_SEND:
      case IORING_OP_SENDMSG:
        op->copy = output_of(sqe);
        if (op->copy.empty()) fail("a send of nothing");
        break;
      case IORING_OP_RECV:
        if ((sqe.flags & IOSQE_BUFFER_SELECT) == 0 || sqe.buf_group >= 2) {
          fail("a receive without a group of buffers");
        } else if ((sqe.ioprio & IORING_RECVSEND_POLL_FIRST) == 0 && !has_buffer(groups_[sqe.buf_group]) &&
                   choose.happens(fault::no_buffer)) {
          finish(op, -ENOBUFS);
        }
        break;
      case IORING_OP_ACCEPT:
      case IORING_OP_READ:
      case IORING_OP_POLL_ADD: break;
      default: fail("operation " + std::to_string(sqe.opcode) + " is not known here"); finish(op, -EINVAL);
    }
  }

  void cancel(const submission& sqe) {
    int found = 0;
    int outcome = -ENOENT;
    const bool all = (sqe.cancel_flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) != 0;
    const auto file_named = (sqe.cancel_flags & IORING_ASYNC_CANCEL_FD) != 0 ? at(sqe.fd) : nullptr;
    for (const auto& op : std::vector(operations_)) {
      const bool meant = (sqe.cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0 ||
                         ((sqe.cancel_flags & IORING_ASYNC_CANCEL_FD) != 0 ? op->target == file_named
                                                                           : op->sqe.user_data == sqe.addr);
      if (!meant || op->canceled) continue;
      if (is_multishot(op->sqe) && is_ready(*op) && choose.happens(fault::missed)) continue;
      if (choose.happens(fault::already)) {
        op->ending = true;
        outcome = -EALREADY;
      } else {
        op->canceled = true;
        ++found;
      }
    }
    if (found != 0) outcome = all ? found : 0;
    say("  cancel = %d", outcome);
    io_uring_cqe cqe{};
    cqe.user_data = sqe.user_data;
    cqe.res = outcome;
    late_.push_back(cqe);
  }

  // ---- what operations do ----

  bool is_ready(const operation& op) const {
    if (op.canceled || op.ending) return true;
    switch (op.sqe.opcode) {
      case IORING_OP_ACCEPT: return !backlog.empty();
      case IORING_OP_RECV: {
        const connection& c = *op.target->tcp;
        return !c.to_server.empty() || c.client_ended || c.client_reset || c.broken;
      }
      case IORING_OP_SEND:
      case IORING_OP_SENDMSG: {
        const connection& c = *op.target->tcp;
        return op.done == op.copy.size() || c.to_client.size() < c.room || c.client_reset || c.broken;
      }
      default: return op.target->count != 0;  // read, poll
    }
  }

  /// One thing happens. False if nothing can.
  bool step() {
    std::vector<std::shared_ptr<operation>> able;
    for (const auto& op : operations_) {
      if (is_ready(*op)) able.push_back(op);
    }
    const std::size_t clients = world->ready();
    const std::size_t all = able.size() + late_.size() + clients;
    if (all == 0) return false;
    std::size_t which = choose.below(static_cast<unsigned>(all));
    if (which < able.size()) {
      progress(able[which]);
      return true;
    }
    which -= able.size();
    if (which < late_.size()) {
      const io_uring_cqe cqe = late_[which];
      late_.erase(late_.begin() + static_cast<std::ptrdiff_t>(which));
      post(cqe.user_data, cqe.res, 0);
      return true;
    }
    world->act(which - late_.size());
    return true;
  }

  void progress(const std::shared_ptr<operation>& op) {
    switch (op->sqe.opcode) {
      case IORING_OP_ACCEPT: accept_one(op); break;
      case IORING_OP_RECV: receive(op); break;
      case IORING_OP_SEND:
      case IORING_OP_SENDMSG: send(op); break;
      default: event(op); break;
    }
  }

  void accept_one(const std::shared_ptr<operation>& op) {
    if (op->canceled || (op->ending && backlog.empty())) {
      finish(op, -ECANCELED);
      return;
    }
    if (choose.happens(fault::accept_fails)) {
      constexpr int reasons[] = {ECONNABORTED, EINTR,  EAGAIN,   EMFILE,      ENFILE,
                                 ENOBUFS,      ENOMEM, ENETDOWN, EHOSTUNREACH};
      const int reason = choose.one_of(reasons);
      if (reason == ECONNABORTED) {
        backlog.front()->client_reset = true;
        backlog.front()->broken = true;
        backlog.front()->server_closed = true;
        backlog.front()->reset_client();
        backlog.pop_front();
      }
      if (reason == EMFILE || reason == ENFILE) ++shortages;
      finish(op, -reason);
      return;
    }
    const int fd = accept();
    const bool goes_on = fd >= 0 && !op->ending && has_room() && !choose.happens(fault::accept_ends);
    if (goes_on) {
      more(*op, fd, 0);
    } else {
      finish(op, fd);
    }
  }

  /// Sometimes with a buffer that holds nothing.
  void end_receive(const std::shared_ptr<operation>& op, int result) {
    buffer_group& g = groups_[op->sqe.buf_group];
    std::uint16_t id = 0;
    if (has_buffer(g) && choose.happens(fault::receive_empty)) {
      take_buffer(g, id);
      finish(op, result, IORING_CQE_F_BUFFER | static_cast<unsigned>(id) << IORING_CQE_BUFFER_SHIFT);
    } else {
      finish(op, result);
    }
  }

  void receive(const std::shared_ptr<operation>& op) {
    connection& c = *op->target->tcp;
    if (op->canceled) {
      end_receive(op, -ECANCELED);
      return;
    }
    if (choose.happens(fault::receive_again)) {
      end_receive(op, choose.below(2) == 0 ? -EAGAIN : -EINTR);
      return;
    }
    if (choose.happens(fault::receive_fails)) c.broken = true;
    if (c.broken || (c.client_reset && c.to_server.empty())) {
      constexpr int reasons[] = {ECONNRESET, ETIMEDOUT, EHOSTUNREACH};
      end_receive(op, std::exchange(c.reset_reported, true) ? 0 : -choose.one_of(reasons));
      return;
    }
    if (c.to_server.empty()) {
      end_receive(op, c.client_ended ? 0 : -ECANCELED);
      return;
    }
    buffer_group& g = groups_[op->sqe.buf_group];
    if (!has_buffer(g)) {
      finish(op, -ENOBUFS);
      return;
    }
    std::uint16_t id = 0;
    const buffer& b = take_buffer(g, id);
    std::size_t n = std::min<std::size_t>(c.to_server.size(), b.length);
    if (op->sqe.len != 0) n = std::min<std::size_t>(n, op->sqe.len);
    if (choose.happens(fault::receive_small)) n = 1 + choose.below(static_cast<unsigned>(n));
    c.to_server.copy(reinterpret_cast<char*>(static_cast<std::uintptr_t>(b.address)), n);
    c.to_server.erase(0, n);
    const unsigned flags = IORING_CQE_F_BUFFER | static_cast<unsigned>(id) << IORING_CQE_BUFFER_SHIFT;
    const bool goes_on =
        is_multishot(op->sqe) && !op->ending && has_room() && !choose.happens(fault::receive_ends);
    if (goes_on) {
      more(*op, static_cast<int>(n), flags);
    } else {
      finish(op, static_cast<int>(n), flags);
    }
  }

  void send(const std::shared_ptr<operation>& op) {
    connection& c = *op->target->tcp;
    const auto partly = [&](int reason) { finish(op, op->done != 0 ? static_cast<int>(op->done) : -reason); };
    if (op->copy != output_of(op->sqe)) fail("output changed while it was being sent");
    if (op->canceled) {
      partly(ECANCELED);
      return;
    }
    if (choose.happens(fault::send_again)) {
      partly(choose.below(2) == 0 ? EAGAIN : EINTR);
      return;
    }
    if (choose.happens(fault::send_fails)) c.broken = true;
    if (c.client_reset || c.broken) {
      constexpr int reasons[] = {EPIPE, ECONNRESET, ETIMEDOUT};
      partly(choose.one_of(reasons));
      return;
    }
    std::size_t n = std::min(op->copy.size() - op->done, c.room - std::min(c.room, c.to_client.size()));
    const bool is_short = n != 0 && choose.happens(fault::short_send);
    if (is_short) n = 1 + choose.below(static_cast<unsigned>(n));
    c.to_client.append(op->copy, op->done, n);
    op->done += n;
    if (op->done == op->copy.size() || is_short || op->ending) partly(ECANCELED);
  }

  void event(const std::shared_ptr<operation>& op) {
    if (op->canceled || (op->ending && op->target->count == 0)) {
      finish(op, -ECANCELED);
    } else if (op->sqe.opcode == IORING_OP_POLL_ADD) {
      finish(op, POLLIN);
    } else if (choose.happens(fault::lazy_wake)) {
      finish(op, -EINTR);
    } else {
      const std::uint64_t value = std::exchange(op->target->count, 0);
      std::memcpy(reinterpret_cast<void*>(static_cast<std::uintptr_t>(op->sqe.addr)), &value, sizeof value);
      finish(op, sizeof value);
    }
  }

  int limit_;
  bool trace_;
  bool broken_ = false;
  bool refuse_flags_ = false;
  unsigned most_entries_ = 32768;
  unsigned turns_ = 0;
  std::string failure_;
  std::vector<std::shared_ptr<file>> files_;

  io_uring* ring_ = nullptr;
  unsigned sq_heads_[1] = {0};
  unsigned* sq_head_ = sq_heads_;
  unsigned sq_tail_ = 0;
  unsigned sq_flags_ = 0;
  unsigned cq_head_ = 0;
  unsigned cq_tail_ = 0;
  unsigned overflowed_ = 0;
  std::vector<io_uring_sqe> sqes_;
  std::vector<io_uring_cqe> cqes_;
  std::deque<io_uring_cqe> overflow_;
  std::vector<io_uring_cqe> late_;  // of cancellations
  std::vector<std::shared_ptr<operation>> operations_;
  buffer_group groups_[2];
};

/// The kernel of this thread, if it has one of its own.
inline thread_local kernel* current_kernel = nullptr;

/// While the kernel works, memory does not fail.
class in_kernel {
 public:
  in_kernel() noexcept : before_(std::exchange(memory::immune, true)) {}
  in_kernel(const in_kernel&) = delete;
  in_kernel& operator=(const in_kernel&) = delete;
  ~in_kernel() { memory::immune = before_; }

 private:
  bool before_;
};

/// As libc returns it.
inline int returned(int result) noexcept {
  if (result >= 0) return result;
  errno = -result;
  return -1;
}

}  // namespace synfp::test::scripted

// ---- liburing ----

extern "C" {

int io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* p) {
  const synfp::test::scripted::in_kernel guard;
  return synfp::test::scripted::current_kernel->init(entries, ring, p);
}
void io_uring_queue_exit(io_uring*) {
  const synfp::test::scripted::in_kernel guard;
  synfp::test::scripted::current_kernel->exit();
}
int io_uring_ring_dontfork(io_uring*) { return 0; }
int io_uring_register_ring_fd(io_uring*) { return 1; }
int io_uring_register_buf_ring(io_uring*, io_uring_buf_reg* r, unsigned) {
  const synfp::test::scripted::in_kernel guard;
  return synfp::test::scripted::current_kernel->register_buffers(*r);
}
int io_uring_submit(io_uring*) {
  const synfp::test::scripted::in_kernel guard;
  return synfp::test::scripted::current_kernel->submit();
}
int io_uring_get_events(io_uring*) {
  const synfp::test::scripted::in_kernel guard;
  return synfp::test::scripted::current_kernel->get_events();
}
int io_uring_submit_and_get_events(io_uring*) {
  const synfp::test::scripted::in_kernel guard;
  return synfp::test::scripted::current_kernel->submit_and_get_events();
}
int io_uring_submit_and_wait_timeout(io_uring*, io_uring_cqe**, unsigned, __kernel_timespec* limit,
                                     sigset_t*) {
  const synfp::test::scripted::in_kernel guard;
  return synfp::test::scripted::current_kernel->submit_and_wait(limit);
}

// ---- libc; for threads without a script the real calls ----

int clock_gettime(clockid_t which, timespec* t) noexcept {
  const auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_clock_gettime, which, t));
  constexpr std::int64_t a_day = 1'700'000'000;
  t->tv_sec = k->now / synfp::test::scripted::second + (which == CLOCK_REALTIME ? a_day : 0);
  t->tv_nsec = k->now % synfp::test::scripted::second;
  return 0;
}
time_t time(time_t* to) noexcept {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  if (to != nullptr) *to = t.tv_sec;
  return t.tv_sec;
}
int close(int fd) {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_close, fd));
  const synfp::test::scripted::in_kernel guard;
  return synfp::test::scripted::returned(k->close(fd));
}
ssize_t read(int fd, void* to, size_t size) {
  if (synfp::test::scripted::current_kernel == nullptr) return ::syscall(SYS_read, fd, to, size);
  errno = EBADF;
  return -1;
}
ssize_t write(int fd, const void* from, size_t size) {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return ::syscall(SYS_write, fd, from, size);
  const synfp::test::scripted::in_kernel guard;
  const auto f = k->at(fd);
  if (f == nullptr || f->what != synfp::test::scripted::file::kind::event || size != 8) {
    k->fail("write to what is no event");
    errno = EBADF;
    return -1;
  }
  std::uint64_t more = 0;
  std::memcpy(&more, from, sizeof more);
  f->count += more;
  return 8;
}
int eventfd(unsigned initial, int flags) noexcept {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_eventfd2, initial, flags));
  const synfp::test::scripted::in_kernel guard;
  auto f = std::make_shared<synfp::test::scripted::file>();
  f->what = synfp::test::scripted::file::kind::event;
  f->count = initial;
  f->signalled = (flags & EFD_NONBLOCK) != 0;
  return synfp::test::scripted::returned(k->open(std::move(f)));
}
int socket(int domain, int type, int protocol) noexcept {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_socket, domain, type, protocol));
  const synfp::test::scripted::in_kernel guard;
  return synfp::test::scripted::returned(k->open(std::make_shared<synfp::test::scripted::file>()));
}
int bind(int fd, const sockaddr* to, socklen_t length) noexcept {
  if (synfp::test::scripted::current_kernel == nullptr)
    return static_cast<int>(::syscall(SYS_bind, fd, to, length));
  return 0;
}
int listen(int fd, int backlog) noexcept {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_listen, fd, backlog));
  const synfp::test::scripted::in_kernel guard;
  k->at(fd)->what = synfp::test::scripted::file::kind::listener;
  k->listening = true;
  return 0;
}
int accept4(int fd, sockaddr* from, socklen_t* length, int flags) {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_accept4, fd, from, length, flags));
  const synfp::test::scripted::in_kernel guard;
  const auto f = k->at(fd);
  if (f == nullptr || f->what != synfp::test::scripted::file::kind::listener || (f->flags & O_NONBLOCK) == 0)
    k->fail("accept4 that blocks, or on what does not listen");
  int result = 0;
  if (k->choose.happens(synfp::test::scripted::fault::accept_fails)) {
    constexpr int reasons[] = {EINTR, ENFILE, ENOBUFS, ENOMEM};
    result = -k->choose.one_of(reasons);
    k->shortages += result == -ENFILE;
  } else {
    result = k->accept();
  }
  k->say("accept4(%d) = %d", fd, result);
  return synfp::test::scripted::returned(result);
}
int shutdown(int fd, int how) noexcept {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_shutdown, fd, how));
  const synfp::test::scripted::in_kernel guard;
  const auto f = k->at(fd);
  if (f == nullptr || f->tcp == nullptr || how != SHUT_WR) {
    k->fail("shutdown of what is no connection");
    return synfp::test::scripted::returned(-EBADF);
  }
  if (f->tcp->client_reset || f->tcp->broken) return synfp::test::scripted::returned(-ENOTCONN);
  f->tcp->server_ended = true;
  return 0;
}
int getsockname(int fd, sockaddr* to, socklen_t* length) noexcept {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_getsockname, fd, to, length));
  if (k->at(fd) == nullptr) return synfp::test::scripted::returned(-EBADF);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(80);
  a.sin_addr.s_addr = htonl(0x7f000001);
  std::memcpy(to, &a, sizeof a);
  *length = sizeof a;
  return 0;
}
int getpeername(int fd, sockaddr* to, socklen_t* length) noexcept {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_getpeername, fd, to, length));
  const synfp::test::scripted::in_kernel guard;
  const auto f = k->at(fd);
  if (f == nullptr || f->tcp == nullptr) return synfp::test::scripted::returned(-EBADF);
  if (k->choose.happens(synfp::test::scripted::fault::peer_gone))
    f->tcp->client_reset = f->tcp->broken = true;
  if (f->tcp->client_reset) return synfp::test::scripted::returned(-ENOTCONN);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(f->tcp->client_port);
  a.sin_addr.s_addr = htonl(0x7f000002);
  std::memcpy(to, &a, sizeof a);
  *length = sizeof a;
  return 0;
}
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_setsockopt, fd, level, name, value, size));
  const synfp::test::scripted::in_kernel guard;
  const auto f = k->at(fd);
  if (f == nullptr) {
    k->fail("setsockopt of what is not open");
    return synfp::test::scripted::returned(-EBADF);
  }
  if (level == SOL_SOCKET && name == SO_LINGER && f->tcp != nullptr) f->tcp->linger_zero = true;
  return 0;
}
int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_getsockopt, fd, level, name, value, size));
  const synfp::test::scripted::in_kernel guard;
  const auto f = k->at(fd);
  if (f == nullptr) return synfp::test::scripted::returned(-EBADF);
  const int answer = name == SO_ACCEPTCONN && f->what == synfp::test::scripted::file::kind::listener ? 1 : 0;
  std::memcpy(value, &answer, sizeof answer);
  return 0;
}
int fcntl(int fd, int command, ...) {
  std::va_list arguments;
  va_start(arguments, command);
  const long argument = va_arg(arguments, long);
  va_end(arguments);
  auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr) return static_cast<int>(::syscall(SYS_fcntl, fd, command, argument));
  const synfp::test::scripted::in_kernel guard;
  const auto f = k->at(fd);
  if (f == nullptr || (command != F_GETFL && command != F_SETFL)) {
    k->fail("fcntl of what is not open, or for what is not known here");
    return synfp::test::scripted::returned(-EBADF);
  }
  if (command == F_SETFL) f->flags = static_cast<int>(argument);
  return command == F_GETFL ? f->flags : 0;
}
int getrlimit(__rlimit_resource_t which, rlimit* limit) noexcept {
  const auto* k = synfp::test::scripted::current_kernel;
  if (k == nullptr || which != RLIMIT_NOFILE)
    return static_cast<int>(::syscall(SYS_prlimit64, 0, which, nullptr, limit));
  limit->rlim_cur = limit->rlim_max = static_cast<rlim_t>(k->limit());
  return 0;
}

}  // extern "C"
