// SPDX-License-Identifier: MIT
// The page that shows visitors their SYN. No script is needed to read it; live.js adds the list of recent
// handshakes.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <synfp/fingerprint/haproxy.hpp>
#include <synfp/fingerprint/identify.hpp>
#include <synfp/fingerprint/ja3.hpp>
#include <synfp/fingerprint/ja4.hpp>
#include <synfp/fingerprint/muonfp.hpp>
#include <synfp/fingerprint/ndpi.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/fingerprint/pfos.hpp>
#include <synfp/fingerprint/satori.hpp>
#include <synfp/http/accept.hpp>
#include <synfp/http/request.hpp>
#include <synfp/http/response.hpp>
#include <synfp/tls/client_hello.hpp>

#include "words.hpp"

namespace visitor {

using synfp::syn_lookup;
using synfp::syn_record;
using text = synfp::http::text_type;

/// Everything the page loads comes from here, and nobody may frame it or send its forms elsewhere.
inline constexpr std::string_view content_security_policy =
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri "
    "'none'; "
    "form-action 'none'; frame-ancestors 'none'";

/// What a client sent, between tags or in a quoted attribute. Bytes that are not visible ASCII are dots.
inline text escaped(std::string_view from) {
  text to;
  for (const char c : from) {
    switch (c) {
      case '&': to.append("&amp;"); break;
      case '<': to.append("&lt;"); break;
      case '>': to.append("&gt;"); break;
      case '"': to.append("&quot;"); break;
      case '\'': to.append("&#39;"); break;
      default: to.push_back(c >= ' ' && c <= '~' ? c : '.');
    }
  }
  return to;
}

/// Numbers as they are on the wire.
inline unsigned u16(const std::uint8_t* at) { return unsigned{at[0]} << 8 | at[1]; }
inline std::uint32_t u32(const std::uint8_t* at) { return std::uint32_t{u16(at)} << 16 | u16(at + 2); }

/// Builds the page; one use.
class page {
 public:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  text build(const synfp::http::request& q, const synfp::fingerprint::identifier& who) {
    out_.reserve(24 * 1024);
    begin();
    summary(q, who);
    if (const syn_lookup& syn = q.syn()) {
      drawing(*syn);
      fields(*syn);
      options(*syn);
      fingerprints(*syn);
    }
    if (q.hello() != nullptr) hello(*q.hello());
    recent();
    put("</main>\n<footer><p>Made with synfp. Programs get the same as JSON: <code>Accept: "
        "application/json</code>. "
        "Nothing about you is stored.</p></footer>\n</body>\n</html>\n");
    return std::move(out_);
  }

 private:
  void begin() {
    put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Your TCP SYN</title>\n"
        "<link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"/visitor.css\">\n"
        "<script src=\"/visitor.js\" defer></script>\n</head>\n<body>\n<header><h1>Your TCP SYN</h1>\n"
        "<p>The first packet of this connection, before any byte of HTTP. Your system&#39;s TCP chose what "
        "is in "
        "it.</p></header>\n<main>\n");
  }

  void summary(const synfp::http::request& q, const synfp::fingerprint::identifier& who) {
    const syn_lookup& syn = q.syn();
    const std::string_view agent = q.header("user-agent").value_or("");
    put("<section aria-labelledby=\"who\"><h2 id=\"who\">What it says</h2>\n<dl>\n");
    put("<dt>You</dt><dd><code>{}</code></dd>\n<dt>Reached us at</dt><dd><code>{}</code></dd>\n",
        q.peer().text().view(), q.local().text().view());
    if (!syn) {
      put("<dt>Your SYN</dt><dd>Not here: {} (<code>{}</code>). We rather say nothing than show somebody "
          "else&#39;s."
          "</dd>\n",
          why_missed(syn.miss), to_string(syn.miss));
      put("</dl></section>\n");
      return;
    }
    const auto id = who.identify(*syn, agent, q.hello());
    if (id.label != nullptr) {
      put("<dt>System</dt><dd><strong>{}</strong>{}<br>Signature of line {} of the database {}, {}.{}</dd>\n",
          escaped(id.label->title()), id.label->generic ? " (only the family is sure)" : "", id.line,
          escaped(id.database), quality_words(id.quality), evidence_words(id));
    } else {
      put("<dt>System</dt><dd>No database knows this SYN.</dd>\n");
    }
    if (id.distance)
      put("<dt>Distance</dt><dd>{}{} hops, from the TTL</dd>\n", id.distance_is_limit ? "at most " : "",
          *id.distance);
    if (id.mtu)
      put("<dt>Link</dt><dd>MTU {}{}{}</dd>\n", *id.mtu, id.link.empty() ? "" : ": ", escaped(id.link));
    put("<dt>Doubts</dt><dd>");
    if (id.inconsistencies.empty()) {
      put("None.");
    } else {
      put("<ul>\n");
      for (const auto one : id.inconsistencies)
        put("<li>{} Innocent causes: {}.</li>\n", doubt(one), innocent(one));
      put("</ul>");
    }
    put("</dd>\n");
    if (!agent.empty()) put("<dt>User-Agent</dt><dd><code>{}</code></dd>\n", escaped(agent.substr(0, 512)));
    put("<dt>How we have it</dt><dd>{} {}", source_words(syn.source), proof_words(syn.proof));
    if (syn.age_ns) put(" It came {} before we asked for it.", duration(*syn.age_ns));
    if (const auto copies = syn->arrived().retransmits; copies && *copies != 0)
      put(" It was sent again {} time{}.", *copies, *copies == 1 ? "" : "s");
    put("</dd>\n</dl></section>\n");
  }

