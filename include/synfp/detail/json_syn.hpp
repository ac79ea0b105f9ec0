// SPDX-License-Identifier: MIT
// The JSON objects of a SYN's headers.
#pragma once

#include <string_view>
#include <utility>  // exchange

#include <synfp/detail/json_writer.hpp>
#include <synfp/syn_record.hpp>

SYNFP_BEGIN_NAMESPACE
namespace detail {

template <class Text>
void write_json_ip(json_writer<Text>& out, const ip_view& ip) {
  out.put(R"({"version":)");
  out.number(ip.version());
  out.put(R"(,"header_length":)");
  out.number(ip.header_length());
  out.put(R"(,"tos":)");
  out.number(ip.tos());
  if (ip.is_v4()) {
    out.put(R"(,"id":)");
    out.number(ip.id());
    out.put(R"(,"dont_fragment":)");
    out.boolean(ip.dont_fragment());
    out.put(R"(,"ttl":)");
    out.number(ip.ttl());
    out.put(R"(,"flow_label":null})");
  } else {
    out.put(R"(,"id":null,"dont_fragment":null,"ttl":)");
    out.number(ip.ttl());
    out.put(R"(,"flow_label":)");
    out.number(ip.flow_label());
    out.put('}');
  }
}

template <class Text>
void write_json_options(json_writer<Text>& out, tcp_option_walk walk) {
  bool first = true;
  const auto separate = [&] {
    if (!std::exchange(first, false)) out.put(',');
  };
  while (const auto option = walk.next()) {
    separate();
    const std::string_view name = tcp_option_name(option->kind);
    if (!name.empty()) {
      out.plain(name);
      continue;
    }
    out.put(R"("?)");
    out.number(option->kind);
    out.put('"');
  }
  if (walk.end_of_list()) {
    separate();
    out.plain(tcp_option_name(tcp_option::eol));
  }
}

template <class Text>
void write_json_tcp(json_writer<Text>& out, const syn_record& syn) {
  const tcp_view tcp = syn.tcp();
  out.put(R"({"sequence":)");
  out.number(tcp.sequence());
  out.put(R"(,"acknowledgment":)");
  out.number(tcp.acknowledgment());
  out.put(R"(,"flags":[)");
  bool first = true;
  constexpr std::string_view names[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"};
  unsigned flags = tcp.flags();
  for (const std::string_view name : names) {
    if ((flags & 1U) != 0) {
      if (!std::exchange(first, false)) out.put(',');
      out.plain(name);
    }
    flags >>= 1;
  }
  const auto known = tcp.known();
  out.put(R"(],"window":)");
  out.number(tcp.window());
  out.put(R"(,"urgent_pointer":)");
  out.number(tcp.urgent_pointer());
  out.put(R"(,"mss":)");
  out.number(known.mss);
  out.put(R"(,"window_scale":)");
  out.number(known.window_scale);
  out.put(R"(,"sack_permitted":)");
  out.boolean(known.sack_permitted);
  if (known.timestamp) {
    out.put(R"(,"timestamp":{"value":)");
    out.number(known.timestamp->value);
    out.put(R"(,"echo":)");
    out.number(known.timestamp->echo);
    out.put(R"(},"options":[)");
  } else {
    out.put(R"(,"timestamp":null,"options":[)");
  }
  write_json_options(out, tcp.options());
  out.put(R"(],"payload":)");
  out.boolean(syn.has_payload());
  out.put('}');
}

}  // namespace detail
SYNFP_END_NAMESPACE
