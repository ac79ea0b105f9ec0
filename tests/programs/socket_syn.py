#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The SYN on the socket, for servers that are not ours: each of examples/socket/, and nginx, in a cgroup that the example
cgroup_probe covers, with every connection by SYN cookie; and the program 'synfp socket'. What they say is compared with
the packet on the wire.

Usage: socket_syn.py BUILD_DIRECTORY [unittest arguments]. Servers needs root."""
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(os.path.abspath(sys.argv.pop(1)))
SOURCES = pathlib.Path(__file__).parents[2] / "examples" / "socket"
SYNFP = BUILD / "tools" / "cli" / "synfp"
PORT = 8080
TCP_SAVE_SYN, TCP_SAVED_SYN = 27, 28


def synfp_socket(*argv, stdin=None, pass_fds=()):
    done = subprocess.run([SYNFP, "socket", *argv], stdin=stdin, pass_fds=pass_fds, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


class Command(unittest.TestCase):
    """Without any privilege, and without a probe: the kernel's own copy."""

    def pair(self, save_syn):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, save_syn)
            client = socket.create_connection(listener.getsockname())
            server = listener.accept()[0]
        self.addCleanup(client.close)
        self.addCleanup(server.close)
        return client, server

    def test_a_syn_that_the_kernel_kept(self):
        client, server = self.pair(1)
        status, out, errors = synfp_socket(stdin=server)
        self.assertEqual((status, errors, out.count("\n")), (0, "", 1))
        said = json.loads(out)
        self.assertEqual(list(said), ["peer", "local", "capture", "syn", "fingerprint"])
        for end, name in ((said["peer"], client.getsockname()), (said["local"], server.getsockname())):
            self.assertEqual((end["address"], end["port"]), name)
        self.assertEqual((said["capture"]["source"], said["capture"]["proof"]), ("saved_syn", "exact"))
        raw = bytes.fromhex(said["syn"]["raw"])
        self.assertEqual((raw[0], int.from_bytes(raw[20:22], "big")), (0x45, client.getsockname()[1]))
        self.assertTrue(said["fingerprint"]["p0f"].startswith("4:64+0:0:"), said)
        client.sendall(b"still there")
        self.assertEqual(server.recv(100), b"still there")
        # The kernel's copy is answered once.
        status, out, errors = synfp_socket(stdin=server)
        self.assertEqual((status, errors, json.loads(out)["syn"]), (1, "", None))

    def test_another_descriptor_and_a_miss(self):
        _, server = self.pair(0)
        status, out, errors = synfp_socket("--fd", str(server.fileno()), stdin=subprocess.DEVNULL, pass_fds=[server.fileno()])
        said = json.loads(out)
        self.assertEqual((status, errors, said["syn"], said["fingerprint"]), (1, "", None, None))
        self.assertEqual(said["capture"]["miss"], "no_probe")

    def test_what_is_no_connection_is_refused(self):
        listener = socket.create_server(("127.0.0.1", 0))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.connect(("127.0.0.1", 9))
        local = socket.socketpair()
        for sock in (listener, datagrams, *local):
            self.addCleanup(sock.close)
        for stdin, why in ((subprocess.DEVNULL, "is not a socket"), (listener, "is not connected"),
                           (datagrams, "is not a TCP socket"), (local[0], "is not a TCP socket")):
            status, out, errors = synfp_socket(stdin=stdin)
            self.assertEqual((status, out, errors.count("\n")), (2, "", 1), errors)
            self.assertTrue(errors.startswith(f"synfp: file descriptor 0 {why}; "), errors)
        status, out, errors = synfp_socket("--fd", "99", stdin=subprocess.DEVNULL)
        self.assertEqual((status, out), (2, ""))
        self.assertTrue(errors.startswith("synfp: file descriptor 99 is not open; "), errors)
        for fd in ("-1", "x", "4294967296"):
            self.assertEqual(synfp_socket("--fd", fd, stdin=subprocess.DEVNULL)[:2], (2, ""), fd)

    def test_output_that_cannot_be_written(self):
        _, server = self.pair(1)
        with open("/dev/full", "w") as full:
            done = subprocess.run([SYNFP, "socket"], stdin=server, stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("cannot write", done.stderr)


class Servers(unittest.TestCase):
    """In a network namespace where every connection comes by SYN cookie, and in a cgroup."""

    def setUp(self):
        import netns
        self.space = netns.Namespace("k")
        self.addCleanup(self.space.delete)
        self.space.run("sysctl -qw net.ipv4.tcp_syncookies=2")
        with open("/proc/self/mounts") as mounts:
            root = next(words[1] for words in map(str.split, mounts) if words[2] == "cgroup2")
        self.cgroup = pathlib.Path(root) / f"synfp{os.getpid()}"
        self.cgroup.mkdir()
        self.addCleanup(self.remove_cgroup)
        with self.space:
            self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        self.wire.bind(("lo", 3))
        self.wire.settimeout(10)
        self.addCleanup(self.wire.close)

    def remove_cgroup(self):
        """Whose last process may still be ending."""
        deadline = time.monotonic() + 10
        while True:
            try:
                return self.cgroup.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def cover(self):
        probe = subprocess.Popen([BUILD / "examples" / "cgroup_probe", self.cgroup], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.stop, probe)
        self.assertEqual(probe.stdout.readline(), f"covers {self.cgroup}\n")
        return probe

    def start(self, *argv):
        """A server of the cgroup, without privileges."""
        def enter():
            (self.cgroup / "cgroup.procs").write_text("0")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
                   *argv]
        server = subprocess.Popen(self.space.command(*command), preexec_fn=enter)
        self.addCleanup(self.stop, server)
        return server

    def stop(self, process):
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()

    def connect(self, server):
        """Waits until the server listens."""
        deadline = time.monotonic() + 20
        while True:
            with self.space:
                sock = socket.socket()
            sock.settimeout(20)
            try:
                sock.connect(("127.0.0.1", PORT))
                self.addCleanup(sock.close)
                return sock
            except ConnectionRefusedError:
                sock.close()
                self.assertIsNone(server.poll(), "the server has ended")
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)

    def seen(self, client):
        """The client's SYN on the wire, in hexadecimal."""
        port = client.getsockname()[1]
        while True:
            packet = self.wire.recv(2048)
            if packet[0] == 0x45 and packet[9] == 6 and packet[33] & 0x12 == 2 and int.from_bytes(packet[20:22], "big") == port:
                return packet.hex()

    def lines(self, client):
        with client.makefile() as answer:
            return answer.read().splitlines()

    def cookies(self):
        names, values = (line.split() for line in self.space.run("cat /proc/net/netstat").splitlines()[:2])
        return int(values[names.index("SyncookiesRecv")])

    def check(self, server, expected):
        """`expected`: from the SYN in hexadecimal to the lines of the answer."""
        for accepted in range(3):
            client = self.connect(server)
            self.assertEqual(self.lines(client), expected(self.seen(client)))
            self.assertEqual(self.cookies(), accepted + 1)

    def test_c(self):
        self.cover()
        self.check(self.start(BUILD / "examples" / "socket_server"), lambda syn: [f"verified {syn}", f"saved {syn}"])

    def test_c_without_a_probe(self):
        self.check(self.start(BUILD / "examples" / "socket_server"), lambda syn: ["none: no probe covers this socket", "saved "])

    def test_python(self):
        self.cover()
        self.check(self.start("/usr/bin/python3", SOURCES / "server.py"), lambda syn: [f"verified {syn}", f"saved {syn}"])

    def test_python_without_a_probe(self):
        self.check(self.start("/usr/bin/python3", SOURCES / "server.py"),
                   lambda syn: ["none: no probe covers this socket", "saved "])

    def test_go(self):
        with tempfile.TemporaryDirectory() as scratch:
            program = pathlib.Path(scratch) / "server"
            subprocess.run(["go", "build", "-o", program, SOURCES / "server.go"], check=True,
                           env={**os.environ, "GOCACHE": scratch + "/cache", "CGO_ENABLED": "0", "GO111MODULE": "off"})
            os.chmod(scratch, 0o755)
            self.cover()
            self.check(self.start(program), lambda syn: [f"verified {syn}", f"saved {syn}"])

    def test_node(self):
        self.cover()
        server = self.start("/usr/bin/node", SOURCES / "server.js", SYNFP)
        for _ in range(3):
            client = self.connect(server)
            said = json.loads("".join(self.lines(client)))
            self.assertEqual(said["syn"]["raw"], self.seen(client))
            self.assertEqual((said["capture"]["source"], said["capture"]["proof"]), ("sockops", "verified"))
            self.assertEqual(said["peer"]["port"], client.getsockname()[1])

    def test_node_keeps_its_connection_non_blocking(self):
        """A child to which Node gives it as 0 to 2 would make it blocking, and the server would wait in read()."""
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        os.chmod(scratch.name, 0o777)
        started, go_on, slow = (pathlib.Path(scratch.name) / name for name in ("started", "go_on", "slow"))
        slow.write_text(f'#!/bin/sh\ntouch {started}\nwhile [ ! -e {go_on} ]; do [ -e {slow} ] || exit 2; sleep 0.01; done\nexec {SYNFP} "$@"\n')
        slow.chmod(0o755)
        self.cover()
        server = self.start("/usr/bin/node", SOURCES / "server.js", slow)
        client = self.connect(server)
        deadline = time.monotonic() + 20
        while not started.exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.assertFalse(os.get_blocking(self.copy_of(server.pid, client.getsockname()[1]).fileno()))
        go_on.touch()
        self.assertEqual(json.loads("".join(self.lines(client)))["syn"]["raw"], self.seen(client))

    def test_nginx_is_read_from_outside(self):
        """Its accepted sockets are its own: a privileged process takes a copy of their descriptors."""
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        os.chmod(scratch.name, 0o777)
        configuration = pathlib.Path(scratch.name) / "nginx.conf"
        configuration.write_text(f"""
            daemon off; master_process off; pid {scratch.name}/pid; error_log stderr;
            events {{}}
            http {{
              access_log off;
              client_body_temp_path {scratch.name}/a; proxy_temp_path {scratch.name}/b; fastcgi_temp_path {scratch.name}/c;
              uwsgi_temp_path {scratch.name}/d; scgi_temp_path {scratch.name}/e;
              server {{ listen {PORT}; return 200; }}
            }}""")
        self.cover()
        server = self.start(shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-c", configuration)
        for _ in range(3):
            client = self.connect(server)
            syn = self.seen(client)
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(client.recv(1000).startswith(b"HTTP/1.1 200 "))  # it has accepted
            copy = self.copy_of(server.pid, client.getsockname()[1])
            self.assertEqual(copy.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 256).hex(), syn)
            status, out, errors = synfp_socket(stdin=copy)
            self.assertEqual((status, errors, json.loads(out)["syn"]["raw"]), (0, "", syn))

    def copy_of(self, pid, port):
        """A copy of the descriptor that a process has of its connection to a client's port."""
        pidfd_getfd = 438
        process = os.pidfd_open(pid)
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):
                if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    continue
                fd = ctypes.CDLL(None, use_errno=True).syscall(pidfd_getfd, process, int(name), 0)
                self.assertGreaterEqual(fd, 0, os.strerror(ctypes.get_errno()))
                sock = socket.socket(fileno=fd)
                try:
                    found = sock.getpeername()[1] == port
                except OSError:
                    found = False
                if found:
                    self.addCleanup(sock.close)
                    return sock
                sock.close()
        finally:
            os.close(process)
        self.fail("the server does not have the connection")


if __name__ == "__main__":
    unittest.main()
