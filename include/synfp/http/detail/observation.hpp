// SPDX-License-Identifier: MIT
// What an observer is told of one connection.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

#include <synfp/http/detail/producer.hpp>
#include <synfp/http/observer.hpp>
#include <synfp/http/parser.hpp>
#include <synfp/http/request.hpp>
#include <synfp/http/response.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/net/connection_facts.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/net/transport.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// The first line of `bytes`, or what there is of it, without its line end and the empty line before it.
inline std::string_view first_line(std::span<const char> bytes) noexcept {
  std::string_view text(bytes.data(), bytes.size());
  if (text.starts_with("\r\n")) text.remove_prefix(2);
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

/// Lets the views of `parser` follow the bytes, which may lie elsewhere since it saw them. Apart, so that a
/// second call does not change what compilers make of the first.
[[gnu::cold, gnu::noinline]] inline void follow(request_parser& parser, std::span<char> bytes) noexcept {
  (void)parser.parse_head(bytes);  // there is nothing new in them
}

/// A wait for the client ended with `why`, and the connection ends with it. One whose client does not read is
/// reset: the kernel would keep what was sent, and offer it for minutes to a client that does not want it.
template <net::transport T>
ending give_up(T& s, const net::detail::spare_connection& spare, const error& why) noexcept {
  const bool spared = why.code == errc::canceled && !s.ring().stopping();
  const bool unread = why.code == errc::timed_out || why.os == ENOBUFS;
  if constexpr (requires { s.abort(); }) {
    if (unread || (spared && spare.ended())) s.abort();
  }
  if (unread) return ending::not_read;
  if (why.code != errc::canceled) return ending::gone;
  return spared ? ending::spared : ending::stopped;
}

/// The calls to an observer, and what they need to know. Empty without one.
template <class O>
class observation {
  using clock = io::ring::clock;

 public:
  observation(O& o, const io::ring& r, const net::connection_facts& facts) noexcept
      : observer_(o), ring_(r), facts_(facts) {
    if constexpr (requires { o.opened(facts); }) {
      static_assert(noexcept(o.opened(facts)), "opened() of an observer must be noexcept");
      o.opened(facts);
    }
  }
  ~observation() {
    if constexpr (requires { observer_.closed(facts_, ending_); }) {
      static_assert(noexcept(observer_.closed(facts_, ending_)), "closed() of an observer must be noexcept");
      observer_.closed(facts_, ending_);
    } else if constexpr (requires { observer_.closed(facts_); }) {
      static_assert(noexcept(observer_.closed(facts_)), "closed() of an observer must be noexcept");
      observer_.closed(facts_);
    }
  }
  observation(const observation&) = delete;
  observation& operator=(const observation&) = delete;

  /// What closed() will be told, unless the coroutine is destroyed before it ends by itself.
  void ends(ending why) noexcept { ending_ = why; }

  /// There are bytes of a request that is not answered yet.
  void has_bytes() noexcept {
    if (begun_) return;
    begun_ = true;
    begin_ = ring_.now();  // of the turn that has brought them
  }
  /// `written`: of `r`, in all. `q`: null, or valid. `bytes`: of the request, or empty.
  void answered(const request* q, const request_parser& parser, std::span<const char> bytes,
                const response& r, response_framing framing, cause why, std::size_t written) noexcept {
    const bool bodiless = framing.head || is_bodiless(r.status());
    answered(q, parser, bytes, r, why, {written, bodiless ? 0 : r.body().size(), true});
  }
  /// The same for a response of which this was sent.
  void answered(const request* q, const request_parser& parser, std::span<const char> bytes,
                const response& r, cause why, const sent_bytes& sent) noexcept {
    observer_.answered(exchange{.connection = facts_,
                                .request = q,
                                .request_line = first_line(bytes),
                                .method = parser.method(),
                                .status = r.status(),
                                .cause = why,
                                .refused_for = why == cause::refused ? parser.refused_for() : refusal::none,
                                .bytes = sent.all,
                                .body_bytes = sent.body,
                                .complete = sent.complete,
                                .duration = clock::now() - begin_});
    begun_ = false;
  }

 private:
  O& observer_;
  const io::ring& ring_;
  const net::connection_facts& facts_;
  bool begun_ = false;
  ending ending_ = ending::stopped;
  clock::time_point begin_{};
};

template <class O>
requires std::is_same_v<std::remove_const_t<O>, no_observer>
class observation<O> {
 public:
  observation(O&, const io::ring&, const net::connection_facts&) noexcept {}
  void ends(ending) noexcept {}
  void has_bytes() noexcept {}
  void answered(const request*, const request_parser&, std::span<const char>, const response&,
                response_framing, cause, std::size_t) noexcept {}
  void answered(const request*, const request_parser&, std::span<const char>, const response&, cause,
                const sent_bytes&) noexcept {}
};

}  // namespace http::detail
SYNFP_END_NAMESPACE