  // ---- the header as the RFCs draw it: 32 columns, a bit each ----

  struct bits {
    unsigned width;
    std::string_view name;
    std::string value;
  };
  void row(std::initializer_list<bits> cells) {
    put("<tr>");
    for (const bits& b : cells)
      put("<td colspan=\"{}\"><span>{}</span> <b>{}</b></td>", b.width, b.name, b.value);
    put("</tr>\n");
  }
  void begin_drawing(std::string_view name, std::string_view source) {
    put("<div class=\"scroll\" role=\"region\" aria-label=\"{}\" tabindex=\"0\"><table "
        "class=\"bits\"><caption>{} "
        "({})</caption>\n<thead><tr>",
        name, name, source);
    for (int i = 0; i < 4; ++i) put("<th scope=\"col\" colspan=\"8\">bits {} to {}</th>", 8 * i, 8 * i + 7);
    put("</tr></thead>\n<tbody>\n");
  }
  void end_drawing() { put("</tbody></table></div>\n"); }

  static std::string number(std::uint64_t n) { return fmt::format("{}", n); }
  static std::string hex(std::uint64_t n, int digits) { return fmt::format("0x{:0{}x}", n, digits); }

  void drawing(const syn_record& syn) {
    const auto ip = syn.ip();
    const auto tcp = syn.tcp();
    const std::uint8_t* const at = syn.bytes().data();
    put("<section aria-labelledby=\"drawn\"><h2 id=\"drawn\">The header, bit by bit</h2>\n");
    if (ip.is_v4()) {
      begin_drawing("IPv4 header", "RFC 791 3.1");
      row({{4, "version", number(ip.version())},
           {4, "IHL", number(at[0] & 15U)},
           {6, "DSCP", number(ip.tos() >> 2)},
           {2, "ECN", number(ip.tos() & 3U)},
           {16, "total length", number(ip.total_length())}});
      row({{16, "identification", number(ip.id())},
           {3, "flags",
            fmt::format("{}{}{}", ip.reserved_bit() ? "R" : "-", ip.dont_fragment() ? "D" : "-",
                        (at[6] & 0x20) != 0 ? "M" : "-")},
           {13, "fragment offset", number((at[6] & 31U) << 8 | at[7])}});
      row({{8, "TTL", number(ip.ttl())},
           {8, "protocol", number(ip.protocol())},
           {16, "checksum", hex(u16(at + 10), 4)}});
      row({{32, "source", std::string(syn.source().address_text().view())}});
      row({{32, "destination", std::string(syn.destination().address_text().view())}});
      raw_words(syn.ip_options());
    } else {
      begin_drawing("IPv6 header", "RFC 8200 3");
      row({{4, "version", number(ip.version())},
           {8, "traffic class", number(ip.tos())},
           {20, "flow label", hex(ip.flow_label(), 5)}});
      row({{16, "payload length", number(ip.total_length() - 40)},
           {8, "next header", number(ip.protocol())},
           {8, "hop limit", number(ip.ttl())}});
      row({{32, "source (128 bits)", std::string(syn.source().address_text().view())}});
      row({{32, "destination (128 bits)", std::string(syn.destination().address_text().view())}});
    }
    end_drawing();
    begin_drawing("TCP header", "RFC 9293 3.1");
    row({{16, "source port", number(tcp.source_port())},
         {16, "destination port", number(tcp.destination_port())}});
    row({{32, "sequence number", number(tcp.sequence())}});
    row({{32, "acknowledgment number", number(tcp.acknowledgment())}});
    row({{4, "offset", number(tcp.header_length() / 4)},
         {4, "reserved", number((at[ip_bytes(syn) + 12] & 15U))},
         {8, "flags", flags(tcp.flags())},
         {16, "window", number(tcp.window())}});
    row({{16, "checksum", hex(u16(at + ip_bytes(syn) + 16), 4)},
         {16, "urgent pointer", number(tcp.urgent_pointer())}});
    raw_words(tcp.option_bytes());
    end_drawing();
    put("</section>\n");
  }
  static std::size_t ip_bytes(const syn_record& syn) {
    return syn.bytes().size() - syn.tcp().header_length();
  }
  static std::string flags(unsigned set) {
    std::string named;
    constexpr std::array<const char*, 9> names{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"};
    for (std::size_t i = 0; i < names.size(); ++i) {
      if ((set >> i & 1) == 0) continue;
      if (!named.empty()) named += ' ';
      named += names[i];
    }
    return named;
  }
  void raw_words(std::span<const std::uint8_t> bytes) {
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
      put("<tr>");
      for (std::size_t j = i; j < i + 4; ++j)
        put("<td colspan=\"8\" class=\"option\"><b>{:02x}</b></td>", bytes[j]);
      put("</tr>\n");
    }
  }

