#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a request costs HTTP servers: processor time and system calls of the server, requests/s and latency as wrk sees it.

Usage: http-servers.py OUTPUT.json [--case NAME] [--server NAME] [--rounds N] [--seconds N] [--build DIRECTORY]; needs root.
--case and --server may be repeated; --list shows their names. Without them it takes about eight minutes.

Each server has one processor, wrk another one if there is one, on the loopback of a network namespace. In each round all
servers take their turn on a case, in random order; ratios are of the same round, and the median of these is told. Before
the rounds a shorter turn counts the system calls (perf stat) and the time of BPF programs: counting costs time, so that
turn is not timed. Processor time is that of the server's processes, user and system, in ns (/proc/PID/task/*/schedstat).
The kernel handles a segment on loopback within the send: the server pays for what it sends until the client's socket has
it, the client for what it sends, its SYN included. What a program takes for the SYNs is thus the client's; it has a column
of its own."""
import argparse
import ctypes
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU, CLIENT_CPU = CPUS[0], CPUS[-1]
BODIES = {"/hello.txt": 13, "/1k.txt": 1024, "/64k.txt": 64 * 1024, "/1m.txt": 1024 * 1024}
CLOSES = ("close", "reconnect 10")
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET, PR_SET_PDEATHSIG = 0x40000000, 1

# Case: (connections, path, rounds). Those with figures that have an expectation have more, for the servers of these.
CASES = {
    "keep-alive 1": (1, "/hello.txt", 3),
    "keep-alive 64": (64, "/hello.txt", 8),
    "keep-alive 256": (256, "/hello.txt", 3),
    "keep-alive 4096": (4096, "/hello.txt", 3),
    "pipelined 16": (64, "/hello.txt", 3),
    "close": (64, "/hello.txt", 8),
    "reconnect 10": (64, "/hello.txt", 3),
    "1 KiB": (64, "/1k.txt", 3),
    "64 KiB": (64, "/64k.txt", 3),
    "1 MiB": (16, "/1m.txt", 3),
}
CAPTURES = ("reuseport", "strict", "xdp", "saved_syn", "deferred")
CAPTURED_CASES = ("keep-alive 64", "close")
EXPECTED_OF = ("io_uring loop", "epoll loop", "synfp", "synfp, reuseport", "synfp, deferred", "nginx", "nginx, deferred")
ROUNDS = 3  # of the other servers

DONE = """
done = function(all, latency, requests)
  local e = all.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", all.requests, all.duration, all.bytes,
           e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""
# What wrk sends, where it is not the same request all the time.
SCRIPTS = {
    "pipelined 16": """
init = function(args)
  local one = wrk.format("GET")
  sixteen = string.rep(one, 16)
end
request = function() return sixteen end
""",
    "close": """wrk.headers["Connection"] = "close"
""",
    # Each connection gets a tenth of the requests on average: wrk does not say whose request it asks for.
    "reconnect 10": """
init = function(args)
  keep = wrk.format("GET")
  last = wrk.format("GET", nil, {["Host"] = wrk.headers["Host"], ["Connection"] = "close"})
  n = 0
end
request = function()
  n = n + 1
  return n % 10 == 0 and last or keep
end
""",
}


def fail(why):
    sys.exit(f"http-servers.py: {why}")


