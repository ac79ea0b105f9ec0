// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <synfp/http/access_log.hpp>

#include "../support/syns.hpp"

namespace {

using namespace std::chrono_literals;
namespace http = synfp::http;
namespace net = synfp::net;
using testing::HasSubstr;
using testing::MatchesRegex;

/// A request and the response to it.
class sample {
 public:
  explicit sample(std::string text, bool with_syn = false) : text_(std::move(text)) {
    facts_.peer = *synfp::endpoint::parse("[2001:db8::1]:50000");
    facts_.local = *synfp::endpoint::parse("192.0.2.2:80");
    if (with_syn) {
      facts_.syn.record = synfp::test::linux_record;
      facts_.syn.source = synfp::capture_source::reuseport;
      facts_.syn.proof = synfp::proof::verified;
      facts_.syn.miss = synfp::miss::none;
    }
    parser_.parse({text_.data(), text_.size()});
  }
  http::exchange exchange() {
    http::exchange e{.connection = facts_};
    if (parser_.head_complete()) e.request = &request_;
    e.request_line = std::string_view(text_).substr(0, text_.find("\r\n"));
    e.method = parser_.method();
    e.status = parser_.status() == http::parse_status::refused ? 400 : 200;
    e.cause = e.status == 400 ? http::cause::refused : http::cause::handler;
    e.refused_for = parser_.refused_for();
    e.bytes = 150;
    e.body_bytes = 12;
    e.duration = 1234us;
    return e;
  }

 private:
  std::string text_;
  net::connection_facts facts_;
  http::request_parser parser_;
  http::request request_{parser_, facts_.peer, facts_.local, facts_.syn};
};

class http_access_log : public testing::Test {
 protected:
  http_access_log() {
    char name[] = "/tmp/access_log_XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    directory = name;
    path = directory + "/access.log";
  }
  ~http_access_log() override { std::filesystem::remove_all(directory); }

  http::access_log open(http::access_log_options options = {}) {
    auto log = http::access_log::open(path, std::move(options));
    if (!log) throw std::runtime_error(log.error().message);
    return *std::move(log);
  }
  static std::string contents(const std::string& file) {
    std::stringstream all;
    all << std::ifstream(file).rdbuf();
    return all.str();
  }
  static std::vector<std::string> lines(const std::string& text) {
    std::vector<std::string> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }
  std::string one_line(http::log_format format, sample& s) {
    {
      auto log = open({.format = format});
      log.answered(s.exchange());
    }
    const std::string text = contents(path);
    std::filesystem::remove(path);
    EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
    return text.substr(0, text.size() - 1);
  }

