// SPDX-License-Identifier: MIT
// serve() on one end of a link, a client that does not block on the other; both run in this thread.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <synfp/http/serve.hpp>

#include "links.hpp"

namespace synfp::test {

inline std::unique_ptr<synfp::io::ring> ring_of_this_thread(const synfp::io::ring_options& options = {}) {
  auto made = synfp::io::ring::create(options);
  if (!made) throw std::runtime_error(made.error().message);
  return *std::move(made);
}

/// `routes` must outlive it.
template <class Link, class Routes>
class http_link {
 public:
  http_link(synfp::io::ring& ring, const Routes& routes, const synfp::http::serve_options& options = {})
      : ring_(&ring), link_(ring) {
    synfp::io::spawn(
        synfp::http::serve(link_.server(),
                           synfp::net::connection_facts{.peer = *synfp::endpoint::parse("192.0.2.1:5"),
                                                        .local = *synfp::endpoint::parse("192.0.2.2:80")},
                           routes, options));
  }
  /// Nothing is left of it.
  ~http_link() {
    hang_up();
    EXPECT_TRUE(turn_until([] { return synfp::io::spawned() == 0; }));
    EXPECT_EQ(ring_->leased(), 0U);
  }

  template <class F>
  bool turn_until(F done, std::chrono::milliseconds limit = std::chrono::seconds(5)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      ring_->poll();
      if (reads) link_.receive(received_);
      ::usleep(50);
    }
    return true;
  }
  void turn(int times = 20) {
    for (int i = 0; i != times; ++i) {
      ring_->poll();
      if (reads) link_.receive(received_);
      ::usleep(50);
    }
  }
  void send(std::string_view bytes) {
    while (!bytes.empty() && !link_.gone()) {
      bytes.remove_prefix(link_.send(bytes));
      ring_->poll();
    }
  }
  /// What was received so far, once that ends with `end`.
  std::string until(std::string_view end) {
    EXPECT_TRUE(turn_until([&] { return received_.ends_with(end); })) << received_.substr(0, 2000);
    return std::exchange(received_, {});
  }
  /// What was received until the server closed.
  std::string to_the_end() {
    EXPECT_TRUE(turn_until([&] { return link_.ended(); })) << received_.substr(0, 2000);
    return std::exchange(received_, {});
  }
  const std::string& received() const { return received_; }
  Link& client() { return link_; }
  bool ended() const { return link_.ended(); }
  void hang_up() { link_.close(); }
  void half_close() { link_.half_close(); }

  bool reads = true;  ///< what has come is received

 private:
  synfp::io::ring* ring_;
  Link link_;
  std::string received_;
};

/// The body of a chunked message that begins at `wire`, and where the message ends; npos if it is not whole
/// or not well formed.
inline std::pair<std::string, std::size_t> chunked_body(std::string_view wire) {
  std::string body;
  std::size_t at = wire.find("\r\n\r\n") + 4;
  while (true) {
    const std::size_t end = wire.find("\r\n", at);
    if (end == wire.npos) return {body, wire.npos};
    const std::size_t n = std::stoul(std::string(wire.substr(at, end - at)), nullptr, 16);
    if (wire.size() < end + n + 4 || wire.substr(end + 2 + n, 2) != "\r\n") return {body, wire.npos};
    body += wire.substr(end + 2, n);
    at = end + n + 4;
    if (n == 0) return {body, at};
  }
}

}  // namespace synfp::test
