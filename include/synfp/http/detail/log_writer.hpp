// SPDX-License-Identifier: MIT
// Brings lines from threads that must not wait to a file that may be slow.
#pragma once

#include <fcntl.h>
#include <limits.h>  // PIPE_BUF
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>  // what std::thread throws
#include <thread>
#include <utility>

#include <synfp/http/detail/log_line.hpp>
#include <synfp/http/detail/per_thread.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// The lines of one thread that are not written yet: a ring of bytes with one writer and one reader.
struct log_lane {
  explicit log_lane(std::size_t size) noexcept
      : bytes(new (std::nothrow) char[size]), capacity(bytes ? size : 0) {}

  char& at(std::uint64_t position) const noexcept { return bytes[position & (capacity - 1)]; }

  std::unique_ptr<char[]> bytes;
  std::size_t capacity;  // a power of two
  log_time time;
  std::uint64_t told = 0;  // of `dropped`, in the log
  std::atomic<std::uint64_t> dropped{0};
  alignas(64) std::atomic<std::uint64_t> end{0};    // of whole lines; the thread's
  alignas(64) std::atomic<std::uint64_t> begin{0};  // the log's
};

/// A line that is being put into a lane. Nobody sees it before commit().
class log_text {
 public:
  explicit log_text(log_lane& l) noexcept
      : lane_(l),
        at_(l.end.load(std::memory_order_relaxed)),
        limit_(l.begin.load(std::memory_order_acquire) + l.capacity) {}

  void append(std::string_view text) noexcept {
    if (text.size() > limit_ - at_) {
      full_ = true;
      return;
    }
    const std::size_t first =
        std::min(text.size(), lane_.capacity - static_cast<std::size_t>(at_ & (lane_.capacity - 1)));
    if (first != 0) std::memcpy(&lane_.at(at_), text.data(), first);
    if (first != text.size()) std::memcpy(lane_.bytes.get(), text.data() + first, text.size() - first);
    at_ += text.size();
  }
  void push_back(char c) noexcept { append({&c, 1}); }

  /// False, and all is forgotten, if it did not fit.
  bool commit() noexcept {
    if (!full_) lane_.end.store(at_, std::memory_order_seq_cst);
    return !full_;
  }
  /// More than half of the lane waits.
  bool much_waits() const noexcept { return limit_ - at_ < lane_.capacity / 2; }

 private:
  log_lane& lane_;
  std::uint64_t at_;
  std::uint64_t limit_;
  bool full_ = false;
};

/// That lines are missing here.
inline void append_dropped(log_text& line, log_time&, std::uint64_t count) {
  fixed_text<40> text;
  text.append("# ");
  text.append_number(count);
  text.append(count == 1 ? " line dropped\n" : " lines dropped\n");
  line.append(text.view());
}
inline void append_dropped_json(log_text& line, log_time& time, std::uint64_t count) {
  append_json_time(line, time);
  fixed_text<40> text;
  text.append(R"(,"dropped":)");
  text.append_number(count);
  text.append("}\n");
  line.append(text.view());
}

/// A file, and the thread that writes to it.
class log_writer {
 public:
  using notice_function = std::function<void(std::string_view)>;
  using dropped_function = void (*)(log_text&, log_time&, std::uint64_t);

  /// `path`: "-" is stderr.
  static setup_result<std::unique_ptr<log_writer>> open(std::string path, std::size_t lane_size,
                                                        dropped_function dropped, notice_function notice) {
    auto file = open_file(path);
    if (!file) return std::move(file).error();
    std::unique_ptr<log_writer> w(
        new log_writer(std::move(path), *file, lane_size, dropped, std::move(notice)));
    if (w->event_ < 0)
      return setup_error{errc::system, errno,
                         "no descriptor for the access log; raise the limit of open files"};
    // Signals are for the program's own threads; that of a closed pipe would end it.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    int refused = 0;
#if defined(__cpp_exceptions)
    try {
#endif
      w->thread_ = std::thread([self = w.get()] { self->run(); });
#if defined(__cpp_exceptions)
    } catch (const std::system_error& e) {
      refused = e.code().value();
    }
#endif
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (refused != 0)
      return setup_error{errc::system, refused,
                         "cannot start the access log's thread; raise the limit of processes or of memory"};
    return w;
  }
  log_writer(const log_writer&) = delete;
  log_writer& operator=(const log_writer&) = delete;
  /// Writes what waits, unless the file takes nothing for a second.
  ~log_writer() {
    if (thread_.joinable()) {
      stopping_ = true;
      wake();
      thread_.join();
    }
    close_file(fd_);
    close_file(next_fd_.exchange(-1));
    if (event_ >= 0) ::close(event_);
  }