  // ---- what the fields mean ----

  void fact(std::string_view name, std::string_view value, std::string_view meaning) {
    put("<tr><th scope=\"row\">{}</th><td><code>{}</code></td><td>{}</td></tr>\n", name, value, meaning);
  }

  void fields(const syn_record& syn) {
    const auto ip = syn.ip();
    const auto tcp = syn.tcp();
    const auto known = tcp.known();
    put("<section aria-labelledby=\"fields\"><h2 id=\"fields\">What the fields say</h2>\n"
        "<div class=\"scroll\" role=\"region\" aria-label=\"Fields\" tabindex=\"0\"><table "
        "class=\"facts\"><thead><tr><th "
        "scope=\"col\">Field</th><th scope=\"col\">Value</th><th scope=\"col\">What it "
        "says</th></tr></thead>\n"
        "<tbody>\n");
    const unsigned first = synfp::fingerprint::initial_ttl(syn);
    fact(
        ip.is_v4() ? "TTL" : "Hop limit", number(ip.ttl()),
        fmt::format(
            "Every router takes one. Systems start at 64 (Linux, BSD, Apple), 128 (Windows) or 255; this one "
            "probably at {}.",
            first));
    if (ip.is_v4()) {
      fact("Don&#39;t fragment", ip.dont_fragment() ? "set" : "clear",
           "Set for path MTU discovery (RFC 1191), as nearly every system does today.");
      fact("Identification", number(ip.id()),
           "Numbers the fragments of a packet. With &#34;don&#39;t fragment&#34; it may be anything: some "
           "systems send "
           "0, some count.");
    } else {
      fact("Flow label", hex(ip.flow_label(), 5),
           "The same for all packets of a connection (RFC 6437). Some systems leave it 0.");
    }
    fact("DSCP, ECN", fmt::format("{}, {}", ip.tos() >> 2, ip.tos() & 3),
         "A wish for priority, and congestion marks.");
    fact("Window", number(tcp.window()), window_words(tcp.window(), known.mss));
    fact("Flags", flags(tcp.flags()),
         (tcp.flags() & (synfp::tcp_view::ece | synfp::tcp_view::cwr)) != 0
             ? "ECE and CWR in a SYN ask for explicit congestion notification (RFC 3168)."
             : "A plain SYN: it does not ask for explicit congestion notification (RFC 3168).");
    fact("Sequence number", number(tcp.sequence()),
         "Where this connection&#39;s bytes begin to be counted; chosen at "
         "random (RFC 6528).");
    if (syn.has_payload())
      fact("Data", number(ip.total_length() - syn.tcp_offset() - tcp.header_length()) + " bytes",
           "Data in a SYN: TCP Fast Open (RFC 7413), or a prober.");
    put("</tbody></table></div></section>\n");
  }

