// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <synfp/fingerprint/user_agent.hpp>

namespace {

using namespace synfp::fingerprint;
constexpr auto of = os_in_user_agent;

struct known {
  os_family family;
  std::string_view agent;
};

/// As they were sent.
constexpr known real[] = {
    // Windows: browsers that claim to be others, old ones, programs that embed one
    {os_family::windows,
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
     "Safari/537.36"},
    {os_family::windows, "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"},
    {os_family::windows, "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko"},
    {os_family::windows, "Mozilla/5.0 (Windows NT 6.3; ARM; WOW64; Trident/7.0; rv:11.0) like Gecko"},
    {os_family::windows, "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"},
    {os_family::windows,
     "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0; chromeframe; .NET CLR 2.0.50727; .NET "
     "CLR "
     "3.0.4506.2152; .NET CLR 3.5.30729; Sleipnir 2.8.5)3.0.30729)"},
    {os_family::windows,
     "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; .NET4.0C; .NET4.0E)"},
    {os_family::windows,
     "Mozilla/5.0 (Windows; U; Windows NT 6.1; en-US; rv:1.9.2.15) Gecko/20110303 Firefox/3.6.15"},
    {os_family::windows,
     "Mozilla/5.0 (Windows; U; Win 9x 4.90; de; rv:1.8.1.7) Gecko/20070914 Firefox/2.0.0.7"},
    {os_family::windows, "Opera/9.80 (Windows NT 5.1; U; ru) Presto/2.5.24 Version/10.53"},
    {os_family::windows,
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.35.126 "
     "Chrome/118.0.5993.159 Electron/27.1.3 Safari/537.36"},
    {os_family::windows, "gtk-gnutella/1.2.2 (2022-02-25; GTK2; Windows x64)"},
    {os_family::windows, "ICE Browser/5.05 (Java 1.4.0; Windows 2000 5.0 x86)"},
    {os_family::windows, "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.12026; Pro)"},
    // phones with its kernel, which say Android and iPhone as well
    {os_family::windows,
     "Mozilla/5.0 (Mobile; Windows Phone 8.1; Android 4.0; ARM; Trident/7.0; Touch; rv:11.0; IEMobile/11.0; "
     "NOKIA; "
     "Lumia 520) like iPhone OS 7_0_3 Mac OS X AppleWebKit/537 (KHTML, like Gecko) Mobile Safari/537"},
    {os_family::windows,
     "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like "
     "Gecko) "
     "Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063"},
    {os_family::windows,
     "Mozilla/5.0 (compatible; MSIE 10.0; Windows Phone 8.0; Trident/6.0; IEMobile/10.0; ARM; Touch; NOKIA; "
     "Lumia 920)"},
    // and what says Windows without it
    {os_family::unknown,
     "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; HTC_Touch2_T3333; Windows Phone 6.5)"},
    {os_family::unknown,
     "Mozilla/4.0 (compatible; MSIE 7.0; Windows Phone OS 7.0; Trident/3.1; IEMobile/7.0; SAMSUNG; "
     "SGH-i917)"},
    {os_family::unknown, "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0; XBLWP7; ZuneWP7)"},
    {os_family::unknown,
     "Mozilla/4.0 (compatible; MSIE 6.0; Windows CE; IEMobile 7.11) 320x240; VZW; Motorola-Q9c; Windows "
     "Mobile 6.1 "
     "Standard"},
    {os_family::unknown,
     "Mozilla/5.0 (Windows; U; WindowsCE 5.2; en-US; rv:1.9.2a2pre) Gecko/20090904 Fennec/1.0a3"},
    {os_family::unknown, "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0; Xbox)"},
    {os_family::unknown,
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/48.0.2564.82 Safari/537.36 Edge/20.02"},
    // ChromeOS
    {os_family::chromeos,
     "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
     "Safari/537.36"},
    {os_family::chromeos,
     "Mozilla/5.0 (X11; CrOS armv7l 9592.96.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/60.0.3112.114 "
     "Safari/537.36"},
    {os_family::chromeos,
     "Mozilla/5.0 (X11; Windows aarch64 10718.88.2) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/68.0.3440.118 "
     "Safari/537.36 CitrixChromeApp"},
    // iOS
    {os_family::ios,
     "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Version/17.5 "
     "Mobile/15E148 Safari/604.1"},
    {os_family::ios,
     "Mozilla/5.0 (iPad; U; CPU OS 3_2 like Mac OS X; en-us) AppleWebKit/531.21.10 (KHTML, like Gecko) "
     "Version/4.0.4 "
     "Mobile/7B367 Safari/531.21.10"},
    {os_family::ios,
     "Mozilla/5.0 (iPod touch; CPU iPhone OS 9_3_2 like Mac OS X) AppleWebKit/601.1.46 (KHTML, like Gecko) "
     "Mobile/13F69"},
    {os_family::ios,
     "Mozilla/5.0 (iPhone; CPU iPhone OS 9_3_4 like Mac OS X) AppleWebKit/601.1 (KHTML, like Gecko) "
     "Outlook-iOS-Android/1.0 Mobile/13G35 Safari/601.1.46"},
    {os_family::ios,
     "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1"},
    {os_family::ios,
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_13_5) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/85 "
     "Version/11.1.1 Safari/605.1.15"},
    {os_family::ios,
     "MQQBrowser/371 Mozilla/5.0 (iPhone 4S; CPU iPhone OS 6_0_1 like Mac OS X) AppleWebKit/536.26 (KHTML, "
     "like "
     "Gecko) Mobile/10A523 Safari/7534.48.3"},
    {os_family::ios, "AppleCoreMedia/1.0.0.14C92 (iPhone; U; CPU OS 10_2 like Mac OS X; en_us)"},
    {os_family::ios, "Argo/9.1.0 (iPhone; iOS 10.2; Scale/2.00)"},
    {os_family::ios,
     "Instagram 10.26.0 (iPhone7,2; iOS 10_1_1; en_US; en-US; scale=2.00; 750x1334) AppleWebKit/420+"},
    {os_family::ios, "Deezer/4.8.2 (iOS; 7.1; Mobile; de)"},
    // macOS, and iPads that ask for the desktop site
    {os_family::macos,
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Version/17.4.1 "
     "Safari/605.1.15"},
    {os_family::macos,
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:128.0) Gecko/20100101 Firefox/128.0"},
    {os_family::macos,
     "Mozilla/5.0 (Macintosh; U; PPC Mac OS X Mach-O; en-US; rv:1.8.0.1) Gecko/20060111 Firefox/1.5"},
    {os_family::macos,
     "Mozilla/5.0 (Macintosh; U; MacOS X 10_10_2; en-US; Valve Steam Client/1424305157; ) AppleWebKit/537.36 "
     "(KHTML, "
     "like Gecko) Chrome/35.0.1916.86 Safari/537.36"},
    {os_family::macos, "MacAppStore/2.0 (Macintosh; OS X 10.10.2; 14C81f) AppleWebKit/0600.3.10.2"},
    {os_family::unknown, "Safari/9537.71 CFNetwork/673.0.2 Darwin/13.0.1 (x86_64) (MacBookPro11,1)"},
    {os_family::unknown, "Yelp/8.0.0 CFNetwork/672.1.14 Darwin/14.0.0"},
    {os_family::unknown, "Outlook-iOS/723.4027091.prod.iphone (4.28.0)"},
    {os_family::unknown, "Mozilla/4.0 (compatible; MSIE 5.17; Mac_PowerPC)"},
    // Android
    {os_family::android,
     "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
     "Mobile "
     "Safari/537.36"},
    {os_family::android, "Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0"},
    {os_family::android, "Dalvik/2.1.0 (Linux; U; Android 9; Moto G (7) Build/PPOS29.114-134-2)"},
    {os_family::android,
     "Mozilla/5.0 (Linux; Android 11; SM-A715F Build/RP1A.200720.012; wv) AppleWebKit/537.36 (KHTML, like "
     "Gecko) "
     "Version/4.0 Chrome/92.0.4515.131 Mobile Safari/537.36"},
    {os_family::android,
     "Opera/9.80 (Android 3.2; Linux; Opera Tablet/ADR-1106291546; U; en) Presto/2.8.149 Version/11.10"},
    {os_family::android,
     "Mozilla/5.0 (Linux; Android 10; HarmonyOS; LIO-AN00; HMSCore 6.11.0.302) AppleWebKit/537.36 (KHTML, "
     "like Gecko) "
     "Chrome/99.0.4844.88 HuaweiBrowser/13.0.5.303 Mobile Safari/537.36"},
    {os_family::android,
     "Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10_6_3; en-us; Silk/1.1.0-80) AppleWebKit/533.16 (KHTML, "
     "like Gecko) "
     "Version/5.0 Safari/533.16 Silk-Accelerated=true"},
    {os_family::unknown, "Like-Android"},
    {os_family::unknown, "okhttp/4.9.3"},
    // Linux, and televisions made of it
    {os_family::linux_, "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
    {os_family::linux_, "Mozilla/5.0 (X11; Ubuntu; Linux i686; rv:20.0) Gecko/20100101 Firefox/20.0"},
    {os_family::linux_, "Mozilla/5.0 (X11; Linux i686 (x86_64); rv:2.0b4) Gecko/20100818 Firefox/4.0b4"},
    {os_family::linux_,
     "Mozilla/5.0 (compatible; Konqueror/3.5; Linux 2.6.27.47-TSDX; X11; x86_64; es) KHTML/3.5.7 "
     "(like Gecko),gzip(gfe),gzip(gfe)"},
    {os_family::linux_, "Mozilla/5.0 (compatible; Konqueror/3.2.; Linux 2.4.20-gentoo-r2; X11; i"},
    {os_family::linux_, "ELinks/0.10.4 (textmode; Linux 2.6.11-1-686-smp i686; 132x56-2)"},
    {os_family::linux_,
     "Mozilla/5.0 (SMART-TV; Linux; Tizen 2.3) AppleWebkit/538.1 (KHTML, like Gecko) "
     "SamsungBrowser/1.0 TV Safari/538.1"},
    {os_family::linux_,
     "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.41 (KHTML, like Gecko) Large Screen "
     "WebAppManager Safari/537.41"},
    {os_family::linux_,
     "Opera/9.80 (Linux mips; U;  HbbTV/1.1.1 (; Sony; KDL40HX751; PKG1.902EUA; 2012;);; en) "
     "Presto/2.10.250 Version/11.60"},
    {os_family::linux_, "Mozilla/5.0 (Mobile; Nokia_8110_4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5"},
    {os_family::linux_, "Mozilla/4.0 (compatible; Linux 2.6.10) NetFront/3.3 Kindle/1.0 (screen 600x800)"},
    // BSD and Solaris
    {os_family::freebsd, "Mozilla/5.0 (X11; FreeBSD amd64; rv:128.0) Gecko/20100101 Firefox/128.0"},
    {os_family::freebsd, "Mozilla/4.0 (compatible; MSIE 5.0; FreeBSD 5.3-RC2 i386) Opera 6.12  [en]"},
    {os_family::freebsd,
     "Mozilla/5.0 (X11; U; Linux i686; en-US; rv:1.9.0.19) Gecko/2010031218 FreeBSD/i386 "
     "Firefox/3.0.19,gzip(gfe),gzip(gfe)"},
    {os_family::openbsd, "ELinks/0.10.5 (textmode; OpenBSD 3.8 i386; 131x17-2)"},
    {os_family::openbsd, "Mozilla/5.0 (X11; OpenBSD amd64; rv:109.0) Gecko/20100101 Firefox/115.0"},
    {os_family::netbsd,
     "Mozilla/5.0 (compatible; Konqueror/3.5; NetBSD 4.0_RC3; X11) KHTML/3.5.7 (like Gecko)"},
    {os_family::dragonfly, "Mozilla/5.0 (X11; DragonFly x86_64; rv:60.0) Gecko/20100101 Firefox/60.0"},
    {os_family::solaris,
     "Mozilla/5.0 (X11; U; SunOS i86pc; en-US; rv:1.8.0.5) Gecko/20060728 Firefox/1.5.0.5"},
    // other systems
    {os_family::unknown,
     "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Version/13.0 Safari/605.1.15"},
    {os_family::unknown,
     "Mozilla/5.0 (PlayStation Vita 1.81) AppleWebKit/531.22.8 (KHTML, like Gecko) Silk/3.2"},
    {os_family::unknown, "Mozilla/4.0 (PSP (PlayStation Portable); 2.00)"},
    {os_family::unknown,
     "Mozilla/5.0 (Nintendo Switch; WebApplet) AppleWebKit/606.4 (KHTML, like Gecko) "
     "NF/6.0.1.15.4 NintendoBrowser/5.1.0.20393"},
    {os_family::unknown,
     "Mozilla/5.0 (BB10; Touch) AppleWebKit/537.3+ (KHTML, like Gecko) Version/10.0.9.388 Mobile "
     "Safari/537.3+"},
    {os_family::unknown,
     "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/114.0.0.0 Safari/537.36  ArkWeb/4.1.6.1 Mobile"},
    {os_family::unknown, "AppleCoreMedia/1.0.0.12F69 (Apple TV; U; CPU OS 8_3 like Mac OS X; en_us)"},
    {os_family::unknown, "Roku/DVP-6.2 (096.02E06005A)"},
    {os_family::unknown,
     "Mozilla/5.0 (SymbianOS/9.4; U; Series60/5.0 Nokia5800d-1/21.0.025; Profile/MIDP-2.1 "
     "Configuration/CLDC-1.1 ) AppleWebKit/413 (KHTML, like Gecko) Safari/413"},
    // tools
    {os_family::unknown, "curl/8.5.0"},
    {os_family::unknown, "curl/7.19.7 (x86_64-redhat-linux-gnu) libcurl/7.19.7 NSS/3.27.1 zlib/1.2.3"},
    {os_family::unknown, "Wget/1.20.3 (linux-gnu)"},
    {os_family::unknown, "python-requests/2.31.0"},
    {os_family::unknown, "Go-http-client/1.1"},
    {os_family::unknown, "Docker-Client/27.3.1 (linux)"},
    {os_family::unknown, "Debian APT-HTTP/1.3 (1.2.32)"},
    {os_family::unknown, "Java/1.8.0_301"},
    // robots and proxies, whatever they wear
    {os_family::unknown, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    {os_family::unknown,
     "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like "
     "Gecko) Chrome/126.0.6478.126 Mobile Safari/537.36 (compatible; Googlebot/2.1; "
     "+http://www.google.com/bot.html)"},
    {os_family::unknown,
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) "
     "Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)"},
    {os_family::unknown,
     "Mozilla/5.0 (iPhone; CPU iPhone OS 7_0 like Mac OS X) AppleWebKit/537.51.1 (KHTML, like "
     "Gecko) Version/7.0 Mobile/11A465 Safari/9537.53 BingPreview/1.0b"},
    {os_family::unknown,
     "Mozilla/5.0 (iPhone; CPU iPhone OS 8_3 like Mac OS X) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Version/8.0 Mobile/12F70 Safari/600.1.4 (compatible; Google Page Speed Insights)"},
    {os_family::unknown,
     "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"},
    {os_family::unknown,
     "Opera/9.80 (Android; Opera Mini/36.2.2254/119.132; U; id) Presto/2.12.423 Version/12.16"},
    {os_family::unknown,
     "UCWEB/2.0 (Windows; U; wds 8.0; zh-CN; NOKIA; RM-910_apac_prc_200) U2/1.0.0 "
     "UCBrowser/3.0.1.302 U2/1.0.0 Mobile"},
    {os_family::unknown, "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"},
};
static_assert(std::size(real) >= 60);

TEST(os_in_user_agent, real_ones) {
  for (const auto& [family, agent] : real) EXPECT_EQ(to_string(of(agent)), to_string(family)) << agent;
}

static_assert([] {
  for (const known& k : real) {
    if (of(k.agent) != k.family) return false;
  }
  return true;
}());

TEST(os_in_user_agent, an_item_counts_by_how_it_begins) {
  EXPECT_EQ(of(""), os_family::unknown);
  EXPECT_EQ(of("Linux"), os_family::unknown);
  EXPECT_EQ(of("x (Linux)"), os_family::linux_);
  EXPECT_EQ(of("x (;;  Linux )"), os_family::linux_);
  EXPECT_EQ(of("x (like Linux)"), os_family::unknown);
  EXPECT_EQ(of("x (Linuxlike)"), os_family::unknown);
  EXPECT_EQ(of("x (a) (Linux)"), os_family::unknown);
  EXPECT_EQ(of("x (Linux; Windows)"), os_family::windows);
  EXPECT_EQ(of("x (Windows; Android 4)"), os_family::windows);
  EXPECT_EQ(of("x (Android 4; Windows)"), os_family::android);
  EXPECT_EQ(of("x (X11; Windows NT 6.1)"), os_family::unknown);
  EXPECT_EQ(of("x (a (b; c); Linux)"), os_family::linux_);
  EXPECT_EQ(of(")(Linux"), os_family::linux_);
  EXPECT_EQ(of("("), os_family::unknown);
  EXPECT_EQ(of("x (Windows) (compatible; y)"), os_family::unknown);
  EXPECT_EQ(of("x (compatible; Windows)"), os_family::windows);
}

TEST(os_in_user_agent, looks_at_the_beginning_only) {
  EXPECT_EQ(of(std::string(1017, ' ') + "(Linux)"), os_family::linux_);
  EXPECT_EQ(of(std::string(1018, ' ') + "(Linux"), os_family::linux_);
  EXPECT_EQ(of(std::string(1019, ' ') + "(Linux)"), os_family::unknown);
  EXPECT_EQ(of(std::string(1 << 20, '(')), os_family::unknown);
}

static_assert(same_tcp(os_family::android, os_family::linux_) && same_tcp(os_family::ios, os_family::macos));
static_assert(!same_tcp(os_family::windows, os_family::linux_) &&
              !same_tcp(os_family::unknown, os_family::ios));

}  // namespace
