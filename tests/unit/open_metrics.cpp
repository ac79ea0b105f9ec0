// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>

#include <synfp/open_metrics.hpp>

namespace {

using synfp::metrics_format;

std::string written(metrics_format format) {
  std::string text;
  synfp::open_metrics out(text, format);
  out.counter("a_b", "What\nit \"is\" \\ not.", 18446744073709551615U);
  out.gauge("wait_seconds", "seconds", "Time.", 0.25);
  out.family("wait", "histogram", "", "Times.");
  out.sample("_bucket", {{"le", "0.001"}, {"to", "a\"b\\c\nd"}}, 3);
  out.end();
  return text;
}

TEST(open_metrics, both_formats) {
  EXPECT_EQ(written(metrics_format::open_metrics),
            "# TYPE a_b counter\n"
            "# HELP a_b What\\nit \\\"is\\\" \\\\ not.\n"
            "a_b_total 18446744073709551615\n"
            "# TYPE wait_seconds gauge\n"
            "# UNIT wait_seconds seconds\n"
            "# HELP wait_seconds Time.\n"
            "wait_seconds 0.25\n"
            "# TYPE wait histogram\n"
            "# HELP wait Times.\n"
            "wait_bucket{le=\"0.001\",to=\"a\\\"b\\\\c\\nd\"} 3\n"
            "# EOF\n");
  EXPECT_EQ(written(metrics_format::text),
            "# TYPE a_b_total counter\n"
            "# HELP a_b_total What\\nit \"is\" \\\\ not.\n"
            "a_b_total 18446744073709551615\n"
            "# TYPE wait_seconds gauge\n"
            "# HELP wait_seconds Time.\n"
            "wait_seconds 0.25\n"
            "# TYPE wait histogram\n"
            "# HELP wait Times.\n"
            "wait_bucket{le=\"0.001\",to=\"a\\\"b\\\\c\\nd\"} 3\n");
}

TEST(open_metrics, numbers_read_back) {
  EXPECT_EQ(synfp::metric_number(0.001).view(), "0.001");
  EXPECT_EQ(synfp::metric_number(600.0).view(), "600");
  EXPECT_EQ(synfp::metric_number(-3).view(), "-3");
}

}  // namespace
