// SPDX-License-Identifier: MIT
// tls_floor PORT BODY_BYTES CERTIFICATE KEY: the least that a server with io_uring and OpenSSL does for a
// request: the loop of http_floor_uring.cpp, with a BIO that reads from the ring's buffer and writes into
// what is sent next. Ends a connection if there is "close" in a header. For bench/tls-servers.py.
#include <liburing.h>
#include <openssl/ssl.h>
#include <sys/mman.h>

#include <memory>
#include <utility>

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
  ::SSL* ssl = nullptr;
  std::string_view in;      // received and not read by OpenSSL, which reads all of it at once
  std::string out, flight;  // to be sent; being sent
  header_ends ends;
  bool closes = false;
  bool sending = false;
  bool gone = false;      // nothing comes any more
  bool ends_now = false;  // its close is in flight
};

int read_records(::BIO* bio, char* to, std::size_t size, std::size_t* moved) {
  auto& c = *static_cast<connection*>(::BIO_get_data(bio));
  ::BIO_clear_retry_flags(bio);
  *moved = c.in.copy(to, size);
  c.in.remove_prefix(*moved);
  if (*moved == 0) ::BIO_set_retry_read(bio);
  return *moved != 0 ? 1 : 0;
}
int write_records(::BIO* bio, const char* from, std::size_t size, std::size_t* moved) {
  static_cast<connection*>(::BIO_get_data(bio))->out.append(from, size);
  *moved = size;
  return 1;
}
int choose_protocol(::SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  static constexpr unsigned char ours[] = "\x08http/1.1";
  unsigned char* found = nullptr;
  const int said = ::SSL_select_next_proto(&found, size, ours, sizeof ours - 1, offered, offered_size);
  *chosen = found;
  return said == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}
long control(::BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

class loop {
 public:
  loop(const settings& s, const char* certificate, const char* key)
      : keep_(s.body, false), close_(s.body, true) {
    ::SSL_CTX_set_read_ahead(context_, 1);
    ::SSL_CTX_set_alpn_select_cb(context_, &choose_protocol, nullptr);
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
    if (::SSL_CTX_use_certificate_chain_file(context_, certificate) != 1 ||
        ::SSL_CTX_use_PrivateKey_file(context_, key, SSL_FILETYPE_PEM) != 1)
      fail("certificate");
    ::BIO_meth_set_read_ex(method_, &read_records);
    ::BIO_meth_set_write_ex(method_, &write_records);
    ::BIO_meth_set_ctrl(method_, &control);
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
  /// As in http_floor_uring.cpp, the last one takes with it what ends the connection.
  void send(connection* c) {
    c->flight.clear();
    std::swap(c->flight, c->out);
    c->ends_now = c->closes;
    io_uring_sqe* const sqe = next_sqe(2);
    ::io_uring_prep_send(sqe, c->fd, c->flight.data(), c->flight.size(), MSG_NOSIGNAL | MSG_WAITALL);
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
    ::SSL_free(std::exchange(c->ssl, nullptr));
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
    c->ssl = ::SSL_new(context_);
    ::BIO* const bio = ::BIO_new(method_);
    if (c->ssl == nullptr || bio == nullptr) fail("SSL_new");
    ::BIO_set_data(bio, c);
    ::BIO_set_init(bio, 1);
    ::SSL_set_bio(c->ssl, bio, bio);
    ::SSL_set_accept_state(c->ssl);
    return c;
  }

  /// False: the connection is at its end.
  bool answer(connection* c, std::string_view records) {
    c->in = records;
    if (::SSL_is_init_finished(c->ssl) == 0) {
      if (const int n = ::SSL_do_handshake(c->ssl); n != 1)
        return ::SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
    }
    while (!c->in.empty() || ::SSL_has_pending(c->ssl) != 0) {
      const int n = ::SSL_read(c->ssl, text_.data(), static_cast<int>(text_.size()));
      if (n <= 0 && ::SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ) break;
      if (n <= 0) return false;
      const std::string_view piece(text_.data(), static_cast<std::size_t>(n));
      if (asks_for_close(piece)) c->closes = true;
      const responses& with = c->closes ? close_ : keep_;
      for (unsigned more = c->ends.count(piece); more != 0; --more) {
        const std::string_view one = with.next(with.size());
        if (::SSL_write(c->ssl, one.data(), static_cast<int>(one.size())) <= 0) return false;
      }
    }
    if (c->closes) ::SSL_shutdown(c->ssl);
    return true;
  }

  void received(connection* c, const io_uring_cqe& cqe) {
    bool goes_on = true;
    if (cqe.res > 0) {
      const unsigned id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
      if (!c->ends_now) goes_on = answer(c, {buffer(id), static_cast<std::size_t>(cqe.res)});
      give_back(id);
      if (!c->out.empty() && !c->sending && !c->ends_now) send(c);
    }
    if (!goes_on && !c->ends_now) ::shutdown(c->fd, SHUT_RDWR);  // ends the receiving
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
    if (n >= 0 && !c->out.empty() && !c->ends_now) {
      send(c);
    } else if (c->gone) {
      finish(c);
    }
  }

  responses keep_, close_;
  ::SSL_CTX* context_ = ::SSL_CTX_new(::TLS_server_method());
  ::BIO_METHOD* method_ = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "floor");
  io_uring ring_{};
  io_uring_buf_ring* ring_of_buffers_ = nullptr;
  std::unique_ptr<char[]> memory_;
  std::string text_ = std::string(16'384, '\0');
  unsigned returned_ = 0;  // buffers, since the last advance
  int listening_ = -1;
  std::vector<std::unique_ptr<connection>> all_;
  std::vector<connection*> unused_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s PORT BODY_BYTES CERTIFICATE KEY\n", argv[0]);
    return 2;
  }
  char how[] = "close";
  char* settings[] = {argv[0], argv[1], argv[2], how, nullptr};
  loop(read_settings(4, settings), argv[3], argv[4]).run();
}
