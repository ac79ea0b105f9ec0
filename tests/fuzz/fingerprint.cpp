// SPDX-License-Identifier: MIT
// Every fingerprint of arbitrary bytes: whole text in bounds, and what must hold between the formats.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <synfp/fingerprint/browser.hpp>
#include <synfp/fingerprint/haproxy.hpp>
#include <synfp/fingerprint/ja4t.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/fingerprint/ndpi.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/fingerprint/pfos.hpp>
#include <synfp/fingerprint/satori.hpp>
#include <synfp/fingerprint/user_agent.hpp>

namespace {

using namespace synfp;

void check(bool holds) {
  if (!holds) __builtin_trap();
}

/// Printable, and of so many fields: text that was cut to its capacity would lack some.
template <std::size_t N>
void check_text(const fixed_text<N>& text, char separator, int separators) {
  check(text.size() > 0 && text.size() <= N);
  const std::string_view v = text.view();
  for (const char c : v) check(c > 0x20 && c < 0x7f);
  check(std::count(v.begin(), v.end(), separator) == separators);
}

struct all {
  std::optional<fixed_text<234>> p0f, strict;
  std::optional<std::uint32_t> mtu;
  fixed_text<192> muonfp;
  fixed_text<130> haproxy;
  std::optional<fixed_text<102>> satori;
  std::optional<fixed_text<27>> ndpi;
  std::optional<fixed_text<98>> pfos;
  fixed_text<95> ja4t;

  explicit all(const syn_record& syn)
      : p0f(fingerprint::p0f(syn)),
        strict(fingerprint::p0f<fingerprint::p0f_reading::strict>(syn)),
        mtu(fingerprint::mtu(syn)),
        muonfp(fingerprint::muonfp(syn)),
        haproxy(fingerprint::haproxy(syn, 7)),
        satori(fingerprint::satori(syn)),
        ndpi(fingerprint::ndpi(syn)),
        pfos(fingerprint::pfos(syn)),
        ja4t(fingerprint::ja4t(syn)) {}
};

template <class Text>
bool same(const std::optional<Text>& a, const std::optional<Text>& b) {
  return a.has_value() == b.has_value() && (!a || a->view() == b->view());
}

void check_p0f(const syn_record& syn, const all& f) {
  using fingerprint::p0f_reading;
  check(f.p0f.has_value() == f.strict.has_value());
  if (!f.p0f) {
    check(!f.mtu);
    return;
  }
  for (const auto* text : {&*f.p0f, &*f.strict}) {
    check_text(*text, ':', 7);
    check(text->view().back() == '0' || text->view().back() == '+');
  }
  const auto compatible = fingerprint::p0f_observe(syn);
  const auto strict = fingerprint::p0f_observe<p0f_reading::strict>(syn);
  // The strict reading sees more acknowledgments and more data behind EOL, nothing less or else.
  constexpr auto two = fingerprint::p0f_signature::ack_nz | fingerprint::p0f_signature::opt_nz;
  check((compatible->quirks & ~strict->quirks) == 0 && ((compatible->quirks ^ strict->quirks) & ~two) == 0);
  check(compatible->kinds <= 24 && compatible->ip_option_length <= 40 && compatible->eol_padding < 40);
  check(f.mtu.has_value() == (compatible->mss != 0));
  if (compatible->unit != fingerprint::p0f_signature::window_unit::none)
    check(compatible->mss >= 100 && compatible->window != 0 && compatible->multiplier <= 655);
  check((compatible->quirks & fingerprint::p0f_signature::ack_z) == 0);
}

void check_record(const syn_record& syn) {
  const all f(syn);
  check_p0f(syn, f);
  check_text(f.muonfp, ':', 3);
  check_text(f.ja4t, '_', 3);
  check_text(f.haproxy, ':', 0);
  for (unsigned mode = 0; mode < 8; ++mode) {
    const auto bytes = fingerprint::haproxy_bytes(syn, mode);
    check(bytes.size() >= 8 && bytes.size() <= bytes.capacity());
    check(fingerprint::haproxy(syn, mode).size() == 2 * bytes.size());
    const std::size_t source = syn.ip().is_v4() ? 4 : 16;
    if ((mode & 2) == 0) check(bytes.size() == 8 + (mode & 1) + ((mode & 4) != 0 ? source : 0));
  }
  if (f.satori) {
    check_text(*f.satori, ':', 5);
    check(syn.ip().is_v4() &&
          std::string_view("PZIDAT.").find(f.satori->view().back()) != std::string_view::npos);
  }
  if (f.ndpi) {
    check_text(*f.ndpi, '_', 3);
    check(f.ndpi->view().size() - f.ndpi->view().rfind('_') == 13);
  }
  if (f.pfos) {
    check_text(*f.pfos, ':', 4);
    check(syn.ip().is_v4() && f.pfos->view().back() != ',');
  }

  // Another record of the same bytes says the same; so does one whose IP options were not kept.
  if (syn.truncated()) return;
  const auto whole = syn.bytes();
  const auto tcp = whole.subspan(syn.tcp_offset());
  for (const std::size_t kept : {std::size_t{syn.tcp_offset()}, std::size_t{syn.ip().is_v4() ? 20U : 40U}}) {
    const std::vector<std::uint8_t> ip(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(kept));
    const auto again =
        syn_record::from_parts(ip, std::vector<std::uint8_t>(tcp.begin(), tcp.end()), syn.tcp_offset());
    check(again.has_value() && again->truncated() == (kept != syn.tcp_offset()));
    const all g(*again);
    check(same(f.p0f, g.p0f) && same(f.strict, g.strict) && f.mtu == g.mtu && same(f.satori, g.satori));
    check(same(f.ndpi, g.ndpi) && same(f.pfos, g.pfos));
    check(f.muonfp == g.muonfp.view() && f.haproxy == g.haproxy.view() && f.ja4t == g.ja4t.view());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Bytes of its own, so that the sanitizer sees where they end.
  const std::vector<std::uint8_t> bytes(data, data + size);
  if (const auto record = syn_record::from_bytes(bytes)) check_record(*record);
  // The same bytes as a User-Agent: only comments and two products name a system.
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto has = [text](std::string_view word) { return text.find(word) != std::string_view::npos; };
  check(fingerprint::os_in_user_agent(text) == fingerprint::os_family::unknown || has("(") ||
        has(" CitrixChromeApp") || has(" KAIOS/"));
  const auto claim = fingerprint::browser_in_user_agent(text);
  check(claim.family == fingerprint::browser::unknown
            ? claim.version == 0
            : text.starts_with("Mozilla/5.0 (") && (has(" Firefox/") || has(" Safari/")));
  // Parts that need not have been a packet: the first two bytes say where TCP began and how much of IP there
  // is.
  if (size < 2) return 0;
  const std::span<const std::uint8_t> rest = std::span(bytes).subspan(2);
  const std::size_t ip = bytes[1] % 121U;
  if (rest.size() < ip + 20) return 0;
  const std::size_t tcp = (rest[ip + 12] >> 4) * 4U;
  if (rest.size() < ip + tcp) return 0;
  if (const auto record = syn_record::from_parts(rest.first(ip), rest.subspan(ip, tcp), bytes[0]))
    check_record(*record);
  return 0;
}
