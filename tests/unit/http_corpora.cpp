// SPDX-License-Identifier: MIT
// Recorded requests of other projects' test suites. They are not part of this repository: compiled only where
// the directory SYNFP_CORPORA exists.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/http/parser.hpp>

#include "../support/http_feed.hpp"

namespace {

using nlohmann::json;
using synfp::http::parse_status;
using synfp::test::feed;
using synfp::test::feed_bytes;
using synfp::test::feed_whole;
using synfp::test::outcome;

/// The cases of a file, or nothing if it is not there.
json cases(const std::string& file) {
  std::ifstream in(SYNFP_CORPORA "/" + file);
  return in ? json::parse(in).at("cases") : json();
}

/// The files hold bytes as U+0000 to U+00FF.
std::string latin1(const std::string& utf8) {
  std::string out;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto c = static_cast<unsigned char>(utf8[i]);
    out.push_back(c < 0x80 ? utf8[i] : static_cast<char>((c & 0x03) << 6 | (utf8[++i] & 0x3f)));
  }
  return out;
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

/// What happens on a connection that receives `bytes`: complete requests, and how it goes on.
struct session {
  std::vector<std::size_t> ends;
  int last = -1;        // what outcome::code() says of the bytes behind the last complete request
  bool closed = false;  // the last complete request ends the connection
};
session run(std::string_view bytes) {
  session s;
  std::size_t at = 0;
  while (true) {
    const std::string_view rest = bytes.substr(at);
    const outcome o = feed_whole(rest);
    EXPECT_TRUE(o.same_in_pieces) << rest;
    EXPECT_EQ(feed_bytes(rest), o) << rest;
    for (std::size_t cut = 1; cut < rest.size(); ++cut) EXPECT_EQ(feed(rest, {cut, rest.size()}), o) << rest;
    s.last = o.code();
    if (s.last != 0) return s;
    at += o.consumed;
    s.ends.push_back(at);
    s.closed = !o.keep_alive;
    if (s.closed || at == bytes.size()) {
      s.last = -1;
      return s;
    }
  }
}

TEST(http_corpora, http11probe) {
  const json all = cases("http11probe_cases.json");
  ASSERT_FALSE(all.is_null());
  // Cases whose verdict cannot be read from expected_status, because the probe judges them by code or gives a
  // choice, and which this parser refuses.
  const std::map<std::string, int> refused_by_choice = {
      {"RFC9112-2.2-BARE-LF-REQUEST-LINE", 400},
      {"RFC9112-2.2-BARE-LF-HEADER", 400},
      {"RFC9112-3-MULTI-SP-REQUEST-LINE", 400},
      {"RFC9112-2.3-INVALID-VERSION", 505},
      {"RFC9112-3.2-FRAGMENT-IN-TARGET", 400},
      {"COMP-UNKNOWN-TE-501", 501},
      {"COMP-LEADING-CRLF", 400},  // two empty lines
      {"COMP-EXPECT-UNKNOWN", 417},
      {"COMP-REQUEST-LINE-TAB", 400},
      {"COMP-HTTP12-VERSION", 505},
      {"SMUG-TE-XCHUNKED", 400},
      {"SMUG-TE-TRAILING-SPACE", 400},  // these with a length as well
      {"SMUG-TE-DOUBLE-CHUNKED", 400},
      {"SMUG-TE-CASE-MISMATCH", 400},
      {"SMUG-TE-LEADING-COMMA", 400},
      {"SMUG-TE-IDENTITY", 400},
      {"SMUG-CL-COMMA-SAME", 400},
      {"SMUG-CL-COMMA-TRIPLE", 400},
      {"SMUG-CHUNKED-WITH-PARAMS", 400},
      {"SMUG-TRAILER-CL", 400},
      {"SMUG-TRAILER-TE", 400},
      {"SMUG-TRAILER-HOST", 400},
      {"SMUG-TE-OBS-FOLD", 400},
      {"SMUG-TE-TRAILING-COMMA", 400},
      {"SMUG-TE-TAB-BEFORE-VALUE", 400},
      {"SMUG-CLTE-CONN-CLOSE", 400},
      {"SMUG-TECL-CONN-CLOSE", 400},
      {"SMUG-CLTE-DESYNC", 400},
      {"SMUG-TECL-DESYNC", 400},
      {"SMUG-OPTIONS-TE-OBS-FOLD", 400},
      {"SMUG-CHUNK-INVALID-SIZE-DESYNC", 400},
      {"MAL-URL-BACKSLASH", 400},
      {"MAL-POST-CL-HUGE-NO-BODY", 413},
      {"NORM-SP-BEFORE-COLON-CL", 400},
      {"NORM-TAB-IN-NAME", 400},
      {"NORM-CASE-TE", 400},
  };
  // Bodies that end too early: the server's timeout decides.
  const std::set<std::string> incomplete = {"COMP-POST-CL-UNDERSEND", "COMP-CHUNKED-NO-FINAL",
                                            "MAL-INCOMPLETE-REQUEST"};
  int accepted = 0, refused = 0, open = 0;
  for (const json& c : all) {
    const std::string id = c.at("id");
    const std::string bytes = replace_all(latin1(c.at("payload_latin1")), "@@HOST@@", "localhost:8080");
    const session s = run(bytes);
    const std::string expected = c.value("expected_status", "");
    const int code = s.last > 0 ? s.last : s.ends.empty() ? -1 : 0;
    if (const auto own = refused_by_choice.find(id); own != refused_by_choice.end()) {
      EXPECT_EQ(code, own->second) << id << "\n" << bytes;
      EXPECT_NE(expected, "Range2xx") << id;
      ++refused;
    } else if (expected == "Exact(400)") {
      EXPECT_EQ(code, 400) << id << "\n" << bytes;
      ++refused;
    } else if (incomplete.count(id) != 0) {
      EXPECT_EQ(code, -1) << id;
      ++open;
    } else {  // valid, or for the handler to decide
      EXPECT_EQ(code, 0) << id << "\n" << bytes;
      ++accepted;
    }
  }
  RecordProperty("accepted", accepted);
  RecordProperty("refused", refused);
  RecordProperty("incomplete", open);
  EXPECT_EQ(static_cast<std::size_t>(accepted + refused + open), all.size());
}

/// Where llhttp's log says that messages end.
std::vector<std::size_t> message_ends(const std::string& log) {
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; at < log.size();) {
    std::size_t end = log.find('\n', at);
    if (end == std::string::npos) end = log.size();
    const std::string line = log.substr(at, end - at);
    if (line.ends_with(" message complete") && line.starts_with("off="))
      ends.push_back(std::stoul(line.substr(4)));
    at = end + 1;
  }
  return ends;
}

