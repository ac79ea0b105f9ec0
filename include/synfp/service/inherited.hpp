// SPDX-License-Identifier: MIT
// sd_listen_fds_with_names(3) without libsystemd: the descriptors that the service manager hands in.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/service/notify.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace service {

/// A descriptor that came with the process. The caller owns it.
struct inherited {
  int fd = -1;
  std::string name;  ///< FileDescriptorName= of its unit; empty if none was told
};

/// What LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES say, if they are meant for this process, else nothing. The
/// descriptors become close-on-exec, and the variables are removed, so that neither a second call nor a child
/// takes them again. Call it while the process has one thread, since it changes the environment.
inline setup_result<std::vector<inherited>> take_inherited() {
  constexpr int first = 3;  // SD_LISTEN_FDS_START
  constexpr unsigned long long most = 4096;
  std::vector<inherited> all;
  const char* const said = std::getenv("LISTEN_FDS");
  const bool ours =
      detail::number_in_environment("LISTEN_PID") == static_cast<unsigned long long>(::getpid());
  if (said == nullptr || !ours) return all;
  const auto count = detail::number_in_environment("LISTEN_FDS");
  if (count > most || (count == 0 && std::string_view(said) != "0"))
    return setup_error{
        errc::invalid, 0,
        "LISTEN_FDS is '" + std::string(said) +
            "', which is no number of descriptors; unset it, or let the service manager set it"};
  const char* const names_said = std::getenv("LISTEN_FDNAMES");
  std::string_view names = names_said != nullptr ? names_said : "";
  for (int fd = first; fd != first + static_cast<int>(count); ++fd) {
    const std::string_view name = names.substr(0, names.find(':'));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0)
      return setup_error{errc::invalid, 0,
                         "LISTEN_FDS says " + std::to_string(count) + ", but descriptor " +
                             std::to_string(fd) +
                             " is not open; unset it, or let the service manager set it"};
    ::fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    all.push_back({fd, std::string(name)});
  }
  for (const char* variable : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}) ::unsetenv(variable);
  return all;
}

}  // namespace service
SYNFP_END_NAMESPACE
