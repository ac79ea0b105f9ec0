// SPDX-License-Identifier: MIT
// Routes: which handler answers which method and path.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <synfp/http/method.hpp>
#include <synfp/http/request.hpp>
#include <synfp/http/response.hpp>
#include <synfp/io/task.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// A string literal as a template argument.
template <std::size_t N>
struct fixed_string {
  char text[N]{};
  constexpr fixed_string(const char (&literal)[N]) noexcept {  // NOLINT: implicit, to write get<"/">
    for (std::size_t i = 0; i < N; ++i) text[i] = literal[i];
  }
  constexpr std::string_view view() const noexcept { return {text, N - 1}; }
};

namespace detail {

template <class H>
struct handler_traits {
  static constexpr bool callable = std::is_invocable_v<const H&, const request&>;
  template <class T>
  static constexpr bool is_answer = std::is_same_v<T, response> || std::is_same_v<T, io::task<response>>;
  static constexpr bool valid = [] {
    if constexpr (callable) {
      return is_answer<std::remove_cv_t<std::invoke_result_t<const H&, const request&>>>;
    } else {
      return false;
    }
  }();
  static constexpr bool immediate = [] {
    if constexpr (valid) {
      return std::is_same_v<std::remove_cv_t<std::invoke_result_t<const H&, const request&>>, response>;
    } else {
      return false;
    }
  }();
};

constexpr bool valid_route_path(std::string_view path) noexcept {
  if (path.empty() || path[0] != '/') return false;
  for (const char c : path) {
    if (!is(c, target_char) || c == '?' || c == '\\') return false;
  }
  return true;
}

}  // namespace detail

/// One route; made by get(), post() and so on.
template <http::method Method, fixed_string Path, class Handler>
struct route {
  static constexpr http::method method = Method;
  static constexpr std::string_view path = Path.view();
  Handler handler;
};

namespace detail {

template <http::method Method, fixed_string Path, class Handler>
constexpr auto make_route(Handler&& handler) {
  using stored = std::decay_t<Handler>;
  static_assert(
      valid_route_path(Path.view()),
      "the path of a route begins with '/' and consists of visible ASCII characters without '?', '#' and "
      "'\\': it is compared with the path of the request as received");
  static_assert(
      handler_traits<stored>::valid,
      "the handler of a route must be callable as `handler(const http::request&) const` and return "
      "http::response or io::task<http::response>; a lambda must not be mutable, since all requests "
      "share it");
  return route<Method, Path, stored>{std::forward<Handler>(handler)};
}

}  // namespace detail

/// `get<"/path">(handler)`: answers GET and, without the body, HEAD. The handler is stored by value; it and
/// what it refers to must outlive the routes. It is called concurrently by every thread that serves these
/// routes. It may be called before the content that somebody sent with GET has arrived, and never sees it:
/// such content has no meaning (RFC 9110 9.3.1).
template <fixed_string Path, class Handler>
constexpr auto get(Handler&& handler) {
  return detail::make_route<method::get, Path>(std::forward<Handler>(handler));
}
template <fixed_string Path, class Handler>
constexpr auto post(Handler&& handler) {
  return detail::make_route<method::post, Path>(std::forward<Handler>(handler));
}
template <fixed_string Path, class Handler>
constexpr auto put(Handler&& handler) {
  return detail::make_route<method::put, Path>(std::forward<Handler>(handler));
}
template <fixed_string Path, class Handler>
constexpr auto patch(Handler&& handler) {
  return detail::make_route<method::patch, Path>(std::forward<Handler>(handler));
}
/// DELETE.
template <fixed_string Path, class Handler>
constexpr auto del(Handler&& handler) {
  return detail::make_route<method::delete_, Path>(std::forward<Handler>(handler));
}

namespace detail {

template <std::size_t I, class Route>
struct route_slot {
  Route route;
};

/// Shorter paths first: then the length alone decides most comparisons.
constexpr bool path_less(std::string_view a, std::string_view b) noexcept {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

/// What the sorted table knows of a route.
struct route_entry {
  std::string_view path;
  http::method method = http::method::other;
  std::size_t index = 0;

  friend constexpr bool operator<(const route_entry& a, const route_entry& b) noexcept {
    return a.path != b.path ? path_less(a.path, b.path) : a.method < b.method;
  }
};

/// By merging: the compilers limit the steps of a constant expression, and 200 routes sorted by insertion are
/// beyond that.
template <std::size_t N>
constexpr std::array<route_entry, N> sorted(std::array<route_entry, N> from) noexcept {
  std::array<route_entry, N> to{};
  for (std::size_t width = 1; width < N; width *= 2) {
    for (std::size_t begin = 0; begin < N; begin += 2 * width) {
      const std::size_t middle = begin + width < N ? begin + width : N;
      const std::size_t end = begin + 2 * width < N ? begin + 2 * width : N;
      std::size_t left = begin;
      std::size_t right = middle;
      for (std::size_t i = begin; i < end; ++i) {
        const bool take_right = left == middle || (right < end && from[right] < from[left]);
        to[i] = from[take_right ? right++ : left++];
      }
    }
    from = to;
  }
  return from;
}

template <std::size_t N>
constexpr bool all_different(const std::array<route_entry, N>& entries) noexcept {
  for (std::size_t i = 1; i < N; ++i) {
    if (!(entries[i - 1] < entries[i])) return false;
  }
  return true;
}

template <class Indices, class... Routes>
struct route_slots;
template <std::size_t... I, class... Routes>
struct route_slots<std::index_sequence<I...>, Routes...> : route_slot<I, Routes>... {
  constexpr explicit route_slots(Routes... routes) : route_slot<I, Routes>{std::move(routes)}... {}
};

/// Appends the names of the methods in `mask` with what comes for free: HEAD with GET, and OPTIONS.
inline void add_allow(response& r, unsigned mask) {
  text_type list;
  for (unsigned i = 0; i < static_cast<unsigned>(method::other); ++i) {
    const auto m = static_cast<method>(i);
    const unsigned bit = 1U << static_cast<unsigned>(m == method::head ? method::get : m);
    if ((mask & bit) == 0 && m != method::options) continue;
    if (!list.empty()) list.append(", ");
    list.append(to_string(m));
  }
  (void)r.add_header("Allow", list);  // a list of tokens
}

}  // namespace detail

/// The routes of a server: `http::routes routes{http::get<"/">(index), http::post<"/items">(add)};`
/// A route matches the whole path of a request byte by byte; the query does not matter. Two routes with the
/// same method and path do not compile. Everything else is answered here: an unknown path with 404, a known
/// path with another method with 405 and Allow, a method that HTTP does not define with 501, and OPTIONS (of
/// a known path or of "*") with 204 and Allow. Constant after construction: threads may share it.
template <class... Routes>
class routes : private detail::route_slots<std::index_sequence_for<Routes...>, Routes...> {
  using slots = detail::route_slots<std::index_sequence_for<Routes...>, Routes...>;
  static constexpr std::size_t count = sizeof...(Routes);

