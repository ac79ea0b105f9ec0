// SPDX-License-Identifier: MIT
// http_floor_uring PORT BODY_BYTES keep|close: the least that a server with io_uring does for a request: one
// ring with deferred task work, multishot accept and recv into a ring of buffers, one send at a time and
// connection, one advance of the completion queue per batch, close as an SQE without a completion. For
// bench/http-servers.py.
#include <liburing.h>
#include <sys/mman.h>

#include <memory>

#include "http_floor.hpp"

using namespace floor_of;

namespace {

constexpr unsigned entries = 4096;
constexpr unsigned buffers = 8192;
constexpr unsigned buffer_size = 2048;
constexpr int group = 1;

enum class kind : std::uint64_t { receive, send, none };  // in the low bits of a connection's address

struct connection {
  int fd = -1;
  header_ends ends;
  std::size_t owed = 0;  // bytes
  bool closes = false;
  bool sending = false;
  bool gone = false;      // nothing comes any more
  bool ends_now = false;  // its close is in flight
};

class loop {
 public:
  explicit loop(const settings& s) : settings_(s), keep_(s.body, false), close_(s.body, true) {
    io_uring_params how{};
    how.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                IORING_SETUP_CQSIZE;
    how.cq_entries = 8 * entries;
    if ((errno = -::io_uring_queue_init_params(entries, &ring_, &how)) != 0)
      fail("io_uring_queue_init_params");
    ::io_uring_register_ring_fd(&ring_);
    make_buffers();
    listening_ = listen_on(s.port, 0);
    accept();
  }

  [[noreturn]] void run() {
    for (;;) {
      const int done = ::io_uring_submit_and_wait(&ring_, 1);
      if (done < 0 && done != -EINTR && done != -EBUSY && done != -EAGAIN) {
        errno = -done;
        fail("io_uring_submit_and_wait");
      }
      unsigned head = 0, n = 0;
      returned_ = 0;
      io_uring_cqe* cqe = nullptr;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        handle(*cqe);
        ++n;
      }
      if (returned_ != 0) ::io_uring_buf_ring_advance(ring_of_buffers_, static_cast<int>(returned_));
      ::io_uring_cq_advance(&ring_, n);
    }
  }

 private:
  void make_buffers() {
    void* const at = ::mmap(nullptr, buffers * sizeof(io_uring_buf), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) fail("mmap");
    ring_of_buffers_ = static_cast<io_uring_buf_ring*>(at);
    io_uring_buf_reg how{};
    how.ring_addr = reinterpret_cast<std::uintptr_t>(at);
    how.ring_entries = buffers;
    how.bgid = group;
    if ((errno = -::io_uring_register_buf_ring(&ring_, &how, 0)) != 0) fail("io_uring_register_buf_ring");
    memory_ = std::make_unique<char[]>(std::size_t{buffers} * buffer_size);
    for (unsigned i = 0; i < buffers; ++i) give_back(i);
    ::io_uring_buf_ring_advance(ring_of_buffers_, static_cast<int>(returned_));
  }
  char* buffer(unsigned id) const { return memory_.get() + std::size_t{id} * buffer_size; }
  void give_back(unsigned id) {
    ::io_uring_buf_ring_add(ring_of_buffers_, buffer(id), buffer_size, static_cast<unsigned short>(id),
                            ::io_uring_buf_ring_mask(buffers), static_cast<int>(returned_++));
  }

