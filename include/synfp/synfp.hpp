// SPDX-License-Identifier: MIT
// All that a program names, without fingerprint/ja4t.hpp, whose method is not free for every use:
// synfp::server and routes, capture sources, fingerprints, JSON. What these need comes with them. Programs
// that use a part include that part: compile time and libraries follow from the headers.
#pragma once

#include <synfp/capture/census.hpp>        // IWYU pragma: export
#include <synfp/capture/counters.hpp>      // IWYU pragma: export
#include <synfp/capture/first_of.hpp>      // IWYU pragma: export
#include <synfp/capture/fixed.hpp>         // IWYU pragma: export
#include <synfp/capture/metrics.hpp>       // IWYU pragma: export
#include <synfp/capture/pin.hpp>           // IWYU pragma: export
#include <synfp/capture/probe.hpp>         // IWYU pragma: export
#include <synfp/capture/saved_syn.hpp>     // IWYU pragma: export
#include <synfp/capture/scan.hpp>          // IWYU pragma: export
#include <synfp/capture/socket.hpp>        // IWYU pragma: export
#include <synfp/capture/table.hpp>         // IWYU pragma: export
#include <synfp/endpoint.hpp>              // IWYU pragma: export
#include <synfp/fingerprint/haproxy.hpp>   // IWYU pragma: export
#include <synfp/fingerprint/identify.hpp>  // IWYU pragma: export
#include <synfp/fingerprint/ja3.hpp>       // IWYU pragma: export
#include <synfp/fingerprint/ja4.hpp>       // IWYU pragma: export
#include <synfp/fingerprint/muonfp.hpp>    // IWYU pragma: export
#include <synfp/fingerprint/ndpi.hpp>      // IWYU pragma: export
#include <synfp/fingerprint/p0f.hpp>       // IWYU pragma: export
#include <synfp/fingerprint/pfos.hpp>      // IWYU pragma: export
#include <synfp/fingerprint/satori.hpp>    // IWYU pragma: export
#include <synfp/http/accept.hpp>           // IWYU pragma: export
#include <synfp/http/access_log.hpp>       // IWYU pragma: export
#include <synfp/http/body_reader.hpp>      // IWYU pragma: export
#include <synfp/http/events.hpp>           // IWYU pragma: export
#include <synfp/http/health.hpp>           // IWYU pragma: export
#include <synfp/http/metrics.hpp>          // IWYU pragma: export
#include <synfp/http/routes.hpp>           // IWYU pragma: export
#include <synfp/http/serve.hpp>            // IWYU pragma: export
#include <synfp/http/stream.hpp>           // IWYU pragma: export
#include <synfp/io/offload.hpp>            // IWYU pragma: export
#include <synfp/io/timer.hpp>              // IWYU pragma: export
#include <synfp/json.hpp>                  // IWYU pragma: export
#include <synfp/json_hello.hpp>            // IWYU pragma: export
#include <synfp/net/server.hpp>            // IWYU pragma: export
#include <synfp/net/stop_on_signal.hpp>    // IWYU pragma: export
#include <synfp/open_metrics.hpp>          // IWYU pragma: export
#include <synfp/privilege.hpp>             // IWYU pragma: export
#include <synfp/probe_config.hpp>          // IWYU pragma: export
#include <synfp/service/inherited.hpp>     // IWYU pragma: export
#include <synfp/service/notify.hpp>        // IWYU pragma: export
#include <synfp/sizing.hpp>                // IWYU pragma: export
#include <synfp/syn_record.hpp>            // IWYU pragma: export
#include <synfp/tls/hello_parser.hpp>      // IWYU pragma: export
