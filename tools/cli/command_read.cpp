// SPDX-License-Identifier: MIT
// synfp read: the SYNs of a capture file, one line each.
#include <fmt/format.h>
#include <fmt/ranges.h>  // join
#include <pcap/pcap.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture_file.hpp"
#include "command.hpp"
#include "first_bytes.hpp"
#include "frame.hpp"
#include "hello_lines.hpp"
#include "output.hpp"
#include "proposals.hpp"

namespace cli {
namespace {

struct settings {
  std::string file;
  std::vector<std::string> expression;
  format shown = format::table;
  std::vector<std::uint16_t> ports;
  databases asked;
  std::uint64_t count = 0;  // 0: no end
  bool propose = false;
};

/// A pcap-filter(7) expression, as tcpdump takes it.
class filter {
 public:
  explicit filter(const std::vector<std::string>& words) : text_(fmt::format("{}", fmt::join(words, " "))) {}
  ~filter() {
    for (auto& [link, program] : programs_) pcap_freecode(&program);
  }
  filter(const filter&) = delete;
  filter& operator=(const filter&) = delete;

  /// Throws failure for an expression that is wrong, or wrong for this link type.
  bool takes(const packet& p) {
    if (text_.empty()) return true;
    pcap_pkthdr header{};
    header.caplen = static_cast<bpf_u_int32>(p.bytes.size());
    header.len = p.wire_length;
    return pcap_offline_filter(&program(p.link), &header, p.bytes.data()) != 0;
  }
  const bpf_program& program(int link) {
    const auto known = programs_.find(link);
    if (known != programs_.end()) return known->second;
    const std::unique_ptr<pcap_t, void (*)(pcap_t*)> any(pcap_open_dead(link, 1 << 18), &pcap_close);
    if (!any) throw std::bad_alloc();
    bpf_program made{};
    if (pcap_compile(any.get(), &made, text_.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0)
      throw failure(fmt::format("the filter '{}' cannot be used on frames of the link type {}: {}", text_,
                                link_name(link), pcap_geterr(any.get())));
    return programs_.emplace(link, made).first->second;
  }

 private:
  std::string text_;
  std::map<int, bpf_program> programs_;  // by link type: a pcapng file may have several
};

/// One line on stderr, if that is a terminal, while a large file is read.
class progress {
 public:
  ~progress() { erase(); }

  void erase() {
    if (drawn_ == 0) return;
    say("\r{:{}}\r", "", drawn_);
    drawn_ = 0;
  }
  /// Cheap: looks at the clock now and then only.
  void step(const capture_file& file, std::uint64_t frames) {
    constexpr std::uint64_t large = std::uint64_t{64} << 20;
    if (!terminal_ || frames % 1024 != 0 || std::max(file.size(), file.taken()) < large) return;
    const auto now = clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds(300);
    const std::string share =
        file.size() > 0
            ? fmt::format("{:3} %, ", std::min(file.taken() * 100 / file.size(), std::uint64_t{100}))
            : fmt::format("{} MiB, ", file.taken() >> 20);
    const std::string line = fmt::format("synfp: {}: {}{} frames", file.name(), share, frames);
    say("\r{:<{}}", line, drawn_);
    drawn_ = std::max(drawn_, line.size());
    std::fflush(stderr);
  }

 private:
  using clock = std::chrono::steady_clock;
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  clock::time_point next_ = clock::now() + std::chrono::milliseconds(300);
  std::size_t drawn_ = 0;
};

/// What became of the frames that gave no SYN, so that nothing is lost in silence.
class tally {
 public:
  void add(const frame_syn& found) {
    ++by_reason_[static_cast<std::size_t>(found.why)];
    if (found.why == refusal::unread) ++by_kind_[{found.unread.text, found.unread.number}];
  }
  std::uint64_t of(refusal why) const { return by_reason_[static_cast<std::size_t>(why)]; }
  std::uint64_t of_unread_links() const {
    std::uint64_t sum = 0;
    for (const auto& [kind, n] : by_kind_) sum += kind.first == unread_link ? n : 0;
    return sum;
  }
  /// "9 GRE, 3 VXLAN": the most frequent kinds.
  std::string unread() const {
    std::vector<std::pair<std::uint64_t, std::string>> kinds;
    for (const auto& [kind, n] : by_kind_) {
      const std::string name = kind.first == unread_link
                                   ? "link type " + link_name(static_cast<int>(kind.second))
                                   : fmt::format(fmt::runtime(kind.first), kind.second);
      kinds.emplace_back(n, name);
    }
    std::stable_sort(kinds.begin(), kinds.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    std::string text;
    std::uint64_t others = 0;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      if (i < 10) {
        text += fmt::format("{}{} {}", i == 0 ? "" : ", ", kinds[i].first, kinds[i].second);
      } else {
        others += kinds[i].first;
      }
    }
    return others == 0 ? text : fmt::format("{}, {} others", text, others);
  }
  /// "1 fragment, 2 SYN with FIN or RST"; empty if nothing was refused.
  std::string refused() const {
    std::string text;
    for (auto i = static_cast<std::size_t>(refusal::cut_short); i < by_reason_.size(); ++i) {
      if (by_reason_[i] == 0) continue;
      text +=
          fmt::format("{}{} {}", text.empty() ? "" : ", ", by_reason_[i], to_string(static_cast<refusal>(i)));
    }
    return text;
  }
  std::uint64_t refused_frames() const {
    return std::accumulate(by_reason_.begin() + static_cast<int>(refusal::cut_short), by_reason_.end(),
                           std::uint64_t{0});
  }

