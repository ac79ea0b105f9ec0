// SPDX-License-Identifier: MIT
// What a parser remembers between two calls.
#pragma once

#include <cstddef>
#include <cstdint>

#include <synfp/http/method.hpp>
#include <synfp/http/parse_status.hpp>
#include <synfp/http/refusal.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// What a parser knows about one request; everything that reset() forgets.
struct parse_state {
  enum class phase : std::uint8_t {
    start,
    request_line,
    fields,
    body,
    chunk_size,
    chunk_data,
    chunk_end,
    trailers,
    done
  };
  struct slot {
    std::uint32_t offset;
    std::uint32_t length;
  };
  struct field_slots {
    slot name;
    slot value;
  };
  enum class coding : std::uint8_t { none, chunked, other };

  char* base_ = nullptr;
  std::size_t size_ = 0;
  std::size_t pos_ = 0;      // everything before it is dealt with
  std::size_t scanned_ = 0;  // no LF between pos_ and here
  std::size_t body_start_ = 0;
  std::size_t body_length_ = 0;
  std::uint64_t decoded_ = 0;    // of the chunked body, or of one that is taken piece by piece
  std::uint64_t framing_ = 0;    // bytes of chunk-size lines and of the CRLFs after chunks
  std::uint64_t remaining_ = 0;  // of the body with a length, or of the chunk
  std::uint32_t block_ = 0;      // bytes of header and trailer lines
  std::uint32_t field_count_ = 0;
  std::uint32_t extensions_ = 0;
  slot method_text_{}, target_{}, path_{}, query_{}, host_{};
  int minor_ = 1;
  std::uint32_t header_count_ = 0;
  phase phase_ = phase::start;
  parse_status status_ = parse_status::incomplete;
  refusal refusal_ = refusal::none;
  http::method method_ = http::method::other;
  coding coding_ = coding::none;
  bool absolute_ = false;
  bool host_seen_ = false;
  bool length_seen_ = false;
  bool close_ = false;
  bool keep_alive_ = false;
  bool continue_ = false;
  bool expectation_unknown_ = false;
};

}  // namespace http::detail
SYNFP_END_NAMESPACE
