// SPDX-License-Identifier: MIT
// A probe pinned in a BPF file system: who may open it, what becomes of the pins of those who are gone.
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <synfp/capture/probe.hpp>
#include <synfp/privilege.hpp>
#include <thread>

#include "../support/process.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::probe_config;
using synfp::capture::now_ns;
using synfp::capture::pinned;
using synfp::capture::probe;
using synfp::capture::table;
using testing::HasSubstr;

constexpr probe_config listening{.buckets = 16};
constexpr gid_t readers = 65534;

/// A BPF file system of its own that everyone may enter.
struct bpf_filesystem {
  bpf_filesystem() {
    char name[] = "/tmp/synfp-pins-XXXXXX";
    must(::mkdtemp(name) != nullptr, "mkdtemp");
    at = name;
    must(::mount("bpf", name, "bpf", 0, "mode=0711") == 0, "mount bpf");
  }
  ~bpf_filesystem() {
    ::umount2(at.c_str(), MNT_DETACH);
    ::rmdir(at.c_str());
  }
  bpf_filesystem(const bpf_filesystem&) = delete;
  bpf_filesystem& operator=(const bpf_filesystem&) = delete;

  std::string path() const { return at + "/probe"; }
  /// What is in it, but for the kernel's own *.debug files.
  int entries() const {
    int n = 0;
    for (const auto& e : std::filesystem::directory_iterator(at)) n += e.path().extension() != ".debug";
    return n;
  }
  std::string at;
};

std::string mode_of(const std::string& path) {
  struct stat s {};
  must(::stat(path.c_str(), &s) == 0, "stat " + path);
  char text[32];
  std::snprintf(text, sizeof text, "%o %u", s.st_mode & 07777, s.st_gid);
  return text;
}

std::string in_words(const synfp::syn_lookup& l) { return l ? "found" : std::string(to_string(l.miss)); }

fd listener_with(probe<listening>& p) {
  fd s = bound(*synfp::endpoint::parse("127.0.0.1:0"));
  must(static_cast<bool>(p.prepare(s.get(), true)), "prepare a listener");
  must(::listen(s.get(), 16) == 0, "listen");
  return s;
}
template <class Source>
std::string connect_and_find(const fd& listener, const Source& source, std::uint64_t later = 0) {
  const fd client = connected(local_of(listener.get()));
  const fd server = accepted(listener);
  return in_words(
      source.find({server.get(), peer_of(server.get()), local_of(server.get())}, now_ns() + later));
}

std::string refusal(const synfp::setup_result<pinned>& p) { return p ? "pinned" : p.error().message; }
std::string refusal(const synfp::setup_result<table>& t) { return t ? "opened" : t.error().message; }

/// Pins as a process that is killed then.
void pin_and_die(const probe<listening>& p, const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto pins = p.pin(path);
    ::kill(::getpid(), pins ? SIGKILL : SIGABRT);
  }
  int status = 0;
  must(::waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGKILL, "pin and die");
}

TEST(pins, the_group_reads_and_shares_if_it_may_and_writes_nothing) {
  const network_namespace ns;
  const bpf_filesystem fs;
  ns.inside([&] {
    probe<listening> owner;
    const auto pins = owner.pin(fs.path(), {.group = readers, .attach = true});
    ASSERT_TRUE(pins) << pins.error().message;
    EXPECT_EQ(mode_of(fs.path()), "710 65534");
    EXPECT_EQ(mode_of(fs.path() + "/table"), "660 65534");
    const fd listener = listener_with(owner);
    const std::string answer = in_child([&] {
      must(::setgroups(0, nullptr) == 0 && ::setresgid(readers, readers, readers) == 0 &&
               ::setresuid(12345, 12345, 12345) == 0,
           "setresuid");
      const auto t = table::open(fs.path());
      if (!t) return t.error().message;
      std::string words = connect_and_find(listener, *t);
      const auto opened = synfp::capture::detail::open_pins(fs.path(), false);
      words += ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, opened->table.get(), 0) == MAP_FAILED
                   ? " read-only "
                   : " writable ";
      auto shared = probe<listening>::share_pinned(fs.path());
      if (!shared) return shared.error().message;
      const fd own = listener_with(*shared);
      return words + connect_and_find(own, *shared);
    });
    EXPECT_EQ(answer, "found read-only found");
  });
}

