#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The echo server behind real proxies that speak the PROXY protocol: HAProxy, nginx, curl.

Usage: behind_proxy.py BUILD_DIRECTORY [unittest arguments]. Needs root, Debian's haproxy and libnginx-mod-stream."""
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from netns import Namespace

ECHO = os.path.join(os.path.abspath(sys.argv.pop(1)), "examples", "echo_server")
PORT, FRONT = 18080, 18081

HAPROXY = """
global
    log stdout local0
defaults
    mode {mode}
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend front
    bind {address}:{front}
    default_backend back
backend back
    server s 127.0.0.1:{port} {how}
"""
NGINX = """
daemon off;
pid {place}/pid;
error_log stderr;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{}}
stream {{
    server {{ listen {address}:{front}; proxy_pass 127.0.0.1:{port}; proxy_protocol on; }}
}}
"""


class BehindProxy(unittest.TestCase):
    def setUp(self):
        self.space = Namespace("p")
        self.addCleanup(self.space.delete)
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)

    def start(self, *argv):
        process = subprocess.Popen(self.space.command(*argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        process.stdout.close()

    def serve(self, *prefixes):
        server = self.start(ECHO, "--listen", f"127.0.0.1:{PORT}", "--capture", "saved-syn",
                            *(option for one in prefixes for option in ("--proxy-protocol", one)))
        self.assertIn("listening on", server.stdout.readline())

    def connect(self, address, port):
        """Waits until the proxy listens."""
        deadline = time.monotonic() + 20
        while True:
            try:
                with self.space:
                    return socket.create_connection((address, port), timeout=20)
            except ConnectionRefusedError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)

    def ask(self, sock, before=b"", request=b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
        with sock:
            sock.sendall(before + request)
            data = b""
            try:
                while more := sock.recv(65536):
                    data += more
            except ConnectionResetError:
                pass
        head, _, body = data.partition(b"\r\n\r\n")
        return head, body

    def check_proxied(self, address):
        for _ in range(3):
            sock = self.connect(address, FRONT)
            me, front = sock.getsockname(), sock.getpeername()
            head, body = self.ask(sock)
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            answer = json.loads(body)
            self.assertEqual(answer["peer"], {"address": me[0], "port": me[1]})
            self.assertEqual(answer["local"], {"address": front[0], "port": front[1]})
            self.assertEqual(answer["capture"]["of"], "proxy")  # the kernel's copy is of the proxy's connection
            raw = bytes.fromhex(answer["syn"]["raw"])
            ports = struct.unpack("!HH", raw[20:24])
            self.assertEqual(ports[1], PORT)
            self.assertNotEqual(ports[0], me[1])

    def haproxy(self, how, address="127.0.0.1", mode="tcp"):
        config = pathlib.Path(self.place.name) / "haproxy.cfg"
        config.write_text(HAPROXY.format(how=how, address=f"[{address}]" if ":" in address else address, front=FRONT,
                                         port=PORT, mode=mode))
        return self.start("haproxy", "-db", "-f", str(config))

    def test_haproxy(self):
        self.serve("127.0.0.0/8")
        for how in ("send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"):
            for address in ("127.0.0.1", "::1"):
                with self.subTest(how=how, address=address):
                    proxy = self.haproxy(how, address)
                    self.check_proxied(address)
                    self.end(proxy)

    def test_haproxy_in_http_mode_and_its_health_checks(self):
        self.serve("127.0.0.0/8")
        # A check is LOCAL in version 2: the proxy speaks for itself, and is answered.
        proxy = self.haproxy("send-proxy-v2 check inter 100ms", mode="http\n    option httpchk GET /")
        self.check_proxied("127.0.0.1")
        time.sleep(0.5)
        self.check_proxied("127.0.0.1")  # else the server were marked as down
        self.end(proxy)

    def test_nginx(self):
        self.serve("127.0.0.0/8")
        config = pathlib.Path(self.place.name) / "nginx.conf"
        for address in ("127.0.0.1", "::1"):
            config.write_text(NGINX.format(place=self.place.name, address=f"[{address}]" if ":" in address else address,
                                           front=FRONT, port=PORT))
            proxy = self.start("nginx", "-c", str(config))
            self.check_proxied(address)
            self.end(proxy)

    def test_curl(self):
        self.serve("127.0.0.1")
        done = subprocess.run(self.space.command("curl", "-sS", "--max-time", "10", "--haproxy-protocol",
                                                 f"http://127.0.0.1:{PORT}/"), check=True, capture_output=True, text=True)
        self.assertEqual(json.loads(done.stdout)["capture"]["of"], "proxy")

    def test_the_clients_syn_in_the_header(self):
        self.serve("127.0.0.1")
        syn = bytes.fromhex("4500002c00014000400600007f000001c0000207303904d2000000010000000060 02faf00000000002040 5b4"
                            .replace(" ", ""))
        start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
        rest = bytes.fromhex("7f000001c0000207303904d2") + b"\xe5" + struct.pack("!H", len(syn)) + syn
        head, body = self.ask(self.connect("127.0.0.1", PORT), start + struct.pack("!H", len(rest)) + rest)
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        answer = json.loads(body)
        self.assertEqual((answer["capture"]["source"], answer["capture"]["proof"]), ("proxy", "tuple"))
        self.assertNotIn("of", answer["capture"])
        self.assertEqual(answer["syn"]["raw"], syn.hex())
        self.assertEqual(answer["peer"], {"address": "127.0.0.1", "port": 12345})

    def test_who_is_not_trusted_names_nobody(self):
        self.serve("192.0.2.0/24")
        header = b"PROXY TCP4 192.0.2.1 198.51.100.7 1234 443\r\n"
        head, _ = self.ask(self.connect("127.0.0.1", PORT), header)
        self.assertTrue(head.startswith(b"HTTP/1.1 400 "), head)
        sock = self.connect("127.0.0.1", PORT)
        me = sock.getsockname()
        head, body = self.ask(sock)
        self.assertEqual(json.loads(body)["peer"], {"address": me[0], "port": me[1]})

    def test_without_a_header_nothing_is_served(self):
        self.serve("127.0.0.1")
        self.assertEqual(self.ask(self.connect("127.0.0.1", PORT)), (b"", b""))
        with self.connect("127.0.0.1", PORT) as sock:
            self.assertEqual(sock.recv(1), b"")  # and none that never comes is waited for

    def test_a_prefix_that_is_none(self):
        done = subprocess.run([ECHO, "--proxy-protocol", "10.0.0.1/8", "--capture", "saved-syn"], capture_output=True,
                              text=True, timeout=20)
        self.assertEqual(done.returncode, 2)
        self.assertIn("10.0.0.0/8", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
