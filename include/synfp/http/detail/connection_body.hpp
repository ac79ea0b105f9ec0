// SPDX-License-Identifier: MIT
// The body_reader of a connection.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <synfp/http/body_reader.hpp>
#include <synfp/http/detail/input.hpp>
#include <synfp/http/parse_status.hpp>
#include <synfp/http/parser.hpp>
#include <synfp/http/refusal.hpp>
#include <synfp/http/response.hpp>
#include <synfp/http/serve_options.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/net/transport.hpp>
#include <synfp/result.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// Decodes what is in `in`, where the head is not any more, and receives more when that is used up.
template <net::transport T>
class connection_body final : public body_reader {
 public:
  /// While it waits for the client, and from then on, `spare` is entered; to end that connection cancels `s`.
  connection_body(T& s, request_parser& parser, input& in, const serve_options& options,
                  net::detail::spare_connection& spare) noexcept
      : stream_(&s),
        parser_(&parser),
        in_(&in),
        options_(&options),
        spare_(&spare),
        patience_(options.body_timeout) {}

  bool complete() const noexcept override { return parser_->status() == parse_status::complete; }
  refusal refused_for() const noexcept override { return parser_->refused_for(); }
  /// Why no more can be read, before the end.
  const std::optional<error>& failure() const noexcept { return failure_; }

  /// Drops what there is of a body that is not taken to its end. True if that was all of it.
  bool pass_over() {
    drop();
    while (parser_->status() == parse_status::incomplete) {
      taken_ = parser_->parse_piece(in_->bytes()).consumed;
      if (taken_ == 0) break;
      drop();
    }
    return complete();
  }

 private:
  io::task<result<std::string_view>> next() override {
    if (reading_) co_return error{errc::invalid, 0};
    const in_use guard(reading_);
    while (!failure_) {
      drop();
      if (complete()) co_return error{errc::closed, 0};
      const request_parser::piece p = parser_->parse_piece(in_->bytes());
      taken_ = p.consumed;
      if (!p.data.empty()) co_return p.data;
      drop();
      if (complete()) co_return error{errc::closed, 0};
      if (parser_->status() == parse_status::refused) {
        failure_ = error{status_of(refused_for()) == 413 ? errc::too_large : errc::invalid, 0};
        break;
      }
      if (!in_->empty()) in_->keep();  // the ring's buffer is not held through a wait
      if (!begun_ && in_->empty() && parser_->expects_continue()) {
        stream_->out().append(continue_line);
        const auto flushed = co_await stream_->flush(options_->write_timeout);
        if (!flushed) failure_ = flushed.error();
      }
      begun_ = true;
      if (!failure_ && patience_ <= patience_.zero()) failure_ = error{errc::timed_out, 0};
      if (failure_) break;
      if (spare_->ended()) failure_ = error{errc::canceled, 0};
      if (failure_) break;
      if (!spare_->entered()) spare_->enter(net::detail::loss::request);
      const auto before = stream_->ring().now();
      auto chunk = co_await stream_->read(patience_);
      patience_ -= stream_->ring().now() - before;
      if (!chunk) {
        failure_ = chunk.error();
        break;
      }
      earn(chunk->size());
      in_->add(*std::move(chunk));
    }
    co_return *failure_;
  }

  /// A piece is valid until the next read().
  void drop() {
    begun_ = begun_ || taken_ != 0;
    in_->consume(std::exchange(taken_, 0));
  }
  void earn(std::size_t bytes) noexcept {
    std::chrono::nanoseconds earned = options_->body_timeout;
    if (options_->body_rate != 0)
      earned =
          static_cast<std::int64_t>(bytes) * (std::chrono::nanoseconds(1'000'000'000) / options_->body_rate);
    patience_ = std::min(options_->body_timeout - patience_, earned) + patience_;
  }

  class in_use {
   public:
    explicit in_use(bool& flag) noexcept : flag_(&flag) { flag = true; }
    in_use(const in_use&) = delete;
    in_use& operator=(const in_use&) = delete;
    ~in_use() { *flag_ = false; }

   private:
    bool* flag_;
  };

  T* stream_;
  request_parser* parser_;
  input* in_;
  const serve_options* options_;
  net::detail::spare_connection* spare_;
  std::chrono::nanoseconds patience_;  // what is left of it
  std::size_t taken_ = 0;              // bytes of the piece that the handler has
  bool begun_ = false;                 // some of the body was here
  bool reading_ = false;
  std::optional<error> failure_;
};

}  // namespace http::detail
SYNFP_END_NAMESPACE
