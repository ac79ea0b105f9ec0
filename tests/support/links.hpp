// SPDX-License-Identifier: MIT
// Two ways from a test's client to a server in the same thread: a socket pair, and memory without any socket.
// The client never blocks: what cannot be sent yet is sent later.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <synfp/io/buffer.hpp>
#include <synfp/io/frame_pool.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/wait.hpp>
#include <synfp/net/stream.hpp>
#include <synfp/net/transport.hpp>
#include <synfp/result.hpp>

namespace synfp::test {

/// The client's end of a socket pair.
class socket_link {
 public:
  explicit socket_link(synfp::io::ring& ring) : ring_(&ring) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_) != 0)
      throw std::runtime_error("socketpair");
  }
  socket_link(socket_link&& other) noexcept
      : ring_(other.ring_),
        ends_{std::exchange(other.ends_[0], -1), std::exchange(other.ends_[1], -1)},
        ended_(other.ended_),
        reset_(other.reset_) {}
  socket_link& operator=(socket_link&&) = delete;
  ~socket_link() {
    close();
    if (ends_[1] >= 0) ::close(ends_[1]);
  }

  /// The server's end, once.
  synfp::net::stream server() { return {*ring_, std::exchange(ends_[1], -1)}; }

  /// How many of `bytes` were taken.
  std::size_t send(std::string_view bytes) {
    const auto n = ::send(ends_[0], bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) gone_ = true;
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  /// Nothing can be sent any more.
  bool gone() const { return gone_; }
  /// Appends what is there.
  void receive(std::string& into) {
    char bytes[65536];
    while (ends_[0] >= 0 && !ended_) {
      const auto n = ::recv(ends_[0], bytes, sizeof bytes, MSG_DONTWAIT);
      if (n > 0) into.append(bytes, static_cast<std::size_t>(n));
      if (n == 0 || (n < 0 && errno != EAGAIN)) ended_ = true;
      if (n < 0 && errno == ECONNRESET) reset_ = true;
      if (n < 0) return;
    }
  }
  bool ended() const { return ended_; }
  bool reset() const { return reset_; }
  void half_close() { ::shutdown(ends_[0], SHUT_WR); }
  void close() {
    if (ends_[0] >= 0) ::close(std::exchange(ends_[0], -1));
  }

 private:
  synfp::io::ring* ring_;
  int ends_[2] = {-1, -1};
  bool gone_ = false;
  bool ended_ = false;
  bool reset_ = false;
};

/// What a memory_stream and its client share.
struct memory_pipes {
  static constexpr std::size_t capacity = 128 * 1024;  // of each, about that of a socket

  explicit memory_pipes(synfp::io::ring& owner) : ring(owner), reader(owner), writer(owner) {}

  /// Hands over as much output as the client has room for.
  void pump() {
    if (!flushing) return;
    const std::size_t n = std::min(out.size(), capacity - to_client.size());
    to_client.append(out, 0, n);
    out.erase(0, n);
    if (!out.empty()) return;
    synfp::io::release(out);
    flushing = false;
    writer.wake();
  }

  synfp::io::ring& ring;
  std::string to_server;
  std::string to_client;
  synfp::io::pool_string out;
  synfp::io::wait_slot reader;
  synfp::io::wait_slot writer;
  bool flushing = false;
  bool client_sends_no_more = false;
  bool client_gone = false;
  bool server_sends_no_more = false;
  bool closed = false;
};

/// A transport without a socket.
class memory_stream {
  class received {
   public:
    explicit received(std::shared_ptr<memory_pipes> pipes) noexcept : pipes_(std::move(pipes)) {}
    synfp::io::wait_slot& slot() noexcept { return pipes_->reader; }
    bool ready() const noexcept {
      return pipes_->closed || !pipes_->to_server.empty() || pipes_->client_sends_no_more;
    }
    void begin() noexcept {}
    void left() noexcept {}
    synfp::result<synfp::io::buffer> get() {
      if (pipes_->closed) return synfp::error{synfp::errc::canceled, 0};
      if (pipes_->to_server.empty()) return synfp::error{synfp::errc::closed, 0};
      const std::size_t n = std::min<std::size_t>(pipes_->to_server.size(), 4096);
      auto chunk = synfp::io::buffer::copy_of(std::string_view(pipes_->to_server).substr(0, n));
      pipes_->to_server.erase(0, n);
      return chunk;
    }

