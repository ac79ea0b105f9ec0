// SPDX-License-Identifier: MIT
// Files of a directory, as responses. Not part of synfp.hpp: who serves files includes it.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include <synfp/detail/owned_fd.hpp>
#include <synfp/http/date.hpp>
#include <synfp/http/detail/file_path.hpp>
#include <synfp/http/detail/preconditions.hpp>
#include <synfp/http/percent.hpp>
#include <synfp/http/request.hpp>
#include <synfp/http/response.hpp>
#include <synfp/http/stream.hpp>
#include <synfp/io/buffer.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/submit.hpp>
#include <synfp/io/task.hpp>
#include <synfp/result.hpp>
#include <synfp/setup_error.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

namespace detail {

using synfp::detail::owned_fd;

/// openat2() below a directory.
struct open_below {
  int directory;
  text_type name;
  ::open_how how{};

  void abandoned(int result) const noexcept {
    if (result >= 0) ::close(result);
  }
};

/// A piece of a file.
struct read_piece {
  int file;
  std::uint64_t offset;
  io::buffer bytes;
};

/// What the server needs to know of an open file.
struct file_state {
  std::uint64_t size = 0;
  bool regular = false;
  bool directory = false;
  bool settled = false;  // it has not changed within the last two seconds
  std::int64_t modified = 0;
  text_type tag;
};

inline result<file_state> state_of(int file) {
  struct ::statx s {};
  // Of an open file that does not block: what the kernel knows is enough, also of a remote one.
  if (::statx(file, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &s) != 0)
    return error::from_errno(errno);
  file_state state;
  state.size = s.stx_size;
  state.regular = S_ISREG(s.stx_mode);
  state.directory = S_ISDIR(s.stx_mode);
  state.modified = s.stx_mtime.tv_sec;
  const std::int64_t now = std::time(nullptr);
  const auto old = [now](const ::statx_timestamp& t) { return t.tv_sec < now - 2; };
  state.settled = old(s.stx_mtime) && old(s.stx_ctime);
  state.tag.push_back('"');
  const auto put = [&state](std::uint64_t value) {
    for (int shift = 60; shift >= 0; shift -= 4) {
      if (value >> shift != 0 || shift == 0) state.tag.push_back("0123456789abcdef"[value >> shift & 15]);
    }
  };
  const auto nanoseconds = [](const ::statx_timestamp& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
  };
  put(s.stx_size);
  state.tag.push_back('-');
  put(nanoseconds(s.stx_mtime));
  state.tag.push_back('-');
  put(nanoseconds(s.stx_ctime));
  state.tag.push_back('"');
  return state;
}

/// The status for a name that cannot be opened.
constexpr int status_of_open(const error& why) noexcept {
  if (why.code != errc::system) return 503;  // the ring ends
  switch (why.os) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EXDEV:  // leads out of the directory
    case ENXIO:  // a socket, or a device that is not there
    case ENODEV: return 404;
    case EACCES:
    case EPERM: return 403;
    case EAGAIN:  // a directory was renamed meanwhile
    case EMFILE:
    case ENFILE:
    case ENOMEM: return 503;
    default: return 500;
  }
}

inline constexpr std::uint32_t file_piece = 64 * 1024 - 64;  // with its chunk a block of the pool

inline chunks file_pieces(io::ring* ring, owned_fd file, std::uint64_t offset, std::uint64_t left) {
  read_piece piece{file.get(), offset, {}};
  while (left != 0) {
    // No small rest, as of a file of 64 KiB.
    const bool last = left <= file_piece + file_piece / 4;
    piece.bytes = io::buffer::allocate(last ? static_cast<std::uint32_t>(left) : file_piece);
    auto done = co_await io::submit(*ring, std::move(piece), [](::io_uring_sqe* sqe, read_piece& p) {
      io_uring_prep_read(sqe, p.file, p.bytes.data(), static_cast<unsigned>(p.bytes.size()), p.offset);
    });
    if (!done || done->value == 0) co_return;  // shorter than was said: the connection is closed
    piece = std::move(done->state);
    const auto n = static_cast<std::uint32_t>(done->value);
    piece.bytes.shrink(n);
    piece.offset += n;
    left -= n;
    co_yield std::move(piece.bytes);
  }
}

}  // namespace detail

struct files_options {
  /// Also what begins with '.', as "/.well-known/" does. Never "." and "..".
  bool dotfiles = false;
};

