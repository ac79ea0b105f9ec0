// SPDX-License-Identifier: MIT
// What a handler sees of a request.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include <synfp/capture/lookup.hpp>
#include <synfp/endpoint.hpp>
#include <synfp/http/detail/pattern.hpp>
#include <synfp/http/parser.hpp>
#include <synfp/http/percent.hpp>
#include <synfp/http/query.hpp>

SYNFP_BEGIN_NAMESPACE

namespace tls {
class client_hello;  // <synfp/tls/client_hello.hpp>
}

namespace http {

template <class... Routes>
class routes;

namespace detail {
inline constexpr syn_lookup no_syn{};
}

/// A request on a connection. It owns nothing: it and every view it returns are valid until the
/// response has been handed to the connection, that is, as long as the handler (a coroutine included) runs.
/// Copy what has to live longer. Text is as received: not decoded, not normalised. What the parser guarantees
/// of it, see request_parser.
class request {
 public:
  /// `parsed` must be complete, or at least its head if nobody reads the body, and, like its buffer, outlive
  /// the request; so must the rest.
  request(const request_parser& parsed, const endpoint& peer, const endpoint& local,
          const syn_lookup& syn = detail::no_syn, const tls::client_hello* hello = nullptr) noexcept
      : parsed_(&parsed), peer_(&peer), local_(&local), syn_(&syn), hello_(hello) {}
  request(const request_parser&&, const endpoint&, const endpoint&, const syn_lookup& = detail::no_syn,
          const tls::client_hello* = nullptr) = delete;

  http::method method() const noexcept { return parsed_->method(); }
  /// Also of a method that has no enumerator.
  std::string_view method_text() const noexcept { return parsed_->method_text(); }
  std::string_view target() const noexcept { return parsed_->target(); }
  /// The target up to '?', "*" for OPTIONS *.
  std::string_view path() const noexcept { return parsed_->path(); }
  /// The target after the first '?', or empty.
  std::string_view query() const noexcept { return parsed_->query(); }
  http::query_fields query_fields() const noexcept { return http::query_fields(query()); }
  /// Of the first field of this name, if there is one.
  std::optional<encoded_text> query_value(std::string_view name) const noexcept {
    return query_fields().find(name);
  }
  /// The text that stands for "{name}" or "{name...}" in the path of the route that answers. Empty if that
  /// has no such parameter.
  encoded_text param(std::string_view name) const noexcept {
    for (const detail::path_parameter& p : parameters_) {
      if (p.name == name) return encoded_text(detail::text_of(p, path()));
    }
    return {};
  }
  /// 0 or 1, of HTTP/1.x.
  int version_minor() const noexcept { return parsed_->version_minor(); }
  /// host[:port]; may be empty on HTTP/1.0 only.
  std::string_view host() const noexcept { return parsed_->host(); }
  /// Empty for GET and HEAD, whatever the client sent.
  std::string_view body() const noexcept { return parsed_->body(); }
  /// What the client asked for; the server may close nevertheless.
  bool keep_alive() const noexcept { return parsed_->keep_alive(); }

  /// The value of the first field of this name (ASCII case-insensitive). A list may be spread over several
  /// fields: iterate over headers() for those.
  std::optional<std::string_view> header(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < parsed_->header_count(); ++i) {
      const header_field field = parsed_->header(i);
      if (detail::equal(field.name, name)) return field.value;
    }
    return std::nullopt;
  }

  /// All fields in order of arrival: `for (http::header_field f : request.headers())`.
  class header_range {
   public:
    class iterator {
     public:
      using value_type = header_field;
      using difference_type = std::ptrdiff_t;
      iterator() noexcept = default;
      iterator(const request_parser* parsed, std::size_t i) noexcept : parsed_(parsed), i_(i) {}
      header_field operator*() const noexcept { return parsed_->header(i_); }
      iterator& operator++() noexcept {
        ++i_;
        return *this;
      }
      iterator operator++(int) noexcept {
        iterator before = *this;
        ++i_;
        return before;
      }
      friend bool operator==(const iterator&, const iterator&) noexcept = default;

     private:
      const request_parser* parsed_ = nullptr;
      std::size_t i_ = 0;
    };

    explicit header_range(const request_parser& parsed) noexcept : parsed_(&parsed) {}
    iterator begin() const noexcept { return {parsed_, 0}; }
    iterator end() const noexcept { return {parsed_, parsed_->header_count()}; }
    std::size_t size() const noexcept { return parsed_->header_count(); }

   private:
    const request_parser* parsed_;
  };
  header_range headers() const noexcept { return header_range(*parsed_); }

  const endpoint& peer() const noexcept { return *peer_; }
  const endpoint& local() const noexcept { return *local_; }
  /// The SYN of this connection, or why there is none: `if (q.syn()) use(*q.syn());`
  const syn_lookup& syn() const noexcept { return *syn_; }
  /// The ClientHello of this connection, as it was on the wire; null without TLS. Include
  /// <synfp/tls/client_hello.hpp> to look at it.
  const tls::client_hello* hello() const noexcept { return hello_; }

 private:
  template <class... Routes>
  friend class routes;

  const request_parser* parsed_;
  const endpoint* peer_;
  const endpoint* local_;
  const syn_lookup* syn_;
  const tls::client_hello* hello_;
  // Of the route, which is found when the request is there. A request belongs to one thread.
  mutable std::span<const detail::path_parameter> parameters_;
};

}  // namespace http
SYNFP_END_NAMESPACE
