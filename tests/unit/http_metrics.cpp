// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <synfp/http/health.hpp>
#include <synfp/http/metrics.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>

#include "../support/loopback.hpp"
#include "../support/syns.hpp"

namespace {

using namespace std::chrono_literals;
namespace http = synfp::http;
namespace net = synfp::net;
namespace test = synfp::test;
using testing::HasSubstr;
using testing::Not;

std::string page_of(const http::metrics& m, synfp::metrics_format format = synfp::metrics_format::text) {
  std::string text;
  synfp::open_metrics out(text, format);
  m.write(out);
  out.end();
  return text;
}
/// The value of the line that begins with `name` and a blank.
std::string value(const std::string& page, std::string_view name) {
  const std::string start = "\n" + std::string(name) + " ";
  const auto at = page.find(start);
  if (at == page.npos) return "none";
  const auto begin = at + start.size();
  return page.substr(begin, page.find('\n', begin) - begin);
}

net::connection_facts facts_with(const synfp::syn_record& syn) {
  net::connection_facts facts;
  facts.syn.record = syn;
  facts.syn.source = synfp::capture_source::xdp;
  facts.syn.proof = synfp::proof::verified;
  facts.syn.miss = synfp::miss::none;
  return facts;
}

TEST(http_metrics, counts_what_it_is_told) {
  http::metrics m;
  net::connection_facts missed;
  missed.syn = synfp::syn_lookup::missed(synfp::miss::stale);
  const auto found = facts_with(test::linux_record);
  m.opened(missed);
  m.opened(found);
  m.closed(missed, http::ending::idle);
  http::exchange e{.connection = found};
  e.method = http::method::get;
  e.status = 200;
  e.bytes = 100;
  e.duration = 1ms;  // a bound belongs to its bucket
  m.answered(e);
  e.duration = 1ms + 1ns;
  m.answered(e);
  e.duration = 60s;
  m.answered(e);
  e.method = http::method::other;
  e.status = 400;
  e.cause = http::cause::refused;
  e.refused_for = http::refusal::host_missing;
  e.duration = 0ns;
  e.complete = false;
  m.answered(e);
  const std::string page = page_of(m);
  EXPECT_EQ(value(page, "synfp_http_connections_total"), "2");
  EXPECT_EQ(value(page, "synfp_http_open_connections"), "1");
  EXPECT_EQ(value(page, R"(synfp_http_requests_total{method="GET",status="2xx"})"), "3");
  EXPECT_EQ(value(page, R"(synfp_http_requests_total{method="other",status="4xx"})"), "1");
  EXPECT_EQ(value(page, R"(synfp_http_responses_total{cause="handler"})"), "3");
  EXPECT_EQ(value(page, R"(synfp_http_responses_total{cause="refused"})"), "1");
  EXPECT_EQ(value(page, R"(synfp_http_refusals_total{reason="no Host"})"), "1");
  EXPECT_EQ(value(page, "synfp_http_response_bytes_total"), "400");
  EXPECT_EQ(value(page, "synfp_http_cut_responses_total"), "1");
  EXPECT_EQ(value(page, R"(synfp_http_request_duration_seconds_bucket{le="0.00005"})"), "1");
  EXPECT_EQ(value(page, R"(synfp_http_request_duration_seconds_bucket{le="0.0005"})"), "1");
  EXPECT_EQ(value(page, R"(synfp_http_request_duration_seconds_bucket{le="0.001"})"), "2");
  EXPECT_EQ(value(page, R"(synfp_http_request_duration_seconds_bucket{le="0.0025"})"), "3");
  EXPECT_EQ(value(page, R"(synfp_http_request_duration_seconds_bucket{le="10.0"})"), "3");
  EXPECT_EQ(value(page, R"(synfp_http_request_duration_seconds_bucket{le="+Inf"})"), "4");
  EXPECT_EQ(value(page, "synfp_http_request_duration_seconds_count"), "4");
  EXPECT_EQ(value(page, "synfp_http_request_duration_seconds_sum"), "60.002000001");
  EXPECT_EQ(value(page, R"(synfp_capture_found_total{source="xdp",proof="verified"})"), "1");
  EXPECT_EQ(value(page, R"(synfp_capture_missed_total{miss="stale"})"), "1");
  EXPECT_EQ(value(page, "synfp_fingerprint_connections{p0f=\"" +
                            std::string(synfp::fingerprint::p0f(test::linux_record)->view()) + "\"}"),
            "1");
}

TEST(http_metrics, sums_up_threads) {
  http::metrics m;
  const net::connection_facts facts;
  std::atomic<bool> done{false};
  std::thread reader([&] {  // pages while they count
    while (!done) (void)page_of(m);
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      const auto found = facts_with(test::linux_record);
      for (int i = 0; i < 1000; ++i) {
        m.opened(found);
        http::exchange e{.connection = facts};
        e.status = 204;
        m.answered(e);
        m.closed(found, http::ending::done);
      }
    });
  }
  for (auto& t : threads) t.join();
  done = true;
  reader.join();
  const std::string page = page_of(m);
  EXPECT_EQ(value(page, "synfp_http_connections_total"), "4000");
  EXPECT_EQ(value(page, "synfp_http_open_connections"), "0");
  EXPECT_EQ(value(page, R"(synfp_http_requests_total{method="other",status="2xx"})"), "4000");
}

