// SPDX-License-Identifier: MIT
#include "output.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>  // PIPE_BUF
#include <cstring>
#include <utility>

#include <synfp/json.hpp>

#include "command.hpp"

#ifdef SYNFP_JA4T  // not free for every use, see the header
#include <synfp/fingerprint/ja4t.hpp>
#endif

namespace cli {
namespace {

using namespace synfp;

constexpr std::size_t enough = 64 * 1024;

constexpr std::pair<std::string_view, format> names[] = {
    {"table", format::table},   {"json", format::json},       {"p0f", format::p0f},
    {"muonfp", format::muonfp}, {"haproxy", format::haproxy}, {"satori", format::satori},
    {"ndpi", format::ndpi},     {"pfos", format::pfos},       {"ja4t", format::ja4t}};

template <std::size_t N>
std::string_view or_dash(const std::optional<fixed_text<N>>& text) {
  return text ? text->view() : "-";
}

fixed_text<20> number(std::uint64_t value) {
  fixed_text<20> digits;
  digits.append_number(value);
  return digits;
}

/// SECONDS.NANOSECONDS, always nine digits.
void append_time(std::string& out, const wall_time& t) {
  char digits[32];
  char* end = std::to_chars(digits, digits + 21, t.seconds).ptr;
  *end = '.';
  std::uint32_t rest = t.nanoseconds;
  for (int i = 9; i > 0; --i) {
    end[i] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  }
  out.append(digits, static_cast<std::size_t>(end + 10 - digits));
}

}  // namespace

void add_format(CLI::App& sub, format& chosen) {
  std::vector<std::string> known;
  std::string now;
  for (const auto& [name, f] : names) {
    known.emplace_back(name);
    if (f == chosen) now = name;
  }
  sub.add_option_function<std::string>(
         "--format",
         [&chosen](const std::string& wanted) {
           for (const auto& [name, f] : names) {
             if (name == wanted) chosen = f;
           }
         },
         "what a line says of a SYN: everything (json), one fingerprint, or columns for the eye (table); '-' "
         "where the format has nothing to say")
      ->check(CLI::IsMember(known))
      ->type_name("FORMAT")
      ->default_str(now);
}

void add_filter_port(CLI::App& sub, std::vector<std::uint16_t>& ports) {
  sub.add_option("--filter-port", ports, "only SYNs to this port of the server; repeatable")
      ->check(CLI::Range(1, 65535))
      ->type_name("PORT")
      ->allow_extra_args(false);
}

fingerprint::identifier databases::open() const {
  const auto flow = flow_aware ? fingerprint::flow_reading::aware : fingerprint::flow_reading::p0f;
  fingerprint::identifier who(flow);
  for (const std::string& file : files) {
    auto database = fingerprint::p0f_database::load(file);
    if (!database) throw failure(database.error().message);
    who.add(*std::move(database), flow);
  }
  return who;
}

void add_databases(CLI::App& sub, databases& asked) {
  sub.add_option(
         "--p0f-db", asked.files,
         "a signature database in p0f's grammar, asked after our own; repeatable (Debian's p0f brings "
         "/etc/p0f/p0f.fp)")
      ->type_name("FILE")
      ->allow_extra_args(false);
  sub.add_flag("--flow-aware", asked.flow_aware,
               "an IPv6 flow label is no difference to a signature; p0f says it is");
}

output::output(int fd, format f, const databases& asked, std::function<void()> before_write)
    : fd_(fd), format_(f), who_(asked.open()), before_write_(std::move(before_write)) {
#ifndef SYNFP_JA4T
  if (f == format::ja4t)
    throw failure(
        "this program was built without JA4T, a method under the FoxIO License 1.1: non-commercial use only, "
        "patent pending (see NOTICE); if your use is one that it allows, build with cmake -DSYNFP_JA4T=ON");
#endif
  text_.reserve(enough + 4096);
  if (f != format::table || ::isatty(fd) != 1) return;
  constexpr std::string_view head[] = {"PEER", "LOCAL", "TTL", "MSS", "WIN", "P0F"};
  for (std::size_t i = 0; i < width_.size(); ++i) append_cell(i, head[i], i >= 2 && i <= 4);
  text_.append("OS\n");
}

void output::append_cell(std::size_t column, std::string_view text, bool right) {
  std::size_t& width = width_[column];
  if (text.size() > width) width = text.size();
  if (right) text_.append(width - text.size(), ' ');
  text_.append(text);
  if (!right) text_.append(width - text.size(), ' ');
  text_.append("  ");
}

void output::append_row(const syn_record& syn) {
  const auto mss = syn.tcp().known().mss;
  append_cell(0, syn.source().text(), false);
  append_cell(1, syn.destination().text(), false);
  append_cell(2, number(syn.ip().ttl()), true);
  append_cell(3, mss ? number(*mss).view() : "-", true);
  append_cell(4, number(syn.tcp().window()), true);
  append_cell(5, or_dash(fingerprint::p0f(syn)), false);
  const fingerprint::identification id = who_.identify(syn);
  if (id.label == nullptr) {
    text_.push_back('-');
    return;
  }
  // The user's database may hold any byte; a terminal must not see those that command it.
  for (const char c : id.label->title()) text_.push_back(c >= ' ' && c < 0x7f ? c : '?');
  if (id.quality == fingerprint::match_quality::fuzzy) text_.append(" (fuzzy)");
}

void output::append_json_line(const syn_record& syn, const sighting& seen) {
  text_.append(R"({"frame":)");
  text_.append(seen.frame ? number(*seen.frame).view() : "null");
  text_.append(R"(,"time":)");
  if (seen.time) {
    append_time(text_, *seen.time);
  } else {
    text_.append("null");
  }
  text_.append(R"(,"peer":)");
  append_json(text_, syn.source());
  text_.append(R"(,"local":)");
  append_json(text_, syn.destination());
  text_.append(R"(,"syn":)");
  append_json(text_, syn);
  text_.append(R"(,"fingerprint":)");
#ifdef SYNFP_JA4T
  append_json_fingerprints(text_, syn, json_member{"ja4t", fingerprint::ja4t(syn)});
#else
  append_json_fingerprints(text_, syn);
#endif
  text_.append(R"(,"os":)");
  append_json_os(text_, who_.identify(syn));
  text_.push_back('}');
}

void output::print(const syn_record& syn, const sighting& seen) {
  switch (format_) {
    case format::table: append_row(syn); break;
    case format::json: append_json_line(syn, seen); break;
    case format::p0f: text_.append(or_dash(fingerprint::p0f(syn))); break;
    case format::muonfp: text_.append(fingerprint::muonfp(syn)); break;
    case format::haproxy: text_.append(fingerprint::haproxy(syn)); break;
    case format::satori: text_.append(or_dash(fingerprint::satori(syn))); break;
    case format::ndpi: text_.append(or_dash(fingerprint::ndpi(syn))); break;
    case format::pfos: text_.append(or_dash(fingerprint::pfos(syn))); break;
    case format::ja4t:
#ifdef SYNFP_JA4T
      text_.append(fingerprint::ja4t(syn));
#endif
      break;
  }
  text_.push_back('\n');
  if (text_.size() >= enough) flush();
}

void output::flush() {
  if (text_.empty()) return;
  if (before_write_) before_write_();
  std::string_view rest = text_;
  while (!rest.empty()) {
    if (wait_) wait_();
    const ssize_t n =
        ::write(fd_, rest.data(), wait_ ? std::min<std::size_t>(rest.size(), PIPE_BUF) : rest.size());
    if (n >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {  // somebody made the descriptor non-blocking
      pollfd ready{fd_, POLLOUT, 0};
      ::poll(&ready, 1, -1);
      continue;
    }
    const int why = errno;
    text_.clear();
    if (why == EPIPE) throw reader_left();
    throw failure(fmt::format("cannot write the output: {}", std::strerror(why)), 1);
  }
  text_.clear();
}

}  // namespace cli