/// Who can attach the program can fill the table from a network namespace of its own.
TEST(pins, the_group_cannot_attach_the_program_unasked) {
  const bpf_filesystem fs;
  const probe<listening> owner;
  const auto pins = owner.pin(fs.path(), {.group = readers});
  ASSERT_TRUE(pins) << pins.error().message;
  EXPECT_EQ(mode_of(fs.path() + "/table"), "660 65534");
  EXPECT_EQ(mode_of(fs.path() + "/program"), "600 65534");
  const std::string answer = in_child([&] {
    must(::setgroups(0, nullptr) == 0 && ::setresgid(readers, readers, readers) == 0 &&
             ::setresuid(12345, 12345, 12345) == 0,
         "setresuid");
    if (!table::open(fs.path())) return std::string("the table cannot be read");
    return probe<listening>::share_pinned(fs.path()) ? std::string("attached") : std::string("refused");
  });
  EXPECT_EQ(answer, "refused");
}

TEST(pins, without_a_group_are_for_their_owner_alone) {
  const bpf_filesystem fs;
  const probe<listening> owner;
  const auto pins = owner.pin(fs.path());
  ASSERT_TRUE(pins) << pins.error().message;
  EXPECT_EQ(mode_of(fs.path()), "700 0");
  for (const char* name : {"table", "meta", "counts", "program"})
    EXPECT_EQ(mode_of(fs.path() + '/' + name), "600 0");
  const std::string answer = in_child([&] {
    must(::setresgid(readers, readers, readers) == 0 && ::setresuid(65534, 65534, 65534) == 0, "setresuid");
    return refusal(table::open(fs.path()));
  });
  EXPECT_THAT(answer, HasSubstr("it belongs to others"));
}

TEST(pins, another_configuration_is_refused_by_name) {
  const bpf_filesystem fs;
  const probe<listening> owner;
  const auto pins = owner.pin(fs.path());
  ASSERT_TRUE(pins);
  const auto other = probe<probe_config{.buckets = 32}>::share_pinned(fs.path());
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr(fs.path() + ": the running probe has another buckets"));
}

TEST(pins, go_with_their_object_and_nothing_else_does) {
  const bpf_filesystem fs;
  auto owner = std::make_unique<probe<listening>>();
  {
    auto pins = owner->pin(fs.path());
    ASSERT_TRUE(pins);
    owner.reset();
    const pinned moved = std::move(*pins);
    EXPECT_EQ(refusal(table::open(fs.path())), "opened") << "they outlive the probe";
  }
  EXPECT_EQ(fs.entries(), 0);
  EXPECT_THAT(refusal(table::open(fs.path())), HasSubstr("no probe is pinned there"));
}

TEST(pins, are_all_there_or_none) {
  const bpf_filesystem fs;
  const probe<listening> owner;
  EXPECT_THAT(refusal(pinned::make(fs.path(), owner.fds().maps, 9999)), HasSubstr("the probe's owner pins"));
  EXPECT_EQ(fs.entries(), 0);
  const std::string answer = in_child([&] {
    must(::chmod(fs.at.c_str(), 0777) == 0 && ::setresgid(1234, 1234, 1234) == 0 &&
             ::setresuid(1234, 1234, 1234) == 0,
         "setresuid");
    return refusal(owner.pin(fs.path(), {.group = 4321}));
  });
  EXPECT_THAT(answer, HasSubstr("group 4321"));
  EXPECT_EQ(fs.entries(), 0);
}