// Whoever sends SYNs chooses the fingerprints: neither the page nor the memory grows, and what is frequent
// stays visible among many that came once.
TEST(http_metrics, the_most_frequent_fingerprints_among_a_flood_of_others) {
  http::metrics m;
  test::packet_builder p = test::windows_packet();
  for (unsigned i = 0; i < 20000; ++i) {
    p.window = static_cast<std::uint16_t>(i + 1);
    m.opened(facts_with(test::record_of(p)));
    if (i >= 4000 && i % 20 == 0) m.opened(facts_with(test::linux_record));  // when all places are taken
  }
  const std::string page = page_of(m);
  std::size_t shown = 0;
  for (auto at = page.find("\nsynfp_fingerprint_connections{"); at != page.npos;
       at = page.find("\nsynfp_fingerprint_connections{", at + 1))
    ++shown;
  EXPECT_EQ(shown, 32U);
  const auto counted =
      std::stoi(value(page, "synfp_fingerprint_connections{p0f=\"" +
                                std::string(synfp::fingerprint::p0f(test::linux_record)->view()) + "\"}"));
  EXPECT_GT(counted, 700);
  EXPECT_LE(counted, 800);
}

TEST(http_metrics, counts_of_rings_and_listeners) {
  auto r = test::make_ring();
  auto fd = test::listen_on_loopback();
  const auto where = test::name_of(fd.get(), false);
  auto made = net::listener::create(*r, fd.release());
  ASSERT_TRUE(made);
  http::metrics m;
  http::health health;
  const http::routes routes{http::get<"/metrics">(m.page()), http::get<"/healthz">(health.page())};
  const auto accept_all = [&]() -> synfp::task<> {
    const http::metrics::watch counted(m, *made);
    const http::metrics::watch twice(m, *made);  // as for a second address: the ring counts once
    while (auto a = co_await made->accept()) synfp::spawn(http::serve(std::move(*a), routes, {}, m));
  };
  synfp::spawn(accept_all());
  const auto ask = [&](std::string_view request) {
    const auto client = test::connect_to(where);
    EXPECT_EQ(::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    std::string got;
    char some[65536];
    for (ssize_t n = -1; n != 0;) {
      r->poll();
      n = ::recv(client.get(), some, sizeof some, MSG_DONTWAIT);
      if (n > 0) got.append(some, static_cast<std::size_t>(n));
    }
    return got;
  };
  EXPECT_THAT(ask("GET /healthz HTTP/1.0\r\n\r\n"), testing::EndsWith("\r\n\r\nok\n"));
  health.stop();
  EXPECT_THAT(ask("GET /healthz HTTP/1.0\r\n\r\n"), testing::StartsWith("HTTP/1.1 503 "));
  const std::string older = ask("GET /metrics HTTP/1.0\r\n\r\n");
  EXPECT_THAT(older, HasSubstr("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(older, Not(HasSubstr("# EOF")));
  EXPECT_EQ(value(older, "synfp_server_accepted_total"), "6");  // three, by two watches
  EXPECT_EQ(value(older, "synfp_server_rearmed_total"), "2");
  EXPECT_EQ(value(older, "synfp_http_open_connections"), "1");
  EXPECT_EQ(value(older, R"(synfp_http_requests_total{method="GET",status="2xx"})"), "1");
  EXPECT_EQ(value(older, R"(synfp_capture_missed_total{miss="no_probe"})"), "3");
  const std::string newer = ask(
      "GET /metrics HTTP/1.0\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.3\r\n\r\n");
  EXPECT_THAT(newer,
              HasSubstr("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
  EXPECT_THAT(newer, testing::EndsWith("# EOF\n"));
  r->stop();
  test::run_to_end(*r);
  EXPECT_EQ(value(page_of(m), "synfp_server_accepted_total"), "8");  // what a watch saw stays
}

}  // namespace
