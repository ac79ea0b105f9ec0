// SPDX-License-Identifier: MIT
// GET /metrics and GET /healthz, on a thread of its own.
#pragma once

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <synfp/capture/census.hpp>
#include <synfp/capture/metrics.hpp>
#include <synfp/http/routes.hpp>
#include <synfp/http/serve.hpp>
#include <synfp/net/server.hpp>
#include <synfp/open_metrics.hpp>

#include "keeper.hpp"

namespace synfp::tools {

class metrics_server {
 public:
  /// Listens. `k` must outlive it.
  metrics_server(const std::string& address, const keeper& k) : keeper_(k), server_(address, none_) {}
  ~metrics_server() {
    if (!thread_.joinable()) return;
    server_.stop(std::chrono::seconds(1));
    thread_.join();
  }
  metrics_server(const metrics_server&) = delete;
  metrics_server& operator=(const metrics_server&) = delete;

  /// Serves from now on.
  void start() {
    thread_ = std::thread([this] {
      http::routes routes{http::get<"/metrics">([this](const http::request&) { return metrics(); }),
                          http::get<"/healthz">([this](const http::request&) { return health(); })};
      (void)server_.try_run(
          [&](net::listener& listener) -> task<> {
            while (auto accepted = co_await listener.accept())
              spawn(http::serve(std::move(*accepted), routes));
          },
          [] {});
    });
  }

 private:
  http::response metrics() const {
    http::text_type text;
    open_metrics out(text);
    capture::write_metrics(out, keeper_.records(),
                           capture::census::take(keeper_.records(), capture::now_ns()));
    out.gauge("synfpd_alive", "", "1 as long as the probe is attached.", keeper_.alive() ? 1 : 0);
    out.end();
    http::response answer = http::text(std::move(text));
    (void)answer.set_content_type(content_type_of(metrics_format::open_metrics));
    return answer;
  }
  http::response health() const {
    http::response answer = http::text(keeper_.alive() ? "ok\n" : "not attached\n");
    answer.set_status(keeper_.alive() ? 200 : 503);
    return answer;
  }

  const keeper& keeper_;
  capture::none none_;
  net::server server_;
  std::thread thread_;
};

}  // namespace synfp::tools