  /// Null if there is no memory for one.
  log_lane* lane() noexcept {
    log_lane* const l = lanes_.local(lane_size_);
    return l != nullptr && l->capacity != 0 ? l : nullptr;
  }
  void drop() noexcept { lost_.fetch_add(1, std::memory_order_relaxed); }
  /// After each commit. No system call if the thread is awake and the lane not half full.
  void committed(bool much_waits) noexcept {
    if (idle_.load(std::memory_order_seq_cst)) {
      if (idle_.exchange(false)) wake();
    } else if (much_waits && !hurry_.load(std::memory_order_relaxed) && !hurry_.exchange(true)) {
      wake();
    }
  }
  std::uint64_t dropped() const noexcept {
    std::uint64_t sum = lost_.load(std::memory_order_relaxed);
    lanes_.for_each([&sum](const log_lane& l) { sum += l.dropped.load(std::memory_order_relaxed); });
    return sum;
  }

  void append_dropped(log_text& line, log_lane& lane, std::uint64_t count) const {
    dropped_(line, lane.time, count);
  }

  setup_result<void> reopen() {
    if (path_ == "-") return {};
    auto file = open_file(path_);
    if (!file) return std::move(file).error();
    close_file(next_fd_.exchange(*file));
    wake();
    return {};
  }

 private:
  enum class outcome : std::uint8_t { nothing, some, blocked, failed };