  /// `more` further ones go in the same submission.
  io_uring_sqe* next_sqe(unsigned more = 0) {
    if (::io_uring_sq_space_left(&ring_) <= more) ::io_uring_submit(&ring_);
    io_uring_sqe* const sqe = ::io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
      errno = EBUSY;
      fail("io_uring_get_sqe");
    }
    return sqe;
  }
  static void mark(io_uring_sqe* sqe, connection* c, kind k) {
    ::io_uring_sqe_set_data64(sqe, reinterpret_cast<std::uintptr_t>(c) | static_cast<std::uint64_t>(k));
  }

  void accept() {
    io_uring_sqe* const sqe = next_sqe();
    ::io_uring_prep_multishot_accept(sqe, listening_, nullptr, nullptr, SOCK_CLOEXEC);
    mark(sqe, nullptr, kind::receive);
  }
  void receive(connection* c) {
    io_uring_sqe* const sqe = next_sqe();
    ::io_uring_prep_recv_multishot(sqe, c->fd, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = group;
    mark(sqe, c, kind::receive);
  }
  /// The last one takes with it what ends the connection: no more receiving, close. By descriptor, which
  /// stays ours until then. Not IORING_OP_SHUTDOWN, which always goes to a thread of the kernel.
  void send(connection* c) {
    const std::string_view next = (c->closes ? close_ : keep_).next(c->owed);
    c->ends_now = c->closes && next.size() == c->owed;
    io_uring_sqe* const sqe = next_sqe(2);
    ::io_uring_prep_send(sqe, c->fd, next.data(), next.size(), MSG_NOSIGNAL | MSG_WAITALL);
    mark(sqe, c, kind::send);
    c->sending = true;
    if (!c->ends_now) return;
    sqe->flags |= IOSQE_IO_HARDLINK;
    io_uring_sqe* const cancel = next_sqe();
    ::io_uring_prep_cancel_fd(cancel, c->fd, 0);
    cancel->flags |= IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
    mark(cancel, nullptr, kind::none);
    close(c);
  }
  void close(connection* c) {
    io_uring_sqe* const sqe = next_sqe();
    ::io_uring_prep_close(sqe, c->fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    mark(sqe, nullptr, kind::none);
  }
  /// When nothing is in flight any more.
  void finish(connection* c) {
    if (!c->ends_now) close(c);
    unused_.push_back(c);
  }

  void handle(const io_uring_cqe& cqe) {
    const auto k = static_cast<kind>(cqe.user_data & 3U);
    auto* const c = reinterpret_cast<connection*>(cqe.user_data & ~std::uint64_t{3});
    if (k == kind::send) {
      sent(c, cqe.res);
    } else if (k == kind::receive && c == nullptr) {
      if (cqe.res >= 0) receive(make(cqe.res));
      if ((cqe.flags & IORING_CQE_F_MORE) == 0) accept();
    } else if (k == kind::receive) {
      received(c, cqe);
    }
  }
  connection* make(int fd) {
    if (unused_.empty()) {
      all_.push_back(std::make_unique<connection>());
      unused_.push_back(all_.back().get());
    }
    connection* const c = unused_.back();
    unused_.pop_back();
    *c = {};
    c->fd = fd;
    return c;
  }

  void received(connection* c, const io_uring_cqe& cqe) {
    if (cqe.res > 0) {
      const unsigned id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
      const std::string_view piece(buffer(id), static_cast<std::size_t>(cqe.res));
      if (settings_.closes && asks_for_close(piece)) c->closes = true;
      c->owed += c->ends.count(piece) * (c->closes ? close_ : keep_).size();
      give_back(id);
      if (c->owed != 0 && !c->sending && !c->ends_now) send(c);
    }
    if ((cqe.flags & IORING_CQE_F_MORE) != 0) return;
    if ((cqe.res > 0 || cqe.res == -ENOBUFS) && !c->ends_now) {
      receive(c);
      return;
    }
    c->gone = true;
    if (!c->sending) finish(c);
  }
  void sent(connection* c, int n) {
    c->sending = false;
    c->owed = n < 0 ? 0 : c->owed - static_cast<std::size_t>(n);
    if (c->owed != 0 && !c->ends_now) {
      send(c);
    } else if (c->gone) {
      finish(c);
    }
  }

  settings settings_;
  responses keep_, close_;
  io_uring ring_{};
  io_uring_buf_ring* ring_of_buffers_ = nullptr;
  std::unique_ptr<char[]> memory_;
  unsigned returned_ = 0;  // buffers, since the last advance
  int listening_ = -1;
  std::vector<std::unique_ptr<connection>> all_;
  std::vector<connection*> unused_;
};

}  // namespace

int main(int argc, char** argv) { loop(read_settings(argc, argv)).run(); }