  static std::string window_words(unsigned window, std::optional<std::uint16_t> mss) {
    std::string said = "How much the sender takes before it hears of us, not scaled in a SYN (RFC 7323).";
    if (mss && *mss != 0 && window > *mss && window % *mss == 0)
      said += fmt::format(" It is {} times the MSS, which is how Linux chooses it.", window / *mss);
    if (window == 65535) said += " 65535 is the most there is: Apple, Windows and BSD.";
    return said;
  }

  void options(const syn_record& syn) {
    const auto tcp = syn.tcp();
    put("<section aria-labelledby=\"options\"><h2 id=\"options\">TCP options, in their order</h2>\n"
        "<p>The order is the implementation&#39;s handwriting: it hardly ever changes between "
        "versions.</p>\n<ol>\n");
    auto walk = tcp.options();
    while (const auto o = walk.next()) {
      std::string bytes;
      for (const auto b : o->data) bytes += fmt::format("{:02x}", b);
      put("<li><b>{}</b> <span>kind {}{}{}</span> {}</li>\n", option_name(o->kind), o->kind,
          bytes.empty() ? "" : ", ", bytes, option_words(*o));
    }
    if (walk.end_of_list()) put("<li><b>End of options</b> <span>kind 0</span> The rest is padding.</li>\n");
    put("</ol>\n");
    if (walk.malformed()) put("<p>Then an option whose length does not fit.</p>\n");
    put("</section>\n");
  }

  static std::string option_words(const synfp::tcp_option& o) {
    const auto& d = o.data;
    if (o.kind == synfp::tcp_option::mss && d.size() == 2)
      return fmt::format("Segments of at most {} bytes, please: the link&#39;s MTU less the headers.",
                         u16(d.data()));
    if (o.kind == synfp::tcp_option::window_scale && d.size() == 1)
      return fmt::format("My windows will be times 2<sup>{}</sup> (RFC 7323).", d[0]);
    if (o.kind == synfp::tcp_option::sack_permitted)
      return "I understand selective acknowledgments (RFC 2018).";
    if (o.kind == synfp::tcp_option::timestamps && d.size() == 8)
      return fmt::format("My clock says {} (RFC 7323). Most systems add a random offset per connection.",
                         u32(d.data()));
    if (o.kind == synfp::tcp_option::nop) return "Padding, to align what follows.";
    if (o.kind == 34) return "TCP Fast Open (RFC 7413).";
    if (o.kind == 30) return "Multipath TCP (RFC 8684).";
    return "";
  }

  void fingerprints(const syn_record& syn) {
    put("<section aria-labelledby=\"prints\"><h2 id=\"prints\">What others call it</h2>\n"
        "<div class=\"scroll\" role=\"region\" aria-label=\"Fingerprints\" "
        "tabindex=\"0\"><table><thead><tr><th "
        "scope=\"col\">Format</th><th scope=\"col\">Fingerprint</th></tr></thead>\n<tbody>\n");
    const auto print = [this](std::string_view name, const auto& value) {
      put("<tr><th scope=\"row\">{}</th><td><code>{}</code></td></tr>\n", name,
          value ? escaped(value->view()) : text("cannot be written in this format"));
    };
    namespace f = synfp::fingerprint;
    print("p0f 3", f::p0f(syn));
    print("MuonFP", std::optional(f::muonfp(syn)));
    print("HAProxy", std::optional(f::haproxy(syn)));
    print("Satori", f::satori(syn));
    print("nDPI", f::ndpi(syn));
    print("pf (OpenBSD)", f::pfos(syn));
    put("</tbody></table></div>\n<p>If your system has no name above, you can give it one: copy the line of "
        "p0f, and say "
        "what sent it. How entries get in, CONTRIBUTING says. This page sends and keeps "
        "nothing.</p></section>\n");
  }

  // ---- the greeting of TLS ----

  template <class List, class Write>
  void listed(std::string_view name, const List& list, std::string_view meaning, const Write& write) {
    std::string all;
    for (const auto& one : list) {
      if (!all.empty()) all += ' ';
      all += write(one);
    }
    fact(name, all.empty() ? text("none") : escaped(all), meaning);
  }

