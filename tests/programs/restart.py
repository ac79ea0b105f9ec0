#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Restarts the echo server again and again under load: no request fails, and none is told another's SYN.

Usage: restart.py BUILD_DIRECTORY [unittest arguments]. Needs root."""
import collections
import copy
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from netns import Namespace

ECHO = os.path.join(os.path.abspath(sys.argv.pop(1)), "examples", "echo_server")
PORT = 18080
RESTARTS = 10


class Load:
    """Four clients, each with a connection for each request, until stop()."""

    def __init__(self, space):
        self.space, self.ending = space, False
        self.outcomes = collections.Counter()
        self.wrong = []
        self.threads = [threading.Thread(target=self.run) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def run(self):
        with copy.copy(self.space):  # it holds what this thread goes back to
            while not self.ending:
                try:
                    self.outcomes[self.ask()] += 1
                except OSError as e:
                    self.outcomes[type(e).__name__] += 1

    def ask(self):
        with socket.create_connection(("127.0.0.1", PORT), timeout=20) as sock:
            me = sock.getsockname()[1]
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            data = b""
            while more := sock.recv(65536):
                data += more
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            return f"no answer: {data[:40]!r}"
        answer = json.loads(body)
        if answer["syn"] is not None:
            raw = bytes.fromhex(answer["syn"]["raw"])
            offset = answer["syn"]["ip"]["header_length"]
            if struct.unpack("!HH", raw[offset:offset + 4]) != (me, PORT):
                self.wrong.append((me, answer))
        return "answered by " + (answer["capture"]["source"] or answer["capture"]["miss"])

    def answered(self):
        return sum(count for what, count in self.outcomes.items() if what.startswith("answered"))

    def wait_for(self, more):
        """Until so many more have been answered, or have failed."""
        goal, deadline = sum(self.outcomes.values()) + more, time.monotonic() + 60
        while sum(self.outcomes.values()) < goal:
            assert time.monotonic() < deadline, self.outcomes
            time.sleep(0.001)

    def stop(self):
        self.ending = True
        for thread in self.threads:
            thread.join()
        return dict(self.outcomes)


class Restart(unittest.TestCase):
    def setUp(self):
        self.space = Namespace("r")
        self.addCleanup(self.space.delete)
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.running = []
        self.addCleanup(lambda: [self.end(one, signal.SIGKILL) for one in self.running])

    def start(self, *options, before=()):
        process = subprocess.Popen(self.space.command(*before, ECHO, *options), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, pass_fds=[self.kept.fileno()] if before else [])
        self.running.append(process)
        line = process.stdout.readline()
        self.assertTrue(line, process.stderr.read() if not line else "")
        return process

    def end(self, process, number):
        """Its exit status and what it said."""
        if process.stdout.closed:
            return process.returncode, ""
        if process.poll() is None and number:
            process.send_signal(number)
        process.wait(timeout=30)
        said = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        return process.returncode, said

    def start_next(self, threads):
        return self.start("--listen", f"127.0.0.1:{PORT}", "--hand-over", os.path.join(self.place.name, "socket"),
                          "--threads", str(threads))

    def check(self, load, outcomes):
        print(f"{RESTARTS} restarts: {outcomes}", end=" ", flush=True)
        self.assertEqual(load.wrong, [])
        self.assertEqual({what for what in outcomes if not what.startswith("answered by ")}, set())

    def test_the_next_process_takes_the_sockets_over(self):
        old = self.start_next(1)
        load = Load(self.space)
        try:
            load.wait_for(100)
            for i in range(RESTARTS):
                new = self.start_next(1 + i % 3)
                status, said = self.end(old, None)
                self.assertEqual(status, 0, said)
                self.assertIn("the next process serves; this one stops", said)
                load.wait_for(100)
                old = new
        finally:
            outcomes = load.stop()
        self.check(load, outcomes)
        self.assertEqual(self.end(old, signal.SIGTERM)[0], 0)
        self.assertEqual(os.listdir(self.place.name), [])

    def test_a_client_that_drips_holds_up_nobody(self):
        old = self.start_next(1)
        with self.space:
            slow = socket.create_connection(("127.0.0.1", PORT), timeout=20)
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        load = Load(self.space)
        try:
            load.wait_for(100)
            new = self.start_next(1)
            load.wait_for(1000)
            self.assertIsNone(old.poll())  # it waits for the slow one still, and says so
            told = next(line for line in iter(old.stderr.readline, "") if "stopping" in line)
            self.assertRegex(told, "waiting for 1 connection: 1 reading a request; at most [0-9]+ s more")
            slow.sendall(b"\r\n")
            self.assertTrue(slow.recv(65536).startswith(b"HTTP/1.1 200 "))
            slow.close()
            self.assertEqual(self.end(old, None)[0], 0)
        finally:
            outcomes = load.stop()
        self.check(load, outcomes)
        self.end(new, signal.SIGTERM)

    def listen(self):
        """As systemd does: with ReusePort=yes."""
        with self.space:
            self.kept = socket.socket()
        self.kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.kept.bind(("127.0.0.1", PORT))
        self.kept.listen(4096)
        self.addCleanup(self.kept.close)

    def start_activated(self, *options):
        return self.start(*options, before=(
            "bash", "-c", f'exec 3<&{self.kept.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "bash"))

    def restart_activated(self, number):
        self.listen()
        server = self.start_activated("--threads", "2", "--capture", "auto")
        load = Load(self.space)
        try:
            load.wait_for(100)
            for _ in range(RESTARTS):
                status, said = self.end(server, number)
                self.assertEqual(status, 0 if number == signal.SIGTERM else -number, said)
                server = self.start_activated("--threads", "2", "--capture", "auto")
                load.wait_for(100)
        finally:
            outcomes = load.stop()
        self.assertEqual(self.end(server, signal.SIGTERM)[0], 0)
        return load, outcomes

    def test_connections_wait_in_the_managers_socket(self):
        self.check(*self.restart_activated(signal.SIGTERM))

    def test_a_killed_server_loses_what_it_had_accepted_and_nothing_else(self):
        load, outcomes = self.restart_activated(signal.SIGKILL)
        print(f"{RESTARTS} kills: {outcomes}", end=" ", flush=True)
        self.assertEqual(load.wrong, [])
        self.assertNotIn("ConnectionRefusedError", outcomes)
        lost = sum(count for what, count in outcomes.items() if not what.startswith("answered by "))
        self.assertLessEqual(lost, RESTARTS * len(load.threads))  # at most what each client had asked then

    def test_what_was_handed_in_is_told(self):
        self.listen()
        server = self.start_activated("--listen", "127.0.0.1:1", "--capture", "saved-syn")
        _, said = self.end(server, signal.SIGTERM)
        self.assertIn(f"the service manager hands in 127.0.0.1:{PORT}: these are served, not 127.0.0.1:1", said)

    def test_reuseport_capture_needs_reuse_port_of_the_socket_unit(self):
        with self.space:
            self.kept = socket.socket()
        self.kept.bind(("127.0.0.1", PORT))
        self.kept.listen(16)
        self.addCleanup(self.kept.close)
        done = subprocess.run(
            self.space.command("bash", "-c", f'exec 3<&{self.kept.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "bash",
                               ECHO, "--capture", "reuseport"),
            capture_output=True, text=True, timeout=20, pass_fds=[self.kept.fileno()])
        self.assertEqual(done.returncode, 2)
        self.assertIn("ReusePort=yes", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
