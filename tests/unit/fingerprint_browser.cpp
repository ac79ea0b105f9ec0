// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <synfp/fingerprint/browser.hpp>

namespace {

using namespace synfp::fingerprint;

struct known {
  browser_claim claim;
  const char* agent;
};

constexpr known agents[] = {
    {{browser::chromium, 156},
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"},
    {{browser::chromium, 156},
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 "
     "Safari/537.36"},
    {{browser::chromium, 120},
     "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile "
     "Safari/537.36"},
    {{browser::chromium, 120},
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
     "Safari/537.36 Edg/120.0.2210.91"},
    {{browser::firefox, 153}, "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"},
    {{browser::firefox, 120}, "Mozilla/5.0 (Android 14; Mobile; rv:120.0) Gecko/120.0 Firefox/120.0"},
    {{browser::safari, 17},
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Version/17.4.1 Safari/605.1.15"},
    {{browser::safari, 16},
     "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Version/16.6 Mobile/15E148 Safari/604.1"},
    // Others, which have something of their own.
    {{}, ""},
    {{}, "curl/8.5.0"},
    {{}, "Mozilla/5.0"},
    {{}, "Mozilla/5.0 ("},
    {{}, "Mozilla/5.0 (X11; Linux x86_64"},
    {{}, "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/115.0 PaleMoon/33.0"},
    {{},
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763"},  // another engine
    {{},
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
     "Safari/537.36 OPR/106.0.0.0"},
    {{},
     "Mozilla/5.0 (Linux; Android 13; Pixel 7 Build/TQ3A; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36"},
    {{},
     "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "CriOS/120.0.6099.119 Mobile/15E148 Safari/604.1"},
    {{},
     "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Mobile/15E148 [FBAN/FBIOS;FBAV/441.0.0.34.108;FBBV/537255468]"},
    {{},
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 "
     "Safari/605.1.15"},  // WebKit, but not Apple's
    {{},
     "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; "
     "+http://www.google.com/bot.html) Chrome/120.0.0.0 Safari/537.36"},
    {{},
     "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/120.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    {{},
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/109.0.0.0 Safari/537.36 Chrome-Lighthouse"},
    {{}, "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"},
};

TEST(browser_in_user_agent, real_ones) {
  for (const auto& [claim, agent] : agents) {
    const browser_claim found = browser_in_user_agent(agent);
    EXPECT_EQ(to_string(found.family), to_string(claim.family)) << agent;
    EXPECT_EQ(found.version, claim.version) << agent;
  }
}

static_assert([] {
  for (const known& k : agents) {
    if (browser_in_user_agent(k.agent) != k.claim) return false;
  }
  return true;
}());

TEST(browser_in_user_agent, odd_ones) {
  const auto firefox = [](const std::string& version) {
    return browser_in_user_agent("Mozilla/5.0 (X11; (a; b); rv:1) Gecko/20100101 Firefox/" + version);
  };
  EXPECT_EQ(firefox("99").version, 99U);
  EXPECT_EQ(firefox("").version, 0U);
  EXPECT_EQ(firefox(".5").version, 0U);
  EXPECT_EQ(firefox("4294967297.0").version, 429496U);  // does not wrap
  EXPECT_EQ(firefox("99 ").family, browser::unknown);
  EXPECT_EQ(firefox(std::string(1024, '1')).family, browser::unknown);
}

}  // namespace
