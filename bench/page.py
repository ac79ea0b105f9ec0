#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes docs/benchmarks/ from what the benchmarks wrote: page.py RESULTS PAGE_DIRECTORY

RESULTS holds NAME.json of every benchmark that was run: {"rows": [...], "figures": {...}}. Nothing on the page is
written by hand except what a benchmark is; what a figure was expected to be stands in EXPECTED."""
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
    "hostile_mb_never": ("<=", 100),
    "hostile_mb_after_never": ("<=", 20),
    "hostile_mb_never_large": ("<=", 100),
    "hostile_p99_us_never": ("<=", 20000),
    "hostile_failed_never": ("<=", 0),
    "hostile_failed_never_large": ("<=", 0),
    "hostile_failed_read": ("<=", 0),
}


def benchmark(name, text, *plots):
    BENCHMARKS[name] = (text, plots)


def lines(name, x, y, where=lambda row: True):
    """A line for each value of column `name`, through the points (x, y) of its rows."""
    def select(rows):
        series = {}
        for row in rows:
            if where(row) and row.get(x) is not None and row.get(y) is not None and name in row:
                series.setdefault(row[name], []).append((row[x], row[y]))
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
    met = value >= bound if relation == ">=" else value <= bound
    return f"{'at least' if relation == '>=' else 'at most'} {bound:g}", "met" if met else "**missed**"


def survival(rows):
    series = lines("survival", "x", "own SYN")(rows)
    for kind in ("table, hold", "table, no hold"):
        series[kind.replace("table", "model")] = [(row["x"], row["model"]) for row in rows if row["survival"] == kind]
    return series


benchmark("lookup-flood", """
    A real listener is flooded with SYNs from spoofed sources in a network namespace while real clients connect; of each
    connection the SYN is looked up right after accept() and compared, byte by byte, with what a witness on the clients'
    wire saw. All ways of looking up sit behind the same hook (sk_reuseport), parser and key. At 50 k SYN/s and more all
    connections come by SYN cookie. `tools/bench lookup-flood`.""",
          ("lookup-flood-p50.svg", "Lookup after accept(), median", "SYN/s of the flood", "ns",
           lines("lookup", "SYN/s", "p50 ns"), {"log_y": True}),
          ("lookup-flood-p99.svg", "Lookup after accept(), 99th percentile", "SYN/s of the flood", "ns",
           lines("lookup", "SYN/s", "p99 ns"), {"log_y": True}))
benchmark("survival", """
    The share of real connections that get their own SYN, as the flood presses harder: x is the number of SYNs that reach
    the listener between a client's SYN and its lookup, over the capacity of the table (the same for all). The dashed
    lines are the model that sizing.hpp computes with: Erlang's loss formula with hold, Poisson without.
    `tools/bench survival`.""",
          ("survival.svg", "Connections that get their own SYN", "x = flood rate * delay / capacity", "share", survival,
           {"y_at_least": 1}))
benchmark("echo-flood", """
    What capture adds to the stack's work per SYN of a flood in cookie mode (`program ns` by the kernel's statistics of the
    program, `extra ns` by processor time with and without it), and what a flood does to real HTTP clients of the echo
    server's kind of program, with the probe and without. `tools/bench echo-flood`.""")
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
    An honest client, which asks once per connection, and the memory of a server with one thread and default limits,
    beside 1,000 clients that pipeline and never read, that pipeline and read, or that send half a request.
    `tools/bench hostile`.""")


def main():
    results, directory = sys.argv[1:3]
    os.makedirs(directory, exist_ok=True)
    found = {}
    for name in BENCHMARKS:
        path = os.path.join(results, name + ".json")
        if os.path.exists(path):
            with open(path) as f:
                found[name] = json.load(f), os.path.getmtime(path)
    unknown = {file[:-5] for file in os.listdir(results) if file.endswith(".json")} - set(BENCHMARKS)
    if unknown:
        sys.exit(f"page.py: no benchmark() for {', '.join(sorted(unknown))}")
    missing = [name for name in BENCHMARKS if name not in found]
    if missing:
        sys.exit(f"page.py: no results of {', '.join(missing)}; run tools/bench without names")

    oldest = min(time for _, time in found.values())
    out = ["# Benchmarks", "",
           "Made by `tools/bench`, all of it. Times depend on the machine and on what else runs there: the peers of "
           "each benchmark took turns within one run, so compare rows of one table, and take ratios, not "
           "nanoseconds.", "", "| | |", "|---|---|"]
    out += [f"| {what} | {value} |" for what, value in machine()]
    out.append(f"| begun | {datetime.datetime.fromtimestamp(oldest, datetime.timezone.utc):%Y-%m-%d} |")

    out += ["", "## Figures", "", "| figure | measured | expected | |", "|---|---:|---|---|"]
    for name, (data, _) in found.items():
        for figure, value in data["figures"].items():
            expected, met = verdict(figure, value)
            out.append(f"| [`{figure}`](#{name}) | {cell(value)} | {expected} | {met} |")

    for name, (data, _) in found.items():
        text, plots = BENCHMARKS[name]
        out += ["", f"## {name}", "", " ".join(text.split())]
        for file, title, x_label, y_label, select, options in plots:
            series = select(data["rows"])
            if not series:
                sys.exit(f"page.py: {name} has no rows for {file}")
            with open(os.path.join(directory, file), "w") as f:
                f.write(chart(title, x_label, y_label, series, **options))
            out += ["", f"![{title}]({file})"]
        out += tables(data["rows"])
    with open(os.path.join(directory, "README.md"), "w") as f:
        f.write("\n".join(out) + "\n")
    print(f"{directory}/README.md: {len(found)} benchmarks, "
          f"{sum(len(data['figures']) for data, _ in found.values())} figures")


if __name__ == "__main__":
    main()
