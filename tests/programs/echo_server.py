#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""End to end: the echo server as users run it, over loopback and between two network namespaces.

Usage: echo_server.py BUILD_DIRECTORY [unittest arguments]. Needs root."""
import collections
import json
import os
import pathlib
import re
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from netns import Namespace, Pair, sh

BUILD = os.path.abspath(sys.argv.pop(1))
ECHO = os.path.join(BUILD, "examples", "echo_server")
PORT = 18080


class Server:
    """A running server. Ends it by its own process id."""

    def __init__(self, *options, inside=None, program=ECHO, user=None):
        argv = [program, *options]
        if user:
            argv = ["setpriv", f"--reuid={user}", "--regid=65534", "--clear-groups", "--bounding-set=-all",
                    "--inh-caps=-all", *argv]
        if inside:
            argv = inside.command(*argv)
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline()
        if not self.line:
            raise RuntimeError(f"did not start: {self.process.stderr.read()}")

    def stop(self, number=signal.SIGTERM):
        if self.process.stdout.closed:
            return self.process.returncode
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=20)
        self.errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def exchange(sock, request=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
    """One request, one response: (status, headers, body)."""
    sock.sendall(request)
    return response(sock)


def response(sock, head=False):
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise EOFError(data)
        data += more
    top, body = data.split(b"\r\n\r\n", 1)
    lines = top.decode().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    length = 0 if head else int(headers.get("content-length", 0))
    while len(body) < length:
        more = sock.recv(65536)
        if not more:
            raise EOFError(body)
        body += more
    assert len(body) == length, body
    return int(lines[0].split()[1]), headers, body


def ask(address, port=PORT, timeout=10):
    """The JSON for one fresh connection and the client's own view of it."""
    with socket.create_connection((address, port), timeout=timeout) as sock:
        status, _, body = exchange(sock)
        assert status == 200, (status, body)
        return json.loads(body), sock.getsockname()


def curl(url, inside=None, *options):
    argv = ["curl", "-sS", "--max-time", "10", *options, url]
    return json.loads(subprocess.run(inside.command(*argv) if inside else argv, check=True, capture_output=True).stdout)


