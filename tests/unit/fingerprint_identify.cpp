// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <synfp/fingerprint/identify.hpp>
#include <utility>

#include "../support/syns.hpp"
#include "../support/vectors.hpp"

namespace {

using namespace synfp::fingerprint;
using synfp::test::packet_builder;
using synfp::test::record_of;

constexpr inconsistency_set two() {
  inconsistency_set s;
  s.insert(inconsistency::crafted);
  s.insert(inconsistency::ttl);
  s.insert(inconsistency::ttl);
  return s;
}
static_assert(inconsistency_set{}.empty() && inconsistency_set{}.begin() == inconsistency_set{}.end());
static_assert(two().size() == 2 && two().contains(inconsistency::ttl) && !two().contains(inconsistency::mss));
static_assert(*two().begin() == inconsistency::ttl && *++two().begin() == inconsistency::crafted);

p0f_database database(const std::string& signatures, std::string name = "db") {
  auto d = p0f_database::parse("classes = unix,win,other\n[tcp:request]\n" + signatures, std::move(name));
  if (!d) throw std::invalid_argument(d.error().message);
  return *std::move(d);
}
identifier with(const std::string& signatures, flow_reading reading = flow_reading::p0f) {
  identifier i = identifier::empty();
  i.add(database(signatures), reading);
  return i;
}
/// The names, in order, with commas.
std::string names(const inconsistency_set& set) {
  std::string all;
  for (const inconsistency i : set) all += (all.empty() ? "" : ",") + std::string(to_string(i));
  return all;
}
std::string told(const identifier& who, const packet_builder& p, std::string_view user_agent = {}) {
  return names(who.identify(record_of(p), user_agent).inconsistencies);
}
std::string title(const identification& id) { return id.label == nullptr ? "???" : id.label->title(); }

const std::string linux_label =
    "label = s:unix:Linux:6.x\nsig = *:64:0:*:mss*44,10:mss,sok,ts,nop,ws:df,id+:0\n";
const std::string generic_linux = "label = g:unix:Linux:x\nsig = *:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0\n";
const std::string windows_label =
    "label = s:win:Windows:10\nsig = *:128:0:*:mss*44,8:mss,nop,ws,nop,nop,sok:df,id+:0\n";
constexpr const char* windows_agent = "Mozilla/5.0 (Windows NT 10.0)";
constexpr const char* linux_agent = "Mozilla/5.0 (X11; Linux x86_64)";
constexpr const char* android_agent = "Mozilla/5.0 (Linux; Android 14)";

TEST(identify, own_database_parses_and_knows_linux) {
  const auto own = p0f_database::parse(recorded_signatures, "synfp");
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_GE(own->size(), 2U);
  const auto others = p0f_database::parse(observed_signatures, "observed");
  ASSERT_TRUE(others) << others.error().message;
  EXPECT_GE(others->size(), 50U);
  const identification id = identifier{}.identify(synfp::test::linux_record);
  ASSERT_NE(id.label, nullptr);
}

TEST(identify, evidence) {
  const identifier who;
  const identification id = who.identify(synfp::test::linux_record);
  ASSERT_NE(id.label, nullptr);
  EXPECT_EQ(id.label->name, "Linux");
  EXPECT_EQ(id.database, "synfp");
  EXPECT_GT(id.line, 0U);
  EXPECT_EQ(id.quality, match_quality::exact);
  EXPECT_EQ(id.known_by, evidence::recorded);
  EXPECT_FALSE(id.flow_aware);
  EXPECT_EQ(id.distance, 0);
  EXPECT_FALSE(id.distance_is_limit);
  EXPECT_EQ(id.mtu, 1500U);
  EXPECT_FALSE(id.link.empty());
  EXPECT_TRUE(id.inconsistencies.empty());
}

TEST(identify, names_that_were_not_recorded) {
  const identifier who;
  const auto windows = who.identify(record_of(synfp::test::windows_packet()));
  EXPECT_EQ(title(windows), "Windows 10, 11 or Server 2016 and newer");
  EXPECT_EQ(windows.database, "observed");
  EXPECT_EQ(windows.quality, match_quality::exact);
  EXPECT_EQ(windows.known_by, evidence::captures);
  const auto macos = who.identify(record_of(synfp::test::macos_packet()));
  EXPECT_EQ(title(macos), "macOS or iOS since 2018");
  EXPECT_EQ(macos.known_by, evidence::source);
  // What was recorded is asked first.
  EXPECT_EQ(who.identify(synfp::test::linux_record).database, "synfp");
  // A database of the user's comes last, and says nothing of its evidence.
  identifier with_more;
  with_more.add(
      database("label = s:win:Mine:\nsig = 4:128:0:*:mss*44,8:mss,nop,ws,nop,nop,sok:df,id+:0\n"
               "sig = 4:64:0:*:1234,*:mss,sok,ts,nop,ws:df,id+:0\n"));
  EXPECT_EQ(with_more.identify(record_of(synfp::test::windows_packet())).database, "observed");
  packet_builder mine;
  mine.window = 1234;
  EXPECT_EQ(title(with_more.identify(record_of(mine))), "Mine");
  EXPECT_EQ(with_more.identify(record_of(mine)).known_by, std::nullopt);
}

TEST(identify, a_user_agent_of_another_system) {
  const identifier who;
  constexpr const char* iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)";
  constexpr const char* mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)";
  const packet_builder windows = synfp::test::windows_packet(), macos = synfp::test::macos_packet();
  packet_builder phone;
  phone.window = 65535;
  phone.options.back() = 9;
  EXPECT_EQ(told(who, packet_builder{}, iphone), "user_agent");
  EXPECT_EQ(told(who, phone, iphone), "user_agent");
  EXPECT_EQ(told(who, windows, iphone), "user_agent");
  EXPECT_EQ(told(who, macos, windows_agent), "user_agent");
  EXPECT_EQ(told(who, macos, android_agent), "user_agent");
  EXPECT_EQ(told(who, windows, linux_agent), "user_agent");
  // One TCP.
  EXPECT_EQ(told(who, macos, iphone), "");
  EXPECT_EQ(told(who, macos, mac), "");
  EXPECT_EQ(told(who, phone, android_agent), "");
  EXPECT_EQ(told(who, phone, linux_agent), "");
  EXPECT_EQ(told(who, windows, windows_agent), "");
}

