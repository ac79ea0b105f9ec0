// SPDX-License-Identifier: MIT
// The options of synfpd, for the program and for its man page.
#pragma once

#include <CLI/CLI.hpp>

#include "../cli/manual.hpp"
#include "settings.hpp"

namespace synfp::tools {

inline void set_up(CLI::App& app, daemon_settings& s) {
  app.name("synfpd");
  app.description("keeps a probe that gives servers the SYN of each connection, without privileges");
  app.formatter_fn([](const CLI::App* of, const std::string&, CLI::AppFormatMode) { return cli::help(*of); });
  app.set_help_flag("-h,--help", "say what there is, and end");
  app.set_version_flag("--version", "synfpd " + cli::version(), "say the version, and end");
  app.add_option("--cgroup", s.cgroups,
                 "a directory of cgroup v2: sockets made in it or below answer with their SYN; repeatable; "
                 "default: all of the machine")
      ->type_name("PATH")
      ->allow_extra_args(false);
  app.add_option("--hook", s.hook,
                 "what captures; auto: sockops, or xdp with --interface, or reuseport without cgroup v2")
      ->check(CLI::IsMember({"auto", "sockops", "reuseport", "xdp", "tcx", "kprobe"}))
      ->type_name("HOOK")
      ->capture_default_str();
  app.add_option("--interface", s.interfaces, "the interface that xdp or tcx watches; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app.add_option("--port", s.ports, "a local port of interest; up to 8; default: all")
      ->check(CLI::Range(1, 65535))
      ->type_name("N")
      ->allow_extra_args(false);
  app.add_option("--buckets", s.buckets, "size of the table, a power of two, 2 KiB each; see 'synfp sizing'")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--pin", s.pin, "a directory on a bpffs, in which everything is kept")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--socket", s.socket,
                 "a Unix socket that hands the table to clients, for those without a bpffs")
      ->type_name("PATH")
      ->capture_default_str();
  app.add_option("--group", s.group, "who may read the table, besides root: a name or a number")
      ->type_name("NAME");
  app.add_option("--metrics", s.metrics, "serve OpenMetrics there: 127.0.0.1:9100")->type_name("ADDRESS");
  app.add_flag("--remove", s.remove, "detach, remove the pins, and end");
  app.footer(
      R"(A server in any language gets the SYN by getsockopt(TCP_SAVED_SYN); one of the library opens the socket or the
pins. synfpd prints one line that says what is attached where, and what listeners it does not reach.

SIGTERM ends it and leaves the probe attached; the next start takes it over without a gap. SIGHUP starts it
again, with a new version of the program if there is one. --remove ends the probe too.

Exit status: 0, or 2 if it could not start: then nothing was attached, and what was attached before stays.

  synfpd --cgroup /sys/fs/cgroup/system.slice --group www-data
  synfpd --hook xdp --interface eth0 --port 443 --metrics 127.0.0.1:9100
  synfp stats --pinned /run/synfpd.socket
  synfpd --remove)");
}

}  // namespace synfp::tools
