#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes docs/benchmarks/ from what the benchmarks wrote: page.py RESULTS PAGE_DIRECTORY

RESULTS holds NAME.json of every benchmark that was run: {"rows": [...], "figures": {...}}. Nothing on the page is
written by hand except what a benchmark is. docs/guide/http-limits.md gets a table from it, too. What a figure was expected to be stands in EXPECTED, and which decision
explains one that is not met, in EXPLAINED. `page.py --some ...` makes a page of what there is, for a look;
`page.py --only NAME ...` makes NAME.md of that benchmark alone, which was run by itself."""
import datetime
import json
import os
import platform
import re
import subprocess
import sys

from svg import chart, number

# What each benchmark measures, and what of it is drawn: (file, title, x label, y label, rows -> series, options).
BENCHMARKS = {}

# Figure: (">=" or "<=", number).
EXPECTED = {
    "lookup_random_lru_over_table": (">=", 20),
    "nonsyn_extra_ns": ("<=", 5),
    "syn_store_table_over_lru": ("<=", 0.4),
    "read_synfp_over_p0f": (">=", 10),
    "flood_lookup_p50_lru_over_table": (">=", 20),
    "flood_lookup_p99_lru_over_table": (">=", 10),
    "survival_table_x0.25": (">=", 0.998),
    "survival_table_x1": (">=", 0.78),
    "survival_wrong_attributions": ("<=", 0),
    "survival_verified_share": (">=", 0.999),
    "survival_savedsyn_cookies": ("<=", 0),
    "survival_table_cookies": (">=", 0.999),
    "flood_verified_share": (">=", 0.999),
    "wrong_attributions": ("<=", 0),
    "flooded_connections": (">=", 100000),
    "capture_over_stack_per_syn": ("<=", 0.10),
    "socket_capture_cheapest_over_stack": ("<=", 0.10),
    "socket_own_syn_full": (">=", 0.999),
    "socket_own_syn_300ms_50k": (">=", 0.999),
    "kernel_own_syn_full": ("<=", 0),
    "socket_wrong": ("<=", 0),
    "socket_connections": (">=", 100000),
    "verified_share_quiet": (">=", 0.9999),
    "hostile_kinds": (">=", 34),
    "hostile_failed": ("<=", 0),
    "hostile_kinds_not_counted": ("<=", 0),
    "hostile_recovered_s": ("<=", 1),
    "hostile_p99_us": ("<=", 50000),
    "hostile_p99_us_never": ("<=", 20000),
    "hostile_mb": ("<=", 150),
    "hostile_mb_never": ("<=", 100),
    "hostile_mb_never_large": ("<=", 100),
    "hostile_mb_after": ("<=", 30),
    "hostile_descriptors_after": ("<=", 0),
    "http_keepalive64_cpu_over_floor": ("<=", 1.05),
    "http_keepalive64_cpu_over_nginx": ("<=", 0.69),
    "http_close_cpu_over_nginx": ("<=", 0.70),
    "http_capture_extra_close": ("<=", 1.03),
    "tls_keepalive64_cpu_over_nginx": ("<=", 0.75),
    "tls_handshake_cpu_over_nginx": ("<=", 1.0),
}


# Figure: the decision that explains it, and that the table of figures names if it is missed.
EXPLAINED = {
    "lookup_random_lru_over_table": "0002-lookup-cost.md",
    "flood_lookup_p50_lru_over_table": "0003-under-a-flood.md",
    "flood_lookup_p99_lru_over_table": "0003-under-a-flood.md",
    "syn_store_table_over_lru": "0001-writer-cost.md",
    "nonsyn_extra_ns": "0001-writer-cost.md",
    "capture_over_stack_per_syn": "0014-cost-of-a-cookie-syn.md",
    "socket_capture_cheapest_over_stack": "0014-cost-of-a-cookie-syn.md",
    "http_keepalive64_cpu_over_floor": "0016-levers-of-io-uring.md",
    "http_keepalive64_cpu_over_nginx": "0016-levers-of-io-uring.md",
    "http_close_cpu_over_nginx": "0016-levers-of-io-uring.md",
    "tls_keepalive64_cpu_over_nginx": "0015-tls.md",
    "tls_handshake_cpu_over_nginx": "0015-tls.md",
}

# The unit of a figure is that of the first expression that its name contains.
UNITS = [
    (r"_own_syn_|_share_quiet$|_over_|_extra_close|^survival_(table|lru|savedsyn)_|_share$", "ratio"),
    (r"_per_second$", "1/s"),
    (r"_ppm_|_ppm$", "per million"),
    (r"_ns(_|$)", "ns"),
    (r"_us(_|$)", "\u00b5s"),
    (r"_mb(_|$)", "MB"),
    (r"_bytes(_|$)", "bytes"),
    (r"connections$|^socket_wrong$|attributions$|_failed$", "connections"),
    (r"_kinds(_|$)", "kinds"),
    (r"_descriptors_", "descriptors"),
    (r"_s$", "s"),
]


def unit(figure):
    for expression, name in UNITS:
        if re.search(expression, figure):
            return name
    sys.exit(f"page.py: no unit for {figure}; add one to UNITS")


def benchmark(name, text, *plots):
    BENCHMARKS[name] = (text, plots)


def lines(name, x, y, where=lambda row: True, found=lambda row: True):
    """A line for each value of column `name`, through the points (x, y) of the rows `where`, and where it `found`
    something: without points it found nothing."""
    def select(rows):
        series = {}
        for row in rows:
            if where(row) and row.get(x) is not None and row.get(y) is not None and name in row:
                points = series.setdefault(row[name], [])
                if found(row):
                    points.append((row[x], row[y]))
        return series
    return select


def command(argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def machine():
    with open("/proc/cpuinfo") as f:
        info = f.read()
    model = re.search(r"^(?:model name|CPU implementer)\s*: (.*)", info, re.M)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    virtual = "hypervisor" in info
    return [("processor", f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores"
             + (", a virtual machine" if virtual else "")),
            ("memory", f"{memory} GiB"),
            ("kernel", "Linux " + platform.release().split("-")[0]),
            ("compilers", command(["g++", "--version"]).splitlines()[0] + "; "
             + command(["clang", "--version"]).splitlines()[0] + " (BPF)")]


def cell(value):
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def tables(rows):
    """Markdown tables; a new one wherever the columns change."""
    out, columns = [], None
    for row in rows:
        if list(row) != columns:
            columns = list(row)
            out.append("")
            out.append("| " + " | ".join(columns) + " |")
            out.append("|" + "|".join("---:" if isinstance(v, (int, float)) else "---" for v in row.values()) + "|")
        out.append("| " + " | ".join(cell(v) for v in row.values()) + " |")
    return out


def verdict(name, value):
    if name not in EXPECTED:
        return "", ""
    relation, bound = EXPECTED[name]
    expected = f"{'at least' if relation == '>=' else 'at most'} {bound:g}"
    if value >= bound if relation == ">=" else value <= bound:
        return expected, "met"
    if name not in EXPLAINED:
        return expected, "**missed**; no decision explains it yet"
    decision = EXPLAINED[name]
    return expected, f"**missed**: [decision {int(decision.split('-')[0])}](../decisions/{decision}) says why"


def percent(share):
    return f"{share * 100:.3g} %"


def result(found):
    """The paragraph on top: what the figures say, as far as they are there."""
    figures = {name: value for data, _ in found.values() for name, value in data["figures"].items()}
    rows = found["survival"][0]["rows"] if "survival" in found else []

    def has(*names):
        return all(name in figures for name in names)

    def kept(source, x):
        return next((row["own SYN"] for row in rows if row.get("survival") == source and row["x asked"] == x), None)

    out = []
    if has("flooded_connections", "wrong_attributions"):
        out.append(f"Of {cell(round(figures['flooded_connections']))} records that were looked up for connections through "
                   f"a flooded listener, {cell(round(figures['wrong_attributions']))} were another connection's.")
    if has("survival_table_x0.25", "survival_savedsyn_cookies"):
        out.append(f"With SYNs for a quarter of the table's capacity between a client's SYN and its lookup (x = 0.25), "
                   f"{percent(figures['survival_table_x0.25'])} of the connections get their own SYN. From the kernel's "
                   f"TCP_SAVED_SYN it is {percent(figures['survival_savedsyn_cookies'])} under SYN cookies, at any x.")
    if kept("LRU_HASH", 0.75) is not None and kept("table, hold", 0.75) is not None:
        out.append(f"Just below its capacity an LRU_HASH keeps more than the table, at x = 0.75 "
                   f"{percent(kept('LRU_HASH', 0.75))} against {percent(kept('table, hold', 0.75))}; at x = 1 it is "
                   f"{percent(kept('LRU_HASH', 1))} against {percent(kept('table, hold', 1))}, and above, nothing.")
    if has("flood_lookup_table_p50_ns", "flood_lookup_p50_lru_over_table"):
        out.append(f"A lookup right after accept() takes {cell(figures['flood_lookup_table_p50_ns'])} ns (median), "
                   f"{figures['flood_lookup_p50_lru_over_table']:.1f} times less than in an LRU_HASH by bpf().")
    if has("syn_store_table_over_lru"):
        out.append(f"To store a SYN costs {percent(figures['syn_store_table_over_lru'])} of what an LRU_HASH takes.")
    if has("capture_over_stack_per_syn"):
        out.append(f"Capture adds {percent(figures['capture_over_stack_per_syn'])} to what the stack does for each SYN of a "
                   "flood.")
    if has("socket_own_syn_full", "kernel_own_syn_full", "socket_connections", "socket_wrong"):
        out.append(f"By plain getsockopt(TCP_SAVED_SYN), servers that nobody changed get {percent(figures['socket_own_syn_full'])} "
                   f"of their clients' SYNs under a flood at full speed, the kernel alone "
                   f"{percent(figures['kernel_own_syn_full'])}. Of {cell(round(figures['socket_connections']))} answers "
                   f"{cell(round(figures['socket_wrong']))} were another connection's.")
    if has("http_keepalive64_cpu_over_floor", "http_keepalive64_cpu_over_nginx", "http_keepalive64_floor_over_nginx"):
        out.append(f"A request of 64 keep-alive connections takes {figures['http_keepalive64_cpu_over_floor']:.2f} times the "
                   f"processor time of a bare io_uring loop and {figures['http_keepalive64_cpu_over_nginx']:.2f} times that of "
                   f"nginx, of which the loop takes {figures['http_keepalive64_floor_over_nginx']:.2f}.")
    if has("http_close_cpu_over_nginx", "http_close_floor_over_nginx", "http_capture_extra_close"):
        out.append(f"A connection per request with capture takes {figures['http_close_cpu_over_nginx']:.2f} times that of "
                   f"nginx (the loop {figures['http_close_floor_over_nginx']:.2f}), and "
                   f"{figures['http_capture_extra_close']:.2f} times what it takes without capture.")
    if has("http_close_deferred_cpu_over_nginx", "http_close_deferred_cpu_over_nginx_deferred"):
        out.append(f"With `server_options::defer_accept` it takes {figures['http_close_deferred_cpu_over_nginx']:.2f} times that "
                   f"of nginx, and {figures['http_close_deferred_cpu_over_nginx_deferred']:.2f} times that of an nginx that "
                   "defers, too.")
    if has("tls_keepalive64_cpu_over_nginx", "tls_keepalive64_floor_over_nginx", "tls_handshake_cpu_over_nginx",
           "tls_resumed_cpu_over_nginx"):
        out.append(f"With TLS 1.3 a request of 64 keep-alive connections takes "
                   f"{figures['tls_keepalive64_cpu_over_nginx']:.2f} times the processor time of nginx (a bare loop "
                   f"{figures['tls_keepalive64_floor_over_nginx']:.2f}), a connection per request "
                   f"{figures['tls_handshake_cpu_over_nginx']:.2f} times by a full handshake (ECDSA), and "
                   f"{figures['tls_resumed_cpu_over_nginx']:.2f} times by a ticket.")
    missed = [f"`{name}`" for name, value in figures.items() if verdict(name, value)[1].startswith("**missed")]
    expected = sum(name in EXPECTED for name in figures)
    if expected:
        out.append(f"Of {expected} expectations {expected - len(missed)} are met"
                   + (f"; missed are {', '.join(missed)}." if missed else "."))
    return " ".join(out)


def setting(rows, name):
    """What a benchmark was run with, from its table of settings."""
    return next((row["ms"] for row in rows if row.get("setting") == name), None)


def survival_title(rows):
    told = [f"{name} {cell(setting(rows, name))} ms" for name in ("delay", "hold") if setting(rows, name) is not None]
    return "Connections that get their own SYN" + (f" ({', '.join(told)})" if told else "")


def found_something(row):
    return row["found"] > 0


def survival(rows):
    series = lines("survival", "x", "own SYN")(rows)
    for name, line in series.items():
        if all(share == 0 for _, share in line):
            line.clear()
    for kind in ("table, hold", "table, no hold"):
        series[kind.replace("table", "model")] = [(row["x"], row["model"]) for row in rows
                                                   if row.get("survival") == kind]
    return series


def http(x_of, y):
    """A line for each server, synfp without capture, through the cases that `x_of`, a column or a dictionary, has."""
    def select(rows):
        series = {}
        for row in rows:
            if "case" not in row or "," in row["server"]:
                continue
            if isinstance(x_of, dict):
                x = x_of.get(row["case"])
            else:
                x = row[x_of] if row["case"].startswith("keep-alive") else None
            if x is not None:
                series.setdefault(row["server"], []).append((x, row[y]))
        return series
    return select


def own_syn(rows):
    """Of the server in C, by probe and handshake."""
    series = {}
    for row in rows:
        if "SYN on the socket" in row and row["server"] == "C" and row["connections"] <= 2000:
            kind = row["SYN on the socket"]
            name = kind if kind == "kernel alone" else f"{kind.removeprefix('probe, ')}, {row['handshake ms']} ms"
            series.setdefault(name, []).append((row["SYN/s"], row["own SYN"]))
    return series


benchmark("lookup-flood", """
    A real listener is flooded with SYNs from spoofed sources in a network namespace while real clients connect; of each
    connection the SYN is looked up right after accept() and compared, byte by byte, with what a witness on the clients'
    wire saw. All ways of looking up sit behind the same hook (sk_reuseport), parser and key. At 50 k SYN/s and more all
    connections come by SYN cookie. The plots leave out what found no record at all: it was fast at finding nothing.
    `tools/bench lookup-flood`.""",
          ("lookup-flood-p50.svg", "Lookup after accept(), median", "SYN/s of the flood", "ns",
           lines("lookup", "SYN/s", "p50 ns", found=found_something), {"log_y": True}),
          ("lookup-flood-p99.svg", "Lookup after accept(), 99th percentile", "SYN/s of the flood", "ns",
           lines("lookup", "SYN/s", "p99 ns", found=found_something), {"log_y": True}))
benchmark("survival", """
    The share of real connections that get their own SYN, as the flood presses harder: x is the number of SYNs that reach
    the listener between a client's SYN and its lookup, over the capacity of the table (the same for all). The delay is
    the time from a client's SYN to its lookup. The hold of "table, hold" is a little longer, so that no record goes
    before it is asked for. The dashed lines are the model that sizing.hpp computes with: Erlang's loss formula with hold, Poisson without.
    `tools/bench survival`.""",
          ("survival.svg", survival_title, "x = flood rate * delay / capacity", "share", survival,
           {"y_at_least": 1}))
benchmark("echo-flood", """
    What capture adds to the stack's work per SYN of a flood in cookie mode (`program ns` by the kernel's statistics of the
    program, `extra ns` by processor time with and without it), and what a flood does to real HTTP clients of the echo
    server's kind of program, with the probe and without. `tools/bench echo-flood`.""")
