// SPDX-License-Identifier: MIT
// Reads arbitrary text as a p0f database, up to the first NUL, and asks it about arbitrary SYNs: the bytes
// behind the NUL as a packet, and as the fields of a signature.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <synfp/fingerprint/identify.hpp>
#include <vector>

namespace {

using namespace synfp;
using namespace synfp::fingerprint;

void check(bool holds) {
  if (!holds) __builtin_trap();
}

/// "db:LINE: message" with a line that exists; the line.
std::size_t line_of(const std::string& message, std::string_view text) {
  check(message.starts_with("db:"));
  for (const char c : message) check(c >= 0x20 && c < 0x7f);
  std::size_t at = 3, line = 0;
  while (at < message.size() && message[at] >= '0' && message[at] <= '9')
    line = line * 10 + static_cast<std::size_t>(message[at++] - '0');
  check(message.compare(at, 2, ": ") == 0 && message.size() > at + 10 && message.size() < 300);
  std::size_t lines = 1;
  for (const char c : text) lines += c == '\n';
  check(line >= 1 && line <= lines);
  return line;
}

void check_match(const p0f_database& database, const p0f_signature& s) {
  const auto strict = database.find(s);
  const auto aware = database.find(s, flow_reading::aware);
  for (const auto* match : {&strict, &aware}) {
    if (!*match) continue;
    const p0f_match& m = **match;
    check(!m.label->name.empty() && !m.label->os_class.empty() && m.line > 0);
    check((m.quality == match_quality::fuzzy) == (m.ttl_differs || m.quirks_differ));
    if (m.quality == match_quality::exact) check(!m.label->generic);
    if (m.quality == match_quality::generic) check(m.label->generic);
    if (m.quality == match_quality::fuzzy) check(!m.label->is_tool());
    check(m.excess_distance == (m.distance > 35));
    if (m.ttl_differs) check(!m.random_ttl);
    if (!m.ttl_differs) check(s.ttl + m.distance <= 255);
    if (m.excess_distance) check(m.random_ttl || m.ttl_differs);
  }
  // Overlooking a difference loses no answer without one.
  if (strict) check(!strict->flow_ignored);
  if (strict && strict->quality != match_quality::fuzzy) check(aware && aware->quality <= strict->quality);
}

/// A signature that need not come from a packet.
p0f_signature invented(std::span<const std::uint8_t> bytes) {
  p0f_signature s;
  std::uint8_t field[16] = {};
  if (!bytes.empty()) std::memcpy(field, bytes.data(), std::min(bytes.size(), sizeof field));
  s.v6 = (field[0] & 1) != 0;
  s.payload = (field[0] & 2) != 0;
  s.unit = static_cast<p0f_signature::window_unit>(field[0] % 3);
  s.ttl = field[1];
  s.ip_option_length = field[2];
  s.mss = static_cast<std::uint16_t>(field[3] << 8 | field[4]);
  s.window = static_cast<std::uint16_t>(field[5] << 8 | field[6]);
  s.multiplier = static_cast<std::uint16_t>(field[7] << 8 | field[8]);
  s.scale = field[9];
  s.eol_padding = field[10];
  s.quirks = field[11] | std::uint32_t{field[12]} << 8 | (field[13] & 1U) << 16;
  s.kinds = field[14];  // more than there are: find() must not believe it
  for (std::size_t i = 15; i < bytes.size() && i - 15 < s.kind.size(); ++i) s.kind[i - 15] = bytes[i];
  return s;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string text(input.substr(0, input.find('\0')));
  const auto database = p0f_database::parse(text, "db");
  // A comment in front moves what is said by one line, and nothing else.
  const auto moved = p0f_database::parse(";\n" + text, "db");
  check(database.has_value() == moved.has_value());
  if (!database) {
    check(line_of(database.error().message, text) + 1 == line_of(moved.error().message, ";\n" + text));
    check(database.error().code == moved.error().code);
    return 0;
  }
  check(database->size() == moved->size() && database->size() <= text.size() / 8);
  identifier who = identifier::empty();
  who.add(*database, flow_reading::aware);
  const std::vector<std::uint8_t> bytes(data + std::min(size, text.size() + 1), data + size);
  check_match(*database, invented(bytes));
  for (unsigned link = 0; link < 70000; link += 100) database->link(link);
  const auto record = syn_record::from_bytes(bytes);
  if (!record) return 0;
  const identification id = who.identify(*record, text);
  std::size_t contradictions = 0;
  for (const inconsistency i : id.inconsistencies) {
    check(id.inconsistencies.contains(i) && to_string(i) != "unknown");
    ++contradictions;
  }
  check(contradictions == id.inconsistencies.size());
  if (id.distance) check(*id.distance <= 35);
  const auto seen = p0f_observe(*record);
  check(seen || id.label == nullptr);
  if (!seen) return 0;
  check_match(*database, *seen);
  const auto match = database->find(*seen, flow_reading::aware);
  const auto later = moved->find(*seen, flow_reading::aware);
  check(match.has_value() == later.has_value() && match.has_value() == (id.label != nullptr));
  if (match)
    check(match->line + 1 == later->line && match->label->text() == later->label->text() &&
          match->distance == later->distance && match->quality == later->quality && id.line == match->line);
  return 0;
}
