#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a request costs HTTPS servers, with one OpenSSL: processor time and system calls of the server.

Usage: tls-servers.py OUTPUT.json [--case NAME] [--server NAME] [--rounds N] [--seconds N] [--build DIRECTORY]; needs root.
--case and --server may be repeated; --list shows their names. Without them it takes about five minutes.

As http-servers.py, whose servers these are with a certificate: one processor each, turns in random order, ratios within a
round, system calls counted in a turn that is not timed. The loop (bench/tls_floor) is the floor. Certificates are made for the run: ECDSA on P-256, and RSA with
2,048 bits. Clients offer TLS 1.3 with TLS_AES_128_GCM_SHA256 and X25519 only, so all servers work with the same. wrk sends
the requests of connections that stay (by 64 full handshakes in the beginning); bench/tls_client opens a connection for
each request, by a full handshake or with a ticket. All servers send tickets without state and keep no sessions. A server
whose libssl is another file than nginx's is not measured."""
import argparse
import importlib.util
import json
import os
import pathlib
import random
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("http_servers", ROOT / "bench" / "http-servers.py")
http = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(http)

# Case: (connections, path, rounds, certificate, clients). Those with figures that have an expectation have more rounds.
CASES = {
    "keep-alive 64, ECDSA": (64, "/hello.txt", 8, "ECDSA", "wrk"),
    "keep-alive 64, RSA": (64, "/hello.txt", 3, "RSA", "wrk"),
    "64 KiB, ECDSA": (64, "/64k.txt", 3, "ECDSA", "wrk"),
    "handshake, ECDSA": (64, "/hello.txt", 8, "ECDSA", "full"),
    "handshake, RSA": (64, "/hello.txt", 5, "RSA", "full"),
    "resumed, ECDSA": (64, "/hello.txt", 5, "ECDSA", "resumed"),
}
PEERS = ("nginx", "h2o", "HAProxy")
FLOOR = "io_uring loop"
SERVERS = (FLOOR, "synfp", *PEERS)
KEYS = {"ECDSA": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "RSA": ["rsa:2048"]}
# What wrk offers.
OPENSSL_CONF = """openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = clients
[clients]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
"""


def fail(why):
    sys.exit(f"tls-servers.py: {why}")


def make_certificates(directory):
    """KIND.pem, KIND.key and both in KIND.both, which HAProxy reads."""
    for kind, key in KEYS.items():
        at = directory / kind
        done = subprocess.run(["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-days", "2", "-subj", "/CN=localhost",
                               "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{at}.key", "-out", f"{at}.pem"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"openssl makes no certificate: {done.stderr}")
        pathlib.Path(f"{at}.both").write_text(pathlib.Path(f"{at}.pem").read_text() + pathlib.Path(f"{at}.key").read_text())


class Servers(http.Servers):
    """Those of http-servers.py, with a certificate of the kind that the case has."""

    def start(self, name, case):
        _, path, _, kind, _ = CASES[case]
        if name == "HAProxy" and http.BODIES[path] > 8192:
            return "HAProxy answers by itself only with what fits into one buffer (16 KiB)"
        key = f"{name}, {http.BODIES[path]} bytes, {kind}" if name == FLOOR else f"{name}, {kind}"
        if key not in self.running:
            port = next(self.ports)
            self.certificate = self.directory / kind
            self.running[key] = http.Process(self.argv(key, name, port, path, case), port, self.directory / f"{port}.log")
        self.check(key, path)
        return self.running[key]

    def argv(self, key, name, port, path, case):
        files = [f"{self.certificate}.pem", f"{self.certificate}.key"]
        if name == FLOOR:
            return [str(self.bench / "tls_floor"), str(port), str(http.BODIES[path]), *files]
        argv = super().argv(key, name, port, path, case)
        return argv + files if name == "synfp" else argv

    def edit(self, file, what, by):
        at = self.directory / file
        text = at.read_text()
        if text.count(what) != 1:
            fail(f"{file} of http-servers.py has no '{what}'")
        at.write_text(text.replace(what, by))

    def nginx(self, port, listens=""):
        argv = super().nginx(port, f"ssl {listens}")
        self.edit(f"nginx{port}.conf", "    root ", f"""\
    ssl_certificate {self.certificate}.pem; ssl_certificate_key {self.certificate}.key;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets on;
    root """)
        return argv

    def h2o(self, port):
        argv = super().h2o(port)
        self.edit("h2o.conf", f"port: {port}}}", f"port: {port}, ssl: {{certificate-file: {self.certificate}.pem, "
                  f"key-file: {self.certificate}.key, minimum-version: TLSv1.2}}}}\nssl-session-resumption: {{mode: ticket}}")
        return argv

    def haproxy(self, port):
        argv = super().haproxy(port)
        self.edit("haproxy.cfg", " backlog 4096", f" ssl crt {self.certificate}.both alpn http/1.1 backlog 4096")
        self.edit("haproxy.cfg", "  nbthread 1\n", "  nbthread 1\n  tune.ssl.cachesize 0\n")
        return argv

    def check(self, key, path):
        """That it answers with what was meant, by TLS 1.3 with this certificate."""
        kind = key.rpartition(" ")[2]
        context = ssl.create_default_context(cafile=f"{self.directory / kind}.pem")
        context.set_alpn_protocols(["http/1.1"])
        got, want = b"", self.body(http.BODIES[path]).encode()
        with socket.create_connection(("127.0.0.1", self.running[key].port), 5) as plain:
            try:
                with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=True) as s:
                    met = s.version(), s.selected_alpn_protocol()
                    s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                    while len(got.partition(b"\r\n\r\n")[2]) < len(want):
                        more = s.recv(1 << 20)
                        if not more:
                            break
                        got += more
            except OSError as e:
                fail(f"{key}: {e}")
        if met != ("TLSv1.3", "http/1.1"):
            fail(f"{key} speaks {met}")
        if not got.startswith(b"HTTP/1.1 200 ") or got.partition(b"\r\n\r\n")[2] != want:
            fail(f"{key} answers {path} with {got[:300]!r}")


