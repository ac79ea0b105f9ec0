// SPDX-License-Identifier: MIT
#include "proposals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <vector>

#include <synfp/fingerprint/initial_ttl.hpp>
#include <synfp/fingerprint/ja4.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/tls/client_hello.hpp>

namespace cli {
namespace {

using synfp::fingerprint::p0f_signature_text;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_hex(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }

/// IPv4 in digits, IPv6, or of mail. A version of four numbers is taken for the first, which does no harm.
bool looks_like_address(std::string_view word) {
  if (word.find('@') != std::string_view::npos) return true;
  const auto colons = std::count(word.begin(), word.end(), ':');
  if (colons >= 2 &&
      std::all_of(word.begin(), word.end(), [](char c) { return is_hex(c) || c == ':' || c == '.'; }))
    return true;
  std::size_t numbers = 0, digits = 0, most = 0;
  for (std::size_t i = 0; i <= word.size(); ++i) {
    if (i < word.size() && is_digit(word[i])) {
      ++digits;
      continue;
    }
    if (digits != 0 && digits <= 3) ++numbers;
    digits = 0;
    most = std::max(most, numbers);
    if (i < word.size() && word[i] != '.') numbers = 0;
  }
  return most >= 4;
}

/// The value of the field User-Agent; empty without one.
std::optional<std::string_view> user_agent_of(std::string_view head) {
  constexpr std::string_view name = "\nuser-agent:";
  const auto at = std::search(head.begin(), head.end(), name.begin(), name.end(),
                              [](char a, char b) { return lower(a) == b; });
  if (at == head.end()) return std::nullopt;
  std::string_view value = head.substr(static_cast<std::size_t>(at - head.begin()) + name.size());
  value = value.substr(0, value.find('\n'));
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\r')) value.remove_suffix(1);
  return value;
}

}  // namespace

std::string system_part(std::string_view user_agent) {
  const std::size_t open = user_agent.find('(');
  if (open != std::string_view::npos)
    user_agent =
        user_agent.substr(0, open + synfp::fingerprint::detail::comment_at(user_agent, open).size() + 2);
  user_agent = user_agent.substr(0, 120);
  std::string out, word;
  const auto take = [&] {
    out += looks_like_address(word) ? "..." : word;
    word.clear();
  };
  for (const char c : user_agent) {
    // Not '/': a product's version belongs to its word, which is longer than an address then.
    if (c == ' ' || c == ';' || c == '(' || c == ')' || c == ',' || c == '/' || c == '[' || c == ']') {
      take();
      out += c;
    } else {
      word += c > ' ' && c < 0x7f && c != '"' ? c : '?';
    }
  }
  take();
  return out;
}

bool opening::take(std::span<const std::uint8_t> bytes) {
  if (!tls_ && text_.empty()) tls_ = bytes[0] == 0x16;
  if (tls_) {
    if (hello_.take(bytes)) return true;
    synfp::tls::client_hello hello;
    const auto message = hello_.message();
    text_ = message && hello.assign(*message) == synfp::tls::refusal::none
                ? fmt::format("TLS, JA4 {}", synfp::fingerprint::ja4(hello).view())
                : "TLS";
    hello_ = {};
    return false;
  }
  const auto taken = bytes.first(std::min(bytes.size(), max_bytes - text_.size()));
  text_.append(taken.begin(), taken.end());
  return text_.size() < max_bytes && text_.find("\r\n\r\n") == std::string::npos &&
         text_.find("\n\n") == std::string::npos;
}

std::string opening::said() const {
  if (tls_) return text_.empty() ? "TLS" : text_;
  if (text_.empty()) return "nothing";
  const auto end_of_line = text_.find('\n');
  if (end_of_line == std::string::npos ||
      std::string_view(text_).substr(0, end_of_line).find(" HTTP/") == std::string::npos)
    return "no HTTP in clear text";
  const auto agent = user_agent_of(text_);
  return agent ? fmt::format("\"{}\"", system_part(*agent)) : "HTTP without a User-Agent";
}

proposals::candidate* proposals::candidate_of(const synfp::syn_record& syn) {
  const auto seen = synfp::fingerprint::p0f_observe(syn);
  if (!seen) return nullptr;
  // ver:ittl+dist:olen:mss:the rest
  const auto text = p0f_signature_text(*seen);
  std::string_view rest = text.view();
  std::array<std::string_view, 4> field;
  for (std::string_view& f : field) {
    const std::size_t end = rest.find(':');
    f = rest.substr(0, end);
    rest.remove_prefix(end + 1);
  }
  std::pair<std::string, std::string> signature{
      fmt::format("{}:{}:{}", field[0], synfp::fingerprint::ttl_ceiling(seen->ttl), field[2]),
      fmt::format("{}{}", field[3] == "0" ? "0:" : "", rest)};
  auto at = candidates_.find(signature);
  if (at == candidates_.end()) {
    if (candidates_.size() == max_signatures) return nullptr;
    at = candidates_.emplace(std::move(signature), candidate{}).first;
    at->second.mss = field[3];
    at->second.example = text.view();
  }
  at->second.mss_varies = at->second.mss_varies || at->second.mss != field[3];
  return &at->second;
}

void proposals::add(const synfp::syn_record& syn) {
  const bool unnamed = who_.identify(syn).label == nullptr;
  if (!unnamed) {
    ++syns_;
    return;
  }
  bool created = false;
  auto connection = connections_.open(syn.source(), syn.destination(), syn.tcp().sequence(), &created);
  if (!created) return;  // sent again
  ++syns_;
  ++unnamed_;
  candidate* const of = candidate_of(syn);
  if (of == nullptr) {
    ++left_out_;
    connections_.end(*connection);
    return;
  }
  ++of->count;
  open_.push_back({of, std::move(connection)});
  if (open_.size() > max_connections) end_oldest();
}

void proposals::end_oldest() {
  const followed oldest = std::move(open_.front());
  open_.pop_front();
  std::string what = oldest.connection->reader.said();
  connections_.end(*oldest.connection);
  oldest.connection->reader = {};
  if (oldest.of->said.size() < max_said || oldest.of->said.contains(what)) {
    ++oldest.of->said[std::move(what)];
  } else {
    ++oldest.of->said_more;
  }
}

std::string proposals::text() {
  while (!open_.empty()) end_oldest();
  using entry = decltype(candidates_)::const_iterator;
  std::vector<entry> order;
  for (auto at = candidates_.cbegin(); at != candidates_.cend(); ++at) order.push_back(at);
  std::stable_sort(order.begin(), order.end(),
                   [](entry a, entry b) { return a->second.count > b->second.count; });
  std::string out;
  for (const entry at : order) {
    const candidate& c = at->second;
    fmt::format_to(std::back_inserter(out),
                   "label = s:CLASS:NAME:FLAVOUR\n; {} SYN{}, whose connections said:\n", c.count,
                   c.count == 1 ? "" : "s");
    std::vector<std::pair<std::uint64_t, std::string>> said;
    for (const auto& [what, count] : c.said) said.emplace_back(count, what);
    std::stable_sort(said.begin(), said.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (const auto& [count, what] : said)
      fmt::format_to(std::back_inserter(out), ";   {} {}\n", count, what);
    if (c.said_more != 0) fmt::format_to(std::back_inserter(out), ";   {} more\n", c.said_more);
    const bool without_mss = c.mss == "0";
    fmt::format_to(std::back_inserter(out),
                   "; evidence: captures\n; capture: OWNER/REPOSITORY: FILE: WHAT IT SAYS\n; example: {}\n"
                   "sig = {}:{}{}\n\n",
                   c.example, at->first.first, without_mss ? "" : (c.mss_varies ? "*" : c.mss) + ":",
                   at->first.second);
  }
  return out;
}

}  // namespace cli
