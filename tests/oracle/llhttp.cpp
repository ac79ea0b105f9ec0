// SPDX-License-Identifier: MIT
// What llhttp sees in a connection's bytes. Reads frames from standard input, a length as four bytes
// little-endian and that many bytes; writes one line for each: "saw METHOD LENGTH HASH" for every message,
// then how it ends: "end", "waits", or "refused REASON". "closes" where llhttp would not go on. Words are
// separated by spaces, events by ';'.
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <llhttp/llhttp.h>

namespace {

struct connection {
  std::string out;
  std::uint32_t hash = 0;
  std::size_t length = 0;
  bool inside = false;
};

connection& of(llhttp_t* parser) { return *static_cast<connection*>(parser->data); }

int begin(llhttp_t* parser) {
  connection& c = of(parser);
  c.hash = 2166136261U;
  c.length = 0;
  c.inside = true;
  return 0;
}

int body(llhttp_t* parser, const char* at, std::size_t length) {
  connection& c = of(parser);
  for (std::size_t i = 0; i < length; ++i) {
    c.hash = (c.hash ^ static_cast<unsigned char>(at[i])) * 16777619U;
  }
  c.length += length;
  return 0;
}

int complete(llhttp_t* parser) {
  connection& c = of(parser);
  char text[64];
  std::snprintf(text, sizeof text, " %zu %08x;", c.length, static_cast<unsigned>(c.hash));
  c.out.append("saw ").append(llhttp_method_name(static_cast<llhttp_method_t>(parser->method))).append(text);
  c.inside = false;
  return llhttp_should_keep_alive(parser) != 0 ? 0 : HPE_PAUSED;
}

std::string read_frame(bool& ended) {
  unsigned char head[4];
  ended = std::fread(head, 1, 4, stdin) != 4;
  if (ended) return {};
  const std::uint32_t length = head[0] | static_cast<std::uint32_t>(head[1]) << 8 |
                               static_cast<std::uint32_t>(head[2]) << 16 |
                               static_cast<std::uint32_t>(head[3]) << 24;
  std::string bytes(length, '\0');
  ended = std::fread(bytes.data(), 1, length, stdin) != length;
  return bytes;
}

}  // namespace

int main() {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_message_begin = begin;
  settings.on_body = body;
  settings.on_message_complete = complete;
  bool ended = false;
  for (std::string bytes = read_frame(ended); !ended; bytes = read_frame(ended)) {
    connection c;
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &c;
    const llhttp_errno_t e = llhttp_execute(&parser, bytes.data(), bytes.size());
    if (e == HPE_PAUSED) {
      c.out.append("closes");
    } else if (e == HPE_PAUSED_UPGRADE) {
      c.out.append("upgrades");
    } else if (e != HPE_OK) {
      c.out.append("refused ").append(llhttp_errno_name(e));
    } else {
      c.out.append(c.inside ? "waits" : "end");
    }
    std::puts(c.out.c_str());
    std::fflush(stdout);
  }
  return 0;
}
