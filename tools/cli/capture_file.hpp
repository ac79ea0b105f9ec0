// SPDX-License-Identifier: MIT
// A pcap or pcapng file, or a pipe that brings one, packet by packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "../support/fd.hpp"
#include "packet.hpp"
#include "pcapng.hpp"
#include "window.hpp"

struct pcap;

namespace cli {

class capture_file {
 public:
  /// `name`: "-" is stdin. `before_waiting` runs before a read that may have to wait for whoever writes, with
  /// the descriptor that will be read; what it throws goes through. Throws failure if this is no capture
  /// file.
  capture_file(const std::string& name, std::function<void(int)> before_waiting);
  capture_file(const capture_file&) = delete;
  capture_file& operator=(const capture_file&) = delete;

  /// For people: the name, or "stdin".
  const std::string& name() const noexcept { return name_; }
  /// The link type of every packet; empty if each has its own.
  std::optional<int> link() const noexcept { return link_; }

  /// Empty at the end. Throws `damage`.
  std::optional<packet> next();

  std::uint64_t size() const noexcept { return size_; }    ///< bytes; 0: a pipe, not known
  std::uint64_t taken() const noexcept { return taken_; }  ///< bytes read so far

 private:
  std::size_t read(std::span<std::uint8_t> to);
  /// For libpcap, which closes it.
  std::FILE* stream();
  void open_pcap();
  std::optional<packet> next_of_pcap();
  /// libpcap only saw that reading failed.
  void rethrow() const;

  std::string name_;
  std::function<void(int)> before_waiting_;
  synfp::tools::fd fd_;
  std::uint64_t size_ = 0, taken_ = 0;
  std::exception_ptr thrown_;
  window window_;
  std::optional<pcapng_reader> pcapng_;
  std::unique_ptr<pcap, void (*)(pcap*)> pcap_;
  std::optional<int> link_;
};

/// "EN10MB (1)": the name that libpcap has for a link type, and its number.
std::string link_name(int link);

}  // namespace cli
