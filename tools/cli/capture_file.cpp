// SPDX-License-Identifier: MIT
#include "capture_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pcap/pcap.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <new>
#include <utility>

#include "command.hpp"

namespace cli {
namespace {

/// What the first bytes of a compressed file give away.
const char* decompressor(std::span<const std::uint8_t> first) {
  const auto is = [first](std::initializer_list<std::uint8_t> magic) {
    return first.size() >= magic.size() && std::equal(magic.begin(), magic.end(), first.begin());
  };
  if (is({0x1f, 0x8b})) return "zcat";
  if (is({0xfd, '7', 'z'})) return "xzcat";
  if (is({'B', 'Z', 'h'})) return "bzcat";
  if (is({0x28, 0xb5, 0x2f, 0xfd})) return "zstdcat";
  if (is({0x04, 0x22, 0x4d, 0x18})) return "lz4cat";
  return nullptr;
}

}  // namespace

std::string link_name(int link) {
  const char* known = pcap_datalink_val_to_name(link);
  return fmt::format("{} ({})", known != nullptr ? known : "unknown", link);
}

capture_file::capture_file(const std::string& name, std::function<void(int)> before_waiting)
    : name_(name == "-" ? "stdin" : name),
      before_waiting_(std::move(before_waiting)),
      fd_(name == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                      : ::open(name.c_str(), O_RDONLY | O_CLOEXEC)),
      window_([this](std::span<std::uint8_t> to) { return read(to); }),
      pcap_(nullptr, &pcap_close) {
  struct stat status {};
  if (!fd_ || ::fstat(fd_.get(), &status) != 0)
    throw failure(fmt::format("{}: {}", name_, std::strerror(errno)));
  if (S_ISREG(status.st_mode)) size_ = static_cast<std::uint64_t>(status.st_size);
  const auto first = window_.peek(4);
  if (first.size() == 4 && std::equal(first.begin(), first.end(), pcapng_reader::magic)) {
    try {
      pcapng_.emplace(window_);
    } catch (const damage& e) {
      throw failure(fmt::format("{}: no pcapng file that can be read: {}", name_, e.what()));
    }
  } else {
    open_pcap();
  }
}

std::size_t capture_file::read(std::span<std::uint8_t> to) {
  if (size_ == 0 && before_waiting_) before_waiting_(fd_.get());
  ssize_t got = 0;
  do {
    got = ::read(fd_.get(), to.data(), to.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0 && taken_ == 0) throw failure(fmt::format("{}: {}", name_, std::strerror(errno)));
  if (got < 0) throw damage(std::strerror(errno));
  taken_ += static_cast<std::uint64_t>(got);
  return static_cast<std::size_t>(got);
}

std::FILE* capture_file::stream() {
  const auto read = [](void* self, char* to, std::size_t n) noexcept -> ssize_t {
    capture_file& file = *static_cast<capture_file*>(self);
    try {
      const auto some = file.window_.peek_some();
      n = std::min(n, some.size());
      std::memcpy(to, some.data(), n);
      file.window_.skip(n);
      return static_cast<ssize_t>(n);
    } catch (...) {
      file.thrown_ = std::current_exception();
      errno = ECANCELED;
      return -1;
    }
  };
  FILE* f = ::fopencookie(this, "rb", {read, nullptr, nullptr, nullptr});
  if (f == nullptr) throw std::bad_alloc();
  std::setvbuf(f, nullptr, _IOFBF, std::size_t{64} << 10);
  return f;
}

void capture_file::rethrow() const {
  if (thrown_) std::rethrow_exception(thrown_);
}

void capture_file::open_pcap() {
  const char* tool = decompressor(window_.peek(4));
  char why[PCAP_ERRBUF_SIZE] = "";
  FILE* f = stream();
  pcap_.reset(pcap_fopen_offline_with_tstamp_precision(f, PCAP_TSTAMP_PRECISION_NANO, why));
  if (!pcap_) {
    std::fclose(f);
    rethrow();
    if (tool != nullptr)
      throw failure(fmt::format("{0}: this is compressed; try {1} {0} | synfp read -", name_, tool));
    throw failure(fmt::format("{}: no pcap or pcapng file: {}", name_, why));
  }
  link_ = pcap_datalink(pcap_.get());
}

std::optional<packet> capture_file::next() { return pcapng_ ? pcapng_->next() : next_of_pcap(); }

std::optional<packet> capture_file::next_of_pcap() {
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  const int status = pcap_next_ex(pcap_.get(), &header, &data);
  if (status != 1) {
    rethrow();
    if (status == PCAP_ERROR) throw damage(pcap_geterr(pcap_.get()));
    return std::nullopt;
  }
  packet p{*link_, std::span(data, header->caplen), header->len, std::nullopt};
  // libpcap was asked for nanoseconds. A damaged file can say anything.
  const auto& ts = header->ts;
  if (ts.tv_sec >= 0 && ts.tv_usec >= 0 && ts.tv_usec < 1'000'000'000)
    p.time = wall_time{ts.tv_sec, static_cast<std::uint32_t>(ts.tv_usec)};
  return p;
}

}  // namespace cli