def library(process):
    """The libssl that it has loaded, and which OpenSSL the libcrypto beside it says to be."""
    for pid in process.pids():
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
        found = re.search(r"(/\S*/)(libssl\.so\S*)", maps)
        if found:
            crypto = re.search(r"/\S*/libcrypto\.so\S*", maps)
            said = re.search(rb"OpenSSL \d+\.\d+\.\d+\w* ", pathlib.Path(crypto.group()).read_bytes()) if crypto else None
            return found.group(), said.group().decode().strip() if said else ""
    return "none that is shared", ""


class Clients:
    def __init__(self, directory, build):
        self.program = str(build / "bench" / "tls_client")
        self.script = directory / "done.lua"
        self.script.write_text(http.DONE)
        self.openssl = directory / "openssl.cnf"
        self.openssl.write_text(OPENSSL_CONF)

    def run(self, case, port, seconds, under=()):
        """One turn."""
        connections, path, _, _, how = CASES[case]
        if how == "wrk":
            argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(self.script), f"https://127.0.0.1:{port}{path}"]
        else:
            argv = [self.program, str(port), path, str(connections), str(seconds), how]
        told = subprocess.run([*under, *argv], capture_output=True, text=True,
                              env=os.environ | {"OPENSSL_CONF": str(self.openssl)},
                              preexec_fn=lambda: os.sched_setaffinity(0, {http.CLIENT_CPU}))
        found = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)(?: (\d+) (\d+))?$", told.stdout, re.M)
        if found and int(found.group(1)) == 0 and seconds < 10:  # on a busy machine
            return self.run(case, port, 2 * seconds, under)
        if not found or int(found.group(1)) == 0:
            fail(f"{argv[0]} on '{case}': {told.stdout}{told.stderr}")
        requests, us, size, failed, p50, p99 = map(int, found.groups()[:6])
        turn = {"requests": requests, "per second": requests / us * 1e6, "bytes": size / requests, "failed": failed,
                "p50": p50, "p99": p99, "tickets": None}
        if how != "wrk":
            resumed, tickets = map(int, found.groups()[6:])
            turn["tickets"] = tickets / requests
            # The first ones have no ticket yet; some begin and do not end within the turn.
            if how == "full" and resumed or how == "resumed" and resumed < requests - 2 * connections:
                fail(f"of {requests} connections in '{case}' to what listens on port {port}, {resumed} were resumed")
        return turn