benchmark("socket-flood", """
    The SYN on the socket: what servers that nobody changed (examples/socket/, in C, Python and Go) get from
    getsockopt(TCP_SAVED_SYN) while their listener is flooded and every connection comes by SYN cookie, in a cgroup that
    a probe covers (hook::sockops) and in one that none does. The clients are made by hand, so that a handshake takes as
    long as asked, and compare each answer with their SYN, byte by byte; our own option (SYNFP_SO_SYN) must agree.
    "Full" is as fast as one thread sends while the server and its clients have the rest of the machine; SYN/s is what
    was sent meanwhile. Then the costs: of each SYN of a flood, by hook, with every SYN stored
    (docs/decisions/0014-cost-of-a-cookie-syn.md has a profile), of each connection, of each getsockopt() in the cgroup,
    also those of other options, and of memory. Program ns is by the kernel's statistics of the program, all its runs
    together, and includes the clock readings of the statistics. `tools/bench socket-flood`.""",
          ("socket-flood.svg", "Connections that get their own SYN from getsockopt()", "SYN/s of the flood", "share",
           own_syn, {"y_at_least": 1}))
benchmark("accept-cost", """
    Processor time of the whole machine's part in one connection (connect, accept, close over loopback-like veth), by what
    catches the SYN. `tools/bench accept-cost`.""")