TEST(identify, without_a_label) {
  packet_builder p;
  p.ttl = 60;
  p.options = {};
  const auto id = identifier::empty().identify(record_of(p));
  EXPECT_EQ(id.label, nullptr);
  EXPECT_EQ(id.database, "");
  EXPECT_EQ(id.distance, 4);
  EXPECT_EQ(id.mtu, std::nullopt);
  EXPECT_EQ(id.link, "");
  p.ttl = 80;
  EXPECT_EQ(identifier::empty().identify(record_of(p)).distance, std::nullopt);
  // What p0f does not look at.
  const auto extended = identifier{}.identify(record_of(synfp::test::truncated_v6()), windows_agent);
  EXPECT_EQ(extended.label, nullptr);
  EXPECT_EQ(extended.mtu, std::nullopt);
  EXPECT_EQ(extended.distance, 0);
  EXPECT_TRUE(extended.inconsistencies.empty());
  EXPECT_EQ(identifier{}.identify(synfp::syn_record{}).label, nullptr);
}

TEST(identify, best_of_all_databases) {
  const std::string fuzzy = "label = s:unix:F:\nsig = *:128:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0\n";
  const auto first_of = [](std::initializer_list<std::string> all) {
    identifier who = identifier::empty();
    char name = 'a';
    for (const std::string& signatures : all) who.add(database(signatures, std::string(1, name++)));
    const auto id = who.identify(synfp::test::linux_record);
    return title(id) + " of " + std::string(id.database);
  };
  EXPECT_EQ(first_of({fuzzy, generic_linux, linux_label}), "Linux 6.x of c");
  EXPECT_EQ(first_of({fuzzy, generic_linux, generic_linux}), "Linux x of b");
  EXPECT_EQ(first_of({fuzzy, fuzzy, windows_label}), "F of a");
  EXPECT_EQ(first_of({linux_label, linux_label}), "Linux 6.x of a");
  EXPECT_EQ(first_of({windows_label, windows_label}), "??? of ");
}

