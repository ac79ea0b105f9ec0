// SPDX-License-Identifier: MIT
// A BPF map as memory.
#pragma once

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace capture::detail {

/// A read-only shared mapping of a map.
class mapping {
 public:
  mapping() = default;
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;
  mapping(mapping&& other) noexcept
      : at_(std::exchange(other.at_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  mapping& operator=(mapping&& other) noexcept {
    std::swap(at_, other.at_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~mapping() {
    if (at_ != nullptr) ::munmap(at_, size_);
  }

  static setup_result<mapping> open(int fd, std::size_t size, const char* what) {
    mapping m;
    void* at = MAP_FAILED;
    // The kernel refuses to map more than a map has; of a plain file it would map pages that are not there.
    struct stat status {};
    if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        static_cast<std::uint64_t>(status.st_size) < size) {
      errno = EINVAL;
    } else {
      at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    }
    if (at == MAP_FAILED) {
      const int number = errno;
      std::string text =
          std::string("cannot map the ") + what + " of the probe (" + std::strerror(number) + "); ";
      text += number == EINVAL
                  ? "it is smaller than its metadata says, or the fd was opened read-only: open it O_RDWR, "
                    "the map is frozen and cannot be written"
                  : "pass the fds of a synfp probe";
      return setup_error{errc::incompatible, number, std::move(text)};
    }
    m.at_ = at;
    m.size_ = size;
    return m;
  }
  const void* data() const noexcept { return at_; }

 private:
  void* at_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace capture::detail
SYNFP_END_NAMESPACE
