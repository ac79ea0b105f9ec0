// SPDX-License-Identifier: MIT
// An access log: one line for each response, with the fingerprint of the connection's SYN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <synfp/http/detail/log_line.hpp>
#include <synfp/http/detail/log_writer.hpp>
#include <synfp/http/observer.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

/// How a line looks. In the first two everything from the client is in quotes, and in there a quote, a
/// backslash and every byte that is not visible ASCII is written in hexadecimal, as nginx does; p0f's
/// signature of the SYN, or "-", is one more field at the end. A field is cut off after 2048 bytes ("...").
enum class log_format : std::uint8_t {
  common,    ///< ADDRESS - - [TIME] "REQUEST LINE" STATUS BODY-BYTES "P0F"
  combined,  ///< the same with "REFERER" "USER-AGENT" before the last field
  json,      ///< an object: see docs/guide/observing.md
};

struct access_log_options {
  log_format format = log_format::combined;
  /// Bytes of lines that each thread can have waiting; rounded up to a power of two.
  std::size_t buffer = 1024 * 1024;
  /// Writing begins to fail, or goes on. From the log's own thread.
  std::function<void(std::string_view)> notice{};
};

/// An observer that writes a line for each response, to a file or to stderr. The threads that serve never
/// wait for it: each puts its lines into a buffer of its own, without a lock, an allocation or, as a rule, a
/// system call, and a thread of the log writes them, together and whole (O_APPEND). Lines that find the
/// buffer full are dropped; how many, the log says in their place: `# 3 lines dropped` or {..."dropped":3}.
/// It must outlive what it observes. Its destructor writes what waits, but gives up if the file takes nothing
/// for a second.
class access_log {
 public:
  /// `path`: "-" is stderr. A file is made if there is none, readable for its owner and group.
  static setup_result<access_log> open(std::string path, access_log_options options = {}) {
    auto writer = detail::log_writer::open(
        std::move(path), options.buffer,
        options.format == log_format::json ? &detail::append_dropped_json : &detail::append_dropped,
        std::move(options.notice));
    if (!writer) return std::move(writer).error();
    return access_log(*std::move(writer), options.format);
  }
#if defined(__cpp_exceptions)
  /// open() that throws setup_failure.
  explicit access_log(std::string path, access_log_options options = {})
      : access_log(value_or_throw(open(std::move(path), std::move(options)))) {}
#endif

  void answered(const exchange& e) noexcept {
    detail::log_lane* const lane = writer_->lane();
    if (lane == nullptr) return writer_->drop();
    detail::log_text line(*lane);
    const std::uint64_t dropped = lane->dropped.load(std::memory_order_relaxed);
    if (dropped != lane->told) writer_->append_dropped(line, *lane, dropped - lane->told);
    switch (format_) {
      case log_format::common: detail::append_common_line(line, lane->time, e, false); break;
      case log_format::combined: detail::append_common_line(line, lane->time, e, true); break;
      case log_format::json: detail::append_json_line(line, lane->time, e); break;
    }
    if (!line.commit()) {
      lane->dropped.store(dropped + 1, std::memory_order_relaxed);
      return;
    }
    lane->told = dropped;
    writer_->committed(line.much_waits());
  }

  /// Opens the file anew, after it was renamed: what is not written yet goes to the new one. Call it when
  /// SIGHUP has come, from any thread but a signal handler. If it fails, the old file stays. Nothing for
  /// stderr.
  setup_result<void> reopen() { return writer_->reopen(); }

  /// Lines that were not written, and never will be.
  std::uint64_t dropped() const noexcept { return writer_->dropped(); }

 private:
  access_log(std::unique_ptr<detail::log_writer> writer, log_format format) noexcept
      : writer_(std::move(writer)), format_(format) {}

  std::unique_ptr<detail::log_writer> writer_;
  log_format format_;
};

}  // namespace http
SYNFP_END_NAMESPACE
