// SPDX-License-Identifier: MIT
// GET /metrics: what a server does, for Prometheus and others.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfp/capture/lookup.hpp>
#include <synfp/fingerprint/p0f.hpp>
#include <synfp/http/accept.hpp>
#include <synfp/http/detail/per_thread.hpp>
#include <synfp/http/detail/space_saving.hpp>
#include <synfp/http/observer.hpp>
#include <synfp/http/request.hpp>
#include <synfp/http/response.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/net/listener.hpp>
#include <synfp/open_metrics.hpp>

SYNFP_BEGIN_NAMESPACE
namespace http {

namespace detail {

/// A number that one thread counts and others read.
class relaxed_counter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

inline constexpr std::size_t methods = static_cast<std::size_t>(method::other) + 1;
inline constexpr std::size_t causes = static_cast<std::size_t>(cause::failed) + 1;
inline constexpr std::size_t refusals = static_cast<std::size_t>(refusal::target_misdirected) + 1;
inline constexpr std::size_t endings = static_cast<std::size_t>(ending::stopped) + 1;
inline constexpr std::size_t sources = static_cast<std::size_t>(capture_source::fixed) + 1;
inline constexpr std::size_t proofs = static_cast<std::size_t>(proof::exact) + 1;
inline constexpr std::size_t misses = static_cast<std::size_t>(miss::ambiguous) + 1;

/// Upper bounds of a request's time, inclusive; what took longer comes behind the last.
struct duration_bound {
  std::int64_t ns;
  std::string_view seconds;
};
inline constexpr std::array<duration_bound, 16> duration_bounds{{{50'000, "0.00005"},
                                                                 {100'000, "0.0001"},
                                                                 {250'000, "0.00025"},
                                                                 {500'000, "0.0005"},
                                                                 {1'000'000, "0.001"},
                                                                 {2'500'000, "0.0025"},
                                                                 {5'000'000, "0.005"},
                                                                 {10'000'000, "0.01"},
                                                                 {25'000'000, "0.025"},
                                                                 {50'000'000, "0.05"},
                                                                 {100'000'000, "0.1"},
                                                                 {250'000'000, "0.25"},
                                                                 {500'000'000, "0.5"},
                                                                 {1'000'000'000, "1.0"},
                                                                 {2'500'000'000, "2.5"},
                                                                 {10'000'000'000, "10.0"}}};

struct counted_by_ring {
  std::string_view name, help;
  std::uint64_t io::ring_counters::*from;
};
inline constexpr std::array<counted_by_ring, 4> ring_families{
    {{"synfp_ring_paused", "Receives that were stopped, as the connection held too much unread.",
      &io::ring_counters::paused},
     {"synfp_ring_parked", "Readers that waited for a receive buffer.", &io::ring_counters::parked},
     {"synfp_ring_copied", "Received chunks that were copied, as few buffers were left.",
      &io::ring_counters::copied},
     {"synfp_ring_shed", "Connections that lost their output, as too much waited to be sent.",
      &io::ring_counters::shed}}};

struct counted_by_listener {
  std::string_view name, help;
  std::uint64_t net::listener_counters::*from;
};
inline constexpr std::array<counted_by_listener, 6> listener_families{
    {{"synfp_server_accepted", "Connections accepted.", &net::listener_counters::accepted},
     {"synfp_server_gone", "Connections that the peer had reset before they were served.",
      &net::listener_counters::gone},
     {"synfp_server_aborted", "Connections that failed while they were accepted.",
      &net::listener_counters::aborted},
     {"synfp_server_shortages", "Accepts put off for want of descriptors or memory.",
      &net::listener_counters::out_of_resources},
     {"synfp_server_spared", "Idle connections told to end because descriptors ran short.",
      &net::listener_counters::spared},
     {"synfp_server_rearmed", "Submissions of the multishot accept.", &net::listener_counters::rearmed}}};

/// What one thread counts.
struct thread_metrics {
  relaxed_counter opened, bytes, cut, time_ns;
  std::array<relaxed_counter, endings> closed;
  std::array<std::array<relaxed_counter, 6>, methods> requests;  // by the first digit of the status
  std::array<relaxed_counter, causes> causes_of;
  std::array<relaxed_counter, refusals> refused_for;
  std::array<relaxed_counter, duration_bounds.size() + 1> took;
  std::array<std::array<relaxed_counter, proofs>, sources> found;
  std::array<relaxed_counter, misses> missed;
  std::array<relaxed_counter, ring_families.size()> ring;
  std::array<relaxed_counter, listener_families.size()> listeners;
  space_saving<128, 234> fingerprints;
  const void* ring_counted_by = nullptr;  // of its watches, the one that does; the thread's own
};

}  // namespace detail

/// An observer that counts, and the page that shows it. Nothing in it is locked, and no thread writes what
/// another one writes: a page sums up what the threads have. It must outlive what it observes, and be
/// destroyed after the rings of its watches. About 45 KiB for each thread.
class metrics {
 public:
  /// How many fingerprints a page shows: the most frequent ones.
  static constexpr std::size_t most_fingerprints = 32;

  metrics() noexcept = default;
  metrics(const metrics&) = delete;
  metrics& operator=(const metrics&) = delete;

  // ---- as an observer ----

  void opened(const net::connection_facts& facts) noexcept {
    detail::thread_metrics* const t = threads_.local();
    if (t == nullptr) return;
    t->opened.add();
    if (!facts.syn) {
      t->missed[static_cast<std::size_t>(facts.syn.miss)].add();
      return;
    }
    t->found[static_cast<std::size_t>(facts.syn.source)][static_cast<std::size_t>(facts.syn.proof)].add();
    if (const auto signature = fingerprint::p0f(*facts.syn)) (void)t->fingerprints.count(signature->view());
  }
  void closed(const net::connection_facts&, ending why) noexcept {
    if (detail::thread_metrics* const t = threads_.local()) t->closed[static_cast<std::size_t>(why)].add();
  }
  void answered(const exchange& e) noexcept {
    detail::thread_metrics* const t = threads_.local();
    if (t == nullptr) return;
    t->requests[static_cast<std::size_t>(e.method)][static_cast<std::size_t>(e.status / 100) % 6].add();
    t->causes_of[static_cast<std::size_t>(e.cause)].add();
    if (e.refused_for != refusal::none) t->refused_for[static_cast<std::size_t>(e.refused_for)].add();
    t->bytes.add(e.bytes);
    if (!e.complete) t->cut.add();
    const std::int64_t ns = e.duration.count();
    std::size_t i = 0;
    while (i < detail::duration_bounds.size() && ns > detail::duration_bounds[i].ns) ++i;
    t->took[i].add();
    t->time_ns.add(ns < 0 ? 0 : static_cast<std::uint64_t>(ns));
  }

  /// Adds what a listener and its ring count, for as long as it lives: put it at the beginning of the task
  /// that accepts. On the ring's thread.
  class watch final : private io::turn_callback {
   public:
    watch(metrics& m, const net::listener& l) : listener_(&l), ring_(&l.ring()), thread_(m.threads_.local()) {
      if (thread_ == nullptr) return;
      if (thread_->ring_counted_by == nullptr) thread_->ring_counted_by = this;
      ring_->add_turn_callback(*this);
    }
    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;
    ~watch() {
      if (thread_ == nullptr) return;
      end_of_reap();
      ring_->remove_turn_callback(*this);
      if (thread_->ring_counted_by == this) thread_->ring_counted_by = nullptr;
    }

   private:
    void end_of_reap() override {
      const net::listener_counters& accepting = listener_->counters();
      for (std::size_t i = 0; i < detail::listener_families.size(); ++i)
        add(thread_->listeners[i], accepting, accepting_, detail::listener_families[i].from);
      if (thread_->ring_counted_by != this) return;
      const io::ring_counters& turning = ring_->counters();
      for (std::size_t i = 0; i < detail::ring_families.size(); ++i)
        add(thread_->ring[i], turning, turning_, detail::ring_families[i].from);
    }
    template <class Counters>
    static void add(detail::relaxed_counter& to, const Counters& now, Counters& before,
                    std::uint64_t Counters::*which) noexcept {
      if (now.*which == before.*which) return;
      to.add(now.*which - before.*which);
      before.*which = now.*which;
    }

    const net::listener* listener_;
    io::ring* ring_;
    detail::thread_metrics* thread_;
    net::listener_counters accepting_{};  // as counted
    io::ring_counters turning_{};
  };

  // ---- the page ----

  /// `http::get<"/metrics">(metrics.page())`: OpenMetrics for who asks for it in Accept, else the older text,
  /// which every scraper and promtool read. With `more`: more(open_metrics<text_type>&) adds families, for
  /// instance those of a probe: capture::write_metrics(). Called by the thread that answers, which waits.
  template <class More>
  auto page(More more) const {
    return [this, more = std::move(more)](const request& q) {
      const bool open = accept_weight(q, "application/openmetrics-text") != 0;
      const auto format = open ? metrics_format::open_metrics : metrics_format::text;
      text_type out;
      open_metrics writer(out, format);
      write(writer);
      more(writer);
      writer.end();
      response r = text(std::move(out));
      (void)r.set_content_type(content_type_of(format));  // a valid field
      return r;
    };
  }
  auto page() const {
    return page([](open_metrics<text_type>&) {});
  }

  /// All families but the end.
  template <class Text>
  void write(open_metrics<Text>& out) const {
    write_connections(out);
    write_requests(out);
    write_captures(out);
    write_fingerprints(out);
    for (std::size_t i = 0; i < detail::listener_families.size(); ++i) {
      const auto& f = detail::listener_families[i];
      out.counter(f.name, f.help, sum([i](const auto& t) { return t.listeners[i].get(); }));
    }
    for (std::size_t i = 0; i < detail::ring_families.size(); ++i) {
      const auto& f = detail::ring_families[i];
      out.counter(f.name, f.help, sum([i](const auto& t) { return t.ring[i].get(); }));
    }
  }

 private:
  template <class F>
  std::uint64_t sum(F of) const {
    std::uint64_t all = 0;
    threads_.for_each([&all, &of](const detail::thread_metrics& t) { all += of(t); });
    return all;
  }

  template <class Text>
  void write_connections(open_metrics<Text>& out) const {
    std::array<std::uint64_t, detail::endings> closed_for{};
    std::uint64_t closed = 0;
    for (std::size_t i = 0; i < detail::endings; ++i)
      closed += closed_for[i] = sum([i](const auto& t) { return t.closed[i].get(); });
    const std::uint64_t opened = sum([](const auto& t) { return t.opened.get(); });  // later: not fewer
    out.counter("synfp_http_connections", "Connections served.", opened);
    out.gauge("synfp_http_open_connections", "", "Connections that are being served.",
              opened > closed ? opened - closed : 0);
    out.family("synfp_http_closed", "counter", "", "Connections that ended, by reason.");
    for (std::size_t i = 0; i < detail::endings; ++i)
      out.sample("_total", {{"reason", to_string(static_cast<ending>(i))}}, closed_for[i]);
  }

  template <class Text>
  void write_requests(open_metrics<Text>& out) const {
    out.family("synfp_http_requests", "counter", "", "Responses, by method and class of the status.");
    constexpr std::array<std::string_view, 6> classes{"unknown", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (std::size_t m = 0; m < detail::methods; ++m) {
      for (std::size_t c = 0; c < classes.size(); ++c) {
        const auto n = sum([m, c](const auto& t) { return t.requests[m][c].get(); });
        const std::string_view name =
            static_cast<method>(m) == method::other ? "other" : to_string(static_cast<method>(m));
        if (n != 0) out.sample("_total", {{"method", name}, {"status", classes[c]}}, n);
      }
    }
    out.family("synfp_http_responses", "counter", "", "Responses, by what made them.");
    for (std::size_t c = 0; c < detail::causes; ++c) {
      const auto n = sum([c](const auto& t) { return t.causes_of[c].get(); });
      out.sample("_total", {{"cause", to_string(static_cast<cause>(c))}}, n);
    }
    out.family("synfp_http_refusals", "counter", "", "Requests refused, by reason.");
    for (std::size_t i = 1; i < detail::refusals; ++i) {
      const auto n = sum([i](const auto& t) { return t.refused_for[i].get(); });
      if (n != 0) out.sample("_total", {{"reason", to_string(static_cast<refusal>(i))}}, n);
    }
    out.counter("synfp_http_cut_responses", "Streams that ended early: the client left, or they failed.",
                sum([](const auto& t) { return t.cut.get(); }));
    out.family("synfp_http_response_bytes", "counter", "bytes", "Bytes of responses.");
    out.sample("_total", {}, sum([](const auto& t) { return t.bytes.get(); }));
    out.family("synfp_http_request_duration_seconds", "histogram", "seconds",
               "From the first byte of a request to the last one of its response.");
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < detail::duration_bounds.size(); ++i) {
      below += sum([i](const auto& t) { return t.took[i].get(); });
      out.sample("_bucket", {{"le", detail::duration_bounds[i].seconds}}, below);
    }
    below += sum([](const auto& t) { return t.took.back().get(); });
    out.sample("_bucket", {{"le", "+Inf"}}, below);
    out.sample("_sum", {}, static_cast<double>(sum([](const auto& t) { return t.time_ns.get(); })) / 1e9);
    out.sample("_count", {}, below);
  }

  template <class Text>
  void write_captures(open_metrics<Text>& out) const {
    out.family("synfp_capture_found", "counter", "",
               "Connections whose SYN is known, by its source and how sure that is.");
    for (std::size_t s = 0; s < detail::sources; ++s) {
      for (std::size_t p = 0; p < detail::proofs; ++p) {
        const auto n = sum([s, p](const auto& t) { return t.found[s][p].get(); });
        if (n == 0) continue;
        out.sample("_total",
                   {{"source", to_string(static_cast<capture_source>(s))},
                    {"proof", to_string(static_cast<proof>(p))}},
                   n);
      }
    }
    out.family("synfp_capture_missed", "counter", "", "Connections whose SYN is not known, by reason.");
    for (std::size_t i = 1; i < detail::misses; ++i) {
      const auto n = sum([i](const auto& t) { return t.missed[i].get(); });
      if (n != 0) out.sample("_total", {{"miss", to_string(static_cast<miss>(i))}}, n);
    }
  }

  /// A gauge, since a fingerprint that has become rare is not shown any more.
  template <class Text>
  void write_fingerprints(open_metrics<Text>& out) const {
    std::vector<std::pair<std::string, std::uint64_t>> all;
    threads_.for_each([&all](const detail::thread_metrics& t) {
      t.fingerprints.for_each(
          [&all](std::string_view text, std::uint64_t least) { all.emplace_back(text, least); });
    });
    std::sort(all.begin(), all.end());
    std::size_t kept = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {  // one of each, with the sum of all threads
      if (kept != 0 && all[kept - 1].first == all[i].first) {
        all[kept - 1].second += all[i].second;
      } else {
        std::swap(all[kept++], all[i]);
      }
    }
    all.resize(kept);
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    if (all.size() > most_fingerprints) all.resize(most_fingerprints);
    out.family("synfp_fingerprint_connections", "gauge", "",
               "Connections of the most frequent p0f signatures, at least.");
    for (const auto& [text, least] : all) out.sample("", {{"p0f", text}}, least);
  }

  detail::per_thread<detail::thread_metrics> threads_;
};

}  // namespace http
SYNFP_END_NAMESPACE