TEST(pins, of_a_running_probe_are_refused_and_those_of_a_killed_one_replaced) {
  const network_namespace ns;
  const bpf_filesystem fs;
  ns.inside([&] {
    probe<listening> owner;
    const fd listener = listener_with(owner);
    pin_and_die(owner, fs.path());
    // The dead one's can be read; what is in there grows old.
    const auto left = table::open(fs.path());
    ASSERT_TRUE(left) << left.error().message;
    EXPECT_EQ(connect_and_find(listener, *left), "found");
    EXPECT_EQ(connect_and_find(listener, *left, 6'000'000'000), "stale");

    const probe<listening> next;
    {
      const auto pins = next.pin(fs.path());
      ASSERT_TRUE(pins) << pins.error().message;
      EXPECT_TRUE(pins->replaced());
      EXPECT_EQ(fs.entries(), 1);
      EXPECT_EQ(table::open(fs.path())->meta().secret[0], next.records().meta().secret[0]);
      EXPECT_THAT(refusal(owner.pin(fs.path())), HasSubstr("a running probe is pinned there"));
      EXPECT_EQ(fs.entries(), 1);
    }
    EXPECT_EQ(fs.entries(), 0);
  });
}

TEST(pins, of_a_process_killed_on_its_way_are_cleared) {
  const bpf_filesystem fs;
  const probe<listening> owner;
  pin_and_die(owner, fs.path());
  ASSERT_EQ(::rename(fs.path().c_str(), (fs.path() + "~new").c_str()), 0);
  {
    const auto pins = owner.pin(fs.path());
    ASSERT_TRUE(pins) << pins.error().message;
    EXPECT_FALSE(pins->replaced());
    EXPECT_EQ(fs.entries(), 1);
  }
  EXPECT_EQ(fs.entries(), 0);
}

TEST(pins, an_empty_directory_is_taken_and_what_is_not_ours_is_left_alone) {
  const bpf_filesystem fs;
  const probe<listening> owner;
  ASSERT_EQ(::mkdir(fs.path().c_str(), 0755), 0);
  {
    const auto pins = owner.pin(fs.path());
    ASSERT_TRUE(pins) << pins.error().message;
    EXPECT_EQ(mode_of(fs.path()), "700 0");
  }
  const fd foreign(bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, 4096, 1, nullptr));
  bpf_map_create_opts mappable{};
  mappable.sz = sizeof mappable;
  mappable.map_flags = BPF_F_MMAPABLE;
  const fd foreign_mappable(bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, 4096, 1, &mappable));
  ASSERT_TRUE(foreign && foreign_mappable);
  for (const int map : {foreign.get(), foreign_mappable.get()}) {
    for (const char* name : {"other", "meta"}) {
      ASSERT_EQ(::mkdir(fs.path().c_str(), 0700), 0);
      ASSERT_EQ(bpf_obj_pin(map, (fs.path() + '/' + name).c_str()), 0);
      EXPECT_THAT(refusal(owner.pin(fs.path())), HasSubstr("something else"));
      EXPECT_EQ(::access((fs.path() + '/' + name).c_str(), F_OK), 0);
      EXPECT_EQ(fs.entries(), 1);
      std::filesystem::remove_all(fs.path());
    }
    ASSERT_EQ(::mkdir(fs.path().c_str(), 0700), 0);
    for (const char* name : {"table", "meta", "counts"})
      ASSERT_EQ(bpf_obj_pin(map, (fs.path() + '/' + name).c_str()), 0);
    EXPECT_THAT(refusal(table::open(fs.path())),
                HasSubstr(map == foreign.get() ? "cannot map the metadata" : "not a synfp table"));
    std::filesystem::remove_all(fs.path());
  }
}

TEST(pins, a_place_that_will_not_do_is_named) {
  const bpf_filesystem fs;
  const probe<listening> owner;
  EXPECT_THAT(refusal(owner.pin("/tmp/synfp-not-bpffs")), HasSubstr("mount -t bpf"));
  EXPECT_THAT(refusal(owner.pin(fs.at + "/a.b")), HasSubstr("dot"));
  EXPECT_THAT(refusal(owner.pin(fs.at + "/none/x")), HasSubstr("make it first"));
  EXPECT_THAT(refusal(owner.pin("")), HasSubstr("cannot pin to ''"));
  EXPECT_THAT(refusal(table::open("/tmp")), HasSubstr("not on a bpffs"));
}