/// A handler that answers with the files of a directory, for a route with a rest parameter:
/// `http::get<"/static/{path...}">(http::files("/srv/www"))`. It may be composed: as a function it takes the
/// request and a path, and what it returns has a head() for more fields.
///
/// The path is decoded segment by segment. Nothing leaves the directory: "..", NUL and an escaped '/' are
/// refused before the kernel sees them, and the kernel refuses (openat2 with RESOLVE_BENEATH and
/// RESOLVE_NO_MAGICLINKS) what symbolic links would lead out; other symbolic links are followed. Names that
/// begin with '.' are not found unless files_options::dotfiles. Only regular files are served: a path that
/// ends with '/' is that of the index.html there, and a directory without it is redirected to it; there are
/// no listings. A file that the server must not read is 403.
///
/// The entity tag is made of size, modification and change time. It is strong, but weak within two seconds
/// of a change, when a further one might not show; then there is no Last-Modified. If-Match, If-None-Match,
/// the two dates, Range (one range) and If-Range are obeyed. The content type follows from the name's
/// extension.
///
/// Opening and reading go through the ring of the thread, in pieces; a slow client makes the server hold 64
/// to 128 KiB, whatever the size of the file. A file that becomes shorter while it is sent ends the
/// connection.
///
/// The directory is opened once: if another one takes its name, the old one is served on.
class files {
 public:
#if defined(__cpp_exceptions)
  /// open() that throws setup_failure.
  explicit files(const std::string& directory, files_options options = {})
      : files(value_or_throw(open(directory, options))) {}
#endif
  static setup_result<files> open(const std::string& directory, files_options options = {}) {
    detail::owned_fd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd) {
      const int why = errno;
      return setup_error{errc::system, why,
                         "cannot open the directory " + directory + " to serve its files: " +
                             std::strerror(why) + "; name a directory that this user may enter"};
    }
    return files(std::move(fd), options);
  }

  io::task<stream_response> operator()(const request& q, encoded_text path) const {
    io::ring* const ring = &io::ring::current();
    detail::open_below call{directory_.get(), {}, {}};
    const int refused = detail::append_file_path(call.name, path.raw(), options_.dotfiles);
    if (refused != 0) co_return status(refused);
    const bool index = path.empty() || path.raw().ends_with('/');
    if (index) call.name.append("index.html");
    const std::string_view type = detail::content_type_of(call.name);
    call.how.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;  // a FIFO must not block
    call.how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    const auto opened =
        co_await io::submit(*ring, std::move(call), [](::io_uring_sqe* sqe, detail::open_below& o) {
          io_uring_prep_openat2(sqe, o.directory, o.name.c_str(), &o.how);
        });
    if (!opened) co_return status(detail::status_of_open(opened.error()));
    detail::owned_fd file(opened->value);
    const auto state = detail::state_of(file.get());
    if (!state) co_return status(500);
    if (state->directory && !index) co_return to_directory(q, path.raw());
    if (!state->regular) co_return status(404);
    // Where a file system cannot read without blocking, io_uring would fail the reads of such a descriptor.
    if (::fcntl(file.get(), F_SETFL, 0) != 0) co_return status(500);

    const detail::validators known{state->tag, !state->settled, state->modified};
    const int condition = detail::check_preconditions(q, known);
    if (condition == 412) co_return status(412);
    response head(condition == 304 ? 304 : 200);
    detail::byte_range part{0, state->size};
    auto kind = detail::range_kind::whole;
    if (condition == 0) kind = detail::requested_range(q, known, state->size, part);
    if (kind == detail::range_kind::part) head.set_status(206);
    if (kind == detail::range_kind::unsatisfiable) head = status(416);
    add_fields(head, known, type);
    if (kind != detail::range_kind::whole) add_content_range(head, kind, part, state->size);
    if (head.status() == 304 || head.status() == 416 || part.length == 0) co_return head;
    co_return stream(std::move(head), detail::file_pieces(ring, std::move(file), part.first, part.length),
                     part.length);
  }

 private:
  files(detail::owned_fd directory, files_options options) noexcept
      : directory_(std::move(directory)), options_(options) {}

  // None of the values can be refused.
  static void add_fields(response& head, const detail::validators& v, std::string_view type) {
    text_type tag(v.weak ? "W/" : "");
    tag.append(v.tag);
    (void)head.add_header("ETag", tag);
    (void)head.add_header("Accept-Ranges", "bytes");
    if (!v.weak) {
      date_text date;
      format_date(v.modified, date);
      (void)head.add_header("Last-Modified", {date.data(), date.size()});
    }
    if (head.status() < 300) (void)head.set_content_type(type);
  }
  static void add_content_range(response& head, detail::range_kind kind, const detail::byte_range& part,
                                std::uint64_t size) {
    text_type text("bytes ");
    if (kind == detail::range_kind::part) {
      text.append(std::to_string(part.first)).push_back('-');
      text.append(std::to_string(part.first + part.length - 1));
    } else {
      text.push_back('*');
    }
    text.append("/").append(std::to_string(size));
    (void)head.add_header("Content-Range", text);
  }
  /// A relative reference: it cannot lead to another host, whatever the path is.
  static response to_directory(const request& q, std::string_view path) {
    text_type location("./");
    location.append(path.substr(path.rfind('/') + 1)).push_back('/');
    if (!q.query().empty()) location.append("?").append(q.query());
    response r = status(301);
    (void)r.add_header("Location", location);  // visible ASCII
    return r;
  }

  detail::owned_fd directory_;
  files_options options_;
};

}  // namespace http
SYNFP_END_NAMESPACE