  std::string directory;
  std::string path;
};

const std::string plain =
    "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nReferer: http://x/\r\nUser-Agent: curl/8\r\n\r\n";

TEST_F(http_access_log, common_and_combined) {
  sample without(plain);
  EXPECT_THAT(one_line(http::log_format::common, without),
              MatchesRegex(R"(2001:db8::1 - - \[[0-3][0-9]/[A-Z][a-z]{2}/20[0-9]{2}:[0-9:]{8} \+0000\] )"
                           R"("GET /a\?b=c HTTP/1.1" 200 12 "-")"));
  sample with(plain, true);
  const std::string signature(synfp::fingerprint::p0f(synfp::test::linux_record)->view());
  EXPECT_THAT(
      one_line(http::log_format::combined, with),
      testing::EndsWith("\"GET /a?b=c HTTP/1.1\" 200 12 \"http://x/\" \"curl/8\" \"" + signature + '"'));
}

TEST_F(http_access_log, json) {
  sample s(plain, true);
  const auto o = nlohmann::json::parse(one_line(http::log_format::json, s));
  EXPECT_THAT(o["time"].get<std::string>(),
              MatchesRegex(R"(20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z)"));
  EXPECT_EQ(o["peer"], nlohmann::json::parse(R"({"address":"2001:db8::1","port":50000})"));
  EXPECT_EQ(o["local"]["port"], 80);
  EXPECT_EQ(o["request"], "GET /a?b=c HTTP/1.1");
  EXPECT_EQ(o["host"], "example.org");
  EXPECT_EQ(o["referer"], "http://x/");
  EXPECT_EQ(o["user_agent"], "curl/8");
  EXPECT_EQ(o["status"], 200);
  EXPECT_EQ(o["cause"], "handler");
  EXPECT_TRUE(o["refusal"].is_null());
  EXPECT_EQ(o["bytes"], 150);
  EXPECT_EQ(o["body_bytes"], 12);
  EXPECT_EQ(o["complete"], true);
  EXPECT_EQ(o["duration_us"], 1234);
  EXPECT_EQ(o["capture"]["source"], "reuseport");
  EXPECT_EQ(o["p0f"], std::string(synfp::fingerprint::p0f(synfp::test::linux_record)->view()));

  sample bad("nonsense");
  const auto refused = nlohmann::json::parse(one_line(http::log_format::json, bad));
  EXPECT_EQ(refused["status"], 200);  // nothing of it was refused yet
  sample worse("\x16\x03\x01\r\n");
  const auto tls = nlohmann::json::parse(one_line(http::log_format::json, worse));
  EXPECT_EQ(tls["refusal"], "invalid method");
  EXPECT_EQ(tls["cause"], "refused");
  EXPECT_TRUE(tls["host"].is_null());
  EXPECT_TRUE(tls["p0f"].is_null());
  EXPECT_EQ(tls["capture"]["miss"], "no_probe");
}

// Whatever a client sends, a line stays a line and a field stays a field.
TEST_F(http_access_log, nobody_writes_into_it) {
  std::string every = "GET /";
  for (int c = 1; c < 256; ++c) every.push_back(static_cast<char>(c));
  every += "\" 200 1 \"x\n127.0.0.1 - - [x] \"GET / HTTP/1.1\" 200 0";
  for (const auto format : {http::log_format::common, http::log_format::combined}) {
    sample s(every);
    auto e = s.exchange();
    e.request_line = every;
    {
      auto log = open({.format = format});
      log.answered(e);
    }
    const std::string text = contents(path);
    std::filesystem::remove(path);
    ASSERT_EQ(text.find('\n'), text.size() - 1);
    for (const char c : std::string_view(text).substr(0, text.size() - 1)) ASSERT_TRUE(c >= 0x20 && c < 0x7f);
    EXPECT_EQ(std::count(text.begin(), text.end(), '"'), format == http::log_format::common ? 4 : 8);
    EXPECT_THAT(text, HasSubstr(R"(\x22 200 1 \x22x\x0A127.0.0.1 - - [x] \x22GET / HTTP/1.1\x22 200 0")"));
    EXPECT_THAT(text, HasSubstr(R"(\x1B\x1C)"));  // no escape sequence reaches a terminal
    EXPECT_THAT(text, HasSubstr(R"([\x5C])"));
    EXPECT_THAT(text, HasSubstr(R"(~\x7F\x80)"));
  }
  sample s(every);
  auto e = s.exchange();
  e.request_line = every;
  {
    auto log = open({.format = http::log_format::json});
    log.answered(e);
  }
  const std::string text = contents(path);
  ASSERT_EQ(text.find('\n'), text.size() - 1);
  for (const char c : std::string_view(text).substr(0, text.size() - 1)) ASSERT_TRUE(c >= 0x20 && c < 0x7f);
  const auto o = nlohmann::json::parse(text);
  EXPECT_EQ(o["status"], e.status);
  EXPECT_THAT(o["request"].get<std::string>(), HasSubstr("\" 200 1 \"x\n127.0.0.1"));

  // The same through fields that a request may have.
  sample fields("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \" \"\\\xff\xfe\xc2\x9b\r\n\r\n");
  std::filesystem::remove(path);
  EXPECT_THAT(one_line(http::log_format::combined, fields),
              testing::EndsWith(R"( "-" "\x22 \x22\x5C\xFF\xFE\xC2\x9B" "-")"));
}

TEST_F(http_access_log, a_long_field_is_cut) {
  sample s("GET /" + std::string(8000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(one_line(http::log_format::common, s), HasSubstr(std::string(100, 'a') + "...\" 200 12 \"-\""));
}

TEST_F(http_access_log, goes_on_in_a_new_file) {
  sample first("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
  sample second("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string old = path + ".1";
  {
    auto log = open();
    log.answered(first.exchange());
    for (int i = 0; i < 500 && lines(contents(path)).empty(); ++i) std::this_thread::sleep_for(10ms);
    std::filesystem::rename(path, old);
    ASSERT_TRUE(log.reopen());
    log.answered(second.exchange());
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07007U, 0U);  // of everybody else
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    const auto refused = log.reopen();
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("cannot open the access log '" + path + "'"));
    std::filesystem::remove(path);
    ASSERT_TRUE(log.reopen());
    log.answered(first.exchange());
  }
  EXPECT_THAT(lines(contents(old)), testing::ElementsAre(HasSubstr("/first")));
  EXPECT_THAT(lines(contents(path)), testing::Contains(HasSubstr("/first")));
}

TEST_F(http_access_log, what_a_full_disk_does_not_take_is_counted) {
  std::mutex mutex;
  std::vector<std::string> notices;
  std::filesystem::create_symlink("/dev/full", path);
  sample s(plain);
  {
    auto log = open({.buffer = 4096, .notice = [&](std::string_view text) {
                       const std::lock_guard lock(mutex);
                       notices.emplace_back(text);
                     }});
    for (int i = 0; i < 1000; ++i) log.answered(s.exchange());
    EXPECT_GE(log.dropped(), 900U);
    EXPECT_LT(log.dropped(), 1000U);
    const auto said = [&] {
      const std::lock_guard lock(mutex);
      return !notices.empty();
    };
    for (int i = 0; i < 500 && !said(); ++i) std::this_thread::sleep_for(10ms);
    std::filesystem::remove(path);
    ASSERT_TRUE(log.reopen());
    for (int i = 0; i < 500 && contents(path).empty(); ++i) std::this_thread::sleep_for(10ms);
    log.answered(s.exchange());
  }
  std::size_t written = 0;
  std::size_t dropped = 0;
  for (const std::string& line : lines(contents(path))) {
    std::size_t n = 0;
    if (std::sscanf(line.c_str(), "# %zu line", &n) == 1) {
      dropped += n;
    } else {
      EXPECT_THAT(line, testing::EndsWith("\"http://x/\" \"curl/8\" \"-\""));
      ++written;
    }
  }
  EXPECT_GT(dropped, 0U);
  EXPECT_EQ(written + dropped, 1001U);
  ASSERT_EQ(notices.size(), 2U);
  EXPECT_EQ(
      notices[0],
      "cannot write the access log: No space left on device; lines are dropped when their buffer is full");
  EXPECT_EQ(notices[1], "the access log is written again");
}

TEST_F(http_access_log, a_pipe_that_nobody_reads_holds_up_nobody) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto refused = http::access_log::open(path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "nobody reads the pipe '" + path + "'; start its reader first");

  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  std::string got;
  std::size_t dropped = 0;
  sample s(plain);
  {
    auto log = open({.buffer = 128 * 1024});
    for (int i = 0; i < 5000; ++i) log.answered(s.exchange());  // 64 KiB of the pipe, 128 of the buffer
    EXPECT_GT(log.dropped(), 1000U);
    std::thread later([&] {
      char some[4096];
      for (ssize_t n = 1; n != 0;) {
        n = ::read(reader, some, sizeof some);
        if (n > 0) got.append(some, static_cast<std::size_t>(n));
        if (n < 0) std::this_thread::sleep_for(1ms);
      }
    });
    { const auto closing = std::move(log); }
    later.join();
  }
  ::close(reader);
  std::size_t written = 0;
  for (const std::string& line : lines(got)) {
    std::size_t n = 0;
    if (std::sscanf(line.c_str(), "# %zu lines dropped", &n) == 1) {
      dropped += n;
    } else {
      EXPECT_THAT(line, MatchesRegex(R"(2001:db8::1 - - .*"curl/8" "-")"));
      ++written;
    }
  }
  EXPECT_GT(dropped, 0U);
  EXPECT_EQ(written + dropped, 5000U);
}

TEST_F(http_access_log, a_reader_that_has_gone_ends_nothing) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  auto log = open({.buffer = 4096});
  ::close(reader);
  sample s(plain);
  for (int i = 0; i < 100; ++i) log.answered(s.exchange());  // no SIGPIPE
  EXPECT_GT(log.dropped(), 0U);
}

TEST_F(http_access_log, lines_of_all_threads_are_whole) {
  constexpr int each = 2000;
  {
    auto log = open({.format = http::log_format::json});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&log, t] {
        for (int i = 0; i < each; ++i) {
          sample s("GET /" + std::to_string(t) + "/" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n");
          log.answered(s.exchange());
          if (i % 100 == 0) std::this_thread::sleep_for(1ms);
          if (i % 1000 == 0) {
            EXPECT_TRUE(log.reopen());  // while lines come
          }
        }
      });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(log.dropped(), 0U);
  }
  int next[4] = {};
  for (const std::string& line : lines(contents(path))) {
    int t = 0;
    int i = 0;
    ASSERT_EQ(
        std::sscanf(nlohmann::json::parse(line)["request"].get<std::string>().c_str(), "GET /%d/%d", &t, &i),
        2);
    ASSERT_EQ(i, next[t]++);
  }
  for (const int n : next) EXPECT_EQ(n, each);
}

TEST_F(http_access_log, threads_that_have_ended_leave_their_buffer_to_others) {
  auto log = open({.buffer = 16384});  // has room for all, should its thread not run meanwhile
  sample s(plain);
  for (int i = 0; i < 50; ++i) std::thread([&] { log.answered(s.exchange()); }).join();
  for (int i = 0; i < 500 && lines(contents(path)).size() != 50; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(lines(contents(path)).size(), 50U);
  EXPECT_EQ(log.dropped(), 0U);
}

}  // namespace
