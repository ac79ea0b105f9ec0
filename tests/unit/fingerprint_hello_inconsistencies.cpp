// SPDX-License-Identifier: MIT
// Clients that were recorded with their User-Agents (tests/data/tls/agents.json), and what they look like
// under the names of others.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <synfp/fingerprint/hello_inconsistencies.hpp>
#include <synfp/fingerprint/identify.hpp>

#include "../support/hello_builder.hpp"
#include "../support/syns.hpp"
#include "../support/vectors.hpp"

namespace {

using namespace synfp;
using namespace synfp::fingerprint;
using synfp::test::codes;
using synfp::test::hello_builder;
using synfp::test::hello_bytes;
using synfp::test::packet_builder;
using synfp::test::record_of;

constexpr std::string_view chrome =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 "
    "Safari/537.36";
constexpr std::string_view firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
constexpr std::string_view safari =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1";

struct client {
  std::string name, user_agent;
  hello_bytes message;
  tls::client_hello hello;
};

std::vector<client> clients() {
  std::ifstream file(SYNFP_TEST_DATA "/tls/agents.json");
  if (!file) throw std::runtime_error("no agents.json");
  std::vector<client> all;
  for (const auto& one : nlohmann::json::parse(file)) {
    client& added = all.emplace_back();
    added.name = one.at("client");
    added.user_agent = one.at("user_agent");
    added.message = synfp::test::from_hex(one.at("hello"));
  }
  for (client& one : all) EXPECT_EQ(one.hello.assign(one.message), tls::refusal::none) << one.name;
  return all;
}

std::string names(const inconsistency_set& set) {
  std::string all;
  for (const inconsistency i : set) all += (all.empty() ? "" : ",") + std::string(to_string(i));
  return all;
}

/// What a client of this name looks like when it sends the User-Agents of Chrome, Firefox, Safari.
struct under_names {
  std::string_view client, as_itself, as_chrome, as_firefox, as_safari;
};
constexpr under_names expected[] = {
    {"Chromium 156", "", "", "hello_browser", "hello_browser"},
    {"Chromium 156, WebSocket, resumed", "", "", "hello_browser", ""},  // without application settings
    {"Chromium 156, TLS 1.2 at most", "hello_offer", "hello_offer", "hello_browser,hello_offer",
     "hello_offer"},
    {"Firefox 153", "", "hello_grease", "", "hello_grease"},
    {"Firefox 153, WebSocket, resumed", "", "hello_grease", "", "hello_grease"},
    {"Firefox 153, TLS 1.2 at most, without HTTP/2", "hello_offer", "hello_grease,hello_offer", "hello_offer",
     "hello_grease,hello_offer"},
    {"curl 7.88, OpenSSL 3.0", "", "hello_grease,hello_library", "hello_library,hello_browser",
     "hello_grease,hello_library"},
    {"curl 7.88, GnuTLS 3.7", "", "hello_grease,hello_library", "hello_library",
     "hello_grease,hello_library"},
    {"Wget 1.21, GnuTLS 3.7", "", "hello_grease,hello_offer", "hello_offer", "hello_grease,hello_offer"},
    {"gnutls-cli 3.7", "", "hello_grease,hello_library,hello_offer", "hello_library,hello_offer",
     "hello_grease,hello_library,hello_offer"},
    {"openssl s_client 3.0", "", "hello_grease,hello_library,hello_offer",
     "hello_library,hello_browser,hello_offer", "hello_grease,hello_library,hello_offer"},
    {"Python 3.11 urllib", "", "hello_grease,hello_library,hello_offer",
     "hello_library,hello_browser,hello_offer", "hello_grease,hello_library,hello_offer"},
    {"Node.js 20 fetch", "", "hello_grease,hello_library", "hello_library,hello_browser",
     "hello_grease,hello_library"},
    {"Node.js 20 https", "", "hello_grease,hello_library,hello_offer",
     "hello_library,hello_browser,hello_offer", "hello_grease,hello_library,hello_offer"},
    {"Go 1.19 net/http", "", "hello_grease", "hello_browser", "hello_grease"},
};

TEST(hello_inconsistencies, recorded_clients) {
  const std::vector<client> all = clients();
  ASSERT_EQ(all.size(), std::size(expected));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const under_names& e = expected[i];
    const client& c = all[i];
    ASSERT_EQ(c.name, e.client);
    const auto told = [&c](std::string_view agent) { return names(hello_inconsistencies(c.hello, agent)); };
    EXPECT_EQ(told(c.user_agent), e.as_itself) << c.name;
    EXPECT_EQ(told(chrome), e.as_chrome) << c.name;
    EXPECT_EQ(told(firefox), e.as_firefox) << c.name;
    EXPECT_EQ(told(safari), e.as_safari) << c.name;
    EXPECT_EQ(told(""), "");
    EXPECT_EQ(told("curl/8.5.0"), "");
  }
}