benchmark("lookup", """
    Lookups without a flood, in a loop: over all keys of a full 8 MiB table in no order, and of one key (hot).
    `tools/bench lookup`.""")
benchmark("syn-cost", """
    The XDP program on one packet in a loop (BPF_PROG_TEST_RUN): what passes a packet that is no SYN, what a store costs
    above parsing, next to the same program with an LRU_HASH and a HASH. `tools/bench syn-cost`.""")
benchmark("scale", """
    Store and lookup from 1 MiB to 512 MiB, with one writer per CPU. `tools/bench scale`.""",
          ("scale.svg", "Cost over table size", "MiB", "ns",
           lines("series", "x", "y", lambda row: row.get("series", "").find("lost") < 0), {"log_x": True}))
benchmark("saved-syn-memory", """
    What the kernel keeps of SYNs that nobody asks for when TCP_SAVE_SYN is on. `tools/bench saved-syn-memory`.""")
benchmark("fingerprint", """
    `synfp read` next to `p0f -r` on the same capture file, and each format in a loop. p0f also matches its database and
    follows connections. `tools/bench fingerprint`.""")
benchmark("hostile", """
    Clients that want to occupy a server, kind by kind, each against a new process with one thread, default limits of
    bytes and numbers, and a tenth of the default times, so that each acts within a run; who is sent away comes again
    at once. The limits that bound a kind are named with their defaults: `http::limits`, `http::serve_options`,
    `net::proxies_options`, `net::listener_options`. Beside them one honest client connects, asks and reads, over and
    over; "without" is the same client with the same server, just before. Recovered is how long after they have left it
    begins the first twenty requests in a row that take about what they took before (half of them at most 1.5 times the
    median). Memory is the server's resident set,
    descriptors after are those that it has more than before. Counted is what its own page of metrics says.
    `tools/bench hostile`.""")
