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
#include <ctime>
#include <future>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

#include <synfp/json.hpp>
#include <synfp/json_hello.hpp>

#include "command.hpp"

#ifdef SYNFP_JA4T  // not free for every use, see the header
#include <synfp/fingerprint/ja4t.hpp>
#endif

namespace cli {
namespace {

using namespace synfp;

constexpr std::size_t enough = 64 * 1024;  // bytes
constexpr std::size_t batch = 2048;        // SYNs

// Columns of the table.
constexpr std::size_t columns = 120, time_width = 12, address_width = 27, hello_width = 10;

constexpr std::pair<std::string_view, format> names[] = {
    {"table", format::table},   {"json", format::json},       {"p0f", format::p0f},
    {"muonfp", format::muonfp}, {"haproxy", format::haproxy}, {"satori", format::satori},
    {"ndpi", format::ndpi},     {"pfos", format::pfos},       {"ja3", format::ja3},
    {"ja4", format::ja4},
#ifdef SYNFP_JA4T
    {"ja4t", format::ja4t},
#endif
};

/// A view of the hello; empty of everything without one.
tls::client_hello hello_of(const sight& one) {
  tls::client_hello hello;
  if (one.hello) (void)hello.assign(*one.hello);  // it was assigned before
  return hello;
}

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

/// "13:59:07.042", in the local time zone.
fixed_text<12> time_of_day(const std::optional<wall_time>& t) {
  fixed_text<12> text;
  std::tm split{};
  const std::time_t seconds = t ? t->seconds : 0;
  if (!t || ::localtime_r(&seconds, &split) == nullptr) {
    text.push_back('-');
    return text;
  }
  text.append(fmt::format("{:02}:{:02}:{:02}.{:03}", split.tm_hour, split.tm_min, split.tm_sec,
                          t->nanoseconds / 1'000'000));
  return text;
}

}  // namespace

void add_format(CLI::App& sub, format& chosen, bool hellos) {
  std::vector<std::string> known;
  std::string now;
  for (const auto& [name, f] : names) {
    if (hellos || (f != format::ja3 && f != format::ja4)) known.emplace_back(name);
    if (f == chosen) now = name;
  }
  const auto built = [](const std::string& wanted) -> std::string {
#ifndef SYNFP_JA4T
    if (wanted == "ja4t")
      throw failure(
          "this program was built without JA4T, a method under the FoxIO License 1.1: "
          "non-commercial use only, patent pending (see NOTICE); "
          "if your use is one that it allows, build with cmake -DSYNFP_JA4T=ON");
#else
    (void)wanted;
#endif
    return {};
  };
  sub.add_option_function<std::string>(
         "--format",
         [&chosen](const std::string& wanted) {
           for (const auto& [name, f] : names) {
             if (name == wanted) chosen = f;
           }
         },
         "what a line says of a SYN: everything (json), one fingerprint, or columns for the eye (table); "
         "'-' where the format has nothing to say")
      ->check(built, "")
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

void add_count(CLI::App& sub, std::uint64_t& count) {
  sub.add_option("--count", count, "end after so many lines")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000'000}))
      ->type_name("N");
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
  sub.add_option("--p0f-db", asked.files,
                 "a signature database in p0f's grammar, asked after our own; repeatable "
                 "(Debian's p0f brings /etc/p0f/p0f.fp)")
      ->type_name("FILE")
      ->allow_extra_args(false);
  sub.add_flag("--flow-aware", asked.flow_aware,
               "an IPv6 flow label is no difference to a signature; p0f says it is");
}

output::output(int fd, format f, const databases& asked, std::function<void()> before_write, bool hellos)
    : fd_(fd), format_(f), hellos_(hellos), who_(asked.open()), before_write_(std::move(before_write)) {
  if (f != format::table || ::isatty(fd) != 1) return;
  append_cell("TIME", time_width);
  append_cell("PEER", width_[0]);
  append_cell("LOCAL", width_[1]);
  text_.append("TTL    MSS    WIN  OS");
  if (hellos) text_.append(columns - hello_width - text_.size(), ' ').append("HELLO");
  text_.push_back('\n');
}

void output::append_cell(std::string_view text, std::size_t width) {
  text_.append(text);
  text_.append(width - std::min(width, text.size()) + 2, ' ');
}

void output::append_row(const sight& one) {
  const std::size_t start = text_.size();
  append_cell(time_of_day(one.seen.time).view(), time_width);
  const endpoint ends[] = {one.peer, one.local};
  for (std::size_t i = 0; i < width_.size(); ++i) {
    const auto text = ends[i].text();
    width_[i] = std::clamp(text.size(), width_[i], address_width);
    if (text.size() <= address_width) {
      append_cell(text.view(), width_[i]);
      continue;
    }
    // A long address is shown by its ends and the port. json has all of it.
    constexpr std::size_t tail = 16;
    text_.append(text.view().substr(0, address_width - tail - 2)).append("..");
    append_cell(text.view().substr(text.size() - tail), tail);
  }
  const std::size_t end = start + columns - (one.hello ? hello_width + 2 : 0);
  if (one.syn) {
    const auto mss = one.syn->tcp().known().mss;
    fmt::format_to(std::back_inserter(text_), "{:>3}  {:>5}  {:>5}  ", one.syn->ip().ttl(),
                   mss ? number(*mss).view() : "-", one.syn->tcp().window());
    append_system(*one.syn, end - text_.size());
  } else {
    fmt::format_to(std::back_inserter(text_), "{:>3}  {:>5}  {:>5}  -", "-", "-", "-");
  }
  if (!one.hello) return;
  text_.append(end + 2 - text_.size(), ' ');
  // What of JA4 is for people to read.
  text_.append(fingerprint::ja4(hello_of(one)).view().substr(0, hello_width));
}

void output::append_system(const syn_record& syn, std::size_t room) {
  const fingerprint::identification id = who_.identify(syn);
  if (id.label == nullptr) {
    text_.push_back('-');
    return;
  }
  const std::size_t system = text_.size();
  // The user's database may hold any byte; a terminal must not see those that command it.
  for (const char c : id.label->title()) text_.push_back(c >= ' ' && c < 0x7f ? c : '?');
  const std::string_view mark = id.quality == fingerprint::match_quality::fuzzy ? " (fuzzy)" : "";
  room -= mark.size();
  if (text_.size() - system > room) text_.replace(system + room - 2, std::string::npos, "..");
  text_.append(mark);
}

void output::append_json_line(std::string& text, const sight& one) const {
  const tls::client_hello hello = hello_of(one);
  text.append(R"({"frame":)");
  text.append(one.seen.frame ? number(*one.seen.frame).view() : "null");
  text.append(R"(,"time":)");
  if (one.seen.time) {
    append_time(text, *one.seen.time);
  } else {
    text.append("null");
  }
  text.append(R"(,"peer":)");
  append_json(text, one.peer);
  text.append(R"(,"local":)");
  append_json(text, one.local);
  if (one.syn) {
    text.append(R"(,"syn":)");
    append_json(text, *one.syn);
    text.append(R"(,"fingerprint":)");
#ifdef SYNFP_JA4T
    append_json_fingerprints(text, *one.syn, json_member{"ja4t", fingerprint::ja4t(*one.syn)});
#else
    append_json_fingerprints(text, *one.syn);
#endif
    text.append(R"(,"os":)");
    append_json_os(text, who_.identify(*one.syn, {}, one.hello ? &hello : nullptr));
  } else {
    text.append(R"(,"syn":null,"fingerprint":null,"os":null)");
  }
  if (!hellos_) {
    text.append("}\n");
    return;
  }
  text.append(R"(,"hello":)");
  if (one.hello) {
    append_json(text, hello);
  } else {
    text.append("null");
  }
  text.append(R"(,"no_hello":)");
  if (one.no_hello.empty()) {
    text.append("null}\n");
  } else {
    append_json_string(text, one.no_hello);
    text.append("}\n");
  }
}

void output::start_json() {
  constexpr std::size_t share = 256;  // is made about as fast as a thread starts
  finish_json();
  working_.swap(waiting_);
  const std::size_t processors = std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
  const std::size_t parts = std::clamp<std::size_t>(working_.size() / share, 1, processors);
  if (json_.size() < parts) json_.resize(parts);
  for (std::size_t part = 0; part < parts; ++part) {
    const auto make = [this, part, parts] {
      std::string text = std::move(json_[part]);  // its length is not to share a cache line with others
      for (std::size_t i = working_.size() * part / parts; i < working_.size() * (part + 1) / parts; ++i)
        append_json_line(text, working_[i]);
      json_[part] = std::move(text);
    };
    try {
      if (parts > 1) {
        making_.push_back(std::async(std::launch::async, make));
        continue;
      }
    } catch (const std::system_error&) {  // no more threads
    }
    make();
  }
}

void output::finish_json() {
  for (auto& one : making_) one.get();
  making_.clear();
  working_.clear();
  for (std::string& text : json_) write(text);
}

void output::print(const syn_record& syn, const sighting& seen) {
  if (shows_hello(format_)) {
    print({syn, syn.source(), syn.destination(), seen, nullptr, {}});
    return;
  }
  append_fingerprint(syn);
  end_line();
}

void output::print(sight one) {
  switch (format_) {
    case format::json:
      waiting_.push_back(std::move(one));
      if (waiting_.size() == batch) start_json();
      return;
    case format::table: append_row(one); break;
    case format::ja3: text_.append(one.hello ? fingerprint::ja3(hello_of(one)).view() : "-"); break;
    case format::ja4: text_.append(one.hello ? fingerprint::ja4(hello_of(one)).view() : "-"); break;
    default:
      if (one.syn) append_fingerprint(*one.syn);
      break;
  }
  end_line();
}

void output::append_fingerprint(const syn_record& syn) {
  switch (format_) {
    case format::p0f: text_.append(or_dash(fingerprint::p0f(syn))); break;
    case format::muonfp: text_.append(fingerprint::muonfp(syn)); break;
    case format::haproxy: text_.append(fingerprint::haproxy(syn)); break;
    case format::satori: text_.append(or_dash(fingerprint::satori(syn))); break;
    case format::ndpi: text_.append(or_dash(fingerprint::ndpi(syn))); break;
    case format::pfos: text_.append(or_dash(fingerprint::pfos(syn))); break;
#ifdef SYNFP_JA4T
    case format::ja4t: text_.append(fingerprint::ja4t(syn)); break;
#endif
    default: break;
  }
}

void output::end_line() {
  text_.push_back('\n');
  if (text_.size() >= enough) flush();
}

void output::flush() {
  start_json();
  finish_json();
  write(text_);
}

void output::write(std::string& text) {
  if (text.empty()) return;
  if (before_write_) before_write_();
  try {
    write_all(fd_, text, wait_);
  } catch (const failure&) {
    text.clear();
    throw;
  } catch (const reader_left&) {
    text.clear();
    throw;
  }
  text.clear();
}

void write_all(int fd, std::string_view text, const std::function<void()>& wait) {
  while (!text.empty()) {
    if (wait) wait();
    const ssize_t n =
        ::write(fd, text.data(), wait ? std::min<std::size_t>(text.size(), PIPE_BUF) : text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {  // somebody made the descriptor non-blocking
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
      continue;
    }
    const int why = errno;
    if (why == EPIPE) throw reader_left();
    throw failure(fmt::format("cannot write the output: {}", std::strerror(why)), 1);
  }
}

}  // namespace cli
