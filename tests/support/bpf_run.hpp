// SPDX-License-Identifier: MIT
// Runs BPF programs without traffic, and loads the embedded object with any configuration.
#pragma once

#include <bpf/bpf.h>

#include <array>
#include <cstdint>
#include <synfp/capture/table.hpp>
#include <synfp/detail/bpf_object.hpp>
#include <synfp/detail/bpf_request_object.hpp>
#include <synfp/probe_config.hpp>

#include "../../tools/support/bpf_loader.hpp"
#include "packet_builder.hpp"

namespace synfp::test {

struct run_result {
  int error;  ///< of bpf(), 0 if the program ran
  unsigned verdict;
  bytes packet;  ///< as the program left it
};

inline run_result run_frame(int program, const bytes& frame, int repeat = 1) {
  bytes out(frame.size() + 256);
  bpf_test_run_opts o{};
  o.sz = sizeof o;
  o.data_in = frame.data();
  o.data_size_in = static_cast<__u32>(frame.size());
  o.data_out = out.data();
  o.data_size_out = static_cast<__u32>(out.size());
  o.repeat = repeat;
  const int r = bpf_prog_test_run_opts(program, &o);
  out.resize(o.data_size_out);
  return {r, o.retval, out};
}

/// One program of the embedded object and its maps, not frozen, with a configuration that probe_config would
/// refuse.
class raw_object {
 public:
  static constexpr std::array<std::uint64_t, 2> secret{0x0706050403020100, 0x0f0e0d0c0b0a0908};

  raw_object(const char* program, std::uint32_t buckets, std::uint64_t conflict_ns,
             synfp::milliseconds hold = {0})
      : raw_object(program, {.hook = synfp::hook::xdp, .buckets = buckets, .hold = hold}, conflict_ns) {}
  raw_object(const char* program, const synfp::probe_config& config, std::uint64_t conflict_ns)
      : loader_(loader_for(config.hook)) {
    loader_.load_only(program);
    loader_.load_with_table(config, secret, conflict_ns);
    program_ = loader_.program(program);
  }

  int program() const { return program_; }
  synfp::capture::table_fds fds() const { return loader_.table(); }

 private:
  static tools::bpf_loader loader_for(synfp::hook where) {
    namespace object = synfp::detail;
    if (where == synfp::hook::kprobe)
      return {object::bpf_request_object::words, object::bpf_request_object::size, "synfp::test"};
    return {object::bpf_object::words, object::bpf_object::size, "synfp::test"};
  }

  tools::bpf_loader loader_;
  int program_ = -1;
};

}  // namespace synfp::test