benchmark("http", """
    What a request costs HTTP servers on one processor, on loopback, with wrk on another one: processor time, user and
    system, of all processes of the server, and its system calls. In each round the servers take turns in random
    order; times are medians of the rounds, ratios are medians of the rounds' ratios. The loops are the floor under
    all of them: they send the same response to whatever ends with an empty line and do nothing else
    (bench/http_floor_*). synfp has minimal handlers, default options and, unless it is said, no capture; the others
    log nothing, end no connection by themselves and answer with the same body. wrk keeps its processor busy in most
    cases, so requests/s are wrk's more than the server's, and latencies are those of a queue. "close" is a connection
    per request, "reconnect 10" one per ten on average; there TCP_DEFER_ACCEPT gains much, which h2o sets, and
    of the others those that are called "deferred"; "pipelined 16" sends sixteen requests at once. To accept the connections is counted too, which tells with
    4,096 of them. "strict" is reuseport with saved_syn behind it (capture::first_of). On loopback the kernel handles
    a segment within the send, so what a program takes for SYNs is time of the client: it is counted apart, as BPF ns
    per request, by the kernel's statistics, and `http_capture_extra_close_with_program` adds it to the server. XDP on
    lo is generic and sees the server's own segments too. `tools/bench http`; `python3 bench/http-servers.py --list`
    shows the parts that can be run alone.""",
          ("http-connections.svg", "Processor time per request, keep-alive", "connections", "us",
           http("connections", "CPU us"), {"log_x": True, "log_y": True}),
          ("http-p99.svg", "99th percentile of latency, keep-alive", "connections", "us",
           http("connections", "p99 us"), {"log_x": True, "log_y": True}),
          ("http-churn.svg", "Processor time per request, 64 connections at a time", "connections per request", "us",
           http({"keep-alive 64": 0, "reconnect 10": 0.1, "close": 1}, "CPU us"),
           {"log_y": True}),
          ("http-bodies.svg", "Processor time per request by size of the body", "bytes", "us",
           http({"keep-alive 64": 13, "1 KiB": 1024, "64 KiB": 65536, "1 MiB": 1048576}, "CPU us"),
           {"log_x": True, "log_y": True}))