/// What Safari sends, as far as it counts here; see FoxIO's and others' published hellos.
hello_builder apple() {
  hello_builder h;
  h.ciphers = codes({0xcaca, 0x1301, 0x1302, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8, 0xc00a,
                     0xc009, 0xc014, 0xc013, 0x009d, 0x009c, 0x0035, 0x002f, 0xc008, 0xc012, 0x000a});
  h.remove(0x44cd);
  h.remove(0xfe0d);
  return h;
}

/// Of a hello that lives as long as this.
struct held {
  hello_bytes message;
  tls::client_hello hello;
  explicit held(const hello_builder& builder) : message(builder.message()) {
    EXPECT_EQ(hello.assign(message), tls::refusal::none);
  }
  std::string told(std::string_view agent) const { return names(hello_inconsistencies(hello, agent)); }
};

TEST(hello_inconsistencies, apples_hello) {
  const held h(apple());
  EXPECT_EQ(h.told(safari), "");
  EXPECT_EQ(h.told(chrome), "hello_browser");
  EXPECT_EQ(h.told(firefox), "hello_browser");
  // Chromium 70 had one suite of triple DES, BoringSSL's only one.
  hello_builder old = apple();
  old.ciphers = codes({0xcaca, 0x1301, 0xc02b, 0x000a});
  EXPECT_EQ(held(old).told(chrome), "");
}

/// What only one of the three marks of libraries tells.
TEST(hello_inconsistencies, each_mark_of_a_library) {
  hello_builder h;
  EXPECT_EQ(held(h).told(chrome), "");
  h.data(22) = {};
  EXPECT_EQ(held(h).told(chrome), "hello_library");
  h = {};
  h.data(11) = {3, 0, 1, 2};
  EXPECT_EQ(held(h).told(chrome), "hello_library");
  h.remove(11);
  EXPECT_EQ(held(h).told(chrome), "");
  h = {};
  h.ciphers.push_back(0);
  h.ciphers.push_back(0xff);
  EXPECT_EQ(held(h).told(chrome), "hello_library");
}

TEST(hello_inconsistencies, both_codes_of_application_settings) {
  hello_builder h;
  EXPECT_EQ(held(h).told(safari), "hello_browser");
  h.remove(0x44cd);
  EXPECT_EQ(held(h).told(safari), "");
  h.data(0x4469) = {0, 3, 2, 'h', '2'};
  EXPECT_EQ(held(h).told(safari), "hello_browser");
}

TEST(hello_inconsistencies, each_part_of_an_offer) {
  for (const std::uint16_t lacking : {std::uint16_t{16}, std::uint16_t{43}, std::uint16_t{51}}) {
    hello_builder h;
    h.remove(lacking);
    EXPECT_EQ(held(h).told(chrome), "hello_offer") << lacking;
  }
  hello_builder h;
  h.data(43) = synfp::test::list_8(codes({0x4a4a, 0x0303}));
  EXPECT_EQ(held(h).told(chrome), "hello_offer");
}