class Process:
    """A server that runs until stop(), or until this program ends."""

    def __init__(self, argv, port, log):
        def prepare():
            os.sched_setaffinity(0, {SERVER_CPU})
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        self.port = port
        self.log = log
        with open(log, "w") as out:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=prepare)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if self.popen.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    fail(f"{argv[0]} does not listen:\n{pathlib.Path(log).read_text()}")
                time.sleep(0.02)
        time.sleep(0.1)  # for children

    def stop(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()

    def pids(self):
        """The process and its descendants."""
        parents = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                text = stat.read_text()
            except OSError:
                continue
            parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
        found = [self.popen.pid]
        for pid in found:
            found += parents.get(pid, [])
        return found

    def cpu_ns(self):
        total = 0
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    total += int(task.read_text().split()[0])
                except OSError:  # a thread that has ended
                    pass
        if self.popen.poll() is not None:
            fail(f"{self.popen.args[0]} has ended:\n{pathlib.Path(self.log).read_text()}")
        return total

    def program_ns(self):
        """Of all BPF programs that the process holds."""
        total = 0
        for info in pathlib.Path(f"/proc/{self.popen.pid}/fdinfo").iterdir():
            try:
                found = re.search(r"^run_time_ns:\s*(\d+)", info.read_text(), re.M)
            except OSError:
                continue
            total += int(found.group(1)) if found else 0
        return total


class Servers:
    """Starts servers as they are asked for. start(name, case): the process and how it is asked, or why there is none."""

    def __init__(self, directory, build):
        self.directory = directory
        self.bench = build / "bench"
        self.running = {}
        self.ports = iter(range(100, 1000))
        for path, size in BODIES.items():
            (directory / path[1:]).write_text(self.body(size))

    @staticmethod
    def body(size):
        return "Hello, World!" if size == 13 else "x" * size

    def start(self, name, case):
        path = CASES[case][1]
        if name == "HAProxy" and BODIES[path] > 8192:
            return "HAProxy answers by itself only with what fits into one buffer (16 KiB)"
        key = name
        if name.endswith(" loop"):
            key = f"{name} {BODIES[path]} {'close' if case in CLOSES else 'keep'}"
        if key not in self.running:
            port = next(self.ports)
            self.running[key] = Process(self.argv(key, name, port, path, case), port, self.directory / f"{port}.log")
            self.check(key, path)
        return self.running[key]

    def check(self, key, path):
        """That it answers with what was meant."""
        with socket.create_connection(("127.0.0.1", self.running[key].port), 5) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            got = b""
            want = BODIES[path]
            while len(got.partition(b"\r\n\r\n")[2]) < want:
                more = s.recv(1 << 20)
                if not more:
                    break
                got += more
        if not got.startswith(b"HTTP/1.1 200 ") or got.partition(b"\r\n\r\n")[2] != self.body(want).encode():
            fail(f"{key} answers {path} with {got[:300]!r}")

    def stop(self):
        for one in self.running.values():
            one.stop()

    def file(self, name, text):
        at = self.directory / name
        at.write_text(text)
        return str(at)

    def argv(self, key, name, port, path, case):
        if name.startswith("synfp"):
            return [str(self.bench / "http_server"), name.partition(", ")[2] or "none", str(port)]
        if name.endswith(" loop"):
            program = "http_floor_uring" if "uring" in name else "http_floor_epoll"
            return [str(self.bench / program), str(port), str(BODIES[path]), "close" if case in CLOSES else "keep"]
        if name == "nginx, deferred":
            return self.nginx(port, "deferred")
        return getattr(self, name.lower().replace(".", ""))(port)

    def nginx(self, port, listens=""):
        text = "default_type text/plain; return 200"
        config = self.file(f"nginx{port}.conf", f"""
user root; worker_processes 1; daemon off; pid {self.directory}/nginx{port}.pid; error_log stderr crit;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; use epoll; multi_accept on; }}
http {{
  access_log off; server_tokens off; keepalive_requests 1000000000; keepalive_timeout 600;
  sendfile on; tcp_nopush on; open_file_cache max=16 inactive=1h; open_file_cache_valid 1h;
  server {{
    listen 127.0.0.1:{port} backlog=4096 {listens};
    root {self.directory}; types {{ text/plain txt; }}
    location = /hello.txt {{ {text} "{self.body(13)}"; }}
    location = /1k.txt {{ {text} "{self.body(1024)}"; }}
  }}
}}
""")
        return ["/usr/sbin/nginx", "-c", config, "-p", str(self.directory), "-e", "stderr"]

    def h2o(self, port):
        config = self.file("h2o.conf", f"""
user: root
num-threads: 1
max-connections: 8192
http1-request-timeout: 600
listen: {{host: 127.0.0.1, port: {port}}}
hosts: {{default: {{paths: {{"/": {{file.dir: {self.directory}}}}}}}}}
""")
        return ["h2o", "-c", config]

    def lighttpd(self, port):
        config = self.file("lighttpd.conf", f"""
server.document-root = "{self.directory}"
server.bind = "127.0.0.1"
server.port = {port}
server.listen-backlog = 4096
server.max-fds = 16384
server.max-connections = 8192
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 600
mimetype.assign = (".txt" => "text/plain")
""")
        return ["/usr/sbin/lighttpd", "-D", "-f", config]

    def haproxy(self, port):
        config = self.file("haproxy.cfg", f"""
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout client 600s
  timeout http-keep-alive 600s
frontend all
  bind 127.0.0.1:{port} backlog 4096
  http-request return status 200 content-type text/plain file {self.directory}/hello.txt if {{ path /hello.txt }}
  http-request return status 200 content-type text/plain file {self.directory}/1k.txt if {{ path /1k.txt }}
""")
        return ["/usr/sbin/haproxy", "-db", "-q", "-f", config]

    def nodejs(self, port):
        script = self.file("server.js", f"""
const bodies = {{}};
for (const [path, size] of Object.entries({json.dumps(BODIES)}))
  bodies[path] = Buffer.from(size === 13 ? 'Hello, World!' : 'x'.repeat(size));
const server = require('http').createServer((request, response) => {{
  const body = bodies[request.url];
  response.writeHead(body ? 200 : 404, {{'Content-Type': 'text/plain', 'Content-Length': body ? body.length : 0}});
  response.end(body);
}});
server.keepAliveTimeout = 600000;
server.listen({{port: {port}, host: '127.0.0.1', backlog: 4096}});
""")
        return ["node", script]


# Program, how it tells its version, how it answers.
PROGRAMS = {
    "nginx": ("nginx", "-v", "return 200; files from 64 KiB on"),
    "nginx, deferred": ("nginx", "-v", "the same; TCP_DEFER_ACCEPT"),
    "h2o": ("h2o", "--version", "files; TCP_DEFER_ACCEPT"),
    "lighttpd": ("lighttpd", "-v", "files"),
    "HAProxy": ("haproxy", "-v", "http-request return"),
    "Node.js": ("node", "--version", "http.createServer"),
}
OURS = ("synfp", *(f"synfp, {capture}" for capture in CAPTURES))
SERVERS = ("io_uring loop", "epoll loop", *OURS, *PROGRAMS)


def installed(name):
    return shutil.which(PROGRAMS[name][0], path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def version(name):
    _, flag, how = PROGRAMS[name]
    told = subprocess.run([installed(name), flag], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+[.\d]*", told.stdout + told.stderr)
    return {"server": name, "version": found.group() if found else "", "answers by": how}


class Wrk:
    def __init__(self, directory):
        self.scripts = {}
        for case in CASES:
            script = directory / f"{len(self.scripts)}.lua"
            script.write_text(SCRIPTS.get(case, "") + DONE)
            self.scripts[case] = str(script)

    def run(self, case, port, seconds, under=()):
        """One turn; longer with many connections, which take their time to come up."""
        connections, path, _ = CASES[case]
        seconds += connections > 1000
        argv = [*under, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", self.scripts[case],
                f"http://127.0.0.1:{port}{path}"]
        told = subprocess.run(argv, capture_output=True, text=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CPU}))
        found = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", told.stdout, re.M)
        if found and int(found.group(1)) == 0 and seconds < 10:  # on a busy machine
            return self.run(case, port, 2 * seconds, under)
        if not found or int(found.group(1)) == 0:
            fail(f"wrk on '{case}': {told.stdout}{told.stderr}")
        requests, us, size, failed, p50, p99 = map(int, found.groups())
        return {"requests": requests, "per second": requests / us * 1e6, "bytes": size / requests, "failed": failed,
                "p50": p50, "p99": p99}


def bpf_statistics(on):
    """Switches them; what they were."""
    at = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
    try:
        was = at.read_text().strip()
        at.write_text(on)
        return was
    except OSError:
        return None


def count(process, wrk, case, directory):
    """System calls and ns of BPF programs per request; None for what cannot be counted here."""
    out = directory / "perf.csv"
    under = ()
    if shutil.which("perf") and subprocess.run(["perf", "stat", "-e", "raw_syscalls:sys_enter", "true"],
                                               capture_output=True).returncode == 0:
        under = ("perf", "stat", "-x,", "-o", str(out), "-e", "raw_syscalls:sys_enter", "-p",
                 ",".join(map(str, process.pids())), "--")
    was = bpf_statistics("1")
    try:
        before = process.program_ns()
        requests = wrk.run(case, process.port, 1, under)["requests"]
        program = (process.program_ns() - before) / requests if was is not None else None
    finally:
        if was is not None:
            bpf_statistics(was)
    found = re.search(r"^(\d+),,raw_syscalls", out.read_text(), re.M) if under and out.exists() else None
    return int(found.group(1)) / requests if found else None, program


def measure(process, wrk, case, seconds):
    before = process.cpu_ns()
    turn = wrk.run(case, process.port, seconds)
    turn["cpu"] = (process.cpu_ns() - before) / turn["requests"] / 1000
    return turn


def quartile(values, which):
    return statistics.quantiles(values, n=4, method="inclusive")[which - 1] if len(values) > 1 else values[0]


class Results:
    def __init__(self):
        self.turns = {}  # (case, server): [a dictionary for each round]
        self.counted = {}
        self.missing = []

    def ratio(self, case, server, base, extra=0.0):
        """Of processor time; `extra` us are added to those of `server`."""
        pairs = zip(self.turns.get((case, server), ()), self.turns.get((case, base), ()))
        ratios = [(a["cpu"] + extra) / b["cpu"] for a, b in pairs]
        return statistics.median(ratios) if ratios else None

    def row(self, case, server):
        turns = self.turns[case, server]
        cpu = [turn["cpu"] for turn in turns]
        syscalls, program = self.counted[case, server]
        over = self.ratio(case, server, "io_uring loop")

        def middle(what):
            return statistics.median(turn[what] for turn in turns)
        return {"case": case, "connections": CASES[case][0], "server": server, "bytes": round(middle("bytes")),
                "CPU us": round(statistics.median(cpu), 3), "quartile 1": round(quartile(cpu, 1), 3),
                "quartile 3": round(quartile(cpu, 3), 3), "over io_uring loop": over and round(over, 3),
                "system calls": None if syscalls is None else round(syscalls, 3),
                "BPF ns": None if not program else round(program), "requests/s": round(middle("per second")),
                "p50 us": round(middle("p50")) or None, "p99 us": round(middle("p99")) or None,  # wrk may have none
                "failed": sum(turn["failed"] for turn in turns)}

    def figures(self):
        program = self.counted.get(("close", "synfp, reuseport"), (None, None))[1]
        ours = "synfp, reuseport"
        found = {
            "http_keepalive64_cpu_over_floor": self.ratio("keep-alive 64", "synfp", "io_uring loop"),
            "http_keepalive64_cpu_over_epoll_loop": self.ratio("keep-alive 64", "synfp", "epoll loop"),
            "http_close_cpu_over_floor": self.ratio("close", "synfp", "io_uring loop"),
            "http_capture_extra_close": self.ratio("close", ours, "synfp"),
            "http_capture_extra_close_with_program":
                self.ratio("close", ours, "synfp", program / 1000) if program is not None else None,
            "http_capture_extra_close_strict": self.ratio("close", "synfp, strict", "synfp"),
            "http_capture_extra_close_saved_syn": self.ratio("close", "synfp, saved_syn", "synfp"),
            "http_capture_extra_close_xdp": self.ratio("close", "synfp, xdp", "synfp"),
        }
        # A listener that defers accept() against one that does not, and against one that does, too.
        found["http_close_deferred_cpu_over_nginx"] = self.ratio("close", "synfp, deferred", "nginx")
        found["http_close_deferred_cpu_over_nginx_deferred"] = self.ratio("close", "synfp, deferred", "nginx, deferred")
        for peer in PROGRAMS:
            if "," in peer:
                continue
            name = peer.lower().replace(".", "")
            if peer == "nginx":  # the best that any server could reach
                found["http_keepalive64_floor_over_nginx"] = self.ratio("keep-alive 64", "io_uring loop", peer)
                found["http_close_floor_over_nginx"] = self.ratio("close", "io_uring loop", peer)
            found[f"http_keepalive64_cpu_over_{name}"] = self.ratio("keep-alive 64", "synfp", peer)
            found[f"http_close_cpu_over_{name}"] = self.ratio("close", ours, peer)
        return {name: round(value, 4) for name, value in found.items() if value is not None}


def show(rows):
    columns = None
    for row in rows:
        if list(row) != columns:
            columns = list(row)
            print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
        print("| " + " | ".join("" if v is None else f"{v:,}" if isinstance(v, (int, float)) else str(v)
                                for v in row.values()) + " |")


def arguments():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("output", nargs="?")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--server", action="append", choices=SERVERS)
    parser.add_argument("--rounds", type=int, help="of every case")
    parser.add_argument("--seconds", type=int, default=1, help="of a turn")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "bench-build")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    if asked.list:
        print("cases:", *CASES, "servers:", *SERVERS, sep="\n  ")
        sys.exit()
    if not asked.output:
        parser.error("where to? OUTPUT.json is missing")
    return asked


