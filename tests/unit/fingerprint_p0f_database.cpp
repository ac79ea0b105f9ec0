// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <synfp/fingerprint/p0f_database.hpp>
#include <utility>
#include <vector>

#include "../support/syns.hpp"
#include "../support/vectors.hpp"

namespace {

using namespace synfp::fingerprint;
using synfp::errc;
using synfp::test::packet_builder;
using testing::HasSubstr;

/// A database of [tcp:request] whose first signature or label is on line 3.
std::string tcp(const std::string& rest) { return "classes = unix,win\n[tcp:request]\n" + rest; }
std::string labelled(const std::string& signature) {
  return tcp("label = s:unix:A:\nsig = " + signature + "\n");
}
p0f_database read(const std::string& text) {
  auto database = p0f_database::parse(text, "db");
  if (!database) throw std::invalid_argument(database.error().message);
  return *std::move(database);
}
std::string refusal(const std::string& text) {
  const auto database = p0f_database::parse(text, "db");
  return database ? "read" : database.error().message;
}
p0f_signature observed(const synfp::syn_record& r) { return p0f_observe(r).value(); }
p0f_signature observed(const packet_builder& p) { return observed(synfp::test::record_of(p)); }

/// Label and quality, or "-".
std::string found(const p0f_database& database, const p0f_signature& s,
                  flow_reading reading = flow_reading::p0f) {
  const auto match = database.find(s, reading);
  return match ? match->label->title() + '/' + std::string(to_string(match->quality)) : "-";
}
std::string found(const std::string& signatures, const packet_builder& p) {
  return found(read(tcp(signatures)), observed(p));
}

/// 4:64:0:1460:mss*44,10:mss,sok,ts,nop,ws:df,id+:0
const packet_builder linux_packet{};

TEST(p0f_database, evidence_holds_until_the_next_or_the_section) {
  const std::string linux_sig = "sig = *:64:0:*:mss*44,10:mss,sok,ts,nop,ws:df,id+:0\n";
  const auto known_by = [&](const std::string& before) {
    const auto match = read("classes = unix\n" + before + linux_sig).find(observed(linux_packet));
    return match->known_by ? std::string(to_string(*match->known_by)) : "-";
  };
  const std::string label = "label = s:unix:Linux:6.x\n", other = "sig = *:64:0:*:1,1:mss:df,id+:0\n";
  const std::string requests = "[tcp:request]\n";
  EXPECT_EQ(known_by(requests + label), "-");
  EXPECT_EQ(known_by(requests + label + "; evidence: source\n"), "source");
  EXPECT_EQ(known_by(requests + label + "\t;evidence:captures \t\n; more\n"), "captures");
  EXPECT_EQ(known_by(requests + "; evidence: recorded\n" + label + other + label), "recorded");
  EXPECT_EQ(known_by(requests + label + "; evidence: source\n" + other + "; evidence: captures\n" + other),
            "captures");
  // To p0f all of it is comment, so none of it is an error.
  for (const std::string none : {"; evidence: guessed\n", "; evidence:\n", "; evidence: source, and more\n",
                                 "; the evidence: source\n", "; Evidence: source\n"})
    EXPECT_EQ(known_by(requests + label + "; evidence: recorded\n" + none),
              none.starts_with("; evidence:") ? "-" : "recorded")
        << none;
  EXPECT_EQ(known_by("; evidence: source\n" + requests + label), "-");
}

TEST(p0f_database, reads_nothing) {
  for (const std::string text :
       {"", "\n", "; only a comment", "  \t\n\t; indented\n", "classes = a, b ,c\n"}) {
    if (text.starts_with("classes")) {
      EXPECT_NE(refusal(text), "read");  // p0f takes no blank before a comma
      continue;
    }
    const auto database = read(text);
    EXPECT_EQ(database.size(), 0U);
    EXPECT_EQ(found(database, observed(linux_packet)), "-");
    EXPECT_EQ(database.link(1500), "");
  }
}

TEST(p0f_database, reads_all_of_the_grammar) {
  const auto database = read(
      "; comment\n"
      "classes = win,unix, other\n"
      "[mtu]\n"
      "label = Ethernet: the usual\n"
      "sig = 1500\n"
      "sig = 1500\n"
      "label = late\n"
      "sig=1500\n"
      "sig\t=\t1492\n"
      "[tcp:request]\n"
      "  label = s:UNIX:Linux:3.x: \"quoted\"\n"
      "sig = *:54+10:0:*:mss*44,10:mss,sok,ts,nop,ws:df,id+:0\n"
      "label = g:!:Tool (x) 1.0/-_!?:-sS\n"
      "sys = @unix, @Win,Linux,Mac OS X\n"
      "sig = 6:255-:0:0:mtu*4,0:?30,?0:flow,pushf+:+\n"
      "[tcp:response]\n"
      "label = s:win:Windows:XP\n"
      "sig = *:128:0:*:65535,0:mss,nop,nop,sok:df,id+:0\n"
      "sig = *:128:0:*:65535,0:mss,nop,nop,sok:df,id+:0\n"
      "[http:request]\n"
      "ua_os = Linux,Windows,iOS=[iPad],Mac OS X\n"
      "label = s:!:Firefox:2.x\n"
      "sys = Windows,@unix\n"
      "sig = *:Host,User-Agent,Accept=[,*/*;q=],?Keep-Alive:Via:Firefox/\n"
      "[http:response]\n"
      "label = s:unix:Apache:\n"
      "sig = 1:Date,?ETag::");
  EXPECT_EQ(database.size(), 2U);
  EXPECT_EQ(database.name(), "db");
  EXPECT_EQ(database.link(1500), "Ethernet: the usual");
  EXPECT_EQ(database.link(1492), "late");
  EXPECT_EQ(database.link(1491), "");
  EXPECT_EQ(database.link(1501), "");
  EXPECT_EQ(database.link(65536 + 1500), "");
  const auto match = database.find(observed(linux_packet));
  ASSERT_TRUE(match);
  EXPECT_EQ(match->label->text(), "s:unix:Linux:3.x: \"quoted\"");
  EXPECT_EQ(match->label->title(), "Linux 3.x: \"quoted\"");
  EXPECT_EQ(match->quality, match_quality::exact);
  EXPECT_EQ(match->line, 12U);
  EXPECT_EQ(match->distance, 0);
  EXPECT_FALSE(match->label->is_tool() || match->random_ttl || match->excess_distance || match->ttl_differs ||
               match->quirks_differ || match->flow_ignored);
}

TEST(p0f_database, first_spelling_of_a_name) {
  const auto database =
      read(tcp("label = s:!:Tool:\nsys = LINUX\nsig = *:64:0:*:*,*:ts::0\n"
               "label = s:unix:linux:\nsig = *:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0\n"));
  EXPECT_EQ(found(database, observed(linux_packet)), "LINUX/exact");
}

TEST(p0f_database, errors_name_the_line) {
  const std::pair<std::string, std::string> cases[] = {
      {"nonsense\n", "db:1: neither a [section]"},
      {"=\n", "db:1: neither a [section]"},
      {"\n; x\n foo = 1\n", "db:3: unknown field \"foo\""},
      {"[tcp:request\n", "db:1: unknown section"},
      {"[udp:request]\n", "db:1: unknown section \"[udp:request]\""},
      {"[mtu] \n", "db:1: unknown section"},
      {"[mtu]\nclasses = a\n", "db:2: classes below a section"},
      {"classes = a b\n", "db:1: malformed classes"},
      {"classes = a,\n", "db:1: malformed classes"},
      {"label = s:unix:A:\n", "db:1: a label above the first section"},
      {"[mtu]\nlabel =\n", "db:2: an empty label"},
      {"[mtu]\nsig = 1500\n", "db:2: a sig without a label"},
      {"[mtu]\nlabel = x\nsig = 0\n", "db:3: malformed MTU"},
      {"[mtu]\nlabel = x\nsig = 65536\n", "db:3: malformed MTU"},
      {"[mtu]\nlabel = x\nsig = 4294968796\n", "db:3: malformed MTU"},
      {"[mtu]\nlabel = x\nsig = 1500 \n", "db:3: malformed MTU"},
      {"[mtu]\nlabel = x\nsig = \n", "db:3: malformed MTU"},
      {tcp("label = x:unix:A:\n"), "db:3: malformed label"},
      {tcp("label = s\n"), "db:3: malformed label"},
      {tcp("label = s:unix\n"), "db:3: malformed label"},
      {tcp("label = s:unix:A\n"), "db:3: malformed label"},
      {tcp("label = s:unix::1\n"), "db:3: malformed label"},
      {tcp("label = s:unix:A,B:1\n"), "db:3: malformed label"},
      {tcp("label = s:other:A:\n"), "db:3: unknown class \"other\""},
      {tcp("label = s:!x:A:\n"), "db:3: unknown class \"!x\""},
      {tcp("label = s:!:A:\nsig = *:64:0:*:*,*:::0\n"), "db:4: a sig without a label"},
      {tcp("label = s:!:A:\nlabel = s:unix:A:\n"), "db:4: a label where the sys"},
      {tcp("label = s:unix:A:\nsys = @unix\n"), "db:4: sys without a label of the class !"},
      {tcp("label = s:!:A:\nsys = @other\n"), "db:4: unknown class \"other\""},
      {tcp("label = s:!:A:\nsys = @unix,\n"), "db:4: malformed sys"},
      {tcp("label = s:!:A:\nsys = a;b\n"), "db:4: malformed sys"},
      {tcp("ua_os = Linux\n"), "db:3: ua_os out of place"},
      {"[http:request]\nua_os = ;\n", "db:2: malformed ua_os"},
      {"[http:request]\nua_os = a=b\n", "db:2: no '['"},
      {"[http:request]\nua_os = a=[]\n", "db:2: malformed =[text]"},
      {"[http:request]\nua_os = a=[b\n", "db:2: malformed =[text]"},
      {labelled(""), "db:4: malformed IP version"},
      {labelled("5:64:0:*:*,*:::0"), "db:4: malformed IP version"},
      {labelled("46:64:0:*:*,*:::0"), "db:4: malformed IP version"},
      {labelled("*:0:0:*:*,*:::0"), "db:4: malformed TTL"},
      {labelled("*::0:*:*,*:::0"), "db:4: malformed TTL"},
      {labelled("*:256:0:*:*,*:::0"), "db:4: malformed TTL"},
      {labelled("*:200+56:0:*:*,*:::0"), "db:4: malformed TTL"},
      {labelled("*:200+4294967295:0:*:*,*:::0"), "db:4: malformed TTL"},
      {labelled("*:64-1:0:*:*,*:::0"), "db:4: malformed TTL"},
      {labelled("*:64?:0:*:*,*:::0"), "db:4: malformed TTL"},
      {labelled("*:64-:"), "db:4: malformed length of IP options"},
      {labelled("*:64-"), "db:4: malformed TTL"},
      {labelled("*:64:x:*:*,*:::0"), "db:4: malformed length of IP options"},
      {labelled("*:64:256:*:*,*:::0"), "db:4: length of IP options above 255"},
      {labelled("*:64:0:65536:*,*:::0"), "db:4: MSS above 65535"},
      {labelled("*:64:0:**:*,*:::0"), "db:4: malformed MSS"},
      {labelled("*:64:0:*:*:::0"), "db:4: malformed window"},
      {labelled("*:64:0:*:65536,*:::0"), "db:4: window above 65535"},
      {labelled("*:64:0:*:%1,*:::0"), "db:4: window after '%' below 2"},
      {labelled("*:64:0:*:%65536,*:::0"), "db:4: window after '%' above 65535"},
      {labelled("*:64:0:*:%x,*:::0"), "db:4: malformed window after '%'"},
      {labelled("*:64:0:*:mss*0,*:::0"), "db:4: multiplier of the window below 1"},
      {labelled("*:64:0:*:mtu*1001,*:::0"), "db:4: multiplier of the window above 1000"},
      {labelled("*:64:0:*:mtu*x,*:::0"), "db:4: malformed multiplier of the window"},
      {labelled("*:64:0:*:*,256:::0"), "db:4: window scale above 255"},
      {labelled("*:64:0:*:*,x:::0"), "db:4: malformed window scale"},
      {labelled("*:64:0:*:*,*:mss"), "db:4: malformed TCP options"},
      {labelled("*:64:0:*:*,*:msss::0"), "db:4: malformed TCP options"},
      {labelled("*:64:0:*:*,*:mss;nop::0"), "db:4: malformed TCP options"},
      {labelled("*:64:0:*:*,*:tfo::0"), "db:4: unknown TCP option"},
      {labelled("*:64:0:*:*,*:?256::0"), "db:4: kind of a TCP option above 255"},
      {labelled("*:64:0:*:*,*:eol::0"), "db:4: malformed eol"},
      {labelled("*:64:0:*:*,*:eol+1,nop::0"), "db:4: malformed padding of eol, the last option,"},
      {labelled("*:64:0:*:*,*:eol+256::0"), "db:4: padding of eol, the last option, above 255"},
      {labelled("*:64:0:*:*,*::df0"), "db:4: malformed quirks"},
      {labelled("*:64:0:*:*,*::foo:0"), "db:4: unknown quirk"},
      {labelled("*:64:0:*:*,*::df"), "db:4: malformed quirks"},
      {labelled("*:64:0:*:*,*:"), "db:4: unknown TCP option"},
      {labelled("6:64:0:*:*,*::df:0"), "db:4: df in a signature for IPv6"},
      {labelled("6:64:0:*:*,*::id+:0"), "db:4: id+ in a signature for IPv6"},
      {labelled("6:64:0:*:*,*::id-:0"), "db:4: id- in a signature for IPv6"},
      {labelled("6:64:0:*:*,*::0+:0"), "db:4: 0+ in a signature for IPv6"},
      {labelled("4:64:0:*:*,*::flow:0"), "db:4: flow in a signature for IPv4"},
      {labelled("*:64:0:*:*,*:::1"), "db:4: malformed payload class \"1\""},
      {labelled("*:64:0:*:*,*:::"), "db:4: malformed payload class"},
      {labelled("*:64:0:*:*,*:::0 "), "db:4: malformed payload class"},
      {labelled("*:64:0:*:*,*:::0:"), "db:4: malformed payload class"},
      {tcp("label = s:unix:A:\r\n"), "db:3: the line ends in CR LF"},
      {"[tcp:response]\nlabel = s:!:A:\nsys = B\nsig = x\n", "db:4: malformed IP version"},
      {"[http:response]\nlabel = s:!:A:\nsys = B\nsig = 2:a::\n", "db:4: malformed HTTP version"},
      {"[http:response]\nlabel = s:!:A:\nsys = B\nsig = 1\n", "db:4: malformed HTTP version"},
      {"[http:response]\nlabel = s:!:A:\nsys = B\nsig = 1:a\n", "db:4: malformed HTTP headers"},
      {"[http:response]\nlabel = s:!:A:\nsys = B\nsig = 1:,:\n", "db:4: malformed name of an HTTP header"},
      {"[http:response]\nlabel = s:!:A:\nsys = B\nsig = 1:a=b::\n", "db:4: no '['"},
      {"[http:response]\nlabel = s:!:A:\nsys = B\nsig = 1:a:?b:\n", "db:4: malformed name of an HTTP header"},
      {"[http:response]\nlabel = s:!:A:\nsys = B\nsig = 1:a:b:c:d\n", "db:4: malformed HTTP signature"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_THAT(refusal(text), testing::StartsWith(message)) << text;
    const auto result = p0f_database::parse(text, "db");
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, errc::invalid);
  }
}

TEST(p0f_database, options_to_the_limit) {
  std::string layout = "nop";
  for (int i = 1; i < 24; ++i) layout += ",nop";
  EXPECT_EQ(read(labelled("*:64:0:*:*,*:" + layout + "::0")).size(), 1U);
  EXPECT_THAT(refusal(labelled("*:64:0:*:*,*:" + layout + ",nop::0")), HasSubstr("db:4: more than 24"));
  std::string headers = "a";
  for (int i = 1; i < 32; ++i) headers += ",?a=[x]";
  const std::string http = "[http:request]\nlabel = s:!:A:\nsys = B\nsig = *:";
  EXPECT_EQ(refusal(http + headers + "::"), "read");
  EXPECT_THAT(refusal(http + headers + ",a::"), HasSubstr("db:4: more than 32"));
}

TEST(p0f_database, covered_signatures) {
  const std::pair<std::string, std::string> cases[] = {
      {"*:64:0:*:*,*:mss::0", "*:64:0:*:*,*:mss::0"},
      {"*:64:0:*:*,*:mss::*", "4:60:0:1460:*,5:mss::*"},
      {"*:64:0:*:%2,*:mss::0", "*:64:0:*:5840,*:mss::0"},
      {"*:64:0:*:mss*4,*:mss::0", "*:64:0:1460:5840,*:mss::0"},
      {"*:64:0:*:mtu*4,*:mss::0", "4:64:0:1400:5760,*:mss::0"},
      {"4:64:0:*:*,*:mss:df,id+:0", "4:29:0:*:*,*:mss:df,id+:0"},
      {"*:255-:0:*:*,*:mss::0", "*:64:0:*:*,*:mss::0"},
  };
  for (const auto& [earlier, later] : cases) {
    EXPECT_THAT(refusal(tcp("label = s:unix:A:\nsig = " + earlier + "\nsig = " + later + "\n")),
                HasSubstr("db:5: line 4 already covers this signature"))
        << later;
    EXPECT_EQ(refusal(tcp("label = g:unix:A:\nsig = " + earlier + "\nsig = " + later + "\n")), "read");
  }
  const std::pair<std::string, std::string> differ[] = {
      {"*:64:0:*:*,*:mss::0", "*:64:0:*:*,*:mss,nop::0"},
      {"*:64:0:*:*,*:mss::0", "*:65:0:*:*,*:mss::0"},
      {"*:64:0:*:*,*:mss::0", "*:28:0:*:*,*:mss::0"},
      {"*:64:0:*:*,*:mss::0", "*:64:0:*:*,*:mss::*"},
      {"*:64:0:*:5,*:mss::0", "*:64:0:*:*,*:mss::0"},
      {"*:64:0:*:*,*:mss::0", "*:64:4:*:*,*:mss::0"},
      {"*:64:0:1:*,*:mss::0", "*:64:0:*:*,*:mss::0"},
      {"*:64:0:*:*,1:mss::0", "*:64:0:*:*,*:mss::0"},
      {"*:64:0:*:*,*:mss::0", "*:64:0:*:*,*:mss:ecn:0"},
      {"*:64:0:*:*,*:eol+1::0", "*:64:0:*:*,*:eol+2::0"},
      {"*:64:0:*:mss*4,*:mss::0", "*:64:0:*:5840,*:mss::0"}};
  for (const auto& [earlier, later] : differ)
    EXPECT_EQ(refusal(tcp("label = s:unix:A:\nsig = " + earlier + "\nsig = " + later + "\n")), "read")
        << later;
}

TEST(p0f_database, hostile_files) {
  const auto too_large = [](const std::string& text) {
    const auto r = p0f_database::parse(text, "db");
    return !r && r.error().code == errc::too_large;
  };
  EXPECT_TRUE(too_large(std::string((4U << 20) + 1, '\n')));
  EXPECT_EQ(refusal(std::string(4U << 20, '\n')), "read");
  EXPECT_TRUE(too_large("; " + std::string(8192, 'x')));
  EXPECT_EQ(refusal(";" + std::string(8191, 'x')), "read");
  EXPECT_THAT(refusal(std::string("classes = a\0b\n", 14)), HasSubstr("db:1: a control character"));
  EXPECT_THAT(refusal("\xff\xfe\n"), HasSubstr("db:1: neither"));
  EXPECT_THAT(refusal("[\x1b[31m\n"), testing::Not(HasSubstr("\x1b")));  // no control characters in messages
  std::string many = tcp("label = s:unix:A:\n");
  for (int i = 0; i < 8192; ++i)
    many += "sig = *:64:0:*:*,*:?" + std::to_string(10 + i / 256) + ",?" + std::to_string(i % 256) + "::0\n";
  EXPECT_EQ(read(many).size(), 8192U);
  EXPECT_TRUE(too_large(many + "sig = *:64:0:*:*,*:mss::0\n"));
  std::string labels = tcp("");
  for (int i = 0; i < 8193; ++i) labels += "label = s:unix:A:\n";
  EXPECT_TRUE(too_large(labels));
  std::string names = "[http:request]\n";
  for (int i = 0; i < 8193; ++i) names += "ua_os = n" + std::to_string(i) + "\n";
  EXPECT_TRUE(too_large(names));
  std::string links = "[mtu]\nlabel = x\n";
  for (int i = 0; i < 8193; ++i) links += "sig = 1500\n";
  EXPECT_TRUE(too_large(links));
  std::string classes;
  for (int i = 0; i < 257; ++i) classes += "classes = c\n";
  EXPECT_THAT(refusal(classes), HasSubstr("db:257: more than 256 classes"));
}

TEST(p0f_database, order_of_the_answers) {
  const std::string specific = "label = s:unix:S:\nsig = 4:64:0:*:mss*44,*:mss,sok,ts,nop,ws:df,id+:0\n";
  const std::string generic = "label = g:unix:G:\nsig = 4:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0\n";
  const std::string fuzzy =
      "label = s:unix:F:\nsig = 4:64:0:*:*,10:mss,sok,ts,nop,ws::0\n";  // DF, id+ are missing
  const std::string nearly = "label = s:unix:F:\nsig = 4:128:0:*:64240,10:mss,sok,ts,nop,ws:df,id+:0\n";
  const std::string tool =
      "label = s:!:T:\nsys = @unix\nsig = 4:128:0:*:mss*44,*:mss,sok,ts,nop,ws:df,id+:0\n";
  EXPECT_EQ(found(nearly + generic + specific, linux_packet), "S/exact");
  EXPECT_EQ(found(nearly + generic, linux_packet), "G/generic");
  EXPECT_EQ(found(generic + generic, linux_packet), "G/generic");
  EXPECT_EQ(found(nearly, linux_packet), "F/fuzzy");
  EXPECT_EQ(found(fuzzy, linux_packet), "-");  // added DF and id+ are not forgiven
  EXPECT_EQ(found(tool, linux_packet), "-");
  EXPECT_EQ(found(tool + nearly, linux_packet), "-");  // the first fuzzy one counts, and it is of a tool
  EXPECT_EQ(found(nearly + tool, linux_packet), "F/fuzzy");
  EXPECT_EQ(found(tool + generic, linux_packet), "G/generic");
}

TEST(p0f_database, what_is_forgiven) {
  const auto database = read(labelled("*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0"));
  const auto with = [&](auto change) {
    packet_builder p;
    change(p);
    return found(database, observed(p));
  };
  EXPECT_EQ(with([](auto&) {}), "A/exact");
  EXPECT_EQ(with([](auto& p) { p.id = 0; }), "A/fuzzy");
  EXPECT_EQ(with([](auto& p) { p.fragment = 0; }), "A/fuzzy");
  EXPECT_EQ(with([](auto& p) { p.fragment = 0, p.id = 0; }), "A/fuzzy");
  EXPECT_EQ(with([](auto& p) { p.tos = 1; }), "A/fuzzy");
  EXPECT_EQ(with([](auto& p) { p.flags |= synfp::test::ece; }), "A/fuzzy");
  EXPECT_EQ(with([](auto& p) { p.flags |= synfp::test::psh; }), "-");
  EXPECT_EQ(with([](auto& p) { p.fragment |= 0x8000; }), "-");
  EXPECT_EQ(with([](auto& p) { p.sequence = 0; }), "-");
  EXPECT_EQ(with([](auto& p) { p.ip_options = {1, 1, 1, 1}; }), "-");
  EXPECT_EQ(with([](auto& p) { p.payload = {1}; }), "-");
  EXPECT_EQ(with([](auto& p) { p.options[19] = 15; }), "-");  // exws
  const auto ecn = read(labelled("*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+,ecn:0"));
  EXPECT_EQ(found(ecn, observed(linux_packet)), "-");  // a missing ECN is not forgiven
}

TEST(p0f_database, ttl_and_distance) {
  struct expected {
    std::uint8_t ttl;
    const char* found;
    unsigned distance;
    bool excess;
  };
  const auto check = [](const std::string& ttl, std::initializer_list<expected> all) {
    const auto database = read(labelled("*:" + ttl + ":0:*:*,*:mss,sok,ts,nop,ws:df,id+:0"));
    for (const expected& e : all) {
      packet_builder p;
      p.ttl = e.ttl;
      const auto s = observed(p);
      EXPECT_EQ(found(database, s), e.found) << ttl << " " << int{e.ttl};
      const auto match = database.find(s);
      if (!match) continue;
      EXPECT_EQ(match->distance, e.distance) << ttl << " " << int{e.ttl};
      EXPECT_EQ(match->excess_distance, e.excess);
      EXPECT_EQ(match->ttl_differs, match->quality == match_quality::fuzzy);
      EXPECT_EQ(match->random_ttl, ttl.back() == '-');
    }
  };
  check("64", {{64, "A/exact", 0, false},
               {29, "A/exact", 35, false},
               {28, "A/fuzzy", 4, false},
               {65, "A/fuzzy", 63, true},
               {0, "A/fuzzy", 32, false},
               {255, "A/fuzzy", 0, false}});
  check("44+20", {{64, "A/exact", 0, false}, {65, "A/fuzzy", 63, true}});
  check("200-", {{200, "A/exact", 0, false},
                 {201, "-", 0, false},
                 {0, "A/exact", 200, true},
                 {165, "A/exact", 35, false}});
}

TEST(p0f_database, a_random_ttl_loses_a_character) {
  packet_builder p;
  p.ip_options = {1, 1, 1, 1};
  const auto database = read(labelled("*:64-:14:*:*,*:mss,sok,ts,nop,ws:df,id+:0"));
  EXPECT_EQ(found(database, observed(p)), "A/exact");
}

TEST(p0f_database, window_rules) {
  const auto with = [](const std::string& rule, std::uint16_t window, std::uint16_t mss = 1460) {
    packet_builder p;
    p.window = window;
    p.options[2] = static_cast<std::uint8_t>(mss >> 8);
    p.options[3] = static_cast<std::uint8_t>(mss);
    return found(read(labelled("*:64:0:*:" + rule + ",*:mss,sok,ts,nop,ws:df,id+:0")), observed(p)) ==
           "A/exact";
  };
  EXPECT_TRUE(with("64240", 64240));
  EXPECT_FALSE(with("64240", 64241));
  EXPECT_TRUE(with("*", 1));
  EXPECT_TRUE(with("%8192", 16384));
  EXPECT_TRUE(with("%8192", 0));
  EXPECT_FALSE(with("%8192", 16385));
  EXPECT_TRUE(with("mss*4", 5840));
  EXPECT_TRUE(with("mss*4", 5792));  // MSS - 12
  EXPECT_TRUE(with("mss*4", 5840, 1400));
  EXPECT_FALSE(with("mss*4", 5840, 99));
  EXPECT_FALSE(with("mss*5", 5840));
  EXPECT_FALSE(with("mtu*4", 5840));
  EXPECT_TRUE(with("mtu*4", 6000));
  EXPECT_FALSE(with("mss*4", 6000));
  EXPECT_TRUE(with("mtu*3", 4320, 1400));
}

TEST(p0f_database, mss_scale_payload_padding) {
  const auto with = [](const std::string& signature, const packet_builder& p) {
    return found(read(labelled(signature)), observed(p));
  };
  EXPECT_EQ(with("*:64:0:1460:*,10:mss,sok,ts,nop,ws:df,id+:*", linux_packet), "A/exact");
  EXPECT_EQ(with("*:64:0:1461:*,10:mss,sok,ts,nop,ws:df,id+:*", linux_packet), "-");
  EXPECT_EQ(with("*:64:0:1460:*,9:mss,sok,ts,nop,ws:df,id+:*", linux_packet), "-");
  EXPECT_EQ(with("*:64:0:1460:*,10:mss,sok,ts,nop,ws:df,id+:+", linux_packet), "-");
  packet_builder data;
  data.payload = {1, 2};
  EXPECT_EQ(with("*:64:0:1460:*,10:mss,sok,ts,nop,ws:df,id+:+", data), "A/exact");
  EXPECT_EQ(with("*:64:0:1460:*,10:mss,sok,ts,nop,ws:df,id+:*", data), "A/exact");
  EXPECT_EQ(with("*:64:0:1460:*,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0", synfp::test::macos_packet()),
            "A/exact");
  EXPECT_EQ(with("*:64:0:1460:*,6:mss,nop,ws,nop,nop,ts,sok,eol+2:df:0", synfp::test::macos_packet()), "-");
  EXPECT_EQ(with("*:64:0:1460:*,6:?2,?1,?3,?1,?1,?8,?4,eol+1:df:0", synfp::test::macos_packet()), "A/exact");
}

/// p0f compares no version, only drops from "*" the quirks that a family does not have.
TEST(p0f_database, ip_versions) {
  packet_builder v6 = synfp::test::v6_packet();
  const auto s = observed(v6);
  ASSERT_TRUE(s.v6);
  ASSERT_EQ(s.quirks, 0U);
  EXPECT_EQ(found(read(labelled("*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+,id-:0")), s), "A/exact");
  EXPECT_EQ(found(read(labelled("*:64:0:*:*,*:mss,sok,ts,nop,ws:df,0+:0")), s), "-");
  EXPECT_EQ(found(read(labelled("4:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0")), s), "A/fuzzy");
  EXPECT_EQ(found(read(labelled("4:64:0:*:*,*:mss,sok,ts,nop,ws::0")), s), "A/exact");
  packet_builder v4;
  v4.fragment = 0;
  EXPECT_EQ(found(read(labelled("6:64:0:*:*,*:mss,sok,ts,nop,ws::0")), observed(v4)), "A/exact");
  EXPECT_EQ(found(read(labelled("*:64:0:*:*,*:mss,sok,ts,nop,ws:flow:0")), observed(v4)), "A/exact");
}

TEST(p0f_database, flow_labels) {
  auto raw = synfp::test::v6_packet().ip();
  const auto plain = observed(synfp::test::record_of(raw));
  raw[3] = 1;
  const auto labelled_syn = observed(synfp::test::record_of(raw));
  const auto without = read(labelled("*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0"));
  const auto with = read(labelled("6:64:0:*:*,*:mss,sok,ts,nop,ws:flow:0"));
  const auto check = [](const p0f_database& database, const p0f_signature& s, bool same) {
    EXPECT_EQ(found(database, s), same ? "A/exact" : "-");
    const auto match = database.find(s, flow_reading::aware);
    ASSERT_TRUE(match);
    EXPECT_EQ(match->quality, match_quality::exact);
    EXPECT_EQ(match->flow_ignored, !same);
  };
  check(without, plain, true);
  check(without, labelled_syn, false);
  check(with, plain, false);
  check(with, labelled_syn, true);
}

TEST(p0f_database, moves_and_copies) {
  auto first = read(labelled("*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0"));
  const auto match = first.find(observed(linux_packet));
  const p0f_database copy = first;
  const p0f_database second = std::move(first);
  EXPECT_EQ(second.find(observed(linux_packet))->label, match->label);
  EXPECT_NE(copy.find(observed(linux_packet))->label, match->label);
  EXPECT_EQ(found(first, observed(linux_packet)), "-");  // NOLINT(bugprone-use-after-move)
}

/// Debian's package of p0f, which the tests need anyway, brings its database.
TEST(p0f_database, vectors_by_the_database_of_p0f) {
  std::ifstream file("/etc/p0f/p0f.fp");
  ASSERT_TRUE(file) << "no /etc/p0f/p0f.fp: install p0f";
  const auto database =
      read(std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>()));
  EXPECT_GE(database.size(), 50U);
  std::size_t compared = 0, known = 0;
  for (const auto& v : synfp::test::p0f_answers()) {
    const auto record = synfp::test::record_of(v.packet);
    const auto s = observed(record);
    const auto match = database.find(s);
    EXPECT_EQ(match ? match->label->title() : "???", v.os) << v.scenario;
    const unsigned hops = match ? match->distance : initial_ttl(record) - unsigned{record.ip().ttl()};
    EXPECT_EQ((match && match->random_ttl ? "<= " : "") + std::to_string(hops), v.distance) << v.scenario;
    const auto has = [&v](const char* word) { return v.params.find(word) != std::string::npos; };
    EXPECT_EQ(match && match->label->generic, has("generic")) << v.scenario;
    EXPECT_EQ(match && match->quality == match_quality::fuzzy, has("fuzzy")) << v.scenario;
    EXPECT_EQ(match && match->random_ttl, has("random_ttl")) << v.scenario;
    ++compared;
    known += match.has_value();
  }
  EXPECT_EQ(compared, 84U);
  EXPECT_GT(known, 20U);
}

}  // namespace
