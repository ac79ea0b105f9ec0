// SPDX-License-Identifier: MIT
// Routes: which handler answers which method and path.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <synfp/http/body_reader.hpp>
#include <synfp/http/detail/pattern.hpp>
#include <synfp/http/method.hpp>
#include <synfp/http/percent.hpp>
#include <synfp/http/request.hpp>
#include <synfp/http/response.hpp>
#include <synfp/http/stream.hpp>
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

template <class... T>
struct types {};

/// What a handler takes, if its type says it: not if it is generic or overloaded.
template <class F>
struct signature {
  static constexpr bool known = false;
};
template <class F>
requires requires { &F::operator(); }
struct signature<F> : signature<decltype(&F::operator())> {};
template <class R, class Q, class... A>
struct signature<R (*)(Q, A...)> {
  static constexpr bool known = true;
  using body = types<>;
  using behind_request = types<A...>;
};
template <class R, class Q, class... A>
struct signature<R (*)(Q, body_reader&, A...)> {
  static constexpr bool known = true;
  using body = types<body_reader&>;
  using behind_request = types<A...>;
};
template <class R, class... A>
struct signature<R (*)(A...) noexcept> : signature<R (*)(A...)> {};
template <class R, class C, class... A>
struct signature<R (C::*)(A...)> : signature<R (*)(A...)> {};
template <class R, class C, class... A>
struct signature<R (C::*)(A...) const> : signature<R (*)(A...)> {};
template <class R, class C, class... A>
struct signature<R (C::*)(A...) noexcept> : signature<R (*)(A...)> {};
template <class R, class C, class... A>
struct signature<R (C::*)(A...) const noexcept> : signature<R (*)(A...)> {};

template <class T>
inline constexpr bool is_path_argument =
    number<T> || std::is_same_v<T, std::string_view> || std::is_same_v<T, encoded_text>;

template <class T>
inline constexpr bool is_stream = std::is_same_v<T, io::task<stream_response>> ||
                                  (!std::is_same_v<T, response> && std::is_convertible_v<T, stream_response>);
template <class T>
inline constexpr bool is_answer =
    std::is_same_v<T, response> || std::is_same_v<T, io::task<response>> || is_stream<T>;

template <class... A>
class path_arguments;

template <class H, class... All>
auto result_of_call() {
  if constexpr (std::is_invocable_v<const H&, All...>) {
    return std::type_identity<std::remove_cv_t<std::invoke_result_t<const H&, All...>>>();
  } else {
    return std::type_identity<void>();
  }
}

/// How `handler(request, A...)` goes, or, with `Body` being types<body_reader&>, `handler(request, body,
/// A...)`.
template <class H, class Body, class... A>
struct call_traits;
template <class H, class... Body, class... A>
struct call_traits<H, types<Body...>, A...> {
  using arguments = types<A...>;
  using values = path_arguments<A...>;
  static constexpr std::size_t count = sizeof...(A);
  static constexpr bool types_fit = (true && ... && is_path_argument<A>);
  using result = typename decltype(result_of_call<H, const request&, Body..., A...>())::type;
  /// It takes the body piece by piece.
  static constexpr bool reads = sizeof...(Body) != 0;
  static constexpr bool valid =
      types_fit && (reads ? std::is_same_v<result, io::task<response>> : is_answer<result>);
  /// stream_answer() calls it, and keeps the request as long as that takes.
  static constexpr bool streams = valid && (reads || is_stream<result>);
  /// It is a coroutine that makes the response.
  static constexpr bool deferred =
      std::is_same_v<result, io::task<response>> || std::is_same_v<result, io::task<stream_response>>;
  static constexpr bool immediate = std::is_same_v<result, response>;
};

template <class H, class Body, class... A>
call_traits<H, Body, A...> with_arguments(types<A...>);
template <std::size_t>
using text_argument = std::string_view;
template <class H, std::size_t... I>
auto with_texts(std::index_sequence<I...>) {
  if constexpr (std::is_invocable_v<const H&, const request&, text_argument<I>...>) {
    return call_traits<H, types<>, text_argument<I>...>();
  } else {
    return call_traits<H, types<>>();
  }
}

