// SPDX-License-Identifier: MIT
// Files over a socket pair and over memory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/http/files.hpp>
#include <synfp/http/serve.hpp>

#include "../support/every_link.hpp"
#include "../support/http_link.hpp"

namespace {

using synfp::task;
namespace http = synfp::http;
namespace io = synfp::io;
namespace test = synfp::test;
namespace fs = std::filesystem;

/// A directory of its own, below which a secret lies beside the one that is served.
class scratch {
 public:
  scratch() {
    char name[] = "/tmp/synfp-files-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    root_ = name;
    fs::create_directories(site());
    write("../secret", "secret");
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() { fs::remove_all(root_); }

  fs::path site() const { return root_ / "site"; }
  /// Changed long ago, as far as a program can say that: the time of change is always now.
  void write(const std::string& name, std::string_view bytes) const {
    fs::create_directories((site() / name).parent_path());
    std::ofstream(site() / name, std::ios::binary) << bytes;
    const timeval times[2] = {{784111777, 0}, {784111777, 0}};
    ::utimes((site() / name).c_str(), times);
  }

 private:
  fs::path root_;
};

constexpr std::string_view long_ago = "Sun, 06 Nov 1994 08:49:37 GMT";

std::string bytes(std::size_t n) {
  std::string all(n, '\0');
  std::uint32_t x = 1;
  for (char& c : all) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return all;
}

std::string status_of(const std::string& wire) { return wire.substr(9, 3); }
std::string body_of(const std::string& wire) { return wire.substr(wire.find("\r\n\r\n") + 4); }
std::string field(const std::string& wire, const std::string& name) {
  const auto at = wire.find("\r\n" + name + ": ");
  if (at == std::string::npos || at > wire.find("\r\n\r\n")) return "none";
  const auto begin = at + name.size() + 4;
  return wire.substr(begin, wire.find('\r', begin) - begin);
}

template <class Link>
class http_files : public testing::Test {
 protected:
  static auto make_routes(const std::string& directory, http::files_options options) {
    return http::routes{http::get<"/f/{path...}">(http::files(directory, options)),
                        http::get<"/end">([](const http::request&) { return http::text("END"); })};
  }
  using routes_type = decltype(make_routes("", {}));

  http_files() : ring(test::ring_of_this_thread()), routes(make_routes(dir.site().string(), {})) {}