TEST(identify, first_link_that_is_known) {
  identifier who = identifier::empty();
  who.add(*p0f_database::parse("[mtu]\nlabel = one\nsig = 1400\n", "a"));
  who.add(*p0f_database::parse("[mtu]\nlabel = two\nsig = 1500\nlabel = three\nsig = 1400\n", "b"));
  EXPECT_EQ(who.identify(synfp::test::linux_record).link, "two");
  packet_builder p;
  p.options[2] = 0x05;
  p.options[3] = 0x50;
  EXPECT_EQ(who.identify(record_of(p)).link, "one");
}

TEST(identify, flow_labels) {
  auto raw = synfp::test::v6_packet().ip();
  raw[3] = 1;
  const auto record = record_of(raw);
  EXPECT_EQ(with(generic_linux).identify(record).label, nullptr);
  const identifier aware = with(generic_linux, flow_reading::aware);
  const auto id = aware.identify(record);
  ASSERT_NE(id.label, nullptr);
  EXPECT_TRUE(id.flow_aware);
  EXPECT_FALSE(aware.identify(synfp::test::linux_record).flow_aware);
}

TEST(identify, random_ttl) {
  const auto who = with("label = s:!:NMap:\nsys = @unix\nsig = *:64-:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0\n");
  packet_builder p;
  p.ttl = 40;
  auto id = who.identify(record_of(p));
  EXPECT_EQ(id.distance, 24);
  EXPECT_TRUE(id.distance_is_limit);
  p.ttl = 5;
  id = who.identify(record_of(p));
  EXPECT_EQ(id.distance, std::nullopt);
  EXPECT_TRUE(id.distance_is_limit);
}

TEST(inconsistency, user_agent) {
  const packet_builder p;
  EXPECT_EQ(told(with(linux_label), p), "");
  EXPECT_EQ(told(with(linux_label), p, linux_agent), "");
  EXPECT_EQ(told(with(linux_label), p, android_agent), "");
  EXPECT_EQ(told(with(linux_label), p, "curl/8.5.0"), "");
  EXPECT_EQ(told(with(linux_label), p, windows_agent), "user_agent");
  EXPECT_EQ(told(with(generic_linux), p, windows_agent), "user_agent");
  EXPECT_EQ(told(with(windows_label), p, windows_agent), "");  // no label
  EXPECT_EQ(told(with(windows_label), synfp::test::windows_packet(), linux_agent), "user_agent");
  EXPECT_EQ(told(with(windows_label), synfp::test::windows_packet(), windows_agent), "");
  const auto tool =
      with("label = s:!:Linux scan:\nsys = @unix\nsig = *:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0\n");
  EXPECT_EQ(told(tool, p, windows_agent), "");
  packet_builder fuzzy;
  fuzzy.tos = 1;
  EXPECT_EQ(told(with(linux_label), fuzzy, windows_agent), "quirks");
}

TEST(inconsistency, ttl_and_quirks) {
  packet_builder p;
  p.ttl = 128;
  EXPECT_EQ(told(with(linux_label), p), "ttl");
  p.ttl = 28;
  EXPECT_EQ(told(with(linux_label), p), "ttl");
  p.ttl = 29;
  EXPECT_EQ(told(with(linux_label), p), "");
  p.flags |= synfp::test::ece | synfp::test::cwr;
  EXPECT_EQ(told(with(linux_label), p), "quirks");
  p.ttl = 128;
  EXPECT_EQ(told(with(linux_label), p), "ttl,quirks");
}

TEST(inconsistency, windows_ttl) {
  packet_builder p = synfp::test::windows_packet();
  EXPECT_EQ(told(with(windows_label), p), "");
  EXPECT_EQ(told(identifier::empty(), p), "");
  p.ttl = 64;
  EXPECT_EQ(told(with(windows_label), p), "ttl,windows_ttl");
  EXPECT_EQ(told(identifier::empty(), p), "windows_ttl");
  const auto solaris = with("label = s:unix:Solaris:\nsig = *:64:0:*:*,*:mss,nop,ws,nop,nop,sok:df,id+:0\n");
  EXPECT_EQ(told(solaris, p), "");
  p.source = synfp::test::v6_packet().source;
  p.destination = synfp::test::v6_packet().destination;
  p.options[2] = 5;
  p.options[3] = 160;
  ASSERT_TRUE(p.v6());
  EXPECT_EQ(told(identifier::empty(), p), "windows_ttl");
  p.ttl = 100;
  EXPECT_EQ(told(identifier::empty(), p), "");
}

