// SPDX-License-Identifier: MIT
// synfp read: the SYNs of a capture file, one line each.
#include <fcntl.h>
#include <fmt/format.h>
#include <pcap/pcap.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "command.hpp"
#include "frame.hpp"
#include "output.hpp"

namespace cli {
namespace {

struct settings {
  std::string file;
  format shown = format::table;
  std::vector<std::uint16_t> ports;
  databases asked;
};

/// The file as libpcap reads it. Counts the bytes, and lets `before_waiting` run before a read that may have
/// to wait for whoever writes.
class input {
 public:
  input(const std::string& name, std::function<void()> before_waiting)
      : before_waiting_(std::move(before_waiting)) {
    if (name != "-") fd_ = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat about {};
    if (fd_ < 0 || ::fstat(fd_, &about) != 0)
      throw failure(fmt::format("{}: {}", name, std::strerror(errno)));
    if (S_ISREG(about.st_mode)) size_ = static_cast<std::uint64_t>(about.st_size);
  }
  ~input() {
    if (fd_ > 0) ::close(fd_);
  }
  input(const input&) = delete;
  input& operator=(const input&) = delete;

  /// For libpcap, which closes it. This object must live longer.
  FILE* stream() {
    const cookie_io_functions_t functions{&input::read, nullptr, nullptr, nullptr};
    FILE* f = ::fopencookie(this, "rb", functions);
    if (f == nullptr) throw std::bad_alloc();
    std::setvbuf(f, nullptr, _IOFBF, std::size_t{256} << 10);
    return f;
  }
  std::uint64_t size() const { return size_; }  ///< 0: not known
  std::uint64_t taken() const { return taken_; }
  const std::array<unsigned char, 4>& first() const { return first_; }
  /// What `before_waiting` threw: libpcap only saw that reading failed.
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  static ssize_t read(void* self, char* to, std::size_t n) noexcept {
    input& in = *static_cast<input*>(self);
    try {
      if (in.size_ == 0 && in.before_waiting_) in.before_waiting_();
    } catch (...) {
      in.thrown_ = std::current_exception();
      errno = ECANCELED;
      return -1;
    }
    ssize_t got = 0;
    do {
      got = ::read(in.fd_, to, n);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return got;
    if (in.taken_ == 0)
      std::memcpy(in.first_.data(), to, std::min(static_cast<std::size_t>(got), in.first_.size()));
    in.taken_ += static_cast<std::uint64_t>(got);
    return got;
  }

  int fd_ = STDIN_FILENO;
  std::uint64_t size_ = 0, taken_ = 0;
  std::array<unsigned char, 4> first_{};
  std::function<void()> before_waiting_;
  std::exception_ptr thrown_;
};

/// One line on stderr, if that is a terminal, of what takes longer than half a second.
class progress {
 public:
  ~progress() { erase(); }

  void erase() {
    if (drawn_ == 0) return;
    say("\r{:{}}\r", "", drawn_);
    drawn_ = 0;
  }
  /// Cheap: looks at the clock now and then only.
  void step(const input& in, std::uint64_t frames) {
    if (!terminal_ || frames % 1024 != 0) return;
    const auto now = clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds(300);
    const std::string share =
        in.size() > 0 ? fmt::format("{:3} %, ", std::min(in.taken() * 100 / in.size(), std::uint64_t{100}))
                      : "";
    const std::string line = fmt::format("synfp: {}{} frames", share, frames);
    say("\r{:<{}}", line, drawn_);
    drawn_ = std::max(drawn_, line.size());
    std::fflush(stderr);
  }