  /// The answer, behind which the connection is still in order.
  std::string ask(std::string_view target, std::string_view fields = "", std::string_view method = "GET") {
    return ask_of(routes, target, fields, method);
  }
  std::string ask_of(const routes_type& of, std::string_view target, std::string_view fields = "",
                     std::string_view method = "GET") {
    test::http_link<Link, routes_type> c(*ring, of);
    c.send(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" +
           std::string(fields) + "\r\nGET /end HTTP/1.1\r\nHost: a\r\n\r\n");
    std::string wire = c.until("\r\n\r\nEND");
    return wire.substr(0, wire.rfind("HTTP/1.1 200 OK"));
  }
  /// Until the tag is a strong one.
  std::string strong_tag(std::string_view target) {
    for (int i = 0; i != 100; ++i) {
      const std::string tag = field(ask(target), "ETag");
      if (tag.starts_with('"')) return tag;
      ::usleep(50'000);
    }
    return "none";
  }
  static int open_descriptors() {
    return static_cast<int>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
  }

  scratch dir;
  std::unique_ptr<io::ring> ring;
  routes_type routes;
};
TYPED_TEST_SUITE(http_files, test::links, test::link_names);

TYPED_TEST(http_files, of_all_sizes) {
  for (const std::size_t n : {0U, 1U, 1000U, 32U * 1024U, 32U * 1024U + 1U, 3'000'000U}) {
    const std::string content = bytes(n);
    this->dir.write("file", content);
    const std::string wire = this->ask("/f/file");
    EXPECT_EQ(status_of(wire), "200");
    EXPECT_EQ(field(wire, "Content-Length"), std::to_string(n));
    EXPECT_EQ(field(wire, "Content-Type"), "application/octet-stream");
    EXPECT_EQ(field(wire, "Accept-Ranges"), "bytes");
    EXPECT_TRUE(body_of(wire) == content) << n;
    const std::string head = this->ask("/f/file", "", "HEAD");
    EXPECT_EQ(field(head, "Content-Length"), std::to_string(n));
    EXPECT_EQ(body_of(head), "");
  }
}

TYPED_TEST(http_files, names) {
  const auto& tree = this->dir;
  tree.write("index.html", "start");
  tree.write("sub/index.html", "index");
  tree.write("sub/a b+c\xc3\xa9.TXT", "decoded");
  tree.write("sub/style.css", "css");
  tree.write("sub/noext", "");
  tree.write("a.b/no-extension", "");
  tree.write("empty/file", "");
  const auto type = [this](std::string_view target) { return field(this->ask(target), "Content-Type"); };
  EXPECT_EQ(body_of(this->ask("/f/")), "start");
  EXPECT_EQ(body_of(this->ask("/f/?query")), "start");
  EXPECT_EQ(body_of(this->ask("/f/sub/")), "index");
  EXPECT_EQ(type("/f/sub/"), "text/html; charset=utf-8");
  EXPECT_EQ(body_of(this->ask("/f/sub/a%20b+c%C3%a9.%54XT")), "decoded");
  EXPECT_EQ(type("/f/sub/a%20b+c%C3%a9.%54XT"), "text/plain; charset=utf-8");
  EXPECT_EQ(type("/f/sub/style.css"), "text/css; charset=utf-8");
  EXPECT_EQ(type("/f/sub/noext"), "application/octet-stream");
  EXPECT_EQ(type("/f/a.b/no-extension"), "application/octet-stream");
  for (const auto target : {"/f/none", "/f/none/", "/f/empty/", "/f/index.html/", "/f/sub/none/x",
                            "/f/index.html/x", "/f/sub/style", "/f/SUB/style.css"})
    EXPECT_EQ(status_of(this->ask(target)), "404") << target;
  EXPECT_EQ(status_of(this->ask("/f/" + std::string(5000, 'x'))), "404");
  const std::string moved = this->ask("/f/sub?a=b");
  EXPECT_EQ(status_of(moved), "301");
  EXPECT_EQ(field(moved, "Location"), "./sub/?a=b");
  EXPECT_EQ(field(this->ask("/f/a.b"), "Location"), "./a.b/");
}

TYPED_TEST(http_files, nothing_outside_and_nothing_hidden) {
  const auto& tree = this->dir;
  tree.write("file", "file");
  tree.write(".hidden", "hidden");
  tree.write(".well-known/x", "known");
  tree.write("sub/.git/config", "hidden");
  for (const auto target : {"/f/../secret",
                            "/f/sub/../../secret",
                            "/f/%2e%2e/secret",
                            "/f/.%2E/secret",
                            "/f/..%2fsecret",
                            "/f/%2e%2e%2fsecret",
                            "/f/sub%2f..%2f..%2fsecret",
                            "/f/..",
                            "/f/../",
                            "/f/.",
                            "/f/./file",
                            "/f//file",
                            "/f//etc/passwd",
                            "/f/%2fetc/passwd",
                            "/f/%2Fetc%2Fpasswd",
                            "/f/file%00",
                            "/f/file%00.txt",
                            "/f/%00",
                            "/f/.hidden",
                            "/f/%2ehidden",
                            "/f/.well-known/x",
                            "/f/sub/.git/config",
                            "/f/sub%2f.git/config",
                            "/f/...",
                            "/f/sub//"})
    EXPECT_EQ(status_of(this->ask(target)), "404") << target;
  for (const auto target : {"/f/%", "/f/%2", "/f/file%gg", "/f/%%"})
    EXPECT_EQ(status_of(this->ask(target)), "400") << target;
  const auto shows = this->make_routes(tree.site().string(), {.dotfiles = true});
  EXPECT_EQ(body_of(this->ask_of(shows, "/f/.well-known/x")), "known");
  for (const auto target : {"/f/../secret", "/f/%2e%2e/secret", "/f/.", "/f/./file", "/f/.."})
    EXPECT_EQ(status_of(this->ask_of(shows, target)), "404") << target;
}

// The kernel's part: symbolic links, and what is not a file.
TYPED_TEST(http_files, links_stay_inside_and_only_files_are_served) {
  const auto& tree = this->dir;
  tree.write("sub/file", "file");
  fs::create_symlink("sub/file", tree.site() / "inside");
  fs::create_directory_symlink("sub", tree.site() / "inside-dir");
  fs::create_symlink("../secret", tree.site() / "outside");
  fs::create_symlink(fs::absolute(tree.site() / "sub/file"), tree.site() / "absolute");
  fs::create_directory_symlink("..", tree.site() / "up");
  fs::create_symlink("loop", tree.site() / "loop");
  fs::create_symlink("/proc/self/root", tree.site() / "root");
  ASSERT_EQ(::mkfifo((tree.site() / "fifo").c_str(), 0666), 0);
  EXPECT_EQ(body_of(this->ask("/f/inside")), "file");
  EXPECT_EQ(body_of(this->ask("/f/inside-dir/file")), "file");
  for (const auto target : {"/f/outside", "/f/absolute", "/f/up/secret", "/f/up/site/sub/file", "/f/loop",
                            "/f/root/etc/passwd", "/f/fifo"})
    EXPECT_EQ(status_of(this->ask(target)), "404") << target;
  if (::geteuid() != 0) {  // root may read everything
    fs::permissions(tree.site() / "sub/file", fs::perms::none);
    EXPECT_EQ(status_of(this->ask("/f/sub/file")), "403");
  }
}

TYPED_TEST(http_files, a_fresh_file_has_a_weak_tag) {
  this->dir.write("file", "one");
  const std::string wire = this->ask("/f/file");
  const std::string tag = field(wire, "ETag");
  EXPECT_TRUE(tag.starts_with("W/\"3-")) << tag;
  EXPECT_EQ(field(wire, "Last-Modified"), "none");
  EXPECT_EQ(status_of(this->ask("/f/file", "If-None-Match: " + tag + "\r\n")), "304");
  EXPECT_EQ(status_of(this->ask("/f/file", "If-Match: " + tag + "\r\n")), "412");
  EXPECT_EQ(status_of(this->ask("/f/file", "Range: bytes=0-0\r\nIf-Range: " + tag + "\r\n")), "200");
  this->dir.write("file", "two");  // of the same size and time of modification
  EXPECT_EQ(status_of(this->ask("/f/file", "If-None-Match: " + tag + "\r\n")), "200");
}

TYPED_TEST(http_files, preconditions) {
  this->dir.write("file", "content");
  const std::string tag = this->strong_tag("/f/file");
  ASSERT_NE(tag, "none");
  EXPECT_EQ(field(this->ask("/f/file"), "Last-Modified"), long_ago);
  const auto status = [this](const std::string& fields, std::string_view method = "GET") {
    return status_of(this->ask("/f/file", fields, method));
  };
  const std::string not_modified = this->ask("/f/file", "If-None-Match: " + tag + "\r\n");
  EXPECT_EQ(status_of(not_modified), "304");
  EXPECT_EQ(field(not_modified, "ETag"), tag);
  EXPECT_EQ(field(not_modified, "Last-Modified"), long_ago);
  EXPECT_EQ(field(not_modified, "Content-Length"), "none");
  EXPECT_EQ(field(not_modified, "Content-Type"), "none");
  EXPECT_EQ(body_of(not_modified), "");
  EXPECT_EQ(status("If-None-Match: " + tag + "\r\n", "HEAD"), "304");
  EXPECT_EQ(status("If-None-Match: *\r\n"), "304");
  EXPECT_EQ(status("If-None-Match: W/" + tag + "\r\n"), "304");
  EXPECT_EQ(status("If-None-Match: \"a,b\" , W/\"c\"," + tag + "\r\n"), "304");
  EXPECT_EQ(status("If-None-Match: \"a\"\r\nIf-None-Match: " + tag + "\r\n"), "304");
  for (const std::string& none :
       std::vector<std::string>{"\"a\"", "\"a\", \"b\"", tag.substr(1), tag.substr(0, tag.size() - 1),
                                std::string(), ",", "x" + tag, "**"})
    EXPECT_EQ(status("If-None-Match: " + none + "\r\n"), "200") << none;
  EXPECT_EQ(status("If-Match: " + tag + "\r\n"), "200");
  EXPECT_EQ(status("If-Match: *\r\n"), "200");
  EXPECT_EQ(status("If-Match: \"a\"\r\n"), "412");
  EXPECT_EQ(status("If-Match: W/" + tag + "\r\n"), "412");
  EXPECT_EQ(status("If-Match: " + tag + "\r\nIf-None-Match: " + tag + "\r\n"), "304");
  const std::string before = "Sun, 06 Nov 1994 08:49:36 GMT";
  EXPECT_EQ(status("If-Modified-Since: " + std::string(long_ago) + "\r\n"), "304");
  EXPECT_EQ(status("If-Modified-Since: Sun Nov  6 08:49:38 1994\r\n"), "304");
  EXPECT_EQ(status("If-Modified-Since: " + before + "\r\n"), "200");
  EXPECT_EQ(status("If-Modified-Since: yesterday\r\n"), "200");
  EXPECT_EQ(status("If-Modified-Since: " + std::string(long_ago) + "\r\nIf-None-Match: \"a\"\r\n"), "200");
  EXPECT_EQ(status("If-Unmodified-Since: " + std::string(long_ago) + "\r\n"), "200");
  EXPECT_EQ(status("If-Unmodified-Since: " + before + "\r\n"), "412");
  EXPECT_EQ(status("If-Unmodified-Since: " + before + "\r\nIf-Match: *\r\n"), "200");
}

TYPED_TEST(http_files, ranges) {
  const std::string content = bytes(100'000);
  this->dir.write("file", content);
  this->dir.write("empty", "");
  const std::string tag = this->strong_tag("/f/file");
  const auto part = [&](const std::string& range, std::size_t first, std::size_t n) {
    const std::string wire = this->ask("/f/file", "Range: " + range + "\r\n");
    EXPECT_EQ(status_of(wire), "206") << range;
    EXPECT_EQ(field(wire, "Content-Range"),
              "bytes " + std::to_string(first) + "-" + std::to_string(first + n - 1) + "/100000");
    EXPECT_EQ(field(wire, "Content-Length"), std::to_string(n));
    EXPECT_EQ(field(wire, "ETag"), tag);
    EXPECT_TRUE(body_of(wire) == content.substr(first, n)) << range;
  };
  part("bytes=0-0", 0, 1);
  part("bytes=0-", 0, 100'000);
  part("BYTES=99999-", 99'999, 1);
  part("bytes=10-70000", 10, 69'991);
  part("bytes=50000-18446744073709551615", 50'000, 50'000);
  part("bytes=-1", 99'999, 1);
  part("bytes=-100001", 0, 100'000);
  for (const std::string& none :
       std::vector<std::string>{"bytes=100000-", "bytes=100000-100001", "bytes=-0"}) {
    const std::string wire = this->ask("/f/file", "Range: " + none + "\r\n");
    EXPECT_EQ(status_of(wire), "416") << none;
    EXPECT_EQ(field(wire, "Content-Range"), "bytes */100000");
  }
  EXPECT_EQ(status_of(this->ask("/f/empty", "Range: bytes=0-\r\n")), "416");
  EXPECT_EQ(status_of(this->ask("/f/empty", "Range: bytes=-1\r\n")), "416");
  for (const std::string ignored :
       {"bytes=5-4", "bytes=0-0,2-3", "bytes=-", "bytes=", "bytes", "bytes=a-b", "chars=0-1", "bytes=0-1 ,",
        "bytes=+1-2", "bytes = 0-1", "bytes=1-18446744073709551616"})
    EXPECT_EQ(status_of(this->ask("/f/file", "Range: " + ignored + "\r\n")), "200") << ignored;
  const std::string head = this->ask("/f/file", "Range: bytes=0-0\r\n", "HEAD");
  EXPECT_EQ(status_of(head), "200");
  EXPECT_EQ(field(head, "Content-Length"), "100000");
  const auto if_range = [&](const std::string& value) {
    return status_of(this->ask("/f/file", "Range: bytes=0-0\r\nIf-Range: " + value + "\r\n"));
  };
  EXPECT_EQ(if_range(tag), "206");
  EXPECT_EQ(if_range(std::string(long_ago)), "206");
  EXPECT_EQ(if_range("W/" + tag), "200");
  EXPECT_EQ(if_range("\"a\""), "200");
  EXPECT_EQ(if_range("Sun, 06 Nov 1994 08:49:38 GMT"), "200");
  EXPECT_EQ(if_range("*"), "200");
}

TYPED_TEST(http_files, a_client_that_leaves_or_does_not_read_leaves_nothing_behind) {
  this->dir.write("file", bytes(20'000'000));
  const int before = this->open_descriptors();
  const auto pooled = io::frame_pool::in_use();
  {
    test::http_link<TypeParam, typename TestFixture::routes_type> c(*this->ring, this->routes);
    c.reads = false;
    c.send("GET /f/file HTTP/1.1\r\nHost: a\r\n\r\n");
    c.turn(200);
    EXPECT_LT(io::frame_pool::in_use() - pooled, 200 * 1024);
  }
  EXPECT_EQ(this->open_descriptors(), before);
}

TYPED_TEST(http_files, a_file_that_shrinks_ends_the_connection) {
  this->dir.write("file", bytes(20'000'000));
  test::http_link<TypeParam, typename TestFixture::routes_type> c(*this->ring, this->routes);
  c.reads = false;
  c.send("GET /f/file HTTP/1.1\r\nHost: a\r\n\r\n");
  c.turn(100);
  fs::resize_file(this->dir.site() / "file", 10);
  c.reads = true;
  const std::string wire = c.to_the_end();
  EXPECT_EQ(field(wire, "Content-Length"), "20000000");
  EXPECT_LT(body_of(wire).size(), 20'000'000U);
}

TYPED_TEST(http_files, may_be_composed) {
  this->dir.write("app.js", "js");
  const http::files site(this->dir.site().string());
  const auto cached = [&site](const http::request& q) -> task<http::stream_response> {
    auto work = site(q, http::encoded_text("app.js"));
    auto r = co_await std::move(work);
    (void)r.head().add_header("Cache-Control", "max-age=60");
    co_return r;
  };
  const http::routes all{http::get<"/{any}">(cached)};
  test::http_link<TypeParam, std::remove_const_t<decltype(all)>> c(*this->ring, all);
  c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(field(c.until("\r\n\r\njs"), "Cache-Control"), "max-age=60");
}

TEST(http_files_setup, says_what_is_wrong) {
  const auto none = http::files::open("/nowhere/at/all");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message,
            "cannot open the directory /nowhere/at/all to serve its files: No such file or directory; name a "
            "directory that this user may enter");
  EXPECT_EQ(none.error().os, ENOENT);
  EXPECT_FALSE(http::files::open("/etc/passwd"));
  EXPECT_THROW(http::files("/nowhere"), synfp::setup_failure);
}

// A descriptor that is opened for a coroutine which is gone is closed.
TEST(http_files_setup, a_stop_while_a_file_is_opened_closes_it) {
  scratch dir;
  dir.write("file", "content");
  const auto count = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto ring = test::ring_of_this_thread();
  const auto before = count();
  for (int i = 0; i != 50; ++i) {
    http::detail::open_below call{AT_FDCWD, http::text_type((dir.site() / "file").string()), {}};
    call.how.flags = O_RDONLY | O_CLOEXEC;
    const auto open = [&]() -> task<> {
      auto c = std::move(call);
      const auto opened =
          co_await io::submit(*ring, std::move(c), [](::io_uring_sqe* sqe, http::detail::open_below& o) {
            io_uring_prep_openat2(sqe, o.directory, o.name.c_str(), &o.how);
          });
      ADD_FAILURE() << "was to be destroyed";
    };
    auto work = open();
    const auto handle = work.release();
    handle.resume();                             // queues the operation
    handle.destroy();                            // whose completion nobody waits for
    while (ring->in_flight() > 1) ring->poll();  // the wake-up is one
  }
  EXPECT_EQ(count(), before);
}

}  // namespace
