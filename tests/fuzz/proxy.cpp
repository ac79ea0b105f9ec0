// SPDX-License-Identifier: MIT
// Feeds arbitrary bytes to the parser of PROXY headers, whole and cut anywhere, and checks what must hold for
// every input.
#include <cstdint>
#include <span>
#include <vector>

#include <synfp/net/proxy_protocol.hpp>

namespace {

using namespace synfp::net;

void check(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t most = 600;
  const std::span<const std::uint8_t> bytes(data, size);
  const auto whole = parse_proxy_header(bytes, most);
  // A copy of each beginning, so that reading beyond it is seen.
  for (std::size_t n = 0; n <= size; n += n < 130 ? 1 : 37) {
    const std::vector<std::uint8_t> front(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    const auto part = parse_proxy_header(front, most);
    if (whole.header && n < whole.header->size) {
      check(part.incomplete());  // no header ends early, and none that will be whole is refused on the way
    } else if (whole.header) {
      check(part.header && part.header->size == whole.header->size &&
            part.header->source == whole.header->source);
    } else if (whole.incomplete()) {
      check(part.incomplete());
    } else {
      check(!part.header);
    }
  }
  if (!whole.header) {
    if (whole.incomplete()) check(size < most);  // never waits for more than the limit
    return 0;
  }
  const proxy_header& h = *whole.header;
  check(h.size <= size && h.size <= most);
  check(h.version == 1 ? h.size <= longest_proxy_v1 && h.tlvs.empty() : h.size >= 16);
  check(!(h.local && h.has_endpoints));
  for (unsigned type = 0; type != 256; ++type) {
    const auto value = h.tlv(static_cast<std::uint8_t>(type));
    if (value) check(value->data() >= data && value->data() + value->size() <= data + h.size);
  }
  return 0;
}
