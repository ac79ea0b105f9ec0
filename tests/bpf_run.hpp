// SPDX-License-Identifier: MIT
// Runs BPF programs without traffic, and loads the embedded object by hand with any configuration.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <synfp/capture/table.hpp>
#include <synfp/detail/bpf_object.hpp>
#include <synfp/detail/describe.hpp>

#include "packet_builder.hpp"

namespace synfp_test {

struct run_result {
  int error;  ///< of bpf(), 0 if the program ran
  unsigned verdict;
  bytes packet;  ///< as the program left it
};

inline run_result run_xdp(int program, const bytes& frame, int repeat = 1) {
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
  raw_object(const char* program, std::uint32_t buckets, std::uint64_t conflict_ns,
             synfp::milliseconds hold = {0})
      : raw_object(program, {.hook = synfp::hook::xdp, .buckets = buckets, .hold = hold}, conflict_ns) {}
  raw_object(const char* program, const synfp::probe_config& wanted, std::uint64_t conflict_ns) {
    namespace object = synfp::detail::bpf_object;
    const libbpf_print_fn_t before = libbpf_set_print(nullptr);
    object_ = bpf_object__open_mem(object::words, object::size, nullptr);
    libbpf_set_print(before);
    if (object_ == nullptr) throw std::runtime_error("open");
    bpf_program* p = nullptr;
    bpf_object__for_each_program(p, object_) {
      bpf_program__set_autoload(p, std::strcmp(bpf_program__name(p), program) == 0);
    }
    synfp::synfp_meta meta = synfp::detail::describe(wanted);
    meta.cpus = static_cast<std::uint32_t>(libbpf_num_possible_cpus());
    meta.secret[0] = 0x0706050403020100;
    meta.secret[1] = 0x0f0e0d0c0b0a0908;
    meta.conflict_ns = conflict_ns;
    const synfp::synfp_config config = synfp::detail::configure(meta);
    bpf_map__set_initial_value(map(".rodata.synfp"), &config, sizeof config);
    bpf_map__set_max_entries(map("synfp_table"), wanted.buckets);
    bpf_map__set_max_entries(map("synfp_counts"), meta.cpus);
    if (const int r = bpf_object__load(object_); r != 0)
      throw std::runtime_error(std::string("load: ") + std::strerror(-r));
    const std::uint32_t zero = 0;
    if (bpf_map_update_elem(bpf_map__fd(map("synfp_meta")), &zero, &meta, BPF_ANY) != 0)
      throw std::runtime_error("meta");
    program_ = bpf_program__fd(bpf_object__find_program_by_name(object_, program));
  }
  raw_object(const raw_object&) = delete;
  raw_object& operator=(const raw_object&) = delete;
  ~raw_object() { bpf_object__close(object_); }

  int program() const { return program_; }
  synfp::capture::table_fds fds() const {
    return {bpf_map__fd(map("synfp_table")), bpf_map__fd(map("synfp_meta")),
            bpf_map__fd(map("synfp_counts"))};
  }

 private:
  bpf_map* map(const char* name) const {
    bpf_map* m = bpf_object__find_map_by_name(object_, name);
    if (m == nullptr) throw std::runtime_error(name);
    return m;
  }
  bpf_object* object_ = nullptr;
  int program_ = -1;
};

}  // namespace synfp_test