benchmark("tls", """
    What a request costs HTTPS servers: those of `http`, with a certificate, and with the same OpenSSL, which is checked.
    TLS 1.3 by TLS_AES_128_GCM_SHA256 and X25519 for all, since the clients offer nothing else; certificates with ECDSA on
    P-256 or RSA with 2,048 bits. All servers send session tickets without state and keep no sessions. "keep-alive" and
    "64 KiB": wrk, 64 connections that stay. "handshake": a connection per request, 64 at a time, each by a full
    handshake, from connect() to close (bench/tls_client); "resumed": the same with a ticket, and with a key exchange, as
    browsers do it. There the client works about as much as the server, so requests/s are what both reach together, and
    "per processor per second" is computed from the server's time. "tickets" is how many came per connection: not every
    server gives another one to a connection that it resumed. "system calls" are per request. The loop is the floor:
    that of `http` with OpenSSL between the ring's buffers (bench/tls_floor). Else as in `http`.
    `tools/bench tls`; `python3 bench/tls-servers.py --list` shows the parts that can be run alone.""")


GUIDE = "hostile clients: made by bench/page.py"


def guide(rows):
    """What docs/guide/http-limits.md shows of the rows of hostile clients."""
    shown = [{"hostile clients": row["hostile clients"], "limits": row["limits"],
              "honest p99, ms": f"{row['p99 us'] / 1000:.1f}", "without": f"{row['without, p99 us'] / 1000:.1f}",
              "failed": str(row["failed"]), "MB most": f"{row['MB most']:.0f}", "recovered, s": f"{row['recovered s']:.2f}"}
             for row in rows if "hostile clients" in row]
    columns = list(shown[0])
    out = ["| " + " | ".join(columns) + " |", "|---|---|" + "---:|" * (len(columns) - 2)]
    return out + ["| " + " | ".join(row.values()) + " |" for row in shown]


