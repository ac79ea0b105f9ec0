#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Starts each program of examples/, talks to it, looks at the answer, stops it.

Usage: examples.py BUILD_DIRECTORY DATA_DIRECTORY [unittest arguments]. Servers needs root."""
import http.client
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(os.path.abspath(sys.argv.pop(1))) / "examples"
DATA = pathlib.Path(sys.argv.pop(1))
SOURCES = pathlib.Path(__file__).resolve().parents[2] / "examples"
PORT = 8080

LOADS = {
    "minimal": {"liburing", "libbpf"},
    "post_and_path": {"liburing"},
    "site": {"liburing"},
    "background_task": {"liburing"},
    "event_clock": {"liburing"},
    "small_service": {"liburing"},
    "foreign_loop": {"liburing"},
    "own_operation": {"liburing"},
    "https_server": {"liburing", "libssl", "libcrypto"},
    "upload_counter": {"liburing"},
    "probe_process": {"libbpf"},
    "unprivileged_server": {"liburing", "libbpf"},
    "cgroup_probe": {"libbpf"},
    "epoll_server": {"libbpf"},
    "asio_server": {"libbpf"},
    "pcap_reader": {"libpcap"},
}


class Files(unittest.TestCase):
    """Without any privilege."""

    def test_every_program_is_small_listed_and_loads_what_it_needs(self):
        index = (SOURCES / "README.md").read_text()
        sources = {p.stem: p for p in SOURCES.glob("*.cpp")}
        del sources["echo_server"]  # not a small one
        self.assertEqual(sources.keys(), LOADS.keys())
        for name, source in sources.items():
            self.assertLessEqual(len(source.read_text().splitlines()), 60, name)
            self.assertIn(f"({name}.cpp)", index)
            dynamic = subprocess.run(["readelf", "-d", BUILD / name], check=True, capture_output=True, text=True).stdout
            loads = {line.split("[")[1].split(".")[0] for line in dynamic.splitlines() if "(NEEDED)" in line}
            runtime = {"libstdc++", "libgcc_s", "libc", "libm", "ld-linux-x86-64", "ld-linux-aarch64"}
            self.assertEqual(loads - runtime, LOADS[name], name)

    def run_reader(self, *argv):
        return subprocess.run([BUILD / "pcap_reader", *argv], capture_output=True, text=True, timeout=60)

    def test_pcap_reader(self):
        done = self.run_reader(DATA / "linux618.pcap")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        # What the README shows of this file, which p0f itself has said.
        self.assertEqual(lines[:2], ["4:64+0:0:1460:mss*44,10:mss,sok,ts,nop,ws:df,id+:0",
                                     "6:64+0:0:1440:mss*45,10:mss,sok,ts,nop,ws:flow:0"])
        syns = subprocess.run(["tcpdump", "-nr", DATA / "linux618.pcap",
                               "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn or ip6[53] & 0x12 == 2"],
                              check=True, capture_output=True, text=True).stdout
        self.assertEqual(len(lines), len(syns.splitlines()))

    def test_pcap_reader_says_what_is_wrong(self):
        for argv, why in (((), "usage: pcap_reader FILE"), (("/nowhere",), "No such file"), ((__file__,), "unknown file")):
            done = self.run_reader(*argv)
            self.assertEqual(done.returncode, 2)
            self.assertIn("pcap_reader: ", done.stderr)
            self.assertIn(why, done.stderr)


class Servers(unittest.TestCase):
    """Each in a network namespace of its own, where its port is free."""

    def setUp(self):
        import netns
        self.space = netns.Namespace("e")
        self.addCleanup(self.space.delete)

    def start(self, name, *argv, user=None):
        command = [str(BUILD / name), *argv]
        if user:
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--bounding-set=-all",
                       "--inh-caps=-all", *command]
        process = subprocess.Popen(self.space.command(*command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.stop, process)
        return process

    def stop(self, process, number=signal.SIGKILL):
        """The exit status, and what it printed."""
        if process.poll() is None:
            process.send_signal(number)
        output = process.communicate(timeout=20) if not process.stdout.closed else ("", "")
        return process.returncode, *output

    def connect(self, mss, process, port=PORT):
        """From a client whose SYN is like no other: with this MSS. Waits until the server listens."""
        deadline = time.monotonic() + 20
        while True:
            with self.space:
                sock = socket.socket()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
            sock.settimeout(10)
            try:
                sock.connect(("127.0.0.1", port))
                self.addCleanup(sock.close)
                return sock
            except ConnectionRefusedError:
                sock.close()
                if process.poll() is not None or time.monotonic() > deadline:
                    self.fail(f"does not listen: {self.stop(process)}")
                time.sleep(0.01)

    def ask(self, process, mss, path="/", method="GET", body=None):
        connection = http.client.HTTPConnection("127.0.0.1")
        connection.sock = self.connect(mss, process)
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def check_fingerprint(self, text, mss):
        window, options, own, scale = text.strip().split(":")
        self.assertEqual((options, own), ("2-4-8-1-3", str(mss)))
        self.assertTrue(int(window) > 0 and int(scale) >= 0, text)

    def check_server(self, process):
        for mss in (1111, 1222):
            status, text = self.ask(process, mss)
            self.assertEqual(status, 200)
            self.check_fingerprint(text, mss)

    def test_minimal(self):
        self.check_server(self.start("minimal"))

    def test_https_server(self):
        server = self.start("https_server")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for mss in (1111, 1222):
            with context.wrap_socket(self.connect(mss, server, 8443), server_hostname="localhost") as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answer = b""
                while more := sock.recv(4096):
                    answer += more
            ja4, muonfp = answer.partition(b"\r\n\r\n")[2].decode().split(" ")
            self.assertRegex(ja4, "^t13d[0-9]{4}00_[0-9a-f]{12}_[0-9a-f]{12}$")
            self.check_fingerprint(muonfp, mss)
        status, _, errors = self.stop(server, signal.SIGTERM)
        self.assertEqual((status, errors), (0, ""))

    def test_post_and_path(self):
        server = self.start("post_and_path")
        for mss, note in ((1111, "one"), (1222, "two")):
            self.assertEqual(self.ask(server, mss, "/notes", "POST", note)[0], 201)
        status, text = self.ask(server, 1333, "/notes?last=1")
        self.assertEqual(status, 200)
        who, note = text.split(" ")
        self.assertEqual(note, "two\n")
        self.check_fingerprint(who, 1222)
        self.assertEqual(len(self.ask(server, 1333, "/notes")[1].splitlines()), 2)
        for status, path, method, body in ((400, "/notes?last=x", "GET", None), (422, "/notes", "POST", "x" * 1001),
                                           (422, "/notes", "POST", ""), (404, "/", "GET", None),
                                           (405, "/notes", "PUT", "x")):
            self.assertEqual(self.ask(server, 1333, path, method, body)[0], status, (path, method))

    def test_site(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        directory = pathlib.Path(scratch.name)
        (directory / "index.html").write_text("start")
        (directory / "large").write_bytes(os.urandom(3_000_000))
        server = self.start("site", scratch.name)
        self.assertEqual(self.ask(server, 1111, "/static/"), (200, "start"))
        connection = http.client.HTTPConnection("127.0.0.1")
        connection.sock = self.connect(1111, server)
        for headers, status, body in (({}, 200, (directory / "large").read_bytes()),
                                      ({"Range": "bytes=-10"}, 206, (directory / "large").read_bytes()[-10:])):
            connection.request("GET", "/static/large", headers=headers)
            answer = connection.getresponse()
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.read(), body)
        self.assertEqual(self.ask(server, 1111, "/hosts/a%20b", "PUT")[0], 201)
        self.assertEqual(self.ask(server, 1222, "/hosts/a%20b", "PUT")[0], 201)
        status, text = self.ask(server, 1333, "/hosts/%61%20b?last=1")
        self.assertEqual(status, 200)
        self.check_fingerprint(text, 1222)
        self.assertEqual(len(self.ask(server, 1333, "/hosts/a%20b")[1].splitlines()), 2)
        for status, path in ((404, "/hosts/none"), (400, "/hosts/a%20b?last=x"), (400, "/hosts/%"), (302, "/anything"),
                             (404, "/static/../site"), (404, "/static/none"), (405, "/static/large")):
            method = "POST" if status == 405 else "GET"
            self.assertEqual(self.ask(server, 1333, path, method)[0], status, path)

    def test_background_task(self):
        server = self.start("background_task")
        self.check_server(server)
        status, output, _ = self.stop(server, signal.SIGTERM)
        self.assertEqual((status, output.splitlines()[-2:]), (0, ["2 answered", "stopped"]))

    def test_event_clock(self):
        server = self.start("event_clock")
        status, text = self.ask(server, 1111)
        self.assertEqual(status, 200)
        self.assertIn('EventSource("/clock")', text)
        connection = http.client.HTTPConnection("127.0.0.1")
        connection.sock = self.connect(1222, server)
        connection.request("GET", "/clock")
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.getheader("Content-Type")), (200, "text/event-stream"))
        lines = [answer.readline().decode() for _ in range(7)]
        self.assertEqual(lines[1:3], ["event: syn\n", "\n"])
        self.assertTrue(lines[0].startswith("data: "))
        self.check_fingerprint(lines[0].removeprefix("data: "), 1222)
        for line in (lines[3], lines[5]):
            self.assertRegex(line, r"^data: \d\d:\d\d:\d\d\n$")

    def test_upload_counter(self):
        server = self.start("upload_counter")
        size = 64 * 1024 * 1024
        part = b"x" * 1023 + b"\n"
        pages = lambda: int(pathlib.Path(f"/proc/{server.pid}/statm").read_text().split()[1])
        for fields, last in ((f"Content-Length: {size}", b""), ("Transfer-Encoding: chunked", b"0\r\n\r\n")):
            client = self.connect(1222, server)
            client.sendall(f"POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n\r\n".encode())
            before = pages()
            block = part * 64 if not last else b"10000\r\n" + part * 64 + b"\r\n"
            for _ in range(size // 65536):
                client.sendall(block)
            self.assertLess((pages() - before) * os.sysconf("SC_PAGE_SIZE"), 4 * 1024 * 1024)
            client.sendall(last)
            head, text = client.makefile().read().split("\n\n")
            self.assertTrue(head.startswith("HTTP/1.1 200 OK"), head)
            counted, who = text.split(" from ")
            self.assertEqual(counted, f"{size} bytes, {size // 1024} lines")
            self.check_fingerprint(who, 1222)
        self.assertEqual(self.ask(server, 1111, "/upload", "POST", b"a\nb")[1].split(" from")[0], "3 bytes, 1 lines")

    def test_small_service(self):
        self.assertLessEqual(len((SOURCES / "small_service.cpp").read_text().splitlines()), 40)
        server = self.start("small_service")
        self.check_server(server)
        deadline = time.monotonic() + 20
        while self.ask(server, 1333, "/rate/2")[1] == "0":  # until the background task has counted
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertEqual(self.ask(server, 1333, "/rate/some")[0], 404)
        status, said, log = self.stop(server, signal.SIGTERM)
        self.assertEqual((status, said), (0, ""))
        self.assertIn('"GET /rate/2 HTTP/1.1" 200 ', log)
        self.assertIn('"GET /rate/some HTTP/1.1" 404 ', log)

    def test_foreign_loop(self):
        server = self.start("foreign_loop")
        self.check_server(server)
        self.assertEqual(self.stop(server, signal.SIGTERM), (0, "stopped\n", ""))

    def test_own_operation(self):
        server = self.start("own_operation")
        self.check_server(server)
        status, text = self.ask(server, 1333, "/load")
        self.assertEqual(status, 200)
        self.assertRegex(text, r"^\d+\.\d+ \d+\.\d+ \d+\.\d+ \d+/\d+ \d+\n$")

    def test_probe_process_and_unprivileged_server(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        os.chmod(scratch.name, 0o711)
        subprocess.run(["mount", "-t", "bpf", "-o", "mode=711", "bpf", scratch.name], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", scratch.name], check=True)
        pins = os.path.join(scratch.name, "synfp")
        probe = self.start("probe_process", pins, "nogroup")
        self.assertEqual(probe.stdout.readline(), f"pinned in {pins}\n")
        server = self.start("unprivileged_server", pins, user=65534)
        self.check_server(server)
        for process in (probe, server):
            status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines())
            self.assertEqual(int(status["CapEff"], 16) | int(status["CapPrm"], 16), 0)
        self.assertEqual(self.stop(probe, signal.SIGTERM)[0], 0)
        self.assertFalse(os.path.exists(pins))
        self.check_server(server)  # it has what it needs

    def check_lines(self, name):
        server = self.start(name)
        for mss in (1111, 1222):
            self.check_fingerprint(self.connect(mss, server).makefile().read(), mss)

    def test_epoll_server(self):
        self.check_lines("epoll_server")

    def test_asio_server(self):
        self.check_lines("asio_server")

    def check_failure(self, process, name, why):
        process.wait(timeout=20)
        status, output, errors = self.stop(process)
        self.assertEqual((status, output), (2, ""), errors)
        self.assertTrue(errors.startswith(f"{name}: ") and errors.count("\n") == 1, errors)
        self.assertIn(why, errors)

    def test_every_program_says_why_it_cannot_start(self):
        for name in ("minimal", "epoll_server", "asio_server"):
            self.check_failure(self.start(name, user=65534), name, "cannot load the BPF probe: missing cap_bpf")
        self.check_failure(self.start("probe_process", "/sys/fs/bpf/x", "nogroup", user=65534), "probe_process", "cap_bpf")
        self.check_failure(self.start("cgroup_probe", "/nowhere"), "cgroup_probe", "/nowhere")
        self.check_failure(self.start("unprivileged_server", "/nowhere"), "unprivileged_server", "/nowhere")
        other = self.start("foreign_loop")
        self.connect(1111, other)
        for name in ("minimal", "post_and_path", "background_task", "event_clock", "small_service", "foreign_loop",
                     "own_operation", "upload_counter", "epoll_server", "asio_server"):
            self.check_failure(self.start(name), name, "Address already in use")


if __name__ == "__main__":
    unittest.main()
