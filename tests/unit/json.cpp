// SPDX-License-Identifier: MIT
#include <synfp/fingerprint/identify.hpp>
#include <synfp/json.hpp>
#include <synfp/json_hello.hpp>

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../support/hello_builder.hpp"
#include "../support/syns.hpp"
#include "../support/vectors.hpp"

namespace {

using namespace synfp;
using namespace synfp::test;

template <class... What>
std::string text_of(const What&... what) {
  std::string out;
  append_json(out, what...);
  return out;
}

std::string fingerprints_of(const syn_record& syn) {
  std::string out;
  append_json_fingerprints(out, syn);
  return out;
}

TEST(json, a_linux_syn_to_the_byte) {
  EXPECT_EQ(
      text_of(linux_record),
      R"({"ip":{"version":4,"header_length":20,"tos":0,"id":40403,"dont_fragment":true,"ttl":64,"flow_label":null},)"
      R"("tcp":{"sequence":1674393487,"acknowledgment":0,"flags":["syn"],"window":64240,"urgent_pointer":0,)"
      R"("mss":1460,"window_scale":10,"sack_permitted":true,"timestamp":{"value":1495696609,"echo":0},)"
      R"("options":["mss","sok","ts","nop","ws"],"payload":false},)"
      R"("raw":"4500003c9dd340004006884c0a4d00010a4d0002d50e07d163cd378f00000000a002faf014cb0000020405b40402080a)"
      R"(592684e1000000000103030a"})");
  EXPECT_EQ(
      fingerprints_of(linux_record),
      R"({"p0f":"4:64+0:0:1460:mss*44,10:mss,sok,ts,nop,ws:df,id+:0","muonfp":"64240:2-4-8-1-3:1460:10",)"
      R"("haproxy":"0050abfaf005b447","satori":"64240:64:1:60:M1460,S,T,N,W10:.",)"
      R"("ndpi":"2_64_64240_d876f498b09e","pfos":"S44:64:1:60:M1460,S,T,N,W10"})");
}

TEST(json, what_is_absent_is_null_and_oddities_are_told) {
  packet_builder p = v6_packet();
  p.options = {254, 3, 9, 5, 2, 1, 0, 0xff};
  p.flags = syn | ece | cwr;
  p.payload = {1};
  const std::string text = text_of(record_of(p));
  EXPECT_EQ(
      text.substr(0, text.find(R"(,"raw":)")),
      R"({"ip":{"version":6,"header_length":40,"tos":0,"id":null,"dont_fragment":null,"ttl":64,"flow_label":0},)"
      R"("tcp":{"sequence":1000,"acknowledgment":0,"flags":["syn","ece","cwr"],"window":64240,"urgent_pointer":0,)"
      R"("mss":null,"window_scale":null,"sack_permitted":false,"timestamp":null,)"
      R"("options":["?254","sack","nop","eol"],"payload":true})");
  EXPECT_NE(fingerprints_of(record_of(p)).find(R"("satori":null,"ndpi":)"), std::string::npos);
  EXPECT_NE(fingerprints_of(record_of(p)).find(R"("pfos":null})"), std::string::npos);

  p.flags = 0;
  EXPECT_NE(text_of(record_of(p)).find(R"("flags":[],"window")"), std::string::npos);
}

TEST(json, endpoints) {
  EXPECT_EQ(text_of(endpoint::v4(192, 0, 2, 1, 65535)), R"({"address":"192.0.2.1","port":65535})");
  EXPECT_EQ(text_of(*endpoint::parse("[fe80::1%3]:0")), R"({"address":"fe80::1%3","port":0})");
}

TEST(json, a_lookup_and_a_miss) {
  syn_lookup l;
  l.miss = miss::conflict;
  EXPECT_EQ(text_of(l), R"({"source":null,"proof":null,"age_us":null,"retransmits":null,"miss":"conflict"})");
  l.miss = miss::none;
  l.source = capture_source::saved_syn;
  l.proof = proof::exact;
  EXPECT_EQ(text_of(l),
            R"({"source":"saved_syn","proof":"exact","age_us":null,"retransmits":null,"miss":null})");
  l.age_ns = 1999;
  l.record.set_arrived({.retransmits = 2});
  EXPECT_EQ(text_of(l), R"({"source":"saved_syn","proof":"exact","age_us":1,"retransmits":2,"miss":null})");
}

