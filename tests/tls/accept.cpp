// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/fingerprint/ja4.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/tls/accept.hpp>
#include <synfp/tls/connect.hpp>

#include "../support/http_link.hpp"
#include "../support/tls_files.hpp"
#include "../support/tls_link.hpp"

namespace {

using namespace std::chrono_literals;
using namespace synfp;
using testing::HasSubstr;

/// A connection whose server's end is being accepted, driven from this thread.
class handshake {
 public:
  handshake(io::ring& ring, tls::server_context& context) : ring_(&ring) {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends_), 0);
    io::spawn([this, &context, fd = ends_[1]]() -> io::task<> {
      net::connection_facts facts;
      facts.peer = *endpoint::parse("192.0.2.1:5");
      net::accepted a(net::stream(*ring_, fd), facts);
      auto work = tls::accept(std::move(a), context);
      auto done = co_await std::move(work);
      if (done) {
        accepted.emplace(*std::move(done));
      } else {
        failed = done.error();
      }
    });
  }
  handshake(const handshake&) = delete;
  handshake& operator=(const handshake&) = delete;
  ~handshake() {
    accepted.reset();
    hang_up();
    turn();
  }

  int fd() const { return ends_[0]; }
  void hang_up() {
    if (ends_[0] >= 0) ::close(std::exchange(ends_[0], -1));
  }
  void turn(int times = 30) {
    for (int i = 0; i != times; ++i) {
      ring_->poll();
      ::usleep(20);
    }
  }
  template <class F>
  bool turn_until(F done, std::chrono::milliseconds limit = 10s) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      ring_->poll();
    }
    return true;
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(ends_[0], bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
      if (n < 0 && errno != EAGAIN) return;  // it was refused
      ring_->poll();
    }
  }
  /// Until the server closed.
  std::string receive() {
    std::string all;
    turn_until([&] {
      char bytes[4096];
      const auto n = ::recv(ends_[0], bytes, sizeof bytes, 0);
      if (n > 0) all.append(bytes, static_cast<std::size_t>(n));
      return n == 0 || (n < 0 && errno != EAGAIN);
    });
    return all;
  }
  bool finish(test::tls_client& client) {
    return turn_until([&] { return client.connected() && accepted; });
  }

  std::optional<tls::accepted> accepted;
  std::optional<error> failed;

 private:
  io::ring* ring_;
  int ends_[2] = {-1, -1};
};

class tls_accept : public testing::Test {
 public:
  ~tls_accept() override {
    EXPECT_EQ(io::spawned(), 0U);
    EXPECT_EQ(ring->leased(), 0U);
  }
  tls::server_context make(tls::context_options options = {}) {
    options.on_refused = [this](const net::connection_facts&, std::string_view why) { said = why; };
    return value_or_throw(tls::server_context::self_signed({"localhost"}, std::move(options)));
  }

  std::unique_ptr<io::ring> ring = test::ring_of_this_thread();
  std::string said;
};