  log_writer(std::string path, int fd, std::size_t lane_size, dropped_function dropped_line,
             notice_function notice)
      : path_(std::move(path)),
        lane_size_(std::bit_ceil(std::max<std::size_t>(lane_size, 4096))),
        dropped_(dropped_line),
        notice_(std::move(notice)),
        event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    use(fd);
  }

  static setup_result<int> open_file(const std::string& path) {
    if (path == "-") return STDERR_FILENO;
    // Without O_NONBLOCK, opening a FIFO would wait for its reader.
    const int fd =
        ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd >= 0) return fd;
    const int e = errno;
    return setup_error{errc::system, e,
                       e == ENXIO ? "nobody reads the pipe '" + path + "'; start its reader first"
                                  : "cannot open the access log '" + path + "': " + std::strerror(e) +
                                        "; name a file that this user may write to"};
  }
  static void close_file(int fd) noexcept {
    if (fd >= 0 && fd != STDERR_FILENO) ::close(fd);
  }
  void use(int fd) noexcept {
    close_file(std::exchange(fd_, fd));
    struct stat info {};
    const bool known = ::fstat(fd, &info) == 0;
    regular_ = known && S_ISREG(info.st_mode);
    socket_ = known && S_ISSOCK(info.st_mode);
  }
  void wake() noexcept { (void)::eventfd_write(event_, 1); }

  // ---- the writer's thread ----

  void run() noexcept {
    while (!stopping_) {
      take_new_file();
      const outcome done = drain();
      if (done == outcome::some) hurry_ = false;
      tell(done);
      switch (done) {
        case outcome::some: wait(20, false); break;  // lines are written together
        case outcome::blocked: wait(-1, true); break;
        case outcome::failed: wait(1000, false); break;
        case outcome::nothing: wait_for_lines(); break;
      }
    }
    take_new_file();
    finish([this] { return drain(); });
    std::uint64_t untold = lost_.load(std::memory_order_relaxed);
    lanes_.for_each(
        [&untold](const log_lane& l) { untold += l.dropped.load(std::memory_order_relaxed) - l.told; });
    log_lane last(4096);
    if (untold == 0 || torn_ != nullptr || last.capacity == 0) return;
    log_text line(last);
    dropped_(line, last.time, untold);
    (void)line.commit();  // much less than 4096
    finish([this, &last] { return drain(last); });
    torn_ = nullptr;
  }

  /// Until nothing is left, or the file takes nothing for a second.
  template <class Drain>
  void finish(Drain again) noexcept {
    std::uint64_t before = written_;
    int waits = 0;
    for (outcome last = again(); last == outcome::some || last == outcome::blocked; last = again()) {
      waits = written_ != std::exchange(before, written_) ? 0 : waits + 1;
      if (waits > 10) return;
      if (last == outcome::blocked) wait(100, true);
    }
  }

  void wait(int milliseconds, bool for_room) noexcept {
    pollfd of[2] = {{event_, POLLIN, 0}, {fd_, POLLOUT, 0}};
    ::poll(of, for_room ? 2 : 1, milliseconds);
    eventfd_t ignored = 0;
    (void)::eventfd_read(event_, &ignored);
  }
  void wait_for_lines() noexcept {
    idle_.store(true, std::memory_order_seq_cst);
    bool any = false;
    lanes_.for_each([&any](const log_lane& l) {
      any = any || l.end.load(std::memory_order_seq_cst) != l.begin.load(std::memory_order_relaxed);
    });
    if (!any && !stopping_ && next_fd_ < 0) wait(-1, false);
    idle_ = false;
  }

  void take_new_file() noexcept {
    const int fd = next_fd_.exchange(-1);
    if (fd < 0) return;
    if (torn_ != nullptr) {  // the new file does not begin in the middle of a line
      std::uint64_t at = torn_->begin.load(std::memory_order_relaxed);
      while (torn_->at(at++) != '\n') {
      }
      torn_->begin.store(at, std::memory_order_release);
      torn_ = nullptr;
      drop();
    }
    use(fd);
  }

  /// What is there now, the rest of a line that did not fit before first.
  outcome drain() noexcept {
    outcome all = outcome::nothing;
    const auto take = [this, &all](log_lane& l) {
      if (all == outcome::blocked || all == outcome::failed) return;
      const outcome one = drain(l);
      if (one != outcome::nothing) all = one;
    };
    if (torn_ != nullptr) take(*torn_);
    lanes_.for_each(take);
    return all;
  }
  outcome drain(log_lane& l) noexcept {
    std::uint64_t at = l.begin.load(std::memory_order_relaxed);
    const std::uint64_t end = l.end.load(std::memory_order_acquire);
    outcome done = outcome::nothing;
    while (at != end) {
      const auto n = write(l, at, some_lines(l, at, end));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        error_ = errno;
        return errno == EAGAIN ? outcome::blocked : outcome::failed;
      }
      at += static_cast<std::uint64_t>(n);
      written_ += static_cast<std::uint64_t>(n);
      torn_ = l.at(at - 1) == '\n' ? nullptr : &l;
      l.begin.store(at, std::memory_order_release);
      done = outcome::some;
    }
    return done;
  }
  /// How much is written at once. A pipe takes PIPE_BUF bytes in one piece, and so much when it is ready.
  std::size_t some_lines(const log_lane& l, std::uint64_t at, std::uint64_t end) const noexcept {
    const auto all = static_cast<std::size_t>(end - at);
    if (regular_ || all <= PIPE_BUF) return all;
    std::size_t n = PIPE_BUF;
    while (n != 0 && l.at(at + n - 1) != '\n') --n;
    return n != 0 ? n : PIPE_BUF;  // a line longer than that
  }
  ssize_t write(const log_lane& l, std::uint64_t at, std::size_t n) const noexcept {
    const std::size_t first = std::min(n, l.capacity - static_cast<std::size_t>(at & (l.capacity - 1)));
    iovec parts[2] = {{&l.at(at), first}, {l.bytes.get(), n - first}};
    const int count = first == n ? 1 : 2;
    if (socket_) {
      msghdr m{};
      m.msg_iov = parts;
      m.msg_iovlen = static_cast<decltype(m.msg_iovlen)>(count);
      return ::sendmsg(fd_, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (!regular_) {  // stderr may be a pipe that others made to block
      pollfd room{fd_, POLLOUT, 0};
      if (::poll(&room, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
      }
    }
    return ::writev(fd_, parts, count);
  }

  /// Once when writing begins to fail, once when it goes on.
  void tell(outcome done) noexcept {
    if (done != outcome::some && done != outcome::failed) return;
    const bool fails = done == outcome::failed;
    if (fails == std::exchange(failing_, fails) || !notice_) return;
#if defined(__cpp_exceptions)
    try {
#endif
      notice_(fails ? "cannot write the access log: " + std::string(std::strerror(error_)) +
                          "; lines are dropped when their buffer is full"
                    : std::string("the access log is written again"));
#if defined(__cpp_exceptions)
    } catch (...) {  // no memory for a notice
    }
#endif
  }

  const std::string path_;
  const std::size_t lane_size_;
  const dropped_function dropped_;
  const notice_function notice_;
  per_thread<log_lane> lanes_;
  std::atomic<std::uint64_t> lost_{0};  // lines, besides those that lanes know of
  std::atomic<bool> idle_{false};       // waits for wake()
  std::atomic<bool> hurry_{false};      // was woken because a lane filled
  std::atomic<bool> stopping_{false};
  std::atomic<int> next_fd_{-1};
  const int event_;

  int fd_ = -1;
  bool regular_ = false;
  bool socket_ = false;
  bool failing_ = false;
  int error_ = 0;
  std::uint64_t written_ = 0;  // bytes
  log_lane* torn_ = nullptr;   // a part of whose next line is written
  std::thread thread_;
};

}  // namespace http::detail
SYNFP_END_NAMESPACE
