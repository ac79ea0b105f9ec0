// SPDX-License-Identifier: MIT
// Finds the ClientHello in the first bytes of a TLS connection. It allocates nothing, needs no TLS library,
// and can be used without the rest of synfp.
#pragma once

#include <algorithm>  // copy_n, min
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <synfp/detail/big_endian.hpp>
#include <synfp/tls/client_hello.hpp>
#include <synfp/tls/refusal.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace tls {

enum class hello_status : std::uint8_t {
  incomplete,  ///< everything so far is the beginning of a ClientHello; show it more bytes
  complete,
  refused,  ///< see refused_for()
};

/// Looks at what a client sends, and leaves it to whoever speaks TLS with that client, or passes it on: show
/// every received byte once, in order, in pieces of any size, until it no longer says `incomplete`. It copies
/// what the records hold of the hello into a buffer of the caller's, which must outlive it; the received
/// bytes may go at once. The outcome depends on the bytes only, not on how they were split over calls; nor
/// does the hello depend on how the client split it over records.
///
/// Bounded by the buffer: a hello that does not fit is refused as soon as its length is known, which is
/// before any of its body is stored. No record is empty, so what a client can send before the answer is known
/// is at most six times the buffer, in records of one byte; a client that stops in the middle is for the
/// caller's timer. max_hello is larger than any that browsers send, with post-quantum key shares, too.
///
/// A connection has one hello for it: the first. The second one, which follows a HelloRetryRequest, is not
/// looked at, nor is anything else behind the first.
class hello_parser {
 public:
  /// A size for the buffer.
  static constexpr std::size_t max_hello = std::size_t{16} * 1024;

  constexpr explicit hello_parser(std::span<std::uint8_t> buffer) noexcept : buffer_(buffer) {}

  constexpr hello_status look(std::span<const std::uint8_t> received) noexcept {
    while (status_ == hello_status::incomplete && !received.empty()) {
      const std::size_t taken = record_left_ == 0 ? take_header(received[0]) : take_fragment(received);
      seen_ += taken;
      received = received.subspan(taken);
    }
    return status_;
  }

  constexpr hello_status status() const noexcept { return status_; }
  constexpr refusal refused_for() const noexcept { return why_; }
  /// Once complete; else empty. A view of the buffer.
  constexpr const client_hello& hello() const noexcept { return hello_; }
  /// The handshake message with its header, without the records' headers. Once complete.
  constexpr std::span<const std::uint8_t> message() const noexcept {
    return status_ == hello_status::complete ? std::span<const std::uint8_t>(buffer_.first(filled_))
                                             : std::span<const std::uint8_t>();
  }
  /// How many bytes it has looked at: once complete, up to the last byte of the hello; once refused, up to
  /// the one that decided.
  constexpr std::size_t seen() const noexcept { return seen_; }
  /// Bytes of the record which it has begun and not seen. Once complete: what follows the hello in its
  /// record.
  constexpr std::size_t left_in_record() const noexcept { return record_left_; }

 private:
  static constexpr std::uint8_t handshake_ = 22;
  static constexpr std::size_t message_header_ = 4;
  static constexpr std::size_t max_fragment_ = 1 << 14;

  /// Judges each byte when it comes, so that nobody waits for what cannot become a hello any more.
  constexpr std::size_t take_header(std::uint8_t byte) noexcept {
    header_[header_used_++] = byte;
    switch (header_used_) {
      case 1:
        if (byte != handshake_ && (byte < 0x80 || filled_ != 0)) refuse(why_not_handshake(byte));
        break;
      case 2:
        if (header_[0] == handshake_ && byte != 3) refuse(refusal::record_version);
        break;
      case 3:  // two bytes of length and the type of SSL 2.0's hello
        if (header_[0] != handshake_) refuse(byte == 1 ? refusal::ssl2 : refusal::not_tls);
        break;
      case 5: {
        const std::size_t length = synfp::detail::load_be16(header_.data() + 3);
        header_used_ = 0;
        record_left_ = length;
        if (length == 0) refuse(refusal::record_empty);
        if (length > max_fragment_) refuse(refusal::record_too_long);
        break;
      }
      default: break;
    }
    return 1;
  }

  constexpr refusal why_not_handshake(std::uint8_t type) const noexcept {
    if (filled_ != 0) return refusal::record_interleaved;
    if (type >= 'A' && type <= 'Z') return refusal::plain_text;
    return type >= 20 && type <= 24 ? refusal::not_handshake : refusal::not_tls;
  }

  constexpr std::size_t take_fragment(std::span<const std::uint8_t> received) noexcept {
    // The type alone first: another message is told by it, however much of it is there.
    const std::size_t wanted = filled_ == 0 ? 1 : filled_ < message_header_ ? message_header_ : length_;
    if (wanted > buffer_.size()) {
      refuse(refusal::too_large);
      return 0;
    }
    const std::size_t n = std::min({received.size(), record_left_, wanted - filled_});
    std::copy_n(received.data(), n, buffer_.data() + filled_);
    filled_ += n;
    record_left_ -= n;
    if (buffer_[0] != 1) {
      refuse(refusal::not_client_hello);
    } else if (filled_ == message_header_) {
      length_ = message_header_ + (std::size_t{buffer_[1]} << 16 | synfp::detail::load_be16(&buffer_[2]));
      if (length_ > buffer_.size()) refuse(refusal::too_large);
    }
    if (status_ == hello_status::incomplete && filled_ >= message_header_ && filled_ == length_) finish();
    return n;
  }

  constexpr void finish() noexcept {
    const refusal why = hello_.assign(buffer_.first(filled_));
    if (why != refusal::none) {
      refuse(why);
    } else {
      status_ = hello_status::complete;
    }
  }
  constexpr void refuse(refusal why) noexcept {
    why_ = why;
    status_ = hello_status::refused;
  }

  std::span<std::uint8_t> buffer_;
  std::size_t filled_ = 0;       // bytes of the message in buffer_
  std::size_t length_ = 0;       // of the message with its header, once that is there
  std::size_t record_left_ = 0;  // bytes of this record to come
  std::size_t seen_ = 0;
  std::array<std::uint8_t, 5> header_{};  // of the record that begins
  std::size_t header_used_ = 0;
  hello_status status_ = hello_status::incomplete;
  refusal why_ = refusal::none;
  client_hello hello_;
};

}  // namespace tls
SYNFP_END_NAMESPACE
