# SPDX-License-Identifier: MIT
"""synfp flood from outside: flood.py BUILD_DIRECTORY"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SYNFP = os.path.join(sys.argv.pop(1), "tools/cli/synfp")
SERVER = """
import socket, sys
s = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
while True: s.accept()[0].close()
"""


def server(port=8080):
    return [sys.executable, "-c", SERVER, str(port)]


def flood(*arguments, command):
    return subprocess.run([SYNFP, "flood", *arguments, "--", *command], capture_output=True, text=True, timeout=60)


def namespaces():
    return set(subprocess.run(["lsns", "-t", "net", "-n", "-o", "NS"], capture_output=True, text=True).stdout.split())


class Flood(unittest.TestCase):
    def test_count_is_exact_and_reaches_the_listener(self):
        for source in ("10.0.0.0/8", "2001:db8::/32"):
            with tempfile.NamedTemporaryFile() as summary:
                r = flood("--count", "5000", "--source", source, "--json", summary.name, command=server())
                self.assertEqual(r.returncode, 0, r.stderr)
                told = json.load(summary)
            self.assertEqual(told["sent"], 5000)
            self.assertTrue(told["reached"])
            # All but those that the listener queues before it begins with cookies.
            self.assertGreater(told["counters"]["TcpExt.SyncookiesSent"], 5000 - 200)
            self.assertEqual(told["counters"]["Tcp.InCsumErrors"], 0)
            self.assertIn("sent 5000 SYNs", r.stderr)

    def test_clients_inside_are_served(self):
        client = "import socket; c=socket.create_connection(('198.18.0.1',8080),10); c.recv(1); print('served')"
        script = '"$0" -c "$1" 8080 & sleep 1; exec "$0" -c "$2"'
        r = flood("--duration", "20", "--rate", "5000",
                  command=["sh", "-c", script, sys.executable, SERVER, client])
        self.assertEqual(r.stdout, "served\n", r.stderr)
        self.assertIn("COMMAND ended first, with status 0", r.stderr)
        self.assertEqual(r.returncode, 0, r.stderr)

    def test_says_when_the_flood_misses(self):
        only_v4 = [sys.executable, "-c", "import socket,time; s=socket.create_server(('0.0.0.0',8080)); time.sleep(60)"]
        r = flood("--count", "100", "--source", "2001:db8::/32", command=only_v4)
        self.assertEqual(r.returncode, 1)
        self.assertIn("DID NOT REACH THE LISTENER", r.stderr)
        self.assertIn("100 RST", r.stderr)

    def test_repeated_answers_are_no_answers(self):
        script = 'echo 0 > /proc/sys/net/ipv4/tcp_syncookies; exec "$0" -c "$1" 8080'
        r = flood("--duration", "4.5", "--rate", "100", command=["sh", "-c", script, sys.executable, SERVER])
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn("DID NOT REACH THE LISTENER", r.stderr)

    def test_refuses(self):
        for arguments, command, why in (
            ([], server(), "a flood needs an end"),
            (["--duration", "1"], [], "name the server"),
            (["--duration", "99999"], server(), "--duration"),
            (["--count", "0"], server(), "--count"),
            (["--count", "1", "--rate", "-1"], server(), "--rate"),
            (["--count", "1", "--interface", "lo"], server(), "--interface"),
            (["--count", "1", "--source", "127.0.0.1"], server(), "takes no SYN"),
            (["--count", "1", "--source", "10.0.0.0/8", "--source", "11.0.0.0/8"], server(), "per family"),
            (["--count", "1", "--json", "/no/such/directory/x"], server(), "cannot be written"),
            (["--count", "1"], ["true"], "before it listened"),
            (["--count", "1"], ["/no/such/program"], "cannot run /no/such/program"),
        ):
            r = flood(*arguments, command=command)
            self.assertEqual((r.returncode, why in r.stderr), (2, True), r.stderr)

    def test_leaves_nothing_behind_when_killed(self):
        before = namespaces()
        for how, script in ((signal.SIGKILL, '"$0" -c "$1" 8080 & "$0" -c "$1" 8081; true'),
                            (signal.SIGTERM, '"$0" -c "$1" 8080; true')):
            # The server's processes hold the pipe: its end says that all of them are gone.
            read, write = os.pipe()
            p = subprocess.Popen([SYNFP, "flood", "--duration", "30", "--rate", "1000", "--", "sh", "-c", script,
                                  sys.executable, SERVER], stderr=subprocess.PIPE, text=True, pass_fds=[write])
            os.close(write)
            self.assertIn("flooding", p.stderr.readline())
            self.assertNotEqual(namespaces(), before)
            p.send_signal(how)
            self.assertEqual(os.read(read, 1), b"")
            os.close(read)
            self.assertEqual(p.wait(20), -how if how == signal.SIGKILL else 1)
            p.stderr.close()
            late = time.monotonic() + 10
            while namespaces() != before and time.monotonic() < late:
                time.sleep(0.05)
            self.assertEqual(namespaces(), before)


if __name__ == "__main__":
    unittest.main()