template <class H, std::size_t Parameters>
auto traits_of() {
  if constexpr (signature<H>::known) {
    using body = typename signature<H>::body;
    return decltype(with_arguments<H, body>(typename signature<H>::behind_request()))();
  } else {
    return with_texts<H>(std::make_index_sequence<Parameters>());
  }
}
/// How the handler of a route with `Parameters` is called: as its type says, else with texts if it takes that
/// many, else with the request alone.
template <class H, std::size_t Parameters>
using handler_traits = decltype(traits_of<H, Parameters>());

template <class Traits, std::size_t Parameters>
inline constexpr bool as_many = Traits::count == 0 || Traits::count == Parameters;

/// What a handler is called with behind the request.
template <class... A>
class path_arguments {
  using parameters = std::array<path_parameter, sizeof...(A)>;

 public:
  /// What `path` holds, texts with their escapes. Else the status that says so.
  int read(std::string_view path, const parameters& all) noexcept {
    int refused = 0;
    each([&](std::size_t i, auto& value) {
      const int status = read(text_of(all[i], path), value);
      if (refused == 0) refused = status;
    });
    return refused;
  }
  bool escaped() const noexcept { return escaped_ != 0; }
  /// Once, into the empty `to`, where the texts are then.
  void decode(text_type& to) {
    if (!escaped()) return;
    to.reserve(escaped_);  // so that it does not move
    each([&](std::size_t, auto& value) {
      if constexpr (std::is_same_v<decltype(value), std::string_view&>) {
        if (value.find('%') == value.npos) return;
        const std::size_t begin = to.size();
        append_decoded(to, value, false);
        value = std::string_view(to).substr(begin);
      }
    });
  }
  template <class H, class... Body>
  auto call(const H& handler, const request& q, Body&... body) const {
    return std::apply([&](const A&... a) { return handler(q, body..., a...); }, values_);
  }

 private:
  template <class F>
  void each(const F& f) {
    std::apply(
        [&](A&... a) {
          std::size_t i = 0;
          (f(i++, a), ...);
        },
        values_);
  }
  template <number T>
  int read(std::string_view text, T& value) noexcept {
    return read_number(text, value) ? 0 : 404;
  }
  int read(std::string_view text, encoded_text& value) noexcept {
    value = encoded_text(text);
    return 0;
  }
  int read(std::string_view text, std::string_view& value) noexcept {
    value = text;
    if (text.find('%') == text.npos) return 0;
    escaped_ += text.size();
    return encoded_text(text).valid() ? 0 : 400;
  }

  std::tuple<A...> values_;
  std::size_t escaped_ = 0;  // bytes
};

/// The same for a coroutine, which needs its texts until it ends.
template <class... A, class H, std::size_t N>
io::task<response> call_with_decoded(types<A...>, const H& handler, const request& q,
                                     const std::array<path_parameter, N>& parameters) {
  path_arguments<A...> arguments;
  (void)arguments.read(q.path(), parameters);  // as before
  text_type decoded;
  arguments.decode(decoded);
  io::task<response> work = arguments.call(handler, q);
  co_return co_await std::move(work);
}

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
  static constexpr auto segments = detail::split<detail::count_segments(path)>(path);
  static constexpr auto parameters = detail::find_parameters<detail::count_parameters(segments)>(segments);

  /// `post<"/upload">(handler).body_limit(bytes)`: for this route, in place of limits::body; more or less. A
  /// body that is held in memory may not be larger than limits::ring_bodies either.
  constexpr route body_limit(std::uint64_t bytes) && {
    most_body = bytes;
    return std::move(*this);
  }
  /// Bodies of any length. Only a handler that takes them piece by piece can do that.
  constexpr route unlimited_body() && {
    static_assert(
        detail::handler_traits<Handler, parameters.size()>::reads,
        "only a handler that takes an http::body_reader& can do without a limit: other bodies are held "
        "in memory");
    most_body = UINT64_MAX;
    return std::move(*this);
  }

  Handler handler;
  std::optional<std::uint64_t> most_body{};
};

