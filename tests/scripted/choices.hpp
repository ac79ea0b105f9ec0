// SPDX-License-Identifier: MIT
// What a script decides, from a seed or from a fuzzer's bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace synfp::test::scripted {

/// What the kernel or the network may do that is not the ordinary course of things.
enum class fault : std::uint8_t {
  short_send,      // less is sent than was asked for
  send_again,      // EINTR, EAGAIN
  send_fails,      // ECONNRESET, EPIPE, ...: the connection is gone
  receive_ends,    // a multishot receive that brought bytes is over
  receive_small,   // fewer bytes than there are
  receive_again,   // EINTR, EAGAIN
  receive_fails,   // ECONNRESET, ETIMEDOUT, ...: the connection is gone
  receive_empty,   // a completion with a buffer that holds nothing
  no_buffer,       // ENOBUFS when a receive is begun, though nothing has arrived
  accept_ends,     // a multishot accept that brought a connection is over
  accept_fails,    // ECONNABORTED, EMFILE, ENOBUFS, EPROTO, ...
  peer_gone,       // the peer has reset before anybody asked for its name
  already,         // a cancellation comes too late: the operation ends by itself
  missed,          // a cancellation does not find an operation that goes on
  busy,            // EBUSY, EAGAIN for a submission
  part_submitted,  // fewer than were handed over
  interrupted,     // EINTR for a wait
  lazy_wake,       // the read of the wake-up ends with an error
  count
};

/// Decides everything in a script that is not decided by the server. When a fuzzer's bytes have been used up,
/// nothing extraordinary happens any more, and the rest is decided as by a seed.
class choices {
 public:
  explicit choices(std::uint64_t seed) noexcept : state_(seed * 2 + 1) { set_rates(); }
  explicit choices(std::span<const std::uint8_t> input) noexcept : input_(input), fuzzed_(true) {
    set_rates();
  }

  /// 0 to n - 1.
  unsigned below(unsigned n) noexcept {
    if (n < 2) return 0;
    if (!fuzzed_) return static_cast<unsigned>((next() >> 32) * n >> 32);
    std::uint32_t value = byte();
    if (n > 256) value |= static_cast<std::uint32_t>(byte()) << 8;
    return value % n;
  }
  bool once_in(unsigned n) noexcept { return below(n) == n - 1; }
  template <class T, std::size_t N>
  T one_of(const T (&values)[N]) noexcept {
    return values[below(N)];
  }

  /// Whether it happens now. A script has some kinds of faults, each with a rate of its own: all of them in
  /// every script would hide those that need a long quiet time.
  bool happens(fault f) noexcept {
    const unsigned rate = rates_[static_cast<std::size_t>(f)];
    return !calm_ && rate != 0 && once_in(rate);
  }
  /// From now on this always happens, and nothing else that is not ordinary.
  void always(fault f) noexcept {
    rates_ = {};
    rates_[static_cast<std::size_t>(f)] = 1;
  }
  /// From now on nothing extraordinary happens.
  void calm() noexcept { calm_ = true; }

 private:
  void set_rates() noexcept {
    constexpr unsigned rates[] = {0, 0, 0, 64, 16, 3};
    const bool any = below(8) != 0;  // or no fault at all
    for (unsigned& rate : rates_) rate = any ? rates[below(6)] : 0;
  }
  std::uint64_t next() noexcept {  // splitmix64
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint8_t byte() noexcept {
    if (used_ != input_.size()) return input_[used_++];
    calm_ = true;
    fuzzed_ = false;
    return 0;
  }

  std::uint64_t state_ = 0;
  std::span<const std::uint8_t> input_;
  std::size_t used_ = 0;
  bool fuzzed_ = false;
  bool calm_ = false;
  std::array<unsigned, static_cast<std::size_t>(fault::count)> rates_{};
};

}  // namespace synfp::test::scripted
