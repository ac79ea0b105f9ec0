// SPDX-License-Identifier: MIT
// What the visitor's page says of sources, proofs, misses and doubts, in sentences.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <synfp/capture/lookup.hpp>
#include <synfp/fingerprint/identify.hpp>

namespace visitor {

inline std::string_view why_missed(synfp::miss m) {
  using synfp::miss;
  switch (m) {
    case miss::none: return "it is there";
    case miss::not_captured: return "the probe did not see it";
    case miss::overwritten: return "so many came that it may have been overwritten";
    case miss::stale: return "what is there is too old to be this connection&#39;s";
    case miss::busy: return "a write of the table was lost, so it cannot be believed";
    case miss::conflict: return "several different SYNs claim this connection";
    case miss::unchecked: return "its checksum was not verified";
    case miss::claimed: return "the record was an earlier connection&#39;s";
    case miss::displaced: return "another program took the probe&#39;s place";
    case miss::cookie: return "the kernel answered with a SYN cookie and kept nothing";
    case miss::no_probe: return "no probe is at work";
    case miss::truncated: return "its headers were too long to be kept";
    case miss::unsupported: return "this kind of socket does not keep it";
    case miss::ambiguous: return "it is not known on which link it came";
  }
  return "unknown";
}

inline std::string_view source_words(synfp::capture_source s) {
  using synfp::capture_source;
  switch (s) {
    case capture_source::reuseport: return "A BPF program at our listening socket copied it.";
    case capture_source::xdp: return "A BPF program at the network interface (XDP) copied it.";
    case capture_source::tcx: return "A BPF program at the network interface (tcx) copied it.";
    case capture_source::kprobe: return "A BPF program inside the kernel&#39;s TCP copied it.";
    case capture_source::sockops: return "A BPF program of our control group copied it.";
    case capture_source::saved_syn: return "The kernel kept it with the connection (TCP_SAVED_SYN).";
    default: return "";
  }
}

inline std::string_view proof_words(synfp::proof p) {
  using synfp::proof;
  switch (p) {
    case proof::exact: return "It is this connection&#39;s without doubt.";
    case proof::verified:
      return "The connection went on from its sequence number, so it is this connection&#39;s.";
    case proof::tuple: return "Addresses, ports and time match.";
    case proof::none: return "";
  }
  return "";
}

inline std::string_view quality_words(synfp::fingerprint::match_quality q) {
  using synfp::fingerprint::match_quality;
  switch (q) {
    case match_quality::exact: return "which fits exactly";
    case match_quality::generic: return "a signature of last resort";
    case match_quality::fuzzy: return "which fits but for small differences";
  }
  return "";
}

/// Where the signature comes from, or nothing.
template <class Identification>
std::string_view evidence_words(const Identification& id) {
  if constexpr (requires { id.known_by; }) {
    if (!id.known_by) return "";
    const std::string_view known_by = to_string(*id.known_by);
    if (known_by == "recorded") return " It was recorded from that very system.";
    if (known_by == "source") return " It follows from the system&#39;s source or documents.";
    if (known_by == "captures") return " It was found in public captures.";
  }
  return "";
}

inline std::string_view doubt(synfp::fingerprint::inconsistency i) {
  using synfp::fingerprint::inconsistency;
  switch (i) {
    case inconsistency::user_agent: return "The User-Agent names another system than the SYN does.";
    case inconsistency::ttl: return "The TTL does not fit the system.";
    case inconsistency::quirks: return "Small things differ from what the system sends.";
    case inconsistency::windows_ttl: return "The options are those of Windows, the TTL is not.";
    case inconsistency::window: return "The window is none that Linux would choose.";
    case inconsistency::mss: return "The MSS is that of IPv4, in IPv6.";
    case inconsistency::scanner_id: return "The IP identification is the mark of a scanner.";
    case inconsistency::crafted: return "It has what no TCP implementation sends.";
    case inconsistency::hello_grease: return "The TLS greeting lacks what this browser always sends.";
    case inconsistency::hello_library: return "The TLS greeting is that of a library, not of a browser.";
    case inconsistency::hello_browser:
      return "The TLS greeting is not that of the browser in the User-Agent.";
    case inconsistency::hello_offer: return "The TLS greeting offers less than this browser does.";
    case inconsistency::hello_system: return "The TLS greeting is of another system than the SYN.";
  }
  return "";
}

inline std::string_view innocent(synfp::fingerprint::inconsistency i) {
  using synfp::fingerprint::inconsistency;
  switch (i) {
    case inconsistency::user_agent:
      return "a proxy, a VPN, a virtual machine or container, &#34;desktop site&#34; in a phone&#39;s "
             "browser";
    case inconsistency::ttl: return "a changed default, tethering, some VPNs and mobile operators";
    case inconsistency::quirks: return "congestion notification is switched on, a middlebox cleared a flag";
    case inconsistency::windows_ttl: return "a changed default, a system that the databases do not know";
    case inconsistency::window: return "a router that changed the MSS, a limited buffer";
    case inconsistency::mss: return "a link with an MTU of 1520";
    case inconsistency::scanner_id: return "chance, once in 65,536";
    case inconsistency::crafted: return "a middlebox that overwrites options";
    case inconsistency::hello_grease:
    case inconsistency::hello_library:
      return "a company&#39;s proxy or a virus scanner that reads along, an app under a browser&#39;s name";
    case inconsistency::hello_browser:
      return "a company&#39;s proxy or a virus scanner that reads along, a browser that plays another one";
    case inconsistency::hello_offer:
      return "a company&#39;s proxy or a virus scanner that reads along, TLS 1.3 switched off";
    case inconsistency::hello_system: return "a proxy or relay that opens connections of its own";
  }
  return "";
}

inline std::string_view option_name(std::uint8_t kind) {
  switch (kind) {
    case 1: return "No operation";
    case 2: return "Maximum segment size";
    case 3: return "Window scale";
    case 4: return "SACK permitted";
    case 5: return "SACK";
    case 8: return "Timestamps";
    case 14: return "Alternate checksum";
    case 19: return "MD5 signature";
    case 28: return "User timeout";
    case 29: return "Authentication";
    case 30: return "Multipath TCP";
    case 34: return "Fast Open cookie";
    case 253:
    case 254: return "Experiment";
    default: return "Option";
  }
}

}  // namespace visitor