def write_guide(rows, path):
    if not os.path.exists(path):  # the pages go elsewhere
        return
    with open(path) as f:
        text = f.read()
    begin, end = f"<!-- {GUIDE} -->\n", "<!-- end -->\n"
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    if not rest or not after:
        sys.exit(f"page.py: {path} has no place for the table")
    with open(path, "w") as f:
        f.write(before + begin + "\n" + "\n".join(guide(rows)) + "\n\n" + end + after)


def main():
    some, only = sys.argv[1:2] == ["--some"], sys.argv[2] if sys.argv[1:2] == ["--only"] else None
    results, directory = sys.argv[-2:]
    os.makedirs(directory, exist_ok=True)
    found = {}
    for name in [only] if only else BENCHMARKS:
        path = os.path.join(results, name + ".json")
        if os.path.exists(path):
            with open(path) as f:
                found[name] = json.load(f), os.path.getmtime(path)
    unknown = {file[:-5] for file in os.listdir(results) if file.endswith(".json")} - set(BENCHMARKS)
    if unknown:
        sys.exit(f"page.py: no benchmark() for {', '.join(sorted(unknown))}")
    missing = [name for name in BENCHMARKS if name not in found]
    if missing and not ((some or only) and found):
        sys.exit(f"page.py: no results of {', '.join(missing)}; run tools/bench without names")

    oldest = min(time for _, time in found.values())
    out = [f"# Benchmark {only}" if only else "# Benchmarks", "", result(found), "",
           f"Made by `tools/bench{' ' + only if only else ''}`, all of it. "
           "Times depend on the machine and on what else runs there: the peers of "
           "each benchmark took turns within one run, so compare rows of one table, and take ratios, not "
           "nanoseconds.", "", "| | |", "|---|---|"]
    out += [f"| {what} | {value} |" for what, value in machine()]
    out.append(f"| begun | {datetime.datetime.fromtimestamp(oldest, datetime.timezone.utc):%Y-%m-%d} |")

    out += ["", "## Figures", "", "| figure | measured | unit | expected | |", "|---|---:|---|---|---|"]
    for name, (data, _) in found.items():
        for figure, value in data["figures"].items():
            expected, met = verdict(figure, value)
            out.append(f"| [`{figure}`](#{name}) | {cell(value)} | {unit(figure)} | {expected} | {met} |")

    for name, (data, _) in found.items():
        text, plots = BENCHMARKS[name]
        out += ["", f"## {name}", "", " ".join(text.split())]
        for file, title, x_label, y_label, select, options in plots:
            title = title if isinstance(title, str) else title(data["rows"])
            series = select(data["rows"])
            nothing = [one for one, points in series.items() if not points]
            series = {one: points for one, points in series.items() if points}
            if not series:
                sys.exit(f"page.py: {name} has no rows for {file}")
            with open(os.path.join(directory, file), "w") as f:
                f.write(chart(title, x_label, y_label, series, nothing=nothing, **options))
            out += ["", f"![{title}]({file})"]
        out += tables(data["rows"])
    if "hostile" in found:
        write_guide(found["hostile"][0]["rows"], os.path.join(directory, "..", "guide", "http-limits.md"))
    page = os.path.join(directory, f"{only or 'README'}.md")
    with open(page, "w") as f:
        f.write("\n".join(out) + "\n")
    print(f"{page}: {len(found)} benchmarks, "
          f"{sum(len(data['figures']) for data, _ in found.values())} figures")


if __name__ == "__main__":
    main()
