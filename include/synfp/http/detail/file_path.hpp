// SPDX-License-Identifier: MIT
// From the path of a request to the name of a file below a directory, and what kind of file a name says it
// is.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <synfp/http/detail/grammar.hpp>
#include <synfp/http/percent.hpp>
#include <synfp/http/response.hpp>
#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http::detail {

/// Appends the decoded `path`, which has no '/' in front, to `out`. 0, or the status that refuses it: 400 for
/// an escape that is none; 404 for NUL, an escaped '/', "." and "..", an empty segment before the last one,
/// and, unless `dotfiles`, whatever begins with '.'.
inline int append_file_path(text_type& out, std::string_view path, bool dotfiles) {
  if (!encoded_text(path).valid()) return 400;
  out.reserve(out.size() + path.size());
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    const std::size_t begin = out.size();
    append_decoded(out, path.substr(0, end), false);
    const std::string_view segment = std::string_view(out).substr(begin);
    if (segment.empty() || segment.find('\0') != segment.npos || segment.find('/') != segment.npos)
      return 404;
    if (segment == "." || segment == ".." || (segment[0] == '.' && !dotfiles)) return 404;
    if (end == path.npos) break;
    out.push_back('/');
    path.remove_prefix(end + 1);
  }
  return 0;
}

/// By what stands behind the last '.' of `name`.
constexpr std::string_view content_type_of(std::string_view name) noexcept {
  struct known {
    std::string_view extension, type;
  };
  constexpr std::array types = std::to_array<known>({
      {"avif", "image/avif"},
      {"bin", "application/octet-stream"},
      {"css", "text/css; charset=utf-8"},
      {"csv", "text/csv; charset=utf-8"},
      {"gif", "image/gif"},
      {"gz", "application/gzip"},
      {"htm", "text/html; charset=utf-8"},
      {"html", "text/html; charset=utf-8"},
      {"ico", "image/vnd.microsoft.icon"},
      {"jpeg", "image/jpeg"},
      {"jpg", "image/jpeg"},
      {"js", "text/javascript; charset=utf-8"},
      {"json", "application/json"},
      {"map", "application/json"},
      {"md", "text/markdown; charset=utf-8"},
      {"mjs", "text/javascript; charset=utf-8"},
      {"mp3", "audio/mpeg"},
      {"mp4", "video/mp4"},
      {"pcap", "application/vnd.tcpdump.pcap"},
      {"pdf", "application/pdf"},
      {"png", "image/png"},
      {"svg", "image/svg+xml"},
      {"txt", "text/plain; charset=utf-8"},
      {"wasm", "application/wasm"},
      {"webm", "video/webm"},
      {"webmanifest", "application/manifest+json"},
      {"webp", "image/webp"},
      {"woff", "font/woff"},
      {"woff2", "font/woff2"},
      {"xml", "application/xml"},
      {"zip", "application/zip"},
  });
  const std::size_t dot = name.find_last_of("./");
  if (dot != name.npos && name[dot] == '.') {
    for (const known& k : types) {
      if (equal(name.substr(dot + 1), k.extension)) return k.type;
    }
  }
  return "application/octet-stream";
}

}  // namespace http::detail
SYNFP_END_NAMESPACE