/// Puts a Host behind the request lines of a text without one, so that this difference does not hide all
/// others. `inserted`: behind which positions.
std::string with_hosts(const std::string& text, std::vector<std::size_t>& inserted) {
  std::string lower;
  for (const char c : text) lower.push_back(synfp::http::detail::lower(c));
  if (lower.find("\r\nhost:") != std::string::npos) return text;
  constexpr std::string_view line_end = " HTTP/1.1\r\n";
  std::string out;
  std::size_t at = 0;
  for (auto found = text.find(line_end); found != std::string::npos; found = text.find(line_end, at)) {
    const std::size_t end = found + line_end.size();
    out += text.substr(at, end - at) + "Host: a\r\n";
    inserted.push_back(end);
    at = end;
  }
  return out + text.substr(at);
}

TEST(http_corpora, llhttp) {
  const json all = cases("llhttp_request_cases.json");
  ASSERT_FALSE(all.is_null());
  // What llhttp 9.4.2 accepts without lenient flags and this parser does not.
  const std::map<std::string, int> stricter = {
      {"CRLF between requests, implicit `keep-alive`", 400},  // two empty lines; RFC 9112 2.2 asks for one
      {"CONNECT request", 501},                               // CONNECT is never served
      {"CONNECT request with CAPS", 501},
      {"CONNECT with body", 501},
      {"Underscore in hostname", 501},
      {"M-SEARCH request", 400},         // "*" is for OPTIONS only
      {"SOURCE request with ICE", 400},  // not HTTP
      {"OPTIONS request with RTSP", 400},
      {"ANNOUNCE request with RTSP", 400},
      {"No HTTP version", 400},  // HTTP/0.9
      {"Fragment in URI", 400},
      {"POST with `chunked` as last transfer-encoding", 400},  // a fragment; deflate would be 501
      {"POST with `chunked` as last transfer-encoding (multiple headers)", 400},
      {"`host:port` and basic auth", 400},  // user information in the target
  };
  // What llhttp refuses and this parser accepts: methods that it does not know, or not together with HTTP.
  // They are tokens, and routes answer them with 501.
  const std::set<std::string> unknown_methods = {"Invalid method", "HTTP protocol and ANNOUNCE method"};
  int both_accept = 0, both_refuse = 0, refused = 0, lenient_refused = 0, lenient_accepted = 0;
  for (const json& c : all) {
    const std::string title = c.at("title");
    const json& meta = c.at("meta");
    if (meta.contains("skipBody")) continue;  // reads no bodies
    std::vector<std::size_t> inserted;
    // As UTF-8: llhttp's tests are UTF-8 files, and the offsets of the log count their bytes.
    const std::string bytes = with_hosts(c.at("request_latin1"), inserted);
    const session s = run(bytes);
    if (meta.value("type", "request").find("lenient") != std::string::npos) {
      ++(s.last > 0 ? lenient_refused : lenient_accepted);
      continue;
    }
    const json& error = c.at("error");
    // llhttp stops at an upgrade and behind the last message of a connection: not errors of the message.
    const bool llhttp_refuses = !error.is_null() && error.at("reason") != "Pause on CONNECT/Upgrade" &&
                                error.at("reason") != "Data after `Connection: close`";
    if (s.last > 0 && llhttp_refuses) {
      ++both_refuse;
      continue;
    }
    const auto own = stricter.find(title);
    EXPECT_EQ(s.last > 0 ? s.last : 0, own != stricter.end() ? own->second : 0) << title << "\n" << bytes;
    if (s.last > 0) {
      ++refused;
      continue;
    }
    if (unknown_methods.count(title) != 0) continue;
    if (llhttp_refuses) {  // then the line that llhttp objects to is not complete: this parser judges whole
                           // lines
      EXPECT_TRUE(s.ends.empty()) << title;
      EXPECT_GT(run(bytes + "\r\n\r\n").last, 0) << title << "\n" << bytes;
      ++both_refuse;
      continue;
    }
    std::vector<std::size_t> ends = message_ends(c.at("log"));
    for (std::size_t& end : ends) {
      std::size_t shift = 0;
      for (const std::size_t position : inserted)
        shift += end > position ? std::string_view("Host: a\r\n").size() : 0;
      end += shift;
    }
    EXPECT_EQ(s.ends, ends) << title << "\n" << bytes;
    ++both_accept;
  }
  EXPECT_EQ(static_cast<std::size_t>(refused), stricter.size());
  RecordProperty("both_accept", both_accept);
  RecordProperty("both_refuse", both_refuse);
  RecordProperty("stricter", refused);
  RecordProperty("lenient_refused", lenient_refused);
  RecordProperty("lenient_accepted", lenient_accepted);
}

}  // namespace