 public:
  constexpr explicit routes(Routes... all) : slots(std::move(all)...) {
    static_assert(detail::all_different(table), "two routes have the same method and path");
  }

  /// What answers a request: at once, or by a coroutine.
  class answer {
   public:
    bool immediate() const noexcept { return !pending_; }
    /// If immediate().
    response& ready() noexcept { return ready_; }
    /// A handler has made it, or is to.
    bool handled() const noexcept { return handled_; }
    /// If not immediate(): to be awaited once, while the request and the routes live.
    io::task<response> pending() noexcept { return std::move(pending_); }

   private:
    friend routes;
    explicit answer(response&& r, bool handled = true) noexcept : ready_(std::move(r)), handled_(handled) {}
    explicit answer(io::task<response>&& t) noexcept : pending_(std::move(t)) {}
    response ready_;
    io::task<response> pending_;
    bool handled_ = true;
  };

  /// Whether the answer depends on the body, so that it has to be read. Not if there is no such route, and
  /// not of GET.
  bool takes_body(http::method m, std::string_view path) const noexcept {
    if (m == method::get) return false;
    for (std::size_t i = first(path); i < count && table[i].path == path; ++i) {
      if (table[i].method == m) return true;
    }
    return false;
  }

  /// Calls the handler, or answers in its place. Throws what the handler throws.
  answer find(const request& q) const {
    if (q.method() == method::other) return answer(status(501), false);
    const std::string_view path = q.path();
    std::size_t low = first(path);
    const auto wanted = q.method() == method::head ? method::get : q.method();
    unsigned mask = 0;
    for (; low < count && table[low].path == path; ++low) {
      if (table[low].method == wanted) return calls[table[low].index](*this, q);
      mask |= 1U << static_cast<unsigned>(table[low].method);
    }
    if (path == "*") mask = every_method;  // the parser lets it pass for OPTIONS only
    if (mask == 0 && path != "*") return answer(status(404), false);
    response r = status(q.method() == method::options ? 204 : 405);
    detail::add_allow(r, mask);
    return answer(std::move(r), false);
  }

  /// The response to `q`, which must live until it is there, like the routes.
  io::task<response> dispatch(const request& q) const {
    answer a = find(q);
    if (a.immediate()) co_return std::move(a.ready());
    io::task<response> pending = a.pending();
    co_return co_await std::move(pending);
  }

 private:
  /// The first route whose path is not less.
  static std::size_t first(std::string_view path) noexcept {
    std::size_t low = 0;
    for (std::size_t n = count; n > 0;) {
      const std::size_t half = n / 2;
      if (detail::path_less(table[low + half].path, path)) {
        low += half + 1;
        n -= half + 1;
      } else {
        n = half;
      }
    }
    return low;
  }

  template <std::size_t I, class Route>
  static const Route& at(const detail::route_slot<I, Route>& slot) noexcept {
    return slot.route;
  }
  template <std::size_t I>
  static answer call(const routes& self, const request& q) {
    const auto& r = at<I>(static_cast<const slots&>(self));
    if constexpr (detail::handler_traits<decltype(r.handler)>::valid) {
      return answer(r.handler(q));
    } else {
      return answer(status(500));  // make_route() has said what is wrong, in one sentence
    }
  }

  static constexpr std::array<detail::route_entry, count> table = [] {
    std::size_t i = 0;
    return detail::sorted(
        std::array<detail::route_entry, count>{detail::route_entry{Routes::path, Routes::method, i++}...});
  }();
  static constexpr unsigned every_method = (0U | ... | (1U << static_cast<unsigned>(Routes::method)));
  static constexpr auto calls = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<answer (*)(const routes&, const request&), count>{&routes::template call<I>...};
  }
  (std::index_sequence_for<Routes...>{});
};

template <class... Routes>
routes(Routes...) -> routes<Routes...>;

}  // namespace http
SYNFP_END_NAMESPACE