TEST(hello_inconsistencies, old_browsers_are_not_judged) {
  const std::vector<client> all = clients();
  const tls::client_hello& openssl = all[6].hello;
  const auto told = [&openssl](std::string agent) { return names(hello_inconsistencies(openssl, agent)); };
  const auto chrome_of = [](const std::string& version) {
    return "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/" + version +
           " Safari/537.36";
  };
  const auto firefox_of = [](const std::string& version) {
    return "Mozilla/5.0 (X11; Linux x86_64; rv:1) Gecko/20100101 Firefox/" + version;
  };
  const auto safari_of = [](const std::string& version) {
    return "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
           "Version/" +
           version + " Safari/605.1.15";
  };
  EXPECT_EQ(told(chrome_of("69.0.0.0")), "");
  EXPECT_NE(told(chrome_of("70.0.0.0")), "");
  EXPECT_EQ(told(firefox_of("64.0")), "");
  EXPECT_NE(told(firefox_of("65.0")), "");
  EXPECT_EQ(told(safari_of("15.6")), "");
  EXPECT_NE(told(safari_of("16.0")), "");
}

// ---- Beside a SYN.

identifier with(const std::string& signature) {
  identifier who = identifier::empty();
  auto database = p0f_database::parse("classes = unix,win\n[tcp:request]\n" + signature, "db");
  if (!database) throw std::invalid_argument(database.error().message);
  who.add(*std::move(database));
  return who;
}
const std::string of_linux = "sig = *:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0\n";

TEST(inconsistency, hello_system) {
  const held h(apple());
  const held other{hello_builder()};
  const auto linux_system = with("label = s:unix:Linux:6.x\n" + of_linux);
  const auto told = [](const identifier& who, const packet_builder& p, const held* hello,
                       std::string_view agent = {}) {
    return names(
        who.identify(record_of(p), agent, hello == nullptr ? nullptr : &hello->hello).inconsistencies);
  };
  const packet_builder p;
  EXPECT_EQ(told(linux_system, p, nullptr), "");
  EXPECT_EQ(told(linux_system, p, &other), "");
  EXPECT_EQ(told(linux_system, p, &h), "hello_system");
  EXPECT_EQ(told(linux_system, p, &h, safari), "user_agent,hello_system");
  EXPECT_EQ(told(linux_system, p, &h, chrome), "user_agent,hello_browser,hello_system");
  EXPECT_EQ(told(linux_system, p, &other, firefox), "hello_browser");
  const auto windows =
      with("label = s:win:Windows:10\nsig = *:128:0:*:*,*:mss,nop,ws,nop,nop,sok:df,id+:0\n");
  EXPECT_EQ(told(windows, synfp::test::windows_packet(), &h), "hello_system");
  const auto macos =
      with("label = s:unix:macOS:x\nsig = *:64:0:*:65535,*:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0\n");
  EXPECT_EQ(told(macos, synfp::test::macos_packet(), &h, safari), "");
  // No label, a tool's, and one that fits only nearly.
  EXPECT_EQ(told(identifier::empty(), p, &h), "");
  EXPECT_EQ(told(with("label = s:!:Scan:\nsys = @unix\n" + of_linux), p, &h), "");
  packet_builder fuzzy;
  fuzzy.tos = 1;
  EXPECT_EQ(told(linux_system, fuzzy, &h), "quirks");
}

/// Our own SYNs with the hellos of the programs that sent them.
TEST(inconsistency, recorded_clients_on_linux) {
  const identifier who;
  for (const client& c : clients()) {
    const auto id = who.identify(record_of(packet_builder{}), c.user_agent, &c.hello);
    const bool limited = c.name.find("TLS 1.2") != std::string::npos;
    EXPECT_EQ(names(id.inconsistencies), limited ? "hello_offer" : "") << c.name;
  }
}

}  // namespace