def prepare_machine():
    if os.geteuid() != 0:
        fail("needs root")
    if not shutil.which("wrk"):
        fail("wrk is not installed; see tools/packages")
    if LIBC.unshare(CLONE_NEWNET) != 0:
        fail(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # Connections per second times the minute for which their ports are kept are more than the default.
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("1024 65535")
    try:  # the kernel's own default; another one may pace what goes over loopback
        pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").write_text("cubic")
    except OSError:
        pass
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def run(asked, servers, wrk, directory):
    results = Results()
    cases = asked.case or list(CASES)
    plan = {}
    wanted = list(asked.server or SERVERS)
    for server in [name for name in wanted if name in PROGRAMS and not installed(name)]:
        results.missing.append({"not measured": server, "because": "it is not installed; see tools/packages"})
        wanted.remove(server)
    for case in cases:
        for server in wanted:
            if "," in server and case not in CAPTURED_CASES:
                continue
            process = servers.start(server, case)
            if isinstance(process, str):
                results.missing.append({"not measured": f"{server}, {case}", "because": process})
                continue
            plan.setdefault(case, {})[server] = process
            results.counted[case, server] = count(process, wrk, case, directory)
    if any(syscalls is None for syscalls, _ in results.counted.values()):
        results.missing.append({"not measured": "system calls",
                                "because": "perf is not there, or the kernel has no raw_syscalls:sys_enter"})
    def rounds(case, server):
        return asked.rounds or (CASES[case][2] if server in EXPECTED_OF else ROUNDS)

    for turn in range(max((rounds(case, server) for case in plan for server in plan[case]), default=0)):
        for case in random.sample(list(plan), len(plan)):
            turns = [server for server in plan[case] if turn < rounds(case, server)]
            for server in random.sample(turns, len(turns)):
                done = measure(plan[case][server], wrk, case, asked.seconds)
                results.turns.setdefault((case, server), []).append(done)
    rows = [results.row(case, server) for case in plan for server in plan[case]]
    rows += [version(name) for name in wanted if name in PROGRAMS] + results.missing
    return rows, results.figures()


def main():
    asked = arguments()
    prepare_machine()
    with tempfile.TemporaryDirectory(prefix="synfp-http-") as scratch:
        directory = pathlib.Path(scratch)
        servers = Servers(directory, asked.build)
        try:
            rows, figures = run(asked, servers, Wrk(directory), directory)
        finally:
            servers.stop()
    show(rows)
    print()
    for name, value in figures.items():
        print(f"{name} = {value}")
    with open(asked.output, "w") as out:
        json.dump({"rows": rows, "figures": figures}, out, indent=1)


if __name__ == "__main__":
    main()