class OverLoopback(unittest.TestCase):
    """In a namespace of its own, so that nothing else on the machine matters."""

    def setUp(self):
        self.space = Namespace("l")
        self.addCleanup(self.space.delete)

    def check_own(self, answer, me):
        self.assertEqual(answer["peer"], {"address": me[0], "port": me[1]})
        self.assertEqual(answer["capture"]["miss"], None, answer)
        raw = bytes.fromhex(answer["syn"]["raw"])
        offset = answer["syn"]["ip"]["header_length"]
        self.assertEqual(struct.unpack("!HH", raw[offset:offset + 4]), (me[1], PORT))

    def check_fingerprints(self, answer):
        """All are there, and agree with the JSON on what they have in common. Satori and pf.os know IPv4 only."""
        prints, tcp, version = answer["fingerprint"], answer["syn"]["tcp"], answer["syn"]["ip"]["version"]
        self.assertEqual([name for name in prints if name != "ja4t"],
                         ["p0f", "muonfp", "haproxy", "satori", "ndpi", "pfos"])
        self.assertTrue(prints["p0f"].startswith(f"{version}:64+0:0:{tcp['mss']}:"), prints)
        layout = [name.replace("eol", "eol+0") for name in tcp["options"]]
        self.assertEqual(prints["p0f"].split(":")[5], ",".join(layout))
        self.assertTrue(prints["muonfp"].startswith(f"{tcp['window']}:"), prints)
        self.assertRegex(prints["haproxy"], f"^[0-9a-f]{{6}}{tcp['window']:04x}{tcp['mss']:04x}[0-9a-f]{{2}}$")
        self.assertRegex(prints["ndpi"], f"^2_64_{tcp['window']}_[0-9a-f]{{12}}$")
        if version == 4:
            self.assertTrue(prints["satori"].startswith(f"{tcp['window']}:64:1:60:"), prints)
            self.assertRegex(prints["pfos"], f"^[ST]?[0-9]+:64:1:60:M{tcp['mss']},S,T,N,W{tcp['window_scale']}$")
        else:
            self.assertIsNone(prints["satori"])
            self.assertIsNone(prints["pfos"])
        # What the build was configured with; run by hand, the server may have it or not.
        self.assertIn(os.environ.get("SYNFP_JA4T"), (None, "1" if "ja4t" in prints else "0"))
        if "ja4t" in prints:  # the same fields as MuonFP's; the window scale is none of 0
            self.assertEqual(prints["ja4t"], prints["muonfp"].replace(":", "_"))

    def test_each_family_and_each_source(self):
        for options, source in ((["--capture", "auto"], "reuseport"), (["--capture", "reuseport"], "reuseport"),
                                (["--capture", "xdp", "--interface", "lo"], "xdp"),
                                (["--capture", "kprobe"], "kprobe"),
                                (["--capture", "tcx", "--interface", "lo"], "tcx"),
                                (["--capture", "saved-syn"], "saved_syn")):
            if source == "kprobe" and not os.path.exists("/sys/bus/event_source/devices/kprobe/type"):
                continue
            with self.subTest(source=source, options=options), Server("--listen", f"[::]:{PORT}", *options,
                                                                      inside=self.space) as server, self.space:
                names = {"auto": "reuseport+saved_syn", "saved-syn": "saved_syn"}
                self.assertEqual(server.line, f"listening on [::]:{PORT} capture={names.get(options[1], options[1])}\n")
                for address, version in (("127.0.0.1", 4), ("::1", 6)):
                    answer, me = ask(address)
                    self.check_own(answer, me)
                    self.assertEqual(answer["capture"]["source"], source)
                    self.assertEqual(answer["capture"]["proof"],
                                     "exact" if options[1] in ("auto", "saved-syn") else "tuple")
                    self.assertEqual(answer["syn"]["ip"]["version"], version)
                    self.assertEqual(answer["local"], {"address": address, "port": PORT})
                    self.assertEqual(answer["syn"]["tcp"]["flags"], ["syn"])
                    self.assertEqual(answer["capture"]["age_us"] is None, source == "saved_syn")
                    self.assertEqual(answer["capture"]["retransmits"], 0 if source in ("xdp", "tcx") else None)
                    self.check_fingerprints(answer)

    def test_nobody_gets_saved_syn_and_is_told(self):
        server = Server("--listen", f"[::]:{PORT}", inside=self.space, user="65534")
        with self.space:
            self.assertEqual(server.line, f"listening on [::]:{PORT} capture=saved_syn\n")
            answer, me = ask("127.0.0.1")
            self.check_own(answer, me)
            self.assertEqual(answer["capture"]["source"], "saved_syn")
        self.assertEqual(server.stop(), 0)
        self.assertIn("missing cap_bpf", server.errors)

    def test_several_addresses_and_threads(self):
        with Server("--listen", f"127.0.0.1:{PORT}", "--listen", f"[::1]:{PORT}", "--threads", "2",
                    inside=self.space) as server, self.space:
            self.assertEqual(server.line, f"listening on 127.0.0.1:{PORT},[::1]:{PORT} capture=reuseport+saved_syn\n")
            for _ in range(20):
                for address in ("127.0.0.1", "::1"):
                    answer, me = ask(address)
                    self.check_own(answer, me)
                    self.assertEqual(answer["capture"]["source"], "reuseport")

    def test_errors_say_what_to_do(self):
        def refused(*options, user=None):
            argv = [ECHO, *options]
            if user:
                argv = ["setpriv", f"--reuid={user}", "--clear-groups", *argv]
            done = subprocess.run(self.space.command(*argv), capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 2, done)
            self.assertEqual(done.stdout, "")
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            return done.stderr

        self.assertIn("'foo' is not an address", refused("--listen", "foo"))
        self.assertIn("--capture", refused("--capture", "magic"))
        self.assertIn("--bogus", refused("--bogus"))
        self.assertIn("--threads", refused("--threads", "0"))
        self.assertIn("needs --interface NAME", refused("--capture", "xdp"))
        self.assertIn("missing cap_bpf,cap_perfmon", refused("--capture", "kprobe", user="65534"))
        if not os.path.exists("/sys/bus/event_source/devices/kprobe/type"):
            self.assertIn("this kernel has neither BPF trampolines nor kprobes", refused("--capture", "kprobe"))
        self.assertIn("there is no interface 'nope0'", refused("--capture", "xdp", "--interface", "nope0"))
        self.assertIn("--interface goes with --capture xdp",
                      refused("--capture", "saved-syn", "--interface", "lo"))
        self.assertIn("does not have the address", refused("--listen", "192.0.2.9:80"))
        self.assertIn("missing cap_bpf", refused("--capture", "reuseport", user="65534"))
        self.assertIn("missing cap_bpf,cap_net_admin,cap_perfmon",
                      refused("--capture", "xdp", "--interface", "lo", user="65534"))
        self.assertIn("CAP_NET_BIND_SERVICE", refused("--listen", "127.0.0.1:80", "--capture", "saved-syn",
                                                      user="65534"))
        self.assertIn("cannot read the signature database /nope", refused("--p0f-db", "/nope"))
        self.assertIn(f"{__file__}:1: neither a [section] nor", refused("--p0f-db", __file__))
        with Server("--listen", f"127.0.0.1:{PORT}", inside=self.space) as server:
            owner = f"process {server.process.pid} (echo_server) listens there"
            self.assertIn(owner, refused("--listen", f"127.0.0.1:{PORT}"))
            self.assertIn(owner, refused("--listen", f"[::]:{PORT}"))
        self.assertIn("this process itself listens there",
                      refused("--listen", f"127.0.0.1:{PORT}", "--listen", f"[::]:{PORT}"))
        with Server("--listen", f"127.0.0.1:{PORT}", "--capture", "xdp", "--interface", "lo", inside=self.space):
            error = refused("--listen", f"127.0.0.1:{PORT + 1}", "--capture", "xdp", "--interface", "lo")
            self.assertRegex(error, r"already carries an XDP program, id \d+ \(synfp_xdp\)")
        self.assertNotIn("xdp", self.space.run("ip link show lo"))

    def test_too_little_memory_is_explained(self):
        seen = set()
        for limit in range(16, 60, 2):  # MiB; below, not even its libraries can be loaded
            argv = ["prlimit", f"--as={limit << 20}", ECHO, "--listen", f"127.0.0.1:{PORT}", "--capture", "saved-syn",
                    "--threads", "4"]
            process = subprocess.Popen(self.space.command(*argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            started = process.stdout.readline()
            if started:
                process.terminate()
            errors = process.communicate(timeout=20)[1]
            self.assertEqual(process.returncode, 0 if started else 2, (limit, errors))
            self.assertEqual(bool(errors), not started, (limit, errors))
            seen.add(bool(started))
        self.assertIn(False, seen)

    def test_io_uring_refused_is_explained(self):
        knob = pathlib.Path("/proc/sys/kernel/io_uring_disabled")
        if not knob.exists():
            self.skipTest("kernel lacks kernel.io_uring_disabled (6.6)")
        before = knob.read_text()
        for value in ("1", "2"):  # 1: for CAP_SYS_ADMIN, which is given up before, or a group
            try:
                knob.write_text(value)
                done = subprocess.run(self.space.command(ECHO, "--listen", f"127.0.0.1:{PORT}"), capture_output=True,
                                      text=True, timeout=20)
            finally:
                knob.write_text(before)
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stdout, "")
            self.assertIn(f"io_uring_disabled={value}", done.stderr)
            self.assertIn("kernel.io_uring_group", done.stderr)

    def test_kill_leaves_nothing_attached(self):
        server = Server("--listen", f"127.0.0.1:{PORT}", "--capture", "xdp", "--interface", "lo", inside=self.space)
        self.assertIn("xdp", self.space.run("ip link show lo"))
        server.stop(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while "xdp" in self.space.run("ip link show lo"):
            self.assertLess(time.monotonic(), deadline, "the program is still attached")

    def test_privileges_are_gone_when_it_serves(self):
        """Of every thread, those of the kernel's ring included."""
        for options in (["--capture", "auto"], ["--capture", "xdp", "--interface", "lo"], ["--capture", "saved-syn"]):
            with self.subTest(options=options), Server("--listen", f"[::]:{PORT}", "--threads", "2", *options,
                                                       inside=self.space) as server, self.space:
                socks = [socket.create_connection(("127.0.0.1", PORT), timeout=10) for _ in range(20)]
                for sock in socks:
                    self.assertEqual(exchange(sock)[0], 200)
                tasks = list(pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/status"))
                self.assertGreaterEqual(len(tasks), 3)
                for status in tasks:
                    found = dict(re.findall(r"^(Cap\w+|NoNewPrivs):\s+(\w+)$", status.read_text(), re.M))
                    self.assertEqual(found, {**{f"Cap{kind}": "0" * 16 for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")},
                                             "NoNewPrivs": "1"})
                for sock in socks:
                    sock.close()
                if "xdp" in options:
                    self.assertIn("xdp", self.space.run("ip link show lo"))
                self.assertEqual(server.stop(), 0)
                self.assertNotIn("xdp", self.space.run("ip link show lo"))  # an exit needs none
        # Without CAP_IPC_LOCK rings are limited.
        with Server("--memlock=65536:", ECHO, "--listen", f"127.0.0.1:{PORT}", inside=self.space, program="prlimit"), \
                self.space:
            ask("127.0.0.1")

    def test_many_idle_connections_do_not_keep_others_out(self):
        def limits(server):
            return re.search(r"Max open files +(\d+) +(\d+)",
                             pathlib.Path(f"/proc/{server.process.pid}/limits").read_text()).groups()

        def prlimit(limit):
            return Server(f"--nofile={limit}", ECHO, "--listen", f"127.0.0.1:{PORT}", inside=self.space,
                          program="prlimit")

        with prlimit("64:4096") as server:
            self.assertEqual(limits(server), ("4096", "4096"))
        for begun in (b"", b"GET / HT"):
            with self.subTest(begun=begun), prlimit("128:128") as server, self.space:
                crowd = []
                for _ in range(300):
                    crowd.append(socket.create_connection(("127.0.0.1", PORT), timeout=10))
                    crowd[-1].sendall(begun)
                for _ in range(20):
                    answer, me = ask("127.0.0.1", timeout=5)  # idle_timeout: 60 s, header_timeout: 10 s
                    self.check_own(answer, me)
                for sock in crowd:
                    sock.close()
                self.assertEqual(server.stop(), 0)
                self.assertRegex(server.errors, r"\Aecho_server: capture by reuseport: .*\necho_server: few of 128 descriptors are left: .*LimitNOFILE.*\n\Z")

    def test_restarts_at_once_after_a_kill_under_load(self):
        """The kernel takes the ring down after the process: its listening socket lives on for a while."""
        stop = threading.Event()

        def load():
            socks = []
            while not stop.is_set():
                try:
                    while len(socks) < 64:
                        socks.append(socket.create_connection(("127.0.0.1", PORT), timeout=2))
                        socks[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 4)
                except OSError:
                    time.sleep(0.002)
                for sock in list(socks):
                    try:
                        if not sock.recv(65536):
                            raise EOFError
                        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    except (OSError, EOFError):
                        sock.close()
                        socks.remove(sock)
            for sock in socks:
                sock.close()

        options = ("--listen", f"127.0.0.1:{PORT}", "--capture", "saved-syn")
        server = Server(*options, inside=self.space)
        with self.space:
            loader = threading.Thread(target=load)  # in the namespace of the thread that starts it
            loader.start()
            try:
                for n in range(50):
                    served = [socket.create_connection(("127.0.0.1", PORT), timeout=10) for _ in range(64)]
                    for sock in served:
                        self.assertEqual(exchange(sock)[0], 200)
                    dead = server
                    dead.process.kill()
                    if n % 2 == 0:
                        dead.process.wait()
                    server = Server(*options, inside=self.space)
                    dead.stop()
                    for sock in served:
                        sock.close()
                    self.assertEqual(ask("127.0.0.1")[0]["capture"]["source"], "saved_syn")
            finally:
                stop.set()
                loader.join()
                server.stop()

    def test_stop_finishes_what_is_in_flight(self):
        server = Server("--listen", f"127.0.0.1:{PORT}", inside=self.space)
        with self.space:
            idle = socket.create_connection(("127.0.0.1", PORT), timeout=10)
            exchange(idle)
            busy = socket.create_connection(("127.0.0.1", PORT), timeout=10)
            busy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            exchange(idle)  # the server has read what came before on the other connection, too
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(idle.recv(1), b"")  # an idle connection is closed
            status, headers, _ = exchange(busy, b"\r\n")
            self.assertEqual((status, headers["connection"]), (200, "close"))
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", PORT), timeout=10)
            for sock in (idle, busy):
                sock.close()
        self.assertEqual(server.stop(), 0)

    def traced(self, load):
        """System calls by name while `load` ran: from the start line on, until the first signal."""
        with tempfile.NamedTemporaryFile() as trace:
            server = Server("-f", "-o", trace.name, ECHO, "--listen", f"127.0.0.1:{PORT}", inside=self.space,
                            program="strace")
            with self.space:
                load()
            for pid in sh(f"pgrep -P {server.process.pid} -x echo_server").split():
                os.kill(int(pid), signal.SIGTERM)
            server.stop()
            lines = pathlib.Path(trace.name).read_text().splitlines()
        started = next(i for i, line in enumerate(lines) if "listening on" in line)
        ended = next(i for i, line in enumerate(lines) if "SIGTERM" in line and i > started)
        self.assertTrue(any("bpf(BPF_PROG_LOAD" in line for line in lines[:started]))
        names = (re.match(r"\d+ +(\w+)\(", line) for line in lines[started + 1:ended])
        return collections.Counter(m.group(1) for m in names if m)

    def test_system_calls_under_load(self):
        def connections():
            for _ in range(200):
                answer, me = ask("127.0.0.1")
                self.check_own(answer, me)
                self.assertEqual(answer["capture"]["source"], "reuseport")

        def requests():
            with socket.create_connection(("127.0.0.1", PORT), timeout=10) as sock:
                for _ in range(1000):
                    exchange(sock)

        def crowd():
            socks = [socket.create_connection(("127.0.0.1", PORT), timeout=10) for _ in range(64)]
            for _ in range(50):
                for sock in socks:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                for sock in socks:
                    response(sock)
            for sock in socks:
                sock.close()

        for what, load, n in (("connection with one request", connections, 200),
                              ("request on one connection", requests, 1000), ("request on 64 connections", crowd, 3200)):
            calls = self.traced(load)
            print(f"system calls per {what}: {sum(calls.values()) / n:.2f}",
                  {name: round(count / n, 3) for name, count in calls.most_common()})
            self.assertEqual(calls["bpf"], 0)
            self.assertLess(sum(calls.values()) / n, 8 if load is connections else 2.5)


class Http(unittest.TestCase):
    """What a client sees of the protocol, beyond the parser's own tests."""

    @classmethod
    def setUpClass(cls):
        cls.space = Namespace("h")
        cls.server = Server("--listen", f"127.0.0.1:{PORT}", inside=cls.space)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.space.delete()

    def connect(self):
        with self.space:
            sock = socket.create_connection(("127.0.0.1", PORT), timeout=20)
        self.addCleanup(sock.close)
        return sock

    def test_keep_alive_gives_the_same_syn(self):
        sock = self.connect()
        first = json.loads(exchange(sock)[2])
        for _ in range(100):
            self.assertEqual(json.loads(exchange(sock)[2]), first)

    def test_pipelined_requests_are_answered_in_order(self):
        sock = self.connect()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /no HTTP/1.1\r\nHost: x\r\n\r\n"
                     b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while more := sock.recv(65536):
            data += more
        self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", data), [b"200", b"404", b"200"])
        self.assertTrue(data.endswith(b"\r\n\r\n"))  # HEAD has no body

    def test_statuses(self):
        long = b"a" * 9000
        for request, expected in (
                (b"GET /no HTTP/1.1\r\nHost: x\r\n\r\n", 404), (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
                (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
                (b"GET /" + long + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
                (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + long * 3 + b"\r\n\r\n", 431),
                (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
                (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n", 417),
                (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501), (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
                (b"GET / HTTP/1.0\r\n\r\n", 200)):
            with self.subTest(request=request[:60]):
                self.assertEqual(exchange(self.connect(), request)[0], expected)

    def test_a_refused_request_closes(self):
        sock = self.connect()
        status, headers, _ = exchange(sock, b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((status, headers["connection"]), (400, "close"))
        self.assertEqual(sock.recv(1), b"")

    def test_nobody_is_asked_for_a_body_that_no_route_takes(self):
        chunked = b" / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        for method, expected in ((b"GET", 200), (b"POST", 405)):
            status, headers, _ = exchange(self.connect(), method + chunked)
            self.assertEqual((status, headers["connection"]), (expected, "close"))
            sock = self.connect()  # what is there is passed over
            status, headers, _ = exchange(sock, method + chunked + b"3\r\nabc\r\n0\r\n\r\n")
            self.assertEqual((status, headers.get("connection")), (expected, None))
            self.assertEqual(exchange(sock)[0], 200)
        self.assertLess(abs(time.mktime(time.strptime(headers["date"], "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
                            - time.time()), 5)

    def test_unfinished_bodies_cost_no_memory(self):
        def resident():
            text = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
            return int(re.search(r"VmRSS:\s+(\d+)", text)[1])
        before = resident()
        clients = []
        for _ in range(200):
            sock = self.connect()
            clients.append(sock)
            self.assertEqual(exchange(sock, b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n")[0], 404)
            try:
                sock.sendall(b"x" * 1048575)
            except OSError:
                pass
        self.assertLess(resident() - before, 40 * 1024)  # KiB; they would be 200 MiB
        self.assertEqual(exchange(self.connect())[0], 200)

    def test_a_slow_head_gets_408(self):
        sock = self.connect()
        self.assertEqual(exchange(sock, b"GET / HT")[0], 408)


class Observing(unittest.TestCase):
    """--access-log and --metrics."""

    def setUp(self):
        self.space = Namespace("o")
        self.addCleanup(self.space.delete)
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.log = os.path.join(self.directory.name, "access.log")

    def start(self, *options):
        server = Server("--listen", f"127.0.0.1:{PORT}", *options, inside=self.space)
        self.addCleanup(server.stop)
        return server

    def connect(self, port=PORT):
        with self.space:
            sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.addCleanup(sock.close)
        return sock

    def get(self, target, port=PORT, fields=""):
        return exchange(self.connect(port), f"GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())

    def lines(self, count, path=None):
        """The lines of the log, once there are so many."""
        deadline = time.monotonic() + 10
        while True:
            text = pathlib.Path(path or self.log).read_text()
            if text.count("\n") >= count:
                self.assertTrue(text.endswith("\n"), text)
                self.assertEqual(text.count("\n"), count, text)
                return text.splitlines()
            self.assertLess(time.monotonic(), deadline, text)
            time.sleep(0.02)

    def test_a_line_for_each_response_and_the_next_file_after_sighup(self):
        server = self.start("--access-log", self.log, "--access-log-format", "common")
        signature = json.loads(self.get("/")[2])["fingerprint"]["p0f"]
        self.get("/no")
        sock = self.connect()
        sock.sendall(b"GET / HTTP/2.0\r\n\r\n")
        self.assertEqual(response(sock)[0], 505)
        lines = self.lines(3)
        for line, (request, status) in zip(lines, (("GET / HTTP/1.1", 200), ("GET /no HTTP/1.1", 404),
                                                   ("GET / HTTP/2.0", 505))):
            self.assertRegex(line, r"^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "
                             f'"{re.escape(request)}" {status} \\d+ "{re.escape(signature)}"$')
        self.assertEqual(os.stat(self.log).st_mode & 0o777, 0o640)
        os.rename(self.log, self.log + ".1")
        server.process.send_signal(signal.SIGHUP)
        while not os.path.exists(self.log):
            time.sleep(0.01)
        self.get("/later")
        self.assertIn('"GET /later HTTP/1.1" 404', self.lines(1)[0])
        self.assertEqual(len(self.lines(3, self.log + ".1")), 3)
        # A file that cannot be opened: it is said, and the old one goes on.
        os.rename(self.log, self.log + ".2")
        os.mkdir(self.log)
        server.process.send_signal(signal.SIGHUP)
        self.get("/still")
        self.assertIn("/still", self.lines(2, self.log + ".2")[1])
        self.assertEqual(server.stop(), 0)
        self.assertIn(f"cannot open the access log '{self.log}': Is a directory", server.errors)

    def test_without_a_file_sighup_ends_it(self):
        server = self.start("--access-log", "-", "--access-log-format", "json")
        self.get("/?on-stderr")
        self.assertEqual(server.stop(signal.SIGHUP), 0)
        line = json.loads(next(line for line in server.errors.splitlines() if line.startswith("{")))
        self.assertEqual((line["request"], line["status"], line["capture"]["source"]),
                         ("GET /?on-stderr HTTP/1.1", 200, "reuseport"))

    def test_clients_write_no_lines(self):
        self.start("--access-log", self.log)
        evil = '" 200 1 "-" "\n127.0.0.1 - - [x] "GET /admin'
        sock = self.connect()
        sock.sendall(b"GET /\x1b[2J" + evil.encode() + b" HTTP/1.1\r\n\r\n")
        self.assertEqual(response(sock)[0], 400)
        sock = self.connect()
        sock.sendall(b'GET /"\\" HTTP/1.1\r\nHost: x\r\nUser-Agent: "\\x22" \xff\xc3\xa9\r\nReferer: a" "b\r\n\r\n')
        self.assertEqual(response(sock)[0], 400)  # '\' in a path
        status, _, _ = exchange(self.connect(), b'GET /" HTTP/1.1\r\nHost: x\r\nUser-Agent: "\\x22" \xff\xc3\xa9\r\n'
                                b'Referer: a" "b\r\n\r\n')
        self.assertEqual(status, 404)
        lines = self.lines(3)
        for line in lines:
            self.assertRegex(line, r'^127\.0\.0\.1 - - \[[^]]+\] "[^"]*" \d{3} \d+ "[^"]*" "[^"]*" "[^"]*"$')
            self.assertTrue(line.isascii() and line.isprintable(), line)
        self.assertIn(r'"GET /\x1B[2J\x22 200 1 \x22-\x22 \x22"', lines[0])
        self.assertIn(r'"GET /\x22 HTTP/1.1" 404 10 "a\x22 \x22b" "\x22\x5Cx22\x22 \xFF\xC3\xA9"', lines[2])

    def ask_much(self, count):
        """Pipelined requests on one connection; all must be answered."""
        sock = self.connect()
        got = b""
        for _ in range(count // 100):
            sock.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
            answered = 0
            while answered < 100:
                more = sock.recv(65536)
                self.assertTrue(more)
                answered = answered + (got[-20:] + more).count(b"HTTP/1.1 404 ") - got[-20:].count(b"HTTP/1.1 404 ")
                got = more
        sock.close()

    def test_a_pipe_that_nobody_reads_stalls_nobody(self):
        os.mkfifo(self.log)
        reader = os.open(self.log, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        server = self.start("--access-log", self.log)
        self.ask_much(20000)  # more than the pipe and the buffer hold
        lines = b""

        def read_all():
            nonlocal lines
            while server.process.poll() is None:
                try:
                    lines += os.read(reader, 65536)
                except BlockingIOError:
                    time.sleep(0.001)
        thread = threading.Thread(target=read_all)
        thread.start()
        self.assertEqual(server.stop(), 0)
        thread.join()
        try:
            while more := os.read(reader, 65536):
                lines += more
        except BlockingIOError:
            pass
        whole = [line for line in lines.decode().splitlines() if not line.startswith("#")]
        for line in whole:
            self.assertRegex(line, r'^127\.0\.0\.1 - - \[[^]]+\] "GET /x HTTP/1.1" 404 10 "-" "-" "4:[^"]+"$')
        dropped = sum(int(n) for n in re.findall(r"^# (\d+) lines? dropped$", lines.decode(), re.M))
        self.assertGreater(dropped, 0)
        self.assertEqual(len(whole) + dropped, 20000)

    def test_a_full_disk_stalls_nobody_and_is_said(self):
        disk = os.path.join(self.directory.name, "disk")
        os.mkdir(disk)
        sh(f"mount -t tmpfs -o size=64k tmpfs {disk}")
        self.addCleanup(sh, f"umount {disk}")
        log = os.path.join(disk, "log")
        server = self.start("--access-log", log)
        self.ask_much(2000)
        deadline = time.monotonic() + 10
        while os.path.getsize(log) != 65536:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertFalse(pathlib.Path(log).read_bytes().endswith(b"\n"))  # in the middle of a line
        sh(f"mount -o remount,size=4m {disk}")
        self.assertEqual(self.get("/")[0], 200)
        for line in self.lines(2001, log):  # that line went on where it was
            self.assertRegex(line, r'^127\.0\.0\.1 - - \[[^]]+\] "GET /x? HTTP/1.1" \d+ \d+ "-" "-" "4:[^"]+"$')
        self.assertEqual(server.stop(), 0)
        self.assertIn("cannot write the access log: No space left on device", server.errors)
        self.assertIn("the access log is written again", server.errors)

    def check_metrics(self, port):
        """What promtool and the parser of OpenMetrics say, and the samples."""
        status, headers, body = self.get("/metrics", port)
        self.assertEqual((status, headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        judged = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
        self.assertEqual((judged.returncode, judged.stdout, judged.stderr), (0, b"", b""))
        status, headers, body = self.get("/metrics", port, "Accept: application/openmetrics-text; version=1.0.0\r\n")
        self.assertEqual(headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8")
        parsed = subprocess.run(["/usr/bin/python3", "-c", """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(json.dumps([[s.name, s.labels, s.value]
                  for f in text_string_to_metric_families(sys.stdin.read()) for s in f.samples]))
"""], input=body.decode(), stdout=subprocess.PIPE, text=True, check=True).stdout
        return {(name, *sorted(labels.values())): value for name, labels, value in json.loads(parsed)}

    def test_metrics_on_their_own_address(self):
        server = self.start("--metrics", "127.0.0.1:18081", "--threads", "2", "--access-log", self.log)
        for _ in range(20):
            signature = json.loads(self.get("/")[2])["fingerprint"]["p0f"]
        self.assertEqual(self.get("/metrics")[0], 404)  # visitors do not see them
        sock = self.connect()
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(response(sock)[0], 400)
        idle = self.connect()
        exchange(idle)
        seen = self.check_metrics(18081)
        self.assertEqual(seen["synfp_http_requests_total", "2xx", "GET"], 21)
        self.assertEqual(seen["synfp_http_requests_total", "4xx", "GET"], 2)
        self.assertEqual(seen["synfp_http_refusals_total", "no Host"], 1)
        self.assertEqual(seen["synfp_http_responses_total", "routes"], 1)
        self.assertEqual(seen["synfp_http_request_duration_seconds_count",], 23)
        self.assertEqual(seen["synfp_http_request_duration_seconds_bucket", "+Inf"], 23)
        self.assertEqual(seen["synfp_http_connections_total",], 23)
        self.assertEqual(seen["synfp_server_accepted_total",], 23)
        self.assertEqual(seen["synfp_capture_found_total", "exact", "reuseport"], 23)
        self.assertEqual(seen["synfp_fingerprint_connections", signature], 23)
        self.assertEqual(seen["synfp_stored_total",], 23)  # of the probe
        self.assertEqual(seen["synfp_access_log_dropped_total",], 0)
        self.assertGreaterEqual(seen["synfp_http_open_connections",], 1)

        # While it stops, nobody should come any more, and what it waits for can be seen.
        self.assertEqual(self.get("/healthz", 18081)[0], 200)
        busy = self.connect()
        busy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        exchange(idle)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(idle.recv(1), b"")
        status, _, body = self.get("/healthz", 18081)
        self.assertEqual((status, body), (503, b"stopping\n"))
        deadline = time.monotonic() + 5
        while self.check_metrics(18081)["synfp_http_open_connections",] != 1:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(exchange(busy, b"\r\n")[0], 200)
        self.assertEqual(server.stop(), 0)
        self.assertIn("metrics on http://127.0.0.1:18081/metrics", server.errors)

    def test_metrics_beside_the_page(self):
        self.start("--capture", "saved-syn", "--metrics")
        self.assertEqual(self.get("/healthz")[2], b"ok\n")
        self.assertEqual(self.check_metrics(PORT)["synfp_capture_found_total", "exact", "saved_syn"], 3)

    def test_errors_say_what_to_do(self):
        def refused(*options):
            done = subprocess.run(self.space.command(ECHO, "--capture", "saved-syn", *options), capture_output=True,
                                  text=True, timeout=20)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            return done.stderr

        self.assertIn("--access-log-format goes with --access-log; add it", refused("--access-log-format", "json"))
        self.assertIn("--access-log-format", refused("--access-log", "-", "--access-log-format", "xml"))
        self.assertIn("cannot open the access log '/nowhere/log': No such file", refused("--access-log", "/nowhere/log"))
        os.mkfifo(self.log)
        self.assertIn("start its reader first", refused("--access-log", self.log))
        self.assertIn("is not an address and a port", refused("--metrics", "nonsense"))


class BetweenNamespaces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.net = Pair()

    @classmethod
    def tearDownClass(cls):
        cls.net.delete()

    def addresses(self):
        return ("198.18.0.2", "2001:db8::2", f"fe80::2%{self.net.client_ifindex()}")

    def test_every_address_with_every_hook_and_cookies(self):
        for cookies in (0, 1, 2):
            for options in (["--capture", "reuseport"], ["--capture", "xdp", "--interface", "veth0"],
                            ["--capture", "saved-syn"]):
                for listen in (f"[::]:{PORT}", f"198.18.0.2:{PORT}", f"[2001:db8::2]:{PORT}",
                               f"[fe80::2%{self.net.server_ifindex()}]:{PORT}"):
                    self.net.server.run(f"sysctl -qw net.ipv4.tcp_syncookies={cookies}")
                    with Server("--listen", listen, *options, inside=self.net.server), self.net.client:
                        for address in self.addresses():
                            if listen != f"[::]:{PORT}" and address.split("%")[0] not in listen:
                                continue
                            with self.subTest(cookies=cookies, options=options, listen=listen, address=address):
                                answer, me = ask(address)
                                capture = answer["capture"]
                                if options[1] == "saved-syn" and cookies == 2:
                                    self.assertEqual(capture["miss"], "cookie")
                                    self.assertIsNone(answer["syn"])
                                    continue
                                if options[1] == "reuseport" and "%" in address:
                                    self.assertEqual(capture["miss"], "ambiguous")
                                    continue
                                self.assertEqual(capture["miss"], None)
                                self.assertEqual(capture["source"], options[1].replace("-", "_"))
                                proof = "exact" if options[1] == "saved-syn" else \
                                    "verified" if options[1] == "reuseport" and cookies == 2 else "tuple"
                                self.assertEqual(capture["proof"], proof)
                                self.assertEqual(answer["syn"]["tcp"]["mss"], 1460 if "." in address else 1440)
        self.net.server.run("sysctl -qw net.ipv4.tcp_syncookies=1")

    def test_the_json_is_what_tcpdump_saw(self):
        for address, url in (("198.18.0.2", f"http://198.18.0.2:{PORT}/"), ("2001:db8::2", f"http://[2001:db8::2]:{PORT}/")):
            with self.subTest(address=address), Server("--listen", f"[::]:{PORT}", inside=self.net.server):
                dump = subprocess.Popen(self.net.server.command(
                    "tcpdump", "-i", "veth0", "-n", "-l", "-v", "-x", "-S", "-c", "1", "-Q", "in",
                    f"dst port {PORT} and (tcp[13]=2 or (ip6 and ip6[53]=2))"), stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, text=True)
                while "listening on" not in dump.stderr.readline():
                    pass
                answer = curl(url, self.net.client)
                text, _ = dump.communicate(timeout=10)
                print(text)
                print(json.dumps(answer))
                raw = "".join("".join(line.split(":", 1)[1].split()) for line in text.splitlines()
                              if re.match(r"\s+0x[0-9a-f]+:", line))
                self.assertEqual(answer["syn"]["raw"], raw)
                tcp = answer["syn"]["tcp"]
                self.assertIn(f"seq {tcp['sequence']}, win {tcp['window']}", text)
                self.assertIn(f"mss {tcp['mss']},", text)
                self.assertIn(f"wscale {tcp['window_scale']}", text)
                self.assertIn(f"TS val {tcp['timestamp']['value']} ecr 0", text)
                ip = answer["syn"]["ip"]
                if ip["version"] == 4:
                    self.assertIn(f"tos 0x{ip['tos']:x}, ttl {ip['ttl']}, id {ip['id']}, offset 0, flags [DF]", text)
                else:
                    self.assertIn(f"flowlabel 0x{ip['flow_label']:05x}, hlim {ip['ttl']}", text)
                self.assertIn(f".{answer['peer']['port']} >", text)

    def test_the_label_with_its_evidence(self):
        """This kernel's SYN by our own database; what contradicts it; a database of the user's."""
        with tempfile.NamedTemporaryFile("w", suffix=".fp") as mine:
            mine.write("classes = unix\n[mtu]\nlabel = My link\nsig = 1337\n")
            mine.flush()
            with Server("--listen", f"[::]:{PORT}", "--p0f-db", mine.name, inside=self.net.server):
                for url in (f"http://198.18.0.2:{PORT}/", f"http://[2001:db8::2]:{PORT}/"):
                    os_ = curl(url, self.net.client)["os"]
                    print(json.dumps(os_))
                    self.assertTrue(os_["label"].startswith("s:unix:Linux:"), os_)
                    self.assertEqual(":".join(("s", os_["class"], os_["name"], os_["flavor"])), os_["label"])
                    self.assertEqual((os_["database"], os_["match"], os_["evidence"], os_["flow_aware"]),
                                     ("synfp", "exact", "recorded", False))
                    self.assertEqual((os_["distance"], os_["mtu"], os_["link"][:8]), (0, 1500, "Ethernet"))
                    self.assertEqual(os_["inconsistencies"], [])
                    windows = curl(url, self.net.client, "-A", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)")["os"]
                    self.assertEqual(windows["inconsistencies"], ["user_agent"])
                with self.net.client, socket.socket() as sock:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1337 - 40)
                    sock.connect(("198.18.0.2", PORT))
                    os_ = json.loads(exchange(sock)[2])["os"]
                    self.assertEqual((os_["mtu"], os_["link"]), (1337, "My link"), os_)

    def crowd(self, options, cookies, clients=2000, wave=500):
        """Every client has an MSS and a TTL of its own. The server sleeps while a wave connects, so that hundreds of
        connections are reaped in one turn."""
        self.net.server.run(f"sysctl -qw net.ipv4.tcp_syncookies={cookies}")
        results = collections.Counter()
        with Server("--listen", f"[::]:{PORT}", *options, inside=self.net.server) as server, self.net.client:
            pid = self.server_pid(server)
            for start in range(0, clients, wave):
                os.kill(pid, signal.SIGSTOP)
                pending = {}
                poll = selectors.DefaultSelector()
                for i in range(start, min(start + wave, clients)):
                    v6 = i % 2
                    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
                    sock.setblocking(False)
                    mss, ttl = 600 + i % 700, 40 + i % 60
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
                    if v6:
                        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
                    else:
                        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
                    sock.connect_ex(("2001:db8::2" if v6 else "198.18.0.2", PORT))
                    poll.register(sock, selectors.EVENT_WRITE)
                    pending[sock] = (mss, ttl)
                connected = set()
                deadline = time.monotonic() + 20
                while len(connected) < len(pending):
                    self.assertLess(time.monotonic(), deadline)
                    for key, _ in poll.select(1):
                        poll.unregister(key.fileobj)
                        connected.add(key.fileobj)
                os.kill(pid, signal.SIGCONT)
                for sock, (mss, ttl) in pending.items():
                    sock.settimeout(20)
                    answer = json.loads(exchange(sock)[2])
                    capture = answer["capture"]
                    results[capture["source"], capture["proof"], capture["miss"]] += 1
                    if answer["syn"]:
                        self.assertEqual((answer["syn"]["tcp"]["mss"], answer["syn"]["ip"]["ttl"]), (mss, ttl))
                        self.assertEqual(answer["peer"]["port"], sock.getsockname()[1])
                        raw = bytes.fromhex(answer["syn"]["raw"])
                        offset = answer["syn"]["ip"]["header_length"]
                        self.assertEqual(struct.unpack("!H", raw[offset:offset + 2])[0], sock.getsockname()[1])
                for sock in pending:
                    sock.close()
        self.net.server.run("sysctl -qw net.ipv4.tcp_syncookies=1")
        return results

    def server_pid(self, server):
        """`ip netns exec` becomes the program."""
        return server.process.pid

    def test_a_crowd_gets_every_one_its_own_syn(self):
        for options, cookies, expected in (
                (["--capture", "reuseport"], 1, ("reuseport", "tuple", None)),
                (["--capture", "reuseport", "--threads", "2"], 2, ("reuseport", "verified", None)),
                (["--capture", "xdp", "--interface", "veth0"], 1, ("xdp", "tuple", None)),
                (["--capture", "saved-syn"], 1, ("saved_syn", "exact", None))):
            with self.subTest(options=options, cookies=cookies):
                results = self.crowd(options, cookies)
                print(options, f"syncookies={cookies}", dict(results))
                self.assertEqual(sum(results.values()), 2000)
                # 2,000 records in 61,440 slots: a bucket is full once in a blue moon, and then it is a miss.
                self.assertGreaterEqual(results[expected], 1995)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root: it makes network namespaces")
    unittest.main(verbosity=2)