TEST(inconsistency, window) {
  packet_builder p;
  p.window = 60000;  // 1500 * 40
  EXPECT_EQ(told(with(generic_linux), p), "");
  p.window = 60001;
  EXPECT_EQ(told(with(generic_linux), p), "window");
  p.window = 65535;
  EXPECT_EQ(told(with(generic_linux), p), "");
  p.window = 1459;
  EXPECT_EQ(told(with(generic_linux), p), "");
  p.window = 60001;
  const auto exact = with("label = s:unix:Linux:\nsig = *:64:0:*:60001,*:mss,sok,ts,nop,ws:df,id+:0\n");
  EXPECT_EQ(told(exact, p), "");
  const auto other = with("label = g:unix:FreeBSD:\nsig = *:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0\n");
  EXPECT_EQ(told(other, p), "");
}

TEST(inconsistency, mss) {
  packet_builder p = synfp::test::v6_packet();
  EXPECT_EQ(told(identifier::empty(), p), "mss");
  p.options[3] = 0xa0;
  EXPECT_EQ(told(identifier::empty(), p), "");
  EXPECT_EQ(told(identifier::empty(), packet_builder{}), "");
}

TEST(inconsistency, scanner_id) {
  packet_builder p;
  p.id = 54321;
  p.ttl = 250;
  EXPECT_EQ(told(identifier::empty(), p), "scanner_id");
  const auto zmap = with("label = s:!:ZMap:\nsys = @unix\nsig = *:255:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0\n");
  EXPECT_EQ(told(zmap, p), "");
  p.ttl = 128;
  EXPECT_EQ(told(identifier::empty(), p), "");
  p.ttl = 250;
  p.id = 54320;
  EXPECT_EQ(told(identifier::empty(), p), "");
}

TEST(inconsistency, crafted) {
  const auto changed = [](auto change) {
    packet_builder p;
    change(p);
    return told(with(linux_label), p);
  };
  EXPECT_EQ(changed([](auto&) {}), "");
  EXPECT_EQ(changed([](auto& p) { p.sequence = 0; }), "crafted");
  EXPECT_EQ(changed([](auto& p) { p.acknowledgment = 2; }), "");  // p0f does not see it, so a signature fits
  EXPECT_EQ(changed([](auto& p) { p.acknowledgment = 2, p.ttl = 128; }), "ttl,crafted");
  EXPECT_EQ(changed([](auto& p) { p.acknowledgment = 0x01000000; }), "crafted");
  EXPECT_EQ(changed([](auto& p) { p.urgent = 1; }), "crafted");
  EXPECT_EQ(changed([](auto& p) { p.flags |= synfp::test::urg; }), "crafted");
  EXPECT_EQ(changed([](auto& p) { p.flags |= synfp::test::psh; }), "crafted");
  EXPECT_EQ(changed([](auto& p) { p.fragment |= 0x8000; }), "crafted");
  EXPECT_EQ(changed([](auto& p) { p.options[15] = 1; }), "crafted");  // echoes a timestamp
  EXPECT_EQ(changed([](auto& p) { p.options[19] = 15; }), "crafted");
  EXPECT_EQ(changed([](auto& p) { p.options[1] = 5; }), "crafted");
  EXPECT_EQ(changed([](auto& p) { p.options = {0, 1, 0, 0}; }), "crafted");
  packet_builder nmap;
  nmap.acknowledgment = 0x01000000;
  const auto tool = with("label = s:!:N:\nsys = @unix\nsig = *:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+,ack+:0\n");
  EXPECT_EQ(told(tool, nmap), "");
}

