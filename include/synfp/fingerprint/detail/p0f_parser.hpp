// SPDX-License-Identifier: MIT
// Reads the grammar of p0f's p0f.fp as p0f 3.09b does. Written from a description of it; holds no text of
// p0f.
#pragma once

#include <algorithm>  // find, stable_sort, upper_bound
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/fingerprint/detail/p0f_rule.hpp>
#include <synfp/fingerprint/evidence.hpp>
#include <synfp/fingerprint/os_label.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace fingerprint::detail {

/// What a database holds once it is read. Never changes afterwards.
struct p0f_content {
  struct bucket {
    p0f_layout layout;
    std::uint32_t first = 0, count = 0;  ///< in `rules`; 0: the bucket is free
  };
  struct link {
    std::uint16_t mtu;
    std::string label;
  };

  std::string name;
  std::vector<os_label> labels;
  std::vector<p0f_rule> rules;  ///< those of a layout together, in the order of the file
  std::vector<bucket> buckets;  ///< open addressing; a power of two, at most half of it in use
  std::vector<link> links;      ///< by MTU; of equal ones the first of the file

  std::span<const p0f_rule> rules_of(const p0f_signature& s) const noexcept {
    const auto kinds = std::span(s.kind).first(std::min<std::size_t>(s.kinds, s.kind.size()));
    if (buckets.empty()) return {};  // moved from
    const std::size_t mask = buckets.size() - 1;
    for (std::size_t i = hash_of(kinds) & mask; buckets[i].count != 0; i = (i + 1) & mask) {
      const auto used = buckets[i].layout.used();
      if (std::equal(used.begin(), used.end(), kinds.begin(), kinds.end()))
        return std::span(rules).subspan(buckets[i].first, buckets[i].count);
    }
    return {};
  }
};

class p0f_parser {
 public:
  static constexpr std::size_t max_bytes = std::size_t{4} << 20;
  static constexpr std::size_t max_line = 8192;     ///< bytes
  static constexpr std::size_t max_entries = 8192;  ///< signatures of [tcp:request], of [mtu]; labels; names
  static constexpr std::size_t max_http_headers = 32;  ///< p0f's own limit

  static setup_result<p0f_content> parse(std::string_view text, std::string name) {
    p0f_parser p(std::move(name));
    p.read(text);
    if (!p.error_.empty()) {
      const errc code = p.too_large_ ? errc::too_large : errc::invalid;
      return setup_error{code, 0, p.content_.name + ':' + std::to_string(p.line_) + ": " + p.error_};
    }
    p.finish();
    return std::move(p.content_);
  }

 private:
  enum class section : std::uint8_t { none, mtu, tcp_request, tcp_response, http_request, http_response };
  enum class expects : std::uint8_t { section, label, sys, signature };

  explicit p0f_parser(std::string name) { content_.name = std::move(name); }

