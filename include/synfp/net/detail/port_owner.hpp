// SPDX-License-Identifier: MIT
// Which process already listens on a port, according to /proc.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/endpoint.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net::detail {

/// What stands in the way of a bind(): a listening socket.
struct port_owner {
  bool listens = false;  ///< there is one; else the port is taken by a socket that does not listen
  unsigned user = 0;     ///< the owner of one
  /// A process that holds it and is alive; 0 if one of the sockets has none: its owner has ended or is about
  /// to, or may not be seen from here (another user's, another container's).
  int pid = 0;
  std::string name;
};

struct file_closer {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
struct directory_closer {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};
using file_ptr = std::unique_ptr<std::FILE, file_closer>;
using directory_ptr = std::unique_ptr<DIR, directory_closer>;

struct listening_socket {
  std::uint64_t inode = 0;
  unsigned user = 0;
  int pid = 0;
};

/// Those of this network namespace that keep `at` from being bound. The kernel lists listening sockets first.
inline void find_listening(const char* path, bool v4, const endpoint& at,
                           std::vector<listening_socket>& found) {
  constexpr int most_rows = 100'000;
  constexpr std::size_t most_found = 4096;
  constexpr unsigned listen_state = 10;
  const file_ptr file(std::fopen(path, "re"));
  if (!file) return;
  char line[512];
  for (int row = 0; row <= most_rows && std::fgets(line, sizeof line, file.get()) != nullptr; ++row) {
    char local[33];
    unsigned port = 0;
    unsigned state = 0;
    listening_socket s;
    unsigned long long inode = 0;
    if (row == 0) continue;  // the names of the columns
    if (std::sscanf(line, " %*u: %32[0-9A-F]:%x %*32[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %u %*u %llu", local,
                    &port, &state, &s.user, &inode) != 5 ||
        state != listen_state)
      return;
    if (port != at.port() || inode == 0) continue;
    endpoint::bytes_type address{};
    if (v4) address[10] = address[11] = 0xff;
    const std::size_t first = v4 ? 12 : 0;
    if (std::strlen(local) != (16 - first) * 2) return;
    for (std::size_t i = 0; first + 4 * i < 16; ++i) {  // words of the wire, printed as the host reads them
      const auto word =
          static_cast<std::uint32_t>(std::strtoul(std::string(local + 8 * i, 8).c_str(), nullptr, 16));
      std::memcpy(address.data() + first + 4 * i, &word, sizeof word);
    }
    const endpoint theirs = endpoint::v6(address, static_cast<std::uint16_t>(port));
    const bool same_family = theirs.is_v4() == at.is_v4();
    const bool conflict = (same_family && (theirs.address() == at.address() || theirs.is_unspecified() ||
                                           at.is_unspecified())) ||
                          (!same_family && (theirs.is_v4() ? at : theirs).is_unspecified());
    s.inode = inode;
    if (conflict && found.size() < most_found) found.push_back(s);
  }
}

/// False for a process that has ended, is being killed, or writes its core.
inline bool is_alive(int proc, const char* pid) noexcept {
  constexpr unsigned ending = 0x4 | 0x400;  // PF_EXITING, PF_SIGNALED
  constexpr unsigned long killed = 1UL << 8;
  char text[1024];
  const int fd = ::openat(proc, (std::string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (n <= 0) return false;
  text[n] = '\0';
  const char* const rest = std::strrchr(text, ')');  // the name before it may hold anything
  char state = 'X';
  unsigned flags = 0;
  unsigned long pending = 0;
  if (rest == nullptr ||
      std::sscanf(rest,
                  ") %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %*d "
                  "%*u %*u %*u %*u %*u %*u %lu",
                  &state, &flags, &pending) != 3)
    return false;
  return state != 'Z' && state != 'X' && (flags & ending) == 0 && (pending & killed) == 0;
}

/// The name of a process, fit for a terminal.
inline std::string name_of(int proc, const char* pid) {
  char text[64];
  const int fd = ::openat(proc, (std::string(pid) + "/comm").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "?";
  const ssize_t n = ::read(fd, text, sizeof text);
  ::close(fd);
  std::string name(text, n > 0 ? static_cast<std::size_t>(n) : 0);
  if (!name.empty() && name.back() == '\n') name.pop_back();
  for (char& c : name) {
    if (c < ' ' || c > '~') c = '?';
  }
  return name;
}

/// Looks through the descriptors of all processes, and stops after a number that takes a fraction of a
/// second.
inline port_owner find_port_owner(const endpoint& at) {
  port_owner owner;
  std::vector<listening_socket> sockets;
  find_listening("/proc/thread-self/net/tcp", true, at, sockets);
  find_listening("/proc/thread-self/net/tcp6", false, at, sockets);
  if (sockets.empty()) return owner;
  owner.listens = true;
  owner.user = sockets.front().user;
  std::size_t unknown = sockets.size();
  int budget = 200'000;
  const directory_ptr all(::opendir("/proc"));
  while (all && unknown != 0 && budget > 0) {
    const dirent* const process = ::readdir(all.get());
    if (process == nullptr) break;
    if (process->d_name[0] < '1' || process->d_name[0] > '9') continue;
    --budget;
    const std::string path = std::string(process->d_name) + "/fd";
    const int fd = ::openat(::dirfd(all.get()), path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) continue;
    const directory_ptr open_files(::fdopendir(fd));
    if (!open_files) {
      ::close(fd);
      continue;
    }
    for (const dirent* file = nullptr; budget > 0 && (file = ::readdir(open_files.get())) != nullptr;
         --budget) {
      char target[64];
      const ssize_t n = ::readlinkat(fd, file->d_name, target, sizeof target - 1);
      constexpr std::string_view prefix = "socket:[";
      if (n <= 0 || !std::string_view(target, static_cast<std::size_t>(n)).starts_with(prefix)) continue;
      target[n] = '\0';
      const std::uint64_t inode = std::strtoull(target + prefix.size(), nullptr, 10);
      for (listening_socket& s : sockets) {
        if (s.inode != inode || s.pid != 0 || !is_alive(::dirfd(all.get()), process->d_name)) continue;
        s.pid = std::atoi(process->d_name);
        --unknown;
      }
    }
  }
  if (unknown != 0) return owner;
  owner.pid = sockets.front().pid;
  owner.user = sockets.front().user;
  if (all) owner.name = name_of(::dirfd(all.get()), std::to_string(owner.pid).c_str());
  return owner;
}

}  // namespace net::detail
SYNFP_END_NAMESPACE