class Results:
    def __init__(self):
        self.turns = {}  # (case, server): [a dictionary for each round]
        self.counted = {}
        self.missing = []

    def ratio(self, case, server, base):
        pairs = zip(self.turns.get((case, server), ()), self.turns.get((case, base), ()))
        ratios = [a["cpu"] / b["cpu"] for a, b in pairs]
        return statistics.median(ratios) if ratios else None

    def row(self, case, server):
        turns = self.turns[case, server]
        cpu = [turn["cpu"] for turn in turns]
        over, syscalls = self.ratio(case, server, "nginx"), self.counted[case, server]

        def middle(what):
            return statistics.median(turn[what] for turn in turns)
        row = {"case": case, "connections": CASES[case][0], "server": server, "bytes": round(middle("bytes")),
               "CPU us": round(statistics.median(cpu), 3), "quartile 1": round(http.quartile(cpu, 1), 3),
               "quartile 3": round(http.quartile(cpu, 3), 3), "over nginx": over and round(over, 3),
               "system calls": None if syscalls is None else round(syscalls, 3), "requests/s": round(middle("per second")),
               "p50 us": round(middle("p50")) or None, "p99 us": round(middle("p99")) or None,
               "failed": sum(turn["failed"] for turn in turns)}
        if CASES[case][4] != "wrk":
            row["tickets"] = round(middle("tickets"), 2)
        return row

    def figures(self):
        found = {}
        names = {"keepalive64": "keep-alive 64, ECDSA", "handshake": "handshake, ECDSA", "handshake_rsa": "handshake, RSA",
                 "resumed": "resumed, ECDSA"}
        for name, case in names.items():
            found[f"tls_{name}_floor_over_nginx"] = self.ratio(case, FLOOR, "nginx")  # the best that could be reached
            found[f"tls_{name}_cpu_over_floor"] = self.ratio(case, "synfp", FLOOR)
            for peer in PEERS:
                found[f"tls_{name}_cpu_over_{peer.lower()}"] = self.ratio(case, "synfp", peer)
            # As many as the time is for: the client is not fast enough to bring them.
            turns = self.turns.get((case, "synfp"))
            if turns and name != "keepalive64":
                found[f"tls_{name}_per_processor_per_second"] = statistics.median(1e6 / turn["cpu"] for turn in turns)
        return {name: round(value, 4) for name, value in found.items() if value is not None}


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


def start_all(asked, servers, clients, directory, results):
    """{case: {server: process}}, each counted once; and a row of each server."""
    plan, described, measured = {}, [], []
    for server in asked.server or SERVERS:
        if server in http.PROGRAMS and not http.installed(server):
            results.missing.append({"not measured": server, "because": "it is not installed; see tools/packages"})
        else:
            measured.append(server)
    measured.sort(key=lambda server: server != "nginx")  # whose library is asked for
    wanted = None
    for case in asked.case or CASES:
        for server in list(measured):
            process = servers.start(server, case)
            if isinstance(process, str):
                results.missing.append({"not measured": f"{server}, {case}", "because": process})
                continue
            if not any(one["server"] == server for one in described):
                linked, openssl = library(process)
                wanted = wanted or linked
                if linked != wanted:
                    results.missing.append({"not measured": server, "because": f"its libssl is {linked}, not {wanted}"})
                    measured.remove(server)
                    continue
                told = http.version(server) if server in http.PROGRAMS else {"version": ""}
                described.append({"server": server, "version": told["version"], "libssl": linked, "which is": openssl})
            plan.setdefault(case, {})[server] = process
            results.counted[case, server] = http.count(process, clients, case, directory)[0]
    if any(syscalls is None for syscalls in results.counted.values()):
        results.missing.append({"not measured": "system calls",
                                "because": "perf is not there, or the kernel has no raw_syscalls:sys_enter"})
    return plan, described


def run(asked, servers, clients, directory):
    results = Results()
    plan, described = start_all(asked, servers, clients, directory, results)

    def rounds(case):
        return asked.rounds or CASES[case][2]

    for turn in range(max(map(rounds, plan), default=0)):
        for case in random.sample(list(plan), len(plan)):
            if turn >= rounds(case):
                continue
            for server in random.sample(list(plan[case]), len(plan[case])):
                done = http.measure(plan[case][server], clients, case, asked.seconds)
                results.turns.setdefault((case, server), []).append(done)
    rows = [results.row(case, server) for case in plan for server in SERVERS if server in plan[case]]
    return rows + described + results.missing, results.figures()


def main():
    asked = arguments()
    for program in ("tls_client", "tls_floor", "http_server"):
        if not (asked.build / "bench" / program).exists():
            fail(f"no {asked.build}/bench/{program}: tools/bench builds it")
    http.prepare_machine()
    with tempfile.TemporaryDirectory(prefix="synfp-tls-") as scratch:
        directory = pathlib.Path(scratch)
        make_certificates(directory)
        servers = Servers(directory, asked.build)
        try:
            rows, figures = run(asked, servers, Clients(directory, asked.build), directory)
        finally:
            servers.stop()
    http.show(rows)
    print()
    for name, value in figures.items():
        print(f"{name} = {value}")
    with open(asked.output, "w") as out:
        json.dump({"rows": rows, "figures": figures}, out, indent=1)


if __name__ == "__main__":
    main()