  // Only the first counts. False, so that callers can say `return fail(...)`.
  bool fail(std::string what) {
    if (error_.empty()) error_ = std::move(what);
    return false;
  }
  bool too_many(const char* what) {
    too_large_ = true;
    return fail("more than " + std::to_string(max_entries) + ' ' + what + "; split the database");
  }
  /// Text of the file inside a message.
  static std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text.substr(0, 40)) out += c >= 0x20 && c < 0x7f ? c : '?';
    return out + (text.size() > 40 ? "...\"" : "\"");
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
  static bool is_alnum(char c) { return is_digit(c) || is_letter(c); }
  static bool is_name(char c) { return is_alnum(c) || std::string_view(" ./-_!?()").find(c) != npos; }
  static bool is_header(char c) { return is_alnum(c) || c == '-' || c == '_'; }
  static bool is_blank(char c) { return c == ' ' || c == '\t'; }
  static std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
  }

  /// Takes the longest prefix of characters that `is`.
  template <class Is>
  static std::string_view read_while(std::string_view& text, Is is) {
    std::size_t n = 0;
    while (n < text.size() && is(text[n])) ++n;
    const std::string_view taken = text.substr(0, n);
    text.remove_prefix(n);
    return taken;
  }
  static bool skip(std::string_view& text, std::string_view what) {
    if (!text.starts_with(what)) return false;
    text.remove_prefix(what.size());
    return true;
  }

  void read(std::string_view text) {
    line_ = 1;
    if (text.size() > max_bytes) {
      too_large_ = true;
      fail("the database is larger than " + std::to_string(max_bytes >> 20) + " MiB; is it the right file?");
      return;
    }
    while (true) {
      const std::size_t end = text.find('\n');
      if (!read_line(text.substr(0, end))) return;
      if (end == npos) return;
      text.remove_prefix(end + 1);
      ++line_;
    }
  }

  bool read_line(std::string_view line) {
    if (line.size() > max_line) {
      too_large_ = true;
      return fail("the line is longer than " + std::to_string(max_line) + " bytes; is it the right file?");
    }
    // A carriage return at the end has an error of its own.
    const std::string_view text = line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
    for (const char c : text) {
      if ((c >= 0 && c < ' ' && c != '\t') || c == 0x7f)
        return fail("a control character; is it a text file?");
    }
    read_while(line, is_blank);
    if (line.empty()) return true;
    if (line[0] == ';') {
      read_comment(line.substr(1));
      return true;
    }
    if (line.back() == '\r') return fail("the line ends in CR LF; p0f takes LF only: convert the file");
    if (line[0] == '[') return read_section(line);
    const std::string_view field = read_while(line, [](char c) { return is_letter(c) || c == '_'; });
    read_while(line, is_blank);
    if (field.empty() || !skip(line, "="))
      return fail("neither a [section] nor \"name = value\"; comments begin with ';'");
    read_while(line, is_blank);
    if (field == "classes") return read_classes(line);
    if (field == "label") return read_label(line);
    if (field == "sys") return read_sys(line);
    if (field == "sig") return read_signature(line);
    if (field == "ua_os") return read_ua_os(line);
    return fail("unknown field " + quoted(field) + "; p0f knows classes, label, sys, sig and ua_os");
  }

  /// "; evidence: WORD" holds for the signatures below it, up to the next such line or section. To p0f it is
  /// a comment, hence not an error whatever it says.
  void read_comment(std::string_view text) {
    read_while(text, is_blank);
    if (!skip(text, "evidence:")) return;
    read_while(text, is_blank);
    while (!text.empty() && (is_blank(text.back()) || text.back() == '\r')) text.remove_suffix(1);
    known_by_ = evidence_called(text);
  }

  bool read_section(std::string_view line) {
    static constexpr std::pair<std::string_view, section> known[] = {
        {"[mtu]", section::mtu},
        {"[tcp:request]", section::tcp_request},
        {"[tcp:response]", section::tcp_response},
        {"[http:request]", section::http_request},
        {"[http:response]", section::http_response}};
    for (const auto& [text, which] : known) {
      if (line != text) continue;
      section_ = which;
      known_by_.reset();
      next_ = expects::label;
      return true;
    }
    return fail("unknown section " + quoted(line) +
                "; p0f knows [mtu], [tcp:request], [tcp:response], [http:request] and [http:response]");
  }

  bool read_classes(std::string_view value) {
    if (next_ != expects::section) return fail("classes below a section; move the line above the first one");
    while (!value.empty()) {
      read_while(value, [](char c) { return is_blank(c) || c == ','; });
      const std::string_view name = read_while(value, is_alnum);
      if (name.empty() || !(value.empty() || value[0] == ','))
        return fail("malformed classes; write letters and digits separated by commas");
      if (classes_.size() == 256) return fail("more than 256 classes; p0f.fp has three");
      classes_.emplace_back(name);
    }
    return true;
  }

  const std::string* find_class(std::string_view name) const {
    const std::string wanted = lower(name);
    for (const std::string& c : classes_) {
      if (lower(c) == wanted) return &c;
    }
    return nullptr;
  }
  bool unknown_class(std::string_view name) {
    return fail("unknown class " + quoted(name) + "; list it in \"classes = ...\" above the first section");
  }

  /// Names are the same whatever their case; the first spelling of the file is the one that is printed. Null
  /// if there are too many.
  const std::string* intern(std::string_view name) {
    std::string key = lower(name);
    auto found = names_.find(key);
    if (found == names_.end()) {
      if (names_.size() == max_entries) {
        too_many("names of systems");
        return nullptr;
      }
      found = names_.emplace(std::move(key), name).first;
    }
    return &found->second;
  }

  bool read_label(std::string_view value) {
    if (next_ != expects::label && next_ != expects::signature) {
      return fail(next_ == expects::section ? "a label above the first section; begin with [tcp:request]"
                                            : "a label where the sys of the last label is due");
    }
    if (section_ == section::mtu) {
      if (value.empty()) return fail("an empty label; write the name of a kind of link");
      link_label_ = value;
      next_ = expects::signature;
      return true;
    }
    static constexpr const char* form =
        "malformed label; write s or g (generic), a class or !, a name and a flavor: s:unix:Linux:6.x";
    os_label label;
    if (value.starts_with("g:")) {
      label.generic = true;
    } else if (!value.starts_with("s:")) {
      return fail(form);
    }
    value.remove_prefix(2);
    const std::string_view os_class = read_while(value, [](char c) { return is_alnum(c) || c == '!'; });
    if (os_class.empty() || !skip(value, ":")) return fail(form);
    if (os_class == "!") {
      label.os_class = os_class;
    } else if (const std::string* known = find_class(os_class)) {
      label.os_class = *known;
    } else {
      return unknown_class(os_class);
    }
    const std::string_view name = read_while(value, is_name);
    if (name.empty() || !skip(value, ":")) return fail(form);
    const std::string* spelling = intern(name);
    if (spelling == nullptr) return false;
    label.name = *spelling;
    label.flavor = value;
    next_ = label.is_tool() ? expects::sys : expects::signature;
    if (section_ != section::tcp_request) return true;
    if (content_.labels.size() == max_entries) return too_many("labels");
    content_.labels.push_back(std::move(label));
    return true;
  }

  bool read_sys(std::string_view value) {
    if (next_ != expects::sys) return fail("sys without a label of the class !; only tools run on systems");
    while (!value.empty()) {
      read_while(value, [](char c) { return is_blank(c) || c == ','; });
      const bool is_class = skip(value, "@");
      const std::string_view name = read_while(value, is_name);
      if (name.empty() || !(value.empty() || value[0] == ','))
        return fail("malformed sys; write names of systems or @classes separated by commas");
      if (is_class && find_class(name) == nullptr) return unknown_class(name);
      if (!is_class && intern(name) == nullptr) return false;
    }
    next_ = expects::signature;
    return true;
  }

  bool read_ua_os(std::string_view value) {
    if (section_ != section::http_request || next_ != expects::label)
      return fail("ua_os out of place; it follows [http:request]");
    while (!value.empty()) {
      const std::string_view name = read_while(value, is_name);
      if (name.empty()) return fail("malformed ua_os; write names, or name=[text], separated by commas");
      if (intern(name) == nullptr) return false;
      if (!skip_bracketed(value)) return false;
      skip(value, ",");
    }
    return true;
  }

  /// "=[text]", if it is there.
  bool skip_bracketed(std::string_view& value) {
    if (!skip(value, "=")) return true;
    if (!skip(value, "[")) return fail("no '[' after '='; write =[text]");
    const std::string_view text = read_while(value, [](char c) { return c != ']'; });
    if (text.empty() || !skip(value, "]"))
      return fail("malformed =[text]; the text is empty or ']' is missing");
    return true;
  }

  bool read_signature(std::string_view value) {
    if (next_ != expects::signature)
      return fail("a sig without a label; put a label (and for tools sys) above");
    switch (section_) {
      case section::mtu: return read_mtu(value);
      case section::tcp_request:
      case section::tcp_response: return read_tcp(value);
      default: return read_http(value);
    }
  }

  bool read_mtu(std::string_view value) {
    const std::string_view digits = read_while(value, is_digit);
    const std::uint32_t mtu = number(digits);
    if (digits.empty() || !value.empty() || mtu == 0 || mtu > 65535)
      return fail("malformed MTU; write a number from 1 to 65535");
    if (content_.links.size() == max_entries) return too_many("signatures of [mtu]");
    content_.links.push_back({static_cast<std::uint16_t>(mtu), link_label_});
    return true;
  }

  /// 0 for no digits, as p0f reads them; at least 65536 for what is beyond every limit.
  static std::uint32_t number(std::string_view digits) {
    std::uint32_t n = 0;
    for (const char c : digits) n = n > 65535 ? n : n * 10 + static_cast<std::uint32_t>(c - '0');
    return n;
  }
  /// Digits and what must follow.
  bool read_number(std::string_view& v, char after, std::uint32_t most, const char* field,
                   std::uint32_t& out) {
    out = number(read_while(v, is_digit));
    if (v.empty() || v[0] != after)
      return fail(std::string("malformed ") + field + "; write a number and '" + after + '\'');
    v.remove_prefix(1);
    if (out > most) return fail(std::string(field) + " above " + std::to_string(most));
    return true;
  }

  bool read_tcp(std::string_view v) {
    p0f_rule rule;
    p0f_layout layout;
    rule.line = line_;
    rule.known_by = known_by_;
    if (!read_version(v, rule) || !read_ttl(v, rule) || !read_lengths(v, rule) || !read_window(v, rule) ||
        !read_options(v, rule, layout) || !read_quirks(v, rule))
      return false;
    if (v != "*" && v != "0" && v != "+")
      return fail("malformed payload class " + quoted(v) + "; write 0, + or * and nothing after it");
    rule.payload = v == "*" ? p0f_rule::any : std::int8_t{v == "+"};
    return section_ != section::tcp_request || add(rule, layout);
  }

  bool read_version(std::string_view& v, p0f_rule& rule) {
    if (skip(v, "4:")) {
      rule.version = 4;
    } else if (skip(v, "6:")) {
      rule.version = 6;
    } else if (!skip(v, "*:")) {
      return fail("malformed IP version; a signature begins with 4:, 6: or *:");
    }
    return true;
  }

  bool read_ttl(std::string_view& v, p0f_rule& rule) {
    static constexpr const char* form =
        "malformed TTL; write 64, 54+10 or 64- (random), from 1 to 255, and ':'";
    std::uint32_t ttl = number(read_while(v, is_digit));
    if (ttl < 1 || ttl > 255) return fail(form);
    if (skip(v, "+")) {
      const std::uint32_t more = number(read_while(v, is_digit));
      if (more > 255 - ttl) return fail(form);
      ttl += more;
    } else if (skip(v, "-")) {
      rule.random_ttl = true;
    }
    if (!skip(v, ":")) return fail(form);
    rule.ttl = static_cast<std::uint8_t>(ttl);
    // p0f loses the character after "N-:": it reads 0 IP options out of "0" and out of "4".
    if (rule.random_ttl && !v.empty()) v.remove_prefix(1);
    return true;
  }

  bool read_lengths(std::string_view& v, p0f_rule& rule) {
    std::uint32_t n = 0;
    if (!read_number(v, ':', 255, "length of IP options", n)) return false;
    rule.ip_option_length = static_cast<std::uint8_t>(n);
    if (skip(v, "*:")) return true;
    if (!read_number(v, ':', 65535, "MSS", n)) return false;
    rule.mss = static_cast<std::int32_t>(n);
    return true;
  }

  bool read_window(std::string_view& v, p0f_rule& rule) {
    using window_rule = p0f_rule::window_rule;
    std::uint32_t n = 0;
    if (skip(v, "*,")) {
      rule.window_is = window_rule::any;
    } else if (skip(v, "%")) {
      rule.window_is = window_rule::modulo;
      if (!read_number(v, ',', 65535, "window after '%'", n)) return false;
      if (n < 2) return fail("window after '%' below 2; every window is a multiple of 1");
    } else if (v.starts_with("mss*") || v.starts_with("mtu*")) {
      rule.window_is = v[1] == 's' ? window_rule::mss : window_rule::mtu;
      v.remove_prefix(4);
      if (!read_number(v, ',', 1000, "multiplier of the window", n)) return false;
      if (n < 1) return fail("multiplier of the window below 1");
    } else {
      rule.window_is = window_rule::literal;
      if (!read_number(v, ',', 65535, "window", n)) return false;
    }
    rule.window = static_cast<std::uint16_t>(n);
    if (skip(v, "*:")) return true;
    if (!read_number(v, ':', 255, "window scale", n)) return false;
    rule.scale = static_cast<std::int16_t>(n);
    return true;
  }

  static bool skip_option(std::string_view& v, std::uint32_t kind) {
    const std::string_view name = tcp_option_name(static_cast<std::uint8_t>(kind));
    return !name.empty() && skip(v, name);
  }
  bool read_options(std::string_view& v, p0f_rule& rule, p0f_layout& layout) {
    while (!v.starts_with(':')) {
      if (layout.kinds == p0f_signature::max_options) return fail("more than 24 TCP options");
      std::uint32_t kind = 0;
      if (skip(v, "eol")) {
        std::uint32_t padding = 0;
        if (!skip(v, "+")) return fail("malformed eol; write eol+ and the number of bytes after it");
        if (!read_number(v, ':', 255, "padding of eol, the last option,", padding)) return false;
        rule.eol_padding = static_cast<std::uint8_t>(padding);
        ++layout.kinds;
        return true;
      }
      if (skip(v, "?")) {
        kind = number(read_while(v, is_digit));
        if (kind > 255) return fail("kind of a TCP option above 255");
      } else {
        kind = tcp_option::nop;
        while (kind <= tcp_option::timestamps && !skip_option(v, kind)) ++kind;
        if (kind > tcp_option::timestamps)
          return fail("unknown TCP option; p0f knows eol+N, nop, mss, ws, sok, sack, ts and ?N");
      }
      layout.kind[layout.kinds++] = static_cast<std::uint8_t>(kind);
      if (!v.starts_with(':') && !skip(v, ",")) return fail("malformed TCP options; separate them by commas");
    }
    v.remove_prefix(1);
    return true;
  }

  bool read_quirks(std::string_view& v, p0f_rule& rule) {
    constexpr std::uint32_t v4_only =
        p0f_signature::df | p0f_signature::id_nz | p0f_signature::id_z | p0f_signature::ip_nz;
    while (!v.starts_with(':')) {
      std::size_t i = 0;
      while (i < p0f_quirk_names.size() && !skip(v, p0f_quirk_names[i])) ++i;
      if (i == p0f_quirk_names.size())
        return fail(
            "unknown quirk, or a field is missing; p0f knows df, id+, id-, ecn, 0+, flow, seq-, ack+, "
            "ack-, uptr+, urgf+, pushf+, ts1-, ts2+, opt+, exws and bad");
      const std::uint32_t quirk = 1U << i;
      if (rule.version == 6 && (quirk & v4_only) != 0)
        return fail(std::string(p0f_quirk_names[i]) + " in a signature for IPv6, which has no such field");
      if (rule.version == 4 && quirk == p0f_signature::flow)
        return fail("flow in a signature for IPv4, which has no such field");
      rule.quirks |= quirk;
      if (!v.starts_with(':') && !skip(v, ",")) return fail("malformed quirks; separate them by commas");
    }
    v.remove_prefix(1);
    return true;
  }

  bool add(p0f_rule rule, const p0f_layout& layout) {
    if (signatures_ == max_entries) return too_many("signatures of [tcp:request]");
    const os_label& label = content_.labels.back();
    rule.label = static_cast<std::uint32_t>(content_.labels.size() - 1);
    rule.generic = label.generic;
    rule.tool = label.is_tool();
    const auto used = layout.used();
    auto& others = rules_[std::string(used.begin(), used.end())];
    for (const p0f_rule& earlier : others) {
      if (p0f_covers(earlier, rule))
        return fail("line " + std::to_string(earlier.line) + " already covers this signature; remove one");
    }
    rule.prepare();
    others.push_back(rule);
    ++signatures_;
    return true;
  }

  /// Looked at as p0f does, and dropped.
  bool read_http(std::string_view v) {
    if (v.size() < 2 || v[1] != ':' || (v[0] != '0' && v[0] != '1' && v[0] != '*'))
      return fail("malformed HTTP version; a signature begins with 0:, 1: or *:");
    v.remove_prefix(2);
    if (!read_headers(v, true) || !read_headers(v, false)) return false;
    return v.find(':') == npos || fail("malformed HTTP signature; a ':' in the name of the software");
  }
  bool read_headers(std::string_view& v, bool with_values) {
    for (std::size_t n = 0; !v.starts_with(':'); ++n) {
      if (n == max_http_headers) return fail("more than 32 HTTP headers");
      if (with_values) skip(v, "?");
      if (read_while(v, is_header).empty()) return fail("malformed name of an HTTP header");
      if (with_values && !skip_bracketed(v)) return false;
      if (!v.starts_with(':') && !skip(v, ","))
        return fail("malformed HTTP headers; separate them by commas");
    }
    v.remove_prefix(1);
    return true;
  }

  void finish() {
    std::size_t buckets = 2;
    while (buckets < 2 * rules_.size()) buckets *= 2;
    content_.buckets.resize(buckets);
    for (const auto& [kinds, rules] : rules_) {
      p0f_content::bucket b;
      for (const char kind : kinds) b.layout.kind[b.layout.kinds++] = static_cast<std::uint8_t>(kind);
      b.first = static_cast<std::uint32_t>(content_.rules.size());
      b.count = static_cast<std::uint32_t>(rules.size());
      content_.rules.insert(content_.rules.end(), rules.begin(), rules.end());
      std::size_t i = hash_of(b.layout.used()) & (buckets - 1);
      while (content_.buckets[i].count != 0) i = (i + 1) & (buckets - 1);
      content_.buckets[i] = b;
    }
    std::stable_sort(content_.links.begin(), content_.links.end(),
                     [](const auto& a, const auto& b) { return a.mtu < b.mtu; });
  }

  static constexpr std::size_t npos = std::string_view::npos;

  p0f_content content_;
  section section_ = section::none;
  expects next_ = expects::section;
  std::uint32_t line_ = 0;
  std::string error_;
  bool too_large_ = false;
  std::vector<std::string> classes_;
  std::map<std::string, std::string> names_;  // in lower case: as first spelt
  std::string link_label_;
  std::optional<evidence> known_by_;
  std::map<std::string, std::vector<p0f_rule>> rules_;  // by layout
  std::size_t signatures_ = 0;
};

}  // namespace fingerprint::detail
SYNFP_END_NAMESPACE