  void hello(const synfp::tls::client_hello& h) {
    const auto code = [](std::uint16_t c) { return code_name(c); };
    put("<section aria-labelledby=\"hello\"><h2 id=\"hello\">Your TLS greeting</h2>\n"
        "<p>The ClientHello, as it was on the wire: what your program offers before anything is "
        "encrypted.</p>\n"
        "<div class=\"scroll\" role=\"region\" aria-label=\"TLS greeting\" tabindex=\"0\"><table "
        "class=\"facts long\"><thead><tr><th "
        "scope=\"col\">Field</th><th scope=\"col\">Value</th><th scope=\"col\">What it "
        "says</th></tr></thead>\n<tbody>\n");
    fact("Server name", h.server_name() ? escaped(*h.server_name()) : text("none"),
         "The host that you asked for, readable for everybody on the way (RFC 6066).");
    listed("Protocols", h.alpn(), "What you would speak inside (ALPN, RFC 7301).",
           [](std::string_view p) { return std::string(p); });
    listed("Versions", h.versions(), "What you would take; 0x0304 is TLS 1.3.", code);
    listed("Cipher suites", h.ciphers(), "In your order of preference.", code);
    listed("Extensions", h.extensions(), "Chromium shuffles them, others always send one order.",
           [](const synfp::tls::extension& e) { return code_name(e.type); });
    listed("Groups", h.groups(), "Key exchanges that you can do; 0x001d is X25519.", code);
    listed("Key shares", h.key_shares(), "Those for which a key is already there.",
           [](const synfp::tls::key_share& s) { return code_name(s.group); });
    listed("Signatures", h.signature_algorithms(), "What you can verify.", code);
    fact(
        "GREASE", h.has_grease() ? "yes" : "no",
        "Random codes that Chrome, Edge and Safari send, so that servers keep ignoring what they do not know "
        "(RFC 8701).");
    put("</tbody></table></div>\n<div class=\"scroll\" role=\"region\" aria-label=\"Fingerprints of the "
        "greeting\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">Format</th><th "
        "scope=\"col\">Fingerprint</th></tr></thead>\n<tbody>\n");
    namespace f = synfp::fingerprint;
    const auto print = [this](std::string_view name, std::string_view value) {
      put("<tr><th scope=\"row\">{}</th><td><code>{}</code></td></tr>\n", name, escaped(value));
    };
    print("JA4", f::ja4(h).view());
    print("JA4_r", f::ja4_r(h).view());
    print("JA3", f::ja3(h).view());
    print("Steady", f::steady(h).view());
    put("</tbody></table></div>\n<p>The one called steady stays the same when you come back and resume a "
        "session.</p></section>\n");
  }
  static std::string code_name(std::uint16_t code) {
    return synfp::tls::is_grease(code) ? "GREASE" : fmt::format("0x{:04x}", code);
  }

  void recent() {
    put("<section aria-labelledby=\"recent\"><h2 id=\"recent\">Recent handshakes</h2>\n"
        "<p id=\"live\" role=\"status\">This list needs JavaScript.</p>\n"
        "<div class=\"scroll\" role=\"region\" aria-label=\"List of recent handshakes\" "
        "tabindex=\"0\"><table><thead><tr><th "
        "scope=\"col\">Address, shortened</th><th scope=\"col\">System</th><th "
        "scope=\"col\">Signature</th></tr></thead>"
        "\n<tbody id=\"rows\"></tbody></table></div></section>\n");
  }

  static std::string duration(std::uint64_t ns) {
    if (ns < 1'000'000) return fmt::format("{} &#181;s", ns / 1000);
    if (ns < 10'000'000'000) return fmt::format("{} ms", ns / 1'000'000);
    return fmt::format("{} s", ns / 1'000'000'000);
  }

  text out_;
};

/// Whether HTML is asked for, and JSON not more: browsers do that, programs that take anything do not.
inline bool wants_page(const synfp::http::request& q) {
  const unsigned html = synfp::http::accept_weight(q, "text/html");
  return html != 0 && html >= synfp::http::accept_weight(q, "application/json");
}

inline synfp::http::response asset(std::string_view type, std::string_view body) {
  synfp::http::response r = synfp::http::text(body);
  // Valid fields, all of them.
  (void)r.set_content_type(type);
  (void)r.add_header("Cache-Control", "max-age=3600");
  (void)r.add_header("X-Content-Type-Options", "nosniff");
  return r;
}

/// GET / for a browser.
inline synfp::http::response respond(const synfp::http::request& q,
                                     const synfp::fingerprint::identifier& who) {
  synfp::http::response r = synfp::http::html(page().build(q, who));
  // All of them are valid fields.
  (void)r.add_header("Content-Security-Policy", content_security_policy);
  (void)r.add_header("X-Content-Type-Options", "nosniff");
  (void)r.add_header("Referrer-Policy", "no-referrer");
  (void)r.add_header("Cache-Control", "no-store");
  (void)r.add_header("Vary", "Accept");
  return r;
}

}  // namespace visitor