/// Made by fallback().
template <class Handler>
struct fallback_route {
  static constexpr std::array<detail::path_parameter, 0> parameters{};
  Handler handler;
};

namespace detail {

template <http::method Method, fixed_string Path, class Handler>
constexpr auto make_route(Handler&& handler) {
  using stored = std::decay_t<Handler>;
  using made = route<Method, Path, stored>;
  static_assert(
      valid_route_path(Path.view()),
      "the path of a route begins with '/' and consists of visible ASCII characters without '?', '#' and "
      "'\\': it is compared with the path of the request as received");
  static_assert(
      valid_braces(made::segments),
      "a parameter of a route is a whole segment of its path, \"{name}\" or \"{name...}\", and its name "
      "consists of letters, digits and '_'; braces have no other use");
  static_assert(rest_is_last(made::segments), "\"{name...}\" takes all that follows: it is the last segment");
  static_assert(names_differ(made::segments), "two parameters of a route have the same name");
  using traits = handler_traits<stored, made::parameters.size()>;
  constexpr bool as_many = detail::as_many<traits, made::parameters.size()>;
  static_assert(as_many,
                "the handler of a route takes, behind the request, nothing or each parameter of the path, in "
                "their order");
  static_assert(
      !as_many || traits::types_fit,
      "a parameter of a path arrives, by value, as std::string_view, http::encoded_text or an integer");
  static_assert(
      !as_many || !traits::types_fit || traits::valid,
      "the handler of a route must be callable as `handler(const http::request&) const` and return "
      "http::response, http::stream_response, io::task of one of them, or http::events; a lambda must not be "
      "mutable, since all requests share it. Parameters of the path may follow the request. One that reads "
      "the "
      "body piece by piece is `io::task<http::response> handler(const http::request&, http::body_reader&)`");
  static_assert(!traits::reads || Method != http::method::get,
                "a handler of GET has no body to read: content of GET has no meaning (RFC 9110 9.3.1)");
  return made{std::forward<Handler>(handler)};
}

}  // namespace detail

/// `get<"/path">(handler)`: answers GET and, without the body, HEAD. The handler is stored by value; it and
/// what it refers to must outlive the routes. It is called concurrently by every thread that serves these
/// routes. It may be called before the content that somebody sent with GET has arrived, and never sees it:
/// such content has no meaning (RFC 9110 9.3.1).
///
/// A segment "{name}" of the path stands for any text that is not empty, and "{name...}", the last one, for
/// all that follows, '/' and nothing included. The handler asks for it by q.param("name"), or takes each
/// behind the request, in their order and by value:
///
/// - An integer: the text is a decimal number that it can hold, else the answer is 404.
/// - std::string_view: the decoded text, valid until the handler ends, a coroutine included. Memory is taken
///   only if there are escapes, from the thread's pool. An escape that is none: 400.
/// - encoded_text: the text as received, which decodes when it is asked to.
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

/// What answers if there is no route for a path, in place of 404: a page, or a redirect. Any method that HTTP
/// defines gets there, also OPTIONS. It sees no body, as if it were get(): whoever wants one takes
/// post<"/{path...}">. A path that has a route is not its business: another method there is still 405.
template <class Handler>
constexpr auto fallback(Handler&& handler) {
  using stored = std::decay_t<Handler>;
  static_assert(
      detail::handler_traits<stored, 0>::valid && detail::handler_traits<stored, 0>::count == 0 &&
          !detail::handler_traits<stored, 0>::reads,
      "the fallback must be callable as `handler(const http::request&) const` and return "
      "http::response, http::stream_response, io::task of one of them, or http::events; a lambda must not be "
      "mutable, since all requests share it");
  return fallback_route<stored>{std::forward<Handler>(handler)};
}

