// SPDX-License-Identifier: MIT
// Feeds arbitrary bytes to the request parser as a connection would, whole and in pieces, and checks what
// must hold for every input.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/http/parser.hpp>

#include "../support/http_feed.hpp"

#if defined(SYNFP_LLHTTP)
#include <llhttp/llhttp.h>
#endif

namespace {

using namespace synfp;
using synfp::test::outcome;

void check(bool holds) {
  if (!holds) __builtin_trap();
}

const std::string* field(const outcome& o, std::string_view name, std::size_t& count) {
  const std::string* value = nullptr;
  count = 0;
  for (const auto& [n, v] : o.headers) {
    if (!http::detail::equal(n, name)) continue;
    value = &v;
    ++count;
  }
  return value;
}

/// The request again, from what was parsed, with the body as it was decoded.
std::string serialised(const outcome& o) {
  std::string text = o.method + " " + o.target + " HTTP/1." + std::to_string(o.minor) + "\r\n";
  for (const auto& [name, value] : o.headers) {
    if (http::detail::equal(name, "transfer-encoding")) {
      text += "Content-Length: " + std::to_string(o.body.size()) + "\r\n";
    } else {
      text += name + ": " + value + "\r\n";
    }
  }
  return text + "\r\n" + o.body;
}

#if defined(SYNFP_LLHTTP)
/// What this parser accepts, llhttp accepts as one message of the same length. Left out: methods that llhttp
/// does not know, and upgrades, where it stops behind the header section.
void check_against_llhttp(const outcome& o, std::string_view message) {
  if (http::method_from(o.method) == http::method::other) return;
  for (const auto& [name, value] : o.headers) {
    if (http::detail::equal(name, "upgrade")) return;
    // llhttp reads no white space around the parts of a chunk extension, and llhttp 8 not every quoted
    // string.
    if (http::detail::equal(name, "transfer-encoding") && message.find(';') != message.npos) return;
  }
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_message_complete = [](llhttp_t*) -> int { return HPE_PAUSED; };
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  check(llhttp_execute(&parser, message.data(), message.size()) == HPE_PAUSED);
  check(llhttp_get_error_pos(&parser) == message.data() + message.size());
  // Where this parser keeps the connection, llhttp does. (It also obeys a Connection field in the trailer
  // section, and "close" next to "keep-alive" does not close its HTTP/1.0.)
  if (o.keep_alive && (parser.flags & F_CHUNKED) == 0) check(llhttp_should_keep_alive(&parser) == 1);
}
#endif

void check_accepted(const outcome& o, std::string_view input, const http::limits& most) {
  check(o.views_inside);
  check(o.consumed >= 16 && o.consumed <= input.size());
  check(o.body.size() <= most.body && o.headers.size() <= most.headers);
  check(http::detail::is_token(o.method) && o.method != "CONNECT");
  check(!o.path.empty() && (o.path[0] == '/' || (o.path == "*" && o.method == "OPTIONS")));
  check(o.target.find('#') == std::string::npos);
  for (const auto& [name, value] : o.headers) {
    check(http::detail::is_token(name));
    for (const char c : value) check((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) || c == '\t');
    check(value.empty() ||
          (value.front() != ' ' && value.front() != '\t' && value.back() != ' ' && value.back() != '\t'));
  }
  std::size_t hosts = 0, lengths = 0, codings = 0;
  field(o, "host", hosts);
  const std::string* length = field(o, "content-length", lengths);
  const std::string* coding = field(o, "transfer-encoding", codings);
  check(hosts == 1 || (hosts == 0 && o.minor == 0));
  check(lengths + codings <= 1);
  if (length != nullptr) check(std::stoull(*length) == o.body.size());
  if (coding != nullptr) check(o.minor == 1 && http::detail::equal(*coding, "chunked"));
  if (length == nullptr && coding == nullptr) check(o.body.empty());

  // What was understood is what is written: another strict recipient would find the same message.
  const std::string again = serialised(o);
  const outcome second = synfp::test::feed_whole(again, {.request_line = 1 << 20, .header_block = 1 << 20});
  check(second.code() == 0 && second.consumed == again.size());
  check(second.method == o.method && second.path == o.path && second.query == o.query &&
        second.host == o.host);
  check(second.body == o.body && second.keep_alive == o.keep_alive &&
        second.headers.size() == o.headers.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  // Small limits are reached by small inputs.
  http::limits most;
  if (data[0] & 1) {
    most = {.request_line = 64,
            .headers = 4,
            .header_block = 96,
            .body = 32,
            .chunk_extensions = 8,
            .chunk_framing = 48};
  }
  const std::size_t cut = data[1];
  const std::size_t step = data[2] % 7U + 1;
  std::string_view input(reinterpret_cast<const char*>(data) + 3, size - 3);
  for (int message = 0; message < 8 && !input.empty(); ++message) {
    const outcome whole = synfp::test::feed_whole(input, most);
    check(whole.same_in_pieces);  // and so for each of the others, which are equal to it
    if (cut > 0 && cut < input.size()) check(synfp::test::feed(input, {cut, input.size()}, most) == whole);
    std::vector<std::size_t> ends;
    for (std::size_t end = step; end < input.size(); end += step) ends.push_back(end);
    ends.push_back(input.size());
    check(synfp::test::feed(input, ends, most) == whole);
    if (input.size() >= most.total()) check(whole.code() != -1);
    if (whole.code() != 0) {
      const int code = whole.code();
      check(code == -1 || code == 400 || code == 413 || code == 414 || code == 417 || code == 421 ||
            code == 431 || code == 501 || code == 505);
      break;
    }
    check_accepted(whole, input, most);
#if defined(SYNFP_LLHTTP)
    check_against_llhttp(whole, input.substr(0, whole.consumed));
#endif
    // Nothing behind the request has a say in it.
    check(synfp::test::feed_whole(input.substr(0, whole.consumed), most) == whole);
    check(synfp::test::feed_whole(input.substr(0, whole.consumed - 1), most).code() == -1);
    input.remove_prefix(whole.consumed);
  }
  return 0;
}