/// Whoever owns the directory above renames as fast as it can while pins are made in it: nothing outside of
/// it is touched.
TEST(pins, in_a_directory_of_a_user_lead_nowhere_else) {
  const bpf_filesystem fs;
  const std::string above = fs.at + "/user";
  const std::string victim = fs.at + "/victim";
  ASSERT_EQ(::mkdir(above.c_str(), 0755), 0);
  ASSERT_EQ(::chown(above.c_str(), 1234, 1234), 0);
  ASSERT_EQ(::mkdir(victim.c_str(), 0700), 0);
  const pid_t attacker = ::fork();
  ASSERT_GE(attacker, 0);
  if (attacker == 0) {
    must(::setresgid(1234, 1234, 1234) == 0 && ::setresuid(1234, 1234, 1234) == 0, "setresuid");
    const std::string link = above + "/link";
    const std::string made = above + "/probe~new";
    for (int i = 0;; ++i) {
      (void)!::symlink(victim.c_str(), link.c_str());
      if (::renameat2(AT_FDCWD, link.c_str(), AT_FDCWD, made.c_str(), RENAME_EXCHANGE) != 0) continue;
      ::usleep(100);
      ::unlink(made.c_str());
      ::rename(link.c_str(), (above + "/taken" + std::to_string(i)).c_str());
    }
  }
  const probe<listening> owner;
  for (int i = 0; i < 5000 && mode_of(victim) == "700 0"; ++i)
    (void)owner.pin(above + "/probe", {.group = readers, .attach = true});
  ::kill(attacker, SIGKILL);
  ::waitpid(attacker, nullptr, 0);
  EXPECT_EQ(mode_of(victim), "700 0");
  EXPECT_TRUE(std::filesystem::is_empty(victim));
}

/// As a server that has given up its privileges ends.
TEST(pins, go_by_the_rights_of_their_owner) {
  const bpf_filesystem fs;
  const probe<listening> owner;
  const auto pin_drop_and_end = [&](const std::string& path) {
    return in_child([&] {
      {
        const auto pins = owner.pin(path, {.group = readers});
        if (!pins) return pins.error().message;
        if (const auto dropped = synfp::drop_privileges(); !dropped) return dropped.error().message;
      }
      return std::string("ended");
    });
  };
  EXPECT_EQ(pin_drop_and_end(fs.path()), "ended");
  EXPECT_EQ(fs.entries(), 0);

  // Root's rights do not reach into a user's directory: what is left is empty, and the next one takes it.
  const std::string above = fs.at + "/user";
  ASSERT_EQ(::mkdir(above.c_str(), 0700), 0);
  ASSERT_EQ(::chown(above.c_str(), 1234, 1234), 0);
  EXPECT_EQ(pin_drop_and_end(above + "/probe"), "ended");
  EXPECT_TRUE(std::filesystem::is_empty(above + "/probe"));
  EXPECT_EQ(refusal(owner.pin(above + "/probe")), "pinned");
  EXPECT_TRUE(std::filesystem::is_empty(above));
}

TEST(pins, a_reader_never_sees_half_of_them) {
  const bpf_filesystem fs;
  const probe<listening> a, b;
  pin_and_die(a, fs.path());
  std::atomic<bool> stop{false};
  std::atomic<int> opened{0};
  std::string failed;
  std::thread reader([&] {
    while (!stop) {
      const auto t = table::open(fs.path());
      if (!t) failed = t.error().message;
      ++opened;
    }
  });
  for (int i = 0; i < 40; ++i) pin_and_die(i % 2 == 0 ? b : a, fs.path());
  stop = true;
  reader.join();
  EXPECT_EQ(failed, "");
  EXPECT_GT(opened, 0);
}

}  // namespace