/// A sender and what it says, both honest, where the words of the User-Agent mislead.
TEST(inconsistency, honest_clients_are_not_accused) {
  const auto macos =
      with("label = s:unix:Mac OS X:\nsig = *:64:0:*:65535,*:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0\n");
  for (const char* agent :
       {"Mozilla/5.0 (iPhone; CPU iPhone OS 9_3_4 like Mac OS X) AppleWebKit/601.1 (KHTML, like Gecko) "
        "Outlook-iOS-Android/1.0 Mobile/13G35 Safari/601.1.46",
        "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Mobile/15E148",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.4.1 "
        "Safari/605.1.15",
        "Outlook-iOS/723.4027091.prod.iphone (4.28.0)",
        "Slack-Windows-Look/1.0 CFNetwork/1410.0.3 Darwin/22.6.0"}) {
    EXPECT_EQ(told(macos, synfp::test::macos_packet(), agent), "") << agent;
  }
  EXPECT_EQ(told(macos, synfp::test::macos_packet(), android_agent), "user_agent");
  for (const char* agent :
       {"Mozilla/5.0 (X11; Windows aarch64 10718.88.2) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/68.0.3440.118 "
        "Safari/537.36 CitrixChromeApp",
        "Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10_6_3; en-us; Silk/1.1.0-80) AppleWebKit/533.16 (KHTML, "
        "like "
        "Gecko) Version/5.0 Safari/533.16 Silk-Accelerated=true",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 14_7_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/14.1.2 Mobile/15E148 Safari/604.1 (compatible; AdsBot-Google-Mobile; "
        "+http://www.google.com/mobile/adsbot.html)",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/109.0.0.0 "
        "Safari/537.36 Chrome-Lighthouse"}) {
    EXPECT_EQ(told(with(linux_label), packet_builder{}, agent), "") << agent;
  }
  for (const char* agent :
       {"Mozilla/5.0 (Mobile; Windows Phone 8.1; Android 4.0; ARM; Trident/7.0; Touch; rv:11.0; "
        "IEMobile/11.0; NOKIA; "
        "Lumia 520) like iPhone OS 7_0_3 Mac OS X AppleWebKit/537 (KHTML, like Gecko) Mobile Safari/537",
        "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, "
        "like Gecko) "
        "Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 7_0 like Mac OS X) AppleWebKit/537.51.1 (KHTML, like Gecko) "
        "Version/7.0 "
        "Mobile/11A465 Safari/9537.53 BingPreview/1.0b"}) {
    EXPECT_EQ(told(with(windows_label), synfp::test::windows_packet(), agent), "") << agent;
  }
}

/// Of real systems nothing is suspicious; what was told to lie, or lies by nature, is named.
TEST(inconsistency, all_vectors) {
  std::ifstream file("/etc/p0f/p0f.fp");
  ASSERT_TRUE(file) << "no /etc/p0f/p0f.fp: install p0f";
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  identifier who;
  who.add(*p0f_database::parse(text, "p0f"), flow_reading::aware);
  std::size_t compared = 0;
  for (const auto& v : synfp::test::vectors()) {
    ++compared;
    const auto id = who.identify(record_of(v.packet));
    const std::string tells = names(id.inconsistencies);
    const auto about = [&v](std::string_view word) { return v.scenario.find(word) != std::string::npos; };
    if (about("nmap")) {
      // Its IPv6 scan has IPv4's MSS; of its odd probes p0f's database knows those whose ack+ it sees.
      if (id.label == nullptr || !id.label->is_tool()) {
        EXPECT_THAT(tells, testing::AnyOf("crafted", "ttl,mss", "")) << v.p0f;
      } else {
        EXPECT_EQ(tells, "") << v.p0f;
      }
    } else if (about("zmap") || about("hping3")) {  // hping3 fills in an acknowledgment number
      const char* expected = about("zmap") ? "scanner_id" : "crafted";
      EXPECT_TRUE(tells == expected || (id.label != nullptr && id.label->is_tool())) << tells;
    } else if (about("IP_TTL=128") || about("IP_TTL=255")) {
      EXPECT_EQ(tells, "ttl");
    } else if (about("tcp_ecn") || about("DF clear")) {
      EXPECT_THAT(tells, testing::AnyOf("quirks", "")) << v.scenario;  // "": the database knows the variant
    } else {
      EXPECT_EQ(tells, "") << v.scenario << ' ' << v.p0f;
    }
  }
  EXPECT_EQ(compared, 84U);
}

}  // namespace