   private:
    std::shared_ptr<memory_pipes> pipes_;
  };

  class sent {
   public:
    explicit sent(std::shared_ptr<memory_pipes> pipes) noexcept : pipes_(std::move(pipes)) {}
    synfp::io::wait_slot& slot() noexcept { return pipes_->writer; }
    bool ready() const noexcept { return pipes_->closed || pipes_->client_gone || pipes_->out.empty(); }
    void begin() {
      pipes_->flushing = true;
      pipes_->pump();
    }
    void left() noexcept {}
    synfp::result<void> get() noexcept {
      if (pipes_->closed) return synfp::error{synfp::errc::canceled, 0};
      if (pipes_->client_gone) return synfp::error::from_errno(EPIPE);
      return {};
    }

   private:
    std::shared_ptr<memory_pipes> pipes_;
  };

 public:
  explicit memory_stream(std::shared_ptr<memory_pipes> pipes) noexcept : pipes_(std::move(pipes)) {}
  memory_stream(memory_stream&&) noexcept = default;
  memory_stream& operator=(memory_stream&&) noexcept = default;
  ~memory_stream() {
    if (pipes_) close();
  }

  synfp::io::ring& ring() const noexcept { return pipes_->ring; }
  synfp::io::wait_awaiter<received> read(std::chrono::nanoseconds limit = synfp::io::for_ever) {
    return synfp::io::wait_awaiter(received(pipes_), limit);
  }
  synfp::io::pool_string& out() noexcept { return pipes_->out; }
  synfp::io::wait_awaiter<sent> flush(std::chrono::nanoseconds limit = synfp::io::for_ever) {
    return synfp::io::wait_awaiter(sent(pipes_), limit);
  }
  void cancel() noexcept {
    pipes_->reader.cancel();
    pipes_->writer.cancel();
  }
  synfp::result<void> shutdown_write() noexcept {
    pipes_->server_sends_no_more = true;
    return {};
  }
  void close() noexcept {
    pipes_->closed = true;
    pipes_->to_server.clear();
    synfp::io::release(pipes_->out);
    cancel();
  }

 private:
  std::shared_ptr<memory_pipes> pipes_;
};
static_assert(synfp::net::transport<memory_stream>);

/// The client's end of a memory_stream.
class memory_link {
 public:
  explicit memory_link(synfp::io::ring& ring) : pipes_(std::make_shared<memory_pipes>(ring)) {}
  memory_link(memory_link&&) noexcept = default;
  memory_link& operator=(memory_link&&) = delete;
  ~memory_link() {
    if (pipes_) close();
  }

  memory_stream server() { return memory_stream(pipes_); }

  std::size_t send(std::string_view bytes) {
    if (gone()) return 0;
    const std::size_t n = std::min(bytes.size(), memory_pipes::capacity - pipes_->to_server.size());
    pipes_->to_server.append(bytes.substr(0, n));
    pipes_->reader.wake();
    return n;
  }
  bool gone() const { return pipes_->closed; }
  void receive(std::string& into) {
    do {
      into += std::exchange(pipes_->to_client, {});
      pipes_->pump();
    } while (!pipes_->to_client.empty());
  }
  bool ended() const { return (pipes_->closed || pipes_->server_sends_no_more) && pipes_->to_client.empty(); }
  bool reset() const { return false; }
  void half_close() {
    pipes_->client_sends_no_more = true;
    pipes_->reader.wake();
  }
  void close() {
    half_close();
    pipes_->client_gone = true;
    pipes_->writer.wake();
  }

 private:
  std::shared_ptr<memory_pipes> pipes_;
};

}  // namespace synfp::test