/// What OpenSSL's client sends first.
std::string hello_of(int highest = TLS1_3_VERSION, const char* name = "localhost") {
  const tls::detail::ssl_ctx_ptr context(::SSL_CTX_new(::TLS_client_method()));
  ::SSL_CTX_set_max_proto_version(context.get(), highest);
  const tls::detail::ssl_ptr ssl(::SSL_new(context.get()));
  if (name != nullptr) SSL_set_tlsext_host_name(ssl.get(), name);
  ::BIO* const out = ::BIO_new(::BIO_s_mem());
  ::SSL_set_bio(ssl.get(), ::BIO_new(::BIO_s_mem()), out);
  ::SSL_set_connect_state(ssl.get());
  ::SSL_do_handshake(ssl.get());
  const char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

/// The same hello in records of `size` bytes.
std::string in_records(const std::string& hello, std::size_t size) {
  std::string out;
  for (std::size_t at = 5; at < hello.size(); at += size) {
    const std::string part = hello.substr(at, size);
    out += hello.substr(0, 3);
    out += static_cast<char>(part.size() >> 8);
    out += static_cast<char>(part.size() & 0xff);
    out += part;
  }
  return out;
}

TEST_F(tls_accept, brings_the_hello_that_was_sent) {
  auto context = make();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    handshake h(*ring, context);
    test::tls_client client(h.fd(), version);
    SSL_set_tlsext_host_name(client.ssl(), "localhost");
    const unsigned char protocols[] = "\x08http/1.1";
    ::SSL_set_alpn_protos(client.ssl(), protocols, 9);
    ASSERT_TRUE(h.finish(client)) << said;
    const tls::client_hello* const hello = h.accepted->facts().hello;
    ASSERT_NE(hello, nullptr);
    EXPECT_EQ(hello, &h.accepted->connection.hello());
    EXPECT_EQ(hello->server_name(), "localhost");
    EXPECT_EQ(hello->highest_version(), version);
    EXPECT_EQ(h.accepted->peer.text().view(), "192.0.2.1:5");
    EXPECT_EQ(h.accepted->connection.protocol(), "http/1.1");
    EXPECT_EQ(h.accepted->connection.version(), version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2");
    EXPECT_THAT(std::string(h.accepted->connection.cipher()), HasSubstr("GCM"));
    EXPECT_FALSE(h.accepted->connection.resumed());
  }
  EXPECT_EQ(context.counters().completed, 2U);
}

TEST_F(tls_accept, a_hello_may_come_in_any_pieces) {
  auto context = make();
  const std::string whole = hello_of();
  // Cut in segments, and in records: of one byte, and at sizes that split its header and its lists.
  for (const std::size_t record : {whole.size(), std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
    for (const std::size_t segment : {whole.size() * 6, std::size_t{1}, std::size_t{7}}) {
      handshake h(*ring, context);
      const std::string wire = in_records(whole, record);
      for (std::size_t at = 0; at < wire.size(); at += segment) {
        h.send(std::string_view(wire).substr(at, segment));
        if (segment < 100) ring->poll();
      }
      // The server answers with a whole flight, which begins with its ServerHello.
      std::string answer;
      ASSERT_TRUE(h.turn_until([&] {
        char bytes[4096];
        const auto n = ::recv(h.fd(), bytes, sizeof bytes, 0);
        if (n > 0) answer.append(bytes, static_cast<std::size_t>(n));
        return !answer.empty() || h.failed;
      }));
      EXPECT_FALSE(h.failed) << said << record << " " << segment;
      ASSERT_GT(answer.size(), 6U);
      EXPECT_EQ(answer.substr(0, 1), "\x16");
      EXPECT_EQ(answer[5], 2) << record << " " << segment;
      h.hang_up();
      EXPECT_TRUE(h.turn_until([&] { return h.failed.has_value(); }));
    }
  }
}

TEST_F(tls_accept, says_why_bytes_are_no_hello) {
  auto context = make();
  const auto answer_to = [&](std::string_view bytes) {
    handshake h(*ring, context);
    said.clear();
    h.send(bytes);
    std::string answer = h.receive();
    h.hang_up();
    EXPECT_TRUE(h.turn_until([&] { return h.failed.has_value(); }));
    return answer;
  };
  const std::string http = answer_to("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(http, HasSubstr("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(http, HasSubstr("https://"));
  const auto split = http.find("\r\n\r\n");
  EXPECT_THAT(http, HasSubstr("Content-Length: " + std::to_string(http.size() - split - 4) + "\r\n"));
  EXPECT_EQ(said, "plain text instead of TLS");
  EXPECT_EQ(context.refusals(tls::refusal::plain_text), 1U);

  using namespace std::string_view_literals;
  EXPECT_EQ(answer_to("\x01\x02\x03\x04\x05\x06\x07\x08"sv), "\x15\x03\x01\x00\x02\x02\x0a"sv);
  EXPECT_EQ(answer_to("\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"sv), "\x15\x03\x01\x00\x02\x02\x46"sv);
  EXPECT_EQ(said, "SSL 2.0");
  // 16 MB of hello: refused as soon as its length is known.
  EXPECT_EQ(answer_to("\x16\x03\x01\x40\x00\x01\xff\xff\xff\x03\x03"sv), "\x15\x03\x01\x00\x02\x02\x32"sv);
  EXPECT_EQ(said, "ClientHello too large");
  EXPECT_EQ(answer_to("\x16\x03\x01\xff\xff"sv), "\x15\x03\x01\x00\x02\x02\x16"sv);
  EXPECT_EQ(answer_to("\x16\x03\x01\x00\x00"sv), "\x15\x03\x01\x00\x02\x02\x32"sv);
  std::string name = hello_of();
  name[name.find("localhost") + 2] = '\0';
  EXPECT_EQ(answer_to(name), "\x15\x03\x01\x00\x02\x02\x32"sv);
  EXPECT_EQ(said, "invalid server name");
  // A hello in two records, and more in the second one.
  std::string tail = in_records(hello_of() + std::string(4, '\0'), 300);
  {
    handshake h(*ring, context);
    h.send(std::string_view(tail).substr(0, 200));
    h.turn();
    h.send(std::string_view(tail).substr(200));
    EXPECT_EQ(h.receive(), "\x15\x03\x01\x00\x02\x02\x0a"sv);
  }
  EXPECT_EQ(context.counters().no_hello, 8U);
}

TEST_F(tls_accept, nothing_in_common) {
  auto context = make();
  {
    handshake h(*ring, context);
    test::tls_client client(h.fd());
    const unsigned char protocols[] = "\x02h2";
    ::SSL_set_alpn_protos(client.ssl(), protocols, 3);
    EXPECT_TRUE(h.turn_until([&] { return !client.connected() && h.failed; }));
    EXPECT_EQ(said, "no application protocol");
  }
  {
    handshake h(*ring, context);
    h.send(hello_of(TLS1_2_VERSION).replace(9, 2, "\x03\x02"));  // no more than TLS 1.1
    EXPECT_THAT(h.receive(), HasSubstr("\x15"));
    EXPECT_EQ(said, "unsupported protocol");
  }
  EXPECT_EQ(context.counters().refused, 2U);
}

TEST_F(tls_accept, a_slow_handshake_ends) {
  auto context = make({.handshake_timeout = 50ms});
  const std::string hello = hello_of();
  for (const std::string_view sent :
       {std::string_view(), std::string_view(hello).substr(0, 40), std::string_view(hello)}) {
    handshake h(*ring, context);
    h.send(sent);
    EXPECT_TRUE(h.turn_until([&] { return h.failed.has_value(); }));
    EXPECT_EQ(h.failed->code, errc::timed_out);
  }
  EXPECT_EQ(context.counters().late, 3U);
  EXPECT_EQ(said, "the handshake was not done in time");
}

TEST_F(tls_accept, the_oldest_make_room) {
  auto context = make({.handshakes = 2});
  handshake first(*ring, context);
  first.turn();
  handshake second(*ring, context);
  second.turn();
  EXPECT_FALSE(first.failed);
  handshake third(*ring, context);
  EXPECT_TRUE(third.turn_until([&] { return first.failed.has_value(); }));
  EXPECT_EQ(first.failed->code, errc::canceled);
  EXPECT_EQ(said, "others needed the room");
  EXPECT_FALSE(second.failed);
  test::tls_client client(third.fd());
  EXPECT_TRUE(third.finish(client));
  EXPECT_EQ(context.counters().displaced, 1U);
  EXPECT_FALSE(second.failed);
}

TEST_F(tls_accept, few_begin_in_one_turn) {
  auto context = make({.handshakes_per_turn = 2});
  std::vector<std::unique_ptr<handshake>> all;
  for (int i = 0; i != 7; ++i) {
    all.push_back(std::make_unique<handshake>(*ring, context));
    EXPECT_EQ(::send(all.back()->fd(), hello_of().data(), hello_of().size(), 0),
              static_cast<ssize_t>(hello_of().size()));
  }
  const auto answered = [&] {
    int n = 0;
    for (const auto& each : all) {
      char byte = 0;
      if (::recv(each->fd(), &byte, 1, MSG_PEEK) == 1) ++n;
    }
    return n;
  };
  int before = 0;
  std::vector<int> steps;
  for (int i = 0; i != 100 && before != 7; ++i) {
    ring->poll();
    const int now = answered();
    if (now != before) steps.push_back(now - before);
    before = now;
  }
  EXPECT_EQ(before, 7);
  EXPECT_THAT(steps, testing::Each(testing::Le(2)));
}

TEST_F(tls_accept, a_stopping_ring_ends_handshakes) {
  auto context = make();
  handshake h(*ring, context);
  h.turn();
  ring->stop(20s);
  EXPECT_TRUE(ring->run());
  EXPECT_TRUE(h.failed);
  EXPECT_EQ(h.failed->code, errc::timed_out);
}

std::string read_all(test::tls_client& client, handshake& h, int& end) {
  std::string all;
  end = SSL_ERROR_NONE;
  h.turn_until([&] {
    char bytes[4096];
    std::size_t n = 0;
    ::ERR_clear_error();
    const int ok = ::SSL_read_ex(client.ssl(), bytes, sizeof bytes, &n);
    all.append(bytes, n);
    if (ok == 1) return false;
    end = ::SSL_get_error(client.ssl(), ok);
    return end != SSL_ERROR_WANT_READ;
  });
  return all;
}

TEST_F(tls_accept, a_client_that_has_begun_may_ask_a_stopping_ring) {
  auto context = make();
  const http::routes routes{http::get<"/">([](const http::request&) { return http::text("yes"); })};
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  io::spawn(http::serve(tls::accept(net::accepted(net::stream(*ring, ends[1]), {}), context), routes));
  test::tls_client client(ends[0]);
  EXPECT_FALSE(client.connected());  // its hello is sent
  char byte = 0;
  while (::recv(ends[0], &byte, 1, MSG_PEEK) != 1) ring->poll();
  for (int i = 0; i != 20; ++i) ring->poll();  // the server waits for the rest
  ring->stop(20s);
  std::string answer;
  bool asked = false;
  while (io::spawned() != 0) {
    ring->poll();
    if (!client.connected()) continue;
    std::size_t n = 0;
    char bytes[1000];
    if (!std::exchange(asked, true))
      ::SSL_write_ex(client.ssl(), "GET / HTTP/1.0\r\nHost: a\r\n\r\n", 27, &n);
    if (::SSL_read_ex(client.ssl(), bytes, sizeof bytes, &n) == 1) answer.append(bytes, n);
    if (answer.ends_with("yes") && ends[0] >= 0) ::close(std::exchange(ends[0], -1));
  }
  EXPECT_THAT(answer, testing::EndsWith("\r\n\r\nyes")) << said;
  if (ends[0] >= 0) ::close(ends[0]);
}

TEST_F(tls_accept, what_follows_a_broken_record_is_not_said_to_be_sent) {
  auto context = make();
  handshake h(*ring, context);
  test::tls_client client(h.fd());
  ASSERT_TRUE(h.finish(client));
  h.send(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
  std::optional<error> read;
  std::optional<bool> sent;
  io::spawn([&]() -> io::task<> {
    auto reading = h.accepted->connection.read();
    auto chunk = co_await std::move(reading);
    if (!chunk) read = chunk.error();
    h.accepted->connection.write("answer");
    const auto done = co_await h.accepted->connection.flush();
    sent = static_cast<bool>(done);
  });
  EXPECT_TRUE(h.turn_until([&] { return sent.has_value(); }));
  EXPECT_EQ(read.value_or(error{}).os, EPROTO);
  EXPECT_EQ(sent, false);
  int end = 0;
  EXPECT_EQ(read_all(client, h, end), "");
  EXPECT_EQ(end, SSL_ERROR_SSL) << "bad_record_mac";
}

TEST_F(tls_accept, close_notify_says_that_it_was_all) {
  auto context = make();
  for (const bool abort : {false, true}) {
    handshake h(*ring, context);
    test::tls_client client(h.fd());
    ASSERT_TRUE(h.finish(client));
    bool flushed = false;
    io::spawn([&]() -> io::task<> {
      h.accepted->connection.write("all of it");
      const auto done = co_await h.accepted->connection.flush();
      flushed = static_cast<bool>(done);
    });
    ASSERT_TRUE(h.turn_until([&] { return flushed; }));
    if (abort) h.accepted->connection.abort();
    h.accepted.reset();
    int end = 0;
    EXPECT_EQ(read_all(client, h, end), "all of it");
    EXPECT_EQ(end, abort ? SSL_ERROR_SSL : SSL_ERROR_ZERO_RETURN);
  }
}

TEST_F(tls_accept, the_client_says_close_notify_or_does_not) {
  auto context = make();
  for (const bool says : {true, false}) {
    handshake h(*ring, context);
    test::tls_client client(h.fd());
    ASSERT_TRUE(h.finish(client));
    std::size_t n = 0;
    ASSERT_EQ(::SSL_write_ex(client.ssl(), "x", 1, &n), 1);
    if (says) ::SSL_shutdown(client.ssl());
    h.hang_up();
    std::vector<std::string> seen;
    io::spawn([&]() -> io::task<> {
      while (true) {
        auto reading = h.accepted->connection.read();
        auto chunk = co_await std::move(reading);
        seen.emplace_back(chunk ? chunk->view() : to_string(chunk.error().code));
        if (!chunk && chunk.error().os != 0) seen.emplace_back(std::to_string(chunk.error().os));
        if (!chunk) co_return;
      }
    });
    EXPECT_TRUE(h.turn_until([&] { return seen.size() >= (says ? 2 : 3); }));
    std::vector<std::string> expected{"x", "closed by peer"};
    if (!says) expected = {"x", "system error", std::to_string(ECONNRESET)};
    EXPECT_EQ(seen, expected);
  }
}

TEST_F(tls_accept, changing_keys_again_and_again_ends_the_connection) {
  auto context = make();
  for (const int times : {8, 40}) {
    handshake h(*ring, context);
    test::tls_client client(h.fd());
    ASSERT_TRUE(h.finish(client));
    std::optional<error> end;
    std::string text;
    io::spawn([&]() -> io::task<> {
      while (!end) {
        auto reading = h.accepted->connection.read();
        auto chunk = co_await std::move(reading);
        if (!chunk) {
          end = chunk.error();
        } else {
          text += chunk->view();
        }
      }
    });
    for (int i = 0; i != times; ++i) {
      if (::SSL_key_update(client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1 ||
          ::SSL_do_handshake(client.ssl()) != 1)
        break;
      h.turn(2);
    }
    std::size_t n = 0;
    (void)::SSL_write_ex(client.ssl(), "x", 1, &n);
    EXPECT_TRUE(h.turn_until([&] { return end || text == "x"; }));
    EXPECT_EQ(end.has_value(), times == 40);
    EXPECT_EQ(end.value_or(error{}).os, times == 40 ? EPROTO : 0);
    h.hang_up();
    EXPECT_TRUE(h.turn_until([&] { return end.has_value(); }));
  }
}

TEST_F(tls_accept, renegotiation_is_refused) {
  auto context = make();
  handshake h(*ring, context);
  test::tls_client client(h.fd(), TLS1_2_VERSION);
  ASSERT_TRUE(h.finish(client));
  std::string text;
  bool over = false;
  io::spawn([&]() -> io::task<> {
    while (!over) {
      auto reading = h.accepted->connection.read();
      auto chunk = co_await std::move(reading);
      over = !chunk;
      if (chunk) text += chunk->view();
    }
  });
  const auto before = context.counters().completed;
  ::SSL_renegotiate(client.ssl());
  ::ERR_clear_error();
  EXPECT_LE(::SSL_do_handshake(client.ssl()), 0);
  h.turn(200);
  EXPECT_LE(::SSL_do_handshake(client.ssl()), 0);
  EXPECT_EQ(context.counters().completed, before);
  EXPECT_EQ(text, "");
  h.hang_up();
  EXPECT_TRUE(h.turn_until([&] { return over; }));
}

TEST_F(tls_accept, clients_come_back_with_a_ticket) {
  test::tls_files files;
  const auto certificate = files.make("a", {"localhost"});
  auto context = value_or_throw(tls::server_context::open({.certificates = {certificate}}));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto come = [&](::SSL_SESSION* with, bool& resumed) {
      handshake h(*ring, context);
      test::tls_client client(h.fd(), version);
      if (with != nullptr) ::SSL_set_session(client.ssl(), with);
      EXPECT_TRUE(h.finish(client));
      if (!h.accepted) return static_cast<::SSL_SESSION*>(nullptr);
      resumed = h.accepted->connection.resumed();
      bool flushed = false;
      io::spawn([&]() -> io::task<> {
        h.accepted->connection.write("x");
        (void)co_await h.accepted->connection.flush();
        flushed = true;
      });
      EXPECT_TRUE(h.turn_until([&] { return flushed; }));
      char byte = 0;
      std::size_t n = 0;
      // With TLS 1.3 the ticket comes with the first response.
      EXPECT_TRUE(h.turn_until([&] { return ::SSL_read_ex(client.ssl(), &byte, 1, &n) == 1; }));
      ::SSL_shutdown(client.ssl());  // else OpenSSL thinks that the session is bad
      return ::SSL_get1_session(client.ssl());
    };
    bool resumed = true;
    const tls::detail::owned<::SSL_SESSION, ::SSL_SESSION_free> first(come(nullptr, resumed));
    EXPECT_FALSE(resumed);
    const tls::detail::owned<::SSL_SESSION, ::SSL_SESSION_free> second(come(first.get(), resumed));
    EXPECT_TRUE(resumed) << version;
    std::size_t size = 0;
    std::size_t size_of_second = 0;
    const unsigned char* ticket = nullptr;
    const unsigned char* ticket_of_second = nullptr;
    ::SSL_SESSION_get0_ticket(first.get(), &ticket, &size);
    ::SSL_SESSION_get0_ticket(second.get(), &ticket_of_second, &size_of_second);
    if (version == TLS1_3_VERSION) {
      EXPECT_NE(std::string(ticket, ticket + size),
                std::string(ticket_of_second, ticket_of_second + size_of_second))
          << "who comes back gets a new one";
    }
    ASSERT_TRUE(context.reload());
    const tls::detail::owned<::SSL_SESSION, ::SSL_SESSION_free> third(come(second.get(), resumed));
    EXPECT_TRUE(resumed) << "tickets outlive a reload";
  }
  EXPECT_EQ(context.counters().resumed, 4U);
}

/// A client's flights, changed at random, in random pieces: each connection ends, and leaves nothing. The
/// fixture and the sanitizers look at what is left.
TEST_F(tls_accept, broken_handshakes) {
  auto context = make({.handshake_timeout = 1s});
  std::mt19937 random(7);
  const auto chance = [&](unsigned one_in) { return random() % one_in == 0; };
  std::uint64_t through = 0;
  for (int seed = 0; seed != 400; ++seed) {
    const tls::detail::ssl_ctx_ptr own(::SSL_CTX_new(::TLS_client_method()));
    if (chance(2)) ::SSL_CTX_set_max_proto_version(own.get(), TLS1_2_VERSION);
    const tls::detail::ssl_ptr ssl(::SSL_new(own.get()));
    ::BIO* const in = ::BIO_new(::BIO_s_mem());
    ::BIO* const out = ::BIO_new(::BIO_s_mem());
    ::SSL_set_bio(ssl.get(), in, out);
    ::SSL_set_connect_state(ssl.get());
    handshake h(*ring, context);
    std::string read;
    bool closed = false;
    io::spawn([&]() -> io::task<> {
      while (!h.accepted && !h.failed) co_await io::yield();
      if (h.failed) co_return;
      while (true) {
        auto reading = h.accepted->connection.read(1s);
        auto chunk = co_await std::move(reading);
        if (!chunk) break;
        read += chunk->view();
      }
      closed = true;
    });
    for (int step = 0; step != 6 && !h.failed && !closed; ++step) {
      ::ERR_clear_error();
      if (::SSL_do_handshake(ssl.get()) == 1) (void)::SSL_write(ssl.get(), "hello", 5);
      const char* bytes = nullptr;
      const long size = BIO_get_mem_data(out, &bytes);
      std::string flight(bytes, static_cast<std::size_t>(size));
      (void)BIO_reset(out);
      for (int n = chance(3) ? 1 + static_cast<int>(random() % 3) : 0; n != 0 && !flight.empty(); --n) {
        const std::size_t at = random() % flight.size();
        switch (random() % 4) {
          case 0: flight[at] = static_cast<char>(random()); break;
          case 1: flight.erase(at, 1 + random() % 8); break;
          case 2: flight.insert(at, flight.substr(at / 2, 1 + random() % 40)); break;
          default: flight[at] = static_cast<char>(flight[at] ^ 1 << random() % 8);
        }
      }
      while (!flight.empty()) {
        const std::size_t n =
            chance(2) ? flight.size() : std::min<std::size_t>(flight.size(), 1 + random() % 50);
        h.send(std::string_view(flight).substr(0, n));
        flight.erase(0, n);
      }
      h.turn(4);
      char answer[8192];
      ssize_t n = 0;
      while ((n = ::recv(h.fd(), answer, sizeof answer, 0)) > 0) ::BIO_write(in, answer, static_cast<int>(n));
    }
    if (read == "hello" || read == "hellohello") ++through;
    h.hang_up();
    EXPECT_TRUE(h.turn_until([&] { return h.failed || closed; })) << seed;
  }
  EXPECT_GT(through, 50U) << "some are not changed at all";
  EXPECT_GT(context.counters().refused, 50U);
  EXPECT_GT(context.counters().no_hello, 20U);
}

TEST_F(tls_accept, connect) {
  test::tls_files files;
  const auto certificate = files.make("a", {"localhost"});
  auto context = value_or_throw(tls::server_context::open({.certificates = {certificate}}));
  const auto trusting = value_or_throw(tls::client_context::open({.authorities = certificate.chain}));
  const auto other =
      value_or_throw(tls::client_context::open({.authorities = files.make("b", {"localhost"}).chain}));
  EXPECT_FALSE(tls::client_context::open({.authorities = certificate.key}));
  struct attempt {
    const tls::client_context* context;
    const char* name;
    std::string why;
  };
  for (const attempt& each :
       {attempt{&trusting, "localhost", ""}, attempt{&trusting, "elsewhere", "certificate verify failed"},
        attempt{&other, "localhost", "certificate verify failed"}}) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    std::string got;
    std::string why;
    std::string_view name;
    io::spawn([&]() -> io::task<> {
      net::accepted a(net::stream(*ring, ends[1]), {});
      auto work = tls::accept(std::move(a), context);
      auto done = co_await std::move(work);
      if (!done) co_return;
      auto reading = done->connection.read();
      const auto asked = co_await std::move(reading);
      if (!asked) co_return;
      done->connection.write("you said " + std::string(asked->view()));
      (void)co_await done->connection.flush();
    });
    io::spawn([&]() -> io::task<> {
      auto work = tls::connect(net::stream(*ring, ends[0]), *each.context, each.name, &why);
      auto done = co_await std::move(work);
      if (!done) co_return;
      name = done->version();
      done->write("hi");
      (void)co_await done->flush();
      auto reading = done->read();
      const auto answer = co_await std::move(reading);
      if (answer) got = answer->view();
    });
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (io::spawned() != 0 && std::chrono::steady_clock::now() < deadline) ring->poll();
    EXPECT_EQ(why, each.why);
    EXPECT_EQ(got, each.why.empty() ? "you said hi" : "") << each.name;
    EXPECT_EQ(name, each.why.empty() ? "TLSv1.3" : "");
  }
}

}  // namespace