TEST(json, an_identification_and_none) {
  const auto os_of = [](const fingerprint::identification& id) {
    std::string out;
    append_json_os(out, id);
    return out;
  };
  const fingerprint::os_label label{false, "win", "A \"quoted\" name", "1"};
  fingerprint::identification id;
  EXPECT_EQ(
      os_of(id),
      R"({"label":null,"class":null,"name":null,"flavor":null,"database":null,"line":null,"match":null,)"
      R"("evidence":null,"flow_aware":null,"distance":null,"distance_is_limit":false,"mtu":null,"link":null,)"
      R"("inconsistencies":[]})");
  id.label = &label;
  id.database = "mine.fp";
  id.line = 12;
  id.quality = fingerprint::match_quality::fuzzy;
  id.known_by = fingerprint::evidence::captures;
  id.flow_aware = true;
  id.distance = 3;
  id.mtu = 1500;
  id.link = "Ethernet";
  id.inconsistencies.insert(fingerprint::inconsistency::ttl);
  id.inconsistencies.insert(fingerprint::inconsistency::user_agent);
  EXPECT_EQ(
      os_of(id),
      R"({"label":"s:win:A \"quoted\" name:1","class":"win","name":"A \"quoted\" name","flavor":"1",)"
      R"("database":"mine.fp","line":12,"match":"fuzzy","evidence":"captures","flow_aware":true,)"
      R"("distance":3,"distance_is_limit":false,"mtu":1500,"link":"Ethernet","inconsistencies":["user_agent","ttl"]})");
}

TEST(json, strings_are_escaped) {
  std::string out;
  append_json_string(out, std::string_view("a\"b\\c\n\0\x1f \xc3\xa9", 11));
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\u000a\\u0000\\u001f \xc3\xa9\"");
  EXPECT_EQ(nlohmann::json::parse(out), std::string("a\"b\\c\n\0\x1f \xc3\xa9", 11));
}

TEST(json, a_program_adds_fingerprints) {
  std::string out;
  append_json_fingerprints(out, linux_record, json_member{"first", "a\"b"}, json_member{"second", ""});
  const auto parsed = nlohmann::json::parse(out);
  EXPECT_EQ(parsed.size(), 8U);
  EXPECT_EQ(parsed.at("first"), "a\"b");
  EXPECT_EQ(parsed.at("second"), "");
}

TEST(json, every_vector_is_json_and_says_what_the_views_say) {
  int seen = 0;
  for (const auto& v : vectors()) {
    const syn_record r = record_of(v.packet);
    const auto syn = nlohmann::json::parse(text_of(r));
    EXPECT_EQ(syn.at("ip").at("ttl"), r.ip().ttl());
    EXPECT_EQ(syn.at("tcp").at("sequence"), r.tcp().sequence());
    EXPECT_EQ(syn.at("tcp").at("mss").is_null(), !r.tcp().known().mss.has_value());
    EXPECT_EQ(syn.at("raw").get<std::string>().size(), 2 * r.bytes().size());
    const auto prints = nlohmann::json::parse(fingerprints_of(r));
    EXPECT_EQ(prints.at("p0f"), v.p0f);
    EXPECT_EQ(prints.at("haproxy"), v.haproxy);
    ++seen;
  }
  EXPECT_EQ(seen, 84);
}

// Any text will do, also one that cannot grow.
TEST(json, into_a_fixed_text) {
  fixed_text<64> out;
  append_json(out, endpoint::v4(192, 0, 2, 1, 80));
  EXPECT_EQ(out, R"({"address":"192.0.2.1","port":80})");
}

TEST(json, a_hello) {
  hello_builder chrome;
  chrome.data(0) = server_name("a\"b\xff");
  const auto message = chrome.message();
  tls::client_hello hello;
  ASSERT_EQ(hello.assign(message), tls::refusal::none);
  const auto parsed = nlohmann::ordered_json::parse(text_of(hello));
  std::vector<std::string> names;
  for (const auto& [name, value] : parsed.items()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"version", "legacy_version", "sni", "alpn", "ciphers",
                                             "extensions", "groups", "key_shares", "signature_algorithms",
                                             "versions", "point_formats", "grease", "ja3", "ja3_full", "ja4",
                                             "ja4_r", "ja4_o", "ja4_ro", "steady"}));
  EXPECT_EQ(parsed.at("version"), 0x304);
  EXPECT_EQ(parsed.at("sni"), "a\"b\uFFFD");
  EXPECT_EQ(parsed.at("alpn"), (std::vector<std::string>{"h2", "http/1.1"}));
  EXPECT_EQ(parsed.at("key_shares"), (std::vector<int>{0x3a3a, 0x11ec, 0x1d}));
  EXPECT_EQ(parsed.at("grease"), true);
  EXPECT_EQ(parsed.at("ja4"), "t13d1516h2_8daaf6152771_d8a2da3f94cd");

  hello_builder old;
  old.extensions.clear();
  const auto bare = old.message();
  ASSERT_EQ(hello.assign(bare), tls::refusal::none);
  const auto empty = nlohmann::json::parse(text_of(hello));
  EXPECT_TRUE(empty.at("sni").is_null());
  for (const char* list : {"alpn", "extensions", "groups", "versions"})
    EXPECT_TRUE(empty.at(list).empty()) << list;
}

}  // namespace