namespace detail {

template <class T>
inline constexpr bool is_fallback = false;
template <class H>
inline constexpr bool is_fallback<fallback_route<H>> = true;

template <std::size_t I, class Route>
struct route_slot {
  Route route;
};

/// Shorter paths first: then the length alone decides most comparisons.
constexpr bool path_less(std::string_view a, std::string_view b) noexcept {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

/// What the sorted table knows of a route without parameters.
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
template <class Entry, std::size_t N>
constexpr std::array<Entry, N> sorted(std::array<Entry, N> from) noexcept {
  std::array<Entry, N> to{};
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

template <class Entry, std::size_t N>
constexpr bool all_different(const std::array<Entry, N>& entries) noexcept {
  for (std::size_t i = 1; i < N; ++i) {
    if (!(entries[i - 1] < entries[i])) return false;
  }
  return true;
}

/// Of the routes without parameters, and of those with some.
template <std::size_t N, class... Routes>
constexpr std::array<route_entry, N> literal_table() noexcept {
  std::array<route_entry, N> all{};
  [[maybe_unused]] std::size_t n = 0;
  std::size_t index = 0;
  [[maybe_unused]] const auto add = [&]<class Route>(const Route*) {
    if constexpr (Route::parameters.empty() && !is_fallback<Route>)
      all[n++] = {Route::path, Route::method, index};
    ++index;
  };
  (add(static_cast<const Routes*>(nullptr)), ...);
  return sorted(all);
}
template <std::size_t N, class... Routes>
constexpr std::array<pattern_entry, N> pattern_table() noexcept {
  std::array<pattern_entry, N> all{};
  [[maybe_unused]] std::size_t n = 0;
  std::size_t index = 0;
  [[maybe_unused]] const auto add = [&]<class Route>(const Route*) {
    if constexpr (!Route::parameters.empty())
      all[n++] = {Route::segments.data(), Route::segments.size(), Route::method, index};
    ++index;
  };
  (add(static_cast<const Routes*>(nullptr)), ...);
  return sorted(all);
}

template <class Route>
constexpr unsigned method_bit() noexcept {
  if constexpr (is_fallback<Route>) {
    return 0;
  } else {
    return 1U << static_cast<unsigned>(Route::method);
  }
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
/// A route matches the whole path of a request byte by byte; the query does not matter. Where several match,
/// the first segment that differs decides: literal text is before "{name}", and that before "{name...}". Only
/// among routes with the method of the request: `post<"/hosts/new">` does not hide `get<"/hosts/{id}">`. Two
/// routes with the same method that match the same paths do not compile. Everything else is answered here: an
/// unknown path with 404, or by the fallback(), a known path with another method with 405 and Allow, a method
/// that HTTP does not define with 501, and OPTIONS (of a known path or of "*") with 204 and Allow. Constant
/// after construction: threads may share it.
template <class... Routes>
class routes : private detail::route_slots<std::index_sequence_for<Routes...>, Routes...> {
  using slots = detail::route_slots<std::index_sequence_for<Routes...>, Routes...>;
  static constexpr std::size_t count = sizeof...(Routes);
  static constexpr std::size_t fallbacks = (std::size_t{0} + ... + detail::is_fallback<Routes>);
  static constexpr std::size_t patterns = (std::size_t{0} + ... + !Routes::parameters.empty());
  static constexpr std::size_t literals = count - patterns - fallbacks;

 public:
  constexpr explicit routes(Routes... all) : slots(std::move(all)...) {
    static_assert(detail::all_different(table), "two routes have the same method and path");
    static_assert(
        detail::all_different(parametric),
        "two routes have the same method and match the same paths, whatever their parameters are called");
    static_assert(fallbacks <= 1, "there is more than one fallback");
  }

  /// A handler of these may return a stream.
  static constexpr bool streams =
      (false || ... || detail::handler_traits<decltype(Routes::handler), Routes::parameters.size()>::streams);

  /// Makes a response that may be a stream.
  class stream_call {
   public:
    stream_call() noexcept = default;
    /// `q`, `body`, and the texts of the path that are put into the empty `decoded`, must live until the
    /// stream ends.
    io::task<stream_response> operator()(const request& q, body_reader& body, text_type& decoded) const {
      return make_(*all_, q, body, decoded);
    }
    explicit operator bool() const noexcept { return all_ != nullptr; }

   private:
    friend routes;
    using function = io::task<stream_response> (*)(const routes&, const request&, body_reader&, text_type&);
    stream_call(const routes& all, function make) noexcept : all_(&all), make_(make) {}
    const routes* all_ = nullptr;
    function make_ = nullptr;
  };

  /// A stream_call, or what never is one.
  using maybe_stream = std::conditional_t<streams, stream_call, std::false_type>;

  /// What answers a request: at once, by a coroutine, or by a stream.
  class answer {
   public:
    /// What makes the response, if the handler may return a stream; it has not been called then.
    maybe_stream stream() const noexcept { return stream_; }
    /// A coroutine for which there was no memory is none: awaiting it says so.
    bool immediate() const noexcept { return !pending_ && !pending_.out_of_memory(); }
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
    explicit answer(stream_call call) noexcept : stream_(call) {}
    response ready_;
    io::task<response> pending_;
    bool handled_ = true;
    [[no_unique_address]] maybe_stream stream_;
  };

  /// What becomes of the body of a request.
  struct body_use {
    /// The answer depends on it, so that it has to be read. Not if there is no such route, and not of GET.
    bool taken = false;
    bool in_pieces = false;               ///< by the handler
    std::optional<std::uint64_t> most{};  ///< in place of limits::body
  };
  body_use use_of_body(http::method m, std::string_view path) const noexcept {
    if (m == method::get) return {};
    for (std::size_t i = first(path); i < literals && table[i].path == path; ++i) {
      if (table[i].method == m) return uses[table[i].index](*this);
    }
    const detail::pattern_entry* found = nullptr;
    const auto visit = [&](const detail::pattern_entry& e) {
      if (e.method == m) found = &e;
      return found != nullptr;
    };
    if (match(path, visit)) return uses[found->index](*this);
    return {};
  }
  bool takes_body(http::method m, std::string_view path) const noexcept { return use_of_body(m, path).taken; }

  /// Calls the handler, or answers in its place. Throws what the handler throws.
  answer find(const request& q) const {
    if (q.method() == method::other) return answer(status(501), false);
    const std::string_view path = q.path();
    std::size_t low = first(path);
    const auto wanted = q.method() == method::head ? method::get : q.method();
    unsigned mask = 0;
    for (; low < literals && table[low].path == path; ++low) {
      if (table[low].method == wanted) return calls[table[low].index](*this, q);
      mask |= 1U << static_cast<unsigned>(table[low].method);
    }
    const detail::pattern_entry* found = nullptr;
    const auto visit = [&](const detail::pattern_entry& e) {
      mask |= 1U << static_cast<unsigned>(e.method);
      if (e.method == wanted) found = &e;
      return found != nullptr;
    };
    if (match(path, visit)) return calls[found->index](*this, q);
    if (path == "*") mask = every_method;  // the parser lets it pass for OPTIONS only
    if (mask == 0 && path != "*") {
      if constexpr (fallbacks != 0) return calls[fallback_index](*this, q);
      return answer(status(404), false);
    }
    response r = status(q.method() == method::options ? 204 : 405);
    detail::add_allow(r, mask);
    return answer(std::move(r), false);
  }

  /// The response to `q`, which must live until it is there, like the routes.
  io::task<response> dispatch(const request& q) const {
    static_assert(!streams, "dispatch() gives whole responses, and a handler of these routes may stream");
    answer a = find(q);
    if (a.immediate()) co_return std::move(a.ready());
    io::task<response> pending = a.pending();
    co_return co_await std::move(pending);
  }

 private:
  /// The first route whose path is not less.
  static std::size_t first(std::string_view path) noexcept {
    std::size_t low = 0;
    for (std::size_t n = literals; n > 0;) {
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

  template <class Visit>
  static bool match([[maybe_unused]] std::string_view path, [[maybe_unused]] const Visit& visit) {
    if constexpr (patterns != 0) {
      if (!path.starts_with('/')) return false;  // "*"
      return detail::match(parametric.data(), parametric.data() + patterns, 0, path.substr(1), visit);
    } else {
      return false;
    }
  }

  template <std::size_t I, class Route>
  static const Route& at(const detail::route_slot<I, Route>& slot) noexcept {
    return slot.route;
  }
  template <std::size_t I>
  static answer call(const routes& self, const request& q) {
    const auto& r = at<I>(static_cast<const slots&>(self));
    using made = std::remove_cvref_t<decltype(r)>;
    using traits = detail::handler_traits<decltype(r.handler), made::parameters.size()>;
    if constexpr (!made::parameters.empty()) q.parameters_ = made::parameters;
    if constexpr (!traits::valid || !detail::as_many<traits, made::parameters.size()>) {
      return answer(status(500));  // make_route() has said what is wrong, in one sentence
    } else if constexpr (traits::streams) {
      if constexpr (traits::count != 0) {
        typename traits::values arguments;
        if (const int refused = arguments.read(q.path(), made::parameters))
          return answer(status(refused), false);
      }
      return answer(stream_call(self, &routes::template make_stream<I>));
    } else if constexpr (traits::count == 0) {
      return answer(r.handler(q));
    } else {
      return call_with<traits::immediate>(typename traits::arguments(), r, q);
    }
  }
  template <std::size_t I>
  static body_use use([[maybe_unused]] const routes& self) noexcept {
    using made = std::remove_cvref_t<decltype(at<I>(static_cast<const slots&>(self)))>;
    if constexpr (detail::is_fallback<made>) {
      return {};
    } else {
      using traits = detail::handler_traits<decltype(made::handler), made::parameters.size()>;
      return {true, traits::reads, at<I>(static_cast<const slots&>(self)).most_body};
    }
  }
  template <bool Immediate, class... A, class Route>
  static answer call_with(detail::types<A...> kinds, const Route& r, const request& q) {
    detail::path_arguments<A...> arguments;
    text_type decoded;
    if (const int refused = arguments.read(q.path(), r.parameters)) return answer(status(refused), false);
    if (arguments.escaped()) {
      if constexpr (!Immediate) return answer(detail::call_with_decoded(kinds, r.handler, q, r.parameters));
      arguments.decode(decoded);
    }
    return answer(arguments.call(r.handler, q));
  }

  template <std::size_t I>
  static io::task<stream_response> make_stream(const routes& self, const request& q,
                                               [[maybe_unused]] body_reader& body, text_type& decoded) {
    const auto& r = at<I>(static_cast<const slots&>(self));
    using made = std::remove_cvref_t<decltype(r)>;
    using traits = detail::handler_traits<decltype(r.handler), made::parameters.size()>;
    if constexpr (!made::parameters.empty()) q.parameters_ = made::parameters;
    typename traits::values arguments;
    if constexpr (traits::count != 0) {
      (void)arguments.read(q.path(), made::parameters);  // as before
      arguments.decode(decoded);
    }
    if constexpr (traits::reads) {
      auto work = arguments.call(r.handler, q, body);
      co_return co_await std::move(work);
    } else if constexpr (traits::deferred) {
      auto work = arguments.call(r.handler, q);
      co_return co_await std::move(work);
    } else {
      co_return arguments.call(r.handler, q);
    }
  }

  static constexpr auto table = detail::literal_table<literals, Routes...>();
  static constexpr auto parametric = detail::pattern_table<patterns, Routes...>();
  static constexpr unsigned every_method = (0U | ... | detail::method_bit<Routes>());
  static constexpr std::size_t fallback_index = [] {
    std::size_t i = 0;
    (void)(false || ... || (detail::is_fallback<Routes> || (++i, false)));
    return i;
  }();
  static constexpr auto uses = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<body_use (*)(const routes&) noexcept, count>{&routes::template use<I>...};
  }
  (std::index_sequence_for<Routes...>{});
  static constexpr auto calls = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<answer (*)(const routes&, const request&), count>{&routes::template call<I>...};
  }
  (std::index_sequence_for<Routes...>{});
};

template <class... Routes>
routes(Routes...) -> routes<Routes...>;

}  // namespace http
SYNFP_END_NAMESPACE