 private:
  std::array<std::uint64_t, static_cast<std::size_t>(refusal::count_)> by_reason_{};
  std::map<std::pair<std::string_view, std::uint32_t>, std::uint64_t> by_kind_;
};

/// Up to two lines on stderr.
void report(const std::string& name, std::uint64_t frames, const tally& counts) {
  if (const auto n = counts.refused_frames(); n != 0)
    say("synfp: {}: {} of {} frames refused: {}\n", name, n, frames, counts.refused());
  if (const auto n = counts.of(refusal::unread); n != 0)
    say("synfp: {}: {} of {} frames not read: {}\n", name, n, frames, counts.unread());
}

failure unread_links(const std::string& name, const std::string& links) {
  return failure(fmt::format(
      "{}: its frames ({}) are not read, only those of {}; tcpdump -i any captures in one of these", name,
      links, links_read));
}

/// Whether there is something to read within a second: lines wait no longer for the hellos of a pipe.
bool comes_soon(int fd) {
  pollfd ready{fd, POLLIN, 0};
  return ::poll(&ready, 1, 1000) != 0;
}

/// Whether a SYN to this port is asked for.
bool wants_port(const settings& s, std::uint16_t port) {
  return s.ports.empty() || std::find(s.ports.begin(), s.ports.end(), port) != s.ports.end();
}

/// Calls `frame` with each frame that the filter takes while there is `more` to do, then `end`, and says on
/// stderr what was not read. Damage counts if `whole`: the frames behind it were wanted.
template <class More, class Whole, class Frame, class End>
int follow(const settings& s, capture_file& file, progress& shown, More more, Whole whole, Frame frame,
           End end) {
  filter wanted(s.expression);
  if (file.link()) {
    if (!reads_link(*file.link())) throw unread_links(file.name(), "link type " + link_name(*file.link()));
    if (!s.expression.empty()) wanted.program(*file.link());  // wrong ones at once
  }

  tally counts;
  std::uint64_t frames = 0;
  std::string damaged;
  try {
    while (more()) {
      const auto p = file.next();
      if (!p) break;
      ++frames;
      shown.step(file, frames);
      if (reads_link(p->link) && !wanted.takes(*p)) continue;
      frame(*p, sighting{frames, p->time}, counts);
    }
  } catch (const damage& e) {
    if (whole()) damaged = e.what();
  }
  end();
  shown.erase();
  if (frames != 0 && counts.of_unread_links() == frames) throw unread_links(file.name(), counts.unread());
  report(file.name(), frames, counts);
  if (damaged.empty()) return 0;
  throw failure(fmt::format("{}: damaged at frame {}: {}; the frames before it were read", file.name(),
                            frames + 1, damaged),
                1);
}

int propose(const settings& s) {
  progress shown;
  const synfp::fingerprint::identifier who = s.asked.open();
  proposals found(who);
  capture_file file(s.file, [](int) {});
  const auto always = [] { return true; };
  return follow(
      s, file, shown, always, always,
      [&](const packet& p, const sighting&, tally& counts) {
        const frame_syn one = read_frame(p.link, p.bytes, p.wire_length);
        counts.add(one);
        if (one.syn && wants_port(s, one.syn->tcp().destination_port())) found.add(*one.syn);
        if (const auto part = read_segment(p.link, p.bytes, p.wire_length)) found.add(*part);
      },
      [&] {
        shown.erase();
        write_all(STDOUT_FILENO, found.text());
        const std::string left_out =
            found.left_out() == 0 ? "" : fmt::format("; {} of them are in no entry", found.left_out());
        say("synfp: {}: {} of {} SYNs have no name{}\n", file.name(), found.unnamed(), found.syns(),
            left_out);
      });
}

int read(const settings& s) {
  if (s.propose) return propose(s);
  progress shown;
  // Only what goes to a terminal meets that line.
  const bool meets = ::isatty(STDOUT_FILENO) == 1;
  output out(
      STDOUT_FILENO, s.shown, s.asked,
      [&] {
        if (meets) shown.erase();
      },
      true);
  const bool hellos = shows_hello(s.shown);
  hello_lines lines([&out](sight one) { out.print(std::move(one)); },
                    s.shown == format::ja3 || s.shown == format::ja4);
  capture_file file(s.file, [&](int fd) {
    out.flush();
    if (lines.empty() || comes_soon(fd)) return;
    lines.finish();
    out.flush();
  });

  std::uint64_t printed = 0;
  const auto enough = [&] { return s.count != 0 && printed >= s.count; };
  return follow(
      s, file, shown, [&] { return !enough() || !lines.empty(); }, [&] { return !enough(); },
      [&](const packet& p, const sighting& seen, tally& counts) {
        const frame_syn found = read_frame(p.link, p.bytes, p.wire_length);
        if (!enough()) {
          counts.add(found);
          if (found.syn && wants_port(s, found.syn->tcp().destination_port())) {
            if (!hellos) out.print(*found.syn, seen);
            printed += hellos ? lines.add(*found.syn, seen) : 1;
          }
        }
        if (!hellos) return;
        if (p.time) lines.at(*p.time);
        const auto part = read_segment(p.link, p.bytes, p.wire_length);
        if (!part) return;
        if (!enough() && wants_port(s, part->to.port()) && lines.begins(*part)) {
          lines.add(*part, seen);
          ++printed;
        }
        lines.take(*part);
      },
      [&] {
        lines.finish();
        out.flush();
      });
}

}  // namespace

command add_read(CLI::App& app) {
  const auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand("read", "Prints the SYNs and TLS hellos of a capture file, a line each");
  sub->add_option("FILE", s->file, "a pcap or pcapng file, or - for stdin")->required();
  sub->add_option("FILTER", s->expression,
                  "only frames that this pcap-filter(7) expression takes, as in tcpdump");
  add_format(*sub, s->shown, true);
  add_filter_port(*sub, s->ports);
  add_databases(*sub, s->asked);
  add_count(*sub, s->count);
  sub->add_flag("--propose", s->propose,
                "instead of lines, entries for a signature database: what SYNs that no database names look "
                "like, how "
                "many there were, and what their connections said; no addresses")
      ->excludes("--format")
      ->excludes("--count");
  sub->footer(
      R"(Frames may be Ethernet with up to eight VLAN tags, MPLS, PPPoE or SNAP, raw IP, BSD loopback, Linux cooked,
PPP, Cisco HDLC, 802.11 or NFLOG. What opens a TCP connection is printed, in the order of the file: SYN
without ACK, FIN and RST. Fragments, frames that the capture cut inside the headers and headers that
contradict themselves are refused, as the live probe does; tunnels and other encapsulations are not read.
stderr says how many frames and why. If it says nothing and nothing is printed, there was no SYN.

json, table, ja3 and ja4 also show the ClientHello that the client sends first, put together from as many
segments as it takes. Such a line comes when the hello is there, or will not come: the client sends something
else, closes, says nothing for 10 seconds of the capture, or a pipe brings nothing for a second. The order is
that of the SYNs. A hello whose SYN is not in the capture has a line without a SYN. ja3 and ja4 have one line
per connection; elsewhere a SYN that came again has its own. A filter has to let the client's data pass.

--propose looks at what each connection says first whose SYN nobody names, 8192 of them at a time: in 2048
bytes of an HTTP request in clear text, at the part of the User-Agent that says the system; at a ClientHello.
Before an entry becomes a signature, a person judges whether that is who sent the SYN, and not a proxy, a
script or a liar.

table: the time of day in the local time zone, and of the hello the first part of JA4; json: one object per
line with frame, time (seconds since 1970), peer, local, syn, fingerprint, os, hello, no_hello (why there is
none).

Exit status: 0; 1 if the file is damaged (what is before the damage is printed) or the output cannot be
written; 2 if nothing was read.

  synfp read traffic.pcapng
  synfp read traffic.pcapng --count 10 'host 192.0.2.1 and not port 22'
  tcpdump -i any -U -w - tcp | synfp read - --format p0f --filter-port 443
  synfp read traffic.pcapng --propose > candidates.fp)");
  return {sub, [s] { return read(*s); }};
}

}  // namespace cli