 private:
  using clock = std::chrono::steady_clock;
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  clock::time_point next_ = clock::now() + std::chrono::milliseconds(500);
  std::size_t drawn_ = 0;
};

using pcap_file = std::unique_ptr<pcap_t, decltype(&pcap_close)>;

/// What the first bytes of a compressed file give away.
const char* decompressor(const std::array<unsigned char, 4>& first) {
  if (first[0] == 0x1f && first[1] == 0x8b) return "zcat";
  if (first[0] == 0xfd && first[1] == '7') return "xzcat";
  if (first[0] == 'B' && first[1] == 'Z' && first[2] == 'h') return "bzcat";
  if (first[0] == 0x28 && first[1] == 0xb5 && first[2] == 0x2f && first[3] == 0xfd) return "zstdcat";
  if (first[0] == 0x04 && first[1] == 0x22 && first[2] == 0x4d && first[3] == 0x18) return "lz4cat";
  return nullptr;
}

pcap_file open_capture(input& in, const std::string& name) {
  char why[PCAP_ERRBUF_SIZE] = "";
  FILE* stream = in.stream();
  pcap_file file(pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, why),
                 &pcap_close);
  if (!file) {
    std::fclose(stream);
    in.rethrow();
    if (const char* tool = decompressor(in.first()))
      throw failure(fmt::format("{0}: this is compressed; try {1} {0} | synfp read -", name, tool));
    throw failure(fmt::format("{}: no pcap or pcapng file that libpcap reads: {}", name, why));
  }
  const int link = pcap_datalink(file.get());
  if (!reads_link(link)) {
    const char* known = pcap_datalink_val_to_name(link);
    throw failure(
        fmt::format("{}: frames of the link type {} ({}) are not read, only Ethernet, raw IP, loopback and "
                    "Linux cooked; convert "
                    "the file, for instance with tcprewrite --dlt=enet (Debian: tcpreplay), or capture with "
                    "tcpdump -i any",
                    name, known != nullptr ? known : "unknown", link));
  }
  return file;
}

sighting sighted(std::uint64_t frame, const timeval& ts) {
  sighting s{frame, std::nullopt};
  // libpcap was asked for nanoseconds. A damaged file can say anything.
  if (ts.tv_sec >= 0 && ts.tv_usec >= 0 && ts.tv_usec < 1'000'000'000)
    s.time = wall_time{ts.tv_sec, static_cast<std::uint32_t>(ts.tv_usec)};
  return s;
}

using tally = std::array<std::uint64_t, static_cast<std::size_t>(refusal::count_)>;

/// Frames that hold, or may hold, a SYN that was not printed: one line on stderr, so that nothing is lost in
/// silence.
void report(const std::string& name, std::uint64_t frames, const tally& counts) {
  std::string reasons;
  std::uint64_t refused = 0;
  for (std::size_t i = static_cast<std::size_t>(refusal::cut_short); i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    refused += counts[i];
    reasons +=
        fmt::format("{}{} {}", reasons.empty() ? "" : ", ", counts[i], to_string(static_cast<refusal>(i)));
  }
  if (refused != 0) say("synfp: {}: {} of {} frames refused: {}\n", name, refused, frames, reasons);
}

int read(const settings& s) {
  progress shown;
  output out(STDOUT_FILENO, s.shown, s.asked, [&shown] { shown.erase(); });
  input in(s.file, [&out] { out.flush(); });
  const std::string name = s.file == "-" ? "stdin" : s.file;
  const pcap_file file = open_capture(in, name);
  const int link = pcap_datalink(file.get());

  tally counts{};
  std::uint64_t frames = 0;
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  int status = 0;
  while ((status = pcap_next_ex(file.get(), &header, &data)) == 1) {
    ++frames;
    const frame_syn found = read_frame(link, std::span(data, header->caplen), header->len);
    ++counts[static_cast<std::size_t>(found.why)];
    if (found.syn && (s.ports.empty() || std::find(s.ports.begin(), s.ports.end(),
                                                   found.syn->tcp().destination_port()) != s.ports.end()))
      out.print(*found.syn, sighted(frames, header->ts));
    shown.step(in, frames);
  }
  in.rethrow();
  out.flush();
  shown.erase();
  report(name, frames, counts);
  if (status != PCAP_ERROR) return 0;
  // libpcap on a pcapng file whose interfaces have different link types: "an interface has a type 1 different
  // from the type of the first interface".
  const std::string why = pcap_geterr(file.get());
  const char* advice =
      why.find("different from the type of the first") != std::string::npos
          ? " (libpcap reads files of one link type; capture each interface into a file of its own)"
          : "";
  throw failure(fmt::format("{}: damaged at frame {}: {}{}; the frames before it were read", name, frames + 1,
                            why, advice),
                1);
}

}  // namespace

command add_read(CLI::App& app) {
  const auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand("read", "Prints the SYNs of a capture file, one line each");
  sub->add_option("FILE", s->file, "a pcap or pcapng file, or - for stdin")->required();
  add_format(*sub, s->shown);
  add_filter_port(*sub, s->ports);
  add_databases(*sub, s->asked);
  sub->footer(
      R"(Frames may be Ethernet, raw IP, BSD loopback or Linux cooked, with up to two VLAN tags. What opens a
TCP connection is printed, in the order of the file: SYN without ACK, FIN and RST. Fragments, frames
that the capture cut inside the headers and headers that contradict themselves are refused, as the live
probe does; stderr says how many and why.

json: one object per line with frame, time (seconds since 1970), peer, local, syn, fingerprint, os.

Exit status: 0; 1 if the file is damaged (what is before the damage is printed) or the output cannot be
written; 2 if nothing was read.

  synfp read traffic.pcapng
  tcpdump -i any -U -w - tcp | synfp read - --format p0f --filter-port 443)");
  return {sub, [s] { return read(*s); }};
}

}  // namespace cli
