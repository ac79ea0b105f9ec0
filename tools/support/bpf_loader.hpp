// SPDX-License-Identifier: MIT
// Loads BPF objects for tests, benchmarks and the flood. The library's own loader is capture/probe.hpp: this
// one checks nothing about a configuration, takes any object, and shows every map.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <synfp/capture/table.hpp>
#include <synfp/detail/describe.hpp>
#include <synfp/probe_config.hpp>

#include "fd.hpp"

namespace synfp::tools {

/// libbpf prints nothing while this lives.
class quiet_libbpf {
 public:
  quiet_libbpf() : before_(libbpf_set_print(nullptr)) {}
  ~quiet_libbpf() { libbpf_set_print(before_); }
  quiet_libbpf(const quiet_libbpf&) = delete;
  quiet_libbpf& operator=(const quiet_libbpf&) = delete;

 private:
  libbpf_print_fn_t before_;
};

/// One BPF object: open it, configure it, load() it, then ask for its programs and maps. Throws `failure`.
class bpf_loader {
 public:
  /// An object in memory; `name` is what bpftool shows.
  bpf_loader(const void* object, std::size_t size, const char* name) {
    const quiet_libbpf quiet;
    bpf_object_open_opts options{};
    options.sz = sizeof options;
    options.object_name = name;
    object_.reset(bpf_object__open_mem(object, size, &options));
    must(object_ != nullptr, std::string("open the BPF object ") + name);
  }
  explicit bpf_loader(const char* path) : object_(bpf_object__open_file(path, nullptr)) {
    must(object_ != nullptr, std::string("open ") + path);
  }

  /// Before load(): no other program of the object is loaded.
  void load_only(const char* program) {
    bpf_program* each = nullptr;
    bpf_object__for_each_program(each, object_.get()) {
      bpf_program__set_autoload(each, std::strcmp(bpf_program__name(each), program) == 0);
    }
  }
  /// Before load().
  template <class T>
  void set_value(const char* map, const T& value) {
    check(bpf_map__set_initial_value(find_map(map), &value, sizeof value), std::string("write to ") + map);
  }
  /// Before load().
  void set_entries(const char* map, std::uint32_t entries) {
    check(bpf_map__set_max_entries(find_map(map), entries), std::string("resize ") + map);
  }
  void load() { check(bpf_object__load(object_.get()), "load a BPF object"); }
  /// load() with the maps of synfp's table configured as capture::probe does it.
  void load_with_table(const probe_config& config, std::array<std::uint64_t, 2> secret,
                       std::uint64_t conflict_ns) {
    synfp_meta meta = synfp::detail::describe(config);
    meta.cpus = static_cast<std::uint32_t>(libbpf_num_possible_cpus());
    meta.secret[0] = secret[0];
    meta.secret[1] = secret[1];
    meta.conflict_ns = conflict_ns;
    set_value(".rodata.synfp", synfp::detail::configure(meta));
    set_entries("synfp_table", meta.buckets);
    set_entries("synfp_counts", meta.cpus);
    load();
    const std::uint32_t zero = 0;
    check(bpf_map_update_elem(map("synfp_meta"), &zero, &meta, BPF_ANY), "write to synfp_meta");
  }

  // After load():
  int program(const char* name) const {
    const bpf_program* p = bpf_object__find_program_by_name(object_.get(), name);
    if (p == nullptr) throw failure(std::string("no BPF program ") + name);
    return bpf_program__fd(p);
  }
  int map(const char* name) const { return bpf_map__fd(find_map(name)); }
  capture::table_fds table() const { return {map("synfp_table"), map("synfp_meta"), map("synfp_counts")}; }

  struct unmapper {
    std::size_t size;
    template <class T>
    void operator()(const T* at) const {
      ::munmap(const_cast<T*>(at), size);
    }
  };
  template <class T>
  using view = std::unique_ptr<const T, unmapper>;

  /// What a map holds, as the programs write it: `count` objects from its beginning.
  template <class T>
  view<T> view_of(const char* name, std::size_t count = 1) const {
    const std::size_t size = count * sizeof(T);
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, map(name), 0);
    must(at != MAP_FAILED, std::string("map ") + name);
    return {static_cast<const T*>(at), unmapper{size}};
  }

 private:
  static void check(int result, const std::string& what) {
    if (result < 0) fail(what, -result);
  }
  bpf_map* find_map(const char* name) const {
    bpf_map* m = bpf_object__find_map_by_name(object_.get(), name);
    if (m == nullptr) throw failure(std::string("no BPF map ") + name);
    return m;
  }
  struct closer {
    void operator()(bpf_object* o) const { bpf_object__close(o); }
  };
  std::unique_ptr<bpf_object, closer> object_;
};

/// Attaches an XDP program to an interface of the calling thread's network namespace until the result ends.
/// `flags` are XDP_FLAGS_DRV_MODE or XDP_FLAGS_SKB_MODE.
inline fd attach_xdp(int program, unsigned interface, std::uint32_t flags) {
  bpf_link_create_opts options{};
  options.sz = sizeof options;
  options.flags = flags;
  const int link = bpf_link_create(program, static_cast<int>(interface), BPF_XDP, &options);
  if (link < 0) fail("attach an XDP program", -link);
  return fd(link);
}

}  // namespace synfp::tools
